/* A ring as an array: `next` is where the next round of looking begins. */
#include "train/round_robin.h"

#include <stdlib.h>
#include <string.h>

enum status round_robin_init(struct round_robin *r, int capacity, struct error *err)
{
    if (capacity < 1 || capacity > ROUND_ROBIN_MAX)
        return error_set(err, ST_INVALID, "a ring of %d cameras is outside 1..%d", capacity,
                         ROUND_ROBIN_MAX);
    struct round_robin_entry *entries = calloc((size_t)capacity, sizeof *entries);
    if (!entries)
        return error_set(err, ST_NOMEM, "no memory for a ring of %d cameras", capacity);
    *r = (struct round_robin){.entries = entries, .capacity = capacity};
    return ST_OK;
}

void round_robin_clear(struct round_robin *r)
{
    free(r->entries);
    memset(r, 0, sizeof *r);
}

static int find(const struct round_robin *r, uint32_t id)
{
    for (int i = 0; i < r->count; i++)
        if (r->entries[i].id == id)
            return i;
    return -1;
}

enum status round_robin_add(struct round_robin *r, uint32_t id, uint64_t period_us,
                            uint64_t first_due_us, struct error *err)
{
    if (find(r, id) >= 0)
        return error_set(err, ST_CONFLICT, "camera %u is in the ring already", id);
    if (r->count == r->capacity)
        return error_set(err, ST_LIMIT, "the ring is full with %d cameras", r->capacity);
    r->entries[r->count++] =
        (struct round_robin_entry){.id = id, .period_us = period_us, .due_us = first_due_us};
    return ST_OK;
}

bool round_robin_remove(struct round_robin *r, uint32_t id)
{
    int i = find(r, id);
    if (i < 0)
        return false;
    r->count--;
    memmove(&r->entries[i], &r->entries[i + 1], (size_t)(r->count - i) * sizeof *r->entries);
    r->next -= i < r->next;
    if (r->next >= r->count)
        r->next = 0;
    return true;
}

bool round_robin_set_period(struct round_robin *r, uint32_t id, uint64_t period_us)
{
    int i = find(r, id);
    if (i < 0)
        return false;
    r->entries[i].period_us = period_us;
    return true;
}

static uint64_t add_sat(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

bool round_robin_next(struct round_robin *r, uint64_t now_us, uint32_t *ret_id,
                      uint64_t *ret_late_us)
{
    for (int k = 0; k < r->count; k++) {
        int i = (r->next + k) % r->count;
        struct round_robin_entry *e = &r->entries[i];
        if (e->due_us > now_us)
            continue;
        *ret_id = e->id;
        *ret_late_us = now_us - e->due_us;
        e->due_us = add_sat(now_us, e->period_us);
        r->next = (i + 1) % r->count;
        return true;
    }
    return false;
}

uint64_t round_robin_due_us(const struct round_robin *r)
{
    uint64_t due = UINT64_MAX;
    for (int i = 0; i < r->count; i++)
        due = r->entries[i].due_us < due ? r->entries[i].due_us : due;
    return due;
}
