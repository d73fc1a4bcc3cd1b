/* schedule.h - who gets how much of the server's compute: a snapshot in, a plan out.
 *
 * The problem is Ekya's (Bhardwaj et al., NSDI 2022, section 4.1): cameras share one machine; each
 * may be retrained under one of several configurations, which takes compute away from inference
 * until it ends and makes the model better from then on. A plan gives every camera a share for
 * inference, a share for training and a configuration (or none); what is maximised is the accuracy
 * of inference averaged over the rest of the window and over the cameras.
 *
 * Units: a share is a part of the machine, in processors (or GPUs): 0.3 is 30 % of one. Accuracy
 * is 0..1, of the running model at full inference; what a frame gets is accuracy x factor, where
 * the factor (0..1) says how much of it a smaller share of inference leaves. Compute is in seconds
 * at a share of 1. Times are seconds from now.
 *
 * Owns:    a plan owns its grants until schedule_plan_clear; a snapshot borrows all that it names.
 * Threads: pure functions.
 * Time:    none read; the same snapshot gives the same plan.
 * Errors:  ST_INVALID names what is wrong with the snapshot; ST_LIMIT (too many cameras, too fine a
 *          delta; for the exhaustive search too large a case); ST_NOMEM.
 */
#ifndef ATTUNE_SCHEDULE_SCHEDULE_H
#define ATTUNE_SCHEDULE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SCHEDULE_CAMERAS_MAX 4096
#define SCHEDULE_OPTIONS_MAX 256 /* a camera */
#define SCHEDULE_POINTS_MAX 64   /* of a curve */
#define SCHEDULE_UNITS_MAX 65536 /* capacity / delta */
#define SCHEDULE_REASON_CHARS 240

/* none: no retraining, shares for inference are equal. uniform: one configuration for all, a fixed
 * part of the machine for inference, everything shared equally (Ekya's baseline, section 6.1).
 * round-robin: one camera after the other is trained under that configuration (AMS, ICCV 2021,
 * section 4.1). thief-printed: Ekya's Algorithms 1 and 2 as printed. thief: the same, every amount
 * tried, repeated until nothing changes. exhaustive: the best plan there is on the grid of delta,
 * for small cases. attune: ours (docs/decisions/0009). */
#define SCHEDULE_POLICY_LIST(X)                                                                    \
    X(NONE, "none")                                                                                \
    X(UNIFORM, "uniform")                                                                          \
    X(ROUND_ROBIN, "round-robin")                                                                  \
    X(THIEF_PRINTED, "thief-printed")                                                              \
    X(THIEF, "thief")                                                                              \
    X(EXHAUSTIVE, "exhaustive")                                                                    \
    X(ATTUNE, "attune")

enum schedule_policy {
#define SCHEDULE_POLICY_ENUM(name, text) SCHEDULE_##name,
    SCHEDULE_POLICY_LIST(SCHEDULE_POLICY_ENUM)
#undef SCHEDULE_POLICY_ENUM
        SCHEDULE_POLICY_COUNT
};

const char *schedule_policy_name(enum schedule_policy p);
/* SCHEDULE_POLICY_COUNT for a name that is none of them. */
enum schedule_policy schedule_policy_parse(const char *name);

struct schedule_point {
    double share, value;
};

/* What lies between the points of a curve, which are in order of growing share. Before the first
 * point the value is 0, beyond the last one it stays.
 *  STEPS:    the value of the last point reached (separate inference configurations)
 *  LINEAR:   linear in the share
 *  INTERVAL: linear in 1 / share, that is in the interval between two frames (how Ekya's simulator
 *            reads its table of accuracy by subsampling) */
enum schedule_curve_kind { SCHEDULE_STEPS = 1, SCHEDULE_LINEAR, SCHEDULE_INTERVAL };

struct schedule_curve {
    enum schedule_curve_kind kind;
    int count; /* 0..SCHEDULE_POINTS_MAX */
    const struct schedule_point *points;
};

double schedule_curve_at(const struct schedule_curve *c, double share);

/* The factor of a camera's accuracy at this share of inference. A curve without points: the camera
 * infers on its own computer, the factor is 1. */
double schedule_factor(const struct schedule_curve *inference, double share);

/* Compute-seconds that a training does in a second at this share. A curve without points: the
 * share itself. A table says what was measured: beyond its last share nothing more is gained. */
double schedule_throughput(const struct schedule_curve *throughput, double share);

