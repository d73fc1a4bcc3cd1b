/* The public library as a program sees it: answers, layouts, updates, and arguments that are wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <attune/attune.h>

#include "../edge/tiny_model.h"
#include "../uplink/fake_server.h"
#include "../video/pictures.h"
#include "base/clock.h"
#include "base/file.h"
#include "uplink/identity.h"
#include "video/scale.h"

#define W 50
#define H 38
#define NETWORK 32

static char folder[64], tiny_path[96], params_path[96];
static attune_error error;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/attune-library-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(tiny_path, sizeof tiny_path, "%s/tiny.onnx", folder);
    snprintf(params_path, sizeof params_path, "%s/params.ckpt", folder);
    return tiny_model_write(tiny_path, NETWORK, NETWORK) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink(tiny_path);
    unlink(params_path);
    return rmdir(folder);
}

static attune_student *open_tiny(void)
{
    attune_student *s = NULL;
    if (attune_student_open(tiny_path, 1, &s, &error) != ATTUNE_OK)
        fail_msg("%s", error.message);
    return s;
}

static attune_student *open_town(const char *name)
{
    char path[512];
    attune_student *s = NULL;
    snprintf(path, sizeof path, "%s/%s", getenv("ATTUNE_MODELS"), name);
    if (attune_student_open(path, 1, &s, &error) != ATTUNE_OK)
        fail_msg("%s", error.message);
    return s;
}

static attune_image rgb_image(const struct frame *f)
{
    return (attune_image){.layout = ATTUNE_RGB24,
                          .width = f->width,
                          .height = f->height,
                          .plane = {f->pixels},
                          .stride_bytes = {3 * f->width}};
}

static void run_picture(attune_student *s, int index)
{
    struct frame f;
    frame_init(&f);
    draw_picture(&f, W, H, index);
    const attune_image image = rgb_image(&f);
    if (attune_student_run(s, &image, &error) != ATTUNE_OK)
        fail_msg("%s", error.message);
    frame_clear(&f);
}

/* ---- what a student says of itself ---- */

static void a_student_is_described(void **state)
{
    (void)state;
    attune_student *s = open_town("town-student.onnx");
    float mean[3], std[3];
    attune_student_normalisation(s, mean, std);
    assert_int_equal(attune_student_task(s), ATTUNE_SEGMENT);
    assert_int_equal(attune_student_width(s), 320);
    assert_int_equal(attune_student_height(s), 192);
    assert_true(attune_student_class_count(s) > 2);
    assert_string_equal(attune_student_class_name(s, 0), "sky");
    assert_null(attune_student_class_name(s, attune_student_class_count(s)));
    assert_null(attune_student_class_name(s, -1));
    assert_true(mean[0] > 0 && mean[0] < 1 && std[0] > 0);
    assert_int_equal(strlen(attune_student_identity(s)), 64);
    assert_int_equal(attune_student_version(s), 0);
    attune_student_close(&s);
    assert_null(s);
}

static void versions_agree(void **state)
{
    (void)state;
    char header[32];
    snprintf(header, sizeof header, "%d.%d.%d", ATTUNE_VERSION_MAJOR, ATTUNE_VERSION_MINOR,
             ATTUNE_VERSION_PATCH);
    assert_string_equal(attune_version(), header);
    assert_string_equal(attune_status_text(ATTUNE_NETWORK), "network error");
    assert_non_null(attune_status_text((attune_status)1000));
}

/* ---- frames ---- */

/* The map's bytes, copied. */
static uint8_t *map_of(attune_student *s, const attune_image *image, size_t *ret_bytes)
{
    const uint8_t *map;
    int width = 0, height = 0;
    if (attune_student_run(s, image, &error) != ATTUNE_OK ||
        attune_student_map(s, &map, &width, &height, &error) != ATTUNE_OK)
        fail_msg("%s", error.message);
    *ret_bytes = (size_t)width * (size_t)height;
    uint8_t *copy = malloc(*ret_bytes);
    assert_non_null(copy);
    memcpy(copy, map, *ret_bytes);
    return copy;
}

