/* kernels_depthwise.c - depthwise convolution, channels-last, for any window.
 *
 * Forward and the gradient by the input are one computation: a line of target pixels, each the sum
 * of source pixels times filter taps. Along an axis, tap j of target t reads source
 * (origin + j tap_step) / divisor + t step. Where all taps of a line lie inside, one call runs over
 * all its pixels; the others are done one by one. The gradient by the weights keeps three
 * neighbouring taps in registers. oneDNN is faster without dilation, and has only slow fallbacks
 * for gradients with it.
 */
#include "nn/kernels_internal.h"

#define TAPS 9 /* summed at once: a whole 3x3 filter */

static bool parallel_worth(const struct kernel_window *w)
{
    return w->images * w->out_h * w->out_w * w->channels > KERNEL_PARALLEL_MIN;
}

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

/* ---- axes ----------------------------------------------------------------------------------- */

struct axis {
    int kernel, targets, sources;
    int origin, tap_step, divisor, step;
};

/* Targets [first, last) read inside with tap j, from source base + t step; empty: it never does. */
struct reach {
    int base, first, last;
};

static struct reach reach_of(const struct axis *a, int j)
{
    struct reach r = {0};
    int at = a->origin + j * a->tap_step;
    if (at % a->divisor != 0)
        return r;
    r.base = at / a->divisor;
    r.first = r.base < 0 ? (-r.base + a->step - 1) / a->step : 0;
    r.last = r.base < a->sources ? (a->sources - r.base + a->step - 1) / a->step : 0;
    r.last = r.last < a->targets ? r.last : a->targets;
    return r;
}

/* Outputs as targets. */
static struct axis forward_axis(const struct kernel_window *w, int k)
{
    return (struct axis){.kernel = w->kernel[k],
                         .targets = k == 0 ? w->out_h : w->out_w,
                         .sources = k == 0 ? w->in_h : w->in_w,
                         .origin = -w->pad[k],
                         .tap_step = w->dilation[k],
                         .divisor = 1,
                         .step = w->stride[k]};
}

/* Inputs phase, phase + stride, ... as targets: they are read with the same taps. */
static struct axis backward_axis(const struct kernel_window *w, int k, int phase)
{
    int in = k == 0 ? w->in_h : w->in_w;
    return (struct axis){.kernel = w->kernel[k],
                         .targets = (in - phase + w->stride[k] - 1) / w->stride[k],
                         .sources = k == 0 ? w->out_h : w->out_w,
                         .origin = phase + w->pad[k],
                         .tap_step = -w->dilation[k],
                         .divisor = w->stride[k],
                         .step = 1};
}

/* ---- sums of taps --------------------------------------------------------------------------- */

/* Source pixels and filter taps of the first target of a run. */
struct taps {
    int count;
    const float *x[TAPS], *w[TAPS];
};

struct run {
    int pixels;
    int64_t x_step, y_step, channels;
};

/* n is a constant where this is called, so that its loop unrolls. */
KERNEL_INLINE void sum_taps(const struct taps *t, int first, int n, const struct run *r, float *y)
{
    for (int i = 0; i < r->pixels; i++) {
        const float *x[TAPS], *w[TAPS];
        for (int k = 0; k < n; k++) {
            x[k] = t->x[first + k] + i * r->x_step;
            w[k] = t->w[first + k];
        }
        float *to = y + i * r->y_step;
        KERNEL_IVDEP
        for (int64_t c = 0; c < r->channels; c++) {
            float v = to[c];
            for (int k = 0; k < n; k++)
                v += x[k][c] * w[k][c];
            to[c] = v;
        }
    }
}

KERNEL_CLONES static void sum_run(const struct taps *t, const struct run *r, float *y)
{
    int k = 0;
    if (t->count == 9) {
        sum_taps(t, 0, 9, r, y);
        return;
    }
    for (; k + 3 <= t->count; k += 3)
        sum_taps(t, k, 3, r, y);
    for (; k < t->count; k++)
        sum_taps(t, k, 1, r, y);
}

/* One line of targets: all filter rows whose source row lies inside. */
struct line {
    struct axis h, w;
    int row; /* target index along h */
    int64_t channels, y_step;
    const float *image, *weights; /* source image; filter [kh][kw][C] */
};

