/* shade.h - from a baked view, the moving things drawn over it and the light to a picture.
 *
 * Owns:    a canvas its planes.
 * Threads: one at a time for a canvas.
 * Memory:  about 20 bytes a pixel, taken at open.
 */
#ifndef ATTUNE_SYNTH_SHADE_H
#define ATTUNE_SYNTH_SHADE_H

#include "flow/records.h"
#include "synth/light.h"
#include "synth/raster.h"

enum { SHADOW_SUN = 1, SHADOW_CONTACT = 2 };

#define NOISE_COUNT 65536

struct canvas {
    int width, height;
    float *rgb[3];   /* linear light */
    float *beam;     /* light of headlamps on the ground */
    uint8_t *shadow; /* SHADOW_ bits, on the ground only */
    float *rows;     /* scratch */
    int8_t *noise;   /* normal-like, standard deviation 37 */
};

enum status canvas_open(int width, int height, struct canvas **ret, struct error *err);
void canvas_close(struct canvas **c);

/* Lamp light on each actor, by raster id. */
struct shade_input {
    const struct view *view;
    const struct raster *raster;
    const struct light *light;
    const float *panes;      /* LIGHT_PANES */
    const float *actor_lamp; /* [256] */
    uint64_t t_us;
    uint32_t seed;
    const float *tint; /* [3] */
};

/* Fills canvas->rgb. */
void shade_canvas(struct canvas *c, const struct shade_input *in);

/* The camera: exposure, tone, noise, 8 bits. */
void shade_develop(const struct canvas *c, const struct shade_input *in, struct frame *out);

#endif
