/* Sessions, failed attempts, rates and the labeller's time on a clock of our own: what ends, what
 * waits, what is bounded. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/secret.h"
#include "server/attempts.h"
#include "server/label_queue.h"
#include "server/rates.h"
#include "server/sessions.h"

#define S ((uint64_t)1000000)

/* ---- sessions ---- */

static bool signed_in(struct sessions *s, const char *id, bool touch, uint64_t now_us)
{
    char hex[65];
    struct session found;
    file_sha256_hex(id, strlen(id), hex);
    return sessions_find(s, hex, touch, now_us, &found);
}

static void sessions_end_by_idleness_and_age(void **state)
{
    (void)state;
    struct sessions *s;
    assert_int_equal(sessions_open(10 * S, 25 * S, &s, NULL), ST_OK);
    sessions_begin(s, "a", "ann", "view", 100 * S);
    sessions_begin(s, "b", "bob", "operate", 100 * S);
    assert_true(signed_in(s, "a", true, 109 * S));
    assert_true(signed_in(s, "b", false, 110 * S)); /* a look is no use */
    assert_true(signed_in(s, "a", true, 119 * S));
    assert_false(signed_in(s, "b", true, 111 * S));
    assert_true(signed_in(s, "a", true, 125 * S));
    assert_false(signed_in(s, "a", true, 126 * S)); /* used, but old */
    sessions_begin(s, "a", "ann", "view", 200 * S);
    sessions_begin(s, "c", "ann", "view", 200 * S);
    sessions_begin(s, "b", "bob", "view", 200 * S);
    assert_true(signed_in(s, "a", true, 199 * S)); /* a clock read a moment earlier */
    sessions_end_user(s, "ann");
    assert_false(signed_in(s, "a", true, 201 * S) || signed_in(s, "c", true, 201 * S));
    assert_true(signed_in(s, "b", true, 201 * S));
    sessions_close(&s);
}

static void sessions_are_bounded(void **state)
{
    (void)state;
    struct sessions *s;
    char id[32];
    assert_int_equal(sessions_open(1000 * S, 1000 * S, &s, NULL), ST_OK);
    for (int i = 0; i < SESSIONS_MAX; i++) {
        snprintf(id, sizeof id, "id %d", i);
        sessions_begin(s, id, "ann", "view", (uint64_t)i);
    }
    assert_true(signed_in(s, "id 0", true, 1000)); /* now 1 is the one unused for longest */
    sessions_begin(s, "new", "ann", "view", 1001);
    assert_true(signed_in(s, "id 0", true, 1002) && signed_in(s, "new", true, 1002));
    assert_false(signed_in(s, "id 1", true, 1002));
    sessions_close(&s);
}

/* One thread of several that sign in, look and sign out in one table. */
static void *use_sessions(void *context)
{
    struct sessions *s = context;
    char id[64];
    for (int i = 0; i < 400; i++) {
        snprintf(id, sizeof id, "%p %d", (void *)&i, i);
        sessions_begin(s, id, i % 2 ? "ann" : "bob", "view", (uint64_t)i);
        (void)signed_in(s, id, true, (uint64_t)i);
        if (i % 16 == 0)
            sessions_end_user(s, "ann");
    }
    return NULL;
}

static void sessions_are_shared(void **state)
{
    (void)state;
    struct sessions *s;
    pthread_t threads[4];
    assert_int_equal(sessions_open(S, S, &s, NULL), ST_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_sessions, s), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    sessions_close(&s);
}

/* ---- attempts ---- */

