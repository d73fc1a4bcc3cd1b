/* api_groups.c - which cameras learn together, who did before, and what their updates cost. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/control.h"
#include "server/http.h"
#include "server/operate.h"

#define MEMBERSHIPS_MAX 2000
#define VERSIONS_STANDARD 60
#define VERSIONS_MAX 500

static void add_group(const struct store_group *g, void *context)
{
    json_array_append_new(
        context,
        json_pack("{s:s,s:[],s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "id", g->id, "cameras", "version",
                  (json_int_t)g->version, "created_us", (json_int_t)g->created_us, "versions",
                  (json_int_t)g->versions, "rejected", (json_int_t)g->rejected, "encoded",
                  (json_int_t)g->encoded, "encoded_bytes", (json_int_t)g->encoded_bytes, "served",
                  (json_int_t)g->served, "served_bytes", (json_int_t)g->served_bytes));
}

/* Sums of the members' scores while the cameras are read. */
struct tally {
    json_t *group;
    double accuracy, unadapted;
    int scored;
};

struct tallies {
    struct tally *items;
    size_t count;
};

static struct tally *tally_of(const struct tallies *all, const char *group)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(json_string_value(json_object_get(all->items[i].group, "id")), group) == 0)
            return &all->items[i];
    return NULL;
}

static void count_camera(const struct store_camera *c, void *context)
{
    struct tally *t = tally_of(context, c->group);
    if (!t)
        return;
    json_array_append_new(json_object_get(t->group, "cameras"), json_string(c->id));
    if (!isfinite(c->accuracy) || !isfinite(c->unadapted))
        return;
    t->accuracy += c->accuracy;
    t->unadapted += c->unadapted;
    t->scored++;
}

static enum status add_members(const struct server *s, json_t *groups, struct error *err)
{
    struct tallies all = {.count = json_array_size(groups)};
    all.items = calloc(all.count + 1, sizeof *all.items);
    if (!all.items)
        return error_set(err, ST_NOMEM, "no memory for the answer");
    for (size_t i = 0; i < all.count; i++)
        all.items[i].group = json_array_get(groups, i);
    enum status st = store_cameras(s->store, count_camera, &all, err);
    for (size_t i = 0; i < all.count; i++) {
        const struct tally *t = &all.items[i];
        server_json_accuracy(s, t->group, t->scored ? t->accuracy / t->scored : NAN,
                             t->scored ? t->unadapted / t->scored : NAN);
    }
    free(all.items);
    return st;
}

/* What the plan in force says of the groups: their parts of the compute, and what training should
 * bring; null where it says nothing. */
static void add_shares(struct server *s, json_t *groups)
{
    static const char *const keys[] = {"share", "gain", "trains", "reason"};
    json_t *plan = control_schedule_json(s->control);
    const json_t *shares = json_object_get(plan, "groups"), *one;
    json_t *g;
    size_t i, k;
    json_array_foreach(groups, i, g)
    {
        const char *id = json_string_value(json_object_get(g, "id"));
        const json_t *found = NULL;
        json_array_foreach(shares, k, one)
        {
            if (strcmp(json_string_value(json_object_get(one, "group")), id) == 0)
                found = one;
        }
        for (k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            json_t *v = json_object_get(found, keys[k]);
            json_object_set_new(g, keys[k], v ? json_incref(v) : json_null());
        }
    }
    json_decref(plan);
}

static void add_membership(const struct store_membership *m, void *context)
{
    json_array_append_new(context,
                          json_pack("{s:s,s:s,s:I,s:I,s:I,s:s}", "camera", m->camera, "group",
                                    m->group, "from_version", (json_int_t)m->from_version,
                                    "since_us", (json_int_t)m->since_us, "until_us",
                                    (json_int_t)m->until_us, "reason", m->reason));
}

static void add_request(const struct store_request *r, void *context)
{
    json_array_append_new(context,
                          json_pack("{s:I,s:s,s:I,s:I,s:s}", "id", (json_int_t)r->id, "camera",
                                    r->drift.camera, "t_us", (json_int_t)r->drift.t_us, "since_us",
                                    (json_int_t)r->drift.since_us, "text", r->drift.text));
}

void api_groups(struct request *r, struct reply *out)
{
    struct server *s = r->server;
    struct error err = {0};
    uint64_t since_us;
    if (!request_number(r, "since_us", 0, 0, INT64_MAX, &since_us, out))
        return;
    json_t *groups = json_array(), *memberships = json_array(), *requests = json_array();
    enum status st = store_groups(s->store, add_group, groups, &err);
    if (st == ST_OK)
        st = add_members(s, groups, &err);
    if (st == ST_OK)
        add_shares(s, groups);
    if (st == ST_OK)
        st = store_memberships(s->store, NULL, since_us, MEMBERSHIPS_MAX, add_membership,
                               memberships, &err);
    if (st == ST_OK)
        st = store_requests_open(s->store, add_request, requests, &err);
    json_t *decided = control_grouping_json(s->control);
    if (st == ST_OK)
        reply_json(out, 200,
                   json_pack("{s:s,s:s,s:s,s:s,s:O,s:O,s:O,s:O?}", "sharing",
                             s->dividing.sharing->name, "division",
                             dividing_by_name(s->dividing.by), "policy",
                             dividing_policy(&s->dividing), "grouping",
                             group_policy_name(s->dividing.grouping), "groups", groups,
                             "memberships", memberships, "requests", requests, "decided", decided));
    else
        reply_status(out, st, &err);
    json_decref(groups);
    json_decref(memberships);
    json_decref(requests);
    json_decref(decided);
}

struct version_rows {
    const struct server *server;
    const char *group;
    json_t *rows;
};

/* A version whose files are there can be downloaded and rolled back to. */
static void add_version(const struct store_version *v, void *context)
{
    const struct version_rows *l = context;
    bool kept = v->accepted && server_version_kept(l->server, l->group, v->version);
    json_t *o = server_json_version(v);
    json_object_set_new(o, "kept", json_boolean(kept));
    json_array_append_new(l->rows, o);
}

void api_group_versions(struct request *r, struct reply *out)
{
    struct error err = {0};
    struct store_group g;
    uint64_t limit;
    if (!request_number(r, "limit", VERSIONS_STANDARD, 1, VERSIONS_MAX, &limit, out))
        return;
    enum status st = store_group_get(r->server->store, r->args[0], &g, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    struct version_rows rows = {r->server, g.id, json_array()};
    st = store_versions(r->server->store, g.id, (int)limit, add_version, &rows, &err);
    if (st == ST_OK)
        reply_json(out, 200,
                   json_pack("{s:s,s:I,s:O}", "id", g.id, "version", (json_int_t)g.version,
                             "versions", rows.rows));
    else
        reply_status(out, st, &err);
    json_decref(rows.rows);
}
