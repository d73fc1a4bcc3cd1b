/* kernels.h - the engine's own float32 loops: everything between oneDNN's convolutions.
 *
 * Pure functions on plain pointers. "Dense" means contiguous with no gaps, in whatever order of
 * dimensions, as long as all tensors of the call share it. Channels-last: [rows, C] with
 * rows = N * H * W. A plain NCHW tensor is channels-last with rows = N * C images and C = 1 where a
 * function says so. Strides are in elements and may be 0 (broadcast inputs only) or negative.
 *
 * Gradients: g in front of a name is d loss / d name. `add`: the result is added to what is there,
 * else it replaces it. Input and output may be the same array only where stated.
 *
 * Clamp: `lo` and `hi` fuse an activation: y = min(max(v, lo), hi). -INFINITY, INFINITY: none;
 * 0, INFINITY: ReLU; 0, 6: ReLU6. Its gradient passes where lo < y < hi, strictly, as in torch's
 * relu and hardtanh; NaN goes through.
 *
 * Threads: each uses the calling thread's OpenMP team (omp_set_num_threads) when there is enough
 *          to do; safe in several threads at once.
 * Memory:  allocates nothing, kernel_resize_init apart.
 * Determinism: the same bits for any number of threads on one machine; sums are taken in a fixed
 *          order over fixed blocks, in double.
 */
#ifndef ATTUNE_NN_KERNELS_H
#define ATTUNE_NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/model.h"

#define KERNEL_RANK_MAX NN_RANK_MAX

/* ---- kernels_copy.c: vectors and copies -------------------------------------------------- */

void kernel_fill(float *y, size_t n, float value);

/* y += alpha * x. */
void kernel_axpy(float *y, const float *x, size_t n, float alpha);

double kernel_sum_squares(const float *x, size_t n);

/* y[index] = x[index] (+= when add) for every index below dim[rank], each with its own strides; x
 * and y must not overlap. Serves concat, split, slice, pad, transpose and NCHW <-> NHWC. y_stride
 * has no zeros where dim > 1. */
void kernel_copy(int rank, const int64_t *dim, const float *x, const int64_t *x_stride, float *y,
                 const int64_t *y_stride, bool add);

/* ---- kernels_binary.c: elementwise with broadcasting ------------------------------------- */

enum kernel_binary_op { KERNEL_ADD = 1, KERNEL_SUB, KERNEL_MUL, KERNEL_DIV };

/* y = clamp(a op b) over y's shape dim[rank]; a and b have stride 0 in the dimensions in which
 * they are broadcast. y may be a or b when the strides are equal too. */
void kernel_binary(enum kernel_binary_op op, int rank, const int64_t *dim, const float *a,
                   const int64_t *a_stride, const float *b, const int64_t *b_stride, float *y,
                   const int64_t *y_stride, float lo, float hi);

/* Gradient by one input (input 0: a, 1: b), summed over the dimensions in which gx_stride is 0.
 * a and b are read for MUL (the other input) and DIV (b; for input 1 also a), may be NULL
 * otherwise. A clamp is undone before, by kernel_clip_backward on gy. gx may be gy when the
 * strides are equal and add is false. */
void kernel_binary_backward(enum kernel_binary_op op, int input, int rank, const int64_t *dim,
                            const float *gy, const int64_t *gy_stride, const float *a,
                            const int64_t *a_stride, const float *b, const int64_t *b_stride,
                            float *gx, const int64_t *gx_stride, bool add);

/* ---- kernels_activation.c: n dense elements; y may be x, gx may be gy --------------------- */

void kernel_relu(const float *x, float *y, size_t n);
void kernel_leaky_relu(const float *x, float *y, size_t n, float alpha);
void kernel_clip(const float *x, float *y, size_t n, float lo, float hi);
void kernel_sigmoid(const float *x, float *y, size_t n);

/* x_or_y: either does (relu: 0 where it is <= 0; clip: 0 at and beyond the bounds). */
void kernel_relu_backward(const float *x_or_y, const float *gy, float *gx, size_t n, bool add);
void kernel_clip_backward(const float *x_or_y, const float *gy, float *gx, size_t n, float lo,
                          float hi, bool add);
