/* A model's facts as JSON. Text of the file that is not UTF-8 is shown byte by byte as if it were
 * Latin-1's ASCII part, with "?" for the rest, as JSON has no bytes. */
#include "nn/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "nn/draft.h"

static const char *const op_names[] = {"",
#define OP_NAME(name, onnx) onnx,
                                       NN_OP_LIST(OP_NAME)
#undef OP_NAME
};

const char *nn_op_name(enum nn_op op)
{
    return op_names[op];
}

const char *nn_bn_form_name(enum nn_bn_form form)
{
    return form == NN_BN_KEPT ? "kept" : form == NN_BN_FOLDED ? "folded" : "none";
}

static json_t *text(const char *s, size_t n)
{
    json_t *v = json_stringn(s, n);
    char *copy = v ? NULL : malloc(n + 1);
    if (!copy)
        return v;
    for (size_t i = 0; i < n; i++)
        copy[i] = (unsigned char)s[i] < 128 ? s[i] : '?';
    v = json_stringn(copy, n);
    free(copy);
    return v;
}

static json_t *shape(const struct nn_tensor *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(list, json_integer(t->dim[i]));
    return list;
}

static json_t *tensor(const struct nn_tensor *t)
{
    return json_pack("{s:o, s:o, s:b}", "name", text(t->name, strlen(t->name)), "shape", shape(t),
                     "batched", t->batched);
}

static json_t *tensors(const struct nn_graph *g, const int *index, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, tensor(&g->tensors[index[i]]));
    return list;
}

static json_t *operators(const struct nn_graph *g)
{
    int counts[NN_OP_COUNT] = {0};
    json_t *all = json_object();
    for (int i = 0; i < g->node_count; i++)
        counts[g->nodes[i].op]++;
    for (int op = 1; op < NN_OP_COUNT; op++)
        if (counts[op])
            json_object_set_new(all, op_names[op], json_integer(counts[op]));
    return all;
}

static json_t *metadata(const struct nn_model *m)
{
    json_t *all = json_object();
    for (int i = 0; i < m->metadata_count; i++) {
        json_t *key = text(m->metadata[i].key, strlen(m->metadata[i].key));
        if (key)
            json_object_set_new(all, json_string_value(key),
                                text(m->metadata[i].value, strlen(m->metadata[i].value)));
        json_decref(key);
    }
    return all;
}

/* The comma-separated names of "attune.classes". */
static json_t *classes(const struct nn_model *m)
{
    const char *names = nn_model_metadata(m, "attune.classes");
    if (!names)
        return json_null();
    json_t *list = json_array();
    for (;;) {
        size_t n = strcspn(names, ",");
        json_array_append_new(list, text(names, n));
        if (!names[n])
            return list;
        names += n + 1;
    }
}

static json_t *parameters(const struct nn_model *m)
{
    json_int_t total = (json_int_t)nn_model_param_count(m);
    json_int_t trainable = (json_int_t)nn_model_trainable_count(m);
    return json_pack("{s:I, s:I, s:I, s:i}", "total", total, "trainable", trainable, "statistics",
                     total - trainable, "tensors", m->graph.param_count);
}

enum status nn_inspect_json(const struct nn_model *m, json_t **ret, struct error *err)
{
    const struct nn_graph *g = &m->graph;
    int blocker = nn_model_batch_blocker(m);
    const char *fixed = blocker < 0 ? NULL : g->nodes[blocker].name;
    json_t *all =
        json_pack("{s:s, s:o, s:o, s:o, s:i, s:o, s:f, s:s, s:o, s:b, s:o, s:o}", "identity",
                  nn_model_identity_hex(m), "inputs", tensors(g, g->inputs, g->input_count),
                  "outputs", tensors(g, g->outputs, g->output_count), "operators", operators(g),
                  "nodes", g->node_count, "parameters", parameters(m), "flops", nn_model_flops(m),
                  "batch_norm", nn_bn_form_name(nn_model_bn_form(m)), "batch_fixed_by",
                  fixed ? text(fixed, strlen(fixed)) : json_null(), "calibrated",
                  nn_model_is_calibrated(m), "metadata", metadata(m), "classes", classes(m));
    if (!all)
        return error_set(err, ST_NOMEM, "no memory to describe the model");
    *ret = all;
    return ST_OK;
}

/* Parameters of the kind that node n reads and no node before it. */
static json_int_t own_params(const struct nn_graph *g, int n, enum nn_param_kind kind, bool *seen)
{
    json_int_t count = 0;
    for (int i = 0; i < g->nodes[n].input_count; i++) {
        int t = g->nodes[n].input[i], p = t < 0 ? -1 : g->tensors[t].param;
        if (p < 0 || seen[p] || g->params[p].kind != kind)
            continue;
        seen[p] = true;
        count += (json_int_t)g->params[p].count;
    }
    return count;
}

enum status nn_inspect_nodes_json(const struct nn_model *m, json_t **ret, struct error *err)
{
    const struct nn_graph *g = &m->graph;
    bool *seen = calloc((size_t)g->param_count + 1, sizeof *seen);
    json_t *list = seen ? json_array() : NULL;
    for (int i = 0; list && i < g->node_count; i++) {
        const struct nn_node *n = &g->nodes[i];
        json_t *row =
            json_pack("{s:o, s:s, s:o, s:I, s:I, s:f}", "name", text(n->name, strlen(n->name)),
                      "op", nn_op_name(n->op), "shape", shape(&g->tensors[n->output[0]]),
                      "parameters", own_params(g, i, NN_PARAM_TRAINABLE, seen), "statistics",
                      own_params(g, i, NN_PARAM_STATISTIC, seen), "flops", nn_node_flops(g, n));
        if (!row || json_array_append_new(list, row) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    free(seen);
    if (!list)
        return error_set(err, ST_NOMEM, "no memory to describe the model");
    *ret = list;
    return ST_OK;
}
