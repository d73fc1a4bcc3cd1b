/* The table of operators and what their handlers share: attributes, inputs, results. A node whose
 * inputs are all constant never reaches the graph; fold.c computes its outputs here. */
#include "nn/lower.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    nn_handler *handler;
    int input_min, input_max;
} operators[] = {
    {"Abs", nn_lower_abs, 1, 1},
    {"Add", nn_lower_add, 2, 2},
    {"AveragePool", nn_lower_average_pool, 1, 1},
    {"BatchNormalization", nn_lower_batch_norm, 5, 5},
    {"Cast", nn_lower_cast, 1, 1},
    {"Ceil", nn_lower_ceil, 1, 1},
    {"Clip", nn_lower_clip, 1, 3},
    {"Concat", nn_lower_concat, 1, NN_NODE_INPUTS_MAX},
    {"Constant", nn_lower_constant, 0, 0},
    {"ConstantOfShape", nn_lower_constant_of_shape, 1, 1},
    {"Conv", nn_lower_conv, 2, 3},
    {"ConvTranspose", nn_lower_conv_transpose, 2, 3},
    {"DepthToSpace", nn_lower_depth_to_space, 1, 1},
    {"Div", nn_lower_div, 2, 2},
    {"Dropout", nn_lower_dropout, 1, 3},
    {"Elu", nn_lower_elu, 1, 1},
    {"Equal", nn_lower_equal, 2, 2},
    {"Erf", nn_lower_erf, 1, 1},
    {"Exp", nn_lower_exp, 1, 1},
    {"Expand", nn_lower_expand, 2, 2},
    {"Flatten", nn_lower_flatten, 1, 1},
    {"Floor", nn_lower_floor, 1, 1},
    {"Gather", nn_lower_gather, 2, 2},
    {"Gelu", nn_lower_gelu, 1, 1},
    {"Gemm", nn_lower_gemm, 2, 3},
    {"GlobalAveragePool", nn_lower_global_average_pool, 1, 1},
    {"Greater", nn_lower_greater, 2, 2},
    {"HardSigmoid", nn_lower_hard_sigmoid, 1, 1},
    {"HardSwish", nn_lower_hard_swish, 1, 1},
    {"Identity", nn_lower_identity, 1, 1},
    {"LeakyRelu", nn_lower_leaky_relu, 1, 1},
    {"Less", nn_lower_less, 2, 2},
    {"MatMul", nn_lower_matmul, 2, 2},
    {"Max", nn_lower_max, 2, 2},
    {"MaxPool", nn_lower_max_pool, 1, 1},
    {"Min", nn_lower_min, 2, 2},
    {"Mod", nn_lower_mod, 2, 2},
    {"Mul", nn_lower_mul, 2, 2},
    {"Neg", nn_lower_neg, 1, 1},
    {"Not", nn_lower_not, 1, 1},
    {"PRelu", nn_lower_prelu, 2, 2},
    {"Pad", nn_lower_pad, 1, 4},
    {"Pow", nn_lower_pow, 2, 2},
    {"Range", nn_lower_range, 3, 3},
    {"ReduceMean", nn_lower_reduce_mean, 1, 2},
    {"ReduceProd", nn_lower_reduce_prod, 1, 2},
    {"ReduceSum", nn_lower_reduce_sum, 1, 2},
    {"Relu", nn_lower_relu, 1, 1},
    {"Reshape", nn_lower_reshape, 1, 2},
    {"Resize", nn_lower_resize, 1, 4},
    {"Shape", nn_lower_shape, 1, 1},
    {"Sigmoid", nn_lower_sigmoid, 1, 1},
    {"Slice", nn_lower_slice, 1, 5},
    {"Softmax", nn_lower_softmax, 1, 1},
    {"Softplus", nn_lower_softplus, 1, 1},
    {"SpaceToDepth", nn_lower_space_to_depth, 1, 1},
    {"Split", nn_lower_split, 1, 2},
    {"Sqrt", nn_lower_sqrt, 1, 1},
    {"Squeeze", nn_lower_squeeze, 1, 2},
    {"Sub", nn_lower_sub, 2, 2},
    {"Tanh", nn_lower_tanh, 1, 1},
    {"Transpose", nn_lower_transpose, 1, 1},
    {"Unsqueeze", nn_lower_unsqueeze, 1, 2},
    {"Upsample", nn_lower_upsample, 1, 2},
    {"Where", nn_lower_where, 3, 3},
};

