/* conv_group.h - convolutions of many small groups, depthwise ones among them, in NHWC.
 *
 * oneDNN's kernels for grouped convolutions want groups of 16 channels, and those for depthwise
 * ones no dilation in the backward passes, nor odd channels by weights; elsewhere they are many
 * times slower than these. Here a group of k input and m output channels is k * m depthwise
 * convolutions over "planes": plane j has the j-th channel of every group, so that 16 groups are
 * one vector whatever k and m are.
 *
 * With nn_window.planar the input's channels are in that order already.
 *
 * Rows of the input are copied into zero-padded planes a few at a time, the products run over those
 * without borders, and rows of the output are copied back.
 *
 * Threads: the calling thread's OpenMP team of at most the given size.
 * Memory:  allocates nothing: `scratch` has nn_group_scratch_bytes, 64-byte aligned. Up to 64
 *          bytes after the end of x and gy may be read (never used).
 * Determinism: the same bits for any number of threads.
 */
#ifndef ATTUNE_NN_CONV_GROUP_H
#define ATTUNE_NN_CONV_GROUP_H

#include "nn/dnnl.h"

/* Taps of one group, k * m * kernel area, that fit. */
#define NN_GROUP_TAPS_MAX 256

/* A group whose input and output channels multiply to more is left to oneDNN. */
#define NN_GROUP_CHANNELS_MAX 8

/* Whether these kernels can do it, and are expected to beat oneDNN's. */
bool nn_group_is_better(const struct nn_window *w, enum nn_pass pass);

size_t nn_group_scratch_bytes(const struct nn_window *w, enum nn_pass pass, int threads);

/* Weights and their gradient as ONNX has them, [out_channels][k][kh][kw]; bias may be NULL; the
 * result is clamped to [lo, hi], which may be infinite. */
void nn_group_forward(const struct nn_window *w, int threads, float *scratch, const float *x,
                      const float *weights, const float *bias, float *y, float lo, float hi);

/* gx += instead of = when add. */
void nn_group_backward_data(const struct nn_window *w, int threads, float *scratch, const float *gy,
                            const float *weights, float *gx, bool add);
void nn_group_backward_weights(const struct nn_window *w, int threads, float *scratch,
                               const float *x, const float *gy, float *gweights);

#endif
