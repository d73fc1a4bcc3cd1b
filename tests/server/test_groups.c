/* Cameras that share a model: a version is made once and is the same bytes for all of them, a
 * camera's version never falls as it comes and goes, and a restart changes nothing. The workers are
 * this program itself. */

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
#include "base/file.h"
#include "delta/personal.h"
#include "kit.h"
#include "runner.h"
#include "server/board.h"
#include "server/control.h"
#include "server/grouping_internal.h"
#include "server/own.h"

static struct kit *kit;
static uint64_t seq[3]; /* of gate, yard and dock */

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    kit_trains(kit, "round-robin", 1, 10);
    memset(seq, 0, sizeof seq);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static void join(const char *camera, const char *group)
{
    struct error err;
    uint64_t since = store_event_last(kit->server->store);
    assert_int_equal(control_move(kit->server->control, camera, group, "a test says so", &err),
                     ST_OK);
    kit_await_event(kit, camera, group[0] ? "group_joined" : "group_left", since, NULL);
}

static void train(const char *camera, uint64_t *number)
{
    json_int_t before = kit_version(kit, camera);
    kit_upload(kit, camera, number);
    kit_await_version(kit, camera, before + 1);
}

static struct store_camera camera_of(const char *id)
{
    struct store_camera c;
    assert_int_equal(store_camera_get(kit->server->store, id, &c, NULL), ST_OK);
    return c;
}

static struct store_group group_of(const char *id)
{
    struct store_group g;
    assert_int_equal(store_group_get(kit->server->store, id, &g, NULL), ST_OK);
    return g;
}

static size_t params_bytes(void)
{
    return nn_model_param_count(kit->server->student) * sizeof(float);
}

/* Both are brought up to date; a group that somebody has joined trains at once, on what came along.
 */
static void expect_to_meet(struct runner *a, struct runner *b, struct answer *answer)
{
    do {
        if (a->version <= b->version && a->version < camera_of(a->camera).version)
            runner_update(a, answer);
        if (b->version < a->version)
            runner_update(b, answer);
    } while (a->version != b->version);
    runner_expect_same(a, b);
}

static void start(void)
{
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_hello(kit, "yard");
    kit_hello(kit, "dock");
}

static void one_encoding_serves_all_members(void **state)
{
    (void)state;
    static const char *const cameras[] = {"gate", "yard", "dock"};
    struct runner r[3];
    struct answer a[3] = {0};
    start();
    join("yard", "gate");
    join("dock", "gate");
    train("gate", &seq[0]);
    for (int i = 0; i < 3; i++) {
        runner_open(kit, &r[i], cameras[i]);
        runner_update(&r[i], &a[i]);
    }
    for (int round = 0; round < 3; round++) {
        struct store_group before = group_of("gate");
        train(cameras[round], &seq[round]);
        struct store_group after = group_of("gate");
        for (int i = 0; i < 3; i++) {
            assert_false(runner_update(&r[i], &a[i]));
            assert_int_equal(a[i].body.size_bytes, a[0].body.size_bytes);
            assert_memory_equal(a[i].body.data, a[0].body.data, a[0].body.size_bytes);
            runner_expect_same(&r[i], &r[0]);
        }
        struct store_group served = group_of("gate");
        assert_int_equal(after.versions, before.versions + 1);
        assert_int_equal(after.encoded, before.encoded + 2); /* the step and its snapshot */
        assert_int_equal(served.encoded, after.encoded);
        assert_int_equal(served.served, after.served + 3);
        assert_int_equal(served.served_bytes, after.served_bytes + 3 * a[0].body.size_bytes);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(camera_of(cameras[i]).version, r[0].version);
        runner_close(&r[i]);
        answer_clear(&a[i]);
    }
}

/* ---- a camera's own differences ---- */

/* A delta of the camera's own, from `version` on. */
static void write_own(const struct runner *r, uint64_t version, float difference, const char *path)
{
    struct delta_personal p;
    struct buf bytes;
    float *own = malloc(params_bytes());
    buf_init(&bytes);
    memcpy(own, r->params, params_bytes());
    for (size_t i = 0; i < r->model.trainable_count; i += 3)
        own[i] += difference;
    assert_int_equal(delta_personal_take(&r->model, version, r->params, own, 12, &p, NULL), ST_OK);
    assert_int_equal(delta_personal_write(&r->model, &p, &bytes, NULL), ST_OK);
    assert_int_equal(file_write(path, bytes.data, bytes.size_bytes, NULL), ST_OK);
    delta_personal_clear(&p);
    buf_clear(&bytes);
    free(own);
}

