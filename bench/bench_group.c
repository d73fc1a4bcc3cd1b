/* How long a grouping decision takes: planted fleets (tests/group/planted.h) of many cameras, in
 * districts that are far from each other, and all in one place, where no group can be ruled out by
 * its distance. bench_group [CAMERAS [WINDOWS]]     default 10000 cameras, 12 windows Evaluating
 * the models that a request names is not part of it: that is the caller's. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "group/planted.h"

#define TIMES_MAX 1000000
#define DISTRICT_CAMERAS 25

struct times {
    double *ms[PLANTED_CALLS];
    int count[PLANTED_CALLS];
};

static void keep(void *context, enum planted_call call, uint64_t took_us)
{
    struct times *t = context;
    if (t->count[call] < TIMES_MAX)
        t->ms[call][t->count[call]++] = (double)took_us / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(struct times *t, const char *fleet)
{
    static const char *const names[PLANTED_CALLS] = {"request", "decide", "review", "conclude"};
    for (int c = 0; c < PLANTED_CALLS; c++) {
        int n = t->count[c];
        qsort(t->ms[c], (size_t)n, sizeof(double), by_value);
        printf("%-10s %-9s %8d %10.3f %10.3f %10.3f\n", fleet, names[c], n, t->ms[c][n / 2],
               t->ms[c][n * 99 / 100], t->ms[c][n - 1]);
        t->count[c] = 0;
    }
}

static int measure(struct times *t, const char *fleet, int cameras, int districts, int windows,
                   double apart_m)
{
    struct planted_options o;
    struct group_settings s;
    struct planted p;
    struct grouper *g;
    struct error err;
    planted_options_init(&o);
    group_settings_init(&s);
    o.cameras = cameras;
    o.districts = districts;
    o.windows = windows;
    o.event_windows = 2;
    o.apart_m = apart_m;
    o.clock_us = clock_thread_cpu_us;
    o.timed = keep;
    o.context = t;
    s.merge_pairs_max = GROUP_MERGE_PAIRS_MAX;
    if (!planted_open(&o, &p) || grouper_open(&s, &g, &err) != ST_OK)
        return 1;
    if (planted_run(&p, g, &err) != ST_OK) {
        fprintf(stderr, "bench_group: %s\n", err.message);
        return 1;
    }
    tell(t, fleet);
    printf("%-10s %d cameras in %d groups, %.0f bytes a camera; at most %d models tried for a "
           "request\n",
           fleet, cameras, grouper_group_count(g), (double)grouper_bytes(g) / cameras,
           p.trials_max);
    grouper_close(&g);
    planted_close(&p);
    return 0;
}

int main(int argc, char **argv)
{
    int cameras = argc > 1 ? atoi(argv[1]) : 10000, windows = argc > 2 ? atoi(argv[2]) : 12;
    struct times t = {0};
    for (int c = 0; c < PLANTED_CALLS; c++)
        if (!(t.ms[c] = malloc(TIMES_MAX * sizeof(double))))
            return 1;
    if (cameras < 1 || cameras > GROUP_CAMERAS_MAX || windows < 1) {
        fprintf(stderr, "bench_group: 1 to %d cameras, 1 window or more\n", GROUP_CAMERAS_MAX);
        return 2;
    }
    printf("fleet      call         calls  median ms     99 %% ms     max ms\n");
    int districts = (cameras + DISTRICT_CAMERAS - 1) / DISTRICT_CAMERAS;
    int failed = measure(&t, "districts", cameras, districts, windows, 5000) ||
                 measure(&t, "one place", cameras, districts, windows, 0) ||
                 measure(&t, "alone", cameras, cameras, windows, 5000);
    for (int c = 0; c < PLANTED_CALLS; c++)
        free(t.ms[c]);
    return failed;
}