void nn_fail(struct nn_lower *l, enum status code, const char *format, ...)
{
    if (l->status)
        return;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    l->status = error_set(l->err, code, "node '%.120s' (%.40s): %s", l->node.name,
                          nn_onnx_text(l->proto->op_type), text);
}

const struct nn_tensor *nn_in(const struct nn_lower *l, int i)
{
    if (i >= l->node.input_count || l->node.input[i] < 0)
        return NULL;
    return &l->d->tensors[l->node.input[i]].t;
}

struct nn_shape nn_in_shape(struct nn_lower *l, int i, int rank)
{
    const struct nn_tensor *t = nn_in(l, i);
    struct nn_shape none = {.rank = rank};
    for (int k = 0; k < rank; k++)
        none.dim[k] = 1;
    if (!t) {
        nn_fail(l, ST_FORMAT, "input %d is missing", i);
        return none;
    }
    struct nn_shape s = nn_shape_of(t);
    char text[96];
    if (rank > 0 && s.rank != rank) {
        nn_fail(l, ST_UNSUPPORTED, "input '%.100s' has shape %s; only rank %d is supported",
                t->name, nn_shape_text(&s, text), rank);
        return none;
    }
    return s;
}

bool nn_in_constant(const struct nn_lower *l, int i)
{
    const struct nn_tensor *t = nn_in(l, i);
    return t && t->kind == NN_TENSOR_CONSTANT;
}

bool nn_all_constant(const struct nn_lower *l)
{
    for (int i = 0; i < l->node.input_count; i++)
        if (nn_in(l, i) && !nn_in_constant(l, i))
            return false;
    return true;
}

/* Constant input i of the dtype with at most max elements; NULL after a failure or when absent. */
static const struct nn_tensor *small_constant(struct nn_lower *l, int i, enum nn_dtype dtype,
                                              int max)
{
    const struct nn_tensor *t = nn_in(l, i);
    if (!t)
        return NULL;
    if (t->kind != NN_TENSOR_CONSTANT)
        nn_fail(l, ST_UNSUPPORTED, "input '%.100s' is computed; it has to be a constant", t->name);
    else if (t->dtype != dtype || t->rank > 1 || nn_tensor_count(t) > max)
        nn_fail(l, ST_UNSUPPORTED, "input '%.100s' has to be at most %d %s", t->name, max,
                dtype == NN_I64 ? "integers" : "floats");
    else
        return t;
    return NULL;
}

int nn_in_i64(struct nn_lower *l, int i, int64_t *v, int max)
{
    const struct nn_tensor *t = small_constant(l, i, NN_I64, max);
    int count = t ? (int)nn_tensor_count(t) : 0;
    if (count)
        memcpy(v, t->data, (size_t)count * sizeof *v);
    return count;
}

int nn_in_f32(struct nn_lower *l, int i, float *v, int max)
{
    const struct nn_tensor *t = small_constant(l, i, NN_F32, max);
    int count = t ? (int)nn_tensor_count(t) : 0;
    if (count)
        memcpy(v, t->data, (size_t)count * sizeof *v);
    return count;
}

/* The type by the field that is filled, for files from before attributes had one. */
static int attribute_type(const Onnx__AttributeProto *a)
{
    if (a->has_type && a->type)
        return a->type;
    return a->has_f          ? ONNX_ATTR_FLOAT
           : a->has_i        ? ONNX_ATTR_INT
           : a->has_s        ? ONNX_ATTR_STRING
           : a->t            ? ONNX_ATTR_TENSOR
           : a->n_floats > 0 ? ONNX_ATTR_FLOATS
                             : ONNX_ATTR_INTS;
}

