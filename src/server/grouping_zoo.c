/* grouping_zoo.c - the grouper's state and the past models on disk.
 *
 *   DIR/groups         group/group.h's state
 *   DIR/zoo/index      group/zoo.h's entries; each names its file:
 *   DIR/zoo/NAME.snap  a version's snapshot, GROUP-vN
 *
 * A model's file is there before the index names it, and goes after the index has let it go; what
 * no entry names is removed at start. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "server/grouping_internal.h"

#define STATE_BYTES_MAX ((size_t)256 << 20)
#define SNAPSHOT_BYTES_MAX ((size_t)1 << 30)
#define VERSIONS_MAX 64

static void path_of(const struct grouping *g, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", store_dir(grouping_server(g)->store), name);
}

/* ---- writing ---- */

static void write_part(const struct grouping *g, const char *name, const struct buf *bytes,
                       enum status st, struct error *err)
{
    char path[PATH_MAX];
    path_of(g, name, path);
    if (st == ST_OK)
        st = file_write(path, bytes->data, bytes->size_bytes, err);
    if (st != ST_OK)
        log_write(LOG_ERROR, "groups not written", "file=%s why=\"%s\"", name, err->message);
}

void grouping_write(struct grouping *g)
{
    struct buf state, zoo;
    struct error err;
    buf_init(&state);
    buf_init(&zoo);
    enum status st = grouper_save(g->grouper, &state, &err);
    write_part(g, "groups", &state, st, &err);
    if (g->zoo) {
        st = zoo_save(g->zoo, &zoo, &err);
        write_part(g, "zoo/index", &zoo, st, &err);
    }
    buf_clear(&state);
    buf_clear(&zoo);
}

/* ---- models ---- */

static const struct zoo_entry *entry_named(const struct zoo *z, const char *model)
{
    for (int i = 0; i < zoo_count(z); i++)
        if (strcmp(zoo_at(z, i)->model, model) == 0)
            return zoo_at(z, i);
    return NULL;
}

bool grouping_zoo_path(const struct grouping *g, uint64_t entry, char *ret)
{
    const struct zoo_entry *e = g->zoo ? zoo_find(g->zoo, entry) : NULL;
    if (e)
        snprintf(ret, GROUPING_PATH_CHARS + 1, "zoo/%s", e->model);
    return e != NULL;
}

struct wanted_version {
    uint64_t by_us, version;
};

static void note_version(const struct store_version *v, void *context)
{
    struct wanted_version *w = context;
    if (v->accepted && w->version == 0 && v->t_us <= w->by_us)
        w->version = v->version;
}

static enum status copy_model(const struct grouping *g, const char *group, uint64_t version,
                              const char *model, uint64_t *ret_bytes, struct error *err)
{
    char name[48], from[PATH_MAX], to_name[GROUPING_PATH_CHARS + 1], to[PATH_MAX];
    struct buf bytes;
    snprintf(name, sizeof name, "v%llu.snap", (unsigned long long)version);
    store_model_path(grouping_server(g)->store, group, name, from);
    snprintf(to_name, sizeof to_name, "zoo/%s", model);
    path_of(g, to_name, to);
    buf_init(&bytes);
    enum status st = file_read(from, SNAPSHOT_BYTES_MAX, &bytes, err);
    if (st == ST_OK)
        st = file_write(to, bytes.data, bytes.size_bytes, err);
    if (st == ST_OK)
        *ret_bytes = bytes.size_bytes;
    buf_clear(&bytes);
    return st;
}

static void remove_model(const struct grouping *g, const char *model)
{
    char name[GROUPING_PATH_CHARS + 1], path[PATH_MAX];
    snprintf(name, sizeof name, "zoo/%s", model);
    path_of(g, name, path);
    if (!entry_named(g->zoo, model))
        unlink(path);
}

