/* How long a plan takes: cameras with 18 configurations each (6 of them, three lengths), drawn at
 * random with the spread of costs and gains that Ekya reports. The paper: 9.4 s for 10 streams and
 * 8 GPUs at Delta 0.1. Medians over as many random fleets. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"
#include "schedule/schedule.h"

#define TRAININGS 6
#define LENGTHS 3
#define OPTIONS (TRAININGS * LENGTHS)
#define ROUNDS_MAX 101

static const struct schedule_point rate[] = {{0.025, 0.15},  {0.05, 0.44},  {0.0625, 0.6},
                                             {0.0833, 0.64}, {0.125, 0.78}, {0.25, 1}};
static const struct schedule_point mps[] = {{0, 0},      {0.1, 0.36}, {0.2, 0.51}, {0.3, 0.65},
                                            {0.5, 0.83}, {0.8, 0.97}, {1, 1}};

struct fleet {
    struct schedule_camera *cameras;
    struct schedule_option (*options)[OPTIONS];
};

static void draw_camera(struct rng *r, struct schedule_camera *c, struct schedule_option *options)
{
    static const double epochs[LENGTHS] = {5, 15, 30};
    double start = 0.7 + 0.2 * (double)rng_float(r);
    for (int t = 0; t < TRAININGS; t++) {
        double epoch_s = 0.5 * (1 << t) * (0.5 + (double)rng_float(r)), best = 0.02 + 0.03 * t;
        for (int k = 0; k < LENGTHS; k++)
            options[t * LENGTHS + k] = (struct schedule_option){
                .configuration = t * LENGTHS + k,
                .training = t,
                .accuracy = start + (0.98 - start) * best * (1 + k) * (double)rng_float(r),
                .accuracy_sd = 0.05,
                .compute_s = 1 + epochs[k] * epoch_s};
    }
    *c = (struct schedule_camera){.accuracy = start,
                                  .infer = {SCHEDULE_INTERVAL, 6, rate},
                                  .option_count = OPTIONS,
                                  .options = options,
                                  .running = -1};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct fleet *f, int cameras, double gpus, enum schedule_policy policy,
                    bool shared, int rounds)
{
    double ms[ROUNDS_MAX];
    struct rng r;
    struct error err;
    struct schedule_plan plan = {0};
    uint64_t evaluations = 0;
    rng_init(&r, 1, 0);
    for (int i = 0; i < rounds; i++) {
        struct schedule_snapshot s = {.event = SCHEDULE_WINDOW_START,
                                      .capacity = gpus,
                                      .left_s = 200,
                                      .count = cameras,
                                      .cameras = f->cameras};
        schedule_settings_init(&s.settings);
        s.settings.policy = policy;
        if (shared)
            s.throughput = (struct schedule_curve){SCHEDULE_LINEAR, 7, mps};
        for (int k = 0; k < cameras; k++)
            draw_camera(&r, &f->cameras[k], f->options[k]);
        uint64_t start_us = clock_mono_us();
        if (schedule_make(&s, &plan, &err) != ST_OK) {
            fprintf(stderr, "bench_schedule: %s\n", err.message);
            exit(1);
        }
        ms[i] = (double)(clock_mono_us() - start_us) / 1e3;
        evaluations += plan.evaluations;
        schedule_plan_clear(&plan);
    }
    qsort(ms, (size_t)rounds, sizeof *ms, by_value);
    printf("%6d %5g  %-13s %-7s %10.3f %10.3f %12.0f\n", cameras, gpus,
           schedule_policy_name(policy), shared ? "mps" : "linear", ms[rounds / 2], ms[rounds - 1],
           (double)evaluations / rounds);
}

int main(void)
{
    static const enum schedule_policy policies[] = {SCHEDULE_THIEF_PRINTED, SCHEDULE_THIEF,
                                                    SCHEDULE_ATTUNE};
    struct fleet f = {.cameras = calloc(SCHEDULE_CAMERAS_MAX, sizeof *f.cameras),
                      .options = calloc(SCHEDULE_CAMERAS_MAX, sizeof *f.options)};
    if (!f.cameras || !f.options)
        return 1;
    printf("cameras GPUs  policy        sharing  median ms     max ms  evaluations\n");
    for (int shared = 0; shared < 2; shared++)
        for (size_t p = 0; p < 3; p++) {
            measure(&f, 10, 8, policies[p], shared, ROUNDS_MAX);
            measure(&f, 100, 16, policies[p], shared, 11);
            measure(&f, 1000, 64, policies[p], shared, 3);
        }
    free(f.cameras);
    free(f.options);
    return 0;
}
