/* access.c - see access.h. What is taken back (a token, a user, a session) raises the epoch and
 * rings the bell: whoever waits then looks whether it is still let in. */
#include "server/access.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/attempts.h"
#include "server/sessions.h"
#include "uplink/code.h"

#define HASHING_MAX 8 /* that wait for their password to be hashed */
#define NOBODY "a password of nobody"

struct access {
    struct server *server;
    struct sessions *sessions;
    struct attempts *attempts;
    unsigned char key[32]; /* of streams' tokens */
    bool has_tls;
    uint8_t tls_key_sha256[32];
    atomic_ullong epoch;
    pthread_mutex_t hashing; /* one at a time: a hash takes much of a processor and memory */
    atomic_int hashing_waiters;
    char nobody[PASSWORD_HASH_CHARS_MAX + 1]; /* is compared with where there is no such user */
};

/* ---- life ---- */

enum status access_open(struct server *s, const uint8_t *key_sha256, struct access **ret,
                        struct error *err)
{
    const struct settings *set = &s->set;
    struct access *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(err, ST_NOMEM, "no memory for access");
    a->server = s;
    pthread_mutex_init(&a->hashing, NULL);
    a->has_tls = key_sha256 != NULL;
    if (key_sha256)
        memcpy(a->tls_key_sha256, key_sha256, sizeof a->tls_key_sha256);
    enum status st = sessions_open((uint64_t)(set->session_idle_s * 1e6),
                                   (uint64_t)(set->session_s * 1e6), &a->sessions, err);
    if (st == ST_OK)
        st = attempts_open(ACCESS_WAIT_MAX_S, &a->attempts, err);
    if (st == ST_OK)
        st = secret_random(a->key, sizeof a->key, err);
    if (st == ST_OK && set->auth)
        st = password_hash(NOBODY, a->nobody, err);
    if (st == ST_OK)
        *ret = a;
    else
        access_close(&a);
    return st;
}

void access_close(struct access **a)
{
    if (!a || !*a)
        return;
    sessions_close(&(*a)->sessions);
    attempts_close(&(*a)->attempts);
    pthread_mutex_destroy(&(*a)->hashing);
    free(*a);
    *a = NULL;
}

enum role role_parse(const char *name)
{
    return strcmp(name, "view") == 0      ? ROLE_VIEW
           : strcmp(name, "operate") == 0 ? ROLE_OPERATE
                                          : ROLE_ANYONE;
}

const char *role_name(enum role role)
{
    return role == ROLE_VIEW ? "view" : role == ROLE_OPERATE ? "operate" : NULL;
}

static void changed(struct access *a)
{
    atomic_fetch_add(&a->epoch, 1);
    bell_ring(&a->server->bell);
}

/* ---- who asks ---- */

static void take_role(struct caller *c, enum role role, const char *name)
{
    c->role = role;
    snprintf(c->name, sizeof c->name, "%s", name);
}

/* "Bearer TOKEN"; NULL: it is not that. */
static const char *bearer_token(const char *header)
{
    static const char scheme[] = "Bearer ";
    if (strncasecmp(header, scheme, sizeof scheme - 1) != 0)
        return NULL;
    const char *token = header + sizeof scheme - 1;
    return secret_token_valid(token) ? token : NULL;
}

static bool is_stream(const struct access *a, const char *token, const char *camera)
{
    char own[SECRET_TOKEN_CHARS + 1];
    if (!camera || !config_camera_has_source(a->server->config, camera))
        return false;
    access_stream_token(a, camera, own);
    return secret_equal(own, token);
}

static enum status by_token(struct access *a, const struct credentials *shown, struct caller *ret,
                            struct error *err)
{
    struct store_token t;
    const char *token = bearer_token(shown->bearer);
    if (!token)
        return error_set(err, ST_DENIED, "the header Authorization holds no token of attune");
    if (is_stream(a, token, shown->camera)) {
        take_role(ret, ROLE_CAMERA, shown->camera);
        return ST_OK;
    }
    file_sha256_hex(token, strlen(token), ret->proof);
    enum status st = store_token_find(a->server->store, ret->proof, &t, err);
    if (st == ST_NOT_FOUND)
        return error_set(err, ST_DENIED, "this token is not known here (any more)");
    if (st == ST_OK && t.revoked_us)
        return error_set(err, ST_DENIED,
                         t.kind == STORE_TOKEN_CAMERA
                             ? "the token of camera '%s' was revoked; enrol the camera again"
                             : "the token '%s' was revoked",
                         t.name);
    if (st == ST_OK)
        take_role(ret, t.kind == STORE_TOKEN_CAMERA ? ROLE_CAMERA : role_parse(t.role), t.name);
    return st;
}

