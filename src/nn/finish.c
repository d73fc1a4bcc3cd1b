/* The last step of reading: what no output needs is dropped, initialisers become parameters by
 * their use, and the tables get their final order (inputs, then as nodes use and make tensors),
 * which depends on the graph alone, so that a file written from a model reads back the same.
 *
 * An initialiser trains as weight or bias of Conv, ConvTranspose, Gemm and MatMul, as slope of
 * PRelu, scale or shift of BatchNormalization, and in Add and Mul where it has one value a
 * channel. Values of Constant nodes do not: exporters write fixed resampling matrices so. One that
 * is both trained and a running statistic (exporters merge equal tensors) is split in two. */
#include <stdlib.h>
#include <string.h>

#include "nn/draft.h"
#include "nn/inspect.h"
#include "nn/ranges.h"

struct finish {
    struct nn_draft *d;
    struct nn_model *m;
    enum nn_param_kind *kinds; /* by draft tensor, 0: constant */
    int *twins;                /* by draft tensor: its copy of the other kind, 0: none */
    int *places;               /* by draft tensor: index in the model, -1: dropped */
    bool *live;                /* by draft node */
    struct nn_tensor *tensors; /* the model's, while they are filled in */
    int kind_room;
};

static enum status no_memory(struct error *err)
{
    return error_set(err, ST_NOMEM, "no memory for the graph's tables");
}

/* Dead nodes: backwards from the outputs, as every node comes after what it reads. */
static void mark_live(struct finish *f)
{
    const struct nn_draft *d = f->d;
    for (int i = 0; i < d->output_count; i++)
        f->live[d->tensors[d->outputs[i]].t.producer] = true;
    for (int n = d->node_count - 1; n >= 0; n--) {
        for (int i = 0; f->live[n] && i < d->nodes[n].input_count; i++) {
            int t = d->nodes[n].input[i];
            if (t >= 0 && d->tensors[t].t.producer >= 0)
                f->live[d->tensors[t].t.producer] = true;
        }
    }
}

/* More than one value, all along axis 1, or along the last axis where that is what a bias after a
 * matrix product looks like. */
static bool per_channel(const struct nn_tensor *t, const struct nn_tensor *out)
{
    int64_t count = nn_tensor_count(t);
    for (int i = 0; i < t->rank; i++) {
        int axis = i + out->rank - t->rank;
        bool channel = out->rank == 4 ? axis == 1 : axis == 1 || axis == out->rank - 1;
        if (t->dim[i] > 1)
            return channel && t->dim[i] == count;
    }
    return false;
}

/* What input i of the node makes of an initialiser; 0: nothing, it stays constant. */
static enum nn_param_kind role(const struct finish *f, const struct nn_node *n, int i)
{
    const struct nn_draft_tensor *t = &f->d->tensors[n->input[i]];
    if (!t->initializer || t->t.dtype != NN_F32)
        return 0;
    switch (n->op) {
    case NN_OP_CONV:
    case NN_OP_CONV_TRANSPOSE:
    case NN_OP_GEMM:
    case NN_OP_MATMUL:
    case NN_OP_PRELU:
        return NN_PARAM_TRAINABLE;
    case NN_OP_BATCH_NORM:
        return i >= 3 ? NN_PARAM_STATISTIC : NN_PARAM_TRAINABLE;
    case NN_OP_ADD:
    case NN_OP_MUL:
        return per_channel(&t->t, &f->d->tensors[n->output[0]].t) ? NN_PARAM_TRAINABLE : 0;
    default:
        return 0;
    }
}

/* The copy of tensor t that has the other kind. */
static enum status twin(struct finish *f, int t, enum nn_param_kind kind, int *ret,
                        struct error *err)
{
    if (!f->twins[t]) {
        struct nn_tensor of = f->d->tensors[t].t;
        struct nn_shape shape = nn_shape_of(&of);
        char *name = nn_draft_unique(f->d, of.name, "_twin");
        int index;
        if (!name || f->d->tensor_count >= f->kind_room)
            return no_memory(err);
        enum status st =
            nn_draft_tensor(f->d, name, of.kind, of.dtype, &shape, of.data, &index, err);
        if (st)
            return st;
        f->kinds[index] = kind;
        f->twins[t] = index;
    }
    *ret = f->twins[t];
    return ST_OK;
}

