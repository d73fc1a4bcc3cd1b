/* build.h - make a network in C: the few layers that the shipped models and the reference networks
 * of the benchmarks (bench/networks.h) are made of.
 *
 * A builder appends ONNX nodes (batch-norm kept), draws initial weights from the seed
 * (He for convolutions, 1/0 for batch-norm), and yields ONNX bytes that nn_model_read reads.
 * Errors are remembered: check once, at nn_build_finish.
 */
#ifndef ATTUNE_NN_BUILD_H
#define ATTUNE_NN_BUILD_H

#include "nn/model.h"

struct nn_build;
typedef int nn_value; /* a tensor of the network under construction */

/* Input "input" [1,3,height,width]. */
enum status nn_build_open(int height, int width, uint64_t seed, struct nn_build **ret,
                          struct error *err);
void nn_build_close(struct nn_build **b);
nn_value nn_build_input(struct nn_build *b);

/* k x k, padding k/2*dilation, no bias unless `bias`. groups == channels: depthwise. */
nn_value nn_build_conv(struct nn_build *b, nn_value x, int channels, int kernel, int stride,
                       int dilation, int groups, bool bias);
nn_value nn_build_batch_norm(struct nn_build *b, nn_value x);
nn_value nn_build_relu(struct nn_build *b, nn_value x);
nn_value nn_build_relu6(struct nn_build *b, nn_value x); /* Clip from 0 to 6 */
nn_value nn_build_add(struct nn_build *b, nn_value x, nn_value y);
nn_value nn_build_mul(struct nn_build *b, nn_value x, nn_value y); /* y may be [N,C,1,1] */
nn_value nn_build_sigmoid(struct nn_build *b, nn_value x);
nn_value nn_build_concat(struct nn_build *b, const nn_value *x, int count);
nn_value nn_build_global_average_pool(struct nn_build *b, nn_value x);
nn_value nn_build_max_pool(struct nn_build *b, nn_value x, int kernel, int stride);
/* To height x width, linear, half-pixel. */
nn_value nn_build_resize(struct nn_build *b, nn_value x, int height, int width);

/* x [N,C,1,1] flattened, times a weight [features,C], plus a bias: [N,features]. Only a
 * softmax and the output of the network can follow. */
nn_value nn_build_linear(struct nn_build *b, nn_value x, int features);

/* Over the channels. */
nn_value nn_build_softmax(struct nn_build *b, nn_value x);

void nn_build_metadata(struct nn_build *b, const char *key, const char *value);

/* Marks x as the output "logits" and appends the ONNX file to *out. */
enum status nn_build_finish(struct nn_build *b, nn_value x, struct buf *out, struct error *err);

#endif
