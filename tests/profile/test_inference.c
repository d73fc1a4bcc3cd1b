/* Inference configurations: costs and factors against sums worked out here, the isotonic fit
 * against the min-max formula, picks and fronts against a search through everything. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "profile/inference.h"

#define NEAR 1e-12

static void near(double a, double b)
{
    if (!(fabs(a - b) <= NEAR * (1 + fabs(b))))
        fail_msg("%.17g is not %.17g", a, b);
}

static struct inference_grid small_grid(void)
{
    return (struct inference_grid){
        .stride_count = 4, .scale_count = 2, .strides = {1, 2, 4, 7}, .scales = {1, 0.5}};
}

/* ---- costs ---- */

static void demands_are_sums_of_costs(void **state)
{
    (void)state;
    struct inference_grid g = small_grid();
    struct inference_profile p;
    struct inference_table t;
    inference_profile_init(&p, &g, 20);
    inference_profile_table(&p, &t);
    assert_int_equal(t.count, 8);
    for (int i = 0; i < 8; i++) { /* nothing is known, and nothing is said to be */
        assert_true(t.points[i].demand == 0 && t.points[i].samples == 0);
        assert_true(t.points[i].configuration.stride == g.strides[i % 4]);
        assert_true(t.points[i].configuration.scale == g.scales[i / 4]);
    }
    inference_profile_add_background(&p, 0.03);
    inference_profile_add_frame(&p, 0.002);
    inference_profile_add_frame(&p, 0.004);
    inference_profile_add_infer(&p, 0, 0.010);
    inference_profile_table(&p, &t);
    /* A frame costs 3 ms whether it is inferred or not; half the side a quarter of the work. */
    near(t.points[0].demand, 0.03 + 20 * (0.003 + 0.010));
    near(t.points[2].demand, 0.03 + 20 * 0.003 + 5 * 0.010);
    near(t.points[4].demand, 0.03 + 20 * (0.003 + 0.0025));
    inference_profile_add_pass(&p, 0.0005);
    inference_profile_add_infer(&p, 1, 0.004);
    inference_profile_table(&p, &t);
    near(t.points[0].demand, 0.03 + 20 * (0.003 + 0.010));
    near(t.points[1].demand, 0.03 + 10 * (0.003 + 0.010) + 10 * 0.0005);
    near(t.points[7].demand, 0.03 + 20. / 7 * (0.003 + 0.004) + 20. * 6 / 7 * 0.0005);
}

static void means_follow_what_changes(void **state)
{
    (void)state;
    struct inference_grid g = small_grid();
    struct inference_profile p;
    inference_profile_init(&p, &g, 20);
    for (int i = 1; i <= INFERENCE_MEMORY; i++) /* the plain mean at first */
        inference_profile_add_infer(&p, 0, i);
    near(p.infer_s[0].mean, (INFERENCE_MEMORY + 1) / 2.0);
    double mean = p.infer_s[0].mean;
    for (int i = 0; i < 40; i++) {
        inference_profile_add_infer(&p, 0, 3);
        mean += (3 - mean) / INFERENCE_MEMORY;
    }
    near(p.infer_s[0].mean, mean);
    assert_true(fabs(mean - 3) < 0.5);
}

/* ---- factors ---- */

/* The isotonic regression by its min-max formula (Barlow et al. 1972, theorem 1.4), for a sequence
 * that must not rise. */
static double min_max(const double *v, const double *w, int n, int at)
{
    double least = INFINITY;
    for (int a = 0; a <= at; a++) {
        double most = -INFINITY;
        for (int b = at; b < n; b++) {
            double sum = 0, weight = 0;
            for (int k = a; k <= b; k++) {
                sum += v[k] * w[k];
                weight += w[k];
            }
            most = fmax(most, sum / weight);
        }
        least = fmin(least, most);
    }
    return least;
}

