/* Two workers with 30 and 70 percent, then 70 and 30: what they got, and how soon a change held. Of
 * one processor (one thread each) and of all there are (a team each), with each means that works
 * here. A worker does nothing but steps of 20 ms of every thread's time.
 *
 * The split is a's part of what both used. It holds from the moment after which it is within 5
 * points over every half second that follows.
 *
 * bench_shares [SECONDS]     of each split, default 5 */
#include <math.h>
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "share/limiter.h"
#include "share/throttle.h"

#define STEP_US 20000
#define SAMPLE_US 10000
#define WINDOW_SAMPLES 50
#define SAMPLES_MAX 100000
#define POINTS 0.05

struct worker {
    int id;
    pid_t pid;
};

/* Use since a moment, every SAMPLE_US. */
struct samples {
    double ms[SAMPLES_MAX], a_us[SAMPLES_MAX], b_us[SAMPLES_MAX];
    int count;
};

static struct samples samples;

static void fail(const char *what)
{
    fprintf(stderr, "bench_shares: %s\n", what);
    exit(1);
}

static void work(int threads)
{
    struct throttle t;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (throttle_open(&t, NULL) != ST_OK)
        _exit(1);
    for (;;) {
#pragma omp parallel num_threads(threads)
        {
            uint64_t until_us = clock_thread_cpu_us() + STEP_US;
            while (clock_thread_cpu_us() < until_us)
                ;
        }
        throttle_step(&t);
    }
}

static struct worker start(struct limiter *l, const char *name, double share, int threads)
{
    struct worker w;
    struct error err;
    char text[LIMITER_ENVIRONMENT_BYTES];
    if (limiter_add(l, name, share, &w.id, &err) != ST_OK)
        fail(err.message);
    limiter_environment(l, w.id, limiter_descriptor(l, w.id), text);
    w.pid = fork();
    if (w.pid == 0) {
        putenv(text);
        work(threads);
    }
    if (w.pid < 0 || limiter_join(l, w.id, w.pid, &err) != ST_OK)
        fail("cannot start a worker");
    return w;
}

static void stop(struct limiter *l, const struct worker *w)
{
    kill(w->pid, SIGKILL);
    waitpid(w->pid, NULL, 0);
    limiter_remove(l, w->id);
}

static void measure(struct limiter *l, const struct worker *a, const struct worker *b,
                    double seconds)
{
    double a0 = (double)limiter_used_us(l, a->id), b0 = (double)limiter_used_us(l, b->id);
    uint64_t start_us = clock_mono_us(), now_us = start_us;
    samples.count = 0;
    while ((double)(now_us - start_us) < seconds * 1e6 && samples.count < SAMPLES_MAX) {
        int i = samples.count++;
        samples.ms[i] = (double)(now_us - start_us) / 1e3;
        samples.a_us[i] = (double)limiter_used_us(l, a->id) - a0;
        samples.b_us[i] = (double)limiter_used_us(l, b->id) - b0;
        clock_sleep_until_us(now_us + SAMPLE_US);
        now_us = clock_mono_us();
    }
}

static double split(int first, int last)
{
    double a = samples.a_us[last] - samples.a_us[first];
    double b = samples.b_us[last] - samples.b_us[first];
    return a / (a + b);
}

/* Since the beginning of the samples, in ms; NAN when it does not hold at the end. */
static double held_from(double want)
{
    int i = samples.count - WINDOW_SAMPLES;
    if (i <= 0 || fabs(split(i - 1, i - 1 + WINDOW_SAMPLES) - want) > POINTS)
        return NAN;
    while (i > 0 && fabs(split(i - 1, i - 1 + WINDOW_SAMPLES) - want) <= POINTS)
        i--;
    return samples.ms[i];
}

static void report(const char *means, double of, double want)
{
    int last = samples.count - 1;
    printf("%-8s %9.1f %9.0f %9.1f %11.3f %11.3f", means, of, 100 * want, 100 * split(0, last),
           samples.a_us[last] / samples.ms[last] / 1e3,
           samples.b_us[last] / samples.ms[last] / 1e3);
}

static void change(struct limiter *l, const struct worker *w, double share)
{
    struct error err;
    if (limiter_set(l, w->id, share, &err) != ST_OK)
        fail(err.message);
}

static void run(enum share_means means, double of, int threads, double seconds)
{
    struct limiter *l;
    struct error err;
    const char *name = share_means_name(means);
    if (limiter_open(means, of, &l, &err) != ST_OK) {
        printf("%-8s left out: %s\n", name, err.message);
        return;
    }
    struct worker a = start(l, "a", 0.3 * of, threads), b = start(l, "b", 0.7 * of, threads);
    clock_sleep_until_us(clock_mono_us() + 500000);
    measure(l, &a, &b, seconds);
    report(name, of, 0.3);
    printf("\n");
    change(l, &b, 0.3 * of); /* first down, then up: never more than there is */
    change(l, &a, 0.7 * of);
    measure(l, &a, &b, seconds);
    report(name, of, 0.7);
    printf(" %11.0f\n", held_from(0.7));
    stop(l, &a);
    stop(l, &b);
    limiter_close(&l);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 5, all = limiter_processors();
    static const enum share_means means[] = {SHARE_CGROUP, SHARE_PACING};
    if (seconds < 1)
        fail("it takes a second at least");
    printf("%-8s %9s %9s %9s %11s %11s %11s\n", "means", "of, cpus", "planned", "measured",
           "a, cpus", "b, cpus", "held, ms");
    for (int i = 0; i < 2; i++) {
        run(means[i], 1, 1, seconds);
        if (all > 1)
            run(means[i], all, (int)ceil(all), seconds);
    }
    return 0;
}
