/* Operators that move elements: conversion, Concat, Split, Slice, Pad, Transpose, Gather.
 *
 * Each is one or more strided copies; the backward pass is the same copies the other way round,
 * into zeros where the forward pass dropped elements. Reshape never gets here: it is an alias. */
#include "nn/plan.h"

#include <string.h>

#include "nn/kernels.h"
#include "nn/kernels_halves.h"
#include "nn/pixels.h"

/* Of a shuffle whose table is kept. */
#define CHANNELS_MAX 65536

/* y[y_offset + ...] (=, +=) x[x_offset + ...], after y was filled where fill_count > 0. */
struct copy_args {
    int rank;
    int64_t dim[NN_RANK_MAX];
    int64_t x_offset, x_stride[NN_RANK_MAX], y_offset, y_stride[NN_RANK_MAX];
    size_t fill_count;
    float fill_value;
    bool bf16, empty, add; /* bfloat16: no add */
};

static enum status run_copy_bf16(struct nn_step *s)
{
    const struct copy_args *a = s->args;
    const uint16_t *x = (const void *)s->data[0];
    uint16_t *y = (void *)s->data[1];
    if (a->fill_count)
        kernel_fill_bf16(y, a->fill_count, a->fill_value);
    if (!a->empty)
        kernel_copy_bf16(a->rank, a->dim, x + a->x_offset, a->x_stride, y + a->y_offset,
                         a->y_stride);
    return ST_OK;
}

static enum status run_copy(struct nn_step *s)
{
    const struct copy_args *a = s->args;
    if (a->bf16)
        return run_copy_bf16(s);
    if (a->fill_count)
        kernel_fill(s->data[1], a->fill_count, a->fill_value);
    if (!a->empty)
        kernel_copy(a->rank, a->dim, s->data[0] + a->x_offset, a->x_stride,
                    s->data[1] + a->y_offset, a->y_stride, a->add);
    return ST_OK;
}

static enum status emit_copy(struct nn_plan *p, const struct copy_args *args, int from, int to,
                             struct error *err)
{
    return nn_plan_emit(p, run_copy, args, sizeof *args, (int[]){from, to}, 2, err);
}

/* The same elements, from y to x. */
static struct copy_args reversed(const struct copy_args *a)
{
    struct copy_args r = *a;
    memcpy(r.x_stride, a->y_stride, sizeof r.x_stride);
    memcpy(r.y_stride, a->x_stride, sizeof r.y_stride);
    r.x_offset = a->y_offset;
    r.y_offset = a->x_offset;
    r.fill_count = 0;
    r.fill_value = 0;
    return r;
}

static struct copy_args copy_between(const struct nn_value *x, const struct nn_value *y)
{
    struct copy_args a = {.rank = y->rank, .bf16 = y->type == NN_TYPE_BF16};
    memcpy(a.dim, y->dim, sizeof a.dim);
    memcpy(a.x_stride, x->stride, sizeof a.x_stride);
    memcpy(a.y_stride, y->stride, sizeof a.y_stride);
    return a;
}

/* Operators of one input and one output are described by one copy. */
typedef enum status (*describe)(const struct nn_plan *p, const struct nn_ir *ir,
                                struct copy_args *ret, struct error *err);

static enum status single_forward(struct nn_plan *p, struct nn_ir *ir, describe how,
                                  struct error *err)
{
    struct copy_args a;
    enum status st = how(p, ir, &a, err);
    return st ? st : nn_plan_emit_forward(p, ir, -1, run_copy, &a, sizeof a, err);
}