/* The same picture with pixels of `bytes` bytes, channels in the order of r, g, b, in rows that are
 * 7 bytes longer, upside down when asked for. */
static uint8_t *repack(const struct frame *f, int bytes, const int order[3], bool bottom_up,
                       attune_image *image)
{
    size_t stride = (size_t)f->width * (size_t)bytes + 7;
    uint8_t *to = calloc((size_t)f->height, stride);
    assert_non_null(to);
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++)
            for (int c = 0; c < 3; c++)
                to[(size_t)(bottom_up ? f->height - 1 - y : y) * stride +
                   (size_t)(x * bytes + order[c])] = f->pixels[3 * (y * f->width + x) + c];
    image->plane[0] = bottom_up ? to + (size_t)(f->height - 1) * stride : to;
    image->stride_bytes[0] = bottom_up ? -(ptrdiff_t)stride : (ptrdiff_t)stride;
    return to;
}

static void layouts_of_one_picture_give_one_answer(void **state)
{
    (void)state;
    static const struct {
        attune_layout layout;
        int bytes, order[3];
        bool bottom_up;
    } cases[] = {{ATTUNE_RGB24, 3, {0, 1, 2}, false},
                 {ATTUNE_RGB24, 3, {0, 1, 2}, true},
                 {ATTUNE_BGR24, 3, {2, 1, 0}, false},
                 {ATTUNE_RGBX, 4, {0, 1, 2}, false},
                 {ATTUNE_BGRX, 4, {2, 1, 0}, true}};
    attune_student *s = open_town("town-student.onnx");
    struct frame f;
    frame_init(&f);
    draw_picture(&f, 333, 201, 3);
    attune_image image = rgb_image(&f);
    size_t bytes, other_bytes;
    uint8_t *want = map_of(s, &image, &bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        image.layout = cases[i].layout;
        uint8_t *pixels = repack(&f, cases[i].bytes, cases[i].order, cases[i].bottom_up, &image);
        uint8_t *got = map_of(s, &image, &other_bytes);
        size_t differ = 0;
        for (size_t k = 0; k < bytes; k++)
            differ += got[k] != want[k];
        assert_int_equal(other_bytes, bytes);
        /* swscale filters BGR by another path, which may round another way. */
        assert_true(differ <= (i < 2 ? 0 : bytes / 200));
        free(got);
        free(pixels);
    }
    free(want);
    frame_clear(&f);
    attune_student_close(&s);
}

/* Three planes of I420 and two of NV12 say the same. */
static void planes_of_one_picture_give_one_answer(void **state)
{
    (void)state;
    attune_student *s = open_town("town-student.onnx");
    uint8_t y[H * W], chroma[(W + 1) * ((H + 1) / 2)];
    for (int i = 0; i < H * W; i++)
        y[i] = (uint8_t)(16 + (i % W) * 2 + (i / W) * 3);
    memset(chroma, 128, sizeof chroma);
    attune_image image = {ATTUNE_I420, W, H, {y, chroma, chroma}, {W, (W + 1) / 2, (W + 1) / 2}};
    size_t bytes, other_bytes;
    uint8_t *planar = map_of(s, &image, &bytes);
    image.layout = ATTUNE_NV12;
    image.stride_bytes[1] = W + 1;
    uint8_t *half = map_of(s, &image, &other_bytes);
    size_t differ = 0;
    for (size_t i = 0; i < bytes; i++)
        differ += planar[i] != half[i];
    assert_true(differ <= bytes / 100);
    image.plane[2] = NULL; /* NV12 has two */
    assert_int_equal(attune_student_run(s, &image, &error), ATTUNE_OK);
    image.layout = ATTUNE_I420;
    assert_int_equal(attune_student_run(s, &image, &error), ATTUNE_INVALID);
    assert_non_null(strstr(error.message, "plane 2"));
    free(planar);
    free(half);
    attune_student_close(&s);
}

