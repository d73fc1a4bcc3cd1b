/* fold_batch_norm.h - a network without its batch-norm nodes, for use in other runtimes.
 *
 * y = scale * (conv(x) - mean) / sqrt(variance + epsilon) + shift is one convolution with other
 * weights and a bias. A node is folded where it is the only reader of a Conv or ConvTranspose that
 * is no output of the network; any other stays. What training with batch statistics needs is lost.
 */
#ifndef ATTUNE_NN_FOLD_BATCH_NORM_H
#define ATTUNE_NN_FOLD_BATCH_NORM_H

#include "nn/model.h"

/* Appends the ONNX file of the folded network with params (nn_model_param_count floats, NULL: the
 * model's own values) to *out. ST_NOMEM, ST_LIMIT as nn_model_write. */
enum status nn_fold_batch_norm(const struct nn_model *m, const float *params, struct buf *out,
                               int *ret_folded, struct error *err);

#endif
