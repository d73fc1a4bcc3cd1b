/* Weights of a convolution and the batch-norm behind it (see conv_fold.h). */
#include "nn/conv_fold.h"

#include "nn/kernels_internal.h"

KERNEL_CLONES static void scaled(const float *restrict x, float factor, int64_t n,
                                 float *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * factor;
}

/* Of Conv, a row is an output channel's weights; of ConvTranspose [in, out / groups, h, w], those
 * that one input channel has for it. */
static void fold_weights(const struct nn_window *w, const float *weights, const float *factor,
                         float *folded)
{
    int64_t out = w->out_channels / w->groups, in = w->in_channels / w->groups;
    int64_t area = w->kernel[0] * w->kernel[1];
    int64_t rows = w->transposed ? w->in_channels * out : w->out_channels;
    int64_t row = w->transposed ? area : in * area;
#pragma omp parallel for schedule(static) if (rows * row >= KERNEL_PARALLEL_MIN)
    for (int64_t r = 0; r < rows; r++) {
        int64_t channel = w->transposed ? r / out / in * out + r % out : r;
        scaled(weights + r * row, factor[channel], row, folded + r * row);
    }
}

void nn_conv_fold(const struct nn_window *w, const struct nn_norm *norm, const float *weights,
                  const float *bias, float *folded, float *vectors)
{
    int64_t channels = w->out_channels;
    float *factor = vectors + channels;
    kernel_bn_coefficients(norm->scale, norm->shift, norm->mean, norm->variance, norm->epsilon,
                           channels, factor, vectors);
    for (int64_t c = 0; bias && c < channels; c++)
        vectors[c] += bias[c] * factor[c];
    fold_weights(w, weights, factor, folded);
}
