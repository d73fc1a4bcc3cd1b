/* sections.h - the entropy-coded parts of a delta: mask, values, statistics.
 *
 * Each function codes in the direction of its coder: encoding reads the mask or the new values,
 * decoding writes them. Internal to src/delta.
 *
 * Errors: sections_mask ST_NOMEM; decoding trouble shows in coder_decode_end.
 */
#ifndef ATTUNE_DELTA_SECTIONS_H
#define ATTUNE_DELTA_SECTIONS_H

#include "delta/coder.h"
#include "delta/delta.h"

/* mask: counts[tensor] bits in each tensor; all zero before decoding. */
enum status sections_mask(struct coder *c, const struct delta_model *m, const float *base,
                          const uint32_t *counts, uint8_t *mask, struct error *err);

/* params[i] where the mask has a bit, as difference of wire codes from base[i]. */
void sections_values(struct coder *c, const struct delta_model *m, const float *base,
                     const uint8_t *mask, int step_log2, float *params);

/* The statistics, params and base pointing at the first of them. */
void sections_statistics(struct coder *c, const float *base, size_t count, float *params);

/* The value nearest to x that can be sent as a statistic; x finite. */
float sections_round_statistic(float x);

#endif
