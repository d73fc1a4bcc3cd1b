/* recompute.h - activations that are made twice instead of kept (internal to src/nn).
 *
 * What batch norm and its clamp made costs one pass over its input to make again, and is about half
 * of what a network keeps for its backward pass. Chen et al. 2016 ("Training deep nets with
 * sublinear memory cost") recompute whole segments; here the input of each is kept anyway, so no
 * convolution runs twice.
 */
#ifndef ATTUNE_NN_RECOMPUTE_H
#define ATTUNE_NN_RECOMPUTE_H

#include "nn/plan.h"

/* Before emission: marks the batch norms whose output is not kept. */
void nn_recompute_mark(struct nn_plan *p);

/* Before ir's backward steps: makes again what they read. */
enum status nn_recompute_inputs(struct nn_plan *p, const struct nn_ir *ir, struct error *err);

#endif
