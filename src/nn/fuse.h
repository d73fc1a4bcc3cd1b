/* fuse.h - one nn_ir for several nodes (internal to src/nn; pass 1 of plan.h). */
#ifndef ATTUNE_NN_FUSE_H
#define ATTUNE_NN_FUSE_H

#include "nn/plan.h"

/* A step takes over nodes behind it where nobody else reads what is between: it makes their output,
 * and they are dead.
 *
 * In training a batch norm is left to the depthwise convolution behind it (nn_ir.deferred).
 *
 * Batch-norm and addition take the Relu or Clip behind them: `lo` and `hi` of their nn_ir.
 * Convolutions of an inference session take the batch-norm (`norm`), then activations and the
 * addition of another tensor (`post`), where the kernel that runs them can. An addition goes to
 * the other tensor's memory, so that one may have no reader afterwards; the convolution moves to
 * the place of the addition, when both tensors are there. */
void nn_plan_fuse(struct nn_plan *p);

#endif
