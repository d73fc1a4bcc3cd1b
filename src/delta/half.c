/* A coarser step is float16 of the scaled number: scaling by a power of two is exact where the
 * result matters. */
#include "delta/half.h"

#include <assert.h>
#include <math.h>

int32_t half_code(float x, int step_log2)
{
    assert(step_log2 >= DELTA_STEP_MIN && step_log2 <= DELTA_STEP_FLOAT16 && !isnan(x));
    uint16_t bits = half_from_float(ldexpf(x, step_log2 - DELTA_STEP_FLOAT16));
    int32_t magnitude = bits & 0x7fff;
    if (magnitude > HALF_CODE_MAX)
        magnitude = HALF_CODE_MAX;
    return bits & 0x8000 ? -magnitude : magnitude;
}

float half_value(int32_t code, int step_log2)
{
    assert(code >= -HALF_CODE_MAX && code <= HALF_CODE_MAX);
    float magnitude = half_to_float((uint16_t)(code < 0 ? -code : code));
    float value = ldexpf(magnitude, DELTA_STEP_FLOAT16 - step_log2);
    return code < 0 ? -value : value;
}
