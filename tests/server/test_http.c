/* The HTTP interface of docs/api.md against a real server: every status that a client may meet. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kit.h"

static struct kit *kit;

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    kit->options.no_label_thread = true;
    kit->options.no_worker = true;
    kit->options.settings.chunk_bytes_max = 65536;
    kit->options.settings.backlog_max = 3;
    kit->options.settings.cameras_max = 3;
    kit_start(kit);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static long status_of(const char *method, const char *path, const char *body)
{
    struct answer a = {0};
    kit_ask(kit, method, path, body, body ? strlen(body) : 0, &a);
    /* Whoever is refused is told why. */
    if (a.status >= 400)
        assert_non_null(strstr((const char *)a.body.data, "\"error\":\""));
    answer_clear(&a);
    return a.status;
}

static json_int_t integer(const json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

static void paths_and_methods(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET", "/v1/health", NULL), 200);
    assert_int_equal(status_of("GET", "/", NULL), 200);
    assert_int_equal(status_of("GET", "/app.js", NULL), 200);
    assert_int_equal(status_of("GET", "/nothing", NULL), 404);
    assert_int_equal(status_of("GET", "/../etc/passwd", NULL), 404);
    assert_int_equal(status_of("GET", "/v1/cameras/", NULL), 404);
    assert_int_equal(status_of("GET", "/v1/cameras/a/b/c/d", NULL), 404);
    assert_int_equal(status_of("POST", "/v1/health", "{}"), 405);
    assert_int_equal(status_of("DELETE", "/v1/cameras/a", NULL), 405);
    assert_int_equal(status_of("GET", "/v1/cameras/nobody", NULL), 404);
    assert_int_equal(status_of("GET", "/v1/cameras/nobody/series", NULL), 404);
    assert_int_equal(status_of("GET", "/v1/cameras/nobody/frame", NULL), 404);
    assert_int_equal(status_of("GET", "/v1/cameras/nobody/frame?view=x", NULL), 400);
    assert_int_equal(status_of("GET", "/v1/cameras/nobody/updates", NULL), 404);
    assert_int_equal(status_of("GET", "/v1/cameras/nobody/model.onnx", NULL), 404);
}

static long status_with(const char *header, const char *method, const char *path)
{
    kit->headers[0] = header;
    long status = status_of(method, path, NULL);
    kit->headers[0] = NULL;
    return status;
}

/* A browser here is no way in for pages of elsewhere. */
static void pages_of_elsewhere_are_refused(void **state)
{
    (void)state;
    assert_int_equal(status_with("Host: attacker.example", "GET", "/v1/cameras"), 403);
    assert_int_equal(status_with("Host: 127.0.0.1.attacker.example", "GET", "/v1/cameras"), 403);
    assert_int_equal(status_with("Host: localhost:99", "GET", "/v1/cameras"), 200);
    assert_int_equal(status_with("Origin: http://attacker.example", "GET", "/v1/health"), 200);
    assert_int_equal(status_with("Origin: http://attacker.example", "POST", "/v1/cameras/a/hello"),
                     403);
    assert_int_equal(status_with("Origin: null", "POST", "/v1/cameras/a/hello"), 403);
    assert_int_equal(status_with("Sec-Fetch-Site: cross-site", "POST", "/v1/cameras/a/hello"), 403);
    char own[64];
    snprintf(own, sizeof own, "Origin: http://127.0.0.1:%d", server_http_port(kit->server));
    assert_int_equal(status_with(own, "POST", "/v1/cameras/a/hello"), 400);
}

static void hellos(void **state)
{
    (void)state;
    char good[512], path[256];
    snprintf(good, sizeof good,
             "{\"student\":\"%s\",\"width\":640,\"height\":360,\"fps\":29.97,\"version\":0,"
             "\"state\":\"warm \xc3\xa9\"}",
             kit->identity_hex);
    assert_int_equal(status_of("POST", "/v1/cameras/Gate/hello", good), 400);
    assert_int_equal(status_of("POST", "/v1/cameras/a%2Fb/hello", good), 404);
    memset(path, 0, sizeof path);
    snprintf(path, sizeof path, "/v1/cameras/%0100d/hello", 0);
    assert_int_equal(status_of("POST", path, good), 400);
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"student\":\"ab\"}",
        "{\"student\":5,\"width\":640,\"height\":360,\"fps\":30,\"version\":0}",
        "{\"student\":\"ab\",\"width\":0,\"height\":360,\"fps\":30,\"version\":0}",
        "{\"student\":\"ab\",\"width\":640,\"height\":360,\"fps\":-1,\"version\":0}",
        "{\"student\":\"ab\",\"width\":640,\"height\":360,\"fps\":30,\"version\":-1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(status_of("POST", "/v1/cameras/gate/hello", bad[i]), 400);
    assert_int_equal(status_of("POST", "/v1/cameras/gate/hello",
                               "{\"student\":\"ab\",\"width\":640,\"height\":360,\"fps\":30,"
                               "\"version\":0}"),
                     409);
    char *huge = calloc(1, 70001);
    assert_non_null(huge);
    memset(huge, ' ', 70000);
    assert_int_equal(status_of("POST", "/v1/cameras/gate/hello", huge), 413);
    free(huge);
    assert_int_equal(status_of("GET", "/v1/cameras/gate", NULL), 404);
    assert_int_equal(status_of("POST", "/v1/cameras/gate/hello", good), 200);
    json_t *c = kit_json(kit, "/v1/cameras/gate", 200);
    assert_int_equal(integer(c, "width"), 640);
    assert_string_equal(json_string_value(json_object_get(c, "state")), "warm ??");
    assert_true(json_is_null(json_object_get(c, "miou")));
    json_decref(c);
    kit_hello(kit, "b");
    kit_hello(kit, "c");
    assert_int_equal(status_of("POST", "/v1/cameras/d/hello", good), 403);
}

static void hello_says_what_to_do(void **state)
{
    (void)state;
    struct answer a = {0};
    struct buf chunk;
    char body[512];
    buf_init(&chunk);
    kit_hello(kit, "gate");
    kit_chunk("gate", 7, 2, 1000000, 0, &chunk);
    assert_int_equal(kit_put(kit, "gate", 7, &chunk), 201);
    int n = snprintf(body, sizeof body,
                     "{\"student\":\"%s\",\"width\":48,\"height\":32,\"fps\":30,\"version\":0}",
                     kit->identity_hex);
    kit_ask(kit, "POST", "/v1/cameras/gate/hello", body, (size_t)n, &a);
    json_t *o = json_loads((const char *)a.body.data, 0, NULL);
    assert_int_equal(integer(o, "next_seq"), 8);
    assert_int_equal(integer(o, "version"), 0);
    assert_true(json_is_true(json_object_get(o, "adapt")));
    assert_float_equal(json_number_value(json_object_get(o, "sampling_fps")), 1, 1e-9);
    assert_float_equal(json_number_value(json_object_get(o, "chunk_s")), 10, 1e-9);
    assert_float_equal(json_number_value(json_object_get(o, "uplink_kbps")), 200, 1e-9);
    json_decref(o);
    buf_clear(&chunk);
    answer_clear(&a);
}

static void chunks(void **state)
{
    (void)state;
    struct buf one, other;
    buf_init(&one);
    buf_init(&other);
    kit_chunk("gate", 1, 3, 1000000, 0, &one);
    kit_chunk("gate", 1, 2, 2000000, 0, &other);
    assert_int_equal(kit_put(kit, "gate", 1, &one), 404);
    kit_hello(kit, "gate");
    kit_hello(kit, "b");
    assert_int_equal(kit_put(kit, "gate", 1, &one), 201);
    assert_int_equal(kit_put(kit, "gate", 1, &one), 200);
    assert_int_equal(kit_put(kit, "gate", 1, &other), 409);
    assert_int_equal(kit_put(kit, "gate", 2, &one), 400);
    assert_int_equal(kit_put(kit, "b", 1, &one), 400);
    assert_int_equal(status_of("PUT", "/v1/cameras/gate/chunks/0", "x"), 400);
    assert_int_equal(status_of("PUT", "/v1/cameras/gate/chunks/-1", "x"), 400);
    assert_int_equal(status_of("PUT", "/v1/cameras/gate/chunks/1x", "x"), 400);
    assert_int_equal(status_of("PUT", "/v1/cameras/gate/chunks/99999999999999999999", "x"), 400);
    assert_int_equal(status_of("PUT", "/v1/cameras/gate/chunks/5", "no chunk"), 400);
    assert_int_equal(status_of("PUT", "/v1/cameras/gate/chunks/5", ""), 400);
    for (size_t cut = 0; cut < one.size_bytes; cut += 37) {
        struct buf part = {.data = one.data, .size_bytes = cut};
        assert_int_equal(kit_put(kit, "gate", 5, &part), 400);
    }
    kit_chunk("gate", 2, 2, clock_wall_us() + (uint64_t)7200 * 1000000, 0, &other);
    assert_int_equal(kit_put(kit, "gate", 2, &other), 400);
    buf_clear(&one);
    buf_clear(&other);
}

static void big_chunks_are_refused(void **state)
{
    (void)state;
    struct buf big;
    buf_init(&big);
    kit_hello(kit, "gate");
    memset(buf_extend(&big, 65536), 'x', 65536);
    assert_int_equal(kit_put(kit, "gate", 1, &big), 400); /* allowed size, no chunk */
    buf_put_u8(&big, 'x');
    assert_int_equal(kit_put(kit, "gate", 1, &big), 413);
    buf_clear(&big);
}

static void a_full_backlog_says_when(void **state)
{
    (void)state;
    struct buf chunk;
    struct answer a = {0};
    buf_init(&chunk);
    kit_hello(kit, "gate");
    for (uint64_t seq = 1; seq <= 3; seq++) {
        kit_chunk("gate", seq, 1, seq * 1000000, 0, &chunk);
        assert_int_equal(kit_put(kit, "gate", seq, &chunk), 201);
    }
    kit_chunk("gate", 4, 1, 4000000, 0, &chunk);
    for (int i = 0; i < 2; i++) {
        kit_ask(kit, "PUT", "/v1/cameras/gate/chunks/4", chunk.data, chunk.size_bytes, &a);
        assert_int_equal(a.status, 429);
        assert_non_null(strstr(a.headers, "Retry-After: "));
    }
    uint64_t first = kit_await(kit, "backlog_full", 0);
    char path[80];
    snprintf(path, sizeof path, "/v1/events?format=json&after=%llu", (unsigned long long)first);
    json_t *rest = kit_json(kit, path, 200);
    assert_int_equal(json_array_size(json_object_get(rest, "events")), 0);
    json_decref(rest);
    json_t *health = kit_json(kit, "/v1/health", 200);
    assert_int_equal(integer(health, "backlog_chunks"), 3);
    json_decref(health);
    answer_clear(&a);
    buf_clear(&chunk);
}

static void write_file(const char *camera, const char *name, const char *text)
{
    char path[PATH_MAX];
    store_model_path(kit->server->store, camera, name, path);
    assert_int_equal(file_write(path, text, strlen(text), NULL), ST_OK);
}

/* What the control loop does for an accepted candidate. */
static void make_version(const char *camera, uint64_t version, const char *delta, const char *snap)
{
    char name[32];
    struct store_version v = {
        .version = version, .base = version - 1, .accepted = true, .reason = "test"};
    snprintf(name, sizeof name, "v%d.delta", (int)version);
    write_file(camera, name, delta);
    snprintf(name, sizeof name, "v%d.snap", (int)version);
    write_file(camera, name, snap);
    assert_int_equal(store_version_put(kit->server->store, camera, &v, NULL, 0, NULL), ST_OK);
    server_event(kit->server, camera, "accepted", NULL, "test");
}

static void expect_update(const char *query, const char *body, const char *base,
                          const char *version)
{
    struct answer a = {0};
    char path[128];
    snprintf(path, sizeof path, "/v1/cameras/gate/updates?%s", query);
    kit_ask(kit, "GET", path, NULL, 0, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal((const char *)a.body.data, body);
    assert_non_null(strstr(a.headers, "application/vnd.attune.delta"));
    assert_non_null(strstr(a.headers, base));
    assert_non_null(strstr(a.headers, version));
    answer_clear(&a);
}

static void updates_are_steps_or_snapshots(void **state)
{
    (void)state;
    kit_hello(kit, "gate");
    assert_int_equal(status_of("GET", "/v1/cameras/gate/updates?have=0", NULL), 204);
    assert_int_equal(status_of("GET", "/v1/cameras/gate/updates?have=5", NULL), 409);
    assert_int_equal(status_of("GET", "/v1/cameras/gate/updates?have=x", NULL), 400);
    assert_int_equal(status_of("GET", "/v1/cameras/gate/updates?have=0&wait_s=61", NULL), 400);
    make_version("gate", 1, "delta one", "snapshot one");
    expect_update("have=0", "delta one", "Attune-Base: 0", "Attune-Version: 1");
    make_version("gate", 2, "delta two", "snapshot two");
    expect_update("have=1&wait_s=60", "delta two", "Attune-Base: 1", "Attune-Version: 2");
    expect_update("have=0", "snapshot two", "Attune-Base: 0", "Attune-Version: 2");
    expect_update("have=9", "snapshot two", "Attune-Base: 0", "Attune-Version: 2");
    assert_int_equal(status_of("GET", "/v1/cameras/gate/updates?have=2", NULL), 204);
    json_t *c = kit_json(kit, "/v1/cameras/gate", 200);
    assert_int_equal(integer(c, "camera_version"), 2);
    assert_int_equal(integer(c, "down_bytes"), 9 + 9 + 12 + 12);
    json_decref(c);
}

static void *wait_for_update(void *context)
{
    kit_ask(kit, "GET", "/v1/cameras/gate/updates?have=0&wait_s=60", NULL, 0, context);
    return NULL;
}

static void await_waiters(int count)
{
    while (atomic_load(&kit->server->counters.waiters) != count)
        clock_sleep_until_us(clock_mono_us() + 2000);
}

static void a_long_poll_wakes(void **state)
{
    (void)state;
    pthread_t thread[3];
    struct answer a[3] = {0};
    kit_hello(kit, "gate");
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, wait_for_update, &a[i]), 0);
    await_waiters(3);
    /* Who waits does not hold others up. */
    assert_int_equal(status_of("GET", "/v1/health", NULL), 200);
    make_version("gate", 1, "delta one", "snapshot one");
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(a[i].status, 200);
        assert_string_equal((const char *)a[i].body.data, "delta one");
        answer_clear(&a[i]);
    }
    await_waiters(0);
}

