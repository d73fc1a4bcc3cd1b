/* networks.h - the networks that the engine is measured on, made here so that every engine that is
 * compared gets the same files.
 *
 *  tiny      eight 3x3 convolutions, batch-norm and ReLU, for ten classes; 1.00 M parameters: the
 *            size of a student that does one thing
 *  seg       MobileNetV2 up to its 320 channels (Sandler et al., CVPR 2018) with the LR-ASPP head
 *            of MobileNetV3 (Howard et al., ICCV 2019), 19 classes at 512 x 256; 1.90 M: the kind
 *            of student that AMS trains
 *  segr      seg with ReLU in place of ReLU6 (PyTorch has no bfloat16 gradient of ReLU6 on
 *            processors)
 *  resnet18  ResNet-18 (He et al., CVPR 2016), 1000 classes at 224 x 224; 11.69 M: the student of
 *            Ekya
 *
 * Batch-norm is kept in the file. Weights are drawn from a fixed seed.
 *
 * Errors: ST_NOMEM.
 */
#ifndef ATTUNE_BENCH_NETWORKS_H
#define ATTUNE_BENCH_NETWORKS_H

#include "base/buf.h"
#include "nn/build.h"

struct bench_network {
    const char *name;
    int height, width;
    int batch; /* of a training step */
    /* Trainable tensors, counted from the end, of the last block and the classifier: what is left
     * to train where the backbone is frozen. 0: not measured. */
    int head_tensors;
    /* The layers from the input to the logits. */
    nn_value (*wire)(struct nn_build *b, const struct bench_network *n);
};

#define BENCH_NETWORKS_MAX 8

/* All of them, *ret_count <= BENCH_NETWORKS_MAX. */
const struct bench_network *bench_networks(int *ret_count);

/* NULL when there is none of that name. */
const struct bench_network *bench_network_find(const char *name);

/* Appends the network's ONNX file to *out. */
enum status bench_network_build(const struct bench_network *n, struct buf *out, struct error *err);

/* Convolution of padding kernel / 2, batch-norm, ReLU: what most layers of all of them are. */
nn_value bench_layer(struct nn_build *b, nn_value x, int channels, int kernel, int stride);

/* The wiring of each, for the table in networks.c. */
nn_value bench_wire_tiny(struct nn_build *b, const struct bench_network *n);
nn_value bench_wire_resnet18(struct nn_build *b, const struct bench_network *n);
nn_value bench_wire_seg(struct nn_build *b, const struct bench_network *n);
nn_value bench_wire_segr(struct nn_build *b, const struct bench_network *n);

#endif
