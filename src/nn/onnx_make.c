/* Messages of the ONNX schema, allocated from one pool and packed in one go. */
#include "nn/onnx_make.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"

void nn_maker_init(struct nn_maker *mk)
{
    memset(mk, 0, sizeof *mk);
    nn_pool_init(&mk->pool, NN_FILE_BYTES_MAX);
    onnx__model_proto__init(&mk->model);
    onnx__graph_proto__init(&mk->graph);
    onnx__operator_set_id_proto__init(&mk->opset);
    mk->opset.domain = nn_make_text(mk, "%s", "");
    mk->opset.has_version = true;
    mk->opset.version = ONNX_OPSET_WRITTEN;
    mk->opsets[0] = &mk->opset;
    mk->model.n_opset_import = 1;
    mk->model.opset_import = mk->opsets;
    mk->model.has_ir_version = true;
    mk->model.ir_version = ONNX_IR_WRITTEN;
    mk->model.producer_name = nn_make_text(mk, "attune");
    mk->graph.name = nn_make_text(mk, "attune");
    mk->model.graph = &mk->graph;
}

void nn_maker_clear(struct nn_maker *mk)
{
    free(mk->graph.node);
    free(mk->graph.initializer);
    free(mk->graph.value_info);
    free(mk->graph.input);
    free(mk->graph.output);
    free(mk->model.metadata_props);
    nn_pool_clear(&mk->pool);
}

static void *alloc(struct nn_maker *mk, size_t count, size_t size)
{
    void *p = nn_pool_alloc(&mk->pool, count, size);
    mk->failed = mk->failed || !p;
    return p;
}

