/* history.c - past retrainings, a bounded list. */
#include <stdlib.h>
#include <string.h>

#include "profile/estimate.h"

void history_init(struct history *h)
{
    *h = (struct history){0};
}

void history_clear(struct history *h)
{
    free(h->rows);
    history_init(h);
}

static enum status grow(struct history *h, struct error *err)
{
    int capacity = h->capacity ? 2 * h->capacity : 64;
    capacity = capacity < HISTORY_ROWS_MAX ? capacity : HISTORY_ROWS_MAX;
    struct history_row *rows = realloc(h->rows, (size_t)capacity * sizeof *rows);
    if (!rows)
        return error_set(err, ST_NOMEM, "no memory for %d past retrainings", capacity);
    h->rows = rows;
    h->capacity = capacity;
    return ST_OK;
}

enum status history_add(struct history *h, const struct history_row *row, struct error *err)
{
    if (h->count == HISTORY_ROWS_MAX) { /* a quarter at once, so that it is seldom */
        int drop = HISTORY_ROWS_MAX / 4;
        h->count -= drop;
        memmove(h->rows, h->rows + drop, (size_t)h->count * sizeof *h->rows);
    }
    if (h->count == h->capacity) {
        enum status st = grow(h, err);
        if (st != ST_OK)
            return st;
    }
    h->rows[h->count++] = *row;
    return ST_OK;
}
