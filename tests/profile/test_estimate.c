/* Estimates from made-up fleets whose law is known, and scores worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "profile/estimate.h"

#define CONFIGS 6
#define CAMERAS 30

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        print_message("got %.6f want %.6f\n", got, want);
    assert_true(fabs(got - want) <= tolerance);
}

static void scores_by_hand(void **state)
{
    (void)state;
    /* Window 1: ranks 1 2 3 against 1 3 2: Spearman 0.5; picks the second best: regret 0.1.
     * Window 2: the estimates are equal: no correlation; the first is taken: regret 0.2. */
    static const double estimate[] = {0.1, 0.2, 0.3, 0.5, 0.5};
    static const double outcome[] = {0.2, 0.5, 0.4, 0.6, 0.8};
    static const uint64_t window[] = {1, 1, 1, 2, 2};
    struct estimate_score s;
    assert_int_equal(estimate_score(estimate, outcome, window, 5, &s, NULL), ST_OK);
    near(s.median_error, 0.1, 1e-12); /* of 0.1 0.3 0.1 0.1 0.3 */
    near(s.mean_error, 0.18, 1e-12);
    near(s.p90_error, 0.3, 1e-12);
    near(s.rank_correlation, 0.5, 1e-12);
    /* Covariance 0.02 over sqrt(0.02 x 0.046667). */
    near(s.correlation, 0.02 / sqrt(0.02 * 0.14 / 3), 1e-9);
    near(s.regret, 0.15, 1e-12);
    assert_int_equal(s.windows, 2);
    assert_int_equal(estimate_score(estimate, outcome, window, 0, &s, NULL), ST_INVALID);
}

/* end = what the configuration is worth + the window's level; start and profile tell the level, the
 * profile's own deviation is noise. */
static double worth(int config)
{
    return 0.6 + 0.05 * config;
}

static void add_window(struct history *h, struct rng *r, int camera, double level, double noise)
{
    for (int k = 0; k < CONFIGS; k++) {
        struct history_row row = {.episode = (uint64_t)camera,
                                  .camera = camera,
                                  .configuration = k,
                                  .training = k / 2,
                                  .start = 0.5 + level,
                                  .end = worth(k) + level,
                                  .compute_s = 10 * (k + 1),
                                  .profiled_start = 0.5 + level,
                                  .profiled_end = 0.55 + level + noise * (double)rng_normal(r)};
        assert_int_equal(history_add(h, &row, NULL), ST_OK);
    }
}

static void make_fleet(struct history *h, double noise)
{
    struct rng r;
    rng_init(&r, 1, 0);
    history_init(h);
    for (int c = 0; c < CAMERAS; c++)
        add_window(h, &r, c, 0.2 * ((double)rng_float(&r) - 0.5), noise);
}

static void ask(enum estimate_source source, const struct history *h, double level,
                struct estimate_item items[CONFIGS])
{
    struct estimator e;
    struct estimate_query q = {.start = 0.5 + level, .profiled_start = 0.5 + level};
    estimator_learn(&e, source, h, -1);
    for (int k = 0; k < CONFIGS; k++)
        items[k] = (struct estimate_item){.configuration = k, .profiled_end = 0.55 + level};
    estimate_make(&e, &q, items, CONFIGS);
}

static void blend_finds_the_level_and_keeps_the_ranks(void **state)
{
    (void)state;
    struct history h;
    struct estimate_item history[CONFIGS], blend[CONFIGS];
    make_fleet(&h, 0.1);
    ask(ESTIMATE_HISTORY, &h, 0.09, history);
    ask(ESTIMATE_BLEND, &h, 0.09, blend);
    for (int k = 0; k < CONFIGS; k++) {
        near(blend[k].accuracy, worth(k) + 0.09, 0.02);
        assert_true(fabs(blend[k].accuracy - worth(k) - 0.09) <
                    fabs(history[k].accuracy - worth(k) - 0.09));
        near(blend[k].compute_s, 10 * (k + 1), 1e-9);
        assert_int_equal(blend[k].samples, CAMERAS);
        assert_true(k == 0 || blend[k].accuracy > blend[k - 1].accuracy);
    }
    history_clear(&h);
}

