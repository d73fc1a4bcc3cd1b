/* curve_fit.h - accuracy by epochs from a few epochs.
 *
 * Model: acc(e) = 1 - (1 / (b0 e + b1) + b2), all b >= 0 (Optimus, Peng et al., EuroSys 2018, as
 * Ekya uses it, NSDI 2022, section 4.3). For a fixed b2 the rest is linear: 1 / (1 - acc - b2) = b0
 * e + b1, solved by non-negative least squares (two variables: the four active sets in closed
 * form); b2 is searched on a grid for the least squared error of accuracy itself.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_PROFILE_CURVE_FIT_H
#define ATTUNE_PROFILE_CURVE_FIT_H

#include <stdbool.h>

struct accuracy_curve {
    double b0, b1, b2;
    double error_sd; /* root of the mean squared residual, of accuracy */
};

/* n points, epochs above 0 and accuracy 0..1. False when there is nothing to fit: no point, or all
 * accuracies 1. */
bool accuracy_curve_fit(const double *epochs, const double *accuracy, int n,
                        struct accuracy_curve *ret);

/* 0..1. */
double accuracy_curve_at(const struct accuracy_curve *c, double epochs);

/* Least squares of y on (x, 1) with both coefficients at least 0. */
void nnls_line(const double *x, const double *y, int n, double *ret_slope, double *ret_constant);

#endif
