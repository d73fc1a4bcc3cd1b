/* Traces in both forms, bad ones, and a replay whose numbers are worked out by hand. With
 * ATTUNE_TRACES=FOLDER (cityscapes_profiles.csv, inference_profiles.csv) also the table of measured
 * profiles, against an independent implementation's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "eval/replay_report.h"

static const char header[] = "city,window,config,epochs,start_acc,end_acc,gpu_seconds\n";

static enum status read_csv(const char *rows, struct trace *t, struct error *err)
{
    char text[2048];
    snprintf(text, sizeof text, "%s%s", header, rows);
    return trace_read_csv(text, strlen(text), "t.csv", t, err);
}

static void csv_is_sorted(void **state)
{
    (void)state;
    struct trace t;
    struct error err;
    int first;
    assert_int_equal(read_csv("# measured\nb,2,0,5,0.5,0.6,10\n\n b , 1 ,0,5,0.5,0.7,10\n"
                              "a,1,1,5,0.4,0.9,20\na,1,0,5,0.4,0.8,20\n",
                              &t, &err),
                     ST_OK);
    assert_int_equal(t.count, 4);
    assert_string_equal(t.names[0], "a");
    assert_int_equal(trace_window(&t, 0, 1, &first) - first, 2);
    assert_int_equal(t.rows[first].config, 1); /* order of the file within a window */
    assert_true(isnan(t.rows[first].est_end));
    assert_int_equal(trace_window(&t, 1, 2, &first), 4);
    assert_true(fabs(t.rows[first].end - 0.6) < 1e-12);
    trace_clear(&t);
}

static void bad_rows_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *rows, *want;
    } cases[] = {{"a,1,0,5,0.4,0.8\n", "t.csv:2: 6 fields"},
                 {"a,1,0,5,0.4,0.8,20\na,x,0,5,0.4,0.8,20\n", "t.csv:3: window is 'x'"},
                 {"a,1,0,5,0.4,1.8,20\n", "t.csv:2: end_acc is '1.8'"},
                 {"a,1,0,5,0.4,0.8,0\n", "gpu_seconds"},
                 {"a,1.5,0,5,0.4,0.8,1\n", "whole number"},
                 {"", "holds no retraining"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace t;
        struct error err;
        assert_int_not_equal(read_csv(cases[i].rows, &t, &err), ST_OK);
        if (!strstr(err.message, cases[i].want))
            fail_msg("'%s' lacks '%s'", err.message, cases[i].want);
    }
    struct trace t;
    struct error err;
    assert_int_equal(trace_read_csv("city\na\n", 7, "t.csv", &t, &err), ST_FORMAT);
    assert_non_null(strstr(err.message, "no column 'window'"));
}

static void json_is_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"taskwise_train_profiles\": {\"3\": [[\"2_14\", 0.5, 0.75, 42.5, \"resnet18\"],"
        "[\"2_29\", 0.5, 0.8, 80, \"resnet18\"]]},"
        " \"taskwise_predicted_profiles\": {\"3\": [[\"2_29\", 0.55, 0.9, 70, \"m\"]]}}";
    struct trace t;
    struct error err;
    assert_int_equal(trace_read_json(text, strlen(text), "d/zurich.json", &t, &err), ST_OK);
    assert_string_equal(t.names[0], "zurich");
    assert_int_equal(t.count, 2);
    assert_int_equal(t.rows[0].config, 2);
    assert_int_equal(t.rows[0].epochs, 15);
    assert_int_equal(t.rows[1].window, 3);
    assert_true(isnan(t.rows[0].est_end) && fabs(t.rows[1].est_end - 0.9) < 1e-12);
    trace_clear(&t);
    static const char *const bad[] = {
        "{", "{}", "{\"taskwise_train_profiles\": {\"x\": []}}",
        "{\"taskwise_train_profiles\": {\"1\": [[\"2\", 0, 0, 1]]}}",
        "{\"taskwise_train_profiles\": {\"1\": [[\"2_1\", 0, 2, 1]]}}"};
    for (size_t i = 0; i < 5; i++)
        assert_int_not_equal(trace_read_json(bad[i], strlen(bad[i]), "z.json", &t, &err), ST_OK);
}

