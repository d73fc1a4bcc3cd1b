/* model.h - a network as data: the graph read from an ONNX file, its parameters in one vector.
 *
 * Letters: N batch, C channels, H height, W width. Tensors are float32 and logically row-major
 * (NCHW); how a session lays them out in memory is its own affair.
 *
 * A model is read once, checked, shape-inferred for a batch of one at the file's own input size,
 * and has every constant subgraph folded (shape arithmetic, Constant, Identity, Dropout outside
 * training). After nn_model_read it never changes: sessions share it read-only.
 *
 * Parameters: every float initialiser that a node uses as weight, bias, scale, shift, slope or
 * running statistic, in the order of first use, concatenated into one vector of
 * nn_model_param_count floats: first all NN_PARAM_TRAINABLE tensors, then all
 * NN_PARAM_STATISTIC tensors (batch-norm running mean and variance). Selection, deltas,
 * optimiser state and checkpoints are loops over this vector. In Add and Mul an initialiser with
 * one value a channel trains too. Values of Constant nodes, and all other operands, stay
 * NN_TENSOR_CONSTANT, wherever they are used.
 *
 * Owns:    nn_model_open/read give a model that nn_model_close frees; everything returned by the
 *          accessors is borrowed from it.
 * Threads: an open model is immutable and may be shared.
 * Errors:  ST_FORMAT (not ONNX, truncated), ST_UNSUPPORTED (operator, attribute or shape; names
 *          the node), ST_LIMIT (over the bounds below), ST_NOMEM.
 */
#ifndef ATTUNE_NN_MODEL_H
#define ATTUNE_NN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Bounds on what is accepted from a file. */
#define NN_RANK_MAX 6
#define NN_NODES_MAX 8192
#define NN_TENSORS_MAX 32768
#define NN_NODE_INPUTS_MAX 32
#define NN_NODE_OUTPUTS_MAX 16
#define NN_ELEMENTS_MAX ((int64_t)1 << 29)
#define NN_FILE_BYTES_MAX ((size_t)1 << 30)

/* Operators that survive folding and reach a session: name in ONNX. */
#define NN_OP_LIST(X)                                                                              \
    X(CONV, "Conv")                                                                                \
    X(CONV_TRANSPOSE, "ConvTranspose")                                                             \
    X(BATCH_NORM, "BatchNormalization")                                                            \
    X(RELU, "Relu")                                                                                \
    X(LEAKY_RELU, "LeakyRelu")                                                                     \
    X(PRELU, "PRelu")                                                                              \
    X(CLIP, "Clip")                                                                                \
    X(SIGMOID, "Sigmoid")                                                                          \
    X(HARD_SIGMOID, "HardSigmoid") /* HardSwish becomes x * HardSigmoid(x) */                      \
    X(TANH, "Tanh")                                                                                \
    X(ELU, "Elu")                                                                                  \
    X(SOFTPLUS, "Softplus")                                                                        \
    X(ERF, "Erf")                                                                                  \
    X(EXP, "Exp")                                                                                  \
    X(SQRT, "Sqrt")                                                                                \
    X(ABS, "Abs")                                                                                  \
    X(NEG, "Neg")                                                                                  \
    X(POW, "Pow") /* by a constant number */                                                       \
    X(SOFTMAX, "Softmax")                                                                          \
    X(ADD, "Add")                                                                                  \
    X(SUB, "Sub")                                                                                  \
    X(MUL, "Mul")                                                                                  \
    X(DIV, "Div")                                                                                  \
    X(CONCAT, "Concat")                                                                            \
    X(SPLIT, "Split")                                                                              \
    X(SLICE, "Slice")                                                                              \
    X(PAD, "Pad")                                                                                  \
    X(RESHAPE, "Reshape") /* Flatten, Squeeze and Unsqueeze become Reshape */                      \
    X(TRANSPOSE, "Transpose")                                                                      \
    X(MATMUL, "MatMul")                                                                            \
    X(GEMM, "Gemm")                                                                                \
    X(MAX_POOL, "MaxPool")                                                                         \
    X(AVERAGE_POOL, "AveragePool")                                                                 \
    X(GLOBAL_AVERAGE_POOL, "GlobalAveragePool")                                                    \
    X(REDUCE_MEAN, "ReduceMean") /* keeping the dims that it reduces to 1 */                       \
    X(REDUCE_SUM, "ReduceSum")                                                                     \
    X(RESIZE, "Resize") /* Upsample becomes Resize */                                              \
    X(GATHER, "Gather")

