/* learner.h - one job's learner: labelled frames in, checked model updates out.
 *
 * A phase is AMS's (Khani et al., ICCV 2021): choose coordinates, K masked optimiser steps on
 * minibatches drawn from the horizon, send what changed. Ours beyond it: the newest frames are held
 * out of the phase, the candidate must do at least as well on them as the current model (gate/),
 * otherwise weights, optimiser and statistics go back bit for bit; soft labels, augmentation and
 * recency as options.
 *
 * The learner's parameters ARE the cameras': after a phase that is accepted they are rounded to the
 * values that the delta carries.
 *
 * Usage: open; add frames as they are labelled; learner_phase when it is due. Or, where compute
 * comes in slices (profiler, micro-windows): learner_begin, learner_train any number of times,
 * learner_finish (or learner_abandon).
 *
 * Owns:    sessions, optimiser, buffer, history; the model is borrowed and must outlive it.
 * Threads: one at a time; a step uses `threads` OpenMP threads.
 * Time:    none read; frames carry theirs.
 * Memory:  learner_bytes, all taken at open; a step allocates nothing, the end of a phase takes
 *          what delta_encode does.
 * Determinism: same options, seed, frames and machine: same bits.
 */
#ifndef ATTUNE_TRAIN_LEARNER_H
#define ATTUNE_TRAIN_LEARNER_H

#include "delta/delta.h"
#include "gate/gate.h"
#include "nn/optimizer.h"
#include "nn/session.h"
#include "task/task.h"
#include "train/buffer.h"
#include "train/configuration.h"

#define LEARNER_STEPS_MAX 100000

enum learner_preset {
    LEARNER_AMS = 1, /* the defaults of the authors' code */
    LEARNER_ATTUNE,  /* ours */
    LEARNER_FULL,    /* AMS with every coordinate */
    LEARNER_ONE_TIME /* one phase on the first frames, then fixed */
};

struct learner_options {
    double fraction; /* gamma, 0..1 */
    enum select_strategy strategy;
    int select_after; /* SELECT_GRADIENT: full steps before the choice, 1 as in the authors' code */
    int steps;        /* K a phase, 1..LEARNER_STEPS_MAX */
    int batch;        /* 1..1024; 0: by the task, 8 frames or 32 pictures */
    struct nn_optimizer_options optimizer;
    enum nn_bn_mode bn_mode;     /* BATCH also sends the statistics */
    enum nn_precision precision; /* of training, default nn_precision_of_training; the camera's
                                  * student infers in its own */
    int phases_max;              /* accepted phases after which nothing is trained; 0: no end */
    int step_log2;               /* wire values are multiples of 2^-step_log2 (delta/half.h) */

    uint64_t horizon_us;
    int frames_max;              /* capacity of the buffer; 0: by the task, 256 or 4096 pictures */
    uint64_t half_life_us;       /* recency weighting of minibatches, 0: uniform */
    int soft_width, soft_height; /* soft labels kept at this size, 0: none */
    float soft_weight;           /* 0..1 of the loss from soft labels, the rest from hard ones */
    float soft_temperature;
    float label_smoothing;
    bool class_balance; /* weight classes by 1 / sqrt(frequency) in the buffer */
    bool flip;          /* mirror half of the samples */
    float crop_min;     /* random zoom: side of the crop as a fraction, crop_min..1; 1: off */
    uint8_t class_chosen[CLASSES_MAX]; /* classes in the softmax and in the score */

    bool gated; /* false: every phase is accepted (AMS) */
    struct gate_options gate;
    double holdout_fraction; /* of the frames that are new since the last phase... */
    int holdout_max;         /* ...as train/holdout.h says; 0: by the task, 3 frames of a
                              * segmentation or detection, 24 pictures of a classification */
    int threads;             /* OpenMP threads of a run */
};

/* "ams", "attune", "full", "one-time"; NULL and 0 for none. */
const char *learner_preset_name(enum learner_preset p);
enum learner_preset learner_preset_parse(const char *name);
void learner_preset(enum learner_preset p, struct learner_options *ret);

struct learner_result {
    bool trained;  /* false: nothing to train on, or phases_max reached; see reason */
    bool accepted; /* a new version exists */
    int steps;
    double loss_first, loss_last; /* mean over the first and last tenth of the steps */
    int holdout_frames;
    double score_current,
        score_candidate; /* the gate's metric on held-out frames, NaN when not scored */
    uint64_t version;    /* after the phase */
    size_t coordinates;  /* sent */
    size_t delta_bytes;
    char reason[GATE_REASON_CHARS]; /* one sentence */
};

/* Fills in what the network's task decides: what is 0 for "by the task". learner_open does so by
 * itself; for who must know before. */
void learner_suit_options(struct learner_options *o, const struct task_spec *spec);

struct learner;

/* options: checked, ST_INVALID names the field. The model must be of a task that
 * we know (task/task.h). What depends on the task follows the network: soft labels are kept at most
 * at the size of its logits (a detection has none, and no class weights), the gate of a
 * classification compares accuracies, of a detection F1, and since a
 * picture's one label says less than a frame's pixels, more pictures are kept and held out. */
