/* lower.h - private to nn: one ONNX node becomes a node of ours, a constant or an alias.
 *
 * A handler reads the node's attributes and constant inputs, resolves every default, and says what
 * the outputs' shapes are. The first failure sticks in status; later calls return neutral values,
 * so that handlers read as a list. Attributes that no handler asked for are refused by
 * nn_lower_node, so that nothing which changes a result is ever skipped in silence.
 *
 * When all inputs of a resolved node are constant, fold.c computes it instead.
 */
#ifndef ATTUNE_NN_LOWER_H
#define ATTUNE_NN_LOWER_H

#include "nn/draft.h"
#include "nn/onnx.h"

#define NN_ATTRIBUTES_MAX 32
#define NN_NODE_NAME_ROOM 80

struct nn_lower {
    struct nn_draft *d;
    const Onnx__NodeProto *proto;
    int opset;
    struct nn_node node; /* input: one entry an input of the file's node; handlers cut the tail */
    uint32_t attributes_read;
    struct nn_shape out[NN_NODE_OUTPUTS_MAX];
    int out_count;
    int alias; /* tensor that output 0 is another name of, -1 for none */
    bool constant;
    bool constant_initializer; /* the folded value counts as one of the file's initialisers */
    enum nn_dtype constant_dtype;
    const void *constant_data; /* with out[0]: the folded value of output 0 */
    enum status status;
    struct error *err;
};

enum status nn_lower_node(struct nn_draft *d, const Onnx__NodeProto *proto, int index, int opset,
                          struct error *err);

/* The file's name of a node, or one made of its operator and place, in fallback. */
const char *nn_onnx_node_name(const Onnx__NodeProto *proto, int index,
                              char fallback[NN_NODE_NAME_ROOM]);

/* The part of nn_lower_node that needs no inputs: is the operator one of those in the table? */
enum status nn_lower_known(const Onnx__NodeProto *proto, int index, struct error *err);

/* Remembers the first failure; the message gets "node 'name' (Op): " in front. */
void nn_fail(struct nn_lower *l, enum status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Input i, NULL when absent. Valid until the draft grows. */
const struct nn_tensor *nn_in(const struct nn_lower *l, int i);
/* Input i with its shape; fails when it is absent or (rank > 0) of another rank. */
struct nn_shape nn_in_shape(struct nn_lower *l, int i, int rank);
bool nn_in_constant(const struct nn_lower *l, int i);
bool nn_all_constant(const struct nn_lower *l);

/* Integers of constant input i (rank 0 or 1) into v[max]; returns how many, 0 when absent. */
int nn_in_i64(struct nn_lower *l, int i, int64_t *v, int max);
/* The same for floats. */
int nn_in_f32(struct nn_lower *l, int i, float *v, int max);

const Onnx__AttributeProto *nn_attr(struct nn_lower *l, const char *name, int type);
int64_t nn_attr_int(struct nn_lower *l, const char *name, int64_t otherwise);
float nn_attr_float(struct nn_lower *l, const char *name, float otherwise);
/* Returns how many, -1 when the attribute is absent. */
int nn_attr_ints(struct nn_lower *l, const char *name, int64_t *v, int max);
int nn_attr_floats(struct nn_lower *l, const char *name, float *v, int max);
/* Index of the attribute's text in names (NULL-terminated), otherwise when absent. */
int nn_attr_choice(struct nn_lower *l, const char *name, const char *const *names, int otherwise);
/* The attribute may be there: it changes nothing here. */
void nn_attr_ignore(struct nn_lower *l, const char *name);

/* axis in [-rank, rank) made non-negative; fails outside. */
int nn_axis(struct nn_lower *l, int64_t axis, int rank);
/* Integers of attribute `name` (before opset `since`) or of input i (from it on); count, -1 absent.
 */
int nn_ints_either(struct nn_lower *l, const char *name, int i, int since, int64_t *v, int max);

/* Results: one of these. */
void nn_out(struct nn_lower *l, enum nn_op op, struct nn_shape shape); /* may repeat: outputs */
void nn_out_alias(struct nn_lower *l, int input);
/* Zeroed room for the constant output 0. NULL after a failure. */
void *nn_out_constant(struct nn_lower *l, enum nn_dtype dtype, struct nn_shape shape);

/* Appends a node that the file does not have (op, inputs, attributes from `node`, one output) under
 * the file node's name with the suffix; returns its output tensor, -1 after a failure. */
int nn_emit(struct nn_lower *l, struct nn_node node, const struct nn_shape *shape,
            const char *suffix);
/* A constant float for such nodes; -1 after a failure. */
int nn_emit_number(struct nn_lower *l, float value, const char *suffix);
void nn_require_floats(struct nn_lower *l);

/* numpy's broadcasting; fails when shapes do not fit. The result is batched when both agree. */
struct nn_shape nn_broadcast(struct nn_lower *l, const struct nn_shape *a,
                             const struct nn_shape *b);

/* fold.c: evaluates l->node, all of whose inputs are constant, output by output. */
void nn_fold(struct nn_lower *l, int output, enum nn_dtype dtype, void *data);
/* Bytes of an element. */

/* Handlers, by file. */
typedef void nn_handler(struct nn_lower *l);
/* shape_window.c */
nn_handler nn_lower_conv, nn_lower_conv_transpose, nn_lower_max_pool, nn_lower_average_pool,
    nn_lower_global_average_pool;
/* shape_math.c */
nn_handler nn_lower_batch_norm, nn_lower_relu, nn_lower_leaky_relu, nn_lower_prelu, nn_lower_clip,
    nn_lower_sigmoid, nn_lower_softmax, nn_lower_add, nn_lower_sub, nn_lower_mul, nn_lower_div,
    nn_lower_matmul, nn_lower_gemm;
/* shape_function.c */
nn_handler nn_lower_hard_sigmoid, nn_lower_hard_swish, nn_lower_tanh, nn_lower_elu,
    nn_lower_softplus, nn_lower_erf, nn_lower_gelu, nn_lower_exp, nn_lower_sqrt, nn_lower_abs,
    nn_lower_neg, nn_lower_pow, nn_lower_floor, nn_lower_ceil;
/* shape_reduce.c */
nn_handler nn_lower_reduce_mean, nn_lower_reduce_sum;
/* shape_move.c */
nn_handler nn_lower_concat, nn_lower_split, nn_lower_slice, nn_lower_pad, nn_lower_reshape,
    nn_lower_flatten, nn_lower_squeeze, nn_lower_unsqueeze, nn_lower_transpose, nn_lower_gather,
    nn_lower_identity, nn_lower_dropout;
/* shape_shuffle.c */
nn_handler nn_lower_depth_to_space, nn_lower_space_to_depth;
/* Whether the Gather picks one part of a channel shuffle that has the batch inside other dims, in
 * which case it has become a Slice. */
bool nn_lower_shuffle_part(struct nn_lower *l, int axis);
/* shape_resize.c */
nn_handler nn_lower_resize, nn_lower_upsample;
/* fold_only.c */
nn_handler nn_lower_shape, nn_lower_constant, nn_lower_constant_of_shape, nn_lower_cast,
    nn_lower_expand, nn_lower_range, nn_lower_reduce_prod, nn_lower_where, nn_lower_equal,
    nn_lower_greater, nn_lower_less, nn_lower_min, nn_lower_max, nn_lower_mod, nn_lower_not;

#endif
