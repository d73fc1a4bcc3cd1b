/* kernels_blocked.c - batch norm and its clamp over blocked values.
 *
 * Sums over a channel are taken in float over a few pixels and in double beyond, per chunk of a
 * plane, and the chunks' sums in a fixed order, so that the number of threads changes no bit. A
 * batch norm goes over its input twice; blocks are taken a few at a time, so that the second pass
 * finds in the cache what the first one read.
 */
#include "nn/kernels_blocked.h"

#include <math.h>

#include "nn/kernels_bf16.h"

#define LANES KERNEL_LANES
#define CHUNK_PIXELS ((int64_t)2048)
#define FLOAT_PIXELS ((int64_t)64)
#define GROUP_BYTES ((int64_t)4 << 20)

/* --- who does what --- */

struct group {
    int64_t block, blocks, chunks; /* chunks of a plane */
};

static int64_t chunks_of(const struct kernel_blocked *t)
{
    return kernel_ceil_div(t->pixels, CHUNK_PIXELS);
}

static int64_t group_blocks(const struct kernel_blocked *t)
{
    int64_t bytes = t->images * t->pixels * LANES * (t->bf16 ? 2 : 4);
    int64_t blocks = GROUP_BYTES / (bytes > 0 ? bytes : 1);
    return blocks < 1 ? 1 : kernel_min(blocks, kernel_blocks(t));
}

size_t kernel_bn_blocked_scratch(const struct kernel_blocked *t)
{
    return (size_t)(group_blocks(t) * t->images * chunks_of(t)) * 2 * LANES;
}

/* The item-th chunk of a group: `at` its first element, its block and pixels. */
struct chunk {
    int64_t at, block, pixels;
};

static struct chunk chunk_of(const struct kernel_blocked *t, const struct group *g, int64_t item)
{
    int64_t part = item % g->chunks, image = item / g->chunks % t->images;
    int64_t block = g->block + item / g->chunks / t->images, first = part * CHUNK_PIXELS;
    int64_t plane = image * kernel_blocks(t) + block;
    return (struct chunk){(plane * t->pixels + first) * LANES, block,
                          kernel_min(CHUNK_PIXELS, t->pixels - first)};
}

/* --- sums of a chunk --- */

/* What is summed: x - pivot and its square; or, with gy, gy' and gy' (x - pivot), where gy' is gy
 * where lo < a x + b < hi. */
struct terms {
    const void *x, *gy;
    const float *pivot, *a, *b; /* [LANES] of the chunk's block */
    float lo, hi;
    bool clamped;
};

KERNEL_INLINE void sum_some(const struct terms *s, int64_t at, int64_t pixels, bool gradient,
                            bool bf16, kernel_wide *first, kernel_wide *second)
{
    kernel_vec sum = {0}, product = {0}, pivot = *(const kernel_vec *)s->pivot;
    kernel_vec lo = kernel_splat(s->lo), hi = kernel_splat(s->hi);
    kernel_vec a = {0}, b = {0};
    if (gradient && s->clamped) {
        a = *(const kernel_vec *)s->a;
        b = *(const kernel_vec *)s->b;
    }
    for (int64_t i = at; i < at + pixels * LANES; i += LANES) {
        kernel_vec x = kernel_load(s->x, i, bf16), d = x - pivot, g = d;
        if (gradient) {
            g = kernel_load(s->gy, i, bf16);
            if (s->clamped)
                g = kernel_pass(g, a * x + b, lo, hi);
        }
        sum += g;
        product += g * d;
    }
    *first += __builtin_convertvector(sum, kernel_wide);
    *second += __builtin_convertvector(product, kernel_wide);
}

KERNEL_INLINE void sum_chunk(const struct terms *s, const struct chunk *c, bool gradient, bool bf16,
                             double *ret)
{
    kernel_wide first = {0}, second = {0};
    for (int64_t p = 0; p < c->pixels; p += FLOAT_PIXELS)
        sum_some(s, c->at + p * LANES, kernel_min(FLOAT_PIXELS, c->pixels - p), gradient, bf16,
                 &first, &second);
    *(kernel_wide *)ret = first;
    *(kernel_wide *)(ret + LANES) = second;
}

KERNEL_CLONES static void moments_f32(const struct terms *s, const struct chunk *c, double *ret)
{
    sum_chunk(s, c, false, false, ret);
}

KERNEL_CLONES static void moments_bf16(const struct terms *s, const struct chunk *c, double *ret)
{
    sum_chunk(s, c, false, true, ret);
}

KERNEL_CLONES static void gradients_f32(const struct terms *s, const struct chunk *c, double *ret)
{
    sum_chunk(s, c, true, false, ret);
}

