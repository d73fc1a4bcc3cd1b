/* ReduceMean and ReduceSum: a weighted sum over the dims that become 1, which is what the gradient
 * of a broadcast factor is; backward spreads the gradient the other way. */
#include "nn/plan.h"

#include <math.h>
#include <string.h>

#include "nn/kernels.h"

static const int64_t zeros[NN_RANK_MAX];

struct reduce_args {
    int rank;
    int64_t dim[NN_RANK_MAX], x_stride[NN_RANK_MAX], y_stride[NN_RANK_MAX]; /* y: 0 where reduced */
    float weight; /* 1, or 1 / the number of elements */
};

static enum status run_reduce(struct nn_step *s)
{
    const struct reduce_args *a = s->args;
    kernel_binary_backward(KERNEL_MUL, 0, a->rank, a->dim, s->data[0], a->x_stride, NULL, NULL,
                           &a->weight, zeros, s->data[1], a->y_stride, false);
    return ST_OK;
}

/* gy, gx */
static enum status run_reduce_backward(struct nn_step *s)
{
    const struct reduce_args *a = s->args;
    kernel_binary(KERNEL_MUL, a->rank, a->dim, s->data[0], a->y_stride, &a->weight, zeros,
                  s->data[1], a->x_stride, -INFINITY, INFINITY);
    return ST_OK;
}

static struct reduce_args reduce_args_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    struct reduce_args a = {.rank = x->rank, .weight = 1};
    memcpy(a.dim, x->dim, sizeof a.dim);
    memcpy(a.x_stride, x->stride, sizeof a.x_stride);
    for (int i = 0; i < x->rank; i++)
        a.y_stride[i] = ir->node->a.reduce.axes >> i & 1 ? 0 : y->stride[i];
    if (ir->node->op == NN_OP_REDUCE_MEAN)
        a.weight = (float)y->count / (float)x->count;
    return a;
}

static enum status reduce_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct reduce_args a = reduce_args_of(p, ir);
    return nn_plan_emit_forward(p, ir, -1, run_reduce, &a, sizeof a, err);
}

static enum status reduce_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct reduce_args a = reduce_args_of(p, ir);
    int gx, gy = nn_grad_of_output(p, ir, 0);
    bool add;
    enum status st = nn_grad_begin(p, ir->in[0], false, &gx, &add, err);
    if (!st)
        st = nn_plan_emit(p, run_reduce_backward, &a, sizeof a, (int[]){gy, gx}, 2, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

const struct nn_exec nn_exec_reduce = {NULL, reduce_forward, reduce_backward};
