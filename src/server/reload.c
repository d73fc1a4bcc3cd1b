/* reload.c - the configuration read again while the server runs: all of it or nothing. What is LIVE
 * changes at once, the other settings stay as they were and are named. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "server/board.h"
#include "server/node.h"

#define NAMES_MAX 16 /* that an event lists; the rest is counted */

/* What a reload changes, as lists of names. */
struct changes {
    json_t *live, *restart, *added, *removed, *changed;
    int live_count, restart_count, added_count, removed_count, changed_count;
};

static void add_name(json_t *list, int *count, const char *name)
{
    if ((*count)++ < NAMES_MAX)
        json_array_append_new(list, json_string(name));
}

static void changes_init(struct changes *c)
{
    *c = (struct changes){
        json_array(), json_array(), json_array(), json_array(), json_array(), 0, 0, 0, 0, 0};
}

/* The lists into one object; they are its own afterwards. */
static json_t *changes_json(struct changes *c)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "live", c->live, "restart", c->restart, "added",
                     c->added, "removed", c->removed, "changed", c->changed);
}

/* ---- what is different ---- */

/* Into *next, of the rows that need a restart, what is in force. */
static void keep_what_needs_a_restart(const struct settings *started, const struct settings *now,
                                      struct settings *next, struct changes *c)
{
    const struct setting_table *t = settings_table();
    for (int i = 0; i < t->count; i++) {
        if (t->rows[i].live) {
            if (!setting_table_same(t, now, next, i))
                add_name(c->live, &c->live_count, t->rows[i].name);
        } else if (!setting_table_same(t, started, next, i)) {
            add_name(c->restart, &c->restart_count, t->rows[i].name);
            setting_table_copy(t, next, started, i);
        }
    }
    if (!train_configurations_same(&started->configurations, &next->configurations))
        add_name(c->restart, &c->restart_count, "configurations");
    next->configurations = started->configurations;
}

static bool is_same_camera(const struct camera_settings *a, const struct camera_settings *b)
{
    const struct setting_table *t = camera_settings_table();
    for (int i = 0; i < t->count; i++)
        if (!setting_table_same(t, a, b, i))
            return false;
    return true;
}

static void compare_cameras(const struct camera_list *now, const struct camera_list *next,
                            struct changes *c)
{
    for (int i = 0; i < next->count; i++) {
        const struct camera_settings *one = &next->cameras[i],
                                     *before = camera_list_find(now, one->id);
        if (!before)
            add_name(c->added, &c->added_count, one->id);
        else if (!is_same_camera(before, one))
            add_name(c->changed, &c->changed_count, one->id);
    }
    for (int i = 0; i < now->count; i++)
        if (!camera_list_find(next, now->cameras[i].id))
            add_name(c->removed, &c->removed_count, now->cameras[i].id);
}

/* Cameras that come or go can change who divides the compute, which is decided at the start. */
static void compare_dividing(const struct server *s, const struct settings *next,
                             const struct camera_list *cameras, struct changes *c)
{
    struct dividing d;
    if (dividing_read(next, cameras, &d, NULL) != ST_OK || d.by != s->dividing.by ||
        d.plan != s->dividing.plan)
        add_name(c->restart, &c->restart_count, "policy");
}

/* ---- taking it ---- */

static void tell(struct server *s, struct changes *c, struct error *ret)
{
    const char *first = json_string_value(json_array_get(c->restart, 0));
    char restart[160] = "";
    if (c->restart_count > 0)
        snprintf(restart, sizeof restart, "; %d need%s a restart: %.63s%s", c->restart_count,
                 c->restart_count == 1 ? "s" : "", first ? first : "",
                 c->restart_count > 1 ? ", ..." : "");
    error_set(ret, ST_OK,
              "settings read again: %d changed%s; cameras: %d added, %d removed, %d "
              "changed",
              c->live_count, restart, c->added_count, c->removed_count, c->changed_count);
    server_event(s, "", "config_loaded", changes_json(c), "%s", ret->message);
}

static void take(struct server *s, const struct settings *next, struct camera_list *cameras)
{
    struct store_options limits;
    config_replace(s->config, next, cameras);
    server_store_options(next, &limits);
    store_set_limits(s->store, &limits);
    log_level_set(log_level_parse(next->log_level));
    log_format_set(log_format_parse(next->log_format));
    board_changed(s->board);
}

