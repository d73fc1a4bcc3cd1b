/* kernels_window.c - average pooling, channels-last.
 *
 * An output pixel is a sum of input pixels (taps), a vector of channels at a time. Taps outside the
 * input are left out when a window is laid, so the loops themselves have no borders. The gradient
 * is gathered: each input pixel adds up the outputs that read it.
 */
#include "nn/kernels_internal.h"

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
