/* records.h - the nouns, in the order in which data flows.
 *
 * Units are last in the names; times are microseconds: *_us on whatever clock drives the node
 * (monotonic on a camera, wall on the wire and in the store, virtual in attune eval).
 */
#ifndef ATTUNE_FLOW_RECORDS_H
#define ATTUNE_FLOW_RECORDS_H

#include <stddef.h>
#include <stdint.h>

/* Camera ids: [a-z0-9_-], 1 to 63 characters. */
#define CAMERA_ID_CHARS_MAX 63
#define FRAME_SIDE_MAX 8192
#define CLASSES_MAX 64
#define CLASS_NAME_CHARS_MAX 31
#define LABEL_IGNORE 255

/* A picture: RGB, 8 bits, rows without padding (3 * width bytes each). */
struct frame {
    int width, height;
    uint64_t t_us;   /* capture time */
    uint8_t *pixels; /* [height][width][3] */
};

/* A class for every pixel, or for every cell of a coarser grid: 1 x 1 where it is the picture's
 * class. LABEL_IGNORE where there is none. */
struct label_map {
    int width, height;
    uint8_t *classes; /* [height][width] */
};

/* A box in pixels, corners inclusive of x0,y0 and exclusive of x1,y1. */
struct box {
    float x0, y0, x1, y1;
    int class_id;
    float score; /* 1 for ground truth */
};

#endif
