/* What somebody who should not gets: each row is a real request to a real server with auth on. The
 * table "attack | got" is printed at the end. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <gnutls/gnutls.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kit.h"
#include "raw.h"
#include "server/access.h"
#include "server/tls.h"
#include "uplink/chunk.h"
#include "uplink/client.h"
#include "uplink/enroll.h"

#define PASSWORD "correct horse battery"
#define ROWS_MAX 64

static struct kit *kit;
static char table[ROWS_MAX][200];
static int row_count;

static void got(const char *attack, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void got(const char *attack, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(row_count < ROWS_MAX);
    snprintf(table[row_count++], sizeof table[0], "| %s | %s |", attack, text);
}

/* ---- the server ---- */

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    struct settings *s = &kit->options.settings;
    kit->options.no_label_thread = true;
    kit->options.no_worker = true;
    s->auth = true;
    s->requests_per_s = 0;
    s->chunk_bytes_max = 65536;
    snprintf(s->listen, sizeof s->listen, "127.0.0.1:0");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

/* With these headers, NULL for none; the body stays in *a. */
static long ask_into(struct answer *a, const char *method, const char *path, const char *body,
                     const char *one, const char *other)
{
    kit->headers[0] = one;
    kit->headers[1] = one ? other : NULL;
    kit_ask(kit, method, path, body, body ? strlen(body) : 0, a);
    kit->headers[0] = NULL;
    if (a->status >= 400) /* whoever is refused is told why */
        assert_non_null(strstr((const char *)a->body.data, "\"error\":\""));
    return a->status;
}

static long ask(const char *method, const char *path, const char *body, const char *one,
                const char *other)
{
    struct answer a = {0};
    long status = ask_into(&a, method, path, body, one, other);
    answer_clear(&a);
    return status;
}

static const char *bearer(const char *token)
{
    static char text[4][128];
    static int next;
    char *to = text[next++ % 4];
    snprintf(to, sizeof text[0], "Authorization: Bearer %s", token);
    return to;
}

/* A camera that was enrolled by the front door, and has said hello: ret_token. */
static void enrolled(const char *camera, char *ret_token)
{
    char code[CODE_CHARS + 1], path[128], body[512];
    uint64_t expires_us;
    struct code parts;
    struct error err = {0};
    struct answer a = {0};
    assert_int_equal(access_code(kit->server->access, camera, code, &expires_us, &err), ST_OK);
    assert_int_equal(code_read(code, &parts, &err), ST_OK);
    snprintf(body, sizeof body, "{\"code\":\"%s\"}", parts.secret);
    assert_int_equal(ask_into(&a, "POST", "/v1/enroll", body, NULL, NULL), 201);
    json_t *o = json_loads((const char *)a.body.data, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "camera")), camera);
    snprintf(ret_token, SECRET_TOKEN_CHARS + 1, "%s",
             json_string_value(json_object_get(o, "token")));
    json_decref(o);
    answer_clear(&a);
    snprintf(path, sizeof path, "/v1/cameras/%s/hello", camera);
    snprintf(body, sizeof body,
             "{\"student\":\"%s\",\"width\":48,\"height\":32,\"fps\":30,\"version\":0}",
             kit->identity_hex);
    assert_int_equal(ask("POST", path, body, bearer(ret_token), NULL), 200);
}

/* Signs in; ret: the header that a browser sends from then on. */
static void signed_in(const char *user, const char *role, char ret[160])
{
    struct error err = {0};
    struct answer a = {0};
    char body[128];
    assert_int_equal(access_user_put(kit->server->access, user, role, PASSWORD, &err), ST_OK);
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"%s\"}", user, PASSWORD);
    assert_int_equal(ask_into(&a, "POST", "/v1/session", body, NULL, NULL), 204);
    const char *cookie = strstr(a.headers, "Set-Cookie: attune-session=");
    assert_non_null(cookie);
    assert_non_null(strstr(cookie, "HttpOnly; SameSite=Strict"));
    snprintf(ret, 160, "Cookie: %.86s", cookie + strlen("Set-Cookie: "));
    answer_clear(&a);
}

static void make_chunk(const char *camera, uint64_t seq, int pictures, struct buf *out)
{
    buf_init(out);
    kit_chunk(camera, seq, pictures, 1000000, 0, out);
}

static long put_chunk(const struct buf *chunk, const char *path, const char *token)
{
    kit->headers[0] = token ? bearer(token) : NULL;
    struct answer a = {0};
    kit_ask(kit, "PUT", path, chunk->data, chunk->size_bytes, &a);
    kit->headers[0] = NULL;
    answer_clear(&a);
    return a.status;
}

/* ---- tokens ---- */

