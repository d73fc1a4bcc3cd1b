/* What the page reads beyond docs/api.md's basics: its own files, samples, settings, versions of a
 * group, events newest first, and the account of compute over time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/clock.h"
#include "kit.h"

static struct kit *kit;

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    kit->options.no_worker = true;
    kit_start(kit);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static void ask_with(const char *path, const char *header, struct answer *a)
{
    kit->headers[0] = header;
    kit_ask(kit, "GET", path, NULL, 0, a);
    kit->headers[0] = NULL;
}

/* The value of a header of the answer, to ret[128]. */
static void header_of(const struct answer *a, const char *name, char *ret)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\n%s: ", name);
    const char *at = strstr(a->headers, wanted);
    assert_non_null(at);
    at += strlen(wanted);
    snprintf(ret, 128, "%.*s", (int)strcspn(at, "\r\n"), at);
}

/* ---- the page's files ---- */

static void inflate_is(const struct answer *packed, const struct answer *plain)
{
    size_t n = plain->body.size_bytes;
    unsigned char *out = malloc(n + 1);
    z_stream z = {.next_in = packed->body.data,
                  .avail_in = (uInt)packed->body.size_bytes,
                  .next_out = out,
                  .avail_out = (uInt)n + 1};
    assert_int_equal(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, n);
    assert_memory_equal(out, plain->body.data, n);
    inflateEnd(&z);
    free(out);
}

static void files_are_packed_for_who_takes_it(void **state)
{
    (void)state;
    struct answer plain = {0}, packed = {0};
    char text[128];
    ask_with("/app.js", NULL, &plain);
    assert_int_equal(plain.status, 200);
    assert_null(strstr(plain.headers, "Content-Encoding"));
    static const char *const takers[] = {"Accept-Encoding: gzip", "Accept-Encoding: br, gzip;q=0.5",
                                         "Accept-Encoding: deflate , GZIP"};
    for (size_t i = 0; i < 3; i++) {
        ask_with("/app.js", takers[i], &packed);
        assert_int_equal(packed.status, 200);
        header_of(&packed, "Content-Encoding", text);
        assert_string_equal(text, "gzip");
        inflate_is(&packed, &plain);
    }
    static const char *const others[] = {"Accept-Encoding: gzip;q=0", "Accept-Encoding: xgzip, br",
                                         "Accept-Encoding: identity"};
    for (size_t i = 0; i < 3; i++) {
        ask_with("/app.js", others[i], &packed);
        assert_null(strstr(packed.headers, "Content-Encoding"));
        assert_int_equal(packed.body.size_bytes, plain.body.size_bytes);
    }
    answer_clear(&plain);
    answer_clear(&packed);
}

static void files_are_kept_by_their_hash(void **state)
{
    (void)state;
    struct answer page = {0}, file = {0};
    char tag[128], text[160], path[64];
    ask_with("/", NULL, &page);
    header_of(&page, "Cache-Control", text);
    assert_string_equal(text, "no-cache");
    const char *named = strstr((const char *)page.body.data, "app.js?v=");
    assert_non_null(named);
    snprintf(path, sizeof path, "/%.*s", (int)strcspn(named, "\""), named);
    ask_with(path, NULL, &file);
    header_of(&file, "Cache-Control", text);
    assert_string_equal(text, "public, max-age=31536000, immutable");
    ask_with("/app.js?v=of-another-build", NULL, &file);
    header_of(&file, "Cache-Control", text);
    assert_string_equal(text, "no-cache");
    header_of(&file, "ETag", tag);
    snprintf(text, sizeof text, "If-None-Match: %s", tag);
    ask_with("/app.js", text, &file);
    assert_int_equal(file.status, 304);
    assert_int_equal(file.body.size_bytes, 0);
    ask_with("/app.js", "If-None-Match: \"other\"", &file);
    assert_int_equal(file.status, 200);
    header_of(&file, "Content-Security-Policy", text);
    assert_null(strstr(text, "unsafe"));
    answer_clear(&page);
    answer_clear(&file);
}

/* ---- samples ---- */

static double number(const json_t *o, const char *key)
{
    assert_true(json_is_number(json_object_get(o, key)));
    return json_number_value(json_object_get(o, key));
}

