/* Fleets: the scenario file, policies by name, and a small run whose account must add up. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "eval/fleet_report.h"
#include "eval/fleet_response.h"
#include "two_networks.h"

static void scenario(const char *more, struct fleet_scenario *ret)
{
    char text[2048];
    struct error err;
    snprintf(text, sizeof text,
             "student: %s\nteacher: %s\nseconds: 40\nfps: 2\nwindow_s: 10\nlabel_fps: 0.5\n"
             "frames_min: 3\n"
             "configurations:\n"
             "  - {name: short, epochs: 2}\n  - {name: long, epochs: 6}\n"
             "  - {name: head, epochs: 4, layers: 1}\n%s"
             "cameras:\n"
             "  a: {source: \"town:scenario=clear,camera=0,width=80,height=64,fps=2\"}\n"
             "  b: {source: \"town:scenario=clear,camera=1,width=80,height=64,fps=2\"}\n",
             student_path, teacher_path, more);
    if (fleet_scenario_read(text, strlen(text), "f.yaml", ret, &err) != ST_OK)
        fail_msg("%s", err.message);
}

static void scenarios_are_read(void **state)
{
    (void)state;
    static struct fleet_scenario s;
    scenario("capacity: 2\n", &s);
    assert_int_equal(s.camera_count, 2);
    assert_string_equal(s.cameras[1].id, "b");
    assert_int_equal(s.configurations.count, 3);
    assert_true(s.capacity == 2 && s.window_s == 10 && s.infer_part == 0.6);
    static const struct {
        const char *text, *want;
    } bad[] = {{"", "mapping"},
               {"student: s\nteacher: t\n", "cameras"},
               {"student: s\ncameras: {a: {source: x}}\n", "student and teacher"},
               {"student: s\nteacher: t\ncameras: {A b: {source: x}}\n", "f.yaml:3"},
               {"student: s\nteacher: t\ncameras: {a: {}}\n", "needs a source"},
               {"student: s\nteacher: t\ncameras: {a: {sorce: x}}\n", "source"},
               {"student: s\nteacher: t\nfps: 0\ncameras: {a: {source: x}}\n", "f.yaml:3"},
               {"student: s\nteacher: t\ninfers: moon\ncameras: {a: {source: x}}\n", "infers"},
               {"student: s\nteacher: t\ncameras: {a: {source: x, x_m: 5}}\n", "y_m"},
               {"student: s\nteacher: t\ncameras: {a: {source: x, changes_s: [9, 3]}}\n", "9"},
               {"student: s\nteacher: t\nwindow: 5\ncameras: {a: {source: x}}\n", "window_s"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err;
        assert_int_equal(fleet_scenario_read(bad[i].text, strlen(bad[i].text), "f.yaml", &s, &err),
                         ST_FORMAT);
        if (!strstr(err.message, bad[i].want))
            fail_msg("'%s' lacks '%s'", err.message, bad[i].want);
    }
}

static void run(const struct fleet_scenario *s, const char *name, struct fleet_result *ret)
{
    struct contender policy;
    struct fleet_options o;
    struct error err;
    int count = 0;
    fleet_options_init(&o);
    o.scenario = s;
    assert_int_equal(contender_add(name, &policy, &count, &err), ST_OK);
    if (fleet_run(&o, &policy, NULL, NULL, ret, &err) != ST_OK)
        fail_msg("%s", err.message);
}

/* A student of random weights can only win by learning what its teacher says. */
static void the_account_adds_up(void **state)
{
    (void)state;
    static struct fleet_scenario s;
    static struct fleet_result runs[3];
    scenario("capacity: 1\ninfer_part: 0.02\n", &s);
    run(&s, "none", &runs[0]);
    run(&s, "attune", &runs[1]);
    run(&s, "attune", &runs[2]);
    assert_int_equal(runs[0].trainings + runs[0].deployed + runs[0].worse, 0);
    assert_true(runs[0].used_s[FLEET_TRAIN] == 0 && runs[0].used_s[FLEET_PROFILE] == 0);
    /* 40 s x 2 cameras x 0.5 labels a second, and 2 cameras x 80 frames. */
    double label_s = runs[0].used_s[FLEET_LABEL] / 40;
    double infer_s = 0.02 / (2 * 2);
    assert_true(label_s > infer_s);
    assert_true(runs[0].used_s[FLEET_INFER] >= 160 * infer_s - 1e-9);
    double used = 0;
    for (int k = 0; k < FLEET_USES; k++)
        used += runs[1].used_s[k];
    assert_true(used > 0 && used <= runs[1].capacity_s * 1.05);
    assert_true(runs[1].trainings > 0 && runs[1].deployed > 0 && runs[1].used_s[FLEET_TRAIN] > 0);
    assert_true(runs[1].stopped <= runs[1].worse + runs[1].unfinished);
    assert_int_equal(runs[1].windows, 4);
    /* The same seed, the same bits. */
    assert_true(runs[1].accuracy == runs[2].accuracy);
    assert_memory_equal(runs[1].series, runs[2].series, runs[1].points * sizeof(double));

    json_t *json = fleet_json(&s, runs, 2);
    assert_int_equal(json_array_size(json_object_get(json, "runs")), 2);
    json_decref(json);
    struct buf text;
    buf_init(&text);
    fleet_table(&s, runs, 2, &text);
    assert_true(text.size_bytes > 200);
    buf_clear(&text);
    for (int i = 0; i < 3; i++)
        fleet_result_clear(&runs[i]);
}

