/* outline.h - the areas of a class in a label map as polygons, along the edges of pixels.
 *
 * An area is what hangs together over the sides of its pixels. Its outline goes round clockwise as
 * the picture is seen and has a corner at each turn; what it encloses of other classes is within.
 *
 * Owns:    nothing between calls.
 * Threads: pure function.
 * Memory:  some ints a pixel while it runs.
 */
#ifndef ATTUNE_LABEL_OUTLINE_H
#define ATTUNE_LABEL_OUTLINE_H

#include "base/error.h"
#include "video/frame.h"

struct outline {
    const int *corners; /* x, y, x, y, ...; the first is the upper left of the uppermost row */
    int count;          /* of corners, 4 at least */
    int x0, y0, x1, y1; /* x1 and y1 exclusive */
    int64_t area;       /* pixels within, holes too */
};

/* Calls back for each area of area_min pixels and more, from the top. ST_NOMEM. */
enum status outline_trace(const struct label_map *l, int class_id, int64_t area_min,
                          void (*each)(void *context, const struct outline *o), void *context,
                          struct error *err);

#endif
