/* sections.h - the entropy-coded parts of a delta: mask, values, statistics.
 *
 * Internal to src/delta.
 *
 * Owns:   struct section_models is the adaptive models of any one section; each coding begins by
 *         starting them anew. It suits deltas of the delta_model that it was opened for.
 * Errors: when decoding, in coder_decode_end; what was written by then means nothing.
 */
#ifndef ATTUNE_DELTA_SECTIONS_H
#define ATTUNE_DELTA_SECTIONS_H

#include "delta/coder.h"
#include "delta/delta.h"

struct section_models;

/* NULL: no memory. */
struct section_models *section_models_open(const struct delta_model *m);
void section_models_close(struct section_models **k);

/* counts[tensor] bits in each tensor; the mask is all zero before decoding. */
void sections_mask_encode(struct coder *c, struct section_models *models,
                          const struct delta_model *m, const float *base, const uint32_t *counts,
                          const uint8_t *mask);
void sections_mask_decode(struct coder *c, struct section_models *models,
                          const struct delta_model *m, const float *base, const uint32_t *counts,
                          uint8_t *mask);

/* params[i] where the mask has a bit, as difference of wire codes from base[i]. Decoding writes
 * these alone, one after another. */
void sections_values_encode(struct coder *c, struct section_models *models,
                            const struct delta_model *m, const float *base, const uint8_t *mask,
                            int step_log2, const float *params);
void sections_values_decode(struct coder *c, struct section_models *models,
                            const struct delta_model *m, const float *base, const uint8_t *mask,
                            int step_log2, float *values);

/* The statistics; base, params and values point at the first of them. */
void sections_statistics_encode(struct coder *c, struct section_models *models, const float *base,
                                size_t count, const float *params);
void sections_statistics_decode(struct coder *c, struct section_models *models, const float *base,
                                size_t count, float *values);

/* The value nearest to x that can be sent as a statistic; x finite. */
float sections_round_statistic(float x);

#endif
