/* kernels_blocked.h - the engine's loops over blocked values, float32 or bfloat16 (internal to
 * src/nn; see format.h).
 *
 * A blocked value is [images, blocks, pixels, 16]. Vectors over its channels (coefficients, means,
 * their gradients) have blocks * 16 floats, with zeros where the last block is padding. Clamp, add,
 * threads and determinism are as in kernels.h.
 */
#ifndef ATTUNE_NN_KERNELS_BLOCKED_H
#define ATTUNE_NN_KERNELS_BLOCKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_blocked {
    int64_t images, channels, pixels;
    bool bf16;
};

static inline int64_t kernel_blocks_of(int64_t channels)
{
    return (channels + 15) / 16;
}

static inline int64_t kernel_blocks(const struct kernel_blocked *t)
{
    return kernel_blocks_of(t->channels);
}

/* Floats of a vector over the channels. */
static inline int64_t kernel_blocked_lanes(const struct kernel_blocked *t)
{
    return kernel_blocks(t) * 16;
}

/* Of a plane, as doubles: a pivot for each lane, and the sums of x - pivot and of its square. */
#define KERNEL_MOMENTS (3 * 16)

/* Sums that a batch norm takes apart from each other: doubles of scratch. */
size_t kernel_bn_blocked_scratch(const struct kernel_blocked *t);

/* Batch norm with the given statistics [channels]: y = clamp(a x + b). y may be x, or NULL where
 * only a and b [lanes] are wanted, which are written. */
struct kernel_bn {
    const float *scale, *shift; /* [channels] */
    float *mean, *variance;     /* [channels] */
    float epsilon, lo, hi;
    float *a, *b;    /* [lanes] */
    double *scratch; /* kernel_bn_blocked_scratch */
    /* Batch, forward: NULL, or the moments of x that were taken already, plane by plane. */
    const double *moments;
    /* Backward: NULL, or [blocks, 2, 16] sums of gy and of gy (x - mean) that were taken already,
     * and gy is 0 where y was clamped. */
    const double *sums;
};

void kernel_bn_blocked(const struct kernel_blocked *t, const struct kernel_bn *n, const void *x,
                       void *y);

/* y alone, from coefficients that are there. */
void kernel_bn_blocked_apply(const struct kernel_blocked *t, const struct kernel_bn *n,
                             const void *x, void *y);

/* With the batch's own mean and biased variance, which are written. */
void kernel_bn_blocked_batch(const struct kernel_blocked *t, const struct kernel_bn *n,
                             const void *x, void *y);

/* Backward from x and the coefficients of the forward pass. batch: mean and variance were the
 * batch's. gscale, gshift [channels] are written; gx may be NULL, or gy when add is false. */
void kernel_bn_blocked_backward(const struct kernel_blocked *t, const struct kernel_bn *n,
                                bool batch, const void *x, const void *gy, void *gx, bool add,
                                float *gscale, float *gshift);

/* The end of that backward pass left to another: gx = k gy' + l x + m, gy' as gy where y was not
 * clamped, else 0. gscale and gshift are the gradients that the beginning gave. */
void kernel_bn_blocked_lines(const struct kernel_blocked *t, const struct kernel_bn *n, bool batch,
                             const float *gscale, const float *gshift, float *k, float *l,
                             float *m);

/* y = x * v, where v holds [images (or 1: v_images), lanes] floats; its gradient by x is the same
 * of gy. */
void kernel_blocked_scale(const struct kernel_blocked *t, const void *x, const float *v,
                          int64_t v_images, void *y, bool add);
/* gv = the sums of gy * x over the pixels (and images, where v_images is 1). */
void kernel_blocked_scale_sums(const struct kernel_blocked *t, const void *x, const void *gy,
                               int64_t v_images, float *gv, bool add);

/* y [images, lanes] floats: the mean over the pixels. */
void kernel_blocked_average(const struct kernel_blocked *t, const void *x, float *y);
void kernel_blocked_average_backward(const struct kernel_blocked *t, const float *gy, void *gx,
                                     bool add);

/* out [channels] = the sums of x over images and pixels. */
void kernel_blocked_sums(const struct kernel_blocked *t, const void *x, float *out);

/* Dense elements of bfloat16: y = clamp(a + b), y = clamp(a * b), y = clamp(x); any may be the
 * same array. The backward: gx = gy where lo < y < hi. */
void kernel_add_bf16(const void *a, const void *b, void *y, size_t n, float lo, float hi);
void kernel_mul_bf16(const void *a, const void *b, void *y, size_t n, bool add);
void kernel_clip_bf16(const void *x, void *y, size_t n, float lo, float hi);
void kernel_clip_backward_bf16(const void *y, const void *gy, void *gx, size_t n, float lo,
                               float hi, bool add);

#endif
