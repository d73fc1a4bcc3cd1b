/* One link for many under the virtual clock, against what a shared link must keep: its rate, the
 * weights, and no time lost while anybody waits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "eval/shared_link.h"

#define USERS 7

static void everybody_has_a_part_by_weight(void **state)
{
    (void)state;
    struct shared_link_user u[4], *all[4];
    for (int i = 0; i < 4; i++) {
        u[i] = (struct shared_link_user){.weight = i + 1, .offered = 1e9};
        all[i] = &u[i];
    }
    shared_link_advance(1000, all, 4, 10);
    for (int i = 0; i < 4; i++)
        assert_float_equal(u[i].sent, 1e6 * (i + 1), 1);
}

/* 8 kbit at 100 kbit/s, the other 40 kbit: half each until the first is through. */
static void who_is_through_leaves_the_link_to_the_others(void **state)
{
    (void)state;
    struct shared_link_user a = {.weight = 3, .offered = 8e3}, b = {.weight = 3, .offered = 40e3};
    struct shared_link_user *both[] = {&a, &b};
    shared_link_advance(100, both, 2, 0.1);
    assert_float_equal(a.sent, 5e3, 1e-3);
    assert_float_equal(b.sent, 5e3, 1e-3);
    shared_link_advance(100, both, 2, 0.16);
    assert_float_equal(a.sent, 8e3, 1e-3);
    assert_float_equal(b.sent, 18e3, 1e-3);
    shared_link_advance(100, both, 2, 10);
    assert_float_equal(b.sent, 40e3, 1e-3);
}

static double sum_sent(struct shared_link_user *const *all)
{
    double sum = 0;
    for (int i = 0; i < USERS; i++)
        sum += all[i]->sent;
    return sum;
}

static double sum_waiting(struct shared_link_user *const *all)
{
    double sum = 0;
    for (int i = 0; i < USERS; i++)
        sum += all[i]->offered - all[i]->sent;
    return sum;
}

/* Random offers: all the rate is used while there is enough to send, never more, nobody gets more
 * than was offered, and small steps end where one large step does. */
static void the_rate_is_used_and_no_more(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 5, 0);
    for (int round = 0; round < 300; round++) {
        struct shared_link_user u[USERS], v[USERS], *one[USERS], *many[USERS];
        for (int i = 0; i < USERS; i++) {
            double offered = rng_float(&rng) < 0.3F ? 0 : 5e4 * (double)rng_float(&rng);
            u[i] = v[i] = (struct shared_link_user){.weight = 0.1 + (double)rng_float(&rng),
                                                    .offered = offered};
            one[i] = &u[i];
            many[i] = &v[i];
        }
        double dt_s = 3 * (double)rng_float(&rng), rate_kbps = 50;
        double expected = fmin(sum_waiting(one), rate_kbps * 1e3 * dt_s);
        shared_link_advance(rate_kbps, one, USERS, dt_s);
        for (int k = 0; k < 10; k++)
            shared_link_advance(rate_kbps, many, USERS, dt_s / 10);
        assert_true(fabs(sum_sent(one) - expected) < 1e-3);
        for (int i = 0; i < USERS; i++) {
            assert_true(u[i].sent <= u[i].offered);
            assert_true(fabs(u[i].sent - v[i].sent) < 1e-2);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_has_a_part_by_weight),
        cmocka_unit_test(who_is_through_leaves_the_link_to_the_others),
        cmocka_unit_test(the_rate_is_used_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
