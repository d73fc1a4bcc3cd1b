/* From upload to update: labelling, scores, restarts, and the training process, which is killed. */
#include <pthread.h>
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
#include "kit.h"
#include "label/label_file.h"
#include "server/control.h"
#include "server/worker_process.h"

static struct kit *kit;

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    kit_trains(kit, "round-robin", kit->options.settings.workers, 5);
    snprintf(kit->options.settings.preset, SETTING_TEXT_BYTES, "attune"); /* with a gate */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static uint64_t upload(const char *camera, uint64_t seq, int count, uint64_t version)
{
    struct buf chunk;
    uint64_t t_us = clock_wall_us() - 60000000 + seq * 5000000;
    buf_init(&chunk);
    kit_chunk(camera, seq, count, t_us, version, &chunk);
    assert_int_equal(kit_put(kit, camera, seq, &chunk), 201);
    buf_clear(&chunk);
    return t_us;
}

/* ---- label files ---- */

static void label_files_round_trip_or_fail(void **state)
{
    (void)state;
    struct label_set l, back;
    struct buf bytes;
    struct error err;
    buf_init(&bytes);
    assert_int_equal(label_set_init(&l, 2, 5, 3, 4, &err), ST_OK);
    for (int i = 0; i < 30; i++)
        l.classes[i] = (uint8_t)(i % 5 == 4 ? LABEL_IGNORE : i % 4);
    l.t_us[1] = 1234567890123;
    assert_int_equal(label_set_write(&l, &bytes, &err), ST_OK);
    assert_int_equal(label_set_read(bytes.data, bytes.size_bytes, &back, &err), ST_OK);
    assert_memory_equal(back.classes, l.classes, 30);
    assert_int_equal(back.t_us[1], 1234567890123);
    assert_int_equal(label_set_map(&back, 1).classes[14], l.classes[29]);
    label_set_clear(&back);
    for (size_t n = 0; n < bytes.size_bytes; n++)
        assert_int_not_equal(label_set_read(bytes.data, n, &back, &err), ST_OK);
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        bytes.data[i] ^= 0x40;
        enum status st = label_set_read(bytes.data, bytes.size_bytes, &back, &err);
        bytes.data[i] ^= 0x40;
        /* The class count is outside the checksum: 4 + 64 classes is over the limit. */
        assert_int_equal(st, ST_FORMAT);
    }
    assert_int_equal(label_set_init(&back, 4096, 8192, 8192, 4, &err), ST_LIMIT);
    assert_int_equal(label_set_init(&back, 0, 1, 1, 4, &err), ST_FORMAT);
    label_set_clear(&l);
    buf_clear(&bytes);
}

/* ---- labelling ---- */

static json_t *column(json_t *series, const char *name, size_t count)
{
    json_t *c = json_object_get(series, name);
    assert_int_equal(json_array_size(c), count);
    return c;
}

static void frames_get_labels_and_scores(void **state)
{
    (void)state;
    struct answer a = {0};
    kit->options.no_worker = true;
    kit_start(kit);
    kit_hello(kit, "gate");
    uint64_t t_us = upload("gate", 1, 4, 0);
    kit_await(kit, "labelled", 0);
    json_t *s = kit_json(kit, "/v1/cameras/gate/series", 200);
    json_t *t = column(s, "t_us", 4), *m = column(s, "miou", 4),
           *u = column(s, "miou_unadapted", 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(json_integer_value(json_array_get(t, i)), t_us + i * 1000000);
        double miou = json_number_value(json_array_get(m, i));
        assert_true(miou >= 0 && miou <= 1);
        /* Version 0 is the unadapted student. */
        assert_true(miou == json_number_value(json_array_get(u, i)));
    }
    json_decref(s);
    static const char *const views[] = {"image", "student", "teacher"};
    for (int i = 0; i < 3; i++) {
        char path[80];
        snprintf(path, sizeof path, "/v1/cameras/gate/frame?view=%s", views[i]);
        kit_ask(kit, "GET", path, NULL, 0, &a);
        assert_int_equal(a.status, 200);
        assert_memory_equal(a.body.data, "\xff\xd8\xff", 3);
    }
    kit_ask(kit, "GET", "/v1/cameras/gate/model.onnx", NULL, 0, &a);
    assert_int_equal(a.status, 200);
    struct nn_model *model;
    assert_int_equal(nn_model_read(a.body.data, a.body.size_bytes, NULL, &model, NULL), ST_OK);
    assert_memory_equal(nn_model_values(model), nn_model_values(kit->server->student),
                        nn_model_param_count(model) * sizeof(float));
    nn_model_close(&model);
    answer_clear(&a);
}

