/* times.h - the times of repeated runs, of which the median and the best are told.
 *
 * Threads: one.
 * Memory:  fixed; runs beyond BENCH_RUNS_MAX are not kept, whoever repeats stops there.
 */
#ifndef ATTUNE_BENCH_TIMES_H
#define ATTUNE_BENCH_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_RUNS_MAX 4096
#define BENCH_RUNS_MIN 3

struct bench_times {
    double ms[BENCH_RUNS_MAX];
    int count;
};

void bench_times_add(struct bench_times *t, double ms);

/* Median (mean of the middle two of an even number) and smallest; 0 of none. Orders t->ms. */
double bench_times_median(struct bench_times *t);
double bench_times_best(const struct bench_times *t);

/* Whether to run once more: at least BENCH_RUNS_MIN, then until `seconds` have passed since
 * start_us. */
bool bench_times_more(const struct bench_times *t, double seconds, uint64_t start_us,
                      uint64_t now_us);

#endif
