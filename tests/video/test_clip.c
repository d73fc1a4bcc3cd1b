/* Clips: the budget is a promise, the decoder believes nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "pictures.h"
#include "video/decode.h"
#include "video/encode.h"
#include "video/frame.h"

#define COUNT 8

struct frames {
    struct frame frame[COUNT];
};

/* Pictures with noise, so that bits are needed. */
static void draw_noisy(struct frames *s, int width, int height)
{
    for (int i = 0; i < COUNT; i++) {
        draw_picture(&s->frame[i], width, height, i);
        for (size_t k = 0; k < frame_bytes(&s->frame[i]); k++)
            s->frame[i].pixels[k] ^= rng_hash(k / 9, (uint64_t)i, 0, 0) & 31;
    }
}

static void clear_frames(struct frames *s)
{
    for (int i = 0; i < COUNT; i++)
        frame_clear(&s->frame[i]);
}

static enum status encode(const struct frames *s, size_t bytes_max, struct clip *ret)
{
    struct clip_options o;
    clip_options_init(&o);
    o.bytes_max = bytes_max;
    return clip_encode(s->frame, COUNT, &o, ret, NULL);
}

static double mean_distance(const struct frames *a, const struct frames *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += picture_distance(&a->frame[i], &b->frame[i]);
    return sum / count;
}

static void check_clip(const struct clip *c, size_t bytes_max)
{
    assert_true(c->bytes.size_bytes <= bytes_max);
    assert_in_range(c->count, 1, COUNT);
    assert_in_range(c->tries, 1, CLIP_TRIES_MAX);
    size_t sum = 0;
    for (int i = 0; i < c->count; i++)
        sum += c->frame_bytes[i];
    assert_int_equal(sum, c->bytes.size_bytes);
}

/* Over four orders of magnitude: never over the budget, always decodable, better with more. */
static void budget_is_kept(void **state)
{
    (void)state;
    struct frames in = {0}, out = {0};
    draw_noisy(&in, 96, 64);
    struct clip c;
    clip_init(&c);
    double last_distance = 1e9;
    int last_count = 0;
    for (size_t budget = 300; budget < 100000; budget *= 4) {
        enum status st = encode(&in, budget, &c);
        if (st == ST_LIMIT)
            continue;
        assert_int_equal(st, ST_OK);
        check_clip(&c, budget);
        assert_true(c.count >= last_count);
        last_count = c.count;
        assert_int_equal(
            clip_decode(c.bytes.data, c.bytes.size_bytes, 96, 64, c.count, out.frame, NULL), ST_OK);
        double distance = mean_distance(&in, &out, c.count);
        assert_true(distance < last_distance + 1);
        last_distance = distance;
    }
    assert_int_equal(last_count, COUNT);
    assert_true(last_distance < 9); /* the noise in the colours does not survive yuv420p */
    clip_clear(&c);
    clear_frames(&in);
    clear_frames(&out);
}

static void too_small_a_budget_is_said(void **state)
{
    (void)state;
    struct frames in = {0};
    draw_noisy(&in, 96, 64);
    struct clip c;
    clip_init(&c);
    assert_int_equal(encode(&in, 64, &c), ST_LIMIT);
    assert_null(c.bytes.data); /* written on success only */
    assert_int_equal(encode(&in, 63, &c), ST_INVALID);
    clear_frames(&in);
}

static void same_input_same_bytes(void **state)
{
    (void)state;
    struct frames in = {0};
    draw_noisy(&in, 80, 48);
    struct clip a, b;
    clip_init(&a);
    clip_init(&b);
    assert_int_equal(encode(&in, 4000, &a), ST_OK);
    assert_int_equal(encode(&in, 4000, &b), ST_OK);
    assert_int_equal(a.bytes.size_bytes, b.bytes.size_bytes);
    assert_memory_equal(a.bytes.data, b.bytes.data, a.bytes.size_bytes);
    clip_clear(&a);
    clip_clear(&b);
    clear_frames(&in);
}

/* The next clip of the same scene starts where the last ended. */
/* Memory that held something before: zeros, ones, noise. */
static void leave_dirt(int kind, struct rng *r)
{
    void *dirt[300];
    for (int i = 0; i < 300; i++) {
        size_t n = 64 + rng_below(r, 60000);
        uint8_t *bytes = dirt[i] = malloc(n);
        assert_non_null(bytes);
        for (size_t k = 0; k < n; k++)
            bytes[k] = kind == 2 ? (uint8_t)rng_below(r, 256) : kind ? 255 : 0;
    }
    for (int i = 0; i < 300; i++)
        free(dirt[i]);
}

