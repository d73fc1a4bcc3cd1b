/* What makes an update predictable:
 *  - Whether a coordinate was ever sent shows in the base itself: a wire value has 13 zero bits at
 *    its end, and a coordinate that moved before tends to move again.
 *  - Masks cluster by input channel (column of a tensor), by output channel (row) and in runs.
 *  - In wire codes an update is a small integer; how small depends on the base's exponent, because
 *    steps are taken in value and codes are spaced by magnitude.
 * The predictions are mixed, so that a useless one costs little. */
#include "delta/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCALES 16
#define MASK_INPUTS 5
#define MASK_LIMIT 400
#define NUMBER_LIMIT 250
#define NUMBER_TREE 32 /* bit lengths 0..31 as leaves of a binary tree */
#define NUMBER_BITS_MAX 18
#define STATISTIC_DROP 15 /* low bits of a float32 that a statistic does without */

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

/* The exponent from 2^-14 to 2^1 as 0..15, clamped. */
static int scale_of(float x)
{
    int exponent = (int)(float_bits(x) >> 23 & 255) - 113;
    return exponent < 0 ? 0 : exponent >= SCALES ? SCALES - 1 : exponent;
}

static int was_sent(float base)
{
    return (float_bits(base) & 0x1fff) == 0;
}

struct mask_models {
    struct bit_model scale[2][SCALES], run[2][16], above[2][8], row[2][8];
    struct bit_model *column; /* [longest row] */
    struct mixer mixer[2];
};

static void mask_models_start(struct mask_models *k, uint32_t row, uint32_t set, uint32_t size)
{
    uint32_t density = (uint32_t)(((uint64_t)set << 16) / size);
    for (int sent = 0; sent < 2; sent++) {
        for (int i = 0; i < SCALES; i++)
            bit_model_init(&k->scale[sent][i], density, 12);
        for (int i = 0; i < 16; i++)
            bit_model_init(&k->run[sent][i], density, 12);
        for (int i = 0; i < 8; i++) {
            bit_model_init(&k->above[sent][i], density, 12);
            bit_model_init(&k->row[sent][i], density, 12);
        }
    }
    for (uint32_t i = 0; i < row; i++)
        bit_model_init(&k->column[i], density, 12);
}

/* Ones in a row so far against the tensor's density: 0 none, ..., 7 many. */
static int row_level(uint32_t ones, uint32_t coded, double density)
{
    static const double step[7] = {0.25, 0.5, 0.8, 1.25, 2, 4, 8};
    double ratio = (ones + 2 * density) / ((coded + 2) * density);
    int level = 0;
    while (level < 7 && ratio > step[level])
        level++;
    return level;
}

static int mask_bit_or_zero(const uint8_t *mask, size_t i, size_t begin, size_t back)
{
    return i - begin >= back ? mask_get(mask, i - back) : 0;
}

/* An encoder's mask is only read. */
static void mask_put(const struct coder *c, uint8_t *mask, size_t i, int bit)
{
    if (c->decoding)
        mask[i >> 3] |= (uint8_t)(bit << (i & 7));
}

/* One tensor with 0 < left < size ones; stops as soon as the rest is known. */
static void code_tensor_mask(struct coder *c, struct mask_models *k, const float *base,
                             size_t begin, size_t end, uint32_t row, uint32_t left, uint8_t *mask)
{
    double density = left / (double)(end - begin);
    uint32_t run = 0, row_ones = 0, column = 0;
    size_t i = begin;
    for (; left > 0 && left < end - i; i++) {
        int sent = was_sent(base[i]);
        int above = mask_bit_or_zero(mask, i, begin, row) |
                    mask_bit_or_zero(mask, i, begin, 2 * (size_t)row) << 1 |
                    mask_bit_or_zero(mask, i, begin, 3 * (size_t)row) << 2;
        struct bit_model *const models[MASK_INPUTS] = {
            &k->scale[sent][scale_of(base[i])], &k->run[sent][run & 15], &k->above[sent][above],
            &k->row[sent][row_level(row_ones, column, density)], &k->column[column]};
        int bit =
            coder_mixed_bit(c, &k->mixer[sent], models, MASK_INPUTS, MASK_LIMIT, mask_get(mask, i));
        mask_put(c, mask, i, bit);
        left -= (uint32_t)bit;
        run = run << 1 | (uint32_t)bit;
        row_ones += (uint32_t)bit;
        if (++column == row)
            column = row_ones = 0;
    }
    for (; left > 0 && i < end; i++)
        mask_put(c, mask, i, 1);
}