enum status learner_open(const struct nn_model *m, const struct learner_options *options,
                         uint64_t seed, struct learner **ret, struct error *err);
void learner_close(struct learner **l);

/* Borrowed. */
const struct task_spec *learner_spec(const struct learner *l);
const struct learner_options *learner_options_of(const struct learner *l);
const struct buffer *learner_buffer(const struct learner *l);

/* One labelled frame (the network's input size; labels in the network's classes, any size; soft
 * may be NULL). source: the caller's camera index, 0 where there is one camera. */
enum status learner_add(struct learner *l, const struct frame *frame,
                        const struct label_map *labels, const struct soft_map *soft, int source,
                        struct error *err);

/* Called after every step. Return false to stop the phase early (it then ends as if K had been
 * reached). */
typedef bool learner_progress(void *context, int done, int total, double loss);

/* A whole phase. On acceptance the delta from version v to v+1 is appended to *delta_out. A phase
 * that is rejected or has nothing to do is ST_OK: see *ret. progress may be NULL. ST_INTERNAL when
 * the engine fails: weights are back at the last version. */
enum status learner_phase(struct learner *l, learner_progress *progress, void *context,
                          struct learner_result *ret, struct buf *delta_out, struct error *err);

/* The same in slices. begin: ST_AGAIN when there is nothing to train on (err says why). train:
 * `steps` more (K of the options does not bound them), *ret_loss their mean. finish: gate, encode.
 * abandon: back to the state at begin. */
enum status learner_begin(struct learner *l, struct error *err);

/* learner_begin under a configuration (NULL: the options alone). *ret_steps (NULL allowed):
 * optimiser steps that its epochs come to on the frames that there are. */
enum status learner_begin_as(struct learner *l, const struct train_configuration *c, int *ret_steps,
                             struct error *err);
enum status learner_train(struct learner *l, int steps, double *ret_loss, struct error *err);
enum status learner_finish(struct learner *l, struct learner_result *ret, struct buf *delta_out,
                           struct error *err);
void learner_abandon(struct learner *l);

/* In a phase with a step: judges the candidate as learner_finish does, and the phase goes on.
 * Accepted: the delta to a new version is appended, training goes on from its rounded weights, and
 * this is what abandon and a rejection at the end go back to. Rejected: on from the weights as they
 * are. The frames that are held out stay the same. ST_AGAIN: too early, the coordinates are not
 * chosen. */
enum status learner_checkpoint(struct learner *l, struct learner_result *ret, struct buf *delta_out,
                               struct error *err);

/* The weights in training (nn_model_param_count floats, borrowed): between learner_begin and the
 * end of the phase the candidate's, not rounded yet; else those of learner_params. */
const float *learner_candidate(const struct learner *l);

/* Within a phase: how many frames it must not see, *ret_first: the number of those that it may. */
int learner_holdout(const struct learner *l, int *ret_first);

/* Predicts buffered frames [first, first + count), counted from the oldest one and within a phase
 * with those that are held out behind the others, with params (NULL: the learner's present ones)
 * and adds to *confusion (initialised by the caller with the network's class count). */
enum status learner_score(struct learner *l, const float *params, int first, int count,
                          struct confusion *confusion, struct error *err);

/* Parameters of the present version (nn_model_param_count floats, borrowed), and its number.
 * Version 0: the model file's own values. */
const float *learner_params(const struct learner *l);
uint64_t learner_version(const struct learner *l);

/* Delta from version 0 to the present, for newcomers; ST_NOT_FOUND at version 0. */
enum status learner_snapshot(const struct learner *l, struct buf *out, struct error *err);

/* Starts from another learner's snapshot (model zoo, joining a group): its weights, its history,
 * version = max(the snapshot's, version + 1); the optimiser starts anew. */
enum status learner_install(struct learner *l, const void *snapshot, size_t n, struct error *err);

/* The same weights under a higher version number, where others count on one: what follows has to be
 * above that of every camera that shares the model. ST_CONFLICT: it is lower, or a phase is open.
 */
enum status learner_renumber(struct learner *l, uint64_t version, struct error *err);

/* The state between phases (in one: at its begin or last accepted checkpoint), without the frames:
 * weights, optimiser, history, version, generator. A learner opened with the same model and options
 * that loads it and is given the same frames goes on identically. Format: docs/formats.md,
 * "learner"; checked by CRC-32. ST_CONFLICT: of another model; ST_FORMAT: damaged; nothing has
 * changed then. */
enum status learner_save(const struct learner *l, struct buf *out, struct error *err);
enum status learner_load(struct learner *l, const void *bytes, size_t n, struct error *err);

/* The same as a file, written atomically. */
enum status learner_save_file(const struct learner *l, const char *path, struct error *err);
enum status learner_load_file(struct learner *l, const char *path, struct error *err);

size_t learner_bytes(const struct learner *l);

#endif
