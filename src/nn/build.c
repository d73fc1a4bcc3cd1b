/* The network under construction is an ONNX file under construction; of each tensor only the dims
 * are followed, for the weights' shapes and early messages. nn_build_finish reads the bytes back,
 * so that what it gives is known to be readable.
 *
 * Initial weights: normal with variance 2 / (inputs of one output), He et al., "Delving Deep into
 * Rectifiers", ICCV 2015, eq. 10. */
#include "nn/build.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/onnx_make.h"

#define VALUES_MAX 4096
#define SIZE_MAX_PIXELS 65536

struct value {
    char *name;
    int64_t channels, height, width;
    bool vector; /* [N,channels], not an image */
};

struct nn_build {
    struct nn_maker mk;
    struct rng rng;
    struct value values[VALUES_MAX];
    int count;
    enum status status; /* the first failure, and its message */
    struct error err;
};

static nn_value fail(struct nn_build *b, const char *what, nn_value at)
{
    if (!b->status)
        b->status = error_set(&b->err, ST_INVALID, "%s (layer %d)", what, at);
    return 0;
}

/* A new value called BASE_NUMBER. */
static nn_value add_value(struct nn_build *b, const char *base, int64_t channels, int64_t height,
                          int64_t width)
{
    if (b->count >= VALUES_MAX)
        return fail(b, "too many layers", b->count);
    if (channels < 1 || height < 1 || width < 1 || channels > SIZE_MAX_PIXELS)
        return fail(b, "a layer's output has no elements or too many channels", b->count);
    char *name =
        b->count ? nn_make_text(&b->mk, "%s_%d", base, b->count) : nn_make_text(&b->mk, "%s", base);
    b->values[b->count] = (struct value){name, channels, height, width, false};
    if (!name)
        return fail(b, "no memory", b->count);
    return b->count++;
}

/* Whether a layer made x. */
static bool known(struct nn_build *b, nn_value x)
{
    if (!b->status && (x < 0 || x >= b->count))
        fail(b, "an input that no layer made", x);
    return !b->status;
}

/* Whether x can be the input of a layer: all of them work on images. */
static bool image(struct nn_build *b, nn_value x)
{
    if (known(b, x) && b->values[x].vector)
        fail(b, "a vector where an image is needed", x);
    return !b->status;
}

enum status nn_build_open(int height, int width, uint64_t seed, struct nn_build **ret,
                          struct error *err)
{
    *ret = NULL;
    if (height < 1 || width < 1 || height > SIZE_MAX_PIXELS || width > SIZE_MAX_PIXELS)
        return error_set(err, ST_INVALID, "an input of %d x %d is not possible", height, width);
    struct nn_build *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(err, ST_NOMEM, "no memory to build a network");
    nn_maker_init(&b->mk);
    rng_init(&b->rng, seed, 0);
    struct nn_shape shape = {.rank = 4, .dim = {1, 3, height, width}};
    nn_make_graph_input(&b->mk, "input", &shape);
    add_value(b, "input", 3, height, width);
    *ret = b;
    return ST_OK;
}

void nn_build_close(struct nn_build **b)
{
    if (!b || !*b)
        return;
    nn_maker_clear(&(*b)->mk);
    free(*b);
    *b = NULL;
}

nn_value nn_build_input(struct nn_build *b)
{
    (void)b;
    return 0;
}

/* A node OP that makes value y from x. */
static Onnx__NodeProto *add_node(struct nn_build *b, const char *op, nn_value x, nn_value y)
{
    if (b->status)
        return NULL;
    Onnx__NodeProto *n = nn_make_node(&b->mk, op, b->values[y].name);
    nn_make_input(&b->mk, n, b->values[x].name);
    nn_make_output(&b->mk, n, b->values[y].name);
    return n;
}

