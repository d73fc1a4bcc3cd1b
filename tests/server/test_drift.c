/* What cameras tell of their world becomes requests and events, once each, across restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "kit.h"
#include "server/board.h"

static struct kit *kit;

static int setup(void **state)
{
    (void)state;
    log_level_set((enum log_level)0);
    kit = kit_open();
    kit->options.no_worker = true;
    kit_start(kit);
    kit_hello(kit, "gate");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_stop(kit);
    kit_close(&kit);
    return 0;
}

static void tell(enum drift_kind kind, uint64_t since_us, const char *what, long status)
{
    struct inference_report r = {.running = {1, 1}, .share = 1, .demand = 0.5, .factor = 1};
    struct answer a = {.status = 0};
    r.drift = (struct drift_request){
        .kind = kind, .t_us = since_us + 5, .since_us = since_us, .score = 1.5};
    snprintf(r.drift.text, sizeof r.drift.text, "%s", what);
    json_t *json = message_report(&r);
    char *text = json_dumps(json, 0);
    kit_ask(kit, "PUT", "/v1/cameras/gate/inference", text, strlen(text), &a);
    assert_int_equal(a.status, status);
    answer_clear(&a);
    free(text);
    json_decref(json);
}

struct rows {
    int count;
    struct store_request newest;
};

static void take_row(const struct store_request *r, void *context)
{
    struct rows *l = context;
    l->newest = *r;
    l->count++;
}

static struct rows open_rows(void)
{
    struct rows l = {0};
    struct error err;
    assert_int_equal(store_requests_open(kit->server->store, take_row, &l, &err), ST_OK);
    return l;
}

static void a_changed_scene_is_a_request(void **state)
{
    (void)state;
    struct error err;
    tell(DRIFT_NONE, 0, "", 204);
    assert_int_equal(open_rows().count, 0);
    tell(DRIFT_SCENE, 1000, "road 40 % -> 22 %", 204);
    tell(DRIFT_SCENE, 1000, "road 40 % -> 21 %", 204); /* the next report */
    struct rows l = open_rows();
    assert_int_equal(l.count, 1);
    assert_int_equal(l.newest.times, 1);
    assert_string_equal(l.newest.drift.camera, "gate");
    assert_int_equal(l.newest.drift.kind, DRIFT_SCENE);
    char *reason = NULL;
    uint64_t event = kit_event_of(kit, "gate", "drift_request", 0, &reason);
    assert_true(event > 0);
    assert_string_equal(reason, "road 40 % -> 22 %");
    free(reason);

    json_t *o = kit_json(kit, "/v1/cameras/gate", 200);
    assert_string_equal(json_string_value(json_object_get(json_object_get(o, "drift"), "kind")),
                        "scene");
    const json_t *first = json_array_get(json_object_get(o, "requests"), 0);
    assert_true(json_is_true(json_object_get(first, "open")));
    assert_string_equal(json_string_value(json_object_get(first, "noticed_at")), "camera");
    json_decref(o);

    kit_stop(kit); /* the camera tells the same again after a restart */
    kit_start(kit);
    tell(DRIFT_SCENE, 1000, "road 40 % -> 22 %", 204);
    l = open_rows();
    assert_int_equal(l.count, 1);
    assert_int_equal(kit_event_of(kit, "gate", "drift_request", event, NULL), 0);
    assert_int_equal(
        store_request_close(kit->server->store, l.newest.id, "joined group 3", 5000, &err), ST_OK);
    kit_stop(kit);
    kit_start(kit);
    tell(DRIFT_SCENE, 1000, "road 40 % -> 22 %", 204);
    assert_int_equal(open_rows().count, 0);
    tell(DRIFT_NONE, 0, "", 204);
    tell(DRIFT_VIEW, 9000, "edges are no longer where they were", 204);
    l = open_rows();
    assert_int_equal(l.count, 1);
    assert_int_equal(l.newest.drift.kind, DRIFT_VIEW);

    o = kit_json(kit, "/v1/drift", 200);
    const json_t *camera = json_array_get(json_object_get(o, "cameras"), 0);
    assert_string_equal(json_string_value(json_object_get(camera, "camera")), "gate");
    assert_int_equal(json_array_size(json_object_get(camera, "requests")), 2);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(camera, "requests"), 1), "outcome")),
                        "joined group 3");
    json_decref(o);
}

static void a_fault_is_no_request(void **state)
{
    (void)state;
    char *reason = NULL;
    tell(DRIFT_DIRTY, 1000, "a region has lost its detail: clean the lens", 204);
    assert_int_equal(open_rows().count, 0);
    uint64_t event = kit_event_of(kit, "gate", "camera_fault", 0, &reason);
    assert_true(event > 0);
    assert_non_null(strstr(reason, "clean the lens"));
    free(reason);
    tell(DRIFT_BLIND, 2000, "the picture is one even area", 204);
    assert_true(kit_event_of(kit, "gate", "camera_fault", event, NULL) > event);
    tell(DRIFT_NONE, 0, "", 204);
    assert_true(kit_event_of(kit, "gate", "camera_well", event, NULL) > event);
    assert_int_equal(open_rows().count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_changed_scene_is_a_request, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fault_is_no_request, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