static void boxes_are_of_detections(void **state)
{
    (void)state;
    attune_student *s = open_town("town-detector-student.onnx");
    const attune_box *box;
    const uint8_t *map;
    int count, w, h;
    assert_int_equal(attune_student_boxes(s, &box, &count, &error), ATTUNE_AGAIN);
    run_picture(s, 1);
    assert_int_equal(attune_student_boxes(s, &box, &count, &error), ATTUNE_OK);
    for (int i = 0; i < count; i++) {
        assert_true(box[i].x0 >= 0 && box[i].x0 < box[i].x1 && box[i].x1 <= 1);
        assert_true(box[i].y0 >= 0 && box[i].y0 < box[i].y1 && box[i].y1 <= 1);
        assert_true(box[i].score <= (i ? box[i - 1].score : 1));
        assert_non_null(attune_student_class_name(s, box[i].class_id));
    }
    assert_int_equal(attune_student_map(s, &map, &w, &h, &error), ATTUNE_UNSUPPORTED);
    attune_student_close(&s);
}

static void probabilities_belong_to_the_map(void **state)
{
    (void)state;
    attune_student *s = open_town("town-student.onnx");
    float p[256];
    const uint8_t *map;
    int w, h;
    assert_int_equal(attune_student_probabilities(s, 0, 0, p, &error), ATTUNE_AGAIN);
    run_picture(s, 2);
    assert_int_equal(attune_student_map(s, &map, &w, &h, &error), ATTUNE_OK);
    for (int y = 0; y < h; y += 5)
        for (int x = 0; x < w; x += 7) {
            float sum = 0;
            int best = 0;
            assert_int_equal(attune_student_probabilities(s, x, y, p, &error), ATTUNE_OK);
            for (int c = 0; c < attune_student_class_count(s); c++) {
                sum += p[c];
                best = p[c] > p[best] ? c : best;
            }
            assert_true(sum > 0.999f && sum < 1.001f);
            assert_int_equal(map[y * w + x], best);
        }
    assert_int_equal(attune_student_probabilities(s, w, 0, p, &error), ATTUNE_INVALID);
    attune_student_close(&s);
}

/* ---- updates ---- */

static attune_status apply(attune_student *s, uint64_t base, uint64_t version, float value,
                           int flip, int *ret_applied)
{
    struct nn_model *m = tiny_model_open(NETWORK, NETWORK);
    struct buf delta;
    buf_init(&delta);
    assert_true(m && tiny_delta(m, base, version, value, &delta));
    if (flip >= 0)
        delta.data[(size_t)flip % delta.size_bytes] ^= 0x10;
    attune_status st = attune_student_apply(s, delta.data, delta.size_bytes, ret_applied, &error);
    buf_clear(&delta);
    nn_model_close(&m);
    return st;
}

static void an_update_takes_over_between_two_frames(void **state)
{
    (void)state;
    attune_student *s = open_tiny();
    int applied = -1;
    run_picture(s, 0);
    assert_int_equal(apply(s, 0, 1, tiny_value(1), -1, &applied), ATTUNE_OK);
    assert_int_equal(applied, 1);
    assert_int_equal(attune_student_version(s), 0);
    assert_int_equal(attune_student_settle(s, &error), ATTUNE_AGAIN);
    assert_int_equal(attune_student_save(s, params_path, &error), ATTUNE_AGAIN);
    run_picture(s, 1);
    assert_int_equal(attune_student_version(s), 1);
    assert_int_equal(attune_student_settle(s, &error), ATTUNE_OK);
    assert_int_equal(apply(s, 0, 1, tiny_value(1), -1, &applied), ATTUNE_OK);
    assert_int_equal(applied, 0); /* there already */
    assert_int_equal(apply(s, 2, 3, tiny_value(3), -1, &applied), ATTUNE_CONFLICT);
    assert_int_equal(apply(s, 1, 2, tiny_value(2), 40, &applied), ATTUNE_FORMAT);
    assert_int_equal(attune_student_save(s, params_path, &error), ATTUNE_OK);
    attune_student_close(&s);
    s = open_tiny();
    assert_int_equal(attune_student_load(s, params_path, &error), ATTUNE_OK);
    assert_int_equal(attune_student_version(s), 1);
    assert_int_equal(attune_student_load(s, "/nonexistent/x", &error), ATTUNE_NOT_FOUND);
    attune_student_close(&s);
    s = open_town("town-student.onnx");
    assert_int_equal(attune_student_load(s, params_path, &error), ATTUNE_CONFLICT);
    attune_student_close(&s);
}

