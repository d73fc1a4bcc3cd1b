/* fleet_windows.c - a fleet's trainings as the planner's plans want them: see fleet.h. */
#include <math.h>
#include <stdio.h>

#include "eval/fleet_internal.h"
#include "profile/pareto.h"
#include "schedule/planner.h"

#define DEPARTURE 0.1    /* of accuracy */
#define BEYOND_WINDOWS 3 /* models carry over: what one brings is of use for so many more */
#define PROFILE_PART_MAX                                                                           \
    0.15                      /* of a window's compute; who would be beyond it has history alone   \
                               */
#define CAPACITY_LEFT_MIN 0.1 /* part that labelling and profiling leave at least */

/* The planner's number of a group is its place. */

static const char *group_name(const struct fleet *f, int i)
{
    return f->cameras[f->groups[i]->members[0]].source->id;
}

/* Members infer alike: what n cameras need is n times what one does. */
static void update_curve(struct fleet *f, struct fleet_group *g)
{
    struct fleet_camera *c = &f->cameras[g->members[0]];
    int n = 0;
    if (!f->s->at_cameras) {
        fleet_camera_update_curve(c);
        n = c->curve.count;
    }
    for (int i = 0; i < n; i++)
        g->points[i] = (struct schedule_point){c->curve.points[i].share * g->member_count,
                                               c->curve.points[i].value};
    g->curve = (struct schedule_curve){SCHEDULE_STEPS, n, g->points};
}

/* NaN until every member's was measured. */
static double settled_accuracy(const struct fleet *f, const struct fleet_group *g)
{
    double sum = 0;
    for (int i = 0; i < g->member_count; i++)
        sum += fleet_camera_settled_accuracy(&f->cameras[g->members[i]]);
    return sum / g->member_count;
}

static void count_training(struct fleet *f, const struct fleet_group *g)
{
    f->result.trainings++;
    for (int i = 0; i < g->member_count; i++)
        f->result.cameras[g->members[i]].trainings++;
}

/* ---- a window begins ---- */

/* A fixed policy's configuration for this camera: the cheap or the costly one of the table. */
static int fixed_configuration(const struct fleet *f)
{
    return f->policy->range == CONTENDER_COSTLY ? f->costs.costly : f->costs.cheap;
}

static bool may_train(const struct fleet *f, int k)
{
    return f->policy->range == CONTENDER_ALL || k == fixed_configuration(f);
}

/* Options of group i with what is expected of them. */
static int list_options(struct fleet *f, int i, struct schedule_option *options)
{
    const struct train_configurations *all = &f->s->configurations;
    int frames = f->groups[i] ? buffer_count(learner_buffer(f->groups[i]->learner)) : 0, n = 0;
    double accuracy = f->groups[i] ? fleet_accuracy(f, f->groups[i]) : NAN;
    if (frames < f->s->frames_min || !isfinite(accuracy))
        return 0;
    struct estimate_item items[CONFIGURATIONS_MAX];
    fleet_memory_estimate(&f->memory, i, accuracy, all, items);
    for (int k = 0; k < all->count; k++) {
        if (!may_train(f, k))
            continue;
        struct schedule_option o = {.configuration = k,
                                    .name = all->items[k].name,
                                    .training = fleet_training_of(all, k),
                                    .accuracy = items[k].accuracy,
                                    .accuracy_sd = fmin(items[k].accuracy_sd, 1),
                                    .compute_s = fleet_costs_of(&f->costs, all, k, frames)};
        if (!isfinite(o.accuracy)) { /* nothing known: worth a try */
            o.accuracy = fmin(accuracy + 0.05, 1);
            o.accuracy_sd = 0.1;
        }
        options[n++] = o;
    }
    return n;
}

/* Policies that estimate profile each group while too little is known from the past. */
static enum status profile(struct fleet *f, double *ret_s, struct error *err)
{
    bool estimates = contender_estimates(f->policy);
    double most_s = PROFILE_PART_MAX * f->s->capacity * f->s->window_s;
    *ret_s = 0;
    enum status st = fleet_memory_begin_window(&f->memory, &f->s->configurations, &f->costs, err);
    for (int i = 0; st == ST_OK && estimates && i < f->s->camera_count; i++) {
        struct fleet_group *g = f->groups[i];
        if (!g || *ret_s >= most_s || buffer_count(learner_buffer(g->learner)) < f->s->frames_min)
            continue;
        st = fleet_memory_profile(&f->memory, i, g->learner, &f->s->configurations, &f->costs,
                                  ret_s, err);
        if (st != ST_OK)
            return error_prefix(err, "camera %s", group_name(f, i));
    }
    return st;
}

