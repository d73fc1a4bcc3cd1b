/* Webhooks at a real HTTP receiver: signed, in order, once more when it fails, on after a restart.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <gnutls/crypto.h>
#include <microhttpd.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kit.h"
#include "notify/webhook.h"
#include "server/hooks.h"

#define RECEIVED_MAX 200
#define SECRET "s3cret of the site"

struct received {
    struct buf body;
    char signature[128], event[64], delivery[32], type[80];
    unsigned status; /* that was answered */
};

static struct {
    struct MHD_Daemon *daemon;
    int port;
    pthread_mutex_t mutex;
    struct received list[RECEIVED_MAX];
    int count;
    unsigned answer; /* 0: 204 */
    int failures;    /* so many requests get 503 first */
} web;

static void copy_header(struct MHD_Connection *c, const char *name, char *to, size_t n)
{
    const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
    snprintf(to, n, "%s", v ? v : "");
}

static unsigned finish(struct MHD_Connection *c, struct received *r)
{
    pthread_mutex_lock(&web.mutex);
    unsigned status = web.failures > 0 ? 503 : web.answer ? web.answer : 204;
    web.failures -= web.failures > 0;
    copy_header(c, "Attune-Signature", r->signature, sizeof r->signature);
    copy_header(c, "Attune-Event", r->event, sizeof r->event);
    copy_header(c, "Attune-Delivery", r->delivery, sizeof r->delivery);
    copy_header(c, "Content-Type", r->type, sizeof r->type);
    r->status = status;
    buf_put_u8(&r->body, 0);
    if (web.count < RECEIVED_MAX)
        web.list[web.count++] = *r;
    pthread_mutex_unlock(&web.mutex);
    return status;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **state)
{
    (void)context;
    (void)path;
    (void)version;
    struct received *r = *state;
    assert_string_equal(method, "POST");
    if (!r) {
        *state = calloc(1, sizeof *r);
        return MHD_YES;
    }
    if (*n > 0) {
        buf_put(&r->body, data, *n);
        *n = 0;
        return MHD_YES;
    }
    unsigned status = finish(c, r);
    free(r);
    *state = NULL;
    struct MHD_Response *answer =
        MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    if (status == 302)
        MHD_add_response_header(answer, "Location", "/elsewhere");
    enum MHD_Result ok = MHD_queue_response(c, status, answer);
    MHD_destroy_response(answer);
    return ok;
}

static int setup(void **state)
{
    (void)state;
    pthread_mutex_init(&web.mutex, NULL);
    web.daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
                                  on_request, NULL, MHD_OPTION_END);
    assert_non_null(web.daemon);
    web.port = MHD_get_daemon_info(web.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    MHD_stop_daemon(web.daemon);
    for (int i = 0; i < web.count; i++)
        buf_clear(&web.list[i].body);
    return 0;
}

/* The first delivery from `from` on of that event with that answer; waited for. */
static int await(int from, const char *event, unsigned status)
{
    uint64_t until_us = clock_mono_us() + 60000000;
    for (;;) {
        int found = -1;
        pthread_mutex_lock(&web.mutex);
        for (int i = from; i < web.count && found < 0; i++)
            if (strcmp(web.list[i].event, event) == 0 && web.list[i].status == status)
                found = i;
        pthread_mutex_unlock(&web.mutex);
        if (found >= 0)
            return found;
        if (clock_mono_us() > until_us)
            fail_msg("no %s was sent and answered with %u", event, status);
        kit_pause();
    }
}

static int count_now(void)
{
    pthread_mutex_lock(&web.mutex);
    int n = web.count;
    pthread_mutex_unlock(&web.mutex);
    return n;
}

static void answer_with(unsigned status, int failures)
{
    pthread_mutex_lock(&web.mutex);
    web.answer = status;
    web.failures = failures;
    pthread_mutex_unlock(&web.mutex);
}

static struct kit *open_kit(const char *events)
{
    struct kit *k = kit_open();
    struct settings *s = &k->options.settings;
    struct error err;
    snprintf(s->webhook_secret_file, SETTING_TEXT_BYTES, "%s/secret", k->dir);
    assert_int_equal(file_write(s->webhook_secret_file, SECRET "\n", strlen(SECRET) + 1, &err),
                     ST_OK);
    snprintf(s->webhooks, SETTING_TEXT_BYTES, "http://127.0.0.1:%d/hook?token=abc", web.port);
    snprintf(s->webhook_events, SETTING_TEXT_BYTES, "%s", events);
    k->options.no_worker = true;
    kit_start(k);
    return k;
}

