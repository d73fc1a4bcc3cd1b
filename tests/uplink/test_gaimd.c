/* The laws that share an uplink: shares against weights in a simulated queue, loss patterns whose
 * outcome is known, and bounds under any samples. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "bottleneck.h"

/* ---- the queue from a smoothed time ---- */

static void smoothing_is_taken_off(void **state)
{
    (void)state;
    struct round_trip r;
    struct rng rng;
    double srtt = 30000;
    uint64_t acks = 1;
    rng_init(&rng, 1, 0);
    round_trip_init(&r);
    assert_true(round_trip_look(&r, 1, srtt, acks));
    for (int k = 2; k < 500; k++) {
        double sample = 20000 + 80000 * (double)rng_float(&rng);
        int count = 1 + (int)(20 * rng_float(&rng));
        for (int i = 0; i < count; i++)
            srtt += (sample - srtt) / 8;
        acks += (uint64_t)count;
        assert_true(round_trip_look(&r, (uint64_t)k * 100000, srtt, acks));
        assert_true(fabs(r.recent_us - sample) < 1);
        assert_false(round_trip_look(&r, (uint64_t)k * 100000 + 1, srtt, acks));
    }
}

static void a_longer_way_is_believed_in_the_end(void **state)
{
    (void)state;
    struct round_trip r;
    round_trip_init(&r);
    uint64_t acks = 0;
    for (uint64_t s = 1; s < 900; s++) {
        round_trip_look(&r, s * 1000000, s < 300 ? 20000 : 70000, acks += 100);
        double base = round_trip_base_s(&r);
        if (s < 300 + ROUND_TRIP_MEMORY_US / 1000000)
            assert_true(fabs(base - 0.02) < 1e-6);
        if (s > 302 + 2 * ROUND_TRIP_MEMORY_US / 1000000)
            assert_true(fabs(base - 0.07) < 1e-6);
    }
}

/* ---- shares in a queue ---- */

/* Four cameras with weights 1:2:3:4, 1 in the mean, on a link of 2 Mbit/s with a queue of 200 ms.
 */
static void usual(struct bottleneck_options *o, uint64_t seed)
{
    *o = (struct bottleneck_options){.link_kbps = 2000,
                                     .queue_bytes = 50000,
                                     .seconds = 120,
                                     .measured_from_s = 30,
                                     .sample_s = 0.1,
                                     .seed = seed,
                                     .sender_count = 4};
    gaimd_options_init(&o->law);
    for (int i = 0; i < 4; i++)
        o->senders[i] = (struct bottleneck_sender){.weight = 0.4 * (1 + i), .base_s = 0.02};
}

/* How far the furthest share is from its due, as a part of that. */
static double furthest(const struct bottleneck_options *o, const struct bottleneck_result *r)
{
    double sum = 0, weight = 0, worst = 0;
    for (int i = 0; i < o->sender_count; i++) {
        sum += r->kbps[i];
        weight += o->senders[i].weight;
    }
    for (int i = 0; i < o->sender_count; i++)
        worst = fmax(worst, fabs(r->kbps[i] / sum / (o->senders[i].weight / weight) - 1));
    return worst;
}

static void expect_shares(const struct bottleneck_options *o, double off_max, double used_min)
{
    struct bottleneck_result r;
    bottleneck_run(o, &r);
    if (furthest(o, &r) > off_max || r.used < used_min)
        fail_msg("furthest share off by %.3f, link used %.3f, queue %.0f ms, lost %.4f",
                 furthest(o, &r), r.used, r.queue_s * 1e3, r.lost);
}

static void shares_follow_weights(void **state)
{
    (void)state;
    struct bottleneck_options o;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        usual(&o, seed);
        expect_shares(&o, 0.1, 0.95);
    }
}

static void whatever_the_way_is_long(void **state)
{
    (void)state;
    struct bottleneck_options o;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        usual(&o, seed);
        for (int i = 0; i < 4; i++)
            o.senders[i].base_s = 0.01 * (1 << (3 - i));
        expect_shares(&o, 0.12, 0.95);
    }
}

static void whatever_is_lost(void **state)
{
    (void)state;
    struct bottleneck_options o;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        usual(&o, seed);
        o.loss = 0.01;
        o.seconds = 600;
        expect_shares(&o, 0.15, 0.9);
    }
}

