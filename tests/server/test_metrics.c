/* GET /metrics against a real server: its numbers are those of /v1, its counters never fall, and
 * nothing is named in documentation, dashboard or alert rules that it does not have.
 *
 * With --page it prints a page of a server that has worked, for promtool.sh. */
#include <ctype.h>
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
#include "base/file.h"
#include "base/process.h"
#include "base/prometheus.h"
#include "kit.h"
#include "server/metrics.h"

static struct kit *kit;
static uint64_t seq;

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    kit_trains(kit, "round-robin", 1, 2);
    kit->options.version = "1.2.3";
    kit_start_trained(kit, "gate", &seq);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static char *page(void)
{
    struct answer a = {0};
    kit_ask(kit, "GET", "/metrics", NULL, 0, &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.headers, "text/plain; version=0.0.4"));
    char *text = strdup((const char *)a.body.data);
    answer_clear(&a);
    return text;
}

/* The sample's value, NaN when the page has no such line. */
static double sample(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, n) == 0 && line[n] == ' ')
            return strtod(line + n, NULL);
    }
    return NAN;
}

static double sample_now(const char *name)
{
    char *text = page();
    double v = sample(text, name);
    free(text);
    return v;
}

static double member(const char *path, const char *list, const char *key)
{
    json_t *o = kit_json(kit, path, 200);
    const json_t *from = list ? json_array_get(json_object_get(o, list), 0) : o;
    const json_t *found = json_object_get(from, key);
    double v = json_is_number(found) ? json_number_value(found) : NAN;
    json_decref(o);
    return v;
}

static void report(const char *camera, int frames, int held)
{
    char path[128], body[256];
    struct answer a = {0};
    snprintf(path, sizeof path, "/v1/cameras/%s/inference", camera);
    int n = snprintf(body, sizeof body,
                     "{\"rate\":1,\"resolution\":1,\"share\":null,\"demand\":0.25,\"factor\":1,"
                     "\"frames\":%d,\"held\":%d,\"skipped\":0,\"source\":\"\",\"note\":\"\","
                     "\"points\":[]}",
                     frames, held);
    kit_ask(kit, "PUT", path, body, (size_t)n, &a);
    if (a.status != 204)
        fail_msg("%ld %s", a.status, (const char *)a.body.data);
    answer_clear(&a);
}

static void numbers_are_those_of_the_interface(void **state)
{
    (void)state;
    static const struct {
        const char *sample, *path, *list, *key;
        double factor;
    } same[] = {
        {"attune_student_accuracy_ratio{camera=\"gate\"}", "/v1/cameras/gate", NULL, "accuracy", 1},
        {"attune_student_unadapted_accuracy_ratio{camera=\"gate\"}", "/v1/cameras/gate", NULL,
         "accuracy_unadapted", 1},
        {"attune_uplink_bytes_total{camera=\"gate\"}", "/v1/cameras/gate", NULL, "up_bytes", 1},
        {"attune_downlink_bytes_total{camera=\"gate\"}", "/v1/cameras/gate", NULL, "down_bytes", 1},
        {"attune_camera_chunks_total{camera=\"gate\"}", "/v1/cameras/gate", NULL, "chunks", 1},
        {"attune_camera_backlog_chunks{camera=\"gate\"}", "/v1/cameras/gate", NULL,
         "backlog_chunks", 1},
        {"attune_camera_frame_rate_hertz{camera=\"gate\"}", "/v1/cameras/gate", NULL, "fps", 1},
        {"attune_camera_last_seen_timestamp_seconds{camera=\"gate\"}", "/v1/cameras/gate", NULL,
         "seen_us", 1e-6},
        {"attune_teacher_frames_total", "/v1/health", NULL, "frames_labelled", 1},
        {"attune_teacher_duration_seconds_count", "/v1/health", NULL, "frames_labelled", 1},
        {"attune_retrain_duration_seconds_count", "/v1/health", NULL, "phases", 1},
        {"attune_worker_restarts_total", "/v1/health", NULL, "worker_restarts", 1},
        {"attune_compute_capacity_processors", "/v1/compute", NULL, "capacity", 1},
        {"attune_group_members{group=\"gate\"}", "/v1/cameras", "cameras", "one", 1},
        {"attune_group_model_version{group=\"gate\"}", "/v1/groups", "groups", "version", 1},
        {"attune_group_candidates_total{group=\"gate\",result=\"accepted\"}", "/v1/groups",
         "groups", "versions", 1},
        {"attune_group_update_bytes_total{group=\"gate\",kind=\"encoded\"}", "/v1/groups", "groups",
         "encoded_bytes", 1},
    };
    char *text = page();
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        double have = sample(text, same[i].sample);
        double want = strcmp(same[i].key, "one") == 0
                          ? 1
                          : member(same[i].path, same[i].list, same[i].key) * same[i].factor;
        /* JSON has six digits. */
        if (!(fabs(have - want) <= 1e-5 * fmax(1, fabs(want))))
            fail_msg("%s is %.9g, %s of %s says %.9g", same[i].sample, have, same[i].key,
                     same[i].path, want);
    }
    free(text);
}

