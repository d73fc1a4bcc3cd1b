/* policy.c - names, defaults, checks, and which function decides. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "schedule/internal.h"

static const char *const policy_names[] = {
#define POLICY_TEXT(name, text) text,
    SCHEDULE_POLICY_LIST(POLICY_TEXT)
#undef POLICY_TEXT
};

typedef enum status make_function(const struct schedule_snapshot *s, struct schedule_plan *p,
                                  struct error *err);
static make_function *const makers[SCHEDULE_POLICY_COUNT] = {
    [SCHEDULE_NONE] = schedule_none,
    [SCHEDULE_UNIFORM] = schedule_uniform,
    [SCHEDULE_ROUND_ROBIN] = schedule_round_robin,
    [SCHEDULE_THIEF_PRINTED] = schedule_thief,
    [SCHEDULE_THIEF] = schedule_thief,
    [SCHEDULE_EXHAUSTIVE] = schedule_exhaustive,
    [SCHEDULE_ATTUNE] = schedule_attune,
};

const char *schedule_policy_name(enum schedule_policy p)
{
    return names_text(policy_names, NAMES_COUNT(policy_names), p, "unknown");
}

enum schedule_policy schedule_policy_parse(const char *name)
{
    return (enum schedule_policy)names_find(policy_names, NAMES_COUNT(policy_names), name,
                                            SCHEDULE_POLICY_COUNT);
}

void schedule_settings_init(struct schedule_settings *s)
{
    *s = (struct schedule_settings){.policy = SCHEDULE_ATTUNE,
                                    .delta = 0.1,
                                    .uniform_inference = 0.5,
                                    .aligned = true,
                                    .rerun = true,
                                    .checkpoints = true,
                                    .again = true,
                                    .gated = true,
                                    .parallel_max = 64};
}

static bool within(double x, double low, double high)
{
    return x >= low && x <= high;
}

static enum status check_curve(const char *name, const struct schedule_curve *c, struct error *err)
{
    if (c->count < 0 || c->count > SCHEDULE_POINTS_MAX)
        return error_set(err, ST_LIMIT, "a curve of %s has %d points, at most %d can be used", name,
                         c->count, SCHEDULE_POINTS_MAX);
    for (int i = 0; i < c->count; i++)
        if (!within(c->points[i].share, 0, 1e6) || !within(c->points[i].value, 0, 1e6) ||
            (i && c->points[i].share <= c->points[i - 1].share) ||
            (c->kind == SCHEDULE_INTERVAL && c->points[i].share <= 0))
            return error_set(err, ST_INVALID,
                             "point %d of a curve of %s is not in order of growing shares", i + 1,
                             name);
    return ST_OK;
}

static const char *bad_camera(const struct schedule_camera *c)
{
    if (!within(c->accuracy, 0, 1) || !within(c->accuracy_min, 0, 1))
        return "accuracy and accuracy_min must be 0 to 1";
    if (c->option_count < 0 || c->option_count > SCHEDULE_OPTIONS_MAX)
        return "there are too many options";
    if (c->running < -1 || c->running >= c->option_count)
        return "running is none of the options";
    for (int k = 0; k < c->option_count; k++) {
        const struct schedule_option *o = &c->options[k];
        if (!within(o->accuracy, 0, 1) || !within(o->accuracy_sd, 0, 1))
            return "an option's accuracy and its deviation must be 0 to 1";
        if (!(o->compute_s > 0 && o->compute_s < 1e12))
            return "an option's compute_s must be above 0";
    }
    return NULL;
}

static enum status check(const struct schedule_snapshot *s, struct error *err)
{
    const struct schedule_settings *o = &s->settings;
    if (s->count < 1 || s->count > SCHEDULE_CAMERAS_MAX)
        return error_set(err, ST_LIMIT, "%d cameras cannot be scheduled, 1 to %d can", s->count,
                         SCHEDULE_CAMERAS_MAX);
    if (!within(o->delta, 0.001, 1) || s->capacity / o->delta > SCHEDULE_UNITS_MAX)
        return error_set(err, ST_LIMIT, "delta must be 0.001 to 1, and capacity / delta at most %d",
                         SCHEDULE_UNITS_MAX);
    if (!within(s->capacity, 1e-6, 1e6) || !within(s->left_s, 1e-9, 1e9))
        return error_set(err, ST_INVALID, "capacity and left_s must be above 0");
    if ((unsigned)o->policy >= SCHEDULE_POLICY_COUNT || !within(o->uniform_inference, 0, 1) ||
        !within(o->infer_part, 0, 1) || !within(o->beyond_s, 0, 1e9) || o->configuration < 0 ||
        o->parallel_max < 1)
        return error_set(err, ST_INVALID, "the settings of the schedule are out of range");
    enum status st = check_curve("throughput", &s->throughput, err);
    for (int i = 0; i < s->count && st == ST_OK; i++) {
        const struct schedule_camera *c = &s->cameras[i];
        const char *bad = bad_camera(c);
        if (bad)
            return error_set(err, ST_INVALID, "camera %s: %s", c->id ? c->id : "?", bad);
        st = check_curve("inference", &c->infer, err);
    }
    return st;
}

/* Policies that search decide anew at each event, unless they are told to hand shares on. */
static make_function *maker(const struct schedule_snapshot *s)
{
    enum schedule_policy p = s->settings.policy;
    bool fixed = p == SCHEDULE_NONE || p == SCHEDULE_UNIFORM || p == SCHEDULE_ROUND_ROBIN;
    if (!fixed && !s->settings.rerun && s->event != SCHEDULE_WINDOW_START)
        return schedule_hand_over;
    return makers[p];
}

static double untrained(const struct schedule_snapshot *s, struct schedule_plan *p)
{
    (void)schedule_none(s, p, NULL);
    schedule_plan_sum(s, p);
    return p->expected;
}

enum status schedule_make(const struct schedule_snapshot *s, struct schedule_plan *ret,
                          struct error *err)
{
    enum status st = check(s, err);
    if (st != ST_OK)
        return st;
    struct schedule_plan p = {
        .count = s->count, .grants = calloc((size_t)s->count, sizeof *p.grants), .rounds = 1};
    if (!p.grants)
        return error_set(err, ST_NOMEM, "no memory for a plan of %d cameras", s->count);
    p.expected_untrained = untrained(s, &p);
    st = maker(s)(s, &p, err);
    if (st != ST_OK) {
        schedule_plan_clear(&p);
        return st;
    }
    schedule_plan_sum(s, &p);
    *ret = p;
    return ST_OK;
}

void schedule_plan_clear(struct schedule_plan *p)
{
    free(p->grants);
    *p = (struct schedule_plan){0};
}