const Onnx__AttributeProto *nn_attr(struct nn_lower *l, const char *name, int type)
{
    for (size_t i = 0; i < l->proto->n_attribute; i++) {
        const Onnx__AttributeProto *a = l->proto->attribute[i];
        if (strcmp(nn_onnx_text(a->name), name) != 0)
            continue;
        l->attributes_read |= 1u << i;
        if (type == 0 || attribute_type(a) == type)
            return a;
        nn_fail(l, ST_FORMAT, "attribute '%s' has the wrong type (%d, expected %d)", name,
                attribute_type(a), type);
        return NULL;
    }
    return NULL;
}

int64_t nn_attr_int(struct nn_lower *l, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *a = nn_attr(l, name, ONNX_ATTR_INT);
    return !a ? otherwise : a->has_i ? a->i : 0;
}

float nn_attr_float(struct nn_lower *l, const char *name, float otherwise)
{
    const Onnx__AttributeProto *a = nn_attr(l, name, ONNX_ATTR_FLOAT);
    return !a ? otherwise : a->has_f ? a->f : 0;
}

int nn_attr_ints(struct nn_lower *l, const char *name, int64_t *v, int max)
{
    const Onnx__AttributeProto *a = nn_attr(l, name, ONNX_ATTR_INTS);
    if (!a)
        return -1;
    if (a->n_ints > (size_t)max) {
        nn_fail(l, ST_UNSUPPORTED, "attribute '%s' has %zu values; at most %d are supported", name,
                a->n_ints, max);
        return -1;
    }
    if (a->n_ints)
        memcpy(v, a->ints, a->n_ints * sizeof *v);
    return (int)a->n_ints;
}

int nn_attr_floats(struct nn_lower *l, const char *name, float *v, int max)
{
    const Onnx__AttributeProto *a = nn_attr(l, name, ONNX_ATTR_FLOATS);
    if (!a)
        return -1;
    if (a->n_floats > (size_t)max) {
        nn_fail(l, ST_UNSUPPORTED, "attribute '%s' has %zu values; at most %d are supported", name,
                a->n_floats, max);
        return -1;
    }
    if (a->n_floats)
        memcpy(v, a->floats, a->n_floats * sizeof *v);
    return (int)a->n_floats;
}

int nn_attr_choice(struct nn_lower *l, const char *name, const char *const *names, int otherwise)
{
    const Onnx__AttributeProto *a = nn_attr(l, name, ONNX_ATTR_STRING);
    if (!a)
        return otherwise;
    for (int i = 0; names[i]; i++) /* an empty text matches none: its data may be NULL */
        if (a->s.len && a->s.len == strlen(names[i]) && memcmp(a->s.data, names[i], a->s.len) == 0)
            return i;
    nn_fail(l, ST_UNSUPPORTED, "attribute %s '%.*s' is not supported", name,
            (int)(a->s.len < 60 ? a->s.len : 60), (const char *)a->s.data);
    return otherwise;
}

void nn_attr_ignore(struct nn_lower *l, const char *name)
{
    nn_attr(l, name, 0);
}

int nn_axis(struct nn_lower *l, int64_t axis, int rank)
{
    if (axis < -rank || axis >= rank) {
        nn_fail(l, ST_FORMAT, "axis %" PRId64 " is outside a tensor of rank %d", axis, rank);
        return 0;
    }
    return (int)(axis < 0 ? axis + rank : axis);
}

int nn_ints_either(struct nn_lower *l, const char *name, int i, int since, int64_t *v, int max)
{
    if (l->opset < since)
        return nn_attr_ints(l, name, v, max);
    return nn_in(l, i) ? nn_in_i64(l, i, v, max) : -1;
}

void nn_out(struct nn_lower *l, enum nn_op op, struct nn_shape shape)
{
    int64_t count;
    char text[96];
    if (l->status)
        return;
    if (!nn_shape_count(&shape, &count)) {
        nn_fail(l, ST_UNSUPPORTED, "an output of shape %s is not possible",
                nn_shape_text(&shape, text));
        return;
    }
    if (l->out_count >= NN_NODE_OUTPUTS_MAX) {
        nn_fail(l, ST_LIMIT, "more than %d outputs", NN_NODE_OUTPUTS_MAX);
        return;
    }
    l->node.op = op;
    l->out[l->out_count++] = shape;
}