/* It becomes the one that the camera is to have; its number. */
static uint64_t give_own(const struct runner *r, uint64_t version, float difference)
{
    char path[PATH_MAX];
    uint64_t number;
    own_path(kit->server, camera_of(r->camera).group, r->camera, true, path);
    write_own(r, version, difference, path);
    assert_int_equal(own_promote(kit->server, camera_of(r->camera).group, r->camera, &number, NULL),
                     ST_OK);
    assert_true(board_set_own(kit->server->board, r->camera, number));
    bell_ring(&kit->server->bell);
    return number;
}

/* The answer to a camera that has `version` and this delta of its own; its Attune-Own, 0 without.
 */
static uint64_t ask_own(const char *camera, uint64_t version, uint64_t own, struct answer *a)
{
    char path[160];
    unsigned long long number = 0;
    snprintf(path, sizeof path, "/v1/cameras/%s/updates?have=%llu&own=%llu", camera,
             (unsigned long long)version, (unsigned long long)own);
    kit_ask(kit, "GET", path, NULL, 0, a);
    const char *at = a->status == 200 ? strstr(a->headers, "Attune-Own: ") : NULL;
    if (at)
        assert_int_equal(sscanf(at, "Attune-Own: %llu", &number), 1);
    return number;
}

/* What it was sent fits its version, and with it the camera has these weights. */
static void expect_own(const struct runner *r, const struct answer *a, float *ret)
{
    struct delta_personal p;
    struct error err;
    if (delta_personal_read(&r->model, a->body.data, a->body.size_bytes, r->version, &p, &err) !=
        ST_OK)
        fail_msg("%s", err.message);
    memcpy(ret, r->params, params_bytes());
    delta_personal_put(&p, r->params, ret);
    delta_personal_clear(&p);
}

/* One member has its own on top of the group's version: it is sent once, again to whoever asks
 * (also after versions have come), never to the other, and goes when it is to go. */
static void a_member_is_sent_its_own(void **state)
{
    (void)state;
    struct runner gate, yard;
    struct answer a = {0};
    struct buf sent;
    start();
    join("yard", "gate");
    train("gate", &seq[0]);
    runner_open(kit, &gate, "gate");
    runner_open(kit, &yard, "yard");
    runner_update(&gate, &a);
    runner_update(&yard, &a);
    float *first = malloc(params_bytes()), *later = malloc(params_bytes());
    assert_int_equal(ask_own("yard", yard.version, 0, &a), 0);
    assert_int_equal(a.status, 204);
    uint64_t number = give_own(&yard, yard.version, 0.01f);
    assert_int_equal(ask_own("yard", yard.version, 0, &a), number);
    assert_int_equal(a.status, 200);
    expect_own(&yard, &a, first);
    assert_memory_not_equal(first, yard.params, params_bytes());
    buf_init(&sent);
    buf_put(&sent, a.body.data, a.body.size_bytes);
    ask_own("yard", yard.version, number, &a); /* it has it */
    assert_int_equal(a.status, 204);
    ask_own("gate", gate.version, 0, &a); /* nobody else's */
    assert_int_equal(a.status, 204);
    assert_int_equal(ask_own("yard", yard.version, number + 1, &a), number); /* not that one */
    assert_memory_equal(a.body.data, sent.data, sent.size_bytes);
    ask_own("yard", yard.version, UINT64_MAX, &a);
    assert_int_equal(a.status, 400);
    /* The group's next version is the same step for both; who lost its own gets the same bytes. */
    train("gate", &seq[0]);
    assert_int_equal(ask_own("yard", yard.version, number, &a), number);
    assert_false(runner_update(&yard, &a));
    assert_false(runner_update(&gate, &a));
    runner_expect_same(&gate, &yard);
    assert_int_equal(ask_own("yard", yard.version, 0, &a), number);
    assert_int_equal(a.body.size_bytes, sent.size_bytes);
    assert_memory_equal(a.body.data, sent.data, sent.size_bytes);
    expect_own(&yard, &a, later);
    assert_memory_not_equal(first, later, params_bytes());
    /* A camera that is not there yet refuses it. */
    struct delta_personal p;
    struct error err;
    assert_int_equal(delta_personal_read(&yard.model, sent.data, sent.size_bytes, 0, &p, &err),
                     ST_CONFLICT);
    assert_non_null(strstr(err.message, "version 0 is here"));
    board_set_own(kit->server->board, "yard", 0);
    assert_int_equal(ask_own("yard", yard.version, number, &a), 0);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body.size_bytes, 0);
    buf_clear(&sent);
    free(first);
    free(later);
    runner_close(&gate);
    runner_close(&yard);
    answer_clear(&a);
}

