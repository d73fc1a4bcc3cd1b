/* The depthwise convolution that normalises its input, against sums in double over the definition.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nn/kernels_blocked_depthwise.h"

enum { IMAGES = 2, CHANNELS = 19, BLOCKS = 2, LANES = 32, TAPS = 9 };

struct fixture {
    struct kernel_dw d;
    int64_t in, out; /* elements */
    float a[LANES], b[LANES], mean[CHANNELS], weights[CHANNELS * TAPS];
    float *x, *gy;
};

static float *noise(struct rng *r, int64_t n)
{
    float *v = calloc((size_t)n, sizeof *v);
    assert_non_null(v);
    for (int64_t i = 0; i < n; i++)
        v[i] = rng_normal(r);
    return v;
}

static struct fixture made(int height, int width, int stride, float lo, float hi, int threads)
{
    struct fixture f = {.d = {.images = IMAGES,
                              .channels = CHANNELS,
                              .in_height = height,
                              .in_width = width,
                              .out_height = (height - 1) / stride + 1,
                              .out_width = (width - 1) / stride + 1,
                              .stride = stride,
                              .threads = threads,
                              .lo = lo,
                              .hi = hi}};
    struct rng r;
    rng_init(&r, (uint64_t)(height * 100 + width * 10 + stride), 0);
    for (int c = 0; c < CHANNELS; c++) {
        f.a[c] = 1 + 0.3F * rng_normal(&r);
        f.b[c] = 0.2F * rng_normal(&r);
        f.mean[c] = 0.2F * rng_normal(&r);
    }
    for (int i = 0; i < CHANNELS * TAPS; i++)
        f.weights[i] = rng_normal(&r);
    f.in = (int64_t)IMAGES * BLOCKS * 16 * height * width;
    f.out = (int64_t)IMAGES * BLOCKS * 16 * f.d.out_height * f.d.out_width;
    f.x = noise(&r, f.in);
    f.gy = noise(&r, f.out);
    size_t rows = (kernel_dw_rows(&f.d) * sizeof(float) + 63) / 64 * 64;
    f.d.rows = aligned_alloc(64, rows);
    assert_non_null(f.d.rows);
    memset(f.d.rows, 0xff, rows); /* not a number: nothing is read before it is written */
    return f;
}

/* For the fixture's place in memory at the time of the call. */
static const struct kernel_dw *bound(struct fixture *f)
{
    f->d.a = f->a;
    f->d.b = f->b;
    f->d.weights = f->weights;
    return &f->d;
}

static void clear(struct fixture *f)
{
    free(f->x);
    free(f->gy);
    free(f->d.rows);
}

static int64_t place(int image, int c, int row, int column, int height, int width)
{
    return ((((int64_t)image * BLOCKS + c / 16) * height + row) * width + column) * 16 + c % 16;
}

static double line(const struct fixture *f, int c, double x)
{
    return (double)f->a[c] * x + (double)f->b[c];
}

/* What is convolved at a place that may be outside of the image. */
static double normed(const struct fixture *f, int image, int c, int row, int column)
{
    if (row < 0 || column < 0 || row >= f->d.in_height || column >= f->d.in_width)
        return 0;
    int64_t at = place(image, c, row, column, f->d.in_height, f->d.in_width);
    return fmin(fmax(line(f, c, (double)f->x[at]), (double)f->d.lo), (double)f->d.hi);
}

static void close_to(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%g for %g", got, want);
}

static double reference_output(const struct fixture *f, int image, int c, int row, int column)
{
    double sum = 0;
    for (int k = 0; k < TAPS; k++)
        sum += (double)f->weights[c * TAPS + k] *
               normed(f, image, c, row * f->d.stride + k / 3 - 1, column * f->d.stride + k % 3 - 1);
    return sum;
}

/* Those of each plane, against sums over what came out. */
static void check_moments(const struct fixture *f, const float *y, const double *moments)
{
    int64_t pixels = (int64_t)f->d.out_height * f->d.out_width;
    for (int plane = 0; plane < IMAGES * BLOCKS; plane++)
        for (int k = 0; k < 16; k++) {
            const double *m = moments + (ptrdiff_t)plane * KERNEL_MOMENTS + k;
            double sum = 0, square = 0;
            for (int64_t i = 0; i < pixels; i++) {
                double d = (double)y[(plane * pixels + i) * 16 + k] - m[0];
                sum += d;
                square += d * d;
            }
            close_to(m[0], (double)y[plane * pixels * 16 + k], 1e-5);
            close_to(m[16], sum, 1e-4);
            close_to(m[32], square, 1e-4);
        }
}

static void check_forward(struct fixture *f)
{
    float *y = calloc((size_t)f->out, sizeof *y);
    assert_non_null(y);
    double moments[IMAGES * BLOCKS * KERNEL_MOMENTS];
    kernel_dw_forward(bound(f), f->x, y, moments);
    check_moments(f, y, moments);
    kernel_dw_forward(bound(f), f->x, y, NULL);
    for (int n = 0; n < IMAGES; n++)
        for (int c = 0; c < CHANNELS; c++)
            for (int i = 0; i < f->d.out_height; i++)
                for (int j = 0; j < f->d.out_width; j++)
                    close_to((double)y[place(n, c, i, j, f->d.out_height, f->d.out_width)],
                             reference_output(f, n, c, i, j), 1e-5);
    free(y);
}

