/* Several workers: they train at the same time under shares, one dies, runs out of memory or gets a
 * loss that is not a number, and the others' cameras do not notice; the account adds up. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "delta/delta.h"
#include "kit.h"
#include "nn/loss.h"
#include "server/control.h"
#include "server/worker_process.h"

#define POISON "/tmp/attune-test-nan-%d" /* while it is there, that process's loss is NaN */

#define SANITIZER_MB (1 << 20)

static struct kit *kit;

double __real_nn_loss_hard(const struct nn_view *logits, const uint8_t *labels,
                           const struct nn_ce_options *options, float scale,
                           const struct nn_view *grad);
double __wrap_nn_loss_hard(const struct nn_view *logits, const uint8_t *labels,
                           const struct nn_ce_options *options, float scale,
                           const struct nn_view *grad);

double __wrap_nn_loss_hard(const struct nn_view *logits, const uint8_t *labels,
                           const struct nn_ce_options *options, float scale,
                           const struct nn_view *grad)
{
    char path[64];
    snprintf(path, sizeof path, POISON, (int)getpid());
    double loss = __real_nn_loss_hard(logits, labels, options, scale, grad);
    return access(path, F_OK) == 0 ? NAN : loss;
}

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    kit_trains(kit, "round-robin", 2, 30);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static uint64_t next_seq[2];

static int pid_of(const char *camera)
{
    return control_worker_pid(kit->server->control, camera);
}

/* Both have trained, each in a worker of its own. */
static void start_both(void)
{
    next_seq[0] = next_seq[1] = 0;
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_hello(kit, "yard");
    kit_upload(kit, "gate", &next_seq[0]);
    kit_upload(kit, "yard", &next_seq[1]);
    kit_await_version(kit, "gate", 1);
    kit_await_version(kit, "yard", 1);
    assert_true(pid_of("gate") > 0 && pid_of("yard") > 0);
    assert_int_not_equal(pid_of("gate"), pid_of("yard"));
}

/* The camera goes on learning, in the process that it was in. */
static void expect_unaffected(const char *camera, uint64_t *seq, int pid)
{
    json_int_t before = kit_version(kit, camera);
    kit_upload(kit, camera, seq);
    kit_await_version(kit, camera, before + 1);
    assert_int_equal(pid_of(camera), pid);
}

/* ---- shares and the account ---- */

static const json_t *entry_of(const json_t *compute, const char *camera, const char *kind)
{
    const json_t *e;
    size_t i;
    json_array_foreach(
        json_object_get(compute, "account"), i,
        e) if (strcmp(json_string_value(json_object_get(e, "camera")), camera) == 0 &&
               strcmp(json_string_value(json_object_get(e, "kind")), kind) == 0) return e;
    return NULL;
}

static double number_of(const json_t *o, const char *key)
{
    assert_true(json_is_number(json_object_get(o, key)));
    return json_number_value(json_object_get(o, key));
}

static void the_account_says_who_used_what(void **state)
{
    (void)state;
    kit->options.settings.compute = 1.5;
    kit->options.settings.label_share = 0.75;
    start_both();
    json_t *compute = kit_json(kit, "/v1/compute", 200);
    assert_true(number_of(compute, "capacity") == 1.5);
    double used = 0;
    static const char *const cameras[] = {"gate", "yard"}, *const kinds[] = {"train", "label"};
    for (int c = 0; c < 2; c++)
        for (int k = 0; k < 2; k++) {
            const json_t *e = entry_of(compute, cameras[c], kinds[k]);
            assert_non_null(e);
            assert_true(number_of(e, "used_s") > 0);
            assert_true(number_of(e, "used_total_s") >= number_of(e, "used_s"));
            used += k == 0 ? number_of(e, "used_total_s") : 0;
        }
    assert_true(number_of(entry_of(compute, "gate", "train"), "planned_s") > 0);
    assert_true(number_of(entry_of(compute, "", "label"), "share") == 0.75);
    /* What the workers used is in it, but for what they do between requests. */
    const json_t *workers = json_object_get(compute, "workers"), *w;
    size_t i;
    double by_workers = 0;
    assert_int_equal(json_array_size(workers), 2);
    json_array_foreach(workers, i, w)
    {
        assert_string_equal(json_string_value(json_object_get(w, "state")), "running");
        assert_int_equal(json_array_size(json_object_get(w, "cameras")), 1);
        assert_true(number_of(w, "share") > 0 && number_of(w, "share") <= 1.5);
        by_workers += number_of(w, "used_s");
    }
    assert_true(used <= by_workers * 1.001 && used > 0.5 * by_workers);
    json_decref(compute);
}

