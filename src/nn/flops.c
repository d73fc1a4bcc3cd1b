/* What a node costs, from shapes alone. A multiply-accumulate counts as two operations; what has
 * none (activations, copies, resampling) counts as nothing: it is bound by memory, not by
 * arithmetic. */
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
