/* The JSON between camera and server: what is written is read back, nonsense is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "uplink/message.h"

static struct error err;

static struct inference_report sample(void)
{
    struct inference_report r = {.running = {4, 0.75},
                                 .share = 0.5,
                                 .demand = 0.375,
                                 .factor = 0.875,
                                 .frames = 7,
                                 .held = 21,
                                 .skipped = 1,
                                 .source = "no data for 10 s",
                                 .note = "rates only"};
    r.table.count = 3;
    for (int i = 0; i < 3; i++)
        r.table.points[i] = (struct inference_point){
            {1 << i, 1 - 0.25 * i}, 1.0 / (1 + i), 1 - 0.125 * i, (uint64_t)(5 * i)};
    r.drift = (struct drift_request){.kind = DRIFT_SCENE,
                                     .t_us = 12345678,
                                     .since_us = 12000000,
                                     .score = 1.5,
                                     .has_signature = true,
                                     .text = "confidence fell from 0.81 to 0.62"};
    for (int i = 0; i < SIGNATURE_VALUES; i++)
        r.drift.signature.value[i] = 0.25f * (float)i;
    for (int i = 0; i < DURATIONS_BUCKETS; i++) {
        r.timing.run.counts[i] = (uint64_t)i * i;
        r.timing.age.counts[i] = DURATIONS_COUNT_MAX - (uint64_t)i;
    }
    r.timing.run.sum_s = 2.5;
    r.timing.age.sum_s = 1e9;
    return r;
}

static enum status read_text(const char *text, struct inference_report *ret)
{
    return message_read_report(text, strlen(text), ret, &err);
}

static void reports_come_back(void **state)
{
    (void)state;
    struct inference_report r = sample(), back;
    json_t *json = message_report(&r);
    char *text = json_dumps(json, 0);
    json_decref(json);
    assert_int_equal(read_text(text, &back), ST_OK);
    assert_true(back.running.stride == 4 && back.running.scale == 0.75);
    assert_true(back.share == 0.5 && back.demand == 0.375 && back.factor == 0.875);
    assert_true(back.frames == 7 && back.held == 21 && back.skipped == 1);
    assert_string_equal(back.source, r.source);
    assert_string_equal(back.note, r.note);
    assert_int_equal(back.table.count, 3);
    for (int i = 0; i < 3; i++) {
        const struct inference_point *a = &r.table.points[i], *b = &back.table.points[i];
        assert_int_equal(a->configuration.stride, b->configuration.stride);
        assert_true(a->configuration.scale == b->configuration.scale);
        assert_true(a->demand == b->demand && a->factor == b->factor && a->samples == b->samples);
    }
    assert_int_equal(back.drift.kind, DRIFT_SCENE);
    assert_true(back.drift.t_us == 12345678 && back.drift.since_us == 12000000);
    assert_true(back.drift.score == 1.5 && back.drift.has_signature);
    assert_memory_equal(&back.drift.signature, &r.drift.signature, sizeof r.drift.signature);
    assert_string_equal(back.drift.text, r.drift.text);
    assert_memory_equal(&back.timing, &r.timing, sizeof r.timing);
    for (size_t n = 0; n < strlen(text); n++) /* cut anywhere it is no report */
        assert_int_equal(message_read_report(text, n, &back, &err), ST_FORMAT);
    free(text);
    r.share = INFINITY;
    json = message_report(&r);
    assert_true(json_is_null(json_object_get(json, "share")));
    json_decref(json);
}

/* The sample with one member replaced. */
static enum status read_with(const char *key, json_t *value, struct inference_report *ret)
{
    struct inference_report r = sample();
    json_t *json = message_report(&r);
    json_object_set_new(json, key, value);
    char *text = json_dumps(json, 0);
    json_decref(json);
    enum status st = read_text(text, ret);
    free(text);
    return st;
}

