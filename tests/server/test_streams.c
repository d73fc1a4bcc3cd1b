/* Cameras that only stream: the server runs the camera program for each, next to ordinary ones. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kit.h"
#include "label/label_file.h"
#include "server/board.h"
#include "server/line.h"
#include "server/operate.h"
#include "server/streams.h"
#include "video/frame.h"
#include "video/image.h"

static struct kit *kit;

static int setup(void **state)
{
    (void)state;
    log_level_set((enum log_level)0);
    kit = kit_open();
    kit_streams(kit);
    kit->options.no_worker = true;
    kit->options.settings.chunk_s = 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static void start_with(const char *cameras)
{
    kit_cameras(kit, cameras);
    kit_start(kit);
}

static const char two_and_one[] = "cameras:\n"
                                  "  a: {source: \"town:width=64,height=64,fps=20\"}\n"
                                  "  b: {source: \"town:width=64,height=64,camera=1,fps=20\"}\n"
                                  "  c: {uplink_kbps: 77}\n";

static json_t *camera(const char *id)
{
    char path[96];
    snprintf(path, sizeof path, "/v1/cameras/%s", id);
    return kit_json(kit, path, 200);
}

static int pid_of(const char *id)
{
    struct stream_view v;
    return streams_look(kit->server->streams, id, &v) ? v.pid : 0;
}

static bool has_joined(const char *id)
{
    struct store_camera c;
    return store_camera_get(kit->server->store, id, &c, NULL) == ST_OK;
}

static bool has_told(const char *id)
{
    struct inference_report r;
    return has_joined(id) && kit_told(kit, id, &r);
}

static bool has_labels(const char *id)
{
    struct store_camera c;
    return store_camera_get(kit->server->store, id, &c, NULL) == ST_OK && c.frame_t_us > 0;
}

/* The reason of the newest event of that kind and camera into ret; false: there is none. */
static bool reason_of(const char *kind, const char *id, char ret[256])
{
    json_t *all = kit_json(kit, "/v1/events?format=json&limit=1000&after=0", 200), *e;
    size_t i;
    bool found = false;
    json_array_foreach(json_object_get(all, "events"), i, e)
    {
        if (strcmp(json_string_value(json_object_get(e, "kind")), kind) != 0 ||
            strcmp(json_string_value(json_object_get(e, "camera")), id) != 0)
            continue;
        snprintf(ret, 256, "%s", json_string_value(json_object_get(e, "reason")));
        found = true;
    }
    json_decref(all);
    return found;
}

static bool has_failed(const char *id)
{
    char reason[256];
    return reason_of("stream_failed", id, reason);
}

static bool is_back(const char *id)
{
    char reason[256];
    return reason_of("stream_back", id, reason);
}

/* Processor seconds that the account has for a camera's inference. */
static double used_s(const char *id)
{
    json_t *all = kit_json(kit, "/v1/compute", 200), *e;
    size_t i;
    double used = 0;
    json_array_foreach(json_object_get(all, "account"), i,
                       e) if (strcmp(json_string_value(json_object_get(e, "camera")), id) == 0 &&
                              strcmp(json_string_value(json_object_get(e, "kind")), "infer") == 0)
        used = json_number_value(json_object_get(e, "used_total_s"));
    json_decref(all);
    return used;
}

static bool is_in_the_account(const char *id)
{
    return used_s(id) > 0.01;
}

