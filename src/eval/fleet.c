/* fleet.c - windows, plans and trainings of a fleet under the virtual clock: see fleet.h. */
#include "eval/fleet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/fleet_camera.h"
#include "eval/fleet_training.h"
#include "profile/pareto.h"
#include "train/recipe.h"

#define EPSILON_S 1e-9
#define DEPARTURE 0.1         /* of accuracy */
#define BEYOND_WINDOWS 3      /* models carry over: what one brings is of use for so many more */
#define CAPACITY_LEFT_MIN 0.1 /* part that labelling and profiling leave at least */

struct fleet {
    const struct fleet_options *o;
    const struct fleet_scenario *s;
    const struct contender *policy;
    struct nn_model *student, *teacher;
    struct fleet_shared shared;
    struct fleet_camera *cameras;     /* [s->camera_count] */
    struct fleet_training *trainings; /* [s->camera_count] */
    struct fleet_costs costs;
    struct fleet_memory memory; /* what was learned from trainings so far */
    struct planner *planner;
    double now_s, window_end_s;
    uint64_t frame;
    double window_capacity; /* for inference and training */
    struct fleet_result result;
};

/* ---- opening ---- */

static enum status open_models(struct fleet *f, struct error *err)
{
    enum status st = nn_model_open(f->s->student, NULL, &f->student, err);
    if (st == ST_OK)
        st = nn_model_open(f->s->teacher, NULL, &f->teacher, err);
    if (st == ST_OK)
        st = labeller_open(f->student, f->teacher, f->o->threads, &f->shared.labeller, err);
    return st;
}

static enum status read_recipe(struct fleet *f, struct error *err)
{
    struct recipe r;
    recipe_preset(LEARNER_ATTUNE, &r);
    r.learning.gate.metric = GATE_MIOU; /* one metric for plan, gate and report */
    enum status st = f->s->recipe[0] ? recipe_set(&r, f->s->recipe, err) : ST_OK;
    f->shared.learning = r.learning;
    f->shared.learning.threads = f->o->threads;
    f->shared.learning.gated = true;
    return st;
}

/* Full inference of all cameras takes infer_part of the capacity; the rest goes by operations. */
static void set_costs(struct fleet *f)
{
    double frames = f->s->fps * f->s->camera_count;
    f->shared.infer_s = f->s->infer_part * f->s->capacity / frames;
    f->shared.label_s = f->shared.infer_s * nn_model_flops(f->teacher) / nn_model_flops(f->student);
}

static enum status open_shared(struct fleet *f, struct error *err)
{
    f->shared.options = f->o;
    enum status st = open_models(f, err);
    if (st == ST_OK)
        st = read_recipe(f, err);
    if (st != ST_OK)
        return st;
    f->shared.student = f->student;
    learner_suit_options(&f->shared.learning, labeller_student_spec(f->shared.labeller));
    class_map_identity(labeller_student_spec(f->shared.labeller), &f->shared.map);
    set_costs(f);
    return fleet_costs_init(&f->costs, f->student, &f->s->configurations, &f->shared.learning,
                            f->shared.infer_s, err);
}

static enum status open_cameras(struct fleet *f, struct error *err)
{
    size_t n = (size_t)f->s->camera_count;
    f->cameras = calloc(n, sizeof *f->cameras);
    f->trainings = calloc(n, sizeof *f->trainings);
    if (!f->cameras || !f->trainings)
        return error_set(err, ST_NOMEM, "no memory for %zu cameras", n);
    enum status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = fleet_camera_open(&f->shared, &f->s->cameras[i], &f->cameras[i], err);
    return st;
}

static void fleet_clear(struct fleet *f)
{
    for (int i = 0; f->cameras && i < f->s->camera_count; i++)
        fleet_camera_close(&f->cameras[i]);
    free(f->cameras);
    free(f->trainings);
    fleet_memory_clear(&f->memory);
    planner_close(&f->planner);
    labeller_close(&f->shared.labeller);
    nn_model_close(&f->student);
    nn_model_close(&f->teacher);
}

/* ---- a window begins ---- */

/* Labels within their part of the capacity. */
static double label_fps(const struct fleet *f)
{
    double most = f->s->label_part * f->s->capacity / (f->shared.label_s * f->s->camera_count);
    return f->s->label_fps < most ? f->s->label_fps : most;
}