static char folder[] = "/tmp/attune-replay-XXXXXX";
static char profiles[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(profiles, sizeof profiles, "%s/p.csv", folder);
    /* One option a camera; C1 and C2 are both that. */
    static const char rows[] = "city,window,config,epochs,start_acc,end_acc,gpu_seconds\n"
                               "a,1,0,5,0.5,0.9,20\nb,1,0,5,0.6,0.7,20\n";
    return file_write(profiles, rows, strlen(rows), NULL) == ST_OK ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    char path[96];
    static const char *const names[] = {"p.csv", "s.csv", "s.png"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return remove(folder);
}

static const struct replay_run *find(const struct replay_set *s, const char *policy)
{
    for (int i = 0; i < s->run_count; i++)
        if (strcmp(s->runs[i].policy, policy) == 0)
            return &s->runs[i];
    fail();
    return NULL;
}

/* One GPU, 100 s, inference at full rate needs 0.25 and falls linearly below.
 * none: 0.5 GPU each: (0.5 + 0.6) / 2.
 * uniform-c1-50: 0.25 GPU each for inference (full) and for training: both end after 80 s.
 * uniform-c1-0: no inference, no accuracy until both trainings end: 0.5 GPU each, 40 s; then a
 * hands its half to two inferences and one training (1/6 each), b in the same instant its 0.6667 to
 * two. */
static void numbers_by_hand(void **state)
{
    (void)state;
    struct replay_options o;
    struct replay_seconds *seconds;
    static struct replay_set s;
    struct error err;
    replay_options_init(&o);
    o.profiles = profiles;
    o.window_s = 100;
    o.capacities[o.capacity_count++] = 1;
    static const char *const names[] = {"none", "uniform-c1-50", "uniform-c1-0", "attune"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(contender_add(names[i], o.policies, &o.policy_count, &err), ST_OK);
    assert_int_equal(replay_seconds_open(&o, &seconds, &err), ST_OK);
    assert_int_equal(replay_run_all(&o, replay_seconds_span, seconds, &s, &err), ST_OK);
    assert_true(fabs(find(&s, "none")->mean - 0.55) < 1e-9);
    double half = (0.8 * (0.5 + 0.6) + 0.2 * (0.9 + 0.7)) / 2;
    assert_true(fabs(find(&s, "uniform-c1-50")->mean - half) < 1e-9);
    assert_true(fabs(find(&s, "uniform-c1-0")->mean - 0.6 * (0.9 + 0.7) / 2) < 1e-9);
    /* a first on half a GPU (40 s), then b (80 s): inference stays full. */
    double ours = (0.4 * 0.5 + 0.6 * 0.9 + 0.8 * 0.6 + 0.2 * 0.7) / 2;
    assert_true(find(&s, "attune")->mean > ours - 1e-9);
    assert_int_equal(find(&s, "attune")->ended, 2);

    char csv[96], png[96];
    struct buf text;
    snprintf(csv, sizeof csv, "%s/s.csv", folder);
    snprintf(png, sizeof png, "%s/s.png", folder);
    assert_int_equal(replay_seconds_write(seconds, csv, png, &err), ST_OK);
    replay_seconds_close(&seconds);
    buf_init(&text);
    assert_int_equal(file_read(csv, 1 << 20, &text, &err), ST_OK);
    buf_put_u8(&text, 0);
    assert_non_null(strstr((char *)text.data, "uniform-c1-50,1,1,79,a,0.500000,0.2500,0.2500,5\n"));
    assert_non_null(strstr((char *)text.data, "uniform-c1-50,1,1,80,a,0.900000,"));
    buf_clear(&text);
    json_t *json = replay_json(&o, &s);
    assert_int_equal(json_array_size(json_object_get(json, "runs")), 4);
    assert_int_equal(json_array_size(json_object_get(json, "baselines")), 5);
    json_decref(json);
}

static void unknown_policies_are_refused(void **state)
{
    (void)state;
    struct contender list[CONTENDERS_MAX];
    struct error err;
    int count = 0;
    static const char *const bad[] = {"", "theif", "uniform-c3-50", "uniform-c1-101",
                                      "uniform-c1-5x"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(contender_add(bad[i], list, &count, &err), ST_INVALID);
    assert_int_equal(contender_add("uniform", list, &count, &err), ST_OK);
    assert_int_equal(count, CONTENDER_BASELINES);
}

/* A replay has plans only: who divides micro-windows has no say over inference. */
static void micro_windows_cannot_be_replayed(void **state)
{
    (void)state;
    struct replay_options o;
    static struct replay_set s;
    struct error err;
    replay_options_init(&o);
    o.profiles = profiles;
    o.window_s = 100;
    o.capacities[o.capacity_count++] = 1;
    assert_int_equal(contender_add("recl", o.policies, &o.policy_count, &err), ST_OK);
    assert_int_equal(replay_run_all(&o, NULL, NULL, &s, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "recl"));
}

/* ---- measured profiles, where they are ---- */

static const double table[4][8] = {
    /* none, C1 50, C2 30, C2 50, C2 90, printed, fixed point, without re-run */
    {.5696, .3530, .2514, .3530, .5384, .4707, .5696, .5696},
    {.7581, .5696, .5918, .5906, .7336, .7234, .7581, .7581},
    {.8023, .7581, .8059, .8331, .8023, .8709, .8758, .8728},
    {.8023, .8023, .8794, .8743, .8023, .9109, .9123, .9110}};
static const double on_profiles[4] = {.5696, .7581, .8596, .8744}; /* the thief */

static void run_traces(const char *path, enum estimate_source source, bool rerun,
                       struct replay_set *s)
{
    struct replay_options o;
    struct error err;
    replay_options_init(&o);
    o.profiles = path;
    o.estimates = source;
    o.rerun = rerun;
    static const char *const names[] = {"none", "uniform", "thief-printed", "thief", "attune"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(contender_add(names[i], o.policies, &o.policy_count, &err), ST_OK);
    for (int g = 1; g <= 8; g *= 2)
        o.capacities[o.capacity_count++] = g;
    if (replay_run_all(&o, NULL, NULL, s, &err) != ST_OK)
        fail_msg("%s", err.message);
}

static void measured_profiles(void **state)
{
    (void)state;
    static struct replay_set s;
    char path[512];
    const char *traces = getenv("ATTUNE_TRACES");
    if (!traces) {
        print_message("skipped: ATTUNE_TRACES does not name the folder of measured profiles\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/cityscapes_profiles.csv", traces);
    run_traces(path, 0, true, &s);
    for (int c = 0; c < 4; c++)
        for (int i = 0; i < 7; i++)
            assert_true(fabs(s.runs[c * 8 + i].mean - table[c][i]) < 0.002);
    run_traces(path, 0, false, &s);
    for (int c = 0; c < 4; c++)
        assert_true(fabs(s.runs[c * 8 + 6].mean - table[c][7]) < 0.002);
    run_traces(path, ESTIMATE_PROFILE, true, &s);
    for (int c = 0; c < 4; c++)
        assert_true(fabs(s.runs[c * 8 + 6].mean - on_profiles[c]) < 0.002);
    run_traces(path, ESTIMATE_BLEND, true, &s);
    for (int c = 0; c < 4; c++)
        assert_true(s.runs[c * 8 + 7].mean >= table[c][0]);
    assert_true(s.runs[2 * 8 + 7].mean >= 0.872 && s.runs[3 * 8 + 7].mean >= 0.905);
    const struct estimate_score *history = &s.scores[1], *blend = &s.scores[2];
    assert_true(blend->median_error <= history->median_error);
    assert_true(blend->mean_error <= history->mean_error);
    assert_true(blend->p90_error <= history->p90_error);
    assert_true(blend->correlation >= history->correlation - 1e-9);
    assert_true(blend->regret <= history->regret + 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_is_sorted),
        cmocka_unit_test(bad_rows_have_a_place),
        cmocka_unit_test(json_is_read),
        cmocka_unit_test(numbers_by_hand),
        cmocka_unit_test(measured_profiles),
        cmocka_unit_test(unknown_policies_are_refused),
        cmocka_unit_test(micro_windows_cannot_be_replayed),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
