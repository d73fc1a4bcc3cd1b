/* windows.c - plans: the fleet's state becomes a snapshot (schedule/planner.h), the policy's plan
 * becomes jobs, shares and checkpoints.
 *
 * Ekya's policies work in windows of window_s, the same for all cameras: at its start everything is
 * shared out, a camera trains once in it. Ours looks window_s ahead from now, always: a camera is
 * offered again as soon as it has new frames, period_s after its last training began at the
 * soonest; one that is still at work then ends with what it has reached.
 *
 * A plan is made when a window starts, a camera comes or has new frames, a training ends or a
 * checkpoint is deployed, and when reality departs from the estimate: a step costs COST_OFF more or
 * less than was thought, or a camera that nobody has just trained is ACCURACY_OFF from what the
 * plan took it for. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "profile/pareto.h"
#include "server/board.h"
#include "server/windows_internal.h"

#define LOOK_US (CONTROL_SECOND_US / 5)     /* between looks for new frames */
#define DEVIATION_US CONTROL_SECOND_US      /* between plans for a deviation */
#define SETTLED_US (30 * CONTROL_SECOND_US) /* until scores show what a training brought */
#define COST_OFF 1.3
#define COST_KNOWN_US (CONTROL_SECOND_US / 4) /* of compute, before a step's cost is believed */
#define ACCURACY_OFF 0.1
#define CAPACITY_MIN 0.05 /* what labelling leaves at least */

static bool looks_ahead(const struct windows *w)
{
    return w->settings.policy == SCHEDULE_ATTUNE;
}

static double capacity_of(const struct windows *w)
{
    const struct server *s = w->control->server;
    return fmax(CAPACITY_MIN, limiter_capacity(s->limiter) - s->set.label_share);
}

static uint64_t period_us(const struct windows *w)
{
    return (uint64_t)(w->control->server->set.period_s * 1e6);
}

static struct executor *executor_of(const struct windows *w, int seat)
{
    return w->control->executors[w->control->seats[seat].executor];
}

static uint64_t window_us(const struct windows *w)
{
    return (uint64_t)(w->control->server->set.window_s * 1e6);
}

const struct trainee *windows_group(const struct windows *w, int seat)
{
    return &w->control->seats[seat].trainee;
}

static const char *id_of(const struct windows *w, int seat)
{
    return windows_group(w, seat)->id;
}

static bool is_onlooker(const struct windows *w, const struct inferring *f)
{
    return windows_group(w, f->seat)->count > 1;
}

const char *windows_row_id(const struct windows *w, int row)
{
    int left = row - w->count;
    if (left < 0)
        return control_sits(w->control, row) ? id_of(w, row) : "";
    for (int i = 0; i < w->inferring_count; i++)
        if (is_onlooker(w, &w->inferring[i]) && left-- == 0)
            return w->inferring[i].camera;
    return "";
}

const char *windows_item_name(const struct windows *w, int item)
{
    return w->outlook->items[item].configuration.name;
}

/* A plan is due; what matters more is kept. */
static void want_plan(struct windows *w, enum schedule_event event)
{
    if (w->due == 0 || event < w->due)
        w->due = event;
}

/* ---- offers ---- */

static double camera_accuracy(const struct windows *w, const char *camera)
{
    struct store_camera c;
    if (store_camera_get(w->control->server->store, camera, &c, NULL) != ST_OK)
        return NAN;
    return c.accuracy;
}

/* The mean of the members that have been scored. */
static double accuracy_now(const struct windows *w, int seat)
{
    const struct trainee *t = windows_group(w, seat);
    double sum = 0;
    int scored = 0;
    for (int i = 0; i < t->count; i++) {
        double accuracy = camera_accuracy(w, t->members[i].camera);
        sum += isnan(accuracy) ? 0 : accuracy;
        scored += !isnan(accuracy);
    }
    return scored ? sum / scored : NAN;
}

static double step_s(const struct windows *w, int seat, int item)
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
    outlook_expect(o, id_of(w, seat), accuracy, c->profiled ? &c->profile : NULL, e);
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
                                                .compute_s = left * step_s(w, seat, k)};
    }
    return count;
}