/* A fixed policy's configuration for this camera: the cheap or the costly one of the table. */
static int fixed_configuration(const struct fleet *f)
{
    return f->policy->range == CONTENDER_COSTLY ? f->costs.costly : f->costs.cheap;
}

static bool may_train(const struct fleet *f, int k)
{
    return f->policy->range == CONTENDER_ALL || k == fixed_configuration(f);
}

/* Options of camera i with what is expected of them. */
static int list_options(struct fleet *f, int i, struct schedule_option *options)
{
    struct fleet_camera *c = &f->cameras[i];
    const struct train_configurations *all = &f->s->configurations;
    int frames = buffer_count(learner_buffer(c->learner)), n = 0;
    double accuracy = fleet_camera_accuracy(c);
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

/* Policies that estimate profile each camera while too little is known from the past. */
static enum status profile(struct fleet *f, double *ret_s, struct error *err)
{
    bool estimates = contender_estimates(f->policy);
    *ret_s = 0;
    enum status st = fleet_memory_begin_window(&f->memory, &f->s->configurations, &f->costs, err);
    for (int i = 0; st == ST_OK && estimates && i < f->s->camera_count; i++) {
        struct fleet_camera *c = &f->cameras[i];
        if (buffer_count(learner_buffer(c->learner)) < f->s->frames_min)
            continue;
        st = fleet_memory_profile(&f->memory, i, c->learner, &f->s->configurations, &f->costs,
                                  ret_s, err);
        if (st != ST_OK)
            return error_prefix(err, "camera %s", c->source->id);
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
        double accuracy = fleet_camera_accuracy(&f->cameras[i]);
        int n = list_options(f, i, options);
        planner_set_inference(f->planner, i, f->cameras[i].source->id, &f->cameras[i].curve,
                              f->s->accuracy_min);
        st = planner_begin(f->planner, i, isfinite(accuracy) ? accuracy : 0.5, options, n, err);
    }
    return st;
}

static enum status begin_window(struct fleet *f, struct error *err)
{
    double profile_s, capacity_s = f->s->capacity * f->s->window_s;
    enum status st = ST_OK;
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        st = fleet_camera_take_pending(&f->cameras[i], err);
        fleet_camera_update_curve(&f->cameras[i]);
    }
    if (st == ST_OK)
        st = profile(f, &profile_s, err);
    if (st != ST_OK)
        return st;
    double label_s = label_fps(f) * f->s->camera_count * f->shared.label_s * f->s->window_s;
    double left = 1 - (label_s + profile_s) / capacity_s;
    f->window_capacity = f->s->capacity * fmax(left, CAPACITY_LEFT_MIN);
    f->result.used_s[FLEET_PROFILE] += profile_s;
    f->result.planned_s[FLEET_PROFILE] += profile_s;
    f->result.planned_s[FLEET_LABEL] += label_s;
    f->window_end_s = fmin(f->now_s + f->s->window_s, f->s->seconds);
    f->result.windows++;
    return open_planner(f, err);
}

/* ---- trainings ---- */

static enum status plan(struct fleet *f, enum schedule_event event, struct error *err)
{
    double left_s = f->window_end_s - f->now_s;
    if (left_s <= EPSILON_S)
        return ST_OK;
    enum status st = planner_plan(f->planner, left_s, event, NULL, err);
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++)
        st = fleet_training_follow(&f->trainings[i], f->planner, i, f->cameras[i].learner,
                                   &f->s->configurations, err);
    return st;
}

/* The gate has decided over a model: serve it or not, remember the outcome. */
static enum status conclude(struct fleet *f, int i, int configuration,
                            const struct learner_result *r, struct error *err)
{
    struct fleet_camera *c = &f->cameras[i];
    struct fleet_camera_result *mine = &f->result.cameras[i];
    bool worse = r->score_candidate < r->score_current;
    f->result.worse += worse;
    if (r->accepted) {
        f->result.deployed++;
        mine->deployed++;
        fleet_camera_deploy(c, r->score_candidate);
    } else {
        f->result.stopped++;
        mine->stopped++;
    }
    return fleet_memory_add(&f->memory, i, configuration, &f->s->configurations, r->score_current,
                            r->score_candidate, err);
}

