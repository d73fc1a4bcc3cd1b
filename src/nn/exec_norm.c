/* BatchNormalization, with the activation behind it where fuse.c took that in. Inference and frozen
 * training normalise with the running statistics; batch mode with those of the batch, which are
 * kept for the backward pass, and moves the running ones (unbiased variance, as torch does; ONNX's
 * own training mode stores the biased one). */
#include "nn/exec_norm.h"

#include <math.h>

#include "nn/kernels.h"
#include "nn/kernels_blocked.h"
#include "nn/kernels_halves.h"

enum { IN_X, IN_SCALE, IN_SHIFT, IN_MEAN, IN_VARIANCE };

/* `lanes` floats a coefficient: the channels, padded in a blocked value. */
struct norm_args {
    int64_t rows, channels, lanes;
    struct kernel_blocked blocked;
    float epsilon, momentum, lo, hi;
    bool is_blocked, bf16, batch, has_gx, add; /* bf16: of rows, forward */
    bool deferred;                             /* nn_ir.deferred */
    bool given;                                /* the moments, by a convolution */
    bool leaves;                               /* the end of the backward pass to a convolution */
};

static struct nn_norm_kept kept_at(const struct norm_args *a, float *workspace)
{
    return nn_norm_kept_at(workspace, a->channels, a->lanes);
}

static size_t kept_bytes(const struct norm_args *a)
{
    return (size_t)(2 * a->channels + 2 * a->lanes) * sizeof(float);
}

/* Operands of both passes; further ones are said at each. */
enum { OP_X, OP_SCALE, OP_SHIFT, OP_MEAN, OP_VARIANCE, OP_KEPT, OP_SCRATCH, OP_COUNT };

static struct kernel_bn blocked_norm(const struct nn_step *s, const struct norm_args *a)
{
    struct nn_norm_kept k = kept_at(a, s->data[OP_KEPT]);
    return (struct kernel_bn){
        .scale = s->data[OP_SCALE],
        .shift = s->data[OP_SHIFT],
        .mean = a->batch ? k.mean : s->data[OP_MEAN],
        .variance = a->batch ? k.variance : s->data[OP_VARIANCE],
        .epsilon = a->epsilon,
        .lo = a->lo,
        .hi = a->hi,
        .a = k.a,
        .b = k.b,
        .scratch = (double *)(void *)s->data[OP_SCRATCH],
    };
}

static void forward_blocked(struct nn_step *s, const struct norm_args *a)
{
    struct kernel_bn n = blocked_norm(s, a);
    float *y = a->deferred ? NULL : s->data[OP_COUNT + 1];
    n.moments = a->given ? (const double *)(const void *)s->data[OP_COUNT] : NULL;
    if (a->batch)
        kernel_bn_blocked_batch(&a->blocked, &n, s->data[OP_X], y);
    else
        kernel_bn_blocked(&a->blocked, &n, s->data[OP_X], y);
}

struct line {
    const float *a, *b;
    const struct norm_args *args;
};

static void apply_piece(const void *args, int64_t first, int64_t n, const float *x, float *y)
{
    const struct line *l = args;
    (void)first;
    kernel_bn_apply(x, l->a, l->b, y, n / l->args->channels, l->args->channels, l->args->lo,
                    l->args->hi);
}

static void forward_rows(struct nn_step *s, const struct norm_args *a)
{
    struct nn_norm_kept k = kept_at(a, s->data[OP_KEPT]);
    if (a->batch)
        kernel_bn_statistics(s->data[OP_X], a->rows, a->channels, k.mean, k.variance);
    kernel_bn_coefficients(
        s->data[OP_SCALE], s->data[OP_SHIFT], a->batch ? k.mean : s->data[OP_MEAN],
        a->batch ? k.variance : s->data[OP_VARIANCE], a->epsilon, a->channels, k.a, k.b);
    const struct line line = {k.a, k.b, a};
    if (a->bf16)
        kernel_by_pieces(s->data[OP_X], s->data[OP_COUNT + 1], a->rows * a->channels, a->channels,
                         apply_piece, &line);
    else
        kernel_bn_apply(s->data[OP_X], k.a, k.b, s->data[OP_COUNT + 1], a->rows, a->channels, a->lo,
                        a->hi);
}

/* ..., moments (x without), y (not where it is deferred) */
static enum status run_forward(struct nn_step *s)
{
    const struct norm_args *a = s->args;
    struct nn_norm_kept k = kept_at(a, s->data[OP_KEPT]);
    if (a->is_blocked)
        forward_blocked(s, a);
    else
        forward_rows(s, a);
    if (a->batch)
        kernel_bn_running(k.mean, k.variance, a->rows, a->channels, a->momentum, s->data[OP_MEAN],
                          s->data[OP_VARIANCE]);
    return ST_OK;
}

/* ..., y (clamped rows only), gy, gscale, gshift, gx (gy without one), sums (deferred only, else
 * gy), lines (where the end is left to another) */