static void tokens_of_others(void **state)
{
    (void)state;
    char gate[SECRET_TOKEN_CHARS + 1], yard[SECRET_TOKEN_CHARS + 1],
        made_up[] = "attune_0000000000000000000000000000000000000000000000000000000000000000";
    struct buf one, other;
    kit_start(kit);
    enrolled("gate", gate);
    enrolled("yard", yard);
    make_chunk("gate", 1, 3, &one);
    make_chunk("gate", 1, 2, &other);
    static const char path[] = "/v1/cameras/gate/chunks/1";
    long none = put_chunk(&one, path, NULL), unknown = put_chunk(&one, path, made_up);
    long foreign = put_chunk(&one, path, yard);
    assert_int_equal(none, 401);
    assert_int_equal(unknown, 401);
    assert_int_equal(foreign, 403);
    got("upload without a token", "%ld", none);
    got("upload with a token that was made up", "%ld", unknown);
    got("upload with another camera's token", "%ld", foreign);
    assert_int_equal(put_chunk(&one, path, gate), 201);
    long again = put_chunk(&one, path, gate), changed = put_chunk(&other, path, gate);
    long replayed = put_chunk(&one, path, yard);
    assert_int_equal(again, 200);
    assert_int_equal(changed, 409);
    assert_int_equal(replayed, 403);
    got("upload replayed by the camera itself, the same bytes", "%ld, stored once", again);
    got("the same number with other bytes", "%ld", changed);
    got("upload replayed with another camera's token", "%ld", replayed);
    long page = ask("GET", "/v1/cameras", NULL, bearer(gate), NULL);
    assert_int_equal(page, 403);
    got("a camera's token for what the page shows", "%ld", page);
    assert_int_equal(ask("GET", "/v1/cameras", NULL, "Authorization: Basic YTpi", NULL), 401);
    buf_clear(&one);
    buf_clear(&other);
}

static void *poll_update(void *context)
{
    struct answer *a = context;
    kit_ask(kit, "GET", "/v1/cameras/gate/updates?have=0&wait_s=60", NULL, 0, a);
    return NULL;
}

static void await_waiter(void)
{
    for (int i = 0; atomic_load(&kit->server->counters.waiters) == 0; i++) {
        assert_true(i < 2000);
        kit_pause();
    }
}

static void revoked_tokens(void **state)
{
    (void)state;
    char gate[SECRET_TOKEN_CHARS + 1];
    struct error err = {0};
    struct answer waiting = {0}, a = {0};
    pthread_t thread;
    kit_start(kit);
    enrolled("gate", gate);
    kit->headers[0] = bearer(gate);
    assert_int_equal(pthread_create(&thread, NULL, poll_update, &waiting), 0);
    await_waiter();
    kit->headers[0] = NULL;
    assert_int_equal(access_revoke(kit->server->access, STORE_TOKEN_CAMERA, "gate", &err), ST_OK);
    pthread_join(thread, NULL);
    assert_int_equal(waiting.status, 403);
    long status = ask_into(&a, "GET", "/v1/cameras/gate/settings", NULL, bearer(gate), NULL);
    assert_int_equal(status, 401);
    assert_non_null(strstr((const char *)a.body.data, "revoked"));
    got("revoked token", "%ld, and says so", status);
    got("long poll that waits when its token is revoked", "ended at once with %ld", waiting.status);
    answer_clear(&a);
    answer_clear(&waiting);
}

static void scripts_and_streams(void **state)
{
    (void)state;
    char token[SECRET_TOKEN_CHARS + 1];
    struct error err = {0};
    struct camera_settings here = {.id = "hall", .source = "town:"};
    kit->options.camera_program = "/bin/true";
    kit->options.cameras = (struct camera_list){.cameras = &here, .count = 1};
    kit_start(kit);
    struct access *a = kit->server->access;
    assert_int_equal(access_token(a, "prometheus", "view", token, &err), ST_OK);
    assert_int_equal(ask("GET", "/metrics", NULL, bearer(token), NULL), 200);
    assert_int_equal(ask("GET", "/metrics", NULL, NULL, NULL), 401);
    long changes = ask("DELETE", "/v1/access/cameras/gate", NULL, bearer(token), NULL);
    assert_int_equal(changes, 403);
    got("a script's token of role view where operate is needed", "%ld", changes);
    assert_int_equal(access_token(a, "prometheus", "view", token, &err), ST_OK); /* anew */
    assert_int_equal(access_revoke(a, STORE_TOKEN_SCRIPT, "prometheus", &err), ST_OK);
    assert_int_equal(ask("GET", "/metrics", NULL, bearer(token), NULL), 401);
    /* A stream's child is that camera and no other. */
    access_stream_token(a, "hall", token);
    assert_int_equal(ask("GET", "/v1/cameras/hall/settings", NULL, bearer(token), NULL), 404);
    assert_int_equal(ask("GET", "/v1/cameras/yard/settings", NULL, bearer(token), NULL), 401);
    assert_int_equal(ask("GET", "/v1/cameras", NULL, bearer(token), NULL), 401);
    kit_stop(kit);
    kit->options.cameras = (struct camera_list){0};
}

/* ---- enrolment ---- */

