/* light.h - what a condition means for a picture: colours of light and sky, fog, lamps, wetness,
 * the camera's exposure and noise.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_SYNTH_LIGHT_H
#define ATTUNE_SYNTH_LIGHT_H

#include "synth/scenario.h"

#define LIGHT_PANES 1024
#define LIGHT_LAMP 0.62f /* red light of street lamps at full strength */

struct light {
    float ambient[3], sun[3]; /* linear, on albedo */
    float zenith[3], horizon[3], cloud[3], cloudiness;
    float fog[3], fog_per_m;
    float lamp[3];   /* street lamps' light at strength 1 */
    float beacons;   /* head and tail lights, 0..1 */
    float lit_share; /* of window panes */
    float wet, snow, rain_drops, snow_flakes;
    float exposure, noise, saturation; /* noise: standard deviation in output steps */
    float flake[3], drop[3];           /* colours of precipitation in this light */
};

void light_of(const struct town_condition *c, struct light *ret);

/* Brightness of window panes by id % LIGHT_PANES, 0 dark; changes slowly. */
void light_panes(const struct light *l, uint32_t seed, uint64_t t_us, float ret[LIGHT_PANES]);

#endif
