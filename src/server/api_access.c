/* api_access.c - signing in and out, enrolment, and who may do so. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/access.h"
#include "uplink/code.h"

static json_t *read_body(const struct request *r, struct reply *out)
{
    json_error_t why;
    json_t *o =
        json_loadb((const char *)r->body.data, r->body.size_bytes, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        reply_error(out, 400, "the body is no JSON object");
        return NULL;
    }
    return o;
}

/* The member as text, "" where there is none. */
static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

/* The answer to a sign-in or a code that was not good. */
static void reply_attempt(struct reply *out, enum status st, double wait_s, const struct error *err)
{
    if (st == ST_AGAIN) {
        reply_header(out, "Retry-After", "%.0f", wait_s < 1 ? 1 : wait_s);
        reply_error(out, 429, "%s", err->message);
    } else if (st == ST_DENIED) {
        reply_error(out, 401, "%s", err->message);
    } else {
        reply_status(out, st, err);
    }
}

static void reply_done(struct reply *out, enum status st, const struct error *err)
{
    if (st == ST_OK)
        out->status = 204;
    else
        reply_status(out, st, err);
}

/* ---- sessions ---- */

void api_session(struct request *r, struct reply *out)
{
    const struct caller *c = &r->caller;
    const char *role = role_name(c->role);
    struct access *a = r->server->access;
    json_t *o = json_pack("{s:b,s:s?,s:s?}", "auth", (int)r->server->set.auth, "user",
                          c->by_cookie ? c->name : NULL, "role", role);
    if (r->server->set.auth) /* without any, the page says how to add one */
        json_object_set_new(o, "users", json_boolean(access_has_users(a)));
    reply_json(out, 200, o);
}

static void set_cookie(struct request *r, const char *value, double age_s, struct reply *out)
{
    reply_header(out, "Set-Cookie", "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%.0f%s",
                 ACCESS_COOKIE, value, age_s, r->door->tls ? "; Secure" : "");
}

void api_sign_in(struct request *r, struct reply *out)
{
    char address[HTTP_ADDRESS_CHARS_MAX + 1], session[SECRET_TOKEN_CHARS + 1];
    double wait_s = 0;
    struct error err = {0};
    json_t *o = read_body(r, out);
    if (!o)
        return;
    http_address(r, address);
    enum status st = access_sign_in(r->server->access, address, text_of(o, "user"),
                                    text_of(o, "password"), session, &wait_s, &err);
    log_write(st == ST_OK ? LOG_INFO : LOG_WARN, "sign-in", "address=%s good=%s", address,
              st == ST_OK ? "true" : "false");
    if (st == ST_OK) {
        set_cookie(r, session, r->server->set.session_s, out);
        out->status = 204;
    } else if (st == ST_DENIED && !access_has_users(r->server->access)) {
        reply_error(out, 401,
                    "there are no users yet: on the server, attune user add NAME --role operate "
                    "--state DIR, with its state folder");
    } else {
        reply_attempt(out, st, wait_s, &err);
    }
    json_decref(o);
}

void api_sign_out(struct request *r, struct reply *out)
{
    access_sign_out(r->server->access, &r->caller);
    set_cookie(r, "", 0, out);
    out->status = 204;
}

/* ---- enrolment ---- */

void api_enroll(struct request *r, struct reply *out)
{
    char address[HTTP_ADDRESS_CHARS_MAX + 1], camera[CAMERA_ID_CHARS_MAX + 1];
    char token[SECRET_TOKEN_CHARS + 1];
    double wait_s = 0;
    struct error err = {0};
    json_t *o = read_body(r, out);
    if (!o)
        return;
    http_address(r, address);
    enum status st = access_enroll(r->server->access, address, text_of(o, "code"),
                                   json_string_value(json_object_get(o, "camera")), camera, token,
                                   &wait_s, &err);
    if (st == ST_OK) {
        server_event(r->server, camera, "camera_enrolled", NULL, "with a code, from %s", address);
        reply_json(out, 201, json_pack("{s:s,s:s}", "camera", camera, "token", token));
    } else {
        log_write(LOG_WARN, "enrolment refused", "address=%s", address);
        reply_attempt(out, st, wait_s, &err);
    }
    json_decref(o);
}

