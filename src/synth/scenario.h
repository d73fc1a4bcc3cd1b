/* scenario.h - what happens to the town's weather, light and traffic, as data.
 *
 * A scenario is a list of keyframes (time, intensities); between two of them every intensity is
 * blended linearly, before the first and after the last it stays. A district may have its own
 * list or a delay; a front delays every district by its distance along the front's heading. Or the
 * conditions are drawn anew in each slice of time (for the training of teachers).
 *
 * Text form: docs/formats.md, "scenario". Presets: scenario_presets.
 *
 * Owns:    a plain value, nothing on the heap.
 * Threads: pure functions.
 * Errors:  ST_FORMAT with FILE:LINE:COLUMN; ST_LIMIT; ST_NOT_FOUND for an unknown preset or file.
 */
#ifndef ATTUNE_SYNTH_SCENARIO_H
#define ATTUNE_SYNTH_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SCENARIO_NAME_CHARS_MAX 31
#define SCENARIO_KEYFRAMES_MAX 64
#define SCENARIO_DISTRICTS_MAX 16
#define SCENARIO_BUMPS_MAX 16
#define SCENARIO_FAULTS_MAX 16 /* of dirt, and of blindness */
#define SCENARIO_TIME_S_MAX (10 * 86400.0f)

/* Intensities, 0 (not at all) .. 1 (as strong as it gets). All weather at 0 is a clear day. */
struct town_condition {
    float dusk, night, rain, fog, snow;
    float traffic, crowd; /* vehicles; people and cyclists */
};

struct scenario_keyframe {
    float t_s;
    struct town_condition condition;
};

struct scenario_track {
    int keyframe_count; /* 0: the scenario's own keyframes hold */
    float delay_s;      /* everything happens this much later here, 0 or more */
    struct scenario_keyframe keyframes[SCENARIO_KEYFRAMES_MAX];
};

/* From t_s on the camera looks elsewhere: somebody hit the pole. */
struct scenario_bump {
    int camera;
    float t_s, yaw_deg, pitch_deg, roll_deg; /* added to the pose; -30..30 each */
};

/* A spot on the lens, out of focus: what is behind it is blurred and tinted. */
struct scenario_dirt {
    int camera;
    float t_s, until_s; /* since when; cleaned when, SCENARIO_TIME_S_MAX: never */
    float x, y, radius; /* centre and size as parts of the picture's width and height, and width */
    float density;      /* 0..1 */
};

#define SCENARIO_LOOK_LIST(X)                                                                      \
    X(BLACK, "black")   /* the lens is covered */                                                  \
    X(WHITE, "white")   /* something shines into it */                                             \
    X(FROZEN, "frozen") /* the picture of t_s stays, to the bit */

enum scenario_look {
    LOOK_CLEAR,
#define ENUMERATOR(name, text) LOOK_##name,
    SCENARIO_LOOK_LIST(ENUMERATOR)
#undef ENUMERATOR
        LOOK_COUNT
};

/* The camera sees nothing. */
struct scenario_blind {
    int camera;
    float t_s, until_s; /* as of dirt */
    enum scenario_look look;
};

struct scenario {
    char name[SCENARIO_NAME_CHARS_MAX + 1];
    float duration_s;           /* 0: no end; display and `repeat` */
    bool repeat;                /* start again after duration_s */
    float front_heading_deg;    /* 0 east, 90 north */
    float front_speed_m_s;      /* 0: no front */
    float slice_s, blend_s;     /* slice_s > 0: random conditions, new every slice_s */
    struct scenario_track town; /* delay_s unused */
    struct scenario_track districts[SCENARIO_DISTRICTS_MAX];
    int bump_count;
    struct scenario_bump bumps[SCENARIO_BUMPS_MAX];
    int dirt_count, blind_count;
    struct scenario_dirt dirt[SCENARIO_FAULTS_MAX];
    struct scenario_blind blind[SCENARIO_FAULTS_MAX];
};

/* Names of the presets, NULL at the end: "clear", "demo", "day", "all", "bump", "faults". */
extern const char *const scenario_presets[];

/* ST_NOT_FOUND names the presets. */
enum status scenario_preset(const char *name, struct scenario *ret, struct error *err);

/* Strict; name is used in messages. */
enum status scenario_read(const void *text, size_t n, const char *name, struct scenario *ret,
                          struct error *err);

/* A preset's name, or the path of a file (anything with a '/' or a '.'). */
enum status scenario_open(const char *preset_or_path, struct scenario *ret, struct error *err);

/* The condition of a district at map position x_m, y_m at t_us; seed: of random slices.
 * district 0..SCENARIO_DISTRICTS_MAX-1. */
struct town_condition scenario_condition(const struct scenario *s, uint64_t seed, int district,
                                         float x_m, float y_m, uint64_t t_us);

/* The sum of the camera's bumps that have happened by t_us; returns how many. */
int scenario_bump_at(const struct scenario *s, int camera, uint64_t t_us,
                     struct scenario_bump *ret);

/* True while t_us is in [t_s, until_s). */
bool scenario_fault_is_on(float t_s, float until_s, uint64_t t_us);

/* The camera's blindness at t_us, NULL for none. */
const struct scenario_blind *scenario_blind_at(const struct scenario *s, int camera, uint64_t t_us);

#endif
