/* kernels_math.h - an exp that vectorises.
 *
 * libm's expf is a call that a vector loop cannot make. Ours reduces x to n ln 2 + r with
 * |r| <= ln 2 / 2, takes a polynomial in r and scales by 2^n through the exponent's bits.
 *
 * Relative error: at most 2e-7 for x in [EXP_MIN, 88.72] (tests/nn/test_kernels.c checks it).
 * Below EXP_MIN it gives 0, above 88.72 infinity, for NaN NaN.
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

#endif
