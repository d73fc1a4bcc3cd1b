/* attempts.c - see attempts.h. */
#include "server/attempts.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOUBLINGS_MAX 30

struct row {
    char key[ATTEMPTS_KEY_CHARS_MAX + 1];
    int failures;
    uint64_t failed_us, next_us;
};

struct attempts {
    pthread_mutex_t lock;
    double wait_max_s;
    int count;
    struct row rows[ATTEMPTS_ROWS_MAX];
};

enum status attempts_open(double wait_max_s, struct attempts **ret, struct error *err)
{
    struct attempts *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(err, ST_NOMEM, "no memory for a table of attempts");
    pthread_mutex_init(&a->lock, NULL);
    a->wait_max_s = wait_max_s;
    *ret = a;
    return ST_OK;
}

void attempts_close(struct attempts **a)
{
    if (!a || !*a)
        return;
    pthread_mutex_destroy(&(*a)->lock);
    free(*a);
    *a = NULL;
}

static struct row *find(struct attempts *a, const char *key)
{
    for (int i = 0; i < a->count; i++)
        if (strncmp(a->rows[i].key, key, ATTEMPTS_KEY_CHARS_MAX) == 0)
            return &a->rows[i];
    return NULL;
}

static struct row *add(struct attempts *a, const char *key)
{
    struct row *oldest = &a->rows[0];
    for (int i = 1; i < a->count; i++)
        if (a->rows[i].failed_us < oldest->failed_us)
            oldest = &a->rows[i];
    struct row *row = a->count < ATTEMPTS_ROWS_MAX ? &a->rows[a->count++] : oldest;
    *row = (struct row){.failures = 0};
    snprintf(row->key, sizeof row->key, "%s", key);
    return row;
}

double attempts_wait_s(struct attempts *a, const char *key, uint64_t now_us)
{
    pthread_mutex_lock(&a->lock);
    const struct row *row = find(a, key);
    uint64_t next_us = row ? row->next_us : 0;
    pthread_mutex_unlock(&a->lock);
    return next_us > now_us ? (double)(next_us - now_us) / 1e6 : 0;
}

void attempts_failed(struct attempts *a, const char *key, uint64_t now_us)
{
    pthread_mutex_lock(&a->lock);
    struct row *row = find(a, key);
    if (!row)
        row = add(a, key);
    if (now_us > row->failed_us + ATTEMPTS_FORGET_US)
        row->failures = 0;
    int doublings = row->failures < ATTEMPTS_FREE ? -1 : row->failures - ATTEMPTS_FREE;
    double wait_s = doublings < 0 ? 0 : fmin(ldexp(1, doublings), a->wait_max_s);
    if (row->failures < ATTEMPTS_FREE + DOUBLINGS_MAX)
        row->failures++;
    row->failed_us = now_us;
    row->next_us = now_us + (uint64_t)(wait_s * 1e6);
    pthread_mutex_unlock(&a->lock);
}

void attempts_succeeded(struct attempts *a, const char *key)
{
    pthread_mutex_lock(&a->lock);
    struct row *row = find(a, key);
    if (row)
        *row = a->rows[--a->count];
    pthread_mutex_unlock(&a->lock);
}
