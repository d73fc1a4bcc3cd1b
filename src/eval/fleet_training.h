/* fleet_training.h - trainings of a fleet eval: costs, steps, estimates and what became of them.
 * Internal. */
#ifndef ATTUNE_EVAL_FLEET_TRAINING_H
#define ATTUNE_EVAL_FLEET_TRAINING_H

#include "eval/fleet.h"
#include "profile/profiler.h"
#include "train/learner.h"

/* ---- what a configuration costs ---- */

struct fleet_costs {
    double step_s[CONFIGURATIONS_MAX]; /* of one optimiser step */
    double recipe_step_s;              /* of the recipe alone, all layers */
    int batch;                         /* of the recipe */
    double infer_s;
    int cheap, costly; /* of the fixed policies: the middle and the last one by cost */
};

/* A step costs its operations on a batch, in units of an inference's. */
enum status fleet_costs_init(struct fleet_costs *c, const struct nn_model *student,
                             const struct train_configurations *all,
                             const struct learner_options *learning, double infer_s,
                             struct error *err);

/* Compute-seconds of configuration k on so many labelled frames. */
double fleet_costs_of(const struct fleet_costs *c, const struct train_configurations *all, int k,
                      int frames);

/* The first configuration that is the same training as k. */
int fleet_training_of(const struct train_configurations *all, int k);

/* ---- one camera's training under way ---- */

struct fleet_training {
    bool open;
    int training; /* fleet_training_of */
    int frames;   /* that it trains on */
    int steps;    /* taken */
};

/* Opens, keeps or gives up camera i's training as the planner's plan wants it. */
enum status fleet_training_follow(struct fleet_training *t, const struct planner *p, int camera,
                                  struct learner *l, const struct train_configurations *all,
                                  struct error *err);

/* Takes the steps up to the end of the configuration and has the gate judge; finishes when it is
 * the last. The scores of *ret are on held-out frames, by the task's score. */
enum status fleet_training_reach(struct fleet_training *t, struct learner *l,
                                 const struct train_configurations *all, int configuration,
                                 bool last, struct learner_result *ret, struct error *err);

/* The window is over after so many steps in all: the gate judges what there is (*ret_finished), or
 * with 0 it is given up. */
enum status fleet_training_end(struct fleet_training *t, struct learner *l, int steps,
                               bool *ret_finished, struct learner_result *ret, struct error *err);

/* ---- what is learned from them ---- */

struct fleet_outcome {
    double estimate, outcome;
    uint64_t window;
};

struct fleet_memory {
    enum estimate_source source;
    struct history history;
    struct estimator estimator;
    struct history_row rows[FLEET_CAMERAS_MAX * CONFIGURATIONS_MAX]; /* of this window */
    int row_count;
    uint64_t window;
    bool kept[CONFIGURATIONS_MAX]; /* by Pareto pruning */
    /* Of the window at hand, by camera. */
    double profiled_start[FLEET_CAMERAS_MAX];
    double profiled[FLEET_CAMERAS_MAX][CONFIGURATIONS_MAX]; /* NaN: not profiled */
    double believed[FLEET_CAMERAS_MAX][CONFIGURATIONS_MAX];
    int samples[FLEET_CAMERAS_MAX];
    struct fleet_outcome *outcomes;
    int outcome_count;
};

void fleet_memory_init(struct fleet_memory *m, enum estimate_source source);
void fleet_memory_clear(struct fleet_memory *m);

/* Learns from the past; forgets the last window's profiles; prunes every PARETO_WINDOWS. */
enum status fleet_memory_begin_window(struct fleet_memory *m,
                                      const struct train_configurations *all,
                                      const struct fleet_costs *costs, struct error *err);

/* Profiles each training of a camera once (its lengths are points of one curve) unless the source
 * has no need of it. *used_s is added to. */
enum status fleet_memory_profile(struct fleet_memory *m, int camera, struct learner *l,
                                 const struct train_configurations *all,
                                 const struct fleet_costs *costs, double *used_s,
                                 struct error *err);

/* items[all->count]. */
void fleet_memory_estimate(struct fleet_memory *m, int camera, double accuracy,
                           const struct train_configurations *all, struct estimate_item *items);

enum status fleet_memory_add(struct fleet_memory *m, int camera, int configuration,
                             const struct train_configurations *all, double start, double end,
                             struct error *err);

/* How good the estimates were of what was trained. */
enum status fleet_memory_score(const struct fleet_memory *m, struct estimate_score *ret,
                               bool *ret_scored, struct error *err);

#endif
