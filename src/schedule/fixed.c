/* fixed.c - the policies that do not search: none, uniform, round-robin, and handing shares on. */
#include <math.h>

#include "schedule/internal.h"

static int infer_jobs(const struct schedule_snapshot *s)
{
    int n = 0;
    for (int i = 0; i < s->count; i++)
        n += s->cameras[i].infer.count > 0;
    return n;
}

enum status schedule_none(const struct schedule_snapshot *s, struct schedule_plan *p,
                          struct error *err)
{
    (void)err;
    int n = infer_jobs(s);
    for (int i = 0; i < s->count; i++) {
        bool here = s->cameras[i].infer.count > 0;
        schedule_grant_fill(s, i, here ? s->capacity / n : 0, 0, -1, &p->grants[i]);
        p->grants[i].why = SCHEDULE_WHY_POLICY;
    }
    return ST_OK;
}

/* The option of the fixed configuration, whether it pays or not; -1 where the camera has none. */
static int fixed_option(const struct schedule_snapshot *s, const struct schedule_camera *c)
{
    for (int k = 0; k < c->option_count && c->running < 0; k++)
        if (c->options[k].configuration == s->settings.configuration)
            return k;
    return c->running;
}

enum status schedule_uniform(const struct schedule_snapshot *s, struct schedule_plan *p,
                             struct error *err)
{
    if (s->event != SCHEDULE_WINDOW_START)
        return schedule_hand_over(s, p, err);
    int n = infer_jobs(s);
    double infer = n ? s->capacity * s->settings.uniform_inference : 0;
    double train = (s->capacity - infer) / s->count;
    for (int i = 0; i < s->count; i++) {
        const struct schedule_camera *c = &s->cameras[i];
        schedule_grant_fill(s, i, c->infer.count ? infer / n : 0, train, fixed_option(s, c),
                            &p->grants[i]);
    }
    return ST_OK;
}

enum status schedule_hand_over(const struct schedule_snapshot *s, struct schedule_plan *p,
                               struct error *err)
{
    (void)err;
    double freed = 0;
    int jobs = 0;
    for (int i = 0; i < s->count; i++) {
        const struct schedule_camera *c = &s->cameras[i];
        freed += c->running < 0 ? c->train_share : 0;
        jobs += (c->running >= 0) + (c->infer.count > 0);
    }
    double more = jobs ? freed / jobs : 0;
    for (int i = 0; i < s->count; i++) {
        const struct schedule_camera *c = &s->cameras[i];
        schedule_grant_fill(s, i, c->infer.count ? c->infer_share + more : 0,
                            c->running >= 0 ? c->train_share + more : 0, c->running, &p->grants[i]);
    }
    return ST_OK;
}

/* Inference at full factor where the machine has that, in equal parts where it has not. */
static double infer_demand(const struct schedule_camera *c)
{
    return c->infer.count ? c->infer.points[c->infer.count - 1].share : 0;
}

static int longest_waiting(const struct schedule_snapshot *s)
{
    int best = -1;
    for (int i = 0; i < s->count; i++) {
        const struct schedule_camera *c = &s->cameras[i];
        if (c->running >= 0)
            return i;
        if (fixed_option(s, c) >= 0 && (best < 0 || c->waited_s > s->cameras[best].waited_s))
            best = i;
    }
    return best;
}

enum status schedule_round_robin(const struct schedule_snapshot *s, struct schedule_plan *p,
                                 struct error *err)
{
    (void)err;
    double demand = 0, most = s->capacity * s->settings.uniform_inference;
    for (int i = 0; i < s->count; i++)
        demand += infer_demand(&s->cameras[i]);
    double scale = demand > most ? most / demand : 1;
    int turn = longest_waiting(s);
    for (int i = 0; i < s->count; i++) {
        const struct schedule_camera *c = &s->cameras[i];
        double infer = infer_demand(c) * scale;
        double train = i == turn ? s->capacity - demand * scale : 0;
        schedule_grant_fill(s, i, infer, train, i == turn ? fixed_option(s, c) : -1, &p->grants[i]);
        if (i != turn)
            p->grants[i].why =
                fixed_option(s, c) < 0 ? SCHEDULE_WHY_NO_OPTION : SCHEDULE_WHY_POLICY;
    }
    return ST_OK;
}
