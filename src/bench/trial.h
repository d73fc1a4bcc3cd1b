/* trial.h - private to bench: the network of one case made ready, and what is repeated.
 *
 * Owns: everything in struct trial until trial_close, which accepts a half-open one; the case is
 *       borrowed.
 */
#ifndef ATTUNE_BENCH_TRIAL_H
#define ATTUNE_BENCH_TRIAL_H

#include "bench/case.h"
#include "nn/optimizer.h"
#include "nn/session.h"

struct trial {
    const struct bench_case *c;
    struct nn_model *model;
    struct nn_session *session;
    struct nn_optimizer *optimizer; /* training only, as is labels */
    uint8_t *labels;                /* of the batch, one for a row or a pixel of the logits */
    bool *frozen;                   /* [parameter tensors] */
    struct nn_range *ranges;        /* [tensors]; NULL: those of the file */
    size_t first_trainable;         /* in the parameter vector; to its trainable end all train */
    double loss;                    /* of the last step */
};

enum status trial_open(struct trial *t, const struct bench_case *c, struct error *err);
void trial_close(struct trial *t);

/* One training step. */
enum status trial_step(struct trial *t, struct error *err);

/* One forward pass. */
enum status trial_forward(struct trial *t, struct error *err);

/* BENCH_DELTA (trial_delta.c): fills the times of *r. */
enum status trial_deltas(struct trial *t, struct bench_result *r, struct error *err);

/* 10^9 operations of one run; 0 for BENCH_DELTA. */
enum status trial_gflop(const struct trial *t, double *ret, struct error *err);

/* ST_INTERNAL when the loss or the logits are not finite: times of such a run mean nothing. */
enum status trial_check(const struct trial *t, struct error *err);

#endif
