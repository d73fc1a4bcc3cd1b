/* ADWIN against one that keeps every value and works everything out anew, and what both detectors
 * promise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "drift/change.h"

#define VALUES_MAX 20000

/* The window as values, and the sizes of its buckets from the oldest. */
struct plain {
    double delta, value[VALUES_MAX];
    int begin, end;
    int size[256], buckets;
};

static void plain_insert(struct plain *p, double v)
{
    p->value[p->end++] = v;
    p->size[p->buckets++] = 1;
    for (int size = 1;; size *= 2) {
        int first = -1, n = 0;
        for (int i = 0; i < p->buckets; i++)
            if (p->size[i] == size) {
                first = first < 0 ? i : first;
                n++;
            }
        if (n <= ADWIN_ROW)
            return;
        p->size[first] *= 2;
        p->buckets--;
        memmove(p->size + first + 1, p->size + first + 2,
                (size_t)(p->buckets - first - 1) * sizeof *p->size);
    }
}

static double plain_mean(const struct plain *p, int from, int to)
{
    double sum = 0;
    for (int i = from; i < to; i++)
        sum += p->value[i];
    return sum / (to - from);
}

static bool plain_is_cut(const struct plain *p)
{
    int n = p->end - p->begin, old = 0;
    double mean = plain_mean(p, p->begin, p->end), variance = 0;
    for (int i = p->begin; i < p->end; i++)
        variance += (p->value[i] - mean) * (p->value[i] - mean) / n;
    for (int i = 0; i < p->buckets; i++) {
        old += p->size[i];
        if (old < ADWIN_PART_MIN || n - old < ADWIN_PART_MIN)
            continue;
        double m = 1 / (1.0 / old + 1.0 / (n - old)), d = p->delta / log(n);
        double eps = sqrt(2 / m * variance * log(2 / d)) + 2 / (3 * m) * log(2 / d);
        double a = plain_mean(p, p->begin, p->begin + old);
        double b = plain_mean(p, p->begin + old, p->end);
        if (fabs(a - b) > eps)
            return true;
    }
    return false;
}

static bool plain_add(struct plain *p, double v)
{
    bool cut = false;
    plain_insert(p, v);
    while (plain_is_cut(p)) {
        cut = true;
        p->begin += p->size[0];
        p->buckets--;
        memmove(p->size, p->size + 1, (size_t)p->buckets * sizeof *p->size);
    }
    return cut;
}

static double draw(struct rng *r, double mean, double spread)
{
    return fmin(fmax(mean + spread * (double)rng_normal(r), 0), 1);
}

static void test_adwin_is_the_plain_one(void **state)
{
    (void)state;
    static struct plain p;
    int cuts = 0;
    for (int seed = 0; seed < 6; seed++) {
        struct rng r;
        struct adwin a;
        struct change c;
        double mean = 0.5;
        rng_init(&r, (uint64_t)seed, 1);
        memset(&p, 0, sizeof p);
        p.delta = 0.01;
        adwin_init(&a, p.delta);
        for (int i = 0; i < 1500; i++) {
            if (rng_below(&r, 150) == 0)
                mean = (double)rng_float(&r);
            double v = draw(&r, mean, 0.1);
            bool cut = adwin_add(&a, v, &c);
            assert_int_equal(plain_add(&p, v), cut);
            assert_int_equal(a.count, p.end - p.begin);
            assert_true(fabs(adwin_mean(&a) - plain_mean(&p, p.begin, p.end)) < 1e-9);
            cuts += cut;
        }
    }
    assert_true(cuts > 20);
}

static void test_means_before_and_after(void **state)
{
    (void)state;
    struct adwin a;
    struct change c = {0};
    int at = -1;
    adwin_init(&a, 0.002);
    for (int i = 0; i < 200 && at < 0; i++)
        if (adwin_add(&a, i < 100 ? 0.75 : 0.25, &c))
            at = i;
    assert_true(at > 100 && at < 125);
    assert_true(fabs(c.before - 0.75) < 0.02 && fabs(c.after - 0.25) < 0.1);
    assert_true(c.since <= (uint64_t)(at - 99) + 8);
}

/* The chance of a cut at a value of an unchanging stream is at most delta; over a whole stream it
 * is far less than the sum of them all. */
