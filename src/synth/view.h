/* view.h - a camera's picture of its street without light, weather and traffic: what each pixel is
 * made of. Baked once for a pose, shaded every frame.
 *
 * Albedo and lamp light are stored as square roots (gamma 2) in 8 bits.
 *
 * Owns:    its planes, one allocation.
 * Threads: read-only after view_bake.
 * Memory:  VIEW_PIXEL_BYTES a pixel.
 */
#ifndef ATTUNE_SYNTH_VIEW_H
#define ATTUNE_SYNTH_VIEW_H

#include "base/error.h"
#include "synth/scene.h"

#define VIEW_PIXEL_BYTES 31

enum view_mirror { MIRROR_NONE, MIRROR_SURFACE, MIRROR_SKY };

struct view {
    int width, height;
    struct pose pose;
    void *memory;
    float *inv_depth;        /* 1 / distance along the axis, 0 sky */
    float *sky_u, *sky_v;    /* place on the clouds' plane where sky > 0 */
    uint16_t *window;        /* pane id, 0 none */
    uint16_t *mirror_window; /* pane seen in a wet ground's mirror */
    uint8_t *albedo[3];      /* sqrt(linear) * 255 */
    uint8_t *mirror[3];      /* the same, of what a wet ground mirrors */
    uint8_t *mirror_kind;    /* enum view_mirror */
    uint8_t *class_id;
    uint8_t *sun;        /* cosine to the sun, shadows included */
    uint8_t *top;        /* where snow stays */
    uint8_t *ground;     /* how wet it gets */
    uint8_t *lamp;       /* sqrt of lamp light */
    uint8_t *sky;        /* share of sky in the pixel */
    uint8_t *sky_height; /* 0 horizon .. 255 zenith */
    uint8_t *wear;       /* noise: where snow goes first, puddles */
};

enum status view_bake(struct view *v, const struct scene *s, const struct pose *pose, int width,
                      int height, struct error *err);
void view_clear(struct view *v);

/* A world point in pixels; *depth > 0 in front of the camera. x and y only make sense there. */
void view_project(const struct pose *p, int width, int height, struct vec3 at, float *x, float *y,
                  float *depth);

/* Direction through a pixel's place, forward component 1. */
struct vec3 view_direction(const struct pose *p, int width, int height, float x, float y);

#endif
