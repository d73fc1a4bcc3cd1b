/* durations.h - how long something took, counted in fixed buckets: small enough to be sent every
 * few seconds, and sums and differences of counts are counts again.
 *
 * The bounds are part of the camera's report (docs/api.md) and of the server's metrics: other ones
 * need another name there.
 *
 * Owns:    a plain value.  Threads: one at a time.
 */
#ifndef ATTUNE_BASE_DURATIONS_H
#define ATTUNE_BASE_DURATIONS_H

#include <stdbool.h>
#include <stdint.h>

#define DURATIONS_BOUNDS 16
#define DURATIONS_BUCKETS (DURATIONS_BOUNDS + 1) /* the last is for what is above all bounds */
#define DURATIONS_COUNT_MAX ((uint64_t)1 << 48)  /* of a bucket that somebody tells */

/* Upper ends of the buckets, rising, in seconds; a bucket has its upper end. */
extern const double durations_bounds_s[DURATIONS_BOUNDS];

struct durations {
    uint64_t counts[DURATIONS_BUCKETS];
    double sum_s;
};

void durations_add(struct durations *d, double duration_s);

uint64_t durations_count(const struct durations *d);

/* All of `more`, too. */
void durations_join(struct durations *d, const struct durations *more);

/* What came after `before`; false, and nothing is written, when that is not a part of `now`:
 * whoever counts has begun again. */
bool durations_since(const struct durations *now, const struct durations *before,
                     struct durations *ret);

/* The duration that a part of [0, 1] of all were not above: on a line through the bucket that has
 * it, the last bound for what is above all. NaN: there are none. */
double durations_quantile(const struct durations *d, double part);

#endif