static void check_signature(const struct received *r)
{
    unsigned long long t;
    char given[65], made[65];
    unsigned char mac[32];
    struct buf text;
    assert_int_equal(sscanf(r->signature, "t=%llu,v1=%64s", &t, given), 2);
    buf_init(&text);
    buf_printf(&text, "%llu.%s", t, (const char *)r->body.data);
    assert_int_equal(gnutls_hmac_fast(GNUTLS_MAC_SHA256, SECRET, strlen(SECRET), text.data,
                                      text.size_bytes, mac),
                     0);
    for (int i = 0; i < 32; i++)
        snprintf(made + 2 * i, 3, "%02x", mac[i]);
    assert_string_equal(given, made);
    assert_true(t + 600 > clock_wall_us() / 1000000);
    buf_clear(&text);
}

static void events_are_delivered_signed(void **state)
{
    (void)state;
    int from = count_now();
    struct kit *k = open_kit("");
    kit_hello(k, "gate");
    int i = await(from, "camera.joined", 204);
    const struct received *r = &web.list[i];
    check_signature(r);
    assert_non_null(strstr(r->type, "application/cloudevents+json"));
    json_t *o = json_loads((const char *)r->body.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "type")),
                        "io.attune.camera.joined.v1");
    assert_string_equal(json_string_value(json_object_get(o, "subject")), "camera/gate");
    assert_string_equal(json_string_value(json_object_get(o, "id")), r->delivery);
    json_decref(o);
    /* In the order of their numbers. */
    for (int n = from + 1; n < count_now(); n++)
        assert_true(atoi(web.list[n].delivery) > atoi(web.list[n - 1].delivery));
    struct answer a = {0};
    kit_ask(k, "GET", "/metrics", NULL, 0, &a);
    assert_non_null(
        strstr((const char *)a.body.data, "attune_queue_dropped_total{queue=\"webhook\"} 0"));
    assert_null(strstr((const char *)a.body.data, "token"));
    answer_clear(&a);
    kit_close(&k);
}

static void what_fails_is_tried_again(void **state)
{
    (void)state;
    int from = count_now();
    answer_with(0, 1);
    struct kit *k = open_kit("camera_joined camera_back");
    kit_hello(k, "gate");
    int first = await(from, "camera.joined", 503), second = await(from, "camera.joined", 204);
    assert_true(second > first);
    assert_string_equal(web.list[first].delivery, web.list[second].delivery);
    /* The filter: nothing else came, server_started among it. */
    assert_int_equal(first, from);
    assert_int_equal(second, from + 1);
    kit_close(&k);
}

static void what_is_refused_is_not(void **state)
{
    (void)state;
    int from = count_now();
    struct kit *k = open_kit("camera_joined");
    answer_with(302, 0); /* not followed */
    kit_hello(k, "gate");
    await(from, "camera.joined", 302);
    answer_with(0, 0);
    kit_hello(k, "yard");
    int next = await(from + 1, "camera.joined", 204);
    assert_int_equal(next, from + 1);
    struct hooks_counts n;
    hooks_counts(k->server->hooks, &n);
    assert_int_equal(n.dropped, 1);
    kit_close(&k);
}

/* What happened while it was down, and what was not delivered, comes after the start. */
static void it_goes_on_after_a_restart(void **state)
{
    (void)state;
    int from = count_now();
    struct kit *k = open_kit("camera_joined");
    kit_hello(k, "gate");
    await(from, "camera.joined", 204);
    answer_with(0, 1000);
    kit_hello(k, "yard");
    await(from, "camera.joined", 503);
    kit_stop(k);
    answer_with(0, 0);
    int between = count_now();
    kit_start(k);
    int i = await(between, "camera.joined", 204);
    assert_non_null(strstr((const char *)web.list[i].body.data, "camera/yard"));
    kit_close(&k);
}

/* ---- while it starts and stops ---- */

