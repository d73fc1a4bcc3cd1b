/* planner.c - see planner.h. */
#include "schedule/planner.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    struct schedule_option *begun; /* as the window began */
    int begun_count;
    struct schedule_option *left; /* what the camera's options point to */
};

struct planner {
    struct schedule_settings settings;
    double capacity;
    struct schedule_curve throughput;
    int count;
    struct schedule_camera *cameras;
    struct slot *slots;
};

enum status planner_open(const struct schedule_settings *settings, double capacity,
                         const struct schedule_curve *throughput, int cameras, struct planner **ret,
                         struct error *err)
{
    if (cameras < 1 || cameras > SCHEDULE_CAMERAS_MAX)
        return error_set(err, ST_LIMIT, "%d cameras cannot be scheduled, 1 to %d can", cameras,
                         SCHEDULE_CAMERAS_MAX);
    struct planner *p = calloc(1, sizeof *p);
    if (p) {
        p->cameras = calloc((size_t)cameras, sizeof *p->cameras);
        p->slots = calloc((size_t)cameras, sizeof *p->slots);
    }
    if (!p || !p->cameras || !p->slots) {
        planner_close(&p);
        return error_set(err, ST_NOMEM, "no memory to plan %d cameras", cameras);
    }
    p->settings = *settings;
    p->capacity = capacity;
    p->throughput = *throughput;
    p->count = cameras;
    for (int i = 0; i < cameras; i++)
        p->cameras[i].running = -1;
    *ret = p;
    return ST_OK;
}

void planner_close(struct planner **planner)
{
    if (!planner || !*planner)
        return;
    struct planner *p = *planner;
    for (int i = 0; p->slots && i < p->count; i++) {
        free(p->slots[i].begun);
        free(p->slots[i].left);
    }
    free(p->slots);
    free(p->cameras);
    free(p);
    *planner = NULL;
}

void planner_set_inference(struct planner *p, int camera, const char *id,
                           const struct schedule_curve *infer, double accuracy_min)
{
    p->cameras[camera].id = id;
    p->cameras[camera].infer = *infer;
    p->cameras[camera].accuracy_min = accuracy_min;
}

void planner_set_members(struct planner *p, int camera, int members)
{
    p->cameras[camera].members = members;
}

void planner_observe(struct planner *p, int camera, double accuracy)
{
    p->cameras[camera].accuracy = accuracy;
}

/* All that the window began with may be trained again. */
static void start_over(struct planner *p, int camera)
{
    struct schedule_camera *c = &p->cameras[camera];
    const struct slot *slot = &p->slots[camera];
    if (slot->begun_count > 0)
        memcpy(slot->left, slot->begun, (size_t)slot->begun_count * sizeof *slot->left);
    c->options = slot->left;
    c->option_count = slot->begun_count;
    c->running = -1;
}

enum status planner_begin(struct planner *p, int camera, double accuracy,
                          const struct schedule_option *options, int count, struct error *err)
{
    struct slot *slot = &p->slots[camera];
    size_t bytes = (size_t)(count > 0 ? count : 1) * sizeof *options;
    struct schedule_option *begun = malloc(bytes), *left = malloc(bytes);
    if (!begun || !left || count > SCHEDULE_OPTIONS_MAX) {
        free(begun);
        free(left);
        return error_set(err, count > SCHEDULE_OPTIONS_MAX ? ST_LIMIT : ST_NOMEM,
                         "%d options cannot be planned", count);
    }
    if (count > 0)
        memcpy(begun, options, (size_t)count * sizeof *options);
    free(slot->begun);
    free(slot->left);
    *slot = (struct slot){.begun = begun, .begun_count = count, .left = left};
    p->cameras[camera].accuracy = accuracy;
    start_over(p, camera);
    return ST_OK;
}

const struct schedule_camera *planner_camera(const struct planner *p, int camera)
{
    return &p->cameras[camera];
}

struct schedule_snapshot planner_snapshot(const struct planner *p, double left_s,
                                          enum schedule_event event)
{
    return (struct schedule_snapshot){.settings = p->settings,
                                      .event = event,
                                      .capacity = p->capacity,
                                      .left_s = left_s,
                                      .throughput = p->throughput,
                                      .count = p->count,
                                      .cameras = p->cameras};
}

/* A training without a share waits; one without an option is given up and its work lost. */
static void take_over(struct planner *p, int i, const struct schedule_grant *g)
{
    struct schedule_camera *c = &p->cameras[i];
    c->infer_share = g->infer_share;
    c->train_share = g->train_share;
    if (g->option < 0 && c->running >= 0)
        start_over(p, i);
    else if (c->running >= 0 || g->train_share > 0)
        c->running = g->option;
    if (c->running >= 0)
        c->waited_s = 0;
}

void planner_take(struct planner *p, const struct schedule_grant *grants)
{
    for (int i = 0; i < p->count; i++)
        take_over(p, i, &grants[i]);
}

enum status planner_plan(struct planner *p, double left_s, enum schedule_event event,
                         struct schedule_plan *ret, struct error *err)
{
    struct schedule_snapshot s = planner_snapshot(p, left_s, event);
    struct schedule_plan plan;
    enum status st = schedule_make(&s, &plan, err);
    if (st != ST_OK)
        return st;
    planner_take(p, plan.grants);
    if (ret)
        *ret = plan;
    else
        schedule_plan_clear(&plan);
    return ST_OK;
}

