/* throttle.h - a process that keeps to the share it was given: called after each piece of work.
 *
 * The one who gives shares (share/limiter.h) and the process have a page of memory together; the
 * process inherits its descriptor, whose number is in the environment. The share there may change
 * at any time and counts at once, also in the middle of a wait. A page that says "not paced" (a
 * cgroup enforces the share) and a process that was started without one never wait.
 *
 * Owns:    the mapping of the page.
 * Threads: one at a time. The processor time of all threads of the process is charged.
 * Time:    through struct throttle_clock, so that tests run in virtual time.
 */
#ifndef ATTUNE_SHARE_THROTTLE_H
#define ATTUNE_SHARE_THROTTLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "share/pacer.h"

#define THROTTLE_ENVIRONMENT "ATTUNE_SHARE_FD"
#define THROTTLE_LOOK_US 50000 /* a wait looks this often whether the share has changed */

/* What both sides see. Written by one side only. */
struct share_page {
    _Atomic uint32_t share_millionths; /* of a processor, not 0 */
    atomic_bool paced;
};

struct throttle_clock {
    void *context;
    uint64_t (*now_us)(void *context);  /* monotonic */
    uint64_t (*used_us)(void *context); /* processor time so far, UINT64_MAX: not known */
    void (*sleep_until_us)(void *context, uint64_t until_us);
};

struct throttle {
    const struct share_page *page; /* NULL: never waits */
    bool mapped;                   /* the page is ours to unmap */
    struct throttle_clock clock;
    struct pacer pacer;
    uint64_t used_us; /* charged so far */
    /* The owner's to set after opening: a wait ends, within THROTTLE_LOOK_US, when it becomes true.
     */
    const atomic_bool *cancel;
    uint64_t waited_us;
};

/* page: borrowed; NULL for none. clock: NULL for the system's. */
void throttle_init(struct throttle *t, const struct share_page *page,
                   const struct throttle_clock *clock);

/* The page that this process was started with; without one like throttle_init with NULL. Takes the
 * variable out of the environment and closes the descriptor. ST_INVALID: the variable names no
 * page. */
enum status throttle_open(struct throttle *t, struct error *err);
void throttle_clear(struct throttle *t);

/* Charges what was used since the last call and waits until use is within the share. */
void throttle_step(struct throttle *t);

/* A new page in a descriptor (close-on-exec) and mapped. */
enum status share_page_open(struct share_page **ret, int *ret_fd, struct error *err);
void share_page_close(struct share_page **page, int *fd);
void share_page_set(struct share_page *page, double share);

#endif
