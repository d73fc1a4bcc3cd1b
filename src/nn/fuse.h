/* fuse.h - one nn_ir for several nodes (internal to src/nn; pass 1 of plan.h). */
#ifndef ATTUNE_NN_FUSE_H
#define ATTUNE_NN_FUSE_H

#include "nn/plan.h"

/* Batch-norm and addition take over the Relu or Clip behind them, where nobody else reads what is
 * between: `lo` and `hi` of their nn_ir are set, they make its output, and it is dead. */
void nn_plan_fuse(struct nn_plan *p);

#endif