static void codes(void **state)
{
    (void)state;
    char code[CODE_CHARS + 1], body[128];
    uint64_t expires_us;
    struct code parts;
    struct error err = {0};
    kit_start(kit);
    struct access *a = kit->server->access;
    assert_int_equal(access_code(a, "gate", code, &expires_us, &err), ST_OK);
    assert_int_equal(code_read(code, &parts, &err), ST_OK);
    snprintf(body, sizeof body, "{\"code\":\"%s\",\"camera\":\"yard\"}", parts.secret);
    assert_int_equal(ask("POST", "/v1/enroll", body, NULL, NULL), 409);
    snprintf(body, sizeof body, "{\"code\":\"%s\"}", parts.secret);
    assert_int_equal(ask("POST", "/v1/enroll", body, NULL, NULL), 201);
    long again = ask("POST", "/v1/enroll", body, NULL, NULL), guess = 401;
    assert_int_equal(again, 401);
    got("enrolment code used a second time", "%ld", again);
    int guesses = 1;
    for (; guess == 401 && guesses < 20; guesses++) {
        snprintf(body, sizeof body, "{\"code\":\"%016d\"}", guesses);
        guess = ask("POST", "/v1/enroll", body, NULL, NULL);
    }
    assert_int_equal(guess, 429);
    got("guessed enrolment codes (80 bits)", "401, after %d %ld with a growing wait", guesses - 1,
        guess);
    char none[CAMERA_ID_CHARS_MAX + 1];
    assert_int_equal(access_code(a, "yard", code, &expires_us, &err), ST_OK);
    assert_int_equal(code_read(code, &parts, &err), ST_OK);
    file_sha256_hex(parts.secret, strlen(parts.secret), body);
    assert_int_equal(store_code_use(kit->server->store, body, NULL, "hash",
                                    clock_wall_us() - (uint64_t)86400 * 1000000, none, &err),
                     ST_DENIED);
    got("enrolment code after the server's clock was set back by a day", "401");
    /* A new enrolment takes the place of the old. */
    char first[SECRET_TOKEN_CHARS + 1], second[SECRET_TOKEN_CHARS + 1];
    kit_stop(kit);
    kit_start(kit);
    enrolled("gate", first);
    enrolled("gate", second);
    assert_int_equal(ask("GET", "/v1/cameras/gate/settings", NULL, bearer(first), NULL), 401);
    assert_int_equal(ask("GET", "/v1/cameras/gate/settings", NULL, bearer(second), NULL), 200);
    assert_int_equal(access_code(kit->server->access, "a/b", code, &expires_us, &err), ST_INVALID);
}

static void wrong_certificates(void **state)
{
    (void)state;
    char code[CODE_CHARS + 1], url[64];
    uint64_t expires_us;
    struct code parts;
    struct identity id, again;
    struct error err = {0};
    kit_start(kit);
    struct kit *mine = kit;
    assert_int_equal(access_code(kit->server->access, "gate", code, &expires_us, &err), ST_OK);
    assert_int_equal(code_read(code, &parts, &err), ST_OK);
    /* Another server, self-signed too, at the address that the camera asks. */
    setup(NULL);
    kit_start(kit);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", server_https_port(kit->server));
    assert_int_equal(enroll(url, &parts, NULL, &id, &err), ST_DENIED);
    assert_non_null(strstr(err.message, "nothing was sent"));
    got("enrolment answered by another certificate (man in the middle)",
        "refused by the camera, the code was not sent");
    snprintf(url, sizeof url, "https://127.0.0.1:%d", server_https_port(mine->server));
    assert_int_equal(enroll(url, &parts, "gate", &id, &err), ST_OK);
    assert_string_equal(id.server, url);
    /* What was given survives in its folder, for its owner alone. */
    char dir[96], path[128];
    struct stat at;
    snprintf(dir, sizeof dir, "%s/camera", mine->dir);
    snprintf(path, sizeof path, "%s/identity.json", dir);
    assert_int_equal(identity_save(dir, &id, &err), ST_OK);
    assert_int_equal(identity_load(dir, &again, &err), ST_OK);
    assert_string_equal(again.server, id.server);
    assert_string_equal(again.token, id.token);
    assert_string_equal(again.pin, id.pin);
    assert_int_equal(stat(path, &at), 0);
    assert_int_equal(at.st_mode & 0777, 0600);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(identity_load(dir, &again, &err), ST_DENIED);
    /* The enrolled camera, led to the other server later on. */
    struct client_options o;
    struct client *c;
    struct client_settings settings;
    client_options_init(&o);
    o.camera_id = "gate";
    o.token = id.token;
    o.pin = id.pin;
    o.url = id.server;
    assert_int_equal(client_open(&o, &c, &err), ST_OK);
    assert_int_equal(client_get_settings(c, &settings, &err), ST_NOT_FOUND); /* no hello yet */
    client_close(&c);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", server_https_port(kit->server));
    o.url = url;
    assert_int_equal(client_open(&o, &c, &err), ST_OK);
    assert_int_equal(client_get_settings(c, &settings, &err), ST_NETWORK);
    assert_non_null(strstr(err.message, "another key"));
    got("enrolled camera led to another certificate", "refused by the camera, no token was sent");
    client_close(&c);
    kit_close(&mine);
}

/* ---- the page ---- */

