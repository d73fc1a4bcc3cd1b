/* Takes batch-norms, activations and sums into the steps before them. */
#include "nn/fuse.h"

#include <math.h>
#include <string.h>

static bool is_op(const struct nn_ir *ir, enum nn_op op)
{
    return ir && ir->node && !ir->dead && ir->node->op == op;
}

static bool is_conv(const struct nn_ir *ir)
{
    return is_op(ir, NN_OP_CONV) || is_op(ir, NN_OP_CONV_TRANSPOSE);
}

static bool takes_clamp(const struct nn_ir *ir)
{
    return is_op(ir, NN_OP_BATCH_NORM) || is_op(ir, NN_OP_ADD);
}

static bool clamp_of(const struct nn_ir *ir, float *ret_lo, float *ret_hi)
{
    if (!is_op(ir, NN_OP_RELU) && !is_op(ir, NN_OP_CLIP))
        return false;
    bool relu = ir->node->op == NN_OP_RELU;
    *ret_lo = relu ? 0 : ir->node->a.clip.min;
    *ret_hi = relu ? INFINITY : ir->node->a.clip.max;
    return true;
}

/* The first reader of a value after `from`, if the value has so many uses and is no output. */
static struct nn_ir *reader_of(const struct nn_plan *p, int from, int value, int uses)
{
    if (p->values[value].uses != uses || nn_plan_is_output(p, value))
        return NULL;
    for (int i = from + 1; i < p->ir_count; i++)
        if (nn_ir_reads(&p->irs[i], value))
            return &p->irs[i];
    return NULL;
}

static bool same_form(const struct nn_value *a, const struct nn_value *b)
{
    return a->rank == b->rank && a->count == b->count &&
           memcmp(a->dim, b->dim, sizeof a->dim) == 0 &&
           nn_format_equal(nn_value_format(a), nn_value_format(b));
}

/* ir makes the output of `last` from now on. */
static void absorb(struct nn_plan *p, struct nn_ir *ir, struct nn_ir *last)
{
    p->values[ir->out[0]].uses = 0;
    ir->out[0] = last->out[0];
    last->dead = true;
}

static void fuse_clamp(struct nn_plan *p, int i)
{
    struct nn_ir *ir = &p->irs[i], *reader = reader_of(p, i, ir->out[0], 1);
    if (reader && clamp_of(reader, &ir->lo, &ir->hi))
        absorb(p, ir, reader);
}

/* --- convolutions --- */

static bool is_vector_of_file(const struct nn_plan *p, int value)
{
    return value >= 0 && (p->values[value].param >= 0 || p->values[value].constant);
}

static bool fuse_norm(struct nn_plan *p, struct nn_ir *conv, struct nn_ir *norm)
{
    if (!is_op(norm, NN_OP_BATCH_NORM) || conv->norm || conv->post_count > 0)
        return false;
    for (int k = 1; k <= 4; k++)
        if (!is_vector_of_file(p, norm->in[k]))
            return false;
    for (int k = 0; k < 4; k++)
        conv->in[NN_CONV_NORM + k] = norm->in[1 + k];
    conv->norm = norm->node;
    absorb(p, conv, norm);
    return true;
}

/* Whether the kernel that runs the convolution can do this as well; conv has it then. */
static bool takes_post(const struct nn_plan *p, struct nn_ir *conv, const struct nn_post *post)
{
    struct nn_conv_spec spec;
    if (conv->post_count == NN_POSTS_MAX)
        return false;
    conv->post[conv->post_count++] = *post;
    bool takes = nn_conv_spec_of(p, conv, &spec)
                     ? nn_dnnl_conv_takes_post(p->dnnl, &spec)
                     : conv->post_count == 1 && post->kind == NN_POST_CLAMP;
    if (!takes)
        conv->post_count--;
    return takes;
}

static bool activation_of(const struct nn_ir *ir, struct nn_post *ret)
{
    *ret = (struct nn_post){.kind = NN_POST_CLAMP};
    if (clamp_of(ir, &ret->lo, &ret->hi))
        return true;
    if (is_op(ir, NN_OP_LEAKY_RELU))
        *ret = (struct nn_post){.kind = NN_POST_LEAKY, .lo = ir->node->a.leaky_relu.alpha};
    else if (is_op(ir, NN_OP_SIGMOID))
        *ret = (struct nn_post){.kind = NN_POST_SIGMOID};
    else
        return false;
    return true;
}

static bool fuse_activation(struct nn_plan *p, struct nn_ir *conv, struct nn_ir *reader)
{
    struct nn_post post;
    if (!reader || !activation_of(reader, &post) || !takes_post(p, conv, &post))
        return false;
    absorb(p, conv, reader);
    return true;
}

static bool is_sixth(float v)
{
    return fabsf(v * 6 - 1) < 1e-6F;
}

/* What v * gate(v) is called. */
static bool gated_of(const struct nn_ir *gate, struct nn_post *ret)
{
    *ret = (struct nn_post){.kind = NN_POST_SWISH};
    if (is_op(gate, NN_OP_SIGMOID))
        return true;
    ret->kind = NN_POST_HARD_SWISH;
    return is_op(gate, NN_OP_HARD_SIGMOID) && is_sixth(gate->node->a.function.alpha) &&
           gate->node->a.function.beta == 0.5F;
}

