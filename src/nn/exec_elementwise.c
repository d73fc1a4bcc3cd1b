/* Elementwise operators: activations, PRelu, and the four binary ones with broadcasting; softmax.
 *
 * All but softmax may write over an input that nobody else needs. */
#include "nn/plan.h"

#include <math.h>
#include <string.h>

#include "nn/kernels.h"
#include "nn/kernels_halves.h"

/* Backward step with operands kept, gy, gx; `add` is the one of the arguments. */
static enum status emit_backward_over(struct nn_plan *p, struct nn_ir *ir,
                                      const struct nn_value *kept,
                                      enum status (*run)(struct nn_step *), const void *args,
                                      size_t args_bytes, bool *add, struct error *err)
{
    int gx, gy = nn_grad_of_output(p, ir, 0);
    enum status st = nn_grad_begin_over(p, ir, &gx, add, err);
    if (!st)
        st = nn_plan_emit(p, run, args, args_bytes, (int[]){kept->buffer, gy, gx}, 3, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

/* --- functions of one number --- */

struct unary_args {
    enum nn_op op;
    enum kernel_function function; /* 0: an operator with a kernel of its own */
    size_t count;
    float lo, hi; /* of Relu and Clip */
    float alpha, beta;
    bool bf16, add; /* bfloat16, backward: Relu and Clip only */
};

static enum kernel_function function_of(enum nn_op op)
{
    static const enum kernel_function table[NN_OP_COUNT] = {
        [NN_OP_HARD_SIGMOID] = KERNEL_HARD_SIGMOID,
        [NN_OP_TANH] = KERNEL_TANH,
        [NN_OP_ELU] = KERNEL_ELU,
        [NN_OP_SOFTPLUS] = KERNEL_SOFTPLUS,
        [NN_OP_ERF] = KERNEL_ERF,
        [NN_OP_EXP] = KERNEL_EXP,
        [NN_OP_SQRT] = KERNEL_SQRT,
        [NN_OP_ABS] = KERNEL_ABS,
        [NN_OP_NEG] = KERNEL_NEG,
        [NN_OP_POW] = KERNEL_POW,
    };
    return table[op];
}

static void apply_unary(const struct unary_args *a, const float *x, float *y, size_t n)
{
    switch (a->op) {
    case NN_OP_RELU:
        kernel_relu(x, y, n);
        break;
    case NN_OP_LEAKY_RELU:
        kernel_leaky_relu(x, y, n, a->alpha);
        break;
    case NN_OP_CLIP:
        kernel_clip(x, y, n, a->lo, a->hi);
        break;
    case NN_OP_SIGMOID:
        kernel_sigmoid(x, y, n);
        break;
    default:
        kernel_function(a->function, x, y, n, a->alpha, a->beta);
        break;
    }
}

static void unary_piece(const void *args, int64_t first, int64_t n, const float *x, float *y)
{
    (void)first;
    apply_unary(args, x, y, (size_t)n);
}

static bool is_clip(const struct unary_args *a)
{
    return a->op == NN_OP_RELU || a->op == NN_OP_CLIP;
}

static enum status run_unary(struct nn_step *s)
{
    const struct unary_args *a = s->args;
    if (!a->bf16)
        apply_unary(a, s->data[0], s->data[1], a->count);
    else if (is_clip(a))
        kernel_clip_bf16(s->data[0], s->data[1], a->count, a->lo, a->hi);
    else
        kernel_by_pieces(s->data[0], s->data[1], (int64_t)a->count, 1, unary_piece, a);
    return ST_OK;
}

/* x or y, gy, gx */
static enum status run_unary_backward(struct nn_step *s)
{
    const struct unary_args *a = s->args;
    const float *kept = s->data[0], *gy = s->data[1];
    float *gx = s->data[2];
    if (a->bf16) {
        kernel_clip_backward_bf16(kept, gy, gx, a->count, a->lo, a->hi, a->add);
        return ST_OK;
    }
    switch (a->op) {
    case NN_OP_RELU:
        kernel_relu_backward(kept, gy, gx, a->count, a->add);
        break;
    case NN_OP_LEAKY_RELU:
        kernel_leaky_relu_backward(kept, gy, gx, a->count, a->alpha, a->add);
        break;
    case NN_OP_CLIP:
        kernel_clip_backward(kept, gy, gx, a->count, a->lo, a->hi, a->add);
        break;
    case NN_OP_SIGMOID:
        kernel_sigmoid_backward(kept, gy, gx, a->count, a->add);
        break;
    default:
        kernel_function_backward(a->function, kept, gy, gx, a->count, a->alpha, a->beta, a->add);
        break;
    }
    return ST_OK;
}

static struct unary_args unary_args_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    const struct nn_node *n = ir->node;
    const struct nn_value *y = nn_out(p, ir, 0);
    struct unary_args a = {.op = n->op,
                           .function = function_of(n->op),
                           .count = (size_t)y->count,
                           .hi = INFINITY,
                           .bf16 = y->type == NN_TYPE_BF16};
    if (n->op == NN_OP_CLIP) {
        a.lo = n->a.clip.min;
        a.hi = n->a.clip.max;
    } else if (n->op == NN_OP_LEAKY_RELU) {
        a.alpha = n->a.leaky_relu.alpha;
    } else if (a.function) {
        a.alpha = n->a.function.alpha;
        a.beta = n->a.function.beta;
    }
    return a;
}

/* The output tells as much as the input, unless a negative slope folds it over. */
static bool keeps_output(const struct nn_node *n)
{
    enum kernel_function f = function_of(n->op);
    if (f)
        return kernel_function_keeps_output(f);
    return n->op != NN_OP_LEAKY_RELU || n->a.leaky_relu.alpha > 0;
}

static void unary_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    struct nn_value *v = keeps_output(ir->node) ? nn_out(p, ir, 0) : nn_in(p, ir, 0);
    v->saved = true;
}

