/* kernel_check.h - guarded arrays, random values and finite differences for the kernels' tests. */
#ifndef ATTUNE_TESTS_NN_KERNEL_CHECK_H
#define ATTUNE_TESTS_NN_KERNEL_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define GUARD 24
#define CANARY 0x7fc5a5a5u

/* n floats between two runs of canaries; starts one float off alignment. */
static inline float *guarded(int64_t n)
{
    uint32_t *raw = malloc(sizeof(uint32_t) * (size_t)(n + 2 * GUARD + 2));
    assert_non_null(raw);
    raw[0] = (uint32_t)n;
    for (int64_t i = 1; i < n + 2 * GUARD + 2; i++)
        raw[i] = CANARY;
    return (float *)(void *)(raw + GUARD + 1);
}

/* Checks both runs and frees. */
static inline void release(float *p)
{
    uint32_t *raw = (uint32_t *)(void *)p - GUARD - 1;
    int64_t n = raw[0];
    for (int i = 0; i < GUARD; i++) {
        assert_int_equal(raw[1 + i], CANARY);
        assert_int_equal(raw[1 + GUARD + n + i], CANARY);
    }
    free(raw);
}

static inline float *random_values(struct rng *r, int64_t n)
{
    float *p = guarded(n);
    for (int64_t i = 0; i < n; i++)
        p[i] = rng_float(r) * 4 - 2;
    return p;
}

static inline int random_between(struct rng *r, int low, int high)
{
    return low + (int)rng_below(r, (uint32_t)(high - low + 1));
}

static inline void expect_near(double got, double want, double tolerance, const char *what,
                               int64_t at)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%s[%lld]: got %.9g, want %.9g", what, (long long)at, got, want);
}

/* A function written in double, the plainest way, of all its inputs laid end to end. */
typedef void (*reference)(const void *context, const double *in, double *out);

static inline double *widen(const float *x, int64_t n)
{
    double *d = calloc((size_t)n + 1, sizeof(double));
    assert_non_null(d);
    for (int64_t i = 0; i < n; i++)
        d[i] = (double)x[i];
    return d;
}

/* out[out_n] is what the kernel gave for in[in_n]. */
static inline void check_forward(reference f, const void *context, const double *in,
                                 const float *out, int64_t out_n, double tolerance)
{
    double *want = calloc((size_t)out_n + 1, sizeof(double));
    assert_non_null(want);
    f(context, in, want);
    for (int64_t i = 0; i < out_n; i++)
        expect_near((double)out[i], want[i], tolerance, "forward", i);
    free(want);
}

/* got[n] against central differences of sum(gy * f) by in[first .. first + n). */
static inline void check_gradient(reference f, const void *context, double *in, int64_t first,
                                  int64_t n, const float *gy, int64_t out_n, const float *got,
                                  double tolerance)
{
    double *y = calloc((size_t)out_n + 1, sizeof(double)), h = 1e-5;
    assert_non_null(y);
    for (int64_t i = 0; i < n; i++) {
        double keep = in[first + i], sum = 0;
        for (int side = -1; side <= 1; side += 2) {
            in[first + i] = keep + side * h;
            f(context, in, y);
            for (int64_t k = 0; k < out_n; k++)
                sum += side * y[k] * (double)gy[k];
        }
        in[first + i] = keep;
        expect_near((double)got[i], sum / (2 * h), tolerance, "gradient", i);
    }
    free(y);
}

/* sum[n] was all start before gx was added to it. */
static inline void check_added(const float *sum, double start, const float *gx, int64_t n,
                               double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        expect_near((double)sum[i], start + (double)gx[i], tolerance, "added", i);
}

static inline double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

#endif