enum status sections_mask(struct coder *c, const struct delta_model *m, const float *base,
                          const uint32_t *counts, uint8_t *mask, struct error *err)
{
    struct mask_models *k = malloc(sizeof *k);
    struct bit_model *columns = calloc(DELTA_ROW_MAX, sizeof *columns);
    if (!k || !columns) {
        free(k);
        free(columns);
        return error_set(err, ST_NOMEM, "no memory for the models of a delta's mask");
    }
    k->column = columns;
    for (int sent = 0; sent < 2; sent++)
        mixer_init(&k->mixer[sent], MASK_INPUTS);
    size_t begin = 0;
    for (int t = 0; t < m->tensor_count; t++) {
        size_t end = m->tensor_end[t];
        if (counts[t] == end - begin) {
            for (size_t i = begin; i < end; i++)
                mask_put(c, mask, i, 1);
        } else if (counts[t] > 0) {
            mask_models_start(k, m->tensor_row[t], counts[t], (uint32_t)(end - begin));
            code_tensor_mask(c, k, base, begin, end, m->tensor_row[t], counts[t], mask);
        }
        begin = end;
    }
    free(columns);
    free(k);
    return ST_OK;
}

/* Signed integers by bit length, sign and digits. */
struct number_models {
    struct bit_model by_scale[SCALES][NUMBER_TREE], by_recent[NUMBER_TREE][NUMBER_TREE];
    struct bit_model by_both[SCALES][NUMBER_TREE / 2][NUMBER_TREE];
    struct bit_model sign[3][3], digit[NUMBER_TREE][8];
    struct mixer mixer[SCALES];
    int recent[2]; /* the last bit lengths, latest first */
    int last_sign; /* 0 none, 1 positive, 2 negative */
};

static void models_init(struct bit_model *m, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bit_model_init(&m[i], 32768, 1);
}

static void number_models_init(struct number_models *k)
{
    memset(k, 0, sizeof *k);
    models_init(&k->by_scale[0][0], sizeof k->by_scale / sizeof(struct bit_model));
    models_init(&k->by_recent[0][0], sizeof k->by_recent / sizeof(struct bit_model));
    models_init(&k->by_both[0][0][0], sizeof k->by_both / sizeof(struct bit_model));
    models_init(&k->sign[0][0], sizeof k->sign / sizeof(struct bit_model));
    models_init(&k->digit[0][0], sizeof k->digit / sizeof(struct bit_model));
    for (int i = 0; i < SCALES; i++)
        mixer_init(&k->mixer[i], 3);
}

static int bit_length(uint32_t x)
{
    return x ? 32 - __builtin_clz(x) : 0;
}

static int code_length(struct coder *c, struct number_models *k, int scale, int length)
{
    int recent = (k->recent[0] + k->recent[1] + 1) / 2, node = 1;
    for (int shift = 4; shift >= 0; shift--) {
        struct bit_model *const models[3] = {&k->by_scale[scale][node], &k->by_recent[recent][node],
                                             &k->by_both[scale][recent / 2][node]};
        int bit =
            coder_mixed_bit(c, &k->mixer[scale], models, 3, NUMBER_LIMIT, length >> shift & 1);
        node = node << 1 | bit;
    }
    return node - NUMBER_TREE;
}

