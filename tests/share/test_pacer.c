/* The pacer and the throttle in virtual time: a worker whose steps take any time at all gets its
 * share of every period, and a change counts within a second. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "share/throttle.h"

#define SECOND_US 1000000.0

/* A process with `threads` threads on processors of its own, in virtual time. */
struct worker {
    struct share_page page;
    struct throttle throttle;
    uint64_t now_us, used_us;
    int threads;
    uint64_t change_us; /* at this time the share becomes change_share; 0: never */
    double change_share;
};

static void change_if_due(struct worker *w)
{
    if (w->change_us && w->now_us >= w->change_us) {
        share_page_set(&w->page, w->change_share);
        w->change_us = 0;
    }
}

static uint64_t now_us(void *context)
{
    return ((struct worker *)context)->now_us;
}

static uint64_t used_us(void *context)
{
    return ((struct worker *)context)->used_us;
}

static void sleep_until(void *context, uint64_t until_us)
{
    struct worker *w = context;
    assert_true(until_us > w->now_us);
    w->now_us = until_us;
    change_if_due(w);
}

static void worker_init(struct worker *w, double share, int threads)
{
    *w = (struct worker){.now_us = 12345, .threads = threads};
    share_page_set(&w->page, share);
    w->page.paced = true;
    struct throttle_clock clock = {w, now_us, used_us, sleep_until};
    throttle_init(&w->throttle, &w->page, &clock);
}

static void step(struct worker *w, uint64_t wall_us)
{
    w->now_us += wall_us;
    w->used_us += wall_us * (uint64_t)w->threads;
    change_if_due(w);
    throttle_step(&w->throttle);
}

static void use_is_the_share_whatever_a_step_takes(void **state)
{
    (void)state;
    static const double shares[] = {0.02, 0.3, 0.7, 1, 1.4, 3.9};
    static const uint64_t steps_us[] = {100, 7000, 90000, 450000, 2500000};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        for (size_t k = 0; k < sizeof steps_us / sizeof *steps_us; k++) {
            struct worker w;
            worker_init(&w, shares[i], 4);
            uint64_t start_us = w.now_us;
            for (int n = 0; n < 400; n++) {
                step(&w, steps_us[k]);
                /* Never more than the share of the time that has passed: the step is paid for. */
                double most = shares[i] * (double)(w.now_us - start_us);
                assert_true((double)w.used_us <= most + 1);
            }
            double got = (double)w.used_us / (double)(w.now_us - start_us);
            assert_true(fabs(got - shares[i]) < 0.01 * shares[i]);
        }
}

/* Steps of random length, a worker that cannot use its share: it never waits. */
static void who_uses_less_never_waits(void **state)
{
    (void)state;
    struct worker w;
    struct rng rng;
    rng_init(&rng, 7, 0);
    worker_init(&w, 1.5, 1);
    for (int n = 0; n < 1000; n++)
        step(&w, 1 + rng_below(&rng, 300000));
    assert_int_equal(w.throttle.waited_us, 0);
}

/* In any second that begins half a second after a change, use is within a step of the new share. */
static void change_to(double before, double after, uint64_t step_us, uint64_t change_us)
{
    struct worker w;
    worker_init(&w, before, 1);
    w.change_us = change_us;
    w.change_share = after;
    while (w.change_us)
        step(&w, step_us);
    /* The step during which it changed counts at the new share; so does what was left of a wait. */
    assert_true(w.now_us <= change_us + step_us + 600000);
    uint64_t start_us = w.now_us, start_used_us = w.used_us;
    while (w.now_us < start_us + 5000000)
        step(&w, step_us);
    double used = (double)(w.used_us - start_used_us), want = after * (double)(w.now_us - start_us);
    assert_true(fabs(used - want) <= (double)step_us + 0.5 * SECOND_US * after);
}

static void a_change_counts_at_once(void **state)
{
    (void)state;
    static const uint64_t steps_us[] = {1000, 40000, 200000, 2000000};
    for (size_t k = 0; k < sizeof steps_us / sizeof *steps_us; k++)
        for (uint64_t at_us = 3000000; at_us < 8000000; at_us += 333333) {
            change_to(0.3, 0.7, steps_us[k], at_us);
            change_to(0.7, 0.3, steps_us[k], at_us);
            change_to(0.02, 0.9, steps_us[k], at_us); /* a wait of minutes is cut short */
        }
}

static void idle_time_is_not_saved_up(void **state)
{
    (void)state;
    struct worker w;
    worker_init(&w, 0.25, 1);
    w.now_us += 3600000000u;
    step(&w, 1000);
    uint64_t start_us = w.now_us, before_us = w.used_us;
    while (w.throttle.waited_us == 0)
        step(&w, 1000);
    double most = 0.25 * ((double)(w.now_us - start_us) + PACER_CREDIT_US);
    assert_true((double)(w.used_us - before_us) <= most + 1);
}

static void without_a_page_or_unpaced_nobody_waits(void **state)
{
    (void)state;
    struct worker w;
    struct throttle t;
    worker_init(&w, 0.02, 1);
    w.page.paced = false;
    for (int n = 0; n < 100; n++)
        step(&w, 50000);
    assert_int_equal(w.throttle.waited_us, 0);
    /* The kernel's quota was lifted and pacing took over. */
    w.page.paced = true;
    step(&w, 50000);
    assert_true(w.throttle.waited_us > 0);
    throttle_init(&t, NULL, NULL);
    throttle_step(&t);
    throttle_clear(&t);
}

static void the_page_comes_by_the_environment(void **state)
{
    (void)state;
    struct share_page *page;
    struct throttle t;
    struct error err;
    int fd;
    char text[16];
    assert_int_equal(throttle_open(&t, &err), ST_OK);
    assert_null(t.page);
    assert_int_equal(share_page_open(&page, &fd, &err), ST_OK);
    share_page_set(page, 0.35);
    int own = dup(fd);
    snprintf(text, sizeof text, "%d", own);
    setenv(THROTTLE_ENVIRONMENT, text, 1);
    assert_int_equal(throttle_open(&t, &err), ST_OK);
    assert_null(getenv(THROTTLE_ENVIRONMENT));
    assert_int_equal(fcntl(own, F_GETFD), -1);
    assert_int_equal(t.page->share_millionths, 350000);
    share_page_set(page, 0.8);
    assert_int_equal(t.page->share_millionths, 800000);
    throttle_clear(&t);
    share_page_close(&page, &fd);
    static const char *const wrong[] = {"", "x", "-1", "999", "3x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv(THROTTLE_ENVIRONMENT, wrong[i], 1);
        assert_int_equal(throttle_open(&t, &err), ST_INVALID);
    }
    unsetenv(THROTTLE_ENVIRONMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(use_is_the_share_whatever_a_step_takes),
        cmocka_unit_test(who_uses_less_never_waits),
        cmocka_unit_test(a_change_counts_at_once),
        cmocka_unit_test(idle_time_is_not_saved_up),
        cmocka_unit_test(without_a_page_or_unpaced_nobody_waits),
        cmocka_unit_test(the_page_comes_by_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