static enum status single_backward(struct nn_plan *p, struct nn_ir *ir, describe how,
                                   struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0);
    struct copy_args a;
    int gx;
    enum status st = how(p, ir, &a, err);
    if (st)
        return st;
    a = reversed(&a);
    st = nn_grad_begin(p, ir->in[0], true, &gx, &a.add, err);
    if (st)
        return st;
    int64_t moved = a.empty ? 0 : 1;
    for (int i = 0; i < a.rank; i++)
        moved *= a.dim[i];
    if (!a.add && moved < x->count)
        a.fill_count = (size_t)x->count;
    st = emit_copy(p, &a, nn_grad_of_output(p, ir, 0), gx, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

#define SINGLE(name)                                                                               \
    static enum status name##_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)      \
    {                                                                                              \
        return single_forward(p, ir, describe_##name, err);                                        \
    }                                                                                              \
    static enum status name##_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)     \
    {                                                                                              \
        return single_backward(p, ir, describe_##name, err);                                       \
    }                                                                                              \
    const struct nn_exec nn_exec_##name = {NULL, name##_forward, name##_backward};

static enum status describe_strided(const struct nn_plan *p, const struct nn_ir *ir,
                                    struct copy_args *ret, struct error *err)
{
    (void)err;
    *ret = copy_between(nn_in(p, ir, 0), nn_out(p, ir, 0));
    return ST_OK;
}

static bool is_strided(const struct nn_value *v)
{
    return v->layout != NN_LAYOUT_BLOCKED && v->type == NN_TYPE_F32;
}

static enum status emit_reorder(struct nn_plan *p, const struct nn_value *shape,
                                struct nn_format from, struct nn_format to, int from_buffer,
                                int to_buffer, struct error *err)
{
    struct nn_dnnl_op *op;
    struct nn_step *s;
    enum status st = nn_dnnl_reorder_open(p->dnnl, shape->rank, shape->dim, from, to, &op, err);
    if (!st)
        st = nn_plan_dnnl_step(p, op, &s, err);
    if (st)
        return st;
    nn_step_slot(s, NN_SLOT_SRC, from_buffer);
    nn_step_slot(s, NN_SLOT_DST, to_buffer);
    return ST_OK;
}

/* Between strided formats by our own copy, which can add; else by oneDNN's. */
static enum status convert_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    if (is_strided(x) && is_strided(y))
        return single_forward(p, ir, describe_strided, err);
    enum status st = nn_plan_output(p, ir, 0, -1, err);
    return st ? st
              : emit_reorder(p, x, nn_value_format(x), nn_value_format(y), x->buffer,
                             nn_out(p, ir, 0)->buffer, err);
}

static enum status convert_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    if (is_strided(x) && is_strided(y))
        return single_backward(p, ir, describe_strided, err);
    int gx, gy = nn_grad_of_output(p, ir, 0);
    bool add;
    enum status st = nn_grad_begin(p, ir->in[0], false, &gx, &add, err);
    if (!st)
        st = emit_reorder(p, x, nn_value_format(y), nn_value_format(x), gy, gx, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

const struct nn_exec nn_exec_convert = {NULL, convert_forward, convert_backward};

static enum status describe_transpose(const struct nn_plan *p, const struct nn_ir *ir,
                                      struct copy_args *ret, struct error *err)
{
    (void)err;
    const struct nn_value *x = nn_in(p, ir, 0);
    *ret = copy_between(x, nn_out(p, ir, 0));
    for (int i = 0; i < x->rank; i++)
        ret->x_stride[i] = x->stride[ir->node->a.transpose.perm[i]];
    return ST_OK;
}

/* A channel shuffle: images stay where they are, their channels change places. */
struct shuffle_args {
    int64_t pixels;
    int channels;
    bool add;
    int source[]; /* [channels] */
};

static enum status run_shuffle(struct nn_step *s)
{
    const struct shuffle_args *a = s->args;
    nn_shuffle_channels(s->data[0], s->data[1], a->pixels, a->channels, a->source, a->add);
    return ST_OK;
}

static bool is_shuffle(const struct nn_plan *p, const struct nn_ir *ir)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    const int *perm = ir->node->a.transpose.perm;
    return x->layout == NN_LAYOUT_CHANNELS_LAST && y->layout == NN_LAYOUT_CHANNELS_LAST &&
           perm[0] == 0 && perm[x->rank - 1] == x->rank - 1 && perm[x->rank - 2] == x->rank - 2 &&
           x->count / x->dim[0] / x->dim[x->rank - 1] / x->dim[x->rank - 2] <= CHANNELS_MAX;
}

/* Which of x's channels, in memory, is y's channel c. */
static int source_of(const struct nn_value *x, const struct nn_value *y, const int *perm, int c)
{
    int64_t source = 0;
    for (int i = 1; i < y->rank - 2; i++)
        source += c / y->stride[i] % y->dim[i] * x->stride[perm[i]];
    return (int)source;
}

static enum status shuffle_step(struct nn_plan *p, const struct nn_ir *ir, bool back, bool add,
                                int from, int to, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    int64_t pixels = x->dim[0] * x->dim[x->rank - 1] * x->dim[x->rank - 2];
    int channels = (int)(x->count / pixels);
    struct nn_step *s;
    enum status st = nn_plan_step(
        p, run_shuffle, sizeof(struct shuffle_args) + (size_t)channels * sizeof(int), &s, err);
    if (st)
        return st;
    struct shuffle_args *a = s->args;
    a->pixels = pixels;
    a->channels = channels;
    a->add = add;
    for (int c = 0; c < channels; c++) {
        int source = source_of(x, y, ir->node->a.transpose.perm, c);
        a->source[back ? source : c] = back ? c : source;
    }
    nn_step_operand(s, from);
    nn_step_operand(s, to);
    return ST_OK;
}

static enum status transpose_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    if (!is_shuffle(p, ir))
        return single_forward(p, ir, describe_transpose, err);
    enum status st = nn_plan_output(p, ir, 0, -1, err);
    return st ? st
              : shuffle_step(p, ir, false, false, nn_in(p, ir, 0)->buffer, nn_out(p, ir, 0)->buffer,
                             err);
}

static enum status transpose_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    int gx;
    bool add;
    if (!is_shuffle(p, ir))
        return single_backward(p, ir, describe_transpose, err);
    enum status st = nn_grad_begin(p, ir->in[0], true, &gx, &add, err);
    if (!st)
        st = shuffle_step(p, ir, true, add, nn_grad_of_output(p, ir, 0), gx, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

const struct nn_exec nn_exec_transpose = {NULL, transpose_forward, transpose_backward};

static enum status describe_slice(const struct nn_plan *p, const struct nn_ir *ir,
                                  struct copy_args *ret, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    *ret = copy_between(x, y);
    for (int i = 0; i < x->rank; i++) {
        bool whole = x->dim[i] == y->dim[i] && ir->node->a.slice.step[i] == 1;
        int64_t start = whole ? 0 : ir->node->a.slice.start[i], step = ir->node->a.slice.step[i];
        int64_t last = start + step * (y->dim[i] - 1);
        if (start < 0 || start >= x->dim[i] || last < 0 || last >= x->dim[i])
            return nn_plan_refuse(p, err, "it reads outside its input");
        ret->x_offset += start * x->stride[i];
        ret->x_stride[i] = step * x->stride[i];
    }
    return ST_OK;
}
SINGLE(slice)

static int64_t positive(int64_t v)
{
    return v > 0 ? v : 0;
}

static enum status describe_pad(const struct nn_plan *p, const struct nn_ir *ir,
                                struct copy_args *ret, struct error *err)
{
    (void)err;
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    *ret = copy_between(x, y);
    for (int i = 0; i < x->rank; i++) {
        int64_t before = ir->node->a.pad.before[i], after = ir->node->a.pad.after[i];
        ret->dim[i] = x->dim[i] - positive(-before) - positive(-after);
        ret->empty = ret->empty || ret->dim[i] <= 0;
        ret->x_offset += positive(-before) * x->stride[i];
        ret->y_offset += positive(before) * y->stride[i];
        if (before > 0 || after > 0)
            ret->fill_count = (size_t)y->count;
    }
    ret->fill_value = ir->node->a.pad.value;
    return ST_OK;
}
SINGLE(pad)

static enum status reshape_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    (void)ir;
    return error_set(err, ST_INTERNAL, "node '%s' was not made an alias",
                     p->graph->nodes[p->node].name);
}

const struct nn_exec nn_exec_reshape = {NULL, reshape_forward, NULL};

/* --- Concat and Split: the part [at, at + part's size) of the axis of the whole --- */

static struct copy_args part_to_whole(const struct nn_value *part, const struct nn_value *whole,
                                      int axis, int64_t at)
{
    struct copy_args a = copy_between(part, part);
    memcpy(a.y_stride, whole->stride, sizeof a.y_stride);
    a.y_offset = at * whole->stride[axis];
    return a;
}

static enum status concat_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    int axis = ir->node->a.axis.axis;
    int64_t at = 0;
    enum status st = nn_plan_output(p, ir, 0, -1, err);
    for (int i = 0; i < ir->input_count && !st; i++) {
        const struct nn_value *x = nn_in(p, ir, i), *y = nn_out(p, ir, 0);
        if (x->rank != y->rank || at + x->dim[axis] > y->dim[axis])
            return nn_plan_refuse(p, err, "its inputs do not fit its output");
        struct copy_args a = part_to_whole(x, y, axis, at);
        st = emit_copy(p, &a, x->buffer, y->buffer, err);
        at += x->dim[axis];
    }
    return st;
}

