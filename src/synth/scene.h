/* scene.h - one camera's street as geometry: made once from the seed, never changed.
 *
 * World axes in metres: x to the right across the street, y along it away from the camera, z up.
 * The carriageway is |x| < half_width; pavements follow, then houses.
 *
 * Owns:    a plain value.
 * Threads: pure functions.
 */
#ifndef ATTUNE_SYNTH_SCENE_H
#define ATTUNE_SYNTH_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "synth/exact.h"
#include "synth/scenario.h"

#define SCENE_BLOCKS_MAX 56
#define SCENE_TREES_MAX 20
#define SCENE_CROWNS_MAX (SCENE_TREES_MAX * 6)
#define SCENE_POSTS_MAX 40
#define SCENE_LAMPS_MAX 16
#define SCENE_LANES_MAX 4

enum block_kind { BLOCK_HOUSE = 1, BLOCK_BRIDGE };

/* An axis-parallel box: a house or a part of a bridge. */
struct block {
    struct vec3 min, max;
    enum block_kind kind;
    float wall[3], trim[3];            /* linear albedo */
    float floor_m, bay_m, shop_m;      /* storey height, window spacing, height of a shop front */
    float window_width, window_height; /* of bay and storey, 0..1 */
    uint32_t seed;
};

struct crown { /* a ball of leaves */
    struct vec3 centre;
    float radius;
    float color[3];
    uint32_t seed;
};

struct post { /* upright cylinder: tree trunk or lamp post */
    float x, y, radius, z0, z1;
    bool trunk;
};

struct lane {
    float x;
    int direction; /* 1 away from the camera, -1 towards it */
    float speed_m_s;
};

struct street {
    float half_width, pavement[2]; /* [0]: x < 0 */
    float length;                  /* visible part: y up to here */
    float crossing0, crossing1;    /* a side street between these y; equal: none */
    float zebra;                   /* y of a pedestrian crossing, 0: none */
    int lane_count;
    struct lane lanes[SCENE_LANES_MAX];
    float cycle_x, parking_x; /* parking_x 0: none */
    float asphalt, slab;      /* albedo */
    bool yellow_marks;
};

/* Where the camera is and looks; right, up, forward are orthonormal. */
struct pose {
    struct vec3 eye, right, up, forward;
    float focal; /* in units of the picture's width */
};

struct scene {
    uint32_t seed;
    struct street street;
    struct pose pose;
    struct vec3 sun; /* unit, towards it */
    float tint[3];   /* the camera's white balance */
    int block_count, crown_count, post_count, lamp_count;
    struct block blocks[SCENE_BLOCKS_MAX];
    struct crown crowns[SCENE_CROWNS_MAX];
    struct post posts[SCENE_POSTS_MAX];
    struct vec3 lamps[SCENE_LAMPS_MAX];
};

void scene_build(struct scene *s, uint64_t seed, int camera);

/* The scene's pose after a bump (angles added). */
struct pose scene_pose(const struct scene *s, const struct scenario_bump *bump);

/* Light of all lamps at full strength on a surface at p with normal n (0,0,0: any), 0..~1. */
float scene_lamp_light(const struct scene *s, struct vec3 p, struct vec3 n);

#endif