static void a_working_camera_is_up(void **state)
{
    (void)state;
    char *text = page();
    assert_true(sample(text, "attune_camera_up{camera=\"gate\"}") == 1);
    assert_true(sample(text, "attune_adapting") == 1);
    assert_true(sample(text, "attune_camera_learning_paused{camera=\"gate\"}") == 0);
    assert_true(sample(text, "attune_workers_up") == 1);
    assert_true(sample(text, "attune_retrain_jobs_total{result=\"accepted\"}") >= 1);
    assert_true(sample(text, "attune_events_total{kind=\"camera_joined\"}") == 1);
    assert_true(sample(text, "attune_camera_frames_total{camera=\"gate\",stage=\"labelled\"}") ==
                4);
    assert_true(sample(text, "attune_uplink_budget_bytes_per_second{camera=\"gate\"}") == 25000);
    assert_true(sample(text, "attune_compute_seconds_total{kind=\"train\"}") > 0);
    assert_true(sample(text, "attune_group_compute_seconds_total{group=\"gate\",kind=\"train\"}") >
                0);
    assert_non_null(
        strstr(text, "attune_build_info{version=\"1.2.3\",revision=\"unknown\",compiler="));
    free(text);
}

static void counters_never_fall(void **state)
{
    (void)state;
    const char *inferred = "attune_camera_frames_total{camera=\"gate\",stage=\"inferred\"}";
    const char *held = "attune_camera_frames_total{camera=\"gate\",stage=\"held\"}";
    report("gate", 100, 7);
    assert_true(sample_now(inferred) == 100);
    report("gate", 130, 9);
    assert_true(sample_now(inferred) == 130);
    report("gate", 5, 9); /* it has started again */
    assert_true(sample_now(inferred) == 135);
    assert_true(sample_now(held) == 9);
    report("gate", 6, 1);
    assert_true(sample_now(inferred) == 136);
    assert_true(sample_now(held) == 10);
    assert_true(sample_now("attune_camera_inference_demand_processors{camera=\"gate\"}") == 0.25);
}

/* A report of so many inferences of 4 ms each, answered at an age of 40 ms. */
static void report_timing(const char *camera, int frames)
{
    struct inference_report r = {.running = {1, 1}, .factor = 1, .frames = (uint64_t)frames};
    struct answer a = {0};
    char path[128];
    for (int i = 0; i < frames; i++) {
        durations_add(&r.timing.run, 0.004);
        durations_add(&r.timing.age, 0.04);
    }
    json_t *json = message_report(&r);
    char *text = json_dumps(json, 0);
    json_decref(json);
    snprintf(path, sizeof path, "/v1/cameras/%s/inference", camera);
    kit_ask(kit, "PUT", path, text, strlen(text), &a);
    assert_int_equal(a.status, 204);
    answer_clear(&a);
    free(text);
}

