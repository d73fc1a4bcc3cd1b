/* kernels_blocked_depthwise.h - a 3x3 depthwise convolution that normalises its input as it reads
 * it (internal to src/nn).
 *
 * Batch norm, its clamp and the depthwise convolution behind them, over blocked values of float32
 * or bfloat16, in one pass: what batch norm makes exists for three rows at a time. The backward
 * pass computes it anew and gives, in one pass as well, the gradients by the weights and by the
 * batch norm's result, and the sums that its own backward pass begins with (kernel_bn.sums). The
 * batch norm behind the convolution may leave the end of its backward pass to it as well.
 *
 * One pixel of padding on each side, stride 1 or 2, no dilation.
 *
 * Threads: planes are shared out; the number of threads changes no bit.
 * Memory:  allocates nothing; `rows` has kernel_dw_rows floats, 64-byte aligned, and `parts`
 *          kernel_dw_parts doubles, `sums` and `moments` kernel_dw_sums and
 *          kernel_dw_moments of them.
 */
#ifndef ATTUNE_NN_KERNELS_BLOCKED_DEPTHWISE_H
#define ATTUNE_NN_KERNELS_BLOCKED_DEPTHWISE_H

#include "nn/kernels_blocked.h"

struct kernel_dw {
    int64_t images, channels;
    int in_height, in_width, out_height, out_width, stride;
    bool bf16;
    int threads;
    /* clamp(a x + b) is what is convolved: [lanes] */
    const float *a, *b;
    float lo, hi;
    const float *weights; /* [channels, 3, 3] */
    float *rows;
};

size_t kernel_dw_rows(const struct kernel_dw *d);
size_t kernel_dw_parts(const struct kernel_dw *d);
size_t kernel_dw_sums(const struct kernel_dw *d);
size_t kernel_dw_moments(const struct kernel_dw *d);

/* moments: NULL, or [images, blocks, KERNEL_MOMENTS] of y, for the batch norm behind. */
void kernel_dw_forward(const struct kernel_dw *d, const void *x, void *y, double *moments);

/* gy as the batch norm behind the convolution would make it: k gy' + l y + m, where gy' is 0 unless
 * lo < a y + b < hi. Vectors are [lanes]. */
struct kernel_dw_after {
    const void *y; /* the convolution's result */
    const float *a, *b, *k, *l, *m;
    float lo, hi;
};

struct kernel_dw_gradients {
    const struct kernel_dw_after *after; /* NULL: gy is as it is */
    const float *mean;                   /* [channels], of the batch norm before */
    double *parts;
    float *weights; /* [channels, 3, 3], NULL: not wanted */
    void *gy_norm;  /* by a x + b: 0 where it was clamped. NULL: not wanted, nor sums */
    double *sums;   /* [blocks, 2, 16]: of gy_norm, and of gy_norm (x - mean) */
};

void kernel_dw_backward(const struct kernel_dw *d, const void *x, const void *gy,
                        const struct kernel_dw_gradients *g);

#endif
