/* A configuration read again while the server runs: what changes, what does not, and who is not
 * disturbed. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kit.h"
#include "server/board.h"
#include "server/streams.h"

#define PATIENCE_US ((uint64_t)60 * 1000000)

static struct kit *kit;
static char path[128];

/* The kit's own settings, and more. */
static void write_config(const char *more)
{
    struct buf b;
    struct error err;
    buf_init(&b);
    buf_printf(&b,
               "student: %s/student.onnx\nteacher: %s/teacher.onnx\nstate: %s/state\nlisten: off\n"
               "http: 127.0.0.1:0\ngrouping: none\nzoo_models: 0\ndisk_free_min_mb: 0\n"
               "log_level: error\nauth: false\nchunk_s: 1\n%s",
               kit->dir, kit->dir, kit->dir, more);
    assert_int_equal(file_write(path, b.data, b.size_bytes, &err), ST_OK);
    buf_clear(&b);
}

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    snprintf(path, sizeof path, "%s/attune.yaml", kit->dir);
    kit_streams(kit);
    kit->options.no_worker = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static void start_with(const char *more)
{
    struct error err;
    struct problems problems;
    struct server_options *o = &kit->options;
    write_config(more);
    problems_init(&problems);
    o->sources.path = path;
    if (settings_load(&o->sources, &o->settings, &o->cameras, &problems, &err) != ST_OK)
        fail_msg("%s", err.message);
    kit_start(kit);
    log_level_set((enum log_level)0);
}

static void reload(long status, const char *words)
{
    struct answer a = {0};
    kit_ask(kit, "POST", "/v1/reload", "", 0, &a);
    log_level_set((enum log_level)0);
    if (a.status != status || !strstr((const char *)a.body.data, words))
        fail_msg("%ld: %s", a.status, (const char *)a.body.data);
    answer_clear(&a);
}

static int pid_of(const char *id)
{
    struct stream_view v;
    return streams_look(kit->server->streams, id, &v) ? v.pid : -1;
}

static bool has_told(const char *id)
{
    struct inference_report r;
    return kit_told(kit, id, &r);
}

static bool runs(const char *id)
{
    return pid_of(id) > 0;
}

static bool is_gone(const char *id)
{
    return pid_of(id) < 0;
}

static int old_pid;

static bool runs_anew(const char *id)
{
    return pid_of(id) > 0 && pid_of(id) != old_pid;
}

static double number_of(const char *url, const char *name)
{
    json_t *o = kit_json(kit, url, 200);
    double v = json_number_value(json_object_get(o, name));
    json_decref(o);
    return v;
}

/* The value that the page shows of a setting of the server. */
static double shown(const char *name)
{
    json_t *o = kit_json(kit, "/v1/settings", 200), *rows = json_object_get(o, "settings"), *row;
    double v = -1;
    size_t i;
    json_array_foreach(rows, i,
                       row) if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
        v = json_number_value(json_object_get(row, "value"));
    json_decref(o);
    return v;
}

#define TOWN "town:width=64,height=64,fps=20"

static void cameras_change_one_by_one(void **state)
{
    (void)state;
    start_with("cameras:\n  goes: {source: \"" TOWN "\"}\n  stays: {source: \"" TOWN
               ",camera=1\"}\n"
               "  changes: {source: \"" TOWN ",camera=2\"}\n");
    kit_await_so(has_told, "goes");
    kit_await_so(has_told, "stays");
    kit_await_so(has_told, "changes");
    int stays = pid_of("stays");
    old_pid = pid_of("changes");
    write_config("cameras:\n  stays: {source: \"" TOWN ",camera=1\", uplink_kbps: 90}\n"
                 "  changes: {source: \"" TOWN ",camera=3\"}\n"
                 "  comes: {source: \"" TOWN ",camera=4\"}\n");
    reload(200, "1 added, 1 removed, 2 changed");
    kit_await_so(is_gone, "goes");
    kit_await_so(runs_anew, "changes");
    kit_await_so(has_told, "comes");
    assert_int_equal(pid_of("stays"), stays);
    assert_true(number_of("/v1/cameras/stays/settings", "uplink_kbps") == 90);
    json_decref(kit_json(kit, "/v1/cameras/goes", 200)); /* what it sent is still there */
    assert_int_equal(kit_event_of(kit, "stays", "stream_failed", 0, NULL), 0);
    assert_int_equal(kit_event_of(kit, "changes", "stream_failed", 0, NULL), 0);
    old_pid = pid_of("changes");
    reload(200, "0 added, 0 removed, 0 changed");
    assert_int_equal(pid_of("stays"), stays);
    assert_int_equal(pid_of("changes"), old_pid);
}

static void a_server_without_streams_gets_some(void **state)
{
    (void)state;
    start_with("");
    assert_int_equal(pid_of("late"), -1);
    write_config("cameras: {late: {source: \"" TOWN "\"}}\n");
    reload(200, "1 added");
    kit_await_so(runs, "late");
    kit_await_so(has_told, "late");
}