struct reference {
    double weights[CHANNELS * TAPS], sum[CHANNELS], product[CHANNELS], *norm;
};

static void reference_backward(const struct fixture *f, struct reference *r)
{
    for (int n = 0; n < IMAGES; n++)
        for (int c = 0; c < CHANNELS; c++)
            for (int i = 0; i < f->d.out_height; i++)
                for (int j = 0; j < f->d.out_width; j++)
                    for (int k = 0; k < TAPS; k++) {
                        int row = i * f->d.stride + k / 3 - 1, col = j * f->d.stride + k % 3 - 1;
                        int64_t at = place(n, c, i, j, f->d.out_height, f->d.out_width);
                        double g = (double)f->gy[at];
                        r->weights[c * TAPS + k] += g * normed(f, n, c, row, col);
                        if (row >= 0 && col >= 0 && row < f->d.in_height && col < f->d.in_width)
                            r->norm[place(n, c, row, col, f->d.in_height, f->d.in_width)] +=
                                g * (double)f->weights[c * TAPS + k];
                    }
    for (int n = 0; n < IMAGES; n++)
        for (int c = 0; c < CHANNELS; c++)
            for (int i = 0; i < f->d.in_height * f->d.in_width; i++) {
                int64_t at = place(n, c, 0, i, f->d.in_height, f->d.in_width);
                double x = (double)f->x[at], y = line(f, c, x);
                r->norm[at] *= y > (double)f->d.lo && y < (double)f->d.hi;
                r->sum[c] += r->norm[at];
                r->product[c] += r->norm[at] * (x - (double)f->mean[c]);
            }
}

/* after: of the batch norm behind, NULL: none; weights and input: which gradients are asked for. */
static void check_backward(struct fixture *f, const struct kernel_dw_after *after, const float *gy,
                           bool weights, bool input)
{
    struct reference want = {.norm = calloc((size_t)f->in, sizeof(double))};
    float gw[CHANNELS * TAPS], *norm = calloc((size_t)f->in, sizeof *norm);
    double *parts = calloc(kernel_dw_parts(&f->d), sizeof *parts), sums[BLOCKS * 32] = {0};
    assert_true(want.norm && norm && parts);
    assert_int_equal(kernel_dw_sums(&f->d), BLOCKS * 32);
    reference_backward(f, &want);
    const struct kernel_dw_gradients g = {.after = after,
                                          .mean = f->mean,
                                          .parts = parts,
                                          .weights = weights ? gw : NULL,
                                          .gy_norm = input ? norm : NULL,
                                          .sums = sums};
    kernel_dw_backward(bound(f), f->x, gy, &g);
    for (int i = 0; weights && i < CHANNELS * TAPS; i++)
        close_to((double)gw[i], want.weights[i], 1e-4);
    for (int64_t i = 0; input && i < f->in; i++)
        close_to((double)norm[i], want.norm[i], 1e-5);
    for (int c = 0; input && c < CHANNELS; c++) {
        close_to(sums[c / 16 * 32 + c % 16], want.sum[c], 1e-4);
        close_to(sums[c / 16 * 32 + 16 + c % 16], want.product[c], 1e-4);
    }
    free(want.norm);
    free(norm);
    free(parts);
}

/* The same where gy comes from the batch norm behind: what that would make of `raw` is f->gy. */
static void check_after(struct fixture *f)
{
    struct rng r;
    rng_init(&r, 5, 0);
    float *vectors = noise(&r, (int64_t)5 * LANES), *y = noise(&r, f->out), *raw = f->gy;
    const struct kernel_dw_after after = {.y = y,
                                          .a = vectors,
                                          .b = vectors + LANES,
                                          .k = vectors + 2 * LANES,
                                          .l = vectors + 3 * LANES,
                                          .m = vectors + 4 * LANES,
                                          .lo = -0.5F,
                                          .hi = 0.7F};
    float *made = calloc((size_t)f->out, sizeof *made);
    assert_non_null(made);
    int64_t plane = (int64_t)f->d.out_height * f->d.out_width * 16;
    for (int64_t i = 0; i < f->out; i++) {
        int lane = (int)(i / plane % BLOCKS * 16 + i % 16);
        float v = after.a[lane] * y[i] + after.b[lane];
        float passed = v > after.lo && v < after.hi ? raw[i] : 0;
        made[i] = after.k[lane] * passed + after.l[lane] * y[i] + after.m[lane];
    }
    f->gy = made;
    check_backward(f, &after, raw, true, true);
    f->gy = raw;
    free(made);
    free(vectors);
    free(y);
}

static void by_definition(void **state)
{
    (void)state;
    const int sizes[][2] = {{1, 1}, {1, 7}, {2, 3}, {5, 4}, {8, 8}, {9, 6}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int stride = 1; stride <= 2; stride++)
            for (int clamp = 0; clamp < 3; clamp++) {
                float lo = clamp ? 0 : -INFINITY, hi = clamp == 2 ? 0.8F : INFINITY;
                struct fixture f = made(sizes[i][0], sizes[i][1], stride, lo, hi, 1 + clamp % 2);
                check_forward(&f);
                check_backward(&f, NULL, f.gy, true, true);
                check_backward(&f, NULL, f.gy, true, false);
                check_backward(&f, NULL, f.gy, false, true);
                check_after(&f);
                clear(&f);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_definition)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