/* From x (from y too when alpha > 0). At 0 the gradient is alpha, as in torch. */
void kernel_leaky_relu_backward(const float *x, const float *gy, float *gx, size_t n, float alpha,
                                bool add);
/* From y. */
void kernel_sigmoid_backward(const float *y, const float *gy, float *gx, size_t n, bool add);

/* x is [outer, channels, inner]: channels-last has inner 1, NCHW inner H * W, one slope for all
 * has channels 1. y = x > 0 ? x : slope[channel] * x. */
void kernel_prelu(const float *x, const float *slope, float *y, int64_t outer, int64_t channels,
                  int64_t inner);
/* gslope[channels]; gx or gslope may be NULL. gslope is always written, never added to. */
void kernel_prelu_backward(const float *x, const float *slope, const float *gy, float *gx,
                           float *gslope, int64_t outer, int64_t channels, int64_t inner, bool add);

/* ---- kernels_function.c: functions of one number over n dense elements --------------------- */

enum kernel_function {
    KERNEL_HARD_SIGMOID = 1, /* clamp(a x + b, 0, 1) */
    KERNEL_TANH,
    KERNEL_ELU, /* x > 0 ? x : a (exp(x) - 1) */
    KERNEL_SOFTPLUS,
    KERNEL_ERF,
    KERNEL_EXP,
    KERNEL_SQRT,
    KERNEL_ABS,
    KERNEL_NEG,
    KERNEL_POW /* x^a */
};

/* y may be x. */
void kernel_function(enum kernel_function f, const float *x, float *y, size_t n, float a, float b);

/* Whether the gradient is taken from y; else from x. */
bool kernel_function_keeps_output(enum kernel_function f);

/* kept: x or y, as kernel_function_keeps_output says. gx may be gy. */
void kernel_function_backward(enum kernel_function f, const float *kept, const float *gy, float *gx,
                              size_t n, float a, float b, bool add);

/* ---- kernels_norm.c: batch norm over channels-last [rows, C]; softmax --------------------- */

/* a = scale / sqrt(variance + epsilon), b = shift - mean * a: y = a x + b. */
void kernel_bn_coefficients(const float *scale, const float *shift, const float *mean,
                            const float *variance, float epsilon, int64_t channels, float *a,
                            float *b);

/* y = clamp(a[c] * x + b[c]); y may be x. */
void kernel_bn_apply(const float *x, const float *a, const float *b, float *y, int64_t rows,
                     int64_t channels, float lo, float hi);

/* Mean and biased variance of each channel over the rows (rows > 0). Batch-mode forward is
 * statistics, coefficients, apply. */
void kernel_bn_statistics(const float *x, int64_t rows, int64_t channels, float *mean,
                          float *variance);

/* running = running * momentum + batch * (1 - momentum) with the unbiased variance, as torch does
 * (its momentum is ours subtracted from 1). `variance` is the biased one. */
void kernel_bn_running(const float *mean, const float *variance, int64_t rows, int64_t channels,
                       float momentum, float *running_mean, float *running_variance);

/* Backward of apply(coefficients(...)). mean and variance are those that the forward used; batch:
 * they were the batch's (gx goes through them), else constants. y: the forward's output, for the
 * clamp; may be NULL without one. gscale and gshift [C] are always written. gx may be NULL, or gy
 * when add is false. */
void kernel_bn_backward(const float *x, const float *y, const float *gy, int64_t rows,
                        int64_t channels, const float *scale, const float *mean,
                        const float *variance, float epsilon, bool batch, float lo, float hi,
                        float *gx, bool add, float *gscale, float *gshift);

/* out[c] = sum over the rows of x[row, c]: the gradient of a bias. */
void kernel_column_sums(const float *x, int64_t rows, int64_t channels, float *out);

/* Softmax over the middle dimension of [outer, n, inner]; y may be x. Backward from y; gx may be
 * gy when add is false. */
