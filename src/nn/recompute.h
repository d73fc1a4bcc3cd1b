/* recompute.h - activations that are made twice instead of kept (internal to src/nn).
 *
 * Under a memory limit, and as far as that asks for. What batch norm and its clamp made costs one
 * pass over its input to make again, and is up to half of what a network keeps for its backward
 * pass: it goes first, the earliest first. Results of convolutions follow, those first that give
 * most bytes for their operations. Chen et al. 2016 ("Training deep nets with sublinear memory
 * cost") recompute whole segments; here no two convolutions in a row are chosen, so that none runs
 * three times.
 *
 * The gradients are the same bits.
 */
#ifndef ATTUNE_NN_RECOMPUTE_H
#define ATTUNE_NN_RECOMPUTE_H

#include "nn/plan.h"

/* Before emission: marks the results that are not kept, as plan->remake says. */
void nn_recompute_mark(struct nn_plan *p);

/* Before ir's backward steps: makes again what they read. */
enum status nn_recompute_inputs(struct nn_plan *p, const struct nn_ir *ir, struct error *err);

#endif