static enum status by_session(struct access *a, const char *id, struct caller *ret,
                              struct error *err)
{
    struct session s;
    file_sha256_hex(id, strlen(id), ret->proof);
    if (!sessions_find(a->sessions, ret->proof, true, clock_mono_us(), &s))
        return error_set(err, ST_DENIED, "you were signed out; sign in again");
    ret->by_cookie = true;
    take_role(ret, role_parse(s.role), s.user);
    return ST_OK;
}

enum status access_identify(struct access *a, const struct credentials *shown, struct caller *ret,
                            struct error *err)
{
    *ret = (struct caller){.epoch = atomic_load(&a->epoch)};
    if (shown->socket || !a->server->set.auth) {
        ret->local = true;
        take_role(ret, ROLE_OPERATE, "");
        return ST_OK;
    }
    if (shown->bearer)
        return by_token(a, shown, ret, err);
    return shown->session ? by_session(a, shown->session, ret, err) : ST_OK;
}

bool access_holds(struct access *a, const struct caller *c)
{
    struct session s;
    struct store_token t;
    if (!c->proof[0])
        return true;
    if (c->by_cookie)
        return sessions_find(a->sessions, c->proof, false, clock_mono_us(), &s);
    return c->epoch == atomic_load(&a->epoch) ||
           (store_token_find(a->server->store, c->proof, &t, NULL) == ST_OK && t.revoked_us == 0);
}

void access_stream_token(const struct access *a, const char *camera, char *ret)
{
    secret_token_of(a->key, camera, ret);
}

/* ---- signing in ---- */

/* The same work and the same answer whether there is such a user or not; ST_DENIED: it is not the
 * user's password. */
static enum status password_of_user(struct access *a, const char *name, const char *password,
                                    struct store_user *ret, struct error *err)
{
    enum status st = store_user_get(a->server->store, name, ret, err);
    if (st != ST_OK && st != ST_NOT_FOUND)
        return st;
    bool fits = strlen(password) <= PASSWORD_CHARS_MAX &&
                password_fits(password, st == ST_OK ? ret->hash : a->nobody);
    return fits && st == ST_OK ? ST_OK : error_set(err, ST_DENIED, "wrong user or password");
}

static enum status wait_more(double wait_s, double *ret_wait_s, struct error *err)
{
    *ret_wait_s = wait_s;
    return error_set(err, ST_AGAIN, "too many attempts; try again in %.0f s", ceil(wait_s));
}

/* Under a->hashing: attempts come one after the other, each sees what the one before did. */
static enum status try_password(struct access *a, const char *const keys[2], const char *user,
                                const char *password, struct store_user *ret, double *ret_wait_s,
                                struct error *err)
{
    uint64_t now_us = clock_mono_us();
    double wait_s = fmax(attempts_wait_s(a->attempts, keys[0], now_us),
                         attempts_wait_s(a->attempts, keys[1], now_us));
    if (wait_s > 0)
        return wait_more(wait_s, ret_wait_s, err);
    enum status st = password_of_user(a, user, password, ret, err);
    for (int i = 0; i < 2; i++)
        if (st == ST_OK)
            attempts_succeeded(a->attempts, keys[i]);
        else if (st == ST_DENIED)
            attempts_failed(a->attempts, keys[i], clock_mono_us());
    return st;
}

/* The user may have been removed, or given another password, while this one was hashed; whoever
 * does so after the session has begun ends it. */
static enum status begin_session(struct access *a, const struct store_user *u, const char *session,
                                 struct error *err)
{
    struct store_user now;
    char hex[65];
    sessions_begin(a->sessions, session, u->name, u->role, clock_mono_us());
    enum status st = store_user_get(a->server->store, u->name, &now, err);
    if (st == ST_OK && strcmp(now.hash, u->hash) == 0 && strcmp(now.role, u->role) == 0)
        return ST_OK;
    file_sha256_hex(session, strlen(session), hex);
    sessions_end(a->sessions, hex);
    return error_set(err, ST_DENIED, "wrong user or password");
}

enum status access_sign_in(struct access *a, const char *address, const char *user,
                           const char *password, char *ret_session, double *ret_wait_s,
                           struct error *err)
{
    struct store_user u;
    char by_address[ATTEMPTS_KEY_CHARS_MAX + 1], by_name[ATTEMPTS_KEY_CHARS_MAX + 1];
    snprintf(by_address, sizeof by_address, "address %s", address);
    snprintf(by_name, sizeof by_name, "user %.80s", user);
    enum status st;
    if (atomic_fetch_add(&a->hashing_waiters, 1) < HASHING_MAX) {
        pthread_mutex_lock(&a->hashing);
        st = try_password(a, (const char *const[]){by_address, by_name}, user, password, &u,
                          ret_wait_s, err);
        pthread_mutex_unlock(&a->hashing);
    } else {
        st = wait_more(1, ret_wait_s, err);
    }
    atomic_fetch_sub(&a->hashing_waiters, 1);
    if (st == ST_OK)
        st = secret_token(ret_session, err);
    return st == ST_OK ? begin_session(a, &u, ret_session, err) : st;
}