void kernel_softmax(const float *x, float *y, int64_t outer, int64_t n, int64_t inner);
void kernel_softmax_backward(const float *y, const float *gy, float *gx, int64_t outer, int64_t n,
                             int64_t inner, bool add);

/* ---- kernels_resize.c: ONNX Resize, nearest and linear ------------------------------------ */

/* One axis: output i reads from[i] and to[i] with weights 1 - weight[i] and weight[i] (nearest:
 * to == from, weight 0). Input j is read by outputs [first[j], last[j]). */
struct kernel_resize_axis {
    int in, out;
    int *from, *to, *first, *last;
    float *weight;
};

struct kernel_resize {
    bool linear;
    struct kernel_resize_axis h, w;
};

/* scale[2] as in nn_attributes.resize: output / input for H and W as the file gives it. Coordinates
 * are computed in float32 from it, as ONNX Runtime does (which, unlike us, copies where the sizes
 * are equal but the scale is not 1). ST_NOMEM. kernel_resize_clear accepts a zeroed struct. */
enum status kernel_resize_init(struct kernel_resize *r, int in_h, int in_w, int out_h, int out_w,
                               enum nn_resize_mode mode, enum nn_resize_coordinates coordinates,
                               enum nn_resize_nearest nearest, const float scale[2],
                               struct error *err);
void kernel_resize_clear(struct kernel_resize *r);

/* x [images, in_h, in_w, C] dense to y [images, out_h, out_w, C]. NCHW: images = N * C, C = 1. */
void kernel_resize(const struct kernel_resize *r, const float *x, float *y, int64_t images,
                   int64_t channels);
void kernel_resize_backward(const struct kernel_resize *r, const float *gy, float *gx,
                            int64_t images, int64_t channels, bool add);

/* ---- kernels_window.c, kernels_depthwise.c: channels-last --------------------------------- */

/* in [images, in_h, in_w, C] to out [images, out_h, out_w, C]; the session computes the output's
 * size (ceil_mode is in it). */
struct kernel_window {
    int64_t images, channels;
    int in_h, in_w, out_h, out_w;
    int kernel[2], stride[2], dilation[2];
    int pad[4];             /* top, left, bottom, right */
    bool count_include_pad; /* average pool: divide by the taps within input and padding */
};

/* Average of the taps within the input (NCHW: images = N * C, C = 1). Windows without any give 0.
 */
void kernel_average_pool(const struct kernel_window *w, const float *x, float *y);
void kernel_average_pool_backward(const struct kernel_window *w, const float *gy, float *gx,
                                  bool add);

/* y [images, C] = mean of x [images, pixels, C] over the pixels. */
void kernel_global_average(const float *x, float *y, int64_t images, int64_t pixels,
                           int64_t channels);
void kernel_global_average_backward(const float *gy, float *gx, int64_t images, int64_t pixels,
                                    int64_t channels, bool add);

/* Depthwise convolution: one filter a channel. oneDNN is faster without dilation; its gradients of
 * dilated ones fall back to a general or GEMM convolution, ten and more times slower than
 * these. weights are [kh][kw][C]: kernel_depthwise_pack makes them of ONNX's [C][1][kh][kw],
 * kernel_depthwise_unpack goes back (for gradients). bias [C] or NULL. y = clamp(conv + bias). */
void kernel_depthwise_pack(const struct kernel_window *w, const float *onnx, float *packed);
void kernel_depthwise_unpack(const struct kernel_window *w, const float *packed, float *onnx);
void kernel_depthwise(const struct kernel_window *w, const float *x, const float *weights,
                      const float *bias, float *y, float lo, float hi);
void kernel_depthwise_backward_data(const struct kernel_window *w, const float *gy,
                                    const float *weights, float *gx, bool add);
/* gweights [kh][kw][C], always written. (The bias's gradient is kernel_column_sums of gy.) */
void kernel_depthwise_backward_weights(const struct kernel_window *w, const float *x,
                                       const float *gy, float *gweights);

#endif
