/* handoff.h - a bounded queue of preallocated items from one thread to another; drops the oldest.
 *
 * For the way out of the real-time thread: handing an item over never blocks for longer than a few
 * instructions, whatever the taker does. When every item is in use the oldest that nobody has
 * taken yet is overwritten, and counted.
 *
 * Usage: giver: item = handoff_begin(h); fill it; handoff_commit(h).
 *        taker: item = handoff_take(h, until_us); read it; handoff_release(h).
 *
 * Owns:    capacity + 2 items of item_bytes, zeroed at open, aligned for any type.
 * Threads: one giver, one taker; handoff_stop and the counters from any.
 * Time:    handoff_take waits on the monotonic clock.
 * Memory:  taken at open; nothing is allocated afterwards.
 */
#ifndef ATTUNE_EDGE_HANDOFF_H
#define ATTUNE_EDGE_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define HANDOFF_ITEMS_MAX 4096

struct handoff;

/* capacity 1..HANDOFF_ITEMS_MAX - 2. */
enum status handoff_open(int capacity, size_t item_bytes, struct handoff **ret, struct error *err);
void handoff_close(struct handoff **h);

/* An item to write into; the giver's until handoff_commit. Calling it twice gives the same one. */
void *handoff_begin(struct handoff *h);
void handoff_commit(struct handoff *h);

/* The oldest item, the taker's until handoff_release; NULL when none came before the monotonic
 * clock showed until_us (0: do not wait) or the queue is stopped and empty. */
const void *handoff_take(struct handoff *h, uint64_t until_us);
void handoff_release(struct handoff *h);

/* No more items: wakes the taker, which still gets what is queued. */
void handoff_stop(struct handoff *h);
bool handoff_stopped(struct handoff *h);

/* Items overwritten before they were taken. */
uint64_t handoff_dropped(struct handoff *h);

#endif
