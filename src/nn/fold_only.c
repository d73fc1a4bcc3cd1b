/* Operators that exist only in exporters' shape arithmetic: they are computed while reading and
 * refused on anything that is not constant. Booleans are integers 0 and 1. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "nn/lower.h"

/* Dims of an activation count as constants: they are those of batch 1. */
void nn_lower_shape(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0);
    int64_t start = nn_attr_int(l, "start", 0), end = nn_attr_int(l, "end", x.rank);
    start = start < 0 ? start + x.rank : start;
    end = end < 0 ? end + x.rank : end;
    start = start < 0 ? 0 : start > x.rank ? x.rank : start;
    end = end < start ? start : end > x.rank ? x.rank : end;
    struct nn_shape out = {.rank = 1, .dim = {end - start}};
    int64_t *v = nn_out_constant(l, NN_I64, out);
    for (int64_t i = start; v && i < end; i++)
        v[i - start] = x.dim[i];
}

static void constant_tensor(struct nn_lower *l, const Onnx__TensorProto *p)
{
    struct nn_shape shape;
    enum nn_dtype dtype;
    const void *data;
    l->status = nn_onnx_tensor(p, l->d->pool, &shape, &dtype, &data, l->err);
    if (l->status) {
        error_prefix(l->err, "node '%.120s'", l->node.name);
        return;
    }
    l->constant = true;
    l->constant_dtype = dtype;
    l->constant_data = data;
    l->out[0] = shape;
    l->out_count = 1;
}

void nn_lower_constant(struct nn_lower *l)
{
    const Onnx__AttributeProto *a;
    struct nn_shape scalar = {0};
    if ((a = nn_attr(l, "value", ONNX_ATTR_TENSOR)) && a->t) {
        constant_tensor(l, a->t);
    } else if ((a = nn_attr(l, "value_int", ONNX_ATTR_INT))) {
        int64_t *v = nn_out_constant(l, NN_I64, scalar);
        if (v)
            *v = a->i;
    } else if ((a = nn_attr(l, "value_float", ONNX_ATTR_FLOAT))) {
        float *v = nn_out_constant(l, NN_F32, scalar);
        if (v)
            *v = a->f;
    } else if ((a = nn_attr(l, "value_ints", ONNX_ATTR_INTS))) {
        struct nn_shape list = {.rank = 1, .dim = {(int64_t)a->n_ints}};
        void *v = nn_out_constant(l, NN_I64, list);
        if (v && a->n_ints)
            memcpy(v, a->ints, a->n_ints * sizeof(int64_t));
    } else if ((a = nn_attr(l, "value_floats", ONNX_ATTR_FLOATS))) {
        struct nn_shape list = {.rank = 1, .dim = {(int64_t)a->n_floats}};
        void *v = nn_out_constant(l, NN_F32, list);
        if (v && a->n_floats)
            memcpy(v, a->floats, a->n_floats * sizeof(float));
    } else {
        nn_fail(l, ST_UNSUPPORTED, "it has no value of a supported kind");
    }
}

static const struct nn_tensor *constant(struct nn_lower *l, int i)
{
    const struct nn_tensor *t = nn_in(l, i);
    if (t && t->kind == NN_TENSOR_CONSTANT)
        return t;
    nn_fail(l, ST_UNSUPPORTED, "only constant inputs are supported");
    return NULL;
}

/* Dims from a constant list of integers. */
static struct nn_shape shape_input(struct nn_lower *l, int i)
{
    struct nn_shape s = {0};
    constant(l, i);
    s.rank = nn_in_i64(l, i, s.dim, NN_RANK_MAX);
    return s;
}

void nn_lower_constant_of_shape(struct nn_lower *l)
{
    struct nn_shape out = shape_input(l, 0), one;
    const Onnx__AttributeProto *a = nn_attr(l, "value", ONNX_ATTR_TENSOR);
    enum nn_dtype dtype = NN_F32;
    const void *value = NULL;
    int64_t count = 0;
    if (a && a->t && !l->status) {
        l->status = nn_onnx_tensor(a->t, l->d->pool, &one, &dtype, &value, l->err);
        if (l->status || !nn_shape_count(&one, &count) || count != 1) {
            nn_fail(l, ST_FORMAT, "its value is not one number");
            return;
        }
    }
    unsigned char *data = nn_out_constant(l, dtype, out);
    size_t bytes = nn_dtype_bytes(dtype);
    if (!data || !value || !nn_shape_count(&out, &count))
        return;
    for (int64_t i = 0; i < count; i++)
        memcpy(data + (size_t)i * bytes, value, bytes);
}

static int64_t to_integer(double v)
{
    return v >= 9.2e18 ? INT64_MAX : v <= -9.2e18 ? INT64_MIN : isnan(v) ? 0 : (int64_t)v;
}