static void inferences_are_timed(void **state)
{
    (void)state;
    const char *above = "attune_inference_duration_seconds_bucket{camera=\"gate\",le=\"0.003\"}";
    const char *within = "attune_inference_duration_seconds_bucket{camera=\"gate\",le=\"0.005\"}";
    const char *sum = "attune_inference_duration_seconds_sum{camera=\"gate\"}";
    const char *ages = "attune_inference_frame_age_seconds_bucket{camera=\"gate\",le=\"0.05\"}";
    assert_true(isnan(sample_now(within))); /* an older camera tells none */
    report_timing("gate", 100);
    assert_true(sample_now(within) == 100 && sample_now(above) == 0);
    report_timing("gate", 20); /* it has started again */
    assert_true(sample_now(within) == 120 && sample_now(ages) == 120);
    assert_true(fabs(sample_now(sum) - 0.48) < 1e-9);
    json_t *o = kit_json(kit, "/v1/cameras/gate", 200);
    double p50 = 0, p95 = 0, age = 0;
    assert_int_equal(json_unpack(o, "{s:{s:{s:{s:f,s:f},s:{s:f}}}}", "inference", "timing", "run_s",
                                 "p50", &p50, "p95", &p95, "age_s", "p95", &age),
                     0);
    assert_true(p50 > 0.003 && p50 < p95 && p95 <= 0.005);
    assert_true(age > 0.03 && age <= 0.05);
    json_decref(o);
}

static void refusals_are_counted(void **state)
{
    (void)state;
    const char *name = "attune_camera_chunks_refused_total{camera=\"gate\"}";
    struct buf bad;
    buf_init(&bad);
    buf_put(&bad, "rubbish", 7);
    double before = sample_now(name);
    assert_int_equal(kit_put(kit, "gate", 99, &bad), 400);
    assert_int_equal(kit_put(kit, "stranger", 1, &bad), 400); /* counts for nobody */
    buf_clear(&bad);
    char *text = page();
    assert_true(sample(text, name) == before + 1);
    assert_true(sample(text, "attune_queue_dropped_total{queue=\"label\"}") == before + 1);
    assert_null(strstr(text, "stranger"));
    free(text);
}

static void the_process_is_this_one(void **state)
{
    (void)state;
    struct process_usage u;
    process_usage_read(&u);
    char *text = page();
    double now_s = (double)clock_wall_us() / 1e6;
    assert_true(sample(text, "process_cpu_seconds_total") > 0);
    assert_true(u.start_s < now_s && u.start_s > now_s - 3600);
    assert_true(fabs(sample(text, "process_start_time_seconds") - u.start_s) < 2);
    assert_true(u.resident_bytes > 1e6 && u.resident_bytes <= u.virtual_bytes);
    assert_true(u.open_fds >= 3 && u.open_fds < u.max_fds);
    assert_true(u.threads >= 4);
    free(text);
}

/* Every name is in the table and has a HELP and a TYPE once, before its samples. */
static void every_sample_is_of_the_table(void **state)
{
    (void)state;
    char *text = page(), *save, name[128];
    int seen[METRIC_COUNT] = {0};
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (sscanf(line, "# TYPE %127s", name) != 1)
            continue;
        int found = -1;
        for (int i = 0; i < METRIC_COUNT; i++)
            if (strcmp(metrics_table()[i].name, name) == 0)
                found = i;
        assert_true(found >= 0);
        assert_int_equal(seen[found]++, 0);
    }
    free(text);
}

/* ---- the writer ---- */