static void weights_that_give_no_numbers_are_undone(void **state)
{
    (void)state;
    attune_student *s = open_tiny();
    assert_int_equal(apply(s, 0, 1, 60000, -1, NULL), ATTUNE_OK);
    run_picture(s, 0);
    assert_int_equal(attune_student_settle(s, &error), ATTUNE_INVALID);
    assert_int_equal(attune_student_version(s), 0);
    attune_student_close(&s);
}

/* ---- following a server ---- */

struct heard {
    int applied, warnings;
};

static void on_log(void *context, attune_level level, const char *event, const char *details)
{
    struct heard *h = context;
    assert_non_null(details);
    h->applied += strcmp(event, "version applied") == 0;
    h->warnings += level == ATTUNE_LOG_WARNING;
}

/* Frames run until it is at that version. */
static void run_until(attune_student *s, const attune_updates *u, uint64_t version)
{
    uint64_t until_us = clock_mono_us() + 30000000;
    while (attune_student_version(s) != version || attune_updates_applied(u) < version) {
        assert_true(clock_mono_us() < until_us);
        run_picture(s, 0);
        clock_sleep_until_us(clock_mono_us() + 2000);
    }
}

/* What enrolment gave is taken from its folder, for that camera alone. */
static void take_identity(attune_updates *u)
{
    struct identity id = {.server = "http://127.0.0.1:1", .camera = "yard"};
    assert_int_equal(attune_updates_set_identity(u, folder, &error), ATTUNE_NOT_FOUND);
    assert_int_equal(secret_token(id.token, NULL), ST_OK);
    assert_int_equal(identity_save(folder, &id, NULL), ST_OK);
    assert_int_equal(attune_updates_set_identity(u, folder, &error), ATTUNE_INVALID);
    snprintf(id.camera, sizeof id.camera, "gate");
    assert_int_equal(identity_save(folder, &id, NULL), ST_OK);
    assert_int_equal(attune_updates_set_identity(u, folder, &error), ATTUNE_OK);
    assert_int_equal(attune_updates_set_identity(NULL, folder, &error), ATTUNE_INVALID);
    snprintf(params_path, sizeof params_path, "%s/identity.json", folder);
    unlink(params_path);
    snprintf(params_path, sizeof params_path, "%s/params.ckpt", folder);
}