static void damaged_clips_do_not_stop_the_stream(void **state)
{
    (void)state;
    struct buf chunk;
    buf_init(&chunk);
    kit->options.no_worker = true;
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_chunk("gate", 1, 3, clock_wall_us(), 0, &chunk);
    /* Zeros for pictures behind a right checksum: only the decoder can tell. */
    size_t end = chunk.size_bytes - 4;
    memset(chunk.data + end - 60, 0, 60);
    uint32_t crc = file_crc32(chunk.data, end);
    for (int i = 0; i < 4; i++)
        chunk.data[end + (size_t)i] = (uint8_t)(crc >> 8 * i);
    assert_int_equal(kit_put(kit, "gate", 1, &chunk), 201);
    uint64_t failed = kit_await(kit, "chunk_failed", 0);
    upload("gate", 2, 2, 0);
    kit_await(kit, "labelled", failed);
    buf_clear(&chunk);
}

/* What is labelled waits for a disk that fails, as for one that is full. */
static void labels_wait_for_the_disk(void **state)
{
    (void)state;
    char folder[2048], away[2064];
    struct buf chunk;
    kit_start(kit);
    kit_hello(kit, "gate");
    snprintf(folder, sizeof folder, "%s/labels/gate", kit->options.settings.state);
    snprintf(away, sizeof away, "%s.away", folder);
    assert_int_equal(rename(folder, away), 0);
    assert_int_equal(file_write(folder, "x", 1, NULL), ST_OK); /* a folder's place is taken */
    buf_init(&chunk);
    kit_chunk("gate", 1, 3, 1000000, 0, &chunk);
    assert_int_equal(kit_put(kit, "gate", 1, &chunk), 201);
    kit_await_event(kit, "gate", "labelling_waits", 0, NULL);
    assert_int_equal(kit_event_of(kit, "gate", "labelled", 0, NULL), 0);
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(rename(away, folder), 0);
    kit_await_event(kit, "gate", "labelled", 0, NULL);
    assert_int_equal(kit_event_of(kit, "gate", "chunk_failed", 0, NULL), 0);
    buf_clear(&chunk);
}

static void a_restart_goes_on(void **state)
{
    (void)state;
    struct answer a = {0};
    kit->options.no_worker = true;
    kit->options.no_label_thread = true;
    kit_start(kit);
    kit_hello(kit, "gate");
    upload("gate", 1, 3, 0);
    upload("gate", 2, 3, 0);
    kit_stop(kit);
    kit->options.no_label_thread = false;
    kit_start(kit);
    uint64_t first = kit_await(kit, "labelled", 0);
    kit_await(kit, "labelled", first);
    kit_stop(kit);
    kit_start(kit);
    /* The picture of before the restart comes back. */
    do
        kit_ask(kit, "GET", "/v1/cameras/gate/frame?view=student", NULL, 0, &a);
    while (a.status == 404);
    assert_int_equal(a.status, 200);
    json_t *s = kit_json(kit, "/v1/cameras/gate/series", 200);
    column(s, "t_us", 6);
    json_decref(s);
    answer_clear(&a);
}

/* ---- the whole loop ---- */

static json_int_t count_versions(void)
{
    json_t *c = kit_json(kit, "/v1/cameras/gate", 200);
    json_int_t n = json_integer_value(json_object_get(c, "versions")) +
                   json_integer_value(json_object_get(c, "rejected"));
    json_decref(c);
    return n;
}