static void users_and_roles(void **state)
{
    (void)state;
    char ann[160], bob[160];
    struct error err = {0};
    kit_start(kit);
    signed_in("ann", "operate", ann);
    signed_in("bob", "view", bob);
    static const char header[] = "Attune-Request: 1";
    assert_int_equal(ask("GET", "/v1/cameras", NULL, bob, NULL), 200);
    long changes = ask("POST", "/v1/access/cameras/gate/code", NULL, bob, header);
    assert_int_equal(changes, 403);
    got("role view on what changes something", "%ld", changes);
    long bare = ask("POST", "/v1/access/cameras/gate/code", NULL, ann, NULL);
    long form = ask("POST", "/v1/access/cameras/gate/code", "a=b", ann,
                    "Content-Type: application/x-www-form-urlencoded");
    kit->headers[2] = "Origin: https://attacker.example";
    long foreign = ask("POST", "/v1/access/cameras/gate/code", NULL, ann, header);
    kit->headers[2] = NULL;
    assert_int_equal(bare, 403);
    assert_int_equal(form, 403);
    assert_int_equal(foreign, 403);
    got("cross-site request: the cookie without the page's header", "%ld", bare);
    got("cross-site form", "%ld", form);
    got("cross-site request with a foreign Origin", "%ld", foreign);
    assert_int_equal(ask("POST", "/v1/access/cameras/gate/code", NULL, ann, header), 201);
    long users = ask("PUT", "/v1/users/eve", "{\"role\":\"operate\",\"password\":\"123456789\"}",
                     ann, header);
    assert_int_equal(users, 403);
    got("a user of role operate makes another user", "%ld, by the control socket only", users);
    assert_int_equal(ask("DELETE", "/v1/session", NULL, bob, header), 204);
    assert_int_equal(ask("GET", "/v1/cameras", NULL, bob, NULL), 401);
    assert_int_equal(access_user_remove(kit->server->access, "ann", &err), ST_OK);
    long removed = ask("GET", "/v1/cameras", NULL, ann, NULL);
    assert_int_equal(removed, 401);
    got("session of a user who was removed", "%ld", removed);
    long rebound = ask("GET", "/v1/cameras", NULL, "Host: attacker.example", NULL);
    assert_int_equal(rebound, 403);
    got("DNS rebinding: another Host on loopback", "%ld", rebound);
}

static void *sign_in(void *context)
{
    struct answer *a = context;
    static const char body[] = "{\"user\":\"eve\",\"password\":\"" PASSWORD "\"}";
    kit_ask(kit, "POST", "/v1/session", body, strlen(body), a);
    return NULL;
}

/* Whichever comes first, and also where they come at once. */
static void removed_while_signing_in(void **state)
{
    (void)state;
    struct error err = {0};
    kit_start(kit);
    for (int i = 0; i < 3; i++) {
        struct answer a = {0};
        pthread_t thread;
        assert_int_equal(access_user_put(kit->server->access, "eve", "view", PASSWORD, &err),
                         ST_OK);
        assert_int_equal(pthread_create(&thread, NULL, sign_in, &a), 0);
        for (int k = 0; k < i; k++)
            kit_pause();
        assert_int_equal(access_user_remove(kit->server->access, "eve", &err), ST_OK);
        pthread_join(thread, NULL);
        const char *cookie = strstr(a.headers, "Set-Cookie: attune-session=");
        char header[160];
        snprintf(header, sizeof header, "Cookie: %.86s",
                 cookie ? cookie + strlen("Set-Cookie: ") : "attune-session=none");
        assert_int_equal(ask("GET", "/v1/cameras", NULL, header, NULL), 401);
        answer_clear(&a);
    }
    got("a user is removed while his password is looked at", "no session, 401");
}

static void names_are_not_borrowed(void **state)
{
    (void)state;
    char gate[SECRET_TOKEN_CHARS + 1], ann[160];
    kit_start(kit);
    enrolled("gate", gate);
    signed_in("ann", "operate", ann);
    assert_int_equal(ask("PUT", "/v1/cameras/gate/learning", "{\"paused\":true,\"by\":\"root\"}",
                         ann, "Attune-Request: 1"),
                     200);
    kit->headers[0] = ann;
    json_t *all = kit_json(kit, "/v1/events?format=json&limit=1000", 200), *e;
    kit->headers[0] = NULL;
    const char *by = "";
    size_t i;
    json_array_foreach(json_object_get(all, "events"), i,
                       e) if (strcmp(json_string_value(json_object_get(e, "kind")), "paused") == 0)
        by = json_string_value(json_object_get(e, "by"));
    assert_string_equal(by, "ann");
    got("a user acts under another name", "the event says who it was");
    json_decref(all);
}

static void sessions_expire(void **state)
{
    (void)state;
    char ann[160];
    long soon;
    kit->options.settings.session_idle_s = 0.5;
    kit_start(kit);
    signed_in("ann", "view", ann);
    soon = ask("GET", "/v1/cameras", NULL, ann, NULL);
    for (int tries = 0; soon != 200 && tries < 50; tries++) { /* a busy machine was too late */
        signed_in("ann", "view", ann);
        soon = ask("GET", "/v1/cameras", NULL, ann, NULL);
    }
    assert_int_equal(soon, 200);
    clock_sleep_until_us(clock_mono_us() + 600000);
    long late = ask("GET", "/v1/cameras", NULL, ann, NULL);
    assert_int_equal(late, 401);
    got("session that has expired", "%ld", late);
}

