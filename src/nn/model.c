/* The finished model: what the rest of the program asks of it. Reading is in onnx_read.c. */
#include "nn/model.h"

#include <stdlib.h>
#include <string.h>

#include "nn/draft.h"

void nn_model_close(struct nn_model **m)
{
    if (!m || !*m)
        return;
    nn_pool_clear(&(*m)->pool);
    free((*m)->values);
    free(*m);
    *m = NULL;
}

const struct nn_graph *nn_model_graph(const struct nn_model *m)
{
    return &m->graph;
}

size_t nn_model_param_count(const struct nn_model *m)
{
    return m->param_count;
}

size_t nn_model_trainable_count(const struct nn_model *m)
{
    return m->trainable_count;
}

const float *nn_model_values(const struct nn_model *m)
{
    return m->values;
}

void nn_model_release_values(struct nn_model *m)
{
    free(m->values);
    m->values = NULL;
}

const char *nn_model_identity_hex(const struct nn_model *m)
{
    return m->identity;
}

const char *nn_model_metadata(const struct nn_model *m, const char *key)
{
    for (int i = m->metadata_count; i-- > 0;)
        if (strcmp(m->metadata[i].key, key) == 0)
            return m->metadata[i].value;
    return NULL;
}

enum nn_bn_form nn_model_bn_form(const struct nn_model *m)
{
    return m->bn_form;
}

int nn_model_batch_blocker(const struct nn_model *m)
{
    for (int i = 0; i < m->graph.node_count; i++)
        for (int k = 0; k < m->graph.nodes[i].output_count; k++)
            if (!m->graph.tensors[m->graph.nodes[i].output[k]].batched)
                return i;
    return -1;
}

bool nn_model_is_calibrated(const struct nn_model *m)
{
    for (int i = 0; i < m->graph.tensor_count; i++)
        if (nn_range_is_known(m->graph.tensors[i].range))
            return true;
    return false;
}

double nn_model_flops(const struct nn_model *m)
{
    return m->flops;
}