enum nn_op {
    NN_OP_NONE,
#define NN_OP_ENUM(name, onnx) NN_OP_##name,
    NN_OP_LIST(NN_OP_ENUM)
#undef NN_OP_ENUM
        NN_OP_COUNT
};

enum nn_resize_mode { NN_RESIZE_NEAREST = 1, NN_RESIZE_LINEAR };

/* How an output coordinate maps to an input one, as in the ONNX operator Resize. */
enum nn_resize_coordinates {
    NN_RESIZE_HALF_PIXEL = 1,
    NN_RESIZE_PYTORCH_HALF_PIXEL,
    NN_RESIZE_ALIGN_CORNERS,
    NN_RESIZE_ASYMMETRIC
};

enum nn_resize_nearest {
    NN_NEAREST_ROUND_PREFER_FLOOR = 1,
    NN_NEAREST_ROUND_PREFER_CEIL,
    NN_NEAREST_FLOOR,
    NN_NEAREST_CEIL
};

/* Attributes with defaults resolved and auto_pad turned into pads. Only the member of the node's
 * own operator is meaningful. */
union nn_attributes {
    struct { /* Conv, ConvTranspose, MaxPool, AveragePool: [h, w] and [top, left, bottom, right] */
        int kernel[2], stride[2], dilation[2], pad[4], output_pad[2];
        int groups;
        bool ceil_mode, count_include_pad;
    } window;
    struct {
        float epsilon, momentum; /* running = running * momentum + batch * (1 - momentum) */
    } batch_norm;
    struct {
        float alpha;
    } leaky_relu;
    struct {
        float min, max;
    } clip;
    struct { /* HardSigmoid: clamp(alpha x + beta, 0, 1); Elu: alpha; Pow: x^alpha */
        float alpha, beta;
    } function;
    struct {
        unsigned axes; /* bit i: dim i becomes 1 */
    } reduce;
    struct {
        int axis; /* non-negative; Softmax, Concat, Split, Gather */
    } axis;
    struct { /* per input dimension; step may be negative */
        int64_t start[NN_RANK_MAX], step[NN_RANK_MAX];
    } slice;
    struct { /* constant mode; negative entries crop */
        int64_t before[NN_RANK_MAX], after[NN_RANK_MAX];
        float value;
    } pad;
    struct {
        int perm[NN_RANK_MAX];
    } transpose;
    struct {
        float alpha, beta;
        bool trans_a, trans_b;
    } gemm;
    struct {
        enum nn_resize_mode mode;
        enum nn_resize_coordinates coordinates;
        enum nn_resize_nearest nearest;
        float scale[2]; /* output / input for H and W, as the file gives it (or the sizes' ratio) */
    } resize;
};

enum nn_tensor_kind {
    NN_TENSOR_ACTIVATION = 1, /* made by a node */
    NN_TENSOR_INPUT,          /* graph input */
    NN_TENSOR_PARAM,          /* in the parameter vector: see param */
    NN_TENSOR_CONSTANT        /* folded or frozen value, float32 or int64: see data */
};

enum nn_dtype { NN_F32 = 1, NN_I64 };

/* What a tensor's values were seen to lie in when the network was calibrated (nn/calibrate.h), for
 * sessions that compute with bytes. lo <= 0 <= hi, and lo < hi where it is known. */
struct nn_range {
    float lo, hi;
};

static inline bool nn_range_is_known(struct nn_range r)
{
    return r.lo < r.hi;
}

struct nn_tensor {
    const char *name;
    enum nn_tensor_kind kind;
    enum nn_dtype dtype;
    int rank;
    int64_t dim[NN_RANK_MAX]; /* for batch 1; dim[0] of activations scales with the batch */
    bool batched;             /* true when dim[0] is the batch */
    const void *data;         /* NN_TENSOR_CONSTANT: its values, else NULL */
    int param;                /* NN_TENSOR_PARAM: index into params, else -1 */
    int producer;             /* node index, -1 for none */
    struct nn_range range;    /* of activations and inputs, where the file says it */
};

struct nn_node {
    enum nn_op op;
    const char *name; /* the file's, or "OP_index" where it has none */
    int input_count, output_count;
    int input[NN_NODE_INPUTS_MAX]; /* tensor indices, -1 for an absent optional input */
    int output[NN_NODE_OUTPUTS_MAX];
    union nn_attributes a;
};

