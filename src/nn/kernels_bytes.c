/* Values kept as bytes (see kernels_bytes.h). */
#include "nn/kernels_bytes.h"

#include <math.h>

#include "nn/kernels_bf16.h"

#define LANES KERNEL_LANES

/* Added to a number below 2^22, it leaves the nearest integer in the lowest bits. */
#define ROUNDER 12582912.0F

/* The least scale, and a row below this counts as zeros: dividing by less could overflow. */
#define ROW_MIN 1e-15F

/* What bytes are stored through. */
typedef uint8_t bytes __attribute__((vector_size(LANES * sizeof(uint8_t)), aligned(1), may_alias));

struct nn_quant kernel_quant_of(float lo, float hi)
{
    float scale = (hi - lo) / 255;
    if (!(scale >= ROW_MIN))
        scale = ROW_MIN;
    float zero = rintf(-lo / scale);
    return (struct nn_quant){scale, (int)kernel_clamp(zero, 0, 255)};
}

KERNEL_INLINE kernel_vec byte_of(kernel_vec v)
{
    kernel_vec fit = kernel_clamp_vec(v, kernel_splat(0), kernel_splat(255));
    return fit + kernel_splat(ROUNDER);
}

KERNEL_INLINE void store_bytes(uint8_t *y, kernel_vec v)
{
    kernel_words low = (kernel_words)byte_of(v) & 0xff;
    *(bytes *)y = __builtin_convertvector(low, bytes);
}

KERNEL_CLONES static void from_floats(const float *x, uint8_t *y, int64_t n, float by, float zero)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store_bytes(y + i, *(const kernel_vec *)(x + i) * by + zero);
    if (i < n) {
        float rest[LANES] = {0};
        uint8_t last[LANES];
        memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
        store_bytes(last, *(const kernel_vec *)rest * by + zero);
        memcpy(y + i, last, (size_t)(n - i));
    }
}

void kernel_bytes_from_floats(const float *x, uint8_t *y, int64_t n, struct nn_quant q)
{
    KERNEL_FOR_BLOCKS(n, from_floats(x + i, y + i, m, 1 / q.scale, (float)q.zero));
}

/* Loops that read bytes are left to the compiler, which knows the processor of each clone by then;
 * vectors of bytes would be taken apart before. */
KERNEL_CLONES static void from_bytes(const uint8_t *restrict x, float *restrict y, int64_t n,
                                     float scale, float zero)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = ((float)x[i] - zero) * scale;
}

void kernel_floats_from_bytes(const uint8_t *x, float *y, int64_t n, struct nn_quant q)
{
    KERNEL_FOR_BLOCKS(n, from_bytes(x + i, y + i, m, q.scale, (float)q.zero));
}

/* y = a * by_a + b * by_b + constant, in steps of y, within [lo, hi] of them. */
struct sum {
    float by_a, by_b, constant, lo, hi;
};

KERNEL_CLONES static void sum_block(const struct sum *s, const uint8_t *a, const uint8_t *b,
                                    uint8_t *y, int64_t n)
{
    float by_a = s->by_a, by_b = s->by_b, constant = s->constant, lo = s->lo, hi = s->hi;
    KERNEL_IVDEP
    for (int64_t i = 0; i < n; i++) {
        float v = (float)a[i] * by_a + (float)b[i] * by_b + constant;
        y[i] = (uint8_t)(int)(kernel_clamp(v, lo, hi) + 0.5F);
    }
}

void kernel_add_bytes(const struct kernel_bytes_sum *s, const uint8_t *a, const uint8_t *b,
                      uint8_t *y, int64_t n)
{
    struct sum in_steps = {.by_a = s->a.scale / s->y.scale, .by_b = s->b.scale / s->y.scale};
    float zero = (float)s->y.zero;
    in_steps.constant = zero - in_steps.by_a * (float)s->a.zero - in_steps.by_b * (float)s->b.zero;
    in_steps.lo = kernel_clamp(s->lo / s->y.scale + zero, 0, 255);
    in_steps.hi = kernel_clamp(s->hi / s->y.scale + zero, 0, 255);
    KERNEL_FOR_BLOCKS(n, sum_block(&in_steps, a + i, b + i, y + i, m));
}

KERNEL_CLONES static void add_rows(const uint8_t *x, int64_t pixels, int64_t channels,
                                   float *restrict sum)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < channels; c++)
            sum[c] += (float)x[p * channels + c];
}

/* Sums of bytes are exact in float32 up to 2^16 pixels, and beyond that good enough for a mean. */
void kernel_global_average_bytes(const uint8_t *x, float *y, int64_t images, int64_t pixels,
                                 int64_t channels, struct nn_quant q)
{
    for (int64_t i = 0; i < images; i++) {
        float *sum = y + i * channels;
        memset(sum, 0, (size_t)channels * sizeof *sum);
        add_rows(x + i * pixels * channels, pixels, channels, sum);
        for (int64_t c = 0; c < channels; c++)
            sum[c] = (sum[c] / (float)pixels - (float)q.zero) * q.scale;
    }
}

/* --- weights --- */

KERNEL_CLONES static float largest(const float *x, int64_t n)
{
    kernel_vec most = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        kernel_vec v = *(const kernel_vec *)(x + i);
        v = kernel_select(v, -v, v);
        most = kernel_select(most - v, v, most);
    }
    float all = 0;
    for (int k = 0; k < LANES; k++)
        all = fmaxf(all, most[k]);
    for (; i < n; i++)
        all = fmaxf(all, fabsf(x[i]));
    return all;
}

KERNEL_CLONES static void signed_row(const float *restrict x, int8_t *restrict y, int64_t n,
                                     float by)
{
    for (int64_t i = 0; i < n; i++) {
        union {
            float f;
            uint32_t bits;
        } v = {kernel_clamp(x[i] * by, -127, 127) + ROUNDER};
        y[i] = (int8_t)(v.bits & 0xff);
    }
}

void kernel_signed_rows(const float *x, int8_t *y, float *scale, int64_t rows, int64_t n)
{
#pragma omp parallel for schedule(static) if (rows * n > KERNEL_PARALLEL_MIN)
    for (int64_t r = 0; r < rows; r++) {
        float most = largest(x + r * n, n);
        scale[r] = most >= ROW_MIN && isfinite(most) ? most / 127 : 1;
        signed_row(x + r * n, y + r * n, n, 1 / scale[r]);
    }
}
