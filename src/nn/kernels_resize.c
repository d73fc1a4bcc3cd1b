/* kernels_resize.c - ONNX Resize over height and width, nearest and linear.
 *
 * Indices and weights of both axes are tables made once. Coordinates follow the operator's
 * definition in float32 arithmetic, in the order in which ONNX Runtime evaluates it, so that ties
 * and scales such as 1/3 land on the same pixel. The gradient is gathered: each input row adds up
 * the output rows that read it, which needs no atomics and has one order.
 */
#include "nn/kernels_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* ---- tables --------------------------------------------------------------------------------- */

static float source_coordinate(enum nn_resize_coordinates mode, int i, int in, int out, float scale)
{
    switch (mode) {
    case NN_RESIZE_HALF_PIXEL:
        return ((float)i + 0.5f) / scale - 0.5f;
    case NN_RESIZE_PYTORCH_HALF_PIXEL:
        return out > 1 ? ((float)i + 0.5f) / scale - 0.5f : 0.0f;
    case NN_RESIZE_ALIGN_CORNERS:
        return out == 1 ? 0.0f : (float)i * (float)(in - 1) / (float)(out - 1);
    default:
        return (float)i / scale;
    }
}

static float round_nearest(enum nn_resize_nearest mode, float x)
{
    float low = floorf(x);
    switch (mode) {
    case NN_NEAREST_ROUND_PREFER_FLOOR:
        return x - low <= 0.5f ? low : low + 1;
    case NN_NEAREST_ROUND_PREFER_CEIL:
        return x - low < 0.5f ? low : low + 1;
    case NN_NEAREST_FLOOR:
        return low;
    default:
        return ceilf(x);
    }
}

static float clamp_to(float x, int in)
{
    return x < 0 ? 0 : x > (float)(in - 1) ? (float)(in - 1) : x;
}

static void axis_entry(struct kernel_resize_axis *a, int i, float at, bool linear,
                       enum nn_resize_nearest nearest)
{
    if (!linear) {
        a->from[i] = (int)clamp_to(round_nearest(nearest, at), a->in);
        a->to[i] = a->from[i];
        a->weight[i] = 0;
        return;
    }
    at = clamp_to(at, a->in);
    a->from[i] = (int)at;
    a->to[i] = a->from[i] + 1 < a->in ? a->from[i] + 1 : a->from[i];
    a->weight[i] = at - (float)a->from[i];
}

/* Both tables never fall as i grows, so the readers of an input are one range. */
static void axis_readers(struct kernel_resize_axis *a)
{
    for (int j = 0; j < a->in; j++) {
        a->first[j] = a->out;
        a->last[j] = 0;
    }
    for (int i = 0; i < a->out; i++)
        for (int k = 0; k < 2; k++) {
            int j = k == 0 ? a->from[i] : a->to[i];
            a->first[j] = i < a->first[j] ? i : a->first[j];
            a->last[j] = i + 1;
        }
    for (int j = 0; j < a->in; j++)
        if (a->last[j] == 0)
            a->first[j] = 0;
}

static bool axis_open(struct kernel_resize_axis *a, int in, int out)
{
    assert(in > 0 && out > 0);
    a->in = in;
    a->out = out;
    a->from = calloc((size_t)out, sizeof(int));
    a->to = calloc((size_t)out, sizeof(int));
    a->weight = calloc((size_t)out, sizeof(float));
    a->first = calloc((size_t)in, sizeof(int));
    a->last = calloc((size_t)in, sizeof(int));
    return a->from && a->to && a->weight && a->first && a->last;
}

static void axis_clear(struct kernel_resize_axis *a)
{
    free(a->from);
    free(a->to);
    free(a->weight);
    free(a->first);
    free(a->last);
    memset(a, 0, sizeof(*a));
}

enum status kernel_resize_init(struct kernel_resize *r, int in_h, int in_w, int out_h, int out_w,
                               enum nn_resize_mode mode, enum nn_resize_coordinates coordinates,
                               enum nn_resize_nearest nearest, const float scale[2],
                               struct error *err)
{
    memset(r, 0, sizeof(*r));
    r->linear = mode == NN_RESIZE_LINEAR;
    if (!axis_open(&r->h, in_h, out_h) || !axis_open(&r->w, in_w, out_w)) {
        kernel_resize_clear(r);
        return error_set(err, ST_NOMEM, "no memory for the tables of a resize to %dx%d", out_w,
                         out_h);
    }
    for (int k = 0; k < 2; k++) {
        struct kernel_resize_axis *a = k == 0 ? &r->h : &r->w;
        for (int i = 0; i < a->out; i++)
            axis_entry(a, i, source_coordinate(coordinates, i, a->in, a->out, scale[k]), r->linear,
                       nearest);
        axis_readers(a);
    }
    return ST_OK;
}

