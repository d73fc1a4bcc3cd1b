/* kernels_bf16.h - sixteen elements of float32 or bfloat16 at a time (internal to kernels_*.c).
 *
 * A kernel for both types is one KERNEL_INLINE function with a parameter `bf16`, called with a
 * constant from two KERNEL_CLONES functions.
 */
#ifndef ATTUNE_NN_KERNELS_BF16_H
#define ATTUNE_NN_KERNELS_BF16_H

#include "nn/kernels_internal.h"

/* Everything here is inlined: no vector crosses a call, so its ABI is nobody's concern. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef uint16_t kernel_halves
    __attribute__((vector_size(KERNEL_LANES * sizeof(uint16_t)), aligned(2), may_alias));
typedef uint32_t kernel_words
    __attribute__((vector_size(KERNEL_LANES * sizeof(uint32_t)), aligned(4), may_alias));

/* Their sums in double. */
typedef double kernel_wide
    __attribute__((vector_size(KERNEL_LANES * sizeof(double)), aligned(8), may_alias));

/* Elements [i, i + KERNEL_LANES) of p. */
KERNEL_INLINE kernel_vec kernel_load(const void *p, int64_t i, bool bf16)
{
    if (!bf16)
        return *(const kernel_vec *)((const float *)p + i);
    kernel_halves half = *(const kernel_halves *)((const uint16_t *)p + i);
    return (kernel_vec)(__builtin_convertvector(half, kernel_words) << 16);
}

/* bfloat16: to nearest, ties to even. */
KERNEL_INLINE void kernel_store(void *p, int64_t i, kernel_vec v, bool bf16)
{
    if (!bf16) {
        *(kernel_vec *)((float *)p + i) = v;
        return;
    }
    kernel_words bits = (kernel_words)v;
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    *(kernel_halves *)((uint16_t *)p + i) = __builtin_convertvector(bits, kernel_halves);
}

/* a where the sign bit of s is set, else b. */
KERNEL_INLINE kernel_vec kernel_select(kernel_vec s, kernel_vec a, kernel_vec b)
{
    kernel_bits mask = (kernel_bits)s >> 31;
    return (kernel_vec)((mask & (kernel_bits)a) | (~mask & (kernel_bits)b));
}

KERNEL_INLINE kernel_vec kernel_splat(float v)
{
    return (kernel_vec){0} + v;
}

/* min(max(v, lo), hi); a bound may be infinite. */
KERNEL_INLINE kernel_vec kernel_clamp_vec(kernel_vec v, kernel_vec lo, kernel_vec hi)
{
    v = kernel_select(v - lo, lo, v);
    return kernel_select(hi - v, hi, v);
}

/* g where lo < y < hi, else 0. */
KERNEL_INLINE kernel_vec kernel_pass(kernel_vec g, kernel_vec y, kernel_vec lo, kernel_vec hi)
{
    return KERNEL_WHERE_NEGATIVE(lo - y, KERNEL_WHERE_NEGATIVE(y - hi, g));
}

#endif
