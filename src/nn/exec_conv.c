/* Conv and ConvTranspose in NHWC: forward, backward by data, backward by weights. Each pass is
 * oneDNN's, or that of conv_group.h where that is expected to be faster. */
#include "nn/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/conv_fold.h"
#include "nn/conv_group.h"
#include "nn/exec_bytes.h"
#include "nn/kernels.h"
#include "nn/kernels_narrow.h"

enum { IN_X, IN_WEIGHTS, IN_BIAS };

#define LATE_SCRATCH 8 /* times what is kept for it */

static int64_t batched(const struct nn_plan *p, const struct nn_tensor *t)
{
    return t->batched ? t->dim[0] * p->options.batch : t->dim[0];
}

struct nn_window nn_window_of_node(const struct nn_plan *p, const struct nn_node *n)
{
    const struct nn_tensor *x = &p->graph->tensors[n->input[0]];
    const struct nn_tensor *y = &p->graph->tensors[n->output[0]];
    const union nn_attributes *a = &n->a;
    struct nn_window w = {
        .batch = batched(p, x),
        .in_channels = x->dim[1],
        .in_height = x->dim[2],
        .in_width = x->dim[3],
        .out_channels = y->dim[1],
        .out_height = y->dim[2],
        .out_width = y->dim[3],
        .groups = a->window.groups > 0 ? a->window.groups : 1,
        .transposed = n->op == NN_OP_CONV_TRANSPOSE,
        .bias = n->input_count > IN_BIAS && n->input[IN_BIAS] >= 0,
    };
    for (int i = 0; i < 2; i++) {
        w.kernel[i] = a->window.kernel[i];
        w.stride[i] = a->window.stride[i];
        w.dilation[i] = a->window.dilation[i];
    }
    for (int i = 0; i < 4; i++)
        w.pad[i] = a->window.pad[i];
    return w;
}

struct nn_window nn_window_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    struct nn_window w = nn_window_of_node(p, ir->node);
    w.planar = ir->planar;
    w.bias = w.bias || ir->norm;
    return w;
}

/* An inference session works on blocks where it means to. */
static enum nn_winograd winograd_of(const struct nn_plan *p, const struct nn_ir *ir,
                                    const struct nn_window *w)
{
    if (!p->options.winograd || p->options.precision != NN_PRECISION_F32 ||
        nn_out(p, ir, 0)->layout != NN_LAYOUT_BLOCKED || w->groups != 1 || w->kernel[0] != 3 ||
        w->kernel[1] != 3)
        return NN_WINOGRAD_NEVER;
    return p->options.mode == NN_TRAIN ? NN_WINOGRAD_MAYBE : NN_WINOGRAD_ALWAYS;
}

static struct nn_conv_spec spec_of(const struct nn_plan *p, const struct nn_ir *ir,
                                   const struct nn_window *w, enum nn_pass pass)
{
    struct nn_conv_spec spec = {
        .window = *w,
        .pass = pass,
        .transient = p->options.mode == NN_TRAIN,
        .src = nn_value_format(nn_in(p, ir, IN_X)),
        .dst = nn_value_format(nn_out(p, ir, 0)),
        .winograd = winograd_of(p, ir, w),
        .post_count = ir->post_count,
    };
    memcpy(spec.post, ir->post, sizeof spec.post);
    if (spec.src.type != NN_TYPE_U8)
        return spec;
    const struct nn_value *addend = nn_optional(p, ir, NN_CONV_ADDEND);
    spec.window.bias = true;
    spec.src_quant = nn_in(p, ir, IN_X)->quant;
    spec.dst_quant = nn_out(p, ir, 0)->quant;
    spec.sum_quant = addend ? addend->quant : spec.dst_quant;
    return spec;
}

static void conv_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    if (nn_in(p, ir, IN_WEIGHTS)->needs_grad)
        nn_in(p, ir, IN_X)->saved = true;
}

/* --- a batch-norm behind the convolution --- */

