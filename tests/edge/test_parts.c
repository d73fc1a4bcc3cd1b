/* The camera's small parts: sampler, latency meter, hand-off queue, scorer. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "edge/handoff.h"
#include "edge/meter.h"
#include "edge/sampler.h"
#include "task/scorer.h"

static void sampler_keeps_the_rate(void **state)
{
    (void)state;
    const double rates[] = {0.1, 0.5, 1, 3, 7.5};
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        struct sampler s;
        sampler_init(&s, rates[r]);
        struct rng rng;
        rng_init(&rng, r, 0);
        uint64_t period_us = (uint64_t)(1e6 / rates[r]), last_us = 0;
        int taken = 0;
        for (uint64_t frame = 0; frame < 3000; frame++) { /* 200 s at 15 fps, jittered */
            uint64_t now_us = 1000000 + frame * 66667 + rng_below(&rng, 20000);
            if (!sampler_take(&s, now_us))
                continue;
            if (taken > 0) { /* a slot later, give or take a frame and its jitter */
                assert_true(now_us - last_us + 90000 > period_us);
                assert_true(now_us - last_us < period_us + 90000);
            }
            last_us = now_us;
            taken++;
        }
        assert_true(fabs(taken - 200 * rates[r]) <= 1);
    }
}

static void sampler_follows_changes_and_gaps(void **state)
{
    (void)state;
    struct sampler s;
    sampler_init(&s, 0.1);
    assert_true(sampler_take(&s, 0));
    assert_false(sampler_take(&s, 9999999));
    assert_true(sampler_take(&s, 10000000));
    sampler_set_rate(&s, 1); /* counted from the last one taken */
    assert_false(sampler_take(&s, 10900000));
    assert_true(sampler_take(&s, 11000000));
    assert_true(sampler_take(&s, 100000000)); /* a gap: one frame, no burst */
    assert_false(sampler_take(&s, 100100000));
    assert_true(sampler_take(&s, 50)); /* the clock went back */
    assert_false(sampler_take(&s, 100));
    sampler_set_rate(&s, NAN);
    assert_true(s.rate_fps == SAMPLER_FPS_MIN);
    sampler_set_rate(&s, 1e9);
    assert_true(s.rate_fps == SAMPLER_FPS_MAX);
    sampler_set_rate(&s, -1);
    assert_true(s.rate_fps == SAMPLER_FPS_MIN);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void meter_is_close_to_sorting(void **state)
{
    (void)state;
    enum { N = 5000 };
    static uint64_t values[N];
    static struct meter m;
    meter_init(&m);
    assert_int_equal(meter_percentile(&m, 0.5), 0);
    struct rng rng;
    rng_init(&rng, 1, 0);
    for (int i = 0; i < N; i++) {
        values[i] = rng_u64(&rng) >> rng_below(&rng, 64);
        meter_add(&m, values[i]);
    }
    qsort(values, N, sizeof values[0], by_value);
    const double fractions[] = {0.01, 0.25, 0.5, 0.9, 0.95, 0.999, 1};
    for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++) {
        double exact = (double)values[(int)ceil(fractions[i] * N) - 1];
        double got = (double)meter_percentile(&m, fractions[i]);
        assert_true(got >= exact * (1 - 1e-12) && got <= exact * 1.0626);
    }
    assert_true(m.max_us == values[N - 1] && meter_percentile(&m, 1) == m.max_us);
    struct meter one;
    meter_init(&one);
    meter_add(&one, UINT64_MAX);
    assert_true(meter_percentile(&one, 0.5) == UINT64_MAX);
}

static void give(struct handoff *h, int v)
{
    *(int *)handoff_begin(h) = v;
    handoff_commit(h);
}

static int take(struct handoff *h)
{
    const int *v = handoff_take(h, 0);
    if (!v)
        return -1;
    int copy = *v;
    handoff_release(h);
    return copy;
}

static void handoff_drops_the_oldest(void **state)
{
    (void)state;
    struct handoff *h = NULL;
    struct error err;
    assert_int_equal(handoff_open(3, sizeof(int), &h, &err), ST_OK);
    assert_int_equal(take(h), -1);
    give(h, 1);
    give(h, 2);
    assert_int_equal(take(h), 1);
    const int *held = handoff_take(h, 0); /* the taker is slow */
    assert_int_equal(*held, 2);
    for (int i = 3; i <= 20; i++)
        give(h, i);
    assert_int_equal(*held, 2); /* what it holds stays whole */
    handoff_release(h);
    assert_int_equal(handoff_dropped(h), 15);
    assert_int_equal(take(h), 18);
    assert_ptr_equal(handoff_begin(h), handoff_begin(h));
    handoff_stop(h);
    assert_int_equal(take(h), 19); /* stopped, but not empty */
    assert_int_equal(take(h), 20);
    assert_null(handoff_take(h, UINT64_MAX)); /* does not wait for ever */
    assert_true(handoff_stopped(h));
    handoff_close(&h);
    assert_null(h);
}