/* Where profiles do rank configurations, their deviation is used. */
static void a_telling_profile_is_believed(void **state)
{
    (void)state;
    struct history h;
    struct rng r;
    struct estimator e;
    rng_init(&r, 7, 0);
    history_init(&h);
    for (int c = 0; c < CAMERAS; c++)
        for (int k = 0; k < CONFIGS; k++) {
            double own = 0.1 * (double)rng_normal(&r);
            struct history_row row = {.episode = (uint64_t)c,
                                      .camera = c,
                                      .configuration = k,
                                      .start = 0.5,
                                      .end = worth(k) + own,
                                      .profiled_start = 0.5,
                                      .profiled_end = worth(k) + own};
            assert_int_equal(history_add(&h, &row, NULL), ST_OK);
        }
    estimator_learn(&e, ESTIMATE_BLEND, &h, -1);
    near(e.deviation, 1, 0.02);
    history_clear(&h);
    make_fleet(&h, 0.1);
    estimator_learn(&e, ESTIMATE_BLEND, &h, -1);
    near(e.deviation, 0, 1e-12);
    history_clear(&h);
}

static void a_camera_can_be_left_out(void **state)
{
    (void)state;
    struct history h;
    struct rng r;
    struct estimator e;
    struct estimate_item item = {.configuration = 3, .profiled_end = NAN};
    struct estimate_query q = {.start = 0.5, .profiled_start = NAN};
    rng_init(&r, 3, 0);
    history_init(&h);
    add_window(&h, &r, 1, 0.1, 0);
    add_window(&h, &r, 2, -0.1, 0);
    estimator_learn(&e, ESTIMATE_HISTORY, &h, 1);
    estimate_make(&e, &q, &item, 1);
    near(item.accuracy, worth(3) - 0.1, 1e-12);
    history_clear(&h);
}

/* With little history both are weighed by counts; with none the profile is all there is. */
static void little_history_moves_to_the_profile(void **state)
{
    (void)state;
    struct history h;
    struct rng r;
    struct estimator e;
    struct estimate_query few = {.start = 0.5, .profiled_start = 0.5, .profile_samples = 4},
                          many = few;
    struct estimate_item a = {.configuration = 0, .profiled_end = 0.9}, b = a, c = a;
    many.profile_samples = 4000;
    rng_init(&r, 3, 0);
    history_init(&h);
    estimator_learn(&e, ESTIMATE_BLEND, &h, -1);
    estimate_make(&e, &few, &a, 1);
    near(a.accuracy, 0.9, 1e-12);
    for (int i = 0; i < 3; i++)
        add_window(&h, &r, i, 0.02 * i, 0);
    estimator_learn(&e, ESTIMATE_BLEND, &h, -1);
    estimate_make(&e, &few, &b, 1);
    estimate_make(&e, &many, &c, 1);
    assert_true(b.accuracy > worth(0) && b.accuracy < c.accuracy && c.accuracy < 0.9);
    history_clear(&h);
}

/* All of a window off by the same: what one shows, the others do too. */
static void surprises_carry_over(void **state)
{
    (void)state;
    struct history h;
    struct estimator e;
    make_fleet(&h, 0.1);
    estimator_learn(&e, ESTIMATE_HISTORY, &h, -1);
    near(e.carry_same, 1, 1e-6);
    near(e.carry_other, 1, 1e-6);
    history_clear(&h);
}

static void history_is_bounded(void **state)
{
    (void)state;
    struct history h;
    history_init(&h);
    for (int i = 0; i <= HISTORY_ROWS_MAX; i++)
        assert_int_equal(history_add(&h, &(struct history_row){.configuration = i}, NULL), ST_OK);
    assert_true(h.count <= HISTORY_ROWS_MAX);
    assert_int_equal(h.rows[h.count - 1].configuration, HISTORY_ROWS_MAX);
    assert_int_equal(h.rows[0].configuration, HISTORY_ROWS_MAX / 4);
    history_clear(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_by_hand),
        cmocka_unit_test(blend_finds_the_level_and_keeps_the_ranks),
        cmocka_unit_test(a_telling_profile_is_believed),
        cmocka_unit_test(a_camera_can_be_left_out),
        cmocka_unit_test(little_history_moves_to_the_profile),
        cmocka_unit_test(surprises_carry_over),
        cmocka_unit_test(history_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
