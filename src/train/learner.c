/* Life of a learner, its frames, its score and its snapshots. Phases are in phase.c, the saved
 * state in learner_state.c. */
#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "train/learner_internal.h"

static const struct train_configuration everything = {.data = 1, .head_width = 1};

static enum status open_sessions(struct learner *l, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.threads = l->options.threads;
    o.logits = true;
    enum status st = nn_session_open(l->model, &o, &l->infer, err);
    if (st == ST_OK)
        st = learner_open_train_session(l, &everything, l->options.batch, &l->train, err);
    if (st == ST_OK)
        st = nn_optimizer_open(l->trainable, &l->options.optimizer, &l->optimizer, err);
    return st;
}

static struct buffer_options buffer_options_of(const struct learner *l)
{
    const struct learner_options *o = &l->options;
    bool soft = o->soft_weight > 0;
    return (struct buffer_options){.width = l->spec.width,
                                   .height = l->spec.height,
                                   .label_width = l->spec.out_width,
                                   .label_height = l->spec.out_height,
                                   .soft_width = soft ? o->soft_width : 0,
                                   .soft_height = soft ? o->soft_height : 0,
                                   .class_count = l->spec.class_count,
                                   .capacity = o->frames_max,
                                   .horizon_us = o->horizon_us};
}

static enum status allocate(struct learner *l, struct error *err)
{
    const struct learner_options *o = &l->options;
    size_t pixels = task_cells(&l->spec);
    size_t batch = (size_t)o->batch;
    l->params = malloc(l->count * sizeof *l->params);
    l->rank.magnitude = malloc(l->trainable * sizeof *l->rank.magnitude);
    l->open_mask = malloc(mask_bytes(l->trainable));
    l->mask = calloc(mask_bytes(l->trainable), 1);
    l->predicted = malloc(pixels);
    l->truth = malloc(pixels);
    l->batch.labels = malloc(batch * pixels);
    l->batch.pixels = malloc((size_t)l->spec.width * (size_t)l->spec.height * 3);
    l->phase.order = calloc((size_t)o->frames_max, sizeof *l->phase.order);
    l->phase.recent = calloc((size_t)phase_tenth(o), sizeof *l->phase.recent);
    bool ok = l->params && l->rank.magnitude && l->open_mask && l->mask && l->predicted &&
              l->truth && l->batch.labels && l->batch.pixels && l->phase.order && l->phase.recent;
    if (o->soft_weight > 0) {
        l->batch.probs = malloc(batch * (size_t)o->soft_width * (size_t)o->soft_height *
                                (size_t)l->spec.class_count);
        ok = ok && l->batch.probs;
    }
    nn_optimizer_save(l->optimizer, &l->optimizer_before); /* takes the room that it needs later */
    if (!ok || l->optimizer_before.failed)
        return error_set(err, ST_NOMEM, "no memory for a learner of %zu parameters", l->count);
    return ST_OK;
}

static int less(int a, int b)
{
    return a < b ? a : b;
}

/* Options that the network's task decides. */
void learner_suit_options(struct learner_options *o, const struct task_spec *spec)
{
    o->soft_width = less(o->soft_width, spec->out_width);
    o->soft_height = less(o->soft_height, spec->out_height);
    bool classify = spec->task == TASK_CLASSIFY;
    if (classify)
        o->gate.metric = GATE_ACCURACY;
    if (spec->task == TASK_DETECT) {
        o->gate.metric = GATE_F1;
        o->soft_weight = 0;
        o->soft_width = o->soft_height = 0;
        o->class_balance = false;
    }
    if (!o->batch)
        o->batch = classify ? 32 : 8;
    if (!o->frames_max)
        o->frames_max = classify ? 4096 : 256;
    if (!o->holdout_max)
        o->holdout_max = classify ? 24 : 3;
}