void access_sign_out(struct access *a, const struct caller *c)
{
    if (!c->by_cookie)
        return;
    sessions_end(a->sessions, c->proof);
    changed(a);
}

/* ---- users ---- */

static enum status check_name(const char *name, struct error *err)
{
    return store_camera_id_valid(name)
               ? ST_OK
               : error_set(err, ST_INVALID, "a name is 1 to 63 of a-z, 0-9, _ and -");
}

static enum status check_role(const char *role, struct error *err)
{
    return role_parse(role) != ROLE_ANYONE
               ? ST_OK
               : error_set(err, ST_INVALID, "a role is view or operate, not '%.40s'", role);
}

enum status access_user_put(struct access *a, const char *name, const char *role,
                            const char *password, struct error *err)
{
    struct store_user u = {.created_us = clock_wall_us()};
    enum status st = check_name(name, err);
    if (st == ST_OK)
        st = check_role(role, err);
    if (st == ST_OK)
        st = password_hash(password, u.hash, err);
    if (st != ST_OK)
        return st;
    snprintf(u.name, sizeof u.name, "%s", name);
    snprintf(u.role, sizeof u.role, "%s", role);
    st = store_user_put(a->server->store, &u, err);
    if (st != ST_OK)
        return st;
    sessions_end_user(a->sessions, name);
    changed(a);
    return ST_OK;
}

enum status access_user_remove(struct access *a, const char *name, struct error *err)
{
    enum status st = store_user_remove(a->server->store, name, err);
    sessions_end_user(a->sessions, name);
    changed(a);
    return st;
}

static void count_user(const struct store_user *u, void *context)
{
    (void)u;
    ++*(int *)context;
}

bool access_has_users(struct access *a)
{
    int count = 0;
    return store_users(a->server->store, count_user, &count, NULL) == ST_OK && count > 0;
}

/* ---- codes and tokens ---- */

enum status access_code(struct access *a, const char *camera, char *ret_code,
                        uint64_t *ret_expires_us, struct error *err)
{
    uint8_t random[CODE_SECRET_BYTES];
    char secret[CODE_SECRET_CHARS + 1], hash_hex[65];
    struct store_code c = {.created_us = clock_wall_us()};
    enum status st = check_name(camera, err);
    if (st == ST_OK)
        st = secret_random(random, sizeof random, err);
    if (st != ST_OK)
        return st;
    code_make(random, a->has_tls ? a->tls_key_sha256 : NULL, ret_code, secret);
    file_sha256_hex(secret, strlen(secret), hash_hex);
    c.expires_us = c.created_us + ACCESS_CODE_US;
    snprintf(c.camera, sizeof c.camera, "%s", camera);
    st = store_code_put(a->server->store, &c, hash_hex, err);
    *ret_expires_us = c.expires_us;
    return st;
}

enum status access_enroll(struct access *a, const char *address, const char *secret,
                          const char *camera, char *ret_camera, char *ret_token, double *ret_wait_s,
                          struct error *err)
{
    char key[ATTEMPTS_KEY_CHARS_MAX + 1], hash_hex[65], token_hash_hex[65];
    snprintf(key, sizeof key, "enrol %s", address);
    double wait_s = attempts_wait_s(a->attempts, key, clock_mono_us());
    if (wait_s > 0)
        return wait_more(wait_s, ret_wait_s, err);
    enum status st = secret_token(ret_token, err);
    if (st != ST_OK)
        return st;
    file_sha256_hex(secret, strlen(secret), hash_hex);
    file_sha256_hex(ret_token, strlen(ret_token), token_hash_hex);
    st = store_code_use(a->server->store, hash_hex, camera, token_hash_hex, clock_wall_us(),
                        ret_camera, err);
    if (st == ST_DENIED)
        attempts_failed(a->attempts, key, clock_mono_us());
    if (st != ST_OK)
        return st;
    attempts_succeeded(a->attempts, key);
    changed(a);
    return ST_OK;
}

enum status access_token(struct access *a, const char *name, const char *role, char *ret_token,
                         struct error *err)
{
    char hash_hex[65];
    struct store_token t = {.kind = STORE_TOKEN_SCRIPT, .created_us = clock_wall_us()};
    enum status st = check_name(name, err);
    if (st == ST_OK)
        st = check_role(role, err);
    if (st == ST_OK)
        st = secret_token(ret_token, err);
    if (st != ST_OK)
        return st;
    snprintf(t.name, sizeof t.name, "%s", name);
    snprintf(t.role, sizeof t.role, "%s", role);
    file_sha256_hex(ret_token, strlen(ret_token), hash_hex);
    st = store_token_put(a->server->store, &t, hash_hex, err);
    changed(a);
    return st;
}

enum status access_revoke(struct access *a, enum store_token_kind kind, const char *name,
                          struct error *err)
{
    enum status st = store_token_revoke(a->server->store, kind, name, clock_wall_us(), err);
    changed(a);
    return st;
}
