/* zoo.c - the index of models that were good once. */
#include "group/zoo.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MAGIC "ATZO"
#define FORMAT_VERSION 1
#define DAY_UNIT_S (3 * 3600.0)
#define ACCURACY_UNIT 0.1
#define DOUBLES_A_TRY 4
#define DUPLICATE 0.5 /* unlikeness below which two are the same thing twice */

struct zoo {
    struct zoo_entry *entries; /* [capacity], by growing id */
    int count, capacity;
    uint64_t next_id;
};

static const struct zoo_units usual_units = {1.5, 2000};

enum status zoo_open(int capacity, struct zoo **ret, struct error *err)
{
    if (capacity < 1 || capacity > ZOO_ENTRIES_MAX)
        return error_set(err, ST_INVALID, "a zoo holds 1 to %d models, and not %d", ZOO_ENTRIES_MAX,
                         capacity);
    struct zoo *z = calloc(1, sizeof *z);
    if (z)
        z->entries = calloc((size_t)capacity, sizeof *z->entries);
    if (!z || !z->entries) {
        free(z);
        return error_set(err, ST_NOMEM, "no memory for a zoo of %d models", capacity);
    }
    z->capacity = capacity;
    z->next_id = 1;
    *ret = z;
    return ST_OK;
}

void zoo_close(struct zoo **z)
{
    if (!*z)
        return;
    free((*z)->entries);
    free(*z);
    *z = NULL;
}

int zoo_count(const struct zoo *z)
{
    return z->count;
}

const struct zoo_entry *zoo_at(const struct zoo *z, int i)
{
    assert(i >= 0 && i < z->count);
    return &z->entries[i];
}

static int place_of(const struct zoo *z, uint64_t id)
{
    for (int i = 0; i < z->count; i++)
        if (z->entries[i].id == id)
            return i;
    return -1;
}

const struct zoo_entry *zoo_find(const struct zoo *z, uint64_t id)
{
    int at = place_of(z, id);
    return at < 0 ? NULL : &z->entries[at];
}

void zoo_use(struct zoo *z, uint64_t id, uint64_t now_us)
{
    int at = place_of(z, id);
    if (at < 0)
        return;
    z->entries[at].uses += z->entries[at].uses < UINT32_MAX;
    z->entries[at].used_us = now_us;
}

bool zoo_remove(struct zoo *z, uint64_t id)
{
    int at = place_of(z, id);
    if (at < 0)
        return false;
    z->count--;
    memmove(z->entries + at, z->entries + at + 1, (size_t)(z->count - at) * sizeof *z->entries);
    return true;
}

/* ---- Likeness ---- */

static double known_or(double x, double otherwise)
{
    return isfinite(x) ? x : otherwise;
}

static double unlikeness(const struct group_conditions *a, const struct group_conditions *b,
                         const struct zoo_units *u)
{
    double sum = known_or(group_signature_distance(a, b) / u->signature_unit, 0) +
                 known_or(group_place_distance_m(&a->place, &b->place) / u->place_unit_m, 0) +
                 group_day_distance_s(a->time_us, b->time_us) / DAY_UNIT_S;
    bool other_weather = *a->weather && *b->weather && strcmp(a->weather, b->weather) != 0;
    return sum + (other_weather ? 1 : 0);
}

/* Whether a is worth more than b: by uses, then accuracy, then age. */
static bool worth_more(const struct zoo_entry *a, const struct zoo_entry *b)
{
    double x = a->accuracy + 0.01 * fmin(a->uses, 10), y = b->accuracy + 0.01 * fmin(b->uses, 10);
    return x > y || (x >= y && a->id > b->id);
}

/* The entry that e is a near duplicate of, the nearest; -1. Looks must be known of both. */
static int duplicate_of(const struct zoo *z, const struct zoo_entry *e)
{
    double least = DUPLICATE;
    int found = -1;
    for (int i = 0; i < z->count; i++) {
        const struct zoo_entry *x = &z->entries[i];
        double d = x->conditions.looks_known && e->conditions.looks_known
                       ? unlikeness(&x->conditions, &e->conditions, &usual_units)
                       : DUPLICATE;
        if (d < least) {
            least = d;
            found = i;
        }
    }
    return found;
}

