/* One training phase: begin chooses what is held out, train steps, finish rounds, gates and
 * encodes. Whatever goes wrong, the learner is back at its version. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/loss.h"
#include "task/detect_loss.h"
#include "train/holdout.h"
#include "train/learner_internal.h"

int phase_tenth(const struct learner_options *o)
{
    return o->steps < 10 ? 1 : o->steps / 10;
}

/* The phase's order of the frames; how many of them it must not see. Always 0 without a gate. */
static int hold_out(struct learner *l)
{
    const struct holdout_rule rule = {l->options.holdout_fraction, l->options.holdout_max,
                                      l->seen_us};
    if (l->options.gated)
        return holdout_choose(l->buffer, &rule, l->phase.order);
    for (int i = 0; i < buffer_count(l->buffer); i++)
        l->phase.order[i] = i;
    return 0;
}

static enum status check_ready(const struct learner *l, int held, struct error *err)
{
    int frames = buffer_count(l->buffer);
    if (l->options.phases_max && l->accepted >= (uint64_t)l->options.phases_max)
        return error_set(err, ST_AGAIN, "all %d phases of this learner are done",
                         l->options.phases_max);
    if (select_count(l->options.fraction, l->trainable) == 0)
        return error_set(err, ST_AGAIN, "the fraction of coordinates is 0: nothing may move");
    if (frames - held < 1)
        return error_set(err, ST_AGAIN, "%d labelled frames, %d are needed", frames, held + 1);
    return ST_OK;
}

/* What the configuration does not train is not chosen either. */
static void keep_allowed(struct learner *l)
{
    for (size_t i = 0; l->restricted && i < mask_bytes(l->trainable); i++)
        l->mask[i] &= l->allowed[i];
}

/* All but the strategy that needs a step choose now. The rank is there already when the step before
 * this phase was the last one of a phase that was accepted. */
static void choose_before(struct learner *l)
{
    l->phase.mask_ready = !select_needs_step(l->options.strategy);
    if (!l->phase.mask_ready)
        return;
    size_t take = select_count(l->options.fraction, l->trainable);
    if (!select_needs_rank(l->options.strategy) || nn_optimizer_steps(l->optimizer) == 0)
        select_mask(l->options.strategy, take, l->trainable, &l->rng, l->mask);
    else {
        nn_optimizer_rank_updates(l->optimizer, &l->rank);
        select_largest(&l->rank, l->trainable, take, l->open_mask, l->mask);
    }
    keep_allowed(l);
}

enum status learner_begin(struct learner *l, struct error *err)
{
    return learner_begin_as(l, NULL, NULL, err);
}

enum status learner_begin_as(struct learner *l, const struct train_configuration *c, int *ret_steps,
                             struct error *err)
{
    if (l->phase.open)
        return error_set(err, ST_CONFLICT, "a phase is under way: finish or abandon it first");
    int held = hold_out(l);
    enum status st = check_ready(l, held, err);
    if (st == ST_OK)
        st = learner_configure(l, c, err);
    if (st != ST_OK)
        return st;
    if (ret_steps)
        *ret_steps =
            c ? train_configuration_steps(c, buffer_count(l->buffer) - held, l->recipe_batch)
              : l->options.steps;
    l->optimizer_before.size_bytes = 0;
    nn_optimizer_save(l->optimizer, &l->optimizer_before);
    if (l->optimizer_before.failed)
        return error_set(err, ST_NOMEM, "no memory to keep the optimiser's state");
    double *recent = l->phase.recent;
    int *order = l->phase.order;
    l->phase = (struct phase){.open = true,
                              .trainable_frames = buffer_count(l->buffer) - held,
                              .holdout_frames = held,
                              .newest_us = buffer_newest_us(l->buffer, 0),
                              .rng_before = l->rng,
                              .draw = rng_hash(l->version, buffer_newest_us(l->buffer, 0), 0, 0),
                              .order = order,
                              .recent = recent};
    batch_weigh_classes(l);
    choose_before(l);
    return ST_OK;
}