void kernel_resize_clear(struct kernel_resize *r)
{
    axis_clear(&r->h);
    axis_clear(&r->w);
}

/* ---- forward -------------------------------------------------------------------------------- */

/* One output row of C channels a pixel, from the two input rows x0 and x1 with weight v for x1. */
KERNEL_CLONES static void linear_row(const struct kernel_resize_axis *w, const float *x0,
                                     const float *x1, float v, float *y, int64_t channels)
{
    for (int i = 0; i < w->out; i++) {
        float u = w->weight[i];
        float k00 = (1 - v) * (1 - u), k01 = (1 - v) * u, k10 = v * (1 - u), k11 = v * u;
        const float *p00 = x0 + w->from[i] * channels, *p01 = x0 + w->to[i] * channels;
        const float *p10 = x1 + w->from[i] * channels, *p11 = x1 + w->to[i] * channels;
        float *restrict out = y + i * channels;
        for (int64_t c = 0; c < channels; c++)
            out[c] = k00 * p00[c] + k01 * p01[c] + k10 * p10[c] + k11 * p11[c];
    }
}

KERNEL_CLONES static void linear_row_plain(const struct kernel_resize_axis *w, const float *x0,
                                           const float *x1, float v, float *restrict y)
{
    const int *from = w->from, *to = w->to;
    const float *weight = w->weight;
    for (int i = 0; i < w->out; i++) {
        float u = weight[i];
        float top = (1 - u) * x0[from[i]] + u * x0[to[i]];
        float bottom = (1 - u) * x1[from[i]] + u * x1[to[i]];
        y[i] = (1 - v) * top + v * bottom;
    }
}

KERNEL_CLONES static void nearest_row(const struct kernel_resize_axis *w, const float *x, float *y,
                                      int64_t channels)
{
    for (int i = 0; i < w->out; i++) {
        const float *from = x + w->from[i] * channels;
        float *restrict to = y + i * channels;
        for (int64_t c = 0; c < channels; c++)
            to[c] = from[c];
    }
}

void kernel_resize(const struct kernel_resize *r, const float *x, float *y, int64_t images,
                   int64_t channels)
{
    int64_t rows = images * r->h.out, in = r->w.in * channels, out = r->w.out * channels;
#pragma omp parallel for schedule(static) if (rows * out > KERNEL_PARALLEL_MIN)
    for (int64_t o = 0; o < rows; o++) {
        int64_t i = o % r->h.out, base = o / r->h.out * r->h.in;
        const float *x0 = x + (base + r->h.from[i]) * in, *x1 = x + (base + r->h.to[i]) * in;
        if (!r->linear)
            nearest_row(&r->w, x0, y + o * out, channels);
        else if (channels == 1)
            linear_row_plain(&r->w, x0, x1, r->h.weight[i], y + o * out);
        else
            linear_row(&r->w, x0, x1, r->h.weight[i], y + o * out, channels);
    }
}

/* ---- backward ------------------------------------------------------------------------------- */

/* How much output i takes from input j. */
KERNEL_INLINE float reader_weight(const struct kernel_resize_axis *a, int i, int j)
{
    float weight = a->from[i] == j ? 1 - a->weight[i] : 0;
    return a->to[i] == j ? weight + a->weight[i] : weight;
}

/* gx[j] += v * sum over the outputs i that read j. */
KERNEL_CLONES static void backward_row(const struct kernel_resize_axis *w, const float *gy,
                                       float *gx, float v, int64_t channels)
{
    for (int j = 0; j < w->in; j++) {
        float *restrict to = gx + j * channels;
        for (int i = w->first[j]; i < w->last[j]; i++) {
            const float *from = gy + i * channels;
            float k = v * reader_weight(w, i, j);
            for (int64_t c = 0; c < channels; c++)
                to[c] += k * from[c];
        }
    }
}

void kernel_resize_backward(const struct kernel_resize *r, const float *gy, float *gx,
                            int64_t images, int64_t channels, bool add)
{
    int64_t rows = images * r->h.in, in = r->w.in * channels, out = r->w.out * channels;
#pragma omp parallel for schedule(static) if (rows * in > KERNEL_PARALLEL_MIN)
    for (int64_t o = 0; o < rows; o++) {
        int j = (int)(o % r->h.in);
        const float *image = gy + o / r->h.in * r->h.out * out;
        if (!add)
            memset(gx + o * in, 0, (size_t)in * sizeof(float));
        for (int i = r->h.first[j]; i < r->h.last[j]; i++)
            backward_row(&r->w, image + i * out, gx + o * in, reader_weight(&r->h, i, j), channels);
    }
}
