/* hooks.c - a thread a receiver that reads the event table from where its receiver is. */
#include "server/hooks.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "notify/envelope.h"
#include "notify/webhook.h"

#define BATCH 50

struct hook {
    struct hooks *all;
    char url[SETTING_TEXT_BYTES], host[WEBHOOK_HOST_CHARS_MAX + 1];
    char cursor[32]; /* its key in the store */
    uint64_t after;  /* newest event that is done with */
    uint64_t saved;
    atomic_ullong delivered, dropped, behind;
    pthread_t thread;
    bool running;
};

struct hooks {
    struct server *server;
    struct hook items[WEBHOOKS_MAX];
    int count;
    char kinds_text[SETTING_TEXT_BYTES];
    const char *kinds[WEBHOOK_KINDS_MAX]; /* events that are told; none: all of envelope_kind's */
    int kind_count;
    struct buf secret; /* empty: not signed */
    char source[96];
};

/* ---- one event ---- */

struct event {
    uint64_t id;
    char type[64];
    char *body; /* NULL: it is nobody's business */
};

struct batch {
    const struct hooks *hooks;
    struct event events[BATCH];
    int count;
};

static bool is_wanted(const struct hooks *h, const char *kind)
{
    for (int i = 0; i < h->kind_count; i++)
        if (strcmp(h->kinds[i], kind) == 0)
            return true;
    return h->kind_count == 0;
}

static char *body_of(const struct hooks *h, const struct store_event *e, const char *type)
{
    char id[24], subject[80] = "";
    snprintf(id, sizeof id, "%llu", (unsigned long long)e->id);
    if (e->camera[0])
        snprintf(subject, sizeof subject, "camera/%s", e->camera);
    json_t *data = json_loads(e->json, 0, NULL);
    if (!data)
        data = json_object();
    json_object_set_new(data, "event", json_string(e->kind));
    if (e->camera[0])
        json_object_set_new(data, "camera", json_string(e->camera));
    json_t *o = envelope_make(type, h->source, id, subject, e->t_us, data);
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(o);
    return text;
}

static void take_event(const struct store_event *e, void *context)
{
    struct batch *b = context;
    const char *topic, *type;
    if (b->count == BATCH)
        return;
    struct event *one = &b->events[b->count++];
    *one = (struct event){.id = e->id};
    if (!envelope_kind(e->kind, &topic, &type) || !is_wanted(b->hooks, e->kind))
        return;
    snprintf(one->type, sizeof one->type, "%s", type);
    one->body = body_of(b->hooks, e, type);
}

/* ---- delivering ---- */

static bool is_stopped(void *context)
{
    const struct hooks *h = context;
    return bell_stopped(&h->server->bell);
}

/* Sleeps; false: the server stops. */
static bool pause_us(struct server *s, uint64_t wait_us)
{
    uint64_t until_us = clock_mono_us() + wait_us;
    while (clock_mono_us() < until_us)
        if (!bell_wait(&s->bell, bell_count(&s->bell), until_us))
            return false;
    return true;
}

/* False: the server stops, and the event is still to be told. */
static bool deliver(struct hook *k, const struct event *e)
{
    const struct hooks *h = k->all;
    const void *secret = h->secret.size_bytes ? h->secret.data : NULL;
    uint64_t wait_us = HOOKS_WAIT_FIRST_US;
    char id[24];
    struct error err = {0};
    snprintf(id, sizeof id, "%llu", (unsigned long long)e->id);
    for (int tries = 1;; tries++) {
        const struct webhook_message m = {e->type, id, e->body, clock_wall_us() / 1000000};
        enum status st =
            webhook_post(k->url, secret, h->secret.size_bytes, &m, is_stopped, k->all, &err);
        if (st == ST_OK) {
            atomic_fetch_add(&k->delivered, 1);
            return true;
        }
        if (is_stopped(k->all))
            return false;
        if (st != ST_AGAIN || tries == HOOKS_TRIES_MAX) {
            atomic_fetch_add(&k->dropped, 1);
            log_write(LOG_WARN, "webhook dropped", "event=%s tries=%d why=\"%s\"", id, tries,
                      err.message);
            return true;
        }
        if (tries == 1)
            log_write(LOG_WARN, "webhook waits", "event=%s why=\"%s\"", id, err.message);
        if (!pause_us(h->server, wait_us))
            return false;
        wait_us = wait_us * 2 < HOOKS_WAIT_MAX_US ? wait_us * 2 : HOOKS_WAIT_MAX_US;
    }
}

static void save(struct hook *k)
{
    char text[24];
    struct error err = {0};
    if (k->saved == k->after)
        return;
    snprintf(text, sizeof text, "%llu", (unsigned long long)k->after);
    if (store_meta_put(k->all->server->store, k->cursor, text, &err) != ST_OK)
        log_write(LOG_ERROR, "webhook not noted", "why=\"%s\"", err.message);
    k->saved = k->after;
}

/* Who has been away for too long begins later. */
static void skip_old(struct hook *k)
{
    uint64_t last = store_event_last(k->all->server->store);
    if (last > k->after + HOOKS_BEHIND_MAX) {
        atomic_fetch_add(&k->dropped, last - HOOKS_BEHIND_MAX - k->after);
        k->after = last - HOOKS_BEHIND_MAX;
    }
    atomic_store(&k->behind, last > k->after ? last - k->after : 0);
}