int learner_holdout(const struct learner *l, int *ret_first)
{
    *ret_first = l->phase.trainable_frames;
    return l->phase.open ? l->phase.holdout_frames : 0;
}

/* Loss of the drawn batch; its gradient into the session. Soft labels share the loss with hard
 * ones where the batch has any. */
static double batch_loss(struct learner *l)
{
    const struct learner_options *o = &l->options;
    struct nn_view logits = nn_session_output(l->train, 0);
    struct nn_view grad = nn_session_output_grad(l->train, 0);
    if (l->spec.task == TASK_DETECT)
        return detect_loss(&l->spec.head, &logits, l->batch.labels, o->class_chosen, 1, &grad);
    const struct nn_ce_options ce = {.class_chosen = o->class_chosen,
                                     .class_weight =
                                         o->class_balance ? l->batch.class_weight : NULL,
                                     .label_smoothing = o->label_smoothing};
    float soft = l->batch.any_soft ? o->soft_weight : 0;
    double loss = (1 - soft) * nn_loss_hard(&logits, l->batch.labels, &ce, 1 - soft, &grad);
    if (soft > 0)
        loss += soft * nn_loss_soft(&logits, l->batch.probs, o->soft_height, o->soft_width, &ce,
                                    o->soft_temperature, soft, true, &grad);
    return loss;
}

/* Authors' code: the first step moves everything, then all but the largest moves are undone. Where
 * more steps come before the choice, moves that noise undoes again lose against steady ones. */
static void choose_by_moves(struct learner *l)
{
    select_largest_undo(&l->rank, l->trainable, select_count(l->options.fraction, l->trainable),
                        nn_session_params(l->train), l->params, l->open_mask, l->mask);
    keep_allowed(l);
    l->phase.mask_ready = true;
}

/* Steps that a selection follows rank as they go: the moves since the phase began, or for the next
 * phase the updates of the last step. */
static void step_optimizer(struct learner *l)
{
    const uint8_t *open = l->restricted ? l->allowed : NULL;
    const uint8_t *mask = l->phase.mask_ready ? l->mask : open;
    bool chooses = !l->phase.mask_ready && l->phase.steps + 1 >= l->options.select_after;
    bool last = l->options.strategy == SELECT_PREVIOUS && l->phase.steps + 1 == l->options.steps;
    nn_optimizer_step_ranked(l->optimizer, nn_session_params(l->train), nn_session_grads(l->train),
                             mask, chooses ? l->params : NULL, chooses || last ? &l->rank : NULL);
    if (chooses)
        choose_by_moves(l);
}

static void note_loss(struct learner *l, double loss)
{
    int tenth = phase_tenth(&l->options);
    if (l->phase.steps < tenth)
        l->phase.first_sum += loss;
    l->phase.recent[l->phase.steps % tenth] = loss;
    l->phase.steps++;
}

static enum status step(struct learner *l, double *ret_loss, struct error *err)
{
    batch_draw(l);
    enum status st = nn_session_forward(l->train, err);
    if (st != ST_OK)
        return st;
    double loss = batch_loss(l);
    st = nn_session_backward(l->train, err);
    if (st != ST_OK)
        return st;
    step_optimizer(l);
    nn_session_params_changed(l->train);
    note_loss(l, loss);
    *ret_loss = loss;
    return ST_OK;
}

enum status learner_train(struct learner *l, int steps, double *ret_loss, struct error *err)
{
    if (!l->phase.open || steps < 1 || steps > LEARNER_STEPS_MAX - l->phase.steps)
        return error_set(err, ST_INVALID, "training needs a phase, and at most %d steps in it",
                         LEARNER_STEPS_MAX);
    double sum = 0;
    enum status st = ST_OK;
    int threads = learner_threads_enter(l);
    for (int i = 0; i < steps && st == ST_OK; i++) {
        double loss = 0;
        st = step(l, &loss, err);
        sum += loss;
    }
    learner_threads_leave(threads);
    if (st == ST_OK)
        *ret_loss = sum / steps;
    return st;
}