static enum status concat_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    int axis = ir->node->a.axis.axis;
    int64_t at = 0;
    enum status st = ST_OK;
    for (int i = 0; i < ir->input_count && !st; i++) {
        const struct nn_value *x = nn_in(p, ir, i);
        struct copy_args forward = part_to_whole(x, nn_out(p, ir, 0), axis, at);
        struct copy_args a = reversed(&forward);
        int gx;
        at += x->dim[axis];
        if (!x->needs_grad)
            continue;
        st = nn_grad_begin(p, ir->in[i], true, &gx, &a.add, err);
        if (!st)
            st = emit_copy(p, &a, nn_grad_of_output(p, ir, 0), gx, err);
        if (!st)
            st = nn_grad_done(p, ir->in[i], gx, err);
    }
    return st;
}

const struct nn_exec nn_exec_concat = {NULL, concat_forward, concat_backward};

static enum status split_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    int axis = ir->node->a.axis.axis;
    int64_t at = 0;
    enum status st = ST_OK;
    for (int i = 0; i < ir->output_count && !st; i++) {
        if (ir->out[i] < 0)
            return nn_plan_refuse(p, err, "an output of it is missing");
        const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, i);
        if (at + y->dim[axis] > x->dim[axis])
            return nn_plan_refuse(p, err, "its outputs are larger than its input");
        struct copy_args whole = part_to_whole(y, x, axis, at);
        struct copy_args a = reversed(&whole);
        st = nn_plan_output(p, ir, i, -1, err);
        if (!st)
            st = emit_copy(p, &a, x->buffer, y->buffer, err);
        at += y->dim[axis];
    }
    return st;
}

