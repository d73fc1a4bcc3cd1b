/* trace.h - what a ray sees in a scene that stands still: surface, colour, sun, window.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_SYNTH_TRACE_H
#define ATTUNE_SYNTH_TRACE_H

#include "synth/scene.h"

/* Which of the scene's parts a bundle of rays can meet. */
struct candidates {
    int block_count, crown_count, post_count;
    uint8_t blocks[SCENE_BLOCKS_MAX], crowns[SCENE_CROWNS_MAX], posts[SCENE_POSTS_MAX];
};

struct surface {
    int class_id; /* enum town_class */
    struct vec3 p, n;
    float distance;  /* along the ray in units of its direction; 0 for sky */
    float albedo[3]; /* linear */
    float sun;       /* cosine to the sun, 0 in shadow */
    float top;       /* how much snow stays, 0..1 */
    float ground;    /* how wet it gets: road 1, pavement less, 0 elsewhere */
    uint16_t window; /* id of a window pane, 0 none */
};

void candidates_all(const struct scene *s, struct candidates *ret);

/* The nearest surface along direction (any length). */
void trace_ray(const struct scene *s, const struct candidates *c, struct vec3 origin,
               struct vec3 direction, struct surface *ret);

#endif