static enum status unary_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct unary_args a = unary_args_of(p, ir);
    return nn_plan_emit_forward(p, ir, 0, run_unary, &a, sizeof a, err);
}

static enum status unary_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct unary_args a = unary_args_of(p, ir);
    const struct nn_value *kept = keeps_output(ir->node) ? nn_out(p, ir, 0) : nn_in(p, ir, 0);
    return emit_backward_over(p, ir, kept, run_unary_backward, &a, sizeof a, &a.add, err);
}

const struct nn_exec nn_exec_unary = {unary_saves, unary_forward, unary_backward};

/* --- PRelu --- */

struct prelu_args {
    int64_t outer, channels, inner;
    bool bf16, has_gx, has_gslope, add; /* bfloat16: channels-last, forward */
};

struct slopes {
    const float *slope;
    int64_t channels;
};

static void prelu_piece(const void *args, int64_t first, int64_t n, const float *x, float *y)
{
    const struct slopes *a = args;
    (void)first;
    kernel_prelu(x, a->slope, y, n / a->channels, a->channels, 1);
}

static enum status run_prelu(struct nn_step *s)
{
    const struct prelu_args *a = s->args;
    const struct slopes slopes = {s->data[1], a->channels};
    if (a->bf16) {
        kernel_by_pieces(s->data[0], s->data[2], a->outer * a->channels, a->channels, prelu_piece,
                         &slopes);
        return ST_OK;
    }
    kernel_prelu(s->data[0], s->data[1], s->data[2], a->outer, a->channels, a->inner);
    return ST_OK;
}

/* x, slope, gy, gx, gslope */
static enum status run_prelu_backward(struct nn_step *s)
{
    const struct prelu_args *a = s->args;
    kernel_prelu_backward(s->data[0], s->data[1], s->data[2], a->has_gx ? s->data[3] : NULL,
                          a->has_gslope ? s->data[4] : NULL, a->outer, a->channels, a->inner,
                          a->add);
    return ST_OK;
}

