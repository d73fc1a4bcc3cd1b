/* fleet_internal.h - one run of a fleet eval; what its parts share. Internal.
 *
 * fleet.c has the clock and the account. Who trains when is a driver's: fleet_windows.c follows the
 * planner's plans (Ekya), fleet_micro.c the allocator's micro-windows (ECCO). fleet_sharing.c says
 * who belongs together, fleet_sending.c what each camera sends.
 */
#ifndef ATTUNE_EVAL_FLEET_INTERNAL_H
#define ATTUNE_EVAL_FLEET_INTERNAL_H

#include "eval/fleet_camera.h"
#include "eval/fleet_sharing.h"
#include "eval/fleet_training.h"
#include "schedule/allocator.h"

#define FLEET_EPSILON_S 1e-9

struct fleet;

struct fleet_driver {
    /* A window begins at now_s; window_end_s is set. */
    enum status (*begin)(struct fleet *f, struct error *err);
    /* Trainings go on; now_s moves to until_s, which is not beyond the window's end. */
    enum status (*advance)(struct fleet *f, double until_s, struct error *err);
    enum status (*end)(struct fleet *f, struct error *err);
    /* After each frame: does reality depart from what was expected? */
    enum status (*watch)(struct fleet *f, struct error *err);
    /* Share of the machine that camera i's inference has. */
    double (*infer_share)(const struct fleet *f, int camera);
};

extern const struct fleet_driver fleet_windows, fleet_micro;

struct fleet {
    const struct fleet_options *o;
    const struct fleet_scenario *s;
    const struct contender *policy;
    const struct fleet_driver *driver;
    struct nn_model *student, *teacher;
    struct fleet_shared shared;
    struct fleet_camera *cameras;                  /* [s->camera_count] */
    struct fleet_group *groups[FLEET_CAMERAS_MAX]; /* NULL: a place without a group */
    uint64_t group_ids;                            /* given so far */
    struct fleet_costs costs;
    struct fleet_memory memory; /* what was learned from trainings so far */
    double now_s, window_end_s;
    double uplink_s; /* until when chunks have moved */
    uint64_t frame;
    struct fleet_result result;

    struct fleet_sharing *sharing; /* NULL: groups are as they are */
    uint64_t stamps;               /* of parameters that were tried */

    /* of the planner's driver */
    struct planner *planner;
    double window_capacity; /* for inference and training */

    /* of the allocator's */
    struct allocator *allocator;
    struct fleet_group *running; /* has this micro-window; NULL: nobody */
    double slot_end_s;
    double owed_s;     /* compute that labels, trials and inference took and that slots still owe */
    double charged_s;  /* of used_s, taken into owed_s */
    double kept_steps; /* fraction of a step that is left over */
};

/* Labels a second and camera that the capacity allows. */
double fleet_label_fps(const struct fleet *f);

/* Mean accuracy of a group's members now, NaN while nothing is known. */
double fleet_accuracy(const struct fleet *f, const struct fleet_group *g);

/* A group's model serves at all its members. */
void fleet_deploy(struct fleet *f, struct fleet_group *g, double accuracy);

/* The gate has decided over a group's model: counted, deployed when it was accepted. */
void fleet_conclude(struct fleet *f, struct fleet_group *g, const struct learner_result *r);

/* Bytes of the group's snapshot, for who joins; counted as sent. */
uint64_t fleet_snapshot_bytes(const struct fleet_group *g);

/* Rates, bandwidth and sizes for the time to come. */
void fleet_set_sending(struct fleet *f);

#endif
