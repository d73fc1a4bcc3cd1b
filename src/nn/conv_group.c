/* Convolutions of many small groups as depthwise ones over planes (see conv_group.h).
 *
 * A packed row is [planes][chunks][pixels][16]: a chunk is 16 groups, the pixels include zeros on
 * both sides. Every pass comes to one of two inner loops over packed rows: sums over taps for eight
 * pixels at a time (forward; backward by data, for one residue of the column by the stride at a
 * time), or sums over the pixels of a row for nine taps at a time (backward by weights). */
#include "nn/conv_group.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/kernels_internal.h"

#define LANES KERNEL_LANES
#define PIXELS 8 /* of the output at once */
#define TAPS 9   /* of the gradient at once: a 3 x 3 filter */
#define PARTS 16 /* of the sum over rows, fixed: the sum does not depend on the threads */
#define KERNEL_MAX 16

struct tap {
    const float *x, *weights;
};

/* What a pass reads row by row. */
struct source {
    const float *data;
    int64_t height, width, channels, planes; /* channels = groups * planes */
    bool planar;                             /* channel = plane * groups + group */
    int64_t left, pixels;                    /* zeros before, pixels of a packed row */
};

struct group {
    const struct nn_window *w;
    int64_t groups, chunks, k, m;
    struct source source;
    int64_t ring_rows, row_floats; /* packed rows kept, floats of one */
    int64_t out_planes, out_width; /* of the rows that the pass makes */
    bool out_planar;
    int64_t weight_floats;
};

/* One thread's memory. */
struct worker {
    float *ring, *out;
    int64_t tag[2 * KERNEL_MAX * KERNEL_MAX]; /* image * height + row in each slot, -1: none */
};

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct group group_of(const struct nn_window *w, enum nn_pass pass)
{
    struct group g = {.w = w,
                      .groups = w->groups,
                      .k = w->in_channels / w->groups,
                      .m = w->out_channels / w->groups};
    int64_t reach_h = (w->kernel[0] - 1) * w->dilation[0];
    int64_t reach_w = (w->kernel[1] - 1) * w->dilation[1];
    g.chunks = (g.groups + LANES - 1) / LANES;
    if (pass == NN_PASS_BACKWARD_DATA) {
        int64_t left = max64(0, (reach_w - w->pad[1] + w->stride[1] - 1) / w->stride[1]);
        int64_t past = (w->in_width - 1 + w->pad[1]) / w->stride[1] + 1;
        g.source = (struct source){.height = w->out_height,
                                   .width = w->out_width,
                                   .channels = w->out_channels,
                                   .planes = g.m,
                                   .planar = g.m == 1,
                                   .left = left,
                                   .pixels = left + max64(w->out_width, past)};
        g.ring_rows = reach_h / w->stride[0] + 1;
        g.out_planes = g.k;
        g.out_planar = g.k == 1 || w->planar;
        g.out_width = w->in_width;
    } else {
        int64_t past = (w->out_width - 1) * w->stride[1] + reach_w + 1;
        g.source = (struct source){.height = w->in_height,
                                   .width = w->in_width,
                                   .channels = w->in_channels,
                                   .planes = g.k,
                                   .planar = g.k == 1 || w->planar,
                                   .left = w->pad[1],
                                   .pixels = max64(w->in_width + w->pad[1], past)};
        g.ring_rows = reach_h + 1;
        g.out_planes = g.m;
        g.out_planar = g.m == 1;
        g.out_width = w->out_width;
    }
    g.row_floats = g.source.planes * g.chunks * g.source.pixels * LANES;
    g.weight_floats = g.k * g.m * w->kernel[0] * w->kernel[1] * g.chunks * LANES;
    return g;
}

static int64_t out_floats(const struct group *g)
{
    return g->out_planes * g->chunks * g->out_width * LANES;
}

static int64_t worker_floats(const struct group *g)
{
    return g->ring_rows * g->row_floats + out_floats(g);
}

bool nn_group_is_better(const struct nn_window *w, enum nn_pass pass)
{
    if (w->transposed || w->groups < 2)
        return false;
    int64_t k = w->in_channels / w->groups, m = w->out_channels / w->groups;
    int64_t rows = (w->kernel[0] - 1) * w->dilation[0] + 1;
    if (w->kernel[0] > KERNEL_MAX || w->kernel[1] > KERNEL_MAX ||
        rows > 2 * KERNEL_MAX * KERNEL_MAX ||
        k * m * w->kernel[0] * w->kernel[1] > NN_GROUP_TAPS_MAX)
        return false;
    bool dilated = w->dilation[0] > 1 || w->dilation[1] > 1;
    if (k == 1 && m == 1) {
        bool partial = w->groups >= LANES / 2 && w->groups % LANES != 0;
        return pass != NN_PASS_FORWARD &&
               (dilated || (partial && pass == NN_PASS_BACKWARD_WEIGHTS));
    }
    return w->groups >= 8 && k * m <= NN_GROUP_CHANNELS_MAX;
}

