/* planes.h - a picture in somebody else's memory, of another layout and size, to a frame.
 *
 * Owns:    a struct planes_scaler keeps the filter tables of the last pair of sizes.
 * Threads: one struct planes_scaler a thread.
 * Memory:  allocates when layout or sizes change, not otherwise.
 * Errors:  ST_INVALID for sides outside 1..FRAME_SIDE_MAX, planes that are missing and rows that
 *          are longer than their stride; ST_NOMEM.
 */
#ifndef ATTUNE_VIDEO_PLANES_H
#define ATTUNE_VIDEO_PLANES_H

#include "base/error.h"
#include "flow/records.h"

/* Bytes of a pixel in the order of the name; I420: Y, U, V planes, chroma at half the sides
 * (rounded up); NV12: Y, then U and V in turns. */
enum planes_layout {
    PLANES_RGB,
    PLANES_BGR,
    PLANES_RGBA,
    PLANES_BGRA,
    PLANES_GRAY,
    PLANES_I420,
    PLANES_NV12,
    PLANES_LAYOUT_COUNT
};

struct planes {
    enum planes_layout layout;
    int width, height;
    const uint8_t *data[3];
    ptrdiff_t stride_bytes[3]; /* from a row to the next; negative: bottom up */
};

struct planes_scaler {
    void *converter; /* struct converter of video/picture.h */
    void *staging;   /* the picture with padded rows */
};

void planes_scaler_init(struct planes_scaler *s);
void planes_scaler_clear(struct planes_scaler *s);

/* dst is allocated and its size says the target; the same filters as for a decoded video. YUV is
 * limited range, BT.601 below 720 rows and BT.709 from there on. */
enum status planes_scaler_run(struct planes_scaler *s, const struct planes *src, struct frame *dst,
                              struct error *err);

#endif
