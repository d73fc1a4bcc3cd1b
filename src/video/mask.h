/* mask.h - privacy masks: parts of a camera's picture that nobody is to see.
 *
 * Written "X,Y X,Y X,Y; X,Y ...": polygons of three corners or more, as fractions of the picture's
 * sides, so that they hold at any resolution. What is inside is painted in one grey as soon as the
 * picture is decoded, and a margin of MASK_MARGIN pixels with it, since scaling mixes neighbours. A
 * polygon that crosses itself has no holes.
 *
 * Owns:    a struct mask is a value but for the map of pixels, made at the first painting and anew
 *          when the size changes, until mask_clear.
 * Threads: one at a time.
 */
#ifndef ATTUNE_VIDEO_MASK_H
#define ATTUNE_VIDEO_MASK_H

#include "base/error.h"
#include "flow/records.h"

#define MASK_POLYGONS_MAX 16
#define MASK_CORNERS_MAX 256 /* of all polygons together */
#define MASK_MARGIN 2
#define MASK_GREY 128

struct mask_corner {
    float x, y; /* 0..1 */
};

struct mask {
    int polygons;                /* 0: nothing is hidden */
    int ends[MASK_POLYGONS_MAX]; /* of each polygon: the corner after its last */
    struct mask_corner corners[MASK_CORNERS_MAX];
    uint8_t *hidden; /* 1 a pixel of width x height that is painted */
    int width, height;
};

/* Empties *m. */
void mask_init(struct mask *m);
void mask_clear(struct mask *m);

/* *ret is initialised; text NULL or "": none. ST_INVALID names the polygon that is wrong. */
enum status mask_parse(const char *text, struct mask *ret, struct error *err);

/* Paints what is to be hidden of f. ST_NOMEM: nothing was painted, the frame must not go on. */
enum status mask_paint(struct mask *m, struct frame *f, struct error *err);

#endif