/* The part of the control thread that looks after own deltas, by hand: gate and yard are one group
 * of a grouper that is told how well they do. */
struct hand {
    struct control control;
    struct grouping grouping;
    struct seat seat;
};

static void hand_open(struct hand *h, struct grouper *grouper)
{
    struct trainee *t = &h->seat.trainee;
    memset(h, 0, sizeof *h);
    snprintf(t->id, sizeof t->id, "gate");
    t->number = 1;
    t->count = 2;
    h->control =
        (struct control){.server = kit->server, .seats = &h->seat, .count = 1, .seats_max = 1};
    h->grouping.control = &h->control;
    h->grouping.grouper = grouper;
    h->grouping.cameras = calloc((size_t)kit->server->set.cameras_max, sizeof *h->grouping.cameras);
    h->grouping.now.own_use = h->grouping.now.own_trial = -1;
}

static struct grouper *two_in_a_group(void)
{
    static const char *const ids[] = {"gate", "yard"};
    struct group_settings s;
    struct grouper *g;
    group_settings_init(&s);
    s.personal_max = 1;
    assert_int_equal(grouper_open(&s, &g, NULL), ST_OK);
    for (int i = 0, camera; i < 2; i++) {
        struct group_conditions c;
        struct group_request r;
        struct group_decision d;
        group_conditions_init(&c);
        c.time_us = 1000000;
        c.looks_known = true;
        assert_int_equal(grouper_camera(g, ids[i], &camera, NULL), ST_OK);
        assert_int_equal(grouper_request(g, camera, &c, c.time_us, NULL, &r, NULL), ST_OK);
        for (int t = 0; t < r.trial_count; t++)
            r.trials[t].score = (struct group_score){.accuracy = 0.6, .frames = 40};
        assert_int_equal(grouper_decide(g, &r, &d, NULL), ST_OK);
        assert_int_equal(d.group, 1);
    }
    return g;
}

/* A review in which yard has 0.655, and `own` with a delta of its own; NaN: no score. */
static void review(struct hand *h, double own)
{
    struct grouping *g = &h->grouping;
    struct group_actions actions;
    assert_int_equal(grouper_review(g->grouper, 2000000, &g->now.review, NULL), ST_OK);
    for (int i = 0; i < g->now.review.trial_count; i++) {
        struct group_review_trial *t = &g->now.review.trials[i];
        t->score = (struct group_score){.accuracy = t->kind == GROUP_REVIEW_PERSONAL ? own
                                                    : t->camera == 0                 ? 0.7
                                                                                     : 0.655,
                                        .frames = 40};
    }
    assert_int_equal(grouper_conclude(g->grouper, &g->now.review, &actions, NULL), ST_OK);
    grouping_own_reviewed(g, &actions);
    group_actions_clear(&actions);
    group_review_clear(&g->now.review);
}

static bool own_is_there(bool trial)
{
    char path[PATH_MAX];
    own_path(kit->server, "gate", "yard", trial, path);
    return access(path, F_OK) == 0;
}