/* One slope for all, or one for each index of one dimension. */
static enum status prelu_args_of(const struct nn_plan *p, const struct nn_ir *ir,
                                 struct prelu_args *ret, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *slope = nn_in(p, ir, 1);
    struct prelu_args a = {
        .outer = x->count, .channels = 1, .inner = 1, .bf16 = x->type == NN_TYPE_BF16};
    for (int i = 0; i < slope->rank; i++) {
        int d = i + x->rank - slope->rank;
        if (slope->dim[i] == 1)
            continue;
        if (d < 0 || slope->dim[i] != x->dim[d] || a.channels != 1)
            return nn_plan_refuse(p, err, "its slope must be one number, or one a channel");
        a.channels = x->dim[d];
        a.inner = x->stride[d];
        a.outer = x->count / (a.channels * a.inner);
    }
    *ret = a;
    return ST_OK;
}

static void prelu_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    nn_in(p, ir, 0)->saved = true;
}

static enum status prelu_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct prelu_args a;
    enum status st = prelu_args_of(p, ir, &a, err);
    if (!st)
        st = nn_plan_output(p, ir, 0, 0, err);
    if (st)
        return st;
    int buffer[] = {nn_in(p, ir, 0)->buffer, nn_in(p, ir, 1)->buffer, nn_out(p, ir, 0)->buffer};
    return nn_plan_emit(p, run_prelu, &a, sizeof a, buffer, 3, err);
}

static enum status prelu_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct prelu_args a;
    int gy = nn_grad_of_output(p, ir, 0), gx = gy, gslope = gy;
    bool add;
    enum status st = prelu_args_of(p, ir, &a, err);
    if (st)
        return st;
    a.has_gx = nn_in(p, ir, 0)->needs_grad;
    a.has_gslope = nn_in(p, ir, 1)->needs_grad;
    if (a.has_gx)
        st = nn_grad_begin_over(p, ir, &gx, &a.add, err);
    if (!st && a.has_gslope)
        st = nn_grad_begin(p, ir->in[1], false, &gslope, &add, err);
    int buffer[] = {nn_in(p, ir, 0)->buffer, nn_in(p, ir, 1)->buffer, gy, gx, gslope};
    if (!st)
        st = nn_plan_emit(p, run_prelu_backward, &a, sizeof a, buffer, 5, err);
    if (!st && a.has_gx)
        st = nn_grad_done(p, ir->in[0], gx, err);
    return st || !a.has_gslope ? st : nn_grad_done(p, ir->in[1], gslope, err);
}

const struct nn_exec nn_exec_prelu = {prelu_saves, prelu_forward, prelu_backward};

/* --- binary --- */

struct binary_args {
    enum kernel_binary_op op;
    int input; /* backward: whose gradient */
    int rank;
    int64_t dim[NN_RANK_MAX], stride[2][NN_RANK_MAX], y_stride[NN_RANK_MAX];
    float lo, hi;
    bool bf16, has_ab, add; /* bfloat16: both inputs of the output's shape; Add and Mul */
    /* bfloat16, channels-last: the second input has a number for each channel, and image unless
     * `vectors` is 1. dim is [images, pixels, channels]. */
    int64_t vectors;
};

struct vector_piece {
    enum kernel_binary_op op;
    const float *vector;
    int64_t channels;
    float lo, hi;
};

static void vector_piece(const void *args, int64_t first, int64_t n, const float *x, float *y)
{
    const struct vector_piece *a = args;
    const int64_t dim[] = {n / a->channels, a->channels}, image[] = {a->channels, 1};
    const int64_t vector[] = {0, 1};
    (void)first;
    kernel_binary(a->op, 2, dim, x, image, a->vector, vector, y, image, a->lo, a->hi);
}

