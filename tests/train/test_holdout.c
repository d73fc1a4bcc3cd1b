/* What a phase holds out: the newest frames, and of several sources each one's newest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/holdout.h"

#define FRAMES 40

static struct buffer *open_buffer(void)
{
    const struct buffer_options o = {
        .width = 1, .height = 1, .label_width = 1, .label_height = 1, .capacity = FRAMES};
    struct buffer *b;
    assert_int_equal(buffer_open(&o, &b, NULL), ST_OK);
    return b;
}

static void add(struct buffer *b, uint64_t t_us, int source)
{
    uint8_t pixel[3] = {0}, label = 0;
    const struct frame f = {1, 1, t_us, pixel};
    const struct label_map l = {1, 1, &label};
    assert_int_equal(buffer_add(b, &f, &l, NULL, source, NULL), ST_OK);
}

static void one_source_holds_out_its_newest(void **state)
{
    (void)state;
    struct buffer *b = open_buffer();
    struct holdout_rule rule = {0.25, 3, 0};
    int order[FRAMES];
    assert_int_equal(holdout_choose(b, &rule, order), 0);
    for (uint64_t i = 1; i <= 8; i++)
        add(b, i, 7);
    assert_int_equal(holdout_choose(b, &rule, order), 2);
    for (int i = 0; i < 8; i++)
        assert_int_equal(order[i], i);
    rule.seen_us = 5; /* three are new: a quarter is none, but one at least */
    assert_int_equal(holdout_choose(b, &rule, order), 1);
    rule = (struct holdout_rule){1, 3, 0};
    assert_int_equal(holdout_choose(b, &rule, order), 3);
    buffer_close(&b);
}

/* The newest three frames are one member's: the other one has a frame held out all the same. */
static void a_quiet_member_is_judged_too(void **state)
{
    (void)state;
    const int sources[10] = {1, 2, 1, 1, 2, 1, 1, 1, 1, 1},
              expected[10] = {0, 1, 2, 3, 5, 6, 7, 8, 4, 9};
    struct buffer *b = open_buffer();
    const struct holdout_rule rule = {0.2, 3, 0};
    int order[FRAMES];
    for (uint64_t i = 0; i < 10; i++)
        add(b, i + 1, sources[i]);
    assert_int_equal(holdout_choose(b, &rule, order), 2);
    for (int i = 0; i < 10; i++)
        assert_int_equal(order[i], expected[i]);
    /* Its only new frame is not to be spared. */
    const struct holdout_rule later = {0.2, 3, 2};
    assert_int_equal(holdout_choose(b, &later, order), 1);
    assert_int_equal(order[9], 9);
    assert_int_equal(order[4], 4);
    buffer_close(&b);
}

static int frames_of(const struct buffer *b, const int *order, int from, int to, int source,
                     uint64_t seen_us)
{
    int n = 0;
    for (int i = from; i < to; i++)
        n += buffer_at(b, order[i])->source == source &&
             buffer_at(b, order[i])->frame.t_us > seen_us;
    return n;
}

/* Whatever comes: a permutation, each part in order of age, as many as the rule says, and no source
 * has two frames held out while another that could spare one has none. */
static void any_mixture(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 7, 0);
    for (int run = 0; run < 500; run++) {
        struct buffer *b = open_buffer();
        const int count = 1 + (int)rng_below(&rng, FRAMES), sources = 1 + (int)rng_below(&rng, 6);
        const struct holdout_rule rule = {rng_float(&rng), 1 + (int)rng_below(&rng, 4),
                                          rng_below(&rng, (uint32_t)count)};
        int order[FRAMES], seen[FRAMES] = {0}, several = 0, served = 0;
        for (int i = 0; i < count; i++)
            add(b, (uint64_t)i + 1, (int)rng_below(&rng, (uint32_t)sources));
        int held = holdout_choose(b, &rule, order), first = count - held;
        int want = (int)(rule.fraction * (count - (int)rule.seen_us));
        assert_int_equal(held, want < 1 ? 1 : want < rule.max ? want : rule.max);
        for (int i = 0; i < count; i++) {
            seen[order[i]]++;
            assert_true(i == 0 || i == first || order[i] > order[i - 1]);
        }
        for (int i = 0; i < count; i++)
            assert_int_equal(seen[i], 1);
        for (int s = 0; s < sources; s++) {
            several += frames_of(b, order, 0, count, s, rule.seen_us) >= 2;
            served += frames_of(b, order, first, count, s, rule.seen_us) >= 1;
        }
        assert_true(served >= (several < held ? several : held));
        buffer_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_source_holds_out_its_newest),
        cmocka_unit_test(a_quiet_member_is_judged_too),
        cmocka_unit_test(any_mixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