static void writing(void **state)
{
    (void)state;
    static const struct prometheus_family two[] = {
        {"a_total", PROMETHEUS_COUNTER, "camera,kind", "What a is"},
        {"b_seconds", PROMETHEUS_HISTOGRAM, "", "What b is"},
        {"c", PROMETHEUS_GAUGE, "", "never seen"},
        {"d_seconds", PROMETHEUS_HISTOGRAM, "camera", "What d is"}};
    static const double bounds[] = {0.5, 1};
    static const unsigned long long counts[] = {2, 0, 1};
    const struct prometheus_counts c = {bounds, 2, counts, 3.25};
    struct prometheus_page p;
    struct buf out;
    buf_init(&out);
    const char *const camera[] = {"x"};
    prometheus_init(&p, two, 4);
    prometheus_put_histogram(&p, 1, &c, NULL);
    prometheus_put_histogram(&p, 3, &c, camera);
    prometheus_put(&p, 0, 12345678901234.0, (const char *const[]){"x\"y\\z\n", "k"});
    prometheus_put(&p, 0, NAN, (const char *const[]){"not", "known"});
    prometheus_put(&p, 2, NAN, NULL);
    assert_int_equal(prometheus_write(&p, &out, NULL), ST_OK);
    buf_put_u8(&out, 0);
    assert_string_equal((const char *)out.data,
                        "# HELP a_total What a is\n# TYPE a_total counter\n"
                        "a_total{camera=\"x\\\"y\\\\z\\n\",kind=\"k\"} 12345678901234\n"
                        "# HELP b_seconds What b is\n# TYPE b_seconds histogram\n"
                        "b_seconds_bucket{le=\"0.5\"} 2\nb_seconds_bucket{le=\"1\"} 2\n"
                        "b_seconds_bucket{le=\"+Inf\"} 3\nb_seconds_sum 3.25\nb_seconds_count 3\n"
                        "# HELP d_seconds What d is\n# TYPE d_seconds histogram\n"
                        "d_seconds_bucket{camera=\"x\",le=\"0.5\"} 2\n"
                        "d_seconds_bucket{camera=\"x\",le=\"1\"} 2\n"
                        "d_seconds_bucket{camera=\"x\",le=\"+Inf\"} 3\n"
                        "d_seconds_sum{camera=\"x\"} 3.25\nd_seconds_count{camera=\"x\"} 3\n");
    prometheus_clear(&p);
    buf_clear(&out);
}

/* ---- what else names metrics ---- */

static char *read_text(const char *variable, const char *name)
{
    struct buf b;
    char path[512];
    struct error err = {0};
    const char *folder = getenv(variable);
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    buf_init(&b);
    if (file_read(path, 1 << 22, &b, &err) != ST_OK)
        fail_msg("%s", err.message);
    buf_put_u8(&b, 0);
    return (char *)b.data;
}

static void the_documentation_is_of_this_table(void **state)
{
    (void)state;
    struct buf made;
    buf_init(&made);
    metrics_write_markdown(&made);
    buf_put_u8(&made, 0);
    char *kept = read_text("ATTUNE_DOCS", "metrics.md");
    assert_string_equal((const char *)made.data, kept);
    free(kept);
    buf_clear(&made);
}

static bool is_known(const char *name, size_t n)
{
    static const char *const parts[] = {"", "_bucket", "_sum", "_count"};
    char one[160];
    for (int i = 0; i < METRIC_COUNT; i++)
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            const struct prometheus_family *f = &metrics_table()[i];
            if (k > 0 && f->kind != PROMETHEUS_HISTOGRAM)
                break;
            snprintf(one, sizeof one, "%s%s", f->name, parts[k]);
            if (strlen(one) == n && memcmp(one, name, n) == 0)
                return true;
        }
    return false;
}

/* Words of the form attune_* and process_* in the file are metrics; true ones are counted. */
static int check_names(const char *text)
{
    int count = 0;
    const char *at = text;
    while (*at) {
        size_t n = 0;
        while (isalnum((unsigned char)at[n]) || at[n] == '_')
            n++;
        if (n > 0 && (strncmp(at, "attune_", 7) == 0 || strncmp(at, "process_", 8) == 0)) {
            if (!is_known(at, n))
                fail_msg("there is no metric %.*s", (int)n, at);
            count++;
        }
        at += n ? n : 1;
    }
    return count;
}

