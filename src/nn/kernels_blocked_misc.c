/* kernels_blocked_misc.c - channel vectors, means over pixels and dense bfloat16 over blocked
 * values. */
#include "nn/kernels_bf16.h"
#include "nn/kernels_blocked.h"

#define LANES KERNEL_LANES

/* --- planes: one image's block --- */

/* sum over the pixels of x, or of x * g. */
KERNEL_INLINE kernel_vec plane_sum(const void *x, const void *g, int64_t at, int64_t pixels,
                                   bool bf16)
{
    double sum[LANES] = {0};
    for (int64_t p = 0; p < pixels; p += KERNEL_FLOAT_ROWS) {
        kernel_vec few = {0};
        int64_t end = at + kernel_min(p + KERNEL_FLOAT_ROWS, pixels) * LANES;
        for (int64_t i = at + p * LANES; i < end; i += LANES) {
            kernel_vec v = kernel_load(x, i, bf16);
            if (g)
                v *= kernel_load(g, i, bf16);
            few += v;
        }
        for (int k = 0; k < LANES; k++)
            sum[k] += (double)few[k];
    }
    kernel_vec ret = {0};
    for (int k = 0; k < LANES; k++)
        ret[k] = (float)sum[k];
    return ret;
}

KERNEL_CLONES static void sum_f32(const void *x, const void *g, int64_t at, int64_t pixels,
                                  float *out)
{
    *(kernel_vec *)out = plane_sum(x, g, at, pixels, false);
}

KERNEL_CLONES static void sum_bf16(const void *x, const void *g, int64_t at, int64_t pixels,
                                   float *out)
{
    *(kernel_vec *)out = plane_sum(x, g, at, pixels, true);
}

/* y = v (x NULL) or x * v, over the pixels. */
KERNEL_INLINE void plane_scale(const void *x, const float *v, void *y, int64_t at, int64_t pixels,
                               bool add, bool bf16)
{
    kernel_vec factor = *(const kernel_vec *)v;
    for (int64_t i = at; i < at + pixels * LANES; i += LANES) {
        kernel_vec r = factor;
        if (x)
            r *= kernel_load(x, i, bf16);
        if (add)
            r += kernel_load(y, i, bf16);
        kernel_store(y, i, r, bf16);
    }
}

KERNEL_CLONES static void scale_f32(const void *x, const float *v, void *y, int64_t at,
                                    int64_t pixels, bool add)
{
    plane_scale(x, v, y, at, pixels, add, false);
}

KERNEL_CLONES static void scale_bf16(const void *x, const float *v, void *y, int64_t at,
                                     int64_t pixels, bool add)
{
    plane_scale(x, v, y, at, pixels, add, true);
}

void kernel_blocked_scale(const struct kernel_blocked *t, const void *x, const float *v,
                          int64_t v_images, void *y, bool add)
{
    int64_t blocks = kernel_blocks(t), planes = t->images * blocks;
#pragma omp parallel for schedule(static) if (planes * t->pixels * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < planes; i++) {
        const float *lanes = v + (v_images == 1 ? i % blocks : i) * LANES;
        (t->bf16 ? scale_bf16 : scale_f32)(x, lanes, y, i * t->pixels * LANES, t->pixels, add);
    }
}

/* The sums of a block over the images, with one lane vector a plane. */
static void sum_images(const struct kernel_blocked *t, const void *x, const void *g, int64_t block,
                       float out[LANES])
{
    double sum[LANES] = {0};
    for (int64_t image = 0; image < t->images; image++) {
        float few[LANES] = {0};
        int64_t at = (image * kernel_blocks(t) + block) * t->pixels * LANES;
        (t->bf16 ? sum_bf16 : sum_f32)(x, g, at, t->pixels, few);
        for (int k = 0; k < LANES; k++)
            sum[k] += (double)few[k];
    }
    for (int k = 0; k < LANES; k++)
        out[k] = (float)sum[k];
}

void kernel_blocked_scale_sums(const struct kernel_blocked *t, const void *x, const void *gy,
                               int64_t v_images, float *gv, bool add)
{
    int64_t blocks = kernel_blocks(t), items = v_images == 1 ? blocks : t->images * blocks;
#pragma omp parallel for schedule(static) if (items * t->pixels * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < items; i++) {
        float sum[LANES] = {0};
        if (v_images == 1)
            sum_images(t, x, gy, i, sum);
        else
            (t->bf16 ? sum_bf16 : sum_f32)(x, gy, i * t->pixels * LANES, t->pixels, sum);
        for (int k = 0; k < LANES; k++)
            gv[i * LANES + k] = add ? gv[i * LANES + k] + sum[k] : sum[k];
    }
}

