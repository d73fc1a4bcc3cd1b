#include "bench/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/calibrate.h"
#include "nn/loss.h"

#define DATA_SEED 7
#define LABEL_CLASSES_MAX NN_LABEL_IGNORE /* labels are bytes, the last one means none */

/* Elements that a view's memory spans. */
static int64_t span_of(const struct nn_view *v)
{
    int64_t span = 1;
    for (int i = 0; i < v->rank; i++)
        span += (v->dim[i] - 1) * v->stride[i];
    return span;
}

static void fill(const struct nn_view *v)
{
    struct rng r;
    rng_init(&r, DATA_SEED, 0);
    for (int64_t i = 0, n = span_of(v); i < n; i++)
        v->data[i] = rng_normal(&r);
}

static void fill_input(struct trial *t)
{
    struct nn_view v = nn_session_input(t->session, 0);
    fill(&v);
}

/* int8 needs ranges: of the noise, where the file has none. */
static enum status calibrate(struct trial *t, struct error *err)
{
    struct nn_calibration *c = NULL;
    if (t->c->precision != NN_PRECISION_INT8 || nn_model_is_calibrated(t->model))
        return ST_OK;
    t->ranges = calloc((size_t)nn_model_graph(t->model)->tensor_count, sizeof *t->ranges);
    if (!t->ranges)
        return error_set(err, ST_NOMEM, "no memory for the ranges of tensors");
    enum status st = nn_calibration_open(t->model, NULL, t->c->threads, &c, err);
    if (!st) {
        struct nn_view v = nn_calibration_input(c, 0);
        fill(&v);
        st = nn_calibration_run(c, err);
    }
    if (!st)
        st = nn_calibration_ranges(c, NN_CLIP_MIN_MAX, 1, t->ranges, err);
    nn_calibration_close(&c);
    return st;
}

static enum status make_labels(struct trial *t, struct error *err)
{
    struct rng r;
    rng_init(&r, DATA_SEED, 1);
    struct nn_view v = nn_session_output(t->session, 0);
    int64_t count = 1;
    for (int i = 0; i < v.rank; i++)
        count *= i == 1 ? 1 : v.dim[i];
    if (v.rank != 2 && v.rank != 4)
        return error_set(err, ST_UNSUPPORTED,
                         "cross-entropy needs logits [N,C] or [N,C,H,W], not of rank %d", v.rank);
    t->labels = malloc((size_t)count);
    if (!t->labels)
        return error_set(err, ST_NOMEM, "no memory for labels");
    uint32_t classes = v.dim[1] < LABEL_CLASSES_MAX ? (uint32_t)v.dim[1] : LABEL_CLASSES_MAX;
    for (int64_t i = 0; i < count; i++)
        t->labels[i] = (uint8_t)rng_below(&r, classes);
    return ST_OK;
}

/* Index of the first parameter tensor that trains; trainable ones come first in the vector. */
static enum status first_trainable(const struct trial *t, int *ret, struct error *err)
{
    const struct nn_graph *g = nn_model_graph(t->model);
    int count = 0;
    while (count < g->param_count && g->params[count].kind == NN_PARAM_TRAINABLE)
        count++;
    if (t->c->trainable_tensors > count)
        return error_set(err, ST_INVALID, "the network has %d trainable tensors, not %d", count,
                         t->c->trainable_tensors);
    *ret = t->c->trainable_tensors ? count - t->c->trainable_tensors : 0;
    return ST_OK;
}

/* Everything before parameter tensor `first`, and the statistics of batch-norms there. */
static enum status freeze(struct trial *t, int first, struct error *err)
{
    const struct nn_graph *g = nn_model_graph(t->model);
    t->frozen = calloc((size_t)g->param_count, sizeof *t->frozen);
    if (!t->frozen)
        return error_set(err, ST_NOMEM, "no memory for the flags of %d tensors", g->param_count);
    for (int i = 0; i < first; i++)
        t->frozen[i] = true;
    for (int i = 0; i < g->node_count; i++) {
        const int *in = g->nodes[i].input;
        if (g->nodes[i].op != NN_OP_BATCH_NORM || g->tensors[in[1]].param < 0)
            continue;
        for (int k = 3; k < 5; k++) /* mean and variance go with the scale */
            if (g->tensors[in[k]].param >= 0)
                t->frozen[g->tensors[in[k]].param] = t->frozen[g->tensors[in[1]].param];
    }
    t->first_trainable = g->params[first].offset;
    return ST_OK;
}