static enum status open_planner(struct fleet *f, struct error *err)
{
    static const struct schedule_point one[] = {{0, 0}, {1, 1}}; /* a training has one thread */
    static const struct schedule_curve single = {SCHEDULE_LINEAR, 2, one};
    struct schedule_settings settings = f->policy->settings;
    settings.configuration = fixed_configuration(f);
    settings.beyond_s = BEYOND_WINDOWS * f->s->window_s;
    planner_close(&f->planner);
    enum status st =
        planner_open(&settings, f->window_capacity, &single, f->s->camera_count, &f->planner, err);
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        struct schedule_option options[CONFIGURATIONS_MAX];
        double accuracy = f->groups[i] ? fleet_accuracy(f, f->groups[i]) : NAN;
        int n = list_options(f, i, options);
        if (f->groups[i]) {
            planner_set_inference(f->planner, i, group_name(f, i), &f->groups[i]->curve,
                                  f->s->accuracy_min);
            planner_set_members(f->planner, i, f->groups[i]->member_count);
        }
        st = planner_begin(f->planner, i, isfinite(accuracy) ? accuracy : 0.5, options, n, err);
    }
    return st;
}

/* ---- trainings ---- */

static enum status plan(struct fleet *f, enum schedule_event event, struct error *err)
{
    double left_s = f->window_end_s - f->now_s;
    if (left_s <= FLEET_EPSILON_S)
        return ST_OK;
    enum status st = planner_plan(f->planner, left_s, event, NULL, err);
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++)
        if (f->groups[i])
            st = fleet_training_follow(&f->groups[i]->training, f->planner, i,
                                       f->groups[i]->learner, &f->s->configurations, err);
    return st;
}

static enum status begin(struct fleet *f, struct error *err)
{
    double profile_s, capacity_s = f->s->capacity * f->s->window_s;
    enum status st = ST_OK;
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        if (!f->groups[i])
            continue;
        st = fleet_group_take_pending(f->groups[i], err);
        update_curve(f, f->groups[i]);
    }
    if (st == ST_OK)
        st = profile(f, &profile_s, err);
    if (st != ST_OK)
        return st;
    double label_s = fleet_label_fps(f) * f->s->camera_count * f->shared.label_s * f->s->window_s;
    double left = 1 - (label_s + profile_s) / capacity_s;
    f->window_capacity = f->s->capacity * fmax(left, CAPACITY_LEFT_MIN);
    f->result.used_s[FLEET_PROFILE] += profile_s;
    f->result.planned_s[FLEET_PROFILE] += profile_s;
    f->result.planned_s[FLEET_LABEL] += label_s;
    st = open_planner(f, err);
    return st == ST_OK ? plan(f, SCHEDULE_WINDOW_START, err) : st;
}

/* Accuracy on the newest frames of what serves from now on; before: where they were not scored. */
static double served(const struct learner_result *r, double before)
{
    double v = r->accepted ? r->score_candidate : r->score_current;
    return isfinite(v) ? v : before;
}

/* Group i's training is at the end of the planner's option k. */
static enum status reach(struct fleet *f, int i, int k, struct error *err)
{
    const struct schedule_camera *c = planner_camera(f->planner, i);
    struct schedule_option o = c->options[k];
    double before = c->accuracy;
    struct fleet_group *g = f->groups[i];
    struct learner_result r;
    enum status st = fleet_training_reach(&g->training, g->learner, &f->s->configurations,
                                          o.configuration, k == c->running, &r, err);
    if (st != ST_OK)
        return error_prefix(err, "camera %s", group_name(f, i));
    if (k == c->running)
        count_training(f, g);
    if (r.trained) {
        fleet_conclude(f, g, &r);
        st = fleet_memory_add(&f->memory, i, o.configuration, &f->s->configurations,
                              r.score_current, r.score_candidate, err);
    }
    planner_reached(f->planner, i, k, served(&r, before));
    planner_surprise(f->planner, i, o.training, r.score_candidate - o.accuracy,
                     f->memory.estimator.carry_same, f->memory.estimator.carry_other);
    return st == ST_OK && !g->training.open ? fleet_group_take_pending(g, err) : st;
}