/* False: there was nothing new, or the server stops. */
static bool deliver_some(struct hook *k)
{
    struct batch b = {.hooks = k->all};
    bool going_on = true, told = false;
    skip_old(k);
    if (store_events(k->all->server->store, k->after, BATCH, take_event, &b, NULL) != ST_OK)
        return false;
    for (int i = 0; i < b.count; i++) {
        if (going_on && b.events[i].body) {
            going_on = deliver(k, &b.events[i]);
            told = told || going_on;
        }
        if (going_on)
            k->after = b.events[i].id;
        if (going_on && told)
            save(k);
        free(b.events[i].body);
    }
    return going_on && b.count > 0;
}

static void *work(void *context)
{
    struct hook *k = context;
    struct bell *bell = &k->all->server->bell;
    bool going_on = true;
    while (going_on) {
        uint64_t seen = bell_count(bell);
        while (deliver_some(k))
            ;
        going_on = bell_wait(bell, seen, clock_mono_us() + HOOKS_WAIT_MAX_US);
    }
    save(k);
    return NULL;
}

/* ---- open and close ---- */

/* Where the receiver was when the server stopped; a new one begins now. */
static void find_cursor(struct hook *k)
{
    char sha[65], text[24];
    struct store *store = k->all->server->store;
    file_sha256_hex(k->url, strlen(k->url), sha);
    snprintf(k->cursor, sizeof k->cursor, "webhook.%.16s", sha);
    if (store_meta_get(store, k->cursor, text, sizeof text, NULL) == ST_OK)
        k->after = strtoull(text, NULL, 10);
    else
        k->after = store_event_last(store);
    k->saved = UINT64_MAX;
    save(k);
}

static void add_url(struct hooks *h, const char *url)
{
    struct hook *k = &h->items[h->count++];
    webhook_url_is_valid(url, k->host);
    k->all = h;
    snprintf(k->url, sizeof k->url, "%s", url);
    find_cursor(k);
}

/* The lists were checked. */
static void read_lists(struct hooks *h)
{
    const struct settings *set = &h->server->set;
    char urls[SETTING_TEXT_BYTES], *at;
    snprintf(urls, sizeof urls, "%s", set->webhooks);
    for (char *url = strtok_r(urls, WEBHOOK_SEPARATORS, &at); url;
         url = strtok_r(NULL, WEBHOOK_SEPARATORS, &at))
        add_url(h, url);
    snprintf(h->kinds_text, sizeof h->kinds_text, "%s", set->webhook_events);
    for (char *kind = strtok_r(h->kinds_text, WEBHOOK_SEPARATORS, &at); kind;
         kind = strtok_r(NULL, WEBHOOK_SEPARATORS, &at))
        h->kinds[h->kind_count++] = kind;
}

static enum status read_secret(struct hooks *h, struct error *err)
{
    const char *path = h->server->set.webhook_secret_file;
    if (!path[0])
        return ST_OK;
    enum status st = file_read(path, WEBHOOK_SECRET_BYTES_MAX, &h->secret, err);
    while (st == ST_OK && h->secret.size_bytes > 0 &&
           strchr("\r\n", h->secret.data[h->secret.size_bytes - 1]))
        h->secret.size_bytes--;
    if (st == ST_OK && h->secret.size_bytes == 0)
        return error_set(err, ST_INVALID, "webhook_secret_file %.200s is empty", path);
    return st;
}

static enum status start_all(struct hooks *h, struct error *err)
{
    for (int i = 0; i < h->count; i++) {
        struct hook *k = &h->items[i];
        k->running = pthread_create(&k->thread, NULL, work, k) == 0;
        if (!k->running)
            return error_set(err, ST_NOMEM, "no thread for a webhook");
    }
    return ST_OK;
}

enum status hooks_open(struct server *s, struct hooks **ret, struct error *err)
{
    if (!s->set.webhooks[0])
        return ST_OK;
    enum status st = webhook_lists_check(s->set.webhooks, s->set.webhook_events, err);
    if (st != ST_OK)
        return st;
    struct hooks *h = calloc(1, sizeof *h);
    if (!h)
        return error_set(err, ST_NOMEM, "no memory for webhooks");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    h->server = s;
    snprintf(h->source, sizeof h->source, "attune/%.63s", s->set.mqtt_client_id);
    read_lists(h);
    st = read_secret(h, err);
    if (st == ST_OK)
        st = start_all(h, err);
    *ret = h;
    if (st != ST_OK) {
        bell_stop(&s->bell);
        hooks_close(ret);
    }
    return st;
}

void hooks_close(struct hooks **ptr)
{
    struct hooks *h = ptr ? *ptr : NULL;
    if (!h)
        return;
    for (int i = 0; i < h->count; i++)
        if (h->items[i].running)
            pthread_join(h->items[i].thread, NULL);
    if (h->secret.data)
        explicit_bzero(h->secret.data, h->secret.size_bytes);
    buf_clear(&h->secret);
    free(h);
    *ptr = NULL;
}

void hooks_counts(struct hooks *h, struct hooks_counts *ret)
{
    *ret = (struct hooks_counts){0};
    for (int i = 0; i < h->count; i++) {
        unsigned long long behind = atomic_load(&h->items[i].behind);
        ret->delivered += atomic_load(&h->items[i].delivered);
        ret->dropped += atomic_load(&h->items[i].dropped);
        if (behind > ret->behind)
            ret->behind = behind;
    }
}
