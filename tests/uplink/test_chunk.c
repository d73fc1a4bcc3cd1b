/* The chunk format: what goes in comes out, and nothing else is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../video/pictures.h"
#include "base/file.h"
#include "uplink/chunk.h"
#include "video/encode.h"

#define WIDTH 48
#define HEIGHT 32
#define COUNT 3

/* A small chunk whose clip the decoder accepts, shared by the tests. */
struct made {
    struct frame frames[COUNT];
    struct clip clip;
    struct chunk chunk;
    struct buf bytes;
};

static int make(void **state)
{
    struct made *m = calloc(1, sizeof *m);
    assert_non_null(m);
    for (int i = 0; i < COUNT; i++)
        draw_picture(&m->frames[i], WIDTH, HEIGHT, i);
    struct clip_options options;
    clip_options_init(&options);
    assert_int_equal(clip_encode(m->frames, COUNT, &options, &m->clip, NULL), ST_OK);
    m->chunk = (struct chunk){.camera = "gate-1",
                              .seq = 0x1122334455667788,
                              .width = WIDTH,
                              .height = HEIGHT,
                              .count = COUNT,
                              .sampling_fps = 0.5f,
                              .codec = CHUNK_H264,
                              .t_us = {1700000000000000, 1700000002000000, 1700000002000000},
                              .version = {7, 8, UINT64_MAX},
                              .payload = m->clip.bytes.data,
                              .payload_bytes = m->clip.bytes.size_bytes};
    struct error err;
    assert_int_equal(chunk_encode(&m->chunk, &m->bytes, &err), ST_OK);
    *state = m;
    return 0;
}

static int unmake(void **state)
{
    struct made *m = *state;
    for (int i = 0; i < COUNT; i++)
        frame_clear(&m->frames[i]);
    clip_clear(&m->clip);
    buf_clear(&m->bytes);
    free(m);
    return 0;
}

static void round_trip(void **state)
{
    const struct made *m = *state;
    struct chunk c;
    assert_int_equal(chunk_parse(m->bytes.data, m->bytes.size_bytes, &c, NULL), ST_OK);
    assert_string_equal(c.camera, "gate-1");
    assert_true(c.seq == 0x1122334455667788);
    assert_int_equal(c.width, WIDTH);
    assert_int_equal(c.height, HEIGHT);
    assert_int_equal(c.count, COUNT);
    assert_true(c.sampling_fps == 0.5f);
    assert_memory_equal(c.t_us, m->chunk.t_us, COUNT * 8);
    assert_memory_equal(c.version, m->chunk.version, COUNT * 8);
    assert_int_equal(c.payload_bytes, m->clip.bytes.size_bytes);
    assert_memory_equal(c.payload, m->clip.bytes.data, c.payload_bytes);
    assert_true(c.payload >= m->bytes.data); /* borrowed, not copied */
    assert_true(c.payload < m->bytes.data + m->bytes.size_bytes);
}

/* The written form, byte by byte as docs/formats.md says. */
static void layout_is_the_documented_one(void **state)
{
    const struct made *m = *state;
    const uint8_t *b = m->bytes.data;
    static const uint8_t start[] = {
        'A',  'T', 'C', 'K', 1, 0, 94, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22,
        0x11, 48,  0,   32,  0, 3, 0,  1, 6,    0,    0,    0,    0x3f}; /* ends with f32 0.5 */
    assert_memory_equal(b, start, sizeof start);
    assert_memory_equal(b + 40, "gate-1", 6);
    assert_memory_equal(b + 94, m->clip.bytes.data, m->clip.bytes.size_bytes);
    assert_int_equal(m->bytes.size_bytes, 94 + m->clip.bytes.size_bytes + 4);
}

static void pictures_come_back(void **state)
{
    const struct made *m = *state;
    struct chunk c;
    assert_int_equal(chunk_parse(m->bytes.data, m->bytes.size_bytes, &c, NULL), ST_OK);
    struct frame out[COUNT] = {0};
    assert_int_equal(chunk_decode_frames(&c, out, NULL), ST_OK);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(out[i].width, WIDTH);
        assert_int_equal(out[i].height, HEIGHT);
        assert_true(out[i].t_us == m->chunk.t_us[i]);
        assert_true(picture_distance(&out[i], &m->frames[i]) < 6);
        frame_clear(&out[i]);
    }
}

static void every_truncation_is_refused(void **state)
{
    const struct made *m = *state;
    struct chunk c = {.count = -1};
    for (size_t n = 0; n < m->bytes.size_bytes; n++) {
        uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past the end */
        assert_non_null(exact);
        memcpy(exact, m->bytes.data, n);
        assert_int_not_equal(chunk_parse(exact, n, &c, NULL), ST_OK);
        free(exact);
    }
    assert_int_equal(c.count, -1); /* written on success only */
}

