/* fleet_training.c - costs by operations, and the learner's slices behind a planner's options. */
#include "eval/fleet_training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Frames that only the ratio of two costs is asked for. */
#define FRAMES_TYPICAL 32

static void pick_fixed(struct fleet_costs *c, const struct train_configurations *all)
{
    int order[CONFIGURATIONS_MAX] = {0};
    for (int k = 0; k < all->count; k++) {
        int at = k;
        for (; at > 0 && fleet_costs_of(c, all, order[at - 1], FRAMES_TYPICAL) >
                             fleet_costs_of(c, all, k, FRAMES_TYPICAL);
             at--)
            order[at] = order[at - 1];
        order[at] = k;
    }
    c->costly = order[all->count - 1];
    c->cheap = order[all->count / 2];
}

enum status fleet_costs_init(struct fleet_costs *c, const struct nn_model *student,
                             const struct train_configurations *all,
                             const struct learner_options *learning, double infer_s,
                             struct error *err)
{
    const struct train_configuration whole = {.epochs = 1, .data = 1, .head_width = 1};
    double whole_flops;
    *c = (struct fleet_costs){.batch = learning->batch, .infer_s = infer_s};
    enum status whole_st = train_configuration_flops(&whole, student, &whole_flops, err);
    if (whole_st != ST_OK)
        return whole_st;
    c->recipe_step_s = infer_s * learning->batch * whole_flops / nn_model_flops(student);
    for (int k = 0; k < all->count; k++) {
        double flops;
        enum status st = train_configuration_flops(&all->items[k], student, &flops, err);
        if (st != ST_OK)
            return st;
        int batch = all->items[k].batch > 0 ? all->items[k].batch : learning->batch;
        c->step_s[k] = infer_s * batch * flops / nn_model_flops(student);
    }
    pick_fixed(c, all);
    return ST_OK;
}

double fleet_costs_of(const struct fleet_costs *c, const struct train_configurations *all, int k,
                      int frames)
{
    return c->step_s[k] * train_configuration_steps(&all->items[k], frames, c->batch);
}

int fleet_training_of(const struct train_configurations *all, int k)
{
    int first = 0;
    while (!train_configuration_is_same_training(&all->items[first], &all->items[k]))
        first++;
    return first;
}

/* ---- a training under way ---- */

static enum status begin(struct fleet_training *t, struct learner *l,
                         const struct train_configurations *all, const struct schedule_option *o,
                         struct error *err)
{
    int first;
    enum status st = learner_begin_as(l, &all->items[o->configuration], NULL, err);
    if (st != ST_OK)
        return st;
    learner_holdout(l, &first);
    *t = (struct fleet_training){.open = true, .training = o->training, .frames = first};
    return ST_OK;
}

enum status fleet_training_follow(struct fleet_training *t, const struct planner *p, int camera,
                                  struct learner *l, const struct train_configurations *all,
                                  struct error *err)
{
    const struct schedule_camera *c = planner_camera(p, camera);
    const struct schedule_option *o = c->running >= 0 ? &c->options[c->running] : NULL;
    if (t->open && (!o || o->training != t->training)) {
        learner_abandon(l);
        t->open = false;
    }
    return o && !t->open ? begin(t, l, all, o, err) : ST_OK;
}

static enum status train_to(struct fleet_training *t, struct learner *l, int steps,
                            struct error *err)
{
    double loss;
    int more = steps - t->steps;
    if (more <= 0)
        return ST_OK;
    t->steps = steps;
    return learner_train(l, more, &loss, err);
}

/* A version of what there is; nothing yet (ST_AGAIN) is no version. */
static enum status checkpoint(struct learner *l, struct learner_result *ret, struct error *err)
{
    struct buf delta;
    buf_init(&delta);
    enum status st = learner_checkpoint(l, ret, &delta, err);
    buf_clear(&delta);
    if (st != ST_AGAIN)
        return st;
    *ret = (struct learner_result){.score_current = NAN, .score_candidate = NAN};
    return ST_OK;
}

static enum status finish(struct fleet_training *t, struct learner *l, struct learner_result *ret,
                          struct error *err)
{
    struct buf delta;
    buf_init(&delta);
    enum status st = learner_finish(l, ret, &delta, err);
    buf_clear(&delta);
    t->open = false;
    return st;
}

enum status fleet_training_reach(struct fleet_training *t, struct learner *l,
                                 const struct train_configurations *all, int configuration,
                                 bool last, struct learner_result *ret, struct error *err)
{
    const struct train_configuration *c = &all->items[configuration];
    int steps = train_configuration_steps(c, t->frames, learner_options_of(l)->batch);
    enum status st = train_to(t, l, steps, err);
    if (st != ST_OK)
        return st;
    return last ? finish(t, l, ret, err) : checkpoint(l, ret, err);
}

enum status fleet_training_end(struct fleet_training *t, struct learner *l, int steps,
                               bool *ret_finished, struct learner_result *ret, struct error *err)
{
    enum status st = steps > t->steps ? train_to(t, l, steps, err) : ST_OK;
    *ret_finished = st == ST_OK && t->steps > 0 && steps > 0;
    if (*ret_finished)
        return finish(t, l, ret, err);
    learner_abandon(l);
    t->open = false;
    return st;
}