enum { OP_Y = OP_COUNT, OP_GY, OP_GSCALE, OP_GSHIFT, OP_GX, OP_SUMS, OP_LINES };

static void backward_blocked(struct nn_step *s, const struct norm_args *a,
                             const struct kernel_bn *n)
{
    float *gx = a->has_gx && !a->leaves ? s->data[OP_GX] : NULL;
    kernel_bn_blocked_backward(&a->blocked, n, a->batch, s->data[OP_X], s->data[OP_GY], gx, a->add,
                               s->data[OP_GSCALE], s->data[OP_GSHIFT]);
    if (!a->leaves)
        return;
    const struct nn_norm_lines l = nn_norm_lines_at(s->data[OP_LINES], a->lanes);
    kernel_bn_blocked_lines(&a->blocked, n, a->batch, s->data[OP_GSCALE], s->data[OP_GSHIFT], l.k,
                            l.l, l.m);
}

static enum status run_backward(struct nn_step *s)
{
    const struct norm_args *a = s->args;
    struct kernel_bn n = blocked_norm(s, a);
    float *gx = a->has_gx ? s->data[OP_GX] : NULL;
    n.sums = a->deferred ? (const double *)(const void *)s->data[OP_SUMS] : NULL;
    if (a->is_blocked)
        backward_blocked(s, a, &n);
    else
        kernel_bn_backward(s->data[OP_X], s->data[OP_Y], s->data[OP_GY], a->rows, a->channels,
                           n.scale, n.mean, n.variance, a->epsilon, a->batch, a->lo, a->hi, gx,
                           a->add, s->data[OP_GSCALE], s->data[OP_GSHIFT]);
    return ST_OK;
}

static bool is_frozen(const struct nn_plan *p, const struct nn_value *v)
{
    return v->param >= 0 && p->options.frozen && p->options.frozen[v->param];
}

/* One whose scale and shift do not train leaves its statistics alone as well. */
bool nn_norm_is_batch(const struct nn_plan *p, const struct nn_ir *ir)
{
    if (is_frozen(p, nn_in(p, ir, IN_SCALE)) && is_frozen(p, nn_in(p, ir, IN_SHIFT)))
        return false;
    return p->options.mode == NN_TRAIN && p->options.bn_mode == NN_BN_BATCH &&
           nn_in(p, ir, IN_MEAN)->param >= 0 && nn_in(p, ir, IN_VARIANCE)->param >= 0;
}

int nn_norm_mean(const struct nn_plan *p, const struct nn_ir *ir)
{
    return nn_norm_is_batch(p, ir) ? ir->workspace : nn_in(p, ir, IN_MEAN)->buffer;
}

static struct norm_args norm_args_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    const struct nn_value *x = nn_in(p, ir, IN_X);
    struct norm_args a = {
        .rows = x->count / x->dim[1],
        .channels = x->dim[1],
        .lanes = x->dim[1],
        .epsilon = ir->node->a.batch_norm.epsilon,
        .momentum = ir->node->a.batch_norm.momentum,
        .lo = ir->lo,
        .hi = ir->hi,
        .is_blocked = x->layout == NN_LAYOUT_BLOCKED,
        .bf16 = x->type == NN_TYPE_BF16,
        .batch = nn_norm_is_batch(p, ir),
        .deferred = ir->deferred,
    };
    if (a.is_blocked) {
        a.blocked = nn_blocked_of(x);
        a.rows = a.blocked.images * a.blocked.pixels;
        a.lanes = kernel_blocked_lanes(&a.blocked);
    }
    return a;
}

/* Blocked, the clamp is told from x; rows have it in y. */
static bool reads_y(const struct nn_plan *p, const struct nn_ir *ir)
{
    return nn_in(p, ir, IN_X)->layout != NN_LAYOUT_BLOCKED &&
           (ir->lo != -INFINITY || ir->hi != INFINITY);
}

static void norm_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    nn_in(p, ir, IN_X)->saved = true;
    if (reads_y(p, ir))
        nn_out(p, ir, 0)->saved = true;
}

