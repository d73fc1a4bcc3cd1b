/* half.h - the numbers that go over the wire: IEEE float16, and a coarser relative of it.
 *
 * A wire value of step 2^-s (DELTA_STEP_MIN <= s <= 24) is float16 of x * 2^(s-24), times
 * 2^(24-s): 11 significant bits as float16 has, but never finer than 2^-s. s = 24 is float16
 * itself. Every wire value is exactly a float32 number.
 *
 * A wire code is the value's rank: 0 is 0, +1 the next larger value, -1 the next smaller one.
 * Minus zero becomes zero. Neighbouring values differ by one, which is what makes small updates
 * short to encode.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_DELTA_HALF_H
#define ATTUNE_DELTA_HALF_H

#include "base/half.h"

#define DELTA_STEP_MIN 8
#define DELTA_STEP_FLOAT16 24

/* Largest magnitude of a code: float16's largest finite number, 65504. */
#define HALF_CODE_MAX 0x7bff

/* Code of the wire value nearest to x, ties to even. Finite x beyond the largest value gives the
 * largest; NaN must not be passed. */
int32_t half_code(float x, int step_log2);

/* Value of a code, |code| <= HALF_CODE_MAX. */
float half_value(int32_t code, int step_log2);

#endif