/* Every policy runs, and scarce compute means fewer inferences, never more than there is. */
static void every_policy_runs(void **state)
{
    (void)state;
    static const char *const names[] = {"uniform-c1-50",
                                        "uniform-c2-30",
                                        "round-robin",
                                        "thief-printed",
                                        "thief",
                                        "attune-fixed-split",
                                        "attune-fixed-configuration"};
    static struct fleet_scenario s;
    static struct fleet_result r;
    scenario("capacity: 1\ninfer_part: 0.6\n", &s);
    s.seconds = 20;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        run(&s, names[i], &r);
        assert_true(r.used_s[FLEET_INFER] <= r.capacity_s && isfinite(r.accuracy));
        fleet_result_clear(&r);
    }
    struct contender list[CONTENDERS_MAX];
    struct error err;
    int count = 0;
    assert_int_equal(contender_add("uniform", list, &count, &err), ST_OK);
    assert_int_equal(count, 4);
    assert_int_equal(contender_add("atune", list, &count, &err), ST_INVALID);
}

/* ---- fleets that share ---- */

/* Four cameras in two districts that lie far apart; each infers by itself and sends frames. */
static void sharing_scenario(struct fleet_scenario *ret)
{
    char text[4096], cameras[2048] = "";
    struct error err;
    for (int i = 0; i < 4; i++)
        snprintf(cameras + strlen(cameras), sizeof cameras - strlen(cameras),
                 "  c%d: {district: d%d, x_m: %d, y_m: %d, source: \"town:scenario=clear,"
                 "camera=%d,cameras=4,seed={seed},width=80,height=64,fps=2\"}\n",
                 i, i % 2, 9000 * (i % 2), 10 * i, i);
    snprintf(text, sizeof text,
             "student: %s\nteacher: %s\nseconds: 60\nfps: 2\nwindow_s: 10\nlabel_fps: 0.5\n"
             "label_part: 0.5\nframes_min: 3\ninfers: camera\ninfer_s: 0.02\nuplink_kbps: 400\n"
             "chunk_s: 2\ncameras:\n%s",
             student_path, teacher_path, cameras);
    if (fleet_scenario_read(text, strlen(text), "f.yaml", ret, &err) != ST_OK)
        fail_msg("%s", err.message);
}

static uint64_t group_at_end(const struct fleet_result *r, int camera)
{
    assert_true(r->membership_count > 0);
    return r->memberships[r->membership_count - 1].group[camera];
}