static void await_versions(json_int_t n)
{
    while (count_versions() < n)
        clock_sleep_until_us(clock_mono_us() + 10000);
}

/* "full" accepts more readily than a gate on a network of 200 weights; what matters here is the
 * way of a version through worker, store and interface. */
static void await_accepted(uint64_t *seq)
{
    json_int_t version = 0;
    for (int turn = 0; version == 0; turn++) {
        assert_true(turn < 40);
        json_int_t before = count_versions();
        upload("gate", ++*seq, 4, 0);
        await_versions(before + 1);
        json_t *c = kit_json(kit, "/v1/cameras/gate", 200);
        version = json_integer_value(json_object_get(c, "version"));
        json_decref(c);
    }
}

static void a_camera_gets_better_weights(void **state)
{
    (void)state;
    uint64_t seq = 0;
    struct answer a = {0}, model = {0};
    kit->options.settings.steps = 40;
    kit->options.settings.learning_rate = 0.01;
    kit_start(kit);
    kit_hello(kit, "gate");
    await_accepted(&seq);
    kit_ask(kit, "GET", "/v1/cameras/gate/updates?have=0", NULL, 0, &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.headers, "Attune-Version: 1"));
    /* The exported model has the weights that a camera would have. */
    kit_ask(kit, "GET", "/v1/cameras/gate/model.onnx", NULL, 0, &model);
    struct nn_model *m;
    assert_int_equal(nn_model_read(model.body.data, model.body.size_bytes, NULL, &m, NULL), ST_OK);
    size_t n = nn_model_param_count(m);
    assert_memory_not_equal(nn_model_values(m), nn_model_values(kit->server->student),
                            n * sizeof(float));
    nn_model_close(&m);
    /* A restart keeps the version and goes on from it. */
    kit_stop(kit);
    kit_start(kit);
    uint64_t since = store_event_last(kit->server->store);
    json_int_t before = count_versions();
    upload("gate", ++seq, 4, 1);
    kit_await(kit, "labelled", since);
    await_versions(before + 1);
    json_t *health = kit_json(kit, "/v1/health", 200);
    assert_int_equal(json_integer_value(json_object_get(health, "phases_failed")), 0);
    assert_int_equal(json_integer_value(json_object_get(health, "worker_restarts")), 0);
    assert_string_equal(json_string_value(json_object_get(health, "worker")), "running");
    json_decref(health);
    answer_clear(&a);
    answer_clear(&model);
}

static void a_killed_worker_costs_one_phase(void **state)
{
    (void)state;
    kit_start(kit);
    kit_hello(kit, "gate");
    upload("gate", 1, 4, 0);
    await_versions(1);
    int pid = control_worker_pid(kit->server->control, "gate");
    assert_true(pid > 0);
    kill(pid, SIGKILL);
    upload("gate", 2, 4, 0);
    kit_await(kit, "worker_restarted", 0);
    kit_await(kit, "phase_failed", 0);
    await_versions(2);
    assert_int_not_equal(control_worker_pid(kit->server->control, "gate"), pid);
}

static void a_worker_that_cannot_start_is_told(void **state)
{
    (void)state;
    static char no_program[] = "/nonexistent";
    static char *const bad[] = {no_program, NULL};
    kit->options.worker_argv = bad;
    kit_start(kit);
    kit_hello(kit, "gate");
    upload("gate", 1, 4, 0);
    kit_await(kit, "worker_restarted", 0);
    json_t *health = kit_json(kit, "/v1/health", 200);
    assert_string_equal(json_string_value(json_object_get(health, "worker")), "restarting");
    json_decref(health);
}

/* ---- the worker's protocol ---- */

static struct worker_process worker;
static struct bell bell;

static enum status ask(json_t *request, json_t **ret, struct error *err)
{
    json_t *reply = NULL;
    assert_non_null(request);
    enum status st =
        worker_process_ask(&worker, request, clock_mono_us() + 60000000, &bell, &reply, err);
    if (ret)
        *ret = reply;
    else
        json_decref(reply);
    return st;
}

