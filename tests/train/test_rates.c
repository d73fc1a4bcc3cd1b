/* Sampling rate, training rate, round robin and gate against values computed by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "gate/gate.h"
#include "train/asr.h"
#include "train/atr.h"
#include "train/round_robin.h"

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-9))
        print_message("got %.12f want %.12f\n", got, want);
    assert_true(fabs(got - want) < 1e-9);
}

static void asr_by_hand(void **state)
{
    (void)state;
    struct asr_options o;
    asr_options_init(&o);
    near(asr_rate(&o, 0.5, 0.6), 0.5); /* the fixed point */
    /* tanh(20 * 0.05) = tanh(1) = 0.761594155956 */
    near(asr_rate(&o, 0.5, 0.65), 0.5 - 0.2 * 0.761594155956);
    near(asr_rate(&o, 0.5, 0.55), 0.5 + 0.2 * 0.761594155956);
    near(asr_rate(&o, 0.15, 1), 0.1);
    near(asr_rate(&o, 0.95, 0), 1);
    near(asr_rate(&o, 0.7, NAN), 0.7);
    near(asr_rate(&o, 3, NAN), 1);
    double last = 2;
    for (int i = 0; i <= 1000; i++) { /* monotone in S, bounded, small steps */
        double r = asr_rate(&o, 0.55, i / 1000.0);
        assert_true(r <= last && r >= 0.1 && r <= 1 && fabs(r - 0.55) <= 0.2);
        last = r;
    }
}

static void similarity_by_hand(void **state)
{
    (void)state;
    uint8_t pa[8] = {0, 0, 0, 0, 1, 1, 2, 255}, pb[8] = {0, 0, 1, 1, 1, 1, 3, 0};
    struct label_map a = {4, 2, pa}, b = {4, 2, pb};
    /* 0: 2 of 4; 1: 2 of 4; 2: 0 of 1; 3: 0 of 1; the 255 is not counted */
    near(asr_similarity(TASK_SEGMENT, &a, &b, 4, NULL), (0.5 + 0.5 + 0 + 0) / 4);
    const uint8_t chosen[4] = {1, 1, 0, 1}; /* the pixel 2 -> 3 goes, and class 3 with it */
    near(asr_similarity(TASK_SEGMENT, &a, &b, 4, chosen), 0.5);
    near(asr_similarity(TASK_SEGMENT, &a, &a, 4, NULL), 1);
    assert_true(isnan(asr_similarity(TASK_SEGMENT, &a, &b, 4, (uint8_t[4]){0})));
    struct label_map other = {2, 4, pb};
    assert_true(isnan(asr_similarity(TASK_SEGMENT, &a, &other, 4, NULL)));
    struct label_map run[3] = {a, b, b};
    near(asr_mean_similarity(TASK_SEGMENT, run, 3, 4, NULL), (0.25 + 1) / 2);
    assert_true(isnan(asr_mean_similarity(TASK_SEGMENT, run, 1, 4, NULL)));
    assert_true(isnan(asr_mean_similarity(TASK_SEGMENT, run, 0, 4, NULL)));
}

static void atr_reaches_the_cap_and_wakes(void **state)
{
    (void)state;
    struct atr_options o;
    atr_options_init(&o);
    struct atr a;
    atr_init(&a, &o);
    for (int i = 0; i < 7; i++)
        assert_int_equal(atr_update(&a, 1.0), 10000000);
    /* Means of 1 and 0.1: 0.82, 0.64, 0.46, 0.28, 0.1: the fifth hibernates. */
    for (int i = 0; i < 4; i++)
        assert_int_equal(atr_update(&a, 0.1), 10000000);
    for (int i = 1; i <= 24; i++)
        assert_int_equal(atr_update(&a, 0.1), 10000000 + i * 2000000);
    assert_int_equal(atr_update(&a, 0.1), 60000000); /* the 25th */
    for (int i = 0; i < 10; i++)
        assert_int_equal(atr_update(&a, 0.1), 60000000);
    /* 0.28 is between the thresholds: still asleep. Then 0.46: awake. */
    assert_int_equal(atr_update(&a, 1.0), 60000000);
    assert_true(a.hibernating);
    assert_int_equal(atr_update(&a, 1.0), 10000000);
    assert_false(a.hibernating);
    struct atr b;
    atr_init(&b, &o);
    for (int i = 1; i <= 25; i++) /* from T0, 25 slow phases */
        assert_int_equal(atr_update(&b, 0.2), 10000000 + i * 2000000);
    assert_int_equal(atr_update(&b, 0.2), 60000000);
}

