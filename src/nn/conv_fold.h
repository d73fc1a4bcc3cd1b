/* conv_fold.h - a batch-norm that normalises with running statistics, as part of the convolution in
 * front of it (internal to src/nn).
 *
 * norm(conv(x)) = conv'(x) with weights a[c] * w and bias (b - mean) * a + shift, where c is the
 * output channel and a = scale / sqrt(variance + epsilon).
 */
#ifndef ATTUNE_NN_CONV_FOLD_H
#define ATTUNE_NN_CONV_FOLD_H

#include "nn/dnnl.h"

struct nn_norm {
    const float *scale, *shift, *mean, *variance; /* [out_channels] */
    float epsilon;
};

/* Weights as ONNX has them (nn_window.transposed tells which); bias may be NULL. Writes as many
 * weights to `folded`, the bias and then the factors a to vectors[2 * out_channels]. */
void nn_conv_fold(const struct nn_window *w, const struct nn_norm *norm, const float *weights,
                  const float *bias, float *folded, float *vectors);

#endif
