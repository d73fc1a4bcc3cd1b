/* curve_fit.c - see curve_fit.h. */
#include "profile/curve_fit.h"

#include <math.h>

#define GRID 64
#define POINTS_MAX 256

static double residual(const double *x, const double *y, int n, double slope, double constant)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double r = y[i] - slope * x[i] - constant;
        sum += r * r;
    }
    return sum;
}

void nnls_line(const double *x, const double *y, int n, double *ret_slope, double *ret_constant)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int i = 0; i < n; i++) {
        sx += x[i];
        sy += y[i];
        sxx += x[i] * x[i];
        sxy += x[i] * y[i];
    }
    double det = n * sxx - sx * sx;
    double sets[4][2] = {{0, 0}, {sxx > 0 ? sxy / sxx : 0, 0}, {0, n > 0 ? sy / n : 0}, {-1, -1}};
    if (det > 1e-12) {
        sets[3][0] = (n * sxy - sx * sy) / det;
        sets[3][1] = (sxx * sy - sx * sxy) / det;
    }
    double best = INFINITY;
    for (int k = 0; k < 4; k++) {
        if (sets[k][0] < 0 || sets[k][1] < 0)
            continue;
        double r = residual(x, y, n, sets[k][0], sets[k][1]);
        if (r < best) {
            best = r;
            *ret_slope = sets[k][0];
            *ret_constant = sets[k][1];
        }
    }
}

double accuracy_curve_at(const struct accuracy_curve *c, double epochs)
{
    double d = c->b0 * epochs + c->b1;
    double v = d > 0 ? 1 - 1 / d - c->b2 : 0;
    return fmin(fmax(v, 0), 1);
}

static double error_of(const struct accuracy_curve *c, const double *epochs, const double *accuracy,
                       int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double r = accuracy_curve_at(c, epochs[i]) - accuracy[i];
        sum += r * r;
    }
    return sqrt(sum / n);
}

bool accuracy_curve_fit(const double *epochs, const double *accuracy, int n,
                        struct accuracy_curve *ret)
{
    double y[POINTS_MAX], most = 0;
    if (n < 1 || n > POINTS_MAX)
        return false;
    for (int i = 0; i < n; i++)
        most = fmax(most, accuracy[i]);
    if (!(most < 1))
        return false;
    struct accuracy_curve best = {.error_sd = INFINITY};
    for (int k = 0; k < GRID; k++) {
        struct accuracy_curve c = {.b2 = (1 - most) * k / GRID};
        for (int i = 0; i < n; i++)
            y[i] = 1 / (1 - accuracy[i] - c.b2);
        nnls_line(epochs, y, n, &c.b0, &c.b1);
        c.error_sd = error_of(&c, epochs, accuracy, n);
        if (c.error_sd < best.error_sd)
            best = c;
    }
    *ret = best;
    return true;
}
