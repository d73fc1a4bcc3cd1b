/* replay.c - which cameras, configurations and estimates; then every policy at every capacity. */
#include "eval/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct replay {
    const struct replay_options *o;
    struct trace trace;
    struct history history; /* all rows of the trace */
    struct trace_curve throughput, infer;
    int windows[REPLAY_WINDOWS_MAX], window_count;
    int *cameras, camera_count; /* that are replayed */
    int *held_out, held_out_count;
    const struct trace_row *c1, *c2; /* any rows of those configurations */
    struct replay_camera *fleet;     /* [camera_count] of the window at hand */
    struct replay_option *options;   /* [camera_count][SCHEDULE_OPTIONS_MAX] */
    struct estimator *estimators;    /* [camera_count] */
    replay_on_span *on_span;
    void *context;
    const struct replay_run *run; /* at hand */
    int window;
};

void replay_options_init(struct replay_options *o)
{
    *o = (struct replay_options){.delta = 0.1,
                                 .window_s = 200,
                                 .demand = 0.25,
                                 .streams = 10,
                                 .held_out = 2,
                                 .rerun = true,
                                 .checkpoints = true,
                                 .again = true,
                                 .gated = true};
}

/* ---- which cameras and windows ---- */

static enum status list_windows(struct replay *r, struct error *err)
{
    for (int i = 0; i < r->trace.count; i++) {
        int w = r->trace.rows[i].window, at = 0;
        while (at < r->window_count && r->windows[at] < w)
            at++;
        if (at < r->window_count && r->windows[at] == w)
            continue;
        if (r->window_count == REPLAY_WINDOWS_MAX)
            return error_set(err, ST_LIMIT, "the profiles have more than %d windows",
                             REPLAY_WINDOWS_MAX);
        memmove(r->windows + at + 1, r->windows + at,
                (size_t)(r->window_count++ - at) * sizeof *r->windows);
        r->windows[at] = w;
    }
    return ST_OK;
}

static bool has_all_windows(const struct replay *r, int camera)
{
    int first;
    for (int w = 0; w < r->window_count; w++)
        if (trace_window(&r->trace, camera, r->windows[w], &first) == first)
            return false;
    return true;
}

/* The first `streams` cameras that have every window are replayed; the last `held_out` of all such
 * choose the fixed configurations (they may be the same where there are few). */
static enum status choose_cameras(struct replay *r, struct error *err)
{
    int n = 0, *all = malloc((size_t)r->trace.camera_count * 2 * sizeof *all);
    if (!all)
        return error_set(err, ST_NOMEM, "no memory for the cameras");
    for (int i = 0; i < r->trace.camera_count; i++)
        if (has_all_windows(r, i))
            all[n++] = i;
    r->cameras = all;
    if (n == 0)
        return error_set(err, ST_INVALID, "no camera has a profile in each of the %d windows",
                         r->window_count);
    r->camera_count = r->o->streams < n ? r->o->streams : n;
    r->held_out_count = r->o->held_out < n ? r->o->held_out : n;
    r->held_out = all + n - r->held_out_count;
    return ST_OK;
}

/* ---- the fixed configurations ---- */

struct mean_option {
    const struct trace_row *row;
    double compute_s, end;
};

static int by_compute(const void *a, const void *b)
{
    const struct mean_option *x = a, *y = b;
    return (x->compute_s > y->compute_s) - (x->compute_s < y->compute_s);
}

static bool is_same(const struct trace_row *a, const struct trace_row *b)
{
    return a->config == b->config && a->epochs == b->epochs;
}

static struct mean_option mean_of(const struct replay *r, const struct trace_row *like)
{
    struct mean_option m = {.row = like};
    int n = 0;
    for (int h = 0; h < r->held_out_count; h++)
        for (int i = 0; i < r->trace.count; i++)
            if (r->trace.rows[i].camera == r->held_out[h] && is_same(&r->trace.rows[i], like)) {
                m.compute_s += r->trace.rows[i].compute_s;
                m.end += r->trace.rows[i].end;
                n++;
            }
    m.compute_s /= n;
    m.end /= n;
    return m;
}

/* The Pareto front over the held-out cameras: its last is costly, its middle cheap. */
static enum status choose_fixed(struct replay *r, struct error *err)
{
    struct mean_option all[SCHEDULE_OPTIONS_MAX];
    int first, n = 0, front = 0;
    int end = trace_window(&r->trace, r->held_out[0], r->windows[0], &first);
    if (end - first > SCHEDULE_OPTIONS_MAX)
        return error_set(err, ST_LIMIT, "a window has more than %d options", SCHEDULE_OPTIONS_MAX);
    for (int i = first; i < end; i++)
        all[n++] = mean_of(r, &r->trace.rows[i]);
    qsort(all, (size_t)n, sizeof *all, by_compute);
    double best = 0;
    for (int i = 0; i < n; i++)
        if (all[i].end > best) {
            best = all[i].end;
            all[front++] = all[i];
        }
    if (front == 0)
        return error_set(err, ST_INVALID, "no configuration of the held-out cameras is any good");
    r->c1 = all[front - 1].row;
    r->c2 = all[front / 2].row;
    return ST_OK;
}

