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
#include "server/windows_internal.h"

#define DEVIATION_US CONTROL_SECOND_US      /* between plans for a deviation */
#define SETTLED_US (30 * CONTROL_SECOND_US) /* until scores show what a training brought */
#define ACCURACY_OFF 0.1

bool windows_look_ahead(const struct windows *w)
{
    return w->settings.policy == SCHEDULE_ATTUNE;
}

uint64_t windows_period_us(const struct windows *w)
{
    return (uint64_t)(config_live(w->control->server->config).period_s * 1e6);
}

struct executor *windows_executor(const struct windows *w, int seat)
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

const char *windows_id(const struct windows *w, int seat)
{
    return windows_group(w, seat)->id;
}

const char *windows_row_id(const struct windows *w, int row)
{
    int left = row - w->count;
    if (left < 0)
        return control_sits(w->control, row) ? windows_id(w, row) : "";
    for (int i = 0; i < w->inferring_count; i++)
        if (windows_is_onlooker(w, &w->inferring[i]) && left-- == 0)
            return w->inferring[i].camera;
    return "";
}

const char *windows_item_name(const struct windows *w, int item)
{
    return w->outlook->items[item].configuration.name;
}

/* A plan is due; what matters more is kept. */
void windows_want_plan(struct windows *w, enum schedule_event event)
{
    if (w->due == 0 || event < w->due)
        w->due = event;
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
    return planner_open(&w->settings, control_capacity(w->control), &throughput,
                        w->count + w->onlookers, &w->planner, err);
}

static void start_window(struct windows *w, uint64_t now_us)
{
    struct error err;
    w->end_us = now_us + window_us(w);
    w->count = w->control->count;
    w->revision = w->control->revision;
    windows_list_inferring(w, now_us);
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
        if (w->control->seats[i].busy ||
            (windows_due(w, i, now_us) && !windows_wants_profile(w, i)))
            windows_offer(w, i);
    }
    windows_want_plan(w, SCHEDULE_WINDOW_START);
}

static double left_s(const struct windows *w, uint64_t now_us)
{
    if (windows_look_ahead(w))
        return w->control->server->set.window_s;
    return fmax(0.001, (double)(w->end_us - now_us) / 1e6);
}

/* ---- reality departs from what was planned with ---- */

static void watch_accuracy(struct windows *w, uint64_t now_us)
{
    for (int i = 0; i < w->count; i++) {
        const struct course *c = &w->courses[i];
        if (!control_sits(w->control, i) || w->control->seats[i].busy || !c->offered ||
            c->done > 0 || now_us < c->ended_us + SETTLED_US)
            continue;
        double accuracy = control_accuracy(w->control, i);
        if (isnan(accuracy) ||
            fabs(accuracy - planner_camera(w->planner, i)->accuracy) < ACCURACY_OFF)
            continue;
        windows_offer(w, i);
        windows_want_plan(w, SCHEDULE_DEVIATION);
    }
}

/* ---- what a plan becomes ---- */

/* What the plan says about a training that is under way. */
static void steer(struct windows *w, int seat, const struct schedule_grant *g)
{
    const struct schedule_camera *k = planner_camera(w->planner, seat);
    struct executor *e = windows_executor(w, seat);
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

/* ---- plans ---- */

static void make_plan(struct windows *w, uint64_t now_us)
{
    struct error err;
    struct schedule_plan plan;
    enum schedule_event event = w->due;
    windows_set_inference(w);
    struct schedule_snapshot s = planner_snapshot(w->planner, left_s(w, now_us), event);
    w->due = 0;
    w->planned_us = now_us;
    if (planner_plan(w->planner, s.left_s, event, &plan, &err) != ST_OK) {
        log_write(LOG_ERROR, "no plan", "why=\"%s\"", err.message);
        return;
    }
    /* As its members are, whatever the plan at hand gives a group at the moment: cameras send for
     * trainings to come. */
    control_tell_groups(w->control, NULL);
    windows_show(w, &s, &plan, clock_mono_us() - now_us);
    windows_grant_inference(w, &plan);
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
        c->seen = windows_chunks_seen(w, i);
        c->item = item;
        c->started_us = now_us;
        control_share(w->control, i, LEDGER_TRAIN, k->train_share);
    }
}

/* ---- from control ---- */

static void join(void *self, int seat)
{
    struct windows *w = self;
    w->courses[seat] = (struct course){.said_configuration = -2};
}

/* The planner learns of it when it is opened anew. */
static void leave(void *self, int seat)
{
    (void)self;
    (void)seat;
}

static void hurry(void *self, int seat)
{
    windows_hurry(self, seat);
}

static void urge(void *self, int seat)
{
    struct windows *w = self;
    w->courses[seat].rest_us = 0;
    w->looked_us = 0;
}

static void ended(void *self, int seat, const struct executor_report *report)
{
    struct windows *w = self;
    struct course *c = &w->courses[seat];
    const struct job_result *r = &report->result;
    uint64_t now_us = clock_mono_us();
    windows_want_plan(w, SCHEDULE_COMPLETION);
    c->profiling = false;
    if (report->status != ST_OK)
        windows_forget(
            w, seat,
            now_us + control_penalty_us(windows_period_us(w), w->control->seats[seat].failures));
    else if (r->end == JOB_NOTHING) {
        control_note_barren(w->control, seat);
        windows_forget(w, seat, now_us);
    } else if (r->end == JOB_DIVERGED)
        windows_forget(w, seat, c->started_us + windows_period_us(w));
    else if (r->end == JOB_PROFILED && seat < w->count) {
        c->profiled = true;
        windows_prune(w, seat);
        windows_offer(w, seat);
    } else if (r->end == JOB_TRAINED && seat < w->count) {
        windows_end_training(w, seat, r);
        c->profiled = false; /* it was for the frames that have been trained on */
        c->ended_us = now_us;
        c->rest_us = c->started_us + windows_period_us(w);
    }
}

static uint64_t run(void *self, uint64_t now_us)
{
    struct windows *w = self;
    if (w->control->count == 0)
        return UINT64_MAX;
    if (w->revision != w->control->revision || (now_us >= w->end_us && !windows_look_ahead(w)))
        start_window(w, now_us);
    if (w->count == 0)
        return UINT64_MAX;
    windows_watch_jobs(w);
    windows_look_for_frames(w, now_us);
    if (now_us >= w->planned_us + DEVIATION_US) {
        watch_accuracy(w, now_us);
        windows_watch_inference(w, now_us);
    }
    if (w->due && (w->due != SCHEDULE_DEVIATION || now_us >= w->planned_us + DEVIATION_US))
        make_plan(w, now_us);
    start_jobs(w, now_us);
    return now_us + WINDOWS_LOOK_US;
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

static void close_windows(void *self)
{
    struct windows *w = self;
    planner_close(&w->planner);
    json_decref(w->shown);
    pthread_mutex_destroy(&w->lock);
    free(w->outlook);
    free(w->courses);
    free(w->inferring);
    free(w);
}

static const struct decider_ops ops = {.close = close_windows,
                                       .join = join,
                                       .leave = leave,
                                       .hurry = hurry,
                                       .urge = urge,
                                       .ended = ended,
                                       .run = run,
                                       .json = windows_json};

enum status windows_open(struct control *c, enum schedule_policy policy, struct decider *ret,
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
        close_windows(w);
        return st;
    }
    *ret = (struct decider){&ops, w};
    return ST_OK;
}
