/* Float16 by integer arithmetic on the float32 bits, so that every machine gives the same bits
 * whatever its instruction set. */
#include "base/half.h"

#include <string.h>

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static float bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* value >> shift, to nearest, ties to even; 1 <= shift <= 24. */
static uint32_t shift_even(uint32_t value, int shift)
{
    uint32_t half = 1u << (shift - 1), rest = value & ((half << 1) - 1), out = value >> shift;
    return out + (rest > half || (rest == half && (out & 1)));
}

uint16_t half_from_float(float x)
{
    uint32_t bits = float_bits(x), sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) /* 65520, halfway to the first number too large */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude >= 0x38800000) /* 2^-14, the smallest normal float16: re-bias and round */
        return (uint16_t)(sign | shift_even(magnitude - (112u << 23), 13));
    int shift = 126 - (int)(magnitude >> 23); /* of the mantissa with its leading one, to 2^-24 */
    if (shift > 24)
        return (uint16_t)sign;
    return (uint16_t)(sign | shift_even((magnitude & 0x7fffff) | 0x800000, shift));
}

float half_to_float(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
    if (magnitude >= 0x7c00)
        return bits_float(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
    if (magnitude >= 0x400)
        return bits_float(sign | ((magnitude << 13) + (112u << 23)));
    float value = (float)magnitude * 0x1p-24f;
    return sign ? -value : value;
}