static void run_vector(struct nn_step *s, const struct binary_args *a)
{
    int64_t count = a->dim[1] * a->dim[2];
    for (int64_t i = 0; i < a->dim[0]; i++) {
        struct vector_piece piece = {a->op, s->data[1] + (a->vectors == 1 ? 0 : i * a->dim[2]),
                                     a->dim[2], a->lo, a->hi};
        kernel_by_pieces((const uint16_t *)(const void *)s->data[0] + i * count,
                         (uint16_t *)(void *)s->data[2] + i * count, count, a->dim[2], vector_piece,
                         &piece);
    }
}

static enum status run_binary(struct nn_step *s)
{
    const struct binary_args *a = s->args;
    size_t count = (size_t)a->dim[0];
    if (a->vectors > 0)
        run_vector(s, a);
    else if (!a->bf16)
        kernel_binary(a->op, a->rank, a->dim, s->data[0], a->stride[0], s->data[1], a->stride[1],
                      s->data[2], a->y_stride, a->lo, a->hi);
    else if (a->op == KERNEL_ADD)
        kernel_add_bf16(s->data[0], s->data[1], s->data[2], count, a->lo, a->hi);
    else
        kernel_mul_bf16(s->data[0], s->data[1], s->data[2], count, false);
    return ST_OK;
}

/* gy, gx, a, b */
static enum status run_binary_backward(struct nn_step *s)
{
    const struct binary_args *a = s->args;
    if (a->bf16) {
        kernel_mul_bf16(s->data[0], s->data[a->input ? 2 : 3], s->data[1], (size_t)a->dim[0],
                        a->add);
        return ST_OK;
    }
    kernel_binary_backward(a->op, a->input, a->rank, a->dim, s->data[0], a->y_stride,
                           a->has_ab ? s->data[2] : NULL, a->stride[0],
                           a->has_ab ? s->data[3] : NULL, a->stride[1], s->data[1],
                           a->stride[a->input], a->add);
    return ST_OK;
}

static enum kernel_binary_op binary_op(enum nn_op op)
{
    switch (op) {
    case NN_OP_ADD:
        return KERNEL_ADD;
    case NN_OP_SUB:
        return KERNEL_SUB;
    case NN_OP_MUL:
        return KERNEL_MUL;
    default:
        return KERNEL_DIV;
    }
}

static struct binary_args vector_args(const struct nn_ir *ir, const struct nn_value *y,
                                      const struct nn_value *vector)
{
    return (struct binary_args){.op = binary_op(ir->node->op),
                                .rank = 3,
                                .dim = {y->dim[0], y->dim[2] * y->dim[3], y->dim[1]},
                                .lo = ir->lo,
                                .hi = ir->hi,
                                .vectors = vector->dim[0]};
}

/* Blocked values and bfloat16 ones of one shape are one long dimension. */
static struct binary_args dense_args(const struct nn_ir *ir, const struct nn_value *y)
{
    return (struct binary_args){.op = binary_op(ir->node->op),
                                .rank = 1,
                                .dim = {y->count},
                                .stride = {{1}, {1}},
                                .y_stride = {1},
                                .lo = ir->lo,
                                .hi = ir->hi,
                                .bf16 = y->type == NN_TYPE_BF16};
}

static enum status binary_args_of(const struct nn_plan *p, const struct nn_ir *ir,
                                  struct binary_args *ret, struct error *err)
{
    const struct nn_value *y = nn_out(p, ir, 0);
    bool half = y->type == NN_TYPE_BF16, dense = nn_in(p, ir, 1)->count == y->count;
    if (y->layout == NN_LAYOUT_BLOCKED || half) {
        *ret = half && !dense ? vector_args(ir, y, nn_in(p, ir, 1)) : dense_args(ir, y);
        return ST_OK;
    }
    struct binary_args a = {
        .op = binary_op(ir->node->op), .rank = y->rank, .lo = ir->lo, .hi = ir->hi};
    memcpy(a.dim, y->dim, sizeof a.dim);
    memcpy(a.y_stride, y->stride, sizeof a.y_stride);
    for (int k = 0; k < 2; k++) {
        const struct nn_value *x = nn_in(p, ir, k);
        if (x->rank > y->rank)
            return nn_plan_refuse(p, err, "its inputs do not broadcast to its output");
        for (int i = 0; i < x->rank; i++) {
            int d = i + y->rank - x->rank;
            if (x->dim[i] != y->dim[d] && x->dim[i] != 1)
                return nn_plan_refuse(p, err, "its inputs do not broadcast to its output");
            a.stride[k][d] = x->dim[i] == 1 ? 0 : x->stride[i];
        }
    }
    *ret = a;
    return ST_OK;
}

