/* The folded network is put together as a model of its own tables, and written: nodes without those
 * that were folded, tensors that a node still reads or makes, and for each folded pair new weights
 * and a new bias, which makes shared weights no special case. */
#include "nn/fold_batch_norm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/draft.h"

struct folder {
    const struct nn_model *from;
    const float *params;
    struct nn_model to; /* its pool owns everything new */
    struct nn_tensor *tensors;
    struct nn_node *nodes;
    struct nn_param *list;
    const float **values; /* by tensor of `to`: of a parameter, else NULL */
    int *norm_of;         /* by node of `from`: the batch-norm folded into it, -1 for none */
    bool *gone;           /* by node of `from`: folded away */
    int *place;           /* by tensor of `from`: in `to`, -1: not yet */
    int folded;
};

static enum status no_memory(struct error *err)
{
    return error_set(err, ST_NOMEM, "no memory to fold batch-norm");
}

static const float *values_of(const struct folder *f, int tensor)
{
    const struct nn_tensor *t = &f->from->graph.tensors[tensor];
    return t->kind == NN_TENSOR_PARAM ? f->params + f->from->graph.params[t->param].offset
                                      : t->data;
}

static bool is_fixed(const struct nn_graph *g, int tensor)
{
    return tensor < 0 || g->tensors[tensor].kind == NN_TENSOR_PARAM ||
           g->tensors[tensor].kind == NN_TENSOR_CONSTANT;
}

static int readers(const struct nn_graph *g, int tensor)
{
    int count = 0;
    for (int i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++)
            count += g->nodes[i].input[k] == tensor;
    for (int i = 0; i < g->output_count; i++)
        count += g->outputs[i] == tensor;
    return count;
}

/* The convolution that batch-norm node n can be folded into, -1 for none. */
static int convolution_before(const struct nn_graph *g, const struct nn_node *n)
{
    if (n->op != NN_OP_BATCH_NORM)
        return -1;
    int at = g->tensors[n->input[0]].producer;
    if (at < 0 || readers(g, n->input[0]) != 1)
        return -1;
    const struct nn_node *conv = &g->nodes[at];
    bool fixed =
        is_fixed(g, conv->input[1]) && (conv->input_count < 3 || is_fixed(g, conv->input[2]));
    for (int i = 1; i < 5; i++)
        fixed = fixed && is_fixed(g, n->input[i]);
    return fixed && (conv->op == NN_OP_CONV || conv->op == NN_OP_CONV_TRANSPOSE) ? at : -1;
}

static void find_pairs(struct folder *f)
{
    const struct nn_graph *g = &f->from->graph;
    for (int i = 0; i < g->node_count; i++)
        f->norm_of[i] = -1;
    for (int i = 0; i < g->node_count; i++) {
        int conv = convolution_before(g, &g->nodes[i]);
        if (conv < 0)
            continue;
        f->norm_of[conv] = i;
        f->gone[i] = true;
        f->folded++;
    }
}

/* Tensor t of `from` in `to`. */
static int place(struct folder *f, int t)
{
    if (t < 0 || f->place[t] >= 0)
        return t < 0 ? -1 : f->place[t];
    int at = f->to.graph.tensor_count++;
    f->tensors[at] = f->from->graph.tensors[t];
    f->tensors[at].param = -1;
    f->tensors[at].producer = -1;
    if (f->tensors[at].kind == NN_TENSOR_PARAM)
        f->values[at] = values_of(f, t);
    f->place[t] = at;
    return at;
}

static bool name_taken(const struct nn_graph *g, const char *name)
{
    for (int i = 0; i < g->tensor_count; i++)
        if (strcmp(g->tensors[i].name, name) == 0)
            return true;
    return false;
}

/* "NAME" of the convolution's output with an ending, such that no tensor of the file has it. */
static char *new_name(struct folder *f, int output, const char *ending)
{
    const struct nn_graph *g = &f->from->graph;
    size_t room = strlen(g->tensors[output].name) + strlen(ending) + 16;
    char *name = nn_pool_alloc(&f->to.pool, room, 1);
    if (name)
        snprintf(name, room, "%s%s", g->tensors[output].name, ending);
    for (int i = 2; name && name_taken(g, name); i++)
        snprintf(name, room, "%s%s_%d", g->tensors[output].name, ending, i);
    return name;
}

