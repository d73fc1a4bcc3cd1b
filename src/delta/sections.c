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
    uint8_t *above_bits;      /* [longest row] the bits one, two and three rows above: 1, 2, 4 */
    struct mixer mixer[2];
};

/* Signed integers by bit length, sign and digits. */
struct number_models {
    struct bit_model by_scale[SCALES][NUMBER_TREE], by_recent[NUMBER_TREE][NUMBER_TREE];
    struct bit_model by_both[SCALES][NUMBER_TREE / 2][NUMBER_TREE];
    struct bit_model sign[3][3], digit[NUMBER_TREE][8];
    struct mixer mixer[SCALES];
    int recent[2]; /* the last bit lengths, latest first */
    int last_sign; /* 0 none, 1 positive, 2 negative */
};

struct section_models {
    struct mask_models mask;
    struct number_models number;
};

struct section_models *section_models_open(const struct delta_model *m)
{
    uint32_t row = 1;
    for (int t = 0; t < m->tensor_count; t++)
        row = m->tensor_row[t] > row ? m->tensor_row[t] : row;
    struct section_models *k = malloc(sizeof *k);
    if (!k)
        return NULL;
    k->mask.column = malloc(row * sizeof *k->mask.column);
    k->mask.above_bits = malloc(row);
    if (!k->mask.column || !k->mask.above_bits)
        section_models_close(&k);
    return k;
}

void section_models_close(struct section_models **k)
{
    if (!k || !*k)
        return;
    free((*k)->mask.column);
    free((*k)->mask.above_bits);
    free(*k);
    *k = NULL;
}

/* ---- mask ---- */

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
    memset(k->above_bits, 0, row);
}

/* Ones in a row so far against the tensor's density: 0 none, ..., 7 many. Found from `level`, that
 * of the coordinate before. */
CODER_INLINE int row_level(int level, uint32_t ones, uint32_t coded, double density)
{
    static const double step[7] = {0.25, 0.5, 0.8, 1.25, 2, 4, 8};
    double ratio = (ones + 2 * density) / ((coded + 2) * density);
    while (level > 0 && ratio <= step[level - 1])
        level--;
    while (level < 7 && ratio > step[level])
        level++;
    return level;
}

static void set_bit(uint8_t *mask, size_t i)
{
    mask[i >> 3] |= (uint8_t)(1 << (i & 7));
}

/* A tensor, or what is coded of it. */
struct span {
    size_t begin, end;
    uint32_t row, ones; /* ones: bits set in it */
};

/* 0 < ones < size; stops as soon as the rest is known. Encoding reads `from`, decoding sets bits
 * of `to`. */
CODER_INLINE void code_tensor(struct coder *coder, bool decoding, struct mask_models *k,
                              const float *base, struct span s, const uint8_t *from, uint8_t *to)
{
    struct coder c = *coder; /* a copy that nothing else can point to stays in registers */
    double density = s.ones / (double)(s.end - s.begin);
    uint32_t run = 0, row_ones = 0, column = 0, left = s.ones;
    int level = 0;
    size_t i = s.begin;
    for (; left > 0 && left < s.end - i; i++) {
        int sent = was_sent(base[i]);
        uint8_t *above = &k->above_bits[column];
        level = row_level(level, row_ones, column, density);
        struct bit_model *const models[MASK_INPUTS] = {
            &k->scale[sent][scale_of(base[i])], &k->run[sent][run & 15], &k->above[sent][*above],
            &k->row[sent][level], &k->column[column]};
        int bit = coder_mixed_bit(&c, decoding, &k->mixer[sent], models, MASK_INPUTS, MASK_LIMIT,
                                  decoding ? 0 : mask_get(from, i));
        if (decoding && bit)
            set_bit(to, i);
        left -= (uint32_t)bit;
        run = run << 1 | (uint32_t)bit;
        row_ones += (uint32_t)bit;
        *above = (uint8_t)((*above << 1 | bit) & 7);
        if (++column == s.row)
            column = row_ones = 0;
    }
    for (; decoding && left > 0 && i < s.end; i++)
        set_bit(to, i);
    *coder = c;
}

/* Out of line, one for each direction. */
static void encode_tensor(struct coder *c, struct mask_models *k, const float *base, struct span s,
                          const uint8_t *mask)
{
    code_tensor(c, false, k, base, s, mask, NULL);
}

static void decode_tensor(struct coder *c, struct mask_models *k, const float *base, struct span s,
                          uint8_t *mask)
{
    code_tensor(c, true, k, base, s, NULL, mask);
}

static void mask_models_init(struct mask_models *k)
{
    for (int sent = 0; sent < 2; sent++)
        mixer_init(&k->mixer[sent], MASK_INPUTS);
}

static struct span tensor_span(const struct delta_model *m, int t, uint32_t ones)
{
    size_t begin = t ? m->tensor_end[t - 1] : 0;
    return (struct span){begin, m->tensor_end[t], m->tensor_row[t], ones};
}

void sections_mask_encode(struct coder *c, struct section_models *models,
                          const struct delta_model *m, const float *base, const uint32_t *counts,
                          const uint8_t *mask)
{
    struct mask_models *k = &models->mask;
    mask_models_init(k);
    for (int t = 0; t < m->tensor_count; t++) {
        struct span s = tensor_span(m, t, counts[t]);
        if (s.ones == 0 || s.ones == s.end - s.begin)
            continue;
        mask_models_start(k, s.row, s.ones, (uint32_t)(s.end - s.begin));
        encode_tensor(c, k, base, s, mask);
    }
}

