/* Resize, average pools, depthwise convolution: against plain double-precision definitions and
 * finite differences; large shapes by the adjoint property <gy, A x> = <A' gy, x>. */
#include <omp.h>

#include "kernel_check.h"
#include "nn/kernels.h"

/* ---- resize --------------------------------------------------------------------------------- */

struct resize_case {
    enum nn_resize_mode mode;
    enum nn_resize_coordinates coordinates;
    enum nn_resize_nearest nearest;
    int in[2], out[2];
    float scale[2];
    int images, channels;
};

/* The definition in the ONNX operator's text, in double. */
static double coordinate(const struct resize_case *c, int axis, int i)
{
    double scale = (double)c->scale[axis];
    if (c->coordinates == NN_RESIZE_ASYMMETRIC)
        return i / scale;
    if (c->coordinates == NN_RESIZE_ALIGN_CORNERS)
        return c->out[axis] == 1 ? 0 : (double)i * (c->in[axis] - 1) / (c->out[axis] - 1);
    if (c->coordinates == NN_RESIZE_PYTORCH_HALF_PIXEL && c->out[axis] == 1)
        return 0;
    return (i + 0.5) / scale - 0.5;
}

/* Weight of input j in output i along one axis. */
static double resize_weight(const struct resize_case *c, int axis, int i, int j)
{
    double at = coordinate(c, axis, i), top = c->in[axis] - 1;
    if (c->mode == NN_RESIZE_LINEAR) {
        at = fmin(fmax(at, 0), top);
        return fmax(0, 1 - fabs(at - j));
    }
    double rounded = c->nearest == NN_NEAREST_FLOOR                ? floor(at)
                     : c->nearest == NN_NEAREST_CEIL               ? ceil(at)
                     : c->nearest == NN_NEAREST_ROUND_PREFER_FLOOR ? ceil(at - 0.5)
                                                                   : floor(at + 0.5);
    return fmin(fmax(rounded, 0), top) == j ? 1 : 0;
}

static void ref_resize(const void *context, const double *in, double *out)
{
    const struct resize_case *c = context;
    for (int n = 0; n < c->images; n++)
        for (int h = 0; h < c->out[0]; h++)
            for (int w = 0; w < c->out[1]; w++)
                for (int k = 0; k < c->channels; k++) {
                    double sum = 0;
                    for (int i = 0; i < c->in[0]; i++)
                        for (int j = 0; j < c->in[1]; j++)
                            sum += resize_weight(c, 0, h, i) * resize_weight(c, 1, w, j) *
                                   in[((n * c->in[0] + i) * c->in[1] + j) * c->channels + k];
                    out[((n * c->out[0] + h) * c->out[1] + w) * c->channels + k] = sum;
                }
}

static struct kernel_resize resize_open(const struct resize_case *c)
{
    struct kernel_resize r;
    struct error err;
    assert_int_equal(kernel_resize_init(&r, c->in[0], c->in[1], c->out[0], c->out[1], c->mode,
                                        c->coordinates, c->nearest, c->scale, &err),
                     ST_OK);
    return r;
}

static void check_resize(struct rng *r, const struct resize_case *c)
{
    int64_t in_n = (int64_t)c->images * c->in[0] * c->in[1] * c->channels;
    int64_t out_n = (int64_t)c->images * c->out[0] * c->out[1] * c->channels;
    struct kernel_resize k = resize_open(c);
    float *x = random_values(r, in_n), *y = guarded(out_n), *gy = random_values(r, out_n);
    float *gx = guarded(in_n), *sum = guarded(in_n);
    double *in = widen(x, in_n);
    kernel_resize(&k, x, y, c->images, c->channels);
    check_forward(ref_resize, c, in, y, out_n, 1e-5);
    kernel_resize_backward(&k, gy, gx, c->images, c->channels, false);
    check_gradient(ref_resize, c, in, 0, in_n, gy, out_n, gx, 1e-4);
    kernel_fill(sum, (size_t)in_n, 1);
    kernel_resize_backward(&k, gy, sum, c->images, c->channels, true);
    check_added(sum, 1, gx, in_n, 1e-5);
    free(in);
    release(x);
    release(y);
    release(gy);
    release(gx);
    release(sum);
    kernel_resize_clear(&k);
    kernel_resize_clear(&k);
}