void api_code(struct request *r, struct reply *out)
{
    char code[CODE_CHARS + 1];
    uint64_t expires_us;
    struct error err = {0};
    enum status st = access_code(r->server->access, r->args[0], code, &expires_us, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    server_event(r->server, r->args[0], "code_made", NULL,
                 "an enrolment code, good for 15 minutes and once");
    reply_json(out, 201,
               json_pack("{s:s,s:s,s:I}", "camera", r->args[0], "code", code, "expires_us",
                         (json_int_t)expires_us));
}

/* {"name": list}, or why there is none; takes list. */
static void reply_list(struct reply *out, const char *name, json_t *list, enum status st,
                       const struct error *err)
{
    if (st == ST_OK)
        reply_json(out, 200, json_pack("{s:O}", name, list));
    else
        reply_status(out, st, err);
    json_decref(list);
}

/* ---- tokens ---- */

static void add_token(const struct store_token *t, void *context)
{
    bool camera = t->kind == STORE_TOKEN_CAMERA;
    json_array_append_new(
        context, json_pack("{s:s,s:s,s:s?,s:I,s:o}", "kind", camera ? "camera" : "script", "name",
                           t->name, "role", camera ? NULL : t->role, "created_us",
                           (json_int_t)t->created_us, "revoked_us",
                           t->revoked_us ? json_integer((json_int_t)t->revoked_us) : json_null()));
}

void api_tokens(struct request *r, struct reply *out)
{
    struct error err = {0};
    json_t *list = json_array();
    enum status st = store_tokens(r->server->store, add_token, list, &err);
    reply_list(out, "tokens", list, st, &err);
}

void api_token_put(struct request *r, struct reply *out)
{
    char token[SECRET_TOKEN_CHARS + 1];
    struct error err = {0};
    json_t *o = read_body(r, out);
    if (!o)
        return;
    enum status st = access_token(r->server->access, r->args[0], text_of(o, "role"), token, &err);
    if (st == ST_OK) {
        server_event(r->server, "", "token_made", NULL, "for '%s', role %s", r->args[0],
                     text_of(o, "role"));
        reply_json(out, 201, json_pack("{s:s,s:s}", "name", r->args[0], "token", token));
    } else {
        reply_status(out, st, &err);
    }
    json_decref(o);
}

static void take_back(struct request *r, enum store_token_kind kind, struct reply *out)
{
    struct error err = {0};
    enum status st = access_revoke(r->server->access, kind, r->args[0], &err);
    if (st == ST_OK)
        server_event(r->server, kind == STORE_TOKEN_CAMERA ? r->args[0] : "", "token_revoked", NULL,
                     "of %s '%s'", kind == STORE_TOKEN_CAMERA ? "camera" : "script", r->args[0]);
    reply_done(out, st, &err);
}

void api_token_revoke(struct request *r, struct reply *out)
{
    take_back(r, STORE_TOKEN_SCRIPT, out);
}

void api_camera_revoke(struct request *r, struct reply *out)
{
    take_back(r, STORE_TOKEN_CAMERA, out);
}

/* ---- users ---- */

static void add_user(const struct store_user *u, void *context)
{
    json_array_append_new(context, json_pack("{s:s,s:s,s:I}", "name", u->name, "role", u->role,
                                             "created_us", (json_int_t)u->created_us));
}

void api_users(struct request *r, struct reply *out)
{
    struct error err = {0};
    json_t *list = json_array();
    enum status st = store_users(r->server->store, add_user, list, &err);
    reply_list(out, "users", list, st, &err);
}

/* A user that is there keeps the role when none is given; NULL: there is neither. */
static const char *role_of(struct request *r, const json_t *o, struct store_user *known)
{
    const char *role = json_string_value(json_object_get(o, "role"));
    bool there = store_user_get(r->server->store, r->args[0], known, NULL) == ST_OK;
    return role ? role : there ? known->role : NULL;
}

void api_user_put(struct request *r, struct reply *out)
{
    struct store_user known;
    struct error err = {0};
    json_t *o = read_body(r, out);
    if (!o)
        return;
    const char *role = role_of(r, o, &known);
    enum status st =
        role ? access_user_put(r->server->access, r->args[0], role, text_of(o, "password"), &err)
             : error_set(&err, ST_NOT_FOUND, "there is no user '%.63s'; a new one takes a role",
                         r->args[0]);
    if (st == ST_OK)
        server_event(r->server, "", "user_changed", NULL, "'%s' has a password and the role %s",
                     r->args[0], role);
    reply_done(out, st, &err);
    json_decref(o);
}

void api_user_remove(struct request *r, struct reply *out)
{
    struct error err = {0};
    enum status st = access_user_remove(r->server->access, r->args[0], &err);
    if (st == ST_OK)
        server_event(r->server, "", "user_removed", NULL, "'%s'", r->args[0]);
    reply_done(out, st, &err);
}