static void brute_force(void **state)
{
    (void)state;
    char ann[160];
    struct answer one = {0}, other = {0};
    kit_start(kit);
    assert_int_equal(ask_into(&one, "POST", "/v1/session", "{}", NULL, NULL), 401);
    assert_non_null(strstr((const char *)one.body.data, "no users yet"));
    signed_in("ann", "view", ann);
    static const char wrong[] = "{\"user\":\"ann\",\"password\":\"wrong wrong\"}";
    static const char nobody[] = "{\"user\":\"nobody\",\"password\":\"wrong wrong\"}";
    assert_int_equal(ask_into(&one, "POST", "/v1/session", wrong, NULL, NULL), 401);
    assert_int_equal(ask_into(&other, "POST", "/v1/session", nobody, NULL, NULL), 401);
    assert_string_equal((const char *)one.body.data, (const char *)other.body.data);
    got("which names exist", "the same answer after the same work, %ld", other.status);
    answer_clear(&one);
    answer_clear(&other);
    long status = 401;
    int tries = 2;
    for (; status == 401 && tries < 20; tries++)
        status = ask("POST", "/v1/session", wrong, NULL, NULL);
    assert_int_equal(status, 429);
    got("passwords tried one after the other", "401, after %d %ld with a wait that doubles",
        tries - 1, status);
    assert_int_equal(ask("GET", "/v1/cameras", NULL, ann, NULL), 200); /* who is in stays in */
}

/* ---- bytes ---- */

static const char *const tricks[] = {"/../../etc/passwd",
                                     "/%2e%2e/%2e%2e/etc/passwd",
                                     "/v1/cameras/../../attune.db",
                                     "/v1/cameras/..%2f..%2fattune.db/frame",
                                     "/v1/health%00/../cameras",
                                     "//v1//cameras",
                                     "/v1/cameras/",
                                     "/tls/key.pem",
                                     "/%c0%ae%c0%ae/attune.db"};

