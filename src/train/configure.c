/* configure.c - a learner made ready for a configuration: which parameters train, in what batches.
 *
 * Which tensors are frozen and how large a batch is are decided when a session opens, so another
 * configuration may need another session; it is kept until the next one differs. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/learner_internal.h"

/* The configuration that says nothing: what the recipe does. */
static const struct train_configuration plain = {.data = 1, .head_width = 1};

static enum status resize_batch(struct learner *l, int batch, struct error *err)
{
    const struct learner_options *o = &l->options;
    size_t n = (size_t)batch;
    uint8_t *labels = realloc(l->batch.labels, n * task_cells(&l->spec));
    if (!labels)
        return error_set(err, ST_NOMEM, "no memory for batches of %d", batch);
    l->batch.labels = labels;
    if (!l->batch.probs)
        return ST_OK;
    uint8_t *probs = realloc(l->batch.probs, n * (size_t)o->soft_width * (size_t)o->soft_height *
                                                 (size_t)l->spec.class_count);
    if (!probs)
        return error_set(err, ST_NOMEM, "no memory for batches of %d", batch);
    l->batch.probs = probs;
    return ST_OK;
}

enum status learner_open_train_session(struct learner *l, const struct train_configuration *c,
                                       int batch, struct nn_session **ret, struct error *err)
{
    const struct nn_graph *g = nn_model_graph(l->model);
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.threads = l->options.threads;
    o.logits = true;
    o.mode = NN_TRAIN;
    o.batch = batch;
    o.bn_mode = l->options.bn_mode;
    o.precision = l->options.precision;
    bool *frozen = NULL;
    if (c->layers > 0) {
        if (!(frozen = malloc((size_t)g->param_count + 1)))
            return error_set(err, ST_NOMEM, "no memory for a configuration");
        train_configuration_freeze(c, g, frozen);
        o.frozen = frozen;
    }
    enum status st = nn_session_open(l->model, &o, ret, err);
    free(frozen);
    return st;
}

static enum status replace_session(struct learner *l, const struct train_configuration *c,
                                   int batch, struct error *err)
{
    struct nn_session *session;
    enum status st = resize_batch(l, batch, err);
    if (st == ST_OK)
        st = learner_open_train_session(l, c, batch, &session, err);
    if (st != ST_OK)
        return st;
    nn_session_close(&l->train);
    l->train = session;
    l->options.batch = batch;
    learner_reset_candidate(l);
    return ST_OK;
}

static void clear_bit(uint8_t *mask, size_t i)
{
    mask[i >> 3] &= (uint8_t) ~(1u << (i & 7));
}

static void close_tensors(struct learner *l, const bool *frozen)
{
    const struct nn_graph *g = nn_model_graph(l->model);
    for (int p = 0; p < g->param_count; p++)
        for (size_t i = 0; frozen[p] && i < g->params[p].count; i++)
            if (g->params[p].offset + i < l->trainable)
                clear_bit(l->allowed, g->params[p].offset + i);
}

/* The last layer's weights [out, in, ...]: inputs beyond the width do not move. */
static void close_head(struct learner *l, double width)
{
    const struct nn_graph *g = nn_model_graph(l->model);
    const struct nn_param *head = NULL;
    for (int i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++) {
            int t = g->nodes[i].input[k], p = t >= 0 ? g->tensors[t].param : -1;
            if (p >= 0 && g->params[p].kind == NN_PARAM_TRAINABLE && g->params[p].rank >= 2)
                head = &g->params[p];
        }
    if (!head)
        return;
    size_t inputs = (size_t)head->dim[1], keep = (size_t)ceil(width * (double)inputs);
    size_t taps = head->count / (size_t)(head->dim[0] * head->dim[1]);
    for (size_t i = 0; i < head->count; i++)
        if (i / taps % inputs >= keep)
            clear_bit(l->allowed, head->offset + i);
}

/* Bits of the coordinates that may move: moments of earlier phases would move frozen ones too. */
static enum status set_allowed(struct learner *l, const struct train_configuration *c,
                               struct error *err)
{
    const struct nn_graph *g = nn_model_graph(l->model);
    l->restricted = c->layers > 0 || c->head_width < 1;
    if (!l->restricted)
        return ST_OK;
    bool *frozen = malloc((size_t)g->param_count + 1);
    if (!l->allowed)
        l->allowed = malloc(mask_bytes(l->trainable));
    if (!frozen || !l->allowed) {
        free(frozen);
        return error_set(err, ST_NOMEM, "no memory for a configuration");
    }
    memset(l->allowed, 0xff, mask_bytes(l->trainable));
    train_configuration_freeze(c, g, frozen);
    close_tensors(l, frozen);
    if (c->head_width < 1)
        close_head(l, c->head_width);
    free(frozen);
    return ST_OK;
}

enum status learner_configure(struct learner *l, const struct train_configuration *c,
                              struct error *err)
{
    c = c ? c : &plain;
    int batch = c->batch > 0 ? c->batch : l->recipe_batch;
    enum status st = ST_OK;
    if (batch != l->options.batch || c->layers != l->session_layers)
        st = replace_session(l, c, batch, err);
    if (st == ST_OK)
        st = set_allowed(l, c, err);
    if (st != ST_OK)
        return st;
    l->session_layers = c->layers;
    l->data = c->data;
    nn_optimizer_set_learning_rate(l->optimizer, c->learning_rate > 0
                                                     ? (float)c->learning_rate
                                                     : l->options.optimizer.learning_rate);
    return ST_OK;
}
