/* exec_bytes.h - operators over values kept as bytes, in inference sessions of NN_PRECISION_INT8
 * (internal to src/nn; passes 1 and 2 of plan.h).
 *
 * A convolution reads bytes and writes bytes or float32; so that the steps between two of them
 * need no float32 either, sums, max pooling and the global average have forms for bytes.
 * Whatever else layout.c gave bytes, and fuse.c did not make part of a convolution, goes back to
 * float32 here, with conversions around it.
 */
#ifndef ATTUNE_NN_EXEC_BYTES_H
#define ATTUNE_NN_EXEC_BYTES_H

#include "nn/plan.h"

/* Emits the forward pass of a convolution of bytes; spec as nn_conv_spec_of has it. */
enum status nn_conv_forward_bytes(struct nn_plan *p, struct nn_ir *ir,
                                  const struct nn_conv_spec *spec, struct error *err);

/* How an nn_ir that reads or writes bytes runs; NULL: as any other (or not at all, before
 * nn_plan_widen). Convolutions and max pooling are done by oneDNN, as with any other type. */
const struct nn_exec *nn_exec_bytes_of(const struct nn_plan *p, const struct nn_ir *ir);

/* The part of pass 1 behind fusing: float32 where bytes have no form. */
enum status nn_plan_widen(struct nn_plan *p, struct error *err);

#endif