/* Every rule of alerts.yaml has a test of what it says. */
static void check_tested(const char *rules, const char *tests)
{
    int count = 0;
    for (const char *at = rules; (at = strstr(at, "- alert: ")); count++) {
        char name[96];
        at += strlen("- alert: ");
        snprintf(name, sizeof name, "alertname: %.*s\n        exp_alerts", (int)strcspn(at, "\n"),
                 at);
        if (!strstr(tests, name))
            fail_msg("no test of %s", name);
    }
    assert_true(count >= 17);
}

static void dashboard_and_rules_name_what_exists(void **state)
{
    (void)state;
    char *rules = read_text("ATTUNE_DEPLOY", "prometheus/alerts.yaml");
    char *tests = read_text("ATTUNE_DEPLOY", "prometheus/alerts-test.yaml");
    char *dashboard = read_text("ATTUNE_DEPLOY", "grafana/attune.json");
    assert_true(check_names(rules) >= 10);
    assert_true(check_names(tests) >= 10);
    check_tested(rules, tests);
    assert_true(check_names(dashboard) >= 20);
    free(rules);
    free(tests);
    free(dashboard);
}

static const json_t *panels_of(const json_t *dashboard)
{
    const json_t *panels = json_object_get(dashboard, "panels");
    assert_true(json_is_array(panels));
    return panels;
}

/* What Grafana wants of a dashboard that it imports: a schema, unique panel numbers, places that do
 * not overlap, and the data source left to whoever imports it. */
static void the_dashboard_is_whole(void **state)
{
    (void)state;
    char *text = read_text("ATTUNE_DEPLOY", "grafana/attune.json");
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const json_t *p, *t;
    size_t i, k;
    bool used[1000] = {false}, taken[400][24] = {{false}};
    assert_non_null(o);
    assert_true(json_integer_value(json_object_get(o, "schemaVersion")) >= 36);
    assert_non_null(json_object_get(json_object_get(o, "templating"), "list"));
    assert_null(strstr(text, "://"));
    json_array_foreach(panels_of(o), i, p)
    {
        json_int_t id = json_integer_value(json_object_get(p, "id"));
        const json_t *pos = json_object_get(p, "gridPos");
        json_int_t x = json_integer_value(json_object_get(pos, "x"));
        json_int_t y = json_integer_value(json_object_get(pos, "y"));
        json_int_t w = json_integer_value(json_object_get(pos, "w"));
        json_int_t h = json_integer_value(json_object_get(pos, "h"));
        assert_true(id > 0 && id < 1000 && !used[id]);
        assert_true(w > 0 && h > 0 && x >= 0 && x + w <= 24 && y >= 0 && y + h <= 400);
        used[id] = true;
        for (json_int_t r = y; r < y + h; r++)
            for (json_int_t c = x; c < x + w; c++) {
                assert_false(taken[r][c]);
                taken[r][c] = true;
            }
        if (strcmp(json_string_value(json_object_get(p, "type")), "row") == 0)
            continue;
        assert_true(json_array_size(json_object_get(p, "targets")) > 0);
        json_array_foreach(json_object_get(p, "targets"), k, t)
            assert_non_null(json_string_value(json_object_get(t, "expr")));
    }
    json_decref(o);
    free(text);
}

static int print_page(void)
{
    setup(NULL);
    report_timing("gate", 100);
    char *text = page();
    fputs(text, stdout);
    free(text);
    return teardown(NULL);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
    if (argc > 1 && strcmp(argv[1], "--page") == 0)
        return print_page();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_interface),
        cmocka_unit_test(a_working_camera_is_up),
        cmocka_unit_test(counters_never_fall),
        cmocka_unit_test(inferences_are_timed),
        cmocka_unit_test(refusals_are_counted),
        cmocka_unit_test(the_process_is_this_one),
        cmocka_unit_test(every_sample_is_of_the_table),
        cmocka_unit_test(writing),
        cmocka_unit_test(the_documentation_is_of_this_table),
        cmocka_unit_test(dashboard_and_rules_name_what_exists),
        cmocka_unit_test(the_dashboard_is_whole),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