static enum status open_session(struct trial *t, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.mode = t->c->mode == BENCH_TRAIN ? NN_TRAIN : NN_INFER;
    o.batch = t->c->batch;
    o.threads = t->c->threads;
    o.fixed = t->c->mode == BENCH_INFER;
    o.memory_limit_bytes = t->c->memory_limit_bytes;
    o.bn_mode = NN_BN_BATCH;
    o.precision = t->c->precision;
    int first = 0;
    enum status st = first_trainable(t, &first, err);
    if (!st)
        st = freeze(t, first, err);
    if (!st)
        st = calibrate(t, err);
    if (st)
        return st;
    o.frozen = t->frozen;
    o.ranges = t->ranges;
    return nn_session_open(t->model, &o, &t->session, err);
}

enum status trial_open(struct trial *t, const struct bench_case *c, struct error *err)
{
    *t = (struct trial){.c = c};
    enum status st = nn_model_open(c->path, NULL, &t->model, err);
    if (!st && nn_model_graph(t->model)->param_count == 0)
        st = error_set(err, ST_UNSUPPORTED, "%s has no weights", c->path);
    if (!st)
        st = open_session(t, err);
    if (!st && c->mode != BENCH_DELTA) /* which starts from them */
        nn_model_release_values(t->model);
    if (!st && c->mode == BENCH_TRAIN)
        st = make_labels(t, err);
    if (!st && c->mode == BENCH_TRAIN)
        st = nn_optimizer_open(nn_model_trainable_count(t->model) - t->first_trainable, NULL,
                               &t->optimizer, err);
    if (!st)
        fill_input(t);
    return st;
}

void trial_close(struct trial *t)
{
    nn_optimizer_close(&t->optimizer);
    nn_session_close(&t->session);
    nn_model_close(&t->model);
    free(t->frozen);
    free(t->labels);
    free(t->ranges);
    t->ranges = NULL;
    t->frozen = NULL;
    t->labels = NULL;
}

enum status trial_forward(struct trial *t, struct error *err)
{
    return nn_session_forward(t->session, err);
}

enum status trial_step(struct trial *t, struct error *err)
{
    enum status st = nn_session_forward(t->session, err);
    if (st)
        return st;
    struct nn_view logits = nn_session_output(t->session, 0);
    struct nn_view grad = nn_session_output_grad(t->session, 0);
    t->loss = nn_loss_hard(&logits, t->labels, NULL, 1, &grad);
    st = nn_session_backward(t->session, err);
    if (st)
        return st;
    nn_optimizer_step(t->optimizer, nn_session_params(t->session) + t->first_trainable,
                      nn_session_grads(t->session) + t->first_trainable, NULL);
    nn_session_params_changed(t->session);
    return ST_OK;
}

enum status trial_gflop(const struct trial *t, double *ret, struct error *err)
{
    double flops = 0;
    enum status st = ST_OK;
    if (t->c->mode == BENCH_TRAIN)
        st = nn_model_train_flops(t->model, t->frozen, &flops, err);
    else if (t->c->mode == BENCH_INFER)
        flops = nn_model_flops(t->model);
    if (!st)
        *ret = flops * t->c->batch / 1e9;
    return st;
}

enum status trial_check(const struct trial *t, struct error *err)
{
    struct nn_view v = nn_session_output(t->session, 0);
    bool finite = isfinite(t->loss);
    for (int64_t i = 0, n = span_of(&v); i < n; i++)
        finite = finite && isfinite(v.data[i]);
    return finite ? ST_OK
                  : error_set(err, ST_INTERNAL,
                              "the network's answer became something that is "
                              "not a number");
}