/* Initialiser LAYER.WHAT as the node's next input; values constant, or normal with that sigma. */
static void add_weight(struct nn_build *b, Onnx__NodeProto *n, nn_value y, const char *what,
                       const struct nn_shape *shape, float constant, float sigma)
{
    int64_t count = 0;
    char *name = nn_make_text(&b->mk, "%s.%s", b->values[y].name, what);
    bool fits = nn_shape_count(shape, &count);
    float *data = fits ? nn_pool_alloc(&b->mk.pool, (size_t)count, sizeof *data) : NULL;
    if (!data || !name) {
        fail(b, "no memory for the weights", y);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        data[i] = sigma > 0 ? sigma * rng_normal(&b->rng) : constant;
    nn_make_initializer(&b->mk, name, NN_F32, shape, data);
    nn_make_input(&b->mk, n, name);
}

static void add_window(struct nn_build *b, Onnx__NodeProto *n, int kernel, int stride, int pad)
{
    const int kernels[] = {kernel, kernel}, strides[] = {stride, stride};
    const int pads[] = {pad, pad, pad, pad};
    nn_make_ints(&b->mk, n, "kernel_shape", kernels, 2);
    nn_make_ints(&b->mk, n, "strides", strides, 2);
    nn_make_ints(&b->mk, n, "pads", pads, 4);
}

nn_value nn_build_conv(struct nn_build *b, nn_value x, int channels, int kernel, int stride,
                       int dilation, int groups, bool bias)
{
    if (!image(b, x))
        return 0;
    if (channels < 1 || kernel < 1 || kernel > 255 || stride < 1 || dilation < 1 ||
        dilation > 255 || groups < 1 || b->values[x].channels % groups || channels % groups)
        return fail(b, "a convolution with impossible sizes", b->count);
    int pad = kernel / 2 * dilation, span = dilation * (kernel - 1) + 1;
    int64_t height = (b->values[x].height + 2 * pad - span) / stride + 1;
    int64_t width = (b->values[x].width + 2 * pad - span) / stride + 1;
    nn_value y = add_value(b, "conv", channels, height, width);
    Onnx__NodeProto *n = add_node(b, "Conv", x, y);
    if (!n)
        return 0;
    struct nn_shape w = {.rank = 4,
                         .dim = {channels, b->values[x].channels / groups, kernel, kernel}};
    struct nn_shape one = {.rank = 1, .dim = {channels}};
    float fan_in = (float)(w.dim[1] * kernel * kernel);
    const int dilations[] = {dilation, dilation};
    add_weight(b, n, y, "weight", &w, 0, sqrtf(2 / fan_in));
    if (bias)
        add_weight(b, n, y, "bias", &one, 0, 0);
    add_window(b, n, kernel, stride, pad);
    nn_make_ints(&b->mk, n, "dilations", dilations, 2);
    nn_make_int(&b->mk, n, "group", groups);
    return y;
}

/* A value with the dims of x, made by OP. */
static nn_value add_unary(struct nn_build *b, const char *op, const char *base, nn_value x)
{
    if (!image(b, x))
        return 0;
    const struct value *v = &b->values[x];
    nn_value y = add_value(b, base, v->channels, v->height, v->width);
    add_node(b, op, x, y);
    return y;
}

static Onnx__NodeProto *last_node(struct nn_build *b)
{
    return b->mk.graph.n_node ? b->mk.graph.node[b->mk.graph.n_node - 1] : NULL;
}

nn_value nn_build_batch_norm(struct nn_build *b, nn_value x)
{
    nn_value y = add_unary(b, "BatchNormalization", "norm", x);
    if (b->status)
        return 0;
    Onnx__NodeProto *n = last_node(b);
    struct nn_shape one = {.rank = 1, .dim = {b->values[x].channels}};
    add_weight(b, n, y, "scale", &one, 1, 0);
    add_weight(b, n, y, "shift", &one, 0, 0);
    add_weight(b, n, y, "mean", &one, 0, 0);
    add_weight(b, n, y, "variance", &one, 1, 0);
    nn_make_float(&b->mk, n, "epsilon", 1e-5f);
    nn_make_float(&b->mk, n, "momentum", 0.9f);
    return y;
}

nn_value nn_build_relu(struct nn_build *b, nn_value x)
{
    return add_unary(b, "Relu", "relu", x);
}

nn_value nn_build_relu6(struct nn_build *b, nn_value x)
{
    const float low = 0, high = 6;
    nn_value y = add_unary(b, "Clip", "relu6", x);
    if (b->status)
        return 0;
    Onnx__NodeProto *n = last_node(b);
    nn_make_f32_input(&b->mk, n, nn_make_text(&b->mk, "%s.min", b->values[y].name), &low, 0);
    nn_make_f32_input(&b->mk, n, nn_make_text(&b->mk, "%s.max", b->values[y].name), &high, 0);
    return y;
}

nn_value nn_build_sigmoid(struct nn_build *b, nn_value x)
{
    return add_unary(b, "Sigmoid", "sigmoid", x);
}

/* y has the dims of x, or one pixel a channel. */
static nn_value add_binary(struct nn_build *b, const char *op, const char *base, nn_value x,
                           nn_value y)
{
    if (!image(b, x) || !image(b, y))
        return 0;
    const struct value *v = &b->values[x], *u = &b->values[y];
    bool same = u->height == v->height && u->width == v->width;
    if (u->channels != v->channels || (!same && (u->height != 1 || u->width != 1)))
        return fail(b, "two tensors whose sizes do not fit", b->count);
    nn_value z = add_value(b, base, v->channels, v->height, v->width);
    Onnx__NodeProto *n = add_node(b, op, x, z);
    nn_make_input(&b->mk, n, b->values[y].name);
    return z;
}

nn_value nn_build_add(struct nn_build *b, nn_value x, nn_value y)
{
    return add_binary(b, "Add", "add", x, y);
}

nn_value nn_build_mul(struct nn_build *b, nn_value x, nn_value y)
{
    return add_binary(b, "Mul", "mul", x, y);
}

nn_value nn_build_concat(struct nn_build *b, const nn_value *x, int count)
{
    int64_t channels = 0;
    if (count < 1 || count > NN_NODE_INPUTS_MAX)
        return fail(b, "an impossible number of tensors to join", b->count);
    for (int i = 0; i < count; i++) {
        if (!image(b, x[i]))
            return 0;
        const struct value *v = &b->values[x[i]], *u = &b->values[x[0]];
        if (v->height != u->height || v->width != u->width)
            return fail(b, "tensors of different sizes to join", b->count);
        channels += v->channels;
    }
    nn_value y = add_value(b, "concat", channels, b->values[x[0]].height, b->values[x[0]].width);
    Onnx__NodeProto *n = add_node(b, "Concat", x[0], y);
    for (int i = 1; i < count; i++)
        nn_make_input(&b->mk, n, b->values[x[i]].name);
    if (n)
        nn_make_int(&b->mk, n, "axis", 1);
    return y;
}

nn_value nn_build_global_average_pool(struct nn_build *b, nn_value x)
{
    if (!image(b, x))
        return 0;
    nn_value y = add_value(b, "pool", b->values[x].channels, 1, 1);
    add_node(b, "GlobalAveragePool", x, y);
    return y;
}

nn_value nn_build_max_pool(struct nn_build *b, nn_value x, int kernel, int stride)
{
    if (!image(b, x))
        return 0;
    if (kernel < 1 || kernel > 255 || stride < 1)
        return fail(b, "a pooling with impossible sizes", b->count);
    int pad = (kernel - 1) / 2;
    int64_t height = b->values[x].height + 2 * pad - kernel;
    int64_t width = b->values[x].width + 2 * pad - kernel;
    if (height < 0 || width < 0)
        return fail(b, "a pooling larger than its input", b->count);
    nn_value y =
        add_value(b, "max_pool", b->values[x].channels, height / stride + 1, width / stride + 1);
    Onnx__NodeProto *n = add_node(b, "MaxPool", x, y);
    if (n)
        add_window(b, n, kernel, stride, pad);
    return y;
}

nn_value nn_build_resize(struct nn_build *b, nn_value x, int height, int width)
{
    if (!image(b, x))
        return 0;
    nn_value y = add_value(b, "resize", b->values[x].channels, height, width);
    Onnx__NodeProto *n = add_node(b, "Resize", x, y);
    if (!n)
        return 0;
    const int64_t sizes[] = {1, b->values[x].channels, height, width};
    char *name = nn_make_text(&b->mk, "%s.sizes", b->values[y].name);
    nn_make_input(&b->mk, n, "");
    nn_make_input(&b->mk, n, "");
    if (name)
        nn_make_i64_input(&b->mk, n, name, sizes, 4);
    nn_make_string(&b->mk, n, "mode", "linear");
    nn_make_string(&b->mk, n, "coordinate_transformation_mode", "half_pixel");
    return y;
}

nn_value nn_build_linear(struct nn_build *b, nn_value x, int features)
{
    if (!image(b, x))
        return 0;
    int64_t inputs = b->values[x].channels;
    if (features < 1 || b->values[x].height != 1 || b->values[x].width != 1)
        return fail(b, "a linear layer on an image of more than one pixel", b->count);
    nn_value flat = add_value(b, "flat", inputs, 1, 1);
    add_node(b, "Flatten", x, flat);
    nn_value y = add_value(b, "linear", features, 1, 1);
    Onnx__NodeProto *n = add_node(b, "Gemm", flat, y);
    if (!n)
        return 0;
    b->values[flat].vector = b->values[y].vector = true;
    struct nn_shape w = {.rank = 2, .dim = {features, inputs}};
    struct nn_shape bias = {.rank = 1, .dim = {features}};
    add_weight(b, n, y, "weight", &w, 0, sqrtf(2 / (float)inputs));
    add_weight(b, n, y, "bias", &bias, 0, 0);
    nn_make_int(&b->mk, n, "transB", 1);
    return y;
}

nn_value nn_build_softmax(struct nn_build *b, nn_value x)
{
    if (!known(b, x))
        return 0;
    const struct value v = b->values[x];
    nn_value y = add_value(b, "softmax", v.channels, v.height, v.width);
    Onnx__NodeProto *n = add_node(b, "Softmax", x, y);
    if (!n)
        return 0;
    b->values[y].vector = v.vector;
    nn_make_int(&b->mk, n, "axis", 1);
    return y;
}

void nn_build_metadata(struct nn_build *b, const char *key, const char *value)
{
    nn_make_metadata(&b->mk, key, value);
}

enum status nn_build_finish(struct nn_build *b, nn_value x, struct buf *out, struct error *err)
{
    struct nn_model *m = NULL;
    struct buf bytes;
    if (!known(b, x)) {
        if (err)
            *err = b->err;
        return b->status;
    }
    /* An Identity gives the output its name; the reader folds it into the layer. */
    struct value *v = &b->values[x];
    struct nn_shape shape = {.rank = v->vector ? 2 : 4,
                             .dim = {1, v->channels, v->height, v->width}};
    Onnx__NodeProto *n = nn_make_node(&b->mk, "Identity", "logits");
    nn_make_input(&b->mk, n, v->name);
    nn_make_output(&b->mk, n, "logits");
    nn_make_graph_output(&b->mk, "logits", &shape);
    buf_init(&bytes);
    enum status st = nn_make_pack(&b->mk, &bytes, err);
    if (!st)
        st = nn_model_read(bytes.data, bytes.size_bytes, NULL, &m, err);
    if (!st)
        st = nn_model_write(m, NULL, out, err);
    nn_model_close(&m);
    buf_clear(&bytes);
    return st;
}
