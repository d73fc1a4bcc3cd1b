/* pretrain.h - trains a network from nothing on the synthetic town, and scores networks on it.
 *
 * Every sample is another moment of one of a few open towns; towns are replaced all the time, so
 * that a run sees hundreds of streets. Towns with seeds below PRETRAIN_SEED_MIN are never trained
 * on: they are for the demo and for scores.
 *
 * Which towns, cameras and moments step n sees follows from the seed and n alone: a run that is
 * stopped and resumed from its checkpoint continues as if nothing had happened.
 *
 * Owns:    pretrain everything it opens; the model is borrowed and must outlive it.
 * Threads: one at a time; a step uses `threads` OpenMP threads.
 * Time:    none read.
 * Errors:  ST_INVALID, ST_NOMEM, ST_UNSUPPORTED (no network for the town's classes).
 */
#ifndef ATTUNE_TRAIN_PRETRAIN_H
#define ATTUNE_TRAIN_PRETRAIN_H

#include "nn/optimizer.h"
#include "synth/town.h"
#include "task/segment.h"

#define PRETRAIN_SEED_MIN 100000
#define PRETRAIN_STEPS_MAX 10000000

struct pretrain_options {
    uint64_t seed;        /* default 1 */
    uint64_t steps;       /* default 1000, 1..PRETRAIN_STEPS_MAX */
    int batch;            /* default 8, 1..64 */
    float learning_rate;  /* default 2e-3; warm-up over 2 % of the steps, then a half cosine */
    float weight_decay;   /* default 1e-4, decoupled */
    int threads;          /* default 1 */
    float color_jitter;   /* default 0; 1: exposure, gamma, contrast and tint vary widely */
    const char *scenario; /* a preset: "clear" or "all"; default "clear" */
};

void pretrain_options_init(struct pretrain_options *o);

struct pretrain;

enum status pretrain_open(const struct nn_model *m, const struct pretrain_options *options,
                          struct pretrain **ret, struct error *err);
void pretrain_close(struct pretrain **p);

struct pretrain_step {
    uint64_t step; /* done so far */
    double loss;
    double miou; /* of the last 20 scored batches; every tenth is scored. NaN at first */
};

/* One step; ST_END when all are done. */
enum status pretrain_advance(struct pretrain *p, struct pretrain_step *ret, struct error *err);

/* The parameters now (nn_model_param_count). Borrowed. */
const float *pretrain_params(const struct pretrain *p);

/* nn/checkpoint.h; resume before the first step. */
enum status pretrain_save(const struct pretrain *p, const char *path, struct error *err);
enum status pretrain_resume(struct pretrain *p, const char *path, struct error *err);

/* A condition under which networks are scored. */
struct pretrain_trial {
    const char *name;
    struct town_condition condition;
};

/* clear, dusk, night, rain, night with rain, fog, snow. */
#define PRETRAIN_TRIAL_COUNT 7
extern const struct pretrain_trial pretrain_trials[PRETRAIN_TRIAL_COUNT];

struct pretrain_score {
    double miou;
    double class_iou[TOWN_CLASS_COUNT]; /* NaN for a class that did not occur */
    int frames;
};

/* Scores params (NULL: the model's own) on `frames` frames of towns that were never trained on
 * (the same for every network). */
enum status pretrain_evaluate(const struct nn_model *m, const float *params,
                              const struct pretrain_trial *trial, int frames, int threads,
                              struct pretrain_score *ret, struct error *err);

#endif
