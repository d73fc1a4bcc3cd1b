/* optimizer.h - SGD with momentum, and Adam, over the one parameter vector.
 *
 * Owns:    its moment vectors (one for SGD, two for Adam), count floats each.
 * Threads: one at a time; a step uses the calling thread's OpenMP team.
 */
#ifndef ATTUNE_NN_OPTIMIZER_H
#define ATTUNE_NN_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "nn/rank.h"

enum nn_optimizer_kind { NN_SGD = 1, NN_ADAM };

struct nn_optimizer_options {
    enum nn_optimizer_kind kind; /* default NN_ADAM */
    float learning_rate;         /* default 1e-3 */
    float momentum;              /* SGD, default 0.9 */
    float beta1, beta2, epsilon; /* Adam, default 0.9, 0.999, 1e-8 */
    float weight_decay;          /* L2 added to the gradient (SGD) or decoupled (Adam); default 0 */
};

void nn_optimizer_options_init(struct nn_optimizer_options *o);

struct nn_optimizer;

/* count: trainable parameters. */
enum status nn_optimizer_open(size_t count, const struct nn_optimizer_options *options,
                              struct nn_optimizer **ret, struct error *err);
void nn_optimizer_close(struct nn_optimizer **o);

/* Changes the rate for the next steps (schedules live with the caller). */
void nn_optimizer_set_learning_rate(struct nn_optimizer *o, float learning_rate);

/* params -= update(grads) for i in [0, count). mask (NULL: all) has a bit a parameter, bit i & 7
 * of byte i >> 3; where it is 0 the parameter keeps its bits, but the moments advance all the
 * same, as in AMS's authors' code. */
void nn_optimizer_step(struct nn_optimizer *o, float *params, const float *grads,
                       const uint8_t *mask);

/* The same, and ranks the parameters as AMS's selection wants them, without another pass: by how
 * far each is from `from` after the step (the authors' code), or with `from` NULL by |update| (the
 * paper; Adam only). rank NULL: nn_optimizer_step. */
void nn_optimizer_step_ranked(struct nn_optimizer *o, float *params, const float *grads,
                              const uint8_t *mask, const float *from, struct nn_rank *rank);

/* Steps taken so far. */
uint64_t nn_optimizer_steps(const struct nn_optimizer *o);

/* Adam only: the rank of the |update| that the moments imply now; zeros before the first step. Does
 * nothing when *rank is that already, from the last step; elsewhere it is one pass with the same
 * result. rank->stamp is 0 or the optimiser's. */
void nn_optimizer_rank_updates(const struct nn_optimizer *o, struct nn_rank *rank);

/* State as bytes (format in docs/formats.md, "checkpoint"): for resume after a crash. The checksum
 * is the container's. */
void nn_optimizer_save(const struct nn_optimizer *o, struct buf *out);
enum status nn_optimizer_load(struct nn_optimizer *o, struct cursor *in, struct error *err);

#endif
