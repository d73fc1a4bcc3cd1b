#include "server/config.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct config {
    pthread_mutex_t mutex;
    struct settings set;
    struct settings_live live;
    struct camera_list cameras;
    uint64_t generation;
};

static enum status copy_list(const struct camera_list *from, struct camera_list *ret,
                             struct error *err)
{
    size_t count = (size_t)from->count;
    struct camera_settings *copy = calloc(count ? count : 1, sizeof *copy);
    if (!copy)
        return error_set(err, ST_NOMEM, "no memory for the settings of %zu cameras", count);
    if (count)
        memcpy(copy, from->cameras, count * sizeof *copy);
    ret->cameras = copy;
    ret->count = from->count;
    return ST_OK;
}

enum status config_open(const struct settings *s, const struct camera_list *cameras,
                        struct config **ret, struct error *err)
{
    struct config *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory for the settings");
    pthread_mutex_init(&c->mutex, NULL);
    struct camera_list list;
    enum status st = copy_list(cameras, &list, err);
    if (st != ST_OK) {
        config_close(&c);
        return st;
    }
    config_replace(c, s, &list);
    *ret = c;
    return ST_OK;
}

void config_close(struct config **c)
{
    if (!c || !*c)
        return;
    camera_list_clear(&(*c)->cameras);
    pthread_mutex_destroy(&(*c)->mutex);
    free(*c);
    *c = NULL;
}

struct settings_live config_live(struct config *c)
{
    pthread_mutex_lock(&c->mutex);
    struct settings_live live = c->live;
    pthread_mutex_unlock(&c->mutex);
    return live;
}

void config_text(struct config *c, enum settings_row row, char ret[SETTING_TEXT_BYTES])
{
    pthread_mutex_lock(&c->mutex);
    snprintf(ret, SETTING_TEXT_BYTES, "%s",
             (const char *)&c->set + settings_table()->rows[row].offset);
    pthread_mutex_unlock(&c->mutex);
}

bool config_camera(struct config *c, const char *id, struct camera_settings *ret)
{
    pthread_mutex_lock(&c->mutex);
    const struct camera_settings *found = camera_list_find(&c->cameras, id);
    if (found)
        *ret = *found;
    pthread_mutex_unlock(&c->mutex);
    return found != NULL;
}

bool config_camera_has_source(struct config *c, const char *id)
{
    pthread_mutex_lock(&c->mutex);
    const struct camera_settings *found = camera_list_find(&c->cameras, id);
    bool has = found && found->source[0];
    pthread_mutex_unlock(&c->mutex);
    return has;
}

enum status config_copy(struct config *c, struct settings *s, struct camera_list *cameras,
                        struct error *err)
{
    pthread_mutex_lock(&c->mutex);
    enum status st = copy_list(&c->cameras, cameras, err);
    if (st == ST_OK)
        *s = c->set;
    pthread_mutex_unlock(&c->mutex);
    return st;
}

enum status config_cameras(struct config *c, struct camera_list *ret, uint64_t *ret_generation,
                           struct error *err)
{
    pthread_mutex_lock(&c->mutex);
    enum status st = copy_list(&c->cameras, ret, err);
    *ret_generation = c->generation;
    pthread_mutex_unlock(&c->mutex);
    return st;
}

uint64_t config_generation(struct config *c)
{
    pthread_mutex_lock(&c->mutex);
    uint64_t generation = c->generation;
    pthread_mutex_unlock(&c->mutex);
    return generation;
}

void config_replace(struct config *c, const struct settings *s, struct camera_list *cameras)
{
    pthread_mutex_lock(&c->mutex);
    c->set = *s;
    settings_live(s, &c->live);
    camera_list_clear(&c->cameras);
    c->cameras = *cameras;
    camera_list_init(cameras);
    c->generation++;
    pthread_mutex_unlock(&c->mutex);
}
