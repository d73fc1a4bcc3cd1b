/* Frames, still images, scaling and overlays. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <png.h>

#include "base/rng.h"
#include "pictures.h"
#include "video/image.h"
#include "video/overlay.h"
#include "video/scale.h"

static void frames_keep_their_bytes(void **state)
{
    (void)state;
    struct frame f;
    frame_init(&f);
    assert_int_equal(frame_resize(&f, 7, 5, NULL), ST_OK);
    const uint8_t *pixels = f.pixels;
    assert_int_equal(frame_resize(&f, 5, 7, NULL), ST_OK);
    assert_ptr_equal(f.pixels, pixels);
    assert_int_equal(frame_resize(&f, 0, 7, NULL), ST_INVALID);
    assert_int_equal(frame_resize(&f, 7, FRAME_SIDE_MAX + 1, NULL), ST_INVALID);
    assert_int_equal(f.width, 5); /* as before the failures */
    frame_clear(&f);
    assert_null(f.pixels);
}

static void labels_round_trip(void **state)
{
    (void)state;
    struct label_map in = {0}, out = {0};
    assert_int_equal(label_map_resize(&in, 19, 27, NULL), ST_OK);
    for (int i = 0; i < 19 * 27; i++)
        in.classes[i] = (uint8_t)(i * 7);
    struct buf b = {0};
    assert_int_equal(image_labels_write(&in, &b, NULL), ST_OK);
    assert_int_equal(image_labels_read(b.data, b.size_bytes, &out, NULL), ST_OK);
    assert_int_equal(out.width, 19);
    assert_int_equal(out.height, 27);
    assert_memory_equal(out.classes, in.classes, 19 * 27);
    label_map_clear(&in);
    label_map_clear(&out);
    buf_clear(&b);
}

static void on_write(png_structp png, png_bytep data, size_t n)
{
    buf_put(png_get_io_ptr(png), data, n);
}

/* A PNG of 8 x 4 pixels whose packed rows are row[]; palette of odd colours where it has one. */
static void write_png(struct buf *out, int depth, int color_type, bool interlaced,
                      const uint8_t *row)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, out, on_write, NULL);
    png_set_IHDR(png, info, 8, 4, depth, color_type,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    png_color colors[16];
    for (int i = 0; i < 16; i++)
        colors[i] = (png_color){(png_byte)(255 - i), (png_byte)(i * 13), 77};
    if (color_type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, colors, depth < 4 ? 1 << depth : 16);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < 4; y++)
            png_write_row(png, row);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
}

static void expect_labels(int depth, int color_type, bool interlaced, const uint8_t *row,
                          const char *classes)
{
    struct buf b = {0};
    struct label_map out = {0};
    write_png(&b, depth, color_type, interlaced, row);
    assert_int_equal(image_labels_read(b.data, b.size_bytes, &out, NULL), ST_OK);
    for (int y = 0; y < 4; y++)
        assert_memory_equal(out.classes + 8 * y, classes, 8);
    label_map_clear(&out);
    buf_clear(&b);
}

static void label_values_are_never_converted(void **state)
{
    (void)state;
    static const uint8_t bytes[8] = {0, 1, 2, 3, 11, 12, 7, 5};
    static const uint8_t two_bits[2] = {0x1b, 0xe4}; /* 0 1 2 3  3 2 1 0 */
    static const uint8_t four_bits[4] = {0x01, 0x2b, 0xcd, 0xef};
    expect_labels(8, PNG_COLOR_TYPE_PALETTE, false, bytes, "\0\1\2\3\13\14\7\5");
    expect_labels(8, PNG_COLOR_TYPE_GRAY, true, bytes, "\0\1\2\3\13\14\7\5");
    expect_labels(2, PNG_COLOR_TYPE_PALETTE, false, two_bits, "\0\1\2\3\3\2\1\0");
    expect_labels(2, PNG_COLOR_TYPE_GRAY, false, two_bits, "\0\1\2\3\3\2\1\0");
    expect_labels(4, PNG_COLOR_TYPE_GRAY, false, four_bits, "\0\1\2\13\14\15\16\17");
}

