/* coder.h - an adaptive binary range coder, and the models that feed it.
 *
 * One set of functions serves both directions: encoding they take the bit, decoding they ignore
 * that argument; they return the bit either way. A model written once is thereby the same on both
 * sides. Everything that is done for a bit is inline, and whoever codes many of them passes
 * `decoding`, which must agree with how the coder was begun, as a constant: each direction then is
 * a loop of its own without questions. Integers only: encoder and decoder agree on every machine.
 *
 * The range coder is the carry-propagating one of Martin's range coding (as in LZMA); mixing
 * probabilities in the logistic domain is Mahoney's (PAQ).
 *
 * Owns:    nothing; an encoder appends to the caller's buf.
 * Threads: one at a time; coder_tables is read-only once made.
 * Errors:  buf.failed when encoding; coder_decode_end when decoding.
 */
#ifndef ATTUNE_DELTA_CODER_H
#define ATTUNE_DELTA_CODER_H

#include "base/buf.h"

#define CODER_INLINE static inline __attribute__((always_inline))

struct coder {
    uint32_t range;
    /* encoding */
    struct buf *out;
    uint64_t low, pending;
    uint8_t cache;
    /* decoding */
    uint32_t code;
    const uint8_t *in, *in_end;
    bool failed; /* ran short; models set it when they decode what cannot be */
};

void coder_encode_begin(struct coder *c, struct buf *out);
void coder_encode_end(struct coder *c);

void coder_decode_begin(struct coder *c, const void *bytes, size_t n);

/* True when exactly the given bytes were consumed. */
bool coder_decode_end(const struct coder *c);

/* ---- bits ---- */

#define CODER_RANGE_MIN (1u << 24)

/* Moves the top byte of low out. */
void coder_shift_low(struct coder *c);

CODER_INLINE void coder_fill(struct coder *c, bool decoding)
{
    while (c->range < CODER_RANGE_MIN) {
        c->range <<= 8;
        if (!decoding) {
            coder_shift_low(c);
        } else if (c->in < c->in_end) {
            c->code = c->code << 8 | *c->in++;
        } else {
            c->code <<= 8;
            c->failed = true;
        }
    }
}

/* p1: probability of a one in 1/65536, 1..65535. */
CODER_INLINE int coder_bit(struct coder *c, bool decoding, uint32_t p1, int bit)
{
    uint32_t bound = (uint32_t)((uint64_t)c->range * p1 >> 16);
    if (decoding)
        bit = c->code < bound;
    if (bit) {
        c->range = bound;
    } else {
        c->range -= bound;
        if (decoding)
            c->code -= bound;
        else
            c->low += bound;
    }
    coder_fill(c, decoding);
    return bit;
}

/* `count` <= 24 bits of even probability, most significant first. Without a branch on the bit,
 * which nobody can foresee. */
CODER_INLINE uint32_t coder_raw(struct coder *c, bool decoding, int count, uint32_t bits)
{
    uint32_t out = 0;
    for (int i = count - 1; i >= 0; i--) {
        uint32_t bound = c->range >> 1;
        uint32_t bit = decoding ? c->code < bound : bits >> i & 1;
        uint32_t zero = bit - 1; /* all ones for a zero */
        c->range = bound + (zero & (c->range - 2 * bound));
        if (decoding)
            c->code -= zero & bound;
        else
            c->low += zero & bound;
        out = out << 1 | bit;
        coder_fill(c, decoding);
    }
    return out;
}

/* ---- models ---- */

/* A probability that learns: by 1/n at first, by 1/limit later (limit < BIT_MODEL_SEEN_MAX). */
#define BIT_MODEL_SEEN_MAX 1024
#define BIT_MODEL_CERTAIN 16 /* models stay that far (in 1/65536) from certainty */

struct bit_model {
    uint32_t p1; /* 1/2^28 */
    uint32_t seen;
};

#define CODER_LOGIT_ONE 256  /* a logit of 1 */
#define CODER_LOGIT_MAX 2047 /* about 8: probability 1/2980 */