/* Accuracy on the newest frames of what serves from now on; before: where they were not scored. */
static double served(const struct learner_result *r, double before)
{
    double v = r->accepted ? r->score_candidate : r->score_current;
    return isfinite(v) ? v : before;
}

/* Camera i's training is at the end of the planner's option k. */
static enum status reach(struct fleet *f, int i, int k, struct error *err)
{
    const struct schedule_camera *c = planner_camera(f->planner, i);
    struct schedule_option o = c->options[k];
    double before = c->accuracy;
    struct learner_result r;
    enum status st =
        fleet_training_reach(&f->trainings[i], f->cameras[i].learner, &f->s->configurations,
                             o.configuration, k == c->running, &r, err);
    if (st != ST_OK)
        return error_prefix(err, "camera %s", f->cameras[i].source->id);
    if (k == c->running) {
        f->result.trainings++;
        f->result.cameras[i].trainings++;
    }
    if (r.trained)
        st = conclude(f, i, o.configuration, &r, err);
    planner_reached(f->planner, i, k, served(&r, before));
    planner_surprise(f->planner, i, o.training, r.score_candidate - o.accuracy,
                     f->memory.estimator.carry_same, f->memory.estimator.carry_other);
    return st == ST_OK && !f->trainings[i].open ? fleet_camera_take_pending(&f->cameras[i], err)
                                                : st;
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

/* Trainings go on until `until_s`; at each end or checkpoint everything is planned anew. */
static enum status train_until(struct fleet *f, double until_s, struct error *err)
{
    enum status st = ST_OK;
    while (st == ST_OK && f->now_s < until_s - EPSILON_S) {
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
    const struct fleet_training *t = &f->trainings[i];
    if (c->running < 0)
        return 0;
    const struct schedule_option *o = &c->options[c->running];
    const struct train_configurations *all = &f->s->configurations;
    int whole = train_configuration_steps(&all->items[o->configuration], t->frames, f->costs.batch);
    return whole - (int)ceil(o->compute_s / f->costs.step_s[o->configuration]);
}

/* At the window's end the gate judges what is there (attune), or the work is lost (the papers). */
static enum status end_window(struct fleet *f, struct error *err)
{
    bool judged = f->policy->settings.policy == SCHEDULE_ATTUNE && f->policy->settings.checkpoints;
    enum status st = ST_OK;
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        struct fleet_training *t = &f->trainings[i];
        struct learner_result r;
        bool finished = false;
        if (!t->open)
            continue;
        f->result.unfinished++;
        st = fleet_training_end(t, f->cameras[i].learner, judged ? steps_done(f, i) : 0, &finished,
                                &r, err);
        f->result.stopped += finished && !r.accepted;
        if (st == ST_OK && finished && r.accepted) {
            f->result.deployed++;
            f->result.cameras[i].deployed++;
            fleet_camera_deploy(&f->cameras[i], r.score_candidate);
        }
    }
    return st;
}

/* ---- when reality departs from the estimate ---- */

/* A camera that has become so much better or worse than was believed may be trained again. */
static enum status look_again(struct fleet *f, int i, double accuracy, struct error *err)
{
    struct schedule_option options[CONFIGURATIONS_MAX];
    if (f->trainings[i].open || planner_camera(f->planner, i)->running >= 0) {
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
        double now = fleet_camera_settled_accuracy(&f->cameras[i]);
        if (!(fabs(now - planner_camera(f->planner, i)->accuracy) > DEPARTURE))
            continue;
        departed = true;
        st = look_again(f, i, now, err);
    }
    return st == ST_OK && departed ? plan(f, SCHEDULE_DEVIATION, err) : st;
}

/* ---- the clock ---- */

static enum status run_frame(struct fleet *f, struct error *err)
{
    enum status st = ST_OK;
    double fps = label_fps(f);
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        const struct schedule_camera *c = planner_camera(f->planner, i);
        st = fleet_camera_frame(&f->cameras[i], f->now_s, c->infer_share,
                                &f->result.used_s[FLEET_INFER], err);
        if (st == ST_OK)
            st = fleet_camera_label(&f->cameras[i], f->now_s, fps, f->result.used_s, err);
    }
    f->frame++;
    return st == ST_OK ? watch(f, err) : st;
}