/* Targets [t, t + pixels), all of which read with the same taps. */
static void line_run(const struct line *l, int t, int pixels, float *y)
{
    struct taps taps = {0};
    struct run run = {pixels, l->w.step * l->channels, l->y_step, l->channels};
    for (int i = 0; i < l->h.kernel; i++) {
        struct reach rh = reach_of(&l->h, i);
        for (int j = 0; l->row >= rh.first && l->row < rh.last && j < l->w.kernel; j++) {
            struct reach rw = reach_of(&l->w, j);
            if (t < rw.first || t >= rw.last)
                continue;
            int64_t row = rh.base + l->row * l->h.step, column = rw.base + t * l->w.step;
            taps.x[taps.count] = l->image + (row * l->w.sources + column) * l->channels;
            taps.w[taps.count] = l->weights + (int64_t)(i * l->w.kernel + j) * l->channels;
            if (++taps.count == TAPS) {
                sum_run(&taps, &run, y + t * l->y_step);
                taps.count = 0;
            }
        }
    }
    sum_run(&taps, &run, y + t * l->y_step);
}

static void line_sum(const struct line *l, float *y)
{
    int first = 0, last = l->w.targets; /* where every tap that ever reads does */
    for (int j = 0; j < l->w.kernel; j++) {
        struct reach r = reach_of(&l->w, j);
        if (r.first >= r.last)
            continue;
        first = r.first > first ? r.first : first;
        last = r.last < last ? r.last : last;
    }
    last = last > first ? last : first;
    for (int t = 0; t < first; t++)
        line_run(l, t, 1, y);
    if (last > first)
        line_run(l, first, last - first, y);
    for (int t = last; t < l->w.targets; t++)
        line_run(l, t, 1, y);
}

KERNEL_CLONES static void clamp_row(float *y, int64_t n, float lo, float hi)
{
    KERNEL_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = kernel_clamp(y[i], lo, hi);
}

static void start_row(const float *bias, float *y, int pixels, int64_t channels)
{
    if (!bias)
        memset(y, 0, (size_t)(pixels * channels) * sizeof(float));
    for (int i = 0; bias && i < pixels; i++)
        memcpy(y + i * channels, bias, (size_t)channels * sizeof(float));
}

void kernel_depthwise(const struct kernel_window *w, const float *x, const float *weights,
                      const float *bias, float *y, float lo, float hi)
{
    int64_t rows = w->images * w->out_h, row_size = w->out_w * w->channels;
#pragma omp parallel for schedule(static) if (parallel_worth(w))
    for (int64_t r = 0; r < rows; r++) {
        struct line l = {.h = forward_axis(w, 0),
                         .w = forward_axis(w, 1),
                         .row = (int)(r % w->out_h),
                         .channels = w->channels,
                         .y_step = w->channels,
                         .image = x + r / w->out_h * w->in_h * w->in_w * w->channels,
                         .weights = weights};
        start_row(bias, y + r * row_size, w->out_w, w->channels);
        line_sum(&l, y + r * row_size);
        clamp_row(y + r * row_size, row_size, lo, hi);
    }
}

void kernel_depthwise_backward_data(const struct kernel_window *w, const float *gy,
                                    const float *weights, float *gx, bool add)
{
    int64_t rows = w->images * w->in_h, row_size = w->in_w * w->channels;
#pragma omp parallel for schedule(static) if (parallel_worth(w))
    for (int64_t r = 0; r < rows; r++) {
        int row = (int)(r % w->in_h);
        struct line l = {.h = backward_axis(w, 0, row % w->stride[0]),
                         .row = row / w->stride[0],
                         .channels = w->channels,
                         .y_step = w->stride[1] * w->channels,
                         .image = gy + r / w->in_h * w->out_h * w->out_w * w->channels,
                         .weights = weights};
        if (!add)
            start_row(NULL, gx + r * row_size, w->in_w, w->channels);
        for (int phase = 0; phase < w->stride[1] && phase < w->in_w; phase++) {
            l.w = backward_axis(w, 1, phase);
            line_sum(&l, gx + r * row_size + phase * w->channels);
        }
    }
}

/* ---- gradient by the weights ---------------------------------------------------------------- */

#define LANES 8
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* One source row and one row of gy: tap k of three reads x[k], pixels at x_step and gy_step. */
struct dots {
    int pixels;
    int64_t x_step, gy_step;
};

/* sum[k][c] += sum over the pixels of x[k][c] gy[c], for LANES channels and three taps. */
KERNEL_CLONES static void dot_three(const struct dots *d, const float *const x[3], const float *gy,
                                    double *sum, int64_t sum_step)
{
    lanes a = {0}, b = {0}, c = {0};
    for (int i = 0; i < d->pixels; i++) {
        int64_t at = i * d->x_step;
        lanes g = *(const lanes *)(gy + i * d->gy_step);
        a += *(const lanes *)(x[0] + at) * g;
        b += *(const lanes *)(x[1] + at) * g;
        c += *(const lanes *)(x[2] + at) * g;
    }
    for (int k = 0; k < LANES; k++) {
        sum[k] += (double)a[k];
        sum[sum_step + k] += (double)b[k];
        sum[2 * sum_step + k] += (double)c[k];
    }
}

