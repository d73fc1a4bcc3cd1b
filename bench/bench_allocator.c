/* bench_allocator - how long the allocator takes to divide micro-windows among many groups. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"
#include "bench/times.h"
#include "schedule/allocator.h"

#define RUNS 5

/* Negative: it failed. */
static double plan_ms(const struct allocator_curve *curves, int groups, int slots, int *slots_of)
{
    uint64_t start_us = clock_mono_us();
    if (allocator_plan(curves, groups, slots, 0.5, slots_of, NULL) != ST_OK)
        return -1;
    return (double)(clock_mono_us() - start_us) / 1e3;
}

static int bench(int groups, int slots)
{
    double *gains = malloc((size_t)groups * (size_t)slots * sizeof *gains), worst_ms = 0;
    struct allocator_curve *curves = calloc((size_t)groups, sizeof *curves);
    int *slots_of = calloc((size_t)groups, sizeof *slots_of);
    struct bench_times times = {0};
    struct rng r;
    rng_init(&r, 1, 0);
    if (!gains || !curves || !slots_of)
        return 1;
    for (int i = 0; i < groups; i++) {
        double gain = 0.1 * (double)rng_float(&r), *at = gains + (size_t)i * (size_t)slots;
        for (int k = 0; k < slots; k++, gain *= 0.8)
            at[k] = gain;
        curves[i] = (struct allocator_curve){.members = 1 + (int)rng_below(&r, 10),
                                             .floor = i < slots / 2,
                                             .accuracy = 0.3 + 0.3 * (double)rng_float(&r),
                                             .gain = at};
    }
    for (int k = 0; k < RUNS; k++) {
        double ms = plan_ms(curves, groups, slots, slots_of);
        bench_times_add(&times, ms);
        worst_ms = ms > worst_ms ? ms : worst_ms;
    }
    printf("%6d groups %5d slots  median %8.2f ms, worst %8.2f ms\n", groups, slots,
           bench_times_median(&times), worst_ms);
    free(gains);
    free(curves);
    free(slots_of);
    return 0;
}

int main(void)
{
    static const int groups[] = {3, 1000, 10000}, slots[] = {20, 256, ALLOCATOR_SLOTS_MAX};
    int bad = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            bad |= bench(groups[i], slots[k]);
    return bad;
}