static json_t *init_request(int steps)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:i,s:f,s:f,s:i,s:i}", "op", "init", "student",
                     kit->options.settings.student, "preset", "full", "steps", steps, "batch", 2,
                     "horizon_s", 100.0, "sampling_fps_max", 1.0, "threads", 1, "seed", 1);
}

/* A chunk with its labels in files; the server's labelling made them. */
static void prepare_files(char *chunk_path, char *label_path)
{
    kit->options.no_worker = true;
    kit_start(kit);
    kit_hello(kit, "gate");
    upload("gate", 1, 6, 0);
    kit_await(kit, "labelled", 0);
    store_chunk_path(kit->server->store, "gate", 1, chunk_path);
    store_label_path(kit->server->store, "gate", 1, label_path);
}

static json_t *open_request(int version)
{
    return json_pack("{s:s,s:s,s:i,s:s,s:s}", "op", "open", "group", "gate", "version", version,
                     "state", "/nonexistent", "snapshot", "/nonexistent");
}

static void requests_are_checked(void **state)
{
    (void)state;
    struct error err;
    bell_init(&bell);
    worker_process_init(&worker);
    assert_int_equal(ask(json_pack("{s:s}", "op", "phase"), NULL, &err), ST_NETWORK);
    assert_int_equal(worker_process_start(&worker, kit_worker_argv, NULL, &err), ST_OK);
    assert_int_equal(ask(json_pack("{s:s,s:s}", "op", "phase", "group", "gate"), NULL, &err),
                     ST_INVALID);
    assert_non_null(strstr(err.message, "init"));
    assert_int_equal(ask(json_pack("{s:s,s:s}", "op", "init", "preset", "x"), NULL, &err),
                     ST_INVALID);
    assert_int_equal(
        ask(json_pack("{s:s,s:s,s:s}", "op", "init", "preset", "full", "student", "/nonexistent"),
            NULL, &err),
        ST_INVALID);
    assert_int_equal(ask(init_request(5), NULL, &err), ST_OK);
    assert_int_equal(ask(init_request(5), NULL, &err), ST_INVALID);
    assert_int_equal(ask(json_pack("{s:s}", "op", "dance"), NULL, &err), ST_INVALID);
    assert_int_equal(ask(json_object(), NULL, &err), ST_INVALID);
    assert_int_equal(ask(json_pack("{s:s,s:s}", "op", "phase", "group", "gate"), NULL, &err),
                     ST_INVALID);
    assert_int_equal(ask(open_request(3), NULL, &err), ST_INVALID);
    assert_int_equal(ask(open_request(0), NULL, &err), ST_OK);
    assert_int_equal(ask(open_request(0), NULL, &err), ST_INVALID);
    assert_int_equal(ask(json_pack("{s:s,s:s,s:s,s:s}", "op", "add", "group", "gate", "chunk",
                                   "/nonexistent", "labels", "/nonexistent"),
                         NULL, &err),
                     ST_INVALID);
    assert_int_equal(ask(json_pack("{s:s,s:s}", "op", "close", "group", "gate"), NULL, &err),
                     ST_OK);
    assert_int_equal(ask(json_pack("{s:s,s:s}", "op", "close", "group", "gate"), NULL, &err),
                     ST_INVALID);
    worker_process_stop(&worker);
    bell_clear(&bell);
}

static void *kill_soon(void *context)
{
    clock_sleep_until_us(clock_mono_us() + 200000);
    kill(*(pid_t *)context, SIGKILL);
    return NULL;
}

static void start_and_fill(int steps, const char *chunk, const char *labels)
{
    struct error err = {0};
    json_t *reply;
    assert_int_equal(worker_process_start(&worker, kit_worker_argv, NULL, &err), ST_OK);
    assert_int_equal(ask(init_request(steps), NULL, &err), ST_OK);
    assert_int_equal(ask(open_request(0), NULL, &err), ST_OK);
    assert_int_equal(ask(json_pack("{s:s,s:s,s:s,s:s}", "op", "add", "group", "gate", "chunk",
                                   chunk, "labels", labels),
                         &reply, &err),
                     ST_OK);
    assert_int_equal(json_integer_value(json_object_get(reply, "buffered")), 6);
    json_decref(reply);
}