static void each_means_trains(void **state)
{
    (void)state;
    static const char *const means[] = {"pacing", "auto"};
    for (int i = 0; i < 2; i++) {
        snprintf(kit->options.settings.share_means, SETTING_TEXT_BYTES, "%s", means[i]);
        kit->options.settings.compute = 0.5;
        kit_start(kit);
        if (i == 0) {
            json_t *compute = kit_json(kit, "/v1/compute", 200);
            assert_string_equal(json_string_value(json_object_get(compute, "means")), "pacing");
            json_decref(compute);
            kit_hello(kit, "gate");
        }
        json_int_t before = kit_version(kit, "gate");
        next_seq[0] = (uint64_t)i;
        kit_upload(kit, "gate", &next_seq[0]);
        kit_await_version(kit, "gate", before + 1);
        kit_stop(kit);
    }
    struct error err;
    struct server *s;
    snprintf(kit->options.settings.share_means, SETTING_TEXT_BYTES, "magic");
    assert_int_equal(server_open(&kit->options, &s, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "magic"));
}

/* ---- what goes wrong ---- */

static void a_kill_in_mid_training_costs_one_training(void **state)
{
    (void)state;
    char *reason;
    kit->options.settings.steps = 4000;
    start_both();
    int yard = pid_of("yard"), gate = pid_of("gate");
    uint64_t since = store_event_last(kit->server->store);
    kit_upload(kit, "gate", &next_seq[0]);
    kit_await_training(kit, "gate");
    kill(gate, SIGKILL);
    kit_await_event(kit, "gate", "phase_failed", since, &reason);
    assert_non_null(strstr(reason, "signal 9"));
    free(reason);
    assert_int_equal(kit_version(kit, "gate"), 1);
    expect_unaffected("yard", &next_seq[1], yard);
    kit_await_version(kit, "gate", 2); /* tried again, with the same frames */
    assert_int_not_equal(pid_of("gate"), gate);
    assert_int_equal(kit_event_of(kit, "yard", "phase_failed", 0, NULL), 0);
}

/* A training that kills its process each time is given up, and the camera lives on its next frames.
 */
static void what_kills_every_worker_is_dropped(void **state)
{
    (void)state;
    char *reason;
    uint64_t seq = 0;
    kit->options.settings.workers = 1;
    kit->options.settings.steps = 10000;
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_upload(kit, "gate", &seq);
    while (kit_event_of(kit, "gate", "training_dropped", 0, &reason) == 0) {
        int pid = kit_trains_now(kit, "gate") ? pid_of("gate") : 0;
        if (pid > 0)
            kill(pid, SIGKILL);
        kit_pause();
    }
    assert_non_null(strstr(reason, "dropped"));
    free(reason);
    assert_int_equal(kit_version(kit, "gate"), 0);
    json_t *health = kit_json(kit, "/v1/health", 200);
    assert_int_equal(number_of(health, "phases_failed"), CONTROL_TRIES_MAX);
    json_decref(health);
    kit_upload(kit, "gate", &seq);
    kit_hurry_version(kit, "gate", &seq, 1);
}

static long peak_mb(int pid)
{
    char path[64], line[128];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        sscanf(line, "VmPeak: %ld kB", &kb);
    fclose(f);
    assert_true(kb > 0);
    return kb / 1024;
}