static void resize_all_modes(void **state)
{
    (void)state;
    /* Scales whose quotients are exact, so that ties mean the same in float and double. */
    const float scales[] = {0.5f, 2, 1.5f, 1, 0.25f, 3, 2.5f};
    struct rng r;
    rng_init(&r, 21, 0);
    for (int round = 0; round < 320; round++) {
        struct resize_case c = {.mode = (enum nn_resize_mode)(1 + round % 2),
                                .coordinates = (enum nn_resize_coordinates)(1 + round / 2 % 4),
                                .nearest = (enum nn_resize_nearest)(1 + round / 8 % 4),
                                .images = random_between(&r, 1, 2),
                                .channels = round / 32 % 2 ? 1 : random_between(&r, 2, 5)};
        for (int k = 0; k < 2; k++) {
            c.in[k] = random_between(&r, 1, 4);
            c.scale[k] = scales[rng_below(&r, 7)];
            c.out[k] = (int)((float)c.in[k] * c.scale[k]);
            c.out[k] = c.out[k] < 1 ? 1 : c.out[k];
        }
        check_resize(&r, &c);
    }
}

/* A scale that is not out / in is used as the file gives it: 3 inputs at 1.7 give 5 outputs. */
static void resize_uses_the_given_scale(void **state)
{
    (void)state;
    const float x[3] = {0, 10, 20};
    struct resize_case c = {.mode = NN_RESIZE_LINEAR,
                            .coordinates = NN_RESIZE_HALF_PIXEL,
                            .nearest = NN_NEAREST_FLOOR,
                            .in = {1, 3},
                            .out = {1, 5},
                            .scale = {1, 1.7f},
                            .images = 1,
                            .channels = 1};
    for (int mode = 0; mode < 2; mode++) {
        c.coordinates = mode ? NN_RESIZE_ASYMMETRIC : NN_RESIZE_HALF_PIXEL;
        struct kernel_resize k = resize_open(&c);
        float y[5];
        kernel_resize(&k, x, y, 1, 1);
        for (int i = 0; i < 5; i++) {
            double at = mode ? i / 1.7 : (i + 0.5) / 1.7 - 0.5;
            expect_near((double)y[i], 10 * fmin(fmax(at, 0), 2), 1e-5, "resize", i);
        }
        kernel_resize_clear(&k);
    }
}

/* At scale 1/3 the source of output i is input 3 i, exactly, only in float arithmetic. */
static void resize_by_a_third_hits_whole_pixels(void **state)
{
    (void)state;
    struct resize_case c = {.mode = NN_RESIZE_NEAREST,
                            .coordinates = NN_RESIZE_ASYMMETRIC,
                            .nearest = NN_NEAREST_FLOOR,
                            .in = {1, 3000},
                            .out = {1, 1000},
                            .scale = {1, 1.0f / 3},
                            .images = 1,
                            .channels = 1};
    struct kernel_resize k = resize_open(&c);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(k.w.from[i], 3 * i);
    kernel_resize_clear(&k);
}

/* Where ONNX Runtime rounds ties that a float32 scale has moved a little. */
static void resize_ties_survive_rounding(void **state)
{
    (void)state;
    struct resize_case c = {.mode = NN_RESIZE_NEAREST,
                            .coordinates = NN_RESIZE_ASYMMETRIC,
                            .nearest = NN_NEAREST_ROUND_PREFER_CEIL,
                            .in = {7, 33},
                            .out = {2, 9},
                            .scale = {2.0f / 7, 0.3f}};
    struct kernel_resize k = resize_open(&c);
    assert_int_equal(k.h.from[1], 4); /* 3.5 - 2e-7 in float32 */
    kernel_resize_clear(&k);
    c.coordinates = NN_RESIZE_HALF_PIXEL;
    k = resize_open(&c);
    assert_int_equal(k.w.from[4], 15); /* 14.5 - 1e-6 */
    kernel_resize_clear(&k);
}

