/* kernels_math.h - exp, log and what follows from them, in a form that vectorises.
 *
 * libm's are calls that a vector loop cannot make. exp reduces x to n ln 2 + r with
 * |r| <= ln 2 / 2, takes a polynomial in r and scales by 2^n through the exponent's bits; log takes
 * the exponent's bits off and the series of atanh.
 *
 * Errors (tests/nn/test_kernels.c checks them):
 * kernel_expf: relative, at most 2e-7 for x in [EXP_MIN, EXP_MAX]; below it gives 0, above
 * infinity. kernel_logf: at most 2e-7 * (1 + |log x|) for normal finite x > 0; NaN for infinity.
 * Others: no promise. kernel_expm1f, kernel_tanhf, kernel_erff and kernel_softplusf: relative, at
 * most 5e-7, for every x whose result is a normal number. NaN gives NaN in all.
 */
#ifndef ATTUNE_NN_KERNELS_MATH_H
#define ATTUNE_NN_KERNELS_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define EXP_MIN (-86.5f)
#define EXP_MAX 88.72f

/* exp(x) = 2 (scale + p scale) for x in [EXP_MIN, EXP_MAX], beyond which x is taken as the end. */
static inline __attribute__((always_inline)) float kernel_exp_parts(float x, float *p_out)
{
    /* Adding 1.5 * 2^23 rounds to the nearest integer, which is then in the low bits. */
    const float magic = 12582912.0f;
    float in = x < EXP_MIN ? EXP_MIN : x;
    in = in > EXP_MAX ? EXP_MAX : in;
    float shifted = in * 1.44269504f + magic;
    float n = shifted - magic;
    float r = (in - n * 0.693359375f) + n * 2.12194440e-4f;
    /* Taylor's series to r^7: its remainder at ln 2 / 2 is 5e-9. */
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * (r * r) + r;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    /* 2^(n - 1), doubled after, so that n = 128 does not overflow the exponent. */
    int32_t scale_bits = (int32_t)((uint32_t)(bits + 126) << 23);
    float scale;
    memcpy(&scale, &scale_bits, sizeof(scale));
    *p_out = p;
    return scale;
}

static inline __attribute__((always_inline)) float kernel_expf(float x)
{
    float p, scale = kernel_exp_parts(x, &p);
    float y = (p * scale + scale) * 2.0f;
    y = x < EXP_MIN ? 0.0f : y;
    return x > EXP_MAX ? INFINITY : y;
}

static inline __attribute__((always_inline)) float kernel_expm1f(float x)
{
    float p, scale = kernel_exp_parts(x, &p);
    float y = p * scale * 2.0f + (scale * 2.0f - 1);
    y = x < EXP_MIN ? -1.0f : y;
    return x > EXP_MAX ? INFINITY : y;
}

static inline __attribute__((always_inline)) float kernel_tanhf(float x)
{
    float a = x < 0 ? -x : x;
    float e = kernel_expm1f(-2 * a); /* never overflows */
    float y = -e / (2 + e);
    return x < 0 ? -y : y;
}

/* log(1 + exp x) */
static inline __attribute__((always_inline)) float kernel_softplusf(float x)
{
    float a = x < 0 ? -x : x;
    float u = kernel_expf(-a), s = u / (2 + u), q = s * s;
    /* log(1 + u) = 2 (s + s^3/3 + ...), s at most 1/3: the next term is 1e-8 of the sum. */
    float series = 1.0f / 13;
    series = series * q + 1.0f / 11;
    series = series * q + 1.0f / 9;
    series = series * q + 1.0f / 7;
    series = series * q + 1.0f / 5;
    series = series * q + 1.0f / 3;
    return (x > 0 ? x : 0) + 2 * (s + s * q * series);
}

/* Taylor's series near 0; beyond, Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7). */
static inline __attribute__((always_inline)) float kernel_erff(float x)
{
    float a = x < 0 ? -x : x, q = x * x;
    float near = -1.0f / 75600;
    near = near * q + 1.0f / 9360;
    near = near * q - 1.0f / 1320;
    near = near * q + 1.0f / 216;
    near = near * q - 1.0f / 42;
    near = near * q + 1.0f / 10;
    near = near * q - 1.0f / 3;
    near = (near * q + 1) * x * 1.12837917f;
    float t = 1 / (1 + 0.3275911f * a), far = 1.061405429f;
    far = far * t - 1.453152027f;
    far = far * t + 1.421413741f;
    far = far * t - 0.284496736f;
    far = far * t + 0.254829592f;
    far = 1 - far * t * kernel_expf(-q);
    return a < 0.75f ? near : x < 0 ? -far : far;
}

static inline __attribute__((always_inline)) float kernel_logf(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    /* x = 2^n m with m in [sqrt 1/2, sqrt 2): counted from the bits of sqrt 1/2. */
    int32_t from_low = bits - 0x3f3504f3;
    float n = (float)(from_low >> 23);
    int32_t m_bits = (from_low & 0x7fffff) + 0x3f3504f3;
    float m;
    memcpy(&m, &m_bits, sizeof(m));
    float s = (m - 1) / (m + 1), q = s * s;
    /* log m = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.172: the next term is 3e-9. */
    float series = q * (2.0f / 3 + q * (2.0f / 5 + q * (2.0f / 7 + q * (2.0f / 9))));
    return n * 0.69314718f + (2 * s + s * series) + (x - x);
}

#endif
