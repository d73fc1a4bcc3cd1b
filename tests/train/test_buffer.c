/* The horizon ring: what stays, what leaves, what is drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/buffer.h"

static const struct buffer_options small = {.width = 4,
                                            .height = 2,
                                            .label_width = 2,
                                            .label_height = 1,
                                            .soft_width = 1,
                                            .soft_height = 1,
                                            .class_count = 3,
                                            .capacity = 5,
                                            .horizon_us = 100};

static enum status add(struct buffer *b, uint64_t t_us, uint8_t value, bool soft)
{
    uint8_t pixels[24], classes[8], probs[3] = {value, 1, 2};
    memset(pixels, value, sizeof pixels);
    memset(classes, value, sizeof classes);
    classes[0] = 9;
    struct frame f = {4, 2, t_us, pixels};
    struct label_map l = {4, 2, classes};
    struct soft_map s = {1, 1, 3, probs};
    return buffer_add(b, &f, &l, soft ? &s : NULL, value, NULL);
}

static void ring_and_horizon(void **state)
{
    (void)state;
    struct buffer *b;
    assert_int_equal(buffer_open(&small, &b, NULL), ST_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(add(b, (uint64_t)(10 * i), (uint8_t)i, i % 2), ST_OK);
    assert_int_equal(buffer_count(b), 5);
    for (int i = 0; i < 5; i++) {
        const struct buffer_entry *e = buffer_at(b, i);
        assert_int_equal(e->seq, 3 + i);
        assert_int_equal(e->source, 3 + i);
        assert_int_equal(e->frame.t_us, 10 * (3 + i));
        assert_int_equal(e->frame.pixels[23], 3 + i);
        assert_int_equal(e->labels.classes[1], 3 + i);
        assert_true((e->soft.probs != NULL) == ((3 + i) % 2));
        if (e->soft.probs)
            assert_int_equal(e->soft.probs[0], 3 + i);
    }
    assert_int_equal(add(b, 145, 50, false), ST_OK); /* 145 - 100: 30 and 40 leave */
    assert_int_equal(buffer_count(b), 4);
    assert_int_equal(buffer_at(b, 0)->frame.t_us, 50);
    assert_int_equal(add(b, 44, 51, false), ST_INVALID);
    assert_int_equal(add(b, 120, 52, false), ST_OK); /* a little late is fine */
    assert_int_equal(buffer_next_seq(b), 10);
    assert_int_equal(add(b, 1000000, 53, false), ST_OK);
    assert_int_equal(buffer_count(b), 1);
    buffer_forget(b);
    assert_int_equal(buffer_count(b), 0);
    buffer_close(&b);
    assert_null(b);
    buffer_close(&b);
}

static void refusals(void **state)
{
    (void)state;
    struct buffer *b;
    struct buffer_options o = small;
    o.capacity = 0;
    assert_int_equal(buffer_open(&o, &b, NULL), ST_INVALID);
    o = small;
    o.width = 9000;
    assert_int_equal(buffer_open(&o, &b, NULL), ST_INVALID);
    o = small;
    o.class_count = 65;
    assert_int_equal(buffer_open(&o, &b, NULL), ST_INVALID);
    assert_null(b);
    assert_int_equal(buffer_open(&small, &b, NULL), ST_OK);
    uint8_t bytes[64] = {0};
    struct frame f = {4, 2, 0, bytes}, wide = {5, 2, 0, bytes};
    struct label_map l = {4, 2, bytes}, empty = {0, 2, bytes};
    struct soft_map s = {1, 1, 4, bytes};
    assert_int_equal(buffer_add(b, &wide, &l, NULL, 0, NULL), ST_INVALID);
    assert_int_equal(buffer_add(b, &f, &empty, NULL, 0, NULL), ST_INVALID);
    assert_int_equal(buffer_add(b, &f, &l, &s, 0, NULL), ST_INVALID);
    assert_int_equal(buffer_count(b), 0);
    buffer_close(&b);
}

static void draws(void **state)
{
    (void)state;
    struct buffer *b;
    struct buffer_options o = small;
    o.horizon_us = 0;
    assert_int_equal(buffer_open(&o, &b, NULL), ST_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(add(b, (uint64_t)(100 * i), (uint8_t)i, false), ST_OK);
    struct rng rng;
    rng_init(&rng, 5, 0);
    const int all[5] = {0, 1, 2, 3, 4}, some[2] = {0, 3};
    int uniform[5] = {0}, recent[5] = {0}, chosen[5] = {0};
    for (int i = 0; i < 15000; i++) {
        uniform[buffer_sample(b, all, 5, 0, &rng)]++;
        recent[buffer_sample(b, all, 4, 100, &rng)]++;
        chosen[buffer_sample(b, some, 2, 300, &rng)]++;
    }
    for (int i = 0; i < 5; i++)
        assert_in_range(uniform[i], 2750, 3250);
    /* Weights 1/8, 1/4, 1/2, 1 of 15000: 1000, 2000, 4000, 8000; the fifth is held out. */
    for (int i = 0; i < 4; i++)
        assert_in_range(recent[i], (1000 << i) * 9 / 10, (1000 << i) * 11 / 10);
    assert_int_equal(recent[4], 0);
    assert_in_range(chosen[0], 4750, 5250); /* 300 us older: half as often */
    assert_int_equal(chosen[0] + chosen[3], 15000);
    buffer_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_and_horizon),
        cmocka_unit_test(refusals),
        cmocka_unit_test(draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