/* Beyond what the kernel's scratch holds at once: many channels, wide rows. */
static void resize_in_pieces(void **state)
{
    (void)state;
    const int shape[][4] = {{2, 3, 5, 1100}, {1, 2000, 3111, 7}, {3, 9000, 4000, 1}};
    struct rng r;
    rng_init(&r, 27, 0);
    for (int k = 0; k < 3; k++) {
        const int *s = shape[k];
        struct resize_case c = {.mode = NN_RESIZE_LINEAR,
                                .coordinates = NN_RESIZE_HALF_PIXEL,
                                .nearest = NN_NEAREST_FLOOR,
                                .in = {s[0], s[1]},
                                .out = {3, s[2]},
                                .scale = {3.0f / (float)s[0], (float)s[2] / (float)s[1]}};
        struct kernel_resize resize = resize_open(&c);
        int64_t in_n = (int64_t)s[0] * s[1] * s[3], out_n = (int64_t)3 * s[2] * s[3];
        float *x = random_values(&r, in_n), *y = guarded(out_n), *gy = random_values(&r, out_n);
        float *gx = guarded(in_n);
        kernel_resize(&resize, x, y, 1, s[3]);
        kernel_resize_backward(&resize, gy, gx, 1, s[3], false);
        expect_near(dot(gy, y, out_n), dot(gx, x, in_n), 1e-4, "adjoint", k);
        for (int64_t i = 0; i < out_n; i += 97) { /* against the definition, of a few outputs */
            int64_t w = i / s[3] % s[2], h = i / s[3] / s[2], ch = i % s[3];
            double at = fmax(0, fmin(coordinate(&c, 1, (int)w), s[1] - 1)), sum = 0;
            for (int v = 0; v < s[0]; v++)
                for (int64_t u = (int64_t)at; u <= (int64_t)at + 1 && u < s[1]; u++)
                    sum += resize_weight(&c, 0, (int)h, v) * resize_weight(&c, 1, (int)w, (int)u) *
                           (double)x[(v * s[1] + u) * s[3] + ch];
            expect_near((double)y[i], sum, 1e-3, "resize", i);
        }
        kernel_resize_clear(&resize);
        release(x);
        release(y);
        release(gy);
        release(gx);
    }
}

static void resize_large_is_adjoint(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 22, 0);
    struct resize_case c = {.mode = NN_RESIZE_LINEAR,
                            .coordinates = NN_RESIZE_HALF_PIXEL,
                            .nearest = NN_NEAREST_FLOOR,
                            .in = {23, 31},
                            .out = {57, 70},
                            .scale = {57.0f / 23, 70.0f / 31},
                            .images = 2,
                            .channels = 19};
    int64_t in_n = 2 * 23 * 31 * 19, out_n = 2 * 57 * 70 * 19;
    struct kernel_resize k = resize_open(&c);
    float *x = random_values(&r, in_n), *y = guarded(out_n), *gy = random_values(&r, out_n);
    float *gx = guarded(in_n), *again = guarded(in_n);
    kernel_resize(&k, x, y, 2, 19);
    kernel_resize_backward(&k, gy, gx, 2, 19, false);
    expect_near(dot(gy, y, out_n), dot(gx, x, in_n), 1e-4, "adjoint", 0);
    omp_set_num_threads(3);
    kernel_resize_backward(&k, gy, again, 2, 19, false);
    omp_set_num_threads(1);
    assert_memory_equal(gx, again, (size_t)in_n * sizeof(float));
    release(x);
    release(y);
    release(gy);
    release(gx);
    release(again);
    kernel_resize_clear(&k);
}