static void waiting_ends_with_the_server(void **state)
{
    (void)state;
    pthread_t thread;
    struct answer a = {0};
    kit_hello(kit, "gate");
    assert_int_equal(pthread_create(&thread, NULL, wait_for_update, &a), 0);
    await_waiters(1);
    bell_stop(&kit->server->bell);
    pthread_join(thread, NULL);
    assert_int_equal(a.status, 204);
    answer_clear(&a);
}

static void too_many_waiters_are_told(void **state)
{
    (void)state;
    kit_hello(kit, "gate");
    atomic_fetch_add(&kit->server->counters.waiters, 1000);
    assert_int_equal(status_of("GET", "/v1/cameras/gate/updates?have=0&wait_s=5", NULL), 503);
    assert_int_equal(status_of("GET", "/v1/events", NULL), 503);
    atomic_fetch_sub(&kit->server->counters.waiters, 1000);
    assert_int_equal(status_of("GET", "/v1/cameras/gate/updates?have=0&wait_s=0", NULL), 204);
}

/* ---- the event stream ---- */

struct stream {
    struct buf text;
    const char *until; /* stop once this has come */
};

static size_t on_stream(char *data, size_t one, size_t n, void *context)
{
    (void)one;
    struct stream *s = context;
    buf_put(&s->text, data, n);
    buf_put_u8(&s->text, 0);
    s->text.size_bytes--;
    return strstr((const char *)s->text.data, s->until) ? 0 : n;
}

