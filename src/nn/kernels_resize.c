/* kernels_resize.c - ONNX Resize over height and width, nearest and linear.
 *
 * Indices and weights of both axes are tables made once. Coordinates follow the operator's
 * definition in float32 arithmetic, in the order in which ONNX Runtime evaluates it, so that ties
 * and scales such as 1/3 land on the same pixel. Rows are blended first, in long vector loops, then
 * columns. The gradient is gathered: each input row adds up the output rows that read it, which
 * needs no atomics and has one order.
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

/* How far from one half still counts as a tie: a float32 scale is not exact either. ONNX Runtime
 * 1.30 behaves so. */
#define TIE 1e-6f

static float round_nearest(enum nn_resize_nearest mode, float x)
{
    float low = floorf(x), part = x - low;
    bool tie = fabsf(part - 0.5f) < TIE;
    switch (mode) {
    case NN_NEAREST_ROUND_PREFER_FLOOR:
        return tie || part < 0.5f ? low : low + 1;
    case NN_NEAREST_ROUND_PREFER_CEIL:
        return tie || part > 0.5f ? low + 1 : low;
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

/* ---- rows ----------------------------------------------------------------------------------- */

/* Both directions first add up whole rows into a scratch, then go along the width. The scratch
 * holds a range of columns of at most CHANNELS channels. */
#define SCRATCH 8192
#define CHANNELS ((int64_t)1024)

/* `columns` pixels of `count` channels out of `channels`. */
struct piece {
    int columns;
    int64_t count, channels;
};

/* out = weight * row, += when add; out is dense. */
KERNEL_CLONES static void blend_row(const struct piece *p, const float *row, float weight,
                                    float *restrict out, bool add)
{
    bool dense = p->count == p->channels;
    int64_t n = dense ? p->columns * p->count : p->count;
    for (int i = 0; i < (dense ? 1 : p->columns); i++) {
        const float *restrict from = row + i * p->channels;
        float *restrict to = out + i * p->count;
        if (add)
            for (int64_t c = 0; c < n; c++)
                to[c] += weight * from[c];
        else
            for (int64_t c = 0; c < n; c++)
                to[c] = weight * from[c];
    }
}

/* ---- forward -------------------------------------------------------------------------------- */

#define LANES 16
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* out = p a + q b over n channels; the last vector overlaps instead of leaving a rest. */
KERNEL_INLINE void mix(const float *a, const float *b, float p, float q, float *out, int64_t n)
{
    if (n < LANES) {
        KERNEL_IVDEP
        for (int64_t c = 0; c < n; c++)
            out[c] = p * a[c] + q * b[c];
        return;
    }
    for (int64_t c = 0; c < n; c += LANES) {
        int64_t at = c + LANES <= n ? c : n - LANES;
        *(lanes *)(out + at) = p * *(const lanes *)(a + at) + q * *(const lanes *)(b + at);
    }
}

/* Outputs [first, last) from the blended input columns, of which `base` is the first. */
KERNEL_CLONES static void spread_columns(const struct kernel_resize_axis *w, int first, int last,
                                         int base, const struct piece *p, const float *in, float *y)
{
    if (p->channels == 1) {
        const int *from = w->from, *to = w->to;
        for (int i = first; i < last; i++)
            y[i] = (1 - w->weight[i]) * in[from[i] - base] + w->weight[i] * in[to[i] - base];
        return;
    }
    for (int i = first; i < last; i++) {
        float u = w->weight[i], rest = 1 - u;
        const float *a = in + (w->from[i] - base) * p->count;
        const float *b = in + (w->to[i] - base) * p->count;
        mix(a, b, rest, u, y + i * p->channels, p->count);
    }
}

/* One output row, channels of `p`, from the input rows x0 and x1 with weight v for x1. */
static void linear_row(const struct kernel_resize_axis *w, struct piece *p, const float *x0,
                       const float *x1, float v, float *y)
{
    float scratch[SCRATCH];
    int room = (int)(SCRATCH / p->count);
    for (int first = 0, last; first < w->out; first = last) {
        int base = w->from[first];
        for (last = first; last < w->out && w->to[last] < base + room; last++)
            p->columns = w->to[last] - base + 1;
        blend_row(p, x0 + base * p->channels, 1 - v, scratch, false);
        if (v != 0)
            blend_row(p, x1 + base * p->channels, v, scratch, true);
        spread_columns(w, first, last, base, p, scratch, y);
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
        for (int64_t c = 0; r->linear && c < channels; c += CHANNELS) {
            struct piece p = {.count = kernel_min(CHANNELS, channels - c), .channels = channels};
            linear_row(&r->w, &p, x0 + c, x1 + c, r->h.weight[i], y + o * out + c);
        }
    }
}

/* ---- backward ------------------------------------------------------------------------------- */

/* How much output i takes from input j. */
KERNEL_INLINE float reader_weight(const struct kernel_resize_axis *a, int i, int j)
{
    float weight = a->from[i] == j ? 1 - a->weight[i] : 0;
    return a->to[i] == j ? weight + a->weight[i] : weight;
}

/* gx += what the blended output columns [first, last) read of it. */
KERNEL_CLONES static void gather_columns(const struct kernel_resize_axis *w, int first, int last,
                                         const struct piece *p, const float *in, float *gx)
{
    for (int j = w->from[first]; j <= w->to[last - 1]; j++) {
        float *restrict to = gx + j * p->channels;
        int begin = w->first[j] > first ? w->first[j] : first;
        int end = w->last[j] < last ? w->last[j] : last;
        for (int i = begin; i < end; i++) {
            const float *restrict from = in + (i - first) * p->count;
            float k = reader_weight(w, i, j);
            for (int64_t c = 0; c < p->count; c++)
                to[c] += k * from[c];
        }
    }
}

/* Input row j, channels of `p`, from the rows of the image that read it. */
static void backward_row(const struct kernel_resize *r, int j, struct piece *p, const float *image,
                         float *gx)
{
    float scratch[SCRATCH];
    int room = (int)(SCRATCH / p->count);
    if (r->h.first[j] == r->h.last[j])
        return;
    for (int first = 0, last; first < r->w.out; first = last) {
        last = r->w.out - first < room ? r->w.out : first + room;
        p->columns = last - first;
        for (int i = r->h.first[j]; i < r->h.last[j]; i++)
            blend_row(p, image + ((int64_t)i * r->w.out + first) * p->channels,
                      reader_weight(&r->h, i, j), scratch, i > r->h.first[j]);
        gather_columns(&r->w, first, last, p, scratch, gx);
    }
}

void kernel_resize_backward(const struct kernel_resize *r, const float *gy, float *gx,
                            int64_t images, int64_t channels, bool add)
{
    int64_t rows = images * r->h.in, in = r->w.in * channels, out = r->w.out * channels;
#pragma omp parallel for schedule(static) if (rows * in > KERNEL_PARALLEL_MIN)
    for (int64_t o = 0; o < rows; o++) {
        if (!add)
            memset(gx + o * in, 0, (size_t)in * sizeof(float));
        for (int64_t c = 0; c < channels; c += CHANNELS) {
            struct piece p = {.count = kernel_min(CHANNELS, channels - c), .channels = channels};
            backward_row(r, (int)(o % r->h.in), &p, gy + o / r->h.in * r->h.out * out + c,
                         gx + o * in + c);
        }
    }
}
