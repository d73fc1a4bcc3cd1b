/* The allocator: its plan against every division there is, fairness over random concave curves,
 * and that no group starves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "schedule/allocator.h"

#define JOBS_MAX 12
#define SLOTS 24
#define ROUNDS 200

struct town {
    struct allocator_curve curves[JOBS_MAX];
    double gain[JOBS_MAX][SLOTS];
    int count;
};

static void draw_town(struct town *t, int count, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, 1);
    t->count = count;
    for (int i = 0; i < count; i++) {
        double gain = 0.2 * (double)rng_float(&r);
        for (int k = 0; k < SLOTS; k++, gain *= 0.4 + 0.6 * (double)rng_float(&r))
            t->gain[i][k] = gain;
        t->curves[i] = (struct allocator_curve){.members = 1 + (int)rng_below(&r, 5),
                                                .floor = (int)rng_below(&r, 2),
                                                .accuracy = 0.5 * (double)rng_float(&r),
                                                .gain = t->gain[i]};
    }
}

static double level(const struct allocator_curve *c, int slots)
{
    double a = c->accuracy;
    for (int k = 0; k < slots; k++)
        a += c->gain[k];
    return a;
}

static double lowest(const struct town *t, const int *slots)
{
    double low = INFINITY;
    for (int i = 0; i < t->count; i++)
        low = fmin(low, level(&t->curves[i], slots[i]));
    return low;
}

static double worth(const struct town *t, const int *slots, double fairness)
{
    double sum = 0, members = 0;
    for (int i = 0; i < t->count; i++) {
        sum += t->curves[i].members * level(&t->curves[i], slots[i]);
        members += t->curves[i].members;
    }
    return sum + fairness * members * lowest(t, slots);
}

/* Every division of the slots, by recursion. */
static double best_worth(const struct town *t, int *slots, int at, int left, double fairness)
{
    const struct allocator_curve *c = &t->curves[at];
    double best = -INFINITY;
    if (at == t->count - 1) {
        slots[at] = left;
        return left >= c->floor ? worth(t, slots, fairness) : -INFINITY;
    }
    for (slots[at] = c->floor; slots[at] <= left; slots[at]++)
        best = fmax(best, best_worth(t, slots, at + 1, left - slots[at], fairness));
    return best;
}

static void test_plan_is_the_best_there_is(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct town t;
        int slots[JOBS_MAX], scratch[JOBS_MAX], sum = 0;
        double fairness = (double)(seed % 4) * 0.5;
        draw_town(&t, 2 + (int)(seed % 3), seed);
        assert_int_equal(allocator_plan(t.curves, t.count, 10, fairness, slots, NULL), ST_OK);
        for (int i = 0; i < t.count; i++) {
            assert_true(slots[i] >= t.curves[i].floor);
            sum += slots[i];
        }
        assert_int_equal(sum, 10);
        assert_float_equal(worth(&t, slots, fairness), best_worth(&t, scratch, 0, 10, fairness),
                           1e-9);
    }
}

static void test_plan_with_more_fairness_never_lowers_the_minimum(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct town t;
        int slots[JOBS_MAX];
        double before = -INFINITY;
        draw_town(&t, 2 + (int)(seed % (JOBS_MAX - 1)), seed);
        for (double fairness = 0; fairness < 5; fairness += 0.25) {
            assert_int_equal(allocator_plan(t.curves, t.count, SLOTS, fairness, slots, NULL),
                             ST_OK);
            assert_true(lowest(&t, slots) >= before - 1e-12);
            before = lowest(&t, slots);
        }
    }
}

static void test_plan_refuses_what_it_cannot_keep(void **state)
{
    (void)state;
    struct town t;
    struct error err;
    int slots[JOBS_MAX];
    draw_town(&t, 3, 1);
    for (int i = 0; i < 3; i++)
        t.curves[i].floor = 4;
    assert_int_equal(allocator_plan(t.curves, 3, 11, 0, slots, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "floors"));
    t.curves[1].members = 0;
    assert_int_equal(allocator_plan(t.curves, 3, 12, 0, slots, &err), ST_INVALID);
}

