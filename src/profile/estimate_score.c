/* estimate_score.c - errors, and whether the best would have been found: ranks and regret. */
#include <math.h>
#include <stdlib.h>

#include "profile/estimate.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double correlate(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 1e-18 && yy > 1e-18 ? xy / sqrt(xx * yy) : NAN;
}

/* Ranks from 1, equal values share their mean rank. */
static void rank(const double *x, int n, double *ret)
{
    for (int i = 0; i < n; i++) {
        int below = 0, equal = 0;
        for (int k = 0; k < n; k++) {
            below += x[k] < x[i];
            equal += x[k] == x[i];
        }
        ret[i] = below + (equal + 1) / 2.0;
    }
}

static double regret_of(const double *estimate, const double *outcome, int n)
{
    int chosen = 0;
    double best = outcome[0];
    for (int i = 1; i < n; i++) {
        chosen = estimate[i] > estimate[chosen] ? i : chosen;
        best = outcome[i] > best ? outcome[i] : best;
    }
    return best - outcome[chosen];
}

/* Sums and counts of what is averaged over the windows. */
struct sums {
    double correlation, rank_correlation, regret;
    int correlations, rank_correlations;
};

static void add_window(const double *estimate, const double *outcome, int n, double *scratch,
                       struct sums *s)
{
    double r = correlate(estimate, outcome, n);
    rank(estimate, n, scratch);
    rank(outcome, n, scratch + n);
    double ranks = correlate(scratch, scratch + n, n);
    if (isfinite(r)) {
        s->correlation += r;
        s->correlations++;
    }
    if (isfinite(ranks)) {
        s->rank_correlation += ranks;
        s->rank_correlations++;
    }
    s->regret += regret_of(estimate, outcome, n);
}

static void fill_errors(double *error, int n, struct estimate_score *ret)
{
    for (int i = 0; i < n; i++)
        ret->mean_error += error[i] / n;
    qsort(error, (size_t)n, sizeof *error, by_value);
    ret->median_error = (error[(n - 1) / 2] + error[n / 2]) / 2;
    ret->p90_error = error[(int)(0.9 * n)];
}

enum status estimate_score(const double *estimate, const double *outcome, const uint64_t *window,
                           int n, struct estimate_score *ret, struct error *err)
{
    if (n < 1)
        return error_set(err, ST_INVALID, "there are no estimates to score");
    double *scratch = malloc(2 * (size_t)n * sizeof *scratch);
    if (!scratch)
        return error_set(err, ST_NOMEM, "no memory to score %d estimates", n);
    *ret = (struct estimate_score){.rows = n};
    struct sums s = {0};
    for (int from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && window[to] == window[from];)
            to++;
        add_window(estimate + from, outcome + from, to - from, scratch, &s);
        ret->windows++;
    }
    ret->correlation = s.correlations ? s.correlation / s.correlations : NAN;
    ret->rank_correlation = s.rank_correlations ? s.rank_correlation / s.rank_correlations : NAN;
    ret->regret = s.regret / ret->windows;
    for (int i = 0; i < n; i++)
        scratch[i] = fabs(estimate[i] - outcome[i]);
    fill_errors(scratch, n, ret);
    free(scratch);
    return ST_OK;
}