/* Uses for an age, where each entry is given one use to begin with. */
static double rate_of_use(const struct zoo_entry *e, uint64_t now_us)
{
    double age_h = now_us > e->added_us ? (double)(now_us - e->added_us) / 3.6e9 : 0;
    return (1 + (double)e->uses) / (1 + age_h);
}

static int least_used(const struct zoo *z, uint64_t now_us)
{
    int least = 0;
    for (int i = 1; i < z->count; i++)
        if (rate_of_use(&z->entries[i], now_us) < rate_of_use(&z->entries[least], now_us))
            least = i;
    return least;
}

static bool entry_valid(const struct zoo_entry *e)
{
    return group_conditions_valid(&e->conditions) && e->accuracy >= 0 && e->accuracy <= 1 &&
           *e->model && memchr(e->model, 0, sizeof e->model);
}

/* Takes the entry at `at` (-1: none) out, and says which it was. */
static void evict(struct zoo *z, int at, struct zoo_entry *ret)
{
    *ret = (struct zoo_entry){0};
    if (at < 0)
        return;
    *ret = z->entries[at];
    zoo_remove(z, ret->id);
}

enum status zoo_add(struct zoo *z, const struct zoo_entry *e, uint64_t now_us, uint64_t *ret_id,
                    struct zoo_entry *ret_evicted, struct error *err)
{
    if (!entry_valid(e))
        return error_set(err, ST_INVALID,
                         "a model for the zoo needs a name, an accuracy of 0 to 1 and conditions "
                         "that are numbers");
    struct zoo_entry made = *e;
    made.id = z->next_id++;
    made.added_us = made.used_us = now_us;
    made.uses = 0;
    *ret_id = made.id;
    int twin = duplicate_of(z, &made);
    if (twin >= 0 && !worth_more(&made, &z->entries[twin])) {
        *ret_evicted = made;
        return ST_OK;
    }
    evict(z, twin >= 0 ? twin : z->count == z->capacity ? least_used(z, now_us) : -1, ret_evicted);
    z->entries[z->count++] = made;
    return ST_OK;
}

/* ---- Selection ---- */

static double mean_accuracy(const struct zoo *z)
{
    double sum = 0;
    for (int i = 0; i < z->count; i++)
        sum += z->entries[i].accuracy;
    return z->count ? sum / z->count : 0;
}

static bool doubles(const struct zoo *z, const struct zoo_entry *e, const uint64_t *ids, int n,
                    const struct zoo_units *u)
{
    for (int i = 0; i < n; i++) {
        const struct zoo_entry *x = zoo_find(z, ids[i]);
        if (x->conditions.looks_known && e->conditions.looks_known &&
            unlikeness(&x->conditions, &e->conditions, u) < DUPLICATE)
            return true;
    }
    return false;
}

int zoo_select(const struct zoo *z, const struct group_conditions *c, const struct zoo_units *units,
               int tries, uint64_t *ret_ids)
{
    double mean = mean_accuracy(z), last = -INFINITY;
    uint64_t last_id = 0;
    int n = 0;
    /* The next best each time; tries are few. Those passed over for being doubles count as seen. */
    for (int seen = 0; n < tries && seen < DOUBLES_A_TRY * tries; seen++) {
        const struct zoo_entry *best = NULL;
        double least = INFINITY;
        for (int i = 0; i < z->count; i++) {
            const struct zoo_entry *e = &z->entries[i];
            double d = unlikeness(c, &e->conditions, units) - (e->accuracy - mean) / ACCURACY_UNIT;
            bool after = d > last || (d >= last && e->id > last_id);
            if (after && d < least) {
                least = d;
                best = e;
            }
        }
        if (!best)
            break;
        last = least;
        last_id = best->id;
        if (!doubles(z, best, ret_ids, n, units))
            ret_ids[n++] = best->id;
    }
    return n;
}

