/* api_operate.c - what people do: pausing, going back to an older version, training now. */
#include <stdio.h>
#include <string.h>

#include "server/http.h"
#include "server/operate.h"

/* ---- the body ---- */

/* The object that the request brings, an empty one for none; NULL: the reply is filled. */
static json_t *read_body(const struct request *r, struct reply *out)
{
    json_error_t why;
    if (r->body.size_bytes == 0)
        return json_object();
    json_t *body =
        json_loadb((const char *)r->body.data, r->body.size_bytes, JSON_REJECT_DUPLICATES, &why);
    if (json_is_object(body))
        return body;
    reply_error(out, 400, "the body is no JSON object: %s", body ? "something else" : why.text);
    json_decref(body);
    return NULL;
}

/* Who it is, in ret[OPERATE_BY_CHARS_MAX + 1]: who signed in, otherwise what the body says. */
static void name_of(const struct request *r, const json_t *body, char *ret)
{
    const char *by = json_string_value(json_object_get(body, "by"));
    if (!r->caller.local && r->caller.name[0])
        by = r->caller.name;
    size_t n = 0;
    for (; by && by[n] && n < OPERATE_BY_CHARS_MAX; n++)
        ret[n] = by[n] > ' ' && by[n] <= '~' && by[n] != '"' ? by[n] : '_';
    ret[n] = '\0';
    if (n == 0)
        snprintf(ret, OPERATE_BY_CHARS_MAX + 1, "an operator");
}

/* ---- pausing ---- */

void api_learning(struct request *r, struct reply *out)
{
    char by[OPERATE_BY_CHARS_MAX + 1];
    struct store_camera c;
    struct error err = {0};
    bool news;
    json_t *body = read_body(r, out);
    if (!body)
        return;
    const json_t *paused = json_object_get(body, "paused");
    if (!json_is_boolean(paused)) {
        reply_error(out, 400, "say {\"paused\": true} or {\"paused\": false}");
        json_decref(body);
        return;
    }
    name_of(r, body, by);
    enum status st = json_is_true(paused)
                         ? server_pause(r->server, r->args[0], by, &c, &news, &err)
                         : server_resume(r->server, r->args[0], by, &c, &news, &err);
    if (st == ST_OK)
        reply_json(out, 200,
                   json_pack("{s:s,s:b,s:b,s:s,s:I}", "camera", c.id, "paused",
                             (int)(c.paused_us > 0), "changed", (int)news, "group", c.group,
                             "version", (json_int_t)c.version));
    else
        reply_status(out, st, &err);
    json_decref(body);
}

/* ---- going back ---- */

static void rollback(struct request *r, const char *group, struct reply *out)
{
    char by[OPERATE_BY_CHARS_MAX + 1];
    struct error err = {0};
    uint64_t made;
    json_t *body = read_body(r, out);
    if (!body)
        return;
    const json_t *version = json_object_get(body, "version");
    json_int_t to = json_integer_value(version);
    name_of(r, body, by);
    if (!json_is_integer(version) || to < 0) {
        reply_error(out, 400, "say {\"version\": N}, a version of the group that is kept");
    } else {
        enum status st = server_rollback(r->server, group, (uint64_t)to, by, &made, &err);
        if (st == ST_OK)
            reply_json(
                out, 200,
                json_pack("{s:s,s:I,s:I}", "group", group, "version", (json_int_t)made, "to", to));
        else
            reply_status(out, st, &err);
    }
    json_decref(body);
}

void api_group_rollback(struct request *r, struct reply *out)
{
    rollback(r, r->args[0], out);
}

void api_camera_rollback(struct request *r, struct reply *out)
{
    struct store_camera c;
    struct error err = {0};
    enum status st = store_camera_get(r->server->store, r->args[0], &c, &err);
    if (st == ST_OK)
        rollback(r, c.group, out);
    else
        reply_status(out, st, &err);
}

/* ---- training now ---- */

void api_retrain(struct request *r, struct reply *out)
{
    char by[OPERATE_BY_CHARS_MAX + 1];
    struct error err = {0};
    uint64_t id;
    json_t *body = read_body(r, out);
    if (!body)
        return;
    name_of(r, body, by);
    enum status st = server_retrain(r->server, r->args[0], by, &id, &err);
    if (st == ST_OK)
        reply_json(out, 202,
                   json_pack("{s:s,s:I}", "camera", r->args[0], "request", (json_int_t)id));
    else
        reply_status(out, st, &err);
    json_decref(body);
}
