/* Computes nodes whose inputs are all constant: what exporters' shape arithmetic consists of. The
 * handlers have resolved attributes and output shapes; here are only the element loops. Moving
 * operators copy elements of either type through strides, arithmetic broadcasts with stride 0. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "nn/lower.h"

static void strides_of(const int64_t *dim, int rank, int64_t *stride)
{
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= dim[i];
    }
}

/* Steps index through dims; *a and *b follow by their strides. False after the last element. */
static bool next(const struct nn_shape *s, int64_t *index, const int64_t *stride_a, int64_t *a,
                 const int64_t *stride_b, int64_t *b)
{
    for (int i = s->rank - 1; i >= 0; i--) {
        *a += stride_a[i];
        *b += stride_b[i];
        if (++index[i] < s->dim[i])
            return true;
        *a -= stride_a[i] * s->dim[i];
        *b -= stride_b[i] * s->dim[i];
        index[i] = 0;
    }
    return false;
}

/* out[...] = in[base + sum of index * stride]. */
static void copy_strided(const struct nn_shape *shape, size_t bytes, unsigned char *out,
                         const unsigned char *in, int64_t base, const int64_t *stride)
{
    int64_t index[NN_RANK_MAX] = {0}, count = 0, unused = 0;
    if (!nn_shape_count(shape, &count) || !count)
        return;
    do {
        memcpy(out, in + (size_t)base * bytes, bytes);
        out += bytes;
    } while (next(shape, index, stride, &base, stride, &unused));
}

static void fold_transpose(struct nn_lower *l, size_t bytes, void *data)
{
    int64_t from[NN_RANK_MAX], stride[NN_RANK_MAX];
    const struct nn_tensor *t = nn_in(l, 0);
    strides_of(t->dim, t->rank, from);
    for (int i = 0; i < t->rank; i++)
        stride[i] = from[l->node.a.transpose.perm[i]];
    copy_strided(&l->out[0], bytes, data, t->data, 0, stride);
}

static void fold_slice(struct nn_lower *l, size_t bytes, void *data)
{
    int64_t stride[NN_RANK_MAX], base = 0;
    const struct nn_tensor *t = nn_in(l, 0);
    strides_of(t->dim, t->rank, stride);
    for (int i = 0; i < t->rank; i++) {
        base += l->node.a.slice.start[i] * stride[i];
        /* One element is left where the step could leave the tensor: any stride does. */
        stride[i] = l->out[0].dim[i] > 1 ? stride[i] * l->node.a.slice.step[i] : 0;
    }
    copy_strided(&l->out[0], bytes, data, t->data, base, stride);
}

static void fold_split(struct nn_lower *l, int output, size_t bytes, void *data)
{
    int64_t stride[NN_RANK_MAX], base = 0;
    const struct nn_tensor *t = nn_in(l, 0);
    int axis = l->node.a.axis.axis;
    strides_of(t->dim, t->rank, stride);
    for (int i = 0; i < output; i++)
        base += l->out[i].dim[axis] * stride[axis];
    copy_strided(&l->out[output], bytes, data, t->data, base, stride);
}

static void fold_concat(struct nn_lower *l, size_t bytes, unsigned char *data)
{
    int axis = l->node.a.axis.axis;
    int64_t outer = 1;
    for (int i = 0; i < axis; i++)
        outer *= l->out[0].dim[i];
    for (int64_t row = 0; row < outer; row++) {
        for (int i = 0; i < l->node.input_count; i++) {
            const struct nn_tensor *t = nn_in(l, i);
            size_t chunk = (size_t)(nn_tensor_count(t) / outer) * bytes;
            if (chunk)
                memcpy(data, (const unsigned char *)t->data + (size_t)row * chunk, chunk);
            data += chunk;
        }
    }
}

