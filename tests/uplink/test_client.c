/* The camera's HTTP client against a server that fails in every way that networks know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fake_server.h"
#include "uplink/client.h"

static struct fake_server *server;
static struct client *client;
static struct error err;

static struct client *open_client(int port)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
    struct client_options o;
    client_options_init(&o);
    o.url = url;
    o.camera_id = "gate-1";
    o.request_timeout_s = 1;
    struct client *c = NULL;
    assert_int_equal(client_open(&o, &c, &err), ST_OK);
    return c;
}

static int start(void **state)
{
    (void)state;
    server = fake_server_start(0);
    if (!server)
        return -1;
    client = open_client(fake_server_port(server));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    client_close(&client);
    fake_server_stop(&server);
    return 0;
}

static enum status hello(struct client_settings *ret)
{
    const struct client_hello h = {.student_identity_hex = "ab",
                                   .task = "segment",
                                   .width = 320,
                                   .height = 192,
                                   .fps = 12.5,
                                   .version = 3};
    return client_say_hello(client, &h, ret, &err);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct {
        const char *url, *id;
        enum status want;
    } rows[] = {
        {"http://example.org:80", "a", ST_DENIED},
        {"http://127.0.0.1.example.org", "a", ST_DENIED},
        {"ftp://127.0.0.1", "a", ST_INVALID},
        {"no url", "a", ST_INVALID},
        {"https://example.org:8443", "", ST_INVALID},
        {"https://example.org:8443", "A", ST_INVALID},
        {"https://example.org:8443", "a/b", ST_INVALID},
        {"https://example.org:8443", "a", ST_OK},
        {"http://[::1]:80", "a", ST_OK},
        {"http://localhost:80", "a", ST_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client_options o;
        client_options_init(&o);
        o.url = rows[i].url;
        o.camera_id = rows[i].id;
        struct client *c = NULL;
        assert_int_equal(client_open(&o, &c, &err), rows[i].want);
        client_close(&c);
    }
}

static void hello_reads_settings(void **state)
{
    (void)state;
    fake_server_settings(server, 0.5, 10, 150, 42);
    fake_server_version(server, 9);
    struct client_settings s;
    assert_int_equal(hello(&s), ST_OK);
    assert_int_equal(s.version, 9);
    assert_int_equal(s.next_seq, 42);
    assert_true(s.sampling_fps == 0.5 && s.chunk_s == 10 && s.uplink_kbps == 150 && s.adapt);
    fake_server_settings(server, 1e9, 1e9, 0.001, 1); /* wild wishes are brought into bounds */
    assert_int_equal(hello(&s), ST_OK);
    assert_true(s.sampling_fps == 30 && s.chunk_s == 600 && s.uplink_kbps == 1);
    fake_server_settings(server, -1, 10, 10, 1);
    assert_int_equal(hello(&s), ST_OK);
    assert_true(s.sampling_fps == 0.01);
}

static void chunks_are_acknowledged_once_stored(void **state)
{
    (void)state;
    static uint8_t big[300000];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 7 + i / 251);
    struct client_put put;
    assert_int_equal(client_put_chunk(client, 5, big, sizeof big, &put, &err), ST_OK);
    assert_false(put.already);
    assert_true(put.sampling_fps == 1);
    assert_int_equal(client_put_chunk(client, 5, big, sizeof big, &put, &err), ST_OK);
    assert_true(put.already);
    struct fake_chunk c = fake_server_chunk(server, 0);
    assert_int_equal(c.seq, 5);
    assert_int_equal(c.n, sizeof big);
    assert_memory_equal(c.bytes, big, sizeof big);
    /* Stored, but the camera cannot know. Twice: libcurl itself tries a kept-alive connection
     * that died once more. */
    fake_server_spoil(server, FAULT_LOST_ANSWER, 2);
    assert_int_equal(client_put_chunk(client, 6, "x", 1, &put, &err), ST_NETWORK);
    assert_int_equal(client_put_chunk(client, 6, "x", 1, &put, &err), ST_OK);
    assert_true(put.already);
    struct client_traffic t;
    client_traffic_get(client, &t);
    assert_true(t.up_bytes > 2 * sizeof big && t.up_bytes < 2 * sizeof big + 4000);
    assert_true(t.down_bytes > 100 && t.down_bytes < 4000);
    assert_int_equal(t.failures, 1);
}

