/* formats.h - which format a node works in (internal to src/nn; pass 1 of plan.h). */
#ifndef ATTUNE_NN_FORMATS_H
#define ATTUNE_NN_FORMATS_H

#include "nn/plan.h"

/* Whether the session's convolutions work on blocks of channels. */
bool nn_plan_wants_blocks(const struct nn_plan *p);

/* Whether the node can work on blocked values; and on those of bfloat16. */
bool nn_node_blocks(const struct nn_plan *p, const struct nn_node *n);
bool nn_node_bf16(const struct nn_plan *p, const struct nn_node *n);

/* What the session's convolutions work on where they can, forward only: F32, BF16 or U8. */
enum nn_type nn_plan_narrow_type(const struct nn_plan *p);

/* Whether the node can work on channels-last values of that type. */
bool nn_node_narrow(const struct nn_plan *p, const struct nn_node *n);

/* Whether bytes mean the same behind the node as in front of it. */
bool nn_node_keeps_quant(const struct nn_node *n);

/* t is [N or 1, C, 1, 1] beside an image [N, C, H, W]. */
bool nn_is_channel_vector(const struct nn_tensor *t, const struct nn_tensor *image);

/* What a convolution reads and makes. from_input: what it reads is the graph's. */
void nn_conv_formats(const struct nn_plan *p, const struct nn_node *n, bool from_input,
                     struct nn_format *ret_src, struct nn_format *ret_dst);

#endif