enum { GIVEN = 20000 };

static void *give_many(void *context)
{
    struct handoff *h = context;
    for (uint32_t i = 1; i <= GIVEN; i++) {
        uint32_t *item = handoff_begin(h);
        for (int k = 0; k < 16; k++)
            item[k] = i;
        handoff_commit(h);
    }
    handoff_stop(h);
    return NULL;
}

static void handoff_never_tears(void **state)
{
    (void)state;
    struct handoff *h = NULL;
    struct error err;
    assert_int_equal(handoff_open(4, 16 * sizeof(uint32_t), &h, &err), ST_OK);
    pthread_t giver;
    assert_int_equal(pthread_create(&giver, NULL, give_many, h), 0);
    uint32_t last = 0, taken = 0;
    const uint32_t *item;
    while ((item = handoff_take(h, clock_mono_us() + 5000000))) {
        assert_true(item[0] > last); /* in order */
        for (int k = 1; k < 16; k++)
            assert_int_equal(item[k], item[0]);
        last = item[0];
        taken++;
        handoff_release(h);
    }
    pthread_join(giver, NULL);
    assert_int_equal(last, GIVEN);
    assert_int_equal(taken + handoff_dropped(h), GIVEN);
    handoff_close(&h);
}

static void scorer_slides(void **state)
{
    (void)state;
    struct scorer *s = NULL;
    struct error err;
    struct score got;
    assert_int_equal(scorer_open(TASK_SEGMENT, 3, 4, &s, &err), ST_OK);
    scorer_window(s, 0, &got);
    assert_true(isnan(got.adapted) && got.frames == 0);
    const uint8_t truth[4] = {0, 0, 1, 1}, right[4] = {0, 0, 1, 1}, half[4] = {0, 1, 1, 1};
    /* half: class 0 has 1 of 2, class 1 has 2 of 3; the mean is 7/12. */
    for (uint64_t t = 0; t < 6; t++)
        scorer_add(s, t * 1000000, truth, t < 4 ? half : right, half, 4);
    scorer_window(s, 2000000, &got); /* seconds 4 and 5 */
    assert_int_equal(got.frames, 2);
    assert_true(fabs(got.adapted - 1) < 1e-12);
    assert_true(fabs(got.unadapted - 7.0 / 12) < 1e-12);
    scorer_window(s, 0, &got); /* the ring's four: two of half, two right */
    assert_int_equal(got.frames, 4);
    assert_true(fabs(got.adapted - (6.0 / 8 + 8.0 / 10) / 2) < 1e-12);
    scorer_total(s, &got);
    assert_int_equal(got.frames, 6);
    assert_true(fabs(got.adapted - (8.0 / 12 + 12.0 / 16) / 2) < 1e-12);
    scorer_close(&s);
}

/* Crops of one picture have its time: they are sampled together and scored as one frame. */
static void crops_of_a_picture_go_together(void **state)
{
    (void)state;
    struct sampler p;
    sampler_init(&p, 0.5);
    int taken[6] = {0};
    for (int second = 0; second < 6; second++)
        for (int crop = 0; crop < 3; crop++)
            taken[second] += sampler_take(&p, (uint64_t)second * 1000000);
    for (int second = 0; second < 6; second++)
        assert_int_equal(taken[second], second % 2 ? 0 : 3);
    struct scorer *s = NULL;
    struct score got;
    assert_int_equal(scorer_open(TASK_CLASSIFY, 3, 4, &s, NULL), ST_OK);
    const uint8_t truth[3] = {0, 1, 2}, right[3] = {0, 1, 2}, wrong[3] = {1, 1, 1};
    for (uint64_t t = 1; t <= 6; t++)
        for (int i = 0; i < 3; i++)
            scorer_add(s, t * 1000000, &truth[i], t > 4 ? &right[i] : &wrong[i], &wrong[i], 1);
    scorer_window(s, 0, &got); /* the ring's four pictures: two right, two a third */
    assert_int_equal(got.frames, 4);
    assert_true(fabs(got.adapted - (3 + 3 + 1 + 1) / 12.0) < 1e-12);
    assert_true(fabs(got.unadapted - 1 / 3.0) < 1e-12);
    scorer_total(s, &got);
    assert_int_equal(got.frames, 6);
    assert_true(fabs(got.adapted - (2 * 3 + 4) / 18.0) < 1e-12);
    scorer_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sampler_keeps_the_rate),
        cmocka_unit_test(sampler_follows_changes_and_gaps),
        cmocka_unit_test(meter_is_close_to_sorting),
        cmocka_unit_test(handoff_drops_the_oldest),
        cmocka_unit_test(handoff_never_tears),
        cmocka_unit_test(scorer_slides),
        cmocka_unit_test(crops_of_a_picture_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