static void pacing_is_switched_on_and_off(void **state)
{
    (void)state;
    static uint8_t big[300000];
    struct gaimd_options o;
    struct client_pacing p;
    struct client_put put;
    gaimd_options_init(&o);
    o.rate_min_kbps = 2000;
    o.rate_start_kbps = 8000;
    o.rate_max_kbps = 50000;
    client_pacing_get(client, &p);
    assert_true(p.rate_kbps == 0);
    client_pace(client, &o);
    for (uint64_t seq = 1; seq <= 3; seq++) { /* the first opens the connection */
        memset(big, (int)seq, sizeof big);
        assert_int_equal(client_put_chunk(client, seq, big, sizeof big, &put, &err), ST_OK);
        client_pacing_get(client, &p);
        assert_true(p.rate_kbps >= o.rate_min_kbps && p.rate_kbps <= o.rate_max_kbps);
    }
    assert_true(p.base_s > 0); /* the kernel was asked, and knew */
    o.rate_max_kbps = 3000;    /* at once */
    client_pace(client, &o);
    client_pacing_get(client, &p);
    assert_true(p.rate_kbps <= 3000);
    client_pace(client, NULL);
    client_pacing_get(client, &p);
    assert_true(p.rate_kbps == 0);
    assert_int_equal(client_put_chunk(client, 4, big, sizeof big, &put, &err), ST_OK);
    assert_int_equal(fake_server_chunk_count(server), 4);
}

static void failures_have_a_status_each(void **state)
{
    (void)state;
    struct {
        enum fault fault;
        enum status want;
    } rows[] = {
        {FAULT_500, ST_NETWORK},  {FAULT_RESET, ST_NETWORK}, {FAULT_SLOW, ST_NETWORK},
        {FAULT_429, ST_AGAIN},    {FAULT_400, ST_INVALID},   {FAULT_404, ST_NOT_FOUND},
        {FAULT_409, ST_CONFLICT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client_put put = {0};
        fake_server_spoil(server, rows[i].fault, rows[i].fault == FAULT_RESET ? 2 : 1);
        assert_int_equal(client_put_chunk(client, 1, "chunk", 5, &put, &err), rows[i].want);
        fake_server_spoil(server, FAULT_NONE, 0);
        if (rows[i].fault == FAULT_429)
            assert_true(put.retry_after_s == 7);
        if (rows[i].fault == FAULT_400)
            assert_non_null(strstr(err.message, "the chunk is damaged"));
        assert_int_equal(client_put_chunk(client, 1, "chunk", 5, &put, &err), ST_OK);
    }
    struct client_settings s;
    fake_server_spoil(server, FAULT_GARBAGE, 1);
    assert_int_equal(hello(&s), ST_FORMAT);
    struct client_update u = {0};
    fake_server_spoil(server, FAULT_GARBAGE, 1); /* lacks the headers */
    assert_int_equal(client_get_update(client, &(struct client_have){.version = 0}, 0, &u, &err),
                     ST_FORMAT);
    buf_clear(&u.delta);
}

static void updates_come_by_long_poll(void **state)
{
    (void)state;
    struct client_update u = {0};
    buf_init(&u.delta);
    assert_int_equal(client_get_update(client, &(struct client_have){.version = 7}, 0, &u, &err),
                     ST_AGAIN);
    /* Longer than the request timeout of 1 s: waiting is not silence. */
    assert_int_equal(client_get_update(client, &(struct client_have){.version = 7}, 2, &u, &err),
                     ST_AGAIN);
    assert_int_equal(fake_server_have(server), 7);
    fake_server_update(server, 7, 8, "delta bytes", 11);
    assert_int_equal(client_get_update(client, &(struct client_have){.version = 7}, 5, &u, &err),
                     ST_OK);
    assert_int_equal(u.base, 7);
    assert_int_equal(u.version, 8);
    assert_int_equal(u.own, 0); /* the server knows of none */
    assert_int_equal(u.delta.size_bytes, 11);
    assert_memory_equal(u.delta.data, "delta bytes", 11);
    buf_clear(&u.delta);
}

static void a_server_may_go_and_come(void **state)
{
    (void)state;
    struct client_settings s;
    assert_int_equal(hello(&s), ST_OK);
    int port = fake_server_port(server);
    fake_server_stop(&server);
    assert_int_equal(hello(&s), ST_NETWORK);
    assert_non_null(strstr(err.message, "is the server running"));
    server = fake_server_start(port);
    assert_non_null(server);
    assert_int_equal(hello(&s), ST_OK);
    client_cancel(client);
    assert_int_equal(hello(&s), ST_NETWORK);
    assert_int_equal(fake_server_hellos(server), 1);
}

static void back_off_is_bounded_and_jittered(void **state)
{
    (void)state;
    struct backoff b;
    struct rng rng;
    rng_init(&rng, 4, 0);
    backoff_init(&b, 1000, 60000);
    uint64_t whole = 1000, distinct = 0, last = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t wait = backoff_next_us(&b, &rng);
        assert_true(wait >= whole / 2 && wait <= whole);
        distinct += wait != last;
        last = wait;
        whole = whole * 2 > 60000 ? 60000 : whole * 2;
    }
    assert_true(distinct > 150);
    backoff_reset(&b);
    assert_true(backoff_next_us(&b, &rng) <= 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(options_are_checked),
        TEST(hello_reads_settings),
        TEST(chunks_are_acknowledged_once_stored),
        TEST(pacing_is_switched_on_and_off),
        TEST(failures_have_a_status_each),
        TEST(updates_come_by_long_poll),
        TEST(a_server_may_go_and_come),
        cmocka_unit_test(back_off_is_bounded_and_jittered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