KERNEL_CLONES static void gradients_bf16(const struct terms *s, const struct chunk *c, double *ret)
{
    sum_chunk(s, c, true, true, ret);
}

/* The sums of a block of a group, from those of its chunks. */
static void gather(const struct kernel_blocked *t, const struct group *g, int64_t block,
                   const double *scratch, double ret[2 * LANES])
{
    int64_t parts = t->images * g->chunks;
    const double *from = scratch + (block - g->block) * parts * 2 * LANES;
    for (int k = 0; k < 2 * LANES; k++)
        ret[k] = 0;
    for (int64_t i = 0; i < parts; i++)
        for (int k = 0; k < 2 * LANES; k++)
            ret[k] += from[i * 2 * LANES + k];
}

static bool is_clamped(const struct kernel_bn *n)
{
    return !n->sums && (n->lo != -INFINITY || n->hi != INFINITY);
}

/* --- forward --- */

KERNEL_INLINE void apply_chunk(const void *x, const float *a, const float *b, float lo, float hi,
                               void *y, const struct chunk *c, bool bf16)
{
    kernel_vec slope = *(const kernel_vec *)a, shift = *(const kernel_vec *)b;
    kernel_vec low = kernel_splat(lo), high = kernel_splat(hi);
    for (int64_t i = c->at; i < c->at + c->pixels * LANES; i += LANES) {
        kernel_vec v = slope * kernel_load(x, i, bf16) + shift;
        kernel_store(y, i, kernel_clamp_vec(v, low, high), bf16);
    }
}

KERNEL_CLONES static void apply_f32(const void *x, const float *a, const float *b, float lo,
                                    float hi, void *y, const struct chunk *c)
{
    apply_chunk(x, a, b, lo, hi, y, c, false);
}

KERNEL_CLONES static void apply_bf16(const void *x, const float *a, const float *b, float lo,
                                     float hi, void *y, const struct chunk *c)
{
    apply_chunk(x, a, b, lo, hi, y, c, true);
}

static void apply(const struct kernel_blocked *t, const struct group *g, const struct kernel_bn *n,
                  const void *x, void *y)
{
    int64_t items = g->blocks * t->images * g->chunks;
#pragma omp parallel for schedule(static) if (items * t->pixels * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < items; i++) {
        struct chunk c = chunk_of(t, g, i);
        const float *a = n->a + c.block * LANES, *b = n->b + c.block * LANES;
        if (t->bf16)
            apply_bf16(x, a, b, n->lo, n->hi, y, &c);
        else
            apply_f32(x, a, b, n->lo, n->hi, y, &c);
    }
}

static void coefficients(const struct kernel_blocked *t, const struct kernel_bn *n, int64_t block,
                         int64_t blocks)
{
    for (int64_t c = block * LANES; c < (block + blocks) * LANES; c++) {
        bool real = c < t->channels;
        double slope =
            real ? (double)n->scale[c] / sqrt((double)n->variance[c] + (double)n->epsilon) : 0;
        n->a[c] = (float)slope;
        n->b[c] = real ? (float)((double)n->shift[c] - (double)n->mean[c] * slope) : 0;
    }
}

static struct group next_group(const struct kernel_blocked *t, int64_t block)
{
    return (struct group){block, kernel_min(group_blocks(t), kernel_blocks(t) - block),
                          chunks_of(t)};
}

void kernel_bn_blocked_apply(const struct kernel_blocked *t, const struct kernel_bn *n,
                             const void *x, void *y)
{
    struct group all = {0, kernel_blocks(t), chunks_of(t)};
    apply(t, &all, n, x, y);
}

void kernel_bn_blocked(const struct kernel_blocked *t, const struct kernel_bn *n, const void *x,
                       void *y)
{
    coefficients(t, n, 0, kernel_blocks(t));
    if (y)
        kernel_bn_blocked_apply(t, n, x, y);
}

/* The first pixel of a block: sums relative to it lose little to cancellation. */
static void pivot_of(const struct kernel_blocked *t, const void *x, int64_t block, float ret[LANES])
{
    int64_t at = block * t->pixels * LANES;
    for (int k = 0; k < LANES; k++) {
        uint32_t bits = t->bf16 ? (uint32_t)((const uint16_t *)x)[at + k] << 16 : 0;
        memcpy(&ret[k], &bits, sizeof bits);
        if (!t->bf16)
            ret[k] = ((const float *)x)[at + k];
    }
}

