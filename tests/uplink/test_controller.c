/* The transmission controller: its choices against an exhaustive search and their bounds, its
 * hysteresis, and the table's text. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "uplink/controller.h"

static double uniform(struct rng *rng, double low, double high)
{
    return low + (high - low) * (double)rng_float(rng);
}

/* A table with rising costs; accuracy grows with rate and share, or, `wild`, is anything. */
static void make_table(struct rng *rng, bool wild, struct controller_table *t)
{
    *t = (struct controller_table){.width = 320, .height = 192, .slack = uniform(rng, 0, 0.02)};
    t->size_count = 1 + (int)uniform(rng, 0, 3.99);
    t->rate_count = 1 + (int)uniform(rng, 0, 5.99);
    t->share_count = 1 + (int)uniform(rng, 0, 3.99);
    for (int r = 0; r < t->rate_count; r++)
        t->fps[r] = 0.1 * pow(2, r);
    for (int s = 0; s < t->share_count; s++)
        t->share[s] = 0.1 * pow(2, s);
    for (int i = 0; i < t->size_count; i++) {
        struct controller_size *z = &t->sizes[i];
        z->scale = 1 - 0.2 * i;
        z->trainable_fps = uniform(rng, 1, 10);
        for (int r = 0; r < t->rate_count; r++)
            z->kbps[r] = (r ? z->kbps[r - 1] : 0) + uniform(rng, 1, 60);
        for (int s = 0; s < t->share_count; s++)
            for (int r = 0; r < t->rate_count; r++)
                z->accuracy[s][r] =
                    wild ? uniform(rng, 0, 1) : 0.9 - 0.1 * i - 0.3 / (1 + r) - 0.2 / (1 + s);
    }
}

static struct controller_input make_input(struct rng *rng)
{
    struct controller_input in = {.share = uniform(rng, 0, 1),
                                  .members = 1 + (int)uniform(rng, 0, 8.99),
                                  .bandwidth_kbps = uniform(rng, 1, 300),
                                  .asr_fps = uniform(rng, 0.05, 2)};
    return in;
}

/* ---- bounds ---- */

static void every_choice_keeps_its_bounds(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 1, 0);
    for (int k = 0; k < 20000; k++) {
        struct controller_table t;
        make_table(&rng, k % 2, &t);
        struct controller_input in = make_input(&rng);
        struct controller_choice c;
        controller_choose(&t, &in, &c);
        assert_true(c.kbps <= in.bandwidth_kbps);
        assert_true(c.fps <= in.asr_fps);
        assert_true(c.fps >= fmin(CONTROLLER_FPS_MIN, in.asr_fps));
        double trainable_fps = 0;
        for (int i = 0; i < t.size_count; i++)
            if (t.sizes[i].scale == c.scale)
                trainable_fps = t.sizes[i].trainable_fps;
        double group_fps = c.fps * in.members;
        assert_true(group_fps <=
                    fmax(in.share * trainable_fps, CONTROLLER_FPS_MIN * in.members) + 1e-9);
        assert_int_equal(c.width % 2 + c.height % 2, 0);
    }
}

static void more_bandwidth_never_costs_accuracy(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 2, 0);
    for (int k = 0; k < 5000; k++) {
        struct controller_table t;
        make_table(&rng, true, &t);
        struct controller_input in = make_input(&rng);
        struct controller_choice less, more;
        controller_choose(&t, &in, &less);
        in.bandwidth_kbps *= uniform(&rng, 1, 4);
        controller_choose(&t, &in, &more);
        if (less.kbps < in.bandwidth_kbps && less.fps >= t.fps[0])
            assert_true(more.accuracy >= less.accuracy - t.slack - 1e-12);
    }
}

