/* Settings: every row of the table at its bounds and past them, strict files, flags' spelling. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "server/settings.h"

/* Room for the values of either table. */
union values {
    struct settings server;
    struct camera_settings camera;
};

static double value_of(const union values *s, const struct setting *row)
{
    const void *at = (const char *)s + row->offset;
    return row->kind == SETTING_INT ? (double)*(const int *)at : *(const double *)at;
}

/* Sets the number and says whether it was taken and kept. */
static bool takes(const struct setting_table *t, const struct setting *row, double v)
{
    union values s;
    struct error err = {0};
    char text[64];
    snprintf(text, sizeof text, "%.17g", v);
    setting_table_init(t, &s);
    double before = value_of(&s, row);
    enum status st = setting_table_set(t, &s, row->name, text, &err);
    if (st == ST_OK)
        return value_of(&s, row) == v;
    assert_int_equal(st, ST_INVALID);
    assert_non_null(strstr(err.message, row->name));
    assert_true(value_of(&s, row) == before);
    return false;
}

static void check_numbers(const struct setting_table *t)
{
    for (int i = 0; i < t->count; i++) {
        const struct setting *row = &t->rows[i];
        if (row->kind != SETTING_INT && row->kind != SETTING_REAL)
            continue;
        double less = row->kind == SETTING_INT ? row->min - 1 : nextafter(row->min, -INFINITY);
        double more = row->kind == SETTING_INT ? row->max + 1 : nextafter(row->max, INFINITY);
        assert_true(takes(t, row, row->min));
        assert_true(takes(t, row, row->max));
        assert_false(takes(t, row, less));
        assert_false(takes(t, row, more));
        assert_true(atof(row->standard) >= row->min && atof(row->standard) <= row->max);
    }
}

static void numbers_are_bounded(void **state)
{
    (void)state;
    check_numbers(settings_table());
    check_numbers(camera_settings_table());
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "1x", "nan", "inf", "0x10", " 1", "1 ", "1,5"};
    struct settings s;
    struct error err;
    settings_init(&s);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(settings_set(&s, "period_s", bad[i], &err), ST_INVALID);
        assert_int_equal(settings_set(&s, "steps", bad[i], &err), ST_INVALID);
        assert_int_equal(settings_set(&s, "adapt", bad[i], &err), ST_INVALID);
    }
    assert_int_equal(settings_set(&s, "steps", "1.5", &err), ST_INVALID);
    char *longer = calloc(1, SETTING_TEXT_BYTES + 1);
    assert_non_null(longer);
    memset(longer, 'a', SETTING_TEXT_BYTES);
    assert_int_equal(settings_set(&s, "state", longer, &err), ST_INVALID);
    longer[SETTING_TEXT_BYTES - 1] = '\0';
    assert_int_equal(settings_set(&s, "state", longer, &err), ST_OK);
    free(longer);
}

static void unknown_names_get_the_nearest(void **state)
{
    (void)state;
    struct settings s;
    struct error err;
    settings_init(&s);
    assert_int_equal(settings_set(&s, "perod_s", "1", &err), ST_INVALID);
    assert_non_null(strstr(err.message, "period_s"));
    assert_int_equal(settings_set(&s, "uplink-kbs", "9", &err), ST_INVALID);
    assert_non_null(strstr(err.message, "uplink_kbps"));
    assert_int_equal(settings_set(&s, "zzzzzzzzzzzzzzzzzzzzzzz", "9", &err), ST_INVALID);
    assert_null(strstr(err.message, "did you mean"));
    assert_int_equal(settings_set(&s, "uplink-kbps", "9", &err), ST_OK);
    assert_true(s.uplink_kbps == 9);
}

static struct camera_list cameras;

static enum status read_text(struct settings *s, const char *text, struct error *err)
{
    return settings_read(s, &cameras, text, strlen(text), "file.yaml", err);
}

static void expect_refusal(struct settings *s, const char *text, const char *says)
{
    struct error err;
    assert_int_equal(read_text(s, text, &err), ST_FORMAT);
    if (!strstr(err.message, says))
        fail_msg("'%s' does not say '%s'", err.message, says);
}