void nn_out_alias(struct nn_lower *l, int input)
{
    if (!nn_in(l, input))
        nn_fail(l, ST_FORMAT, "input %d is missing", input);
    else
        l->alias = l->node.input[input];
}

void *nn_out_constant(struct nn_lower *l, enum nn_dtype dtype, struct nn_shape shape)
{
    int64_t count;
    shape.batched = false;
    if (l->status)
        return NULL;
    if (!nn_shape_count(&shape, &count)) {
        nn_fail(l, ST_LIMIT, "its constant result is too large");
        return NULL;
    }
    void *data = nn_pool_alloc(l->d->pool, (size_t)count, nn_dtype_bytes(dtype));
    if (!data) {
        nn_fail(l, ST_LIMIT, "its constant result is too large for the file's size");
        return NULL;
    }
    l->constant = true;
    l->constant_dtype = dtype;
    l->constant_data = data;
    l->out[0] = shape;
    l->out_count = 1;
    return data;
}

int nn_emit(struct nn_lower *l, struct nn_node node, const struct nn_shape *shape,
            const char *suffix)
{
    node.output_count = 1;
    node.name = l->status ? NULL : nn_draft_unique(l->d, l->node.name, suffix);
    if (!node.name)
        nn_fail(l, ST_NOMEM, "no memory for the graph");
    if (!l->status)
        l->status = nn_draft_tensor(l->d, node.name, NN_TENSOR_ACTIVATION, NN_F32, shape, NULL,
                                    &node.output[0], l->err);
    if (!l->status)
        l->status = nn_draft_node(l->d, &node, l->err);
    return l->status ? -1 : node.output[0];
}

int nn_emit_number(struct nn_lower *l, float value, const char *suffix)
{
    struct nn_shape scalar = {0};
    int tensor = -1;
    char *name = l->status ? NULL : nn_draft_unique(l->d, l->node.name, suffix);
    float *data = l->status ? NULL : nn_pool_alloc(l->d->pool, 1, sizeof *data);
    if (!name || !data)
        nn_fail(l, ST_NOMEM, "no memory for the graph");
    if (l->status)
        return -1;
    *data = value;
    l->status =
        nn_draft_tensor(l->d, name, NN_TENSOR_CONSTANT, NN_F32, &scalar, data, &tensor, l->err);
    return l->status ? -1 : tensor;
}

void nn_require_floats(struct nn_lower *l)
{
    for (int i = 0; i < l->node.input_count; i++)
        if (nn_in(l, i) && nn_in(l, i)->dtype != NN_F32)
            nn_fail(l, ST_UNSUPPORTED, "input '%.100s' is not float", nn_in(l, i)->name);
}

struct nn_shape nn_broadcast(struct nn_lower *l, const struct nn_shape *a, const struct nn_shape *b)
{
    struct nn_shape out = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 0; i < out.rank; i++) {
        int ai = i - (out.rank - a->rank), bi = i - (out.rank - b->rank);
        int64_t x = ai < 0 ? 1 : a->dim[ai], y = bi < 0 ? 1 : b->dim[bi];
        char ta[96], tb[96];
        if (x != y && x != 1 && y != 1)
            nn_fail(l, ST_FORMAT, "shapes %s and %s do not fit", nn_shape_text(a, ta),
                    nn_shape_text(b, tb));
        out.dim[i] = x == 1 ? y : x;
    }
    /* A batch stays the leading dim when the other operand has it too, or has 1 or nothing there.
     */
    bool a_leads = a->batched && a->rank == out.rank, b_leads = b->batched && b->rank == out.rank;
    bool a_fits = a_leads || (!a->batched && (a->rank < out.rank || a->dim[0] == 1));
    bool b_fits = b_leads || (!b->batched && (b->rank < out.rank || b->dim[0] == 1));
    out.batched = (a_leads && b_fits) || (b_leads && a_fits);
    return out;
}

