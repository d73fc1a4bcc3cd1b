/* still_cameras.h - inside bench/: a folder of stills as cameras, labelled by a teacher, in parts.
 *
 * A camera's stills are, where they are dated, in order of time: the newest third tests, of the
 * rest the newest quarter is for trials of models, what is left trains. Where they are not dated,
 * run n tests every third still from the n-th, and every fourth of the rest is for trials.
 *
 * Owns:    pictures at the student's input size and their labels, until still_cameras_clear.
 */
#ifndef ATTUNE_BENCH_STILL_CAMERAS_H
#define ATTUNE_BENCH_STILL_CAMERAS_H

#include "group/conditions.h"
#include "label/labeller.h"
#include "still_index.h"

#define STILL_CAMERAS_MAX 64
#define STILL_CAMERA_MIN 5 /* stills, or a camera is left out */
#define STILL_CAMERA_CHARS 96

/* What counts as one camera: one device, all of a site, or one device by day and by night. */
enum still_unit { STILL_DEVICE, STILL_SITE, STILL_WORLD };

enum still_part { STILL_TRAINS, STILL_TRIES, STILL_TESTS };

struct still_picture {
    struct frame frame;
    struct label_map labels; /* the teacher's, in the student's classes */
    uint64_t time_us;
    int order; /* of reading */
    enum still_part part;
};

struct still_tiles {
    int across, down;
};

struct still_camera {
    char name[STILL_CAMERA_CHARS];
    struct group_place place;
    struct still_picture *pictures; /* [count], tiles of a still side by side */
    int count;
};

struct still_cameras {
    struct still_camera cameras[STILL_CAMERAS_MAX];
    int count;
    bool dated;
    struct still_tiles tiles;
};

/* ST_LIMIT: too many cameras. */
enum status still_cameras_open(const char *folder, enum still_unit unit, struct still_tiles tiles,
                               struct labeller *labeller, struct still_cameras *ret,
                               struct error *err);
void still_cameras_clear(struct still_cameras *c);

/* Sets the parts of a run, from 0. */
void still_cameras_split(struct still_cameras *c, int run);

#endif