static void they_run_next_to_an_ordinary_one(void **state)
{
    (void)state;
    start_with(two_and_one);
    kit_hello(kit, "c");
    struct buf chunk;
    buf_init(&chunk);
    kit_chunk("c", 1, 3, clock_wall_us() - 5000000, 0, &chunk);
    assert_int_equal(kit_put(kit, "c", 1, &chunk), 201);
    buf_clear(&chunk);
    static const char *const ids[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        kit_await_so(has_labels, ids[i]);
    for (int i = 0; i < 2; i++) {
        kit_await_so(has_told, ids[i]);
        json_t *c = camera(ids[i]), *inference = json_object_get(c, "inference");
        assert_string_equal(json_string_value(json_object_get(c, "infers_at")), "server");
        assert_int_equal(json_number_value(json_object_get(c, "fps")), 20);
        assert_true(json_is_null(json_object_get(inference, "share")));
        assert_true(json_number_value(json_object_get(inference, "demand")) > 0);
        assert_true(json_array_size(json_object_get(inference, "points")) >= 5);
        json_decref(c);
        assert_true(pid_of(ids[i]) > 0);
        kit_await_so(is_in_the_account, ids[i]);
        struct inference_point front[INFERENCE_POINTS_MAX];
        struct inference_report r;
        assert_true(kit_told(kit, ids[i], &r));
        int n = inference_front(&r.table, front);
        assert_true(n >= 1 && front[n - 1].factor == 1); /* nothing is better than all frames */
    }
    json_t *c = camera("c");
    assert_string_equal(json_string_value(json_object_get(c, "infers_at")), "camera");
    assert_true(json_is_null(json_object_get(c, "inference")));
    json_decref(c);
    c = kit_json(kit, "/v1/cameras/c/settings", 200);
    assert_int_equal(json_number_value(json_object_get(c, "uplink_kbps")), 77);
    json_decref(c);
    assert_int_equal(pid_of("c"), 0);
    assert_true(used_s("c") == 0);
    int pid = pid_of("a");
    kit_stop(kit);
    assert_int_not_equal(kill(pid, 0), 0); /* it goes with the server */
}

/* Every factor of the full size rests on comparisons with the teacher's labels. */
static bool has_verdicts(const char *id)
{
    struct inference_report r;
    return kit_told(kit, id, &r) && r.table.count > 0 && r.table.points[0].samples > 0;
}

static void the_teacher_judges_what_would_be_held(void **state)
{
    (void)state;
    start_with("cameras: {a: {source: \"town:width=64,height=64,fps=20\"}}\n");
    kit_await_so(has_verdicts, "a");
    struct inference_report r;
    assert_true(kit_told(kit, "a", &r));
    for (int i = 0; i < 5; i++) {
        assert_true(r.table.points[i].samples > 0);
        assert_true(r.table.points[i].factor > 0 && r.table.points[i].factor <= 1);
    }
}

/* The labels of one frame are those of the chunk's file. */
static void labels_are_given_out_by_time(void **state)
{
    (void)state;
    struct answer a = {0};
    struct buf chunk, file;
    struct label_set all, one;
    struct error err;
    char path[PATH_MAX];
    buf_init(&chunk);
    buf_init(&file);
    kit_start(kit);
    kit_hello(kit, "gate");
    uint64_t t_us = clock_wall_us() - 5000000;
    kit_chunk("gate", 1, 3, t_us, 0, &chunk);
    assert_int_equal(kit_put(kit, "gate", 1, &chunk), 201);
    kit_await_so(has_labels, "gate");
    store_label_path(kit->server->store, "gate", 1, path);
    assert_int_equal(file_read(path, 1 << 24, &file, &err), ST_OK);
    assert_int_equal(label_set_read(file.data, file.size_bytes, &all, &err), ST_OK);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "/v1/cameras/gate/labels?t_us=%llu",
                 (unsigned long long)all.t_us[i]);
        kit_ask(kit, "GET", path, NULL, 0, &a);
        assert_int_equal(a.status, 200);
        assert_int_equal(label_set_read(a.body.data, a.body.size_bytes, &one, &err), ST_OK);
        assert_true(one.count == 1 && one.t_us[0] == t_us + (uint64_t)i * 1000000);
        assert_int_equal(one.class_count, KIT_CLASSES);
        assert_memory_equal(one.classes, label_set_map(&all, i).classes,
                            (size_t)all.width * (size_t)all.height);
        label_set_clear(&one);
    }
    snprintf(path, sizeof path, "/v1/cameras/gate/labels?t_us=%llu", (unsigned long long)t_us + 1);
    kit_ask(kit, "GET", path, NULL, 0, &a);
    assert_int_equal(a.status, 404);
    kit_ask(kit, "GET", "/v1/cameras/gate/labels?t_us=x", NULL, 0, &a);
    assert_int_equal(a.status, 400);
    label_set_clear(&all);
    buf_clear(&chunk);
    buf_clear(&file);
    answer_clear(&a);
}

static bool runs_rarely(const char *id)
{
    struct inference_report r;
    return kit_told(kit, id, &r) && r.running.stride == 16 && r.share == 1e-4;
}

static bool runs_always(const char *id)
{
    struct inference_report r;
    return kit_told(kit, id, &r) && r.running.stride == 1 && r.share == 8;
}