/* Independent: on the table's own points, where every candidate can be listed by hand. */
static void the_best_point_is_chosen(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 3, 0);
    for (int k = 0; k < 5000; k++) {
        struct controller_table t;
        make_table(&rng, true, &t);
        t.slack = 0;
        int s = (int)uniform(&rng, 0, t.share_count - 0.01);
        const struct controller_input in = {.share = t.share[s],
                                            .members = 1,
                                            .bandwidth_kbps = uniform(&rng, 61, 300),
                                            .asr_fps = INFINITY};
        double best = -1;
        for (int i = 0; i < t.size_count; i++)
            t.sizes[i].trainable_fps = t.fps[t.rate_count - 1] / t.share[s];
        for (int i = 0; i < t.size_count; i++)
            for (int r = 0; r < t.rate_count; r++)
                if (t.sizes[i].kbps[r] <= in.bandwidth_kbps)
                    best = fmax(best, t.sizes[i].accuracy[s][r]);
        struct controller_choice c;
        controller_choose(&t, &in, &c);
        assert_true(fabs(c.accuracy - best) < 1e-9);
    }
}

/* ---- the group ---- */

static void members_divide_what_a_group_can_use(void **state)
{
    (void)state;
    struct controller_table t;
    controller_table_init(&t);
    struct controller_input in = {
        .share = 0.2, .members = 1, .bandwidth_kbps = INFINITY, .asr_fps = INFINITY};
    struct controller_choice alone;
    controller_choose(&t, &in, &alone);
    for (int n = 2; n <= 8; n *= 2) {
        in.members = n;
        struct controller_choice c;
        controller_choose(&t, &in, &c);
        assert_true(c.fps <= alone.fps);
        assert_true(n * c.fps <= 0.2 * t.sizes[0].trainable_fps + 1e-9);
        assert_true(c.accuracy >= alone.accuracy - 2 * t.slack);
    }
}

/* Pictures that take twice the bits are as half the bandwidth. */
static void the_cameras_own_cost_counts(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 6, 0);
    for (int k = 0; k < 2000; k++) {
        struct controller_table t;
        make_table(&rng, true, &t);
        struct controller_input in = make_input(&rng), half = in;
        struct controller_choice dear, poor;
        in.cost = 2;
        controller_choose(&t, &in, &dear);
        half.bandwidth_kbps /= 2;
        controller_choose(&t, &half, &poor);
        assert_true(dear.scale == poor.scale && fabs(dear.fps - poor.fps) < 1e-12);
        assert_true(dear.kbps <= in.bandwidth_kbps && fabs(dear.kbps - 2 * poor.kbps) < 1e-9);
        if (dear.fps >= t.fps[0])
            assert_true(fabs(controller_expected_kbps(&t, &in, dear.scale, dear.fps) - dear.kbps) <
                        1e-9);
    }
}

static void wishes_limit_the_size(void **state)
{
    (void)state;
    struct controller_table t;
    struct rng rng;
    rng_init(&rng, 4, 0);
    do
        make_table(&rng, false, &t);
    while (t.size_count < 3);
    struct controller_input in = {.share = 0.4,
                                  .members = 1,
                                  .bandwidth_kbps = INFINITY,
                                  .asr_fps = 1,
                                  .width = 640,
                                  .height = 480,
                                  .scale_min = 0.7,
                                  .scale_max = 0.85};
    struct controller_choice c;
    controller_choose(&t, &in, &c);
    assert_true(c.scale == 0.8);
    assert_int_equal(c.width, 512);
    assert_int_equal(c.height, 384);
    in.scale_min = 0;
    in.scale_max = 0.1; /* nothing is so small: the nearest */
    controller_choose(&t, &in, &c);
    assert_true(c.scale == t.sizes[t.size_count - 1].scale);
}

/* ---- hysteresis ---- */

