/* exec_depthwise.c - in training, a depthwise convolution with the batch norm before it: the norm's
 * steps only take its sums, the convolution normalises what it reads. Half of the passes over
 * memory that the two would make apart, and nothing of what is between is kept. */
#include "nn/exec_norm.h"

#include "nn/kernels_blocked_depthwise.h"

enum { IN_X, IN_WEIGHTS };

bool nn_depthwise_takes_norm(const struct nn_plan *p, const struct nn_ir *conv,
                             const struct nn_ir *norm)
{
    const struct nn_window w = nn_window_of(p, conv);
    const struct nn_value *x = nn_in(p, norm, 0), *y = nn_out(p, conv, 0);
    bool each = w.groups == w.in_channels && w.groups == w.out_channels && !w.bias;
    bool three = w.kernel[0] == 3 && w.kernel[1] == 3 && w.pad[0] == 1 && w.pad[1] == 1 &&
                 w.dilation[0] == 1 && w.dilation[1] == 1;
    bool strides = w.stride[0] == w.stride[1] && (w.stride[0] == 1 || w.stride[0] == 2);
    bool sizes = w.out_height == (w.in_height - 1) / w.stride[0] + 1 &&
                 w.out_width == (w.in_width - 1) / w.stride[1] + 1;
    bool blocked = x->layout == NN_LAYOUT_BLOCKED && y->layout == NN_LAYOUT_BLOCKED;
    return each && three && strides && sizes && blocked && x->type == y->type &&
           conv->in[0] == norm->out[0] && nn_in(p, conv, IN_WEIGHTS)->param >= 0 &&
           nn_out(p, norm, 0)->needs_grad == x->needs_grad;
}

struct depthwise_args {
    struct kernel_dw dw;
    bool weights, input; /* gradients that are wanted */
    bool moments;        /* for the norm behind it */
    bool ends;           /* the backward pass of that */
    float after_lo, after_hi;
};

/* Of both passes; further ones are said at each. */
enum { OP_X, OP_WEIGHTS, OP_KEPT, OP_ROWS, OP_COUNT };

static int64_t lanes_of(const struct kernel_dw *d)
{
    return kernel_blocks_of(d->channels) * NN_BLOCK_CHANNELS;
}

static struct kernel_dw bound(const struct nn_step *s)
{
    const struct depthwise_args *a = s->args;
    struct kernel_dw d = a->dw;
    struct nn_norm_kept k = nn_norm_kept_at(s->data[OP_KEPT], d.channels, lanes_of(&d));
    d.a = k.a;
    d.b = k.b;
    d.weights = s->data[OP_WEIGHTS];
    d.rows = s->data[OP_ROWS];
    return d;
}

/* ..., y, moments (y without) */
static enum status run_forward(struct nn_step *s)
{
    const struct depthwise_args *a = s->args;
    const struct kernel_dw d = bound(s);
    double *moments = a->moments ? (double *)(void *)s->data[OP_COUNT + 1] : NULL;
    kernel_dw_forward(&d, s->data[OP_X], s->data[OP_COUNT], moments);
    return ST_OK;
}

/* ..., gy, mean, parts, sums, gradient of the weights, gradient of what the norm would make, and of
 * the norm behind: y, what it keeps, lines. The parts stand for what there is not. */
enum {
    OP_GY = OP_COUNT,
    OP_MEAN,
    OP_PARTS,
    OP_SUMS,
    OP_GW,
    OP_GNORM,
    OP_Y,
    OP_KEPT_AFTER,
    OP_LINES,
    OP_BACKWARD
};

static struct kernel_dw_after after_of(const struct nn_step *s, const struct kernel_dw *d)
{
    const struct depthwise_args *a = s->args;
    int64_t lanes = lanes_of(d);
    struct nn_norm_kept k = nn_norm_kept_at(s->data[OP_KEPT_AFTER], d->channels, lanes);
    struct nn_norm_lines l = nn_norm_lines_at(s->data[OP_LINES], lanes);
    return (struct kernel_dw_after){s->data[OP_Y], k.a, k.b,         l.k,
                                    l.l,           l.m, a->after_lo, a->after_hi};
}

static enum status run_backward(struct nn_step *s)
{
    const struct depthwise_args *a = s->args;
    const struct kernel_dw d = bound(s);
    const struct kernel_dw_after after = after_of(s, &d);
    const struct kernel_dw_gradients g = {
        .after = a->ends ? &after : NULL,
        .mean = s->data[OP_MEAN],
        .parts = (double *)(void *)s->data[OP_PARTS],
        .weights = a->weights ? s->data[OP_GW] : NULL,
        .gy_norm = a->input ? s->data[OP_GNORM] : NULL,
        .sums = (double *)(void *)s->data[OP_SUMS],
    };
    kernel_dw_backward(&d, s->data[OP_X], s->data[OP_GY], &g);
    return ST_OK;
}

static struct nn_ir *norm_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    return &p->irs[ir->before];
}