void nn_lower_cast(struct nn_lower *l)
{
    int64_t to = nn_attr_int(l, "to", 0);
    nn_attr_ignore(l, "saturate");
    enum nn_dtype dtype = to >= 0 && to < 64 ? nn_onnx_dtype((int)to) : 0;
    if (!dtype)
        nn_fail(l, ST_UNSUPPORTED, "attribute to %" PRId64 " is not supported", to);
    if (!l->status && nn_in(l, 0)->kind != NN_TENSOR_CONSTANT && to == ONNX_FLOAT) {
        nn_out_alias(l, 0);
        return;
    }
    const struct nn_tensor *t = constant(l, 0);
    void *data = t ? nn_out_constant(l, dtype, nn_shape_of(t)) : NULL;
    int64_t count = data ? nn_tensor_count(t) : 0;
    /* Weights that a file stores as float16 and casts are initialisers still, which train. */
    if (data && t->dtype == NN_F32 && to == ONNX_FLOAT)
        l->constant_initializer = l->d->tensors[l->node.input[0]].initializer;
    for (int64_t i = 0; i < count; i++) {
        const float *f = t->data;
        const int64_t *n = t->data;
        if (dtype == NN_F32)
            ((float *)data)[i] = t->dtype == NN_F32 ? f[i] : (float)n[i];
        else if (to == ONNX_BOOL)
            ((int64_t *)data)[i] = t->dtype == NN_F32 ? f[i] != 0 : n[i] != 0;
        else
            ((int64_t *)data)[i] = t->dtype == NN_F32 ? to_integer((double)f[i]) : n[i];
    }
}

/* Offset in a row-major tensor of t's dims for the index-th element of the broadcast shape. */
static int64_t offset(const struct nn_tensor *t, const struct nn_shape *out, int64_t index)
{
    int64_t at = 0, stride = 1;
    for (int i = out->rank - 1; i >= 0; i--) {
        int k = i - (out->rank - t->rank);
        int64_t here = index % out->dim[i];
        index /= out->dim[i];
        if (k < 0)
            continue;
        at += t->dim[k] == 1 ? 0 : here * stride;
        stride *= t->dim[k];
    }
    return at;
}

static double value(const struct nn_tensor *t, int64_t i)
{
    return t->dtype == NN_F32 ? (double)((const float *)t->data)[i]
                              : (double)((const int64_t *)t->data)[i];
}

static void copy_value(void *out, int64_t i, const struct nn_tensor *t, int64_t from)
{
    size_t bytes = nn_dtype_bytes(t->dtype);
    memcpy((unsigned char *)out + (size_t)i * bytes,
           (const unsigned char *)t->data + (size_t)from * bytes, bytes);
}

void nn_lower_expand(struct nn_lower *l)
{
    struct nn_shape target = shape_input(l, 1), x = nn_in_shape(l, 0, 0);
    const struct nn_tensor *t = constant(l, 0);
    struct nn_shape out = nn_broadcast(l, &x, &target);
    void *data = t ? nn_out_constant(l, t->dtype, out) : NULL;
    int64_t count = 0;
    if (!data || !nn_shape_count(&out, &count))
        return;
    for (int64_t i = 0; i < count; i++)
        copy_value(data, i, t, offset(t, &out, i));
}

void nn_lower_range(struct nn_lower *l)
{
    const struct nn_tensor *t[3];
    for (int i = 0; i < 3; i++) {
        t[i] = constant(l, i);
        if (t[i] && (nn_tensor_count(t[i]) != 1 || t[i]->dtype != t[0]->dtype))
            nn_fail(l, ST_FORMAT, "its bounds are not three numbers of one type");
        if (l->status)
            return;
    }
    double start = value(t[0], 0), step = value(t[2], 0);
    double count = ceil((value(t[1], 0) - start) / step);
    if (!isfinite(count) || count > (double)NN_ELEMENTS_MAX) {
        nn_fail(l, ST_FORMAT, "its bounds give no finite range");
        return;
    }
    struct nn_shape out = {.rank = 1, .dim = {count > 0 ? (int64_t)count : 0}};
    void *data = nn_out_constant(l, t[0]->dtype, out);
    for (int64_t i = 0; data && i < out.dim[0]; i++) {
        double v = start + (double)i * step;
        if (t[0]->dtype == NN_F32)
            ((float *)data)[i] = (float)v;
        else
            ((int64_t *)data)[i] = to_integer(v);
    }
}

/* Of all dims, as exporters count elements. */
void nn_lower_reduce_prod(struct nn_lower *l)
{
    const struct nn_tensor *t = constant(l, 0);
    int64_t axes[NN_RANK_MAX], keep = nn_attr_int(l, "keepdims", 1), product = 1;
    int count = nn_ints_either(l, "axes", 1, 18, axes, NN_RANK_MAX);
    if (l->status)
        return;
    if (t->dtype != NN_I64 || t->rank > 1 || count > 1)
        nn_fail(l, ST_UNSUPPORTED, "only a list of integers can be multiplied");
    for (int64_t i = 0; !l->status && i < nn_tensor_count(t); i++)
        if (__builtin_mul_overflow(product, ((const int64_t *)t->data)[i], &product))
            nn_fail(l, ST_FORMAT, "its constant integers overflow");
    struct nn_shape out = {.rank = keep ? t->rank : 0, .dim = {1}};
    int64_t *data = nn_out_constant(l, NN_I64, out);
    if (data)
        *data = product;
}

