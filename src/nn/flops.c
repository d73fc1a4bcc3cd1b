/* What a node costs, from shapes alone. A multiply-accumulate counts as two operations; what has
 * none (activations, copies, resampling) counts as nothing: it is bound by memory, not by
 * arithmetic. */
#include <stdlib.h>

#include "nn/draft.h"
#include "nn/inspect.h"

double nn_node_flops(const struct nn_graph *g, const struct nn_node *n)
{
    const struct nn_tensor *x = &g->tensors[n->input[0]], *out = &g->tensors[n->output[0]];
    const struct nn_tensor *w = n->input_count > 1 ? &g->tensors[n->input[1]] : NULL;
    double elements = (double)nn_tensor_count(out);
    switch (n->op) {
    case NN_OP_CONV:
        return 2 * elements * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
    case NN_OP_CONV_TRANSPOSE:
        return 2 * (double)nn_tensor_count(x) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
    case NN_OP_GEMM:
        return 2 * elements * (double)x->dim[n->a.gemm.trans_a ? 0 : 1];
    case NN_OP_MATMUL:
        return 2 * elements * (double)x->dim[x->rank - 1];
    default:
        return 0;
    }
}

double nn_activation_bytes(const struct nn_model *m, int batch)
{
    const struct nn_graph *g = nn_model_graph(m);
    double elements = 0;
    for (int i = 0; i < g->tensor_count; i++) {
        const struct nn_tensor *t = &g->tensors[i];
        if (t->kind == NN_TENSOR_ACTIVATION || t->kind == NN_TENSOR_INPUT)
            elements += (double)nn_tensor_count(t) * (t->batched ? batch : 1);
    }
    return elements * sizeof(float);
}

static bool trains(const struct nn_graph *g, const struct nn_tensor *t, const bool *frozen)
{
    return t->param >= 0 && g->params[t->param].kind == NN_PARAM_TRAINABLE &&
           (!frozen || !frozen[t->param]);
}

/* The node's backward pass: one product of the size of the forward one for each of the two factors
 * that has a gradient. Also marks which of its outputs have one. */
static double backward_flops(const struct nn_graph *g, const struct nn_node *n, const bool *frozen,
                             bool *has_gradient)
{
    double flops = 0;
    bool any = false;
    for (int i = 0; i < n->input_count; i++) {
        if (n->input[i] < 0)
            continue;
        bool here = has_gradient[n->input[i]] || trains(g, &g->tensors[n->input[i]], frozen);
        any = any || here;
        flops += here && i < 2 ? nn_node_flops(g, n) : 0;
    }
    for (int i = 0; i < n->output_count; i++)
        has_gradient[n->output[i]] = any;
    return flops;
}

enum status nn_model_train_flops(const struct nn_model *m, const bool *frozen, double *ret,
                                 struct error *err)
{
    const struct nn_graph *g = &m->graph;
    bool *has_gradient = calloc((size_t)g->tensor_count + 1, sizeof *has_gradient);
    if (!has_gradient)
        return error_set(err, ST_NOMEM, "no memory to count the operations of a step");
    double flops = m->flops;
    for (int i = 0; i < g->node_count; i++)
        flops += backward_flops(g, &g->nodes[i], frozen, has_gradient);
    free(has_gradient);
    *ret = flops;
    return ST_OK;
}