static enum status split_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0);
    int axis = ir->node->a.axis.axis, gx;
    int64_t at = 0;
    bool add, missing = false;
    for (int i = 0; i < ir->output_count; i++)
        missing = missing || nn_grad_of_output(p, ir, i) < 0;
    enum status st = nn_grad_begin(p, ir->in[0], true, &gx, &add, err);
    for (int i = 0; i < ir->output_count && !st; i++) {
        const struct nn_value *y = nn_out(p, ir, i);
        struct copy_args a = part_to_whole(y, x, axis, at);
        at += y->dim[axis];
        if (y->grad < 0)
            continue;
        a.add = add;
        if (missing && !add)
            a.fill_count = (size_t)x->count;
        missing = false;
        st = emit_copy(p, &a, y->grad, gx, err);
    }
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

const struct nn_exec nn_exec_split = {NULL, split_forward, split_backward};

/* --- Gather: one copy for each index --- */

struct gather_args {
    struct copy_args slice; /* of one index */
    int64_t index_count, x_step, y_step;
    const int64_t *index; /* the model's */
    int64_t x_size;
};

static int64_t gather_at(const struct gather_args *a, int64_t i)
{
    return a->index[i] < 0 ? a->index[i] + a->x_size : a->index[i];
}

static enum status run_gather(struct nn_step *s)
{
    const struct gather_args *a = s->args;
    for (int64_t i = 0; i < a->index_count; i++)
        kernel_copy(a->slice.rank, a->slice.dim, s->data[0] + gather_at(a, i) * a->x_step,
                    a->slice.x_stride, s->data[1] + i * a->y_step, a->slice.y_stride, false);
    return ST_OK;
}

