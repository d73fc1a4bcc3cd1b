/* half.h - IEEE float16 to float32 and back.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_BASE_HALF_H
#define ATTUNE_BASE_HALF_H

#include <stdint.h>

/* Bits of the float16 nearest to x, ties to even; overflow gives infinity, NaN stays NaN. */
uint16_t half_from_float(float x);
float half_to_float(uint16_t bits);

#endif
