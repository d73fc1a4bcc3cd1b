/* scale.h - RGB pictures to another size: bilinear when growing, area average when shrinking.
 *
 * Owns:    a struct scaler keeps the filter tables of the last pair of sizes.
 * Threads: one struct scaler a thread.
 * Memory:  allocates when the sizes change, not otherwise.
 * Determinism: the same bits for the same input on one machine (bit-exact code paths).
 */
#ifndef ATTUNE_VIDEO_SCALE_H
#define ATTUNE_VIDEO_SCALE_H

#include "base/error.h"
#include "flow/records.h"

struct scaler {
    void *converter; /* struct converter of video/picture.h */
    void *staging;   /* the source picture with padded rows */
};

void scaler_init(struct scaler *s);
void scaler_clear(struct scaler *s);

/* dst is allocated and its size says the target; takes src's t_us. Equal sizes copy. */
enum status scaler_run(struct scaler *s, const struct frame *src, struct frame *dst,
                       struct error *err);

#endif
