/* What a camera's password is in: its configuration, and nothing that anybody is shown. A server
 * with cameras of a real RTSP server that asks for one; everything that it says is searched. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../video/rtsp_kit.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kit.h"
#include "server/board.h"
#include "server/streams.h"

#define SECRET "Zebra7Quagga"
#define PATIENCE_US ((uint64_t)60 * 1000000)

static struct kit *kit;
static struct rtsp_kit rtsp;
static char log_path[128], credentials_path[128];

/* a: in the URL; b: in a file; wrong: refused; quiet: never uploads. */
static void configure(void)
{
    static const char line[] = "ann:" SECRET "\n";
    char yaml[2048];
    struct error err;
    snprintf(credentials_path, sizeof credentials_path, "%s/credentials", kit->dir);
    assert_int_equal(file_write(credentials_path, line, strlen(line), &err), ST_OK);
    int port = rtsp.port;
    snprintf(yaml, sizeof yaml,
             "cameras:\n"
             "  a: {source: \"rtsp://ann:" SECRET "@127.0.0.1:%d/main\", timeout_s: 2}\n"
             "  b: {source: \"rtsp://127.0.0.1:%d/side\", credentials_file: \"%s\"}\n"
             "  wrong: {source: \"rtsp://bob:" SECRET "@127.0.0.1:%d/main?token=" SECRET "\"}\n"
             "  quiet: {source: \"town:width=64,height=64,fps=20\", upload: false,\n"
             "          mask: \"0,0 0.5,0 0.5,1\"}\n",
             port, port, credentials_path, port);
    kit_cameras(kit, yaml);
}

/* The log of all goes to a file from here on, at its most talkative. */
static void catch_log(void)
{
    snprintf(log_path, sizeof log_path, "%s/log", kit->dir);
    int fd = open(log_path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    assert_true(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    close(fd);
    log_level_set(LOG_DEBUG);
}

static int setup(void **state)
{
    (void)state;
    static const char *const args[] = {"--auth", "basic",
                                       "ann",    SECRET,
                                       "/main",  "size=64x64,fps=60",
                                       "/side",  "size=64x64,fps=60",
                                       NULL};
    log_level_set((enum log_level)0);
    kit = kit_open();
    rtsp_kit_start(&rtsp, args);
    kit_streams(kit);
    kit->options.no_worker = true;
    kit->options.settings.chunk_s = 1;
    snprintf(kit->options.settings.log_level, SETTING_TEXT_BYTES, "debug");
    configure();
    catch_log();
    kit_start(kit);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_stop(kit);
    log_level_set((enum log_level)0);
    rtsp_kit_stop(&rtsp);
    kit_close(&kit);
    return 0;
}

static bool has_labels(const char *id)
{
    struct store_camera c;
    return store_camera_get(kit->server->store, id, &c, NULL) == ST_OK && c.frame_t_us > 0;
}

static bool all_is_well(void)
{
    struct inference_report r;
    return has_labels("a") && has_labels("b") && kit_told(kit, "quiet", &r) && r.frames > 0 &&
           kit_event_of(kit, "wrong", "stream_failed", 0, NULL) > 0;
}

static bool was_opened_again(void)
{
    struct inference_report r;
    return kit_told(kit, "a", &r) && r.reconnects >= 1 &&
           kit_event_of(kit, "a", "stream_back", 0, NULL) > 0;
}

static void await(bool (*what)(void))
{
    uint64_t until_us = clock_mono_us() + PATIENCE_US;
    while (!what()) {
        if (clock_mono_us() > until_us)
            fail_msg("what was expected of the cameras did not happen");
        kit_pause();
    }
}

static void expect_no_secret(const void *text, size_t n, const char *where)
{
    if (n >= strlen(SECRET) && memmem(text, n, SECRET, strlen(SECRET)))
        fail_msg("the password is in %s", where);
}

static void search_answers(void)
{
    static const char *const paths[] = {"/v1/cameras",
                                        "/v1/cameras/a",
                                        "/v1/cameras/b",
                                        "/v1/cameras/wrong",
                                        "/v1/cameras/a/settings",
                                        "/v1/events?format=json&limit=1000&after=0",
                                        "/v1/settings",
                                        "/v1/compute",
                                        "/v1/health",
                                        "/v1/groups",
                                        "/v1/schedule",
                                        "/metrics",
                                        "/"};
    struct answer a = {0};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        kit_ask(kit, "GET", paths[i], NULL, 0, &a);
        if (a.status != 200)
            fail_msg("%s: %ld", paths[i], a.status);
        expect_no_secret(a.body.data, a.body.size_bytes, paths[i]);
    }
    answer_clear(&a);
}

static void search_file(const char *path)
{
    char text[4096];
    size_t kept = 0, n;
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while ((n = fread(text + kept, 1, sizeof text - kept, f)) > 0) {
        expect_no_secret(text, kept + n, path);
        size_t have = kept + n;
        kept = have < strlen(SECRET) ? have : strlen(SECRET);
        memmove(text, text + have - kept, kept);
    }
    fclose(f);
}

static void search_command_lines(void)
{
    static const char *const ids[] = {"a", "b", "quiet"};
    for (int i = 0; i < 3; i++) {
        struct stream_view v;
        char path[64];
        assert_true(streams_look(kit->server->streams, ids[i], &v) && v.pid > 0);
        snprintf(path, sizeof path, "/proc/%d/cmdline", v.pid);
        search_file(path);
    }
}

/* Frames of the camera that must not upload are nowhere; the others did not wait for it. */
static void expect_nothing_of_the_quiet_one(void)
{
    struct store_camera c;
    struct inference_report r;
    assert_int_equal(store_camera_get(kit->server->store, "quiet", &c, NULL), ST_OK);
    assert_true(c.chunks == 0 && c.frame_t_us == 0);
    assert_true(kit_told(kit, "quiet", &r) && r.no_upload && r.frames > 0);
    json_t *o = kit_json(kit, "/v1/cameras/quiet", 200);
    assert_true(json_is_false(json_object_get(json_object_get(o, "inference"), "uploads")));
    json_decref(o);
    o = kit_json(kit, "/v1/cameras/a", 200);
    assert_true(json_is_true(json_object_get(json_object_get(o, "inference"), "uploads")));
    json_decref(o);
}

static void nobody_is_shown_a_password(void **state)
{
    (void)state;
    char *reason = NULL;
    await(all_is_well);
    assert_true(kit_event_of(kit, "wrong", "stream_failed", 0, &reason) > 0);
    assert_non_null(strstr(reason, "user or password refused"));
    assert_non_null(strstr(reason, "/main?token=***"));
    free(reason);
    rtsp_kit_tell(&rtsp, "drop");
    await(was_opened_again);
    expect_nothing_of_the_quiet_one();
    search_answers();
    search_command_lines();
    search_file(log_path);
}

int main(void)
{
    rtsp_kit_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_is_shown_a_password, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