static void paths(void **state)
{
    (void)state;
    char token[SECRET_TOKEN_CHARS + 1], text[8192], answer[8192];
    struct error err = {0};
    kit_start(kit);
    assert_int_equal(access_token(kit->server->access, "s", "operate", token, &err), ST_OK);
    for (size_t i = 0; i < sizeof tricks / sizeof tricks[0]; i++) {
        long status = ask("GET", tricks[i], NULL, bearer(token), NULL);
        if (status != 404 && status != 400)
            fail_msg("%s: %ld", tricks[i], status);
    }
    got("path tricks (.., %2e, %2f, %00, //, overlong)", "404 or 400, each of %zu",
        sizeof tricks / sizeof tricks[0]);
    int port = server_http_port(kit->server), n = snprintf(text, sizeof text, "GET /");
    memset(text + n, 'a', 6000);
    snprintf(text + n + 6000, sizeof text - 6006, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    int status = raw_ask(port, text, answer, sizeof answer);
    assert_true(status == 404);
    got("path of 6,000 characters", "%d", status);
    status = raw_ask(port,
                     "GET /v1/cameras/x%0d%0aSet-Cookie:%20a=b/model.onnx HTTP/1.1\r\nHost: "
                     "localhost\r\nAuthorization: Bearer x\r\n\r\n",
                     answer, sizeof answer);
    assert_true(status == 401 && !strstr(answer, "Set-Cookie"));
    long split =
        ask("GET", "/v1/cameras/x%0d%0aSet-Cookie:%20a=b/model.onnx", NULL, bearer(token), NULL);
    assert_int_equal(split, 404);
    got("line breaks in an id (header injection)", "%ld, no header more", split);
}

#define ONE "Host: localhost\r\n"
#define NEXT "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define CHUNKED "2\r\n{}\r\n0\r\n\r\n"

/* Two readers may see different requests in each of these; NEXT is what the second would see. */
static const char *const doubtful[] = {
    "POST /v1/session HTTP/1.1\r\n" ONE
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED NEXT,
    "POST /v1/session HTTP/1.1\r\n" ONE
    "Transfer-Encoding: chunked\r\nContent-Length: 65\r\n\r\n0\r\n\r\n" NEXT,
    "POST /v1/session HTTP/1.1\r\n" ONE "Content-Length: 2\r\nContent-Length: 1\r\n\r\n{}" NEXT,
    "POST /v1/session HTTP/1.1\r\n" ONE "Content-Length : 2\r\n\r\n{}" NEXT,
    "POST /v1/session HTTP/1.1\r\n" ONE "Transfer-Encoding: xchunked\r\n\r\n" CHUNKED NEXT,
    "POST /v1/session HTTP/1.1\r\n" ONE
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" CHUNKED NEXT,
    "POST /v1/session HTTP/1.0\r\n" ONE
    "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED NEXT,
    "GET /v1/health HTTP/1.1\r\n" ONE "Host: attacker.example\r\n\r\n" NEXT,
    "GET /v1/health HTTP/1.1\r\n" ONE "X-A: a\rContent-Length: 65\r\n\r\n" NEXT,
};

static void requests_within_requests(void **state)
{
    (void)state;
    char all[8192];
    kit_start(kit);
    for (size_t i = 0; i < sizeof doubtful / sizeof doubtful[0]; i++) {
        int fd = raw_connect(server_http_port(kit->server));
        assert_true(raw_send(fd, doubtful[i], strlen(doubtful[i])));
        raw_all(fd, all, sizeof all);
        close(fd);
        const char *first = strstr(all, "HTTP/1.");
        if (!first || strncmp(first + 9, "400", 3) != 0 || strstr(first + 9, "HTTP/1."))
            fail_msg("%zu: %s", i, all);
    }
    got("request smuggling (two lengths, a length and chunks, other codings, spaces in names, ...)",
        "400 and closed, each of %zu; what follows is not read",
        sizeof doubtful / sizeof doubtful[0]);
}

static void large_heads_and_bodies(void **state)
{
    (void)state;
    char gate[SECRET_TOKEN_CHARS + 1], text[512], answer[4096];
    kit_start(kit);
    enrolled("gate", gate);
    int port = server_http_port(kit->server);
    snprintf(text, sizeof text,
             "PUT /v1/cameras/gate/chunks/1 HTTP/1.1\r\nHost: localhost\r\n"
             "Authorization: Bearer %s\r\nContent-Length: 99999999999\r\n\r\n",
             gate);
    int status = raw_ask(port, text, answer, sizeof answer);
    assert_int_equal(status, 413);
    got("body of 100 GB, declared", "%d before a byte is read", status);
    snprintf(text, sizeof text,
             "PUT /v1/cameras/gate/chunks/1 HTTP/1.1\r\nHost: localhost\r\n"
             "Authorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n",
             gate);
    int fd = raw_connect(port);
    char block[4096 + 8];
    int n = snprintf(block, sizeof block, "1000\r\n");
    memset(block + n, 'x', 4096);
    memcpy(block + n + 4096, "\r\n", 2);
    assert_true(raw_send(fd, text, strlen(text)));
    int sent = 0;
    while (sent < 4096 && raw_send(fd, block, (size_t)n + 4098))
        sent++;
    assert_true(sent < 4096);
    got("body without an end, not declared", "cut off after its limit");
    close(fd);
    fd = raw_connect(port);
    static const char head[] = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    assert_true(raw_send(fd, head, strlen(head)));
    memset(block, 'x', sizeof block);
    memcpy(block, "X-A: ", 5);
    memcpy(block + sizeof block - 2, "\r\n", 2);
    for (sent = 0; sent < 64 && raw_send(fd, block, sizeof block); sent++)
        ;
    status = raw_answer(fd, answer, sizeof answer);
    assert_true(status == 431 || status == 0);
    got("head without an end", "%s", status ? "431" : "connection closed");
    close(fd);
}

static void slow_clients(void **state)
{
    (void)state;
    struct settings *s = &kit->options.settings;
    s->head_s = 0.4;
    s->body_s = 0.4;
    kit_start(kit);
    int port = server_http_port(kit->server);
    static const char line[] = "GET / HTTP/1.1\r\nX-A: ";
    int fd = raw_connect(port);
    assert_true(raw_send(fd, line, strlen(line)));
    assert_true(raw_drip(fd, 'a'));
    got("head sent a byte at a time", "closed at the deadline (head_s)");
    close(fd);
    fd = raw_connect(port);
    static const char post[] = "POST /v1/session HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 4000\r\n\r\n";
    assert_true(raw_send(fd, post, strlen(post)));
    assert_true(raw_drip(fd, ' '));
    got("body sent a byte at a time", "closed at the deadline (body_s)");
    close(fd);
    fd = raw_connect(server_https_port(kit->server));
    assert_true(raw_drip(fd, '\x16'));
    got("TLS handshake sent a byte at a time", "closed at the deadline (head_s)");
    close(fd);
}

static void many_connections(void **state)
{
    (void)state;
    enum { ALLOWED = 6, TRIED = 12 };
    char answer[1024];
    int fds[TRIED], answered = 0;
    static const char text[] = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    kit->options.settings.address_connections_max = ALLOWED;
    kit_start(kit);
    for (int i = 0; i < TRIED; i++) {
        fds[i] = raw_connect(server_http_port(kit->server));
        (void)raw_send(fds[i], text, strlen(text));
        answered += raw_answer(fds[i], answer, sizeof answer) == 200;
    }
    assert_int_equal(answered, ALLOWED);
    got("many connections from one address", "%d of %d, as address_connections_max has it",
        answered, (int)TRIED);
    for (int i = 0; i < TRIED; i++)
        close(fds[i]);
}

static void floods(void **state)
{
    (void)state;
    char gate[SECRET_TOKEN_CHARS + 1];
    struct settings *s = &kit->options.settings;
    s->requests_per_s = 2;
    s->upload_kbps_max = 0.001;
    kit_start(kit);
    enrolled("gate", gate);
    struct buf body;
    long status = 0;
    buf_init(&body);
    memset(buf_extend(&body, 40000), 'x', 40000);
    assert_int_equal(put_chunk(&body, "/v1/cameras/gate/chunks/1", gate), 400);
    status = put_chunk(&body, "/v1/cameras/gate/chunks/1", gate);
    assert_int_equal(status, 429);
    got("a camera uploads far more than it was asked for", "%ld", status);
    int count = 0;
    for (status = 0; status != 429 && count < 50; count++)
        status = ask("GET", "/v1/health", NULL, NULL, NULL);
    assert_int_equal(status, 429);
    got("requests in a flood from one address", "%ld after the burst", status);
    status = ask("GET", "/nothing/here", NULL, NULL, NULL);
    assert_int_equal(status, 429);
    got("the flood goes on with paths that are not there", "%ld, too", status);
    buf_clear(&body);
}

static int events_of(const char *camera)
{
    json_t *all = kit_json(kit, "/v1/events?format=json&limit=1000&after=0", 200), *e;
    size_t i;
    int count = 0;
    json_array_foreach(json_object_get(all, "events"), i, e) count +=
        strcmp(json_string_value(json_object_get(e, "camera")), camera) == 0;
    json_decref(all);
    return count;
}

/* What a camera says fills neither memory nor the table of events. */
static void cameras_that_say_too_much(void **state)
{
    (void)state;
    enum { TRIED = 100 };
    char gate[SECRET_TOKEN_CHARS + 1], token[SECRET_TOKEN_CHARS + 1], body[512];
    struct error err = {0};
    static uint8_t nothing[8] = "nothing", deep[60000];
    kit_start(kit);
    enrolled("gate", gate);
    snprintf(body, sizeof body,
             "{\"student\":\"%s\",\"width\":48,\"height\":32,\"fps\":30,\"version\":0}",
             kit->identity_hex);
    for (int i = 0; i < TRIED; i++)
        assert_int_equal(ask("POST", "/v1/cameras/gate/hello", body, bearer(gate), NULL), 200);
    assert_int_equal(access_token(kit->server->access, "s", "view", token, &err), ST_OK);
    kit->headers[0] = bearer(token);
    int events = events_of("gate");
    kit->headers[0] = NULL;
    assert_true(events > 1 && events < TRIED);
    got("a camera that says hello without end", "answered; %s of its events are kept",
        "the first 60 and one in 10 s");
    struct chunk c = {.camera = "gate", .seq = 1, .width = 8192, .height = 8192, .count = 16};
    c.codec = CHUNK_H264;
    c.sampling_fps = 1;
    c.payload = nothing;
    c.payload_bytes = sizeof nothing;
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(chunk_encode(&c, &bytes, &err), ST_OK);
    long large = put_chunk(&bytes, "/v1/cameras/gate/chunks/1", gate);
    assert_int_equal(large, 400);
    got("a few bytes that claim 16 pictures of 8192 x 8192 (3 GB to decode)", "%ld", large);
    memset(deep, '[', sizeof deep);
    bytes.size_bytes = 0;
    buf_put(&bytes, deep, sizeof deep);
    kit->headers[0] = bearer(gate);
    struct answer a = {0};
    kit_ask(kit, "POST", "/v1/cameras/gate/hello", bytes.data, bytes.size_bytes, &a);
    kit->headers[0] = NULL;
    assert_int_equal(a.status, 400);
    got("JSON nested 60,000 deep", "%ld", a.status);
    answer_clear(&a);
    buf_clear(&bytes);
}

/* ---- TLS ---- */

/* What a client with these priorities gets; true: a connection. */
static bool handshake(const char *priorities)
{
    gnutls_session_t session;
    gnutls_certificate_credentials_t any;
    int fd = raw_connect(server_https_port(kit->server)), code;
    assert_int_equal(gnutls_certificate_allocate_credentials(&any), 0);
    assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT), 0);
    assert_int_equal(gnutls_priority_set_direct(session, priorities, NULL), 0);
    assert_int_equal(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, any), 0);
    gnutls_transport_set_int(session, fd);
    do
        code = gnutls_handshake(session);
    while (code < 0 && !gnutls_error_is_fatal(code));
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(any);
    close(fd);
    return code == 0;
}