/* gy, gx: an index may occur twice. */
static enum status run_gather_backward(struct nn_step *s)
{
    const struct gather_args *a = s->args;
    if (a->slice.fill_count)
        kernel_fill(s->data[1], a->slice.fill_count, 0);
    for (int64_t i = 0; i < a->index_count; i++)
        kernel_copy(a->slice.rank, a->slice.dim, s->data[0] + i * a->y_step, a->slice.y_stride,
                    s->data[1] + gather_at(a, i) * a->x_step, a->slice.x_stride, true);
    return ST_OK;
}

static enum status gather_args_of(const struct nn_plan *p, const struct nn_ir *ir,
                                  struct gather_args *ret, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    const struct nn_tensor *index = &p->graph->tensors[ir->node->input[1]];
    int axis = ir->node->a.axis.axis;
    if (index->kind != NN_TENSOR_CONSTANT || index->dtype != NN_I64)
        return nn_plan_refuse(p, err, "its indices must be constant");
    struct gather_args a = {
        .index_count = 1, .index = index->data, .x_size = x->dim[axis], .x_step = x->stride[axis]};
    for (int i = 0; i < index->rank; i++)
        a.index_count *= index->dim[i];
    for (int64_t i = 0; i < a.index_count; i++)
        if (gather_at(&a, i) < 0 || gather_at(&a, i) >= a.x_size)
            return nn_plan_refuse(p, err, "an index is outside its input");
    a.y_step = index->rank > 0 ? y->stride[axis + index->rank - 1] : 0;
    for (int i = 0; i < x->rank; i++) {
        if (i == axis)
            continue;
        a.slice.dim[a.slice.rank] = x->dim[i];
        a.slice.x_stride[a.slice.rank] = x->stride[i];
        a.slice.y_stride[a.slice.rank++] = y->stride[i < axis ? i : i + index->rank - 1];
    }
    *ret = a;
    return ST_OK;
}

static enum status gather_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct gather_args a;
    enum status st = gather_args_of(p, ir, &a, err);
    return st ? st : nn_plan_emit_forward(p, ir, -1, run_gather, &a, sizeof a, err);
}

static enum status gather_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct gather_args a;
    int gx, gy = nn_grad_of_output(p, ir, 0);
    bool add;
    enum status st = gather_args_of(p, ir, &a, err);
    if (!st)
        st = nn_grad_begin(p, ir->in[0], true, &gx, &add, err);
    if (st)
        return st;
    a.slice.fill_count = add ? 0 : (size_t)nn_in(p, ir, 0)->count;
    st = nn_plan_emit(p, run_gather_backward, &a, sizeof a, (int[]){gy, gx}, 2, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

const struct nn_exec nn_exec_gather = {NULL, gather_forward, gather_backward};
