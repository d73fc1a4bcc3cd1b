/* weather.h - what is between the street and the lens: glows of lamps, rain, snow flakes.
 *
 * Threads: one at a time for a canvas.
 */
#ifndef ATTUNE_SYNTH_WEATHER_H
#define ATTUNE_SYNTH_WEATHER_H

#include "synth/shade.h"

struct glow {
    float x, y;     /* pixels */
    float radius;   /* pixels, of the bright core */
    float color[3]; /* linear, at the centre */
};

/* Adds a light with its halo; haze 0..1 widens it. */
void weather_glow(struct canvas *c, const struct glow *g, float haze);

/* Adds its mirror image on a wet ground, a streak around the picture's row mirror_y. */
void weather_streak(struct canvas *c, const struct glow *g, float wet, float mirror_y,
                    const struct view *v);

void weather_rain(struct canvas *c, const struct light *l, uint32_t seed, uint64_t t_us);
void weather_snow(struct canvas *c, const struct light *l, uint32_t seed, uint64_t t_us);

#endif