/* What is alike and near comes together, what is far never does. */
static void cameras_of_a_district_share(void **state)
{
    (void)state;
    static struct fleet_scenario s;
    static struct fleet_result alone, shared, again;
    sharing_scenario(&s);
    run(&s, "independent", &alone);
    run(&s, "attune", &shared);
    run(&s, "attune", &again);
    assert_true(alone.membership_count == 0 && alone.requests == 0 && alone.moves == 0);
    assert_true(shared.requests >= 4 && shared.moves >= 2);
    assert_true(group_at_end(&shared, 0) == group_at_end(&shared, 2));
    assert_true(group_at_end(&shared, 1) == group_at_end(&shared, 3));
    assert_true(group_at_end(&shared, 0) != group_at_end(&shared, 1));
    assert_true(shared.pairs.precision == 1 && shared.pairs.recall > 0.5);
    /* The same seed, the same groups and the same bits. */
    assert_int_equal(shared.membership_count, again.membership_count);
    assert_memory_equal(shared.memberships, again.memberships,
                        shared.membership_count * sizeof *shared.memberships);
    assert_true(shared.accuracy == again.accuracy);
    fleet_result_clear(&alone);
    fleet_result_clear(&shared);
    fleet_result_clear(&again);
}

/* No policy has more compute or more of the uplink than there is; a group's update is encoded once
 * and downloaded by each member. */
static void sharing_keeps_within_its_means(void **state)
{
    (void)state;
    static const char *const names[] = {"independent",
                                        "ekya",
                                        "recl",
                                        "ecco",
                                        "attune",
                                        "planted",
                                        "attune-no-grouping",
                                        "attune-no-fairness",
                                        "attune-fixed-sampling",
                                        "attune-no-gaimd",
                                        "attune-no-zoo",
                                        "attune-personal"};
    static struct fleet_scenario s;
    static struct fleet_result r;
    sharing_scenario(&s);
    s.seconds = 40;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        double used_s = 0;
        run(&s, names[i], &r);
        for (int k = 0; k < FLEET_USES; k++)
            used_s += k == FLEET_PROFILE && strcmp(names[i], "ekya") == 0 ? 0 : r.used_s[k];
        if (used_s > r.capacity_s * 1.05 || r.used_s[FLEET_TRAIN] <= 0)
            fail_msg("%s used %g of %g s, trained for %g", names[i], used_s, r.capacity_s,
                     r.used_s[FLEET_TRAIN]);
        assert_true((double)r.uplink_bytes <= s.uplink_kbps * 125 * s.seconds * 1.01);
        assert_true(r.frames_sent > 0 && isfinite(r.accuracy));
        assert_true(r.deployed == 0 || r.downlink_bytes >= r.delta_bytes);
        fleet_result_clear(&r);
    }
}

/* Members that are worse off than the others get deltas of their own on trial, out of the same
 * compute; the same seed, the same bits. */
static void members_own_deltas_are_on_the_account(void **state)
{
    (void)state;
    static struct fleet_scenario s;
    static struct fleet_result runs[2];
    sharing_scenario(&s);
    s.seconds = 160;
    for (int i = 0; i < 2; i++) {
        double used_s = 0;
        run(&s, "attune-personal", &runs[i]);
        for (int k = 0; k < FLEET_USES; k++)
            used_s += runs[i].used_s[k];
        assert_true(used_s <= runs[i].capacity_s * 1.05);
        assert_true(runs[i].personal_trained > 0 && runs[i].personal_s > 0);
        assert_true(runs[i].personal_s <= runs[i].used_s[FLEET_PROFILE]);
        assert_true(runs[i].personal_used <= runs[i].personal_trained);
        assert_true((runs[i].personal_bytes > 0) == (runs[i].personal_used > 0));
        assert_true(runs[i].personal_bytes <= runs[i].delta_bytes);
    }
    assert_true(runs[0].accuracy == runs[1].accuracy);
    assert_memory_equal(runs[0].series, runs[1].series, runs[0].points * sizeof(double));
    struct buf text;
    buf_init(&text);
    fleet_table(&s, runs, 2, &text);
    buf_put_u8(&text, 0);
    assert_non_null(strstr((const char *)text.data, "own deltas trained"));
    buf_clear(&text);
    fleet_result_clear(&runs[0]);
    fleet_result_clear(&runs[1]);
}

