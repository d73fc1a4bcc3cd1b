/* trainer.h - supervised training of a network on samples, from nothing or from where
 * it is.
 *
 * What step n sees follows from the seed and n alone, and all that a step changes is in the state
 * file: a run that is stopped and resumed continues bit for bit as if nothing had happened (same
 * machine, same threads).
 *
 * Owns:    trainer everything it opens; model and samples are borrowed and must outlive it.
 * Threads: one at a time; a step uses `threads` OpenMP threads.
 * Time:    none read.
 * Errors:  ST_INVALID, ST_NOMEM, ST_UNSUPPORTED (a network of no task that we know, an operator
 * that cannot be trained), ST_CONFLICT (the state of another run), those of the samples.
 */
#ifndef ATTUNE_TRAIN_TRAINER_H
#define ATTUNE_TRAIN_TRAINER_H

#include "nn/optimizer.h"
#include "train/samples.h"

#define TRAINER_STEPS_MAX 10000000
#define TRAINER_BATCH_MAX 64

struct trainer_options {
    uint64_t seed;           /* default 1 */
    uint64_t steps;          /* default 1000, 1..TRAINER_STEPS_MAX */
    int batch;               /* default 8, 1..TRAINER_BATCH_MAX */
    float learning_rate;     /* default 2e-3; warm-up over 2 % of the steps, then a half cosine */
    float weight_decay;      /* default 1e-4, decoupled */
    int threads;             /* default 1 */
    float color_jitter;      /* default 0; 1: exposure, gamma, contrast and tint vary widely */
    enum nn_bn_mode bn_mode; /* default NN_BN_BATCH */
    enum nn_precision precision; /* default nn_precision_of_training */
};

void trainer_options_init(struct trainer_options *o);

struct trainer;

enum status trainer_open(const struct nn_model *m, const struct trainer_options *options,
                         struct samples *samples, struct trainer **ret, struct error *err);
void trainer_close(struct trainer **t);

struct trainer_step {
    uint64_t step; /* done so far */
    double loss;
    double accuracy; /* the task's score of the last 20 scored batches; every tenth is scored. NaN
                      * at first */
};

/* One step; ST_END when all are done. */
enum status trainer_advance(struct trainer *t, struct trainer_step *ret, struct error *err);

uint64_t trainer_steps_done(const struct trainer *t);

/* The parameters now (nn_model_param_count). Borrowed. */
const float *trainer_params(const struct trainer *t);

/* The state file (nn/checkpoint.h with a run). Resume before the first step; only a run of the same
 * options, samples and model is continued. */
enum status trainer_save(const struct trainer *t, const char *path, struct error *err);
enum status trainer_resume(struct trainer *t, const char *path, struct error *err);

#endif