static double speed_of(const struct planner *p, const struct schedule_camera *c)
{
    return c->running >= 0 && c->train_share > 1e-9
               ? schedule_throughput(&p->throughput, c->train_share)
               : 0;
}

static bool deploys_checkpoints(const struct planner *p)
{
    return p->settings.checkpoints && p->settings.policy == SCHEDULE_ATTUNE;
}

/* More than one training of a camera in a window: only where a worse model is not deployed. */
static bool trains_again(const struct planner *p)
{
    return p->settings.again && p->settings.gated && p->settings.policy == SCHEDULE_ATTUNE;
}

static bool is_ahead(const struct planner *p, const struct schedule_camera *c, int k)
{
    const struct schedule_option *a = &c->options[k], *to = &c->options[c->running];
    return k == c->running ||
           (deploys_checkpoints(p) && a->training == to->training && a->compute_s < to->compute_s);
}

double planner_next(const struct planner *p, int *ret_camera, int *ret_option)
{
    double best_s = INFINITY;
    for (int i = 0; i < p->count; i++) {
        const struct schedule_camera *c = &p->cameras[i];
        double speed = speed_of(p, c);
        for (int k = 0; speed > 0 && k < c->option_count; k++)
            if (is_ahead(p, c, k) && c->options[k].compute_s / speed < best_s) {
                best_s = c->options[k].compute_s / speed;
                *ret_camera = i;
                *ret_option = k;
            }
    }
    return best_s;
}

void planner_progress(struct planner *p, int camera, double compute_s)
{
    struct schedule_camera *c = &p->cameras[camera];
    struct schedule_option *left = p->slots[camera].left;
    for (int k = 0; c->running >= 0 && k < c->option_count; k++)
        if (left[k].training == left[c->running].training) {
            left[k].compute_s -= compute_s;
            if (left[k].compute_s < 1e-9)
                left[k].compute_s = 1e-9; /* due */
        }
}

void planner_advance(struct planner *p, double seconds)
{
    for (int i = 0; i < p->count; i++) {
        p->cameras[i].waited_s += seconds;
        planner_progress(p, i, seconds * speed_of(p, &p->cameras[i]));
    }
}

/* What was reached is not begun again after a training was given up. */
static void forget(struct slot *slot, int configuration)
{
    int n = 0;
    for (int k = 0; k < slot->begun_count; k++)
        if (slot->begun[k].configuration != configuration)
            slot->begun[n++] = slot->begun[k];
    slot->begun_count = n;
}

/* What lies behind `option` is gone. Once the training has ended the others may begin: each from
 * the model of the window's start, as it was estimated. */
static void pass(struct planner *p, int camera, int option)
{
    struct schedule_camera *c = &p->cameras[camera];
    struct schedule_option *left = p->slots[camera].left;
    struct schedule_option at = left[option];
    int n = 0, running = -1;
    for (int k = 0; k < c->option_count; k++) {
        bool same = left[k].training == at.training;
        if (same && left[k].compute_s <= at.compute_s) {
            forget(&p->slots[camera], left[k].configuration);
            continue;
        }
        running = k == c->running ? n : running;
        left[n] = left[k];
        left[n++].compute_s -= same ? at.compute_s : 0;
    }
    c->option_count = n;
    c->running = running;
}

void planner_reached(struct planner *p, int camera, int option, double accuracy)
{
    struct schedule_camera *c = &p->cameras[camera];
    assert(option >= 0 && option < c->option_count);
    c->accuracy = accuracy;
    bool ended = option == c->running;
    pass(p, camera, option);
    if (ended && !trains_again(p))
        c->option_count = 0;
}

void planner_dropped(struct planner *p, int camera, bool retry)
{
    start_over(p, camera);
    if (!retry)
        p->cameras[camera].option_count = 0;
}

static void revise(struct planner *p, int camera, int option, double accuracy, double accuracy_sd)
{
    struct schedule_option *left = p->slots[camera].left;
    assert(option >= 0 && option < p->cameras[camera].option_count);
    left[option].accuracy = accuracy;
    left[option].accuracy_sd = accuracy_sd;
    for (int k = 0; k < p->slots[camera].begun_count; k++)
        if (p->slots[camera].begun[k].configuration == left[option].configuration) {
            p->slots[camera].begun[k].accuracy = accuracy;
            p->slots[camera].begun[k].accuracy_sd = accuracy_sd;
        }
}

void planner_surprise(struct planner *p, int camera, int training, double surprise,
                      double carry_same, double carry_other)
{
    const struct schedule_camera *c = &p->cameras[camera];
    for (int k = 0; isfinite(surprise) && k < c->option_count; k++) {
        const struct schedule_option *o = &c->options[k];
        double carry = o->training == training ? carry_same : carry_other;
        revise(p, camera, k, fmin(fmax(o->accuracy + carry * surprise, 0), 1),
               o->accuracy_sd * sqrt(1 - carry * carry));
    }
}

void planner_rescale(struct planner *p, int camera, double factor)
{
    struct schedule_camera *c = &p->cameras[camera];
    struct schedule_option *left = p->slots[camera].left;
    for (int k = 0; c->running >= 0 && k < c->option_count; k++)
        if (left[k].training == left[c->running].training)
            left[k].compute_s *= factor;
}