static bool is_clamped(const struct nn_ir *ir)
{
    return ir->lo != -INFINITY || ir->hi != INFINITY;
}

static void binary_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    struct nn_value *a = nn_in(p, ir, 0), *b = nn_in(p, ir, 1);
    if (ir->node->op == NN_OP_DIV)
        b->saved = true;
    if ((ir->node->op == NN_OP_DIV || ir->node->op == NN_OP_MUL) && b->needs_grad)
        a->saved = true;
    if (ir->node->op == NN_OP_MUL && a->needs_grad)
        b->saved = true;
    if (is_clamped(ir))
        nn_out(p, ir, 0)->saved = true;
}

static enum status binary_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct binary_args a;
    enum status st = binary_args_of(p, ir, &a, err);
    int over = nn_in(p, ir, 0)->count == nn_out(p, ir, 0)->count ? 0 : 1;
    if (!st)
        st = nn_plan_output(p, ir, 0, over, err);
    if (st)
        return st;
    int buffer[] = {nn_in(p, ir, 0)->buffer, nn_in(p, ir, 1)->buffer, nn_out(p, ir, 0)->buffer};
    return nn_plan_emit(p, run_binary, &a, sizeof a, buffer, 3, err);
}

static enum status binary_grad(struct nn_plan *p, struct nn_ir *ir, int input, struct error *err)
{
    struct binary_args a;
    int gx;
    enum status st = binary_args_of(p, ir, &a, err);
    if (!st)
        st = nn_grad_begin(p, ir->in[input], true, &gx, &a.add, err);
    if (st)
        return st;
    a.input = input;
    a.has_ab = a.op == KERNEL_MUL || a.op == KERNEL_DIV;
    int buffer[] = {nn_grad_of_output(p, ir, 0), gx, nn_in(p, ir, 0)->buffer,
                    nn_in(p, ir, 1)->buffer};
    st = nn_plan_emit(p, run_binary_backward, &a, sizeof a, buffer, a.has_ab ? 4 : 2, err);
    return st ? st : nn_grad_done(p, ir->in[input], gx, err);
}

/* The gradient by what was clamped, in place of that by the output. */
static enum status undo_clamp(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct nn_value *y = nn_out(p, ir, 0);
    struct unary_args a = {.op = NN_OP_CLIP,
                           .count = (size_t)y->count,
                           .lo = ir->lo,
                           .hi = ir->hi,
                           .bf16 = y->type == NN_TYPE_BF16};
    int g = y->grad_owned ? y->grad : nn_plan_buffer(p, nn_value_bytes(y));
    if (g < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    int buffer[] = {y->buffer, y->grad, g};
    y->grad = g;
    y->grad_owned = true;
    return nn_plan_emit(p, run_unary_backward, &a, sizeof a, buffer, 3, err);
}

static enum status binary_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    enum status st = is_clamped(ir) ? undo_clamp(p, ir, err) : ST_OK;
    for (int k = 0; k < 2 && !st; k++) {
        const struct nn_value *x = nn_in(p, ir, k);
        bool passes = ir->node->op == NN_OP_ADD || (ir->node->op == NN_OP_SUB && k == 0);
        if (!x->needs_grad)
            continue;
        if (passes && x->count == nn_out(p, ir, 0)->count)
            st = nn_grad_share(p, ir->in[k], nn_grad_of_output(p, ir, 0), false, err);
        else
            st = binary_grad(p, ir, k, err);
    }
    return st;
}

