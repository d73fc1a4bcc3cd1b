/* ledger.c - buckets of time in a ring for each account; an account is brought up to now when it
 * is touched. */
#include "share/ledger.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"

struct bucket {
    double used_us, planned_us;
};

struct account {
    bool mentioned;
    double share;
    uint64_t t_us; /* planned compute is entered up to here, this is in the newest bucket */
    struct bucket buckets[LEDGER_BUCKETS]; /* of time / bucket_us, modulo */
    struct bucket total;
};

struct holder {
    char camera[LEDGER_NAME_CHARS_MAX + 1];
    struct account account[LEDGER_KINDS];
};

struct ledger {
    pthread_mutex_t lock;
    uint64_t bucket_us, start_us, now_us; /* now_us: the latest that was said */
    struct holder *holders;
    int count, capacity;
};

const char *ledger_kind_name(enum ledger_kind k)
{
    static const char *const names[] = {"infer", "label", "profile", "train"};
    return names_text(names, NAMES_COUNT(names), (size_t)k, "");
}

enum status ledger_open(uint64_t window_us, int cameras_max, uint64_t now_us, struct ledger **ret,
                        struct error *err)
{
    if (window_us < LEDGER_BUCKETS || cameras_max < 1 || cameras_max > LEDGER_CAMERAS_MAX)
        return error_set(err, ST_INVALID, "the account needs a window and 1 to %d cameras",
                         LEDGER_CAMERAS_MAX);
    struct ledger *l = calloc(1, sizeof *l);
    if (l)
        l->holders = calloc((size_t)cameras_max + 1, sizeof *l->holders); /* and nobody's */
    if (!l || !l->holders || pthread_mutex_init(&l->lock, NULL) != 0) {
        if (l)
            free(l->holders);
        free(l);
        return error_set(err, ST_NOMEM, "no memory for the account of %d cameras", cameras_max);
    }
    l->capacity = cameras_max + 1;
    l->bucket_us = window_us / LEDGER_BUCKETS;
    l->start_us = l->now_us = now_us;
    *ret = l;
    return ST_OK;
}

void ledger_close(struct ledger **ptr)
{
    struct ledger *l = ptr ? *ptr : NULL;
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l->holders);
    free(l);
    *ptr = NULL;
}

static struct bucket *bucket_at(const struct ledger *l, struct account *a, uint64_t t_us)
{
    return &a->buckets[t_us / l->bucket_us % LEDGER_BUCKETS];
}

static void accrue(const struct ledger *l, struct account *a, uint64_t until_us)
{
    double us = a->share * (double)(until_us - a->t_us);
    bucket_at(l, a, a->t_us)->planned_us += us;
    a->total.planned_us += us;
    a->t_us = until_us;
}

/* Enters what the plan came to and forgets what is older than the window. */
static void advance(const struct ledger *l, struct account *a, uint64_t now_us)
{
    uint64_t window_us = l->bucket_us * LEDGER_BUCKETS;
    if (now_us - a->t_us >= window_us) { /* nothing in the ring is of the window any more */
        uint64_t skip_us = now_us - a->t_us - window_us;
        a->total.planned_us += a->share * (double)skip_us;
        a->t_us += skip_us;
    }
    while (a->t_us / l->bucket_us < now_us / l->bucket_us) {
        accrue(l, a, (a->t_us / l->bucket_us + 1) * l->bucket_us);
        *bucket_at(l, a, a->t_us) = (struct bucket){0};
    }
    accrue(l, a, now_us);
}

static uint64_t latest(struct ledger *l, uint64_t now_us)
{
    if (now_us > l->now_us)
        l->now_us = now_us;
    return l->now_us;
}

static struct holder *find(struct ledger *l, const char *camera)
{
    for (int i = 0; i < l->count; i++)
        if (strcmp(l->holders[i].camera, camera) == 0)
            return &l->holders[i];
    return NULL;
}

static enum status get(struct ledger *l, const char *camera, enum ledger_kind kind, uint64_t now_us,
                       struct account **ret, struct error *err)
{
    struct holder *h = find(l, camera);
    now_us = latest(l, now_us);
    if (!h && (l->count == l->capacity || strlen(camera) > LEDGER_NAME_CHARS_MAX))
        return error_set(err, ST_LIMIT, "the account has %d cameras already", l->count);
    if (!h) {
        h = &l->holders[l->count++];
        memcpy(h->camera, camera, strlen(camera) + 1);
    }
    struct account *a = &h->account[kind];
    if (!a->mentioned)
        a->t_us = now_us;
    a->mentioned = true;
    advance(l, a, now_us);
    *ret = a;
    return ST_OK;
}

enum status ledger_charge(struct ledger *l, const char *camera, enum ledger_kind kind,
                          uint64_t used_us, uint64_t now_us, struct error *err)
{
    struct account *a;
    pthread_mutex_lock(&l->lock);
    enum status st = get(l, camera, kind, now_us, &a, err);
    if (st == ST_OK) {
        bucket_at(l, a, a->t_us)->used_us += (double)used_us;
        a->total.used_us += (double)used_us;
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

enum status ledger_plan(struct ledger *l, const char *camera, enum ledger_kind kind, double share,
                        uint64_t now_us, struct error *err)
{
    struct account *a;
    pthread_mutex_lock(&l->lock);
    enum status st = get(l, camera, kind, now_us, &a, err);
    if (st == ST_OK)
        a->share = share;
    pthread_mutex_unlock(&l->lock);
    return st;
}

static void read_account(const struct account *a, struct ledger_entry *e)
{
    e->share = a->share;
    e->used_us = e->planned_us = 0;
    for (int i = 0; i < LEDGER_BUCKETS; i++) {
        e->used_us += a->buckets[i].used_us;
        e->planned_us += a->buckets[i].planned_us;
    }
    e->used_total_us = a->total.used_us;
    e->planned_total_us = a->total.planned_us;
}

/* The oldest bucket begins here, or the account does. */
static uint64_t window_of(const struct ledger *l, uint64_t now_us)
{
    uint64_t bucket = now_us / l->bucket_us;
    uint64_t first_us = bucket < LEDGER_BUCKETS ? 0 : (bucket - LEDGER_BUCKETS + 1) * l->bucket_us;
    return now_us - (first_us > l->start_us ? first_us : l->start_us);
}

void ledger_read(struct ledger *l, uint64_t now_us, uint64_t *ret_window_us, ledger_row *row,
                 void *context)
{
    pthread_mutex_lock(&l->lock);
    now_us = latest(l, now_us);
    for (int i = 0; i < l->count; i++)
        for (int k = 0; k < LEDGER_KINDS; k++) {
            struct account *a = &l->holders[i].account[k];
            struct ledger_entry e = {.kind = (enum ledger_kind)k};
            if (!a->mentioned)
                continue;
            memcpy(e.camera, l->holders[i].camera, sizeof e.camera);
            advance(l, a, now_us);
            read_account(a, &e);
            row(&e, context);
        }
    if (ret_window_us)
        *ret_window_us = window_of(l, now_us);
    pthread_mutex_unlock(&l->lock);
}