size_t nn_group_scratch_bytes(const struct nn_window *w, enum nn_pass pass, int threads)
{
    struct group g = group_of(w, pass);
    int64_t parts = pass == NN_PASS_BACKWARD_WEIGHTS ? PARTS : 1;
    return (size_t)(g.weight_floats * parts + worker_floats(&g) * threads) * sizeof(float);
}

/* --- weights: [m][k][kh][kw][chunks][16] of [groups][m][k][kh][kw] --- */

static int64_t weights_area(const struct group *g)
{
    return g->k * g->m * g->w->kernel[0] * g->w->kernel[1];
}

static void pack_weights(const struct group *g, const float *onnx, float *packed)
{
    int64_t area = weights_area(g), lanes = g->chunks * LANES;
    for (int64_t t = 0; t < area; t++)
        for (int64_t i = 0; i < lanes; i++)
            packed[t * lanes + i] = i < g->groups ? onnx[i * area + t] : 0;
}

static void unpack_weights(const struct group *g, const float *packed, float *onnx)
{
    int64_t area = weights_area(g), lanes = g->chunks * LANES;
    for (int64_t i = 0; i < g->groups; i++)
        for (int64_t t = 0; t < area; t++)
            onnx[i * area + t] = packed[t * lanes + i];
}

static int64_t weight_at(const struct group *g, int64_t i, int64_t j, int64_t kh, int64_t kw,
                         int64_t chunk)
{
    int64_t tap = ((i * g->k + j) * g->w->kernel[0] + kh) * g->w->kernel[1] + kw;
    return (tap * g->chunks + chunk) * LANES;
}

/* --- rows --- */

static int lanes_of(const struct group *g, int64_t chunk)
{
    int64_t left = g->groups - chunk * LANES;
    return left < LANES ? (int)left : LANES;
}

/* Pixels `channels` apart. Lanes beyond the groups get whatever comes next: nobody reads what
 * becomes of them. */
KERNEL_CLONES static void pack_planar(const float *restrict x, int64_t pixels, int64_t channels,
                                      float *restrict packed)
{
    for (int64_t p = 0; p < pixels; p++)
        *(kernel_vec *)(packed + p * LANES) = *(const kernel_vec *)(x + p * channels);
}

/* The channels of n groups (16 or less) are `planes` apart. */
KERNEL_CLONES static void pack_strided(const float *restrict x, int64_t pixels, int64_t channels,
                                       int64_t planes, int n, float *restrict packed)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int i = 0; i < LANES; i++)
            packed[p * LANES + i] = i < n ? x[p * channels + i * planes] : 0;
}

static void pack_row(const struct group *g, const struct source *s, int64_t row, float *packed)
{
    const float *x = s->data + row * s->width * s->channels;
    for (int64_t j = 0; j < s->planes; j++)
        for (int64_t c = 0; c < g->chunks; c++) {
            float *plane = packed + (j * g->chunks + c) * s->pixels * LANES;
            float *pixels = plane + s->left * LANES, *after = pixels + s->width * LANES;
            memset(plane, 0, (size_t)(s->left * LANES) * sizeof(float));
            if (s->planar)
                pack_planar(x + j * g->groups + c * LANES, s->width, s->channels, pixels);
            else
                pack_strided(x + c * LANES * s->planes + j, s->width, s->channels, s->planes,
                             lanes_of(g, c), pixels);
            memset(after, 0, (size_t)((s->pixels - s->left - s->width) * LANES) * sizeof(float));
        }
}

/* The packed row, from the ring when it is still there. */
static const float *ring_row(const struct group *g, struct worker *k, int64_t image, int64_t row)
{
    int64_t at = image * g->source.height + row, slot = row % g->ring_rows;
    float *packed = k->ring + slot * g->row_floats;
    if (k->tag[slot] != at)
        pack_row(g, &g->source, at, packed);
    k->tag[slot] = at;
    return packed;
}

/* A whole row at once, in ascending order: what a store puts beyond the groups is overwritten by
 * the next one; near the end of the row lanes are stored one by one. */
