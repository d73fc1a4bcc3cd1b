/* nn_model_write: the resolved graph as an ONNX file of operator set 13. Every attribute is
 * written out; constants become Constant nodes and parameters initialisers, because that is how
 * the reader tells what trains. Where a Reshape keeps the batch its target begins with 0 ("as the
 * input"), and a model that no node ties to one image has its batch open, so that the file also
 * runs with other batches. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/inspect.h"
#include "nn/onnx_make.h"
#include "nn/ranges.h"

struct writer {
    struct nn_maker mk;
    const struct nn_graph *g;
    bool any_batch;
    char prefix[48]; /* begins no tensor's name: for tensors that only the file needs */
    bool half;       /* parameters as float16 */
};

static const struct nn_tensor *in(const struct writer *w, const struct nn_node *n, int i)
{
    return &w->g->tensors[n->input[i]];
}

static const struct nn_tensor *out(const struct writer *w, const struct nn_node *n, int i)
{
    return &w->g->tensors[n->output[i]];
}

/* Name of an extra tensor of the node, in a buffer of the caller. */
static const char *extra(const struct writer *w, const struct nn_node *n, const char *what,
                         char name[96])
{
    snprintf(name, 96, "%s%d/%s", w->prefix, (int)(n - w->g->nodes), what);
    return name;
}

/* Batch-norm's statistics span too many powers of two for float16, and are few. */
static bool is_half(const struct writer *w, const struct nn_tensor *t)
{
    return w->half && t->kind == NN_TENSOR_PARAM &&
           w->g->params[t->param].kind == NN_PARAM_TRAINABLE;
}

static void i64_input(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p,
                      const char *what, const int64_t *v, size_t count)
{
    char name[96];
    nn_make_i64_input(&w->mk, p, extra(w, n, what, name), v, count);
}

static void f32_input(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p,
                      const char *what, const float *v, size_t count)
{
    char name[96];
    nn_make_f32_input(&w->mk, p, extra(w, n, what, name), v, count);
}

static void write_window(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    bool pool = n->op == NN_OP_MAX_POOL || n->op == NN_OP_AVERAGE_POOL;
    nn_make_ints(&w->mk, p, "kernel_shape", n->a.window.kernel, 2);
    nn_make_ints(&w->mk, p, "strides", n->a.window.stride, 2);
    nn_make_ints(&w->mk, p, "pads", n->a.window.pad, 4);
    if (n->op != NN_OP_AVERAGE_POOL)
        nn_make_ints(&w->mk, p, "dilations", n->a.window.dilation, 2);
    if (pool)
        nn_make_int(&w->mk, p, "ceil_mode", n->a.window.ceil_mode);
    else
        nn_make_int(&w->mk, p, "group", n->a.window.groups);
    if (n->op == NN_OP_AVERAGE_POOL)
        nn_make_int(&w->mk, p, "count_include_pad", n->a.window.count_include_pad);
    if (n->op == NN_OP_CONV_TRANSPOSE)
        nn_make_ints(&w->mk, p, "output_padding", n->a.window.output_pad, 2);
}

static void write_slice(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    int64_t start[NN_RANK_MAX], end[NN_RANK_MAX], axes[NN_RANK_MAX], step[NN_RANK_MAX];
    const struct nn_tensor *x = in(w, n, 0), *y = out(w, n, 0);
    size_t count = 0;
    for (int i = 0; i < x->rank; i++) {
        if (x->dim[i] == y->dim[i] && n->a.slice.step[i] == 1)
            continue;
        axes[count] = i;
        start[count] = n->a.slice.start[i];
        step[count] = n->a.slice.step[i];
        /* One step past the last element; before the first one there is only a negative number
         * that stays below zero after the specification has added the dim. */
        int64_t past = start[count] + (y->dim[i] - 1) * step[count] + (step[count] > 0 ? 1 : -1);
        end[count++] = past < 0 ? -x->dim[i] - 1 : past;
    }
    i64_input(w, n, p, "starts", start, count);
    i64_input(w, n, p, "ends", end, count);
    i64_input(w, n, p, "axes", axes, count);
    i64_input(w, n, p, "steps", step, count);
}

