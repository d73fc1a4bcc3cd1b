/* onnx.h - private to nn: numbers of the ONNX format and the conversion of its tensors.
 *
 * Source: the public ONNX specification (onnx.proto, IR version 7); field numbers in onnx.proto.
 * Errors: ST_FORMAT, ST_UNSUPPORTED (element type, external data), ST_LIMIT, ST_NOMEM.
 */
#ifndef ATTUNE_NN_ONNX_H
#define ATTUNE_NN_ONNX_H

#include "nn/draft.h"
#include "nn/onnx.pb-c.h"

#define ONNX_OPSET_MIN 7
#define ONNX_OPSET_MAX 21
#define ONNX_OPSET_WRITTEN 13
#define ONNX_IR_WRITTEN 7

/* TensorProto.data_type */
enum onnx_type {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11
};

/* AttributeProto.type */
enum onnx_attribute {
    ONNX_ATTR_FLOAT = 1,
    ONNX_ATTR_INT = 2,
    ONNX_ATTR_STRING = 3,
    ONNX_ATTR_TENSOR = 4,
    ONNX_ATTR_FLOATS = 6,
    ONNX_ATTR_INTS = 7
};

/* Texts of Resize's attributes, NULL-terminated, by enum nn_resize_mode, nn_resize_coordinates and
 * nn_resize_nearest; the mode has a second name for linear after them (shape_resize.c). */
extern const char *const nn_resize_mode_names[], *const nn_resize_coordinate_names[],
                                                     *const nn_resize_nearest_names[];

/* A zero-terminated "" for the absent optional strings of a message. */
const char *nn_onnx_text(const char *s);

/* Unpacks with a bound on what the message may allocate; free with nn_onnx_free. */
enum status nn_onnx_unpack(const void *bytes, size_t n, Onnx__ModelProto **ret, struct error *err);
void nn_onnx_free(Onnx__ModelProto *p);

/* NN_F32 or NN_I64 for an element type that is read, 0 for one that is not. */
enum nn_dtype nn_onnx_dtype(int data_type);

/* Values of p: its own where they are float32 or int64 (so p must outlive them), else converted, in
 * the pool; messages say "tensor 'name'". */
enum status nn_onnx_tensor(const Onnx__TensorProto *p, struct nn_pool *pool,
                           struct nn_shape *ret_shape, enum nn_dtype *ret_dtype,
                           const void **ret_data, struct error *err);

/* Bounds a pool by the file's size. */
void nn_onnx_pool_init(struct nn_pool *pool, size_t file_bytes);

/* What comes before the nodes: the operator set, initialisers and inputs of a file, into the draft.
 * options may be NULL. */
enum status nn_onnx_begin(struct nn_draft *d, const Onnx__ModelProto *p,
                          const struct nn_model_options *options, int *ret_opset,
                          struct error *err);

#endif