static void other_images_are_no_labels(void **state)
{
    (void)state;
    static const uint8_t row[64] = {1, 2, 3};
    struct buf b = {0};
    struct label_map out = {0};
    write_png(&b, 16, PNG_COLOR_TYPE_GRAY, false, row);
    assert_int_equal(image_labels_read(b.data, b.size_bytes, &out, NULL), ST_UNSUPPORTED);
    b.size_bytes = 0;
    write_png(&b, 8, PNG_COLOR_TYPE_RGB, false, row);
    assert_int_equal(image_labels_read(b.data, b.size_bytes, &out, NULL), ST_UNSUPPORTED);
    b.size_bytes = 0;
    struct frame f = {0};
    draw_picture(&f, 32, 32, 0);
    assert_int_equal(image_jpeg_write(&f, 80, &b, NULL), ST_OK);
    assert_int_equal(image_labels_read(b.data, b.size_bytes, &out, NULL), ST_UNSUPPORTED);
    assert_null(out.classes);
    frame_clear(&f);
    buf_clear(&b);
}

static void png_pictures_are_exact(void **state)
{
    (void)state;
    struct frame in = {0}, out = {0};
    for (int width = 1; width < 40; width += 3) {
        assert_int_equal(frame_resize(&in, width, 9, NULL), ST_OK);
        for (size_t i = 0; i < frame_bytes(&in); i++)
            in.pixels[i] = (uint8_t)(rng_hash(i, (uint64_t)width, 0, 0));
        struct buf b = {0};
        assert_int_equal(image_png_write(&in, &b, NULL), ST_OK);
        assert_int_equal(image_read(b.data, b.size_bytes, &out, NULL), ST_OK);
        assert_int_equal(out.width, width);
        assert_int_equal(out.height, 9);
        assert_memory_equal(out.pixels, in.pixels, frame_bytes(&in));
        buf_clear(&b);
    }
    frame_clear(&in);
    frame_clear(&out);
}

static void jpeg_pictures_are_near(void **state)
{
    (void)state;
    struct frame in = {0}, out = {0};
    draw_picture(&in, 131, 77, 2);
    struct buf coarse = {0}, fine = {0};
    assert_int_equal(image_jpeg_write(&in, 10, &coarse, NULL), ST_OK);
    assert_int_equal(image_jpeg_write(&in, 95, &fine, NULL), ST_OK);
    assert_true(fine.size_bytes > coarse.size_bytes);
    assert_int_equal(image_read(fine.data, fine.size_bytes, &out, NULL), ST_OK);
    assert_int_equal(out.width, 131);
    assert_int_equal(out.height, 77);
    assert_true(picture_distance(&in, &out) < 2);
    assert_int_equal(image_jpeg_write(&in, 0, &fine, NULL), ST_INVALID);
    assert_int_equal(image_jpeg_write(&in, 101, &fine, NULL), ST_INVALID);
    buf_clear(&coarse);
    buf_clear(&fine);
    frame_clear(&in);
    frame_clear(&out);
}

/* Every strict prefix is an error, read from exactly as many bytes. */
static void expect_prefixes_refused(const struct buf *b, bool labels)
{
    struct frame f = {0};
    struct label_map l = {0};
    /* The last bytes end the file but hold nothing of the picture. */
    for (size_t n = 0; n + 12 < b->size_bytes; n += 1 + b->size_bytes / 200) {
        uint8_t *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, b->data, n);
        enum status st =
            labels ? image_labels_read(exact, n, &l, NULL) : image_read(exact, n, &f, NULL);
        assert_int_not_equal(st, ST_OK);
        free(exact);
    }
    frame_clear(&f);
    label_map_clear(&l);
}