/* What is offered: the steps that each item comes to on the frames that there are. */
static void open_course(struct windows *w, int seat, double accuracy)
{
    struct course *c = &w->courses[seat];
    const struct settings *set = &w->control->server->set;
    int known = w->control->seats[seat].trainee.frames;
    int frames = known > set->frames_min ? known : set->frames_min;
    c->episode = ++w->episodes;
    c->start = accuracy;
    c->done = c->told = 0;
    c->compute_s = 0;
    c->op_s = outlook_op_s(w->outlook, id_of(w, seat));
    for (int k = 0; k < w->outlook->count; k++)
        c->steps[k] = outlook_steps(w->outlook, k, frames);
}

static void offer(struct windows *w, int seat)
{
    struct course *c = &w->courses[seat];
    struct schedule_option options[OUTLOOK_ITEMS_MAX];
    struct error err;
    bool busy = w->control->seats[seat].busy;
    double accuracy = accuracy_now(w, seat);
    if (isnan(accuracy))
        return;
    if (!busy)
        open_course(w, seat, accuracy);
    int count = options_of(w, seat, accuracy, c->done + c->told, options);
    if (planner_begin(w->planner, seat, accuracy, options, count, &err) != ST_OK) {
        log_write(LOG_ERROR, "offer", "group=%s why=\"%s\"", id_of(w, seat), err.message);
        return;
    }
    c->offered = true;
}

/* ---- profiles: a short run of each configuration before it is offered ---- */

static bool wants_profile(const struct windows *w, int seat)
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
    control_share(w->control, seat, LEDGER_PROFILE, capacity_of(w) / w->control->executor_count);
}

/* Every PARETO_WINDOWS profiles those far from the front of gain by cost are left out from then on.
 */
static void prune(struct windows *w, int seat)
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
static bool is_due(struct windows *w, int seat, uint64_t now_us)
{
    struct control *c = w->control;
    const struct course *k = &w->courses[seat];
    bool due = false;
    if (!control_sits(c, seat) || c->seats[seat].busy || c->seats[seat].resting ||
        now_us < k->rest_us || (k->offered && !looks_ahead(w)))
        return false;
    /* What an offer was made for is still to be trained, unless the job for it has ended. */
    if (k->offered && k->done == 0)
        return false;
    return job_is_due(c->server, &c->seats[seat].trainee, &due, NULL) == ST_OK && due;
}

/* Grows with every labelled chunk of a member. */
static uint64_t chunks_seen(const struct windows *w, int seat)
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
    struct executor *e = executor_of(w, seat);
    struct job_progress p;
    executor_progress(e, &p);
    if (p.steps == 0)
        return;
    executor_set_steps(e, p.steps);
    executor_pause(e, false);
    w->courses[seat].ending = true;
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
    if (!c->ending && now_us >= c->started_us + period_us(w) && chunks_seen(w, seat) > c->seen)
        end_with_what_there_is(w, seat);
}

static void look_for_frames(struct windows *w, uint64_t now_us)
{
    if (now_us < w->looked_us + LOOK_US)
        return;
    w->looked_us = now_us;
    for (int i = 0; i < w->count; i++)
        if (is_due(w, i, now_us)) {
            if (wants_profile(w, i)) {
                start_profile(w, i, now_us); /* or at the next look, when a worker is free */
                continue;
            }
            offer(w, i);
            want_plan(w, SCHEDULE_COMPLETION);
        } else if (looks_ahead(w) && w->control->seats[i].busy && !w->courses[i].profiling)
            end_if_overtaken(w, i, now_us);
}

/* ---- inference on the server ---- */

/* What the camera told of its inference configurations, as a curve; true when there was none. */
static bool read_inference(struct windows *w, struct inferring *f, uint64_t now_us)
{
    struct inference_report told;
    struct inference_point front[INFERENCE_POINTS_MAX];
    uint64_t age_us;
    if (!board_told(w->control->server->board, f->camera, now_us, &told, &age_us) ||
        told.table.count == 0)
        return false;
    bool was_known = f->curve.count > 0;
    f->curve = (struct schedule_curve){.kind = SCHEDULE_STEPS, .points = f->points};
    int count = inference_front(&told.table, front);
    for (int i = 0; i < count; i++)
        if (f->curve.count == 0 || front[i].demand > f->points[f->curve.count - 1].share)
            f->points[f->curve.count++] = (struct schedule_point){front[i].demand, front[i].factor};
    return !was_known && f->curve.count > 0;
}