static json_t *phase_request(const char *folder)
{
    return json_pack("{s:s,s:s,s:s}", "op", "phase", "group", "gate", "folder", folder);
}

static void a_kill_during_a_phase_leaves_nothing_torn(void **state)
{
    (void)state;
    char chunk[PATH_MAX], labels[PATH_MAX], folder[PATH_MAX], path[PATH_MAX + 32];
    struct error err;
    pthread_t killer;
    json_t *reply;
    bell_init(&bell);
    worker_process_init(&worker);
    prepare_files(chunk, labels);
    store_model_path(kit->server->store, "gate", ".", folder);
    start_and_fill(100000, chunk, labels);
    pid_t pid = worker.pid;
    assert_int_equal(pthread_create(&killer, NULL, kill_soon, &pid), 0);
    assert_int_equal(ask(phase_request(folder), NULL, &err), ST_NETWORK);
    pthread_join(killer, NULL);
    assert_non_null(strstr(err.message, "signal 9"));
    snprintf(path, sizeof path, "%s/v1.learner", folder);
    assert_int_not_equal(access(path, F_OK), 0);
    worker_process_stop(&worker);
    /* The next process does the phase again from the same files. */
    start_and_fill(20, chunk, labels);
    assert_int_equal(ask(phase_request(folder), &reply, &err), ST_OK);
    assert_true(json_is_true(json_object_get(reply, "trained")));
    assert_true(json_is_true(json_object_get(reply, "accepted"))); /* "full" has no gate */
    assert_int_equal(json_integer_value(json_object_get(reply, "version")), 1);
    assert_int_equal(access(path, F_OK), 0);
    json_decref(reply);
    worker_process_stop(&worker);
    bell_clear(&bell);
}

static void silence_has_an_end(void **state)
{
    (void)state;
    static char cat[] = "/bin/sleep", seconds[] = "1000";
    static char *const sleeper[] = {cat, seconds, NULL};
    struct error err;
    json_t *reply;
    bell_init(&bell);
    worker_process_init(&worker);
    assert_int_equal(worker_process_start(&worker, sleeper, NULL, &err), ST_OK);
    assert_int_equal(
        worker_process_ask(&worker, json_object(), clock_mono_us(), &bell, &reply, &err),
        ST_NETWORK);
    bell_stop(&bell);
    assert_int_equal(worker_process_ask(&worker, json_object(), UINT64_MAX, &bell, &reply, &err),
                     ST_AGAIN);
    worker_process_stop(&worker);
    bell_clear(&bell);
}

static void nonsense_is_not_believed(void **state)
{
    (void)state;
    static char shell[] = "/bin/sh", flag[] = "-c",
                script[] = "read x; echo '[1]'; read x; echo '{\"id\":99,\"ok\":true}'; read x; "
                           "head -c 70000 /dev/zero; read x";
    static char *const liar[] = {shell, flag, script, NULL};
    struct error err;
    bell_init(&bell);
    worker_process_init(&worker);
    assert_int_equal(worker_process_start(&worker, liar, NULL, &err), ST_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(json_object(), NULL, &err), ST_NETWORK);
    worker_process_stop(&worker);
    bell_clear(&bell);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_files_round_trip_or_fail),
        TEST(frames_get_labels_and_scores),
        TEST(damaged_clips_do_not_stop_the_stream),
        TEST(labels_wait_for_the_disk),
        TEST(a_restart_goes_on),
        TEST(requests_are_checked),
        TEST(a_kill_during_a_phase_leaves_nothing_torn),
        TEST(silence_has_an_end),
        TEST(nonsense_is_not_believed),
        TEST(a_camera_gets_better_weights),
        TEST(a_killed_worker_costs_one_phase),
        TEST(a_worker_that_cannot_start_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
