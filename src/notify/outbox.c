/* outbox.c - a ring of pointers under a mutex. */
#include "notify/outbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct outbox {
    pthread_mutex_t mutex;
    struct outbox_message *items; /* [limit] */
    int limit, first, depth;
    size_t bytes, bytes_max;
    unsigned long long put, dropped;
};

enum status outbox_open(int messages_max, size_t bytes_max, struct outbox **ret, struct error *err)
{
    struct outbox *o = calloc(1, sizeof *o);
    if (o)
        o->items = calloc((size_t)messages_max, sizeof *o->items);
    if (!o || !o->items) {
        free(o);
        return error_set(err, ST_NOMEM, "no memory for a queue of %d messages", messages_max);
    }
    o->limit = messages_max;
    o->bytes_max = bytes_max;
    pthread_mutex_init(&o->mutex, NULL);
    *ret = o;
    return ST_OK;
}

static size_t size_of(const struct outbox_message *m)
{
    return strlen(m->topic) + 1 + m->payload_bytes;
}

/* There is one. */
static struct outbox_message take_first(struct outbox *o)
{
    struct outbox_message m = o->items[o->first];
    o->first = (o->first + 1) % o->limit;
    o->depth--;
    o->bytes -= size_of(&m);
    return m;
}

void outbox_close(struct outbox **o)
{
    if (!o || !*o)
        return;
    while ((*o)->depth > 0) {
        struct outbox_message m = take_first(*o);
        outbox_message_clear(&m);
    }
    pthread_mutex_destroy(&(*o)->mutex);
    free((*o)->items);
    free(*o);
    *o = NULL;
}

static bool copy(const char *topic, const void *payload, size_t n, struct outbox_message *ret)
{
    size_t topic_bytes = strlen(topic) + 1;
    char *bytes = malloc(topic_bytes + n + 1);
    if (!bytes)
        return false;
    memcpy(bytes, topic, topic_bytes);
    if (n > 0)
        memcpy(bytes + topic_bytes, payload, n);
    bytes[topic_bytes + n] = '\0';
    ret->topic = bytes;
    ret->payload = bytes + topic_bytes;
    ret->payload_bytes = n;
    return true;
}

bool outbox_put(struct outbox *o, const char *topic, const void *payload, size_t n, int quality,
                bool retained)
{
    struct outbox_message m = {.quality = quality, .retained = retained};
    size_t size = strlen(topic) + 1 + n;
    bool kept = size <= o->bytes_max && copy(topic, payload, n, &m);
    pthread_mutex_lock(&o->mutex);
    while (kept && (o->depth == o->limit || o->bytes + size > o->bytes_max)) {
        struct outbox_message oldest = take_first(o);
        outbox_message_clear(&oldest);
        o->dropped++;
    }
    o->put++;
    if (kept) {
        o->items[(o->first + o->depth++) % o->limit] = m;
        o->bytes += size;
    } else
        o->dropped++;
    pthread_mutex_unlock(&o->mutex);
    return kept;
}

bool outbox_take(struct outbox *o, struct outbox_message *ret)
{
    pthread_mutex_lock(&o->mutex);
    bool there = o->depth > 0;
    if (there)
        *ret = take_first(o);
    pthread_mutex_unlock(&o->mutex);
    return there;
}

void outbox_message_clear(struct outbox_message *m)
{
    free(m->topic);
    *m = (struct outbox_message){0};
}

void outbox_counts(struct outbox *o, struct outbox_counts *ret)
{
    pthread_mutex_lock(&o->mutex);
    *ret = (struct outbox_counts){o->depth, o->limit, o->put, o->dropped};
    pthread_mutex_unlock(&o->mutex);
}