static void expect_jpeg(const char *path)
{
    struct answer a = {0};
    ask_with(path, NULL, &a);
    assert_int_equal(a.status, 200);
    assert_true(a.body.size_bytes > 100 && memcmp(a.body.data, "\xff\xd8\xff", 3) == 0);
    answer_clear(&a);
}

static void colours_have_names(void **state)
{
    (void)state;
    json_t *all = kit_json(kit, "/v1/classes", 200), *one;
    const json_t *list = json_object_get(all, "classes");
    size_t i;
    static const char *const expected[][2] = {/* of the Cityscapes data set's label table */
                                              {"road", "#804080"},
                                              {"car", "#00008e"},
                                              {"sky", "#4682b4"}};
    assert_string_equal(json_string_value(json_object_get(all, "task")), "segment");
    assert_int_equal(json_array_size(list), 3);
    json_array_foreach(list, i, one)
    {
        assert_string_equal(json_string_value(json_object_get(one, "name")), expected[i][0]);
        assert_string_equal(json_string_value(json_object_get(one, "colour")), expected[i][1]);
    }
    json_decref(all);
}

static void samples_can_be_looked_at(void **state)
{
    (void)state;
    uint64_t seq = 0, event = 0;
    kit_hello(kit, "gate");
    for (int i = 0; i < 3; i++) {
        kit_upload(kit, "gate", &seq);
        event = kit_await(kit, "labelled", event);
    }
    json_t *all = kit_json(kit, "/v1/cameras/gate/samples", 200), *one;
    const json_t *list = json_object_get(all, "samples");
    assert_int_equal(json_array_size(list), 3); /* a chunk each */
    double before = -1;
    size_t i;
    json_array_foreach(list, i, one)
    {
        assert_true(number(one, "agreement") >= before);
        before = number(one, "agreement");
        assert_true(before >= 0 && before <= 1);
        static const char *const views[] = {"image", "student", "teacher"};
        for (int v = 0; v < 3; v++) {
            char path[160];
            snprintf(path, sizeof path, "/v1/cameras/gate/frame?t_us=%.0f&index=%.0f&view=%s",
                     number(one, "t_us"), number(one, "index"), views[v]);
            expect_jpeg(path);
        }
    }
    json_decref(all);
    all = kit_json(kit, "/v1/cameras/gate/samples?limit=1", 200);
    assert_int_equal(json_array_size(json_object_get(all, "samples")), 1);
    json_decref(all);
    json_decref(kit_json(kit, "/v1/cameras/gate/frame?t_us=1", 404));
    json_decref(kit_json(kit, "/v1/cameras/gate/frame?t_us=x", 400));
    json_decref(kit_json(kit, "/v1/cameras/gate/samples?limit=0", 400));
    json_decref(kit_json(kit, "/v1/cameras/nobody/samples", 404));
    json_decref(kit_json(kit, "/v1/cameras/nobody/frame?t_us=1", 404));
    /* What is shown after a start is the last labelled frame, as before. */
    kit_stop(kit);
    kit_start(kit);
    struct answer a = {0};
    for (int t = 0; t < 1000 && a.status != 200; t++) {
        kit_pause();
        ask_with("/v1/cameras/gate/frame?view=student", NULL, &a);
    }
    assert_int_equal(a.status, 200);
    answer_clear(&a);
}

/* ---- settings ---- */

static const json_t *row_of(const json_t *rows, const char *name)
{
    json_t *one;
    size_t i;
    json_array_foreach(rows, i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0)
            return one;
    }
    fail_msg("there is no row %s", name);
    return NULL;
}

static void settings_are_shown_without_secrets(void **state)
{
    (void)state;
    struct camera_settings gate;
    camera_settings_init(&gate);
    snprintf(gate.id, sizeof gate.id, "gate");
    snprintf(gate.source, sizeof gate.source, "rtsp://ann:hunter2@camera.example/1?token=hunter2");
    kit_stop(kit);
    kit->options.cameras = (struct camera_list){.cameras = &gate, .count = 1};
    kit->options.settings.chunk_s = 7.5;
    kit->options.camera_program = "/bin/true";
    kit_start(kit);
    json_t *all = kit_json(kit, "/v1/settings", 200);
    char *text = json_dumps(all, 0);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "rtsp://camera.example/1"));
    free(text);
    const json_t *rows = json_object_get(all, "settings");
    assert_int_equal(json_array_size(rows), settings_table()->count);
    const json_t *chunk_s = row_of(rows, "chunk_s");
    assert_true(number(chunk_s, "value") == 7.5);
    assert_string_equal(json_string_value(json_object_get(chunk_s, "default")), "10");
    assert_string_equal(json_string_value(json_object_get(chunk_s, "unit")), "s");
    const json_t *camera = json_array_get(json_object_get(all, "cameras"), 0);
    assert_int_equal(json_array_size(json_object_get(camera, "settings")),
                     camera_settings_table()->count);
    assert_string_equal(json_string_value(json_object_get(camera, "id")), "gate");
    json_decref(all);
    kit_stop(kit);
    kit->options.cameras = (struct camera_list){0};
}