static void a_worker_without_memory_drops_its_own(void **state)
{
    (void)state;
    char *reason = NULL;
    start_both();
    long most = peak_mb(pid_of("gate"));
    if (most > SANITIZER_MB) {
        print_message("left out: a sanitizer's shadow memory is no memory to bound\n");
        skip();
    }
    kit_stop(kit);
    kit->options.settings.worker_memory_mb = (int)most + 24;
    kit->options.settings.picture_pixels_max = 6144 * 4096;
    kit_start(kit);
    uint64_t since = store_event_last(kit->server->store);
    kit_upload(kit, "gate", &next_seq[0]);
    kit_upload_sized(kit, "yard", &next_seq[1], 6144, 4096); /* a picture takes 72 MB */
    kit_await_version(kit, "gate", 2);
    while (!reason) {
        if (!kit_event_of(kit, "yard", "chunk_untrained", since, &reason))
            kit_event_of(kit, "yard", "phase_failed", since, &reason);
        kit_pause();
    }
    assert_true(strlen(reason) > 0);
    free(reason);
    assert_int_equal(kit_event_of(kit, "gate", "phase_failed", since, NULL), 0);
    expect_unaffected("gate", &next_seq[0], pid_of("gate"));
}

static void a_loss_that_is_no_number_is_dropped(void **state)
{
    (void)state;
    char path[64], *reason;
    start_both();
    int gate = pid_of("gate"), yard = pid_of("yard");
    uint64_t since = store_event_last(kit->server->store);
    snprintf(path, sizeof path, POISON, yard);
    assert_int_equal(file_write(path, "", 0, NULL), ST_OK);
    kit_upload(kit, "yard", &next_seq[1]);
    kit_await_event(kit, "yard", "training_dropped", since, &reason);
    assert_non_null(strstr(reason, "not a number"));
    free(reason);
    assert_int_equal(kit_version(kit, "yard"), 1);
    expect_unaffected("gate", &next_seq[0], gate);
    assert_int_equal(unlink(path), 0);
    expect_unaffected("yard", &next_seq[1], yard); /* the next frames, in the same process */
}

/* ---- the protocol in slices ---- */

static struct worker_process worker;
static struct bell bell;

static json_t *ask(json_t *request, enum status want)
{
    json_t *reply = NULL;
    struct error err = {0};
    assert_non_null(request);
    enum status st =
        worker_process_ask(&worker, request, clock_mono_us() + 60000000, &bell, &reply, &err);
    if (st != want)
        fail_msg("%d instead of %d: %s", (int)st, (int)want, err.message);
    return reply;
}

static void tell(json_t *request)
{
    json_decref(ask(request, ST_OK));
}

static json_t *simple(const char *op)
{
    return json_pack("{s:s,s:s}", "op", op, "group", "gate");
}

static json_t *to_folder(const char *op, const char *folder)
{
    return json_pack("{s:s,s:s,s:s}", "op", op, "group", "gate", "folder", folder);
}

static json_t *train(int steps)
{
    return json_pack("{s:s,s:s,s:i}", "op", "train", "group", "gate", "steps", steps);
}

static void start_filled(int steps, const char *chunk, const char *labels)
{
    struct error err;
    assert_int_equal(worker_process_start(&worker, kit_worker_argv, NULL, &err), ST_OK);
    tell(json_pack("{s:s,s:s,s:s,s:i,s:i,s:f,s:f,s:i,s:i}", "op", "init", "student",
                   kit->options.settings.student, "preset", "full", "steps", steps, "batch", 2,
                   "horizon_s", 100.0, "sampling_fps_max", 1.0, "threads", 1, "seed", 1));
    tell(json_pack("{s:s,s:s,s:i}", "op", "open", "group", "gate", "version", 0));
    tell(json_pack("{s:s,s:s,s:s,s:s}", "op", "add", "group", "gate", "chunk", chunk, "labels",
                   labels));
}

static void read_delta(const char *folder, int version, struct buf *out)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/v%d.delta", folder, version);
    assert_int_equal(file_read(path, 1 << 20, out, NULL), ST_OK);
}

