/* kernels_window.c - average pooling and depthwise convolution, channels-last.
 *
 * All of them come to one inner loop: an output pixel is a weighted sum of input pixels (taps), a
 * vector of channels at a time. Taps outside the input are left out when they are listed, so the
 * loop itself has no borders. Gradients by the input are the same sums with inputs and outputs
 * exchanged.
 */
#include "nn/kernels_internal.h"

#include <assert.h>

#define TAPS 9 /* summed at once: a whole 3x3 filter */

/* Where an output row or column `at` meets the input: taps [first, last) of `kernel` lie inside. */
struct span {
    int start, first, last; /* input index of tap k: start + k * dilation */
};

static struct span span_of(const struct kernel_window *w, int axis, int at)
{
    int in = axis == 0 ? w->in_h : w->in_w, step = w->dilation[axis];
    struct span s = {.start = at * w->stride[axis] - w->pad[axis], .last = w->kernel[axis]};
    if (s.start < 0)
        s.first = (-s.start + step - 1) / step;
    int fit = in - s.start > 0 ? (in - s.start + step - 1) / step : 0;
    s.last = fit < s.last ? fit : s.last;
    s.first = s.first < s.last ? s.first : s.last;
    return s;
}

/* Output that reads input `at` with tap k, or -1. */
static int reader_of(const struct kernel_window *w, int axis, int at, int k)
{
    int out = axis == 0 ? w->out_h : w->out_w;
    int from = at + w->pad[axis] - k * w->dilation[axis];
    if (from < 0 || from % w->stride[axis] != 0 || from / w->stride[axis] >= out)
        return -1;
    return from / w->stride[axis];
}

static bool parallel_worth(const struct kernel_window *w)
{
    return w->images * w->out_h * w->out_w * w->channels > KERNEL_PARALLEL_MIN;
}

/* ---- average pool --------------------------------------------------------------------------- */

/* Taps of an output that count in the divisor, along one axis. */
static int counted_taps(const struct kernel_window *w, int axis, int at)
{
    struct span s = span_of(w, axis, at);
    if (!w->count_include_pad)
        return s.last - s.first;
    int in = axis == 0 ? w->in_h : w->in_w, step = w->dilation[axis];
    int end = in + w->pad[axis + 2] - s.start; /* taps before this distance are in the padding */
    int fit = end > 0 ? (end + step - 1) / step : 0;
    return fit < w->kernel[axis] ? fit : w->kernel[axis];
}

static float pool_scale(const struct kernel_window *w, int oh, int ow)
{
    int count = counted_taps(w, 0, oh) * counted_taps(w, 1, ow);
    return count > 0 ? 1.0f / (float)count : 0.0f;
}

KERNEL_CLONES static void add_scaled(const float *restrict x, float *restrict y, int64_t n,
                                     float scale)
{
    for (int64_t c = 0; c < n; c++)
        y[c] += scale * x[c];
}

static void average_pixel(const struct kernel_window *w, const float *image, int oh, int ow,
                          float *y)
{
    struct span h = span_of(w, 0, oh), v = span_of(w, 1, ow);
    float scale = pool_scale(w, oh, ow);
    memset(y, 0, (size_t)w->channels * sizeof(float));
    for (int i = h.first; i < h.last; i++)
        for (int j = v.first; j < v.last; j++) {
            int64_t row = h.start + i * w->dilation[0], column = v.start + j * w->dilation[1];
            add_scaled(image + (row * w->in_w + column) * w->channels, y, w->channels, scale);
        }
}

void kernel_average_pool(const struct kernel_window *w, const float *x, float *y)
{
    int64_t rows = w->images * w->out_h;
#pragma omp parallel for schedule(static) if (parallel_worth(w))
    for (int64_t r = 0; r < rows; r++) {
        const float *image = x + r / w->out_h * w->in_h * w->in_w * w->channels;
        for (int ow = 0; ow < w->out_w; ow++)
            average_pixel(w, image, (int)(r % w->out_h), ow, y + (r * w->out_w + ow) * w->channels);
    }
}

