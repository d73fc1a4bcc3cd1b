/* picture.h - what a picture shows without any network: light, contrast, colour, edges, sharpness.
 *
 * Sums over a coarse grid of cells, two or three pixels of each either way, so that the cost
 * does not grow with the picture: tens of microseconds. Luma is ITU-R BT.601's, 0..1. "Fine" and
 * "coarse" are the mean absolute differences of luma to the pixel 1 and 4 further, to the right
 * and down: their ratio is 1/4 for a blurred picture and near 1 for sharp edges (and for noise),
 * whatever the contrast is.
 *
 * Owns:    plain values, about 12 KiB.
 * Threads: pure functions.
 * Memory:  nothing is allocated.
 */
#ifndef ATTUNE_DRIFT_PICTURE_H
#define ATTUNE_DRIFT_PICTURE_H

#include "flow/records.h"

#define DRIFT_CELLS_X 64
#define DRIFT_CELLS_Y 40
#define DRIFT_BLOCKS_X 16 /* a block is 4 x 4 cells */
#define DRIFT_BLOCKS_Y 10
#define DRIFT_PICTURE_STEPS 2

/* Of the whole picture; each 0..1 or, where it is a difference, -1..1. */
enum drift_feature {
    DRIFT_LUMA,       /* mean */
    DRIFT_CONTRAST,   /* standard deviation of luma */
    DRIFT_RED_GREEN,  /* means of R - G and B - G: the cast of the light */
    DRIFT_BLUE_GREEN, /* */
    DRIFT_SATURATION, /* mean of max - min of R, G, B */
    DRIFT_EDGES,      /* coarse differences */
    DRIFT_SHARPNESS,  /* fine over coarse differences */
    DRIFT_UPPER_LUMA, /* of the upper and of the lower third */
    DRIFT_LOWER_LUMA, /* */
    DRIFT_DARK,       /* part of the picture below 0.15 */
    DRIFT_BRIGHT,     /* and above 0.85 */
    DRIFT_FEATURES
};

struct drift_picture {
    float feature[DRIFT_FEATURES];
    float luma[DRIFT_CELLS_Y][DRIFT_CELLS_X];
    float fine[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X], coarse[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X];
};

/* Of a frame of any size with sides of at least 8 pixels; smaller is misuse. */
void drift_picture_measure(const struct frame *f, struct drift_picture *ret);

#endif
