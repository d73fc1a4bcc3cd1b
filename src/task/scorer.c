/* scorer.c - one confusion matrix a frame and answer in a ring; windows are sums over the ring. */
#include "task/scorer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct scored {
    uint64_t t_us;
    struct confusion adapted, unadapted;
};

struct scorer {
    enum task_kind task;
    struct scored *ring;
    int class_count, capacity, count, next;
    struct confusion adapted, unadapted; /* all frames */
    int frames;
};

enum status scorer_open(enum task_kind task, int class_count, int window_s, struct scorer **ret,
                        struct error *err)
{
    assert(class_count >= 1 && class_count <= CLASSES_MAX);
    assert(window_s >= 1 && window_s <= SCORER_WINDOW_S_MAX);
    struct scorer *s = calloc(1, sizeof *s);
    if (s)
        s->ring = calloc((size_t)window_s, sizeof *s->ring);
    if (!s || !s->ring) {
        scorer_close(&s);
        return error_set(err, ST_NOMEM, "no memory to score %d seconds", window_s);
    }
    s->task = task;
    s->capacity = window_s;
    s->class_count = class_count;
    task_counts_init(task, class_count, &s->adapted);
    task_counts_init(task, class_count, &s->unadapted);
    *ret = s;
    return ST_OK;
}

void scorer_close(struct scorer **s)
{
    if (!s || !*s)
        return;
    free((*s)->ring);
    free(*s);
    *s = NULL;
}

/* The i-th newest frame in the ring. */
static struct scored *newest(const struct scorer *s, int i)
{
    return &s->ring[(s->next - 1 - i + 2 * s->capacity) % s->capacity];
}

/* The newest frame when it is of that time, else a new one. */
static struct scored *place_at(struct scorer *s, uint64_t t_us)
{
    if (s->count > 0 && newest(s, 0)->t_us == t_us)
        return newest(s, 0);
    struct scored *f = &s->ring[s->next];
    s->next = (s->next + 1) % s->capacity;
    if (s->count < s->capacity)
        s->count++;
    s->frames++;
    f->t_us = t_us;
    task_counts_init(s->task, s->class_count, &f->adapted);
    task_counts_init(s->task, s->class_count, &f->unadapted);
    return f;
}

void scorer_add(struct scorer *s, uint64_t t_us, const uint8_t *truth, const uint8_t *adapted,
                const uint8_t *unadapted, size_t n)
{
    struct scored *f = place_at(s, t_us);
    confusion_add(&f->adapted, truth, adapted, n);
    confusion_add(&f->unadapted, truth, unadapted, n);
    confusion_add(&s->adapted, truth, adapted, n);
    confusion_add(&s->unadapted, truth, unadapted, n);
}

void scorer_window(const struct scorer *s, uint64_t last_us, struct score *ret)
{
    struct confusion adapted, unadapted;
    task_counts_init(s->task, s->class_count, &adapted);
    task_counts_init(s->task, s->class_count, &unadapted);
    int frames = 0;
    uint64_t now_us = s->count > 0 ? newest(s, 0)->t_us : 0;
    for (; frames < s->count; frames++) {
        const struct scored *f = newest(s, frames);
        if (last_us > 0 && now_us - f->t_us >= last_us)
            break;
        confusion_merge(&adapted, &f->adapted);
        confusion_merge(&unadapted, &f->unadapted);
    }
    *ret = (struct score){.adapted = task_score(s->task, &adapted),
                          .unadapted = task_score(s->task, &unadapted),
                          .frames = frames};
}

void scorer_total(const struct scorer *s, struct score *ret)
{
    *ret = (struct score){.adapted = task_score(s->task, &s->adapted),
                          .unadapted = task_score(s->task, &s->unadapted),
                          .frames = s->frames};
}