static void test_adwin_seldom_errs(void **state)
{
    (void)state;
    const int streams = 40, length = 1000;
    int cuts = 0;
    for (int s = 0; s < streams; s++) {
        struct rng r;
        struct adwin a;
        struct change c;
        rng_init(&r, 77, (uint64_t)s);
        adwin_init(&a, 0.05);
        for (int i = 0; i < length; i++)
            cuts += adwin_add(&a, rng_float(&r) < 0.3f ? 1 : 0, &c);
    }
    assert_true(cuts <= 0.05 * streams * length / 10);
}

static void test_adwin_stays_small(void **state)
{
    (void)state;
    struct rng r;
    struct adwin a;
    struct change c;
    rng_init(&r, 3, 0);
    adwin_init(&a, 1e-6);
    for (int i = 0; i < 300000; i++)
        adwin_add(&a, draw(&r, 0.5, 0.1), &c);
    assert_true(a.rows <= ADWIN_ROWS_MAX && a.count > 100000);
    uint64_t n = 0;
    for (int row = 0; row < a.rows; row++) {
        assert_in_range(a.filled[row], 0, ADWIN_ROW);
        n += (uint64_t)a.filled[row] << row;
    }
    assert_int_equal(n, a.count);
}

static void test_page_hinkley(void **state)
{
    (void)state;
    struct page_hinkley p;
    struct change c = {0};
    int at = -1;
    page_hinkley_init(&p, 0.025, 0.5, 10);
    for (int i = 0; i < 200 && at < 0; i++)
        if (page_hinkley_add(&p, i < 100 ? 0.8 : 0.5, &c))
            at = i;
    /* By hand: after k values of 0.5 the mean is (80 + 0.5 k) / (100 + k); the excess reaches 0.5
     * with the second: 0.272 + 0.269. */
    assert_int_equal(at, 101);
    assert_true(fabs(c.before - 0.8) < 1e-9 && fabs(c.after - 0.5) < 1e-9);
    assert_int_equal(c.since, 2);
    /* A rise is none, nor is a fall within the slack. */
    page_hinkley_init(&p, 0.025, 0.5, 10);
    for (int i = 0; i < 400; i++)
        assert_false(page_hinkley_add(&p, i < 200 ? 0.5 : 0.9, &c));
    page_hinkley_init(&p, 0.025, 0.5, 10);
    for (int i = 0; i < 400; i++)
        assert_false(page_hinkley_add(&p, i < 200 ? 0.5 : 0.49, &c));
    /* Not before there is something to compare with. */
    page_hinkley_init(&p, 0.025, 0.5, 10);
    for (int i = 0; i < 9; i++)
        assert_false(page_hinkley_add(&p, i < 5 ? 1 : 0, &c));
    assert_true(page_hinkley_add(&p, 0, &c));
}

static void test_falls_of_accuracy(void **state)
{
    (void)state;
    static const enum change_detector both[] = {CHANGE_ADWIN, CHANGE_PAGE_HINKLEY};
    for (int k = 0; k < 2; k++) {
        struct accuracy_watch w;
        struct change c = {0};
        struct rng r;
        int falls = 0, first = 0;
        rng_init(&r, 5, (uint64_t)k);
        accuracy_watch_init(&w, both[k], 0.05);
        for (int i = 0; i < 900; i++) {
            double mean = i < 300 ? 0.6 : i < 600 ? 0.8 : 0.5; /* better, then worse */
            bool fell = accuracy_watch_add(&w, i % 50 == 7 ? NAN : draw(&r, mean, 0.04), &c);
            first = fell && !falls ? i : first;
            falls += fell;
        }
        assert_int_equal(falls, 1);
        assert_in_range(first, 600, k == 0 ? 640 : 610); /* ADWIN needs 2 / (3 m) ln(2 / d) < 0.3 */
        assert_true(c.before - c.after > 0.05);
    }
    struct accuracy_watch w;
    struct change c;
    accuracy_watch_init(&w, CHANGE_OFF, 0.05);
    for (int i = 0; i < 100; i++)
        assert_false(accuracy_watch_add(&w, i < 50 ? 1 : 0, &c));
    assert_int_equal(change_detector_parse("page-hinkley"), CHANGE_PAGE_HINKLEY);
    assert_int_equal(change_detector_parse("cusum"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adwin_is_the_plain_one),
        cmocka_unit_test(test_means_before_and_after),
        cmocka_unit_test(test_adwin_seldom_errs),
        cmocka_unit_test(test_adwin_stays_small),
        cmocka_unit_test(test_page_hinkley),
        cmocka_unit_test(test_falls_of_accuracy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