static void waits_double_up_to_a_bound(void **state)
{
    (void)state;
    struct attempts *a;
    uint64_t now_us = 1000 * S;
    assert_int_equal(attempts_open(60, &a, NULL), ST_OK);
    for (int i = 0; i < ATTEMPTS_FREE; i++) {
        attempts_failed(a, "ann", now_us);
        assert_true(attempts_wait_s(a, "ann", now_us) == 0);
    }
    static const double waits_s[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (size_t i = 0; i < sizeof waits_s / sizeof waits_s[0]; i++) {
        attempts_failed(a, "ann", now_us);
        assert_true(attempts_wait_s(a, "ann", now_us) == waits_s[i]);
        assert_true(attempts_wait_s(a, "bob", now_us) == 0);
        now_us += (uint64_t)(waits_s[i] * 1e6);
        assert_true(attempts_wait_s(a, "ann", now_us) == 0);
    }
    attempts_failed(a, "ann", now_us + ATTEMPTS_FORGET_US + 1); /* long ago is forgotten */
    assert_true(attempts_wait_s(a, "ann", now_us + ATTEMPTS_FORGET_US + 1) == 0);
    attempts_succeeded(a, "ann");
    attempts_succeeded(a, "nobody");
    attempts_close(&a);
}

static void attempts_are_bounded(void **state)
{
    (void)state;
    struct attempts *a;
    char key[32];
    assert_int_equal(attempts_open(60, &a, NULL), ST_OK);
    for (int i = 0; i < ATTEMPTS_FREE + 1; i++)
        attempts_failed(a, "victim", (uint64_t)ATTEMPTS_ROWS_MAX * S);
    for (int i = 0; i < 3 * ATTEMPTS_ROWS_MAX; i++) {
        snprintf(key, sizeof key, "key %d", i);
        attempts_failed(a, key, (uint64_t)i * 1000);
    }
    assert_true(attempts_wait_s(a, "victim", (uint64_t)ATTEMPTS_ROWS_MAX * S) > 0);
    attempts_close(&a);
}

/* ---- rates ---- */

static void a_bucket_gives_its_rate_and_burst(void **state)
{
    (void)state;
    struct rates *r;
    uint64_t now_us = 50 * S;
    int taken = 0;
    assert_int_equal(rates_open(5, 20, &r, NULL), ST_OK);
    for (int i = 0; i < 1000; i++) { /* ten seconds, a hundred requests in each */
        taken += rates_take(r, "a", 1, now_us) == 0;
        now_us += S / 100;
    }
    assert_in_range(taken, 20 + 49, 20 + 50);
    assert_true(rates_take(r, "b", 20, now_us) == 0); /* others are not touched */
    double wait_s = rates_take(r, "b", 1, now_us);
    assert_true(wait_s > 0.199 && wait_s < 0.201);
    assert_true(rates_take(r, "b", 1, now_us + (uint64_t)(wait_s * 1e6) + 1) == 0);
    assert_true(rates_take(r, "c", 1000, now_us) == 0); /* more than fits: when it is full */
    assert_true(rates_take(r, "c", 1000, now_us + S) > 0);
    assert_true(rates_take(r, "c", 1000, now_us + 4 * S) == 0);
    rates_close(&r);
}

static void rates_are_bounded(void **state)
{
    (void)state;
    struct rates *r;
    char key[32];
    assert_int_equal(rates_open(1, 1, &r, NULL), ST_OK);
    for (int i = 0; i < RATES_ROWS_MAX + 100; i++) {
        snprintf(key, sizeof key, "key %d", i);
        assert_true(rates_take(r, key, 1, (uint64_t)i) == 0);
    }
    assert_true(rates_take(r, key, 1, RATES_ROWS_MAX + 100) > 0); /* the newest is known */
    assert_true(rates_take(r, "key 0", 1, RATES_ROWS_MAX + 100) == 0);
    rates_close(&r);
}

/* ---- the labeller's time ---- */

static void put(struct store *s, const char *camera, uint64_t seq, uint64_t t_us)
{
    bool is_new;
    struct store_camera c = {.width = 48, .height = 32, .fps = 30, .sampling_fps = 1};
    snprintf(c.id, sizeof c.id, "%s", camera);
    assert_int_equal(store_camera_hello(s, &c, &is_new, NULL), ST_OK);
    assert_int_equal(store_chunk_put(s, camera, seq, camera, 1, t_us, &is_new, NULL), ST_OK);
}

/* Labels the next chunk, which is to be of that camera and takes so long. */
static void expect_next(struct label_queue *q, struct store *s, const char *camera, uint64_t seq,
                        uint64_t took_us)
{
    struct store_chunk c;
    assert_int_equal(label_queue_next(q, s, &c, NULL), ST_OK);
    assert_string_equal(c.camera, camera);
    assert_int_equal(c.seq, seq);
    label_queue_took(q, c.camera, took_us);
    assert_int_equal(store_chunk_failed(s, c.camera, c.seq, NULL), ST_OK);
}

/* A flood of chunks that are dear to label is before nobody else's but the first. */
static void a_camera_makes_only_itself_wait(void **state)
{
    (void)state;
    char dir[] = "/tmp/attune-queue-XXXXXX", command[64];
    struct label_queue q;
    struct store_options o;
    struct store_chunk c;
    struct store *s;
    store_options_init(&o);
    o.disk_free_min_mb = 0;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(store_open(dir, &o, &s, NULL), ST_OK);
    assert_int_equal(label_queue_init(&q, 4, NULL), ST_OK);
    assert_int_equal(label_queue_next(&q, s, &c, NULL), ST_NOT_FOUND);
    for (uint64_t i = 1; i <= 5; i++)
        put(s, "loud", i, i);
    for (uint64_t i = 1; i <= 3; i++)
        put(s, "calm", i, 10 + i);
    expect_next(&q, s, "loud", 1, 10 * S);
    expect_next(&q, s, "calm", 1, 1 * S);
    expect_next(&q, s, "calm", 2, 1 * S);
    put(s, "new", 1, 30); /* begins where the others are */
    put(s, "new", 2, 31);
    expect_next(&q, s, "new", 1, 3 * S);
    expect_next(&q, s, "calm", 3, 1 * S);
    expect_next(&q, s, "new", 2, 7 * S);
    expect_next(&q, s, "loud", 2, 1 * S);
    put(s, "calm", 4, 40); /* was away, and has saved nothing up */
    put(s, "calm", 5, 41);
    put(s, "calm", 6, 42);
    expect_next(&q, s, "calm", 4, 2 * S);
    expect_next(&q, s, "loud", 3, 3 * S);
    expect_next(&q, s, "calm", 5, 1 * S);
    expect_next(&q, s, "calm", 6, 1 * S);
    expect_next(&q, s, "loud", 4, 1 * S);
    expect_next(&q, s, "loud", 5, 1 * S);
    assert_int_equal(label_queue_next(&q, s, &c, NULL), ST_NOT_FOUND);
    label_queue_clear(&q);
    store_close(&s);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* ---- secrets ---- */

static void secrets(void **state)
{
    (void)state;
    char one[SECRET_TOKEN_CHARS + 1], other[SECRET_TOKEN_CHARS + 1];
    char hash[PASSWORD_HASH_CHARS_MAX + 1], again[PASSWORD_HASH_CHARS_MAX + 1], longer[300];
    static const unsigned char key[32] = {7}, another[32] = {8};
    assert_int_equal(secret_token(one, NULL), ST_OK);
    assert_int_equal(secret_token(other, NULL), ST_OK);
    assert_true(secret_token_valid(one) && secret_token_valid(other));
    assert_string_not_equal(one, other);
    assert_false(secret_token_valid("attune_") || secret_token_valid(one + 1));
    assert_true(secret_equal(one, one) && !secret_equal(one, other) &&
                !secret_equal(one, "attune_"));
    /* HMAC-SHA-256 of "gate" as Python's hmac has it. */
    secret_token_of(key, "gate", one);
    assert_string_equal(one,
                        "attune_e4af2bfdc8436c0bd187f1d299c86acd5f3edfd63c375e2b834325f708c3e51b");
    secret_token_of(another, "gate", other);
    assert_string_not_equal(one, other);
    assert_int_equal(password_hash("long enough", hash, NULL), ST_OK);
    assert_int_equal(password_hash("long enough", again, NULL), ST_OK);
    assert_string_not_equal(hash, again); /* a salt each */
    assert_true(strncmp(hash, "$y$", 3) == 0);
    assert_true(password_fits("long enough", hash) && password_fits("long enough", again));
    assert_false(password_fits("long enougH", hash) || password_fits("", hash));
    assert_false(password_fits("long enough", "") || password_fits("x", "nonsense"));
    assert_int_equal(password_hash("short", hash, NULL), ST_INVALID);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(password_hash(longer, hash, NULL), ST_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_end_by_idleness_and_age),
        cmocka_unit_test(sessions_are_bounded),
        cmocka_unit_test(sessions_are_shared),
        cmocka_unit_test(waits_double_up_to_a_bound),
        cmocka_unit_test(attempts_are_bounded),
        cmocka_unit_test(a_bucket_gives_its_rate_and_burst),
        cmocka_unit_test(rates_are_bounded),
        cmocka_unit_test(a_camera_makes_only_itself_wait),
        cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