/* As the header says it, from the comparisons themselves. */
static double expected_factor(const struct inference_grid *g, int scale, int strides,
                              double got[4][8], double full[4][8], const int *count,
                              double agreed[4], const int *agreements)
{
    double v[4], w[4], fit[4], sum = 0;
    for (int i = 0; i < 4; i++) {
        double a = 0, b = 0;
        for (int k = 0; k < count[i]; k++) {
            a += got[i][k];
            b += full[i][k];
        }
        double guess = pow(g->scales[scale], 0.3) * pow(g->strides[i], -0.05);
        double assumed = (agreements[i] * agreed[i] + guess) / (agreements[i] + 1.0);
        v[i] = ((count[i] && b > 0 ? count[i] * fmin(a / b, 1) : count[i]) + assumed) /
               (count[i] + 1.0);
        w[i] = (count[i] ? count[i] : agreements[i]) + 1.0;
    }
    if (scale == 0)
        v[0] = 1;
    for (int i = 0; i < 4; i++)
        fit[i] = min_max(v, w, 4, i);
    int n = g->strides[strides - 1];
    for (int age = 0; age < n; age++) {
        int i = 0;
        while (i < 3 && g->strides[i + 1] - 1 <= age)
            i++;
        double x0 = g->strides[i] - 1, x1 = i < 3 ? g->strides[i + 1] - 1 : x0 + 1;
        double y1 = i < 3 ? fit[i + 1] : fit[i];
        sum += fit[i] + (y1 - fit[i]) * (age - x0) / (x1 - x0);
    }
    return sum / n;
}

static void factors_are_means_over_ages(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 7, 0);
    struct inference_grid g = small_grid();
    for (int round = 0; round < 200; round++) {
        struct inference_profile p;
        struct inference_table t;
        inference_profile_init(&p, &g, 10);
        double got[2][4][8], full[2][4][8];
        double agreed[2][4] = {{0}};
        int count[2][4], agreements[2][4];
        for (int s = 0; s < 2; s++)
            for (int i = 0; i < 4; i++) {
                count[s][i] = s == 0 && i == 0 ? 0 : (int)rng_below(&rng, 9);
                for (int k = 0; k < count[s][i]; k++) {
                    got[s][i][k] = (double)rng_float(&rng);
                    full[s][i][k] = round % 3 ? 1 : (double)rng_float(&rng);
                    inference_profile_add_accuracy(&p, s, g.strides[i] - 1, got[s][i][k],
                                                   full[s][i][k]);
                }
                agreements[s][i] = (int)rng_below(&rng, 4);
                if (agreements[s][i] > 0)
                    agreed[s][i] = (double)rng_float(&rng);
                for (int k = 0; k < agreements[s][i]; k++)
                    inference_profile_add_agreement(&p, s, g.strides[i] - 1, agreed[s][i]);
            }
        inference_profile_table(&p, &t);
        for (int s = 0; s < 2; s++)
            for (int i = 0; i < 4; i++) {
                const struct inference_point *q = &t.points[s * 4 + i];
                double want = expected_factor(&g, s, i + 1, got[s], full[s], count[s], agreed[s],
                                              agreements[s]);
                assert_true(fabs(q->factor - want) < 1e-9);
                assert_true(i == 0 || q->factor <= q[-1].factor + NEAR);
                uint64_t least = UINT64_MAX;
                for (int k = s == 0; k <= (i ? i : 1 - s); k++)
                    least = (uint64_t)count[s][k] < least ? (uint64_t)count[s][k] : least;
                assert_int_equal(q->samples, s == 0 && i == 0 ? (uint64_t)count[0][1] : least);
            }
        near(t.points[0].factor, 1);
    }
}

/* ---- comparing ---- */

#define CELLS 12

static double part_equal(void *context, const uint8_t *labels, const uint8_t *answer)
{
    ++*(int *)context;
    int equal = 0;
    for (int i = 0; i < CELLS; i++)
        equal += labels[i] == answer[i];
    return labels[0] == 9 ? NAN : (double)equal / CELLS;
}

struct history {
    uint8_t answer[2][12][CELLS], labels[12][CELLS];
    bool ran[2][12];
};

