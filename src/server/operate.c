/* operate.c - see operate.h. What must wait for a training is interventions.c's. */
#include "server/operate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "server/control.h"
#include "server/line.h"

/* ---- pausing ---- */

static enum status set_paused(struct server *s, const char *camera, const char *by, bool pause,
                              struct store_camera *ret, bool *ret_news, struct error *err)
{
    struct store_camera c;
    bool news = false;
    enum status st =
        store_camera_pause(s->store, camera, pause ? clock_wall_us() : 0, &c, &news, err);
    if (st != ST_OK)
        return st;
    json_t *more = json_pack("{s:s,s:I}", "by", by, "version", (json_int_t)c.version);
    if (news && pause)
        server_event(s, camera, "paused", more,
                     "learning is paused by %s: version %llu stays, frames are scored but not "
                     "trained on",
                     by, (unsigned long long)c.version);
    else if (news)
        server_event(s, camera, "resumed", more, "learning goes on, with version %llu; by %s",
                     (unsigned long long)c.version, by);
    else
        json_decref(more);
    if (ret)
        *ret = c;
    if (ret_news)
        *ret_news = news;
    return ST_OK;
}

enum status server_pause(struct server *s, const char *camera, const char *by,
                         struct store_camera *ret, bool *ret_news, struct error *err)
{
    return set_paused(s, camera, by, true, ret, ret_news, err);
}

enum status server_resume(struct server *s, const char *camera, const char *by,
                          struct store_camera *ret, bool *ret_news, struct error *err)
{
    return set_paused(s, camera, by, false, ret, ret_news, err);
}

/* ---- going back ---- */

#define VERSIONS_LOOKED_AT 500

struct kept {
    const struct server *server;
    const char *group;
    struct buf text;
    uint64_t last; /* rows of one number follow each other */
};

bool server_version_kept(const struct server *s, const char *group, uint64_t version)
{
    return line_has(s, group, version);
}

static void note_kept(const struct store_version *v, void *context)
{
    struct kept *k = context;
    if (!v->accepted || v->version == k->last || !line_has(k->server, k->group, v->version))
        return;
    k->last = v->version;
    buf_printf(&k->text, "%llu, ", (unsigned long long)v->version);
}

static enum status not_kept(struct server *s, const char *group, uint64_t version,
                            struct error *err)
{
    struct kept k = {.server = s, .group = group};
    buf_init(&k.text);
    store_versions(s->store, group, VERSIONS_LOOKED_AT, note_kept, &k, NULL);
    enum status st = error_set(err, ST_NOT_FOUND,
                               "version %llu of '%.63s' is not kept; there are %.*s0 (the student "
                               "as its file has it)",
                               (unsigned long long)version, group,
                               k.text.size_bytes < 300 ? (int)k.text.size_bytes : 0,
                               k.text.data ? (const char *)k.text.data : "");
    buf_clear(&k.text);
    return st;
}

static enum status check(struct server *s, const struct store_group *g, uint64_t version,
                         struct error *err)
{
    if (g->retired_us > 0)
        return error_set(err, ST_NOT_FOUND, "nobody is in group '%.63s' any more", g->id);
    if (version == g->version)
        return error_set(err, ST_CONFLICT, "'%.63s' is at version %llu", g->id,
                         (unsigned long long)version);
    return version < g->version && line_has(s, g->id, version) ? ST_OK
                                                               : not_kept(s, g->id, version, err);
}

/* The optimiser of the version that was left. */
static void drop_state(const struct server *s, const char *group, uint64_t version)
{
    char name[48], path[PATH_MAX];
    snprintf(name, sizeof name, "v%llu.learner", (unsigned long long)version);
    store_model_path(s->store, group, name, path);
    unlink(path);
}

struct members {
    const char *group;
    json_t *ids;
};