static void statistics(const struct kernel_blocked *t, const struct group *g,
                       const struct kernel_bn *n, const void *x)
{
    int64_t items = g->blocks * t->images * g->chunks;
#pragma omp parallel for schedule(static) if (items * t->pixels * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < items; i++) {
        float pivot[LANES];
        struct chunk c = chunk_of(t, g, i);
        pivot_of(t, x, c.block, pivot);
        struct terms s = {.x = x, .pivot = pivot};
        (t->bf16 ? moments_bf16 : moments_f32)(&s, &c, n->scratch + i * 2 * LANES);
    }
    double rows = (double)(t->images * t->pixels);
    for (int64_t block = g->block; block < g->block + g->blocks; block++) {
        float pivot[LANES];
        double sum[2 * LANES];
        pivot_of(t, x, block, pivot);
        gather(t, g, block, n->scratch, sum);
        for (int64_t c = block * LANES, k = 0; k < LANES && c + k < t->channels; k++) {
            double mean = sum[k] / rows, variance = sum[LANES + k] / rows - mean * mean;
            n->mean[c + k] = (float)(mean + (double)pivot[k]);
            n->variance[c + k] = (float)(variance > 0 ? variance : 0);
        }
    }
}

/* Mean and variance from the planes' own, which are equally large (Chan et al. 1979). */
static void merge_moments(const struct kernel_blocked *t, const struct kernel_bn *n,
                          int64_t channel)
{
    const double *m = n->moments + channel / LANES * KERNEL_MOMENTS + channel % LANES;
    int64_t step = kernel_blocks(t) * KERNEL_MOMENTS;
    double pixels = (double)t->pixels, mean = 0, spread = 0;
    for (int64_t i = 0; i < t->images; i++)
        mean += (m[i * step] + m[i * step + LANES] / pixels) / (double)t->images;
    for (int64_t i = 0; i < t->images; i++) {
        double sum = m[i * step + LANES], apart = m[i * step] + sum / pixels - mean;
        spread += (m[i * step + 2 * LANES] - sum * sum / pixels) / pixels + apart * apart;
    }
    n->mean[channel] = (float)mean;
    n->variance[channel] = (float)(spread > 0 ? spread / (double)t->images : 0);
}

void kernel_bn_blocked_batch(const struct kernel_blocked *t, const struct kernel_bn *n,
                             const void *x, void *y)
{
    for (int64_t c = 0; n->moments && c < t->channels; c++)
        merge_moments(t, n, c);
    for (int64_t block = 0; block < kernel_blocks(t);) {
        struct group g = next_group(t, block);
        if (!n->moments)
            statistics(t, &g, n, x);
        coefficients(t, n, g.block, g.blocks);
        if (y)
            apply(t, &g, n, x, y);
        block += g.blocks;
    }
}

/* --- backward --- */

/* gx = k gy' + l x + m. */
struct line {
    float k[LANES], l[LANES], m[LANES];
};

KERNEL_INLINE void line_chunk(const struct terms *s, const struct line *line, void *gx, bool add,
                              const struct chunk *c, bool bf16)
{
    kernel_vec k = *(const kernel_vec *)line->k, l = *(const kernel_vec *)line->l;
    kernel_vec m = *(const kernel_vec *)line->m, a = {0}, b = {0};
    kernel_vec lo = kernel_splat(s->lo), hi = kernel_splat(s->hi);
    if (s->clamped) {
        a = *(const kernel_vec *)s->a;
        b = *(const kernel_vec *)s->b;
    }
    for (int64_t i = c->at; i < c->at + c->pixels * LANES; i += LANES) {
        kernel_vec x = kernel_load(s->x, i, bf16), g = kernel_load(s->gy, i, bf16);
        if (s->clamped)
            g = kernel_pass(g, a * x + b, lo, hi);
        kernel_vec v = k * g + (l * x + m);
        if (add)
            v += kernel_load(gx, i, bf16);
        kernel_store(gx, i, v, bf16);
    }
}

KERNEL_CLONES static void line_f32(const struct terms *s, const struct line *line, void *gx,
                                   bool add, const struct chunk *c)
{
    line_chunk(s, line, gx, add, c, false);
}

KERNEL_CLONES static void line_bf16(const struct terms *s, const struct line *line, void *gx,
                                    bool add, const struct chunk *c)
{
    line_chunk(s, line, gx, add, c, true);
}

static struct terms terms_of(const struct kernel_bn *n, const void *x, const void *gy,
                             int64_t block, const float *pivot)
{
    return (struct terms){.x = x,
                          .gy = gy,
                          .pivot = pivot,
                          .a = n->a + block * LANES,
                          .b = n->b + block * LANES,
                          .lo = n->lo,
                          .hi = n->hi,
                          .clamped = is_clamped(n)};
}

