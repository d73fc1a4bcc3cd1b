/* rates.c - a linear table: a few thousand rows are looked through in microseconds, and nobody can
 * choose keys that fall onto each other. */
#include "server/rates.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    char key[RATES_KEY_CHARS_MAX + 1];
    double level;
    uint64_t used_us;
};

struct rates {
    pthread_mutex_t lock;
    double per_s, burst;
    int count;
    struct row rows[RATES_ROWS_MAX];
};

enum status rates_open(double per_s, double burst, struct rates **ret, struct error *err)
{
    struct rates *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, ST_NOMEM, "no memory for a table of rates");
    pthread_mutex_init(&r->lock, NULL);
    r->per_s = per_s;
    r->burst = burst;
    *ret = r;
    return ST_OK;
}

void rates_close(struct rates **r)
{
    if (!r || !*r)
        return;
    pthread_mutex_destroy(&(*r)->lock);
    free(*r);
    *r = NULL;
}

/* The key's row; a new one takes the place of the one that was used longest ago. */
static struct row *row_of(struct rates *r, const char *key, uint64_t now_us)
{
    struct row *oldest = &r->rows[0];
    for (int i = 0; i < r->count; i++) {
        if (strcmp(r->rows[i].key, key) == 0)
            return &r->rows[i];
        if (r->rows[i].used_us < oldest->used_us)
            oldest = &r->rows[i];
    }
    struct row *row = r->count < RATES_ROWS_MAX ? &r->rows[r->count++] : oldest;
    *row = (struct row){.level = r->burst, .used_us = now_us};
    snprintf(row->key, sizeof row->key, "%s", key);
    return row;
}

double rates_take(struct rates *r, const char *key, double units, uint64_t now_us)
{
    char name[RATES_KEY_CHARS_MAX + 1];
    snprintf(name, sizeof name, "%s", key);
    pthread_mutex_lock(&r->lock);
    struct row *row = row_of(r, name, now_us);
    double past_s = now_us > row->used_us ? (double)(now_us - row->used_us) / 1e6 : 0;
    row->level = fmin(r->burst, row->level + past_s * r->per_s);
    row->used_us = now_us;
    double missing = fmin(units, r->burst) - row->level;
    if (missing <= 0)
        row->level = fmax(0, row->level - units);
    pthread_mutex_unlock(&r->lock);
    return missing <= 0 ? 0 : missing / r->per_s;
}