/* ---- estimates ---- */

/* A number for (config, epochs) that is the same in every window. */
static int key_of(const struct trace_row *row)
{
    return row->config * 1000 + row->epochs;
}

static enum status learn_history(struct replay *r, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < r->trace.count && st == ST_OK; i++) {
        const struct trace_row *t = &r->trace.rows[i];
        st = history_add(
            &r->history,
            &(struct history_row){.episode = (uint64_t)t->camera << 32 | (uint32_t)t->window,
                                  .camera = t->camera,
                                  .configuration = key_of(t),
                                  .training = t->config,
                                  .start = t->start,
                                  .end = t->end,
                                  .compute_s = t->compute_s,
                                  .profiled_start = t->est_start,
                                  .profiled_end = t->est_end},
            err);
    }
    return st;
}

/* Accuracy before: the lowest over the options, whose heads differ in size. */
static double start_of(const struct replay *r, int first, int end)
{
    double start = r->trace.rows[first].start;
    for (int i = first + 1; i < end; i++)
        start = fmin(start, r->trace.rows[i].start);
    return start;
}

/* Estimates for rows [first, end) of one window into items. */
static void estimate_window(const struct replay *r, struct estimator *e, int first, int end,
                            struct estimate_item *items)
{
    struct estimate_query q = {0};
    for (int i = first; i < end; i++) {
        q.start += r->trace.rows[i].start / (end - first);
        q.profiled_start += r->trace.rows[i].est_start / (end - first);
        items[i - first] = (struct estimate_item){.configuration = key_of(&r->trace.rows[i]),
                                                  .profiled_end = r->trace.rows[i].est_end};
    }
    estimate_make(e, &q, items, end - first);
}

static enum status open_estimators(struct replay *r, struct error *err)
{
    r->estimators = calloc((size_t)r->camera_count, sizeof *r->estimators);
    if (!r->estimators)
        return error_set(err, ST_NOMEM, "no memory for the estimators");
    for (int i = 0; i < r->camera_count && r->o->estimates; i++)
        estimator_learn(&r->estimators[i], r->o->estimates, &r->history, r->cameras[i]);
    return ST_OK;
}

/* Every row's estimate by a source that has not seen its camera. */
static enum status score_source(struct replay *r, enum estimate_source source, double *estimate,
                                double *outcome, uint64_t *window, struct estimate_score *ret,
                                struct error *err)
{
    struct estimate_item items[SCHEDULE_OPTIONS_MAX];
    struct estimator *e = malloc(sizeof *e);
    if (!e)
        return error_set(err, ST_NOMEM, "no memory for an estimator");
    int camera = -1;
    for (int first = 0, end; first < r->trace.count; first = end) {
        const struct trace_row *t = &r->trace.rows[first];
        end = trace_window(&r->trace, t->camera, t->window, &first);
        if (t->camera != camera)
            estimator_learn(e, source, &r->history, camera = t->camera);
        estimate_window(r, e, first, end, items);
        for (int i = first; i < end; i++) {
            estimate[i] = items[i - first].accuracy;
            outcome[i] = r->trace.rows[i].end;
            window[i] = r->history.rows[i].episode;
        }
    }
    free(e);
    return estimate_score(estimate, outcome, window, r->trace.count, ret, err);
}

static enum status score_estimates(struct replay *r, struct replay_set *ret, struct error *err)
{
    size_t n = (size_t)r->trace.count;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(r->trace.rows[i].est_end) || !isfinite(r->trace.rows[i].est_start))
            return ST_OK;
    double *numbers = malloc(2 * n * sizeof *numbers);
    uint64_t *window = malloc(n * sizeof *window);
    enum status st =
        numbers && window ? ST_OK : error_set(err, ST_NOMEM, "no memory to score %zu estimates", n);
    for (int k = 0; k < 3 && st == ST_OK; k++)
        st = score_source(r, (enum estimate_source)(ESTIMATE_PROFILE + k), numbers, numbers + n,
                          window, &ret->scores[k], err);
    ret->scored = st == ST_OK;
    free(numbers);
    free(window);
    return st;
}

/* ---- one window of the fleet ---- */

/* A row of the configuration that a fixed policy takes. */
static const struct trace_row *fixed_row(const struct replay *r, const struct contender *p)
{
    return p->range == CONTENDER_COSTLY ? r->c1 : r->c2;
}