static void fold_gather(struct nn_lower *l, size_t bytes, unsigned char *data)
{
    const struct nn_tensor *t = nn_in(l, 0), *index = nn_in(l, 1);
    int axis = l->node.a.axis.axis;
    int64_t outer = 1, inner = 1, count = nn_tensor_count(index);
    for (int i = 0; i < t->rank; i++) {
        outer *= i < axis ? t->dim[i] : 1;
        inner *= i > axis ? t->dim[i] : 1;
    }
    size_t chunk = (size_t)inner * bytes;
    for (int64_t row = 0; row < outer && chunk; row++) {
        for (int64_t i = 0; i < count; i++) {
            int64_t at = row * t->dim[axis] + ((const int64_t *)index->data)[i];
            memcpy(data, (const unsigned char *)t->data + (size_t)at * chunk, chunk);
            data += chunk;
        }
    }
}

/* Strides of a tensor seen in a broadcast shape: 0 where it has one element. */
static void broadcast_strides(const struct nn_tensor *t, const struct nn_shape *out,
                              int64_t *stride)
{
    int64_t own[NN_RANK_MAX];
    strides_of(t->dim, t->rank, own);
    for (int i = 0; i < out->rank; i++) {
        int k = i - (out->rank - t->rank);
        stride[i] = k < 0 || t->dim[k] == 1 ? 0 : own[k];
    }
}

static int64_t integer(struct nn_lower *l, enum nn_op op, int64_t a, int64_t b)
{
    int64_t v = 0;
    bool bad = false;
    if (op == NN_OP_DIV && (b == 0 || (b == -1 && a == INT64_MIN)))
        bad = true;
    else if (op == NN_OP_DIV)
        v = a / b;
    else
        bad = op == NN_OP_ADD   ? __builtin_add_overflow(a, b, &v)
              : op == NN_OP_SUB ? __builtin_sub_overflow(a, b, &v)
                                : __builtin_mul_overflow(a, b, &v);
    if (bad)
        nn_fail(l, ST_FORMAT, "its constant integers overflow or divide by zero");
    return v;
}

static float real(enum nn_op op, float a, float b)
{
    return op == NN_OP_ADD ? a + b : op == NN_OP_SUB ? a - b : op == NN_OP_MUL ? a * b : a / b;
}

static void fold_binary(struct nn_lower *l, enum nn_dtype dtype, void *data)
{
    const struct nn_tensor *a = nn_in(l, 0), *b = nn_in(l, 1);
    const struct nn_shape *out = &l->out[0];
    int64_t sa[NN_RANK_MAX], sb[NN_RANK_MAX], index[NN_RANK_MAX] = {0}, ia = 0, ib = 0, count = 0;
    enum nn_op op = l->node.op;
    broadcast_strides(a, out, sa);
    broadcast_strides(b, out, sb);
    if (!nn_shape_count(out, &count) || !count)
        return;
    int64_t i = 0;
    do {
        if (dtype == NN_I64)
            ((int64_t *)data)[i++] =
                integer(l, op, ((const int64_t *)a->data)[ia], ((const int64_t *)b->data)[ib]);
        else
            ((float *)data)[i++] =
                real(op, ((const float *)a->data)[ia], ((const float *)b->data)[ib]);
    } while (next(out, index, sa, &ia, sb, &ib));
}

void nn_fold(struct nn_lower *l, int output, enum nn_dtype dtype, void *data)
{
    size_t bytes = nn_dtype_bytes(dtype);
    int64_t count = nn_tensor_count(nn_in(l, 0));
    switch (l->node.op) {
    case NN_OP_RESHAPE:
        if (count)
            memcpy(data, nn_in(l, 0)->data, (size_t)count * bytes);
        break;
    case NN_OP_TRANSPOSE:
        fold_transpose(l, bytes, data);
        break;
    case NN_OP_SLICE:
        fold_slice(l, bytes, data);
        break;
    case NN_OP_SPLIT:
        fold_split(l, output, bytes, data);
        break;
    case NN_OP_CONCAT:
        fold_concat(l, bytes, data);
        break;
    case NN_OP_GATHER:
        fold_gather(l, bytes, data);
        break;
    case NN_OP_ADD:
    case NN_OP_SUB:
    case NN_OP_MUL:
    case NN_OP_DIV:
        fold_binary(l, dtype, data);
        break;
    default:
        nn_fail(l, ST_UNSUPPORTED, "all its inputs are constant, and it is not folded");
    }
}
