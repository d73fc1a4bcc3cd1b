/* replay.h - schedulers compared on measured retrainings, in virtual time.
 *
 * Rules (each stated, because paper, code and users' habits differ): every window begins with the
 * measured start accuracy, the lowest over the options (no carry-over, as the simulator of Ekya's
 * authors); trainings cost what was measured, at the throughput of their share; a new model serves
 * from the moment its training ends. The papers' policies deploy what comes; attune measures a
 * model first and does not deploy a worse one, and serves from checkpoints on the way where the
 * trace has the same configuration with fewer epochs (both can be turned off).
 *
 * The fixed baselines are those of the paper (section 6.1): the two configurations "C1" (costly)
 * and "C2" (cheap) are the last and the middle one of the Pareto front over held-out cameras, and
 * inference has 30, 50 or 90 % of the machine.
 *
 * Owns:    a result until replay_result_set_clear.
 * Threads: one.
 * Time:    virtual; no clock is read.
 */
#ifndef ATTUNE_EVAL_REPLAY_H
#define ATTUNE_EVAL_REPLAY_H

#include "base/buf.h"
#include "eval/contender.h"
#include "eval/replay_window.h"
#include "eval/trace.h"
#include "profile/estimate.h"

#define REPLAY_CAPACITIES_MAX 16
#define REPLAY_RUNS_MAX (CONTENDERS_MAX * REPLAY_CAPACITIES_MAX)
#define REPLAY_WINDOWS_MAX 1000

struct replay_options {
    const char *profiles; /* trace_open */
    struct contender policies[CONTENDERS_MAX];
    int policy_count;
    double capacities[REPLAY_CAPACITIES_MAX]; /* GPUs */
    int capacity_count;
    double delta, window_s;         /* default 0.1, 200 */
    enum estimate_source estimates; /* 0: the truth (an oracle) */
    const char *share_curve;        /* throughput by share; NULL: linear */
    const char *inference_curve;    /* NULL: inference_profiles.csv beside the profiles where that
                                     * exists, else linear up to the demand */
    double demand;                  /* GPUs for inference at full rate, default 0.25 */
    int streams;                    /* cameras, the first by name with all windows; default 10 */
    int held_out;                   /* ... the last of them choose C1 and C2; default 2 */
    bool rerun, checkpoints, again, gated; /* of schedule_settings; default true */
};

void replay_options_init(struct replay_options *o);

struct replay_run {
    char policy[CONTENDER_NAME_BYTES];
    double capacity;
    double mean;          /* accuracy over cameras, windows and time */
    double lowest_camera; /* lowest mean of one camera in one window */
    double lowest;        /* instantaneous */
    int begun, ended, worse, stopped, deployed, plans;
};

struct replay_set {
    int camera_count, window_count, held_out;
    char c1[24], c2[24]; /* "config 5, 15 epochs" */
    char inference[256]; /* where the curve is from */
    bool inference_found;
    int run_count;
    struct replay_run runs[REPLAY_RUNS_MAX];
    struct replay_run none[REPLAY_CAPACITIES_MAX];
    struct replay_run baselines[REPLAY_CAPACITIES_MAX][CONTENDER_BASELINES];
    int capacity_count;
    double capacities[REPLAY_CAPACITIES_MAX];
    bool scored;                     /* the trace has estimates */
    struct estimate_score scores[3]; /* profile, history, blend; leave-one-camera-out */
};

/* Called for spans of runs that were asked for (not of baselines), window by window. */
typedef void replay_on_span(void *context, const struct replay_run *run, int window,
                            const char *camera, const struct replay_span *span);

enum status replay_run_all(const struct replay_options *o, replay_on_span *on_span, void *context,
                           struct replay_set *ret, struct error *err);

/* The best and the worst of the fixed baselines at capacities[c]. */
const struct replay_run *replay_best_fixed(const struct replay_set *s, int c);
const struct replay_run *replay_worst_fixed(const struct replay_set *s, int c);

#endif
