/* overview.c - see overview.h. */
#include "cmd/overview.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define EVENTS 24

/* key NULL: its members become those of the whole. */
static enum status add(const struct fetch_server *server, const char *path, const char *key,
                       json_t *all, struct error *err)
{
    json_t *one;
    enum status st = fetch_json(server, path, &one, err);
    if (st != ST_OK)
        return st;
    if (key)
        return json_object_set_new(all, key, one) == 0
                   ? ST_OK
                   : error_set(err, ST_NOMEM, "no memory for the answers");
    json_object_update(all, one);
    json_decref(one);
    return ST_OK;
}

static enum status add_live(const struct fetch_server *server, json_t *all, struct error *err)
{
    char path[96];
    json_int_t last = json_integer_value(json_object_get(json_object_get(all, "health"), "events"));
    snprintf(path, sizeof path, "/v1/events?format=json&after=%lld&limit=%d",
             (long long)(last > EVENTS ? last - EVENTS : 0), EVENTS);
    enum status st = add(server, path, NULL, all, err);
    return st == ST_OK ? add(server, "/v1/compute", "compute", all, err) : st;
}

enum status overview_fetch(const struct fetch_server *server, bool live, json_t **ret,
                           struct error *err)
{
    char groups[64];
    json_t *all = json_object();
    enum status st = all ? ST_OK : error_set(err, ST_NOMEM, "no memory for the answers");
    /* Who was in which group before is not wanted. */
    snprintf(groups, sizeof groups, "/v1/groups?since_us=%llu",
             (unsigned long long)clock_wall_us());
    if (st == ST_OK)
        st = add(server, "/v1/health", "health", all, err);
    if (st == ST_OK)
        st = add(server, "/v1/cameras", NULL, all, err);
    if (st == ST_OK)
        st = add(server, groups, NULL, all, err);
    if (st == ST_OK && live)
        st = add_live(server, all, err);
    if (st == ST_OK)
        *ret = all;
    else
        json_decref(all);
    return st;
}