KERNEL_CLONES static void unpack_planar(const float *restrict packed, int64_t pixels,
                                        int64_t planes, int64_t groups, int64_t chunks,
                                        float *restrict y)
{
    int64_t end = pixels * planes * groups;
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t j = 0; j < planes; j++)
            for (int64_t c = 0; c < chunks; c++) {
                const float *from = packed + ((j * chunks + c) * pixels + p) * LANES;
                int64_t to = (p * planes + j) * groups + c * LANES;
                if (to + LANES <= end)
                    *(kernel_vec *)(y + to) = *(const kernel_vec *)from;
                else
                    for (int64_t i = 0; i < LANES && c * LANES + i < groups; i++)
                        y[to + i] = from[i];
            }
}

/* Lanes `step` apart. */
KERNEL_CLONES static void unpack_strided(const float *restrict packed, int64_t pixels,
                                         int64_t channels, int64_t step, int n, bool add,
                                         float *restrict y)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int i = 0; i < n; i++) {
            float *to = y + p * channels + i * step;
            *to = packed[p * LANES + i] + (add ? *to : 0);
        }
}

static void unpack_row(const struct group *g, const float *packed, bool add, float *y)
{
    if (g->out_planar && !add) {
        unpack_planar(packed, g->out_width, g->out_planes, g->groups, g->chunks, y);
        return;
    }
    int64_t group_step = g->out_planar ? 1 : g->out_planes;
    int64_t plane_step = g->out_planar ? g->groups : 1;
    for (int64_t j = 0; j < g->out_planes; j++)
        for (int64_t c = 0; c < g->chunks; c++)
            unpack_strided(packed + (j * g->chunks + c) * g->out_width * LANES, g->out_width,
                           g->out_planes * g->groups, group_step, lanes_of(g, c), add,
                           y + j * plane_step + c * LANES * group_step);
}

static struct worker worker_at(const struct group *g, float *memory)
{
    struct worker k = {.ring = memory, .out = memory + g->ring_rows * g->row_floats};
    for (int64_t i = 0; i < g->ring_rows; i++)
        k.tag[i] = -1;
    return k;
}

/* --- sums over taps --- */

KERNEL_CLONES static void sum_taps(const struct tap *tap, int taps, int64_t x_step,
                                   const float *start, float *y, int64_t y_step, int64_t pixels)
{
    int64_t p = 0;
    for (; p + PIXELS <= pixels; p += PIXELS) {
        kernel_vec sum[PIXELS];
        for (int i = 0; i < PIXELS; i++)
            sum[i] = *(const kernel_vec *)start;
        for (int t = 0; t < taps; t++) {
            kernel_vec weight = *(const kernel_vec *)tap[t].weights;
            const float *x = tap[t].x + p * x_step;
            for (int i = 0; i < PIXELS; i++)
                sum[i] += *(const kernel_vec *)(x + i * x_step) * weight;
        }
        for (int i = 0; i < PIXELS; i++)
            *(kernel_vec *)(y + (p + i) * y_step) = sum[i];
    }
    for (; p < pixels; p++) {
        kernel_vec sum = *(const kernel_vec *)start;
        for (int t = 0; t < taps; t++)
            sum +=
                *(const kernel_vec *)(tap[t].x + p * x_step) * *(const kernel_vec *)tap[t].weights;
        *(kernel_vec *)(y + p * y_step) = sum;
    }
}

static void bias_vector(const struct group *g, const float *bias, int64_t plane, int64_t chunk,
                        float ret[LANES])
{
    for (int i = 0; i < LANES; i++)
        ret[i] = bias && i < lanes_of(g, chunk) ? bias[(chunk * LANES + i) * g->m + plane] : 0;
}

/* Output row `row` (over all images) into the worker's packed row. */
static void forward_row(const struct group *g, struct worker *k, const float *weights,
                        const float *bias, int64_t row)
{
    const struct nn_window *w = g->w;
    int64_t image = row / w->out_height, top = row % w->out_height * w->stride[0] - w->pad[0];
    const float *in[KERNEL_MAX];
    for (int64_t kh = 0; kh < w->kernel[0]; kh++) {
        int64_t at = top + kh * w->dilation[0];
        in[kh] = at >= 0 && at < w->in_height ? ring_row(g, k, image, at) : NULL;
    }
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t c = 0; c < g->chunks; c++) {
            struct tap tap[NN_GROUP_TAPS_MAX];
            float start[LANES];
            int n = 0;
            for (int64_t t = 0; t < g->k * w->kernel[0] * w->kernel[1]; t++) {
                int64_t kw = t % w->kernel[1], kh = t / w->kernel[1] % w->kernel[0];
                int64_t j = t / w->kernel[1] / w->kernel[0];
                int64_t plane = (j * g->chunks + c) * g->source.pixels;
                if (in[kh])
                    tap[n++] = (struct tap){in[kh] + (plane + kw * w->dilation[1]) * LANES,
                                            weights + weight_at(g, i, j, kh, kw, c)};
            }
            bias_vector(g, bias, i, c, start);
            sum_taps(tap, n, w->stride[1] * LANES, start,
                     k->out + (i * g->chunks + c) * g->out_width * LANES, LANES, g->out_width);
        }
}