static void average_pixel_backward(const struct kernel_window *w, const float *image, int ih,
                                   int iw, float *gx)
{
    for (int i = 0; i < w->kernel[0]; i++) {
        int oh = reader_of(w, 0, ih, i);
        for (int j = 0; oh >= 0 && j < w->kernel[1]; j++) {
            int ow = reader_of(w, 1, iw, j);
            if (ow >= 0)
                add_scaled(image + ((int64_t)oh * w->out_w + ow) * w->channels, gx, w->channels,
                           pool_scale(w, oh, ow));
        }
    }
}

void kernel_average_pool_backward(const struct kernel_window *w, const float *gy, float *gx,
                                  bool add)
{
    int64_t rows = w->images * w->in_h, row_size = w->in_w * w->channels;
#pragma omp parallel for schedule(static) if (parallel_worth(w))
    for (int64_t r = 0; r < rows; r++) {
        const float *image = gy + r / w->in_h * w->out_h * w->out_w * w->channels;
        if (!add)
            memset(gx + r * row_size, 0, (size_t)row_size * sizeof(float));
        for (int iw = 0; iw < w->in_w; iw++)
            average_pixel_backward(w, image, (int)(r % w->in_h), iw,
                                   gx + r * row_size + iw * w->channels);
    }
}

/* ---- global average pool -------------------------------------------------------------------- */

KERNEL_CLONES static void add_double(const float *x, int64_t rows, int64_t stride, int64_t n,
                                     double *restrict sum)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < n; c++)
            sum[c] += (double)x[r * stride + c];
}

void kernel_global_average(const float *x, float *y, int64_t images, int64_t pixels,
                           int64_t channels)
{
    int64_t blocks = kernel_ceil_div(channels, KERNEL_COLUMNS);
#pragma omp parallel for schedule(static) if (images * pixels * channels > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < images * blocks; i++) {
        double sum[KERNEL_COLUMNS] = {0};
        int64_t image = i / blocks, first = i % blocks * KERNEL_COLUMNS;
        int64_t n = kernel_min(KERNEL_COLUMNS, channels - first);
        add_double(x + image * pixels * channels + first, pixels, channels, n, sum);
        for (int64_t c = 0; c < n; c++)
            y[image * channels + first + c] = (float)(sum[c] / (double)pixels);
    }
}

KERNEL_CLONES static void spread_rows(const float *restrict gy, float *restrict gx, int64_t rows,
                                      int64_t channels, float scale, bool add)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < channels; c++) {
            float v = scale * gy[c];
            gx[r * channels + c] = add ? gx[r * channels + c] + v : v;
        }
}

void kernel_global_average_backward(const float *gy, float *gx, int64_t images, int64_t pixels,
                                    int64_t channels, bool add)
{
    float scale = (float)(1.0 / (double)pixels);
    int64_t step = kernel_ceil_div(KERNEL_BLOCK, channels);
    int64_t blocks = kernel_ceil_div(pixels, step);
#pragma omp parallel for schedule(static) if (images * pixels * channels > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < images * blocks; i++) {
        int64_t image = i / blocks, first = i % blocks * step;
        spread_rows(gy + image * channels, gx + (image * pixels + first) * channels,
                    kernel_min(step, pixels - first), channels, scale, add);
    }
}

/* ---- depthwise convolution ------------------------------------------------------------------ */

void kernel_depthwise_pack(const struct kernel_window *w, const float *onnx, float *packed)
{
    int64_t taps = (int64_t)w->kernel[0] * w->kernel[1];
    const int64_t dim[] = {taps, w->channels};
    kernel_copy(2, dim, onnx, (const int64_t[]){1, taps}, packed, (const int64_t[]){w->channels, 1},
                false);
}

