/* The curve fit against curves that are known and a search by brute force; pruning by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "profile/curve_fit.h"
#include "profile/pareto.h"

static double law(double e)
{
    return 1 - (1 / (0.8 * e + 2.5) + 0.05);
}

static void known_curves_are_found(void **state)
{
    (void)state;
    double epochs[5], accuracy[5];
    struct accuracy_curve c;
    for (int i = 0; i < 5; i++) {
        epochs[i] = i + 1;
        accuracy[i] = law(i + 1);
    }
    assert_true(accuracy_curve_fit(epochs, accuracy, 5, &c));
    assert_true(c.error_sd < 1e-3);
    for (int e = 5; e <= 30; e += 5)
        assert_true(fabs(accuracy_curve_at(&c, e) - law(e)) < 0.01);
}

static double squares(const double *x, const double *y, int n, double a, double b)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (y[i] - a * x[i] - b) * (y[i] - a * x[i] - b);
    return sum;
}

static void lines_are_the_least_squares(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1, 0);
    for (int round = 0; round < 50; round++) {
        double x[6], y[6], slope = NAN, constant = NAN, best = INFINITY;
        double up = 2 * (double)rng_normal(&r), at = 2 * (double)rng_normal(&r);
        for (int i = 0; i < 6; i++) {
            x[i] = i + 1;
            y[i] = up * x[i] / 3 + at + 0.3 * (double)rng_normal(&r);
        }
        nnls_line(x, y, 6, &slope, &constant);
        assert_true(slope >= 0 && constant >= 0);
        for (int a = 0; a <= 300; a++)
            for (int b = 0; b <= 300; b++)
                best = fmin(best, squares(x, y, 6, 0.02 * a, 0.04 * b));
        assert_true(squares(x, y, 6, slope, constant) <= best + 1e-9);
    }
}

static void odd_input_is_no_trouble(void **state)
{
    (void)state;
    double one = 1, half = 0.5, falling[] = {0.8, 0.6, 0.5}, epochs[] = {1, 2, 3};
    struct accuracy_curve c;
    assert_false(accuracy_curve_fit(&one, &half, 0, &c));
    assert_false(accuracy_curve_fit(&one, &one, 1, &c));
    assert_true(accuracy_curve_fit(&one, &half, 1, &c));
    assert_true(fabs(accuracy_curve_at(&c, 1) - 0.5) < 1e-6);
    /* Falling accuracies: the best that never falls is a constant. */
    assert_true(accuracy_curve_fit(epochs, falling, 3, &c));
    assert_true(accuracy_curve_at(&c, 30) > 0.5 && accuracy_curve_at(&c, 30) < 0.8);
}

static void pruning_by_hand(void **state)
{
    (void)state;
    /* The front is 0, 2 and 4; 3 lacks 0.3 to 2, 1 lacks 0.1 to 0, 5 lacks 0.05 to 4. */
    static const double cost[] = {1, 2, 3, 4, 5, 6};
    static const double accuracy[] = {0.5, 0.4, 0.8, 0.5, 0.9, 0.85};
    bool kept[] = {true, true, true, true, true, true};
    assert_int_equal(pareto_prune(cost, accuracy, 6, 0.25, kept), 4); /* two of six */
    assert_true(!kept[3] && !kept[1] && kept[5]);
    assert_int_equal(pareto_prune(cost, accuracy, 6, 0.25, kept), 3);
    assert_true(!kept[5]);
    assert_int_equal(pareto_prune(cost, accuracy, 6, 1, kept), 3); /* never fewer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_curves_are_found), cmocka_unit_test(lines_are_the_least_squares),
        cmocka_unit_test(odd_input_is_no_trouble), cmocka_unit_test(pruning_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
