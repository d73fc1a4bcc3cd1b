/* What a person does to a running server, with real workers: going back to an older version gives
 * its weights bit for bit, under every way of dividing the compute, in mid training and over kills
 * and restarts; a paused camera keeps what it has while others learn. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "kit.h"
#include "runner.h"
#include "server/control.h"
#include "server/operate.h"
#include "store/backup.h"

#define TRIES_MAX 3000 /* of a hundredth of a second at least */

static struct kit *kit;
static uint64_t seq[2]; /* of gate and yard */

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    kit_trains(kit, "round-robin", 1, 10);
    kit->options.settings.period_s = 0.2;
    memset(seq, 0, sizeof seq);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static void start(void)
{
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_hello(kit, "yard");
}

static struct store_camera camera_of(const char *id)
{
    struct store_camera c;
    assert_int_equal(store_camera_get(kit->server->store, id, &c, NULL), ST_OK);
    return c;
}

static void join(const char *camera, const char *group)
{
    uint64_t since = store_event_last(kit->server->store);
    assert_int_equal(control_move(kit->server->control, camera, group, "a test says so", NULL),
                     ST_OK);
    kit_await_event(kit, camera, "group_joined", since, NULL);
}

static void train(const char *camera, uint64_t *number)
{
    json_int_t before = kit_version(kit, camera);
    kit_upload(kit, camera, number);
    kit_await_version(kit, camera, before + 1);
}

/* method and path with a JSON body; the answer, which must have the status. */
static json_t *ask(const char *method, const char *path, const char *body, long status)
{
    struct answer a = {0};
    kit_ask(kit, method, path, body, strlen(body), &a);
    if (a.status != status)
        fail_msg("%s %s: %ld instead of %ld: %s", method, path, a.status, status,
                 (const char *)a.body.data);
    json_t *o = json_loadb((const char *)a.body.data, a.body.size_bytes, 0, NULL);
    assert_non_null(o);
    answer_clear(&a);
    return o;
}

static json_int_t number_of(const json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

static uint64_t go_back(const char *path, uint64_t version)
{
    char body[64];
    snprintf(body, sizeof body, "{\"version\":%llu,\"by\":\"ann\"}", (unsigned long long)version);
    json_t *o = ask("POST", path, body, 200);
    uint64_t made = (uint64_t)number_of(o, "version");
    json_decref(o);
    return made;
}

static void set_paused(const char *camera, bool paused)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/cameras/%s/learning", camera);
    json_t *o =
        ask("PUT", path, paused ? "{\"paused\":true,\"by\":\"ann\"}" : "{\"paused\":false}", 200);
    assert_int_equal(json_is_true(json_object_get(o, "paused")), paused);
    json_decref(o);
}

static size_t params_bytes(void)
{
    return nn_model_param_count(kit->server->student) * sizeof(float);
}

static float *weights_of(const char *camera, uint64_t version)
{
    float *params = malloc(params_bytes());
    assert_non_null(params);
    assert_int_equal(server_version_params(kit->server, camera, version, params, NULL), ST_OK);
    return params;
}

/* ---- going back ---- */

static bool in_folder(const char *group, const char *name)
{
    char path[PATH_MAX];
    store_model_path(kit->server->store, group, name, path);
    return access(path, F_OK) == 0;
}

/* To every older version and to the student's own weights: the camera that follows ends with
 * exactly them, and so does what the server believes it to have. */