/* A new parameter of `to` with those values (its pool's). */
static int add_param(struct folder *f, char *name, const struct nn_shape *shape,
                     const float *values)
{
    int at = f->to.graph.tensor_count++;
    struct nn_tensor *t = &f->tensors[at];
    *t = (struct nn_tensor){.name = name,
                            .kind = NN_TENSOR_PARAM,
                            .dtype = NN_F32,
                            .rank = shape->rank,
                            .param = -1,
                            .producer = -1};
    memcpy(t->dim, shape->dim, sizeof t->dim);
    f->values[at] = values;
    return at;
}

/* gain[c] and offset[c] such that batch-norm is x * gain + offset. */
static void norm_line(const struct folder *f, const struct nn_node *norm, int64_t channels,
                      double *gain, double *offset)
{
    const float *scale = values_of(f, norm->input[1]), *shift = values_of(f, norm->input[2]);
    const float *mean = values_of(f, norm->input[3]), *variance = values_of(f, norm->input[4]);
    for (int64_t c = 0; c < channels; c++) {
        double sigma = sqrt((double)variance[c] + (double)norm->a.batch_norm.epsilon);
        gain[c] = (double)scale[c] / sigma;
        offset[c] = (double)shift[c] - (double)mean[c] * gain[c];
    }
}

/* Output channel of element i of the convolution's weights: [O, I/groups, h, w], transposed
 * [I, O/groups, h, w]. */
static int64_t channel_of(const struct nn_node *conv, const struct nn_tensor *w, int64_t i)
{
    int64_t area = w->dim[2] * w->dim[3], row = w->dim[1] * area;
    if (conv->op == NN_OP_CONV)
        return i / row;
    int64_t group = i / row / (w->dim[0] / conv->a.window.groups);
    return group * w->dim[1] + i / area % w->dim[1];
}

static enum status fold_pair(struct folder *f, const struct nn_node *conv,
                             const struct nn_node *norm, struct nn_node *ret, struct error *err)
{
    const struct nn_tensor *w = &f->from->graph.tensors[conv->input[1]];
    struct nn_shape weights = nn_shape_of(w), bias = {.rank = 1};
    int64_t channels = f->from->graph.tensors[norm->output[0]].dim[1], count = nn_tensor_count(w);
    bias.dim[0] = channels;
    double *line = nn_pool_alloc(&f->to.pool, 2 * (size_t)channels, sizeof *line);
    float *new_w = nn_pool_alloc(&f->to.pool, (size_t)count, sizeof *new_w);
    float *new_b = nn_pool_alloc(&f->to.pool, (size_t)channels, sizeof *new_b);
    char *w_name = new_name(f, norm->output[0], ".folded_weight");
    char *b_name = new_name(f, norm->output[0], ".folded_bias");
    if (!line || !new_w || !new_b || !w_name || !b_name)
        return no_memory(err);
    double *gain = line, *offset = line + channels;
    norm_line(f, norm, channels, gain, offset);
    const float *old_w = values_of(f, conv->input[1]);
    const float *old_b =
        conv->input_count > 2 && conv->input[2] >= 0 ? values_of(f, conv->input[2]) : NULL;
    for (int64_t i = 0; i < count; i++)
        new_w[i] = (float)((double)old_w[i] * gain[channel_of(conv, w, i)]);
    for (int64_t c = 0; c < channels; c++)
        new_b[c] = (float)(offset[c] + (old_b ? (double)old_b[c] * gain[c] : 0));
    *ret = *conv;
    ret->input_count = 3;
    ret->input[0] = place(f, conv->input[0]);
    ret->input[1] = add_param(f, w_name, &weights, new_w);
    ret->input[2] = add_param(f, b_name, &bias, new_b);
    ret->output[0] = place(f, norm->output[0]);
    return ST_OK;
}

static enum status copy_nodes(struct folder *f, struct error *err)
{
    const struct nn_graph *g = &f->from->graph;
    enum status st = ST_OK;
    for (int i = 0; !st && i < g->node_count; i++) {
        if (f->gone[i])
            continue;
        struct nn_node *n = &f->nodes[f->to.graph.node_count++];
        if (f->norm_of[i] >= 0) {
            st = fold_pair(f, &g->nodes[i], &g->nodes[f->norm_of[i]], n, err);
            continue;
        }
        *n = g->nodes[i];
        for (int k = 0; k < n->input_count; k++)
            n->input[k] = place(f, n->input[k]);
        for (int k = 0; k < n->output_count; k++)
            n->output[k] = place(f, n->output[k]);
    }
    return st;
}