/* What a worker does, as far as files go. */
static void train_by_hand(struct hand *h, const struct runner *r, float difference)
{
    struct executor_report report = {.result = {.compute_us = 2000000}};
    struct trial *t = &h->grouping.trial;
    char path[PATH_MAX];
    assert_true(grouping_own_next(&h->grouping));
    assert_true(h->grouping.now.kind == ASKING_OWN && h->grouping.now.camera == 1);
    assert_true(t->chunk_count > 0 && t->model_count == 1);
    assert_non_null(strstr(t->models[0].path, "gate/v"));
    own_path(kit->server, "gate", "yard", true, path);
    assert_string_equal(t->own.path, path);
    write_own(r, r->version, difference, t->own.path);
    t->own.trained = true;
    t->own.bytes = 1048576;
    grouping_own_trained(&h->grouping, &report);
    h->grouping.now = (struct question){.own_use = -1, .own_trial = -1};
    assert_false(grouping_own_next(&h->grouping)); /* once */
}

static void own_deltas_are_looked_after(void **state)
{
    (void)state;
    static struct hand h, later;
    struct runner yard;
    struct answer a = {0};
    start();
    join("yard", "gate");
    train("yard", &seq[1]);
    runner_open(kit, &yard, "yard");
    runner_update(&yard, &a);
    struct grouper *grouper = two_in_a_group();
    hand_open(&h, grouper);
    for (int i = 0; i < 8 && !h.grouping.cameras[1].own.wanted; i++)
        review(&h, NAN);
    assert_true(grouper_personal_tried(grouper, 1));
    train_by_hand(&h, &yard, 0.01f);
    assert_true(own_is_there(true) && h.grouping.cameras[1].own.compute_s == 2);
    grouping_own_tend(&h.grouping, 1);
    assert_true(own_is_there(true));
    review(&h, 0.72);
    assert_int_equal(board_own(kit->server->board, "yard"), 0); /* not yet */
    review(&h, 0.72);
    assert_true(grouper_personal(grouper, 1) && own_is_there(false) && !own_is_there(true));
    uint64_t number = board_own(kit->server->board, "yard");
    assert_true(number > 0);
    assert_int_equal(ask_own("yard", yard.version, 0, &a), number);
    /* It fades, and another is made; the review tries both, and the better one is used. */
    review(&h, 0.67);
    review(&h, 0.67);
    train_by_hand(&h, &yard, 0.02f);
    struct trial *t = &h.grouping.trial;
    struct group_review_trial of_review = {.kind = GROUP_REVIEW_PERSONAL};
    h.grouping.now.camera = 1;
    h.grouping.now.review = (struct group_review){.trial_count = 1, .trials = &of_review};
    t->model_count = 0;
    assert_false(grouping_own_frames(&h.grouping, 1)); /* none came since */
    grouping_own_models(&h.grouping, 0);
    assert_int_equal(t->model_count, 2);
    assert_non_null(strstr(t->models[0].own, "own-yard.delta"));
    assert_non_null(strstr(t->models[1].own, "own-yard.trial"));
    t->models[0].frames = t->models[1].frames = 4;
    t->models[0].mean = 0.60;
    t->models[1].mean = 0.66;
    assert_true(grouping_own_counts(&h.grouping, 0) && grouping_own_counts(&h.grouping, 1));
    assert_int_not_equal(board_own(kit->server->board, "yard"), number);
    number = board_own(kit->server->board, "yard");
    assert_int_equal(ask_own("yard", yard.version, 0, &a), number);
    h.grouping.now = (struct question){.own_use = -1, .own_trial = -1};
    /* A restart finds it again, and when the camera is to have none it is taken back. */
    board_set_own(kit->server->board, "yard", 0);
    hand_open(&later, grouper);
    grouping_own_tend(&later.grouping, 1);
    assert_int_equal(board_own(kit->server->board, "yard"), number);
    uint64_t emptied;
    grouper_remove(grouper, 1, &emptied);
    int camera;
    assert_int_equal(grouper_camera(grouper, "yard", &camera, NULL), ST_OK);
    assert_int_equal(camera, 1);
    grouping_own_tend(&later.grouping, 1);
    assert_int_equal(board_own(kit->server->board, "yard"), 0);
    assert_false(own_is_there(false));
    assert_int_equal(ask_own("yard", yard.version, number, &a), 0);
    assert_int_equal(a.body.size_bytes, 0);
    free(h.grouping.cameras);
    free(later.grouping.cameras);
    grouper_close(&grouper);
    runner_close(&yard);
    answer_clear(&a);
}

