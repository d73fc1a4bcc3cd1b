/* select.h - which coordinates of a model may move in a training phase.
 *
 * Source: AMS (Khani et al., ICCV 2021), gradient-guided coordinate descent, in the two forms that
 * the authors gave it, and the strategies that they compare it with:
 *  SELECT_GRADIENT  authors' code: a first full Adam step from w0 to w1, the coordinates with the
 *                   largest |w1 - w0| over the whole model stay, the others go back to w0;
 *  SELECT_PREVIOUS  paper: the coordinates with the largest Adam update at the end of the previous
 *                   phase; in the first phase random;
 *  SELECT_RANDOM, SELECT_FIRST, SELECT_LAST, SELECT_FIRST_LAST (half of each), SELECT_FULL.
 * We differ in one point: exactly ceil(fraction * count) coordinates are taken, the lower index
 * first among equals, where the authors take those strictly above a percentile.
 *
 * A mask has a bit a coordinate: bit i & 7 of byte i >> 3, unused bits zero.
 *
 * Threads: pure functions.
 * Memory:  none of their own but the stack, up to 48 KiB.
 */
#ifndef ATTUNE_DELTA_SELECT_H
#define ATTUNE_DELTA_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "nn/rank.h"

enum select_strategy {
    SELECT_FULL = 1,
    SELECT_GRADIENT,
    SELECT_PREVIOUS,
    SELECT_RANDOM,
    SELECT_FIRST,
    SELECT_LAST,
    SELECT_FIRST_LAST
};

/* "full", "gradient", "previous", "random", "first", "last", "first-last". */
const char *select_strategy_name(enum select_strategy s);

/* 0 when the name is none of them. */
enum select_strategy select_strategy_parse(const char *name);

/* Bytes of a mask. */
static inline size_t mask_bytes(size_t count)
{
    return (count + 7) / 8;
}

static inline bool mask_get(const uint8_t *mask, size_t i)
{
    return mask[i >> 3] >> (i & 7) & 1;
}

/* Bits that are set. */
size_t mask_count(const uint8_t *mask, size_t count);

/* ceil(fraction * count), fraction clamped to 0..1; products within 1e-9 of a whole number count
 * as that number, so that 0.07 of 100 is 7. */
size_t select_count(double fraction, size_t count);

/* True when the mask can only be known after a first full step (SELECT_GRADIENT). */
bool select_needs_step(enum select_strategy s);

/* True when the strategy wants a rank of all coordinates (select_largest): SELECT_GRADIENT, and
 * SELECT_PREVIOUS but for its first phase. */
bool select_needs_rank(enum select_strategy s);

/* Writes the mask of `take` <= count coordinates without a rank; strategies that want one choose at
 * random. rng: used where randomness is. */
void select_mask(enum select_strategy s, size_t take, size_t count, struct rng *rng, uint8_t *mask);

/* Writes the mask of the `take` <= count largest by absolute value, the lower index first among
 * equals; NaN ranks as 0. One pass over the magnitudes: the rank's bins tell all coordinates apart
 * but those in the bin of the last one taken, which are few unless many are alike; they are noted
 * in a second mask, scratch, moved together in the rank and ordered by the rest of their bits. Uses
 * the rank up. With OpenMP, the same mask for any number of threads. */
void select_largest(struct nn_rank *rank, size_t count, size_t take, uint8_t *scratch,
                    uint8_t *mask);

/* The same, and in the same pass w[i] = w0[i] where the mask gets no bit. */
void select_largest_undo(struct nn_rank *rank, size_t count, size_t take, float *w, const float *w0,
                         uint8_t *scratch, uint8_t *mask);

#endif