/* Weights, statistics and optimiser as they were at begin. */
static void go_back(struct learner *l)
{
    learner_reset_candidate(l);
    struct cursor in;
    cursor_init(&in, l->optimizer_before.data, l->optimizer_before.size_bytes);
    enum status st = nn_optimizer_load(l->optimizer, &in, NULL);
    assert(st == ST_OK); /* it was saved by this very optimiser */
    (void)st;
}

void learner_abandon(struct learner *l)
{
    if (!l->phase.open)
        return;
    go_back(l);
    l->rng = l->phase.rng_before;
    l->phase.open = false;
}

static void fill_losses(const struct learner *l, struct learner_result *r)
{
    int tenth = phase_tenth(&l->options), n = l->phase.steps < tenth ? l->phase.steps : tenth;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += l->phase.recent[i];
    r->steps = l->phase.steps;
    r->loss_first = n ? l->phase.first_sum / n : NAN;
    r->loss_last = n ? sum / n : NAN;
}

static bool moves_statistics(const struct learner *l)
{
    return l->options.bn_mode == NN_BN_BATCH && l->delta.stat_count > 0;
}

/* Rounds the candidate to what the cameras will get, then compares exactly that. A candidate that
 * diverged is rejected like a bad one. */
static enum status judge(struct learner *l, struct gate_decision *d, struct error *err)
{
    *d = (struct gate_decision){.accepted = true, .candidate = NAN, .current = NAN};
    struct error diverged;
    if (delta_round(&l->delta, l->mask, l->options.step_log2, moves_statistics(l),
                    nn_session_params(l->train), &diverged) != ST_OK) {
        d->accepted = false;
        snprintf(d->reason, sizeof d->reason, "%.180s", diverged.message);
        return ST_OK;
    }
    nn_session_params_changed(l->train);
    if (!l->options.gated) {
        snprintf(d->reason, sizeof d->reason, "accepted without a gate");
        return ST_OK;
    }
    struct confusion candidate, current;
    task_counts_init(l->spec.task, l->spec.class_count, &candidate);
    task_counts_init(l->spec.task, l->spec.class_count, &current);
    int first = l->phase.trainable_frames, held = l->phase.holdout_frames;
    enum status st = learner_score(l, nn_session_params(l->train), first, held, &candidate, err);
    if (st == ST_OK)
        st = learner_score(l, l->params, first, held, &current, err);
    if (st == ST_OK)
        gate_decide(&l->options.gate, &candidate, &current, held, d);
    return st;
}

static enum status accept(struct learner *l, struct learner_result *r, struct buf *delta_out,
                          struct error *err)
{
    const float *candidate = nn_session_params(l->train);
    size_t before = delta_out->size_bytes;
    struct delta_versions v = {.base = l->version, .new = l->version + 1};
    enum status st = delta_encode(&l->delta, v, l->params, candidate, l->mask, l->options.step_log2,
                                  moves_statistics(l), delta_out, err);
    if (st != ST_OK)
        return st;
    memcpy(l->params, candidate, l->count * sizeof *l->params);
    delta_history_add(&l->history, l->mask, moves_statistics(l));
    l->version++;
    l->accepted++;
    r->coordinates = mask_count(l->mask, l->trainable);
    r->delta_bytes = delta_out->size_bytes - before;
    return ST_OK;
}