static void a_larger_choice_waits_a_window(void **state)
{
    (void)state;
    struct controller_table t;
    controller_table_init(&t);
    struct controller c;
    controller_init(&c);
    struct controller_choice now;
    struct controller_input in = {
        .share = 0.5, .members = 1, .bandwidth_kbps = 9, .asr_fps = INFINITY};
    controller_step(&c, &t, &in, &now);
    const struct controller_choice poor = now;
    in.bandwidth_kbps = 1000;
    controller_step(&c, &t, &in, &now);
    assert_true(now.scale == poor.scale && now.fps == poor.fps);
    controller_step(&c, &t, &in, &now);
    assert_true(now.accuracy > poor.accuracy);
    const struct controller_choice rich = now;
    in.bandwidth_kbps = 9; /* down is at once, at least in bits */
    controller_step(&c, &t, &in, &now);
    assert_true(now.kbps <= 9 && now.kbps < rich.kbps);
    controller_step(&c, &t, &in, &now);
    assert_true(now.scale == poor.scale);
}

/* A bandwidth that goes to and fro every window moves nothing up. */
static void flapping_bandwidth_changes_nothing(void **state)
{
    (void)state;
    struct controller_table t;
    controller_table_init(&t);
    struct controller c;
    controller_init(&c);
    struct controller_choice now;
    double scale = 0;
    for (int k = 0; k < 20; k++) {
        const struct controller_input in = {
            .share = 0.5, .members = 1, .bandwidth_kbps = k % 2 ? 1000 : 9, .asr_fps = INFINITY};
        controller_step(&c, &t, &in, &now);
        if (k == 0)
            scale = now.scale;
        assert_true(now.scale == scale && now.kbps <= 9);
    }
}

static void steps_keep_the_bounds(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 5, 0);
    for (int run = 0; run < 200; run++) {
        struct controller_table t;
        make_table(&rng, run % 2, &t);
        struct controller c;
        controller_init(&c);
        for (int k = 0; k < 50; k++) {
            struct controller_input in = make_input(&rng);
            struct controller_choice now;
            controller_step(&c, &t, &in, &now);
            assert_true(now.kbps <= in.bandwidth_kbps * (1 + 1e-12));
            assert_true(now.fps <= in.asr_fps && now.fps > 0);
        }
    }
}

/* ---- the table ---- */

static void a_table_survives_its_text(void **state)
{
    (void)state;
    struct controller_table t, back;
    struct buf text;
    struct error err;
    buf_init(&text);
    controller_table_init(&t);
    controller_table_write(&t, &text);
    assert_false(text.failed);
    assert_int_equal(controller_table_read(text.data, text.size_bytes, "t", &back, &err), ST_OK);
    assert_int_equal(back.size_count, t.size_count);
    for (int i = 0; i < t.size_count; i++)
        for (int r = 0; r < t.rate_count; r++) {
            assert_true(fabs(back.sizes[i].kbps[r] - t.sizes[i].kbps[r]) < 1e-6);
            for (int s = 0; s < t.share_count; s++)
                assert_true(back.sizes[i].accuracy[s][r] == t.sizes[i].accuracy[s][r]);
        }
    for (size_t n = 0; n + 1 < text.size_bytes; n++) { /* the last byte ends a line */
        struct controller_table cut;
        enum status st = controller_table_read(text.data, n, "t", &cut, &err);
        if (st == ST_OK) /* a number may lose digits and a list of sizes its end */
            assert_true(cut.size_count < t.size_count || n > text.size_bytes - 16);
    }
    buf_clear(&text);
}