static enum status open_parts(struct learner *l, struct error *err)
{
    enum status st = task_spec_read(l->model, &l->spec, err);
    if (st == ST_OK)
        st = task_spec_check_student(&l->spec, err);
    learner_suit_options(&l->options, &l->spec);
    l->recipe_batch = l->options.batch;
    if (st == ST_OK)
        st = delta_model_init(l->model, &l->delta, err);
    if (st == ST_OK)
        st = delta_history_init(l->trainable, &l->history, err);
    if (st == ST_OK)
        st = open_sessions(l, err);
    if (st != ST_OK)
        return st;
    struct buffer_options b = buffer_options_of(l);
    st = buffer_open(&b, &l->buffer, err);
    return st == ST_OK ? allocate(l, err) : st;
}

enum status learner_open(const struct nn_model *m, const struct learner_options *options,
                         uint64_t seed, struct learner **ret, struct error *err)
{
    *ret = NULL;
    enum status st = learner_check_options(options, err);
    if (st != ST_OK)
        return st;
    struct learner *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, ST_NOMEM, "no memory for a learner");
    l->model = m;
    l->options = *options;
    l->count = nn_model_param_count(m);
    l->trainable = nn_model_trainable_count(m);
    l->finest_step = options->step_log2;
    l->data = 1;
    buf_init(&l->optimizer_before);
    rng_init(&l->rng, seed, 0x1ea9);
    st = open_parts(l, err);
    if (st != ST_OK) {
        learner_close(&l);
        return st;
    }
    memcpy(l->params, nn_model_values(m), l->count * sizeof *l->params);
    learner_reset_candidate(l);
    *ret = l;
    return ST_OK;
}

void learner_close(struct learner **l_ptr)
{
    if (!l_ptr || !*l_ptr)
        return;
    struct learner *l = *l_ptr;
    nn_session_close(&l->train);
    nn_session_close(&l->infer);
    nn_optimizer_close(&l->optimizer);
    buffer_close(&l->buffer);
    delta_model_clear(&l->delta);
    delta_history_clear(&l->history);
    buf_clear(&l->optimizer_before);
    free(l->params);
    free(l->rank.magnitude);
    free(l->open_mask);
    free(l->mask);
    free(l->allowed);
    free(l->predicted);
    free(l->truth);
    free(l->batch.labels);
    free(l->batch.probs);
    free(l->batch.pixels);
    free(l->phase.order);
    free(l->phase.recent);
    free(l);
    *l_ptr = NULL;
}

void learner_reset_candidate(struct learner *l)
{
    memcpy(nn_session_params(l->train), l->params, l->count * sizeof *l->params);
    nn_session_params_changed(l->train);
}

int learner_threads_enter(const struct learner *l)
{
    int threads = omp_get_max_threads();
    omp_set_num_threads(l->options.threads);
    return threads;
}

void learner_threads_leave(int threads)
{
    omp_set_num_threads(threads);
}

const struct task_spec *learner_spec(const struct learner *l)
{
    return &l->spec;
}

const struct learner_options *learner_options_of(const struct learner *l)
{
    return &l->options;
}

const struct buffer *learner_buffer(const struct learner *l)
{
    return l->buffer;
}

const float *learner_params(const struct learner *l)
{
    return l->params;
}

const float *learner_candidate(const struct learner *l)
{
    return nn_session_params(l->train);
}

uint64_t learner_version(const struct learner *l)
{
    return l->version;
}

enum status learner_add(struct learner *l, const struct frame *frame,
                        const struct label_map *labels, const struct soft_map *soft, int source,
                        struct error *err)
{
    if (l->phase.open)
        return error_set(err, ST_CONFLICT, "frames join between phases: finish this one first");
    if (l->spec.task == TASK_DETECT &&
        (labels->width != l->spec.out_width || labels->height != l->spec.out_height))
        return error_set(err, ST_INVALID, "labels of %d x %d are no boxes", labels->width,
                         labels->height);
    return buffer_add(l->buffer, frame, labels, soft, source, err);
}