/* Cameras of the groups for which the server infers, in the groups' order. */
static void list_inferring(struct windows *w, uint64_t now_us)
{
    const struct server *s = w->control->server;
    w->inferring_count = w->onlookers = 0;
    for (int i = 0; i < w->count; i++) {
        const struct trainee *t = windows_group(w, i);
        for (int k = 0; k < t->count; k++) {
            if (!board_infers_here(s->board, t->members[k].camera) ||
                w->inferring_count == s->set.cameras_max)
                continue;
            struct inferring *f = &w->inferring[w->inferring_count++];
            *f = (struct inferring){.seat = i};
            snprintf(f->camera, sizeof f->camera, "%s", t->members[k].camera);
            read_inference(w, f, now_us);
            w->onlookers += t->count > 1;
        }
    }
}

static void watch_inference(struct windows *w, uint64_t now_us)
{
    for (int i = 0; i < w->inferring_count; i++)
        if (read_inference(w, &w->inferring[i], now_us))
            want_plan(w, SCHEDULE_DEVIATION);
}

static void set_inference(struct windows *w)
{
    static const struct schedule_curve elsewhere;
    double least = w->control->server->set.accuracy_min;
    int onlooker = w->count;
    for (int i = 0; i < w->count; i++) {
        planner_set_inference(w->planner, i, id_of(w, i), &elsewhere, least);
        planner_set_members(w->planner, i, windows_group(w, i)->count);
    }
    for (int i = 0; i < w->inferring_count; i++) {
        const struct inferring *f = &w->inferring[i];
        if (!is_onlooker(w, f)) {
            planner_set_inference(w->planner, f->seat, id_of(w, f->seat), &f->curve, least);
            planner_set_members(w->planner, f->seat, 1); /* the others' shares are their own */
            continue;
        }
        double accuracy = camera_accuracy(w, f->camera);
        planner_set_inference(w->planner, onlooker, f->camera, &f->curve, least);
        planner_observe(w->planner, onlooker++, isnan(accuracy) ? 0 : accuracy);
    }
}

static void grant_inference(struct windows *w, const struct schedule_plan *p)
{
    struct server *s = w->control->server;
    int onlooker = w->count;
    for (int i = 0; i < w->inferring_count; i++) {
        const struct inferring *f = &w->inferring[i];
        const struct schedule_grant *g = &p->grants[is_onlooker(w, f) ? onlooker++ : f->seat];
        if (f->curve.count > 0 &&
            board_set_share(s->board, f->camera, fmax(g->infer_share, LIMITER_SHARE_MIN)))
            bell_ring(&s->bell);
    }
}

/* ---- windows ---- */

/* A worker cannot use more processors than it has threads. */
static enum status open_planner(struct windows *w, struct error *err)
{
    double threads = w->control->server->set.train_threads;
    w->throughput[1] = (struct schedule_point){threads, threads};
    struct schedule_curve throughput = {
        .kind = SCHEDULE_LINEAR, .count = 2, .points = w->throughput};
    planner_close(&w->planner);
    return planner_open(&w->settings, capacity_of(w), &throughput, w->count + w->onlookers,
                        &w->planner, err);
}

static void start_window(struct windows *w, uint64_t now_us)
{
    struct error err;
    w->end_us = now_us + window_us(w);
    w->count = w->control->count;
    w->revision = w->control->revision;
    list_inferring(w, now_us);
    if (open_planner(w, &err) != ST_OK) {
        log_write(LOG_ERROR, "no plans", "why=\"%s\"", err.message);
        w->count = 0;
        return;
    }
    for (int i = 0; i < w->onlookers; i++)
        planner_begin(w->planner, w->count + i, 0, NULL, 0, &err);
    for (int i = 0; i < w->count; i++) {
        w->courses[i].offered = false;
        if (w->courses[i].profiling)
            continue;
        if (!control_sits(w->control, i))
            continue;
        if (w->control->seats[i].busy || (is_due(w, i, now_us) && !wants_profile(w, i)))
            offer(w, i);
    }
    want_plan(w, SCHEDULE_WINDOW_START);
}