/* Looks the node's inputs up; -1 for the empty names of absent optional ones. */
static void find_inputs(struct nn_lower *l, int input_max)
{
    int count = (int)l->proto->n_input;
    while (count > 0 && !*nn_onnx_text(l->proto->input[count - 1]))
        count--;
    if (count > input_max)
        nn_fail(l, ST_UNSUPPORTED, "%d inputs; at most %d are supported", count, input_max);
    for (int i = 0; !l->status && i < count; i++) {
        const char *name = nn_onnx_text(l->proto->input[i]);
        l->node.input[i] = *name ? nn_draft_find(l->d, name) : -1;
        if (*name && l->node.input[i] < 0)
            nn_fail(l, ST_FORMAT, "input '%.100s' is made by no node before it", name);
    }
    if (!l->status)
        l->node.input_count = count;
}

static void check_attributes(struct nn_lower *l)
{
    for (size_t i = 0; !l->status && i < l->proto->n_attribute; i++)
        if (!(l->attributes_read >> i & 1))
            nn_fail(l, ST_UNSUPPORTED, "attribute '%.60s' is not supported",
                    nn_onnx_text(l->proto->attribute[i]->name));
}

static void wrap(struct nn_lower *l, enum status st)
{
    if (st && !l->status) {
        l->status = st;
        error_prefix(l->err, "node '%.120s' (%.40s)", l->node.name,
                     nn_onnx_text(l->proto->op_type));
    }
}

static void add_output(struct nn_lower *l, int i, enum nn_tensor_kind kind, enum nn_dtype dtype,
                       const void *data)
{
    const char *name = (size_t)i < l->proto->n_output ? nn_onnx_text(l->proto->output[i]) : "";
    if (!*name)
        name = nn_draft_unique(l->d, l->node.name, "_unused");
    if (!name)
        nn_fail(l, ST_NOMEM, "no memory for its outputs");
    if (!l->status)
        wrap(l, nn_draft_tensor(l->d, name, kind, dtype, &l->out[i], data, &l->node.output[i],
                                l->err));
}

/* A layout-only node over an initialiser leaves it an initialiser, one that can train. */
static bool keeps_initializer(const struct nn_lower *l)
{
    return (l->node.op == NN_OP_RESHAPE || l->node.op == NN_OP_TRANSPOSE) &&
           l->d->tensors[l->node.input[0]].initializer;
}

static void fold_outputs(struct nn_lower *l)
{
    enum nn_dtype dtype = nn_in(l, 0)->dtype;
    bool initializer = keeps_initializer(l);
    for (int i = 0; !l->status && i < l->out_count; i++) {
        int64_t count = 0;
        l->out[i].batched = false;
        nn_shape_count(&l->out[i], &count);
        void *data = nn_pool_alloc(l->d->pool, (size_t)count, nn_dtype_bytes(dtype));
        if (!data) {
            nn_fail(l, ST_LIMIT, "its constant result is too large for the file's size");
            return;
        }
        nn_fold(l, i, dtype, data);
        add_output(l, i, NN_TENSOR_CONSTANT, dtype, data);
        if (!l->status)
            l->d->tensors[l->node.output[i]].initializer = initializer;
    }
}

static void add_node(struct nn_lower *l)
{
    for (int i = 0; !l->status && i < l->out_count; i++) {
        int64_t count = 0;
        char text[96];
        nn_shape_count(&l->out[i], &count);
        if (!count)
            nn_fail(l, ST_UNSUPPORTED, "an output of shape %s is empty",
                    nn_shape_text(&l->out[i], text));
        add_output(l, i, NN_TENSOR_ACTIVATION, NN_F32, NULL);
    }
    l->node.output_count = l->out_count;
    if (!l->status)
        wrap(l, nn_draft_node(l->d, &l->node, l->err));
}