KERNEL_CLONES static void clamp_row(float *y, int64_t n, float lo, float hi)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = kernel_clamp(y[i], lo, hi);
}

void nn_group_forward(const struct nn_window *w, int threads, float *scratch, const float *x,
                      const float *weights, const float *bias, float *y, float lo, float hi)
{
    bool clamped = lo != -INFINITY || hi != INFINITY;
    struct group g = group_of(w, NN_PASS_FORWARD);
    float *workers = scratch + g.weight_floats;
    int64_t rows = w->batch * w->out_height;
    g.source.data = x;
    pack_weights(&g, weights, scratch);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int t = 0; t < threads; t++) {
        struct worker k = worker_at(&g, workers + t * worker_floats(&g));
        for (int64_t r = rows * t / threads; r < rows * (t + 1) / threads; r++) {
            forward_row(&g, &k, scratch, bias, r);
            if (clamped)
                clamp_row(k.out, out_floats(&g), lo, hi);
            unpack_row(&g, k.out, false, y + r * w->out_width * w->out_channels);
        }
    }
}

/* --- backward by data --- */

/* Columns residue, residue + stride, ... of plane j, chunk c of an input row. gy[kh]: the output
 * row that reads it with that tap, or NULL. */
static void backward_columns(const struct group *g, struct worker *k, const float *weights,
                             const float *const *gy, int64_t j, int64_t c, int64_t residue)
{
    static const float zeros[LANES];
    const struct nn_window *w = g->w;
    struct tap tap[NN_GROUP_TAPS_MAX];
    int n = 0;
    for (int64_t t = 0; t < g->m * w->kernel[0] * w->kernel[1]; t++) {
        int64_t kw = t % w->kernel[1], kh = t / w->kernel[1] % w->kernel[0];
        int64_t i = t / w->kernel[1] / w->kernel[0];
        int64_t from = residue + w->pad[1] - kw * w->dilation[1];
        int64_t plane = (i * g->chunks + c) * g->source.pixels + g->source.left;
        if (gy[kh] && from % w->stride[1] == 0)
            tap[n++] = (struct tap){gy[kh] + (plane + from / w->stride[1]) * LANES,
                                    weights + weight_at(g, i, j, kh, kw, c)};
    }
    float *out = k->out + ((j * g->chunks + c) * g->out_width + residue) * LANES;
    sum_taps(tap, n, LANES, zeros, out, w->stride[1] * LANES,
             (w->in_width - residue + w->stride[1] - 1) / w->stride[1]);
}

static void backward_row(const struct group *g, struct worker *k, const float *weights, int64_t row)
{
    const struct nn_window *w = g->w;
    int64_t image = row / w->in_height;
    const float *gy[KERNEL_MAX];
    for (int64_t kh = 0; kh < w->kernel[0]; kh++) {
        int64_t from = row % w->in_height + w->pad[0] - kh * w->dilation[0];
        int64_t at = from / w->stride[0];
        bool reads = from >= 0 && from % w->stride[0] == 0 && at < w->out_height;
        gy[kh] = reads ? ring_row(g, k, image, at) : NULL;
    }
    for (int64_t j = 0; j < g->k; j++)
        for (int64_t c = 0; c < g->chunks; c++)
            for (int64_t r = 0; r < w->stride[1] && r < w->in_width; r++)
                backward_columns(g, k, weights, gy, j, c, r);
}

void nn_group_backward_data(const struct nn_window *w, int threads, float *scratch, const float *gy,
                            const float *weights, float *gx, bool add)
{
    struct group g = group_of(w, NN_PASS_BACKWARD_DATA);
    float *workers = scratch + g.weight_floats;
    int64_t rows = w->batch * w->in_height;
    g.source.data = gy;
    pack_weights(&g, weights, scratch);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int t = 0; t < threads; t++) {
        struct worker k = worker_at(&g, workers + t * worker_floats(&g));
        for (int64_t r = rows * t / threads; r < rows * (t + 1) / threads; r++) {
            backward_row(&g, &k, scratch, r);
            unpack_row(&g, k.out, add, gx + r * w->in_width * w->in_channels);
        }
    }
}

