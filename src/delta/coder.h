/* coder.h - an adaptive binary range coder, and the models that feed it.
 *
 * One set of functions serves both directions: coder_bit takes the bit when encoding and ignores
 * its argument when decoding; it returns the bit either way. A model written once is thereby the
 * same on both sides. Integers only: encoder and decoder agree on every machine.
 *
 * The range coder is the carry-propagating one of Martin's range coding (as in LZMA); mixing
 * probabilities in the logistic domain is Mahoney's (PAQ).
 *
 * Owns:    nothing; an encoder appends to the caller's buf.
 * Threads: one at a time; the tables of coder_tables are read-only once made.
 * Errors:  buf.failed when encoding; coder_decode_end when decoding.
 */
#ifndef ATTUNE_DELTA_CODER_H
#define ATTUNE_DELTA_CODER_H

#include "base/buf.h"

struct coder {
    bool decoding;
    uint32_t range;
    /* encoding */
    struct buf *out;
    uint64_t low, pending;
    uint8_t cache;
    /* decoding */
    struct cursor in;
    uint32_t code;
};

void coder_encode_begin(struct coder *c, struct buf *out);
void coder_encode_end(struct coder *c);

void coder_decode_begin(struct coder *c, const void *bytes, size_t n);

/* True when exactly the given bytes were consumed. */
bool coder_decode_end(const struct coder *c);

/* p1: probability of a one in 1/65536, 1..65535. */
int coder_bit(struct coder *c, uint32_t p1, int bit);

/* `count` <= 24 bits of even probability, most significant first. */
uint32_t coder_raw(struct coder *c, int count, uint32_t bits);

/* A probability that learns: by 1/n at first, by 1/limit later (limit < BIT_MODEL_SEEN_MAX). */
#define BIT_MODEL_SEEN_MAX 1024

struct bit_model {
    uint32_t p1; /* 1/2^28 */
    uint32_t seen;
};

/* p1 in 1/65536; trust: of how many bits that estimate is worth, 1..BIT_MODEL_SEEN_MAX - 1. */
void bit_model_init(struct bit_model *m, uint32_t p1, uint32_t trust);
void bit_model_learn(struct bit_model *m, int bit, int limit);

/* Codes with the model's own probability. */
int coder_model_bit(struct coder *c, struct bit_model *m, int limit, int bit);

#define MIXER_INPUTS_MAX 6

/* Weights of one mixing context. */
struct mixer {
    int32_t weight[MIXER_INPUTS_MAX]; /* 1/65536 */
};

void mixer_init(struct mixer *m, int inputs);

/* Mixes `inputs` models' predictions, codes the bit, teaches weights and models. */
int coder_mixed_bit(struct coder *c, struct mixer *x, struct bit_model *const *models, int inputs,
                    int limit, int bit);

#endif