/* Made by the first coder_encode_begin or coder_decode_begin. */
struct coder_tables {
    int16_t logit[4096];                        /* of probability (i + 0.5) / 4096 */
    uint16_t logistic[2 * CODER_LOGIT_MAX + 1]; /* of logit i - CODER_LOGIT_MAX, in 1/65536 */
    uint32_t rate[BIT_MODEL_SEEN_MAX];          /* 1 / (n + 1/2), in 1/65536 */
};
extern struct coder_tables coder_tables;

/* p1 in 1/65536; trust: of how many bits that estimate is worth, 1..BIT_MODEL_SEEN_MAX - 1. */
void bit_model_init(struct bit_model *m, uint32_t p1, uint32_t trust);

/* p1 moves towards near certainty and never past it, so that the sign of its step is known. */
CODER_INLINE void bit_model_learn(struct bit_model *m, int bit, int limit)
{
    const uint32_t low = BIT_MODEL_CERTAIN << 12, high = (65536 - BIT_MODEL_CERTAIN) << 12;
    uint64_t rate = coder_tables.rate[m->seen];
    m->p1 = bit ? m->p1 + (uint32_t)((high - m->p1) * rate >> 16)
                : m->p1 - (uint32_t)((m->p1 - low) * rate >> 16);
    m->seen += m->seen < (uint32_t)limit;
}

/* Codes with the model's own probability. */
CODER_INLINE int coder_model_bit(struct coder *c, bool decoding, struct bit_model *m, int limit,
                                 int bit)
{
    bit = coder_bit(c, decoding, m->p1 >> 12, bit);
    bit_model_learn(m, bit, limit);
    return bit;
}

#define MIXER_INPUTS_MAX 6
#define MIXER_WEIGHT_MAX (1 << 20)

/* Weights of one mixing context. */
struct mixer {
    int32_t weight[MIXER_INPUTS_MAX]; /* 1/65536 */
};

void mixer_init(struct mixer *m, int inputs);

CODER_INLINE void mixer_learn(struct mixer *x, struct bit_model *const *models,
                              const int32_t *logit, int inputs, int limit, uint32_t p1, int bit)
{
    int32_t error = (bit ? 65536 : 0) - (int32_t)p1;
#pragma GCC unroll 6
    for (int i = 0; i < inputs; i++) {
        int32_t moved = x->weight[i] + logit[i] * error / (CODER_LOGIT_ONE * 128);
        x->weight[i] = moved < -MIXER_WEIGHT_MAX  ? -MIXER_WEIGHT_MAX
                       : moved > MIXER_WEIGHT_MAX ? MIXER_WEIGHT_MAX
                                                  : moved;
    }
#pragma GCC unroll 6
    for (int i = 0; i < inputs; i++)
        bit_model_learn(models[i], bit, limit);
}

/* Mixes `inputs` models' predictions, codes the bit, teaches weights and models. Products of a
 * logit with a weight, or with an error of 16 bits, stay within 31 bits. */
CODER_INLINE int coder_mixed_bit(struct coder *c, bool decoding, struct mixer *x,
                                 struct bit_model *const *models, int inputs, int limit, int bit)
{
    int32_t logit[MIXER_INPUTS_MAX];
    int64_t sum = 0;
#pragma GCC unroll 6
    for (int i = 0; i < inputs; i++) {
        logit[i] = coder_tables.logit[models[i]->p1 >> 16];
        sum += logit[i] * x->weight[i];
    }
    sum /= 65536;
    int mixed = sum < -CODER_LOGIT_MAX  ? -CODER_LOGIT_MAX
                : sum > CODER_LOGIT_MAX ? CODER_LOGIT_MAX
                                        : (int)sum;
    uint32_t p1 = coder_tables.logistic[CODER_LOGIT_MAX + mixed];
    bit = coder_bit(c, decoding, p1, bit);
    /* Two ways with the bit known: what it decides is not computed twice. */
    if (bit)
        mixer_learn(x, models, logit, inputs, limit, p1, 1);
    else
        mixer_learn(x, models, logit, inputs, limit, p1, 0);
    return bit;
}

#endif
