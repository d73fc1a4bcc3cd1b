/* Operators that compute: normalisation, activations, element-wise arithmetic, matrix products. */
#include <float.h>
#include <inttypes.h>
#include <string.h>

#include "nn/lower.h"

static void require_constant(struct nn_lower *l, int i)
{
    if (!nn_in_constant(l, i))
        nn_fail(l, ST_UNSUPPORTED, "input %d has to be a constant tensor", i);
}

static void same_shape(struct nn_lower *l, enum nn_op op)
{
    struct nn_shape x = nn_in_shape(l, 0, 0);
    nn_require_floats(l);
    nn_out(l, op, x);
}

/* A file that was exported in training mode (training_mode 1) is read as the network with the
 * running statistics that it carries; the outputs after the first are left out. */
void nn_lower_batch_norm(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0);
    nn_require_floats(l);
    nn_attr_ignore(l, "training_mode");
    if (!nn_attr_int(l, "spatial", 1))
        nn_fail(l, ST_UNSUPPORTED, "attribute spatial 0 is not supported");
    l->node.a.batch_norm.epsilon = nn_attr_float(l, "epsilon", 1e-5f);
    l->node.a.batch_norm.momentum = nn_attr_float(l, "momentum", 0.9f);
    if (!(l->node.a.batch_norm.epsilon >= 0) || !(l->node.a.batch_norm.momentum >= 0) ||
        l->node.a.batch_norm.momentum > 1)
        nn_fail(l, ST_FORMAT, "epsilon or momentum is out of range");
    if (x.rank != 2 && x.rank != 4)
        nn_fail(l, ST_UNSUPPORTED, "an input of rank %d is not supported", x.rank);
    for (int i = 1; !l->status && i < 5; i++) {
        require_constant(l, i);
        struct nn_shape s = nn_in_shape(l, i, 1);
        if (s.dim[0] != x.dim[1])
            nn_fail(l, ST_FORMAT, "input %d has %" PRId64 " values for %" PRId64 " channels", i,
                    s.dim[0], x.dim[1]);
    }
    nn_out(l, NN_OP_BATCH_NORM, x);
}

void nn_lower_relu(struct nn_lower *l)
{
    same_shape(l, NN_OP_RELU);
}

void nn_lower_sigmoid(struct nn_lower *l)
{
    same_shape(l, NN_OP_SIGMOID);
}

void nn_lower_leaky_relu(struct nn_lower *l)
{
    l->node.a.leaky_relu.alpha = nn_attr_float(l, "alpha", 0.01f);
    same_shape(l, NN_OP_LEAKY_RELU);
}

/* The slope is one number or one a channel (axis 1). */
void nn_lower_prelu(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), slope = nn_in_shape(l, 1, 0);
    char tx[96], ts[96];
    require_constant(l, 1);
    int64_t count = 0;
    bool fits = slope.rank <= x.rank && nn_shape_count(&slope, &count) && count > 0;
    for (int i = 0; fits && i < slope.rank; i++) {
        int axis = i + x.rank - slope.rank;
        fits = slope.dim[i] == 1 || (axis == 1 && slope.dim[i] == x.dim[1]);
    }
    if (!fits)
        nn_fail(l, ST_UNSUPPORTED, "a slope of shape %s for %s; only one a channel is supported",
                nn_shape_text(&slope, ts), nn_shape_text(&x, tx));
    same_shape(l, NN_OP_PRELU);
}

static float clip_bound(struct nn_lower *l, const char *name, int i, float otherwise)
{
    float v = otherwise;
    if (l->opset < 11)
        return nn_attr_float(l, name, otherwise);
    if (nn_in(l, i) && nn_in_f32(l, i, &v, 1) != 1)
        nn_fail(l, ST_FORMAT, "its %s is not one float", name);
    return v;
}

void nn_lower_clip(struct nn_lower *l)
{
    l->node.a.clip.min = clip_bound(l, "min", 1, -FLT_MAX);
    l->node.a.clip.max = clip_bound(l, "max", 2, FLT_MAX);
    if (!(l->node.a.clip.min <= l->node.a.clip.max))
        nn_fail(l, ST_UNSUPPORTED, "its min is above its max");
    l->node.input_count = 1;
    same_shape(l, NN_OP_CLIP);
}

/* Before opset 13 Softmax is over all dims from axis on, taken as one: where that is more than one
 * dim, a Reshape before and one after say the same thing. */
static void flat_softmax(struct nn_lower *l, const struct nn_shape *x, int axis)
{
    struct nn_shape flat = {.rank = axis + 1, .batched = x->batched && axis > 0};
    memcpy(flat.dim, x->dim, (size_t)axis * sizeof flat.dim[0]);
    flat.dim[axis] = 1;
    for (int i = axis; i < x->rank; i++)
        flat.dim[axis] *= x->dim[i];
    struct nn_node reshape = {.op = NN_OP_RESHAPE, .input_count = 1, .input = {l->node.input[0]}};
    struct nn_node softmax = {.op = NN_OP_SOFTMAX, .input_count = 1, .a.axis.axis = axis};
    softmax.input[0] = nn_emit(l, reshape, &flat, "_flat");
    l->node.input[0] = nn_emit(l, softmax, &flat, "_softmax");
    struct nn_shape out = *x;
    out.batched = flat.batched;
    nn_out(l, NN_OP_RESHAPE, out);
}