static struct depthwise_args args_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    const struct nn_window w = nn_window_of(p, ir);
    const struct nn_ir *norm = norm_of(p, ir);
    return (struct depthwise_args){
        .dw = {.images = w.batch,
               .channels = w.in_channels,
               .in_height = (int)w.in_height,
               .in_width = (int)w.in_width,
               .out_height = (int)w.out_height,
               .out_width = (int)w.out_width,
               .stride = (int)w.stride[0],
               .bf16 = nn_in(p, ir, IN_X)->type == NN_TYPE_BF16,
               .threads = p->options.threads,
               .lo = norm->lo,
               .hi = norm->hi},
    };
}

static enum status nomem(struct error *err)
{
    return error_set(err, ST_NOMEM, "out of memory while planning a session");
}

static enum status common_operands(struct nn_plan *p, const struct nn_ir *ir,
                                   const struct kernel_dw *d, int buffer[OP_COUNT],
                                   struct error *err)
{
    buffer[OP_X] = nn_in(p, ir, IN_X)->buffer;
    buffer[OP_WEIGHTS] = nn_in(p, ir, IN_WEIGHTS)->buffer;
    buffer[OP_KEPT] = norm_of(p, ir)->workspace;
    buffer[OP_ROWS] = nn_plan_buffer(p, kernel_dw_rows(d) * sizeof(float));
    return buffer[OP_ROWS] < 0 ? nomem(err) : ST_OK;
}

static void depthwise_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    nn_in(p, ir, IN_X)->saved = true;
}

static enum status depthwise_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct depthwise_args a = args_of(p, ir);
    int buffer[OP_COUNT + 2];
    enum status st = common_operands(p, ir, &a.dw, buffer, err);
    if (!st)
        st = nn_plan_output(p, ir, 0, -1, err);
    if (st)
        return st;
    buffer[OP_COUNT] = buffer[OP_COUNT + 1] = nn_out(p, ir, 0)->buffer;
    a.moments = ir->after >= 0 && nn_norm_is_batch(p, &p->irs[ir->after]);
    if (a.moments) {
        ir->moments = nn_plan_buffer(p, kernel_dw_moments(&a.dw) * sizeof(double));
        buffer[OP_COUNT + 1] = ir->moments;
    }
    if (a.moments && ir->moments < 0)
        return nomem(err);
    return nn_plan_emit(p, run_forward, &a, sizeof a, buffer, OP_COUNT + 2, err);
}

/* Where the gradients go, and what there is besides. */
static enum status backward_operands(struct nn_plan *p, struct nn_ir *ir,
                                     const struct depthwise_args *a, int buffer[OP_BACKWARD],
                                     struct error *err)
{
    struct nn_ir *norm = norm_of(p, ir);
    bool add;
    norm->sums = nn_plan_buffer(p, kernel_dw_sums(&a->dw) * sizeof(double));
    buffer[OP_GY] = nn_grad_of_output(p, ir, 0);
    buffer[OP_MEAN] = nn_norm_mean(p, norm);
    buffer[OP_PARTS] = nn_plan_buffer(p, kernel_dw_parts(&a->dw) * sizeof(double));
    buffer[OP_SUMS] = norm->sums;
    for (int k = OP_GW; k < OP_BACKWARD; k++)
        buffer[k] = buffer[OP_PARTS];
    if (a->ends) {
        buffer[OP_Y] = nn_out(p, ir, 0)->buffer;
        buffer[OP_KEPT_AFTER] = p->irs[ir->after].workspace;
        buffer[OP_LINES] = p->irs[ir->after].lines;
    }
    if (norm->sums < 0 || buffer[OP_PARTS] < 0)
        return nomem(err);
    enum status st = common_operands(p, ir, &a->dw, buffer, err);
    if (!st && a->weights)
        st = nn_grad_begin(p, ir->in[IN_WEIGHTS], false, &buffer[OP_GW], &add, err);
    if (!st && a->input)
        st = nn_grad_begin(p, norm->out[0], false, &buffer[OP_GNORM], &add, err);
    return st;
}

static enum status depthwise_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct depthwise_args a = args_of(p, ir);
    int buffer[OP_BACKWARD], made = norm_of(p, ir)->out[0];
    a.weights = nn_in(p, ir, IN_WEIGHTS)->needs_grad;
    a.input = p->values[made].needs_grad;
    if (ir->after >= 0 && p->irs[ir->after].lines >= 0) {
        a.ends = true;
        a.after_lo = p->irs[ir->after].lo;
        a.after_hi = p->irs[ir->after].hi;
    }
    enum status st = backward_operands(p, ir, &a, buffer, err);
    if (!st)
        st = nn_plan_emit(p, run_backward, &a, sizeof a, buffer, OP_BACKWARD, err);
    if (!st && a.weights)
        st = nn_grad_done(p, ir->in[IN_WEIGHTS], buffer[OP_GW], err);
    if (!st && a.input)
        st = nn_grad_done(p, made, buffer[OP_GNORM], err);
    return st;
}

const struct nn_exec nn_exec_norm_depthwise = {depthwise_saves, depthwise_forward,
                                               depthwise_backward};
