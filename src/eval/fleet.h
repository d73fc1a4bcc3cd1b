/* fleet.h - several cameras through the real pipeline, on a budget of compute, in virtual time.
 *
 * The cameras only stream: the server decodes, infers within the share that the planner gives (a
 * smaller share means fewer frames, the answer is held in between), has the teacher label sampled
 * frames, retrains under the configuration that was chosen, and deploys what passes the gate. All
 * of it is the production code (recording, labeller, learner, gate, estimators, profiler, planner);
 * what fleet supplies is the clock and the account.
 *
 * Time model, stated once. Training advances at the throughput of its share; labelling and
 * profiling are charged evenly over the window; a share that cannot carry a frame rate carries a
 * lower one. A model serves from the frame after its training reached it. At a window's end a
 * training under way is ended: attune lets the gate judge what there is, the others give it up.
 *
 * Accuracy is prequential, against ground truth where the source has it (the town), else against
 * the teacher: mIoU over a sliding 10 s (fraction correct of a classification), mean over time.
 *
 * Owns:    a result its series until fleet_result_clear.
 * Threads: one.
 * Time:    virtual only.
 */
#ifndef ATTUNE_EVAL_FLEET_H
#define ATTUNE_EVAL_FLEET_H

#include "eval/contender.h"
#include "eval/fleet_scenario.h"
#include "group/pairs.h"
#include "profile/estimate.h"
#include "schedule/planner.h"

struct fleet_options {
    const struct fleet_scenario *scenario;
    enum estimate_source estimates; /* default blend */
    uint64_t seed;                  /* default 1 */
    int threads;                    /* default 1 */
};

void fleet_options_init(struct fleet_options *o);

struct fleet_camera_result {
    char id[CAMERA_ID_CHARS_MAX + 1];
    double accuracy; /* mean over time; NaN when nothing was scored */
    int trainings, deployed, stopped;
    uint64_t uplink_bytes, lost; /* chunks that were */
    double *series;              /* [points] accuracy over a sliding 10 s */
};

/* Who is in which group from then on. */
struct fleet_membership {
    double t_s;
    uint64_t group[FLEET_CAMERAS_MAX];
};

enum fleet_use { FLEET_INFER, FLEET_LABEL, FLEET_PROFILE, FLEET_TRAIN, FLEET_USES };

struct fleet_result {
    char policy[CONTENDER_NAME_BYTES];
    enum sharing_division division; /* what divided the compute: plans or micro-windows */
    double accuracy, lowest_camera; /* means over time; over the cameras, and of the worst one */
    int camera_count;
    struct fleet_camera_result cameras[FLEET_CAMERAS_MAX];
    int windows, trainings, deployed, worse, stopped, unfinished;
    double used_s[FLEET_USES], planned_s[FLEET_USES]; /* compute-seconds */
    double capacity_s;                                /* of the whole run */
    uint64_t uplink_bytes, frames_sent;               /* of all cameras */
    struct fleet_membership *memberships; /* at every change; NULL where nothing is shared */
    size_t membership_count;
    struct group_pairs pairs; /* against the scenario's districts, every second of the run */
    int requests, trials, moves, zoo_starts; /* of groups; trials: models tried on frames */
    uint64_t delta_bytes, downlink_bytes; /* encoded once a group; as its members downloaded it */
    int personal_trained, personal_used;  /* own deltas of members */
    int personal_windows;                 /* in which one was used, summed over cameras */
    uint64_t personal_bytes;              /* of delta_bytes and downlink_bytes */
    double personal_s;                    /* of used_s for profiling: training them */
    double *t_s, *series;                 /* [points] mean over the cameras */
    size_t points;
    bool scored;                     /* estimates were made and their outcomes seen */
    struct estimate_score estimates; /* of what was trained: one outcome an estimate */
};

void fleet_result_clear(struct fleet_result *r);

/* Called once a second of video; total seconds. */
typedef void fleet_progress(void *user, double second, double total);

enum status fleet_run(const struct fleet_options *o, const struct contender *policy,
                      fleet_progress *progress, void *user, struct fleet_result *ret,
                      struct error *err);

#endif