static enum status find_params(struct finish *f, struct error *err)
{
    for (int k = 0; k < f->d->node_count; k++) {
        struct nn_node *n = &f->d->nodes[k];
        for (int i = 0; f->live[k] && i < n->input_count; i++) {
            int t = n->input[i];
            enum nn_param_kind kind = t < 0 ? 0 : role(f, n, i);
            if (!kind)
                continue;
            if (!f->kinds[t])
                f->kinds[t] = kind;
            if (f->kinds[t] != kind) {
                enum status st = twin(f, t, kind, &n->input[i], err);
                if (st)
                    return st;
            }
        }
    }
    return ST_OK;
}

/* Gives tensor t the next place unless it has one. */
static void place(struct finish *f, int t)
{
    if (t >= 0 && f->places[t] < 0)
        f->places[t] = f->m->graph.tensor_count++;
}

static int live_nodes(const struct finish *f)
{
    int count = 0;
    for (int k = 0; k < f->d->node_count; k++)
        count += f->live[k];
    return count;
}

static void place_tensors(struct finish *f)
{
    for (int i = 0; i < f->d->tensor_count; i++)
        f->places[i] = -1;
    for (int i = 0; i < f->d->input_count; i++)
        place(f, f->d->inputs[i]);
    for (int k = 0; k < f->d->node_count; k++) {
        const struct nn_node *n = &f->d->nodes[k];
        for (int i = 0; f->live[k] && i < n->input_count; i++)
            place(f, n->input[i]);
        for (int i = 0; f->live[k] && i < n->output_count; i++)
            place(f, n->output[i]);
    }
}

static enum status copy_tensors(struct finish *f, struct error *err)
{
    struct nn_graph *g = &f->m->graph;
    f->tensors = nn_pool_alloc(&f->m->pool, (size_t)g->tensor_count, sizeof *f->tensors);
    if (!f->tensors)
        return no_memory(err);
    for (int i = 0; i < f->d->tensor_count; i++) {
        if (f->places[i] < 0)
            continue;
        struct nn_tensor *t = &f->tensors[f->places[i]];
        *t = f->d->tensors[i].t;
        t->producer = -1;
    }
    g->tensors = f->tensors;
    return ST_OK;
}

static enum status copy_nodes(struct finish *f, struct error *err)
{
    struct nn_graph *g = &f->m->graph;
    int count = live_nodes(f), at = 0;
    struct nn_node *nodes = nn_pool_alloc(&f->m->pool, (size_t)count, sizeof *nodes);
    if (!nodes)
        return no_memory(err);
    for (int k = 0; k < f->d->node_count; k++) {
        if (!f->live[k])
            continue;
        struct nn_node *n = &nodes[at];
        *n = f->d->nodes[k];
        for (int i = 0; i < NN_NODE_INPUTS_MAX; i++)
            n->input[i] = i >= n->input_count || n->input[i] < 0 ? -1 : f->places[n->input[i]];
        for (int i = 0; i < n->output_count; i++) {
            n->output[i] = f->places[n->output[i]];
            f->tensors[n->output[i]].producer = at;
        }
        at++;
    }
    g->nodes = nodes;
    g->node_count = count;
    return ST_OK;
}

static enum status copy_ends(struct finish *f, struct error *err)
{
    struct nn_graph *g = &f->m->graph;
    int *inputs = nn_pool_alloc(&f->m->pool, (size_t)f->d->input_count, sizeof *inputs);
    int *outputs = nn_pool_alloc(&f->m->pool, (size_t)f->d->output_count, sizeof *outputs);
    if (!inputs || !outputs)
        return no_memory(err);
    for (int i = 0; i < f->d->input_count; i++)
        inputs[i] = f->places[f->d->inputs[i]];
    for (int i = 0; i < f->d->output_count; i++)
        outputs[i] = f->places[f->d->outputs[i]];
    g->inputs = inputs;
    g->outputs = outputs;
    g->input_count = f->d->input_count;
    g->output_count = f->d->output_count;
    return ST_OK;
}

/* Kinds by place instead of by draft tensor. */
static enum nn_param_kind *placed_kinds(struct finish *f)
{
    enum nn_param_kind *kinds = calloc((size_t)f->m->graph.tensor_count + 1, sizeof *kinds);
    for (int i = 0; kinds && i < f->d->tensor_count; i++)
        if (f->places[i] >= 0)
            kinds[f->places[i]] = f->kinds[i];
    return kinds;
}

