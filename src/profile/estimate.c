/* estimate.c - learn once from the history, then estimate: see estimate.h for what and why. */
#include "profile/estimate.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/names.h"

#define FEATURES 3
/* Ridge: a level weight is expected within about +-1, with a residual of about 0.05. */
#define RIDGE 0.0025
/* Spread of outcomes where the history has too few rows to tell. */
#define SPREAD_UNKNOWN 0.1
#define PROFILE_SAMPLES_UNKNOWN 8
/* What extrapolating a profile adds to its sampling noise (Ekya's own data: 0.12 in all). */
#define EXTRAPOLATION_SD 0.08
#define CARRY_UNKNOWN 0.5

static const char *const source_names[] = {
    [ESTIMATE_PROFILE] = "profile", [ESTIMATE_HISTORY] = "history", [ESTIMATE_BLEND] = "blend"};

const char *estimate_source_name(enum estimate_source s)
{
    return names_text(source_names, NAMES_COUNT(source_names), s, NULL);
}

enum estimate_source estimate_source_parse(const char *name)
{
    return (enum estimate_source)names_find(source_names, NAMES_COUNT(source_names), name, 0);
}

static double clamp(double v)
{
    return fmin(fmax(v, 0), 1);
}

static const struct estimate_config *find(const struct estimator *e, int configuration)
{
    for (int i = 0; i < e->config_count; i++)
        if (e->configs[i].configuration == configuration)
            return &e->configs[i];
    return NULL;
}

static struct estimate_config *find_or_add(struct estimator *e, int configuration)
{
    const struct estimate_config *known = find(e, configuration);
    if (known)
        return &e->configs[known - e->configs];
    if (e->config_count == ESTIMATE_ITEMS_MAX)
        return NULL;
    struct estimate_config *c = &e->configs[e->config_count++];
    *c = (struct estimate_config){.configuration = configuration};
    return c;
}

static bool counts(const struct history_row *r, int leave_out)
{
    return r->camera != leave_out && isfinite(r->end) && isfinite(r->start);
}

static bool is_profiled(const struct history_row *r)
{
    return isfinite(r->profiled_end) && isfinite(r->profiled_start);
}

static void add_up(struct estimator *e, const struct history *h, int leave_out)
{
    for (int i = 0; i < h->count; i++) {
        const struct history_row *r = &h->rows[i];
        struct estimate_config *c = counts(r, leave_out) ? find_or_add(e, r->configuration) : NULL;
        if (!c)
            continue;
        c->samples++;
        c->end += r->end;
        c->end_sd += r->end * r->end;
        c->start += r->start;
        c->compute_s += r->compute_s;
        if (is_profiled(r)) {
            c->profiled++;
            c->profiled_end += r->profiled_end;
        }
    }
}

static void divide(struct estimator *e)
{
    for (int i = 0; i < e->config_count; i++) {
        struct estimate_config *c = &e->configs[i];
        double n = c->samples;
        c->end /= n;
        c->start /= n;
        c->compute_s /= n;
        double var = c->end_sd / n - c->end * c->end;
        c->end_sd = c->samples < 3 ? SPREAD_UNKNOWN : sqrt(fmax(var, 0) * n / (n - 1));
        if (c->profiled)
            c->profiled_end /= c->profiled;
    }
}

/* ---- one past window that was profiled ---- */

struct episode {
    int n;
    double surprise;          /* mean of end less the configuration's mean */
    double feature[FEATURES]; /* start, profiled start, mean profiled end, each less its mean */
};

static void add_row(const struct estimator *e, const struct history_row *r,
                    const struct estimate_config *c, struct episode *ret)
{
    ret->n++;
    ret->surprise += r->end - c->end;
    ret->feature[0] += r->start - c->start;
    ret->feature[1] += r->profiled_start - e->profiled_start;
    ret->feature[2] += r->profiled_end - c->profiled_end;
}

static void end_episode(struct episode *p)
{
    p->surprise /= p->n;
    for (int k = 0; k < FEATURES; k++)
        p->feature[k] /= p->n;
}

