/* sessions.c - see sessions.h. */
#include "server/sessions.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/secret.h"

struct sessions {
    pthread_mutex_t lock;
    uint64_t idle_us, life_us;
    int count;
    struct session all[SESSIONS_MAX];
};

enum status sessions_open(uint64_t idle_us, uint64_t life_us, struct sessions **ret,
                          struct error *err)
{
    struct sessions *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for sessions");
    pthread_mutex_init(&s->lock, NULL);
    s->idle_us = idle_us;
    s->life_us = life_us;
    *ret = s;
    return ST_OK;
}

void sessions_close(struct sessions **s)
{
    if (!s || !*s)
        return;
    pthread_mutex_destroy(&(*s)->lock);
    free(*s);
    *s = NULL;
}

static void drop(struct sessions *s, int at)
{
    s->all[at] = s->all[--s->count];
}

static void drop_ended(struct sessions *s, uint64_t now_us)
{
    for (int i = s->count - 1; i >= 0; i--)
        if (now_us > s->all[i].used_us + s->idle_us || now_us > s->all[i].begun_us + s->life_us)
            drop(s, i);
}

void sessions_begin(struct sessions *s, const char *id, const char *user, const char *role,
                    uint64_t now_us)
{
    struct session new = {.begun_us = now_us, .used_us = now_us};
    file_sha256_hex(id, strlen(id), new.id_sha256_hex);
    snprintf(new.user, sizeof new.user, "%s", user);
    snprintf(new.role, sizeof new.role, "%s", role);
    pthread_mutex_lock(&s->lock);
    drop_ended(s, now_us);
    int oldest = 0;
    for (int i = 1; i < s->count; i++)
        if (s->all[i].used_us < s->all[oldest].used_us)
            oldest = i;
    if (s->count == SESSIONS_MAX)
        drop(s, oldest);
    s->all[s->count++] = new;
    pthread_mutex_unlock(&s->lock);
}

bool sessions_find(struct sessions *s, const char *id_sha256_hex, bool touch, uint64_t now_us,
                   struct session *ret)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    drop_ended(s, now_us);
    for (int i = 0; i < s->count && !found; i++) {
        found = secret_equal(s->all[i].id_sha256_hex, id_sha256_hex);
        if (found && touch)
            s->all[i].used_us = now_us;
        if (found)
            *ret = s->all[i];
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void sessions_end(struct sessions *s, const char *id_sha256_hex)
{
    pthread_mutex_lock(&s->lock);
    for (int i = s->count - 1; i >= 0; i--)
        if (strcmp(s->all[i].id_sha256_hex, id_sha256_hex) == 0)
            drop(s, i);
    pthread_mutex_unlock(&s->lock);
}

void sessions_end_user(struct sessions *s, const char *user)
{
    pthread_mutex_lock(&s->lock);
    for (int i = s->count - 1; i >= 0; i--)
        if (strcmp(s->all[i].user, user) == 0)
            drop(s, i);
    pthread_mutex_unlock(&s->lock);
}
