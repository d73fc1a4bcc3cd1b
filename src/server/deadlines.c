/* deadlines.c - a list that one thread looks through a few times a second. */
#include "server/deadlines.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

#define LOOK_US 200000

struct deadline {
    struct deadlines *all;
    struct deadline *next, *before;
    int fd;
    uint64_t at_us; /* 0: never */
};

struct deadlines {
    pthread_mutex_t lock;
    pthread_cond_t ending;
    struct deadline *first;
    bool end;
    pthread_t thread;
};

static void look(struct deadlines *d, uint64_t now_us)
{
    for (struct deadline *i = d->first; i; i = i->next)
        if (i->at_us && now_us >= i->at_us) {
            shutdown(i->fd, SHUT_RDWR);
            i->at_us = 0;
        }
}

static void *run(void *context)
{
    struct deadlines *d = context;
    pthread_mutex_lock(&d->lock);
    while (!d->end) {
        uint64_t now_us = clock_mono_us(), until_us = now_us + LOOK_US;
        look(d, now_us);
        clock_cond_wait(&d->ending, &d->lock, until_us);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

enum status deadlines_open(struct deadlines **ret, struct error *err)
{
    struct deadlines *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(err, ST_NOMEM, "no memory for deadlines");
    pthread_mutex_init(&d->lock, NULL);
    clock_cond_init(&d->ending);
    if (pthread_create(&d->thread, NULL, run, d) != 0) {
        pthread_cond_destroy(&d->ending);
        pthread_mutex_destroy(&d->lock);
        free(d);
        return error_set(err, ST_NOMEM, "cannot start the thread that watches connections");
    }
    *ret = d;
    return ST_OK;
}

void deadlines_close(struct deadlines **ptr)
{
    struct deadlines *d = ptr ? *ptr : NULL;
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->end = true;
    pthread_cond_signal(&d->ending);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->ending);
    pthread_mutex_destroy(&d->lock);
    free(d);
    *ptr = NULL;
}

static uint64_t time_of(double after_s)
{
    return after_s > 0 ? clock_mono_us() + (uint64_t)(after_s * 1e6) : 0;
}

struct deadline *deadline_add(struct deadlines *d, int fd, double after_s)
{
    struct deadline *one = calloc(1, sizeof *one);
    if (!one)
        return NULL;
    *one = (struct deadline){.all = d, .fd = fd, .at_us = time_of(after_s)};
    pthread_mutex_lock(&d->lock);
    one->next = d->first;
    if (d->first)
        d->first->before = one;
    d->first = one;
    pthread_mutex_unlock(&d->lock);
    return one;
}

void deadline_set(struct deadline *one, double after_s)
{
    if (!one)
        return;
    pthread_mutex_lock(&one->all->lock);
    one->at_us = time_of(after_s);
    pthread_mutex_unlock(&one->all->lock);
}

void deadline_remove(struct deadline **ptr)
{
    struct deadline *one = *ptr;
    if (!one)
        return;
    pthread_mutex_lock(&one->all->lock);
    if (one->next)
        one->next->before = one->before;
    if (one->before)
        one->before->next = one->next;
    else
        one->all->first = one->next;
    pthread_mutex_unlock(&one->all->lock);
    free(one);
    *ptr = NULL;
}