static void bind_alias(struct nn_lower *l)
{
    const char *name = l->proto->n_output ? nn_onnx_text(l->proto->output[0]) : "";
    char *copy = nn_pool_string(l->d->pool, name);
    if (!copy)
        nn_fail(l, ST_NOMEM, "no memory for its outputs");
    else if (*copy)
        wrap(l, nn_draft_bind(l->d, copy, l->alias, l->err));
}

static void add_constant(struct nn_lower *l)
{
    add_output(l, 0, NN_TENSOR_CONSTANT, l->constant_dtype, l->constant_data);
    if (!l->status)
        l->d->tensors[l->node.output[0]].initializer = l->constant_initializer;
}

static void finish(struct nn_lower *l)
{
    if (l->proto->n_output > (size_t)l->out_count && l->alias < 0 &&
        strcmp(nn_onnx_text(l->proto->op_type), "BatchNormalization") != 0)
        nn_fail(l, ST_UNSUPPORTED, "%zu outputs; only %d are supported", l->proto->n_output,
                l->out_count);
    if (l->status)
        return;
    if (l->alias >= 0)
        bind_alias(l);
    else if (l->constant)
        add_constant(l);
    else if (nn_all_constant(l))
        fold_outputs(l);
    else
        add_node(l);
}

/* Index in operators, -1 after a failure. */
static int find_operator(struct nn_lower *l)
{
    const char *type = nn_onnx_text(l->proto->op_type), *domain = nn_onnx_text(l->proto->domain);
    if (*domain && strcmp(domain, "ai.onnx") != 0)
        nn_fail(l, ST_UNSUPPORTED, "operators of domain '%.60s' are not supported", domain);
    if (l->proto->n_attribute > NN_ATTRIBUTES_MAX || l->proto->n_output > NN_NODE_OUTPUTS_MAX)
        nn_fail(l, ST_LIMIT, "more than %d attributes or %d outputs", NN_ATTRIBUTES_MAX,
                NN_NODE_OUTPUTS_MAX);
    for (size_t i = 0; !l->status && i < sizeof operators / sizeof *operators; i++)
        if (strcmp(type, operators[i].name) == 0)
            return (int)i;
    nn_fail(l, ST_UNSUPPORTED, "the operator is not supported");
    return -1;
}

static nn_handler *handler_of(struct nn_lower *l)
{
    int found = find_operator(l);
    if (found < 0)
        return NULL;
    int max = operators[found].input_max;
    find_inputs(l, max < NN_NODE_INPUTS_MAX ? max : NN_NODE_INPUTS_MAX);
    if (l->node.input_count < operators[found].input_min)
        nn_fail(l, ST_FORMAT, "%d inputs; at least %d are needed", l->node.input_count,
                operators[found].input_min);
    return operators[found].handler;
}

const char *nn_onnx_node_name(const Onnx__NodeProto *proto, int index,
                              char fallback[NN_NODE_NAME_ROOM])
{
    const char *name = nn_onnx_text(proto->name);
    snprintf(fallback, NN_NODE_NAME_ROOM, "%.60s_%d", nn_onnx_text(proto->op_type), index);
    return *name ? name : fallback;
}

enum status nn_lower_known(const Onnx__NodeProto *proto, int index, struct error *err)
{
    char fallback[NN_NODE_NAME_ROOM];
    struct nn_lower l = {.proto = proto, .alias = -1, .err = err};
    l.node.name = nn_onnx_node_name(proto, index, fallback);
    find_operator(&l);
    return l.status;
}

enum status nn_lower_node(struct nn_draft *d, const Onnx__NodeProto *proto, int index, int opset,
                          struct error *err)
{
    struct nn_lower l = {.d = d, .proto = proto, .opset = opset, .alias = -1, .err = err};
    char fallback[NN_NODE_NAME_ROOM];
    l.node.name = nn_pool_string(d->pool, nn_onnx_node_name(proto, index, fallback));
    if (!l.node.name)
        return error_set(err, ST_NOMEM, "no memory for the graph");
    nn_handler *handler = handler_of(&l);
    if (!l.status)
        handler(&l);
    check_attributes(&l);
    finish(&l);
    return l.status;
}