static void values_lie_between_the_points(void **state)
{
    (void)state;
    static const char text[] = "width: 320\nheight: 192\nrate_factor: 23\nslack: 0\nfps: [0.5, 1]\n"
                               "shares: [1, 2]\nsizes:\n  - scale: 1\n    trainable_fps: 5\n"
                               "    kbps: [50, 70]\n    accuracy: [[0.2, 0.4], [0.4, 0.8]]\n";
    struct controller_table t;
    struct error err;
    assert_int_equal(controller_table_read(text, sizeof text - 1, "t", &t, &err), ST_OK);
    const double kbps[][2] = {{0.25, 25}, {0.5, 50}, {0.75, 60}, {1, 70}, {9, 70}};
    for (size_t i = 0; i < sizeof kbps / sizeof kbps[0]; i++)
        assert_true(fabs(controller_table_kbps(&t, 0, kbps[i][0]) - kbps[i][1]) < 1e-9);
    const double accuracy[][3] = {
        {0.1, 0.1, 0.2}, {1, 0.5, 0.2}, {1, 0.75, 0.3}, {1.5, 0.75, 0.45}, {5, 5, 0.8}};
    for (size_t i = 0; i < sizeof accuracy / sizeof accuracy[0]; i++)
        assert_true(fabs(controller_table_accuracy(&t, 0, accuracy[i][0], accuracy[i][1]) -
                         accuracy[i][2]) < 1e-9);
}

static void bad_tables_have_a_place(void **state)
{
    (void)state;
#define HEAD "width: 320\nheight: 192\nrate_factor: 23\nslack: 0\n"
#define AXES "fps: [0.5, 1]\nshares: [1]\n"
#define SIZE "  - {scale: 1, trainable_fps: 5, kbps: [5, 7], accuracy: [[0, 1]]}\n"
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "a mapping"},
        {"[]", "a mapping"},
        {"width: 320\n", "'height' is missing"},
        {"width: 320.5\nheight: 192\n", "whole number"},
        {HEAD "fps: 3\n", "fps is a list of 1 to 12"},
        {HEAD "fps: [1, 0.5]\n", "t:5:10: fps must rise"},
        {HEAD "fps: [1, 90]\n", "t:5"},
        {HEAD AXES "sizes: []\n", "sizes is a list of 1 to 6"},
        {HEAD AXES "sizes:\n  - 7\n", "a size is a mapping"},
        {HEAD AXES "sizes:\n  - {scale: 1, trainable_fps: 5, kbps: [5], accuracy: [[0, 1]]}\n",
         "kbps is a list of 2"},
        {HEAD AXES "sizes:\n  - {scale: 1, trainable_fps: 5, kbps: [5, 4], accuracy: [[0, 1]]}\n",
         "kbps must not fall"},
        {HEAD AXES "sizes:\n  - {scale: 1, trainable_fps: 5, kbps: [5, 7], accuracy: [0, 1]}\n",
         "one a share"},
        {HEAD AXES "sizes:\n  - {scale: 1, trainable_fps: 5, kbps: [5, 7], accuracy: [[0, 2]]}\n",
         "t:8"},
        {HEAD AXES "sizes:\n" SIZE SIZE, "scales must fall"},
        {HEAD AXES "speed: 3\nsizes:\n" SIZE, "speed"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct controller_table t = {.width = 7};
        struct error err;
        assert_int_equal(controller_table_read(cases[i].text, strlen(cases[i].text), "t", &t, &err),
                         ST_FORMAT);
        assert_int_equal(t.width, 7);
        if (!strstr(err.message, cases[i].want))
            fail_msg("'%s' lacks '%s'", err.message, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_choice_keeps_its_bounds),
                                       cmocka_unit_test(more_bandwidth_never_costs_accuracy),
                                       cmocka_unit_test(the_best_point_is_chosen),
                                       cmocka_unit_test(members_divide_what_a_group_can_use),
                                       cmocka_unit_test(the_cameras_own_cost_counts),
                                       cmocka_unit_test(wishes_limit_the_size),
                                       cmocka_unit_test(a_larger_choice_waits_a_window),
                                       cmocka_unit_test(flapping_bandwidth_changes_nothing),
                                       cmocka_unit_test(steps_keep_the_bounds),
                                       cmocka_unit_test(a_table_survives_its_text),
                                       cmocka_unit_test(values_lie_between_the_points),
                                       cmocka_unit_test(bad_tables_have_a_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
