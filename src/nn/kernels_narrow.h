/* kernels_narrow.h - 1x1 convolutions to one block of channels (internal to src/nn).
 *
 * The gradient by the input of the expansions at the largest resolution of mobile networks: many
 * blocks to one, which oneDNN does at a quarter of the processor's speed. Values are blocked
 * (kernels_blocked.h), float32 or bfloat16, weights and sums float32.
 *
 * Threads: pixels are shared out; the number of threads changes no bit.
 */
#ifndef ATTUNE_NN_KERNELS_NARROW_H
#define ATTUNE_NN_KERNELS_NARROW_H

#include "nn/kernels_blocked.h"

/* y [images, 1, pixels, 16] = the sums over x's channels of x * w, where w is [x's lanes, 16], with
 * zeros for channels that are padding. x gives the sizes. */
void kernel_narrow(const struct kernel_blocked *x_form, const void *x, const float *w, void *y,
                   bool add);

/* w for the gradient by the input of weights [x's channels, to_channels], to_channels <= 16. */
void kernel_narrow_pack(const struct kernel_blocked *x_form, int64_t to_channels,
                        const float *weights, float *w);

/* Floats of w. */
size_t kernel_narrow_floats(const struct kernel_blocked *x_form);

#endif
