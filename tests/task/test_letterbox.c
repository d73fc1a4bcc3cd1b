/* Pictures that keep their aspect: where they lie in the frame, and boxes back on the picture. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "label/labeller.h"
#include "nn/build.h"
#include "nn/describe.h"
#include "video/frame.h"
#include "video/letterbox.h"

#define SIDE 64

static void fill(struct frame *f, int x0, int y0, int x1, int y1, uint8_t value)
{
    for (int y = y0; y < y1; y++)
        memset(f->pixels + ((size_t)y * (size_t)f->width + (size_t)x0) * 3, value,
               (size_t)(x1 - x0) * 3);
}

static int whole(struct rng *r, int low, int high)
{
    return low + (int)rng_below(r, (uint32_t)(high - low + 1));
}

/* Bounds of what is bright, in pixels; false: nothing is. */
static bool bright(const struct frame *f, int b[4])
{
    b[0] = b[1] = INT32_MAX;
    b[2] = b[3] = 0;
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++)
            if (f->pixels[((size_t)y * (size_t)f->width + (size_t)x) * 3] > 180) {
                b[0] = x < b[0] ? x : b[0];
                b[1] = y < b[1] ? y : b[1];
                b[2] = x + 1 > b[2] ? x + 1 : b[2];
                b[3] = y + 1 > b[3] ? y + 1 : b[3];
            }
    return b[2] > 0;
}

static void check_gray(const struct frame *f, int width, int height)
{
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++)
            if (x >= width || y >= height)
                assert_int_equal(f->pixels[((size_t)y * (size_t)f->width + (size_t)x) * 3],
                                 LETTERBOX_GRAY);
}

/* A bright rectangle anywhere in a picture of any size is found in the frame where the fit says,
 * to a pixel of the frame; the picture has its aspect and touches two sides; the rest is gray. */
static void things_are_where_the_fit_says(void **state)
{
    (void)state;
    struct letterbox l;
    struct frame picture, frame;
    struct letterbox_fit fit;
    struct rng r;
    rng_init(&r, 5, 0);
    letterbox_init(&l);
    frame_init(&picture);
    frame_init(&frame);
    for (int run = 0; run < 200; run++) {
        int w = whole(&r, 16, 200), h = whole(&r, 16, 200), b[4];
        assert_int_equal(frame_resize(&picture, w, h, NULL), ST_OK);
        assert_int_equal(frame_resize(&frame, whole(&r, 16, 120), whole(&r, 16, 120), NULL), ST_OK);
        int x0 = whole(&r, 0, w / 2), y0 = whole(&r, 0, h / 2);
        int x1 = whole(&r, x0 + w / 3, w), y1 = whole(&r, y0 + h / 3, h);
        fill(&picture, 0, 0, w, h, 60);
        fill(&picture, x0, y0, x1, y1, 255);
        picture.t_us = (uint64_t)run;
        assert_int_equal(letterbox_run(&l, &picture, &frame, &fit, NULL), ST_OK);
        assert_int_equal(frame.t_us, run);
        double inner_w = frame.width / (double)fit.width,
               inner_h = frame.height / (double)fit.height;
        assert_true(fit.width >= 1 && fit.height >= 1 && (fit.width == 1 || fit.height == 1));
        /* Sides are whole pixels: half a pixel of the aspect is lost at most. */
        assert_true(fabs(inner_w - inner_h * w / h) <= 0.51 * fmax(1, (double)w / h));
        check_gray(&frame, (int)lround(inner_w), (int)lround(inner_h));
        assert_true(bright(&frame, b));
        const double found[4] = {b[0], b[1], b[2], b[3]}, pixels[4] = {x0, y0, x1, y1};
        for (int i = 0; i < 4; i++) {
            double side = i % 2 ? frame.height : frame.width, of = i % 2 ? h : w;
            double back = found[i] / side * (double)(i % 2 ? fit.height : fit.width) * of;
            double step = of / (i % 2 ? inner_h : inner_w); /* a pixel of the frame */
            assert_true(fabs(back - pixels[i]) <= 1.01 * fmax(step, 1));
        }
    }
    letterbox_clear(&l);
    frame_clear(&picture);
    frame_clear(&frame);
}

/* Boxes of the picture, shrunk into the frame and stretched back, are what they were. */
static void boxes_come_back(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 6, 0);
    for (int run = 0; run < 500; run++) {
        float fit[2] = {1, 1};
        fit[rng_below(&r, 2)] = 1 + 3 * rng_float(&r);
        struct detection d[8], in[8], out[DETECT_BOXES_MAX];
        uint8_t table[DETECT_TABLE_BYTES];
        for (int i = 0; i < 8; i++) {
            float x = 0.8f * rng_float(&r), y = 0.8f * rng_float(&r);
            d[i] = (struct detection){{x, y, x + 0.02f + 0.18f * rng_float(&r),
                                       y + 0.02f + 0.18f * rng_float(&r), i % 3, 0.5f},
                                      i % 2};
            in[i] = d[i];
            in[i].box.x0 /= fit[0];
            in[i].box.x1 /= fit[0];
            in[i].box.y0 /= fit[1];
            in[i].box.y1 /= fit[1];
        }
        detect_write(in, 8, table);
        detect_stretch(fit[0], fit[1], table);
        assert_int_equal(detect_check(table, 3, NULL), ST_OK);
        assert_int_equal(detect_read(table, out), 8);
        for (int i = 0; i < 8; i++) {
            const float step = 4.0f / 65535; /* what a table knows, times the largest fit */
            assert_float_equal(out[i].box.x0, d[i].box.x0, step);
            assert_float_equal(out[i].box.y0, d[i].box.y0, step);
            assert_float_equal(out[i].box.x1, d[i].box.x1, step);
            assert_float_equal(out[i].box.y1, d[i].box.y1, step);
            assert_true(out[i].unsure == d[i].unsure && out[i].box.class_id == d[i].box.class_id);
        }
    }
    /* In the gray, or half in it. */
    struct detection d[2] = {{{0.1f, 0.6f, 0.2f, 0.9f, 0, 1}, false},
                             {{0.1f, 0.4f, 0.2f, 0.9f, 1, 1}, false}},
                     out[DETECT_BOXES_MAX];
    uint8_t table[DETECT_TABLE_BYTES];
    detect_write(d, 2, table);
    detect_stretch(1, 2, table);
    assert_int_equal(detect_read(table, out), 1);
    assert_int_equal(out[0].box.class_id, 1);
    assert_float_equal(out[0].box.y1, 1, 0);
}

