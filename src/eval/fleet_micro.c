/* fleet_micro.c - a fleet's trainings in the allocator's micro-windows: see fleet.h.
 *
 * In a micro-window one group trains with all the compute that labels, trials and inference leave;
 * at its end the gate judges, and what is better serves at all members. A phase of the learner (its
 * held-out frames, its coordinates) goes on over several micro-windows until enough new frames
 * wait. */
#include <math.h>

#include "eval/fleet_internal.h"

#define FRESH_MIN 3        /* new frames that begin another phase */
#define TRAIN_PART_MIN 0.1 /* of a micro-window, whatever is owed */

static double slot_s(const struct fleet *f)
{
    return f->s->window_s / f->policy->allocation.slots;
}

static int list_jobs(struct fleet *f, struct allocator_job *jobs)
{
    int n = 0;
    for (int i = 0; i < f->s->camera_count; i++) {
        const struct fleet_group *g = f->groups[i];
        if (!g)
            continue;
        int frames = buffer_count(learner_buffer(g->learner)) + g->pending_count, at = n++;
        for (; at > 0 && jobs[at - 1].id > g->id; at--)
            jobs[at] = jobs[at - 1];
        jobs[at] = (struct allocator_job){.id = g->id,
                                          .members = g->member_count,
                                          .accuracy = fleet_accuracy(f, g),
                                          .ready = !g->resting && frames >= f->s->frames_min};
    }
    return n;
}

static enum status begin(struct fleet *f, struct error *err)
{
    struct allocator_job jobs[FLEET_CAMERAS_MAX];
    enum status st = ST_OK;
    if (!f->allocator)
        st = allocator_open(&f->policy->allocation, &f->allocator, err);
    int n = list_jobs(f, jobs);
    return st == ST_OK ? allocator_begin(f->allocator, jobs, n, err) : st;
}

static struct fleet_group *group_of(const struct fleet *f, uint64_t id)
{
    for (int i = 0; i < f->s->camera_count; i++)
        if (f->groups[i] && f->groups[i]->id == id)
            return f->groups[i];
    return NULL;
}

/* What everything but training has used since the last micro-window is owed. */
static void take_charges(struct fleet *f)
{
    const double *u = f->result.used_s;
    double used_s = u[FLEET_INFER] + u[FLEET_LABEL] + u[FLEET_PROFILE];
    f->owed_s += used_s - f->charged_s;
    f->charged_s = used_s;
}

/* A phase with the frames that wait, where there are enough; else the one that is open goes on. */
static enum status ready_phase(struct fleet_group *g, struct error *err)
{
    if (g->training.open && g->pending_count < FRESH_MIN)
        return ST_OK;
    if (g->training.open)
        learner_abandon(g->learner);
    g->training.open = false;
    enum status st = fleet_group_take_pending(g, err);
    if (st == ST_OK)
        st = learner_begin(g->learner, err);
    g->training.open = st == ST_OK;
    return st == ST_AGAIN ? ST_OK : st;
}

static enum status start_slot(struct fleet *f, struct error *err)
{
    f->running = group_of(f, allocator_next(f->allocator));
    f->slot_end_s = fmin(f->now_s + slot_s(f), f->window_end_s);
    return f->running ? ready_phase(f->running, err) : ST_OK;
}

/* Optimiser steps that the compute of the micro-window comes to. */
static int slot_steps(struct fleet *f)
{
    double all_s = slot_s(f) * f->s->capacity;
    take_charges(f);
    double paid_s = fmin(f->owed_s, (1 - TRAIN_PART_MIN) * all_s);
    f->owed_s -= paid_s;
    f->kept_steps += (all_s - paid_s) / f->costs.recipe_step_s;
    int steps = (int)f->kept_steps;
    f->kept_steps -= steps;
    return steps;
}

static enum status judge(struct fleet *f, struct fleet_group *g, struct learner_result *ret,
                         struct error *err)
{
    struct buf delta;
    buf_init(&delta);
    enum status st = learner_checkpoint(g->learner, ret, &delta, err);
    buf_clear(&delta);
    if (st == ST_AGAIN) { /* too early for a version */
        *ret = (struct learner_result){.score_current = NAN, .score_candidate = NAN};
        return ST_OK;
    }
    if (st == ST_OK)
        fleet_conclude(f, g, ret);
    return st;
}

static enum status train_slot(struct fleet *f, struct fleet_group *g, struct error *err)
{
    struct learner_result r = {.score_current = NAN, .score_candidate = NAN};
    double loss;
    int steps = slot_steps(f);
    enum status st = ST_OK;
    if (g->training.open && steps > 0) {
        f->result.used_s[FLEET_TRAIN] += steps * f->costs.recipe_step_s;
        f->result.trainings++;
        st = learner_train(g->learner, steps, &loss, err);
        if (st == ST_OK)
            st = judge(f, g, &r, err);
    }
    double gain = r.accepted ? r.score_candidate - r.score_current : 0;
    allocator_trained(f->allocator, g->id, 0, gain);
    return st;
}

static enum status end_slot(struct fleet *f, struct error *err)
{
    struct fleet_group *g = f->running;
    f->running = NULL;
    if (!g)
        return ST_OK;
    enum status st = train_slot(f, g, err);
    return st == ST_OK ? st : error_prefix(err, "group %llu", (unsigned long long)g->id);
}

static enum status advance(struct fleet *f, double until_s, struct error *err)
{
    enum status st = ST_OK;
    while (st == ST_OK && f->now_s < until_s - FLEET_EPSILON_S) {
        if (f->now_s >= f->slot_end_s - FLEET_EPSILON_S)
            st = start_slot(f, err);
        f->now_s = fmin(f->slot_end_s, until_s);
        if (st == ST_OK && f->now_s >= f->slot_end_s - FLEET_EPSILON_S)
            st = end_slot(f, err);
    }
    return st;
}

static enum status end(struct fleet *f, struct error *err)
{
    (void)f;
    (void)err;
    return ST_OK;
}

/* Newly labelled frames tell what drift took, and who asks for a group. */
static enum status watch(struct fleet *f, struct error *err)
{
    struct allocator_job jobs[FLEET_CAMERAS_MAX];
    enum status st = fleet_sharing_watch(f, err);
    int n = list_jobs(f, jobs);
    return st == ST_OK ? allocator_update(f->allocator, jobs, n, err) : st;
}

static double infer_share(const struct fleet *f, int camera)
{
    (void)camera;
    return f->s->capacity;
}

const struct fleet_driver fleet_micro = {
    .begin = begin, .advance = advance, .end = end, .watch = watch, .infer_share = infer_share};
