/* crop.h - a part of a picture, scaled to what a network takes.
 *
 * Owns:    a cropper its buffers.
 * Threads: one cropper a thread.
 * Memory:  one picture of the part's size; allocates when sizes change, not otherwise.
 * Errors:  ST_INVALID (a box without a pixel of the picture), ST_NOMEM.
 */
#ifndef ATTUNE_VIDEO_CROP_H
#define ATTUNE_VIDEO_CROP_H

#include "video/scale.h"

struct cropper {
    struct scaler scaler;
    struct frame part;
};

void cropper_init(struct cropper *c);
void cropper_clear(struct cropper *c);

/* What lies within the box, its corners rounded outwards and cut off at the picture's edges, fills
 * dst (allocated; its size says the target; the aspect may change). dst takes src's t_us. */
enum status cropper_cut(struct cropper *c, const struct frame *src, const struct box *box,
                        struct frame *dst, struct error *err);

#endif
