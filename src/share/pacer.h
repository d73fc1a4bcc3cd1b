/* pacer.h - how long to wait after a piece of work, so that use of the processors stays at a share.
 *
 * A leaky bucket: compute is owed when it was used, and the debt drains at `share` a second; work
 * goes on when nothing is owed. A sliding window would charge a step that is longer than the window
 * too little, this charges every step in full. Time in which less than the share was used is worth
 * PACER_CREDIT_US at most, so idleness is not saved up.
 *
 * A new share applies at once: old credit is gone, and of an old debt no more than PACER_FORGIVE_US
 * of waiting is left, so that a change is felt within a second after a step of any length.
 *
 * Units:   compute in microseconds of one processor, share in processors (0.3; 2.5 of several).
 * Threads: one at a time. Time: now_us never decreases.
 */
#ifndef ATTUNE_SHARE_PACER_H
#define ATTUNE_SHARE_PACER_H

#include <stdint.h>

#define PACER_CREDIT_US 250000
#define PACER_FORGIVE_US 500000

struct pacer {
    double share;
    double debt_us; /* at t_us; below 0: credit */
    uint64_t t_us;
};

/* share > 0. */
void pacer_init(struct pacer *p, double share, uint64_t now_us);
void pacer_set(struct pacer *p, double share, uint64_t now_us);

/* used_us of compute were used up to now. */
void pacer_charge(struct pacer *p, uint64_t used_us, uint64_t now_us);

/* When work may go on; not after the last call's now_us: at once. */
uint64_t pacer_due_us(const struct pacer *p);

#endif
