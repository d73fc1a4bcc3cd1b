/* fleet.c - cameras and groups of a fleet under the virtual clock: see fleet.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/fleet_internal.h"
#include "eval/fleet_training.h"
#include "train/recipe.h"

/* ---- opening ---- */

static enum status open_models(struct fleet *f, struct error *err)
{
    enum status st = nn_model_open(f->s->student, NULL, &f->student, err);
    if (st == ST_OK)
        st = nn_model_open(f->s->teacher, NULL, &f->teacher, err);
    if (st == ST_OK)
        st = teach_open(f->student, f->teacher, 0, 0, f->o->threads, &f->shared.teach, err);
    if (st == ST_OK)
        f->shared.labeller = teach_labeller(f->shared.teach);
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
    f->shared.infer_s =
        f->s->infer_s > 0 ? f->s->infer_s : f->s->infer_part * f->s->capacity / frames;
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
    if (!f->cameras)
        return error_set(err, ST_NOMEM, "no memory for %zu cameras", n);
    enum status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = fleet_camera_open(&f->shared, (int)i, &f->cameras[i], err);
    return st;
}

static void fleet_clear(struct fleet *f)
{
    for (int i = 0; f->cameras && i < f->s->camera_count; i++)
        fleet_camera_close(&f->cameras[i]);
    fleet_sharing_close(&f->sharing);
    for (int i = 0; i < FLEET_CAMERAS_MAX; i++)
        fleet_group_close(&f->groups[i]);
    free(f->cameras);
    fleet_memory_clear(&f->memory);
    planner_close(&f->planner);
    allocator_close(&f->allocator);
    teach_close(&f->shared.teach);
    nn_model_close(&f->student);
    nn_model_close(&f->teacher);
}

/* ---- groups ---- */

/* Where the groups are given: cameras of one district, from the start. */
static int place_of(const struct fleet *f, int camera)
{
    const struct fleet_source *all = f->s->cameras;
    if (!f->policy->planted || !all[camera].district[0])
        return camera;
    int first = 0;
    while (strcmp(all[first].district, all[camera].district) != 0)
        first++;
    return first;
}

static enum status open_groups(struct fleet *f, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        int place = place_of(f, i);
        if (!f->groups[place])
            st = fleet_group_open(&f->shared, ++f->group_ids, &f->groups[place], err);
        if (st != ST_OK)
            break;
        fleet_group_join(f->groups[place], i);
        f->cameras[i].group = f->groups[place];
    }
    return st;
}

/* Labels within their part of the capacity. */
double fleet_label_fps(const struct fleet *f)
{
    double most = f->s->label_part * f->s->capacity / (f->shared.label_s * f->s->camera_count);
    return f->s->label_fps < most ? f->s->label_fps : most;
}

double fleet_accuracy(const struct fleet *f, const struct fleet_group *g)
{
    double sum = 0;
    int known = 0;
    for (int i = 0; i < g->member_count; i++) {
        double v = fleet_camera_accuracy(&f->cameras[g->members[i]]);
        if (!isfinite(v))
            continue;
        sum += v;
        known++;
    }
    return known ? sum / known : NAN;
}

void fleet_deploy(struct fleet *f, struct fleet_group *g, double accuracy)
{
    for (int i = 0; i < g->member_count; i++) {
        int camera = g->members[i];
        const float *params = fleet_personal_params(f, camera, learner_params(g->learner));
        fleet_camera_deploy(&f->cameras[camera], params, accuracy);
        f->result.cameras[camera].deployed++;
    }
}

void fleet_conclude(struct fleet *f, struct fleet_group *g, const struct learner_result *r)
{
    f->result.worse += r->score_candidate < r->score_current;
    if (!r->accepted) {
        f->result.stopped++;
        for (int i = 0; i < g->member_count; i++)
            f->result.cameras[g->members[i]].stopped++;
        return;
    }
    f->result.deployed++;
    f->result.delta_bytes += r->delta_bytes;
    f->result.downlink_bytes += r->delta_bytes * (uint64_t)g->member_count;
    fleet_deploy(f, g, r->score_candidate);
}