/* Rows of an episode stand together: [from, the result). */
static int episode_end(const struct history *h, int from)
{
    int to = from + 1;
    while (to < h->count && h->rows[to].episode == h->rows[from].episode)
        to++;
    return to;
}

/* profiled: only rows that have a profile; else all, by their start alone. */
static struct episode read_episode(const struct estimator *e, const struct history *h, int from,
                                   int to, int leave_out, bool profiled)
{
    struct episode p = {0};
    for (int i = from; i < to; i++) {
        const struct estimate_config *c = find(e, h->rows[i].configuration);
        if (c && counts(&h->rows[i], leave_out) && (!profiled || is_profiled(&h->rows[i])))
            add_row(e, &h->rows[i], c, &p);
    }
    if (p.n > 0)
        end_episode(&p);
    return p;
}

/* ---- weights ---- */

/* Gauss with pivoting on a symmetric system that the ridge keeps regular. */
static void solve(double a[FEATURES][FEATURES + 1], double x[FEATURES])
{
    for (int i = 0; i < FEATURES; i++) {
        int p = i;
        for (int r = i + 1; r < FEATURES; r++)
            p = fabs(a[r][i]) > fabs(a[p][i]) ? r : p;
        for (int c = 0; c <= FEATURES; c++) {
            double t = a[i][c];
            a[i][c] = a[p][c];
            a[p][c] = t;
        }
        for (int r = 0; r < FEATURES; r++) {
            double f = r == i ? 0 : a[r][i] / a[i][i];
            for (int c = i; c <= FEATURES; c++)
                a[r][c] -= f * a[i][c];
        }
    }
    for (int i = 0; i < FEATURES; i++)
        x[i] = a[i][FEATURES] / a[i][i];
}

static void learn_level(struct estimator *e, const struct history *h, int leave_out)
{
    double a[FEATURES][FEATURES + 1] = {{0}};
    for (int from = 0, to; from < h->count; from = to) {
        to = episode_end(h, from);
        struct episode p = read_episode(e, h, from, to, leave_out, true);
        e->episodes += p.n > 0;
        for (int r = 0; r < FEATURES && p.n > 0; r++) {
            for (int c = 0; c < FEATURES; c++)
                a[r][c] += p.feature[r] * p.feature[c];
            a[r][FEATURES] += p.feature[r] * p.surprise;
        }
    }
    for (int r = 0; r < FEATURES; r++)
        a[r][r] += RIDGE;
    solve(a, e->level);
}

/* Slope of surprise on the surplus of start, shrunk by the same ridge, and what it leaves. */
static void learn_start(struct estimator *e, const struct history *h, int leave_out)
{
    double xx = RIDGE, xy = 0, yy = 0;
    int rows = 0;
    for (int from = 0, to; from < h->count; from = to) {
        to = episode_end(h, from);
        e->windows += read_episode(e, h, from, to, leave_out, false).n > 0;
        for (int i = from; i < to; i++) {
            const struct history_row *r = &h->rows[i];
            const struct estimate_config *c = find(e, r->configuration);
            if (!c || !counts(r, leave_out))
                continue;
            double x = r->start - c->start, y = r->end - c->end;
            xx += x * x;
            xy += x * y;
            yy += y * y;
            rows++;
        }
    }
    e->level_start = xy / xx;
    e->start_sd = rows > 2 ? sqrt(fmax(yy - e->level_start * xy, 0) / (rows - 2)) : SPREAD_UNKNOWN;
}

static double level_of(const struct estimator *e, const struct episode *p)
{
    double u = 0;
    for (int k = 0; k < FEATURES; k++)
        u += e->level[k] * p->feature[k];
    return u;
}