static void whoever_joins_gets_a_snapshot_above_its_version(void **state)
{
    (void)state;
    struct runner gate, yard;
    struct answer a = {0};
    start();
    for (int i = 0; i < 3; i++)
        train("yard", &seq[1]); /* further than the group that it is to join */
    train("gate", &seq[0]);
    runner_open(kit, &gate, "gate");
    runner_open(kit, &yard, "yard");
    runner_update(&gate, &a);
    runner_update(&yard, &a);
    uint64_t yard_had = yard.version;
    assert_true(yard_had >= 3 && gate.version < yard_had);
    float *learned = malloc(params_bytes()), *known = malloc(params_bytes());
    memcpy(learned, yard.params, params_bytes());
    memcpy(known, gate.params, params_bytes());
    join("yard", "gate");
    assert_int_equal(group_of("yard").members, 0);
    /* Its first version there has the group's weights, under a number above its own. */
    char group[CAMERA_ID_CHARS_MAX + 1];
    uint64_t from;
    assert_int_equal(
        store_group_of(kit->server->store, "yard", camera_of("yard").version, group, &from, NULL),
        ST_OK);
    assert_true(strcmp(group, "gate") == 0 && from > yard_had);
    float *joined = malloc(params_bytes());
    assert_int_equal(server_version_params(kit->server, "yard", from, joined, NULL), ST_OK);
    assert_memory_equal(joined, known, params_bytes());
    free(joined);
    assert_true(runner_update(&yard, &a));
    expect_to_meet(&gate, &yard, &a);
    /* A late joiner, from nothing. */
    struct runner dock;
    runner_open(kit, &dock, "dock");
    join("dock", "gate");
    assert_true(runner_update(&dock, &a));
    expect_to_meet(&gate, &dock, &a);
    /* What a camera ran before is known by its number. */
    assert_int_equal(server_version_params(kit->server, "yard", yard_had, known, NULL), ST_OK);
    assert_memory_equal(known, learned, params_bytes());
    assert_int_equal(server_version_params(kit->server, "yard", yard.version, known, NULL), ST_OK);
    assert_memory_equal(known, yard.params, params_bytes());
    train("yard", &seq[1]);
    expect_to_meet(&gate, &yard, &a);
    expect_to_meet(&gate, &dock, &a);
    runner_close(&gate);
    runner_close(&yard);
    runner_close(&dock);
    answer_clear(&a);
    free(learned);
    free(known);
}

static void whoever_leaves_keeps_what_it_has(void **state)
{
    (void)state;
    struct runner gate, yard;
    struct answer a = {0};
    char path[128];
    start();
    runner_open(kit, &gate, "gate");
    runner_open(kit, &yard, "yard");
    join("yard", "gate");
    train("gate", &seq[0]);
    runner_update(&gate, &a);
    runner_update(&yard, &a);
    join("yard", "");
    assert_string_equal(camera_of("yard").group, "yard.2");
    snprintf(path, sizeof path, "/v1/cameras/yard/updates?have=%d", (int)yard.version);
    kit_ask(kit, "GET", path, NULL, 0, &a);
    assert_int_equal(a.status, 204); /* nothing to send */
    train("yard", &seq[1]);
    json_int_t of_gate = kit_version(kit, "gate");
    assert_int_equal(of_gate, gate.version);
    assert_false(runner_update(&yard, &a));
    train("gate", &seq[0]);
    runner_update(&gate, &a);
    assert_memory_not_equal(gate.params, yard.params, params_bytes());
    /* And back: its number goes on growing. */
    uint64_t had = yard.version;
    join("yard", "gate");
    assert_true(runner_update(&yard, &a) && yard.version > had);
    expect_to_meet(&gate, &yard, &a);
    runner_close(&gate);
    runner_close(&yard);
    answer_clear(&a);
}