static enum status run(struct fleet *f, fleet_progress *progress, void *user, struct error *err)
{
    enum status st = ST_OK;
    while (st == ST_OK && f->now_s < f->s->seconds - EPSILON_S) {
        if (f->now_s >= f->window_end_s - EPSILON_S) {
            st = f->planner ? end_window(f, err) : ST_OK;
            if (st == ST_OK)
                st = begin_window(f, err);
            if (st == ST_OK)
                st = plan(f, SCHEDULE_WINDOW_START, err);
        }
        if (st == ST_OK)
            st = run_frame(f, err);
        double next_s = fmin((double)f->frame / f->s->fps, f->window_end_s);
        if (st == ST_OK)
            st = train_until(f, next_s, err);
        if (progress && f->frame % (uint64_t)ceil(f->s->fps) == 0)
            progress(user, f->now_s, f->s->seconds);
    }
    return st == ST_END ? ST_OK : st;
}

/* ---- the result ---- */

static double mean_of(const struct eval_mode_result *m, double *sums, double *t_s, size_t points)
{
    double sum = 0;
    size_t n = 0;
    for (size_t k = 0; k < m->series_count; k++) {
        double v = isfinite(m->series[k].accuracy_truth) ? m->series[k].accuracy_truth
                                                         : m->series[k].accuracy_teacher;
        if (!isfinite(v))
            continue;
        sum += v;
        n++;
        if (k < points) {
            sums[k] += v;
            t_s[k] = m->series[k].t_s;
        }
    }
    return n ? sum / (double)n : NAN;
}

static enum status collect(struct fleet *f, struct error *err)
{
    struct fleet_result *r = &f->result;
    int n = f->s->camera_count;
    r->points = (size_t)f->frame; /* at most: as many as every camera has */
    r->series = calloc(r->points + 1, sizeof *r->series);
    r->t_s = calloc(r->points + 1, sizeof *r->t_s);
    if (!r->series || !r->t_s)
        return error_set(err, ST_NOMEM, "no memory for the result");
    r->lowest_camera = 1;
    for (int i = 0; i < n; i++) {
        struct eval_mode_result m = {0};
        score_finish(f->cameras[i].score, &m);
        r->cameras[i].accuracy = mean_of(&m, r->series, r->t_s, r->points);
        snprintf(r->cameras[i].id, sizeof r->cameras[i].id, "%s", f->cameras[i].source->id);
        r->accuracy += r->cameras[i].accuracy / n;
        r->lowest_camera = fmin(r->lowest_camera, r->cameras[i].accuracy);
        r->points = m.series_count < r->points ? m.series_count : r->points;
        free(m.series);
    }
    for (size_t k = 0; k < r->points; k++)
        r->series[k] /= n;
    r->camera_count = n;
    r->capacity_s = f->s->capacity * f->s->seconds;
    return fleet_memory_score(&f->memory, &r->estimates, &r->scored, err);
}

enum status fleet_run(const struct fleet_options *o, const struct contender *policy,
                      fleet_progress *progress, void *user, struct fleet_result *ret,
                      struct error *err)
{
    struct fleet *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(err, ST_NOMEM, "no memory for a fleet");
    f->o = o;
    f->s = o->scenario;
    f->policy = policy;
    fleet_memory_init(&f->memory, o->estimates);
    snprintf(f->result.policy, sizeof f->result.policy, "%s", policy->name);
    enum status st = open_shared(f, err);
    if (st == ST_OK)
        st = open_cameras(f, err);
    if (st == ST_OK)
        st = run(f, progress, user, err);
    if (st == ST_OK)
        st = collect(f, err);
    if (st == ST_OK)
        *ret = f->result;
    else
        fleet_result_clear(&f->result);
    fleet_clear(f);
    free(f);
    return st;
}

void fleet_result_clear(struct fleet_result *r)
{
    free(r->t_s);
    free(r->series);
    r->t_s = r->series = NULL;
}

void fleet_options_init(struct fleet_options *o)
{
    *o = (struct fleet_options){.estimates = ESTIMATE_BLEND, .seed = 1, .threads = 1};
}