uint64_t fleet_snapshot_bytes(const struct fleet_group *g)
{
    struct buf b;
    buf_init(&b);
    uint64_t n = learner_snapshot(g->learner, &b, NULL) == ST_OK ? b.size_bytes : 0;
    buf_clear(&b);
    return n;
}

/* ---- the clock ---- */

static enum status run_camera(struct fleet *f, int i, double label_fps, struct error *err)
{
    struct fleet_camera *c = &f->cameras[i];
    double *used_s = f->result.used_s;
    enum status st =
        fleet_camera_frame(c, f->now_s, f->driver->infer_share(f, i), &used_s[FLEET_INFER], err);
    if (st != ST_OK)
        return st;
    return f->s->uplink_kbps > 0 ? fleet_camera_exchange(c, f->now_s, used_s, err)
                                 : fleet_camera_label(c, f->now_s, label_fps, used_s, err);
}

/* The districts as numbers, 0 for none. */
static void list_truth(const struct fleet *f, uint64_t *truth)
{
    const struct fleet_source *all = f->s->cameras;
    for (int i = 0; i < f->s->camera_count; i++) {
        int first = 0;
        while (strcmp(all[first].district, all[i].district) != 0)
            first++;
        truth[i] = all[i].district[0] ? (uint64_t)first + 1 : 0;
    }
}

/* Writes down who is with whom where that has changed, and how well it agrees with the truth. */
static enum status note_groups(struct fleet *f, struct error *err)
{
    struct fleet_result *r = &f->result;
    struct fleet_membership now = {.t_s = f->now_s};
    uint64_t truth[FLEET_CAMERAS_MAX];
    const struct fleet_membership *last =
        r->membership_count ? &r->memberships[r->membership_count - 1] : NULL;
    if (!f->sharing)
        return ST_OK;
    list_truth(f, truth);
    for (int i = 0; i < f->s->camera_count; i++)
        now.group[i] = f->cameras[i].group->id;
    r->pairs = group_pairs_add(r->pairs, group_pairs_compare(now.group, truth, f->s->camera_count));
    if (last && memcmp(last->group, now.group, sizeof now.group) == 0)
        return ST_OK;
    struct fleet_membership *more =
        realloc(r->memberships, (r->membership_count + 1) * sizeof *more);
    if (!more)
        return error_set(err, ST_NOMEM, "no memory for who was in which group");
    more[r->membership_count++] = now;
    r->memberships = more;
    return ST_OK;
}

/* The cameras' chunks move on to where they are now. */
static void advance_uplink(struct fleet *f)
{
    struct shared_link_user *users[FLEET_CAMERAS_MAX];
    for (int i = 0; i < f->s->camera_count; i++)
        users[i] = &f->cameras[i].link;
    shared_link_advance(f->s->uplink_kbps, users, f->s->camera_count, f->now_s - f->uplink_s);
    f->uplink_s = f->now_s;
}

static enum status run_frame(struct fleet *f, struct error *err)
{
    enum status st = ST_OK;
    double label_fps = fleet_label_fps(f);
    if (f->s->uplink_kbps > 0)
        advance_uplink(f);
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++)
        st = run_camera(f, i, label_fps, err);
    f->frame++;
    if (st == ST_OK)
        st = f->driver->watch(f, err);
    return st == ST_OK ? note_groups(f, err) : st;
}