/* Where the operands of run_fold begin. */
struct fold_args {
    struct nn_window window;
    float epsilon;
    bool bias;
    int first;
};

enum {
    FOLD_WEIGHTS,
    FOLD_BIAS,
    FOLD_SCALE,
    FOLD_SHIFT,
    FOLD_MEAN,
    FOLD_VARIANCE,
    FOLD_RESULT,
    FOLD_VECTORS
};

/* The arguments of s begin with a struct fold_args. */
static void run_fold(struct nn_step *s)
{
    const struct fold_args *a = s->args;
    float *const *data = s->data + a->first;
    struct nn_norm norm = {data[FOLD_SCALE], data[FOLD_SHIFT], data[FOLD_MEAN], data[FOLD_VARIANCE],
                           a->epsilon};
    nn_conv_fold(&a->window, &norm, data[FOLD_WEIGHTS], a->bias ? data[FOLD_BIAS] : NULL,
                 data[FOLD_RESULT], data[FOLD_VECTORS]);
}

/* What a convolution reads as weights and bias (-1: none): the parameters, or what run_fold makes
 * of them. */
struct conv_weights {
    int weights, bias;
};

/* keep: the step reads the folded weights, which are not packed. */
static enum status weights_of(struct nn_plan *p, const struct nn_ir *ir, bool keep,
                              struct conv_weights *ret, struct error *err)
{
    const struct nn_value *weights = nn_in(p, ir, IN_WEIGHTS), *bias = nn_optional(p, ir, IN_BIAS);
    *ret = (struct conv_weights){weights->buffer, bias ? bias->buffer : -1};
    if (!ir->norm)
        return ST_OK;
    size_t channels = (size_t)nn_out(p, ir, 0)->dim[1];
    ret->weights = nn_plan_buffer(p, nn_value_bytes(weights));
    ret->bias = nn_plan_buffer(p, 2 * channels * sizeof(float));
    if (ret->weights < 0 || ret->bias < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    p->buffers[ret->weights].pinned = keep;
    p->buffers[ret->weights].between = !keep;
    p->buffers[ret->bias].pinned = true;
    return ST_OK;
}

/* Has the step fold before its weights are packed; `args` is in the step's arguments. */
static void add_fold(struct nn_plan *p, const struct nn_ir *ir, struct nn_step *s,
                     const struct conv_weights *folded, struct fold_args *args)
{
    const struct nn_value *bias = nn_optional(p, ir, IN_BIAS);
    int weights = nn_in(p, ir, IN_WEIGHTS)->buffer;
    *args = (struct fold_args){.window = nn_window_of(p, ir),
                               .epsilon = ir->norm->a.batch_norm.epsilon,
                               .bias = bias != NULL,
                               .first = s->operand_count};
    s->prepare = run_fold;
    nn_step_slot(s, NN_SLOT_NONE, weights);
    nn_step_slot(s, NN_SLOT_NONE, bias ? bias->buffer : weights);
    for (int k = 0; k < 4; k++)
        nn_step_slot(s, NN_SLOT_NONE, nn_in(p, ir, NN_CONV_NORM + k)->buffer);
    nn_step_slot(s, NN_SLOT_NONE, folded->weights);
    nn_step_slot(s, NN_SLOT_NONE, folded->bias);
}

/* --- conv_group.h's steps: operands source, weights (or their gradient), result, scratch, bias */

/* They may read beyond the end of their input: not what others own. */
static bool by_group(const struct nn_plan *p, const struct nn_ir *ir, const struct nn_window *w,
                     enum nn_pass pass)
{
    const struct nn_value *x = nn_in(p, ir, IN_X);
    return x->layout == NN_LAYOUT_CHANNELS_LAST && x->type == NN_TYPE_F32 && x->param < 0 &&
           !x->constant && nn_group_is_better(w, pass);
}

bool nn_conv_spec_of(const struct nn_plan *p, const struct nn_ir *ir, struct nn_conv_spec *ret)
{
    struct nn_window w = nn_window_of(p, ir);
    *ret = spec_of(p, ir, &w, NN_PASS_FORWARD);
    return !by_group(p, ir, &w, NN_PASS_FORWARD);
}

struct group_args {
    struct fold_args fold;
    struct nn_window window;
    int threads;
    bool add;
    float lo, hi;
};

static enum status run_group_forward(struct nn_step *s)
{
    const struct group_args *a = s->args;
    nn_group_forward(&a->window, a->threads, s->data[3], s->data[0], s->data[1],
                     a->window.bias ? s->data[4] : NULL, s->data[2], a->lo, a->hi);
    return ST_OK;
}

static enum status run_group_data(struct nn_step *s)
{
    const struct group_args *a = s->args;
    nn_group_backward_data(&a->window, a->threads, s->data[3], s->data[0], s->data[1], s->data[2],
                           a->add);
    return ST_OK;
}

/* x, gy, gradient of the weights, scratch */
static enum status run_group_weights(struct nn_step *s)
{
    const struct group_args *a = s->args;
    nn_group_backward_weights(&a->window, a->threads, s->data[3], s->data[0], s->data[1],
                              s->data[2]);
    return ST_OK;
}

static enum status group_step(struct nn_plan *p, const struct nn_window *w, enum nn_pass pass,
                              bool add, const int buffer[3], struct nn_step **ret,
                              struct error *err)
{
    enum status (*const run[])(struct nn_step *) = {
        [NN_PASS_FORWARD] = run_group_forward,
        [NN_PASS_BACKWARD_DATA] = run_group_data,
        [NN_PASS_BACKWARD_WEIGHTS] = run_group_weights,
    };
    int threads = p->options.threads;
    int scratch = nn_plan_buffer(p, nn_group_scratch_bytes(w, pass, threads));
    if (scratch < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    enum status st = nn_plan_step(p, run[pass], sizeof(struct group_args), ret, err);
    if (st)
        return st;
    *(struct group_args *)(*ret)->args = (struct group_args){
        .window = *w, .threads = threads, .add = add, .lo = -INFINITY, .hi = INFINITY};
    for (int i = 0; i < 3; i++)
        nn_step_operand(*ret, buffer[i]);
    nn_step_operand(*ret, scratch);
    return ST_OK;
}

static enum status group_forward(struct nn_plan *p, struct nn_ir *ir, const struct nn_window *w,
                                 struct error *err)
{
    struct nn_step *s;
    struct conv_weights with;
    enum status st = weights_of(p, ir, true, &with, err);
    if (!st)
        st = nn_plan_output(p, ir, 0, -1, err);
    if (st)
        return st;
    int buffer[] = {nn_in(p, ir, IN_X)->buffer, with.weights, nn_out(p, ir, 0)->buffer};
    st = group_step(p, w, NN_PASS_FORWARD, false, buffer, &s, err);
    if (st)
        return st;
    struct group_args *args = s->args;
    if (w->bias)
        nn_step_operand(s, with.bias);
    if (ir->norm)
        add_fold(p, ir, s, &with, &args->fold);
    if (ir->post_count > 0) {
        args->lo = ir->post[0].lo;
        args->hi = ir->post[0].hi;
    }
    return ST_OK;
}

static enum status group_backward_data(struct nn_plan *p, struct nn_ir *ir,
                                       const struct nn_window *w, int gy, struct error *err)
{
    struct nn_step *s;
    int gx;
    bool add;
    enum status st = nn_grad_begin(p, ir->in[IN_X], true, &gx, &add, err);
    if (st)
        return st;
    int buffer[] = {gy, nn_in(p, ir, IN_WEIGHTS)->buffer, gx};
    st = group_step(p, w, NN_PASS_BACKWARD_DATA, add, buffer, &s, err);
    return st ? st : nn_grad_done(p, ir->in[IN_X], gx, err);
}

static enum status group_backward_weights(struct nn_plan *p, struct nn_ir *ir,
                                          const struct nn_window *w, int gy, struct error *err)
{
    struct nn_step *s;
    int gw;
    bool add;
    enum status st = nn_grad_begin(p, ir->in[IN_WEIGHTS], false, &gw, &add, err);
    if (st)
        return st;
    int buffer[] = {nn_in(p, ir, IN_X)->buffer, gy, gw};
    st = group_step(p, w, NN_PASS_BACKWARD_WEIGHTS, false, buffer, &s, err);
    return st ? st : nn_grad_done(p, ir->in[IN_WEIGHTS], gw, err);
}

/* --- oneDNN's steps --- */

/* What a sum is added to is in the memory of the result. */
enum status nn_conv_place_result(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    bool adds = nn_optional(p, ir, NN_CONV_ADDEND) != NULL;
    enum status st = nn_plan_output(p, ir, 0, adds ? NN_CONV_ADDEND : -1, err);
    assert(st || !adds || nn_out(p, ir, 0)->buffer == nn_in(p, ir, NN_CONV_ADDEND)->buffer);
    return st;
}

static void forward_slots(const struct nn_plan *p, const struct nn_ir *ir, struct nn_step *s,
                          const struct conv_weights *with, int result)
{
    nn_step_slot(s, NN_SLOT_SRC, nn_in(p, ir, IN_X)->buffer);
    nn_step_slot(s, NN_SLOT_WEIGHTS, with->weights);
    if (with->bias >= 0)
        nn_step_slot(s, NN_SLOT_BIAS, with->bias);
    nn_step_slot(s, NN_SLOT_DST, result);
}

static enum status dnnl_forward(struct nn_plan *p, struct nn_ir *ir,
                                const struct nn_conv_spec *spec, struct error *err)
{
    struct nn_dnnl_op *op;
    struct nn_step *s;
    struct conv_weights with;
    enum status st = nn_dnnl_conv_open(p->dnnl, spec, &op, err);
    if (st)
        return st;
    bool packs = nn_dnnl_op_own_bytes(op) > 0;
    st = nn_plan_dnnl_step(p, op, &s, err);
    if (!st)
        st = weights_of(p, ir, !packs, &with, err);
    if (!st)
        st = nn_conv_place_result(p, ir, err);
    if (!st && ir->norm) {
        s->args = calloc(1, sizeof(struct fold_args));
        st = s->args ? ST_OK : error_set(err, ST_NOMEM, "out of memory while planning a session");
    }
    if (st)
        return st;
    forward_slots(p, ir, s, &with, nn_out(p, ir, 0)->buffer);
    if (ir->norm)
        add_fold(p, ir, s, &with, s->args);
    return ST_OK;
}

static enum status conv_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    const struct nn_value *weights = nn_in(p, ir, IN_WEIGHTS);
    if (weights->param < 0 && !weights->constant)
        return nn_plan_refuse(p, err, "its weights must be an initialiser of the file");
    struct nn_conv_spec spec;
    if (!nn_conv_spec_of(p, ir, &spec))
        return group_forward(p, ir, &spec.window, err);
    enum status st = spec.src.type == NN_TYPE_U8 ? nn_conv_forward_bytes(p, ir, &spec, err)
                                                 : dnnl_forward(p, ir, &spec, err);
    return st ? error_prefix(err, "node '%s'", ir->node->name) : ST_OK;
}

enum status nn_conv_remake(struct nn_plan *p, struct nn_ir *ir, int buffer, struct error *err)
{
    struct nn_conv_spec spec;
    struct nn_dnnl_op *op;
    struct nn_step *s;
    struct conv_weights with;
    bool ours = nn_conv_spec_of(p, ir, &spec);
    assert(ours && !ir->norm); /* blocked values are oneDNN's, and nothing is folded in training */
    (void)ours;
    enum status st = nn_dnnl_conv_open(p->dnnl, &spec, &op, err);
    if (!st)
        st = nn_plan_dnnl_step(p, op, &s, err);
    if (!st)
        st = weights_of(p, ir, false, &with, err);
    if (!st)
        forward_slots(p, ir, s, &with, buffer);
    return st;
}

/* --- kernels_narrow.h: the gradient by an input of one block */

static bool is_narrow(const struct nn_plan *p, const struct nn_ir *ir, const struct nn_window *w)
{
    const struct nn_value *x = nn_in(p, ir, IN_X), *y = nn_out(p, ir, 0);
    bool pointwise = w->kernel[0] == 1 && w->kernel[1] == 1 && w->groups == 1 && !w->transposed;
    bool whole = w->in_height == w->out_height && w->in_width == w->out_width && w->pad[0] == 0 &&
                 w->pad[1] == 0;
    return pointwise && whole && x->layout == NN_LAYOUT_BLOCKED && y->layout == NN_LAYOUT_BLOCKED &&
           x->type == y->type && w->in_channels <= NN_BLOCK_CHANNELS &&
           w->out_channels > NN_BLOCK_CHANNELS;
}

struct narrow_args {
    struct kernel_blocked gy;
    int64_t channels;
    bool add;
};

/* gy, weights, packed, gx */
static enum status run_narrow(struct nn_step *s)
{
    const struct narrow_args *a = s->args;
    kernel_narrow_pack(&a->gy, a->channels, s->data[1], s->data[2]);
    kernel_narrow(&a->gy, s->data[0], s->data[2], s->data[3], a->add);
    return ST_OK;
}

static enum status narrow_backward_data(struct nn_plan *p, struct nn_ir *ir, int gy,
                                        struct error *err)
{
    struct narrow_args a = {.gy = nn_blocked_of(nn_out(p, ir, 0)),
                            .channels = nn_in(p, ir, IN_X)->dim[1]};
    int gx, packed = nn_plan_buffer(p, kernel_narrow_floats(&a.gy) * sizeof(float));
    if (packed < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    enum status st = nn_grad_begin(p, ir->in[IN_X], true, &gx, &a.add, err);
    if (st)
        return st;
    int buffer[] = {gy, nn_in(p, ir, IN_WEIGHTS)->buffer, packed, gx};
    st = nn_plan_emit(p, run_narrow, &a, sizeof a, buffer, 4, err);
    return st ? st : nn_grad_done(p, ir->in[IN_X], gx, err);
}

static enum status backward_data(struct nn_plan *p, struct nn_ir *ir, int gy, struct error *err)
{
    struct nn_window w = nn_window_of(p, ir);
    struct nn_dnnl_op *op;
    struct nn_step *s;
    int gx;
    bool add;
    if (by_group(p, ir, &w, NN_PASS_BACKWARD_DATA))
        return group_backward_data(p, ir, &w, gy, err);
    if (is_narrow(p, ir, &w))
        return narrow_backward_data(p, ir, gy, err);
    struct nn_conv_spec spec = spec_of(p, ir, &w, NN_PASS_BACKWARD_DATA);
    enum status st = nn_dnnl_conv_open(p->dnnl, &spec, &op, err);
    if (!st)
        st = nn_plan_dnnl_step(p, op, &s, err);
    if (!st)
        st = nn_grad_begin(p, ir->in[IN_X], false, &gx, &add, err);
    if (st)
        return st;
    nn_step_slot(s, NN_SLOT_DST, gy);
    nn_step_slot(s, NN_SLOT_WEIGHTS, nn_in(p, ir, IN_WEIGHTS)->buffer);
    nn_step_slot(s, NN_SLOT_DIFF_SRC, gx);
    return nn_grad_done(p, ir->in[IN_X], gx, err);
}

struct bias_args {
    int64_t rows, channels;
    struct kernel_blocked blocked;
    bool is_blocked;
};

static enum status run_column_sums(struct nn_step *s)
{
    const struct bias_args *a = s->args;
    if (a->is_blocked)
        kernel_blocked_sums(&a->blocked, s->data[0], s->data[1]);
    else
        kernel_column_sums(s->data[0], a->rows, a->channels, s->data[1]);
    return ST_OK;
}

static enum status backward_bias(struct nn_plan *p, struct nn_ir *ir, int gy, struct error *err)
{
    const struct nn_value *y = nn_out(p, ir, 0);
    struct bias_args a = {.rows = y->count / y->dim[1],
                          .channels = y->dim[1],
                          .is_blocked = y->layout == NN_LAYOUT_BLOCKED};
    if (a.is_blocked)
        a.blocked = nn_blocked_of(y);
    int gb;
    bool add;
    enum status st = nn_grad_begin(p, ir->in[IN_BIAS], false, &gb, &add, err);
    if (!st)
        st = nn_plan_emit(p, run_column_sums, &a, sizeof a, (int[]){gy, gb}, 2, err);
    return st ? st : nn_grad_done(p, ir->in[IN_BIAS], gb, err);
}

/* Winograd's algorithm can need many times as much memory for a small image's gradient by the
 * weights as the image has. That step waits until the activations are gone. */
static bool waits(const struct nn_plan *p, const struct nn_ir *ir, const struct nn_dnnl_op *op)
{
    size_t kept = nn_value_bytes(nn_in(p, ir, IN_X)) + nn_value_bytes(nn_out(p, ir, 0));
    return !ir->late && nn_dnnl_op_scratch_bytes(op) > LATE_SCRATCH * kept;
}

static enum status backward_weights(struct nn_plan *p, struct nn_ir *ir, int gy, struct error *err)
{
    const struct nn_value *bias = nn_optional(p, ir, IN_BIAS);
    struct nn_window w = nn_window_of(p, ir);
    w.bias = bias && bias->needs_grad;
    struct nn_dnnl_op *op;
    struct nn_step *s;
    int gw, gb = -1;
    bool add;
    if (by_group(p, ir, &w, NN_PASS_BACKWARD_WEIGHTS)) {
        enum status st = group_backward_weights(p, ir, &w, gy, err);
        return st || !w.bias ? st : backward_bias(p, ir, gy, err);
    }
    struct nn_conv_spec spec = spec_of(p, ir, &w, NN_PASS_BACKWARD_WEIGHTS);
    enum status st = nn_dnnl_conv_open(p->dnnl, &spec, &op, err);
    if (!st && waits(p, ir, op)) {
        ir->late = true;
        nn_dnnl_op_close(&op);
        return ST_OK;
    }
    if (!st)
        st = nn_plan_dnnl_step(p, op, &s, err);
    if (!st)
        st = nn_grad_begin(p, ir->in[IN_WEIGHTS], false, &gw, &add, err);
    if (!st && w.bias)
        st = nn_grad_begin(p, ir->in[IN_BIAS], false, &gb, &add, err);
    if (st)
        return st;
    nn_step_slot(s, NN_SLOT_DST, gy);
    nn_step_slot(s, NN_SLOT_SRC, nn_in(p, ir, IN_X)->buffer);
    nn_step_slot(s, NN_SLOT_DIFF_WEIGHTS, gw);
    if (w.bias)
        nn_step_slot(s, NN_SLOT_DIFF_BIAS, gb);
    st = nn_grad_done(p, ir->in[IN_WEIGHTS], gw, err);
    return st || !w.bias ? st : nn_grad_done(p, ir->in[IN_BIAS], gb, err);
}

static enum status conv_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    const struct nn_value *bias = nn_optional(p, ir, IN_BIAS);
    int gy = nn_grad_of_output(p, ir, 0);
    enum status st = ST_OK;
    bool late = ir->late;
    if (nn_in(p, ir, IN_WEIGHTS)->needs_grad)
        st = backward_weights(p, ir, gy, err);
    else if (bias && bias->needs_grad) /* the bias alone trains */
        st = backward_bias(p, ir, gy, err);
    if (!st && !late && nn_in(p, ir, IN_X)->needs_grad)
        st = backward_data(p, ir, gy, err);
    return st ? error_prefix(err, "node '%s'", ir->node->name) : ST_OK;
}

const struct nn_exec nn_exec_conv = {conv_saves, conv_forward, conv_backward};