/* Appends the parameters of one kind, in the order of the tensors, which is that of first use. */
static void add_params(struct finish *f, const enum nn_param_kind *kinds, enum nn_param_kind kind,
                       struct nn_param *params)
{
    struct nn_model *m = f->m;
    for (int i = 0; i < m->graph.tensor_count; i++) {
        struct nn_tensor *t = &f->tensors[i];
        if (kinds[i] != kind)
            continue;
        t->kind = NN_TENSOR_PARAM;
        t->param = m->graph.param_count;
        struct nn_param *p = &params[m->graph.param_count++];
        *p = (struct nn_param){.name = t->name,
                               .kind = kind,
                               .tensor = i,
                               .rank = t->rank,
                               .offset = m->param_count,
                               .count = (size_t)nn_tensor_count(t)};
        memcpy(p->dim, t->dim, sizeof p->dim);
        m->param_count += p->count;
    }
}

static enum status copy_params(struct finish *f, struct error *err)
{
    struct nn_model *m = f->m;
    enum nn_param_kind *kinds = placed_kinds(f);
    int count = 0;
    for (int i = 0; kinds && i < m->graph.tensor_count; i++)
        count += kinds[i] != 0;
    struct nn_param *params = nn_pool_alloc(&m->pool, (size_t)count, sizeof *params);
    if (!kinds || !params) {
        free(kinds);
        return no_memory(err);
    }
    add_params(f, kinds, NN_PARAM_TRAINABLE, params);
    m->trainable_count = m->param_count;
    add_params(f, kinds, NN_PARAM_STATISTIC, params);
    free(kinds);
    m->graph.params = params;
    m->values = calloc(m->param_count + 1, sizeof *m->values);
    if (!m->values)
        return no_memory(err);
    for (int i = 0; i < count; i++) {
        struct nn_tensor *t = &f->tensors[params[i].tensor];
        if (params[i].count)
            memcpy(m->values + params[i].offset, t->data, params[i].count * sizeof *m->values);
        t->data = NULL;
    }
    return ST_OK;
}

/* Constants that stay move from the message, or from where they were folded, to the model. */
static enum status copy_constants(struct finish *f, struct error *err)
{
    for (int i = 0; i < f->m->graph.tensor_count; i++) {
        struct nn_tensor *t = &f->tensors[i];
        if (t->kind != NN_TENSOR_CONSTANT)
            continue;
        size_t count = (size_t)nn_tensor_count(t), size = nn_dtype_bytes(t->dtype);
        void *data = nn_pool_alloc(&f->m->pool, count, size);
        if (!data)
            return no_memory(err);
        if (count)
            memcpy(data, t->data, count * size);
        t->data = data;
    }
    return ST_OK;
}

/* Batch-norm is taken as folded when there is none and a convolution has a bias: networks that
 * are built with batch-norm give their convolutions no bias, and folding gives them one. */
static void summarise(struct nn_model *m)
{
    bool norm = false, bias = false;
    for (int i = 0; i < m->graph.node_count; i++) {
        const struct nn_node *n = &m->graph.nodes[i];
        m->flops += nn_node_flops(&m->graph, n);
        norm = norm || n->op == NN_OP_BATCH_NORM;
        bias = bias || (n->op == NN_OP_CONV && n->input_count > 2 && n->input[2] >= 0);
    }
    m->bn_form = norm ? NN_BN_KEPT : bias ? NN_BN_FOLDED : NN_BN_NONE;
}

enum status nn_draft_finish(struct nn_draft *d, struct nn_model *m, struct error *err)
{
    struct finish f = {.d = d, .m = m, .kind_room = 2 * d->tensor_count};
    size_t room = (size_t)f.kind_room + 1;
    f.kinds = calloc(room, sizeof *f.kinds);
    f.twins = calloc(room, sizeof *f.twins);
    f.places = calloc(room, sizeof *f.places);
    f.live = calloc((size_t)d->node_count + 1, sizeof *f.live);
    enum status st = ST_OK;
    if (!f.kinds || !f.twins || !f.places || !f.live)
        st = no_memory(err);
    if (!st) {
        mark_live(&f);
        st = find_params(&f, err);
    }
    if (!st) {
        place_tensors(&f);
        st = copy_tensors(&f, err);
    }
    if (!st)
        st = copy_nodes(&f, err);
    if (!st)
        st = copy_ends(&f, err);
    if (!st)
        st = copy_params(&f, err);
    if (!st)
        st = copy_constants(&f, err);
    if (!st)
        summarise(m);
    const char *ranges = nn_model_metadata(m, NN_RANGES_KEY);
    if (!st && ranges)
        st = nn_ranges_read(&m->graph, ranges, f.tensors, err);
    free(f.kinds);
    free(f.twins);
    free(f.places);
    free(f.live);
    return st;
}
