/* onnx_make.h - private to nn: puts an ONNX file together, for the writer and for nn/build.h.
 *
 * Owns:    messages live in the maker's pool; tensor data are borrowed until nn_make_pack.
 * Errors:  the first lack of memory sticks and nn_make_pack reports it; NULL nodes are accepted.
 */
#ifndef ATTUNE_NN_ONNX_MAKE_H
#define ATTUNE_NN_ONNX_MAKE_H

#include "base/buf.h"
#include "nn/onnx.h"

#define NN_MAKE_ATTRIBUTES_MAX 8

struct nn_maker {
    struct nn_pool pool;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset, *opsets[1];
    size_t node_room, initializer_room, value_room, input_room, output_room, metadata_room;
    bool failed;
};

void nn_maker_init(struct nn_maker *mk);
void nn_maker_clear(struct nn_maker *mk);

/* A copy of formatted text in the pool, NULL after a failure. */
char *nn_make_text(struct nn_maker *mk, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

Onnx__NodeProto *nn_make_node(struct nn_maker *mk, const char *op, const char *name);
void nn_make_input(struct nn_maker *mk, Onnx__NodeProto *n, const char *tensor);
void nn_make_output(struct nn_maker *mk, Onnx__NodeProto *n, const char *tensor);
void nn_make_int(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, int64_t v);
void nn_make_float(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, float v);
void nn_make_string(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, const char *v);
void nn_make_ints(struct nn_maker *mk, Onnx__NodeProto *n, const char *name, const int *v,
                  size_t count);

/* A tensor over borrowed data: as an initialiser, or as the value of a Constant node. */
void nn_make_initializer(struct nn_maker *mk, const char *name, enum nn_dtype dtype,
                         const struct nn_shape *shape, const void *data);
/* An initialiser `stored` of float16, rounded from data, and a Cast that makes it the float32
 * tensor `name`. */
void nn_make_half(struct nn_maker *mk, const char *name, const char *stored,
                  const struct nn_shape *shape, const float *data);
void nn_make_constant(struct nn_maker *mk, const char *name, enum nn_dtype dtype,
                      const struct nn_shape *shape, const void *data);

/* An initialiser of copied integers or floats, rank 1 (rank 0 for count 0: one float), that
 * becomes the node's next input. */
void nn_make_i64_input(struct nn_maker *mk, Onnx__NodeProto *n, const char *tensor,
                       const int64_t *v, size_t count);
void nn_make_f32_input(struct nn_maker *mk, Onnx__NodeProto *n, const char *tensor, const float *v,
                       size_t count);

/* With shape->batched dim 0 is left open. */
void nn_make_graph_input(struct nn_maker *mk, const char *name, const struct nn_shape *shape);
void nn_make_graph_output(struct nn_maker *mk, const char *name, const struct nn_shape *shape);
void nn_make_value_info(struct nn_maker *mk, const char *name, const struct nn_shape *shape);
void nn_make_metadata(struct nn_maker *mk, const char *key, const char *value);

/* Appends the file to *out. */
enum status nn_make_pack(struct nn_maker *mk, struct buf *out, struct error *err);

#endif