static void some_settings_change_at_once(void **state)
{
    (void)state;
    start_with("uplink_kbps: 100\n");
    kit_hello(kit, "gate");
    double revision = number_of("/v1/cameras/gate/settings", "revision");
    write_config("uplink_kbps: 2Mbit/s\nhorizon_s: 70\nbacklog_max: 3\n");
    reload(200, "2 changed; 1 needs a restart: horizon_s; cameras: 0 added");
    assert_true(number_of("/v1/cameras/gate/settings", "uplink_kbps") == 2000);
    assert_true(number_of("/v1/cameras/gate/settings", "revision") > revision);
    assert_true(shown("uplink_kbps") == 2000 && shown("horizon_s") == 240 &&
                shown("backlog_max") == 3);
    assert_true(kit_event_of(kit, "", "config_loaded", 0, NULL) > 0);
    write_config("");
    reload(200, "2 changed; cameras: 0 added");
    assert_true(shown("uplink_kbps") == 200);
}

static void a_wrong_file_changes_nothing(void **state)
{
    (void)state;
    start_with("uplink_kbps: 100\ncameras: {a: {source: \"" TOWN "\"}}\n");
    kit_await_so(runs, "a");
    int pid = pid_of("a");
    write_config("uplink_kbps: 300\nperiod_s: 10MB\ncameras: {}\n");
    reload(400, "attune.yaml:13:11: '10MB' is a size, period_s is a time");
    char *reason = NULL;
    assert_true(kit_event_of(kit, "", "config_refused", 0, &reason) > 0);
    assert_non_null(strstr(reason, "attune.yaml:13:11"));
    assert_non_null(strstr(reason, "nothing was changed"));
    free(reason);
    assert_true(shown("uplink_kbps") == 100);
    assert_int_equal(pid_of("a"), pid);
    write_config("cameras_max: 2000\n");
    reload(400, "cameras_max takes 1 to 1024");
}

static void without_a_file_there_is_nothing_to_read(void **state)
{
    (void)state;
    struct error err;
    kit_start(kit);
    assert_int_equal(server_reload(kit->server, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "--config"));
}

static void files_are_watched_where_that_is_wished(void **state)
{
    (void)state;
    start_with("uplink_kbps: 100\n");
    server_watch(kit->server);
    write_config("uplink_kbps: 150\nwatch_config: true\n");
    server_watch(kit->server);
    server_watch(kit->server);
    assert_true(shown("uplink_kbps") == 100); /* nobody wished it */
    reload(200, "2 changed");
    server_watch(kit->server);
    server_watch(kit->server);
    write_config("uplink_kbps: 200.5\nwatch_config: true\n");
    server_watch(kit->server);
    assert_true(shown("uplink_kbps") == 150); /* it may still be being written */
    server_watch(kit->server);
    assert_true(shown("uplink_kbps") == 200.5);
}

struct seen {
    bool listens, loaded, refused;
};

static void on_line(void *context, const char *line)
{
    struct seen *s = context;
    s->listens |= strstr(line, "http port") != NULL;
    s->loaded |= strstr(line, "config_loaded") != NULL;
    s->refused |= strstr(line, "config_refused") != NULL;
}

static void await_line(struct child *c, struct seen *s, const bool *what)
{
    uint64_t until_us = clock_mono_us() + PATIENCE_US;
    while (!*what && clock_mono_us() < until_us) {
        child_read_lines(c, on_line, s);
        kit_pause();
    }
    assert_true(*what && child_runs(c));
}

static void the_program_reads_it_on_sighup(void **state)
{
    (void)state;
    static char words[][16] = {"attune", "server", "--config", "--log-level", "info"};
    char *const argv[] = {words[0], words[1], words[2], path, words[3], words[4], NULL};
    const struct child_options o = {.program = getenv("ATTUNE_PROGRAM"), .merge = true};
    struct child c;
    struct error err;
    struct seen s = {0};
    write_config("adapt: no\n");
    child_init(&c);
    assert_int_equal(child_start(&c, argv, &o, &err), ST_OK);
    await_line(&c, &s, &s.listens);
    write_config("adapt: no\nuplink_kbps: 99\n");
    assert_int_equal(kill(c.pid, SIGHUP), 0);
    await_line(&c, &s, &s.loaded);
    write_config("nonsense: 1\n");
    assert_int_equal(kill(c.pid, SIGHUP), 0);
    await_line(&c, &s, &s.refused);
    child_stop(&c, 20 * 1000000, on_line, &s);
    assert_true(WIFEXITED(c.wait_status) && WEXITSTATUS(c.wait_status) == 0);
    child_clear(&c);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
    if (argc > 1)
        return 2;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(cameras_change_one_by_one),
        TEST(a_server_without_streams_gets_some),
        TEST(some_settings_change_at_once),
        TEST(a_wrong_file_changes_nothing),
        TEST(without_a_file_there_is_nothing_to_read),
        TEST(files_are_watched_where_that_is_wished),
        TEST(the_program_reads_it_on_sighup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
