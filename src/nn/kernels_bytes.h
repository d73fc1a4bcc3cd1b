/* kernels_bytes.h - values kept as bytes, (q - zero) * scale (internal to src/nn; format.h).
 *
 * Real numbers become the nearest byte, and the nearest end of the range outside of
 * it; a number that is none becomes some byte. Threads and determinism are as in kernels.h.
 */
#ifndef ATTUNE_NN_KERNELS_BYTES_H
#define ATTUNE_NN_KERNELS_BYTES_H

#include "nn/format.h"
#include "nn/kernels.h"

/* The scale and zero that hold [lo, hi]; lo <= 0 <= hi, lo < hi. */
struct nn_quant kernel_quant_of(float lo, float hi);

void kernel_bytes_from_floats(const float *x, uint8_t *y, int64_t n, struct nn_quant q);
void kernel_floats_from_bytes(const uint8_t *x, float *y, int64_t n, struct nn_quant q);

/* y = min(max(a + b, lo), hi); y may be a or b. */
struct kernel_bytes_sum {
    struct nn_quant a, b, y;
    float lo, hi;
};
void kernel_add_bytes(const struct kernel_bytes_sum *s, const uint8_t *a, const uint8_t *b,
                      uint8_t *y, int64_t n);

/* y [images, channels]: the mean of x [images, pixels, channels] over the pixels. */
void kernel_global_average_bytes(const uint8_t *x, float *y, int64_t images, int64_t pixels,
                                 int64_t channels, struct nn_quant q);

/* y [rows, n]: round(x / scale[row]) with scale[row] = max |x| / 127, so that the whole row fits;
 * 1 for a row of zeros. */
void kernel_signed_rows(const float *x, int8_t *y, float *scale, int64_t rows, int64_t n);

#endif
