/* replay_window.c - plan, go to the next event, see what became of it, plan again. */
#include "eval/replay_window.h"

#include <math.h>
#include <stdlib.h>

#define EVENT_EPSILON_S 1e-9

struct window {
    const struct replay_case *c;
    struct planner *planner;
    replay_observer *observer;
    void *context;
    double now_s;
    struct replay_result result;
};

static enum status begin_cameras(struct window *w, struct error *err)
{
    const struct replay_case *c = w->c;
    enum status st =
        planner_open(&c->settings, c->capacity, &c->throughput, c->count, &w->planner, err);
    for (int i = 0; st == ST_OK && i < c->count; i++) {
        const struct replay_camera *camera = &c->cameras[i];
        struct schedule_option options[SCHEDULE_OPTIONS_MAX];
        if (camera->option_count > SCHEDULE_OPTIONS_MAX)
            return error_set(err, ST_LIMIT, "camera %s has more than %d options", camera->id,
                             SCHEDULE_OPTIONS_MAX);
        for (int k = 0; k < camera->option_count; k++) {
            options[k] = camera->options[k].truth;
            options[k].accuracy = camera->options[k].believed;
            options[k].accuracy_sd = camera->options[k].believed_sd;
        }
        planner_set_inference(w->planner, i, camera->id, &camera->infer, camera->accuracy_min);
        st = planner_begin(w->planner, i, camera->accuracy, options, camera->option_count, err);
    }
    return st;
}

static void run_script(struct window *w, enum schedule_event event, struct schedule_grant *grants)
{
    struct schedule_snapshot s = planner_snapshot(w->planner, w->c->window_s - w->now_s, event);
    w->c->script(&s, grants);
    planner_take(w->planner, grants);
}

/* Counts trainings that begin. */
static enum status plan(struct window *w, enum schedule_event event, struct error *err)
{
    int n = w->c->count, before = 0, after = 0;
    for (int i = 0; i < n; i++)
        before += planner_camera(w->planner, i)->running >= 0;
    enum status st = ST_OK;
    if (w->c->script) {
        struct schedule_grant *grants = calloc((size_t)n, sizeof *grants);
        if (!grants)
            return error_set(err, ST_NOMEM, "no memory for a plan");
        run_script(w, event, grants);
        free(grants);
    } else
        st = planner_plan(w->planner, w->c->window_s - w->now_s, event, NULL, err);
    for (int i = 0; i < n; i++)
        after += planner_camera(w->planner, i)->running >= 0;
    w->result.begun += after > before ? after - before : 0;
    w->result.plans++;
    return st;
}

static void pass_time(struct window *w, double step_s)
{
    for (int i = 0; i < w->c->count; i++) {
        const struct schedule_camera *c = planner_camera(w->planner, i);
        double factor = schedule_factor(&c->infer, c->infer_share), a = c->accuracy * factor;
        w->result.mean[i] += a * step_s / w->c->window_s;
        w->result.lowest = fmin(w->result.lowest, a);
        struct replay_span span = {.from_s = w->now_s,
                                   .to_s = w->now_s + step_s,
                                   .camera = i,
                                   .accuracy = c->accuracy,
                                   .factor = factor,
                                   .infer_share = c->infer_share,
                                   .train_share = c->running >= 0 ? c->train_share : 0,
                                   .configuration =
                                       c->running >= 0 ? c->options[c->running].configuration : -1};
        if (w->observer)
            w->observer(w->context, &span);
    }
    planner_advance(w->planner, step_s);
    w->now_s += step_s;
}

static const struct replay_option *find(const struct replay_camera *c, int configuration)
{
    for (int k = 0; k < c->option_count; k++)
        if (c->options[k].truth.configuration == configuration)
            return &c->options[k];
    return NULL;
}

/* A model is there: measured, and deployed unless it is worse. Only our policy has a gate; the
 * papers' deploy what comes. */
static void reach(struct window *w, int camera, int option)
{
    const struct schedule_camera *c = planner_camera(w->planner, camera);
    const struct replay_camera *r = &w->c->cameras[camera];
    const struct replay_option *o = find(r, c->options[option].configuration);
    double surprise = o->truth.accuracy - c->options[option].accuracy;
    bool worse = o->truth.accuracy < c->accuracy;
    bool stopped = worse && w->c->settings.gated && w->c->settings.policy == SCHEDULE_ATTUNE;
    w->result.ended += option == c->running;
    w->result.worse += worse;
    w->result.stopped += stopped;
    w->result.deployed += !stopped;
    planner_reached(w->planner, camera, option, stopped ? c->accuracy : o->truth.accuracy);
    planner_surprise(w->planner, camera, o->truth.training, surprise, r->carry_same,
                     r->carry_other);
}

static enum status run(struct window *w, struct error *err)
{
    enum schedule_event event = SCHEDULE_WINDOW_START;
    for (int events = 0; w->now_s < w->c->window_s - EVENT_EPSILON_S; events++) {
        if (events == REPLAY_EVENTS_MAX)
            return error_set(err, ST_LIMIT, "a window has more than %d events", REPLAY_EVENTS_MAX);
        enum status st = plan(w, event, err);
        if (st != ST_OK)
            return st;
        int camera = 0, option = 0;
        double left_s = w->c->window_s - w->now_s;
        double next_s = planner_next(w->planner, &camera, &option);
        bool ends = next_s < left_s;
        pass_time(w, ends ? next_s : left_s);
        if (ends)
            reach(w, camera, option);
        event = SCHEDULE_COMPLETION;
    }
    for (int i = 0; i < w->c->count; i++)
        w->result.end[i] = planner_camera(w->planner, i)->accuracy;
    return ST_OK;
}

enum status replay_window(const struct replay_case *c, replay_observer *observer, void *context,
                          struct replay_result *ret, struct error *err)
{
    struct window w = {.c = c, .observer = observer, .context = context};
    size_t n = (size_t)(c->count > 0 ? c->count : 1);
    w.result = (struct replay_result){.mean = calloc(n, sizeof *w.result.mean),
                                      .end = calloc(n, sizeof *w.result.end),
                                      .lowest = INFINITY};
    enum status st = ST_OK;
    if (!w.result.mean || !w.result.end)
        st = error_set(err, ST_NOMEM, "no memory to replay %d cameras", c->count);
    if (st == ST_OK)
        st = begin_cameras(&w, err);
    if (st == ST_OK)
        st = run(&w, err);
    planner_close(&w.planner);
    if (st != ST_OK) {
        replay_result_clear(&w.result);
        return st;
    }
    *ret = w.result;
    return ST_OK;
}

void replay_result_clear(struct replay_result *r)
{
    free(r->mean);
    free(r->end);
    *r = (struct replay_result){0};
}

double replay_result_mean(const struct replay_result *r, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += r->mean[i];
    return count ? sum / count : 0;
}