static void write_pad(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    int64_t pads[2 * NN_RANK_MAX];
    size_t rank = (size_t)in(w, n, 0)->rank;
    memcpy(pads, n->a.pad.before, rank * sizeof *pads);
    memcpy(pads + rank, n->a.pad.after, rank * sizeof *pads);
    nn_make_string(&w->mk, p, "mode", "constant");
    i64_input(w, n, p, "pads", pads, 2 * rank);
    f32_input(w, n, p, "value", &n->a.pad.value, 0);
}

static void write_reshape(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    const struct nn_tensor *x = in(w, n, 0), *y = out(w, n, 0);
    int64_t target[NN_RANK_MAX];
    memcpy(target, y->dim, sizeof target);
    if (x->batched && y->batched)
        target[0] = 0;
    i64_input(w, n, p, "shape", target, (size_t)y->rank);
}

static void write_split(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    int64_t sizes[NN_NODE_OUTPUTS_MAX];
    for (int i = 0; i < n->output_count; i++)
        sizes[i] = out(w, n, i)->dim[n->a.axis.axis];
    nn_make_int(&w->mk, p, "axis", n->a.axis.axis);
    i64_input(w, n, p, "split", sizes, (size_t)n->output_count);
}

/* The scales give the sizes again: the batch, which is among the sizes, need not be said. */
static bool has_exact_scales(const struct writer *w, const struct nn_node *n)
{
    const struct nn_tensor *x = in(w, n, 0), *y = out(w, n, 0);
    const float *s = n->a.resize.scale;
    return floorf((float)x->dim[2] * s[0]) == (float)y->dim[2] &&
           floorf((float)x->dim[3] * s[1]) == (float)y->dim[3];
}

static void write_resize(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    float scales[4] = {1, 1, n->a.resize.scale[0], n->a.resize.scale[1]};
    nn_make_string(&w->mk, p, "mode", nn_resize_mode_names[n->a.resize.mode]);
    nn_make_string(&w->mk, p, "coordinate_transformation_mode",
                   nn_resize_coordinate_names[n->a.resize.coordinates]);
    nn_make_string(&w->mk, p, "nearest_mode", nn_resize_nearest_names[n->a.resize.nearest]);
    nn_make_input(&w->mk, p, "");
    if (has_exact_scales(w, n)) {
        f32_input(w, n, p, "scales", scales, 4);
    } else {
        nn_make_input(&w->mk, p, "");
        i64_input(w, n, p, "sizes", out(w, n, 0)->dim, 4);
    }
}

static void write_transpose(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    nn_make_ints(&w->mk, p, "perm", n->a.transpose.perm, (size_t)in(w, n, 0)->rank);
}

/* At operator set 13 the axes are an input of ReduceSum, an attribute of ReduceMean. */
static void write_reduce(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    int axes[NN_RANK_MAX];
    int64_t wide[NN_RANK_MAX];
    size_t count = 0;
    for (int i = 0; i < in(w, n, 0)->rank; i++) {
        if (!(n->a.reduce.axes >> i & 1))
            continue;
        axes[count] = i;
        wide[count++] = i;
    }
    nn_make_int(&w->mk, p, "keepdims", 1);
    if (n->op == NN_OP_REDUCE_SUM)
        i64_input(w, n, p, "axes", wide, count);
    else
        nn_make_ints(&w->mk, p, "axes", axes, count);
}

static void write_gemm(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    nn_make_float(&w->mk, p, "alpha", n->a.gemm.alpha);
    nn_make_float(&w->mk, p, "beta", n->a.gemm.beta);
    nn_make_int(&w->mk, p, "transA", n->a.gemm.trans_a);
    nn_make_int(&w->mk, p, "transB", n->a.gemm.trans_b);
}