static void shares_reach_those_who_run(void **state)
{
    (void)state;
    start_with(two_and_one);
    kit_await_so(has_told, "a");
    kit_await_so(has_told, "b");
    struct board *b = kit->server->board;
    assert_true(board_set_share(b, "a", 1e-4));
    assert_false(board_set_share(b, "a", 1e-4));
    bell_ring(&kit->server->bell);
    kit_await_so(runs_rarely, "a");
    struct inference_report other;
    assert_true(kit_told(kit, "b", &other) && other.running.stride == 1);
    assert_true(board_set_share(b, "a", 8));
    bell_ring(&kit->server->bell);
    kit_await_so(runs_always, "a");
}

static void one_that_is_killed_comes_back(void **state)
{
    (void)state;
    start_with(two_and_one);
    kit_await_so(has_told, "a");
    kit_await_so(has_told, "b");
    int a = pid_of("a"), b = pid_of("b");
    assert_int_equal(kill(a, SIGKILL), 0);
    kit_await_so(has_failed, "a");
    char reason[256];
    assert_true(reason_of("stream_failed", "a", reason));
    assert_non_null(strstr(reason, "signal 9"));
    kit_await_so(is_back, "a");
    assert_true(pid_of("a") > 0);
    assert_int_not_equal(pid_of("a"), a);
    assert_int_equal(pid_of("b"), b);
    assert_false(has_failed("b"));
}

static void write_pictures(const char *folder)
{
    struct error err;
    struct frame f;
    char path[256];
    frame_init(&f);
    assert_int_equal(frame_resize(&f, 48, 32, &err), ST_OK);
    assert_int_equal(file_mkdirs(folder, &err), ST_OK);
    for (int i = 0; i < 40; i++) {
        struct buf jpeg;
        buf_init(&jpeg);
        memset(f.pixels, 6 * i, frame_bytes(&f));
        assert_int_equal(image_jpeg_write(&f, 90, &jpeg, &err), ST_OK);
        snprintf(path, sizeof path, "%s/p%02d.jpg", folder, i);
        assert_int_equal(file_write(path, jpeg.data, jpeg.size_bytes, &err), ST_OK);
        buf_clear(&jpeg);
    }
    frame_clear(&f);
}

/* The pictures come 40 at 20 a second: then the source is at its end, and played again. */
static bool has_come_to_its_end(const char *id)
{
    char reason[256];
    return reason_of("stream_failed", id, reason) && strstr(reason, "come to its end");
}

static void a_source_that_is_not_there_is_tried_again(void **state)
{
    (void)state;
    char folder[128], yaml[512], reason[256];
    snprintf(folder, sizeof folder, "%s/later", kit->dir);
    snprintf(yaml, sizeof yaml,
             "cameras:\n  a: {source: \"town:width=64,height=64,fps=20\"}\n"
             "  late: {source: \"%s\", fps: 20}\n",
             folder);
    start_with(yaml);
    kit_await_so(has_failed, "late");
    assert_true(reason_of("stream_failed", "late", reason));
    assert_non_null(strstr(reason, folder));
    kit_await_so(has_told, "a"); /* the other goes on */
    assert_false(has_joined("late") || has_failed("a"));
    json_t *c = camera("late"); /* it is there all the same */
    const char *why = json_string_value(json_object_get(json_object_get(c, "stream"), "reason"));
    assert_non_null(strstr(why, folder));
    json_decref(c);
    c = kit_json(kit, "/v1/cameras", 200);
    assert_int_equal(json_array_size(json_object_get(c, "cameras")), 2);
    json_decref(c);
    write_pictures(folder);
    kit_await_so(has_told, "late");
    kit_await_so(is_back, "late");
    kit_await_so(has_labels, "late");
    kit_await_so(has_come_to_its_end, "late");
    c = kit_json(kit, "/v1/cameras", 200);
    assert_int_equal(json_array_size(json_object_get(c, "cameras")), 2);
    json_decref(c);
    assert_false(has_failed("a"));
}

static long put_report(const char *id, const char *text)
{
    struct answer a = {0};
    char path[96];
    snprintf(path, sizeof path, "/v1/cameras/%s/inference", id);
    kit_ask(kit, "PUT", path, text, strlen(text), &a);
    answer_clear(&a);
    return a.status;
}

