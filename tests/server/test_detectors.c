/* The whole loop with detectors over HTTP: a camera program that streams the town, the teacher's
 * boxes, a training process, an update, and the camera that runs it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kit.h"
#include "label/label_file.h"

#define PATIENCE_US ((uint64_t)150 * 1000000)

static struct kit *kit;

static int setup(void **state)
{
    (void)state;
    const char *models = getenv("ATTUNE_MODELS");
    kit = kit_open();
    struct settings *s = &kit->options.settings;
    assert_non_null(models);
    snprintf(s->student, sizeof s->student, "%s/town-detector-student.onnx", models);
    snprintf(s->teacher, sizeof s->teacher, "%s/town-detector-teacher.onnx", models);
    snprintf(s->policy, SETTING_TEXT_BYTES, "round-robin");
    s->chunk_s = 2;
    s->period_s = 1;
    s->frames_min = 3;
    s->steps = 6;
    s->batch = 2;
    kit->options.worker_argv = kit_worker_argv;
    kit_streams(kit);
    kit_cameras(kit, "cameras: {a: {source: \"town:width=320,height=192,fps=2\"}}\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static bool look(struct store_camera *c)
{
    return store_camera_get(kit->server->store, "a", c, NULL) == ST_OK;
}

static bool runs_an_update(const struct store_camera *c)
{
    return c->camera_version >= 1 && c->frame_t_us > 0;
}

static void await(bool (*what)(const struct store_camera *c), struct store_camera *ret)
{
    uint64_t until_us = clock_mono_us() + PATIENCE_US;
    while (!look(ret) || !what(ret)) {
        if (clock_mono_us() > until_us)
            fail_msg("the camera did not get there: version %llu of %llu, rejected %llu",
                     (unsigned long long)ret->camera_version, (unsigned long long)ret->version,
                     (unsigned long long)ret->rejected);
        clock_sleep_until_us(clock_mono_us() + 20000);
    }
}

/* Tables of boxes, as the camera gets them. */
static int boxes_of_newest_frame(const struct store_camera *c)
{
    struct answer a = {0};
    struct label_set set;
    struct detection d[DETECT_BOXES_MAX];
    char path[128];
    snprintf(path, sizeof path, "/v1/cameras/a/labels?t_us=%llu",
             (unsigned long long)c->frame_t_us);
    kit_ask(kit, "GET", path, NULL, 0, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(label_set_read(a.body.data, a.body.size_bytes, &set, NULL), ST_OK);
    assert_int_equal(set.width, DETECT_ROW_BYTES);
    assert_int_equal(set.height, DETECT_BOXES_MAX);
    assert_int_equal(detect_check(set.classes, set.class_count, NULL), ST_OK);
    int n = detect_read(set.classes, d);
    label_set_clear(&set);
    answer_clear(&a);
    return n;
}

static void check_series(void)
{
    json_t *s = kit_json(kit, "/v1/cameras/a/series", 200), *v;
    size_t i, scored = 0;
    json_array_foreach(json_object_get(s, "accuracy"), i, v)
    {
        if (json_is_null(v)) /* no box there and none found */
            continue;
        assert_true(json_number_value(v) >= 0 && json_number_value(v) <= 1);
        scored++;
    }
    assert_true(scored > 0);
    json_decref(s);
}

static size_t moved_parameters(void)
{
    struct answer a = {0};
    struct nn_model *m;
    size_t moved = 0;
    kit_ask(kit, "GET", "/v1/cameras/a/model.onnx", NULL, 0, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(nn_model_read(a.body.data, a.body.size_bytes, NULL, &m, NULL), ST_OK);
    for (size_t i = 0; i < nn_model_param_count(m); i++)
        moved += nn_model_values(m)[i] != nn_model_values(kit->server->student)[i];
    nn_model_close(&m);
    answer_clear(&a);
    return moved;
}

static void a_detector_is_labelled_trained_and_updated(void **state)
{
    (void)state;
    struct store_camera c = {.version = 0};
    kit_start(kit);
    await(runs_an_update, &c);
    json_t *health = kit_json(kit, "/v1/health", 200);
    assert_string_equal(json_string_value(json_object_get(health, "task")), "detect");
    assert_string_equal(json_string_value(json_object_get(health, "metric")), "F1");
    assert_int_equal(json_integer_value(json_object_get(health, "phases_failed")), 0);
    assert_int_equal(json_integer_value(json_object_get(health, "chunks_failed")), 0);
    json_decref(health);
    assert_true(boxes_of_newest_frame(&c) > 0);
    check_series();
    size_t moved = moved_parameters();
    assert_true(moved > 0 && moved < nn_model_param_count(kit->server->student));
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_detector_is_labelled_trained_and_updated, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