/* --- backward by weights --- */

/* sum[t] += sum over the pixels of gy * x[t], for TAPS taps. */
KERNEL_CLONES static void sum_pixels(const float *const *x, float *const *sum, int64_t x_step,
                                     const float *gy, int64_t pixels)
{
    kernel_vec total[TAPS];
    for (int t = 0; t < TAPS; t++)
        total[t] = (kernel_vec){0};
    for (int64_t p = 0; p < pixels; p++) {
        kernel_vec g = *(const kernel_vec *)(gy + p * LANES);
        for (int t = 0; t < TAPS; t++)
            total[t] += *(const kernel_vec *)(x[t] + p * x_step) * g;
    }
    for (int t = 0; t < TAPS; t++)
        *(kernel_vec *)sum[t] += total[t];
}

/* The taps that output plane i and chunk c meet; those that are missing from the last TAPS repeat
 * one into a place that nobody reads. */
static void weights_of_plane(const struct group *g, struct worker *k, const float *const *in,
                             int64_t i, int64_t c, float *gweights)
{
    const struct nn_window *w = g->w;
    const float *gy = k->out + (i * g->chunks + c) * g->out_width * LANES;
    const float *x[TAPS];
    float *sum[TAPS], unread[LANES] = {0};
    int n = 0;
    for (int64_t t = 0; t < g->k * w->kernel[0] * w->kernel[1]; t++) {
        int64_t kw = t % w->kernel[1], kh = t / w->kernel[1] % w->kernel[0];
        int64_t j = t / w->kernel[1] / w->kernel[0];
        int64_t plane = (j * g->chunks + c) * g->source.pixels;
        if (!in[kh])
            continue;
        x[n] = in[kh] + (plane + kw * w->dilation[1]) * LANES;
        sum[n++] = gweights + weight_at(g, i, j, kh, kw, c);
        if (n == TAPS)
            sum_pixels(x, sum, w->stride[1] * LANES, gy, g->out_width);
        n %= TAPS;
    }
    if (n == 0)
        return;
    for (int t = n; t < TAPS; t++) {
        x[t] = x[0];
        sum[t] = unread;
    }
    sum_pixels(x, sum, w->stride[1] * LANES, gy, g->out_width);
}

static void weights_row(const struct group *g, struct worker *k, const float *gy, int64_t row,
                        float *gweights)
{
    const struct nn_window *w = g->w;
    int64_t image = row / w->out_height, top = row % w->out_height * w->stride[0] - w->pad[0];
    struct source s = {.data = gy,
                       .height = w->out_height,
                       .width = w->out_width,
                       .channels = w->out_channels,
                       .planes = g->m,
                       .planar = g->m == 1,
                       .pixels = w->out_width};
    const float *in[KERNEL_MAX];
    for (int64_t kh = 0; kh < w->kernel[0]; kh++) {
        int64_t at = top + kh * w->dilation[0];
        in[kh] = at >= 0 && at < w->in_height ? ring_row(g, k, image, at) : NULL;
    }
    pack_row(g, &s, row, k->out);
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t c = 0; c < g->chunks; c++)
            weights_of_plane(g, k, in, i, c, gweights);
}

void nn_group_backward_weights(const struct nn_window *w, int threads, float *scratch,
                               const float *x, const float *gy, float *gweights)
{
    struct group g = group_of(w, NN_PASS_BACKWARD_WEIGHTS);
    float *workers = scratch + g.weight_floats * PARTS;
    int64_t rows = w->batch * w->out_height;
    g.source.data = x;
    memset(scratch, 0, (size_t)(g.weight_floats * PARTS) * sizeof(float));
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int t = 0; t < threads; t++) {
        struct worker k = worker_at(&g, workers + t * worker_floats(&g));
        for (int part = PARTS * t / threads; part < PARTS * (t + 1) / threads; part++)
            for (int64_t r = rows * part / PARTS; r < rows * (part + 1) / PARTS; r++)
                weights_row(&g, &k, gy, r, scratch + part * g.weight_floats);
    }
    for (int part = 1; part < PARTS; part++)
        for (int64_t i = 0; i < g.weight_floats; i++)
            scratch[i] += scratch[part * g.weight_floats + i];
    unpack_weights(&g, scratch, gweights);
}