static void enter(struct grouping *g, struct zoo_entry *e, const char *group, uint64_t version)
{
    struct zoo_entry gone;
    uint64_t id;
    struct error err;
    enum status st = copy_model(g, group, version, e->model, &e->size_bytes, &err);
    if (st == ST_OK)
        st = zoo_add(g->zoo, e, clock_wall_us(), &id, &gone, &err);
    if (st != ST_OK) {
        log_write(LOG_WARN, "model not kept", "group=%s version=%llu why=\"%s\"", group,
                  (unsigned long long)version, err.message);
        remove_model(g, e->model);
        return;
    }
    grouping_write(g);
    if (gone.id)
        remove_model(g, gone.model);
    if (zoo_find(g->zoo, id))
        server_event(grouping_server(g), "", "model_kept",
                     json_pack("{s:s,s:I,s:I}", "group", group, "version", (json_int_t)version,
                               "entry", (json_int_t)id),
                     "version %llu of group %s is kept for when conditions are as they were",
                     (unsigned long long)version, group);
}

void grouping_keep_model(struct grouping *g, const char *group, uint64_t by_us,
                         const struct group_conditions *c, double accuracy)
{
    struct wanted_version w = {.by_us = by_us};
    struct zoo_entry e = {.conditions = *c, .accuracy = accuracy};
    if (!g->zoo || !isfinite(accuracy) ||
        store_versions(grouping_server(g)->store, group, VERSIONS_MAX, note_version, &w, NULL) !=
            ST_OK ||
        w.version == 0)
        return;
    snprintf(e.model, sizeof e.model, "%.63s-v%llu.snap", group, (unsigned long long)w.version);
    if (!entry_named(g->zoo, e.model))
        enter(g, &e, group, w.version);
}

/* ---- reading ---- */

/* *ret is untouched where there is no file. */
static enum status read_part(const struct grouping *g, const char *name, struct buf *ret,
                             struct error *err)
{
    char path[PATH_MAX];
    path_of(g, name, path);
    if (access(path, F_OK) != 0)
        return errno == ENOENT ? ST_NOT_FOUND
                               : error_set(err, ST_IO, "cannot read %s: %s", path, strerror(errno));
    return file_read(path, STATE_BYTES_MAX, ret, err);
}

/* What is damaged is not worth a server that does not start: groups form anew. */
static enum status read_grouper(struct grouping *g, const struct group_settings *s,
                                struct error *err)
{
    struct buf bytes;
    struct error why = {.message = ""};
    buf_init(&bytes);
    enum status st = read_part(g, "groups", &bytes, &why);
    if (st == ST_OK)
        st = grouper_load(s, bytes.data, bytes.size_bytes, &g->grouper, &why);
    buf_clear(&bytes);
    if (st == ST_OK)
        return ST_OK;
    if (st != ST_NOT_FOUND)
        server_event(grouping_server(g), "", "groups_lost", NULL, "cameras are grouped anew: %s",
                     why.message);
    return grouper_open(s, &g->grouper, err);
}

static enum status read_zoo(struct grouping *g, int capacity, struct error *err)
{
    struct buf bytes;
    char path[PATH_MAX];
    struct error why = {.message = ""};
    buf_init(&bytes);
    path_of(g, "zoo", path);
    enum status st = file_mkdirs(path, err);
    if (st != ST_OK)
        return st;
    st = read_part(g, "zoo/index", &bytes, &why);
    if (st == ST_OK)
        st = zoo_load(bytes.data, bytes.size_bytes, &g->zoo, &why);
    buf_clear(&bytes);
    if (st == ST_OK)
        return ST_OK;
    if (st != ST_NOT_FOUND)
        server_event(grouping_server(g), "", "groups_lost", NULL, "the past models are lost: %s",
                     why.message);
    return zoo_open(capacity, &g->zoo, err);
}

static void sweep(const struct grouping *g)
{
    char path[PATH_MAX];
    path_of(g, "zoo", path);
    DIR *folder = opendir(path);
    const struct dirent *e;
    while (folder && (e = readdir(folder)))
        if (strstr(e->d_name, ".snap"))
            remove_model(g, e->d_name);
    if (folder)
        closedir(folder);
}

enum status grouping_read(struct grouping *g, const struct group_settings *s, struct error *err)
{
    const struct server *server = grouping_server(g);
    int capacity = server->dividing.zoo ? server->set.zoo_models : 0;
    enum status st = read_grouper(g, s, err);
    if (st == ST_OK && capacity > 0)
        st = read_zoo(g, capacity, err);
    if (st == ST_OK && capacity > 0)
        sweep(g);
    return st;
}