static enum status load_camera(struct replay *r, int i, int window, const struct contender *p,
                               struct error *err)
{
    struct replay_option *options = r->options + (size_t)i * SCHEDULE_OPTIONS_MAX;
    struct estimate_item items[SCHEDULE_OPTIONS_MAX];
    int first, end = trace_window(&r->trace, r->cameras[i], window, &first);
    if (end - first > SCHEDULE_OPTIONS_MAX)
        return error_set(err, ST_LIMIT, "a window has more than %d options", SCHEDULE_OPTIONS_MAX);
    if (r->o->estimates)
        estimate_window(r, &r->estimators[i], first, end, items);
    int count = 0;
    for (int k = first; k < end; k++) {
        const struct trace_row *t = &r->trace.rows[k];
        const struct estimate_item *it = &items[k - first];
        if (p->range != CONTENDER_ALL && !is_same(t, fixed_row(r, p)))
            continue;
        bool known = r->o->estimates && isfinite(it->accuracy);
        options[count++] =
            (struct replay_option){.truth = {.configuration = key_of(t),
                                             .training = t->config,
                                             .accuracy = t->end,
                                             .compute_s = t->compute_s},
                                   .believed = known ? it->accuracy : t->end,
                                   .believed_sd = known ? fmin(it->accuracy_sd, 1) : 0};
        if (r->o->estimates && !known)
            return error_set(err, ST_INVALID, "%s has no estimate in window %d by %s",
                             r->trace.names[r->cameras[i]], window,
                             estimate_source_name(r->o->estimates));
    }
    r->fleet[i] = (struct replay_camera){.id = r->trace.names[r->cameras[i]],
                                         .accuracy = start_of(r, first, end),
                                         .infer = r->infer.curve,
                                         .options = options,
                                         .option_count = count,
                                         .carry_same = r->estimators[i].carry_same,
                                         .carry_other = r->estimators[i].carry_other};
    r->fleet[i].infer.points = r->infer.points;
    return ST_OK;
}

static void pass_span(void *context, const struct replay_span *span)
{
    struct replay *r = context;
    r->on_span(r->context, r->run, r->window, r->fleet[span->camera].id, span);
}

static struct replay_case case_of(const struct replay *r, const struct contender *p,
                                  double capacity)
{
    struct replay_case c = {.capacity = capacity,
                            .window_s = r->o->window_s,
                            .throughput = r->throughput.curve,
                            .count = r->camera_count,
                            .cameras = r->fleet};
    c.throughput.points = r->throughput.points;
    c.settings = p->settings;
    c.settings.delta = r->o->delta;
    c.settings.configuration = key_of(fixed_row(r, p));
    c.settings.rerun = r->o->rerun;
    c.settings.checkpoints = r->o->checkpoints;
    c.settings.again = r->o->again;
    c.settings.gated = r->o->gated;
    return c;
}

static void add_window(const struct replay_result *w, const struct replay *r,
                       struct replay_run *run)
{
    run->mean += replay_result_mean(w, r->camera_count) / r->window_count;
    for (int i = 0; i < r->camera_count; i++)
        run->lowest_camera = fmin(run->lowest_camera, w->mean[i]);
    run->lowest = fmin(run->lowest, w->lowest);
    run->begun += w->begun;
    run->ended += w->ended;
    run->worse += w->worse;
    run->stopped += w->stopped;
    run->deployed += w->deployed;
    run->plans += w->plans;
}

static enum status run_policy(struct replay *r, const struct contender *p, double capacity,
                              bool observed, struct replay_run *ret, struct error *err)
{
    *ret = (struct replay_run){.capacity = capacity, .lowest_camera = 1, .lowest = 1};
    snprintf(ret->policy, sizeof ret->policy, "%s", p->name);
    enum sharing_division plans;
    enum status st = sharing_divide(p->division, p->name, true, &plans, err);
    for (int w = 0; w < r->window_count && st == ST_OK; w++) {
        struct replay_result result;
        for (int i = 0; i < r->camera_count && st == ST_OK; i++)
            st = load_camera(r, i, r->windows[w], p, err);
        if (st != ST_OK)
            return st;
        struct replay_case c = case_of(r, p, capacity);
        r->run = ret;
        r->window = r->windows[w];
        st = replay_window(&c, observed && r->on_span ? pass_span : NULL, r, &result, err);
        if (st != ST_OK)
            return error_prefix(err, "policy %s at %g GPUs", p->name, capacity);
        add_window(&result, r, ret);
        replay_result_clear(&result);
    }
    return st;
}

