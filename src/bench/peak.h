/* peak.h - what this machine can do at most: the limit that a network's speed is compared with.
 *
 * Arithmetic: a 1024^3 matrix product of oneDNN, the second factor in the layout that it likes
 * best. Memory: a copy (bytes read plus bytes written; the C library stores around the caches) and
 * a sum over arrays that are several times larger than the last cache.
 *
 * Threads: uses `threads` OpenMP threads.
 * Memory:  twice the size of the arrays for the call.
 * Errors:  ST_NOMEM, ST_INTERNAL.
 */
#ifndef ATTUNE_BENCH_PEAK_H
#define ATTUNE_BENCH_PEAK_H

#include "base/error.h"

struct bench_rate {
    double median, best;
};

struct bench_peak {
    struct bench_rate f32_gflops, bf16_gflops; /* bf16: 0 where oneDNN has no such product */
    struct bench_rate copy_gbps, read_gbps;    /* 10^9 bytes a second */
};

/* Takes about `seconds`, a quarter for each. */
enum status bench_peak_measure(int threads, double seconds, struct bench_peak *ret,
                               struct error *err);

#endif