static void read_stream(struct stream *s, const char *query, const char *header)
{
    char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1/events%s", server_http_port(kit->server),
             query);
    CURL *c = curl_easy_init();
    struct curl_slist *headers = header ? curl_slist_append(NULL, header) : NULL;
    buf_init(&s->text);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_stream);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, s);
    assert_int_equal(curl_easy_perform(c), CURLE_WRITE_ERROR);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
}

static void *emit_later(void *context)
{
    (void)context;
    await_waiters(1);
    server_event(kit->server, "gate", "rejected", NULL, "the \"live\" one");
    return NULL;
}

static void events_stream_and_resume(void **state)
{
    (void)state;
    struct stream s = {.until = "live"};
    pthread_t thread;
    char header[64];
    kit_hello(kit, "gate"); /* server_started is 1, camera_joined 2 */
    assert_int_equal(pthread_create(&thread, NULL, emit_later, NULL), 0);
    read_stream(&s, "", NULL);
    pthread_join(thread, NULL);
    const char *text = (const char *)s.text.data;
    assert_non_null(strstr(text, "event: server_started"));
    assert_non_null(strstr(text, "id: 2\nevent: camera_joined\ndata: {"));
    assert_non_null(strstr(text, "\"reason\":\"the \\\"live\\\" one\""));
    buf_clear(&s.text);
    snprintf(header, sizeof header, "Last-Event-ID: 2");
    read_stream(&s, "", header);
    text = (const char *)s.text.data;
    assert_null(strstr(text, "camera_joined"));
    assert_non_null(strstr(text, "id: 3\nevent: rejected"));
    buf_clear(&s.text);
    assert_int_equal(status_of("GET", "/v1/events?after=x", NULL), 400);
}

