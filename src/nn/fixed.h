/* fixed.h - weights that never change need not be there twice (internal to src/nn).
 *
 * A session computes with packed weights and keeps the parameter vector to make them anew after a
 * change. Where there will be none, the vector's pages that only packing read go back to the
 * system.
 */
#ifndef ATTUNE_NN_FIXED_H
#define ATTUNE_NN_FIXED_H

#include "nn/plan.h"

/* After weights were packed for good: empties what no step reads any more of plan->params (its
 * values become 0). Returns the bytes given back, whole pages. */
size_t nn_fixed_release(struct nn_plan *p);

#endif