static void old_and_no_tls(void **state)
{
    (void)state;
    char answer[1024];
    kit_start(kit);
    assert_true(handshake("NORMAL:-VERS-ALL:+VERS-TLS1.3"));
    assert_true(handshake("NORMAL:-VERS-ALL:+VERS-TLS1.2"));
    assert_false(handshake("NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT"));
    assert_false(handshake("NORMAL:-VERS-ALL:+VERS-TLS1.0:%COMPAT"));
    assert_false(handshake("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"));
    got("TLS 1.0, TLS 1.1, key exchange by RSA", "no handshake");
    int status =
        raw_ask(server_https_port(kit->server),
                "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", answer, sizeof answer);
    assert_int_equal(status, 0);
    got("plain HTTP to the TLS port", "closed without an answer");
}

/* ---- at rest, and at the start ---- */

static bool file_has(const char *path, const char *text)
{
    struct buf all;
    struct error err;
    buf_init(&all);
    bool has = file_read(path, (size_t)64 << 20, &all, &err) == ST_OK &&
               memmem(all.data, all.size_bytes, text, strlen(text)) != NULL;
    buf_clear(&all);
    return has;
}

static void nothing_to_steal(void **state)
{
    (void)state;
    char gate[SECRET_TOKEN_CHARS + 1], ann[160], code[CODE_CHARS + 1], path[2048];
    uint64_t expires_us;
    struct code parts;
    struct error err = {0};
    struct stat at;
    static const char *const files[] = {"attune.db", "attune.db-wal", "control.sock",
                                        "tls/key.pem"};
    kit_start(kit);
    enrolled("gate", gate);
    signed_in("ann", "view", ann);
    assert_int_equal(access_code(kit->server->access, "x", code, &expires_us, &err), ST_OK);
    assert_int_equal(code_read(code, &parts, &err), ST_OK);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", kit->options.settings.state, files[i]);
        assert_int_equal(stat(path, &at), 0);
        assert_int_equal(at.st_mode & 0777, 0600);
        if (i < 2)
            assert_false(file_has(path, gate) || file_has(path, parts.secret) ||
                         file_has(path, PASSWORD) || file_has(path, strchr(ann, '=') + 1));
    }
    snprintf(path, sizeof path, "%s/attune.db-wal", kit->options.settings.state);
    assert_true(file_has(path, "gate"));
    got("a copy of the database", "no token, code, session or password in it");
}

