/* history.c - the ledger's totals now and five seconds ago, again and again, in a ring. */
#include "server/history.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/control.h"

struct sample {
    uint64_t t_us;             /* wall clock, its end */
    float used[LEDGER_KINDS];  /* processors, since the sample before */
    float share[LEDGER_KINDS]; /* planned at its end */
    char why[HISTORY_WHY_CHARS + 1];
};

struct sums {
    double used_us[LEDGER_KINDS], share[LEDGER_KINDS];
};

struct history {
    struct server *server;
    pthread_mutex_t lock;
    struct sample *ring; /* [HISTORY_SAMPLES_MAX] */
    uint64_t count;      /* ever taken; number n is at n % HISTORY_SAMPLES_MAX */
    struct sums last;
    uint64_t last_us; /* monotonic */
    pthread_t thread;
    bool running;
};

/* ---- taking one ---- */

static void add_entry(const struct ledger_entry *e, void *context)
{
    struct sums *s = context;
    s->used_us[e->kind] += e->used_total_us;
    s->share[e->kind] += e->share;
}

static void add_words(char *why, const char *group, const char *reason)
{
    size_t n = strlen(why);
    snprintf(why + n, HISTORY_WHY_CHARS + 1 - n, "%s%s %s", n ? "\n" : "", group, reason);
}

/* "GROUP reason" a line, of those that train. */
static void read_why(struct server *s, char *why)
{
    json_t *plan = control_schedule_json(s->control), *workers, *one;
    size_t i;
    why[0] = '\0';
    json_array_foreach(json_object_get(plan, "groups"), i, one)
    {
        if (json_is_true(json_object_get(one, "trains")))
            add_words(why, json_string_value(json_object_get(one, "group")),
                      json_string_value(json_object_get(one, "reason")));
    }
    json_decref(plan);
    if (why[0])
        return;
    workers = control_workers_json(s->control);
    json_array_foreach(workers, i, one)
    {
        const char *group = json_string_value(json_object_get(one, "group"));
        if (group && group[0])
            add_words(why, group, "trains");
    }
    json_decref(workers);
}

static void take(struct history *h, uint64_t now_us)
{
    struct sums now = {.used_us = {0}};
    struct sample s = {.t_us = clock_wall_us()};
    ledger_read(h->server->ledger, now_us, NULL, add_entry, &now);
    for (int k = 0; k < LEDGER_KINDS; k++) {
        s.used[k] = (float)((now.used_us[k] - h->last.used_us[k]) / (double)(now_us - h->last_us));
        s.share[k] = (float)now.share[k];
    }
    read_why(h->server, s.why);
    h->last = now;
    h->last_us = now_us;
    pthread_mutex_lock(&h->lock);
    h->ring[h->count++ % HISTORY_SAMPLES_MAX] = s;
    pthread_mutex_unlock(&h->lock);
}

static void *run(void *context)
{
    struct history *h = context;
    struct bell *bell = &h->server->bell;
    while (!bell_stopped(bell)) {
        uint64_t due_us = h->last_us + HISTORY_INTERVAL_US, seen = bell_count(bell);
        if (clock_mono_us() >= due_us)
            take(h, clock_mono_us());
        else
            bell_wait(bell, seen, due_us);
    }
    return NULL;
}

/* ---- open, close ---- */

enum status history_open(struct server *s, struct history **ret, struct error *err)
{
    struct history *h = calloc(1, sizeof *h);
    if (h)
        h->ring = calloc(HISTORY_SAMPLES_MAX, sizeof *h->ring);
    if (!h || !h->ring) {
        free(h);
        return error_set(err, ST_NOMEM, "no memory for the history of compute");
    }
    h->server = s;
    h->last_us = clock_mono_us();
    pthread_mutex_init(&h->lock, NULL);
    h->running = pthread_create(&h->thread, NULL, run, h) == 0;
    if (!h->running) {
        history_close(&h);
        return error_set(err, ST_NOMEM, "cannot start the thread that writes the history");
    }
    *ret = h;
    return ST_OK;
}

void history_close(struct history **ptr)
{
    struct history *h = ptr ? *ptr : NULL;
    if (!h)
        return;
    if (h->running)
        pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    free(h->ring);
    free(h);
    *ptr = NULL;
}

/* ---- showing ---- */

struct columns {
    json_t *t_us, *why, *used[LEDGER_KINDS], *share[LEDGER_KINDS];
};

static void add_sample(const struct sample *s, const struct columns *c)
{
    json_array_append_new(c->t_us, json_integer((json_int_t)s->t_us));
    json_array_append_new(c->why, json_string(s->why));
    for (int k = 0; k < LEDGER_KINDS; k++) {
        json_array_append_new(c->used[k], json_real((double)s->used[k]));
        json_array_append_new(c->share[k], json_real((double)s->share[k]));
    }
}

static void add_samples(struct history *h, uint64_t since_us, int limit, const struct columns *c)
{
    pthread_mutex_lock(&h->lock);
    uint64_t most = limit < HISTORY_SAMPLES_MAX ? (uint64_t)limit : HISTORY_SAMPLES_MAX;
    uint64_t first = h->count > most ? h->count - most : 0;
    for (uint64_t i = first; i < h->count; i++) {
        const struct sample *s = &h->ring[i % HISTORY_SAMPLES_MAX];
        if (s->t_us > since_us)
            add_sample(s, c);
    }
    pthread_mutex_unlock(&h->lock);
}

json_t *history_json(struct history *h, uint64_t since_us, int limit)
{
    struct columns c = {.t_us = json_array(), .why = json_array()};
    json_t *used = json_object(), *share = json_object();
    for (int k = 0; k < LEDGER_KINDS; k++) {
        c.used[k] = json_array();
        c.share[k] = json_array();
        json_object_set_new(used, ledger_kind_name((enum ledger_kind)k), c.used[k]);
        json_object_set_new(share, ledger_kind_name((enum ledger_kind)k), c.share[k]);
    }
    add_samples(h, since_us, limit, &c);
    return json_pack("{s:f,s:f,s:o,s:o,s:o,s:o}", "capacity", limiter_capacity(h->server->limiter),
                     "interval_s", (double)HISTORY_INTERVAL_US / 1e6, "t_us", c.t_us, "used", used,
                     "share", share, "why", c.why);
}