char *nn_make_text(struct nn_maker *mk, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : alloc(mk, (size_t)n + 1, 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

/* Appends item to a list of message pointers; lists grow by doubling. */
static void append(struct nn_maker *mk, void *list, size_t *count, size_t *room, void *item)
{
    void **items;
    memcpy(&items, list, sizeof items);
    if (item && *count == *room) {
        size_t more = *room ? *room * 2 : 64;
        void **grown = realloc(items, more * sizeof *items);
        if (!grown) {
            mk->failed = true;
            return;
        }
        items = grown;
        *room = more;
        memcpy(list, &items, sizeof items);
    }
    if (item)
        items[(*count)++] = item;
}

Onnx__NodeProto *nn_make_node(struct nn_maker *mk, const char *op, const char *name)
{
    Onnx__NodeProto *n = alloc(mk, 1, sizeof *n);
    if (!n)
        return NULL;
    onnx__node_proto__init(n);
    n->op_type = nn_make_text(mk, "%s", op);
    n->name = nn_make_text(mk, "%s", name);
    n->input = alloc(mk, NN_NODE_INPUTS_MAX, sizeof *n->input);
    n->output = alloc(mk, NN_NODE_OUTPUTS_MAX, sizeof *n->output);
    n->attribute = alloc(mk, NN_MAKE_ATTRIBUTES_MAX, sizeof *n->attribute);
    if (mk->failed)
        return NULL;
    append(mk, &mk->graph.node, &mk->graph.n_node, &mk->node_room, n);
    return n;
}

/* One more text in a fixed list of a node. */
static void add_text(struct nn_maker *mk, char **list, size_t *count, size_t max, const char *s)
{
    char *text = *count < max ? nn_make_text(mk, "%s", s) : NULL;
    if (text)
        list[(*count)++] = text;
    else
        mk->failed = true;
}

void nn_make_input(struct nn_maker *mk, Onnx__NodeProto *n, const char *tensor)
{
    if (n)
        add_text(mk, n->input, &n->n_input, NN_NODE_INPUTS_MAX, tensor);
}

void nn_make_output(struct nn_maker *mk, Onnx__NodeProto *n, const char *tensor)
{
    if (n)
        add_text(mk, n->output, &n->n_output, NN_NODE_OUTPUTS_MAX, tensor);
}

static Onnx__AttributeProto *attribute(struct nn_maker *mk, Onnx__NodeProto *n, const char *name,
                                       enum onnx_attribute type)
{
    if (!n || n->n_attribute >= NN_MAKE_ATTRIBUTES_MAX) {
        mk->failed = true;
        return NULL;
    }
    Onnx__AttributeProto *a = alloc(mk, 1, sizeof *a);
    if (!a)
        return NULL;
    onnx__attribute_proto__init(a);
    a->name = nn_make_text(mk, "%s", name);
    a->has_type = true;
    a->type = (int)type;
    n->attribute[n->n_attribute++] = a;
    return a;
}

void nn_make_int(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, int64_t v)
{
    Onnx__AttributeProto *a = attribute(mk, n, name, ONNX_ATTR_INT);
    if (a) {
        a->has_i = true;
        a->i = v;
    }
}

void nn_make_float(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, float v)
{
    Onnx__AttributeProto *a = attribute(mk, n, name, ONNX_ATTR_FLOAT);
    if (a) {
        a->has_f = true;
        a->f = v;
    }
}

void nn_make_string(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, const char *v)
{
    Onnx__AttributeProto *a = attribute(mk, n, name, ONNX_ATTR_STRING);
    char *text = nn_make_text(mk, "%s", v);
    if (a && text) {
        a->has_s = true;
        a->s = (ProtobufCBinaryData){strlen(v), (uint8_t *)text};
    }
}

void nn_make_ints(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, const int *v,
                  size_t count)
{
    Onnx__AttributeProto *a = attribute(mk, n, name, ONNX_ATTR_INTS);
    int64_t *copy = alloc(mk, count, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++)
        copy[i] = v[i];
    if (a && copy) {
        a->ints = copy;
        a->n_ints = count;
    }
}

static Onnx__TensorProto *tensor(struct nn_maker *mk, const char *name, enum nn_dtype dtype,
                                 const struct nn_shape *shape, const void *data)
{
    int64_t count = 0;
    Onnx__TensorProto *t = alloc(mk, 1, sizeof *t);
    int64_t *dims = alloc(mk, (size_t)shape->rank, sizeof *dims);
    char *text = nn_make_text(mk, "%s", name);
    if (!t || !dims || !text || !nn_shape_count(shape, &count)) {
        mk->failed = true;
        return NULL;
    }
    onnx__tensor_proto__init(t);
    memcpy(dims, shape->dim, (size_t)shape->rank * sizeof *dims);
    t->name = text;
    t->dims = dims;
    t->n_dims = (size_t)shape->rank;
    t->has_data_type = true;
    t->data_type = dtype == NN_F32 ? ONNX_FLOAT : ONNX_INT64;
    t->has_raw_data = true;
    t->raw_data.len = (size_t)count * (dtype == NN_F32 ? sizeof(float) : sizeof(int64_t));
    t->raw_data.data = (uint8_t *)(uintptr_t)data; /* the message type has no const */
    return t;
}

void nn_make_initializer(struct nn_maker *mk, const char *name, enum nn_dtype dtype,
                         const struct nn_shape *shape, const void *data)
{
    append(mk, &mk->graph.initializer, &mk->graph.n_initializer, &mk->initializer_room,
           tensor(mk, name, dtype, shape, data));
}

void nn_make_half(struct nn_maker *mk, const char *name, const char *stored,
                  const struct nn_shape *shape, const float *data)
{
    int64_t count = 0;
    nn_shape_count(shape, &count);
    uint16_t *values = alloc(mk, (size_t)count, sizeof *values);
    Onnx__TensorProto *t = tensor(mk, stored, NN_F32, shape, values);
    if (!values || !t)
        return;
    for (int64_t i = 0; i < count; i++)
        values[i] = half_from_float(data[i]);
    t->data_type = ONNX_FLOAT16;
    t->raw_data.len = (size_t)count * sizeof *values;
    append(mk, &mk->graph.initializer, &mk->graph.n_initializer, &mk->initializer_room, t);
    Onnx__NodeProto *n = nn_make_node(mk, "Cast", name);
    nn_make_input(mk, n, stored);
    nn_make_output(mk, n, name);
    nn_make_int(mk, n, "to", ONNX_FLOAT);
}

void nn_make_constant(struct nn_maker *mk, const char *name, enum nn_dtype dtype,
                      const struct nn_shape *shape, const void *data)
{
    Onnx__NodeProto *n = nn_make_node(mk, "Constant", name);
    Onnx__AttributeProto *a = attribute(mk, n, "value", ONNX_ATTR_TENSOR);
    nn_make_output(mk, n, name);
    if (a)
        a->t = tensor(mk, name, dtype, shape, data);
}

void nn_make_i64_input(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, const int64_t *v,
                       size_t count)
{
    struct nn_shape shape = {.rank = 1, .dim = {(int64_t)count}};
    int64_t *copy = alloc(mk, count, sizeof *copy);
    if (!copy)
        return;
    if (count)
        memcpy(copy, v, count * sizeof *copy);
    nn_make_initializer(mk, name, NN_I64, &shape, copy);
    nn_make_input(mk, n, name);
}

void nn_make_f32_input(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, const float *v,
                       size_t count)
{
    struct nn_shape shape = {.rank = count > 0, .dim = {(int64_t)count}};
    float *copy = alloc(mk, count ? count : 1, sizeof *copy);
    if (!copy)
        return;
    memcpy(copy, v, (count ? count : 1) * sizeof *copy);
    nn_make_initializer(mk, name, NN_F32, &shape, copy);
    nn_make_input(mk, n, name);
}

static Onnx__ValueInfoProto *value(struct nn_maker *mk, const char *name,
                                   const struct nn_shape *shape)
{
    size_t rank = (size_t)shape->rank;
    Onnx__ValueInfoProto *v = alloc(mk, 1, sizeof *v);
    Onnx__TypeProto *type = alloc(mk, 1, sizeof *type);
    Onnx__TensorTypeProto *tensor_type = alloc(mk, 1, sizeof *tensor_type);
    Onnx__TensorShapeProto *dims = alloc(mk, 1, sizeof *dims);
    Onnx__DimensionProto **list = alloc(mk, rank, sizeof(Onnx__DimensionProto *));
    Onnx__DimensionProto *items = alloc(mk, rank, sizeof *items);
    char *text = nn_make_text(mk, "%s", name);
    if (mk->failed)
        return NULL;
    onnx__value_info_proto__init(v);
    onnx__type_proto__init(type);
    onnx__tensor_type_proto__init(tensor_type);
    onnx__tensor_shape_proto__init(dims);
    for (size_t i = 0; i < rank; i++) {
        onnx__dimension_proto__init(&items[i]);
        items[i].has_dim_value = i > 0 || !shape->batched;
        items[i].dim_value = items[i].has_dim_value ? shape->dim[i] : 0;
        if (!items[i].has_dim_value)
            items[i].dim_param = nn_make_text(mk, "batch");
        list[i] = &items[i];
    }
    dims->n_dim = rank;
    dims->dim = list;
    tensor_type->has_elem_type = true;
    tensor_type->elem_type = ONNX_FLOAT;
    tensor_type->shape = dims;
    type->tensor_type = tensor_type;
    v->name = text;
    v->type = type;
    return v;
}

void nn_make_graph_input(struct nn_maker *mk, const char *name, const struct nn_shape *shape)
{
    append(mk, &mk->graph.input, &mk->graph.n_input, &mk->input_room, value(mk, name, shape));
}

void nn_make_graph_output(struct nn_maker *mk, const char *name, const struct nn_shape *shape)
{
    append(mk, &mk->graph.output, &mk->graph.n_output, &mk->output_room, value(mk, name, shape));
}

void nn_make_value_info(struct nn_maker *mk, const char *name, const struct nn_shape *shape)
{
    append(mk, &mk->graph.value_info, &mk->graph.n_value_info, &mk->value_room,
           value(mk, name, shape));
}

void nn_make_metadata(struct nn_maker *mk, const char *key, const char *v)
{
    Onnx__StringStringEntryProto *entry = alloc(mk, 1, sizeof *entry);
    if (!entry)
        return;
    onnx__string_string_entry_proto__init(entry);
    entry->key = nn_make_text(mk, "%s", key);
    entry->value = nn_make_text(mk, "%s", v);
    append(mk, &mk->model.metadata_props, &mk->model.n_metadata_props, &mk->metadata_room, entry);
}

enum status nn_make_pack(struct nn_maker *mk, struct buf *out, struct error *err)
{
    if (mk->failed)
        return error_set(err, ST_NOMEM, "no memory to write the model");
    size_t n = onnx__model_proto__get_packed_size(&mk->model);
    if (n > NN_FILE_BYTES_MAX)
        return error_set(err, ST_LIMIT, "the model would have %zu bytes, over the limit of %zu", n,
                         NN_FILE_BYTES_MAX);
    uint8_t *at = buf_extend(out, n);
    if (!at)
        return error_set(err, ST_NOMEM, "no memory to write the model");
    onnx__model_proto__pack(&mk->model, at);
    return ST_OK;
}
