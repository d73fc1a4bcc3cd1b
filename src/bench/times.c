#include "bench/times.h"

#include <stdlib.h>

void bench_times_add(struct bench_times *t, double ms)
{
    if (t->count < BENCH_RUNS_MAX)
        t->ms[t->count++] = ms;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double bench_times_median(struct bench_times *t)
{
    if (t->count == 0)
        return 0;
    qsort(t->ms, (size_t)t->count, sizeof *t->ms, by_size);
    int high = t->count / 2, low = (t->count - 1) / 2;
    return (t->ms[low] + t->ms[high]) / 2;
}

double bench_times_best(const struct bench_times *t)
{
    double best = t->count ? t->ms[0] : 0;
    for (int i = 1; i < t->count; i++)
        best = t->ms[i] < best ? t->ms[i] : best;
    return best;
}

bool bench_times_more(const struct bench_times *t, double seconds, uint64_t start_us,
                      uint64_t now_us)
{
    if (t->count >= BENCH_RUNS_MAX)
        return false;
    return t->count < BENCH_RUNS_MIN || (double)(now_us - start_us) < seconds * 1e6;
}