/* ---- windows -------------------------------------------------------------------------------- */

static int64_t in_count(const struct kernel_window *w)
{
    return w->images * w->in_h * w->in_w * w->channels;
}

static int64_t out_count(const struct kernel_window *w)
{
    return w->images * w->out_h * w->out_w * w->channels;
}

static int tap_count(const struct kernel_window *w)
{
    return w->kernel[0] * w->kernel[1];
}

/* Output size by torch's rule: with ceil_mode the last window must start inside input or left pad.
 */
static int output_size(const struct kernel_window *w, int axis, int in, bool ceil_mode)
{
    int room = in + w->pad[axis] + w->pad[axis + 2] - w->dilation[axis] * (w->kernel[axis] - 1) - 1;
    if (room < 0)
        return 0;
    int stride = w->stride[axis], out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    return ceil_mode && (out - 1) * stride >= in + w->pad[axis] ? out - 1 : out;
}

/* False when the window does not fit. Pads may reach beyond a whole kernel. */
static bool random_window(struct rng *r, struct kernel_window *w, bool ceil_mode, int pad_max)
{
    *w = (struct kernel_window){.images = random_between(r, 1, 2),
                                .channels = random_between(r, 1, 5),
                                .in_h = random_between(r, 1, 6),
                                .in_w = random_between(r, 1, 6),
                                .count_include_pad = rng_below(r, 2) != 0};
    for (int k = 0; k < 2; k++) {
        w->kernel[k] = random_between(r, 1, 4);
        w->stride[k] = random_between(r, 1, 3);
        w->dilation[k] = random_between(r, 1, 2);
        int most = pad_max < 0 ? w->kernel[k] - 1 : pad_max;
        w->pad[k] = random_between(r, 0, most);
        w->pad[k + 2] = random_between(r, 0, most);
    }
    w->out_h = output_size(w, 0, w->in_h, ceil_mode);
    w->out_w = output_size(w, 1, w->in_w, ceil_mode);
    return w->out_h > 0 && w->out_w > 0;
}

/* Sum over the window of value(tap) at (n, oh, ow, c); count: taps that the divisor counts. */
static double window_sum(const struct kernel_window *w, const double *x, const double *weights,
                         int64_t flat, int *count)
{
    int64_t c = flat % w->channels, ow = flat / w->channels % w->out_w;
    int64_t oh = flat / w->channels / w->out_w % w->out_h;
    int64_t n = flat / w->channels / w->out_w / w->out_h;
    double sum = 0;
    *count = 0;
    for (int i = 0; i < w->kernel[0]; i++)
        for (int j = 0; j < w->kernel[1]; j++) {
            int64_t h = oh * w->stride[0] + i * w->dilation[0] - w->pad[0];
            int64_t v = ow * w->stride[1] + j * w->dilation[1] - w->pad[1];
            bool inside = h >= 0 && h < w->in_h && v >= 0 && v < w->in_w;
            bool padded = h < w->in_h + w->pad[2] && v < w->in_w + w->pad[3];
            *count += inside || (w->count_include_pad && padded);
            if (inside)
                sum += x[((n * w->in_h + h) * w->in_w + v) * w->channels + c] *
                       (weights ? weights[(c * w->kernel[0] + i) * w->kernel[1] + j] : 1);
        }
    return sum;
}

static void ref_average(const void *context, const double *in, double *out)
{
    const struct kernel_window *w = context;
    for (int64_t i = 0; i < out_count(w); i++) {
        int count;
        double sum = window_sum(w, in, NULL, i, &count);
        out[i] = count ? sum / count : 0;
    }
}

/* in: x, then ONNX weights [C][1][kh][kw], then the bias. */
static void ref_depthwise(const void *context, const double *in, double *out)
{
    const struct kernel_window *w = context;
    const double *weights = in + in_count(w), *bias = weights + w->channels * tap_count(w);
    int count;
    for (int64_t i = 0; i < out_count(w); i++)
        out[i] = window_sum(w, in, weights, i, &count) + bias[i % w->channels];
}