/* The bits below the leading one: two modelled, the rest are noise. */
static uint32_t code_digits(struct coder *c, struct number_models *k, int length, uint32_t x)
{
    int below = length - 1, modelled = below < 2 ? below : 2, node = 1;
    for (int i = 1; i <= modelled; i++)
        node = node << 1 |
               coder_model_bit(c, &k->digit[length][node], NUMBER_LIMIT, x >> (below - i) & 1);
    int raw = below - modelled;
    return (uint32_t)node << raw | coder_raw(c, raw, x & ((1u << raw) - 1));
}

static int32_t code_number(struct coder *c, struct number_models *k, int scale, int base_sign,
                           int32_t number)
{
    uint32_t magnitude = (uint32_t)(number < 0 ? -number : number);
    int length = code_length(c, k, scale, bit_length(magnitude));
    if (length > NUMBER_BITS_MAX) { /* only a forged stream gets here */
        c->in.failed = true;
        return 0;
    }
    k->recent[1] = k->recent[0];
    k->recent[0] = length;
    if (length == 0)
        return 0;
    int negative = coder_model_bit(c, &k->sign[k->last_sign][base_sign], NUMBER_LIMIT, number < 0);
    k->last_sign = 1 + negative;
    magnitude = code_digits(c, k, length, magnitude);
    return negative ? -(int32_t)magnitude : (int32_t)magnitude;
}

static int sign_of(int32_t x)
{
    return x == 0 ? 0 : x > 0 ? 1 : 2;
}

static int32_t base_code(float base, int step_log2)
{
    return isnan(base) ? 0 : half_code(base, step_log2);
}

void sections_values(struct coder *c, const struct delta_model *m, const float *base,
                     const uint8_t *mask, int step_log2, float *params)
{
    struct number_models k;
    number_models_init(&k);
    for (size_t i = 0; i < m->trainable_count; i++) {
        if (!mask_get(mask, i))
            continue;
        int32_t from = base_code(base[i], step_log2);
        int32_t moved = c->decoding ? 0 : half_code(params[i], step_log2) - from;
        int32_t code = from + code_number(c, &k, scale_of(base[i]), sign_of(from), moved);
        if (code < -HALF_CODE_MAX || code > HALF_CODE_MAX)
            c->in.failed = true;
        else if (c->decoding)
            params[i] = half_value(code, step_log2);
        if (c->decoding && c->in.failed)
            return;
    }
}

/* A statistic's rank among those that can be sent, as wire codes have it. */
static int32_t statistic_code(float x)
{
    uint32_t bits = float_bits(x), magnitude = bits & 0x7fffffff, half = 1u << (STATISTIC_DROP - 1);
    uint32_t code = magnitude >> STATISTIC_DROP, rest = magnitude & (2 * half - 1);
    code += rest > half || (rest == half && (code & 1));
    const uint32_t largest = 0x7f7fffffu >> STATISTIC_DROP;
    code = code > largest ? largest : code;
    return bits >> 31 ? -(int32_t)code : (int32_t)code;
}

static float statistic_value(int32_t code)
{
    uint32_t bits = (uint32_t)(code < 0 ? -code : code) << STATISTIC_DROP;
    float x;
    memcpy(&x, &bits, 4);
    return code < 0 ? -x : x;
}

float sections_round_statistic(float x)
{
    return statistic_value(statistic_code(x));
}

void sections_statistics(struct coder *c, const float *base, size_t count, float *params)
{
    struct number_models k;
    number_models_init(&k);
    const int32_t largest = 0x7f7fffff >> STATISTIC_DROP;
    for (size_t i = 0; i < count; i++) {
        int32_t from = isnan(base[i]) ? 0 : statistic_code(base[i]);
        int32_t moved = c->decoding ? 0 : statistic_code(params[i]) - from;
        int32_t code = from + code_number(c, &k, 0, sign_of(from), moved);
        if (code < -largest || code > largest)
            c->in.failed = true;
        else if (c->decoding)
            params[i] = statistic_value(code);
        if (c->decoding && c->in.failed)
            return;
    }
}
