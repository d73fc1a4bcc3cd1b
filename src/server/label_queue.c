/* label_queue.c - see label_queue.h. */
#include "server/label_queue.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status label_queue_init(struct label_queue *q, int capacity, struct error *err)
{
    *q = (struct label_queue){.capacity = capacity};
    q->turns = calloc((size_t)capacity, sizeof *q->turns);
    return q->turns ? ST_OK : error_set(err, ST_NOMEM, "no memory for %d cameras", capacity);
}

void label_queue_clear(struct label_queue *q)
{
    free(q->turns);
    q->turns = NULL;
}

static struct label_turn *find(const struct label_queue *q, const char *camera)
{
    for (int i = 0; i < q->count; i++)
        if (strcmp(q->turns[i].camera, camera) == 0)
            return &q->turns[i];
    return NULL;
}

/* Who was away has not saved up. */
static uint64_t had_us(const struct label_queue *q, const char *camera)
{
    const struct label_turn *t = find(q, camera);
    return t && t->had_us > q->now_us ? t->had_us : q->now_us;
}

struct choice {
    const struct label_queue *queue;
    struct store_chunk *chunk;
    uint64_t had_us;
    bool there;
};

static void consider(const struct store_chunk *chunk, void *context)
{
    struct choice *c = context;
    uint64_t had = had_us(c->queue, chunk->camera);
    if (c->there && had >= c->had_us)
        return;
    *c->chunk = *chunk;
    c->had_us = had;
    c->there = true;
}

enum status label_queue_next(struct label_queue *q, struct store *s, struct store_chunk *ret,
                             struct error *err)
{
    struct store_chunk chunk = {.seq = 0};
    struct choice c = {.queue = q, .chunk = &chunk};
    enum status st = store_chunks_waiting(s, consider, &c, err);
    if (st != ST_OK || !c.there)
        return st != ST_OK ? st : ST_NOT_FOUND;
    q->now_us = c.had_us;
    *ret = chunk;
    return ST_OK;
}

void label_queue_took(struct label_queue *q, const char *camera, uint64_t took_us)
{
    struct label_turn *t = find(q, camera);
    if (!t && q->count < q->capacity) {
        t = &q->turns[q->count++];
        snprintf(t->camera, sizeof t->camera, "%s", camera);
    }
    if (t)
        t->had_us = had_us(q, camera) + took_us;
}