static void a_server_is_followed(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model_open(NETWORK, NETWORK);
    struct buf first, second;
    buf_init(&first);
    buf_init(&second);
    assert_true(m && tiny_delta(m, 0, 1, tiny_value(1), &first) &&
                tiny_delta(m, 1, 2, tiny_value(2), &second));
    struct fake_server *server = fake_server_start(0);
    assert_non_null(server);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d", fake_server_port(server));
    attune_student *s = open_tiny();
    attune_updates *u = NULL, *other = NULL;
    struct heard heard = {0};
    fake_server_spoil(server, FAULT_RESET, 1);
    assert_int_equal(attune_updates_open(s, url, "gate", &u, &error), ATTUNE_OK);
    assert_int_equal(attune_updates_set_log(u, on_log, &heard, &error), ATTUNE_OK);
    assert_int_equal(attune_updates_set_file(u, params_path, &error), ATTUNE_OK);
    take_identity(u);
    assert_int_equal(attune_updates_start(u, &error), ATTUNE_OK);
    assert_int_equal(attune_updates_start(u, &error), ATTUNE_CONFLICT);
    assert_int_equal(attune_updates_set_ca(u, "x", &error), ATTUNE_CONFLICT);
    assert_int_equal(attune_updates_open(s, url, "gate", &other, &error), ATTUNE_OK);
    assert_int_equal(attune_updates_start(other, &error), ATTUNE_CONFLICT);
    attune_updates_close(&other);
    fake_server_update(server, 0, 1, first.data, first.size_bytes);
    run_until(s, u, 1);
    assert_int_equal(apply(s, 1, 2, tiny_value(2), -1, NULL), ATTUNE_CONFLICT); /* it is followed */
    fake_server_update(server, 1, 2, second.data, second.size_bytes);
    run_until(s, u, 2);
    attune_updates_close(&u);
    assert_int_equal(heard.applied, 2);
    assert_true(heard.warnings >= 1);
    assert_int_equal(apply(s, 2, 3, tiny_value(3), -1, NULL), ATTUNE_OK);
    attune_student_close(&s);
    s = open_tiny();
    assert_int_equal(attune_student_load(s, params_path, &error), ATTUNE_OK);
    assert_int_equal(attune_student_version(s), 2);
    attune_student_close(&s);
    fake_server_stop(&server);
    buf_clear(&first);
    buf_clear(&second);
    nn_model_close(&m);
}

/* ---- wrong arguments ---- */

static void wrong_arguments_are_said(void **state)
{
    (void)state;
    attune_student *s = NULL;
    attune_updates *u = NULL;
    assert_int_equal(attune_student_open(NULL, 1, &s, &error), ATTUNE_INVALID);
    assert_int_equal(attune_student_open(tiny_path, 0, &s, &error), ATTUNE_INVALID);
    assert_int_equal(attune_student_open("/nonexistent.onnx", 1, &s, NULL), ATTUNE_NOT_FOUND);
    assert_null(s);
    assert_int_equal(attune_student_width(NULL), 0);
    assert_int_equal(attune_student_run(NULL, NULL, &error), ATTUNE_INVALID);
    attune_student_close(&s);
    attune_student_close(NULL);
    attune_updates_close(NULL);
    s = open_tiny();
    uint8_t pixels[12] = {0};
    attune_image image = {ATTUNE_RGB24, 2, 2, {pixels}, {6}};
    assert_int_equal(attune_student_run(s, &image, &error), ATTUNE_OK);
    image.stride_bytes[0] = 5;
    assert_int_equal(attune_student_run(s, &image, &error), ATTUNE_INVALID);
    image.stride_bytes[0] = 6;
    image.width = ATTUNE_SIDE_MAX + 1;
    assert_int_equal(attune_student_run(s, &image, &error), ATTUNE_INVALID);
    image.width = 0;
    assert_int_equal(attune_student_run(s, &image, &error), ATTUNE_INVALID);
    image.layout = (attune_layout)99;
    assert_int_equal(attune_student_run(s, &image, &error), ATTUNE_INVALID);
    assert_int_equal(attune_student_apply(s, "not a delta", 11, NULL, &error), ATTUNE_FORMAT);
    assert_int_equal(attune_updates_open(s, "http://10.0.0.9:1", "gate", &u, &error), ATTUNE_OK);
    assert_int_equal(attune_updates_start(u, &error), ATTUNE_DENIED);
    assert_non_null(strstr(error.message, "https"));
    attune_updates_close(&u);
    attune_student_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_student_is_described),
        cmocka_unit_test(versions_agree),
        cmocka_unit_test(layouts_of_one_picture_give_one_answer),
        cmocka_unit_test(planes_of_one_picture_give_one_answer),
        cmocka_unit_test(boxes_are_of_detections),
        cmocka_unit_test(probabilities_belong_to_the_map),
        cmocka_unit_test(an_update_takes_over_between_two_frames),
        cmocka_unit_test(weights_that_give_no_numbers_are_undone),
        cmocka_unit_test(a_server_is_followed),
        cmocka_unit_test(wrong_arguments_are_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
