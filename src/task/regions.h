/* regions.h - the fixed parts of a camera's picture that are classified one by one.
 *
 * Written "X0,Y0,X1,Y1;X0,Y0,X1,Y1;...": corners as fractions of the picture's sides, so that they
 * hold at any resolution.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 */
#ifndef ATTUNE_TASK_REGIONS_H
#define ATTUNE_TASK_REGIONS_H

#include "base/error.h"
#include "flow/records.h"

#define REGIONS_MAX 16

struct region {
    float x0, y0, x1, y1; /* 0..1, x0 < x1, y0 < y1 */
};

struct regions {
    int count; /* 0: none, the picture is taken as a whole */
    struct region at[REGIONS_MAX];
};

/* ST_INVALID names the region that is wrong. text NULL: none. */
enum status regions_parse(const char *text, struct regions *ret, struct error *err);

/* In pixels of a width x height picture. */
struct box region_box(const struct region *r, int width, int height);

#endif
