/* meter.h - latency percentiles without keeping the samples.
 *
 * Buckets grow by a sixteenth of their power of two, so a percentile is at most 6.25 % too high.
 *
 * Owns:    a plain value.  Threads: one at a time.
 */
#ifndef ATTUNE_EDGE_METER_H
#define ATTUNE_EDGE_METER_H

#include <stdint.h>

#define METER_BUCKETS 976 /* 16 exact ones, then 16 a power of two up to 2^64 */

struct meter {
    uint64_t count, max_us;
    uint32_t bucket[METER_BUCKETS];
};

void meter_init(struct meter *m);
void meter_add(struct meter *m, uint64_t latency_us);

/* The smallest bucket's upper end with at least `fraction` (0..1] of the samples at or under it,
 * never above the largest sample; 0 without samples. */
uint64_t meter_percentile(const struct meter *m, double fraction);

#endif
