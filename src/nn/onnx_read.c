/* nn_model_read: ONNX bytes to a draft to a model. Unpacking allocates through a counting
 * allocator, because a small file of many empty messages would grow a hundredfold; all else is
 * bounded by the model's pool and the limits of model.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "nn/lower.h"

#define UNPACK_EXTRA_BYTES ((size_t)64 << 20)
#define FOLD_EXTRA_BYTES ((size_t)48 << 20) /* tables and names take up to 16 of them */
#define OUTPUTS_MAX 64
#define METADATA_MAX 256
#define DIM_MAX 65536

static void *bounded_alloc(void *data, size_t n)
{
    size_t *left = data;
    if (n > *left)
        return NULL;
    *left -= n;
    return malloc(n ? n : 1);
}

static void bounded_free(void *data, void *p)
{
    (void)data;
    free(p);
}

enum status nn_onnx_unpack(const void *bytes, size_t n, Onnx__ModelProto **ret, struct error *err)
{
    if (n > NN_FILE_BYTES_MAX)
        return error_set(err, ST_LIMIT, "the model has %zu bytes, over the limit of %zu", n,
                         NN_FILE_BYTES_MAX);
    size_t left = 4 * n + UNPACK_EXTRA_BYTES;
    ProtobufCAllocator allocator = {bounded_alloc, bounded_free, &left};
    Onnx__ModelProto *p = onnx__model_proto__unpack(&allocator, n, bytes);
    if (!p)
        return error_set(err, ST_FORMAT, "not an ONNX file, or it is cut short");
    if (!p->graph || !p->graph->n_output) {
        nn_onnx_free(p);
        return error_set(err, ST_FORMAT, "not an ONNX model: it has no graph with outputs");
    }
    *ret = p;
    return ST_OK;
}

void nn_onnx_free(Onnx__ModelProto *p)
{
    size_t none = 0;
    ProtobufCAllocator allocator = {bounded_alloc, bounded_free, &none};
    if (p)
        onnx__model_proto__free_unpacked(p, &allocator);
}

static enum status read_opset(const Onnx__ModelProto *p, int *ret, struct error *err)
{
    int64_t version = 0;
    for (size_t i = 0; i < p->n_opset_import; i++) {
        const char *domain = nn_onnx_text(p->opset_import[i]->domain);
        if (!*domain || strcmp(domain, "ai.onnx") == 0)
            version = p->opset_import[i]->version;
    }
    if (version < ONNX_OPSET_MIN || version > ONNX_OPSET_MAX)
        return error_set(err, ST_UNSUPPORTED,
                         "operator set %" PRId64 " is not supported; export with %d to %d", version,
                         ONNX_OPSET_MIN, ONNX_OPSET_MAX);
    *ret = (int)version;
    return ST_OK;
}

static enum status read_initializers(struct nn_draft *d, const Onnx__GraphProto *g,
                                     struct error *err)
{
    if (g->n_sparse_initializer)
        return error_set(err, ST_UNSUPPORTED, "sparse initialisers are not supported");
    for (size_t i = 0; i < g->n_initializer; i++) {
        struct nn_shape shape;
        enum nn_dtype dtype;
        const void *data;
        int index;
        enum status st = nn_onnx_tensor(g->initializer[i], d->pool, &shape, &dtype, &data, err);
        if (!st)
            st = nn_draft_tensor(d, nn_onnx_text(g->initializer[i]->name), NN_TENSOR_CONSTANT,
                                 dtype, &shape, data, &index, err);
        if (st)
            return st;
        d->tensors[index].initializer = true;
    }
    return ST_OK;
}

/* Dims of a graph input for batch 1, with the options' height and width. */
static enum status input_shape(const Onnx__ValueInfoProto *v, const struct nn_model_options *o,
                               struct nn_shape *ret, struct error *err)
{
    const char *name = nn_onnx_text(v->name);
    const Onnx__TensorTypeProto *type = v->type ? v->type->tensor_type : NULL;
    if (!type || !type->shape || type->elem_type != ONNX_FLOAT)
        return error_set(err, ST_UNSUPPORTED, "input '%.120s' is not a float tensor", name);
    size_t rank = type->shape->n_dim;
    if (rank < 1 || rank > NN_RANK_MAX)
        return error_set(err, ST_UNSUPPORTED, "input '%.120s' has %zu dims", name, rank);
    struct nn_shape s = {.rank = (int)rank, .batched = true};
    for (size_t i = 0; i < rank; i++) {
        s.dim[i] = i == 0 ? 1 : type->shape->dim[i]->dim_value;
        if (rank == 4 && i == 2 && o && o->height > 0)
            s.dim[i] = o->height;
        if (rank == 4 && i == 3 && o && o->width > 0)
            s.dim[i] = o->width;
        if (s.dim[i] < 1 || s.dim[i] > DIM_MAX)
            return error_set(err, ST_UNSUPPORTED,
                             "dim %zu of input '%.120s' is not fixed; give the height and width to "
                             "run at",
                             i, name);
    }
    *ret = s;
    return ST_OK;
}