/* ---- windows ---- */

/* Groups whose accuracy goes the way that the allocator's own model says. */
struct world {
    struct allocator_job jobs[JOBS_MAX];
    double potential[JOBS_MAX];
    int count, slots[JOBS_MAX];
};

static void draw_world(struct world *w, int count, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, 2);
    w->count = count;
    for (int i = 0; i < count; i++) {
        w->jobs[i] = (struct allocator_job){.id = (uint64_t)i + 1,
                                            .members = 1 + (int)rng_below(&r, 4),
                                            .accuracy = 0.5 * (double)rng_float(&r),
                                            .ready = true};
        w->potential[i] = 0.4 * (double)rng_float(&r);
        w->slots[i] = 0;
    }
}

/* One window; returns how many micro-windows were given. */
static int run_window(struct allocator *a, struct world *w, double keep)
{
    int given = 0;
    uint64_t id;
    assert_int_equal(allocator_begin(a, w->jobs, w->count, NULL), ST_OK);
    for (; (id = allocator_next(a)) != 0; given++) {
        struct allocator_job *j = &w->jobs[id - 1];
        double before = j->accuracy;
        assert_true(id <= (uint64_t)w->count && j->ready);
        j->accuracy += (1 - keep) * w->potential[id - 1];
        w->potential[id - 1] *= keep;
        w->slots[id - 1]++;
        allocator_trained(a, id, before, j->accuracy);
    }
    return given;
}

static struct allocator *open_rule(enum allocator_rule rule, double fairness, int slots)
{
    struct allocator_settings s;
    struct allocator *a = NULL;
    allocator_settings_init(&s);
    s.rule = rule;
    s.fairness = fairness;
    s.slots = slots;
    assert_int_equal(allocator_open(&s, &a, NULL), ST_OK);
    return a;
}

static void test_no_group_starves(void **state)
{
    (void)state;
    for (int rule = ALLOCATOR_EQUAL; rule <= ALLOCATOR_ATTUNE; rule++)
        for (int count = 1; count <= JOBS_MAX; count++) {
            struct world w;
            struct allocator *a = open_rule((enum allocator_rule)rule, 0.5, 8);
            draw_world(&w, count, (uint64_t)count);
            int windows = (2 * count + 7) / 8;
            for (int k = 0; k < windows; k++)
                assert_int_equal(run_window(a, &w, 0.8), 8);
            for (int i = 0; i < count; i++)
                assert_true(w.slots[i] > 0);
            allocator_close(&a);
        }
}

static void test_who_is_not_ready_gets_nothing(void **state)
{
    (void)state;
    for (int rule = ALLOCATOR_EQUAL; rule <= ALLOCATOR_ATTUNE; rule++) {
        struct world w;
        struct allocator *a = open_rule((enum allocator_rule)rule, 0.5, 8);
        draw_world(&w, 3, 7);
        w.jobs[1].ready = false;
        assert_int_equal(run_window(a, &w, 0.8), 8);
        assert_int_equal(w.slots[1], 0);
        for (int i = 0; i < 3; i++)
            w.jobs[i].ready = false;
        assert_int_equal(run_window(a, &w, 0.8), 0);
        allocator_close(&a);
    }
}

/* Lowest accuracy after windows in which everything goes as the allocator came to expect. */
static double lowest_after(uint64_t seed, double fairness)
{
    struct world w;
    struct allocator *a = open_rule(ALLOCATOR_ATTUNE, fairness, 12);
    double low = INFINITY;
    draw_world(&w, 2 + (int)(seed % 5), seed);
    for (int i = 0; i < w.count; i++) /* as the allocator believes of a new group */
        w.potential[i] = 0.1;
    run_window(a, &w, 0.8);
    for (int i = 0; i < w.count; i++)
        low = fmin(low, w.jobs[i].accuracy);
    allocator_close(&a);
    return low;
}