static bool accepted(json_t *reply)
{
    bool yes = json_is_true(json_object_get(reply, "accepted"));
    json_decref(reply);
    return yes;
}

static void prepare(char *chunk, char *labels, char *folder)
{
    kit->options.no_worker = true;
    next_seq[0] = 0;
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_upload(kit, "gate", &next_seq[0]);
    kit_await(kit, "labelled", 0);
    store_chunk_path(kit->server->store, "gate", 1, chunk);
    store_label_path(kit->server->store, "gate", 1, labels);
    store_model_path(kit->server->store, "gate", ".", folder);
    bell_init(&bell);
    worker_process_init(&worker);
}

static void slices_are_the_phase(void **state)
{
    (void)state;
    char chunk[PATH_MAX], labels[PATH_MAX], folder[PATH_MAX];
    struct buf whole, sliced;
    buf_init(&whole);
    buf_init(&sliced);
    prepare(chunk, labels, folder);
    start_filled(12, chunk, labels);
    assert_true(accepted(ask(to_folder("phase", folder), ST_OK)));
    read_delta(folder, 1, &whole);
    worker_process_stop(&worker);
    start_filled(12, chunk, labels);
    ask(train(3), ST_INVALID);
    ask(to_folder("finish", folder), ST_INVALID);
    json_t *begun = ask(simple("begin"), ST_OK);
    assert_true(json_is_true(json_object_get(begun, "begun")));
    assert_int_equal(number_of(begun, "steps"), 12);
    json_decref(begun);
    ask(simple("begin"), ST_INVALID);
    tell(train(5));
    tell(simple("abandon"));
    tell(simple("begin"));
    for (int i = 0; i < 4; i++)
        tell(train(3));
    ask(train(0), ST_INVALID);
    assert_true(accepted(ask(to_folder("finish", folder), ST_OK)));
    read_delta(folder, 1, &sliced);
    assert_int_equal(whole.size_bytes, sliced.size_bytes);
    assert_memory_equal(whole.data, sliced.data, whole.size_bytes);
    worker_process_stop(&worker);
    bell_clear(&bell);
    buf_clear(&whole);
    buf_clear(&sliced);
}

static void a_checkpoint_is_durable(void **state)
{
    (void)state;
    char chunk[PATH_MAX], labels[PATH_MAX], folder[PATH_MAX], path[PATH_MAX + 32];
    prepare(chunk, labels, folder);
    start_filled(12, chunk, labels);
    tell(simple("begin"));
    tell(train(6));
    assert_true(accepted(ask(to_folder("checkpoint", folder), ST_OK)));
    tell(train(6));
    worker_process_stop(&worker); /* killed before the end */
    snprintf(path, sizeof path, "%s/v1.learner", folder);
    start_filled(12, chunk, labels);
    tell(simple("close"));
    json_t *reply = ask(json_pack("{s:s,s:s,s:i,s:s,s:s}", "op", "open", "group", "gate", "version",
                                  1, "state", path, "snapshot", "/nonexistent"),
                        ST_OK);
    assert_null(json_object_get(reply, "note"));
    json_decref(reply);
    tell(json_pack("{s:s,s:s,s:s,s:s}", "op", "add", "group", "gate", "chunk", chunk, "labels",
                   labels));
    tell(simple("begin"));
    tell(train(6));
    reply = ask(to_folder("finish", folder), ST_OK);
    assert_int_equal(number_of(reply, "version"), 2);
    json_decref(reply);
    worker_process_stop(&worker);
    bell_clear(&bell);
}

static json_t *labelled_pairs(int count)
{
    char chunk[PATH_MAX], labels[PATH_MAX];
    json_t *pairs = json_array();
    for (int i = count; i > 0; i--) {
        store_chunk_path(kit->server->store, "gate", (uint64_t)i, chunk);
        store_label_path(kit->server->store, "gate", (uint64_t)i, labels);
        json_array_append_new(pairs, json_pack("{s:s,s:s}", "chunk", chunk, "labels", labels));
    }
    return pairs;
}