static json_t *points(int count, double factor)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:f,s:f,s:f,s:f,s:i}", "rate", 1.0, "resolution",
                                              1.0, "demand", 0.1, "factor", factor, "samples", 1));
    return list;
}

static json_t *drift(const char *kind, int values, double value)
{
    json_t *list = json_array();
    for (int i = 0; i < values; i++)
        json_array_append_new(list, json_real(value));
    return json_pack("{s:s,s:i,s:i,s:f,s:s,s:o}", "kind", kind, "t_us", 5, "since_us", 4, "score",
                     1.5, "text", "seen", "signature", list);
}

/* So many counts, the last of them `last`. */
static json_t *durations(int counts, json_int_t last, double sum_s)
{
    json_t *list = json_array();
    for (int i = 1; i < counts; i++)
        json_array_append_new(list, json_integer(i));
    json_array_append_new(list, json_integer(last));
    return json_pack("{s:o,s:f}", "counts", list, "sum_s", sum_s);
}

static json_t *timing(int counts, json_int_t last, double sum_s)
{
    return json_pack("{s:o,s:o}", "run", durations(DURATIONS_BUCKETS, 0, 0), "age",
                     durations(counts, last, sum_s));
}

static void timings_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct inference_report r;
    enum { N = DURATIONS_BUCKETS };
    assert_int_equal(read_with("timing", timing(N, 7, 1), &r), ST_OK);
    assert_true(r.timing.age.counts[N - 1] == 7 && r.timing.age.sum_s == 1);
    assert_int_equal(read_with("timing", timing(N, (json_int_t)DURATIONS_COUNT_MAX, 1), &r), ST_OK);
    assert_int_equal(read_with("timing", timing(N, (json_int_t)DURATIONS_COUNT_MAX + 1, 1), &r),
                     ST_FORMAT);
    assert_int_equal(read_with("timing", timing(N, -1, 1), &r), ST_FORMAT);
    assert_int_equal(read_with("timing", timing(N, 1, -1), &r), ST_FORMAT);
    assert_int_equal(read_with("timing", timing(N - 1, 1, 1), &r), ST_FORMAT);
    assert_int_equal(read_with("timing", timing(N + 1, 1, 1), &r), ST_FORMAT);
    assert_int_equal(read_with("timing", json_object(), &r), ST_FORMAT);
    assert_int_equal(read_with("timing", json_integer(1), &r), ST_FORMAT);
    struct inference_report older = sample();
    json_t *json = message_report(&older);
    json_object_del(json, "timing");
    char *text = json_dumps(json, 0);
    assert_int_equal(read_text(text, &r), ST_OK);
    assert_int_equal(durations_count(&r.timing.run), 0);
    free(text);
    json_decref(json);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct inference_report r;
    assert_int_equal(read_with("rate", json_real(0), &r), ST_FORMAT);
    assert_int_equal(read_with("rate", json_real(1.5), &r), ST_FORMAT);
    assert_int_equal(read_with("resolution", json_string("half"), &r), ST_FORMAT);
    assert_int_equal(read_with("demand", json_real(-1), &r), ST_FORMAT);
    assert_int_equal(read_with("factor", json_real(1.01), &r), ST_FORMAT);
    assert_int_equal(read_with("frames", json_integer(-1), &r), ST_FORMAT);
    assert_int_equal(read_with("held", json_real(1), &r), ST_FORMAT);
    assert_int_equal(read_with("points", json_object(), &r), ST_FORMAT);
    assert_int_equal(read_with("points", points(INFERENCE_POINTS_MAX, 1), &r), ST_OK);
    assert_int_equal(r.table.count, INFERENCE_POINTS_MAX);
    assert_int_equal(read_with("points", points(INFERENCE_POINTS_MAX + 1, 1), &r), ST_FORMAT);
    assert_int_equal(read_with("points", points(1, 2), &r), ST_FORMAT);
    assert_int_equal(read_with("note", json_string("caf\xc3\xa9"), &r), ST_OK);
    assert_string_equal(r.note, "caf??");
    assert_int_equal(read_with("source", json_integer(3), &r), ST_OK);
    assert_string_equal(r.source, "");
    assert_int_equal(read_with("drift", json_null(), &r), ST_OK);
    assert_int_equal(r.drift.kind, DRIFT_NONE);
    assert_int_equal(read_with("drift", json_integer(1), &r), ST_FORMAT);
    assert_int_equal(read_with("drift", drift("tired", SIGNATURE_VALUES, 1), &r), ST_FORMAT);
    assert_int_equal(read_with("drift", drift("scene", SIGNATURE_VALUES, 1), &r), ST_OK);
    assert_true(r.drift.has_signature && r.drift.signature.value[3] == 1);
    assert_int_equal(read_with("drift", drift("scene", 0, 1), &r), ST_FORMAT);
    assert_int_equal(read_with("drift", drift("scene", SIGNATURE_VALUES + 1, 1), &r), ST_FORMAT);
    assert_int_equal(read_with("drift", drift("scene", SIGNATURE_VALUES, 1e30), &r), ST_FORMAT);
}