static void on_links_of_other_rates(void **state)
{
    (void)state;
    struct bottleneck_options o;
    usual(&o, 1);
    o.link_kbps = 20000;
    o.queue_bytes = 500000;
    expect_shares(&o, 0.1, 0.9);
    usual(&o, 1);
    o.link_kbps = 500;
    o.queue_bytes = 500 * 125 * 0.5;
    o.seconds = 300;
    expect_shares(&o, 0.25, 0.9);
}

static void newcomers_get_their_share_and_leave_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct bottleneck_options o;
        usual(&o, seed);
        o.sender_count = 5;
        o.senders[4] = (struct bottleneck_sender){.weight = 0.8, .base_s = 0.02, .from_s = 40};
        o.measured_from_s = 60;
        expect_shares(&o, 0.12, 0.95);
        struct bottleneck_result r;
        o.senders[4].until_s = 80;
        o.measured_from_s = 90;
        bottleneck_run(&o, &r);
        o.sender_count = 4;
        assert_true(r.kbps[4] == 0 && furthest(&o, &r) < 0.12 && r.used > 0.95);
    }
}

static void who_has_little_to_send_does_not_grow(void **state)
{
    (void)state;
    struct bottleneck_options o;
    struct bottleneck_result r;
    usual(&o, 1);
    o.senders[3].demand_kbps = 60;
    bottleneck_run(&o, &r);
    assert_true(fabs(r.kbps[3] / 60 - 1) < 0.1);
    assert_true(r.used > 0.95);
    o.sender_count = 3; /* the rest is the others', by weight */
    assert_true(furthest(&o, &r) < 0.12);
}

static void one_alone_fills_the_link(void **state)
{
    (void)state;
    struct bottleneck_options o;
    usual(&o, 1);
    o.sender_count = 1;
    expect_shares(&o, 0, 0.95);
    o.law.rate_max_kbps = 300;
    struct bottleneck_result r;
    bottleneck_run(&o, &r);
    assert_true(r.kbps[0] < 300 && r.kbps[0] > 270);
}

static void aimd_shares_a_deep_queue(void **state)
{
    (void)state;
    struct bottleneck_options o;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        usual(&o, seed);
        o.law.law = GAIMD_AIMD;
        expect_shares(&o, 0.15, 0.9);
    }
}

/* ---- loss patterns ---- */

#define PATTERN_STEPS 200000
#define PATTERN_RTT_US 50000

/* Four senders in steps of a round trip; who loses is the pattern's to say. */
static void run_pattern(double exponent, double chance, double *share)
{
    struct gaimd g[4];
    struct gaimd_sample s[4] = {{0}};
    struct rng rng;
    double sum = 0;
    rng_init(&rng, 7, 0);
    for (int i = 0; i < 4; i++) {
        struct gaimd_options o;
        gaimd_options_init(&o);
        o.law = GAIMD_AIMD;
        o.weight = 0.1 * (1 + i);
        o.alpha = chance > 0 ? 1 : 0.1;
        o.beta = 0.5;
        o.exponent = exponent;
        o.queue_s = INFINITY;
        o.rate_min_kbps = 1e-3;
        o.rate_max_kbps = 1e6;
        gaimd_init(&g[i], &o);
        share[i] = 0;
    }
    for (int k = 1; k <= PATTERN_STEPS; k++) {
        double total = 0;
        for (int i = 0; i < 4; i++)
            total += g[i].rate_kbps;
        for (int i = 0; i < 4; i++) {
            double packets = g[i].rate_kbps * PATTERN_RTT_US / 1e6 / 11.584;
            bool lost =
                chance > 0 ? (double)rng_float(&rng) > pow(1 - chance, packets) : total > 2000;
            s[i].now_us = (uint64_t)k * PATTERN_RTT_US;
            s[i].srtt_us = PATTERN_RTT_US;
            s[i].acks++;
            s[i].lost_bytes += lost ? 1448 : 0;
            gaimd_update(&g[i], &s[i]);
            share[i] += g[i].rate_kbps;
        }
    }
    for (int i = 0; i < 4; i++)
        sum += share[i];
    for (int i = 0; i < 4; i++)
        share[i] /= sum;
}

static void expect_pattern(double exponent, double chance, const double *due)
{
    double share[4];
    run_pattern(exponent, chance, share);
    for (int i = 0; i < 4; i++)
        if (fabs(share[i] / due[i] - 1) > 0.06)
            fail_msg("share %d is %.3f, not %.3f", i, share[i], due[i]);
}

/* A share is as the weight's power when all back off together, and as its root when losses are
 * chance: rate ~ sqrt(alpha (1 + beta) / (2 (1 - beta) p)) / RTT. */