void sections_mask_decode(struct coder *c, struct section_models *models,
                          const struct delta_model *m, const float *base, const uint32_t *counts,
                          uint8_t *mask)
{
    struct mask_models *k = &models->mask;
    mask_models_init(k);
    for (int t = 0; t < m->tensor_count; t++) {
        struct span s = tensor_span(m, t, counts[t]);
        if (s.ones == s.end - s.begin) {
            for (size_t i = s.begin; i < s.end; i++)
                set_bit(mask, i);
        } else if (s.ones > 0) {
            mask_models_start(k, s.row, s.ones, (uint32_t)(s.end - s.begin));
            decode_tensor(c, k, base, s, mask);
        }
    }
}

/* ---- numbers ---- */

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

CODER_INLINE int code_length(struct coder *c, bool decoding, struct number_models *k, int scale,
                             int length)
{
    int recent = (k->recent[0] + k->recent[1] + 1) / 2, node = 1;
    for (int shift = 4; shift >= 0; shift--) {
        struct bit_model *const models[3] = {&k->by_scale[scale][node], &k->by_recent[recent][node],
                                             &k->by_both[scale][recent / 2][node]};
        int bit = coder_mixed_bit(c, decoding, &k->mixer[scale], models, 3, NUMBER_LIMIT,
                                  length >> shift & 1);
        node = node << 1 | bit;
    }
    return node - NUMBER_TREE;
}

/* The bits below the leading one: two modelled, the rest are noise. */
CODER_INLINE uint32_t code_digits(struct coder *c, bool decoding, struct number_models *k,
                                  int length, uint32_t x)
{
    int below = length - 1, modelled = below < 2 ? below : 2, node = 1;
    for (int i = 1; i <= modelled; i++)
        node = node << 1 | coder_model_bit(c, decoding, &k->digit[length][node], NUMBER_LIMIT,
                                           x >> (below - i) & 1);
    int raw = below - modelled;
    return (uint32_t)node << raw | coder_raw(c, decoding, raw, x & ((1u << raw) - 1));
}

CODER_INLINE int32_t code_number(struct coder *c, bool decoding, struct number_models *k, int scale,
                                 int base_sign, int32_t number)
{
    uint32_t magnitude = (uint32_t)(number < 0 ? -number : number);
    int length = code_length(c, decoding, k, scale, bit_length(magnitude));
    if (length > NUMBER_BITS_MAX) { /* only a forged stream gets here */
        c->failed = true;
        return 0;
    }
    k->recent[1] = k->recent[0];
    k->recent[0] = length;
    if (length == 0)
        return 0;
    int negative =
        coder_model_bit(c, decoding, &k->sign[k->last_sign][base_sign], NUMBER_LIMIT, number < 0);
    k->last_sign = 1 + negative;
    magnitude = code_digits(c, decoding, k, length, magnitude);
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

void sections_values_encode(struct coder *coder, struct section_models *models,
                            const struct delta_model *m, const float *base, const uint8_t *mask,
                            int step_log2, const float *params)
{
    struct number_models *k = &models->number;
    struct coder c = *coder;
    number_models_init(k);
    for (size_t i = 0; i < m->trainable_count; i++) {
        if (!mask_get(mask, i))
            continue;
        int32_t from = base_code(base[i], step_log2);
        code_number(&c, false, k, scale_of(base[i]), sign_of(from),
                    half_code(params[i], step_log2) - from);
    }
    *coder = c;
}

void sections_values_decode(struct coder *coder, struct section_models *models,
                            const struct delta_model *m, const float *base, const uint8_t *mask,
                            int step_log2, float *values)
{
    struct number_models *k = &models->number;
    struct coder c = *coder;
    number_models_init(k);
    size_t n = 0;
    for (size_t i = 0; i < m->trainable_count && !c.failed; i++) {
        if (!mask_get(mask, i))
            continue;
        int32_t from = base_code(base[i], step_log2);
        int32_t code = from + code_number(&c, true, k, scale_of(base[i]), sign_of(from), 0);
        if (code < -HALF_CODE_MAX || code > HALF_CODE_MAX)
            c.failed = true;
        else
            values[n++] = half_value(code, step_log2);
    }
    *coder = c;
}

/* ---- statistics ---- */

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

static int32_t base_statistic(float base)
{
    return isnan(base) ? 0 : statistic_code(base);
}

void sections_statistics_encode(struct coder *coder, struct section_models *models,
                                const float *base, size_t count, const float *params)
{
    struct number_models *k = &models->number;
    struct coder c = *coder;
    number_models_init(k);
    for (size_t i = 0; i < count; i++) {
        int32_t from = base_statistic(base[i]);
        code_number(&c, false, k, 0, sign_of(from), statistic_code(params[i]) - from);
    }
    *coder = c;
}

void sections_statistics_decode(struct coder *coder, struct section_models *models,
                                const float *base, size_t count, float *values)
{
    struct number_models *k = &models->number;
    struct coder c = *coder;
    number_models_init(k);
    const int32_t largest = 0x7f7fffff >> STATISTIC_DROP;
    for (size_t i = 0; i < count && !c.failed; i++) {
        int32_t from = base_statistic(base[i]);
        int32_t code = from + code_number(&c, true, k, 0, sign_of(from), 0);
        if (code < -largest || code > largest)
            c.failed = true;
        else
            values[i] = statistic_value(code);
    }
    *coder = c;
}
