/* What cameras send: groups have their part of the labels, members divide it, bandwidth follows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "uplink/sending.h"

#define NEAR 1e-12

static void expect_near(double a, double b, double within)
{
    assert_true(fabs(a - b) <= within);
}

static struct sending_rules rules(double by_share, bool weighted)
{
    return (struct sending_rules){.by_share = by_share,
                                  .weighted = weighted,
                                  .total_fps = 2,
                                  .trainable_fps = INFINITY,
                                  .fps_min = 0.05,
                                  .fps_max = 1};
}

/* Four cameras, one group of three that has half of the compute. */
static void a_group_has_its_part(void **state)
{
    (void)state;
    static const struct sending_group groups[] = {{3, 0.5}, {1, 0.5}};
    struct sending_member m[2];
    struct sending_rules r = rules(1, true);
    sending_divide(&r, groups, 2, m);
    expect_near(m[0].fps, 2 * 0.5 / 3, NEAR);
    expect_near(m[1].fps, 1, NEAR);
    expect_near(m[1].weight / m[0].weight, 3, NEAR);
    expect_near((3 * m[0].weight + m[1].weight) / 4, 1, NEAR);
    r.weighted = false;
    sending_divide(&r, groups, 2, m);
    assert_true(m[0].weight == 1 && m[1].weight == 1);
    expect_near(m[0].fps, 2 * 0.5 / 3, NEAR);
    r = rules(0, true);
    sending_divide(&r, groups, 2, m);
    expect_near(m[0].fps, 0.5, NEAR);
    expect_near(m[1].fps, 0.5, NEAR);
    expect_near(m[0].part, 0.75, NEAR);
    assert_true(m[0].weight == 1 && m[1].weight == 1);
}

/* Four cameras that send 2 a second: 0.5 each is the even part, the rest as above. */
static void a_part_of_the_frames_is_even(void **state)
{
    (void)state;
    static const struct sending_group groups[] = {{3, 0.5}, {1, 0.5}};
    struct sending_member m[2];
    struct sending_rules r = rules(0.25, true);
    sending_divide(&r, groups, 2, m);
    expect_near(m[0].fps, 0.75 * 0.5 + 0.25 * 2 * 0.5 / 3, NEAR);
    expect_near(m[1].fps, 0.75 * 0.5 + 0.25 * 1, NEAR);
    r.trainable_fps =
        0.9; /* 0.15 a member of the first: but the even part is not for training only */
    sending_divide(&r, groups, 2, m);
    expect_near(m[0].fps, 0.75 * 0.5, NEAR);
    expect_near(m[1].fps, 0.45, NEAR);
}

/* More than can be trained on is waste, whatever can be labelled. */
static void no_group_sends_more_than_it_can_use(void **state)
{
    (void)state;
    static const struct sending_group groups[] = {{2, 0.25}, {2, 0.75}};
    struct sending_member m[2];
    struct sending_rules r = rules(1, true);
    r.total_fps = 100;
    r.trainable_fps = 0.8;
    sending_divide(&r, groups, 2, m);
    expect_near(m[0].fps, 0.1, NEAR);
    expect_near(m[1].fps, 0.3, NEAR);
    r.trainable_fps = INFINITY;
    sending_divide(&r, groups, 2, m);
    assert_true(m[0].fps == 1 && m[1].fps == 1);
}

/* Whatever the parts are: rates within their bounds, weights of 1 on the average and in proportion
 * to the rates; parts that are not known are as the members. */
static void weights_are_one_on_the_average(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 7, 0);
    for (int round = 0; round < 1000; round++) {
        struct sending_group groups[8];
        struct sending_member m[8];
        int count = 1 + (int)((double)rng_float(&rng) * 8), cameras = 0;
        struct sending_rules r =
            rules(fmax(0, 2 * (double)rng_float(&rng) - 1), (double)rng_float(&rng) < 0.5);
        r.trainable_fps = (double)rng_float(&rng) < 0.5 ? INFINITY : 3 * (double)rng_float(&rng);
        for (int i = 0; i < count; i++) {
            groups[i].members = 1 + (int)((double)rng_float(&rng) * 5);
            groups[i].part = (double)rng_float(&rng) < 0.2 ? (double)NAN : (double)rng_float(&rng);
            cameras += groups[i].members;
        }
        sending_divide(&r, groups, count, m);
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += m[i].weight * groups[i].members;
            assert_true(m[i].fps >= r.fps_min && m[i].fps <= r.fps_max);
            expect_near(m[i].weight * (r.weighted ? m[0].fps : 1),
                        m[0].weight * (r.weighted ? m[i].fps : 1), 1e-9);
            if (r.by_share <= 0 || isnan(groups[i].part))
                expect_near(m[i].part, (double)groups[i].members / cameras, NEAR);
        }
        expect_near(sum / cameras, 1, 1e-9);
    }
}

/* Parts that are the whole are so of the labels, too; each lies between even and by share. */
static void labels_are_divided_whole(void **state)
{
    (void)state;
    static const struct sending_group groups[] = {{3, 0.1}, {1, 0.6}, {2, 0.3}};
    for (int k = 0; k <= 10; k++) {
        struct sending_rules r = rules(k / 10.0, true);
        struct sending_member m[3];
        double sum = 0;
        sending_divide(&r, groups, 3, m);
        for (int i = 0; i < 3; i++) {
            double even = groups[i].members / 6.0, part = r.by_share > 0 ? groups[i].part : even;
            sum += m[i].labels;
            assert_true(m[i].labels >= fmin(even, part) - NEAR);
            assert_true(m[i].labels <= fmax(even, part) + NEAR);
        }
        expect_near(sum, 1, 1e-9);
        if (k == 0)
            expect_near(m[1].labels, 1 / 6.0, NEAR);
        if (k == 10)
            expect_near(m[1].labels, 0.6, NEAR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_group_has_its_part),
                                       cmocka_unit_test(a_part_of_the_frames_is_even),
                                       cmocka_unit_test(no_group_sends_more_than_it_can_use),
                                       cmocka_unit_test(labels_are_divided_whole),
                                       cmocka_unit_test(weights_are_one_on_the_average)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