/* Clips of many small pictures that differ, as crops do, at widths of all remainders of four
 * macroblocks: whatever memory held, the same bytes. */
static void memory_does_not_show(void **state)
{
    (void)state;
    enum { MANY = 60 };
    struct rng r;
    rng_init(&r, 1, 0);
    for (int side = 32; side <= 80; side += 16) {
        struct frame frames[MANY];
        struct clip clip[2];
        for (int i = 0; i < MANY; i++) {
            frame_init(&frames[i]);
            draw_picture(&frames[i], side, side, i % 7);
            for (size_t k = 0; k < frame_bytes(&frames[i]); k++)
                frames[i].pixels[k] ^= rng_hash(k / 9, (uint64_t)i % 7, (uint64_t)i / 20, 0) & 31;
        }
        struct clip_options o;
        clip_options_init(&o);
        for (int kind = 0; kind < 3; kind++) {
            struct clip *c = &clip[kind > 0];
            clip_init(c);
            leave_dirt(kind, &r);
            assert_int_equal(clip_encode(frames, MANY, &o, c, NULL), ST_OK);
            if (kind == 0)
                continue;
            assert_int_equal(c->bytes.size_bytes, clip[0].bytes.size_bytes);
            assert_memory_equal(c->bytes.data, clip[0].bytes.data, c->bytes.size_bytes);
            clip_clear(c);
        }
        clip_clear(&clip[0]);
        for (int i = 0; i < MANY; i++)
            frame_clear(&frames[i]);
    }
}

static void a_known_rate_factor_saves_tries(void **state)
{
    (void)state;
    struct frames in = {0};
    draw_noisy(&in, 96, 64);
    struct clip first, second;
    clip_init(&first);
    clip_init(&second);
    struct clip_options o;
    clip_options_init(&o);
    o.bytes_max = 6000;
    o.start_factor = 18;
    assert_int_equal(clip_encode(in.frame, COUNT, &o, &first, NULL), ST_OK);
    assert_true(first.tries > 1);
    o.start_factor = first.rate_factor;
    assert_int_equal(clip_encode(in.frame, COUNT, &o, &second, NULL), ST_OK);
    assert_true(second.tries < first.tries);
    clip_clear(&first);
    clip_clear(&second);
    clear_frames(&in);
}

static void odd_sizes_come_back(void **state)
{
    (void)state;
    static const int sizes[][2] = {{33, 17}, {16, 16}, {17, 16}, {64, 31}, {51, 50}};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct frames in = {0}, out = {0};
        int width = sizes[k][0], height = sizes[k][1];
        for (int i = 0; i < COUNT; i++)
            draw_picture(&in.frame[i], width, height, i);
        struct clip c;
        clip_init(&c);
        assert_int_equal(encode(&in, 100000, &c), ST_OK);
        assert_int_equal(c.width, width);
        assert_int_equal(c.count, COUNT);
        assert_int_equal(
            clip_decode(c.bytes.data, c.bytes.size_bytes, width, height, COUNT, out.frame, NULL),
            ST_OK);
        assert_int_equal(out.frame[COUNT - 1].width, width);
        assert_int_equal(out.frame[COUNT - 1].height, height);
        assert_true(mean_distance(&in, &out, COUNT) < 8);
        clip_clear(&c);
        clear_frames(&in);
        clear_frames(&out);
    }
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    struct frames in = {0};
    draw_noisy(&in, 32, 32);
    struct clip c;
    clip_init(&c);
    struct clip_options o;
    clip_options_init(&o);
    assert_int_equal(clip_encode(in.frame, 0, &o, &c, NULL), ST_INVALID);
    assert_int_equal(clip_encode(in.frame, CLIP_FRAMES_MAX + 1, &o, &c, NULL), ST_INVALID);
    o.preset = "quickest";
    assert_int_equal(clip_encode(in.frame, COUNT, &o, &c, NULL), ST_INVALID);
    clip_options_init(&o);
    o.start_factor = 52;
    assert_int_equal(clip_encode(in.frame, COUNT, &o, &c, NULL), ST_INVALID);
    assert_int_equal(frame_resize(&in.frame[3], 34, 32, NULL), ST_OK);
    assert_int_equal(clip_encode(in.frame, COUNT, NULL, &c, NULL), ST_INVALID);
    clear_frames(&in);
}

