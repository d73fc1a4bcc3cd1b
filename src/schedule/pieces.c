/* pieces.c - options as ways to train: stretches of work, their gains, and which are worth a look.
 */
#include <math.h>
#include <stdlib.h>

#include "schedule/list.h"

/* E[max(x, 0)] of x ~ N(mean, sd). */
static double positive_part(double mean, double sd)
{
    if (sd <= 0)
        return mean > 0 ? mean : 0;
    double z = mean / sd;
    return mean * 0.5 * erfc(-z / M_SQRT2) + sd * exp(-z * z / 2) / sqrt(2 * M_PI);
}

static double expected_gain(const struct schedule_snapshot *s, const struct schedule_camera *c,
                            const struct schedule_option *o)
{
    double mean = o->accuracy - c->accuracy;
    return s->settings.gated ? positive_part(mean, o->accuracy_sd) : mean;
}

/* A stretch that gains more per second than the one before joins it: its end alone is worth a
 * deployment. */
static void add_piece(struct choice *c, struct piece p, double weight)
{
    while (c->count > 0) {
        const struct piece *last = &c->pieces[c->count - 1];
        if (c->count < CHOICE_PIECES_MAX && last->gain * p.compute_s > p.gain * last->compute_s)
            break;
        p.compute_s += last->compute_s;
        p.gain += last->gain;
        c->count--;
    }
    p.index = p.gain * weight / p.compute_s;
    c->pieces[c->count++] = p;
}

/* Whether a model on the way to option `to` can serve: the training passes option k. */
static bool passes(const struct schedule_snapshot *s, const struct schedule_camera *c, int k,
                   int to)
{
    return k == to ||
           (s->settings.checkpoints && c->options[k].training == c->options[to].training &&
            c->options[k].compute_s < c->options[to].compute_s);
}

/* False when an earlier end of the same training, or none at all, is as good. */
static bool make_choice(const struct schedule_snapshot *s, int camera, int to, double weight,
                        struct choice *ret)
{
    const struct schedule_camera *c = &s->cameras[camera];
    struct choice r = {.option = to, .compute_s = c->options[to].compute_s};
    double done_s = 0;
    for (int k = 0; k <= to; k++) {
        double gain = expected_gain(s, c, &c->options[k]);
        if (!passes(s, c, k, to) || gain <= r.gain + SCHEDULE_EPSILON)
            continue;
        double end_s = c->options[k].compute_s;
        add_piece(
            &r,
            (struct piece){.camera = camera, .compute_s = end_s - done_s, .gain = gain - r.gain},
            weight);
        r.gain = gain;
        done_s = end_s;
    }
    *ret = r;
    return done_s == r.compute_s;
}

static int by_compute(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->compute_s != y->compute_s)
        return x->compute_s < y->compute_s ? -1 : 1;
    return x->gain > y->gain ? -1 : x->gain < y->gain;
}

/* What an under-way training may still become: another end of the same one. */
static bool is_open(const struct schedule_camera *c, int k)
{
    return c->running < 0 || c->options[k].training == c->options[c->running].training;
}

/* Area under the gain, relative to its work: a choice with good early checkpoints is kept although
 * another one ends higher. */
static double first_index(const struct choice *c)
{
    return c->pieces[0].index;
}

int pieces_choices(const struct schedule_snapshot *s, int camera, double weight, int most,
                   struct choice *ret)
{
    const struct schedule_camera *c = &s->cameras[camera];
    struct choice all[SCHEDULE_OPTIONS_MAX];
    int n = 0, kept = 0;
    for (int k = 0; k < c->option_count; k++)
        if (is_open(c, k) && make_choice(s, camera, k, weight, &all[n]))
            n++;
    if (n == 0)
        return 0;
    qsort(all, (size_t)n, sizeof *all, by_compute);
    double best_gain = 0, best_index = 0;
    for (int i = 0; i < n && kept < most; i++) {
        if (all[i].gain <= best_gain && first_index(&all[i]) <= best_index)
            continue;
        best_gain = all[i].gain > best_gain ? all[i].gain : best_gain;
        best_index = first_index(&all[i]) > best_index ? first_index(&all[i]) : best_index;
        ret[kept++] = all[i];
    }
    return kept;
}