/* Graph inputs that are not also initialisers, as old exporters list them. */
static enum status read_inputs(struct nn_draft *d, const Onnx__GraphProto *g,
                               const struct nn_model_options *options, struct error *err)
{
    d->inputs = calloc(g->n_input + 1, sizeof *d->inputs);
    if (!d->inputs)
        return error_set(err, ST_NOMEM, "no memory for the inputs");
    for (size_t i = 0; i < g->n_input; i++) {
        struct nn_shape shape;
        const char *name = nn_onnx_text(g->input[i]->name);
        int found = nn_draft_find(d, name);
        if (found >= 0 && d->tensors[found].t.kind == NN_TENSOR_CONSTANT)
            continue;
        enum status st = input_shape(g->input[i], options, &shape, err);
        int64_t count;
        if (!st && !nn_shape_count(&shape, &count))
            st = error_set(err, ST_LIMIT, "input '%.120s' is too large", name);
        if (!st)
            st = nn_draft_tensor(d, name, NN_TENSOR_INPUT, NN_F32, &shape, NULL,
                                 &d->inputs[d->input_count], err);
        if (st)
            return st;
        d->input_count++;
    }
    return d->input_count ? ST_OK : error_set(err, ST_FORMAT, "the graph has no input");
}

static enum status read_nodes(struct nn_draft *d, const Onnx__GraphProto *g, int opset,
                              struct error *err)
{
    if (g->n_node > NN_NODES_MAX)
        return error_set(err, ST_LIMIT, "the graph has %zu nodes, over the limit of %d", g->n_node,
                         NN_NODES_MAX);
    for (size_t i = 0; i < g->n_node; i++) {
        enum status st = nn_lower_node(d, g->node[i], (int)i, opset, err);
        if (st)
            return st;
    }
    return ST_OK;
}

static bool is_output(const struct nn_draft *d, int tensor)
{
    for (int i = 0; i < d->output_count; i++)
        if (d->outputs[i] == tensor)
            return true;
    return false;
}

/* A copy of the tensor under an output's own name, for an output that is a second name. */
static enum status copy_output(struct nn_draft *d, int tensor, struct error *err, int *ret)
{
    struct nn_shape shape = nn_shape_of(&d->tensors[tensor].t);
    struct nn_node node = {
        .op = NN_OP_RESHAPE, .input_count = 1, .output_count = 1, .input = {tensor}};
    node.name = nn_draft_unique(d, d->tensors[tensor].t.name, "_copy");
    if (!node.name)
        return error_set(err, ST_NOMEM, "no memory for the outputs");
    enum status st = nn_draft_tensor(d, node.name, NN_TENSOR_ACTIVATION, NN_F32, &shape, NULL,
                                     &node.output[0], err);
    if (!st)
        st = nn_draft_node(d, &node, err);
    *ret = node.output[0];
    return st;
}

/* Outputs keep the file's names: an aliased tensor takes the output's name, and where it already
 * is an input or another output a copy does. */
static enum status read_output(struct nn_draft *d, const char *name, struct error *err)
{
    int t = nn_draft_find(d, name);
    if (t < 0 || d->tensors[t].t.kind == NN_TENSOR_CONSTANT)
        return error_set(err, t < 0 ? ST_FORMAT : ST_UNSUPPORTED, "output '%.120s' is %s", name,
                         t < 0 ? "made by no node" : "a constant");
    if (d->tensors[t].t.kind == NN_TENSOR_INPUT || is_output(d, t)) {
        enum status st = copy_output(d, t, err, &t);
        if (st)
            return st;
    }
    char *copy = nn_pool_string(d->pool, name);
    if (!copy)
        return error_set(err, ST_NOMEM, "no memory for the outputs");
    d->tensors[t].t.name = copy;
    d->outputs[d->output_count++] = t;
    return ST_OK;
}