static void every_bit_flip_is_refused(void **state)
{
    struct made *m = *state;
    struct chunk c;
    for (size_t bit = 0; bit < 8 * m->bytes.size_bytes; bit++) {
        m->bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(chunk_parse(m->bytes.data, m->bytes.size_bytes, &c, NULL), ST_OK);
        m->bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(chunk_parse(m->bytes.data, m->bytes.size_bytes, &c, NULL), ST_OK);
}

/* Writes value at offset in a copy and sets the checksum right; the parser's answer. */
static enum status parse_with(const struct made *m, size_t offset, const void *value, size_t n)
{
    struct buf b;
    buf_init(&b);
    buf_put(&b, m->bytes.data, m->bytes.size_bytes - 4);
    memcpy(b.data + offset, value, n);
    buf_put_u32(&b, file_crc32(b.data, b.size_bytes));
    struct chunk c;
    enum status st = chunk_parse(b.data, b.size_bytes, &c, NULL);
    buf_clear(&b);
    return st;
}

static void fields_are_checked_behind_a_good_checksum(void **state)
{
    const struct made *m = *state;
    assert_int_equal(parse_with(m, 0, "ATCK", 4), ST_OK); /* the helper itself is right */
    assert_int_equal(parse_with(m, 4, "\x02\x00", 2), ST_UNSUPPORTED);
    assert_int_equal(parse_with(m, 6, "\x5f\x00", 2), ST_FORMAT);      /* header length */
    assert_int_equal(parse_with(m, 16, "\x0f\x00", 2), ST_FORMAT);     /* width 15 */
    assert_int_equal(parse_with(m, 18, "\x01\x20", 2), ST_FORMAT);     /* height 8193 */
    assert_int_equal(parse_with(m, 20, "\x00\x00", 2), ST_FORMAT);     /* no frames */
    assert_int_equal(parse_with(m, 20, "\x01\x01", 2), ST_FORMAT);     /* 257 frames */
    assert_int_equal(parse_with(m, 20, "\x02\x00", 2), ST_FORMAT);     /* table of another size */
    assert_int_equal(parse_with(m, 22, "\x02", 1), ST_UNSUPPORTED);    /* codec */
    assert_int_equal(parse_with(m, 23, "\x40", 1), ST_FORMAT);         /* id of 64 */
    assert_int_equal(parse_with(m, 23, "\x00", 1), ST_FORMAT);         /* id of 0 */
    assert_int_equal(parse_with(m, 24, "\0\0\xc0\x7f", 4), ST_FORMAT); /* NaN fps */
    assert_int_equal(parse_with(m, 24, "\0\0\0\x80", 4), ST_FORMAT);   /* -0 fps */
    assert_int_equal(parse_with(m, 28, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), ST_FORMAT);
    assert_int_equal(parse_with(m, 36, "\x01", 1), ST_FORMAT); /* reserved */
    assert_int_equal(parse_with(m, 40, "G", 1), ST_FORMAT);    /* upper case */
    assert_int_equal(parse_with(m, 42, "\0", 1), ST_FORMAT);   /* NUL within the id */
    assert_int_equal(parse_with(m, 42, "/", 1), ST_FORMAT);
    assert_int_equal(parse_with(m, 46, "\xff\xff\xff\xff\xff\xff\xff\xff", 8),
                     ST_FORMAT);                      /* time runs back */
    static const uint8_t huge[] = {0, 0x20, 0, 0x20}; /* 8192 x 8192 x 3 is under the bound */
    assert_int_equal(parse_with(m, 16, huge, 4), ST_OK);
}

static void too_many_pixels_are_refused(void **state)
{
    const struct made *m = *state;
    struct chunk c = m->chunk;
    c.width = c.height = FRAME_SIDE_MAX;
    c.count = 17;
    for (int i = 0; i < c.count; i++)
        c.t_us[i] = 1;
    struct buf b;
    buf_init(&b);
    assert_int_equal(chunk_encode(&c, &b, NULL), ST_LIMIT);
    c.count = 16;
    assert_int_equal(chunk_encode(&c, &b, NULL), ST_OK);
    buf_clear(&b);
}

static void encoder_refuses_what_the_parser_would(void **state)
{
    const struct made *m = *state;
    struct buf b;
    buf_init(&b);
    struct chunk c = m->chunk;
    c.t_us[2] = c.t_us[1] - 1;
    assert_int_equal(chunk_encode(&c, &b, NULL), ST_INVALID);
    c = m->chunk;
    memcpy(c.camera, "no spaces", 10);
    assert_int_equal(chunk_encode(&c, &b, NULL), ST_INVALID);
    c = m->chunk;
    c.payload_bytes = 0;
    assert_int_equal(chunk_encode(&c, &b, NULL), ST_INVALID);
    assert_int_equal(b.size_bytes, 0);
    buf_clear(&b);
}

/* A good envelope round a bad clip: frames or an error, never anything else. */
static void damaged_clips_are_errors(void **state)
{
    const struct made *m = *state;
    struct frame out[CHUNK_FRAMES_MAX] = {0};
    struct chunk c = m->chunk;
    c.count = 2;
    assert_int_equal(chunk_decode_frames(&c, out, NULL), ST_FORMAT); /* holds three */
    c.count = 4;
    assert_int_equal(chunk_decode_frames(&c, out, NULL), ST_FORMAT);
    c = m->chunk;
    c.width = 64;
    assert_int_equal(chunk_decode_frames(&c, out, NULL), ST_FORMAT);
    c = m->chunk;
    c.payload_bytes /= 2;
    assert_int_equal(chunk_decode_frames(&c, out, NULL), ST_FORMAT);
    for (int i = 0; i < CHUNK_FRAMES_MAX; i++)
        frame_clear(&out[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(layout_is_the_documented_one),
        cmocka_unit_test(pictures_come_back),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_bit_flip_is_refused),
        cmocka_unit_test(fields_are_checked_behind_a_good_checksum),
        cmocka_unit_test(too_many_pixels_are_refused),
        cmocka_unit_test(encoder_refuses_what_the_parser_would),
        cmocka_unit_test(damaged_clips_are_errors),
    };
    return cmocka_run_group_tests_name("chunk", tests, make, unmake);
}