/* The node's attributes, and those that the operator takes as further inputs. */
static void write_attributes(struct writer *w, const struct nn_node *n, Onnx__NodeProto *p)
{
    switch (n->op) {
    case NN_OP_CONV:
    case NN_OP_CONV_TRANSPOSE:
    case NN_OP_MAX_POOL:
    case NN_OP_AVERAGE_POOL:
        write_window(w, n, p);
        break;
    case NN_OP_BATCH_NORM:
        nn_make_float(&w->mk, p, "epsilon", n->a.batch_norm.epsilon);
        nn_make_float(&w->mk, p, "momentum", n->a.batch_norm.momentum);
        break;
    case NN_OP_LEAKY_RELU:
        nn_make_float(&w->mk, p, "alpha", n->a.leaky_relu.alpha);
        break;
    case NN_OP_ELU:
        nn_make_float(&w->mk, p, "alpha", n->a.function.alpha);
        break;
    case NN_OP_HARD_SIGMOID:
        nn_make_float(&w->mk, p, "alpha", n->a.function.alpha);
        nn_make_float(&w->mk, p, "beta", n->a.function.beta);
        break;
    case NN_OP_POW:
        f32_input(w, n, p, "exponent", &n->a.function.alpha, 0);
        break;
    case NN_OP_REDUCE_MEAN:
    case NN_OP_REDUCE_SUM:
        write_reduce(w, n, p);
        break;
    case NN_OP_CLIP:
        f32_input(w, n, p, "min", &n->a.clip.min, 0);
        f32_input(w, n, p, "max", &n->a.clip.max, 0);
        break;
    case NN_OP_SOFTMAX:
    case NN_OP_CONCAT:
    case NN_OP_GATHER:
        nn_make_int(&w->mk, p, "axis", n->a.axis.axis);
        break;
    case NN_OP_SPLIT:
        write_split(w, n, p);
        break;
    case NN_OP_SLICE:
        write_slice(w, n, p);
        break;
    case NN_OP_PAD:
        write_pad(w, n, p);
        break;
    case NN_OP_RESHAPE:
        write_reshape(w, n, p);
        break;
    case NN_OP_TRANSPOSE:
        write_transpose(w, n, p);
        break;
    case NN_OP_GEMM:
        write_gemm(w, n, p);
        break;
    case NN_OP_RESIZE:
        write_resize(w, n, p);
        break;
    default: /* no attributes */
        break;
    }
}

static void write_node(struct writer *w, const struct nn_node *n)
{
    Onnx__NodeProto *p = nn_make_node(&w->mk, nn_op_name(n->op), n->name);
    for (int i = 0; i < n->input_count; i++)
        nn_make_input(&w->mk, p, n->input[i] < 0 ? "" : in(w, n, i)->name);
    for (int i = 0; i < n->output_count; i++)
        nn_make_output(&w->mk, p, out(w, n, i)->name);
    if (p)
        write_attributes(w, n, p);
}

static bool is_output(const struct nn_graph *g, int tensor)
{
    for (int i = 0; i < g->output_count; i++)
        if (g->outputs[i] == tensor)
            return true;
    return false;
}

static bool takes_any_batch(const struct writer *w, const struct nn_model *m)
{
    bool any = nn_model_batch_blocker(m) < 0;
    for (int i = 0; i < w->g->node_count; i++)
        if (w->g->nodes[i].op == NN_OP_RESIZE)
            any = any && has_exact_scales(w, &w->g->nodes[i]);
    return any;
}

/* As the file says it: batched only where the batch is open. */
static struct nn_shape shape_in_file(const struct writer *w, const struct nn_tensor *t)
{
    struct nn_shape shape = nn_shape_of(t);
    shape.batched = shape.batched && w->any_batch;
    return shape;
}

static void write_param(struct writer *w, const struct nn_tensor *t, const float *values)
{
    struct nn_shape shape = nn_shape_of(t);
    char stored[96];
    snprintf(stored, sizeof stored, "%shalf%d", w->prefix, t->param);
    if (is_half(w, t))
        nn_make_half(&w->mk, t->name, stored, &shape, values);
    else
        nn_make_initializer(&w->mk, t->name, NN_F32, &shape, values);
}

static void write_tensors(struct writer *w, const float *params)
{
    for (int i = 0; i < w->g->tensor_count; i++) {
        const struct nn_tensor *t = &w->g->tensors[i];
        struct nn_shape shape = shape_in_file(w, t);
        if (t->kind == NN_TENSOR_PARAM)
            write_param(w, t, params + w->g->params[t->param].offset);
        else if (t->kind == NN_TENSOR_CONSTANT)
            nn_make_constant(&w->mk, t->name, t->dtype, &shape, t->data);
        else if (t->kind == NN_TENSOR_ACTIVATION && !is_output(w->g, i))
            nn_make_value_info(&w->mk, t->name, &shape);
    }
}