static enum status read_outputs(struct nn_draft *d, const Onnx__GraphProto *g, struct error *err)
{
    if (g->n_output > OUTPUTS_MAX)
        return error_set(err, ST_LIMIT, "%zu outputs, over the limit of %d", g->n_output,
                         OUTPUTS_MAX);
    d->outputs = calloc(g->n_output, sizeof *d->outputs);
    if (!d->outputs)
        return error_set(err, ST_NOMEM, "no memory for the outputs");
    for (size_t i = 0; i < g->n_output; i++) {
        const char *name = nn_onnx_text(g->output[i]->name);
        for (size_t k = 0; k < i; k++)
            if (strcmp(name, nn_onnx_text(g->output[k]->name)) == 0)
                return error_set(err, ST_FORMAT, "output '%.120s' is listed twice", name);
        enum status st = read_output(d, name, err);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status read_metadata(struct nn_model *m, const Onnx__ModelProto *p, struct error *err)
{
    if (p->n_metadata_props > METADATA_MAX)
        return error_set(err, ST_LIMIT, "%zu metadata entries, over the limit of %d",
                         p->n_metadata_props, METADATA_MAX);
    m->metadata = nn_pool_alloc(&m->pool, p->n_metadata_props, sizeof *m->metadata);
    for (size_t i = 0; m->metadata && i < p->n_metadata_props; i++) {
        m->metadata[i].key = nn_pool_string(&m->pool, nn_onnx_text(p->metadata_props[i]->key));
        m->metadata[i].value = nn_pool_string(&m->pool, nn_onnx_text(p->metadata_props[i]->value));
        if (!m->metadata[i].key || !m->metadata[i].value)
            return error_set(err, ST_NOMEM, "no memory for the metadata");
        m->metadata_count++;
    }
    return m->metadata ? ST_OK : error_set(err, ST_NOMEM, "no memory for the metadata");
}

void nn_onnx_pool_init(struct nn_pool *pool, size_t file_bytes)
{
    nn_pool_init(pool, 8 * file_bytes + FOLD_EXTRA_BYTES);
}

enum status nn_onnx_begin(struct nn_draft *d, const Onnx__ModelProto *p,
                          const struct nn_model_options *options, int *ret_opset, struct error *err)
{
    enum status st = read_opset(p, ret_opset, err);
    if (!st)
        st = read_initializers(d, p->graph, err);
    if (!st)
        st = read_inputs(d, p->graph, options, err);
    return st;
}

static enum status read_model(struct nn_model *m, struct nn_draft *d, const Onnx__ModelProto *p,
                              const struct nn_model_options *options, struct error *err)
{
    int opset = 0;
    enum status st = nn_onnx_begin(d, p, options, &opset, err);
    if (!st)
        st = read_nodes(d, p->graph, opset, err);
    if (!st)
        st = read_outputs(d, p->graph, err);
    if (!st)
        st = read_metadata(m, p, err);
    if (!st)
        st = nn_draft_finish(d, m, err);
    return st;
}

/* The message and an empty model for it. After an error both are NULL. */
static enum status begin(const void *bytes, size_t n, Onnx__ModelProto **p, struct nn_model **m,
                         struct error *err)
{
    *m = NULL;
    enum status st = nn_onnx_unpack(bytes, n, p, err);
    if (st)
        return st;
    *m = calloc(1, sizeof **m);
    if (!*m) {
        nn_onnx_free(*p);
        return error_set(err, ST_NOMEM, "no memory for the model");
    }
    nn_onnx_pool_init(&(*m)->pool, n);
    file_sha256_hex(bytes, n, (*m)->identity);
    return ST_OK;
}

/* Takes the message. */
static enum status end(Onnx__ModelProto *p, struct nn_model *m,
                       const struct nn_model_options *options, struct nn_model **ret,
                       struct error *err)
{
    struct nn_draft d;
    nn_draft_init(&d, &m->pool);
    enum status st = read_model(m, &d, p, options, err);
    nn_draft_clear(&d);
    nn_onnx_free(p);
    if (st)
        nn_model_close(&m);
    *ret = m;
    return st;
}

enum status nn_model_read(const void *bytes, size_t n, const struct nn_model_options *options,
                          struct nn_model **ret, struct error *err)
{
    Onnx__ModelProto *p = NULL;
    enum status st = begin(bytes, n, &p, ret, err);
    return st ? st : end(p, *ret, options, ret, err);
}

enum status nn_model_open(const char *path, const struct nn_model_options *options,
                          struct nn_model **ret, struct error *err)
{
    Onnx__ModelProto *p = NULL;
    struct buf bytes;
    buf_init(&bytes);
    *ret = NULL;
    enum status st = file_read(path, NN_FILE_BYTES_MAX, &bytes, err);
    if (st)
        return st;
    st = begin(bytes.data, bytes.size_bytes, &p, ret, err);
    buf_clear(&bytes); /* the message has copies of what is needed */
    if (!st)
        st = end(p, *ret, options, ret, err);
    if (st)
        error_prefix(err, "model %s", path);
    return st;
}