static void round_robin_is_fair(void **state)
{
    (void)state;
    struct round_robin r;
    assert_int_equal(round_robin_init(&r, 0, NULL), ST_INVALID);
    assert_int_equal(round_robin_init(&r, 5, NULL), ST_OK);
    assert_true(round_robin_due_us(&r) == UINT64_MAX);
    for (uint32_t id = 0; id < 5; id++)
        assert_int_equal(round_robin_add(&r, 10 + id, 10, 0, NULL), ST_OK);
    assert_int_equal(round_robin_add(&r, 10, 10, 0, NULL), ST_CONFLICT);
    assert_int_equal(round_robin_add(&r, 99, 10, 0, NULL), ST_LIMIT);
    /* Overload: a turn takes 4, the period is 10: everyone still gets the same number. */
    int turns[5] = {0};
    uint64_t late;
    uint32_t id;
    for (uint64_t now = 0; now < 4000; now += 4) {
        assert_true(round_robin_next(&r, now, &id, &late));
        turns[id - 10]++;
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(turns[i], 200);
    assert_int_equal(late, 10); /* five turns of 4 against a period of 10 */
    round_robin_clear(&r);
}

static void round_robin_skips_and_counts(void **state)
{
    (void)state;
    struct round_robin r;
    assert_int_equal(round_robin_init(&r, 4, NULL), ST_OK);
    uint64_t late;
    uint32_t id = 77;
    assert_false(round_robin_next(&r, 5, &id, &late));
    assert_int_equal(round_robin_add(&r, 1, 100, 50, NULL), ST_OK);
    assert_int_equal(round_robin_add(&r, 2, 100, 20, NULL), ST_OK);
    assert_int_equal(round_robin_add(&r, 3, 100, 20, NULL), ST_OK);
    assert_false(round_robin_next(&r, 19, &id, &late));
    assert_int_equal(id, 77);
    assert_int_equal(round_robin_due_us(&r), 20);
    assert_true(round_robin_next(&r, 27, &id, &late));
    assert_true(id == 2 && late == 7);
    assert_true(round_robin_set_period(&r, 3, 5));
    assert_false(round_robin_set_period(&r, 9, 5));
    assert_true(round_robin_next(&r, 60, &id, &late));
    assert_true(id == 3 && late == 40);
    assert_true(round_robin_next(&r, 65, &id, &late)); /* 3 is due at 65 too, 1 comes first */
    assert_true(id == 1 && late == 15);
    assert_true(round_robin_remove(&r, 1));
    assert_false(round_robin_remove(&r, 1));
    assert_true(round_robin_next(&r, 65, &id, &late));
    assert_true(id == 3 && late == 0);
    assert_true(round_robin_set_period(&r, 2, UINT64_MAX));
    assert_true(round_robin_next(&r, 500, &id, &late));
    assert_int_equal(id, 2);
    assert_true(round_robin_next(&r, 500, &id, &late));
    assert_int_equal(id, 3);
    assert_false(round_robin_next(&r, 500, &id, &late)); /* never again, not at once */
    round_robin_clear(&r);
}

/* Nine pixels of a common class improve, the one of a rare class is lost: the mean over classes
 * falls, the frequency-weighted one rises. */
static void gate_metrics_differ_on_rare_classes(void **state)
{
    (void)state;
    const uint8_t truth[10] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const uint8_t before[10] = {0, 0, 0, 0, 0, 0, 0, 2, 2, 1};
    const uint8_t after[10] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    struct confusion candidate, current;
    confusion_init(&candidate, 3);
    confusion_init(&current, 3);
    confusion_add(&candidate, truth, after, 10);
    confusion_add(&current, truth, before, 10);
    struct gate_options o;
    gate_options_init(&o);
    struct gate_decision d;
    gate_decide(&o, &candidate, &current, 1, &d);
    assert_true(d.accepted);
    near(d.candidate, 0.9);
    near(d.current, 0.9 * 7 / 9 + 0.1);
    o.metric = GATE_MIOU;
    gate_decide(&o, &candidate, &current, 1, &d);
    assert_false(d.accepted);
    near(d.candidate, 1.0 / 3);
    near(d.current, (7.0 / 9 + 1) / 3);
}

static void gate_wants_at_least_as_good(void **state)
{
    (void)state;
    struct gate_options o;
    gate_options_init(&o);
    struct confusion good, bad, none;
    confusion_init(&good, 2);
    confusion_init(&bad, 2);
    confusion_init(&none, 2);
    const uint8_t truth[4] = {0, 0, 1, 1}, wrong[4] = {0, 1, 1, 1};
    confusion_add(&good, truth, truth, 4);
    confusion_add(&bad, truth, wrong, 4);
    struct gate_decision d;
    gate_decide(&o, &good, &bad, 2, &d);
    assert_true(d.accepted && d.candidate == 1 && d.frames == 2);
    near(d.current, (1.0 / 2 + 2.0 / 3) / 2);
    gate_decide(&o, &bad, &good, 2, &d);
    assert_false(d.accepted);
    assert_non_null(strstr(d.reason, "below"));
    gate_decide(&o, &bad, &bad, 2, &d);
    assert_true(d.accepted); /* equal: the newer data wins */
    o.margin = 0.01;
    gate_decide(&o, &bad, &bad, 2, &d);
    assert_false(d.accepted);
    gate_decide(&o, &good, &bad, 0, &d);
    assert_false(d.accepted);
    gate_decide(&o, &none, &none, 2, &d);
    assert_false(d.accepted);
    assert_true(isnan(d.candidate));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asr_by_hand),
        cmocka_unit_test(similarity_by_hand),
        cmocka_unit_test(atr_reaches_the_cap_and_wakes),
        cmocka_unit_test(round_robin_is_fair),
        cmocka_unit_test(round_robin_skips_and_counts),
        cmocka_unit_test(gate_wants_at_least_as_good),
        cmocka_unit_test(gate_metrics_differ_on_rare_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