static void average_pools(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 23, 0);
    for (int round = 0; round < 400; round++) {
        struct kernel_window w;
        if (!random_window(&r, &w, round % 2 != 0, round % 5 == 0 ? 5 : -1))
            continue;
        int64_t in_n = in_count(&w), out_n = out_count(&w);
        float *x = random_values(&r, in_n), *y = guarded(out_n), *gy = random_values(&r, out_n);
        float *gx = guarded(in_n), *sum = guarded(in_n);
        double *in = widen(x, in_n);
        kernel_average_pool(&w, x, y);
        check_forward(ref_average, &w, in, y, out_n, 1e-6);
        kernel_average_pool_backward(&w, gy, gx, false);
        check_gradient(ref_average, &w, in, 0, in_n, gy, out_n, gx, 1e-5);
        kernel_fill(sum, (size_t)in_n, 1);
        kernel_average_pool_backward(&w, gy, sum, true);
        check_added(sum, 1, gx, in_n, 1e-5);
        free(in);
        release(x);
        release(y);
        release(gy);
        release(gx);
        release(sum);
    }
}

static void global_average(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 24, 0);
    const int64_t shape[][3] = {{1, 1, 1}, {2, 7, 3}, {3, 49, 130}, {2, 5001, 9}};
    for (size_t k = 0; k < 4; k++) {
        int64_t images = shape[k][0], pixels = shape[k][1], channels = shape[k][2];
        int64_t n = images * pixels * channels;
        float *x = random_values(&r, n), *y = guarded(images * channels);
        float *gy = random_values(&r, images * channels), *gx = guarded(n);
        kernel_global_average(x, y, images, pixels, channels);
        kernel_fill(gx, (size_t)n, 1);
        kernel_global_average_backward(gy, gx, images, pixels, channels, true);
        for (int64_t i = 0; i < images * channels; i++) {
            double sum = 0;
            for (int64_t p = 0; p < pixels; p++) {
                int64_t at = (i / channels * pixels + p) * channels + i % channels;
                sum += (double)x[at] / (double)pixels;
                expect_near((double)gx[at], 1 + (double)gy[i] / (double)pixels, 1e-6, "gx", at);
            }
            expect_near((double)y[i], sum, 1e-6, "mean", i);
        }
        kernel_global_average_backward(gy, gx, images, pixels, channels, false);
        expect_near((double)gx[n - 1], (double)gy[images * channels - 1] / (double)pixels, 1e-6,
                    "written", 0);
        release(x);
        release(y);
        release(gy);
        release(gx);
    }
}

struct depthwise {
    struct kernel_window w;
    int64_t in_n, out_n, weights_n;
    float *x, *onnx, *packed, *bias, *y, *gy, *gx, *gpacked, *gonnx;
};

static struct depthwise depthwise_open(struct rng *r, const struct kernel_window *w)
{
    struct depthwise d = {.w = *w,
                          .in_n = in_count(w),
                          .out_n = out_count(w),
                          .weights_n = w->channels * tap_count(w)};
    d.x = random_values(r, d.in_n);
    d.onnx = random_values(r, d.weights_n);
    d.packed = guarded(d.weights_n);
    d.bias = random_values(r, w->channels);
    d.y = guarded(d.out_n);
    d.gy = random_values(r, d.out_n);
    d.gx = guarded(d.in_n);
    d.gpacked = guarded(d.weights_n);
    d.gonnx = guarded(d.weights_n);
    kernel_depthwise_pack(w, d.onnx, d.packed);
    return d;
}

static void depthwise_clear(struct depthwise *d)
{
    float *all[] = {d->x, d->onnx, d->packed, d->bias, d->y, d->gy, d->gx, d->gpacked, d->gonnx};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        release(all[i]);
}