static void test_windows_with_more_fairness_never_lower_the_minimum(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        double before = -INFINITY;
        for (double fairness = 0; fairness < 4; fairness += 0.5) {
            double low = lowest_after(seed, fairness);
            assert_true(low >= before - 1e-9);
            before = low;
        }
    }
}

static void test_equal_groups_share_equally(void **state)
{
    (void)state;
    for (int rule = ALLOCATOR_EQUAL; rule <= ALLOCATOR_ATTUNE; rule++) {
        struct world w;
        struct allocator *a = open_rule((enum allocator_rule)rule, 0.5, 12);
        draw_world(&w, 4, 3);
        for (int i = 0; i < 4; i++) {
            w.jobs[i].members = 2;
            w.jobs[i].accuracy = 0.3;
            w.potential[i] = 0.4;
        }
        run_window(a, &w, 0.8);
        for (int i = 0; i < 4; i++)
            assert_int_equal(w.slots[i], 3);
        assert_int_equal(allocator_begin(a, w.jobs, 4, NULL), ST_OK);
        for (uint64_t id = 1; id <= 4; id++)
            assert_float_equal(allocator_share(a, id), 0.25, 1e-12);
        allocator_close(&a);
    }
}

/* A fall of the accuracy is what can be won back: the group that drifted gets most. */
static void test_compute_follows_the_drift(void **state)
{
    (void)state;
    struct world w;
    struct allocator *a = open_rule(ALLOCATOR_ATTUNE, 0, 12);
    draw_world(&w, 3, 5);
    for (int i = 0; i < 3; i++) {
        w.jobs[i].members = 1;
        w.jobs[i].accuracy = 0.5;
        w.potential[i] = 0;
    }
    for (int k = 0; k < 3; k++)
        run_window(a, &w, 0.8);
    memset(w.slots, 0, sizeof w.slots);
    w.jobs[1].accuracy -= 0.3;
    w.potential[1] = 0.3;
    run_window(a, &w, 0.8);
    assert_int_equal(w.slots[0], 1);
    assert_int_equal(w.slots[1], 10);
    assert_int_equal(w.slots[2], 1);
    allocator_close(&a);
}

static void test_bad_input(void **state)
{
    (void)state;
    struct allocator *a = open_rule(ALLOCATOR_ECCO, 1, 4), *b = NULL;
    struct allocator_job twice[] = {{.id = 2, .members = 1}, {.id = 2, .members = 1}};
    struct allocator_settings s;
    assert_int_equal(allocator_begin(a, twice, 2, NULL), ST_INVALID);
    assert_int_equal(allocator_next(a), 0);
    allocator_trained(a, 99, 0, 1);
    allocator_observe(a, 99, 0.5);
    assert_true(allocator_share(a, 99) == 0 && isnan(allocator_gain(a, 99)));
    allocator_close(&a);
    allocator_settings_init(&s);
    s.slots = 0;
    assert_int_equal(allocator_open(&s, &b, NULL), ST_INVALID);
    for (int r = ALLOCATOR_EQUAL; r <= ALLOCATOR_ATTUNE; r++)
        assert_int_equal(allocator_rule_parse(allocator_rule_name((enum allocator_rule)r)), r);
    assert_int_equal(allocator_rule_parse("fair"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_is_the_best_there_is),
        cmocka_unit_test(test_plan_with_more_fairness_never_lowers_the_minimum),
        cmocka_unit_test(test_plan_refuses_what_it_cannot_keep),
        cmocka_unit_test(test_no_group_starves),
        cmocka_unit_test(test_who_is_not_ready_gets_nothing),
        cmocka_unit_test(test_windows_with_more_fairness_never_lower_the_minimum),
        cmocka_unit_test(test_equal_groups_share_equally),
        cmocka_unit_test(test_compute_follows_the_drift),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
