/* bell.c - a broadcast for everybody: a few dozen waiters look at a row each, which is cheaper than
 * keeping a list of who waits for what right. */
#include "server/bell.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

void bell_init(struct bell *b)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->rung, &attr);
    pthread_condattr_destroy(&attr);
    b->count = 1;
    b->stopped = false;
}

void bell_clear(struct bell *b)
{
    pthread_cond_destroy(&b->rung);
    pthread_mutex_destroy(&b->lock);
}

static void ring(struct bell *b, bool stop)
{
    pthread_mutex_lock(&b->lock);
    b->count++;
    b->stopped = b->stopped || stop;
    pthread_cond_broadcast(&b->rung);
    pthread_mutex_unlock(&b->lock);
}

void bell_ring(struct bell *b)
{
    ring(b, false);
}

void bell_stop(struct bell *b)
{
    ring(b, true);
}

bool bell_stopped(struct bell *b)
{
    pthread_mutex_lock(&b->lock);
    bool stopped = b->stopped;
    pthread_mutex_unlock(&b->lock);
    return stopped;
}

uint64_t bell_count(struct bell *b)
{
    pthread_mutex_lock(&b->lock);
    uint64_t count = b->count;
    pthread_mutex_unlock(&b->lock);
    return count;
}

bool bell_wait(struct bell *b, uint64_t seen, uint64_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                             .tv_nsec = (long)(until_us % 1000000) * 1000};
    pthread_mutex_lock(&b->lock);
    int code = 0;
    while (b->count == seen && !b->stopped && code != ETIMEDOUT) {
        code = pthread_cond_timedwait(&b->rung, &b->lock, &until);
        assert(code == 0 || code == ETIMEDOUT);
    }
    bool going_on = !b->stopped;
    pthread_mutex_unlock(&b->lock);
    return going_on;
}