void kernel_depthwise_unpack(const struct kernel_window *w, const float *packed, float *onnx)
{
    int64_t taps = (int64_t)w->kernel[0] * w->kernel[1];
    const int64_t dim[] = {w->channels, taps};
    kernel_copy(2, dim, packed, (const int64_t[]){1, w->channels}, onnx, (const int64_t[]){taps, 1},
                false);
}

/* Pixels and their filter taps, gathered until a group is full. */
struct taps {
    int count;
    const float *x[TAPS], *w[TAPS];
};

/* y += the sum of n taps; n is a constant where this is called, so its loop unrolls. */
KERNEL_INLINE void sum_taps(const struct taps *t, int first, int n, float *restrict y,
                            int64_t channels)
{
    const float *x[TAPS], *w[TAPS];
    for (int k = 0; k < n; k++) {
        x[k] = t->x[first + k];
        w[k] = t->w[first + k];
    }
    for (int64_t c = 0; c < channels; c++) {
        float v = y[c];
        for (int k = 0; k < n; k++)
            v += x[k][c] * w[k][c];
        y[c] = v;
    }
}

KERNEL_CLONES static void sum_group(const struct taps *t, float *y, int64_t channels)
{
    if (t->count == 9) {
        sum_taps(t, 0, 9, y, channels);
        return;
    }
    int k = 0;
    for (; k + 3 <= t->count; k += 3)
        sum_taps(t, k, 3, y, channels);
    for (; k < t->count; k++)
        sum_taps(t, k, 1, y, channels);
}

static void add_tap(struct taps *t, const float *x, const float *weights, float *y,
                    int64_t channels)
{
    t->x[t->count] = x;
    t->w[t->count] = weights;
    if (++t->count == TAPS) {
        sum_group(t, y, channels);
        t->count = 0;
    }
}

KERNEL_CLONES static void clamp_row(float *y, int64_t n, float lo, float hi)
{
    KERNEL_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = kernel_clamp(y[i], lo, hi);
}

static void start_pixel(const float *bias, float *y, int64_t channels)
{
    if (bias)
        memcpy(y, bias, (size_t)channels * sizeof(float));
    else
        memset(y, 0, (size_t)channels * sizeof(float));
}

static void depthwise_pixel(const struct kernel_window *w, const float *image, const float *weights,
                            int oh, int ow, float *y)
{
    struct span h = span_of(w, 0, oh), v = span_of(w, 1, ow);
    struct taps t = {0};
    for (int i = h.first; i < h.last; i++)
        for (int j = v.first; j < v.last; j++) {
            int64_t row = h.start + i * w->dilation[0], column = v.start + j * w->dilation[1];
            add_tap(&t, image + (row * w->in_w + column) * w->channels,
                    weights + (int64_t)(i * w->kernel[1] + j) * w->channels, y, w->channels);
        }
    sum_group(&t, y, w->channels);
}

void kernel_depthwise(const struct kernel_window *w, const float *x, const float *weights,
                      const float *bias, float *y, float lo, float hi)
{
    int64_t rows = w->images * w->out_h, row_size = w->out_w * w->channels;
#pragma omp parallel for schedule(static) if (parallel_worth(w))
    for (int64_t r = 0; r < rows; r++) {
        const float *image = x + r / w->out_h * w->in_h * w->in_w * w->channels;
        for (int ow = 0; ow < w->out_w; ow++) {
            float *to = y + r * row_size + ow * w->channels;
            start_pixel(bias, to, w->channels);
            depthwise_pixel(w, image, weights, (int)(r % w->out_h), ow, to);
        }
        clamp_row(y + r * row_size, row_size, lo, hi);
    }
}

static void depthwise_pixel_backward(const struct kernel_window *w, const float *image,
                                     const float *weights, int ih, int iw, float *gx)
{
    struct taps t = {0};
    for (int i = 0; i < w->kernel[0]; i++) {
        int oh = reader_of(w, 0, ih, i);
        for (int j = 0; oh >= 0 && j < w->kernel[1]; j++) {
            int ow = reader_of(w, 1, iw, j);
            if (ow >= 0)
                add_tap(&t, image + ((int64_t)oh * w->out_w + ow) * w->channels,
                        weights + (int64_t)(i * w->kernel[1] + j) * w->channels, gx, w->channels);
        }
    }
    sum_group(&t, gx, w->channels);
}

