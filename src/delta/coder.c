/* See coder.h. Logistic tables are made with integer arithmetic (exp by repeated multiplication in
 * 32.32 fixed point), because libm may differ between a camera and a server. */
#include "delta/coder.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#define RANGE_MIN (1u << 24)
#define LOGIT_ONE 256  /* a logit of 1 */
#define CERTAIN 16     /* models stay that far (in 1/65536) from certainty */
#define LOGIT_MAX 2047 /* about 8: probability 1/2980 */

static int16_t logit_table[4096];                  /* of probability (i + 0.5) / 4096 */
static uint16_t logistic_table[2 * LOGIT_MAX + 1]; /* of logit i - LOGIT_MAX, in 1/65536 */
static uint32_t rate_table[BIT_MODEL_SEEN_MAX];    /* 1 / (n + 1/2), in 1/65536 */
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    const uint64_t one = (uint64_t)1 << 32, ratio = 4278222805u; /* 2^32 * exp(-1/256) */
    uint64_t decay = one;                                        /* exp(-i / 256) */
    for (int i = 0; i <= LOGIT_MAX; i++) {
        uint32_t p = (uint32_t)(((uint64_t)1 << 48) / (one + decay));
        logistic_table[LOGIT_MAX + i] = (uint16_t)p;
        logistic_table[LOGIT_MAX - i] = (uint16_t)(65536 - p);
        decay = decay * ratio >> 32;
    }
    int logit = -LOGIT_MAX;
    for (uint32_t i = 0; i < 4096; i++) {
        while (logit < LOGIT_MAX && logistic_table[LOGIT_MAX + logit] < i * 16 + 8)
            logit++;
        logit_table[i] = (int16_t)logit;
    }
    for (uint32_t n = 0; n < BIT_MODEL_SEEN_MAX; n++)
        rate_table[n] = n ? 2 * 65536 / (2 * n + 1) : 65536;
}

void coder_encode_begin(struct coder *c, struct buf *out)
{
    *c = (struct coder){.range = UINT32_MAX, .out = out, .pending = 1};
    pthread_once(&tables_once, make_tables);
}

/* Moves the top byte of low out. A run of 0xff waits until it is known whether a carry comes. */
static void shift_low(struct coder *c)
{
    if (c->low < 0xff000000u || c->low > UINT32_MAX) {
        uint8_t carry = (uint8_t)(c->low >> 32), byte = c->cache;
        do {
            buf_put_u8(c->out, (uint8_t)(byte + carry));
            byte = 0xff;
        } while (--c->pending > 0);
        c->cache = (uint8_t)(c->low >> 24);
    }
    c->pending++;
    c->low = (c->low & 0x00ffffff) << 8;
}

void coder_encode_end(struct coder *c)
{
    for (int i = 0; i < 5; i++)
        shift_low(c);
}

void coder_decode_begin(struct coder *c, const void *bytes, size_t n)
{
    *c = (struct coder){.decoding = true, .range = UINT32_MAX};
    pthread_once(&tables_once, make_tables);
    cursor_init(&c->in, bytes, n);
    if (cursor_u8(&c->in) != 0) /* the encoder's first byte never carries anything else */
        c->in.failed = true;
    for (int i = 0; i < 4; i++)
        c->code = c->code << 8 | cursor_u8(&c->in);
}

bool coder_decode_end(const struct coder *c)
{
    return !c->in.failed && c->in.left_bytes == 0;
}

int coder_bit(struct coder *c, uint32_t p1, int bit)
{
    assert(p1 > 0 && p1 < 65536);
    uint32_t bound = (uint32_t)((uint64_t)c->range * p1 >> 16);
    if (c->decoding)
        bit = c->code < bound;
    if (bit) {
        c->range = bound;
    } else {
        c->range -= bound;
        c->low += c->decoding ? 0 : bound;
        c->code -= c->decoding ? bound : 0;
    }
    while (c->range < RANGE_MIN) {
        c->range <<= 8;
        if (c->decoding)
            c->code = c->code << 8 | cursor_u8(&c->in);
        else
            shift_low(c);
    }
    return bit;
}

uint32_t coder_raw(struct coder *c, int count, uint32_t bits)
{
    assert(count <= 24);
    uint32_t out = 0;
    for (int i = count - 1; i >= 0; i--)
        out = out << 1 | (uint32_t)coder_bit(c, 32768, bits >> i & 1);
    return out;
}

void bit_model_init(struct bit_model *m, uint32_t p1, uint32_t trust)
{
    assert(trust > 0 && trust < BIT_MODEL_SEEN_MAX);
    uint32_t clamped = p1 < CERTAIN ? CERTAIN : p1 > 65536 - CERTAIN ? 65536 - CERTAIN : p1;
    *m = (struct bit_model){.p1 = clamped << 12, .seen = trust};
}

void bit_model_learn(struct bit_model *m, int bit, int limit)
{
    int64_t target = (bit ? 65536 - CERTAIN : CERTAIN) << 12;
    m->p1 = (uint32_t)(m->p1 + (target - m->p1) * rate_table[m->seen] / 65536);
    if (m->seen < (uint32_t)limit)
        m->seen++;
}

int coder_model_bit(struct coder *c, struct bit_model *m, int limit, int bit)
{
    bit = coder_bit(c, m->p1 >> 12, bit);
    bit_model_learn(m, bit, limit);
    return bit;
}

void mixer_init(struct mixer *m, int inputs)
{
    assert(inputs > 0 && inputs <= MIXER_INPUTS_MAX);
    memset(m, 0, sizeof *m);
    for (int i = 0; i < inputs; i++)
        m->weight[i] = 65536 / inputs;
}

int coder_mixed_bit(struct coder *c, struct mixer *x, struct bit_model *const *models, int inputs,
                    int limit, int bit)
{
    int32_t logit[MIXER_INPUTS_MAX];
    int64_t sum = 0;
    for (int i = 0; i < inputs; i++) {
        logit[i] = logit_table[models[i]->p1 >> 16];
        sum += (int64_t)logit[i] * x->weight[i];
    }
    sum /= 65536;
    int mixed = sum < -LOGIT_MAX ? -LOGIT_MAX : sum > LOGIT_MAX ? LOGIT_MAX : (int)sum;
    uint32_t p1 = logistic_table[LOGIT_MAX + mixed];
    bit = coder_bit(c, p1, bit);
    int error = (bit ? 65536 : 0) - (int)p1;
    for (int i = 0; i < inputs; i++) {
        int64_t moved = x->weight[i] + (int64_t)logit[i] * error / (LOGIT_ONE * 128);
        x->weight[i] = (int32_t)(moved < -(1 << 20) ? -(1 << 20)
                                 : moved > 1 << 20  ? 1 << 20
                                                    : moved);
        bit_model_learn(models[i], bit, limit);
    }
    return bit;
}