/* ---- versions, events, compute ---- */

static void versions_of_a_group(void **state)
{
    (void)state;
    kit_hello(kit, "gate");
    for (uint64_t n = 1; n <= 3; n++) {
        struct store_version v = {.version = n,
                                  .base = n == 3 ? 1 : n - 1,
                                  .accepted = n != 2,
                                  .delta_bytes = 100 * n,
                                  .snapshot_bytes = 1000,
                                  .score_before = 0.5,
                                  .score_after = 0.625,
                                  .reason = "test"};
        assert_int_equal(store_version_put(kit->server->store, "gate", &v, NULL, 0, NULL), ST_OK);
    }
    json_t *all = kit_json(kit, "/v1/groups/gate/versions", 200);
    const json_t *rows = json_object_get(all, "versions");
    assert_int_equal(json_array_size(rows), 3);
    const json_t *newest = json_array_get(rows, 0);
    assert_true(number(newest, "version") == 3 && number(newest, "delta_bytes") == 300);
    assert_true(number(newest, "score_after") == 0.625);
    assert_true(json_is_false(json_object_get(newest, "kept"))); /* it has no files */
    assert_true(json_is_false(json_object_get(json_array_get(rows, 1), "accepted")));
    json_decref(all);
    json_decref(kit_json(kit, "/v1/groups/nobody/versions", 404));
    json_decref(kit_json(kit, "/v1/cameras/gate/model.onnx?version=3", 404));
    json_decref(kit_json(kit, "/v1/cameras/gate/model.onnx?version=x", 400));
}

static void newest_events_first(void **state)
{
    (void)state;
    static const char *const kinds[] = {"alpha", "labelled", "beta", "labelled", "gamma"};
    for (size_t i = 0; i < 5; i++)
        server_event(kit->server, "gate", kinds[i], NULL, "test");
    json_t *all =
        kit_json(kit, "/v1/events?format=json&before=0&limit=2&without=labelled,scheduled", 200);
    json_t *rows = json_object_get(all, "events");
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "kind")),
                        "gamma");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "kind")),
                        "beta");
    char path[128];
    snprintf(path, sizeof path, "/v1/events?format=json&before=%.0f&limit=1",
             number(json_array_get(rows, 1), "id"));
    json_decref(all);
    all = kit_json(kit, path, 200);
    rows = json_object_get(all, "events");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "kind")),
                        "labelled");
    json_decref(all);
    json_decref(kit_json(kit, "/v1/events?format=json&before=x", 400));
}

static void compute_over_time(void **state)
{
    (void)state;
    json_t *all = kit_json(kit, "/v1/compute/series", 200);
    assert_true(number(all, "capacity") > 0 && number(all, "interval_s") > 0);
    size_t count = json_array_size(json_object_get(all, "t_us"));
    static const char *const kinds[] = {"infer", "label", "profile", "train"};
    for (size_t i = 0; i < 4; i++) {
        const json_t *column = json_object_get(json_object_get(all, "used"), kinds[i]);
        assert_true(json_is_array(column) && json_array_size(column) == count);
    }
    assert_int_equal(json_array_size(json_object_get(all, "why")), count);
    json_decref(all);
    json_decref(kit_json(kit, "/v1/compute/series?limit=0", 400));
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_packed_for_who_takes_it, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_kept_by_their_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(colours_have_names, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_can_be_looked_at, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_are_shown_without_secrets, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_of_a_group, setup, teardown),
        cmocka_unit_test_setup_teardown(newest_events_first, setup, teardown),
        cmocka_unit_test_setup_teardown(compute_over_time, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
