/* fleet_sharing.h - who shares a student with whom in a fleet eval: requests, reviews and the zoo.
 * Internal.
 *
 * A camera asks when its first labelled frames are there, and when its accuracy has fallen; the
 * grouper (group/group.h) names models to try, they are tried on the camera's newest labelled
 * frames, it decides, and what it decided is carried out. At each window's end everything is
 * reviewed. A camera whose place is not known stays alone.
 *
 * Owns:    the grouper, the zoo and its models.
 * Bounds:  FLEET_ZOO_MAX models; a camera asks at most once in ASK_AGAIN_S.
 */
#ifndef ATTUNE_EVAL_FLEET_SHARING_H
#define ATTUNE_EVAL_FLEET_SHARING_H

#include "eval/fleet_personal.h"
#include "eval/fleet_scenario.h"
#include "group/group.h"

#define FLEET_ZOO_MAX 64

struct fleet;

/* A past model: a snapshot of its learner. */
struct fleet_past {
    uint64_t id; /* of the zoo's entry; 0: free */
    struct buf snapshot;
    float *params;
};

/* Whether a camera asks for a group. */
struct fleet_asking {
    bool asked, asks; /* ever; as soon as there are frames of its new world */
    double asked_s;   /* last */
    double reference; /* the highest accuracy since; NaN */
    uint64_t from;    /* labelled frames when its world changed */
};

struct fleet_sharing {
    struct grouper *grouper;
    struct zoo *zoo; /* NULL: the policy has none */
    struct fleet_past past[FLEET_ZOO_MAX];
    struct fleet_asking cameras[FLEET_CAMERAS_MAX];
    struct fleet_personals personals;
};

/* NULL where the policy shares nothing and keeps nothing. */
enum status fleet_sharing_open(struct fleet *f, struct error *err);
void fleet_sharing_close(struct fleet_sharing **s);

/* After each frame: cameras that ask. */
enum status fleet_sharing_watch(struct fleet *f, struct error *err);

/* At a window's end. */
enum status fleet_sharing_review(struct fleet *f, struct error *err);

#endif