/* Connections are taken and nothing is ever answered. */
static int open_silent(int *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

struct asker {
    char url[80];
    pthread_t thread;
    atomic_bool end;
    atomic_int answered;
};

static size_t on_answer(char *data, size_t one, size_t n, void *context)
{
    (void)data;
    struct asker *a = context;
    atomic_fetch_add(&a->answered, 1);
    return one * n;
}

/* Whether somebody listens or not. */
static void *ask_again_and_again(void *context)
{
    struct asker *a = context;
    while (!atomic_load(&a->end)) {
        CURL *c = curl_easy_init();
        curl_easy_setopt(c, CURLOPT_URL, a->url);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
        curl_easy_perform(c);
        curl_easy_cleanup(c);
        kit_pause();
    }
    return NULL;
}

static void await_answer(const struct asker *a)
{
    uint64_t until_us = clock_mono_us() + 60000000;
    while (atomic_load(&a->answered) == 0) {
        if (clock_mono_us() > until_us)
            fail_msg("no answer from %s", a->url);
        kit_pause();
    }
}

/* Requests come at any moment, an event stream is open, and neither broker nor receiver ever
 * answers: parts are not asked for before they are there nor after they are gone (sanitizers see
 * that), and the server ends. */
static void it_starts_and_stops_under_requests(void **state)
{
    (void)state;
    static const char *const paths[] = {"/metrics", "/v1/compute/series", "/v1/cameras",
                                        "/v1/events"};
    enum { ASKERS = sizeof paths / sizeof paths[0] };
    struct asker askers[ASKERS] = {0};
    struct kit *k = kit_open();
    struct settings *s = &k->options.settings;
    int silent_port, silent = open_silent(&silent_port), port = kit_free_port();
    snprintf(s->http, SETTING_TEXT_BYTES, "127.0.0.1:%d", port);
    snprintf(s->mqtt, SETTING_TEXT_BYTES, "127.0.0.1:%d", silent_port);
    snprintf(s->webhooks, SETTING_TEXT_BYTES, "http://127.0.0.1:%d/", silent_port);
    k->options.worker_argv = kit_worker_argv;
    for (int i = 0; i < ASKERS; i++) {
        snprintf(askers[i].url, sizeof askers[i].url, "http://127.0.0.1:%d%s", port, paths[i]);
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_again_and_again, &askers[i]),
                         0);
    }
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < ASKERS; i++)
            atomic_store(&askers[i].answered, 0); /* nobody is there to answer */
        kit_start(k);
        for (int i = 0; i < ASKERS; i++)
            await_answer(&askers[i]);
        kit_stop(k);
    }
    for (int i = 0; i < ASKERS; i++)
        atomic_store(&askers[i].end, true);
    for (int i = 0; i < ASKERS; i++)
        pthread_join(askers[i].thread, NULL);
    close(silent);
    kit_close(&k);
}

static void bad_settings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *urls, *events, *secret;
    } bad[] = {{"ftp://host/x", "", ""},
               {"https://", "", ""},
               {"https://a https://b https://c https://d https://e", "", ""},
               {"https://host/", "labelled", ""},
               {"https://host/", "", "/nowhere/at/all"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {0};
        struct kit *k = kit_open();
        struct settings *s = &k->options.settings;
        k->options.no_worker = true;
        snprintf(s->webhooks, SETTING_TEXT_BYTES, "%s", bad[i].urls);
        snprintf(s->webhook_events, SETTING_TEXT_BYTES, "%s", bad[i].events);
        snprintf(s->webhook_secret_file, SETTING_TEXT_BYTES, "%s", bad[i].secret);
        assert_true(server_open(&k->options, &k->server, &err) != ST_OK);
        assert_true(strlen(err.message) > 10);
        kit_close(&k);
    }
    char host[WEBHOOK_HOST_CHARS_MAX + 1];
    assert_true(webhook_url_is_valid("https://user:word@host.lan:99/secret", host));
    assert_string_equal(host, "host.lan:99");
    assert_false(webhook_url_is_valid("https://ho st/", host));
    char shown[WEBHOOK_LIST_BYTES_MAX];
    webhook_list_show("http://a.b http://c.d/, https://ann:word@hooks.e:99/T0/secret ftp://x/word",
                      shown, sizeof shown);
    assert_string_equal(shown, "http://a.b http://c.d/ https://hooks.e:99/*** ***");
}

/* attune events --json: the lines are the interface's objects. */
static void events_are_lines(void **state)
{
    (void)state;
    char command[600], line[4096];
    struct kit *k = open_kit("camera_joined");
    kit_hello(k, "gate");
    kit_hello(k, "yard");
    assert_non_null(getenv("ATTUNE_PROGRAM"));
    snprintf(command, sizeof command,
             "%s events --json --kind camera_joined --server http://127.0.0.1:%d",
             getenv("ATTUNE_PROGRAM"), server_http_port(k->server));
    FILE *f = popen(command, "r");
    assert_non_null(f);
    json_int_t last = 0;
    int count = 0;
    for (; fgets(line, sizeof line, f); count++) {
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_string_equal(json_string_value(json_object_get(o, "kind")), "camera_joined");
        assert_true(json_integer_value(json_object_get(o, "id")) > last);
        last = json_integer_value(json_object_get(o, "id"));
        json_decref(o);
    }
    assert_int_equal(pclose(f), 0);
    assert_int_equal(count, 2);
    kit_close(&k);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_delivered_signed),
        cmocka_unit_test(what_fails_is_tried_again),
        cmocka_unit_test(what_is_refused_is_not),
        cmocka_unit_test(it_goes_on_after_a_restart),
        cmocka_unit_test(it_starts_and_stops_under_requests),
        cmocka_unit_test(bad_settings_are_refused),
        cmocka_unit_test(events_are_lines),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