/* One way to retrain a camera. */
struct schedule_option {
    int configuration;  /* the caller's number: of the table of configurations */
    int training;       /* options of one camera with the same number are one training that goes on
                         * for longer: who reaches the later end passes the earlier one, and its
                         * model can serve from then on (a checkpoint). Growing compute_s. */
    double accuracy;    /* expected at its end, 0..1 */
    double accuracy_sd; /* how uncertain that is, standard deviation, 0 and more */
    double compute_s;   /* left to do, above 0 */
    const char *name;   /* of the configuration, for reasons; NULL: its number is told */
};

struct schedule_camera {
    const char *id;              /* for reasons; may be NULL */
    int members;                 /* cameras that share this student and train as one: counts as so
                                  * many for attune, whose shares and factor are theirs together;
                                  * 0: one. The papers' policies know single cameras */
    double accuracy;             /* of the model that serves now */
    double accuracy_min;         /* a_MIN: accuracy x factor should never be lower; 0: no floor */
    double waited_s;             /* since its last training (round-robin) */
    struct schedule_curve infer; /* factor by share */
    int option_count;            /* 0: nothing can be trained now */
    const struct schedule_option *options;
    int running;                     /* option under way (its compute_s is what is left), -1 */
    double infer_share, train_share; /* what it holds now; of no meaning at the window's start */
};

enum schedule_event {
    SCHEDULE_WINDOW_START = 1, /* everything is shared out anew */
    SCHEDULE_COMPLETION,       /* a training has ended, or a checkpoint was deployed */
    SCHEDULE_DEVIATION         /* reality departed from the estimate */
};

struct schedule_settings {
    enum schedule_policy policy;
    double delta;             /* smallest part of a share that is moved, 0.001..1; default 0.1 */
    double uniform_inference; /* part of the machine for inference; default 0.5 */
    int configuration;        /* of uniform and round-robin; default 0 */
    bool aligned;             /* thieves start from multiples of delta; default true */
    bool rerun;               /* plan anew on completion; false: who ends hands its share on in
                               * equal parts, as Ekya's released code does; default true */
    bool checkpoints;         /* attune: models of unfinished trainings serve; default true */
    bool again;               /* attune: when a training has ended, another configuration of the
                               * same camera may be tried in the same window; default true */
    bool gated;               /* attune: a model that is worse is not deployed; default true */
    double infer_part; /* attune: this part of the machine is inference's whatever happens, 0:
                        * what is best (the default) */
    double beyond_s;   /* attune: how long a better model is of use after the window; the
                        * paper's objective ends with the window: 0, the default */
    int parallel_max;  /* attune: trainings at once at most; default 64 */
};

void schedule_settings_init(struct schedule_settings *s);

struct schedule_snapshot {
    struct schedule_settings settings;
    enum schedule_event event;
    double capacity; /* all shares together at most */
    double left_s;   /* to the end of the window */
    struct schedule_curve throughput;
    int count;
    const struct schedule_camera *cameras;
};

/* Why a camera got what it got; schedule_reason makes the sentence. */
enum schedule_why {
    SCHEDULE_WHY_TRAIN = 1,  /* trains now */
    SCHEDULE_WHY_QUEUE,      /* will train in this window, after others */
    SCHEDULE_WHY_KEEP,       /* goes on with what it trains */
    SCHEDULE_WHY_DROP,       /* a training under way is given up */
    SCHEDULE_WHY_NO_OPTION,  /* nothing to train: no data, or done for this window */
    SCHEDULE_WHY_NO_GAIN,    /* no option is expected to be better than what serves */
    SCHEDULE_WHY_NO_TIME,    /* none would end in time with the share that there is */
    SCHEDULE_WHY_NO_COMPUTE, /* inference is worth more than training */
    SCHEDULE_WHY_POLICY      /* the policy does not train it now */
};

struct schedule_grant {
    double infer_share, train_share;
    int option;            /* index into the camera's options, -1 for none */
    double factor;         /* of inference */
    double start_s, end_s; /* when the training will begin and end, from now; NaN for none */
    double expected;       /* accuracy x factor averaged over the rest of the window */
    enum schedule_why why;
};

struct schedule_plan {
    int count;
    struct schedule_grant *grants; /* [count], a camera each */
    double expected;               /* mean over the cameras */
    double expected_untrained;     /* the same when nobody trains */
    int below_floor;               /* cameras under accuracy_min */
    int rounds;                    /* passes of the search */
    uint64_t evaluations;          /* of candidate plans */
};

/* The snapshot's policy decides. ret is filled on success only. */
enum status schedule_make(const struct schedule_snapshot *s, struct schedule_plan *ret,
                          struct error *err);
void schedule_plan_clear(struct schedule_plan *p);

/* One sentence about camera i into text[SCHEDULE_REASON_CHARS]. */
void schedule_reason(const struct schedule_snapshot *s, const struct schedule_plan *p, int i,
                     char *text);

#endif