void kernel_depthwise_backward_data(const struct kernel_window *w, const float *gy,
                                    const float *weights, float *gx, bool add)
{
    int64_t rows = w->images * w->in_h, row_size = w->in_w * w->channels;
#pragma omp parallel for schedule(static) if (parallel_worth(w))
    for (int64_t r = 0; r < rows; r++) {
        const float *image = gy + r / w->in_h * w->out_h * w->out_w * w->channels;
        if (!add)
            memset(gx + r * row_size, 0, (size_t)row_size * sizeof(float));
        for (int iw = 0; iw < w->in_w; iw++)
            depthwise_pixel_backward(w, image, weights, (int)(r % w->in_h), iw,
                                     gx + r * row_size + iw * w->channels);
    }
}

/* Outputs [first, last) along the width whose tap j lies inside the input. */
static struct span outputs_inside(const struct kernel_window *w, int j)
{
    struct span s = {.start = j * w->dilation[1] - w->pad[1]};
    int step = w->stride[1];
    if (s.start < 0)
        s.first = (-s.start + step - 1) / step;
    int fit = w->in_w - s.start > 0 ? (w->in_w - s.start + step - 1) / step : 0;
    s.last = fit < w->out_w ? fit : w->out_w;
    return s;
}

/* sum[c] += sum over n pixels of x * gy; the float sums of a row go into a double. */
KERNEL_CLONES static void dot_pixels(const float *x, int64_t x_stride, const float *gy,
                                     int64_t gy_stride, int n, int64_t columns,
                                     double *restrict sum)
{
    float row[KERNEL_COLUMNS] = {0};
    for (int i = 0; i < n; i++)
        for (int64_t c = 0; c < columns; c++)
            row[c] += x[i * x_stride + c] * gy[i * gy_stride + c];
    for (int64_t c = 0; c < columns; c++)
        sum[c] += (double)row[c];
}

/* Filter tap (i, j) for `columns` channels from `first` on. */
static void weights_block(const struct kernel_window *w, const float *x, const float *gy, int i,
                          int j, int64_t first, int64_t columns, float *out)
{
    double sum[KERNEL_COLUMNS] = {0};
    struct span s = outputs_inside(w, j);
    for (int64_t r = 0; s.first < s.last && r < w->images * w->out_h; r++) {
        int ih = (int)(r % w->out_h) * w->stride[0] - w->pad[0] + i * w->dilation[0];
        if (ih < 0 || ih >= w->in_h)
            continue;
        int64_t in =
            ((r / w->out_h * w->in_h + ih) * w->in_w + s.start + (int64_t)s.first * w->stride[1]) *
            w->channels;
        int64_t at = (r * w->out_w + s.first) * w->channels;
        dot_pixels(x + in + first, w->stride[1] * w->channels, gy + at + first, w->channels,
                   s.last - s.first, columns, sum);
    }
    for (int64_t c = 0; c < columns; c++)
        out[c] = (float)sum[c];
}

void kernel_depthwise_backward_weights(const struct kernel_window *w, const float *x,
                                       const float *gy, float *gweights)
{
    int64_t blocks = kernel_ceil_div(w->channels, KERNEL_COLUMNS);
    int64_t taps = (int64_t)w->kernel[0] * w->kernel[1];
#pragma omp parallel for schedule(dynamic) if (parallel_worth(w))
    for (int64_t t = 0; t < taps * blocks; t++) {
        int64_t tap = t % taps, first = t / taps * KERNEL_COLUMNS;
        weights_block(w, x, gy, (int)(tap / w->kernel[1]), (int)(tap % w->kernel[1]), first,
                      kernel_min(KERNEL_COLUMNS, w->channels - first),
                      gweights + tap * w->channels + first);
    }
}