static void weights_come_back_bit_for_bit(void **state)
{
    (void)state;
    struct runner gate;
    struct answer a = {0};
    char *reason;
    start();
    runner_open(kit, &gate, "gate");
    train("gate", &seq[0]);
    runner_update(&gate, &a);
    uint64_t first = gate.version;
    float *then = weights_of("gate", first), *own = weights_of("gate", 0);
    assert_memory_equal(gate.params, then, params_bytes());
    for (int i = 0; i < 2; i++)
        train("gate", &seq[0]);
    runner_update(&gate, &a);
    assert_memory_not_equal(gate.params, then, params_bytes());
    uint64_t had = gate.version, made = go_back("/v1/groups/gate/rollback", first);
    assert_true(made > had);
    assert_true(runner_update(&gate, &a)); /* a snapshot: what goes is not sent as what comes is */
    assert_int_equal(gate.version, made);
    assert_memory_equal(gate.params, then, params_bytes());
    float *known = weights_of("gate", made);
    assert_memory_equal(known, then, params_bytes());
    kit_await_event(kit, "gate", "rolled_back", 0, &reason);
    assert_non_null(strstr(reason, "by ann"));
    free(reason);
    json_t *all = kit_json(kit, "/v1/groups/gate/versions", 200);
    const json_t *v = json_array_get(json_object_get(all, "versions"), 0);
    char want[64];
    snprintf(want, sizeof want, "rolled back to %d by ann", (int)first);
    assert_string_equal(json_string_value(json_object_get(v, "reason")), want);
    assert_true(json_is_true(json_object_get(v, "kept")));
    assert_int_equal(number_of(all, "version"), made);
    json_decref(all);
    /* Learning goes on from there, by steps. */
    train("gate", &seq[0]);
    assert_false(runner_update(&gate, &a));
    assert_memory_not_equal(gate.params, then, params_bytes());
    assert_int_equal(go_back("/v1/cameras/gate/rollback", 0), gate.version + 1);
    runner_update(&gate, &a);
    assert_memory_equal(gate.params, own, params_bytes());
    free(then);
    free(own);
    free(known);
    runner_close(&gate);
    answer_clear(&a);
}

/* What a lost training has left under the number is not taken for the version. */
static void rubbish_of_a_lost_training_is_not_used(void **state)
{
    (void)state;
    struct runner gate;
    struct answer a = {0};
    static const char *const kinds[] = {"delta", "snap", "learner"};
    start();
    runner_open(kit, &gate, "gate");
    train("gate", &seq[0]);
    set_paused("gate", true); /* so that no other number is taken meanwhile */
    uint64_t version = camera_of("gate").version;
    runner_update(&gate, &a);
    for (int i = 0; i < 3; i++) {
        char name[48], path[PATH_MAX];
        snprintf(name, sizeof name, "v%d.%s", (int)version + 1, kinds[i]);
        store_model_path(kit->server->store, "gate", name, path);
        assert_int_equal(file_write(path, "rubbish", 7, NULL), ST_OK);
    }
    assert_int_equal(go_back("/v1/groups/gate/rollback", 0), version + 1);
    assert_true(runner_update(&gate, &a));
    assert_memory_equal(gate.params, nn_model_values(gate.student), params_bytes());
    char name[48];
    snprintf(name, sizeof name, "v%d.learner", (int)version + 1);
    assert_false(in_folder("gate", name));
    snprintf(name, sizeof name, "v%d.learner", (int)version);
    assert_false(in_folder("gate", name)); /* the optimiser is forgotten */
    runner_close(&gate);
    answer_clear(&a);
}

static void await_training(const char *group)
{
    for (int tries = 0, busy = 0; !busy; tries++, kit_pause()) {
        assert_in_range(tries, 0, TRIES_MAX);
        json_t *compute = kit_json(kit, "/v1/compute", 200);
        json_t *w = json_array_get(json_object_get(compute, "workers"), 0);
        busy = strcmp(json_string_value(json_object_get(w, "group")), group) == 0;
        json_decref(compute);
    }
}

/* policy "micro": micro-windows. */
static void set_policy(const char *policy)
{
    struct settings *s = &kit->options.settings;
    bool micro = strcmp(policy, "micro") == 0;
    snprintf(s->policy, sizeof s->policy, "%s", micro ? "auto" : policy);
    snprintf(s->sharing, sizeof s->sharing, "attune");
    s->window_s = 1;
    s->micro_windows = 4;
}

/* A training that is under way does not come over it, whoever divides the compute; nor over a
 * kill of the server's process right after the answer. */
