/* kernels_halves.h - bfloat16 in row-major and channels-last values (internal to src/nn).
 *
 * Where a kernel exists for float32 only, it runs over pieces that are widened into a buffer on the
 * stack and rounded back: a piece stays in the first cache. Threads and determinism are as in
 * kernels.h. bfloat16 values are dense; up to 15 elements behind the last one may be written.
 */
#ifndef ATTUNE_NN_KERNELS_HALVES_H
#define ATTUNE_NN_KERNELS_HALVES_H

#include <stddef.h>
#include <stdint.h>

/* Elements of a piece; what a kernel needs at once, such as the channels of a pixel, must fit. */
#define KERNEL_PIECE 4096

/* Elements [first, first + n) of x, widened, to y; y may be x. */
typedef void (*kernel_piece)(const void *args, int64_t first, int64_t n, const float *x, float *y);

/* y = run(x) over n elements in pieces of multiples of `unit` (at most KERNEL_PIECE, divides n). */
void kernel_by_pieces(const void *x, void *y, int64_t n, int64_t unit, kernel_piece run,
                      const void *args);

/* y[index] = x[index] for every index below dim[rank], each with its own strides. */
void kernel_copy_bf16(int rank, const int64_t *dim, const void *x, const int64_t *x_stride, void *y,
                      const int64_t *y_stride);

void kernel_fill_bf16(void *y, size_t n, float value);

/* y [images, channels] floats: the mean of x [images, pixels, channels] over the pixels; channels
 * at most KERNEL_PIECE. */
void kernel_global_average_bf16(const void *x, float *y, int64_t images, int64_t pixels,
                                int64_t channels);

#endif