/* The operands that both passes have; x is bound even where a pass does not read it. */
static enum status common_operands(struct nn_plan *p, struct nn_ir *ir, const struct norm_args *a,
                                   int buffer[OP_COUNT], struct error *err)
{
    size_t scratch = a->is_blocked ? kernel_bn_blocked_scratch(&a->blocked) * sizeof(double) : 0;
    for (int i = IN_X; i <= IN_VARIANCE; i++)
        buffer[OP_X + i] = nn_in(p, ir, i)->buffer;
    if (ir->workspace < 0)
        ir->workspace = nn_plan_buffer(p, kept_bytes(a));
    buffer[OP_KEPT] = ir->workspace;
    buffer[OP_SCRATCH] = scratch ? nn_plan_buffer(p, scratch) : ir->workspace;
    if (ir->workspace < 0 || buffer[OP_SCRATCH] < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    return ST_OK;
}

static enum status norm_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    if (nn_in(p, ir, IN_X)->rank != 4 && nn_in(p, ir, IN_X)->rank != 2)
        return nn_plan_refuse(p, err, "only images and vectors are supported");
    struct norm_args a = norm_args_of(p, ir);
    int buffer[OP_COUNT + 2];
    enum status st = common_operands(p, ir, &a, buffer, err);
    a.given = ir->after >= 0 && p->irs[ir->after].moments >= 0;
    buffer[OP_COUNT] = a.given ? p->irs[ir->after].moments : buffer[OP_X];
    if (!st && a.deferred)
        return nn_plan_emit(p, run_forward, &a, sizeof a, buffer, OP_COUNT + 1, err);
    if (!st)
        st = nn_plan_output(p, ir, 0, IN_X, err);
    if (st)
        return st;
    buffer[OP_COUNT + 1] = nn_out(p, ir, 0)->buffer;
    return nn_plan_emit(p, run_forward, &a, sizeof a, buffer, OP_COUNT + 2, err);
}

/* With the coefficients that the forward pass left: x, kept, y. */
static enum status run_remake(struct nn_step *s)
{
    const struct norm_args *a = s->args;
    struct nn_norm_kept k = kept_at(a, s->data[1]);
    const struct kernel_bn n = {.lo = a->lo, .hi = a->hi, .a = k.a, .b = k.b};
    kernel_bn_blocked_apply(&a->blocked, &n, s->data[0], s->data[2]);
    return ST_OK;
}

enum status nn_norm_remake(struct nn_plan *p, struct nn_ir *ir, int buffer, struct error *err)
{
    struct norm_args a = norm_args_of(p, ir);
    int operand[] = {nn_in(p, ir, IN_X)->buffer, ir->workspace, buffer};
    return nn_plan_emit(p, run_remake, &a, sizeof a, operand, 3, err);
}

/* Where the gradient of scale or shift goes: the kernel always writes both. */
static enum status begin_vector(struct nn_plan *p, const struct nn_ir *ir, int i, int *ret,
                                struct error *err)
{
    bool add;
    if (nn_in(p, ir, i)->needs_grad)
        return nn_grad_begin(p, ir->in[i], false, ret, &add, err);
    *ret = nn_plan_buffer(p, (size_t)nn_in(p, ir, i)->count * sizeof(float));
    return *ret < 0 ? error_set(err, ST_NOMEM, "out of memory while planning a session") : ST_OK;
}

/* What the convolution before needs to end this backward pass. */
static enum status leave(struct nn_plan *p, struct nn_ir *ir, const struct norm_args *a,
                         struct error *err)
{
    ir->lines = nn_plan_buffer(p, nn_norm_lines_bytes(a->lanes));
    return ir->lines < 0 ? error_set(err, ST_NOMEM, "out of memory while planning a session")
                         : ST_OK;
}

static enum status norm_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct norm_args a = norm_args_of(p, ir);
    int buffer[OP_LINES + 1], gx = -1;
    a.has_gx = nn_in(p, ir, IN_X)->needs_grad;
    enum status st = common_operands(p, ir, &a, buffer, err);
    if (!st)
        st = begin_vector(p, ir, IN_SCALE, &buffer[OP_GSCALE], err);
    if (!st)
        st = begin_vector(p, ir, IN_SHIFT, &buffer[OP_GSHIFT], err);
    a.leaves = ir->after >= 0 && a.has_gx;
    if (!st && a.has_gx && !a.leaves)
        st = nn_grad_begin_over(p, ir, &gx, &a.add, err);
    if (!st && a.leaves)
        st = leave(p, ir, &a, err);
    if (st)
        return st;
    buffer[OP_GY] = nn_grad_of_output(p, ir, 0);
    buffer[OP_Y] = reads_y(p, ir) ? nn_out(p, ir, 0)->buffer : buffer[OP_X];
    buffer[OP_GX] = gx >= 0 ? gx : buffer[OP_GY];
    buffer[OP_SUMS] = a.deferred ? ir->sums : buffer[OP_GY];
    buffer[OP_LINES] = a.leaves ? ir->lines : buffer[OP_GY];
    st = nn_plan_emit(p, run_backward, &a, sizeof a, buffer, OP_LINES + 1, err);
    if (!st && a.leaves)
        st = nn_grad_share(p, ir->in[IN_X], buffer[OP_GY], false, err);
    if (!st && gx >= 0)
        st = nn_grad_done(p, ir->in[IN_X], gx, err);
    if (!st && nn_in(p, ir, IN_SCALE)->needs_grad)
        st = nn_grad_done(p, ir->in[IN_SCALE], buffer[OP_GSCALE], err);
    if (!st && nn_in(p, ir, IN_SHIFT)->needs_grad)
        st = nn_grad_done(p, ir->in[IN_SHIFT], buffer[OP_GSHIFT], err);
    return st;
}

const struct nn_exec nn_exec_batch_norm = {norm_saves, norm_forward, norm_backward};
