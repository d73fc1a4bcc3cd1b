/* Plans in a running server: cameras are trained because the plan says so, checkpoints serve in
 * mid-training, windows bound Ekya's policies, and what happened becomes the fleet's history. */
#include <math.h>
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
#include "kit.h"
#include "server/control.h"

static struct kit *kit;
static uint64_t gate_seq, yard_seq;

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    kit_trains(kit, "attune", 2, 16);
    gate_seq = yard_seq = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static void policy(const char *name, double window_s)
{
    snprintf(kit->options.settings.policy, SETTING_TEXT_BYTES, "%s", name);
    kit->options.settings.window_s = window_s;
}

static void start(void)
{
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_hello(kit, "yard");
}

/* The camera's line of the plan; the plan is the caller's. */
static json_t *line_of(json_t *plan, const char *camera)
{
    json_t *line;
    size_t i;
    json_array_foreach(json_object_get(plan, "cameras"), i,
                       line) if (strcmp(json_string_value(json_object_get(line, "camera")),
                                        camera) == 0) return line;
    return NULL;
}

struct history {
    struct store_training rows[64];
    int count;
};

static void keep(const struct store_training *t, void *context)
{
    struct history *h = context;
    h->rows[h->count++] = *t;
}

static struct history history_of(const char *camera)
{
    struct history h = {.count = 0};
    assert_int_equal(store_trainings(kit->server->store, camera, 64, keep, &h, NULL), ST_OK);
    return h;
}

static void cameras_train_as_planned(void **state)
{
    (void)state;
    char *reason;
    policy("attune", 60);
    start();
    kit_upload(kit, "gate", &gate_seq);
    kit_upload(kit, "yard", &yard_seq);
    kit_await_version(kit, "gate", 1);
    kit_await_version(kit, "yard", 1);
    kit_await_event(kit, "gate", "scheduled", 0, &reason);
    assert_true(strlen(reason) > 0);
    free(reason);
    json_t *plan = kit_json(kit, "/v1/schedule", 200);
    assert_string_equal(json_string_value(json_object_get(plan, "policy")), "attune");
    assert_true(json_number_value(json_object_get(plan, "capacity")) > 0);
    for (int i = 0; i < 2; i++) {
        json_t *line = line_of(plan, i ? "yard" : "gate");
        assert_non_null(line);
        assert_true(json_is_string(json_object_get(line, "reason")));
        assert_true(json_is_string(json_object_get(line, "why")));
        assert_true(json_is_number(json_object_get(line, "expected")));
    }
    json_decref(plan);
    /* New frames, another training. */
    json_int_t before = kit_version(kit, "gate");
    kit_upload(kit, "gate", &gate_seq);
    kit_await_version(kit, "gate", before + 1);
    while (history_of("gate").count < 2)
        kit_pause();
    struct history h = history_of("gate");
    for (int i = 0; i < h.count; i++) {
        assert_true(h.rows[i].compute_s > 0 && h.rows[i].steps > 0 && h.rows[i].accepted);
        assert_true(h.rows[i].start >= 0 && h.rows[i].start <= 1);
    }
    if (kit_event_of(kit, "gate", "phase_failed", 0, &reason) ||
        kit_event_of(kit, "yard", "phase_failed", 0, &reason))
        fail_msg("%s", reason);
}

/* A long training makes versions where shorter ones would have ended. */
static void checkpoints_serve_in_mid_training(void **state)
{
    (void)state;
    static const char *const names[] = {"short", "longer", "long"};
    struct train_configurations *c = &kit->options.settings.configurations;
    policy("attune", 600);
    kit->options.settings.period_s = 600;
    kit->options.settings.steps = 100;
    kit->options.settings.batch = 64; /* a step takes two milliseconds */
    c->count = 3;
    for (int i = 0; i < c->count; i++) {
        c->items[i] = (struct train_configuration){.epochs = 250 << i, .data = 1, .head_width = 1};
        snprintf(c->items[i].name, sizeof c->items[i].name, "%s", names[i]);
    }
    start();
    kit_upload(kit, "gate", &gate_seq);
    struct history h = {.count = 0};
    while (h.count == 0 || strcmp(h.rows[0].configuration, "long") != 0) {
        kit_pause();
        h = history_of("gate");
    }
    assert_true(h.count >= 2);
    /* Oldest last: one training, its steps and compute grow from checkpoint to checkpoint. */
    for (int i = 0; i + 1 < h.count; i++) {
        assert_int_equal(h.rows[i].episode, h.rows[i + 1].episode);
        assert_true(h.rows[i].steps > h.rows[i + 1].steps);
        assert_true(h.rows[i].compute_s > h.rows[i + 1].compute_s);
    }
    assert_int_equal(kit_version(kit, "gate"), h.count);
    assert_int_equal(kit_event_of(kit, "gate", "phase_failed", 0, NULL), 0);
}

/* New frames end a training that began without them, and the next one has them. */
static void new_frames_overtake_a_long_training(void **state)
{
    (void)state;
    struct settings *s = &kit->options.settings;
    policy("attune", 600);
    s->configurations.count = 0;
    s->steps = 100000;
    start();
    kit_upload(kit, "gate", &gate_seq);
    kit_hurry_version(kit, "gate", &gate_seq, 1);
    while (history_of("gate").count == 0)
        kit_pause();
    struct history h = history_of("gate");
    assert_true(h.rows[0].steps > 0 && h.rows[0].steps < 100000);
    assert_int_equal(kit_event_of(kit, "gate", "training_dropped", 0, NULL), 0);
}

/* Ekya's way: each configuration is tried on a sample before it is offered, which is in the account
 * and in the history; the recipe of this preset has a gate, so there are held-out frames to try on.
 */
