/* Collects what nn_model_read and nn_session_open would refuse one at a time. */
#include "nn/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/inspect.h"
#include "nn/lower.h"
#include "nn/session.h"

static enum status add_item(struct nn_survey *s, int node, const char *name, const char *op,
                            const struct error *why, struct error *err)
{
    struct nn_survey_item *items = realloc(s->items, (size_t)(s->count + 1) * sizeof *items);
    if (!items)
        return error_set(err, ST_NOMEM, "no memory for the list of unsupported nodes");
    s->items = items;
    struct nn_survey_item *item = &items[s->count++];
    item->node = node;
    snprintf(item->name, sizeof item->name, "%.120s", name);
    snprintf(item->op, sizeof item->op, "%.40s", op);
    snprintf(item->message, sizeof item->message, "%s", why->message);
    return ST_OK;
}

void nn_survey_clear(struct nn_survey *s)
{
    free(s->items);
    *s = (struct nn_survey){0};
}

/* ---- reading ---- */

#define UNKNOWN (-2) /* what the names of a refused node's outputs are bound to in the draft */

static bool reads_unknown(const struct nn_draft *d, const Onnx__NodeProto *p)
{
    for (size_t i = 0; i < p->n_input; i++)
        if (nn_draft_find(d, nn_onnx_text(p->input[i])) == UNKNOWN)
            return true;
    return false;
}

static enum status bind_unknowns(struct nn_draft *d, const Onnx__NodeProto *p, struct error *err)
{
    enum status st = ST_OK;
    for (size_t i = 0; !st && i < p->n_output; i++) {
        const char *name = nn_onnx_text(p->output[i]);
        if (*name && nn_draft_find(d, name) == -1)
            st = nn_draft_bind(d, name, UNKNOWN, err);
    }
    return st;
}

/* One node of the file; a refusal becomes an item. */
static enum status survey_node(struct nn_survey *s, struct nn_draft *d, const Onnx__NodeProto *p,
                               int index, int opset, struct error *err)
{
    struct error why = {0};
    enum status st;
    bool unknown = reads_unknown(d, p);
    if (unknown)
        st = nn_lower_known(p, index, &why);
    else
        st = nn_lower_node(d, p, index, opset, &why);
    if (st == ST_NOMEM)
        return error_set(err, st, "%s", why.message);
    s->unknown += unknown && !st;
    if (st) {
        char fallback[NN_NODE_NAME_ROOM];
        enum status added = add_item(s, index, nn_onnx_node_name(p, index, fallback),
                                     nn_onnx_text(p->op_type), &why, err);
        if (added)
            return added;
    }
    return st || unknown ? bind_unknowns(d, p, err) : ST_OK;
}

static enum status survey_nodes(struct nn_survey *s, struct nn_draft *d, const Onnx__GraphProto *g,
                                int opset, struct error *err)
{
    enum status st = ST_OK;
    if (g->n_node > NN_NODES_MAX)
        return error_set(err, ST_LIMIT, "the graph has %zu nodes, over the limit of %d", g->n_node,
                         NN_NODES_MAX);
    for (size_t i = 0; !st && i < g->n_node; i++) {
        st = survey_node(s, d, g->node[i], (int)i, opset, err);
        s->node_count++;
    }
    return st;
}

enum status nn_survey_read(const void *bytes, size_t n, const struct nn_model_options *options,
                           struct nn_survey *ret, struct error *err)
{
    Onnx__ModelProto *p = NULL;
    enum status st = nn_onnx_unpack(bytes, n, &p, err);
    if (st)
        return st;
    struct nn_survey s = {0};
    struct nn_pool pool;
    struct nn_draft d;
    int opset = 0;
    nn_onnx_pool_init(&pool, n);
    nn_draft_init(&d, &pool);
    st = nn_onnx_begin(&d, p, options, &opset, err);
    if (!st)
        st = survey_nodes(&s, &d, p->graph, opset, err);
    nn_draft_clear(&d);
    nn_pool_clear(&pool);
    nn_onnx_free(p);
    if (st)
        nn_survey_clear(&s);
    else
        *ret = s;
    return st;
}

/* ---- sessions ---- */

/* Node k of m alone, in a graph of its own: what it reads becomes input, what it makes output.
 * tensors has room for all of m's. */
static struct nn_model alone(const struct nn_model *m, int k, struct nn_tensor *tensors,
                             int inputs[NN_NODE_INPUTS_MAX])
{
    struct nn_model one = *m;
    struct nn_graph *g = &one.graph;
    const struct nn_node *n = &m->graph.nodes[k];
    memcpy(tensors, m->graph.tensors, (size_t)g->tensor_count * sizeof *tensors);
    g->tensors = tensors;
    g->nodes = n;
    g->node_count = 1;
    g->input_count = 0;
    for (int i = 0; i < n->input_count; i++) {
        struct nn_tensor *t = n->input[i] < 0 ? NULL : &tensors[n->input[i]];
        if (!t || (t->kind != NN_TENSOR_ACTIVATION && t->kind != NN_TENSOR_INPUT))
            continue;
        t->kind = NN_TENSOR_INPUT;
        t->producer = -1;
        inputs[g->input_count++] = n->input[i];
    }
    for (int i = 0; i < n->output_count; i++)
        tensors[n->output[i]].producer = 0;
    g->inputs = inputs;
    g->outputs = n->output;
    g->output_count = n->output_count;
    return one;
}

static enum status try_node(const struct nn_model *m, int k, int batch, struct nn_tensor *tensors,
                            struct error *why)
{
    int inputs[NN_NODE_INPUTS_MAX];
    struct nn_model one = alone(m, k, tensors, inputs);
    struct nn_session_options o;
    struct nn_session *s = NULL;
    nn_session_options_init(&o);
    o.mode = NN_TRAIN;
    o.batch = batch;
    enum status st = nn_session_open(&one, &o, &s, why);
    nn_session_close(&s);
    return st;
}

enum status nn_survey_model(const struct nn_model *m, int batch, struct nn_survey *ret,
                            struct error *err)
{
    struct nn_survey s = {.node_count = m->graph.node_count};
    enum status st = ST_OK;
    struct nn_tensor *tensors = malloc((size_t)m->graph.tensor_count * sizeof *tensors);
    if (!tensors)
        return error_set(err, ST_NOMEM, "no memory to try the nodes");
    for (int k = 0; !st && k < m->graph.node_count; k++) {
        struct error why = {0};
        const struct nn_node *n = &m->graph.nodes[k];
        enum status tried = try_node(m, k, batch, tensors, &why);
        if (tried == ST_UNSUPPORTED)
            st = add_item(&s, k, n->name, nn_op_name(n->op), &why, err);
        else if (tried)
            st = error_set(err, tried, "%s", why.message);
    }
    free(tensors);
    if (st)
        nn_survey_clear(&s);
    else
        *ret = s;
    return st;
}