#define REPORT(rest)                                                                               \
    "{\"rate\":0.25,\"resolution\":0.75,\"share\":0.5,\"demand\":0.3,\"factor\":0.9,\"frames\":7," \
    "\"held\":21,\"skipped\":1,\"points\":[]" rest "}"

static void cameras_of_their_own_report_too(void **state)
{
    (void)state;
    kit_start(kit);
    assert_int_equal(put_report("gate", REPORT("")), 404);
    kit_hello(kit, "gate");
    assert_int_equal(put_report("gate", REPORT("")), 204);
    json_t *c = camera("gate"), *i = json_object_get(c, "inference");
    assert_true(json_number_value(json_object_get(i, "rate")) == 0.25);
    assert_true(json_number_value(json_object_get(i, "resolution")) == 0.75);
    assert_int_equal(json_integer_value(json_object_get(i, "held")), 21);
    json_decref(c);
    assert_int_equal(put_report("gate", "{}"), 400);
    assert_int_equal(put_report("gate", REPORT(",\"source\":\"no data for 10 s\"")), 204);
    char reason[256];
    assert_true(reason_of("stream_lost", "gate", reason));
    assert_string_equal(reason, "no data for 10 s");
    assert_false(is_back("gate"));
    assert_int_equal(put_report("gate", REPORT("")), 204);
    assert_true(is_back("gate"));
}

/* A poll that waits hears of new settings at once, and of their number always. */
static void settings_have_a_revision(void **state)
{
    (void)state;
    struct answer a = {0};
    kit_start(kit);
    kit_hello(kit, "gate");
    json_t *set = kit_json(kit, "/v1/cameras/gate/settings", 200);
    long long revision = json_integer_value(json_object_get(set, "revision"));
    assert_true(revision > 0 && json_is_null(json_object_get(set, "share")));
    json_decref(set);
    assert_true(board_set_share(kit->server->board, "gate", 0.25));
    char path[128], header[64];
    snprintf(path, sizeof path, "/v1/cameras/gate/updates?have=0&wait_s=50&settings=%lld",
             revision);
    uint64_t before_us = clock_mono_us();
    kit_ask(kit, "GET", path, NULL, 0, &a);
    assert_int_equal(a.status, 204);
    assert_true(clock_mono_us() - before_us < 40 * (uint64_t)1000000); /* not at the end */
    set = kit_json(kit, "/v1/cameras/gate/settings", 200);
    snprintf(header, sizeof header, "Attune-Settings: %lld",
             json_integer_value(json_object_get(set, "revision")));
    assert_int_not_equal(json_integer_value(json_object_get(set, "revision")), revision);
    assert_true(json_number_value(json_object_get(set, "share")) == 0.25);
    assert_non_null(strstr(a.headers, header));
    json_decref(set);
    answer_clear(&a);
}

static bool runs_its_version(const char *id)
{
    struct store_camera c;
    return store_camera_get(kit->server->store, id, &c, NULL) == ST_OK && c.version > 0 &&
           c.camera_version == c.version;
}

/* Going back is for those whom the server infers for as for all; here nobody trains. */
static void a_stream_goes_back(void **state)
{
    (void)state;
    struct store_version v;
    struct error err = {0};
    uint64_t made = 0;
    start_with("cameras:\n  a: {source: \"town:width=64,height=64,fps=20\"}\n");
    kit_await_so(has_told, "a");
    assert_int_equal(line_renumber(kit->server, "a", 0, 1, &v, &err), ST_OK);
    v.t_us = clock_wall_us();
    snprintf(v.reason, sizeof v.reason, "a test makes it");
    assert_int_equal(store_version_put(kit->server->store, "a", &v, NULL, 0, &err), ST_OK);
    bell_ring(&kit->server->bell);
    kit_await_so(runs_its_version, "a");
    if (server_rollback(kit->server, "a", 0, "ann", &made, &err) != ST_OK)
        fail_msg("%s", err.message);
    assert_int_equal(made, 2);
    kit_await_so(runs_its_version, "a");
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(they_run_next_to_an_ordinary_one),
        TEST(shares_reach_those_who_run),
        TEST(the_teacher_judges_what_would_be_held),
        TEST(labels_are_given_out_by_time),
        TEST(one_that_is_killed_comes_back),
        TEST(a_source_that_is_not_there_is_tried_again),
        TEST(cameras_of_their_own_report_too),
        TEST(a_stream_goes_back),
        TEST(settings_have_a_revision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