static void profiles_come_before_plans(void **state)
{
    (void)state;
    struct settings *s = &kit->options.settings;
    policy("attune", 60);
    snprintf(s->preset, sizeof s->preset, "attune");
    snprintf(s->estimates, sizeof s->estimates, "blend");
    start();
    kit_upload(kit, "gate", &gate_seq);
    while (history_of("gate").count == 0) {
        kit_upload(kit, "gate", &gate_seq); /* what is not accepted is tried with new frames */
        clock_sleep_until_us(clock_mono_us() + 300000);
    }
    struct history h = history_of("gate");
    int profiled = 0;
    for (int i = 0; i < h.count; i++)
        profiled += isfinite(h.rows[i].profiled_end) && isfinite(h.rows[i].profiled_start);
    assert_true(profiled > 0 || strcmp(h.rows[0].configuration, "recipe") == 0);
    json_t *compute = kit_json(kit, "/v1/compute", 200), *e;
    size_t i;
    double used_s = 0;
    json_array_foreach(json_object_get(compute, "account"), i,
                       e) if (strcmp(json_string_value(json_object_get(e, "kind")), "profile") == 0)
        used_s += json_number_value(json_object_get(e, "used_total_s"));
    assert_true(used_s > 0);
    json_decref(compute);
}

static void none_trains_nobody(void **state)
{
    (void)state;
    policy("none", 60);
    start();
    kit_upload(kit, "gate", &gate_seq);
    kit_await_event(kit, "gate", "labelled", 0, NULL);
    kit_await_event(kit, "gate", "scheduled", 0, NULL);
    clock_sleep_until_us(clock_mono_us() + 700000);
    assert_int_equal(kit_version(kit, "gate"), 0);
    json_t *plan = kit_json(kit, "/v1/schedule", 200);
    assert_string_equal(json_string_value(json_object_get(line_of(plan, "gate"), "why")), "policy");
    json_decref(plan);
}

static void both_train_under(const char *name, double window_s)
{
    policy(name, window_s);
    start();
    kit_upload(kit, "gate", &gate_seq);
    kit_upload(kit, "yard", &yard_seq);
    kit_await_version(kit, "gate", 1);
    kit_await_version(kit, "yard", 1);
    json_t *plan = kit_json(kit, "/v1/schedule", 200);
    assert_string_equal(json_string_value(json_object_get(plan, "policy")), name);
    json_decref(plan);
}

static void a_new_window_trains_anew(void **state)
{
    (void)state;
    both_train_under("uniform", 2);
    kit_upload(kit, "gate", &gate_seq);
    kit_await_version(kit, "gate", 2);
}

/* A camera trains once in a window of Ekya's, whatever it uploads. */
static void a_window_trains_once(void **state)
{
    (void)state;
    both_train_under("thief", 3600);
    uint64_t since = store_event_last(kit->server->store);
    kit_upload(kit, "gate", &gate_seq);
    kit_await_event(kit, "gate", "labelled", since, NULL);
    clock_sleep_until_us(clock_mono_us() + 1500000);
    assert_int_equal(kit_version(kit, "gate"), 1);
    assert_int_equal(history_of("gate").count, 1);
}

static void a_killed_worker_is_planned_around(void **state)
{
    (void)state;
    char *reason;
    policy("attune", 600);
    kit->options.settings.configurations.count = 0;
    kit->options.settings.steps = 10000;
    start();
    kit_upload(kit, "gate", &gate_seq);
    int pid = 0;
    for (; pid <= 0; kit_pause()) { /* its worker may be about to start */
        kit_await_training(kit, "gate");
        pid = control_worker_pid(kit->server->control, "gate");
    }
    kill(pid, SIGKILL);
    kit_upload(kit, "yard", &yard_seq);
    kit_await_event(kit, "gate", "phase_failed", 0, &reason);
    assert_non_null(strstr(reason, "signal 9"));
    free(reason);
    kit_hurry_version(kit, "yard", &yard_seq, 1);
    kit_hurry_version(kit, "gate", &gate_seq, 1);
    assert_int_equal(kit_event_of(kit, "yard", "phase_failed", 0, NULL), 0);
}

static void a_restart_keeps_the_history(void **state)
{
    (void)state;
    policy("attune", 60);
    start();
    kit_upload(kit, "gate", &gate_seq);
    kit_await_version(kit, "gate", 1);
    while (history_of("gate").count < 1)
        kit_pause();
    kit_stop(kit);
    kit_start(kit);
    assert_true(history_of("gate").count >= 1);
    json_int_t before = kit_version(kit, "gate");
    kit_upload(kit, "gate", &gate_seq);
    kit_await_version(kit, "gate", before + 1);
}

static void unknown_policies_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"robin", "", "exhaustive"};
    for (int i = 0; i < 3; i++) {
        struct server *s;
        struct error err;
        policy(wrong[i], 60);
        assert_int_equal(server_open(&kit->options, &s, &err), ST_INVALID);
        assert_non_null(strstr(err.message, "policy"));
    }
    policy("round-robin", 60);
    start();
    json_t *plan = kit_json(kit, "/v1/schedule", 200);
    assert_string_equal(json_string_value(json_object_get(plan, "policy")), "round-robin");
    json_decref(plan);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(cameras_train_as_planned),
        TEST(checkpoints_serve_in_mid_training),
        TEST(new_frames_overtake_a_long_training),
        TEST(profiles_come_before_plans),
        TEST(none_trains_nobody),
        TEST(a_new_window_trains_anew),
        TEST(a_window_trains_once),
        TEST(a_killed_worker_is_planned_around),
        TEST(a_restart_keeps_the_history),
        TEST(unknown_policies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
