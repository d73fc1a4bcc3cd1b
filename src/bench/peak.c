#include "bench/peak.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/times.h"
#include "nn/dnnl_matmul.h"

#define PRODUCT_SIZE 1024
#define ARRAY_BYTES_MIN ((size_t)128 << 20)
#define ARRAY_BYTES_MAX ((size_t)1 << 30)
#define ARRAY_CACHES 4

/* Two arrays; every thread works on its own slice of both. */
struct arrays {
    unsigned char *from, *to;
    size_t bytes; /* of each; a multiple of threads * 64 */
    uint64_t sum; /* of what was read, so that the reading happens */
};

/* The first touch decides which memory a slice lies in, where there are several. */
static void touch(struct arrays *a)
{
#pragma omp parallel
    {
        size_t slice = a->bytes / (size_t)omp_get_num_threads();
        size_t at = slice * (size_t)omp_get_thread_num();
        memset(a->from + at, 1, slice);
        memset(a->to + at, 2, slice);
    }
}

static void copy(struct arrays *a)
{
#pragma omp parallel
    {
        size_t slice = a->bytes / (size_t)omp_get_num_threads();
        size_t at = slice * (size_t)omp_get_thread_num();
        memcpy(a->to + at, a->from + at, slice);
    }
}

static uint64_t sum_of(const uint64_t *v, size_t count)
{
    uint64_t lane[8] = {0};
    for (size_t i = 0; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++)
            lane[k] += v[i + (size_t)k];
    uint64_t sum = 0;
    for (int k = 0; k < 8; k++)
        sum += lane[k];
    return sum;
}

static void sum(struct arrays *a)
{
    uint64_t total = 0;
#pragma omp parallel reduction(+ : total)
    {
        size_t slice = a->bytes / (size_t)omp_get_num_threads();
        size_t at = slice * (size_t)omp_get_thread_num();
        total += sum_of((const uint64_t *)(const void *)(a->from + at), slice / sizeof(uint64_t));
    }
    a->sum += total;
}

static enum status arrays_make(struct arrays *a, int threads, struct error *err)
{
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t want = cache > 0 ? (size_t)cache * ARRAY_CACHES : 0, step = (size_t)threads * 64;
    want = want < ARRAY_BYTES_MIN ? ARRAY_BYTES_MIN : want;
    want = want > ARRAY_BYTES_MAX ? ARRAY_BYTES_MAX : want;
    a->bytes = want / step * step;
    a->from = aligned_alloc(64, a->bytes);
    a->to = aligned_alloc(64, a->bytes);
    if (!a->from || !a->to)
        return error_set(err, ST_NOMEM, "no memory for two arrays of %zu bytes", a->bytes);
    touch(a);
    return ST_OK;
}

/* `work` of one run is in the unit of the rate times 10^9. */
static struct bench_rate rate_of(struct bench_times *t, double work)
{
    struct bench_rate r = {0};
    if (t->count) {
        r.median = work / (bench_times_median(t) * 1e6);
        r.best = work / (bench_times_best(t) * 1e6);
    }
    return r;
}

static void time_memory(struct arrays *a, void (*run)(struct arrays *a), double seconds,
                        struct bench_times *t)
{
    t->count = 0;
    run(a);
    uint64_t start_us = clock_mono_us(), now_us = start_us;
    while (bench_times_more(t, seconds, start_us, now_us)) {
        uint64_t before_us = now_us;
        run(a);
        now_us = clock_mono_us();
        bench_times_add(t, (double)(now_us - before_us) / 1e3);
    }
}

static enum status measure_memory(int threads, double seconds, struct bench_times *t,
                                  struct bench_peak *ret, struct error *err)
{
    struct arrays a = {0};
    enum status st = arrays_make(&a, threads, err);
    if (!st) {
        time_memory(&a, copy, seconds, t);
        ret->copy_gbps = rate_of(t, 2 * (double)a.bytes);
        time_memory(&a, sum, seconds, t);
        ret->read_gbps = rate_of(t, (double)a.bytes);
    }
    free(a.from);
    free(a.to);
    return st;
}

static enum status time_product(struct nn_matmul *m, double seconds, struct bench_times *t,
                                struct error *err)
{
    t->count = 0;
    enum status st = nn_matmul_run(m, err);
    uint64_t start_us = clock_mono_us(), now_us = start_us;
    while (!st && bench_times_more(t, seconds, start_us, now_us)) {
        uint64_t before_us = now_us;
        st = nn_matmul_run(m, err);
        now_us = clock_mono_us();
        bench_times_add(t, (double)(now_us - before_us) / 1e3);
    }
    return st;
}

static enum status measure_product(bool bfloat16, double seconds, struct bench_times *t,
                                   struct bench_rate *ret, struct error *err)
{
    struct nn_matmul *m = NULL;
    enum status st = nn_matmul_open(PRODUCT_SIZE, bfloat16, &m, err);
    if (st == ST_UNSUPPORTED && bfloat16)
        return ST_OK;
    if (!st)
        st = time_product(m, seconds, t, err);
    nn_matmul_close(&m);
    if (!st)
        *ret = rate_of(t, 2.0 * PRODUCT_SIZE * PRODUCT_SIZE * PRODUCT_SIZE);
    return st;
}

enum status bench_peak_measure(int threads, double seconds, struct bench_peak *ret,
                               struct error *err)
{
    struct bench_peak p = {0};
    struct bench_times *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, ST_NOMEM, "no memory for the times");
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    enum status st = measure_product(false, seconds / 4, t, &p.f32_gflops, err);
    if (!st)
        st = measure_product(true, seconds / 4, t, &p.bf16_gflops, err);
    if (!st)
        st = measure_memory(threads, seconds / 4, t, &p, err);
    omp_set_num_threads(before);
    free(t);
    if (!st)
        *ret = p;
    return st;
}
