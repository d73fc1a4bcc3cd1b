/* inspect.h - what `attune model inspect` tells of a model, as JSON, and what its nodes cost.
 *
 * {"identity": hex, "inputs": [{"name", "shape", "batched"}], "outputs": [the same],
 *  "operators": {ONNX name: nodes}, "nodes": n, "parameters": {"total", "trainable", "statistics",
 *  "tensors"}, "flops": of one image, "batch_norm": "none" | "kept" | "folded",
 *  "batch_fixed_by": node name or null, "calibrated": for int8, "metadata": {key: value},
 * "classes": [names] or null}
 *
 * Owns:    *ret is the caller's (json_decref).
 * Errors:  ST_NOMEM; the error is filled.
 */
#ifndef ATTUNE_NN_INSPECT_H
#define ATTUNE_NN_INSPECT_H

#include <jansson.h>

#include "nn/model.h"

/* Name of an operator in ONNX; "" for NN_OP_NONE. */
const char *nn_op_name(enum nn_op op);

/* "none", "kept" or "folded". */
const char *nn_bn_form_name(enum nn_bn_form form);

enum status nn_inspect_json(const struct nn_model *m, json_t **ret, struct error *err);

/* [{"name", "op", "shape": of its first output, "parameters": trainable ones that are used here
 * for the first time, "statistics", "flops"}], a node each, in running order. */
enum status nn_inspect_nodes_json(const struct nn_model *m, json_t **ret, struct error *err);

/* Floating-point operations of a node for one image: two a multiply-accumulate of convolutions and
 * matrix products, 0 for other nodes. */
double nn_node_flops(const struct nn_graph *g, const struct nn_node *n);

/* Bytes of all inputs and activations for a batch, as if none shared memory: what a session takes
 * is mostly less for inference and up to about twice this for training. Cheap: nothing is opened.
 */
double nn_activation_bytes(const struct nn_model *m, int batch);

#endif