enum nn_param_kind { NN_PARAM_TRAINABLE = 1, NN_PARAM_STATISTIC };

struct nn_param {
    const char *name;
    enum nn_param_kind kind;
    int tensor;
    int rank;
    int64_t dim[NN_RANK_MAX];
    size_t offset, count; /* in floats, within the vector */
};

struct nn_graph {
    int node_count, tensor_count, param_count;
    const struct nn_node *nodes; /* topological order */
    const struct nn_tensor *tensors;
    const struct nn_param *params;
    int input_count, output_count;
    const int *inputs, *outputs; /* tensor indices */
};

/* Batch-norm in the file: kept as nodes, or folded into the convolutions at export. */
enum nn_bn_form { NN_BN_NONE = 1, NN_BN_KEPT, NN_BN_FOLDED };

struct nn_model;

/* height and width replace the file's input size when positive (needed where it is dynamic). */
struct nn_model_options {
    int height, width; /* default 0: as the file says */
};

/* options may be NULL. On success *ret is a new model; on failure *ret is NULL. */
enum status nn_model_read(const void *bytes, size_t n, const struct nn_model_options *options,
                          struct nn_model **ret, struct error *err);

/* nn_model_read of a file; messages name the path. */
enum status nn_model_open(const char *path, const struct nn_model_options *options,
                          struct nn_model **ret, struct error *err);

/* NULL and pointers to NULL are allowed; sets *m to NULL. */
void nn_model_close(struct nn_model **m);

const struct nn_graph *nn_model_graph(const struct nn_model *m);

/* Length of the parameter vector and of its trainable front part. */
size_t nn_model_param_count(const struct nn_model *m);
size_t nn_model_trainable_count(const struct nn_model *m);

/* The file's own parameter values (nn_model_param_count floats). */
const float *nn_model_values(const struct nn_model *m);

/* Frees them: for one who has opened the last session and writes no file. NULL from then on. */
void nn_model_release_values(struct nn_model *m);

/* SHA-256 over the original file's bytes: names the model in deltas and checkpoints. */
const char *nn_model_identity_hex(const struct nn_model *m); /* 64 characters */

/* metadata_props value, the last one of the key, NULL when it is absent. Keys of ours:
 * "attune.task" (task/task.h), "attune.classes" (comma-separated names in class order),
 * "attune.mean", "attune.std" (three numbers each, of RGB in 0..1), "attune.order" (of channels),
 * "attune.detect.*" (task/detect_head.h), "attune.seed", "attune.trained_on",
 * "attune.ranges" (the tensors' `range`; read by nn_model_read). */
const char *nn_model_metadata(const struct nn_model *m, const char *key);

enum nn_bn_form nn_model_bn_form(const struct nn_model *m);

/* Whether the file carries calibrated ranges. */
bool nn_model_is_calibrated(const struct nn_model *m);

/* The first node that fixes the batch to the one of the file (an output that is not batched), -1
 * when there is none: sessions with a larger batch are possible only then. */
int nn_model_batch_blocker(const struct nn_model *m);

/* Multiply-accumulate operations times two for one image at the model's input size. */
double nn_model_flops(const struct nn_model *m);

/* The same for a training step: forward, backward by weights that train, and backward by data as
 * far down as something trains. frozen: as in nn_session_options, NULL: all train. ST_NOMEM. */
enum status nn_model_train_flops(const struct nn_model *m, const bool *frozen, double *ret,
                                 struct error *err);

/* Appends an ONNX file (same graph, opset 13, IR 7, the batch open where the graph allows it) with
 * `params` (nn_model_param_count floats, or NULL for the model's own values) to *out; any runtime
 * can run it, nn_model_read reads it back. */
enum status nn_model_write(const struct nn_model *m, const float *params, struct buf *out,
                           struct error *err);

/* The same with calibrated ranges, ranges[tensor], in place of those of the model. */
enum status nn_model_write_calibrated(const struct nn_model *m, const float *params,
                                      const struct nn_range *ranges, struct buf *out,
                                      struct error *err);

/* The same with what trains stored as float16 (half the size, eleven significant bits; ST_INVALID
 * for a value beyond 65504), each tensor behind a Cast to float32, which other runtimes do once
 * when they load the file. Statistics stay float32. */
enum status nn_model_write_half(const struct nn_model *m, const float *params, struct buf *out,
                                struct error *err);

#endif