/* ---- Bytes ---- */

static void put_entry(struct buf *out, const struct zoo_entry *e)
{
    size_t n = strlen(e->model);
    buf_put_u64(out, e->id);
    group_conditions_put(out, &e->conditions);
    buf_put_f64(out, e->accuracy);
    buf_put_u64(out, e->size_bytes);
    buf_put_u64(out, e->added_us);
    buf_put_u64(out, e->used_us);
    buf_put_u32(out, e->uses);
    buf_put_u8(out, (uint8_t)n);
    buf_put(out, e->model, n);
}

enum status zoo_save(const struct zoo *z, struct buf *out, struct error *err)
{
    size_t start = out->size_bytes;
    buf_put(out, MAGIC, 4);
    buf_put_u16(out, FORMAT_VERSION);
    buf_put_u32(out, (uint32_t)z->capacity);
    buf_put_u32(out, (uint32_t)z->count);
    buf_put_u64(out, z->next_id);
    for (int i = 0; i < z->count; i++)
        put_entry(out, &z->entries[i]);
    if (!out->failed)
        buf_put_u32(out, file_crc32(out->data + start, out->size_bytes - start));
    return out->failed ? error_set(err, ST_NOMEM, "no memory for the zoo as bytes") : ST_OK;
}

static bool get_entry(struct cursor *c, struct zoo_entry *ret)
{
    struct zoo_entry e = {.id = cursor_u64(c)};
    group_conditions_get(c, &e.conditions);
    e.accuracy = cursor_f64(c);
    e.size_bytes = cursor_u64(c);
    e.added_us = cursor_u64(c);
    e.used_us = cursor_u64(c);
    e.uses = cursor_u32(c);
    uint8_t n = cursor_u8(c);
    const uint8_t *text = n <= ZOO_MODEL_CHARS_MAX ? cursor_take(c, n) : NULL;
    if (!text)
        return false;
    memcpy(e.model, text, n);
    *ret = e;
    return !c->failed && strlen(e.model) == n && entry_valid(&e);
}

static bool get_entries(struct cursor *c, uint32_t count, struct zoo *z)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct zoo_entry *e = &z->entries[i];
        if (!get_entry(c, e) || e->id <= last || e->id >= z->next_id)
            return false;
        last = e->id;
        z->count++;
    }
    return c->left_bytes == 0;
}

enum status zoo_load(const void *data, size_t n, struct zoo **ret, struct error *err)
{
    struct cursor c, end;
    cursor_init(&c, data, n < 4 ? 0 : n - 4);
    cursor_init(&end, (const uint8_t *)data + (n < 4 ? 0 : n - 4), n < 4 ? 0 : 4);
    const uint8_t *magic = cursor_take(&c, 4);
    if (!magic || memcmp(magic, MAGIC, 4) != 0)
        return error_set(err, ST_FORMAT, "this is no zoo of attune");
    if (cursor_u16(&c) != FORMAT_VERSION)
        return error_set(err, ST_FORMAT, "the zoo is of another version of attune");
    if (cursor_u32(&end) != file_crc32(data, n - 4))
        return error_set(err, ST_FORMAT, "the zoo is damaged: its checksum is another");
    uint32_t capacity = cursor_u32(&c), count = cursor_u32(&c);
    uint64_t next_id = cursor_u64(&c);
    struct zoo *z = NULL;
    if (c.failed || capacity < 1 || capacity > ZOO_ENTRIES_MAX || count > capacity || !next_id)
        return error_set(err, ST_FORMAT, "the zoo's sizes make no sense");
    enum status st = zoo_open((int)capacity, &z, err);
    if (st != ST_OK)
        return st;
    z->next_id = next_id;
    if (!get_entries(&c, count, z)) {
        zoo_close(&z);
        return error_set(err, ST_FORMAT, "the zoo's entries make no sense");
    }
    *ret = z;
    return ST_OK;
}
