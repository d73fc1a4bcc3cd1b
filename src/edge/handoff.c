/* handoff.c - a ring of item indices under a mutex that is held for a few instructions only.
 *
 * Every item is in one of four places: being written (giver), being read (taker), waiting in the
 * ring, or spare. With capacity + 2 items there is a spare or a waiting one whenever the giver
 * asks, so it never waits for the taker.
 */
#include "edge/handoff.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"

struct handoff {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint8_t *items;
    size_t stride_bytes;
    int capacity;
    int *waiting; /* ring of capacity indices */
    int first, count;
    int *spare;
    int spare_count;
    int writing, reading; /* -1: none */
    bool stopped;
    uint64_t dropped;
};

enum status handoff_open(int capacity, size_t item_bytes, struct handoff **ret, struct error *err)
{
    assert(capacity >= 1 && capacity <= HANDOFF_ITEMS_MAX - 2 && item_bytes > 0);
    int total = capacity + 2;
    struct handoff *h = calloc(1, sizeof *h);
    if (!h)
        return error_set(err, ST_NOMEM, "no memory for a queue");
    pthread_mutex_init(&h->mutex, NULL);
    clock_cond_init(&h->changed);
    h->capacity = capacity;
    h->writing = h->reading = -1;
    h->waiting = calloc((size_t)capacity, sizeof *h->waiting);
    h->spare = calloc((size_t)total, sizeof *h->spare);
    if (item_bytes < SIZE_MAX - 64) {
        h->stride_bytes = (item_bytes + 63) & ~(size_t)63;
        h->items = calloc((size_t)total, h->stride_bytes);
    }
    if (!h->items || !h->waiting || !h->spare) {
        handoff_close(&h);
        return error_set(err, ST_NOMEM, "no memory for a queue of %d items of %zu bytes", capacity,
                         item_bytes);
    }
    for (int i = 0; i < total; i++)
        h->spare[h->spare_count++] = i;
    *ret = h;
    return ST_OK;
}

void handoff_close(struct handoff **h)
{
    if (!h || !*h)
        return;
    pthread_cond_destroy(&(*h)->changed);
    pthread_mutex_destroy(&(*h)->mutex);
    free((*h)->items);
    free((*h)->waiting);
    free((*h)->spare);
    free(*h);
    *h = NULL;
}

static void *item_at(const struct handoff *h, int i)
{
    return h->items + (size_t)i * h->stride_bytes;
}

static int pop_waiting(struct handoff *h)
{
    int i = h->waiting[h->first];
    h->first = (h->first + 1) % h->capacity;
    h->count--;
    return i;
}

void *handoff_begin(struct handoff *h)
{
    pthread_mutex_lock(&h->mutex);
    if (h->writing < 0) {
        assert(h->spare_count > 0);
        h->writing = h->spare[--h->spare_count];
    }
    void *item = item_at(h, h->writing);
    pthread_mutex_unlock(&h->mutex);
    return item;
}

void handoff_commit(struct handoff *h)
{
    pthread_mutex_lock(&h->mutex);
    assert(h->writing >= 0);
    if (h->count == h->capacity) {
        h->spare[h->spare_count++] = pop_waiting(h);
        h->dropped++;
    }
    h->waiting[(h->first + h->count) % h->capacity] = h->writing;
    h->count++;
    h->writing = -1;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->mutex);
}

const void *handoff_take(struct handoff *h, uint64_t until_us)
{
    const void *item = NULL;
    pthread_mutex_lock(&h->mutex);
    assert(h->reading < 0);
    while (h->count == 0 && !h->stopped && until_us > 0)
        if (clock_cond_wait(&h->changed, &h->mutex, until_us) != 0)
            break;
    if (h->count > 0) {
        h->reading = pop_waiting(h);
        item = item_at(h, h->reading);
    }
    pthread_mutex_unlock(&h->mutex);
    return item;
}

void handoff_release(struct handoff *h)
{
    pthread_mutex_lock(&h->mutex);
    assert(h->reading >= 0);
    h->spare[h->spare_count++] = h->reading;
    h->reading = -1;
    pthread_mutex_unlock(&h->mutex);
}

void handoff_stop(struct handoff *h)
{
    pthread_mutex_lock(&h->mutex);
    h->stopped = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->mutex);
}

bool handoff_stopped(struct handoff *h)
{
    pthread_mutex_lock(&h->mutex);
    bool stopped = h->stopped;
    pthread_mutex_unlock(&h->mutex);
    return stopped;
}

uint64_t handoff_dropped(struct handoff *h)
{
    pthread_mutex_lock(&h->mutex);
    uint64_t dropped = h->dropped;
    pthread_mutex_unlock(&h->mutex);
    return dropped;
}