/* Judges the candidate and makes a version of it when it is accepted; the phase stays open. */
static enum status settle(struct learner *l, struct learner_result *ret, struct buf *delta_out,
                          struct error *err)
{
    struct learner_result r = {.trained = true, .holdout_frames = l->phase.holdout_frames};
    struct gate_decision d;
    enum status st = judge(l, &d, err);
    if (st == ST_OK && d.accepted)
        st = accept(l, &r, delta_out, err);
    if (st != ST_OK)
        return st;
    fill_losses(l, &r);
    r.accepted = d.accepted;
    r.score_candidate = d.candidate;
    r.score_current = d.current;
    r.version = l->version;
    memcpy(r.reason, d.reason, sizeof r.reason);
    *ret = r;
    return ST_OK;
}

enum status learner_finish(struct learner *l, struct learner_result *ret, struct buf *delta_out,
                           struct error *err)
{
    struct learner_result r;
    if (!l->phase.open || l->phase.steps == 0)
        return error_set(err, ST_INVALID, "there is no phase with a step to finish");
    if (!l->phase.mask_ready) { /* stopped before the choice */
        nn_rank_moves(&l->rank, nn_session_params(l->train), l->params, l->trainable);
        choose_by_moves(l);
    }
    enum status st = settle(l, &r, delta_out, err);
    if (st != ST_OK) {
        learner_abandon(l);
        return st;
    }
    if (!r.accepted)
        go_back(l);
    l->seen_us = l->phase.newest_us;
    l->phase.open = false;
    *ret = r;
    return ST_OK;
}

/* The state that the phase goes back to is the one that there is now. */
static void keep_state(struct learner *l)
{
    l->optimizer_before.size_bytes = 0; /* as long as before: nothing is allocated */
    nn_optimizer_save(l->optimizer, &l->optimizer_before);
    assert(!l->optimizer_before.failed);
    l->phase.rng_before = l->rng;
}

enum status learner_checkpoint(struct learner *l, struct learner_result *ret, struct buf *delta_out,
                               struct error *err)
{
    size_t bytes = l->count * sizeof *l->params;
    struct learner_result r;
    if (!l->phase.open || l->phase.steps == 0)
        return error_set(err, ST_INVALID, "there is no phase with a step to make a version of");
    if (!l->phase.mask_ready)
        return error_set(err, ST_AGAIN, "the coordinates are not chosen yet");
    float *candidate = malloc(bytes);
    if (!candidate)
        return error_set(err, ST_NOMEM, "no memory to keep the weights in training");
    memcpy(candidate, nn_session_params(l->train), bytes);
    enum status st = settle(l, &r, delta_out, err);
    if (st == ST_OK && r.accepted)
        keep_state(l);
    else { /* on from the weights as they were, not rounded */
        memcpy(nn_session_params(l->train), candidate, bytes);
        nn_session_params_changed(l->train);
    }
    free(candidate);
    if (st == ST_OK)
        *ret = r;
    return st;
}

static void nothing_to_do(const struct learner *l, const char *reason, struct learner_result *ret)
{
    *ret = (struct learner_result){.loss_first = NAN,
                                   .loss_last = NAN,
                                   .score_current = NAN,
                                   .score_candidate = NAN,
                                   .version = l->version};
    snprintf(ret->reason, sizeof ret->reason, "%.180s", reason);
}

enum status learner_phase(struct learner *l, learner_progress *progress, void *context,
                          struct learner_result *ret, struct buf *delta_out, struct error *err)
{
    struct error why = {.message = ""};
    enum status st = learner_begin(l, &why);
    if (st == ST_AGAIN) {
        nothing_to_do(l, why.message, ret);
        return ST_OK;
    }
    if (st != ST_OK)
        return error_set(err, st, "%s", why.message);
    bool going = true;
    for (int i = 0; i < l->options.steps && going; i++) {
        double loss;
        st = learner_train(l, 1, &loss, err);
        if (st != ST_OK) {
            learner_abandon(l);
            return st;
        }
        going = !progress || progress(context, i + 1, l->options.steps, loss);
    }
    return learner_finish(l, ret, delta_out, err);
}
