/* letterbox.h - a picture in a frame of another aspect, with its own aspect kept.
 *
 * The picture is scaled as large as fits, to whole pixels, into the upper left corner; the rest is
 * gray. As YOLOX does (Ge et al., arXiv:2107.08430, the authors' `preproc`, gray 114); others put
 * the picture into the middle, which their weights do not notice.
 *
 * Owns:    a letterbox its scaler and the scaled picture.
 * Threads: one letterbox a thread.
 * Memory:  allocates when sizes change, not otherwise.
 * Errors:  of video/scale.h.
 */
#ifndef ATTUNE_VIDEO_LETTERBOX_H
#define ATTUNE_VIDEO_LETTERBOX_H

#include "video/scale.h"

#define LETTERBOX_GRAY 114

struct letterbox {
    struct scaler scaler;
    struct frame inner;
};

/* How much larger than the picture in it the frame is, by its sides, from 1: a fraction of the
 * frame's side times this is the same place as a fraction of the picture's. */
struct letterbox_fit {
    float width, height;
};

void letterbox_init(struct letterbox *l);
void letterbox_clear(struct letterbox *l);

/* dst is allocated and its size says the target; takes src's t_us. */
enum status letterbox_run(struct letterbox *l, const struct frame *src, struct frame *dst,
                          struct letterbox_fit *ret, struct error *err);

#endif