static void a_restart_finds_the_groups_again(void **state)
{
    (void)state;
    struct runner gate, yard;
    struct answer a = {0};
    start();
    train("yard", &seq[1]);
    train("yard", &seq[1]);
    join("yard", "gate");
    kit_stop(kit); /* before anybody was told, and with a learner that is behind its number */
    kit_start(kit);
    runner_open(kit, &gate, "gate");
    runner_open(kit, &yard, "yard");
    assert_string_equal(camera_of("yard").group, "gate");
    expect_to_meet(&gate, &yard, &a);
    train("gate", &seq[0]);
    kit_stop(kit);
    kit_start(kit);
    train("yard", &seq[1]);
    expect_to_meet(&gate, &yard, &a);
    assert_int_equal(group_of("gate").members, 2);
    runner_close(&gate);
    runner_close(&yard);
    answer_clear(&a);
}

/* The job that they are at ends early; what it made counts. */
static void a_move_in_mid_training_waits_for_it(void **state)
{
    (void)state;
    static const char *const policies[] = {"round-robin", "attune"};
    kit->options.settings.steps = 100000;
    for (int i = 0; i < 2; i++) {
        char gate[16], yard[16];
        snprintf(gate, sizeof gate, "gate%d", i);
        snprintf(yard, sizeof yard, "yard%d", i);
        snprintf(kit->options.settings.policy, SETTING_TEXT_BYTES, "%s", policies[i]);
        seq[0] = seq[1] = 0;
        kit_start(kit);
        kit_hello(kit, gate);
        kit_hello(kit, yard);
        kit_upload(kit, gate, &seq[0]);
        kit_await_training(kit, gate);
        join(yard, gate);
        assert_string_equal(camera_of(yard).group, gate);
        assert_int_equal(camera_of(yard).version, camera_of(gate).version);
        assert_int_equal(kit_event_of(kit, gate, "phase_failed", 0, NULL), 0);
        kit_stop(kit);
    }
}

static json_int_t number_of(const json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    assert_non_null(t);
    return t;
}

static void the_interface_tells_who_is_together(void **state)
{
    (void)state;
    start();
    join("yard", "gate");
    train("gate", &seq[0]);
    json_t *all = kit_json(kit, "/v1/groups", 200), *compute = kit_json(kit, "/v1/compute", 200);
    const json_t *groups = json_object_get(all, "groups"), *g = json_array_get(groups, 1);
    assert_int_equal(json_array_size(groups), 2); /* dock's, and this */
    assert_string_equal(text_of(g, "id"), "gate");
    assert_int_equal(json_array_size(json_object_get(g, "cameras")), 2);
    assert_int_equal(number_of(g, "version"), 1);
    assert_int_equal(number_of(g, "encoded"), 2);
    assert_true(number_of(g, "encoded_bytes") > 0);
    const json_t *m = json_object_get(all, "memberships"), *last;
    last = json_array_get(m, json_array_size(m) - 1);
    assert_string_equal(text_of(last, "camera"), "yard");
    assert_string_equal(text_of(last, "group"), "gate");
    assert_string_equal(text_of(last, "reason"), "a test says so");
    assert_int_equal(number_of(last, "until_us"), 0);
    const json_t *w = json_array_get(json_object_get(compute, "workers"), 0);
    assert_int_equal(json_array_size(json_object_get(w, "groups")), 1);
    assert_int_equal(json_array_size(json_object_get(w, "cameras")), 2);
    json_t *c = kit_json(kit, "/v1/cameras/yard", 200),
           *v = kit_json(kit, "/v1/cameras/yard/versions", 200);
    assert_string_equal(text_of(c, "group"), "gate");
    assert_int_equal(json_array_size(json_object_get(v, "versions")), 1);
    json_decref(all);
    json_decref(compute);
    json_decref(c);
    json_decref(v);
}

/* A worker that dies costs a group what it costs a camera: one training. */
static void a_group_outlives_its_worker(void **state)
{
    (void)state;
    start();
    join("yard", "gate");
    train("gate", &seq[0]);
    int pid = control_worker_pid(kit->server->control, "yard");
    assert_true(pid > 0 && pid == control_worker_pid(kit->server->control, "gate"));
    kill(pid, SIGKILL);
    json_int_t before = kit_version(kit, "gate");
    kit_upload(kit, "yard", &seq[1]);
    kit_await_version(kit, "gate", before + 1);
    assert_int_equal(kit_version(kit, "yard"), kit_version(kit, "gate"));
    assert_int_not_equal(control_worker_pid(kit->server->control, "yard"), pid);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct error err;
    char *reason;
    start();
    assert_int_equal(control_move(kit->server->control, "gate", "nowhere", "why not", &err), ST_OK);
    kit_await_event(kit, "gate", "group_refused", 0, &reason);
    assert_non_null(strstr(reason, "stays"));
    free(reason);
    assert_string_equal(camera_of("gate").group, "gate");
}

