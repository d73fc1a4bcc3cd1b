/* bell.h - "something has changed": one condition that every waiting thread sleeps on.
 *
 * A waiter remembers the count that it saw before it looked at the state, and sleeps until the
 * count is another; so a ring between looking and sleeping is never lost.
 *
 * Threads: safe.
 * Time:    deadlines are on the monotonic clock.
 */
#ifndef ATTUNE_SERVER_BELL_H
#define ATTUNE_SERVER_BELL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    uint64_t count;
    bool stopped;
};

void bell_init(struct bell *b);
void bell_clear(struct bell *b);
void bell_ring(struct bell *b);

/* From now on nobody waits any more. */
void bell_stop(struct bell *b);
bool bell_stopped(struct bell *b);
uint64_t bell_count(struct bell *b);

/* Until the count differs from `seen`, the bell is stopped or until_us. False when stopped. */
bool bell_wait(struct bell *b, uint64_t seen, uint64_t until_us);

#endif