static void note_member(const struct store_camera *c, void *context)
{
    const struct members *m = context;
    if (strcmp(c->group, m->group) == 0)
        json_array_append_new(m->ids, json_string(c->id));
}

static void tell(struct server *s, const struct store_version *v, const char *group, const char *by,
                 uint64_t to)
{
    struct members m = {group, json_array()};
    store_cameras(s->store, note_member, &m, NULL);
    char camera[CAMERA_ID_CHARS_MAX + 1] = "";
    if (json_array_size(m.ids) == 1)
        snprintf(camera, sizeof camera, "%s", json_string_value(json_array_get(m.ids, 0)));
    server_event(
        s, camera, "rolled_back",
        json_pack("{s:s,s:I,s:I,s:I,s:s,s:o}", "group", group, "version", (json_int_t)v->version,
                  "from", (json_int_t)v->base, "to", (json_int_t)to, "by", by, "cameras", m.ids),
        "from version %llu back to %llu, as version %llu; by %s", (unsigned long long)v->base,
        (unsigned long long)to, (unsigned long long)v->version, by);
}

enum status operate_go_back(struct server *s, const char *group, uint64_t version, const char *by,
                            uint64_t *ret, struct error *err)
{
    struct store_group g;
    struct store_version v;
    enum status st = store_group_get(s->store, group, &g, err);
    if (st == ST_OK)
        st = check(s, &g, version, err);
    if (st == ST_OK)
        st = line_return(s, group, version, g.version, g.version + 1, &v, err);
    if (st != ST_OK)
        return st;
    v.t_us = clock_wall_us();
    v.score_before = v.score_after = NAN;
    v.for_paused = true;
    snprintf(v.reason, sizeof v.reason, "rolled back to %llu by %s", (unsigned long long)version,
             by);
    st = store_version_put(s->store, group, &v, NULL, 0, err);
    if (st != ST_OK)
        return st;
    drop_state(s, group, g.version);
    *ret = v.version;
    tell(s, &v, group, by, version);
    return ST_OK;
}

enum status server_rollback(struct server *s, const char *group, uint64_t version, const char *by,
                            uint64_t *ret, struct error *err)
{
    struct store_group g;
    enum status st = store_group_get(s->store, group, &g, err);
    if (st == ST_OK)
        st = check(s, &g, version, err); /* before a training is given up for it */
    if (st != ST_OK)
        return st;
    return s->control ? control_rollback(s->control, group, version, by, ret, err)
                      : operate_go_back(s, group, version, by, ret, err);
}

/* ---- training now ---- */

enum status server_retrain(struct server *s, const char *camera, const char *by, uint64_t *ret_id,
                           struct error *err)
{
    struct store_camera c;
    bool is_new;
    enum status st = store_camera_get(s->store, camera, &c, err);
    if (st == ST_OK && c.paused_us > 0)
        st = error_set(err, ST_CONFLICT, "learning of '%.63s' is paused; resume it first", camera);
    if (st == ST_OK && !s->control)
        st = error_set(err, ST_CONFLICT, "this server only watches: its setting adapt is off");
    if (st != ST_OK)
        return st;
    struct drift_request r = {.kind = DRIFT_MANUAL,
                              .at_server = true,
                              .t_us = clock_wall_us(),
                              .score = 1,
                              .latitude_deg = NAN,
                              .longitude_deg = NAN}; /* any frames will do */
    r.since_us = r.t_us;
    snprintf(r.camera, sizeof r.camera, "%s", camera);
    snprintf(r.text, sizeof r.text, "asked for by %s", by);
    st = store_request_raise(s->store, &r, ret_id, &is_new, err);
    if (st != ST_OK)
        return st;
    server_event(s, camera, "retrain_asked",
                 json_pack("{s:s,s:I}", "by", by, "request", (json_int_t)*ret_id),
                 "training is asked for by %s%s", by,
                 is_new ? "" : "; a request of the camera is open already");
    control_look_at_requests(s->control);
    return ST_OK;
}