static double left_s(const struct windows *w, uint64_t now_us)
{
    if (looks_ahead(w))
        return w->control->server->set.window_s;
    return fmax(0.001, (double)(w->end_us - now_us) / 1e6);
}

/* ---- a job under way ---- */

static void tell_progress(struct windows *w, int seat, const struct job_progress *p)
{
    struct course *c = &w->courses[seat];
    planner_progress(w->planner, seat, (p->steps - c->told) * step_s(w, seat, c->item));
    c->told = p->steps;
}

/* What is left of the training costs so much a step; false when that is about what was thought. */
static bool correct_cost(struct windows *w, int seat, double measured_s)
{
    double off = measured_s / step_s(w, seat, w->courses[seat].item);
    if (!(off > 0) || (off < COST_OFF && off > 1 / COST_OFF))
        return false;
    planner_rescale(w->planner, seat, off);
    w->courses[seat].op_s *= off;
    return true;
}

static void check_cost(struct windows *w, int seat, const struct job_progress *p)
{
    struct course *c = &w->courses[seat];
    if (c->revised || p->compute_us < COST_KNOWN_US || c->done + p->steps < c->steps[c->item] / 4)
        return;
    c->revised = correct_cost(w, seat, (double)p->compute_us / 1e6 / p->steps);
    if (c->revised)
        want_plan(w, SCHEDULE_DEVIATION);
}

/* The shortest option of the planner's that the training has reached with so many steps, -1: none.
 */
static int option_at(const struct windows *w, int seat, int steps)
{
    const struct course *c = &w->courses[seat];
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    for (int i = 0; k->running >= 0 && i < k->option_count; i++)
        if (k->options[i].training == k->options[k->running].training &&
            c->steps[k->options[i].configuration] <= steps)
            return i;
    return -1;
}

/* The longest item of the training that is at hand which so many steps have reached. */
static int item_at(const struct windows *w, int seat, int steps)
{
    const struct course *c = &w->courses[seat];
    const struct outlook_item *items = w->outlook->items;
    int best = c->item;
    for (int k = 0; k < w->outlook->count; k++)
        if (items[k].training == items[c->item].training && c->steps[k] <= steps &&
            (c->steps[best] > steps || c->steps[k] > c->steps[best]))
            best = k;
    return best;
}

static void remember(struct windows *w, int seat, int steps, double compute_s, double end,
                     bool accepted)
{
    const struct course *c = &w->courses[seat];
    struct error err;
    int item = item_at(w, seat, steps);
    struct store_training t = {.episode = c->episode,
                               .start = c->start,
                               .end = end,
                               .profiled_start = c->profiled ? c->profile.start : NAN,
                               .profiled_end = c->profiled ? c->profile.end[item] : NAN,
                               .compute_s = compute_s,
                               .steps = steps,
                               .accepted = accepted,
                               .t_us = clock_wall_us()};
    snprintf(t.camera, sizeof t.camera, "%s", id_of(w, seat));
    snprintf(t.configuration, sizeof t.configuration, "%s", windows_item_name(w, item));
    enum status st = store_training_put(w->control->server->store, &t, &err);
    if (st == ST_OK)
        st = outlook_read(w->outlook, w->control->server->store, &err);
    if (st != ST_OK)
        log_write(LOG_ERROR, "history", "group=%s why=\"%s\"", t.camera, err.message);
}

/* Accuracy after a training, from scores on held-out frames; without scores what was expected. */
static double accuracy_after(const struct windows *w, int seat, bool accepted, double before,
                             double after)
{
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    double gain = after - before;
    if (!accepted)
        return k->accuracy;
    if (!isfinite(gain))
        return k->running >= 0 ? k->options[k->running].accuracy : k->accuracy;
    return fmax(0, fmin(1, k->accuracy + gain));
}