static void the_exponent_follows_from_the_loss_pattern(void **state)
{
    (void)state;
    const double by_weight[] = {0.1, 0.2, 0.3, 0.4};
    const double by_square[] = {1 / 30.0, 4 / 30.0, 9 / 30.0, 16 / 30.0};
    double by_root[4], sum = 1 + sqrt(2) + sqrt(3) + 2;
    for (int i = 0; i < 4; i++)
        by_root[i] = sqrt(1 + i) / sum;
    expect_pattern(1, 0, by_weight);
    expect_pattern(2, 0, by_square);
    expect_pattern(1, 0.001, by_root);
    expect_pattern(2, 0.001, by_weight);
}

/* ---- any samples ---- */

static void rates_stay_in_their_bounds(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 3, 0);
    for (int run = 0; run < 100; run++) {
        struct gaimd g;
        struct gaimd_options o;
        gaimd_options_init(&o);
        o.law = run % 2 ? GAIMD_AIMD : GAIMD_PRICE;
        o.weight = run % 3 ? 1e9 : -1;
        o.rate_min_kbps = 20;
        o.rate_max_kbps = 5000;
        gaimd_init(&g, &o);
        struct gaimd_sample s = {0};
        for (int k = 0; k < 500; k++) {
            s.now_us += (uint64_t)(1e6 * rng_float(&rng) * (k % 50 == 0 ? 1000 : 1));
            s.acks += (uint64_t)(5 * rng_float(&rng));
            s.acked_bytes += (uint64_t)(30000 * rng_float(&rng));
            s.lost_bytes += (uint64_t)(5000 * rng_float(&rng));
            s.srtt_us = k % 7 == 0 ? 0 : 4e6 * (double)rng_float(&rng);
            s.limited = rng_float(&rng) < 0.2f;
            if (k % 100 == 99) {
                gaimd_reconnect(&g);
                s.acks = s.acked_bytes = s.lost_bytes = 0;
            }
            double rate = gaimd_update(&g, &s);
            assert_true(rate >= 20 && rate <= 5000);
            assert_true(g.rate_kbps >= 20 && g.rate_kbps <= 5000);
        }
    }
}

/* A link that was slow once does not hold a camera back whose chunks are too short to measure. */
static void an_old_goodput_is_forgotten(void **state)
{
    (void)state;
    struct gaimd g;
    struct gaimd_options o;
    struct gaimd_sample s = {.srtt_us = 20000};
    gaimd_options_init(&o);
    o.rate_start_kbps = 400;
    gaimd_init(&g, &o);
    for (int k = 0; k < 50; k++) { /* 40 kbit/s of it arrive */
        s.now_us += 100000;
        s.acks++;
        s.acked_bytes += 500;
        gaimd_update(&g, &s);
    }
    double held_kbps = g.rate_kbps;
    assert_true(fabs(g.goodput_kbps - 40) < 1 && held_kbps < 3000);
    for (int k = 0; k < 600; k++) { /* then a burst now and then */
        s.now_us += 100000;
        s.acks += 2;
        s.acked_bytes += 2000;
        s.limited = k % 2;
        gaimd_update(&g, &s);
    }
    assert_true(g.goodput_kbps == 0 && g.rate_kbps > 2 * held_kbps);
}

static void laws_have_names(void **state)
{
    (void)state;
    assert_int_equal(gaimd_law_parse("price"), GAIMD_PRICE);
    assert_int_equal(gaimd_law_parse(gaimd_law_name(GAIMD_AIMD)), GAIMD_AIMD);
    assert_int_equal(gaimd_law_parse("reno"), 0);
    assert_null(gaimd_law_name(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(smoothing_is_taken_off),
                                       cmocka_unit_test(a_longer_way_is_believed_in_the_end),
                                       cmocka_unit_test(shares_follow_weights),
                                       cmocka_unit_test(whatever_the_way_is_long),
                                       cmocka_unit_test(whatever_is_lost),
                                       cmocka_unit_test(on_links_of_other_rates),
                                       cmocka_unit_test(newcomers_get_their_share_and_leave_it),
                                       cmocka_unit_test(who_has_little_to_send_does_not_grow),
                                       cmocka_unit_test(one_alone_fills_the_link),
                                       cmocka_unit_test(aimd_shares_a_deep_queue),
                                       cmocka_unit_test(the_exponent_follows_from_the_loss_pattern),
                                       cmocka_unit_test(rates_stay_in_their_bounds),
                                       cmocka_unit_test(an_old_goodput_is_forgotten),
                                       cmocka_unit_test(laws_have_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