static void files_are_strict(void **state)
{
    (void)state;
    struct settings s, before;
    struct error err;
    settings_init(&s);
    assert_int_equal(read_text(&s, "", &err), ST_OK);
    assert_int_equal(read_text(&s, "period_s: 20\nadapt: no\nstudent: \"a b.onnx\"\n", &err),
                     ST_OK);
    assert_true(s.period_s == 20 && !s.adapt);
    assert_string_equal(s.student, "a b.onnx");
    before = s;
    static const char *const bad[][2] = {{"period_s: 30\nsteps: many\n", "file.yaml:2:8"},
                                         {"period_s: 30\n  oops\n- x", "file.yaml:"},
                                         {"period_s: 30\nperiod_s: 40\n", "file.yaml:2:1"},
                                         {"steps: 5\nperod_s: 30\n", "period_s"},
                                         {"steps: [1, 2]\n", "file.yaml:1:8"},
                                         {"- steps\n", "file.yaml:1:1"},
                                         {"just text", "file.yaml:1:1"},
                                         {"horizon_s: 1\n", "10 to 86400 s"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_refusal(&s, bad[i][0], bad[i][1]);
        assert_memory_equal(&s, &before, sizeof s);
    }
}

static const char two_cameras[] = "period_s: 20\n"
                                  "cameras:\n"
                                  "  gate-1: {source: \"rtsp://10.0.0.7/main\", fps: 10}\n"
                                  "  gate-2:\n"
                                  "    uplink_kbps: 100\n"
                                  "  gate-3:\n";

static void cameras_have_settings_of_their_own(void **state)
{
    (void)state;
    struct settings s;
    struct error err;
    settings_init(&s);
    assert_int_equal(read_text(&s, two_cameras, &err), ST_OK);
    assert_int_equal(cameras.count, 3);
    assert_true(s.period_s == 20);
    const struct camera_settings *one = camera_list_find(&cameras, "gate-1"),
                                 *two = camera_list_find(&cameras, "gate-2");
    assert_true(one == &cameras.cameras[0] && two == &cameras.cameras[1]);
    assert_null(camera_list_find(&cameras, "gate-4"));
    assert_string_equal(one->source, "rtsp://10.0.0.7/main");
    assert_true(one->fps == 10 && one->uplink_kbps == 0 && one->threads == 1);
    assert_true(two->uplink_kbps == 100 && !two->source[0]);
    struct camera_settings standard;
    camera_settings_init(&standard);
    assert_string_equal(cameras.cameras[2].id, "gate-3");
    for (int i = 0; i < CAMERA_ROWS; i++)
        assert_true(setting_table_same(camera_settings_table(), &cameras.cameras[2], &standard, i));

    static const char *const bad[][2] = {
        {"cameras:\n  gate: {source: a, rate: 2}\n", "file.yaml:2:27"},
        {"cameras:\n  gate: {sorce: a}\n", "did you mean 'source'"},
        {"cameras:\n  gate: {source: a, source: b}\n", "file.yaml:2:21"},
        {"cameras:\n  gate: {source: a}\n  gate: {source: b}\n", "file.yaml:3:3"},
        {"cameras:\n  Gate: {source: a}\n", "file.yaml:2:3"},
        {"cameras:\n  gate: [a]\n", "file.yaml:2:9"},
        {"cameras:\n  gate: nonsense\n", "file.yaml:2:9"},
        {"cameras: [gate]\n", "file.yaml:1:10"},
        {"cameras: {}\ncameras: {}\n", "file.yaml:2:1"},
        {"camera: {}\n", "did you mean 'cameras'"},
        {"cameras: {gate: {source: a}}\nperiod_s: 0\n", "file.yaml:2:11"},
    };
    struct settings before = s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_refusal(&s, bad[i][0], bad[i][1]);
        assert_memory_equal(&s, &before, sizeof s);
        assert_int_equal(cameras.count, 3); /* those of before */
    }
    assert_int_equal(read_text(&s, "steps: 4\n", &err), ST_OK);
    assert_int_equal(cameras.count, 0); /* what the last file says */
}

static void the_number_of_cameras_is_bounded(void **state)
{
    (void)state;
    struct settings s;
    struct error err;
    struct buf text;
    buf_init(&text);
    settings_init(&s);
    snprintf(s.student, sizeof s.student, "a");
    snprintf(s.teacher, sizeof s.teacher, "b");
    buf_printf(&text, "cameras:\n");
    for (int i = 0; i < CAMERA_LIST_MAX; i++)
        buf_printf(&text, "  c%d:\n", i);
    assert_int_equal(settings_read(&s, &cameras, text.data, text.size_bytes, "f", &err), ST_OK);
    assert_int_equal(cameras.count, CAMERA_LIST_MAX);
    assert_int_equal(settings_check(&s, &cameras, &err), ST_INVALID);
    s.cameras_max = CAMERA_LIST_MAX;
    assert_int_equal(settings_check(&s, &cameras, &err), ST_OK);
    buf_printf(&text, "  more:\n");
    assert_int_equal(settings_read(&s, &cameras, text.data, text.size_bytes, "f", &err), ST_FORMAT);
    buf_clear(&text);
    camera_list_clear(&cameras);
}

static void settings_must_fit_together(void **state)
{
    (void)state;
    struct settings s;
    struct error err;
    settings_init(&s);
    assert_int_equal(settings_check(&s, &cameras, &err), ST_INVALID);
    snprintf(s.student, sizeof s.student, "a");
    snprintf(s.teacher, sizeof s.teacher, "b");
    assert_int_equal(settings_check(&s, &cameras, &err), ST_OK);
    s.sampling_fps_min = 2;
    assert_int_equal(settings_check(&s, &cameras, &err), ST_INVALID);
    s.sampling_fps_min = 0.1;
    s.chunk_s = 300;
    assert_int_equal(settings_check(&s, &cameras, &err), ST_INVALID);
    s.chunk_s = 10;
    snprintf(s.listen, sizeof s.listen, "off");
    assert_int_equal(settings_check(&s, &cameras, &err), ST_INVALID);
}

static void the_documentation_is_of_this_table(void **state)
{
    (void)state;
    struct buf made, kept;
    struct error err = {0};
    char path[512];
    buf_init(&made);
    buf_init(&kept);
    settings_write_markdown(&made);
    const char *docs = getenv("ATTUNE_DOCS");
    snprintf(path, sizeof path, "%s/configuration.md", docs ? docs : "docs");
    assert_int_equal(file_read(path, 1 << 20, &kept, &err), ST_OK);
    assert_int_equal(made.size_bytes, kept.size_bytes);
    assert_memory_equal(made.data, kept.data, made.size_bytes);
    made.size_bytes = 0;
    settings_write_help(&made);
    buf_put_u8(&made, 0);
    assert_non_null(strstr((const char *)made.data, "--uplink-kbps"));
    buf_clear(&made);
    buf_clear(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_bounded),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(unknown_names_get_the_nearest),
        cmocka_unit_test(files_are_strict),
        cmocka_unit_test(cameras_have_settings_of_their_own),
        cmocka_unit_test(the_number_of_cameras_is_bounded),
        cmocka_unit_test(settings_must_fit_together),
        cmocka_unit_test(the_documentation_is_of_this_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