/* One tap, any number of channels up to KERNEL_COLUMNS. */
KERNEL_CLONES static void dot_one(const struct dots *d, const float *x, const float *gy,
                                  int64_t columns, double *restrict sum)
{
    float row[KERNEL_COLUMNS] = {0};
    for (int i = 0; i < d->pixels; i++)
        for (int64_t c = 0; c < columns; c++)
            row[c] += x[i * d->x_step + c] * gy[i * d->gy_step + c];
    for (int64_t c = 0; c < columns; c++)
        sum[c] += (double)row[c];
}

/* Tap j's sums over outputs [first, last) of a row. x and gy: the rows' first pixels. */
static void tap_sums(const struct kernel_window *w, const struct reach *r, int first, int last,
                     const float *x, const float *gy, int64_t columns, double *sum)
{
    if (first >= last)
        return;
    struct dots d = {last - first, w->stride[1] * w->channels, w->channels};
    dot_one(&d, x + (r->base + (int64_t)first * w->stride[1]) * w->channels,
            gy + first * w->channels, columns, sum);
}

/* Taps j, j + 1, j + 2 at once where all read inside, each by itself at the ends. */
static void three_sums(const struct kernel_window *w, const struct axis *a, int j, const float *x,
                       const float *gy, int64_t columns, double (*sum)[KERNEL_COLUMNS])
{
    struct reach r[3];
    int first = 0, last = a->targets;
    for (int k = 0; k < 3; k++) {
        r[k] = reach_of(a, j + k);
        first = r[k].first > first ? r[k].first : first;
        last = r[k].last < last ? r[k].last : last;
    }
    last = last > first ? last : first;
    struct dots d = {last - first, w->stride[1] * w->channels, w->channels};
    int64_t wide = columns / LANES * LANES, at = (int64_t)first * w->stride[1];
    for (int64_t c = 0; first < last && c < wide; c += LANES) {
        const float *from[3];
        for (int k = 0; k < 3; k++)
            from[k] = x + (r[k].base + at) * w->channels + c;
        dot_three(&d, from, gy + first * w->channels + c, sum[0] + c, KERNEL_COLUMNS);
    }
    for (int k = 0; k < 3; k++) {
        int left = r[k].last < first ? r[k].last : first;
        int right = r[k].first > last ? r[k].first : last;
        tap_sums(w, &r[k], first, last, x + wide, gy + wide, columns - wide, sum[k] + wide);
        tap_sums(w, &r[k], r[k].first, left, x, gy, columns, sum[k]);
        tap_sums(w, &r[k], right, r[k].last, x, gy, columns, sum[k]);
    }
}

/* Up to three taps from j on of filter row i, for `columns` channels from `channel` on. */
static void weights_block(const struct kernel_window *w, const float *x, const float *gy, int i,
                          int j, int64_t channel, int64_t columns, float *gweights)
{
    double sum[3][KERNEL_COLUMNS] = {{0}};
    struct axis ah = forward_axis(w, 0), aw = forward_axis(w, 1);
    struct reach rh = reach_of(&ah, i);
    int taps = w->kernel[1] - j < 3 ? w->kernel[1] - j : 3;
    for (int64_t n = 0; n < w->images; n++)
        for (int oh = rh.first; oh < rh.last; oh++) {
            int64_t ih = rh.base + (int64_t)oh * w->stride[0];
            const float *from = x + (n * w->in_h + ih) * w->in_w * w->channels + channel;
            const float *g = gy + (n * w->out_h + oh) * w->out_w * w->channels + channel;
            if (taps == 3)
                three_sums(w, &aw, j, from, g, columns, sum);
            for (int k = 0; taps < 3 && k < taps; k++) {
                struct reach r = reach_of(&aw, j + k);
                tap_sums(w, &r, r.first, r.last, from, g, columns, sum[k]);
            }
        }
    for (int k = 0; k < taps; k++)
        for (int64_t c = 0; c < columns; c++)
            gweights[(i * w->kernel[1] + j + k) * w->channels + channel + c] = (float)sum[k][c];
}

void kernel_depthwise_backward_weights(const struct kernel_window *w, const float *x,
                                       const float *gy, float *gweights)
{
    int64_t blocks = kernel_ceil_div(w->channels, KERNEL_COLUMNS);
    int64_t groups = kernel_ceil_div(w->kernel[1], 3);
#pragma omp parallel for schedule(dynamic) if (parallel_worth(w))
    for (int64_t t = 0; t < blocks * groups * w->kernel[0]; t++) {
        int64_t channel = t / groups / w->kernel[0] * KERNEL_COLUMNS;
        weights_block(w, x, gy, (int)(t / groups % w->kernel[0]), (int)(t % groups * 3), channel,
                      kernel_min(KERNEL_COLUMNS, w->channels - channel), gweights);
    }
}
