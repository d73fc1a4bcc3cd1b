/* params_cache.c - eight entries: a linear search is the index. */
#include "server/params_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/line.h"

void params_cache_init(struct params_cache *c)
{
    memset(c, 0, sizeof *c);
}

void params_cache_clear(struct params_cache *c)
{
    for (int i = 0; i < PARAMS_CACHE_MAX; i++)
        free(c->entries[i].params);
    params_cache_init(c);
}

static struct params_entry *find(struct params_cache *c, const char *group, uint64_t version)
{
    for (int i = 0; i < PARAMS_CACHE_MAX; i++) {
        struct params_entry *e = &c->entries[i];
        if (e->params && e->version == version && strcmp(e->group, group) == 0)
            return e;
    }
    return NULL;
}

static struct params_entry *oldest(struct params_cache *c)
{
    struct params_entry *best = &c->entries[0];
    for (int i = 1; i < PARAMS_CACHE_MAX; i++)
        if (c->entries[i].used < best->used)
            best = &c->entries[i];
    return best;
}

static enum status load(struct params_entry *e, const struct server *s, const char *group,
                        uint64_t version, struct error *err)
{
    float *params = e->params;
    if (!params)
        params = calloc(nn_model_param_count(s->student), sizeof *params);
    if (!params)
        return error_set(err, ST_NOMEM, "no memory for a version of '%s'", group);
    e->params = params;
    e->used = e->version = 0;
    e->group[0] = '\0'; /* nobody's until loaded */
    enum status st = line_params(s, group, version, params, err);
    if (st != ST_OK)
        return st;
    snprintf(e->group, sizeof e->group, "%s", group);
    e->version = version;
    return ST_OK;
}

enum status params_cache_get(struct params_cache *c, const struct server *s, const char *camera,
                             uint64_t version, const float **ret_params, uint64_t *ret_stamp,
                             struct error *err)
{
    if (version == 0) {
        *ret_params = NULL;
        *ret_stamp = 0;
        return ST_OK;
    }
    char group[CAMERA_ID_CHARS_MAX + 1];
    uint64_t from;
    enum status st = store_group_of(s->store, camera, version, group, &from, err);
    if (st != ST_OK)
        return st;
    struct params_entry *e = find(c, group, version);
    c->clock++;
    if (!e) {
        e = oldest(c);
        st = load(e, s, group, version, err);
        if (st != ST_OK)
            return st;
        e->stamp = c->clock;
    }
    e->used = c->clock;
    *ret_params = e->params;
    *ret_stamp = e->stamp;
    return ST_OK;
}
