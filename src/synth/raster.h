/* raster.h - moving things as flat polygons and capsules, into a depth buffer over a baked view.
 *
 * Pictures up to RASTER_FINE_WIDTH_MAX wide have 2x2 samples a pixel, larger ones one.
 *
 * Owns:    its planes.
 * Threads: one at a time.
 * Memory:  10 bytes a sample, taken at open.
 */
#ifndef ATTUNE_SYNTH_RASTER_H
#define ATTUNE_SYNTH_RASTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "synth/view.h"

#define RASTER_FINE_WIDTH_MAX 960
#define RASTER_VERTICES_MAX 16

struct raster_vertex {
    float x, y, inv_depth; /* in pixels of the picture */
};

struct paint {
    float color[3]; /* linear albedo */
    float sun;      /* cosine to the sun, shadows included */
    float top;      /* snow stays on it */
};

struct raster {
    int width, height, samples; /* of the picture; samples a side: 1 or 2 */
    uint32_t *color;            /* sqrt(albedo) * 255: r | g << 8 | b << 16 | sun << 24 */
    float *inv_depth;
    uint8_t *id, *top;        /* id 0: nothing here */
    int *row_begin, *row_end; /* a picture's row: columns that were touched */
};

enum status raster_open(int width, int height, struct raster **ret, struct error *err);
void raster_close(struct raster **r);

/* Nothing is drawn any more. */
void raster_clear(struct raster *r);

/* A convex polygon of 3..RASTER_VERTICES_MAX vertices, either winding; id 1..255. Samples behind
 * the view or behind what is drawn stay. */
void raster_polygon(struct raster *r, const struct view *v, const struct raster_vertex *p, int n,
                    const struct paint *paint, uint8_t id);

/* A thick line with round ends, radius in pixels at each end; a dot when both ends are equal. */
void raster_capsule(struct raster *r, const struct view *v, const struct raster_vertex *a,
                    const struct raster_vertex *b, float radius_a, float radius_b,
                    const struct paint *paint, uint8_t id);

/* True when nothing drawn or baked lies before a point (in pixels). */
bool raster_visible(const struct raster *r, const struct view *v, const struct raster_vertex *p);

#endif