static void a_training_under_way_is_given_up(void **state)
{
    (void)state;
    static const char *const policies[] = {"round-robin", "attune", "micro"};
    for (int i = 0; i < 3; i++) {
        struct runner r;
        struct answer a = {0};
        char id[16], path[64];
        snprintf(id, sizeof id, "cam%d", i);
        snprintf(path, sizeof path, "/v1/groups/%s/rollback", id);
        set_policy(policies[i]);
        seq[0] = 0;
        kit->options.settings.steps = 10;
        kit_start(kit);
        kit_hello(kit, id);
        train(id, &seq[0]);
        kit_stop(kit);
        kit->options.settings.steps = 100000; /* ends by being given up only */
        kit_start(kit);
        kit_upload(kit, id, &seq[0]);
        await_training(id);
        uint64_t made = go_back(path, 0);
        char *failed;
        kit_event_of(kit, id, "phase_failed", 0, &failed);
        if (failed)
            fail_msg("%s: %s", policies[i], failed);
        runner_open(kit, &r, id);
        assert_true(runner_update(&r, &a));
        assert_true(r.version >= made);
        if (r.version == made)
            assert_memory_equal(r.params, nn_model_values(r.student), params_bytes());
        set_paused(id, true);
        runner_close(&r);
        answer_clear(&a);
        kit_stop(kit);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    start();
    train("gate", &seq[0]);
    set_paused("gate", true);
    json_int_t version = kit_version(kit, "gate");
    char body[64];
    json_t *o = ask("POST", "/v1/groups/gate/rollback", "{\"version\":999}", 404);
    const char *why = json_string_value(json_object_get(o, "error"));
    assert_non_null(strstr(why, "999"));
    snprintf(body, sizeof body, "there are %d, 0 (", (int)version);
    if (version == 1)
        assert_non_null(strstr(why, body));
    json_decref(o);
    snprintf(body, sizeof body, "{\"version\":%d}", (int)version);
    json_decref(ask("POST", "/v1/groups/gate/rollback", body, 409));
    json_decref(ask("POST", "/v1/groups/nowhere/rollback", "{\"version\":0}", 404));
    json_decref(ask("POST", "/v1/cameras/nobody/rollback", "{\"version\":0}", 404));
    static const char *const bad[] = {"",
                                      "[]",
                                      "{",
                                      "{\"version\":-1}",
                                      "{\"version\":\"1\"}",
                                      "{\"version\":1.5}",
                                      "{\"version\":1,\"version\":2}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        json_decref(ask("POST", "/v1/groups/gate/rollback", bad[i], 400));
    json_decref(ask("PUT", "/v1/cameras/gate/learning", "{\"paused\":1}", 400));
    json_decref(ask("PUT", "/v1/cameras/nobody/learning", "{\"paused\":true}", 404));
    json_decref(ask("POST", "/v1/cameras/nobody/retrain", "", 404));
    json_decref(ask("POST", "/v1/cameras/gate/retrain", "", 409)); /* it is paused */
    assert_int_equal(kit_version(kit, "gate"), version);
}

/* ---- pausing ---- */

/* Two cameras of a group: the paused one keeps its version while the other learns, has what the
 * group has when it goes on, and no frame of it is trained on in between. */
static void a_paused_camera_keeps_what_it_has(void **state)
{
    (void)state;
    struct runner gate, yard;
    struct answer a = {0};
    start();
    join("yard", "gate");
    train("gate", &seq[0]);
    runner_open(kit, &gate, "gate");
    runner_open(kit, &yard, "yard");
    runner_update(&gate, &a);
    runner_update(&yard, &a);
    set_paused("yard", true);
    set_paused("yard", true); /* once more: no second event */
    uint64_t paused = kit_await_event(kit, "yard", "paused", 0, NULL);
    assert_int_equal(kit_event_of(kit, "yard", "paused", paused, NULL), 0);
    uint64_t kept = camera_of("yard").version;
    for (int i = 0; i < 2; i++)
        train("gate", &seq[0]);
    assert_int_equal(camera_of("yard").version, kept);
    uint64_t trained = camera_of("yard").trained_seq, since = store_event_last(kit->server->store);
    kit_upload(kit, "yard", &seq[1]); /* is scored, and is nothing to train on */
    kit_await_event(kit, "yard", "labelled", since, NULL);
    train("gate", &seq[0]);
    assert_int_equal(camera_of("yard").trained_seq, trained);
    assert_int_equal(camera_of("yard").version, kept);
    /* What it runs is not thrown away, so that its frames can be scored and it can start anew. */
    struct store_retired gone;
    assert_int_equal(store_retire(kit->server->store, "gate", 0, 0, &gone, NULL), ST_OK);
    assert_true(server_version_kept(kit->server, "gate", kept));
    struct runner again;
    runner_open(kit, &again, "yard");
    if (yard.version < kept)
        runner_update(&yard, &a);
    runner_update(&again, &a);
    runner_expect_same(&again, &yard);
    runner_close(&again);
    /* It is so after a restart, too. */
    kit_stop(kit);
    kit_start(kit);
    train("gate", &seq[0]);
    assert_int_equal(camera_of("yard").version, kept);
    json_t *c = kit_json(kit, "/v1/cameras/yard", 200);
    assert_true(json_is_true(json_object_get(c, "paused")));
    json_decref(c);
    /* A rollback is for all. */
    uint64_t made = go_back("/v1/groups/gate/rollback", 0);
    assert_int_equal(camera_of("yard").version, made);
    train("gate", &seq[0]);
    assert_int_equal(camera_of("yard").version, made);
    set_paused("yard", false);
    kit_await_event(kit, "yard", "resumed", 0, NULL);
    assert_int_equal(camera_of("yard").version, camera_of("gate").version);
    /* Its frames of before are trained on now. */
    for (int tries = 0; camera_of("yard").trained_seq < seq[1]; tries++, kit_pause())
        assert_in_range(tries, 0, TRIES_MAX);
    while (gate.version != camera_of("gate").version)
        runner_update(&gate, &a);
    while (yard.version < gate.version)
        runner_update(&yard, &a);
    if (yard.version == gate.version)
        runner_expect_same(&yard, &gate);
    runner_close(&gate);
    runner_close(&yard);
    answer_clear(&a);
}

/* Without a new frame; the request is answered by it. */
static void ask_for_training(const char *id)
{
    char path[64];
    json_int_t before = kit_version(kit, id);
    uint64_t since = store_event_last(kit->server->store);
    snprintf(path, sizeof path, "/v1/cameras/%s/retrain", id);
    json_decref(ask("POST", path, "{\"by\":\"ann\"}", 202));
    kit_await_event(kit, id, "retrain_asked", since, NULL);
    kit_await_version(kit, id, before + 1);
    snprintf(path, sizeof path, "/v1/cameras/%s", id);
    for (int tries = 0, open = 1; open; tries++, kit_pause()) {
        json_t *c = kit_json(kit, path, 200);
        assert_in_range(tries, 0, TRIES_MAX);
        const json_t *r = json_array_get(json_object_get(c, "requests"), 0);
        assert_string_equal(json_string_value(json_object_get(r, "kind")), "manual");
        open = json_is_true(json_object_get(r, "open"));
        json_decref(c);
    }
}

/* Whoever divides: a camera alone that is paused is not trained, while its neighbour is; what a
 * person asks for is trained now. */
static void every_policy_does_so(void **state)
{
    (void)state;
    static const char *const policies[] = {"round-robin", "attune", "thief", "micro"};
    for (int i = 0; i < 4; i++) {
        char quiet[16], other[16];
        snprintf(quiet, sizeof quiet, "quiet%d", i);
        snprintf(other, sizeof other, "other%d", i);
        set_policy(policies[i]);
        seq[0] = seq[1] = 0;
        kit_start(kit);
        kit_hello(kit, quiet);
        kit_hello(kit, other);
        set_paused(quiet, true);
        kit_upload(kit, quiet, &seq[0]);
        train(other, &seq[1]);
        ask_for_training(other);
        assert_int_equal(kit_version(kit, quiet), 0);
        assert_int_equal(kit_event_of(kit, quiet, "accepted", 0, NULL), 0);
        set_paused(quiet, false);
        kit_await_version(kit, quiet, 1);
        kit_stop(kit);
    }
}

/* ---- kills ---- */

/* A server in a process of its own that has trained, goes back and is killed at once. */
static void die_after_going_back(int to_parent)
{
    uint64_t version, made;
    kit_start(kit);
    kit_hello(kit, "gate");
    for (int i = 0; i < 2; i++)
        train("gate", &seq[0]);
    version = camera_of("gate").version;
    if (server_pause(kit->server, "gate", "ann", NULL, NULL, NULL) != ST_OK ||
        server_rollback(kit->server, "gate", 1, "ann", &made, NULL) != ST_OK || made <= version ||
        write(to_parent, &made, sizeof made) != sizeof made)
        _exit(1);
    kill(getpid(), SIGKILL);
}

static void it_is_there_after_a_kill(void **state)
{
    (void)state;
    int ends[2], status;
    uint64_t made = 0;
    struct runner gate;
    struct answer a = {0};
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        die_after_going_back(ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &made, sizeof made), sizeof made);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    kit_start(kit);
    assert_int_equal(camera_of("gate").version, made);
    assert_true(camera_of("gate").paused_us > 0);
    runner_open(kit, &gate, "gate");
    runner_update(&gate, &a);
    assert_int_equal(gate.version, made);
    float *first = weights_of("gate", 1);
    assert_memory_equal(gate.params, first, params_bytes());
    free(first);
    runner_close(&gate);
    answer_clear(&a);
}

/* ---- backups ---- */

/* Made while the loop runs, restored elsewhere: a server goes on from there, a camera gets the bits
 * that the version had, and it learns on. */
static void a_backup_of_a_running_loop_goes_on(void **state)
{
    (void)state;
    struct backup_report r;
    struct runner gate;
    struct answer a = {0};
    struct error err = {0};
    char file[96], again[96];
    snprintf(file, sizeof file, "%s/b.tar.zst", kit->dir);
    snprintf(again, sizeof again, "%s/again", kit->dir);
    start();
    train("gate", &seq[0]);
    kit_upload(kit, "gate", &seq[0]); /* and a training is under way meanwhile */
    const struct backup_options o = {.chunks = true, .program = "test", .now_us = clock_wall_us()};
    if (backup_write(kit->options.settings.state, file, &o, &r, &err) != ST_OK)
        fail_msg("%s", err.message);
    train("gate", &seq[0]);
    if (backup_restore(file, again, false, 1, &r, NULL, &err) != ST_OK)
        fail_msg("%s", err.message);
    struct store *copy;
    struct store_camera c;
    assert_int_equal(store_open(again, NULL, &copy, &err), ST_OK);
    assert_int_equal(store_camera_get(copy, "gate", &c, &err), ST_OK);
    store_close(&copy);
    float *then = weights_of("gate", c.version);
    kit_stop(kit);
    snprintf(kit->options.settings.state, sizeof kit->options.settings.state, "%s", again);
    kit_start(kit);
    runner_open(kit, &gate, "gate");
    runner_update(&gate, &a);
    float *now = weights_of("gate", c.version);
    assert_memory_equal(now, then, params_bytes());
    if (gate.version == c.version)
        assert_memory_equal(gate.params, then, params_bytes());
    uint64_t next = c.seq_last;
    train("gate", &next);
    free(then);
    free(now);
    runner_close(&gate);
    answer_clear(&a);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_is_there_after_a_kill),
        TEST(weights_come_back_bit_for_bit),
        TEST(rubbish_of_a_lost_training_is_not_used),
        TEST(a_training_under_way_is_given_up),
        TEST(what_cannot_be_is_refused),
        TEST(a_paused_camera_keeps_what_it_has),
        TEST(every_policy_does_so),
        TEST(a_backup_of_a_running_loop_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