static void read_pin(uint8_t ret[32])
{
    char path[2048], hex[65];
    struct buf cert, key;
    struct error err = {0};
    snprintf(path, sizeof path, "%s", kit->options.settings.state);
    buf_init(&cert);
    buf_init(&key);
    assert_int_equal(tls_load(path, clock_wall_us(), &cert, &key, hex, ret, &err), ST_OK);
    buf_clear(&cert);
    buf_clear(&key);
}

/* Cameras pin the key, so the key is what must not be lost. */
static void certificates_are_renewed(void **state)
{
    (void)state;
    uint8_t before[32], after[32];
    char path[2048], other[2048], gate[SECRET_TOKEN_CHARS + 1], hex[65];
    struct buf cert, key;
    struct error err = {0};
    kit_start(kit);
    enrolled("gate", gate);
    memcpy(hex, kit->server->certificate_hex, sizeof hex);
    kit_stop(kit);
    read_pin(before);
    snprintf(path, sizeof path, "%s/tls/cert.pem", kit->options.settings.state);
    assert_int_equal(unlink(path), 0);
    kit_start(kit);
    assert_string_not_equal(hex, kit->server->certificate_hex);
    kit_stop(kit);
    read_pin(after);
    assert_memory_equal(before, after, sizeof before);
    got("the certificate is lost or has expired, a new one is made",
        "of the same key: cameras go on");
    snprintf(other, sizeof other, "%s/other", kit->dir);
    buf_init(&cert);
    buf_init(&key);
    assert_int_equal(tls_load(other, clock_wall_us(), &cert, &key, hex, after, &err), ST_OK);
    assert_int_equal(file_write(path, cert.data, strlen((const char *)cert.data), &err), ST_OK);
    struct server *s = NULL;
    assert_int_equal(server_open(&kit->options, &s, &err), ST_CONFLICT);
    assert_non_null(strstr(err.message, "another key"));
    got("a certificate that is not the key's", "the server does not start, and says why");
    buf_clear(&cert);
    buf_clear(&key);
}

static long by_socket(const char *path)
{
    char socket[2048];
    long status = 0;
    struct answer a = {0};
    snprintf(socket, sizeof socket, "%s/control.sock", kit->options.settings.state);
    CURL *c = curl_easy_init();
    char url[256];
    snprintf(url, sizeof url, "http://localhost%s", path);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    answer_clear(&a);
    return status;
}

static void starts(void **state)
{
    (void)state;
    struct server *s = NULL;
    struct error err = {0};
    char path[2048];
    kit_start(kit);
    assert_int_equal(by_socket("/v1/users"), 200);
    kit_stop(kit);
    snprintf(path, sizeof path, "%s/tls/key.pem", kit->options.settings.state);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(server_open(&kit->options, &s, &err), ST_DENIED);
    assert_non_null(strstr(err.message, "chmod 600"));
    got("private key that others can read", "the server does not start");
    assert_int_equal(chmod(path, 0600), 0);
    struct settings *set = &kit->options.settings;
    set->auth = false;
    snprintf(set->listen, sizeof set->listen, "0.0.0.0:0");
    assert_int_equal(server_open(&kit->options, &s, &err), ST_INVALID);
    got("auth: false on an address that others reach", "the server does not start");
    set->auth = true;
    snprintf(set->http, sizeof set->http, "0.0.0.0:0");
    assert_int_equal(server_open(&kit->options, &s, &err), ST_INVALID);
    got("plain HTTP on an address that others reach", "the server does not start");
    snprintf(set->http, sizeof set->http, "127.0.0.1:0");
}

int main(void)
{
    log_level_set((enum log_level)0); /* attacks are logged */
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(tokens_of_others),
        TEST(revoked_tokens),
        TEST(scripts_and_streams),
        TEST(codes),
        TEST(wrong_certificates),
        TEST(users_and_roles),
        TEST(removed_while_signing_in),
        TEST(names_are_not_borrowed),
        TEST(sessions_expire),
        TEST(brute_force),
        TEST(paths),
        TEST(requests_within_requests),
        TEST(large_heads_and_bodies),
        TEST(slow_clients),
        TEST(many_connections),
        TEST(floods),
        TEST(cameras_that_say_too_much),
        TEST(old_and_no_tls),
        TEST(nothing_to_steal),
        TEST(certificates_are_renewed),
        TEST(starts),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("\n| attack | got |\n|---|---|\n");
    for (int i = 0; i < row_count; i++)
        puts(table[i]);
    return failed;
}
