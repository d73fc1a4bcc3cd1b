/* estimate.c - what a camera is worth with given shares (Ekya, Algorithm 2: PickConfigs).
 *
 * The paper leaves open, and we chose: an option fits when it ends within the window or exactly at
 * its end; no retraining is always a candidate; between equals the first one wins, none before
 * all; a camera below its floor is worth what it is worth, but loses to any that is not. */
#include <math.h>

#include "schedule/internal.h"

/* Model accuracy averaged over the window; negative when the option does not end in time. */
static double window_accuracy(const struct schedule_snapshot *s, const struct schedule_camera *c,
                              const struct schedule_option *o, double speed)
{
    if (speed <= 0 || o->compute_s > speed * s->left_s)
        return -1;
    double training_s = o->compute_s / speed;
    return (c->accuracy * training_s + o->accuracy * (s->left_s - training_s)) / s->left_s;
}

static double speed_of(const struct schedule_snapshot *s, double train_share)
{
    return train_share > 1e-9 ? schedule_throughput(&s->throughput, train_share) : 0;
}

double schedule_estimate(const struct schedule_snapshot *s, const struct schedule_camera *c,
                         const struct schedule_option *o, double infer_share, double train_share)
{
    double v = window_accuracy(s, c, o, speed_of(s, train_share));
    return v < 0 ? v : v * schedule_factor(&c->infer, infer_share);
}

double schedule_pick(const struct schedule_snapshot *s, const struct schedule_camera *c,
                     double infer_share, double train_share, int *ret_option)
{
    double best = c->accuracy, speed = speed_of(s, train_share);
    *ret_option = -1;
    for (int k = 0; k < c->option_count; k++) {
        if (c->running >= 0 && k != c->running)
            continue;
        double v = window_accuracy(s, c, &c->options[k], speed);
        if (v > best + SCHEDULE_EPSILON) {
            best = v;
            *ret_option = k;
        }
    }
    return best * schedule_factor(&c->infer, infer_share);
}

bool schedule_is_below_floor(const struct schedule_camera *c, double infer_share)
{
    return c->accuracy * schedule_factor(&c->infer, infer_share) <
           c->accuracy_min - SCHEDULE_EPSILON;
}

static enum schedule_why why_not(const struct schedule_snapshot *s, const struct schedule_camera *c,
                                 double train_share)
{
    if (c->option_count == 0)
        return SCHEDULE_WHY_NO_OPTION;
    if (c->running >= 0)
        return SCHEDULE_WHY_DROP;
    if (train_share <= 1e-9)
        return SCHEDULE_WHY_NO_COMPUTE;
    for (int k = 0; k < c->option_count; k++)
        if (schedule_estimate(s, c, &c->options[k], 1, train_share) >= 0)
            return SCHEDULE_WHY_NO_GAIN;
    return SCHEDULE_WHY_NO_TIME;
}

void schedule_grant_fill(const struct schedule_snapshot *s, int camera, double infer_share,
                         double train_share, int option, struct schedule_grant *ret)
{
    const struct schedule_camera *c = &s->cameras[camera];
    *ret = (struct schedule_grant){.infer_share = infer_share,
                                   .train_share = train_share,
                                   .option = option,
                                   .factor = schedule_factor(&c->infer, infer_share),
                                   .start_s = NAN,
                                   .end_s = NAN};
    ret->expected = c->accuracy * ret->factor;
    if (option < 0) {
        ret->why = why_not(s, c, train_share);
        return;
    }
    const struct schedule_option *o = &c->options[option];
    double v = schedule_estimate(s, c, o, infer_share, train_share);
    ret->start_s = 0;
    ret->end_s = train_share > 0 ? o->compute_s / schedule_throughput(&s->throughput, train_share)
                                 : INFINITY;
    ret->expected = v >= 0 ? v : ret->expected;
    ret->why = option == c->running ? SCHEDULE_WHY_KEEP : SCHEDULE_WHY_TRAIN;
}

void schedule_plan_sum(const struct schedule_snapshot *s, struct schedule_plan *p)
{
    double sum = 0, members = 0;
    p->below_floor = 0;
    for (int i = 0; i < p->count; i++) {
        sum += schedule_members(&s->cameras[i]) * p->grants[i].expected;
        members += schedule_members(&s->cameras[i]);
        p->below_floor += schedule_is_below_floor(&s->cameras[i], p->grants[i].infer_share);
    }
    p->expected = p->count ? sum / members : 0;
}
