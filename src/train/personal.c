/* personal.c - see personal.h. */
#include "train/personal.h"

#include <string.h>

#include "train/learner_internal.h"

void personal_options_init(struct personal_options *o)
{
    *o = (struct personal_options){.fraction = 0.05, .steps = 40, .frames_min = 6};
}

const struct delta_model *learner_delta_model(const struct learner *l)
{
    return &l->delta;
}

static enum status add_frames(struct learner *l, const struct learner *group, int source,
                              struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < buffer_count(group->buffer) && st == ST_OK; i++) {
        const struct buffer_entry *e = buffer_at(group->buffer, i);
        if (e->source == source)
            st =
                learner_add(l, &e->frame, &e->labels, e->soft.probs ? &e->soft : NULL, source, err);
    }
    return st;
}

enum status personal_open(const struct learner *group, int source, const struct personal_options *o,
                          uint64_t seed, struct learner **ret, struct error *err)
{
    struct learner_options options = group->options;
    struct learner *l;
    options.batch = group->recipe_batch;
    options.fraction = o->fraction;
    options.steps = o->steps;
    options.phases_max = 0;
    options.gated = false;
    options.bn_mode = NN_BN_FROZEN; /* statistics are the group's */
    enum status st = learner_open(group->model, &options, seed, &l, err);
    if (st != ST_OK)
        return st;
    memcpy(l->params, group->params, l->count * sizeof *l->params);
    learner_reset_candidate(l);
    st = add_frames(l, group, source, err);
    if (st == ST_OK)
        *ret = l;
    else
        learner_close(&l);
    return st;
}

enum status personal_train(struct learner *l, const struct learner *group,
                           const struct personal_options *o, learner_progress *progress,
                           void *context, struct delta_personal *ret,
                           struct learner_result *ret_result, struct error *err)
{
    struct buf step;
    int frames = buffer_count(l->buffer);
    if (frames < o->frames_min)
        return error_set(err, ST_AGAIN, "%d labelled frames of its own, %d are needed", frames,
                         o->frames_min);
    buf_init(&step);
    enum status st = learner_phase(l, progress, context, ret_result, &step, err);
    buf_clear(&step);
    if (st == ST_OK && !ret_result->accepted)
        st = error_set(err, ST_AGAIN, "%s", ret_result->reason);
    return st == ST_OK ? delta_personal_take(&l->delta, group->version, group->params, l->params,
                                             l->options.step_log2, ret, err)
                       : st;
}