/* ---- a member that keeps its frames ---- */

/* The newest version that it is to have, and there is one. */
static bool runs_its_version(const char *id)
{
    struct store_camera c;
    return store_camera_get(kit->server->store, id, &c, NULL) == ST_OK && c.version > 0 &&
           c.camera_version == c.version;
}

static bool has_joined(const char *id)
{
    struct store_camera c;
    return store_camera_get(kit->server->store, id, &c, NULL) == ST_OK;
}

/* A real camera whose frames are never uploaded runs what the others of its group teach; the server
 * has no frame of it, and the others learn as if it were not there. */
static void one_that_never_uploads_learns_from_the_others(void **state)
{
    (void)state;
    static const char yaml[] =
        "cameras:\n  quiet: {source: \"town:width=64,height=64,fps=20\", upload: false}\n";
    kit_streams(kit);
    kit_cameras(kit, yaml);
    start();
    kit_await_so(has_joined, "quiet");
    join("quiet", "gate");
    join("yard", "gate");
    for (int round = 0; round < 2; round++) {
        train(round ? "yard" : "gate", &seq[round]);
        kit_await_so(runs_its_version, "quiet");
    }
    struct store_group g = group_of("gate");
    assert_int_equal(g.members, 3);
    assert_true(g.versions >= 2);
    struct store_camera quiet = camera_of("quiet");
    assert_true(quiet.chunks == 0 && quiet.up_bytes == 0 && quiet.frame_t_us == 0);
    assert_true(camera_of("gate").frame_t_us > 0 && camera_of("yard").frame_t_us > 0);
    struct answer a = {0};
    kit_ask(kit, "GET", "/v1/cameras/quiet/frame", NULL, 0, &a);
    assert_int_equal(a.status, 404);
    answer_clear(&a);
}

/* ---- who is grouped is found out by trying models ---- */

static void start_grouping(void)
{
    struct settings *s = &kit->options.settings;
    snprintf(s->grouping, sizeof s->grouping, "attune");
    s->zoo_models = 64;
    s->group_window_s = 2;
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_hello(kit, "yard");
}

/* Both film the same. */
static void await_together(void)
{
    while (strcmp(camera_of("gate").group, camera_of("yard").group) != 0)
        kit_pause();
}

/* Decisions are shown a moment after they took effect. */
static void await_decisions(size_t count)
{
    for (size_t shown = 0, tries = 0; shown != count; tries++, kit_pause()) {
        json_t *all = kit_json(kit, "/v1/groups", 200);
        shown = json_array_size(json_object_get(json_object_get(all, "decided"), "decisions"));
        json_decref(all);
        assert_true(tries < 3000);
    }
}

static void expect_decided(void)
{
    await_decisions(2);
    json_t *all = kit_json(kit, "/v1/groups", 200), *d;
    const json_t *decided = json_object_get(all, "decided");
    size_t i;
    assert_string_equal(text_of(decided, "policy"), "attune");
    json_array_foreach(json_object_get(decided, "decisions"), i, d)
    {
        assert_true(number_of(d, "number") > 0);
        assert_true(strlen(text_of(d, "text")) > 0 && strlen(text_of(d, "why")) > 0);
    }
    json_decref(all);
}

