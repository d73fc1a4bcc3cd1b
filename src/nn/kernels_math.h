/* kernels_math.h - an exp and a log that vectorise.
 *
 * libm's are calls that a vector loop cannot make. exp reduces x to n ln 2 + r with
 * |r| <= ln 2 / 2, takes a polynomial in r and scales by 2^n through the exponent's bits; log takes
 * the exponent's bits off and the series of atanh.
 *
 * Errors (tests/nn/test_kernels.c checks them):
 * kernel_expf: relative, at most 2e-7 for x in [EXP_MIN, EXP_MAX]; below it gives 0, above
 * infinity. kernel_logf: at most 2e-7 * (1 + |log x|) for normal finite x > 0; NaN for infinity.
 * Others: no promise. NaN gives NaN in both.
 */
#ifndef ATTUNE_NN_KERNELS_MATH_H
#define ATTUNE_NN_KERNELS_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define EXP_MIN (-86.5f)
#define EXP_MAX 88.72f

static inline __attribute__((always_inline)) float kernel_expf(float x)
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
    float y = (p * scale + scale) * 2.0f;
    y = x < EXP_MIN ? 0.0f : y;
    return x > EXP_MAX ? INFINITY : y;
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
