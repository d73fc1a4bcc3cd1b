/* fleet_personal.h - members' own small deltas on top of their group's model, in a fleet eval.
 * Internal.
 *
 * Whether one pays is the grouper's to say (group/personal.c); here it is trained on the member's
 * frames alone, scored on each frame that is labelled later, before anything is trained on that,
 * and what pays serves the camera. When the shared model moves on, the differences stay
 * (delta/personal.h). Training and the second inference of a scored frame are charged as profiling,
 * bytes go down when a delta is first used and when a better one replaces it.
 *
 * Owns:    deltas and scratch, by fleet_personal_clear.
 * Bounds:  at most FLEET_PERSONAL_FRAMES_MAX frames are behind a score.
 */
#ifndef ATTUNE_EVAL_FLEET_PERSONAL_H
#define ATTUNE_EVAL_FLEET_PERSONAL_H

#include "eval/fleet_group.h"
#include "group/group.h"
#include "task/confusion.h"
#include "train/personal.h"

#define FLEET_PERSONAL_FRAMES_MAX 32

struct fleet;

/* How a model did on the frames since the last delta was trained, or the count began anew. */
struct fleet_tally {
    struct confusion sum;
    float by_frame[FLEET_PERSONAL_FRAMES_MAX];
};

struct fleet_personal_delta {
    bool there;
    struct delta_personal delta;
    double size_mib, compute_s;
    struct fleet_tally tally;
};

/* Of one camera. */
struct fleet_personal {
    struct fleet_personal_delta use, trial; /* serving; being scored */
    struct fleet_tally shared;
    int frames;    /* tallied */
    uint64_t seen; /* labelled frames that were looked at */
};

struct fleet_personals {
    struct personal_options options;
    struct fleet_personal cameras[FLEET_CAMERAS_MAX];
    float *scratch; /* [parameters] */
    uint64_t trainings;
};

enum status fleet_personal_init(struct fleet_personals *p, size_t params, struct error *err);
void fleet_personal_clear(struct fleet_personals *p);

/* After each frame: scores what was labelled. */
enum status fleet_personal_watch(struct fleet *f, struct error *err);

/* A review's trials: own deltas' scores, and the shared model's on the same frames. Lent until
 * fleet_personal_reviewed. */
enum status fleet_personal_fill(struct fleet *f, struct group_review *r, struct error *err);

/* The review is over and its actions are done: trains what it asks for, begins a new window. */
enum status fleet_personal_reviewed(struct fleet *f, const struct group_review *r,
                                    struct error *err);

/* The camera uses its trial from now on, or the shared model alone. */
enum status fleet_personal_turn(struct fleet *f, int camera, bool on, struct error *err);

/* It is in another group. */
void fleet_personal_drop(struct fleet *f, int camera);

/* What serves the camera where its group's model is `shared`; lent until the next call. */
const float *fleet_personal_params(struct fleet *f, int camera, const float *shared);

#endif
