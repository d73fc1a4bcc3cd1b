/* bell.c - a broadcast for everybody: a few dozen waiters look at a row each, which is cheaper than
 * keeping a list of who waits for what right. */
#include "server/bell.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"

void bell_init(struct bell *b)
{
    pthread_mutex_init(&b->lock, NULL);
    clock_cond_init(&b->rung);
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
    pthread_mutex_lock(&b->lock);
    int code = 0;
    while (b->count == seen && !b->stopped && code != ETIMEDOUT) {
        code = clock_cond_wait(&b->rung, &b->lock, until_us);
        assert(code == 0 || code == ETIMEDOUT);
    }
    bool going_on = !b->stopped;
    pthread_mutex_unlock(&b->lock);
    return going_on;
}