static void write_ends(struct writer *w)
{
    for (int i = 0; i < w->g->input_count; i++) {
        const struct nn_tensor *t = &w->g->tensors[w->g->inputs[i]];
        struct nn_shape shape = shape_in_file(w, t);
        nn_make_graph_input(&w->mk, t->name, &shape);
    }
    for (int i = 0; i < w->g->output_count; i++) {
        const struct nn_tensor *t = &w->g->tensors[w->g->outputs[i]];
        struct nn_shape shape = shape_in_file(w, t);
        nn_make_graph_output(&w->mk, t->name, &shape);
    }
}

/* "attune/", with as many "_" as it takes until no tensor's name begins so. */
static enum status choose_prefix(struct writer *w, struct error *err)
{
    snprintf(w->prefix, sizeof w->prefix, "attune/");
    for (int i = 0; i < w->g->tensor_count; i++) {
        size_t n = strlen(w->prefix);
        if (strncmp(w->g->tensors[i].name, w->prefix, n) != 0)
            continue;
        if (n + 1 >= sizeof w->prefix)
            return error_set(err, ST_UNSUPPORTED, "the names of the tensors leave none free");
        memcpy(w->prefix + n, "_", 2);
        i = -1;
    }
    return ST_OK;
}

/* Metadata as it was read, but for the ranges, which are written anew. */
static enum status write_metadata(struct writer *w, const struct nn_model *m,
                                  const struct nn_range *ranges, struct error *err)
{
    struct buf text;
    buf_init(&text);
    for (int i = 0; i < m->metadata_count; i++)
        if (strcmp(m->metadata[i].key, NN_RANGES_KEY) != 0)
            nn_make_metadata(&w->mk, m->metadata[i].key, m->metadata[i].value);
    nn_ranges_write(w->g, ranges, &text);
    if (!text.failed && text.size_bytes > 0)
        nn_make_metadata(&w->mk, NN_RANGES_KEY, (const char *)text.data);
    bool failed = text.failed;
    buf_clear(&text);
    return failed ? error_set(err, ST_NOMEM, "no memory for calibrated ranges") : ST_OK;
}

static enum status write_model(const struct nn_model *m, const float *params,
                               const struct nn_range *ranges, bool half, struct buf *out_bytes,
                               struct error *err)
{
    struct writer w = {.g = &m->graph, .half = half};
    enum status st = choose_prefix(&w, err);
    if (st)
        return st;
    w.any_batch = takes_any_batch(&w, m);
    nn_maker_init(&w.mk);
    write_tensors(&w, params);
    for (int i = 0; i < m->graph.node_count; i++)
        write_node(&w, &m->graph.nodes[i]);
    write_ends(&w);
    st = write_metadata(&w, m, ranges, err);
    if (!st)
        st = nn_make_pack(&w.mk, out_bytes, err);
    nn_maker_clear(&w.mk);
    return st;
}

enum status nn_model_write(const struct nn_model *m, const float *params, struct buf *out_bytes,
                           struct error *err)
{
    return write_model(m, params ? params : m->values, NULL, false, out_bytes, err);
}

enum status nn_model_write_calibrated(const struct nn_model *m, const float *params,
                                      const struct nn_range *ranges, struct buf *out_bytes,
                                      struct error *err)
{
    return write_model(m, params ? params : m->values, ranges, false, out_bytes, err);
}

enum status nn_model_write_half(const struct nn_model *m, const float *params,
                                struct buf *out_bytes, struct error *err)
{
    if (!params)
        params = m->values;
    for (size_t i = 0; i < m->trainable_count; i++)
        if (!(fabsf(params[i]) < 65520.0f))
            return error_set(err, ST_INVALID,
                             "a weight is %g, which float16 cannot hold; store float32",
                             (double)params[i]);
    return write_model(m, params, NULL, true, out_bytes, err);
}
