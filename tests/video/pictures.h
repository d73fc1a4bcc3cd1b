/* pictures.h - frames to test with: smooth colours with a bright square that moves. */
#ifndef ATTUNE_TESTS_VIDEO_PICTURES_H
#define ATTUNE_TESTS_VIDEO_PICTURES_H

#include <stdlib.h>

#include "video/frame.h"

/* Where the square's left edge is in picture `index`. */
static inline int square_x(int width, int index)
{
    return (3 * index) % (width / 2);
}

static inline void draw_picture(struct frame *f, int width, int height, int index)
{
    if (frame_resize(f, width, height, NULL) != ST_OK)
        abort();
    int x0 = square_x(width, index);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t *p = f->pixels + 3 * ((size_t)y * (size_t)width + (size_t)x);
            int in = x >= x0 && x < x0 + width / 4 && y >= height / 4 && y < height / 2;
            p[0] = (uint8_t)(in ? 250 : 40 + 100 * x / width);
            p[1] = (uint8_t)(in ? 240 : 60 + 100 * y / height);
            p[2] = (uint8_t)(in ? 30 : 90 + 60 * x / width);
        }
    }
}

/* Mean absolute difference of two pictures of one size. */
static inline double picture_distance(const struct frame *a, const struct frame *b)
{
    double sum = 0;
    size_t n = frame_bytes(a);
    for (size_t i = 0; i < n; i++)
        sum += abs(a->pixels[i] - b->pixels[i]);
    return sum / (double)n;
}

#endif
