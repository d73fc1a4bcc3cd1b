/* round_robin.h - whose turn is it: the ring in which cameras share one trainer, as in AMS.
 *
 * next() goes round from the one after the last served and takes the first whose period has
 * elapsed, so that nobody is served twice while another is due.
 *
 * Owns:    its entries, allocated at init from the capacity.
 * Threads: one at a time.
 * Time:    now_us is an argument.
 */
#ifndef ATTUNE_TRAIN_ROUND_ROBIN_H
#define ATTUNE_TRAIN_ROUND_ROBIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define ROUND_ROBIN_MAX 65536

struct round_robin_entry {
    uint32_t id;
    uint64_t period_us, due_us;
};

struct round_robin {
    struct round_robin_entry *entries; /* in order of joining */
    int count, capacity, next;
};

enum status round_robin_init(struct round_robin *r, int capacity, struct error *err);
void round_robin_clear(struct round_robin *r);

/* First due at first_due_us. ST_LIMIT when full, ST_CONFLICT when the id is there. */
enum status round_robin_add(struct round_robin *r, uint32_t id, uint64_t period_us,
                            uint64_t first_due_us, struct error *err);

/* False when the id is not there. */
bool round_robin_remove(struct round_robin *r, uint32_t id);

/* The period from the next turn on; false when the id is not there. */
bool round_robin_set_period(struct round_robin *r, uint32_t id, uint64_t period_us);

/* Takes the next due camera; *ret_late_us says how long it has been due. Its next turn is one
 * period after now (late turns are not made up for). False: nobody is due, *ret_id untouched. */
bool round_robin_next(struct round_robin *r, uint64_t now_us, uint32_t *ret_id,
                      uint64_t *ret_late_us);

/* When somebody is due next; UINT64_MAX for an empty ring. */
uint64_t round_robin_due_us(const struct round_robin *r);

#endif