static void hear_verdict(struct windows *w, int seat, const struct job_progress *p)
{
    struct course *c = &w->courses[seat];
    if (p->judged == c->judged)
        return;
    c->judged = p->judged;
    int steps = c->done + p->judged_steps, option = option_at(w, seat, steps);
    double end = accuracy_after(w, seat, p->accepted, p->before, p->after);
    remember(w, seat, steps, c->compute_s + (double)p->compute_us / 1e6, end, p->accepted);
    if (option < 0)
        return;
    planner_reached(w->planner, seat, option, end);
    want_plan(w, SCHEDULE_COMPLETION);
}

/* A checkpoint counts where a shorter configuration would have ended. */
static void wish_checkpoint(struct windows *w, int seat, const struct job_progress *p)
{
    struct course *c = &w->courses[seat];
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    int option = option_at(w, seat, c->done + p->steps);
    if (!looks_ahead(w) || !w->settings.checkpoints || option < 0 || option == k->running)
        return;
    int steps = c->steps[k->options[option].configuration];
    if (c->asked >= steps)
        return;
    c->asked = steps;
    executor_checkpoint(executor_of(w, seat));
}

static void watch_jobs(struct windows *w)
{
    for (int i = 0; i < w->count; i++) {
        struct job_progress p;
        if (!w->control->seats[i].busy || w->courses[i].profiling)
            continue;
        executor_progress(executor_of(w, i), &p);
        if (p.steps == 0)
            continue;
        tell_progress(w, i, &p);
        check_cost(w, i, &p);
        hear_verdict(w, i, &p);
        wish_checkpoint(w, i, &p);
    }
}

/* ---- reality departs from what was planned with ---- */

static void watch_accuracy(struct windows *w, uint64_t now_us)
{
    for (int i = 0; i < w->count; i++) {
        const struct course *c = &w->courses[i];
        if (!control_sits(w->control, i) || w->control->seats[i].busy || !c->offered ||
            c->done > 0 || now_us < c->ended_us + SETTLED_US)
            continue;
        double accuracy = accuracy_now(w, i);
        if (isnan(accuracy) ||
            fabs(accuracy - planner_camera(w->planner, i)->accuracy) < ACCURACY_OFF)
            continue;
        offer(w, i);
        want_plan(w, SCHEDULE_DEVIATION);
    }
}

/* ---- what a plan becomes ---- */

/* What the plan says about a training that is under way. */
static void steer(struct windows *w, int seat, const struct schedule_grant *g)
{
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    struct executor *e = executor_of(w, seat);
    const struct course *c = &w->courses[seat];
    const struct outlook_item *items = w->outlook->items;
    bool runs = k->running >= 0 && k->train_share > 0, goes_on = g->option >= 0;
    if (goes_on)
        goes_on = k->options[g->option].training == items[c->item].training;
    if (!goes_on)
        executor_cancel(e);
    else if (runs && !c->ending)
        executor_set_steps(e, c->steps[k->options[k->running].configuration] - c->done);
    executor_pause(e, goes_on && !runs && !c->ending);
    control_share(w->control, seat, LEDGER_TRAIN, runs ? k->train_share : 0);
}

/* The planner offers all that was given up anew, but what earlier jobs of the offer trained is not
 * lost: the camera is done until it has new frames. */
static void follow(struct windows *w, int seat, const struct schedule_grant *g)
{
    const struct course *c = &w->courses[seat];
    if (w->control->seats[seat].busy && !c->profiling)
        steer(w, seat, g);
    if (g->option < 0 && c->done > 0)
        planner_dropped(w->planner, seat, false);
}

/* ---- what groups are given ---- */

/* Cameras of groups that can be trained; those of one get the same part each. */
static int count_members(const struct windows *w)
{
    int count = 0;
    for (int i = 0; i < w->count; i++)
        if (control_sits(w->control, i))
            count += windows_group(w, i)->count;
    return count;
}

/* What a group gets of the machine in the long run: by its members, whatever the plan at hand gives
 * it at the moment, since cameras send for trainings to come. */