/* v * gate(v), as two nodes. */
static bool fuse_swish(struct nn_plan *p, int i)
{
    struct nn_ir *conv = &p->irs[i];
    int v = conv->out[0];
    struct nn_post post;
    struct nn_ir *gate = reader_of(p, i, v, 2);
    if (!gated_of(gate, &post))
        return false;
    struct nn_ir *mul = reader_of(p, i, gate->out[0], 1);
    if (!is_op(mul, NN_OP_MUL) || !nn_ir_reads(mul, v) || !takes_post(p, conv, &post))
        return false;
    gate->dead = true;
    absorb(p, conv, mul);
    return true;
}

/* Whether nobody needs the value once the addition is done. Readers before the convolution have
 * found their places; those behind it may still move. */
static bool is_used_up(const struct nn_plan *p, int conv, const struct nn_ir *add, int value)
{
    const struct nn_ir *maker = nn_plan_maker(p, value);
    if (!maker || maker->alias || nn_plan_is_output(p, value) || nn_ir_reads(&p->irs[conv], value))
        return false;
    for (int i = 0; i < p->ir_count; i++)
        if (nn_ir_reads(&p->irs[i], value) && &p->irs[i] != add && (i > conv || p->irs[i].alias))
            return false;
    return true;
}

/* Moves the convolution to the place of the addition. */
static bool fuse_add(struct nn_plan *p, int i, struct nn_ir *add)
{
    struct nn_ir *conv = &p->irs[i];
    if (!is_op(add, NN_OP_ADD))
        return false;
    int out = conv->out[0], other = add->in[add->in[0] == out ? 1 : 0];
    if (conv->in[NN_CONV_ADDEND] >= 0 || !same_form(&p->values[out], &p->values[other]) ||
        !same_form(&p->values[out], nn_out(p, add, 0)) || !is_used_up(p, i, add, other) ||
        !takes_post(p, conv, &(struct nn_post){.kind = NN_POST_ADD}))
        return false;
    conv->in[NN_CONV_ADDEND] = other;
    absorb(p, conv, add);
    *add = *conv;
    conv->dead = true;
    return true;
}

/* A conversion to another type behind the convolution. */
static bool fuse_conversion(struct nn_plan *p, struct nn_ir *conv, struct nn_ir *reader)
{
    struct nn_conv_spec spec;
    int out = conv->out[0];
    if (!reader || reader->node || reader->alias || conv->in[NN_CONV_ADDEND] >= 0 ||
        nn_out(p, conv, 0)->layout != nn_out(p, reader, 0)->layout)
        return false;
    conv->out[0] = reader->out[0];
    bool takes = nn_conv_spec_of(p, conv, &spec) && nn_dnnl_conv_is_fast(p->dnnl, &spec);
    conv->out[0] = out;
    if (takes)
        absorb(p, conv, reader);
    return takes;
}

static void fuse_conv(struct nn_plan *p, int i)
{
    struct nn_ir *conv = &p->irs[i];
    for (int k = conv->input_count; k < NN_CONV_INPUTS; k++)
        conv->in[k] = -1;
    conv->input_count = NN_CONV_INPUTS;
    bool more = true;
    while (more && !conv->dead) {
        struct nn_ir *reader = reader_of(p, i, conv->out[0], 1);
        if (fuse_conversion(p, conv, reader))
            continue;
        more = reader && same_form(&p->values[conv->out[0]], nn_out(p, reader, 0)) &&
               (fuse_norm(p, conv, reader) || fuse_activation(p, conv, reader) ||
                fuse_add(p, i, reader));
        more = more || fuse_swish(p, i);
    }
}

/* The convolution reads what the batch norm does, and gives its gradient to what that would have
 * made. */
static void defer_norm(struct nn_plan *p, int i)
{
    struct nn_ir *norm = &p->irs[i], *conv = reader_of(p, i, norm->out[0], 1);
    if (!is_op(conv, NN_OP_CONV) || !nn_depthwise_takes_norm(p, conv, norm))
        return;
    norm->deferred = true;
    p->values[norm->out[0]].uses = 0;
    conv->before = i;
    conv->in[0] = norm->in[0];
    p->values[conv->in[0]].uses++;
    struct nn_ir *next = reader_of(p, (int)(conv - p->irs), conv->out[0], 1);
    if (!is_op(next, NN_OP_BATCH_NORM))
        return;
    conv->after = (int)(next - p->irs);
    next->after = (int)(conv - p->irs);
}

void nn_plan_fuse(struct nn_plan *p)
{
    bool convs = p->options.mode == NN_INFER && p->options.fuse;
    bool clamps = p->options.mode == NN_TRAIN || p->options.fuse;
    for (int i = 0; i < p->ir_count; i++) {
        if (convs && is_conv(&p->irs[i]))
            fuse_conv(p, i);
        else if (clamps && takes_clamp(&p->irs[i]))
            fuse_clamp(p, i);
        if (p->options.mode == NN_TRAIN && p->options.fuse && is_op(&p->irs[i], NN_OP_BATCH_NORM))
            defer_norm(p, i);
    }
}