static enum status run_capacity(struct replay *r, int c, struct replay_set *ret, struct error *err)
{
    struct contender fixed[1 + CONTENDER_BASELINES];
    double capacity = r->o->capacities[c];
    int count = 0;
    enum status st = contender_add_list("none,uniform", fixed, &count, err);
    for (int i = 0; i < count && st == ST_OK; i++)
        st = run_policy(r, &fixed[i], capacity, false,
                        i == 0 ? &ret->none[c] : &ret->baselines[c][i - 1], err);
    for (int i = 0; i < r->o->policy_count && st == ST_OK; i++)
        st = run_policy(r, &r->o->policies[i], capacity, true, &ret->runs[ret->run_count++], err);
    return st;
}

/* ---- curves ---- */

static void linear_inference(struct replay *r)
{
    r->infer.points[0] = (struct schedule_point){0, 0};
    r->infer.points[1] = (struct schedule_point){r->o->demand, 1};
    r->infer.curve = (struct schedule_curve){SCHEDULE_LINEAR, 2, r->infer.points};
}

static enum status open_curves(struct replay *r, struct replay_set *ret, struct error *err)
{
    enum status st = ST_OK;
    if (r->o->share_curve)
        st = trace_open_throughput(r->o->share_curve, &r->throughput, err);
    const char *slash = strrchr(r->o->profiles, '/');
    int folder = slash ? (int)(slash - r->o->profiles) + 1 : 0;
    if (r->o->inference_curve)
        snprintf(ret->inference, sizeof ret->inference, "%s", r->o->inference_curve);
    else
        snprintf(ret->inference, sizeof ret->inference, "%.*sinference_profiles.csv", folder,
                 r->o->profiles);
    ret->inference_found = r->o->inference_curve || access(ret->inference, R_OK) == 0;
    if (st == ST_OK && ret->inference_found)
        return trace_open_inference(ret->inference, r->o->demand, &r->infer, err);
    linear_inference(r);
    return st;
}

static enum status open_all(struct replay *r, struct replay_set *ret, struct error *err)
{
    enum status st = trace_open(r->o->profiles, &r->trace, err);
    if (st == ST_OK)
        st = open_curves(r, ret, err);
    if (st == ST_OK)
        st = list_windows(r, err);
    if (st == ST_OK)
        st = choose_cameras(r, err);
    if (st == ST_OK)
        st = choose_fixed(r, err);
    if (st == ST_OK)
        st = learn_history(r, err);
    if (st == ST_OK)
        st = open_estimators(r, err);
    if (st == ST_OK)
        st = score_estimates(r, ret, err);
    if (st != ST_OK)
        return st;
    r->fleet = calloc((size_t)r->camera_count, sizeof *r->fleet);
    r->options = calloc((size_t)r->camera_count * SCHEDULE_OPTIONS_MAX, sizeof *r->options);
    return r->fleet && r->options ? ST_OK : error_set(err, ST_NOMEM, "no memory for the cameras");
}

static void replay_clear(struct replay *r)
{
    trace_clear(&r->trace);
    history_clear(&r->history);
    free(r->cameras);
    free(r->fleet);
    free(r->options);
    free(r->estimators);
}

static void describe(const struct replay *r, struct replay_set *ret)
{
    ret->camera_count = r->camera_count;
    ret->window_count = r->window_count;
    ret->held_out = r->held_out_count;
    snprintf(ret->c1, sizeof ret->c1, "config %d, %d epochs", r->c1->config, r->c1->epochs);
    snprintf(ret->c2, sizeof ret->c2, "config %d, %d epochs", r->c2->config, r->c2->epochs);
    ret->capacity_count = r->o->capacity_count;
    memcpy(ret->capacities, r->o->capacities, sizeof ret->capacities);
}

enum status replay_run_all(const struct replay_options *o, replay_on_span *on_span, void *context,
                           struct replay_set *ret, struct error *err)
{
    struct replay r = {.o = o, .on_span = on_span, .context = context};
    memset(ret, 0, sizeof *ret);
    enum status st = open_all(&r, ret, err);
    if (st == ST_OK)
        describe(&r, ret);
    for (int c = 0; c < o->capacity_count && st == ST_OK; c++)
        st = run_capacity(&r, c, ret, err);
    replay_clear(&r);
    return st;
}

static const struct replay_run *pick_fixed(const struct replay_set *s, int c, int sign)
{
    const struct replay_run *best = &s->baselines[c][0];
    for (int i = 1; i < CONTENDER_BASELINES; i++)
        if (sign * s->baselines[c][i].mean > sign * best->mean)
            best = &s->baselines[c][i];
    return best;
}

const struct replay_run *replay_best_fixed(const struct replay_set *s, int c)
{
    return pick_fixed(s, c, 1);
}

const struct replay_run *replay_worst_fixed(const struct replay_set *s, int c)
{
    return pick_fixed(s, c, -1);
}
