/* Micro-windows in a running server: every policy of a fleet that shares trains real cameras,
 * groups have their parts, requests are answered where nobody groups, and the interface says what
 * divides. */
#include <math.h>
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
#include "server/board.h"
#include "server/control.h"

static struct kit *kit;
static uint64_t seq[3]; /* of gate, yard and dock */

static int setup(void **state)
{
    (void)state;
    struct settings *s;
    kit = kit_open();
    kit_trains(kit, "auto", 2, 20);
    s = &kit->options.settings;
    snprintf(s->grouping, sizeof s->grouping, "auto");
    snprintf(s->preset, sizeof s->preset, "attune"); /* with a gate: gains are measured */
    s->window_s = 2;
    s->micro_windows = 4;
    s->group_window_s = 2;
    s->zoo_models = 8;
    memset(seq, 0, sizeof seq);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static void start(const char *sharing)
{
    snprintf(kit->options.settings.sharing, SETTING_TEXT_BYTES, "%s", sharing);
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_hello(kit, "yard");
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    assert_non_null(t);
    return t;
}

static double number_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static struct store_camera camera_of(const char *id)
{
    struct store_camera c;
    assert_int_equal(store_camera_get(kit->server->store, id, &c, NULL), ST_OK);
    return c;
}

/* Uploads of both until each has been trained, better or not. */
static void train_both(void)
{
    while (camera_of("gate").trained_seq == 0 || camera_of("yard").trained_seq == 0) {
        kit_upload(kit, "gate", &seq[0]);
        kit_upload(kit, "yard", &seq[1]);
        clock_sleep_until_us(clock_mono_us() + 300000);
    }
}

/* What divides the compute: of every group a part, which together are the whole. */
static void expect_shares(const char *sharing, const char *division)
{
    json_t *plan = kit_json(kit, "/v1/schedule", 200), *all = kit_json(kit, "/v1/groups", 200), *g;
    double sum = 0;
    size_t i;
    assert_string_equal(text_of(plan, "division"), division);
    json_array_foreach(json_object_get(plan, "groups"), i, g)
    {
        assert_true(strlen(text_of(g, "reason")) > 0 && strlen(text_of(g, "why")) > 0);
        assert_true(number_of(g, "share") > 0);
        sum += number_of(g, "share");
    }
    if (fabs(sum - 1) > 1e-4)
        fail_msg("the shares sum up to %g: %s", sum, json_dumps(plan, 0));
    assert_string_equal(text_of(all, "sharing"), sharing);
    assert_string_equal(text_of(all, "division"), division);
    assert_true(json_array_size(json_object_get(all, "groups")) > 0);
    json_array_foreach(json_object_get(all, "groups"), i, g)
    {
        assert_true(number_of(g, "share") > 0);
        assert_non_null(json_object_get(g, "gain"));
    }
    json_decref(plan);
    json_decref(all);
}

static void runs_under(const char *sharing, const char *division, const char *grouping)
{
    char *reason;
    start(sharing);
    train_both();
    expect_shares(sharing, division);
    json_t *all = kit_json(kit, "/v1/groups", 200);
    assert_string_equal(text_of(all, "grouping"), grouping);
    json_decref(all);
    if (kit_event_of(kit, "gate", "phase_failed", 0, &reason) ||
        kit_event_of(kit, "yard", "phase_failed", 0, &reason))
        fail_msg("%s", reason);
}

static void independent_runs(void **state)
{
    (void)state;
    runs_under("independent", "micro-windows", "none");
    json_t *all = kit_json(kit, "/v1/groups", 200);
    assert_true(json_is_null(json_object_get(all, "decided"))); /* nobody groups, no zoo */
    json_decref(all);
    /* One rate for all: shares are not told, weights are equal. */
    struct board_group g;
    board_get_group(kit->server->board, "gate", &g);
    assert_true(g.share == 0 && g.weight == 1);
}

static void ekya_runs(void **state)
{
    (void)state;
    runs_under("ekya", "plans", "none");
    json_t *plan = kit_json(kit, "/v1/schedule", 200);
    assert_string_equal(text_of(plan, "policy"), "thief");
    json_decref(plan);
}

/* Every camera alone, but past models are tried: somebody decides. */
static void recl_runs(void **state)
{
    (void)state;
    runs_under("recl", "micro-windows", "none");
    kit_await_event(kit, "gate", "grouped", 0, NULL);
    assert_string_not_equal(camera_of("gate").group, camera_of("yard").group);
}

static void ecco_runs(void **state)
{
    (void)state;
    runs_under("ecco", "micro-windows", "ecco");
}

static void expect_told(const char *camera, int members, double capacity)
{
    struct board_group g;
    board_get_group(kit->server->board, camera, &g);
    assert_int_equal(g.members, members);
    assert_true(g.share > 0 && g.share <= capacity + 1e-9);
    assert_true(g.weight > 0);
}

/* Both film the same: they learn together, with micro-windows, and cameras hear of their share. */
static void attune_runs(void **state)
{
    (void)state;
    runs_under("attune", "micro-windows", "attune");
    while (strcmp(camera_of("gate").group, camera_of("yard").group) != 0)
        kit_pause();
    uint64_t before = camera_of("gate").trained_seq;
    kit_upload(kit, "gate", &seq[0]);
    while (camera_of("gate").trained_seq == before)
        kit_pause();
    struct board_group g = {.members = 0};
    while (g.members != 2) {
        board_get_group(kit->server->board, "yard", &g);
        kit_pause();
    }
    double capacity = limiter_capacity(kit->server->limiter);
    expect_told("gate", 2, capacity);
    expect_told("yard", 2, capacity);
}

/* Nothing new, nothing better: nobody is trained on and on. */
static void nobody_trains_for_nothing(void **state)
{
    (void)state;
    kit->options.settings.zoo_models = 0;
    snprintf(kit->options.settings.preset, SETTING_TEXT_BYTES, "full"); /* no gate, no gain */
    start("independent");
    kit_upload(kit, "gate", &seq[0]);
    kit_await_version(kit, "gate", 1);
    clock_sleep_until_us(clock_mono_us() + 1500000); /* three micro-windows */
    assert_int_equal(kit_version(kit, "gate"), 1);
    kit_upload(kit, "gate", &seq[0]);
    kit_await_version(kit, "gate", 2);
}

static void upload_all(const char *const *cameras, int count)
{
    for (int i = 0; i < count; i++)
        kit_upload(kit, cameras[i], &seq[i]);
    clock_sleep_until_us(clock_mono_us() + 200000);
}

static int times_trained(const char *camera)
{
    struct store_group g;
    assert_int_equal(store_group_get(kit->server->store, camera_of(camera).group, &g, NULL), ST_OK);
    return (int)(g.versions + g.rejected);
}

/* Greedy for gains as RECL's rule is, with more cameras than workers: each gets its turn. */
static void nobody_starves(void **state)
{
    (void)state;
    static const char *const cameras[] = {"gate", "yard", "dock"};
    kit->options.settings.workers = 1;
    kit->options.settings.zoo_models = 0;
    start("recl");
    kit_hello(kit, "dock");
    for (int least = 0; least < 3;) {
        upload_all(cameras, 3);
        least = 3;
        for (int i = 0; i < 3; i++)
            least = times_trained(cameras[i]) < least ? times_trained(cameras[i]) : least;
    }
    expect_shares("recl", "micro-windows");
}

/* A training of any length ends with its micro-window. */
static void a_micro_window_has_an_end(void **state)
{
    (void)state;
    kit->options.settings.steps = 0;
    snprintf(kit->options.settings.preset, SETTING_TEXT_BYTES, "full");
    start("independent");
    kit_upload(kit, "gate", &seq[0]);
    kit_upload(kit, "yard", &seq[1]);
    kit_await_version(kit, "gate", 1);
    kit_await_version(kit, "yard", 1);
    assert_int_equal(kit_event_of(kit, "gate", "phase_failed", 0, NULL), 0);
}

static json_t *request_of(const char *camera)
{
    json_t *drift = kit_json(kit, "/v1/drift", 200), *c;
    json_t *found = NULL;
    size_t i;
    json_array_foreach(json_object_get(drift, "cameras"), i, c)
    {
        if (strcmp(text_of(c, "camera"), camera) == 0)
            found = json_incref(json_array_get(json_object_get(c, "requests"), 0));
    }
    json_decref(drift);
    return found;
}

/* Where nobody groups, a training on frames of the new world is the answer. */
static void a_request_is_answered_by_a_training(void **state)
{
    (void)state;
    static const char *const policies[] = {"auto", "round-robin", "attune"};
    for (int i = 0; i < 3; i++) {
        struct drift_request r = {.camera = "gate",
                                  .kind = DRIFT_SCENE,
                                  .score = 2,
                                  .latitude_deg = NAN,
                                  .longitude_deg = NAN,
                                  .text = "it has changed"};
        uint64_t id;
        bool is_new;
        snprintf(kit->options.settings.policy, SETTING_TEXT_BYTES, "%s", policies[i]);
        start("independent");
        kit_upload(kit, "gate", &seq[0]);
        while (camera_of("gate").trained_seq < seq[0])
            kit_pause();
        r.t_us = clock_wall_us();
        r.since_us = (uint64_t)i + 1; /* another alarm each time */
        r.seq = seq[0];
        assert_int_equal(store_request_raise(kit->server->store, &r, &id, &is_new, NULL), ST_OK);
        assert_true(is_new);
        clock_sleep_until_us(clock_mono_us() + 300000);
        json_t *found = request_of("gate");
        assert_true(json_is_true(json_object_get(found, "open"))); /* no frames of it yet */
        json_decref(found);
        kit_upload(kit, "gate", &seq[0]);
        for (bool open = true; open; kit_pause()) {
            found = request_of("gate");
            assert_int_equal(number_of(found, "id"), (int)id);
            open = json_is_true(json_object_get(found, "open"));
            if (!open)
                assert_non_null(strstr(text_of(found, "outcome"), "alone"));
            json_decref(found);
        }
        kit_stop(kit);
    }
}

/* What the program prints of this server; it must succeed. */
static void expect_printed(const char *words, const char *want)
{
    char line[512], text[16384] = "";
    size_t used = 0, n;
    const char *program = getenv("ATTUNE_PROGRAM");
    assert_non_null(program);
    snprintf(line, sizeof line, "%s %s --server http://127.0.0.1:%d", program, words,
             server_http_port(kit->server));
    FILE *out = popen(line, "r");
    assert_non_null(out);
    while ((n = fread(text + used, 1, sizeof text - 1 - used, out)) > 0)
        used += n;
    text[used] = '\0';
    if (pclose(out) != 0 || !strstr(text, want))
        fail_msg("%s: no '%s' in: %s", words, want, text);
}

static void people_see_what_divides(void **state)
{
    (void)state;
    runs_under("ecco", "micro-windows", "ecco");
    expect_printed("explain schedule", "policy ecco; micro-windows of 0.5 s");
    expect_printed("explain group", "sharing ecco (micro-windows), grouping ecco");
    expect_printed("explain group", "% of the training");
    expect_printed("status", "sharing ecco (micro-windows), grouping ecco; workers running");
    expect_printed("status", "2 cameras in ");
    expect_printed("status --json", "\"health\"");
}

static void a_restart_goes_on(void **state)
{
    (void)state;
    runs_under("attune", "micro-windows", "attune");
    kit_stop(kit);
    kit_start(kit);
    uint64_t before = camera_of("gate").trained_seq;
    kit_upload(kit, "gate", &seq[0]);
    while (camera_of("gate").trained_seq == before)
        kit_pause();
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct server *s;
    struct error err;
    struct settings *set = &kit->options.settings;
    snprintf(set->sharing, sizeof set->sharing, "eco");
    assert_int_equal(server_open(&kit->options, &s, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "sharing"));
    snprintf(set->sharing, sizeof set->sharing, "attune");
    snprintf(set->grouping, sizeof set->grouping, "some");
    assert_int_equal(server_open(&kit->options, &s, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "grouping"));
}

/* Who infers decides between plans and micro-windows; what is said outright goes first. */
static void settings_come_to_one_division(void **state)
{
    (void)state;
    struct camera_settings source = {.source = "town:"};
    struct camera_list none = {.count = 0}, streams = {.cameras = &source, .count = 1};
    struct settings *set = &kit->options.settings;
    struct dividing d;
    struct error err;
    static const struct {
        const char *sharing, *policy;
        enum dividing_by here, there; /* the server infers, or the cameras; 0: refused */
    } cases[] = {{"attune", "auto", DIVIDING_PLANS, DIVIDING_MICRO},
                 {"ekya", "auto", DIVIDING_PLANS, DIVIDING_PLANS},
                 {"recl", "auto", (enum dividing_by)0, DIVIDING_MICRO},
                 {"recl", "thief", DIVIDING_PLANS, DIVIDING_PLANS},
                 {"attune", "round-robin", DIVIDING_TURNS, DIVIDING_TURNS},
                 {"attune", "attune", DIVIDING_PLANS, DIVIDING_PLANS}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(set->sharing, sizeof set->sharing, "%s", cases[i].sharing);
        snprintf(set->policy, sizeof set->policy, "%s", cases[i].policy);
        assert_int_equal(dividing_read(set, &none, &d, &err), ST_OK);
        assert_int_equal(d.by, cases[i].there);
        enum status want = cases[i].here ? ST_OK : ST_INVALID;
        assert_int_equal(dividing_read(set, &streams, &d, &err), want);
        if (want == ST_OK)
            assert_int_equal(d.by, cases[i].here);
        else
            assert_non_null(strstr(err.message, "recl"));
    }
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(independent_runs),
        TEST(ekya_runs),
        TEST(recl_runs),
        TEST(ecco_runs),
        TEST(attune_runs),
        TEST(nobody_trains_for_nothing),
        TEST(nobody_starves),
        TEST(a_micro_window_has_an_end),
        TEST(a_request_is_answered_by_a_training),
        TEST(people_see_what_divides),
        TEST(a_restart_goes_on),
        TEST(what_cannot_be_is_refused),
        TEST(settings_come_to_one_division),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