/* A vector over a block's channels, zeros where they end. */
static void lanes_of(const struct kernel_blocked *t, const float *v, int64_t block,
                     float ret[LANES])
{
    for (int64_t k = 0; k < LANES; k++)
        ret[k] = block * LANES + k < t->channels ? v[block * LANES + k] : 0;
}

static void gradients_of(const struct kernel_blocked *t, const struct kernel_bn *n, int64_t block,
                         const double sum[2 * LANES], float *gscale, float *gshift)
{
    for (int64_t c = block * LANES, k = 0; k < LANES && c + k < t->channels; k++) {
        double spread = (double)n->variance[c + k] + (double)n->epsilon;
        gshift[c + k] = (float)sum[k];
        gscale[c + k] = (float)(sum[LANES + k] / sqrt(spread));
    }
}

static void gradient_sums(const struct kernel_blocked *t, const struct group *g,
                          const struct kernel_bn *n, const void *x, const void *gy, float *gscale,
                          float *gshift)
{
    int64_t items = g->blocks * t->images * g->chunks;
#pragma omp parallel for schedule(static) if (items * t->pixels * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < items; i++) {
        float mean[LANES];
        struct chunk c = chunk_of(t, g, i);
        lanes_of(t, n->mean, c.block, mean);
        struct terms s = terms_of(n, x, gy, c.block, mean);
        (t->bf16 ? gradients_bf16 : gradients_f32)(&s, &c, n->scratch + i * 2 * LANES);
    }
    for (int64_t block = g->block; block < g->block + g->blocks; block++) {
        double sum[2 * LANES];
        gather(t, g, block, n->scratch, sum);
        gradients_of(t, n, block, sum, gscale, gshift);
    }
}

/* Batch: gx = a (gy' - mean(gy') - (x - mean) mean(gy' (x - mean)) / (variance + epsilon)); frozen:
 * gx = a gy'. */
static struct line line_of(const struct kernel_blocked *t, const struct kernel_bn *n, bool batch,
                           int64_t block, const float *gscale, const float *gshift)
{
    struct line line = {{0}, {0}, {0}};
    double rows = (double)(t->images * t->pixels);
    for (int64_t c = block * LANES, k = 0; k < LANES && c + k < t->channels; k++) {
        double spread = (double)n->variance[c + k] + (double)n->epsilon;
        double a = (double)n->scale[c + k] / sqrt(spread);
        double l = batch ? -a * (double)gscale[c + k] / (rows * sqrt(spread)) : 0;
        line.k[k] = (float)a;
        line.l[k] = (float)l;
        line.m[k] =
            batch ? (float)(-a * (double)gshift[c + k] / rows - l * (double)n->mean[c + k]) : 0;
    }
    return line;
}

static void input_gradient(const struct kernel_blocked *t, const struct group *g,
                           const struct kernel_bn *n, bool batch, const void *x, const void *gy,
                           void *gx, bool add, const float *gscale, const float *gshift)
{
    int64_t items = g->blocks * t->images * g->chunks;
#pragma omp parallel for schedule(static) if (items * t->pixels * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < items; i++) {
        struct chunk c = chunk_of(t, g, i);
        struct line line = line_of(t, n, batch, c.block, gscale, gshift);
        struct terms s = terms_of(n, x, gy, c.block, NULL);
        (t->bf16 ? line_bf16 : line_f32)(&s, &line, gx, add, &c);
    }
}

void kernel_bn_blocked_backward(const struct kernel_blocked *t, const struct kernel_bn *n,
                                bool batch, const void *x, const void *gy, void *gx, bool add,
                                float *gscale, float *gshift)
{
    for (int64_t block = 0; n->sums && block < kernel_blocks(t); block++)
        gradients_of(t, n, block, n->sums + block * 2 * LANES, gscale, gshift);
    for (int64_t block = 0; block < kernel_blocks(t);) {
        struct group g = next_group(t, block);
        if (!n->sums)
            gradient_sums(t, &g, n, x, gy, gscale, gshift);
        if (gx)
            input_gradient(t, &g, n, batch, x, gy, gx, add, gscale, gshift);
        block += g.blocks;
    }
}

void kernel_bn_blocked_lines(const struct kernel_blocked *t, const struct kernel_bn *n, bool batch,
                             const float *gscale, const float *gshift, float *k, float *l, float *m)
{
    for (int64_t block = 0; block < kernel_blocks(t); block++) {
        const struct line line = line_of(t, n, batch, block, gscale, gshift);
        memcpy(k + block * LANES, line.k, sizeof line.k);
        memcpy(l + block * LANES, line.l, sizeof line.l);
        memcpy(m + block * LANES, line.m, sizeof line.m);
    }
}