static json_t *own_request(const char *folder, const char *path, int chunks)
{
    char snapshot[PATH_MAX + 32];
    snprintf(snapshot, sizeof snapshot, "%s/v1.snap", folder);
    return json_pack("{s:s,s:o,s:s,s:s}", "op", "own", "chunks", labelled_pairs(chunks), "snapshot",
                     snapshot, "path", path);
}

/* Scores of version 1 alone and with the delta on top, of which null is none. */
static json_t *try_own(const char *folder, const char *path)
{
    char snapshot[PATH_MAX + 32];
    snprintf(snapshot, sizeof snapshot, "%s/v1.snap", folder);
    json_t *reply = ask(json_pack("{s:s,s:i,s:o,s:[{s:s,s:s},{s:s,s:s}]}", "op", "trial", "frames",
                                  8, "chunks", labelled_pairs(1), "models", "path", snapshot, "own",
                                  "", "path", snapshot, "own", path),
                        ST_OK);
    json_t *scores = json_incref(json_object_get(reply, "scores"));
    json_decref(reply);
    assert_int_equal(json_array_size(scores), 2);
    assert_true(json_is_array(json_array_get(scores, 0)));
    return scores;
}

/* A camera's own delta is trained on top of a snapshot, the same each time, and tried on it; one
 * that is cut is no model. */
static void a_camera_gets_its_own_delta(void **state)
{
    (void)state;
    char chunk[PATH_MAX], labels[PATH_MAX], folder[PATH_MAX], path[PATH_MAX + 32];
    struct buf first, again;
    struct delta_info info;
    buf_init(&first);
    buf_init(&again);
    prepare(chunk, labels, folder);
    for (int i = 2; i <= 4; i++) {
        uint64_t since = store_event_last(kit->server->store);
        kit_upload(kit, "gate", &next_seq[0]);
        kit_await(kit, "labelled", since);
    }
    start_filled(6, chunk, labels);
    assert_true(accepted(ask(to_folder("phase", folder), ST_OK)));
    snprintf(path, sizeof path, "%s/own-gate.trial", folder);
    json_t *reply = ask(own_request(folder, path, 4), ST_OK);
    if (!json_is_true(json_object_get(reply, "trained")))
        fail_msg("%s", json_string_value(json_object_get(reply, "reason")));
    assert_int_equal(file_read(path, 1 << 20, &first, NULL), ST_OK);
    assert_int_equal(number_of(reply, "bytes"), first.size_bytes);
    json_decref(reply);
    assert_int_equal(delta_info_read(first.data, first.size_bytes, &info, NULL, 0, NULL), ST_OK);
    assert_true(info.personal && info.versions.base == 1 && info.value_count > 0);
    tell(own_request(folder, path, 4));
    assert_int_equal(file_read(path, 1 << 20, &again, NULL), ST_OK);
    assert_true(first.size_bytes == again.size_bytes);
    assert_memory_equal(first.data, again.data, first.size_bytes);
    json_t *scores = try_own(folder, path);
    assert_true(json_is_array(json_array_get(scores, 1)));
    json_decref(scores);
    assert_int_equal(file_write(path, first.data, first.size_bytes - 1, NULL), ST_OK);
    scores = try_own(folder, path);
    assert_true(json_is_null(json_array_get(scores, 1)));
    json_decref(scores);
    ask(own_request(folder, "", 4), ST_INVALID);
    worker_process_stop(&worker);
    bell_clear(&bell);
    buf_clear(&first);
    buf_clear(&again);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_account_says_who_used_what),
        TEST(each_means_trains),
        TEST(a_kill_in_mid_training_costs_one_training),
        TEST(what_kills_every_worker_is_dropped),
        TEST(a_worker_without_memory_drops_its_own),
        TEST(a_loss_that_is_no_number_is_dropped),
        TEST(a_camera_gets_its_own_delta),
        TEST(slices_are_the_phase),
        TEST(a_checkpoint_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
