#include "bench/case.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/names.h"
#include "bench/times.h"
#include "bench/trial.h"

#define WARM_UP_RUNS 2
#define STATUS_BYTES_MAX ((size_t)1 << 16)

static const char *const mode_names[] = {
    [BENCH_TRAIN] = "train", [BENCH_INFER] = "infer", [BENCH_DELTA] = "delta"};
static const char *const precision_names[] = {
    [NN_PRECISION_F32] = "f32", [NN_PRECISION_BF16] = "bf16", [NN_PRECISION_INT8] = "int8"};

const char *bench_mode_name(enum bench_mode mode)
{
    return names_text(mode_names, NAMES_COUNT(mode_names), mode, NULL);
}

enum bench_mode bench_mode_parse(const char *name)
{
    return (enum bench_mode)names_find(mode_names, NAMES_COUNT(mode_names), name, 0);
}

const char *bench_precision_name(enum nn_precision precision)
{
    return names_text(precision_names, NAMES_COUNT(precision_names), precision, NULL);
}

enum nn_precision bench_precision_parse(const char *name)
{
    return (enum nn_precision)names_find(precision_names, NAMES_COUNT(precision_names), name, 0);
}

/* Value of a line "KEY:   12345 kB" of /proc/self/status. Not getrusage: its peak includes that of
 * the process that started this one. */
static size_t status_bytes(const char *text, const char *key)
{
    const char *line = strstr(text, key);
    return line ? (size_t)strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

static enum status measure_rss(struct bench_result *r, struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = file_read("/proc/self/status", STATUS_BYTES_MAX, &b, err);
    buf_put_u8(&b, 0);
    if (!st && !b.failed) {
        r->rss_bytes = status_bytes((const char *)b.data, "VmRSS:");
        r->peak_rss_bytes = status_bytes((const char *)b.data, "VmHWM:");
    }
    buf_clear(&b);
    return st;
}

static enum status repeat(struct trial *t, double seconds,
                          enum status (*run)(struct trial *t, struct error *err),
                          struct bench_times *times, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < WARM_UP_RUNS && !st; i++)
        st = run(t, err);
    uint64_t start_us = clock_mono_us(), now_us = start_us;
    while (!st && bench_times_more(times, seconds, start_us, now_us)) {
        uint64_t before_us = now_us;
        st = run(t, err);
        now_us = clock_mono_us();
        bench_times_add(times, (double)(now_us - before_us) / 1e3);
    }
    return st;
}

static enum status measure_runs(struct trial *t, struct bench_result *r, struct error *err)
{
    struct bench_times *times = calloc(1, sizeof *times);
    if (!times)
        return error_set(err, ST_NOMEM, "no memory for the times");
    bool train = t->c->mode == BENCH_TRAIN;
    enum status st = repeat(t, t->c->seconds, train ? trial_step : trial_forward, times, err);
    r->ms = bench_times_median(times);
    r->best_ms = bench_times_best(times);
    r->runs = times->count;
    free(times);
    return st;
}

static enum status measure(struct trial *t, struct bench_result *r, struct error *err)
{
    enum status st = t->c->mode == BENCH_DELTA ? trial_deltas(t, r, err) : measure_runs(t, r, err);
    if (!st)
        st = trial_gflop(t, &r->gflop, err);
    if (!st)
        st = trial_check(t, err);
    r->session_bytes = nn_session_bytes(t->session);
    return st ? st : measure_rss(r, err);
}

enum status bench_case_run(const struct bench_case *c, struct bench_result *ret, struct error *err)
{
    struct bench_result r = {0};
    struct trial t;
    int threads = omp_get_max_threads();
    omp_set_num_threads(c->threads);
    uint64_t start_us = clock_mono_us();
    enum status st = trial_open(&t, c, err);
    r.open_ms = (double)(clock_mono_us() - start_us) / 1e3;
    if (!st)
        st = measure(&t, &r, err);
    trial_close(&t);
    omp_set_num_threads(threads);
    if (!st)
        *ret = r;
    return st;
}