/* The parameter table and vector of `to`: every parameter in the order of its tensor. */
static enum status copy_params(struct folder *f, struct error *err)
{
    struct nn_graph *g = &f->to.graph;
    for (int i = 0; i < g->tensor_count; i++)
        if (f->values[i])
            f->to.param_count += (size_t)nn_tensor_count(&f->tensors[i]);
    f->to.values = nn_pool_alloc(&f->to.pool, f->to.param_count, sizeof *f->to.values);
    if (!f->to.values)
        return no_memory(err);
    size_t offset = 0;
    for (int i = 0; i < g->tensor_count; i++) {
        if (!f->values[i])
            continue;
        size_t count = (size_t)nn_tensor_count(&f->tensors[i]);
        memcpy(f->to.values + offset, f->values[i], count * sizeof *f->to.values);
        f->tensors[i].param = g->param_count;
        f->list[g->param_count++] =
            (struct nn_param){.offset = offset, .count = count, .tensor = i};
        offset += count;
    }
    return ST_OK;
}

static enum status copy_ends(struct folder *f, struct error *err)
{
    const struct nn_graph *from = &f->from->graph;
    struct nn_graph *g = &f->to.graph;
    int *ends =
        nn_pool_alloc(&f->to.pool, (size_t)(from->input_count + from->output_count), sizeof *ends);
    if (!ends)
        return no_memory(err);
    for (int i = 0; i < from->input_count; i++)
        ends[i] = place(f, from->inputs[i]);
    for (int i = 0; i < from->output_count; i++)
        ends[from->input_count + i] = place(f, from->outputs[i]);
    g->inputs = ends;
    g->outputs = ends + from->input_count;
    g->input_count = from->input_count;
    g->output_count = from->output_count;
    return ST_OK;
}

static bool make_tables(struct folder *f)
{
    const struct nn_graph *g = &f->from->graph;
    struct nn_pool *pool = &f->to.pool;
    size_t tensors = (size_t)(g->tensor_count + 2 * g->node_count), nodes = (size_t)g->node_count;
    nn_pool_init(pool, 2 * NN_FILE_BYTES_MAX);
    f->tensors = nn_pool_alloc(pool, tensors, sizeof *f->tensors);
    f->list = nn_pool_alloc(pool, tensors, sizeof *f->list);
    f->values = nn_pool_alloc(pool, tensors, sizeof *f->values);
    f->nodes = nn_pool_alloc(pool, nodes, sizeof *f->nodes);
    f->norm_of = nn_pool_alloc(pool, nodes, sizeof *f->norm_of);
    f->gone = nn_pool_alloc(pool, nodes, sizeof *f->gone);
    f->place = nn_pool_alloc(pool, (size_t)g->tensor_count, sizeof *f->place);
    if (!f->tensors || !f->list || !f->values || !f->nodes || !f->norm_of || !f->gone || !f->place)
        return false;
    for (int i = 0; i < g->tensor_count; i++)
        f->place[i] = -1;
    f->to.graph.tensors = f->tensors;
    f->to.graph.nodes = f->nodes;
    f->to.graph.params = f->list;
    f->to.metadata = f->from->metadata;
    f->to.metadata_count = f->from->metadata_count;
    return true;
}

enum status nn_fold_batch_norm(const struct nn_model *m, const float *params, struct buf *out,
                               int *ret_folded, struct error *err)
{
    struct folder f = {.from = m, .params = params ? params : m->values};
    enum status st = make_tables(&f) ? ST_OK : no_memory(err);
    if (!st)
        find_pairs(&f);
    if (!st)
        st = copy_nodes(&f, err);
    if (!st)
        st = copy_ends(&f, err);
    if (!st)
        st = copy_params(&f, err);
    if (!st)
        st = nn_model_write(&f.to, NULL, out, err);
    if (!st)
        *ret_folded = f.folded;
    nn_pool_clear(&f.to.pool);
    return st;
}