static void tell_groups(struct windows *w)
{
    int cameras = count_members(w);
    bool news = false;
    for (int i = 0; i < w->count; i++) {
        if (!control_sits(w->control, i))
            continue;
        const struct trainee *t = windows_group(w, i);
        struct board_group g;
        board_group_init(&g);
        g.members = t->count;
        g.share = capacity_of(w) * t->count / cameras;
        if (t->count > 1)
            snprintf(g.id, sizeof g.id, "%s", t->id);
        for (int k = 0; k < t->count; k++)
            news |= board_set_group(w->control->server->board, t->members[k].camera, &g);
    }
    if (news)
        bell_ring(&w->control->server->bell);
}

/* ---- plans ---- */

static void make_plan(struct windows *w, uint64_t now_us)
{
    struct error err;
    struct schedule_plan plan;
    enum schedule_event event = w->due;
    set_inference(w);
    struct schedule_snapshot s = planner_snapshot(w->planner, left_s(w, now_us), event);
    w->due = 0;
    w->planned_us = now_us;
    if (planner_plan(w->planner, s.left_s, event, &plan, &err) != ST_OK) {
        log_write(LOG_ERROR, "no plan", "why=\"%s\"", err.message);
        return;
    }
    windows_show(w, &s, &plan, clock_mono_us() - now_us);
    grant_inference(w, &plan);
    tell_groups(w);
    for (int i = 0; i < w->count; i++) {
        if (!control_sits(w->control, i))
            continue;
        windows_say(w, &s, &plan, i);
        follow(w, i, &plan.grants[i]);
    }
    schedule_plan_clear(&plan);
}

static void start_jobs(struct windows *w, uint64_t now_us)
{
    for (int i = 0; i < w->count; i++) {
        const struct schedule_camera *k = planner_camera(w->planner, i);
        struct course *c = &w->courses[i];
        if (!control_sits(w->control, i) || w->control->seats[i].busy || k->running < 0 ||
            k->train_share <= 0)
            continue;
        int item = k->options[k->running].configuration;
        struct job job = {.kind = LEDGER_TRAIN, .steps = c->steps[item] - c->done};
        if (job.steps <= 0) { /* it has that behind it */
            planner_dropped(w->planner, i, false);
            continue;
        }
        if (item != OUTLOOK_RECIPE)
            job.configuration = &w->outlook->items[item].configuration;
        if (!control_start(w->control, i, &job, now_us))
            continue;
        c->told = c->judged = c->asked = 0;
        c->revised = c->ending = false;
        c->seen = chunks_seen(w, i);
        c->item = item;
        c->started_us = now_us;
        control_share(w->control, i, LEDGER_TRAIN, k->train_share);
    }
}

/* ---- from control ---- */

void windows_join(struct windows *w, int seat)
{
    w->courses[seat] = (struct course){.said_configuration = -2};
}

/* Its options are gone until there is something new. */
static void forget(struct windows *w, int seat, uint64_t rest_us)
{
    w->courses[seat].offered = w->courses[seat].profiled = false;
    w->courses[seat].done = 0;
    w->courses[seat].rest_us = rest_us;
    if (seat < w->count)
        planner_dropped(w->planner, seat, false);
}

static void end_training(struct windows *w, int seat, const struct job_result *r)
{
    struct course *c = &w->courses[seat];
    struct job_progress p;
    executor_progress(executor_of(w, seat), &p);
    hear_verdict(w, seat, &p);
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    double end = accuracy_after(w, seat, r->accepted, r->before, r->after);
    c->done += r->steps;
    c->compute_s += (double)r->compute_us / 1e6;
    c->told = 0;
    remember(w, seat, c->done, c->compute_s, end, r->accepted);
    correct_cost(w, seat, c->compute_s / c->done);
    if (k->running < 0 || !r->accepted)
        forget(w, seat, c->started_us);
    else
        planner_reached(w->planner, seat, k->running, end);
}