static void decoder_wants_what_was_said(void **state)
{
    (void)state;
    struct frames in = {0}, out = {0};
    draw_noisy(&in, 64, 48);
    struct clip c;
    clip_init(&c);
    assert_int_equal(encode(&in, 20000, &c), ST_OK);
    const uint8_t *data = c.bytes.data;
    size_t n = c.bytes.size_bytes;
    struct frame many[COUNT + 1] = {0};
    assert_int_equal(clip_decode(data, n, 64, 48, COUNT + 1, many, NULL), ST_FORMAT);
    assert_int_equal(clip_decode(data, n, 64, 48, COUNT - 1, out.frame, NULL), ST_FORMAT);
    assert_int_equal(clip_decode(data, n, 64, 46, COUNT, out.frame, NULL), ST_FORMAT);
    assert_int_equal(clip_decode(data, n, 640, 480, COUNT, out.frame, NULL), ST_FORMAT);
    assert_int_equal(clip_decode(data, n, 16, 16, COUNT, out.frame, NULL), ST_FORMAT);
    assert_int_equal(clip_decode(data, 0, 64, 48, COUNT, out.frame, NULL), ST_FORMAT);
    assert_int_equal(clip_decode(data, n, 64, 48, COUNT, out.frame, NULL), ST_OK);
    for (int i = 0; i <= COUNT; i++)
        frame_clear(&many[i]);
    clip_clear(&c);
    clear_frames(&in);
    clear_frames(&out);
}

/* One picture at a time, and the end stays the end. */
static void decoder_streams(void **state)
{
    (void)state;
    struct frames in = {0};
    draw_noisy(&in, 64, 48);
    struct clip c;
    clip_init(&c);
    assert_int_equal(encode(&in, 20000, &c), ST_OK);
    struct clip_decoder *d = NULL;
    assert_int_equal(clip_decoder_open(c.bytes.data, c.bytes.size_bytes, 64, 48, COUNT, &d, NULL),
                     ST_OK);
    struct frame f = {.t_us = 5};
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(clip_decoder_next(d, &f, NULL), ST_OK);
        double right = picture_distance(&f, &in.frame[i]);
        assert_true(right < 12);
        assert_true(right < 0.7 * picture_distance(&f, &in.frame[(i + 4) % COUNT]));
    }
    assert_int_equal(clip_decoder_next(d, &f, NULL), ST_END);
    assert_int_equal(clip_decoder_next(d, &f, NULL), ST_END);
    assert_true(f.t_us == 5);
    clip_decoder_close(&d);
    clip_decoder_close(&d);
    frame_clear(&f);
    clip_clear(&c);
    clear_frames(&in);
}

/* Damage gives frames of the right size or ST_FORMAT, and mostly the latter. */
static void damaged_clips_give_errors(void **state)
{
    (void)state;
    struct frames in = {0}, out = {0};
    draw_noisy(&in, 64, 48);
    struct clip c;
    clip_init(&c);
    assert_int_equal(encode(&in, 8000, &c), ST_OK);
    struct rng rng;
    rng_init(&rng, 1, 0);
    int refused = 0;
    for (int round = 0; round < 100; round++) {
        size_t at = rng_below(&rng, (uint32_t)c.bytes.size_bytes);
        uint8_t was = c.bytes.data[at];
        c.bytes.data[at] ^= (uint8_t)(1 + rng_below(&rng, 255));
        enum status st =
            clip_decode(c.bytes.data, c.bytes.size_bytes, 64, 48, COUNT, out.frame, NULL);
        assert_true(st == ST_OK || st == ST_FORMAT);
        refused += st != ST_OK;
        c.bytes.data[at] = was;
    }
    assert_true(refused > 20);
    for (size_t n = 1; n < c.bytes.size_bytes - 100; n += 97)
        assert_int_equal(clip_decode(c.bytes.data, n, 64, 48, COUNT, out.frame, NULL), ST_FORMAT);
    clip_clear(&c);
    clear_frames(&in);
    clear_frames(&out);
}

static void noise_is_no_clip(void **state)
{
    (void)state;
    uint8_t noise[3000];
    struct rng rng;
    rng_init(&rng, 2, 0);
    struct frames out = {0};
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)rng_u64(&rng);
        memcpy(noise, "\0\0\0\1\x67", 5);
        assert_int_equal(clip_decode(noise, sizeof noise, 32, 32, COUNT, out.frame, NULL),
                         ST_FORMAT);
    }
    clear_frames(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budget_is_kept),
        cmocka_unit_test(too_small_a_budget_is_said),
        cmocka_unit_test(same_input_same_bytes),
        cmocka_unit_test(memory_does_not_show),
        cmocka_unit_test(a_known_rate_factor_saves_tries),
        cmocka_unit_test(odd_sizes_come_back),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(decoder_wants_what_was_said),
        cmocka_unit_test(decoder_streams),
        cmocka_unit_test(damaged_clips_give_errors),
        cmocka_unit_test(noise_is_no_clip),
    };
    return cmocka_run_group_tests_name("clip", tests, NULL, NULL);
}
