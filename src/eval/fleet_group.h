/* fleet_group.h - cameras of a fleet eval that share one student: its learner and their labelled
 * frames. Internal.
 *
 * A camera alone is a group of one. What a member labels joins the learner, with the member's index
 * as its source; while a training is under way it waits.
 *
 * Owns:    the learner and the frames that wait; members are indices of cameras.
 * Bounds:  FLEET_PENDING_MAX labelled frames wait, the oldest go.
 */
#ifndef ATTUNE_EVAL_FLEET_GROUP_H
#define ATTUNE_EVAL_FLEET_GROUP_H

#include "eval/fleet_training.h"
#include "eval/teach.h"
#include "group/conditions.h"
#include "schedule/schedule.h"

#define FLEET_PENDING_MAX 64

/* What all cameras and groups of a run share. */
struct fleet_shared {
    const struct fleet_options *options;
    const struct nn_model *student;
    struct teach *teach;
    struct labeller *labeller; /* the teacher's, borrowed from teach */
    struct class_map map;
    struct learner_options learning;
    double infer_s, label_s; /* compute of one */
};

struct fleet_labelled {
    struct frame frame; /* at the student's input size */
    struct label_map labels;
    int camera;
};

/* Copies; the old content's memory is used again. */
enum status fleet_labelled_set(struct fleet_labelled *to, int camera, const struct frame *frame,
                               const struct label_map *labels, struct error *err);
void fleet_labelled_clear(struct fleet_labelled *l);

struct fleet_group {
    uint64_t id; /* never used again, 0: no group */
    struct learner *learner;
    struct fleet_training training;
    struct fleet_labelled pending[FLEET_PENDING_MAX];
    int pending_count;
    int members[FLEET_CAMERAS_MAX], member_count;
    struct schedule_point points[SCHEDULE_POINTS_MAX];
    struct schedule_curve curve; /* factor of its members' inference by share of all of them */
    uint64_t shared;             /* the grouper's number, 0: not of the grouper's */
    bool resting;                /* not to be trained */
    struct group_conditions conditions; /* as of the last review... */
    double accuracy_kept;               /* ...and the members' accuracy; NaN */
};

enum status fleet_group_open(const struct fleet_shared *shared, uint64_t id,
                             struct fleet_group **ret, struct error *err);
void fleet_group_close(struct fleet_group **g);

bool fleet_group_has(const struct fleet_group *g, int camera);
void fleet_group_join(struct fleet_group *g, int camera);
void fleet_group_leave(struct fleet_group *g, int camera);

/* A labelled frame of a member waits to join the learner. */
enum status fleet_group_keep(struct fleet_group *g, int camera, const struct frame *frame,
                             const struct label_map *labels, struct error *err);

/* Frames that wait join learner l, but those older than its horizon; camera: that member's alone,
 * -1: all. They go on waiting. */
enum status fleet_group_give(const struct fleet_group *g, int camera, struct learner *l,
                             struct error *err);

/* Frames that waited join the group's learner; call when no training is under way. */
enum status fleet_group_take_pending(struct fleet_group *g, struct error *err);

#endif