static void charge_training(struct fleet *f, double seconds)
{
    for (int i = 0; i < f->s->camera_count; i++) {
        const struct schedule_camera *c = planner_camera(f->planner, i);
        if (c->running >= 0)
            f->result.used_s[FLEET_TRAIN] += fmin(c->train_share, 1) * seconds;
        f->result.planned_s[FLEET_TRAIN] += c->train_share * seconds;
        f->result.planned_s[FLEET_INFER] += c->infer_share * seconds;
    }
}

/* At each end or checkpoint everything is planned anew. */
static enum status advance(struct fleet *f, double until_s, struct error *err)
{
    enum status st = ST_OK;
    while (st == ST_OK && f->now_s < until_s - FLEET_EPSILON_S) {
        int camera = 0, option = 0;
        double next_s = planner_next(f->planner, &camera, &option);
        bool reached = f->now_s + next_s <= until_s;
        double step_s = reached ? next_s : until_s - f->now_s;
        charge_training(f, step_s);
        planner_advance(f->planner, step_s);
        f->now_s += step_s;
        if (reached)
            st = reach(f, camera, option, err);
        if (reached && st == ST_OK)
            st = plan(f, SCHEDULE_COMPLETION, err);
    }
    return st;
}

/* Steps that the compute so far comes to. */
static int steps_done(const struct fleet *f, int i)
{
    const struct schedule_camera *c = planner_camera(f->planner, i);
    const struct fleet_training *t = &f->groups[i]->training;
    if (c->running < 0)
        return 0;
    const struct schedule_option *o = &c->options[c->running];
    const struct train_configurations *all = &f->s->configurations;
    int whole = train_configuration_steps(&all->items[o->configuration], t->frames, f->costs.batch);
    return whole - (int)ceil(o->compute_s / f->costs.step_s[o->configuration]);
}

/* At the window's end the gate judges what is there (attune), or the work is lost (the papers). */
static enum status end(struct fleet *f, struct error *err)
{
    bool judged = f->policy->settings.policy == SCHEDULE_ATTUNE && f->policy->settings.checkpoints;
    enum status st = ST_OK;
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        struct fleet_group *g = f->groups[i];
        struct learner_result r;
        bool finished = false;
        if (!g || !g->training.open)
            continue;
        f->result.unfinished++;
        st = fleet_training_end(&g->training, g->learner, judged ? steps_done(f, i) : 0, &finished,
                                &r, err);
        if (st == ST_OK && finished)
            fleet_conclude(f, g, &r);
    }
    return st;
}

/* ---- when reality departs from the estimate ---- */

/* A group that has become so much better or worse than was believed may be trained again. */
static enum status look_again(struct fleet *f, int i, double accuracy, struct error *err)
{
    struct schedule_option options[CONFIGURATIONS_MAX];
    if (f->groups[i]->training.open || planner_camera(f->planner, i)->running >= 0) {
        planner_observe(f->planner, i, accuracy);
        return ST_OK;
    }
    int n = list_options(f, i, options);
    return planner_begin(f->planner, i, accuracy, options, n, err);
}

/* Ours plans again then; the papers' policies wait for a completion or the next window. */
static enum status watch(struct fleet *f, struct error *err)
{
    bool departed = false;
    enum status st = ST_OK;
    if (f->policy->settings.policy != SCHEDULE_ATTUNE)
        return ST_OK;
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        double now = f->groups[i] ? settled_accuracy(f, f->groups[i]) : NAN;
        if (!(fabs(now - planner_camera(f->planner, i)->accuracy) > DEPARTURE))
            continue;
        departed = true;
        st = look_again(f, i, now, err);
    }
    return st == ST_OK && departed ? plan(f, SCHEDULE_DEVIATION, err) : st;
}

static double infer_share(const struct fleet *f, int camera)
{
    for (int i = 0; i < f->s->camera_count; i++)
        if (f->groups[i] == f->cameras[camera].group)
            return planner_camera(f->planner, i)->infer_share / f->groups[i]->member_count;
    return 0;
}

const struct fleet_driver fleet_windows = {
    .begin = begin, .advance = advance, .end = end, .watch = watch, .infer_share = infer_share};