/* Slope of outcome on profile within windows, and the spreads that remain. */
static void learn_deviation(struct estimator *e, const struct history *h, int leave_out)
{
    double xx = 0, xy = 0, yy = 0, left = 0, off = 0;
    int n = 0;
    for (int from = 0, to; from < h->count; from = to) {
        to = episode_end(h, from);
        struct episode p = read_episode(e, h, from, to, leave_out, true);
        for (int i = from; i < to && p.n > 0; i++) {
            const struct history_row *r = &h->rows[i];
            const struct estimate_config *c = find(e, r->configuration);
            if (!c || !counts(r, leave_out) || !is_profiled(r))
                continue;
            double x = r->profiled_end - c->profiled_end - p.feature[2];
            double y = r->end - c->end - p.surprise, rest = r->end - c->end - level_of(e, &p);
            xx += x * x;
            xy += x * y;
            yy += y * y;
            left += rest * rest;
            off += (r->profiled_end - r->end) * (r->profiled_end - r->end);
            n++;
        }
    }
    e->deviation = 0;
    if (n < 3 || xx <= 0)
        return;
    double slope = xy / xx, error = sqrt(fmax(yy - slope * xy, 0) / (n - 2) / xx);
    e->deviation = fmin(fmax(slope - 2 * error, 0), 1);
    e->surprise_sd = sqrt(left / n);
    e->profile_sd = sqrt(off / n);
}

static void mean_profiled_start(struct estimator *e, const struct history *h, int leave_out)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < h->count; i++)
        if (counts(&h->rows[i], leave_out) && is_profiled(&h->rows[i])) {
            sum += h->rows[i].profiled_start;
            n++;
        }
    e->profiled_start = n ? sum / n : 0;
}

/* What an outcome was off by, from what the source would have said of it. */
static double surprise_of(const struct estimator *e, const struct history_row *r,
                          const struct episode *p)
{
    const struct estimate_config *c = find(e, r->configuration);
    if (!c)
        return NAN;
    if (e->source == ESTIMATE_PROFILE)
        return r->end - r->profiled_end;
    return r->end - c->end - (e->source == ESTIMATE_BLEND && p->n > 0 ? level_of(e, p) : 0);
}

/* Sums over the pairs of one episode: surprise against each other one. */
struct pairs {
    double xx[2], xy[2]; /* of other trainings, of the same */
};

static void add_pairs(const double *surprise, const struct history_row *rows, int n,
                      struct pairs *ret)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            if (i != k && isfinite(surprise[i]) && isfinite(surprise[k])) {
                int same = rows[i].training == rows[k].training;
                ret->xx[same] += surprise[i] * surprise[i];
                ret->xy[same] += surprise[i] * surprise[k];
            }
}

static void learn_carry(struct estimator *e, const struct history *h, int leave_out)
{
    struct pairs pairs = {0};
    double surprise[ESTIMATE_ITEMS_MAX];
    for (int from = 0, to; from < h->count; from = to) {
        to = episode_end(h, from);
        struct episode p = read_episode(e, h, from, to, leave_out, true);
        int n = to - from < ESTIMATE_ITEMS_MAX ? to - from : ESTIMATE_ITEMS_MAX;
        for (int i = 0; i < n; i++)
            surprise[i] = counts(&h->rows[from + i], leave_out)
                              ? surprise_of(e, &h->rows[from + i], &p)
                              : NAN;
        add_pairs(surprise, h->rows + from, n, &pairs);
    }
    bool known = e->episodes >= ESTIMATE_EPISODES_MIN;
    e->carry_other = known && pairs.xx[0] > 0 ? clamp(pairs.xy[0] / pairs.xx[0]) : CARRY_UNKNOWN;
    e->carry_same = known && pairs.xx[1] > 0 ? clamp(pairs.xy[1] / pairs.xx[1]) : CARRY_UNKNOWN;
}

void estimator_learn(struct estimator *e, enum estimate_source source, const struct history *h,
                     int leave_out)
{
    *e = (struct estimator){.source = source};
    add_up(e, h, leave_out);
    divide(e);
    mean_profiled_start(e, h, leave_out);
    learn_level(e, h, leave_out);
    learn_start(e, h, leave_out);
    learn_deviation(e, h, leave_out);
    learn_carry(e, h, leave_out);
}

/* ---- estimates ---- */

static double profile_sd(const struct estimator *e, double accuracy, int samples)
{
    if (e->episodes >= ESTIMATE_EPISODES_MIN && e->profile_sd > 0)
        return e->profile_sd;
    double n = samples > 0 ? samples : PROFILE_SAMPLES_UNKNOWN;
    double a = fmin(fmax(accuracy, 0.05), 0.95); /* even 8 of 8 right are not certain */
    return sqrt(a * (1 - a) / n + EXTRAPOLATION_SD * EXTRAPOLATION_SD);
}