void windows_ended(struct windows *w, int seat, const struct executor_report *report)
{
    struct course *c = &w->courses[seat];
    const struct job_result *r = &report->result;
    uint64_t now_us = clock_mono_us();
    want_plan(w, SCHEDULE_COMPLETION);
    c->profiling = false;
    if (report->status != ST_OK)
        forget(w, seat,
               now_us + control_penalty_us(period_us(w), w->control->seats[seat].failures));
    else if (r->end == JOB_NOTHING) {
        struct trainee *t = &w->control->seats[seat].trainee;
        for (int i = 0; i < t->count; i++)
            t->members[i].barren_seq = t->members[i].added_seq;
        forget(w, seat, now_us);
    } else if (r->end == JOB_DIVERGED)
        forget(w, seat, c->started_us + period_us(w));
    else if (r->end == JOB_PROFILED && seat < w->count) {
        c->profiled = true;
        prune(w, seat);
        offer(w, seat);
    } else if (r->end == JOB_TRAINED && seat < w->count) {
        end_training(w, seat, r);
        c->profiled = false; /* it was for the frames that have been trained on */
        c->ended_us = now_us;
        c->rest_us = c->started_us + period_us(w);
    }
}

uint64_t windows_run(struct windows *w, uint64_t now_us)
{
    if (w->control->count == 0)
        return UINT64_MAX;
    if (w->revision != w->control->revision || (now_us >= w->end_us && !looks_ahead(w)))
        start_window(w, now_us);
    if (w->count == 0)
        return UINT64_MAX;
    watch_jobs(w);
    look_for_frames(w, now_us);
    if (now_us >= w->planned_us + DEVIATION_US) {
        watch_accuracy(w, now_us);
        watch_inference(w, now_us);
    }
    if (w->due && (w->due != SCHEDULE_DEVIATION || now_us >= w->planned_us + DEVIATION_US))
        make_plan(w, now_us);
    start_jobs(w, now_us);
    return now_us + LOOK_US;
}

/* ---- open, close ---- */

static enum status open_outlook(struct windows *w, struct error *err)
{
    const struct server *s = w->control->server;
    struct learner_options recipe;
    enum estimate_source source = estimate_source_parse(s->set.estimates);
    if (!source)
        return error_set(err, ST_INVALID, "estimates is history, profile or blend, not '%.40s'",
                         s->set.estimates);
    learner_preset(learner_preset_parse(s->set.preset), &recipe);
    recipe.steps = s->set.steps > 0 ? s->set.steps : recipe.steps;
    recipe.batch = s->set.batch > 0 ? s->set.batch : recipe.batch;
    learner_suit_options(&recipe, &s->student_spec);
    w->outlook = calloc(1, sizeof *w->outlook);
    if (!w->outlook)
        return error_set(err, ST_NOMEM, "no memory for plans");
    enum status st =
        outlook_init(w->outlook, &s->set.configurations, s->student, &recipe, source, err);
    return st == ST_OK ? outlook_read(w->outlook, s->store, err) : st;
}

enum status windows_open(struct control *c, enum schedule_policy policy, struct windows **ret,
                         struct error *err)
{
    struct windows *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, ST_NOMEM, "no memory for plans");
    w->control = c;
    pthread_mutex_init(&w->lock, NULL);
    schedule_settings_init(&w->settings);
    w->settings.policy = policy;
    w->settings.configuration = OUTLOOK_RECIPE;
    w->settings.parallel_max = c->server->set.workers;
    w->settings.again = false;     /* not on the same frames; there are new ones soon */
    w->episodes = clock_wall_us(); /* numbers of an earlier run do not come again */
    w->courses = calloc((size_t)c->seats_max, sizeof *w->courses);
    w->inferring = calloc((size_t)c->server->set.cameras_max, sizeof *w->inferring);
    enum status st = w->courses && w->inferring ? open_outlook(w, err)
                                                : error_set(err, ST_NOMEM, "no memory for plans");
    if (st != ST_OK) {
        windows_close(&w);
        return st;
    }
    *ret = w;
    return ST_OK;
}

void windows_close(struct windows **ptr)
{
    struct windows *w = ptr ? *ptr : NULL;
    if (!w)
        return;
    planner_close(&w->planner);
    json_decref(w->shown);
    pthread_mutex_destroy(&w->lock);
    free(w->outlook);
    free(w->courses);
    free(w->inferring);
    free(w);
    *ptr = NULL;
}