static enum status score_frames(struct learner *l, int first, int count,
                                struct confusion *confusion, struct error *err)
{
    struct nn_view input = nn_session_input(l->infer, 0);
    for (int i = first; i < first + count; i++) {
        const struct buffer_entry *e = buffer_at(l->buffer, l->phase.open ? l->phase.order[i] : i);
        task_input(&l->spec, &e->frame, &input, 0);
        enum status st = nn_session_forward(l->infer, err);
        if (st != ST_OK)
            return st;
        struct nn_view logits = nn_session_output(l->infer, 0);
        task_answer(&l->spec, &logits, l->options.class_chosen, l->predicted);
        task_choose_labels(&l->spec, l->options.class_chosen, &e->labels, l->truth);
        confusion_add(confusion, l->truth, l->predicted, task_cells(&l->spec));
    }
    return ST_OK;
}

enum status learner_score(struct learner *l, const float *params, int first, int count,
                          struct confusion *confusion, struct error *err)
{
    if (first < 0 || count < 0 || first > buffer_count(l->buffer) - count)
        return error_set(err, ST_INVALID, "frames %d to %d are not in the buffer", first,
                         first + count - 1);
    memcpy(nn_session_params(l->infer), params ? params : l->params, l->count * sizeof *params);
    nn_session_params_changed(l->infer);
    int threads = learner_threads_enter(l);
    enum status st = score_frames(l, first, count, confusion, err);
    learner_threads_leave(threads);
    return st;
}

enum status learner_snapshot(const struct learner *l, struct buf *out, struct error *err)
{
    if (l->version == 0)
        return error_set(err, ST_NOT_FOUND,
                         "nothing was learnt yet: the model file is the "
                         "newest version");
    return delta_encode_snapshot(&l->delta, l->version, l->params, &l->history, l->finest_step, out,
                                 err);
}

static enum status restart_optimizer(struct learner *l, struct error *err)
{
    struct nn_optimizer *fresh;
    enum status st = nn_optimizer_open(l->trainable, &l->options.optimizer, &fresh, err);
    if (st != ST_OK)
        return st;
    nn_optimizer_close(&l->optimizer);
    l->optimizer = fresh;
    return ST_OK;
}

enum status learner_install(struct learner *l, const void *snapshot, size_t n, struct error *err)
{
    if (l->phase.open)
        return error_set(err, ST_CONFLICT, "a phase is under way: finish it first");
    float *params = malloc(l->count * sizeof *params);
    struct delta_history history = {0};
    struct delta_info info;
    uint64_t version = 0;
    bool applied = false;
    enum status st = params ? delta_history_init(l->trainable, &history, err)
                            : error_set(err, ST_NOMEM, "no memory to install a snapshot");
    if (st == ST_OK)
        st = delta_apply(&l->delta, snapshot, n, &version, params, &history, &applied, err);
    if (st == ST_OK)
        st = delta_info_read(snapshot, n, &info, NULL, 0, err);
    if (st == ST_OK)
        st = restart_optimizer(l, err);
    if (st == ST_OK) {
        memcpy(l->params, params, l->count * sizeof *params);
        learner_reset_candidate(l);
        memcpy(l->history.mask, history.mask, mask_bytes(l->trainable));
        l->history.statistics = history.statistics;
        l->finest_step = info.step_log2 > l->finest_step ? info.step_log2 : l->finest_step;
        l->version = version > l->version ? version : l->version + 1;
    }
    delta_history_clear(&history);
    free(params);
    return st;
}

enum status learner_renumber(struct learner *l, uint64_t version, struct error *err)
{
    if (l->phase.open || version < l->version)
        return error_set(err, ST_CONFLICT, "version %llu cannot become %llu%s",
                         (unsigned long long)l->version, (unsigned long long)version,
                         l->phase.open ? " within a phase" : "");
    l->version = version;
    return ST_OK;
}

size_t learner_bytes(const struct learner *l)
{
    struct buffer_options b = buffer_options_of(l);
    return nn_session_bytes(l->train) + nn_session_bytes(l->infer) + buffer_bytes(&b) +
           l->optimizer_before.capacity_bytes * 2 + (l->count + l->trainable) * sizeof(float);
}
