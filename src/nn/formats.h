/* formats.h - which format a node works in (internal to src/nn; pass 1 of plan.h). */
#ifndef ATTUNE_NN_FORMATS_H
#define ATTUNE_NN_FORMATS_H

#include "nn/plan.h"

/* Whether the session's convolutions work on blocks of channels. */
bool nn_plan_wants_blocks(const struct nn_plan *p);

/* Whether the node can work on blocked values; and on those of bfloat16. */
bool nn_node_blocks(const struct nn_plan *p, const struct nn_node *n);
bool nn_node_bf16(const struct nn_plan *p, const struct nn_node *n);

/* Whether the node can work on channels-last values of bfloat16, forward only. */
bool nn_node_halves(const struct nn_plan *p, const struct nn_node *n);

/* t is [N or 1, C, 1, 1] beside an image [N, C, H, W]. */
bool nn_is_channel_vector(const struct nn_tensor *t, const struct nn_tensor *image);

/* What a convolution reads and makes. from_input: what it reads is the graph's. */
void nn_conv_formats(const struct nn_plan *p, const struct nn_node *n, bool from_input,
                     struct nn_format *ret_src, struct nn_format *ret_dst);

#endif