static void from_profile(const struct estimator *e, const struct estimate_query *q,
                         struct estimate_item *it)
{
    it->accuracy = it->profiled_end;
    it->accuracy_sd =
        isfinite(it->profiled_end) ? profile_sd(e, it->profiled_end, q->profile_samples) : NAN;
}

static void from_history(const struct estimate_config *c, struct estimate_item *it)
{
    it->accuracy = c->end;
    it->accuracy_sd = c->end_sd * sqrt(1 + 1.0 / c->samples);
}

/* Both as observations of one number, weighed by how precise each is. */
static void by_counts(const struct estimator *e, const struct estimate_query *q,
                      const struct estimate_config *c, struct estimate_item *it)
{
    struct estimate_item profile = *it, history = *it;
    from_profile(e, q, &profile);
    from_history(c, &history);
    if (!isfinite(profile.accuracy)) {
        it->accuracy = history.accuracy;
        it->accuracy_sd = history.accuracy_sd;
        return;
    }
    double a = 1 / (profile.accuracy_sd * profile.accuracy_sd + 1e-9);
    double b = 1 / (history.accuracy_sd * history.accuracy_sd + 1e-9);
    it->accuracy = (a * profile.accuracy + b * history.accuracy) / (a + b);
    it->accuracy_sd = sqrt(1 / (a + b));
}

/* The present window as an episode without an outcome. */
static struct episode present(const struct estimator *e, const struct estimate_query *q,
                              const struct estimate_item *items, int count)
{
    struct episode p = {0};
    for (int i = 0; i < count; i++) {
        const struct estimate_config *c = find(e, items[i].configuration);
        struct history_row r = {.start = q->start,
                                .end = c ? c->end : NAN,
                                .profiled_start = q->profiled_start,
                                .profiled_end = items[i].profiled_end};
        if (c && c->profiled && is_profiled(&r))
            add_row(e, &r, c, &p);
    }
    if (p.n > 0)
        end_episode(&p);
    return p;
}

static void blend(const struct estimator *e, const struct episode *p,
                  const struct estimate_config *c, struct estimate_item *it)
{
    double own = isfinite(it->profiled_end) && c->profiled
                     ? it->profiled_end - c->profiled_end - p->feature[2]
                     : 0;
    it->accuracy = clamp(c->end + level_of(e, p) + e->deviation * own);
    it->accuracy_sd = e->surprise_sd * sqrt(1 + 1.0 / c->samples);
}

/* History moved by how well this camera does now. */
static void from_start(const struct estimator *e, const struct estimate_query *q,
                       const struct estimate_config *c, struct estimate_item *it)
{
    it->accuracy = clamp(c->end + e->level_start * (q->start - c->start));
    it->accuracy_sd = e->start_sd * sqrt(1 + 1.0 / c->samples);
}

void estimate_make(const struct estimator *e, const struct estimate_query *q,
                   struct estimate_item *items, int count)
{
    struct episode p = present(e, q, items, count);
    bool learned = e->episodes >= ESTIMATE_EPISODES_MIN && p.n > 0;
    for (int i = 0; i < count; i++) {
        struct estimate_item *it = &items[i];
        const struct estimate_config *c = find(e, it->configuration);
        it->samples = c ? c->samples : 0;
        it->compute_s = c ? c->compute_s : NAN;
        it->accuracy = it->accuracy_sd = NAN;
        if (e->source == ESTIMATE_PROFILE || (e->source == ESTIMATE_BLEND && !c))
            from_profile(e, q, it);
        else if (c && e->source == ESTIMATE_HISTORY)
            from_history(c, it);
        else if (c && learned)
            blend(e, &p, c, it);
        else if (c && e->windows >= ESTIMATE_EPISODES_MIN && p.n == 0 && isfinite(q->start))
            from_start(e, q, c, it);
        else if (c)
            by_counts(e, q, c, it);
    }
}