static void settings_come_back(void **state)
{
    (void)state;
    struct client_settings s = {.version = 9,
                                .sampling_fps = 0.5,
                                .chunk_s = 10,
                                .uplink_kbps = 200,
                                .next_seq = 42,
                                .adapt = true,
                                .revision = 17,
                                .share = 0.25,
                                .infer = {0.5, 0.75},
                                .send = {.group = "north",
                                         .members = 3,
                                         .group_share = 0.75,
                                         .weight = 0.25,
                                         .law = GAIMD_PRICE,
                                         .exponent = 2,
                                         .scale_min = 0.5,
                                         .scale_max = 0.75}},
                           back;
    json_t *json = message_settings(&s);
    char *text = json_dumps(json, 0);
    assert_int_equal(message_read_settings(text, strlen(text), &back, &err), ST_OK);
    assert_true(back.version == 9 && back.sampling_fps == 0.5 && back.chunk_s == 10);
    assert_true(back.uplink_kbps == 200 && back.next_seq == 42 && back.adapt);
    assert_true(back.revision == 17 && back.share == 0.25);
    assert_true(back.infer.rate == 0.5 && back.infer.scale == 0.75);
    assert_string_equal(back.send.group, "north");
    assert_true(back.send.members == 3 && back.send.group_share == 0.75);
    assert_true(back.send.weight == 0.25 && back.send.law == GAIMD_PRICE);
    assert_true(back.send.exponent == 2 && back.send.scale_min == 0.5);
    assert_true(back.send.scale_max == 0.75);
    free(text);
    json_decref(json);
    /* An older server says less. */
    const char *older = "{\"version\":1,\"sampling_fps\":1,\"chunk_s\":5,\"uplink_kbps\":100,"
                        "\"next_seq\":2}";
    assert_int_equal(message_read_settings(older, strlen(older), &back, &err), ST_OK);
    assert_true(isinf(back.share) && back.revision == 0 && back.infer.rate == 0);
    assert_true(back.send.members == 1 && back.send.group_share == 0 && back.send.law == 0);
    assert_true(back.send.weight == 1 && back.send.group[0] == '\0');
    const char *odd = "{\"version\":1,\"sampling_fps\":1,\"chunk_s\":5,\"uplink_kbps\":100,"
                      "\"next_seq\":2,\"transmission\":{\"members\":-4,\"weight\":1e9,"
                      "\"law\":\"cubic\",\"group_share\":\"all\",\"scale_max\":7,\"group\":3}}";
    assert_int_equal(message_read_settings(odd, strlen(odd), &back, &err), ST_OK);
    assert_true(back.send.members == 1 && back.send.weight == GAIMD_WEIGHT_MAX);
    assert_true(back.send.law == 0 && back.send.group_share == 0 && back.send.scale_max == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_come_back),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(timings_that_make_no_sense_are_refused),
        cmocka_unit_test(settings_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