/* ---- through the labeller ---- */

/* A detector that answers something everywhere. */
static void network(struct buf *file)
{
    struct nn_build *b;
    assert_int_equal(nn_build_open(SIDE, SIDE, 9, &b, NULL), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 7, 3, 8, 1, 1, true);
    nn_build_metadata(b, "attune.task", "detect");
    nn_build_metadata(b, "attune.detect.head", "grid");
    nn_build_metadata(b, "attune.detect.threshold", "0.02");
    nn_build_metadata(b, "attune.detect.unsure", "0.01");
    nn_build_metadata(b, "attune.classes", "a,b");
    assert_int_equal(nn_build_finish(b, x, file, NULL), ST_OK);
    nn_build_close(&b);
}

static struct nn_model *with_fit(const struct buf *file, const char *fit)
{
    const struct nn_property p = {"attune.fit", fit};
    struct nn_model *m = NULL;
    struct buf described;
    buf_init(&described);
    assert_int_equal(nn_describe(file->data, file->size_bytes, &p, 1, &described, NULL), ST_OK);
    assert_int_equal(nn_model_read(described.data, described.size_bytes, NULL, &m, NULL), ST_OK);
    buf_clear(&described);
    return m;
}

/* A wide picture: the same boxes as of a square one that holds it in its upper half. */
static void a_teacher_keeps_the_aspect(void **state)
{
    (void)state;
    struct buf file;
    struct frame picture, square;
    struct label_map wide, held;
    struct labeller *boxed, *plain;
    struct detection a[DETECT_BOXES_MAX], b[DETECT_BOXES_MAX];
    struct task_spec spec;
    struct error err;
    struct rng r;
    rng_init(&r, 7, 0);
    buf_init(&file);
    frame_init(&picture);
    frame_init(&square);
    label_map_init(&wide);
    label_map_init(&held);
    network(&file);
    struct nn_model *stretch = with_fit(&file, "stretch"), *box = with_fit(&file, "letterbox");
    assert_int_equal(labeller_open(stretch, box, 1, &boxed, NULL), ST_OK);
    assert_int_equal(labeller_open(stretch, stretch, 1, &plain, NULL), ST_OK);
    assert_int_equal(frame_resize(&picture, SIDE, SIDE / 2, NULL), ST_OK);
    assert_int_equal(frame_resize(&square, SIDE, SIDE, NULL), ST_OK);
    assert_int_equal(label_map_resize(&wide, DETECT_ROW_BYTES, DETECT_BOXES_MAX, NULL), ST_OK);
    assert_int_equal(label_map_resize(&held, DETECT_ROW_BYTES, DETECT_BOXES_MAX, NULL), ST_OK);
    for (size_t i = 0; i < frame_bytes(&picture); i++)
        picture.pixels[i] = (uint8_t)rng_below(&r, 256);
    memset(square.pixels, LETTERBOX_GRAY, frame_bytes(&square));
    memcpy(square.pixels, picture.pixels, frame_bytes(&picture));
    assert_int_equal(labeller_teach(boxed, &picture, &wide, NULL), ST_OK);
    assert_int_equal(labeller_teach(plain, &square, &held, NULL), ST_OK);
    int n = detect_read(wide.classes, a), m = detect_read(held.classes, b), at = 0;
    assert_true(n > 5);
    for (int i = 0; i < m; i++) {
        if (b[i].box.y0 >= 0.5f - 1.0f / 65535) /* in the gray */
            continue;
        assert_true(at < n);
        assert_float_equal(a[at].box.x0, b[i].box.x0, 1e-4);
        assert_float_equal(a[at].box.y0, b[i].box.y0 * 2, 1e-4);
        assert_float_equal(a[at].box.y1, fminf(b[i].box.y1 * 2, 1), 1e-4);
        assert_int_equal(a[at++].box.class_id, b[i].box.class_id);
    }
    assert_int_equal(at, n);
    /* Not of a student, and no other word. */
    assert_int_equal(task_spec_read(box, &spec, NULL), ST_OK);
    assert_int_equal(task_spec_check_student(&spec, NULL), ST_UNSUPPORTED);
    struct nn_model *other = with_fit(&file, "crop");
    assert_int_equal(task_spec_read(other, &spec, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "attune.fit"));
    nn_model_close(&other);
    labeller_close(&boxed);
    labeller_close(&plain);
    nn_model_close(&stretch);
    nn_model_close(&box);
    frame_clear(&picture);
    frame_clear(&square);
    label_map_clear(&wide);
    label_map_clear(&held);
    buf_clear(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(things_are_where_the_fit_says),
        cmocka_unit_test(boxes_come_back),
        cmocka_unit_test(a_teacher_keeps_the_aspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