static void who_films_the_same_learns_together(void **state)
{
    (void)state;
    char *reason;
    start_grouping();
    kit_upload(kit, "gate", &seq[0]);
    kit_upload(kit, "yard", &seq[1]);
    await_together();
    kit_await_event(kit, "gate", "grouped", 0, NULL);
    if (!kit_event_of(kit, "yard", "group_joined", 0, &reason))
        kit_await_event(kit, "gate", "group_joined", 0, &reason);
    assert_true(strlen(reason) > 0);
    free(reason);
    expect_decided();
    struct runner gate, yard;
    struct answer a = {0};
    runner_open(kit, &gate, "gate");
    runner_open(kit, &yard, "yard");
    json_int_t before = kit_version(kit, "gate");
    kit_upload(kit, "yard", &seq[1]);
    kit_await_version(kit, "gate", before + 1);
    expect_to_meet(&gate, &yard, &a);
    runner_close(&gate);
    runner_close(&yard);
    answer_clear(&a);
    /* After a restart they still are, without being asked. */
    uint64_t since = store_event_last(kit->server->store);
    kit_stop(kit);
    kit_start(kit);
    kit_await(kit, "server_started", since);
    expect_decided();
    kit_upload(kit, "gate", &seq[0]);
    kit_await_event(kit, "gate", "labelled", since, NULL);
    assert_string_equal(camera_of("gate").group, camera_of("yard").group);
    assert_int_equal(kit_event_of(kit, "gate", "grouped", since, NULL), 0);
}

static int pid_of_worker(void)
{
    json_t *compute = kit_json(kit, "/v1/compute", 200);
    const json_t *w = json_array_get(json_object_get(compute, "workers"), 0);
    int pid = (int)number_of(w, "pid");
    json_decref(compute);
    return pid;
}

/* Nothing is trained here: what is killed is at a trial. */
static void a_worker_killed_in_a_trial_loses_nothing(void **state)
{
    (void)state;
    kit->options.settings.frames_min = 1000;
    start_grouping();
    kit_upload(kit, "gate", &seq[0]);
    kit_upload(kit, "yard", &seq[1]);
    for (int killed = 0, last = 0; killed < 2; kit_pause()) {
        int pid = pid_of_worker();
        if (pid == 0 || pid == last)
            continue;
        kill(pid, SIGKILL);
        last = pid;
        killed++;
    }
    await_together();
    expect_decided();
    assert_int_equal(kit_version(kit, "gate"), 0);
}

struct found_request {
    uint64_t id;
    bool open;
};

static void note_open(const struct store_request *r, void *context)
{
    struct found_request *f = context;
    f->open |= r->id == f->id;
}

static void await_closed(uint64_t id)
{
    for (struct found_request f = {id, true}; f.open; kit_pause()) {
        f.open = false;
        assert_int_equal(store_requests_open(kit->server->store, note_open, &f, NULL), ST_OK);
    }
}

/* A request of a camera is answered, and stays answered; it was raised before a restart. */
static void a_request_survives_a_restart(void **state)
{
    (void)state;
    struct drift_request r = {.camera = "gate",
                              .kind = DRIFT_SCENE,
                              .since_us = 1,
                              .score = 2,
                              .latitude_deg = NAN,
                              .longitude_deg = NAN,
                              .seq = 1,
                              .text = "it has changed"};
    uint64_t id, since;
    bool is_new;
    start_grouping();
    kit_upload(kit, "gate", &seq[0]);
    kit_upload(kit, "yard", &seq[1]);
    await_together();
    r.t_us = clock_wall_us();
    assert_int_equal(store_request_raise(kit->server->store, &r, &id, &is_new, NULL), ST_OK);
    since = store_event_last(kit->server->store);
    kit_stop(kit);
    kit_start(kit);
    kit_upload(kit, "gate", &seq[0]); /* its first frames since */
    kit_await_event(kit, "gate", "grouped", since, NULL);
    await_closed(id);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(own_deltas_are_looked_after),
        TEST(a_member_is_sent_its_own),
        TEST(one_encoding_serves_all_members),
        TEST(whoever_joins_gets_a_snapshot_above_its_version),
        TEST(whoever_leaves_keeps_what_it_has),
        TEST(a_restart_finds_the_groups_again),
        TEST(a_move_in_mid_training_waits_for_it),
        TEST(the_interface_tells_who_is_together),
        TEST(a_group_outlives_its_worker),
        TEST(what_cannot_be_is_refused),
        TEST(one_that_never_uploads_learns_from_the_others),
        TEST(who_films_the_same_learns_together),
        TEST(a_worker_killed_in_a_trial_loses_nothing),
        TEST(a_request_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