static enum status apply(struct server *s, struct settings *next, struct camera_list *cameras,
                         struct error *err)
{
    struct settings *now = malloc(sizeof *now);
    struct camera_list before;
    struct changes c;
    enum status st = now ? config_copy(s->config, now, &before, err)
                         : error_set(err, ST_NOMEM, "no memory to compare settings");
    if (st == ST_OK) {
        changes_init(&c);
        keep_what_needs_a_restart(&s->options.settings, now, next, &c);
        compare_cameras(&before, cameras, &c);
        compare_dividing(s, next, cameras, &c);
        camera_list_clear(&before);
        take(s, next, cameras);
        tell(s, &c, err);
    }
    free(now);
    return st;
}

/* ---- reading it ---- */

static enum status read_again(struct server *s, struct settings *next, struct camera_list *cameras,
                              struct error *err)
{
    struct problems *p = malloc(sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "no memory to read the settings");
    problems_init(p);
    enum status st = settings_load(&s->options.sources, next, cameras, p, err);
    if (st == ST_OK && cameras->count > s->set.cameras_max)
        st = error_set(err, ST_INVALID,
                       "%d cameras are configured and the server was started for %d; raise "
                       "cameras_max and restart it",
                       cameras->count, s->set.cameras_max);
    for (int i = 0; i < p->count; i++)
        log_write(p->items[i].warning ? LOG_WARN : LOG_ERROR, "settings", "what=\"%s\"",
                  p->items[i].text);
    if (st != ST_OK)
        server_event(s, "", "config_refused", json_pack("{s:i}", "errors", p->errors),
                     "%.200s; nothing was changed", err->message);
    free(p);
    return st;
}

enum status server_reload(struct server *s, struct error *err)
{
    if (!s->options.sources.path)
        return error_set(err, ST_UNSUPPORTED,
                         "the server was started without --config FILE; there is nothing to read "
                         "again");
    struct settings *next = malloc(sizeof *next);
    struct camera_list cameras;
    camera_list_init(&cameras);
    pthread_mutex_lock(&s->reloading);
    enum status st = next ? read_again(s, next, &cameras, err)
                          : error_set(err, ST_NOMEM, "no memory to read the settings");
    if (st == ST_OK)
        st = apply(s, next, &cameras, err);
    pthread_mutex_unlock(&s->reloading);
    camera_list_clear(&cameras);
    free(next);
    return st;
}

/* ---- watching ---- */

static uint64_t mix(uint64_t stamp, uint64_t v)
{
    return (stamp ^ v) * UINT64_C(0x100000001b3);
}

static uint64_t stamp_of(const char *path, uint64_t stamp)
{
    struct stat is;
    if (stat(path, &is) != 0)
        return mix(stamp, 1);
    stamp = mix(stamp, (uint64_t)is.st_ino);
    stamp = mix(stamp, (uint64_t)is.st_size);
    stamp = mix(stamp, (uint64_t)is.st_mtim.tv_sec);
    return mix(stamp, (uint64_t)is.st_mtim.tv_nsec);
}

/* Of the file, the folder conf.d and what is in it. */
static uint64_t stamp_all(const char *path)
{
    char folder[PATH_MAX], file[PATH_MAX + 256];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*sconf.d", slash ? (int)(slash - path) + 1 : 0, path);
    uint64_t stamp = stamp_of(folder, stamp_of(path, 1));
    struct dirent **found;
    int count = scandir(folder, &found, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, found[i]->d_name);
        if (found[i]->d_name[0] != '.')
            stamp = stamp_of(file, stamp);
        free(found[i]);
    }
    if (count >= 0)
        free(found);
    return stamp ? stamp : 1;
}

void server_watch(struct server *s)
{
    struct error err;
    if (!s->options.sources.path || !config_live(s->config).watch_config)
        return;
    uint64_t now = stamp_all(s->options.sources.path);
    bool still = now == s->stamp_before;
    s->stamp_before = now;
    if (s->stamp == 0)
        s->stamp = now; /* what the server has read */
    if (now == s->stamp || !still)
        return;
    s->stamp = now;
    server_reload(s, &err);
}