static void draw(struct history *h, struct rng *rng, bool gaps)
{
    for (int f = 0; f < 12; f++)
        for (int i = 0; i < CELLS; i++) {
            h->labels[f][i] = (uint8_t)rng_below(rng, 3);
            for (int s = 0; s < 2; s++) {
                h->answer[s][f][i] = (uint8_t)rng_below(rng, 3);
                h->ran[s][f] = !gaps || (f * 7 + s * 3) % 5 > 1;
            }
        }
    h->labels[5][0] = 9; /* nothing to compare there */
}

/* Every pair of frames at an age of the grid, by hand. */
static void check_means(const struct history *h, const struct inference_profile *p, bool labels)
{
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 4; i++) {
            int age = p->grid.strides[i] - 1, n = 0, calls = 0;
            double got = 0, full = 0;
            for (int f = age; f < 12; f++) {
                const uint8_t *truth = labels ? h->labels[f] : h->answer[0][f];
                bool compared =
                    h->ran[0][f] && h->ran[s][f - age] && (s > 0 || age > 0) && !(labels && f == 5);
                if (!compared)
                    continue;
                got += part_equal(&calls, truth, h->answer[s][f - age]);
                full += part_equal(&calls, truth, h->answer[0][f]);
                n++;
            }
            assert_int_equal((labels ? p->got : p->agreed)[s][i].count, n);
            assert_int_equal((labels ? p->agreed : p->got)[s][i].count, 0);
            if (n > 0)
                near((labels ? p->got : p->agreed)[s][i].mean, got / n);
            if (n > 0 && labels)
                near(p->full[s][i].mean, full / n);
        }
}

static void answers_are_compared_at_the_grids_ages(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 3, 0);
    struct inference_grid g = small_grid();
    for (int round = 0; round < 4; round++) {
        struct history h;
        struct inference_profile p;
        struct inference_watch *w;
        struct error err;
        int calls = 0;
        bool labels = round & 1;
        draw(&h, &rng, round & 2);
        inference_profile_init(&p, &g, 10);
        assert_int_equal(inference_watch_open(&g, CELLS, part_equal, &calls, &w, &err), ST_OK);
        for (uint64_t f = 0; f < 12; f++) {
            const uint8_t *answers[] = {h.ran[0][f] ? h.answer[0][f] : NULL,
                                        h.ran[1][f] ? h.answer[1][f] : NULL};
            inference_watch_frame(w, f, answers, labels ? h.labels[f] : NULL, false, &p);
        }
        check_means(&h, &p, labels);
        /* After a change of the model old answers are compared with nothing. */
        struct inference_profile before = p;
        const uint8_t *answers[] = {h.answer[0][0], NULL};
        inference_watch_frame(w, 12, answers, NULL, true, &p);
        assert_memory_equal(&before, &p, sizeof p);
        inference_watch_frame(w, 13, answers, NULL, false, &p);
        assert_int_equal(p.agreed[0][1].count, before.agreed[0][1].count + 1);
        assert_memory_equal(inference_watch_answer(w, 12, 0), h.answer[0][0], CELLS);
        assert_null(inference_watch_answer(w, 12, 1));
        assert_null(inference_watch_answer(w, 11, 0));
        inference_watch_close(&w);
    }
}

/* ---- choosing ---- */

static void draw_table(struct inference_table *t, struct rng *rng)
{
    struct inference_grid g;
    inference_grid_init(&g);
    t->count = 0;
    for (int s = 0; s < g.scale_count; s++)
        for (int i = 0; i < g.stride_count; i++)
            t->points[t->count++] =
                (struct inference_point){.configuration = {g.strides[i], g.scales[s]},
                                         .demand = (double)rng_below(rng, 20) / 20,
                                         .factor = (double)rng_below(rng, 20) / 20};
}