static void truncated_images_are_refused(void **state)
{
    (void)state;
    struct frame f = {0};
    draw_picture(&f, 64, 48, 1);
    struct label_map l = {.width = 64, .height = 48, .classes = f.pixels};
    struct buf b = {0};
    assert_int_equal(image_png_write(&f, &b, NULL), ST_OK);
    expect_prefixes_refused(&b, false);
    b.size_bytes = 0;
    assert_int_equal(image_jpeg_write(&f, 90, &b, NULL), ST_OK);
    expect_prefixes_refused(&b, false);
    b.size_bytes = 0;
    assert_int_equal(image_labels_write(&l, &b, NULL), ST_OK);
    expect_prefixes_refused(&b, true);
    buf_clear(&b);
    frame_clear(&f);
}

static void scaling_keeps_flat_colours_and_averages(void **state)
{
    (void)state;
    struct scaler s;
    scaler_init(&s);
    struct frame src = {0}, dst = {0};
    src.t_us = 77;
    assert_int_equal(frame_resize(&src, 37, 22, NULL), ST_OK);
    memset(src.pixels, 123, frame_bytes(&src));
    static const int sizes[][2] = {{37, 22}, {80, 51}, {19, 11}, {1, 1}, {40, 7}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(frame_resize(&dst, sizes[i][0], sizes[i][1], NULL), ST_OK);
        assert_int_equal(scaler_run(&s, &src, &dst, NULL), ST_OK);
        assert_true(dst.t_us == 77);
        for (size_t k = 0; k < frame_bytes(&dst); k++)
            assert_in_range(dst.pixels[k], 122, 124);
    }
    /* Columns of 0 and 200 in turn, halved: their mean everywhere. */
    assert_int_equal(frame_resize(&src, 64, 16, NULL), ST_OK);
    for (size_t i = 0; i < frame_bytes(&src); i++)
        src.pixels[i] = i / 3 % 2 ? 200 : 0;
    assert_int_equal(frame_resize(&dst, 32, 8, NULL), ST_OK);
    assert_int_equal(scaler_run(&s, &src, &dst, NULL), ST_OK);
    for (size_t k = 0; k < frame_bytes(&dst); k++)
        assert_in_range(dst.pixels[k], 98, 102);
    scaler_clear(&s);
    scaler_clear(&s); /* harmless twice */
    frame_clear(&src);
    frame_clear(&dst);
}

static void overlays_blend(void **state)
{
    (void)state;
    struct palette p;
    palette_init(&p);
    palette_name(&p, 1, "Road");
    palette_name(&p, 2, "no such thing");
    palette_name(&p, 64, "road"); /* out of range: ignored */
    static const uint8_t road[3] = {128, 64, 128};
    assert_memory_equal(p.rgb[1], road, 3);
    struct frame f = {0};
    assert_int_equal(frame_resize(&f, 4, 2, NULL), ST_OK);
    memset(f.pixels, 100, frame_bytes(&f));
    uint8_t classes[2] = {1, LABEL_IGNORE}; /* stretched: left half, right half */
    struct label_map l = {.width = 2, .height = 1, .classes = classes};
    overlay_labels(&f, &l, &p, 0);
    assert_int_equal(f.pixels[0], 100);
    overlay_labels(&f, &l, &p, 127);
    assert_in_range(f.pixels[0], 113, 115);
    assert_in_range(f.pixels[1], 81, 83);
    overlay_labels(&f, &l, &p, 255);
    assert_memory_equal(f.pixels + 3, road, 3);
    assert_memory_equal(f.pixels + 12, road, 3); /* second row */
    assert_int_equal(f.pixels[6], 100);
    frame_clear(&f);
}

static void palette_colours_differ(void **state)
{
    (void)state;
    struct palette p;
    palette_init(&p);
    for (int a = 0; a < 20; a++)
        for (int b = 0; b < a; b++) {
            int d = 0;
            for (int i = 0; i < 3; i++)
                d += abs(p.rgb[a][i] - p.rgb[b][i]);
            assert_true(d > 20);
        }
}