static void https_has_a_certificate_of_its_own(void **state)
{
    (void)state;
    char url[128], cert[128], hex[65];
    kit_stop(kit);
    snprintf(kit->options.settings.listen, SETTING_TEXT_BYTES, "127.0.0.1:0");
    kit_start(kit);
    memcpy(hex, server_certificate_hex(kit->server), 65);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/v1/health", server_https_port(kit->server));
    snprintf(cert, sizeof cert, "%s/state/tls/cert.pem", kit->dir);
    for (int pinned = 0; pinned < 2; pinned++) {
        struct stream s = {.until = "no such text"};
        CURL *c = curl_easy_init();
        buf_init(&s.text);
        curl_easy_setopt(c, CURLOPT_URL, url);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_stream);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, &s);
        if (pinned)
            curl_easy_setopt(c, CURLOPT_CAINFO, cert);
        /* Names and addresses are checked too: 127.0.0.1 is in the certificate. */
        assert_int_equal(curl_easy_perform(c), pinned ? CURLE_OK : CURLE_PEER_FAILED_VERIFICATION);
        curl_easy_cleanup(c);
        buf_clear(&s.text);
    }
    kit_stop(kit);
    kit_start(kit);
    assert_string_equal(server_certificate_hex(kit->server), hex);
}

static void starts_that_cannot_be_are_explained(void **state)
{
    (void)state;
    struct server *s = NULL;
    struct error err;
    struct server_options o = kit->options;
    snprintf(o.settings.state, SETTING_TEXT_BYTES, "%s/state2", kit->dir);
    snprintf(o.settings.http, SETTING_TEXT_BYTES, "127.0.0.1:%d", server_http_port(kit->server));
    assert_int_equal(server_open(&o, &s, &err), ST_IO);
    assert_non_null(strstr(err.message, "listen"));
    o = kit->options;
    assert_int_equal(server_open(&o, &s, &err), ST_CONFLICT);
    assert_non_null(strstr(err.message, "in use"));
    kit_stop(kit);
    memcpy(o.settings.student, kit->options.settings.teacher, SETTING_TEXT_BYTES);
    assert_int_equal(server_open(&o, &s, &err), ST_CONFLICT);
    assert_non_null(strstr(err.message, "student"));
    o = kit->options;
    snprintf(o.settings.http, SETTING_TEXT_BYTES, "nonsense");
    assert_int_equal(server_open(&o, &s, &err), ST_INVALID);
    o = kit->options;
    snprintf(o.settings.teacher, SETTING_TEXT_BYTES, "%s/none.onnx", kit->dir);
    assert_int_equal(server_open(&o, &s, &err), ST_NOT_FOUND);
    o = kit->options;
    snprintf(o.settings.preset, SETTING_TEXT_BYTES, "best");
    assert_int_equal(server_open(&o, &s, &err), ST_INVALID);
    assert_null(s);
}

int main(void)
{
    log_level_set(LOG_ERROR);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(paths_and_methods),
        TEST(pages_of_elsewhere_are_refused),
        TEST(hellos),
        TEST(hello_says_what_to_do),
        TEST(chunks),
        TEST(big_chunks_are_refused),
        TEST(a_full_backlog_says_when),
        TEST(updates_are_steps_or_snapshots),
        TEST(a_long_poll_wakes),
        TEST(waiting_ends_with_the_server),
        TEST(too_many_waiters_are_told),
        TEST(events_stream_and_resume),
        TEST(https_has_a_certificate_of_its_own),
        TEST(starts_that_cannot_be_are_explained),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