static void the_pick_is_the_best_that_fits(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 5, 0);
    const struct inference_wish free = {0, 0};
    for (int round = 0; round < 2000; round++) {
        struct inference_table t;
        draw_table(&t, &rng);
        double share = (double)rng_below(&rng, 22) / 20 - 0.05;
        const struct inference_point *p = &t.points[inference_pick(&t, &free, share, -1)];
        double cheapest = INFINITY, best = -1;
        for (int i = 0; i < t.count; i++) {
            cheapest = fmin(cheapest, t.points[i].demand);
            if (t.points[i].demand <= share)
                best = fmax(best, t.points[i].factor);
        }
        if (best < 0) {
            assert_true(p->demand == cheapest);
            continue;
        }
        assert_true(p->demand <= share && p->factor == best);
        for (int i = 0; i < t.count; i++)
            assert_true(t.points[i].factor < best || t.points[i].demand >= p->demand);
    }
}

static void wishes_and_what_runs_come_first(void **state)
{
    (void)state;
    struct inference_grid g;
    struct inference_profile p;
    struct inference_table t;
    inference_grid_init(&g);
    inference_profile_init(&p, &g, 10);
    inference_profile_add_infer(&p, 0, 0.05);
    inference_profile_add_pass(&p, 0);
    inference_profile_table(&p, &t);
    struct inference_wish wish = {0.3, 0}; /* 1/4 is nearer than 1/2 */
    int i = inference_pick(&t, &wish, INFINITY, -1);
    assert_true(t.points[i].configuration.stride == 4 && t.points[i].configuration.scale == 1);
    i = inference_pick(&t, &wish, 0.1, -1);
    assert_true(t.points[i].configuration.stride == 4 && t.points[i].configuration.scale < 1);
    wish = (struct inference_wish){1, 0.5};
    i = inference_pick(&t, &wish, 0, 0); /* also where it does not fit */
    assert_true(t.points[i].configuration.stride == 1 && t.points[i].configuration.scale == 0.5);
    wish = (struct inference_wish){0, 0};
    t.points[5].factor = t.points[1].factor + 0.004; /* no reason to change */
    t.points[5].demand = t.points[1].demand;
    double share = t.points[1].demand;
    assert_int_equal(inference_pick(&t, &wish, share, 1), 1);
    assert_int_equal(inference_pick(&t, &wish, share, -1), 5);
    assert_int_equal(inference_pick(&t, &wish, share / 1.04, 1), 1);
    assert_int_not_equal(inference_pick(&t, &wish, share / 1.06, 1), 1);
    t.points[5].factor = t.points[1].factor + 0.006;
    assert_int_equal(inference_pick(&t, &wish, share, 1), 5);
}

static bool beats(const struct inference_point *a, const struct inference_point *b)
{
    return a->demand <= b->demand && a->factor >= b->factor &&
           (a->demand < b->demand || a->factor > b->factor);
}

static void the_front_is_what_nothing_beats(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 6, 0);
    for (int round = 0; round < 500; round++) {
        struct inference_table t;
        struct inference_point front[INFERENCE_POINTS_MAX];
        draw_table(&t, &rng);
        int n = inference_front(&t, front);
        assert_true(n >= 1);
        for (int i = 1; i < n; i++)
            assert_true(front[i].demand > front[i - 1].demand &&
                        front[i].factor > front[i - 1].factor);
        for (int i = 0; i < t.count; i++) {
            bool beaten = false, there = false;
            for (int k = 0; k < t.count; k++)
                beaten |= beats(&t.points[k], &t.points[i]);
            for (int k = 0; k < n; k++)
                there |=
                    front[k].demand == t.points[i].demand && front[k].factor == t.points[i].factor;
            assert_true(there == !beaten);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(demands_are_sums_of_costs),
        cmocka_unit_test(means_follow_what_changes),
        cmocka_unit_test(factors_are_means_over_ages),
        cmocka_unit_test(answers_are_compared_at_the_grids_ages),
        cmocka_unit_test(the_pick_is_the_best_that_fits),
        cmocka_unit_test(wishes_and_what_runs_come_first),
        cmocka_unit_test(the_front_is_what_nothing_beats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
