/* traffic.h - who is in the street at a moment: vehicles in lanes, people, cyclists.
 *
 * A lane is an endless row of slots that moves; whether a slot is taken, and by whom, is a hash of
 * its number, weighed by the scenario's traffic at the moment when the slot came into the street.
 * So nobody appears or vanishes in view, and any moment can be asked for without those before it.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_SYNTH_TRAFFIC_H
#define ATTUNE_SYNTH_TRAFFIC_H

#include "synth/scene.h"

#define ACTORS_MAX 192

struct actor {
    int class_id;    /* enum town_class */
    struct vec3 at;  /* centre on the ground */
    float direction; /* 1: heads along +y, -1: -y */
    float stride;    /* phase of a walk, turns */
    bool parked;
    uint32_t seed;
    float depth; /* from the camera; a long vehicle may begin behind it */
};

/* Where a camera stands in the town, for the scenario. */
struct site {
    const struct scenario *scenario;
    uint64_t seed;
    int district;
    float x_m, y_m;
};

/* Everybody who may be in view, nearest first; returns how many (at most ACTORS_MAX). */
int traffic_list(const struct scene *s, const struct pose *pose, const struct site *site,
                 uint64_t t_us, struct actor actors[ACTORS_MAX]);

#endif
