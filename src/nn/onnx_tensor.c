/* ONNX tensors to ours: every number type that exporters put into initialisers becomes float32 or
 * int64. The sizes that a file claims are checked against the bytes that it has before any are
 * allocated. */
#include <string.h>

#include "base/half.h"
#include "nn/onnx.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw_data is little-endian");

const char *nn_onnx_text(const char *s)
{
    return s ? s : "";
}

enum nn_dtype nn_onnx_dtype(int data_type)
{
    switch (data_type) {
    case ONNX_FLOAT:
    case ONNX_FLOAT16:
    case ONNX_DOUBLE:
        return NN_F32;
    case ONNX_UINT8:
    case ONNX_INT8:
    case ONNX_INT32:
    case ONNX_INT64:
    case ONNX_BOOL:
        return NN_I64;
    default:
        return 0;
    }
}

static size_t raw_bytes(int data_type)
{
    switch (data_type) {
    case ONNX_DOUBLE:
    case ONNX_INT64:
        return 8;
    case ONNX_FLOAT:
    case ONNX_INT32:
        return 4;
    case ONNX_FLOAT16:
        return 2;
    default:
        return 1;
    }
}

static float float_at(const unsigned char *p, int data_type)
{
    double d;
    uint16_t h;
    if (data_type == ONNX_FLOAT16) {
        memcpy(&h, p, 2);
        return half_to_float(h);
    }
    memcpy(&d, p, 8);
    return (float)d;
}

static int64_t integer_at(const unsigned char *p, int data_type)
{
    int32_t i;
    if (data_type == ONNX_INT32) {
        memcpy(&i, p, 4);
        return i;
    }
    return data_type == ONNX_INT8 ? (int8_t)*p : data_type == ONNX_BOOL ? *p != 0 : *p;
}

static void from_raw(const Onnx__TensorProto *p, enum nn_dtype dtype, int64_t count, void *data)
{
    size_t bytes = raw_bytes(p->data_type);
    for (int64_t i = 0; i < count; i++) {
        const unsigned char *at = p->raw_data.data + (size_t)i * bytes;
        if (dtype == NN_F32)
            ((float *)data)[i] = float_at(at, p->data_type);
        else
            ((int64_t *)data)[i] = integer_at(at, p->data_type);
    }
}

/* How many values the typed fields hold for the tensor's element type. */
static size_t typed_count(const Onnx__TensorProto *p)
{
    return p->data_type == ONNX_FLOAT    ? p->n_float_data
           : p->data_type == ONNX_DOUBLE ? p->n_double_data
           : p->data_type == ONNX_INT64  ? p->n_int64_data
                                         : p->n_int32_data;
}

static void from_typed(const Onnx__TensorProto *p, int64_t count, void *data)
{
    for (int64_t i = 0; i < count; i++) {
        if (p->data_type == ONNX_DOUBLE)
            ((float *)data)[i] = (float)p->double_data[i];
        else if (p->data_type == ONNX_FLOAT16)
            ((float *)data)[i] = half_to_float((uint16_t)p->int32_data[i]);
        else
            ((int64_t *)data)[i] =
                p->data_type == ONNX_BOOL ? p->int32_data[i] != 0 : p->int32_data[i];
    }
}

static enum status check_shape(const Onnx__TensorProto *p, struct nn_shape *shape, int64_t *count,
                               struct error *err)
{
    const char *name = nn_onnx_text(p->name);
    if (p->data_location || p->n_external_data)
        return error_set(err, ST_UNSUPPORTED,
                         "tensor '%.120s' keeps its values in another file; save the model as one "
                         "file",
                         name);
    if (!nn_onnx_dtype(p->data_type))
        return error_set(err, ST_UNSUPPORTED, "tensor '%.120s' has element type %d", name,
                         p->data_type);
    if (p->n_dims > NN_RANK_MAX)
        return error_set(err, ST_UNSUPPORTED, "tensor '%.120s' has %zu dims, at most %d", name,
                         p->n_dims, NN_RANK_MAX);
    *shape = (struct nn_shape){.rank = (int)p->n_dims};
    for (size_t i = 0; i < p->n_dims; i++)
        shape->dim[i] = p->dims[i];
    if (!nn_shape_count(shape, count))
        return error_set(err, ST_LIMIT, "tensor '%.120s' has impossible dims", name);
    size_t have = p->has_raw_data && p->raw_data.len ? p->raw_data.len / raw_bytes(p->data_type)
                                                     : typed_count(p);
    bool whole = !p->has_raw_data || p->raw_data.len % raw_bytes(p->data_type) == 0;
    if (!whole || have != (size_t)*count)
        return error_set(err, ST_FORMAT, "tensor '%.120s' has %zu values for %lld elements", name,
                         have, (long long)*count);
    return ST_OK;
}

/* The message's own values where they are what we compute with; NULL: they need converting. */
static const void *values_in_place(const Onnx__TensorProto *p)
{
    bool raw = p->has_raw_data && p->raw_data.len;
    if (p->data_type == ONNX_FLOAT)
        return raw ? (const void *)p->raw_data.data : p->float_data;
    if (p->data_type == ONNX_INT64)
        return raw ? (const void *)p->raw_data.data : p->int64_data;
    return NULL;
}

static enum status convert(const Onnx__TensorProto *p, enum nn_dtype dtype, int64_t count,
                           struct nn_pool *pool, const void **ret, struct error *err)
{
    void *data = nn_pool_alloc(pool, (size_t)count, nn_dtype_bytes(dtype));
    if (!data)
        return error_set(err, ST_NOMEM, "no memory for tensor '%.120s'", nn_onnx_text(p->name));
    if (p->has_raw_data && p->raw_data.len)
        from_raw(p, dtype, count, data);
    else
        from_typed(p, count, data);
    *ret = data;
    return ST_OK;
}

enum status nn_onnx_tensor(const Onnx__TensorProto *p, struct nn_pool *pool,
                           struct nn_shape *ret_shape, enum nn_dtype *ret_dtype,
                           const void **ret_data, struct error *err)
{
    struct nn_shape shape;
    int64_t count = 0;
    enum status st = check_shape(p, &shape, &count, err);
    if (st)
        return st;
    enum nn_dtype dtype = nn_onnx_dtype(p->data_type);
    *ret_data = values_in_place(p);
    if (!*ret_data)
        st = convert(p, dtype, count, pool, ret_data, err);
    *ret_shape = shape;
    *ret_dtype = dtype;
    return st;
}
