/* mesh.h - the shapes of cars, lorries, buses, people and cyclists, drawn into a raster.
 *
 * Threads: one at a time for a raster.
 */
#ifndef ATTUNE_SYNTH_MESH_H
#define ATTUNE_SYNTH_MESH_H

#include "synth/raster.h"
#include "synth/traffic.h"

struct stage {
    const struct scene *scene;
    const struct view *view;
    struct raster *raster;
};

/* Draws an actor with the given id (1..255). */
void mesh_draw(const struct stage *s, const struct actor *a, uint8_t id);

/* The outline on the ground of what an actor shades from the sun, as a convex polygon in pixels;
 * 0 when it is not wholly in front of the camera. */
int mesh_shadow(const struct stage *s, const struct actor *a,
                struct raster_vertex out[RASTER_VERTICES_MAX]);

/* The outline of what lies right below an actor, in the same form. */
int mesh_footprint(const struct stage *s, const struct actor *a,
                   struct raster_vertex out[RASTER_VERTICES_MAX]);

/* A light that an actor shows to the camera. */
struct beacon {
    struct vec3 at;
    bool rear; /* red */
};

/* Head or tail lights that face the camera; returns 0 to 2. */
int mesh_beacons(const struct actor *a, struct vec3 eye, struct beacon out[2]);

/* World point to raster vertex; false when it is not in front of the camera. */
bool mesh_project(const struct view *v, struct vec3 at, struct raster_vertex *out);

#endif