static void boxes_stay_inside(void **state)
{
    (void)state;
    struct palette p;
    palette_init(&p);
    struct frame f = {0};
    assert_int_equal(frame_resize(&f, 20, 10, NULL), ST_OK);
    memset(f.pixels, 0, frame_bytes(&f));
    palette_name(&p, 0, "rider"); /* 255, 0, 0 */
    const struct box boxes[] = {{.x0 = 5, .y0 = 2, .x1 = 15, .y1 = 8},
                                {.x0 = -INFINITY, .y0 = NAN, .x1 = 3, .y1 = 1e30f},
                                {.x0 = 9, .y0 = 9, .x1 = 2, .y1 = 2},
                                {.x0 = 0, .y0 = 0, .x1 = 20, .y1 = 10, .class_id = 64},
                                {.x0 = 0, .y0 = 0, .x1 = 20, .y1 = 10, .class_id = -1}};
    overlay_boxes(&f, boxes, 5, &p);
    assert_int_equal(f.pixels[3 * (2 * 20 + 5)], 255);
    assert_int_equal(f.pixels[3 * (7 * 20 + 14)], 255);
    assert_int_equal(f.pixels[3 * (8 * 20 + 14)], 0); /* exclusive corner */
    assert_int_equal(f.pixels[3 * (5 * 20 + 10)], 0); /* inside is clear */
    assert_int_equal(f.pixels[3 * (9 * 20 + 0)], 255);
    frame_clear(&f);
}

/* What memory held before must not show: filters reach beyond the end of a row. */
static void scaling_reads_nothing_but_the_picture(void **state)
{
    (void)state;
    struct frame src, dst[2];
    frame_init(&src);
    for (int i = 0; i < 2; i++) {
        frame_init(&dst[i]);
        assert_int_equal(frame_resize(&dst[i], 32, 32, NULL), ST_OK);
    }
    for (int h = 30; h < 60; h += 3) {
        assert_int_equal(frame_resize(&src, 65, h, NULL), ST_OK);
        for (size_t i = 0; i < frame_bytes(&src); i++)
            src.pixels[i] = (uint8_t)((i * 2654435761u) >> 13);
        for (int i = 0; i < 2; i++) {
            void *dirt[16];
            for (size_t k = 0; k < 16; k++) {
                dirt[k] = malloc(3000 * (k + 1));
                assert_non_null(dirt[k]);
                memset(dirt[k], i ? 0xff : 0, 3000 * (k + 1));
            }
            for (size_t k = 0; k < 16; k++)
                free(dirt[k]);
            struct scaler s;
            scaler_init(&s);
            assert_int_equal(scaler_run(&s, &src, &dst[i], NULL), ST_OK);
            scaler_clear(&s);
        }
        assert_memory_equal(dst[0].pixels, dst[1].pixels, 32 * 32 * 3);
    }
    frame_clear(&src);
    frame_clear(&dst[0]);
    frame_clear(&dst[1]);
}

static void the_class_of_a_picture_is_a_margin(void **state)
{
    (void)state;
    uint8_t pixels[32 * 20 * 3] = {0}, class_id = 1;
    struct frame f = {.width = 32, .height = 20, .pixels = pixels};
    struct label_map l = {1, 1, &class_id};
    struct palette p;
    palette_init(&p);
    overlay_labels(&f, &l, &p, 255);
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 32; x++) {
            bool margin = x < 2 || x > 29 || y < 2 || y > 17; /* 20 / 16 + 1 */
            const uint8_t *pixel = pixels + 3 * (y * 32 + x);
            assert_true((memcmp(pixel, p.rgb[1], 3) == 0) == margin);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_keep_their_bytes),
        cmocka_unit_test(labels_round_trip),
        cmocka_unit_test(label_values_are_never_converted),
        cmocka_unit_test(other_images_are_no_labels),
        cmocka_unit_test(png_pictures_are_exact),
        cmocka_unit_test(jpeg_pictures_are_near),
        cmocka_unit_test(truncated_images_are_refused),
        cmocka_unit_test(scaling_keeps_flat_colours_and_averages),
        cmocka_unit_test(overlays_blend),
        cmocka_unit_test(scaling_reads_nothing_but_the_picture),
        cmocka_unit_test(the_class_of_a_picture_is_a_margin),
        cmocka_unit_test(palette_colours_differ),
        cmocka_unit_test(boxes_stay_inside),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