static enum status turn_window(struct fleet *f, struct error *err)
{
    enum status st = f->result.windows > 0 ? f->driver->end(f, err) : ST_OK;
    if (st == ST_OK && f->result.windows > 0)
        st = fleet_sharing_watch(f, err); /* no training is under way now */
    if (st == ST_OK && f->result.windows > 0)
        st = fleet_sharing_review(f, err);
    f->window_end_s = fmin(f->now_s + f->s->window_s, f->s->seconds);
    f->result.windows++;
    if (st == ST_OK)
        st = f->driver->begin(f, err);
    if (st == ST_OK && f->s->uplink_kbps > 0)
        fleet_set_sending(f);
    return st;
}

static enum status run(struct fleet *f, fleet_progress *progress, void *user, struct error *err)
{
    enum status st = ST_OK;
    while (st == ST_OK && f->now_s < f->s->seconds - FLEET_EPSILON_S) {
        if (f->now_s >= f->window_end_s - FLEET_EPSILON_S)
            st = turn_window(f, err);
        if (st == ST_OK)
            st = run_frame(f, err);
        double next_s = fmin((double)f->frame / f->s->fps, f->window_end_s);
        if (st == ST_OK)
            st = f->driver->advance(f, next_s, err);
        if (progress && f->frame % (uint64_t)ceil(f->s->fps) == 0)
            progress(user, f->now_s, f->s->seconds);
    }
    return st == ST_END ? ST_OK : st;
}

/* ---- the result ---- */

static double mean_of(const struct eval_mode_result *m, double *sums, double *own, double *t_s,
                      size_t points)
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
            own[k] = v;
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
        double *own = calloc(r->points + 1, sizeof *own);
        if (!own) {
            free(m.series);
            return error_set(err, ST_NOMEM, "no memory for the result");
        }
        r->cameras[i].series = own;
        r->cameras[i].accuracy = mean_of(&m, r->series, own, r->t_s, r->points);
        snprintf(r->cameras[i].id, sizeof r->cameras[i].id, "%s", f->cameras[i].source->id);
        r->accuracy += r->cameras[i].accuracy / n;
        r->lowest_camera = fmin(r->lowest_camera, r->cameras[i].accuracy);
        r->points = m.series_count < r->points ? m.series_count : r->points;
        r->cameras[i].uplink_bytes = (uint64_t)(f->cameras[i].link.offered / 8);
        r->cameras[i].lost = f->cameras[i].lost;
        r->uplink_bytes += r->cameras[i].uplink_bytes;
        r->frames_sent += f->cameras[i].frames_sent;
        free(m.series);
    }
    for (size_t k = 0; k < r->points; k++)
        r->series[k] /= n;
    r->camera_count = n;
    r->capacity_s = f->s->capacity * f->s->seconds;
    return fleet_memory_score(&f->memory, &r->estimates, &r->scored, err);
}

/* Who says which training goes on: what the policy is, and where the inference is. */
static enum status choose_driver(struct fleet *f, struct error *err)
{
    const struct contender *p = f->policy;
    enum sharing_division division = SHARING_PLANNED;
    enum status st = sharing_divide(p->division, p->name, !f->s->at_cameras, &division, err);
    f->driver = division == SHARING_MICRO ? &fleet_micro : &fleet_windows;
    f->result.division = division;
    return st == ST_OK ? ST_OK : error_prefix(err, "a fleet without 'infers: camera'");
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
    enum status st = choose_driver(f, err);
    if (st == ST_OK)
        st = open_shared(f, err);
    if (st == ST_OK)
        st = open_cameras(f, err);
    if (st == ST_OK)
        st = open_groups(f, err);
    if (st == ST_OK)
        st = fleet_sharing_open(f, err);
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
    free(r->memberships);
    r->memberships = NULL;
    free(r->t_s);
    free(r->series);
    r->t_s = r->series = NULL;
    for (int i = 0; i < FLEET_CAMERAS_MAX; i++) {
        free(r->cameras[i].series);
        r->cameras[i].series = NULL;
    }
}

void fleet_options_init(struct fleet_options *o)
{
    *o = (struct fleet_options){.estimates = ESTIMATE_BLEND, .seed = 1, .threads = 1};
}