void nn_lower_where(struct nn_lower *l)
{
    const struct nn_tensor *c = constant(l, 0), *a = constant(l, 1), *b = constant(l, 2);
    if (l->status)
        return;
    if (a->dtype != b->dtype || c->dtype != NN_I64)
        nn_fail(l, ST_FORMAT, "its inputs have different element types");
    struct nn_shape sc = nn_shape_of(c), sa = nn_shape_of(a), sb = nn_shape_of(b);
    struct nn_shape ab = nn_broadcast(l, &sa, &sb), out = nn_broadcast(l, &sc, &ab);
    void *data = nn_out_constant(l, a->dtype, out);
    int64_t count = 0;
    if (!data || !nn_shape_count(&out, &count))
        return;
    for (int64_t i = 0; i < count; i++) {
        const struct nn_tensor *t = ((const int64_t *)c->data)[offset(c, &out, i)] ? a : b;
        copy_value(data, i, t, offset(t, &out, i));
    }
}

enum pair { PAIR_EQUAL, PAIR_GREATER, PAIR_LESS, PAIR_MIN, PAIR_MAX, PAIR_MOD };

static int64_t pair_integer(struct nn_lower *l, enum pair op, int64_t a, int64_t b)
{
    if (op == PAIR_MIN)
        return a < b ? a : b;
    if (op == PAIR_MAX)
        return a > b ? a : b;
    if (b == 0)
        nn_fail(l, ST_FORMAT, "its constant integers divide by zero");
    if (b == 0 || b == -1)
        return 0;
    int64_t r = a % b; /* the sign of Python's %, which fmod 0 asks for */
    return r && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t pair_compare(enum pair op, const struct nn_tensor *a, int64_t ia,
                            const struct nn_tensor *b, int64_t ib)
{
    int order;
    if (a->dtype == NN_F32) {
        double x = value(a, ia), y = value(b, ib);
        order = (x > y) - (x < y);
        if (isnan(x) || isnan(y))
            return 0;
    } else {
        int64_t x = ((const int64_t *)a->data)[ia], y = ((const int64_t *)b->data)[ib];
        order = (x > y) - (x < y);
    }
    return op == PAIR_EQUAL ? order == 0 : op == PAIR_GREATER ? order > 0 : order < 0;
}

static void lower_pair(struct nn_lower *l, enum pair op)
{
    const struct nn_tensor *a = constant(l, 0), *b = constant(l, 1);
    bool compare = op <= PAIR_LESS;
    if (l->status)
        return;
    if (a->dtype != b->dtype || (!compare && a->dtype != NN_I64))
        nn_fail(l, ST_UNSUPPORTED, "the element types of its inputs are not supported");
    struct nn_shape sa = nn_shape_of(a), sb = nn_shape_of(b), out = nn_broadcast(l, &sa, &sb);
    int64_t *data = nn_out_constant(l, NN_I64, out), count = 0;
    if (!data || !nn_shape_count(&out, &count))
        return;
    for (int64_t i = 0; i < count && !l->status; i++) {
        int64_t ia = offset(a, &out, i), ib = offset(b, &out, i);
        data[i] = compare ? pair_compare(op, a, ia, b, ib)
                          : pair_integer(l, op, ((const int64_t *)a->data)[ia],
                                         ((const int64_t *)b->data)[ib]);
    }
}

void nn_lower_equal(struct nn_lower *l)
{
    lower_pair(l, PAIR_EQUAL);
}

void nn_lower_greater(struct nn_lower *l)
{
    lower_pair(l, PAIR_GREATER);
}

void nn_lower_less(struct nn_lower *l)
{
    lower_pair(l, PAIR_LESS);
}

void nn_lower_min(struct nn_lower *l)
{
    lower_pair(l, PAIR_MIN);
}

void nn_lower_max(struct nn_lower *l)
{
    lower_pair(l, PAIR_MAX);
}

void nn_lower_mod(struct nn_lower *l)
{
    if (nn_attr_int(l, "fmod", 0))
        nn_fail(l, ST_UNSUPPORTED, "attribute fmod 1 is not supported");
    lower_pair(l, PAIR_MOD);
}

void nn_lower_not(struct nn_lower *l)
{
    const struct nn_tensor *t = constant(l, 0);
    if (t && t->dtype != NN_I64)
        nn_fail(l, ST_UNSUPPORTED, "its input is not integer");
    int64_t *data = t ? nn_out_constant(l, NN_I64, nn_shape_of(t)) : NULL;
    for (int64_t i = 0; data && i < nn_tensor_count(t); i++)
        data[i] = !((const int64_t *)t->data)[i];
}