const struct nn_exec nn_exec_binary = {binary_saves, binary_forward, binary_backward};

/* --- a blocked image times a number for each channel --- */

struct scale_args {
    struct kernel_blocked image;
    int64_t vectors; /* images of the second input */
    bool add;
};

/* image, vector, product; or gradient by the product, vector, gradient by the image */
static enum status run_scale(struct nn_step *s)
{
    const struct scale_args *a = s->args;
    kernel_blocked_scale(&a->image, s->data[0], s->data[1], a->vectors, s->data[2], a->add);
    return ST_OK;
}

/* gy, image, gradient of the vector */
static enum status run_scale_sums(struct nn_step *s)
{
    const struct scale_args *a = s->args;
    kernel_blocked_scale_sums(&a->image, s->data[1], s->data[0], a->vectors, s->data[2], a->add);
    return ST_OK;
}

static struct scale_args scale_args_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    return (struct scale_args){nn_blocked_of(nn_out(p, ir, 0)), nn_in(p, ir, 1)->dim[0], false};
}

static enum status scale_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct scale_args a = scale_args_of(p, ir);
    enum status st = nn_plan_output(p, ir, 0, 0, err);
    if (st)
        return st;
    int buffer[] = {nn_in(p, ir, 0)->buffer, nn_in(p, ir, 1)->buffer, nn_out(p, ir, 0)->buffer};
    return nn_plan_emit(p, run_scale, &a, sizeof a, buffer, 3, err);
}

static enum status scale_grad(struct nn_plan *p, struct nn_ir *ir, int input, struct error *err)
{
    struct scale_args a = scale_args_of(p, ir);
    int gx;
    enum status st = nn_grad_begin(p, ir->in[input], true, &gx, &a.add, err);
    if (st)
        return st;
    int buffer[] = {nn_grad_of_output(p, ir, 0), nn_in(p, ir, 1 - input)->buffer, gx};
    st = nn_plan_emit(p, input ? run_scale_sums : run_scale, &a, sizeof a, buffer, 3, err);
    return st ? st : nn_grad_done(p, ir->in[input], gx, err);
}

static enum status scale_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    enum status st = ST_OK;
    for (int k = 0; k < 2 && !st; k++)
        if (nn_in(p, ir, k)->needs_grad)
            st = scale_grad(p, ir, k, err);
    return st;
}

const struct nn_exec nn_exec_scale = {binary_saves, scale_forward, scale_backward};

/* --- softmax --- */

struct softmax_args {
    int64_t outer, n, inner;
    bool add;
};

static enum status run_softmax(struct nn_step *s)
{
    const struct softmax_args *a = s->args;
    kernel_softmax(s->data[0], s->data[1], a->outer, a->n, a->inner);
    return ST_OK;
}

/* y, gy, gx */
static enum status run_softmax_backward(struct nn_step *s)
{
    const struct softmax_args *a = s->args;
    kernel_softmax_backward(s->data[0], s->data[1], s->data[2], a->outer, a->n, a->inner, a->add);
    return ST_OK;
}

static struct softmax_args softmax_args_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    const struct nn_value *x = nn_in(p, ir, 0);
    int axis = ir->node->a.axis.axis;
    struct softmax_args a = {.n = x->dim[axis], .inner = x->stride[axis]};
    a.outer = x->count / (a.n * a.inner);
    return a;
}

static void softmax_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    nn_out(p, ir, 0)->saved = true;
}

static enum status softmax_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct softmax_args a = softmax_args_of(p, ir);
    return nn_plan_emit_forward(p, ir, 0, run_softmax, &a, sizeof a, err);
}

static enum status softmax_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct softmax_args a = softmax_args_of(p, ir);
    return emit_backward_over(p, ir, nn_out(p, ir, 0), run_softmax_backward, &a, sizeof a, &a.add,
                              err);
}

const struct nn_exec nn_exec_softmax = {softmax_saves, softmax_forward, softmax_backward};
