/* meter.c - logarithmic buckets: 16 to a power of two, exact below 16 microseconds. */
#include "edge/meter.h"

#include <assert.h>
#include <string.h>

#define SUB_BITS 4
#define SUB (1u << SUB_BITS)

static unsigned bucket_of(uint64_t v)
{
    if (v < SUB)
        return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - SUB_BITS;
    return (shift << SUB_BITS) + (unsigned)(v >> shift); /* v >> shift is SUB .. 2 * SUB - 1 */
}

/* The largest value that falls into bucket b. */
static uint64_t bucket_end(unsigned b)
{
    if (b < SUB)
        return b;
    unsigned shift = (b >> SUB_BITS) - 1;
    uint64_t low = (uint64_t)(SUB + (b & (SUB - 1))) << shift;
    return low + (((uint64_t)1 << shift) - 1);
}

void meter_init(struct meter *m)
{
    memset(m, 0, sizeof *m);
}

void meter_add(struct meter *m, uint64_t latency_us)
{
    unsigned b = bucket_of(latency_us);
    assert(b < METER_BUCKETS);
    m->bucket[b]++;
    m->count++;
    if (latency_us > m->max_us)
        m->max_us = latency_us;
}

uint64_t meter_percentile(const struct meter *m, double fraction)
{
    double wanted = fraction * (double)m->count;
    uint64_t seen = 0;
    for (unsigned b = 0; b < METER_BUCKETS; b++) {
        seen += m->bucket[b];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t end_us = bucket_end(b);
            return end_us < m->max_us ? end_us : m->max_us;
        }
    }
    return m->max_us;
}
