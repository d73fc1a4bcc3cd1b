/* exec_norm.h - what a batch norm's steps keep, for the convolution that does its work (internal to
 * src/nn). */
#ifndef ATTUNE_NN_EXEC_NORM_H
#define ATTUNE_NN_EXEC_NORM_H

#include "nn/plan.h"

/* From forward to backward, in the nn_ir's workspace: the batch's mean and variance [channels], the
 * coefficients [lanes]. */
struct nn_norm_kept {
    float *mean, *variance, *a, *b;
};

static inline struct nn_norm_kept nn_norm_kept_at(float *workspace, int64_t channels, int64_t lanes)
{
    float *a = workspace + 2 * channels;
    return (struct nn_norm_kept){workspace, workspace + channels, a, a + lanes};
}

/* What the end of a backward pass is made of (kernel_bn_blocked_lines): [lanes] each. */
struct nn_norm_lines {
    float *k, *l, *m;
};

static inline size_t nn_norm_lines_bytes(int64_t lanes)
{
    return 3 * (size_t)lanes * sizeof(float);
}

static inline struct nn_norm_lines nn_norm_lines_at(float *lines, int64_t lanes)
{
    return (struct nn_norm_lines){lines, lines + lanes, lines + 2 * lanes};
}

/* Whether it normalises with the statistics of the batch. */
bool nn_norm_is_batch(const struct nn_plan *p, const struct nn_ir *ir);

/* The buffer of the mean that it normalises with. */
int nn_norm_mean(const struct nn_plan *p, const struct nn_ir *ir);

#endif