void nn_lower_softmax(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0);
    nn_require_floats(l);
    if (nn_in_constant(l, 0))
        nn_fail(l, ST_UNSUPPORTED, "of a constant is not supported");
    int axis = nn_axis(l, nn_attr_int(l, "axis", l->opset < 13 ? 1 : -1), x.rank);
    bool one_dim = true;
    for (int i = axis + 1; i < x.rank; i++)
        one_dim = one_dim && x.dim[i] == 1;
    if (l->opset < 13 && !one_dim) {
        flat_softmax(l, &x, axis);
        return;
    }
    if (axis == 0)
        x.batched = false;
    l->node.a.axis.axis = axis;
    nn_out(l, NN_OP_SOFTMAX, x);
}

static void lower_binary(struct nn_lower *l, enum nn_op op)
{
    struct nn_shape a = nn_in_shape(l, 0, 0), b = nn_in_shape(l, 1, 0);
    if (l->status)
        return;
    if (nn_in(l, 0)->dtype != nn_in(l, 1)->dtype)
        nn_fail(l, ST_UNSUPPORTED, "its inputs have different element types");
    if (!nn_all_constant(l))
        nn_require_floats(l);
    nn_out(l, op, nn_broadcast(l, &a, &b));
}

void nn_lower_add(struct nn_lower *l)
{
    lower_binary(l, NN_OP_ADD);
}

void nn_lower_sub(struct nn_lower *l)
{
    lower_binary(l, NN_OP_SUB);
}

void nn_lower_mul(struct nn_lower *l)
{
    lower_binary(l, NN_OP_MUL);
}

void nn_lower_div(struct nn_lower *l)
{
    lower_binary(l, NN_OP_DIV);
}

/* numpy's matmul for ranks of two and more: leading dims broadcast. */
void nn_lower_matmul(struct nn_lower *l)
{
    struct nn_shape a = nn_in_shape(l, 0, 0), b = nn_in_shape(l, 1, 0);
    char ta[96], tb[96];
    nn_require_floats(l);
    if (!l->status && (a.rank < 2 || b.rank < 2 || a.dim[a.rank - 1] != b.dim[b.rank - 2]))
        nn_fail(l, ST_UNSUPPORTED, "shapes %s and %s do not multiply", nn_shape_text(&a, ta),
                nn_shape_text(&b, tb));
    if (l->status)
        return;
    int64_t rows = a.dim[a.rank - 2], columns = b.dim[b.rank - 1];
    bool rows_are_batch = a.batched && a.rank == 2 && b.rank == 2;
    a.dim[a.rank - 2] = a.dim[a.rank - 1] = 1;
    b.dim[b.rank - 2] = b.dim[b.rank - 1] = 1;
    a.batched = a.batched && a.rank > 2;
    b.batched = b.batched && b.rank > 2;
    struct nn_shape out = nn_broadcast(l, &a, &b);
    out.batched = out.batched || (rows_are_batch && !nn_in(l, 1)->batched);
    out.dim[out.rank - 2] = rows;
    out.dim[out.rank - 1] = columns;
    nn_out(l, NN_OP_MATMUL, out);
}

void nn_lower_gemm(struct nn_lower *l)
{
    struct nn_shape a = nn_in_shape(l, 0, 2), b = nn_in_shape(l, 1, 2);
    l->node.a.gemm.alpha = nn_attr_float(l, "alpha", 1);
    l->node.a.gemm.beta = nn_attr_float(l, "beta", 1);
    bool ta = l->node.a.gemm.trans_a = nn_attr_int(l, "transA", 0) != 0;
    bool tb = l->node.a.gemm.trans_b = nn_attr_int(l, "transB", 0) != 0;
    nn_require_floats(l);
    if (a.dim[ta ? 0 : 1] != b.dim[tb ? 1 : 0])
        nn_fail(l, ST_FORMAT, "its matrices do not multiply");
    struct nn_shape out = {.rank = 2, .dim = {a.dim[ta ? 1 : 0], b.dim[tb ? 0 : 1]}};
    out.batched = a.batched && !ta && !b.batched;
    if (nn_in(l, 2)) {
        struct nn_shape c = nn_in_shape(l, 2, 0);
        struct nn_shape sum = nn_broadcast(l, &out, &c);
        if (!nn_shape_equal(&sum, &out))
            nn_fail(l, ST_FORMAT, "its third input does not broadcast to the product");
        out.batched = out.batched && sum.batched;
    }
    nn_out(l, NN_OP_GEMM, out);
}