void kernel_blocked_average(const struct kernel_blocked *t, const void *x, float *y)
{
    int64_t planes = t->images * kernel_blocks(t);
#pragma omp parallel for schedule(static) if (planes * t->pixels * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < planes; i++) {
        (t->bf16 ? sum_bf16 : sum_f32)(x, NULL, i * t->pixels * LANES, t->pixels, y + i * LANES);
        for (int k = 0; k < LANES; k++)
            y[i * LANES + k] /= (float)t->pixels;
    }
}

void kernel_blocked_average_backward(const struct kernel_blocked *t, const float *gy, void *gx,
                                     bool add)
{
    int64_t planes = t->images * kernel_blocks(t);
#pragma omp parallel for schedule(static) if (planes * t->pixels * LANES > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < planes; i++) {
        float share[LANES];
        for (int k = 0; k < LANES; k++)
            share[k] = gy[i * LANES + k] / (float)t->pixels;
        (t->bf16 ? scale_bf16 : scale_f32)(NULL, share, gx, i * t->pixels * LANES, t->pixels, add);
    }
}

void kernel_blocked_sums(const struct kernel_blocked *t, const void *x, float *out)
{
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < kernel_blocks(t); block++) {
        float sum[LANES] = {0};
        sum_images(t, x, NULL, block, sum);
        for (int64_t k = 0; k < LANES && block * LANES + k < t->channels; k++)
            out[block * LANES + k] = sum[k];
    }
}

/* --- dense bfloat16 --- */

KERNEL_CLONES static void add_run(const uint16_t *a, const uint16_t *b, uint16_t *y, int64_t n,
                                  float lo, float hi)
{
    kernel_vec low = kernel_splat(lo), high = kernel_splat(hi);
    for (int64_t i = 0; i < n; i += LANES) {
        kernel_vec v = kernel_load(a, i, true) + kernel_load(b, i, true);
        kernel_store(y, i, kernel_clamp_vec(v, low, high), true);
    }
}

KERNEL_CLONES static void mul_run(const uint16_t *a, const uint16_t *b, uint16_t *y, int64_t n,
                                  bool add)
{
    for (int64_t i = 0; i < n; i += LANES) {
        kernel_vec v = kernel_load(a, i, true) * kernel_load(b, i, true);
        if (add)
            v += kernel_load(y, i, true);
        kernel_store(y, i, v, true);
    }
}

KERNEL_CLONES static void clip_run(const uint16_t *x, uint16_t *y, int64_t n, float lo, float hi)
{
    kernel_vec low = kernel_splat(lo), high = kernel_splat(hi);
    for (int64_t i = 0; i < n; i += LANES)
        kernel_store(y, i, kernel_clamp_vec(kernel_load(x, i, true), low, high), true);
}

KERNEL_CLONES static void clip_backward_run(const uint16_t *y, const uint16_t *gy, uint16_t *gx,
                                            int64_t n, float lo, float hi, bool add)
{
    kernel_vec low = kernel_splat(lo), high = kernel_splat(hi);
    for (int64_t i = 0; i < n; i += LANES) {
        kernel_vec v = kernel_pass(kernel_load(gy, i, true), kernel_load(y, i, true), low, high);
        if (add)
            v += kernel_load(gx, i, true);
        kernel_store(gx, i, v, true);
    }
}

/* Runs `body` over blocks of `n` elements with i and count. */
#define IN_BLOCKS(n, body)                                                                         \
    _Pragma("omp parallel for schedule(static) if ((int64_t)(n) > KERNEL_PARALLEL_MIN)") for (     \
        int64_t i = 0; i < (int64_t)(n); i += KERNEL_BLOCK)                                        \
    {                                                                                              \
        int64_t count = kernel_min(KERNEL_BLOCK, (int64_t)(n)-i);                                  \
        body;                                                                                      \
    }

void kernel_add_bf16(const void *a, const void *b, void *y, size_t n, float lo, float hi)
{
    const uint16_t *pa = a, *pb = b;
    uint16_t *py = y;
    IN_BLOCKS(n, add_run(pa + i, pb + i, py + i, count, lo, hi))
}

void kernel_mul_bf16(const void *a, const void *b, void *y, size_t n, bool add)
{
    const uint16_t *pa = a, *pb = b;
    uint16_t *py = y;
    IN_BLOCKS(n, mul_run(pa + i, pb + i, py + i, count, add))
}

void kernel_clip_bf16(const void *x, void *y, size_t n, float lo, float hi)
{
    const uint16_t *px = x;
    uint16_t *py = y;
    IN_BLOCKS(n, clip_run(px + i, py + i, count, lo, hi))
}

void kernel_clip_backward_bf16(const void *y, const void *gy, void *gx, size_t n, float lo,
                               float hi, bool add)
{
    const uint16_t *py = y, *pg = gy;
    uint16_t *px = gx;
    IN_BLOCKS(n, clip_backward_run(py + i, pg + i, px + i, count, lo, hi, add))
}