/* Two runs of one camera with two changes: the first recovers from both, the second from one. */
static void response_times_are_counted(void **state)
{
    (void)state;
    static struct fleet_scenario s;
    static struct fleet_result runs[2];
    double t_s[100], quick[100], slow[100];
    for (int i = 0; i < 100; i++) {
        t_s[i] = i;
        quick[i] = i < 20 ? 0.9 : i < 35 ? 0.2 : i < 60 ? 0.8 : i < 75 ? 0.3 : 0.6;
        slow[i] = i < 20 ? 0.9 : i < 45 ? 0.2 : i < 60 ? 0.75 : 0.3;
    }
    s.camera_count = 1;
    s.seconds = 100;
    s.cameras[0].change_count = 2;
    s.cameras[0].changes_s[0] = 20;
    s.cameras[0].changes_s[1] = 60;
    for (int i = 0; i < 2; i++) {
        runs[i].points = 100;
        runs[i].t_s = t_s;
        runs[i].cameras[0].series = i ? slow : quick;
    }
    struct fleet_response a = fleet_response_of(&s, runs, 2, 0);
    struct fleet_response b = fleet_response_of(&s, runs, 2, 1);
    assert_int_equal(a.changes, 2);
    assert_int_equal(a.reached, 2);
    assert_float_equal(a.mean_s, (15 + 15) / 2.0, 1e-9);
    assert_int_equal(b.reached, 1); /* the second time counts whole: 40 s */
    assert_float_equal(b.mean_s, (25 + 40) / 2.0, 1e-9);
}

static void micro_windows_need_cameras_that_infer(void **state)
{
    (void)state;
    static struct fleet_scenario s;
    static struct fleet_result r;
    struct contender policy;
    struct fleet_options o;
    struct error err;
    int count = 0;
    sharing_scenario(&s);
    s.at_cameras = false;
    fleet_options_init(&o);
    o.scenario = &s;
    assert_int_equal(contender_add("ecco", &policy, &count, &err), ST_OK);
    assert_int_equal(fleet_run(&o, &policy, NULL, NULL, &r, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "infers: camera"));
}

/* Plans where the server infers, or where the name says plans; micro-windows where cameras infer.
 */
static void what_divides_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *policy;
        bool at_cameras;
        enum sharing_division want;
    } cases[] = {{"attune", true, SHARING_MICRO},
                 {"attune", false, SHARING_PLANNED},
                 {"planted", true, SHARING_MICRO},
                 {"ekya", true, SHARING_PLANNED},
                 {"attune-fixed-split", true, SHARING_PLANNED},
                 {"attune-fixed-configuration", true, SHARING_PLANNED},
                 {"none", true, SHARING_PLANNED}};
    static struct fleet_scenario s;
    static struct fleet_result r;
    sharing_scenario(&s);
    s.seconds = 12;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        s.at_cameras = cases[i].at_cameras;
        run(&s, cases[i].policy, &r);
        if (r.division != cases[i].want)
            fail_msg("%s: %s", cases[i].policy, sharing_division_name(r.division));
        json_t *json = fleet_json(&s, &r, 1);
        const json_t *one = json_array_get(json_object_get(json, "runs"), 0);
        assert_string_equal(json_string_value(json_object_get(one, "division")),
                            cases[i].want == SHARING_MICRO ? "micro-windows" : "plans");
        json_decref(json);
        fleet_result_clear(&r);
    }
}

static void bad_sources_are_named(void **state)
{
    (void)state;
    static struct fleet_scenario s;
    static struct fleet_result r;
    struct contender policy;
    struct fleet_options o;
    struct error err;
    int count = 0;
    scenario("", &s);
    snprintf(s.cameras[1].source, sizeof s.cameras[1].source, "%s/nothing.mp4", folder);
    fleet_options_init(&o);
    o.scenario = &s;
    assert_int_equal(contender_add("none", &policy, &count, &err), ST_OK);
    assert_int_not_equal(fleet_run(&o, &policy, NULL, NULL, &r, &err), ST_OK);
    assert_non_null(strstr(err.message, "camera b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scenarios_are_read),
                                       cmocka_unit_test(the_account_adds_up),
                                       cmocka_unit_test(every_policy_runs),
                                       cmocka_unit_test(cameras_of_a_district_share),
                                       cmocka_unit_test(sharing_keeps_within_its_means),
                                       cmocka_unit_test(members_own_deltas_are_on_the_account),
                                       cmocka_unit_test(response_times_are_counted),
                                       cmocka_unit_test(micro_windows_need_cameras_that_infer),
                                       cmocka_unit_test(what_divides_is_told),
                                       cmocka_unit_test(bad_sources_are_named)};
    return cmocka_run_group_tests(tests, make_networks, drop_networks);
}
