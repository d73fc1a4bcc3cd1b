/* rank.h - what selects the largest of many numbers, made while the numbers are.
 *
 * A rank is the magnitudes and how many of them are in each of 2048 bins, the first level of a
 * radix selection: whoever has it finds the largest ones in one more pass (delta/select.h). The
 * optimiser fills one during a step, when everything is in the caches.
 *
 * Owns:    nothing; magnitude is the caller's.
 * Threads: nn_rank_moves uses the calling thread's OpenMP team; the same bits for any number.
 */
#ifndef ATTUNE_NN_RANK_H
#define ATTUNE_NN_RANK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NN_RANK_BINS 2048
#define NN_RANK_SHIFT 20 /* of a key to its bin: exponent, three bits of mantissa */

struct nn_rank {
    float *magnitude; /* [count] */
    uint32_t bins[NN_RANK_BINS];
    uint64_t stamp; /* the optimiser's: what the rank is of */
};

/* Key with the order of |x|, below 2^31; NaN ranks as 0. */
static inline uint32_t nn_rank_key(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits &= 0x7fffffff;
    return bits > 0x7f800000 ? 0 : bits;
}

/* The rank of |to[i] - from[i]|. */
void nn_rank_moves(struct nn_rank *r, const float *to, const float *from, size_t count);

/* ---- for those that fill a rank run by run ---- */

#define NN_RANK_RUN 4096

/* One thread's counts. Neighbours are often in the same bin: four counts each, so that one need not
 * wait for the other. */
struct nn_rank_counts {
    uint32_t of[NN_RANK_BINS][4];
};

/* Counts a run of magnitudes, n <= NN_RANK_RUN. */
void nn_rank_count(struct nn_rank_counts *c, const float *magnitude, size_t n);

/* out[i] = |to[i] - from[i]|, and counts them. */
void nn_rank_count_moves(struct nn_rank_counts *c, const float *to, const float *from, float *out,
                         size_t n);

void nn_rank_clear(struct nn_rank *r);

/* Adds a thread's counts; one thread at a time. */
void nn_rank_add(struct nn_rank *r, const struct nn_rank_counts *c);

#endif