static void check_depthwise(struct rng *r, const struct kernel_window *w)
{
    struct depthwise d = depthwise_open(r, w);
    double *in = calloc((size_t)(d.in_n + d.weights_n + w->channels), sizeof(double));
    assert_non_null(in);
    for (int64_t i = 0; i < d.in_n; i++)
        in[i] = (double)d.x[i];
    for (int64_t i = 0; i < d.weights_n; i++)
        in[d.in_n + i] = (double)d.onnx[i];
    for (int64_t i = 0; i < w->channels; i++)
        in[d.in_n + d.weights_n + i] = (double)d.bias[i];
    kernel_depthwise(w, d.x, d.packed, d.bias, d.y, -INFINITY, INFINITY);
    check_forward(ref_depthwise, w, in, d.y, d.out_n, 2e-6);
    kernel_depthwise_backward_data(w, d.gy, d.packed, d.gx, false);
    check_gradient(ref_depthwise, w, in, 0, d.in_n, d.gy, d.out_n, d.gx, 1e-4);
    kernel_depthwise_backward_weights(w, d.x, d.gy, d.gpacked);
    kernel_depthwise_unpack(w, d.gpacked, d.gonnx);
    check_gradient(ref_depthwise, w, in, d.in_n, d.weights_n, d.gy, d.out_n, d.gonnx, 1e-4);
    kernel_fill(d.x, (size_t)d.in_n, 1);
    kernel_depthwise_backward_data(w, d.gy, d.packed, d.x, true);
    check_added(d.x, 1, d.gx, d.in_n, 1e-5);
    free(in);
    depthwise_clear(&d);
}

static void depthwise_any_window(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 25, 0);
    for (int round = 0; round < 250; round++) {
        struct kernel_window w;
        if (random_window(&r, &w, false, round % 5 == 0 ? 6 : -1))
            check_depthwise(&r, &w);
    }
}

static void depthwise_large_is_adjoint_and_clamped(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 26, 0);
    struct kernel_window w = {.images = 2,
                              .channels = 75,
                              .in_h = 21,
                              .in_w = 30,
                              .out_h = 11,
                              .out_w = 15,
                              .kernel = {3, 3},
                              .stride = {2, 2},
                              .dilation = {1, 1},
                              .pad = {1, 1, 1, 1}};
    struct depthwise d = depthwise_open(&r, &w);
    kernel_depthwise(&w, d.x, d.packed, NULL, d.y, -INFINITY, INFINITY);
    kernel_depthwise_backward_data(&w, d.gy, d.packed, d.gx, false);
    kernel_depthwise_backward_weights(&w, d.x, d.gy, d.gpacked);
    double sum = dot(d.gy, d.y, d.out_n);
    expect_near(dot(d.gx, d.x, d.in_n), sum, 1e-4, "adjoint of data", 0);
    expect_near(dot(d.gpacked, d.packed, d.weights_n), sum, 1e-4, "adjoint of weights", 0);
    omp_set_num_threads(3);
    kernel_depthwise_backward_weights(&w, d.x, d.gy, d.gonnx);
    assert_memory_equal(d.gonnx, d.gpacked, (size_t)d.weights_n * sizeof(float));
    kernel_depthwise(&w, d.x, d.packed, NULL, d.gy, 0, 6);
    omp_set_num_threads(1);
    for (int64_t i = 0; i < d.out_n; i++)
        assert_true(d.gy[i] == fminf(fmaxf(d.y[i], 0), 6));
    depthwise_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resize_all_modes),
        cmocka_unit_test(resize_uses_the_given_scale),
        cmocka_unit_test(resize_by_a_third_hits_whole_pixels),
        cmocka_unit_test(resize_ties_survive_rounding),
        cmocka_unit_test(resize_in_pieces),
        cmocka_unit_test(resize_large_is_adjoint),
        cmocka_unit_test(average_pools),
        cmocka_unit_test(global_average),
        cmocka_unit_test(depthwise_any_window),
        cmocka_unit_test(depthwise_large_is_adjoint_and_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
