/* windows_offer.c - what the planner is offered: a group's options, once it has frames to train on,
 * with a profile of them first where estimates ask for one. */
#include <math.h>

#include "base/log.h"
#include "profile/pareto.h"
#include "server/windows_internal.h"

double windows_step_s(const struct windows *w, int seat, int item)
{
    return w->courses[seat].op_s * w->outlook->items[item].step_ops;
}

/* The camera's options: for a job at hand, what goes on from it. Returns how many. */
static int options_of(const struct windows *w, int seat, double accuracy, int done,
                      struct schedule_option *ret)
{
    const struct course *c = &w->courses[seat];
    const struct outlook *o = w->outlook;
    struct outlook_expectation e[OUTLOOK_ITEMS_MAX];
    int count = 0;
    outlook_expect(o, windows_id(w, seat), accuracy, c->profiled ? &c->profile : NULL, e);
    for (int k = 0; k < o->count; k++) {
        bool same = done == 0 || o->items[k].training == o->items[c->item].training;
        int left = c->steps[k] - done;
        bool pruned = c->profiled && !c->kept[k] && k != OUTLOOK_RECIPE;
        if (!same || left <= 0 || pruned)
            continue;
        ret[count++] = (struct schedule_option){.configuration = k,
                                                .name = windows_item_name(w, k),
                                                .training = o->items[k].training,
                                                .accuracy = e[k].accuracy,
                                                .accuracy_sd = e[k].accuracy_sd,
                                                .compute_s = left * windows_step_s(w, seat, k)};
    }
    return count;
}

/* What is offered: the steps that each item comes to on the frames that there are. */
static void open_course(struct windows *w, int seat, double accuracy)
{
    struct course *c = &w->courses[seat];
    int least = config_live(w->control->server->config).frames_min;
    int known = w->control->seats[seat].trainee.frames;
    int frames = known > least ? known : least;
    c->episode = ++w->episodes;
    c->start = accuracy;
    c->done = c->told = 0;
    c->compute_s = 0;
    c->op_s = outlook_op_s(w->outlook, windows_id(w, seat));
    for (int k = 0; k < w->outlook->count; k++)
        c->steps[k] = outlook_steps(w->outlook, k, frames);
}

void windows_offer(struct windows *w, int seat)
{
    struct course *c = &w->courses[seat];
    struct schedule_option options[OUTLOOK_ITEMS_MAX];
    struct error err;
    bool busy = w->control->seats[seat].busy;
    double accuracy = control_accuracy(w->control, seat);
    if (isnan(accuracy))
        return;
    if (!busy)
        open_course(w, seat, accuracy);
    int count = options_of(w, seat, accuracy, c->done + c->told, options);
    if (planner_begin(w->planner, seat, accuracy, options, count, &err) != ST_OK) {
        log_write(LOG_ERROR, "offer", "group=%s why=\"%s\"", windows_id(w, seat), err.message);
        return;
    }
    c->offered = true;
}

/* ---- profiles: a short run of each configuration before it is offered ---- */

bool windows_wants_profile(const struct windows *w, int seat)
{
    return w->outlook->estimator.source != ESTIMATE_HISTORY && !w->courses[seat].profiled;
}

static void start_profile(struct windows *w, int seat, uint64_t now_us)
{
    struct course *c = &w->courses[seat];
    for (int k = 0; k < w->outlook->count && c->profiles == 0; k++)
        c->kept[k] = true;
    struct job job = {
        .kind = LEDGER_PROFILE, .menu = w->outlook, .wanted = c->kept, .profile = &c->profile};
    if (!control_start(w->control, seat, &job, now_us))
        return;
    c->profiling = true;
    c->started_us = now_us;
    control_share(w->control, seat, LEDGER_PROFILE,
                  control_capacity(w->control) / w->control->executor_count);
}

/* Every PARETO_WINDOWS profiles those far from the front of gain by cost are left out from then on.
 */
void windows_prune(struct windows *w, int seat)
{
    struct course *c = &w->courses[seat];
    double cost[OUTLOOK_ITEMS_MAX], accuracy[OUTLOOK_ITEMS_MAX];
    if (++c->profiles % PARETO_WINDOWS != 0)
        return;
    int frames = w->control->seats[seat].trainee.frames, n = w->outlook->count;
    for (int k = 0; k < n; k++) {
        cost[k] = outlook_steps(w->outlook, k, frames) * w->outlook->items[k].step_ops;
        accuracy[k] = isfinite(c->profile.end[k]) ? c->profile.end[k] : 0;
    }
    pareto_prune(cost, accuracy, n, PARETO_DROP, c->kept);
    c->kept[OUTLOOK_RECIPE] = true;
}

/* Has it something to train that it has not been offered for? */
bool windows_due(struct windows *w, int seat, uint64_t now_us)
{
    struct control *c = w->control;
    const struct course *k = &w->courses[seat];
    bool due = false;
    if (!control_sits(c, seat) || c->seats[seat].busy || c->seats[seat].resting ||
        now_us < k->rest_us || (k->offered && !windows_look_ahead(w)))
        return false;
    /* What an offer was made for is still to be trained, unless the job for it has ended. */
    if (k->offered && k->done == 0)
        return false;
    return job_is_due(c->server, &c->seats[seat].trainee, &due, NULL) == ST_OK && due;
}

/* Grows with every labelled chunk of a member. */
uint64_t windows_chunks_seen(const struct windows *w, int seat)
{
    const struct trainee *t = windows_group(w, seat);
    struct store_camera c;
    uint64_t sum = 0;
    for (int i = 0; i < t->count; i++)
        if (store_camera_get(w->control->server->store, t->members[i].camera, &c, NULL) == ST_OK)
            sum += c.frame_seq;
    return sum;
}

static void end_with_what_there_is(struct windows *w, int seat)
{
    w->courses[seat].ending |= control_end_early(w->control, seat);
}

void windows_hurry(struct windows *w, int seat)
{
    const struct course *c = &w->courses[seat];
    if (w->control->seats[seat].busy && !c->profiling && !c->ending)
        end_with_what_there_is(w, seat);
}

/* A training on frames that have been overtaken ends with what it has reached, so that the next one
 * has the newest: where scenes change, that is worth more than more passes. */
static void end_if_overtaken(struct windows *w, int seat, uint64_t now_us)
{
    const struct course *c = &w->courses[seat];
    if (!c->ending && now_us >= c->started_us + windows_period_us(w) &&
        windows_chunks_seen(w, seat) > c->seen)
        end_with_what_there_is(w, seat);
}

void windows_look_for_frames(struct windows *w, uint64_t now_us)
{
    if (now_us < w->looked_us + WINDOWS_LOOK_US)
        return;
    w->looked_us = now_us;
    for (int i = 0; i < w->count; i++)
        if (windows_due(w, i, now_us)) {
            if (windows_wants_profile(w, i)) {
                start_profile(w, i, now_us); /* or at the next look, when a worker is free */
                continue;
            }
            windows_offer(w, i);
            windows_want_plan(w, SCHEDULE_COMPLETION);
        } else if (windows_look_ahead(w) && w->control->seats[i].busy && !w->courses[i].profiling)
            end_if_overtaken(w, i, now_us);
}

/* Its options are gone until there is something new. */
void windows_forget(struct windows *w, int seat, uint64_t rest_us)
{
    w->courses[seat].offered = w->courses[seat].profiled = false;
    w->courses[seat].done = 0;
    w->courses[seat].rest_us = rest_us;
    if (seat < w->count)
        planner_dropped(w->planner, seat, false);
}
