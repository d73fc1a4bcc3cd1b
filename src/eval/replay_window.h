/* replay_window.h - one window of a fleet in virtual time, through the production scheduler.
 *
 * What trainings bring and cost is given (measured profiles); what the planner believes about them
 * may be something else (estimates). Everything between two events is linear, so the accuracy of a
 * window is exact, not sampled.
 *
 * Owns:    results until replay_outcome_clear; cases are borrowed.
 * Threads: one.
 * Time:    virtual.
 */
#ifndef ATTUNE_EVAL_REPLAY_WINDOW_H
#define ATTUNE_EVAL_REPLAY_WINDOW_H

#include "schedule/planner.h"

#define REPLAY_EVENTS_MAX 1000000

/* What really happens when a camera is trained so, and what is believed of it. */
struct replay_option {
    struct schedule_option truth; /* accuracy at its end, compute_s; accuracy_sd unused */
    double believed, believed_sd;
};

struct replay_camera {
    const char *id;
    double accuracy; /* of the model that serves at the window's start */
    double accuracy_min;
    struct schedule_curve infer;
    const struct replay_option *options;
    int option_count;
    /* How far a surprise (measured less believed) at one end carries over to what is believed of
     * other ends of the same training, and of other trainings, 0..1 (profile/estimate.h). */
    double carry_same, carry_other;
};

/* Instead of a policy, for schedules that were drawn by hand: fills infer_share, train_share and
 * option of grants[s->count]. */
typedef void replay_script(const struct schedule_snapshot *s, struct schedule_grant *grants);

struct replay_case {
    struct schedule_settings settings;
    double capacity, window_s;
    struct schedule_curve throughput;
    int count;
    const struct replay_camera *cameras;
    replay_script *script; /* NULL: the policy of the settings */
};

/* What a camera had between two moments of the window. */
struct replay_span {
    double from_s, to_s;
    int camera;
    double accuracy; /* of the model */
    double factor, infer_share, train_share;
    int configuration; /* that is trained, -1 for none */
};

struct replay_result {
    double *mean;     /* [count] accuracy x factor of each camera, averaged over the window */
    double *end;      /* [count] accuracy of its model at the end */
    double lowest;    /* instantaneous, of any camera */
    int begun, ended; /* trainings */
    int deployed;     /* models, checkpoints included */
    int worse;        /* measured as worse than what served */
    int stopped;      /* ... and therefore not deployed */
    int plans;
};

/* Called for each camera and span in order of time; NULL: none. */
typedef void replay_observer(void *context, const struct replay_span *span);

enum status replay_window(const struct replay_case *c, replay_observer *observer, void *context,
                          struct replay_result *ret, struct error *err);
void replay_result_clear(struct replay_result *r);

/* Mean over the cameras. */
double replay_result_mean(const struct replay_result *r, int count);

#endif
