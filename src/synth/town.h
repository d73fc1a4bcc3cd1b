/* town.h - a town that is filmed by fixed cameras and does not exist: pictures with exact labels.
 *
 * Each camera stands a few metres above a street of its own (road, lanes, pavements, houses, trees,
 * lamps, sky), built from the seed. Vehicles, people and cyclists move through it; light and
 * weather follow a scenario, district by district.
 *
 * The picture is a function of (seed, camera, scenario, size, t_us) and of nothing else: pixels
 * and labels are equal on every machine and with every compiler (no libm, IEEE single precision
 * without contraction). What a town remembers between calls is a cache.
 *
 * Usage: town_options_init, town_open, town_render, town_close.
 * Owns:    the town its caches; pictures, maps and boxes are the caller's.
 * Threads: one at a time for a town; several towns at once.
 * Time:    t_us is the scenario's time, any order, any frame rate.
 * Memory:  about 180 bytes a pixel for each camera in use, taken at its first frame; nothing
 *          is allocated by later frames of the same pose.
 * Errors:  ST_INVALID, ST_NOMEM.
 */
#ifndef ATTUNE_SYNTH_TOWN_H
#define ATTUNE_SYNTH_TOWN_H

#include "flow/records.h"
#include "synth/scenario.h"

#define TOWN_CAMERAS_MAX 64
#define TOWN_SIDE_MIN 64
#define TOWN_SIDE_MAX 1920
#define TOWN_BOXES_MAX 192

/* The town's map as degrees: around 0 N 0 E, where a degree is as long both ways. */
#define TOWN_DEGREE_M 111320.0

enum town_class {
    TOWN_SKY,
    TOWN_BUILDING, /* and lamp posts */
    TOWN_ROAD,
    TOWN_PAVEMENT,
    TOWN_TREE,
    TOWN_CAR,
    TOWN_LORRY,
    TOWN_BUS,
    TOWN_PERSON,
    TOWN_CYCLIST,
    TOWN_CLASS_COUNT
};

extern const char *const town_class_names[TOWN_CLASS_COUNT];
extern const uint8_t town_class_colors[TOWN_CLASS_COUNT][3]; /* for overlays, RGB */

struct town_options {
    uint64_t seed;                   /* default 1 */
    int cameras;                     /* default 2, 1..TOWN_CAMERAS_MAX */
    int districts;                   /* default 2, 1..SCENARIO_DISTRICTS_MAX */
    int width, height;               /* default 320x192, TOWN_SIDE_MIN..TOWN_SIDE_MAX, even */
    const struct scenario *scenario; /* default NULL: the preset "clear"; copied */
};

void town_options_init(struct town_options *o);

struct town;

/* options may be NULL (defaults). */
enum status town_open(const struct town_options *options, struct town **ret, struct error *err);
void town_close(struct town **t);

/* Picture, labels and boxes of camera 0..cameras-1 at t_us. frame and labels (each may be NULL)
 * come with room for the town's width x height and that size set; frame->t_us is set. Boxes are
 * the visible parts of vehicles, people and cyclists, nearest first, at most boxes_max (NULL and 0
 * for none); *ret_boxes may be NULL. Dirt and blindness (scenario.h) spoil pictures, not labels; of
 * a frozen picture the labels are frozen, too. */
enum status town_render(struct town *t, int camera, uint64_t t_us, struct frame *frame,
                        struct label_map *labels, struct box *boxes, size_t boxes_max,
                        size_t *ret_boxes, struct error *err);

struct town_camera_info {
    int district;
    float x_m, y_m;    /* on the town's map */
    float heading_deg; /* 0 east, 90 north */
};

void town_camera_info(const struct town *t, int camera, struct town_camera_info *ret);

struct town_condition town_condition_at(const struct town *t, int camera, uint64_t t_us);

/* "clear day", "night 0.80, rain 0.30": at most n - 1 characters. */
void town_condition_text(const struct town_condition *c, char *ret, size_t n);

#endif
