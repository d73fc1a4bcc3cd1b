/* dnnl.h - the engine's only door to oneDNN: convolutions, pooling and matrix products.
 *
 * No other file includes oneDNN's headers; dnnl.c is written for its API 2.x, and a port to 3.x is
 * a port of that file. Activations are dense in one of the formats of format.h; weights are float32
 * and plain as ONNX stores them (OIHW; IOHW for the transposed convolution) and are packed into the
 * primitive's own layout and type on request.
 *
 * Owns:    a nn_dnnl_op owns its primitive and its packed copy of the weights; the pointers bound
 *          to it are the caller's.
 * Threads: one thread at a time for each nn_dnnl and its ops; different ones may run at once. Ops
 *          must run under the OpenMP thread count that they were opened under.
 * Errors:  ST_UNSUPPORTED when oneDNN has no implementation, ST_INTERNAL when it fails.
 */
#ifndef ATTUNE_NN_DNNL_H
#define ATTUNE_NN_DNNL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "nn/format.h"

struct nn_dnnl;

enum status nn_dnnl_open(struct nn_dnnl **ret, struct error *err);
void nn_dnnl_close(struct nn_dnnl **d);

enum nn_pass { NN_PASS_FORWARD = 1, NN_PASS_BACKWARD_DATA, NN_PASS_BACKWARD_WEIGHTS };

/* Whether the processor multiplies bfloat16 itself; bytes, adding up in 32 bits (VNNI). */
bool nn_dnnl_has_bf16(void);
bool nn_dnnl_has_int8(void);

/* A sliding window over images: [h, w] pairs, pad is [top, left, bottom, right]. */
struct nn_window {
    int64_t batch, in_channels, in_height, in_width, out_channels, out_height, out_width;
    int64_t kernel[2], stride[2], dilation[2], pad[4];
    int64_t groups;  /* convolutions */
    bool transposed; /* ConvTranspose */
    bool bias;       /* convolutions */
    /* Input channel c of group g is c * groups + g instead of g * (channels of a group) + c: a
     * channel shuffle in front is part of the convolution. conv_group.h's only. */
    bool planar;
};

enum nn_pool_kind { NN_POOL_MAX = 1, NN_POOL_AVERAGE_INCLUDE_PAD, NN_POOL_AVERAGE_EXCLUDE_PAD };

/* What is bound to an op. In a backward pass, NN_SLOT_SRC is what that pass reads of the forward
 * source, and NN_SLOT_DST is the gradient by the output; NN_SLOT_DIFF_SRC, _DIFF_WEIGHTS and
 * _DIFF_BIAS are written. */
enum nn_slot {
    NN_SLOT_SRC,
    NN_SLOT_WEIGHTS,
    NN_SLOT_BIAS,
    NN_SLOT_DST,
    NN_SLOT_WORKSPACE,
    NN_SLOT_DIFF_SRC,
    NN_SLOT_DIFF_WEIGHTS,
    NN_SLOT_DIFF_BIAS,
    NN_SLOT_SCRATCH, /* nn_dnnl_op_scratch_bytes, during a run */
    NN_SLOT_PACKED,  /* of a transient op: nn_dnnl_op_packed_bytes of scratch */
    NN_SLOT_SCALES,  /* of a convolution of bytes: [out_channels] */
    NN_SLOT_COUNT,
    NN_SLOT_NONE = NN_SLOT_COUNT /* an operand that the op does not see */
};

struct nn_dnnl_op;

/* What a forward convolution does to each of its results v before it stores it. */
enum nn_post_kind {
    NN_POST_CLAMP = 1, /* min(max(v, lo), hi) */
    NN_POST_LEAKY,     /* v > 0 ? v : lo * v */
    NN_POST_SIGMOID,
    NN_POST_SWISH,      /* v * sigmoid(v) */
    NN_POST_HARD_SWISH, /* v * clamp(v / 6 + 1 / 2, 0, 1) */
    NN_POST_ADD         /* v + what the destination held */
};

struct nn_post {
    enum nn_post_kind kind;
    float lo, hi;
};

#define NN_POSTS_MAX 4

/* Winograd's algorithm: where oneDNN expects it to be faster, or wherever it has it. */
enum nn_winograd { NN_WINOGRAD_NEVER, NN_WINOGRAD_MAYBE, NN_WINOGRAD_ALWAYS };

struct nn_conv_spec {
    struct nn_window window;
    enum nn_pass pass;
    struct nn_format src, dst; /* of the activations, and of the gradients by them */
    enum nn_winograd winograd;
    int post_count;
    struct nn_post post[NN_POSTS_MAX];
    /* The packed weights live in NN_SLOT_PACKED during a run only, and every run packs: for
     * training, where the weights are new each time. */
    bool transient;
    /* A convolution of bytes (src.type U8, forward only, with bias) reads signed bytes as weights,
     * in ONNX's plain layout, and stores, as bytes or float32,
     * posts(scales[c] * (bias[c] + sum of (q - src_quant.zero) * weights)).
     * What NN_POST_ADD adds is of the destination's type, its bytes as sum_quant says. */
    struct nn_quant src_quant, dst_quant, sum_quant;
};

/* What `scales` of a convolution of bytes have to be multiplied by, besides the scales of source
 * and weights: its posts may work in steps of the destination instead of real numbers. */
float nn_conv_spec_factor(const struct nn_conv_spec *spec);

enum status nn_dnnl_conv_open(struct nn_dnnl *d, const struct nn_conv_spec *spec,
                              struct nn_dnnl_op **ret, struct error *err);

/* Whether oneDNN has more than a reference or GEMM implementation; for channels-last bfloat16, one
 * that is faster than float32's. */
bool nn_dnnl_conv_is_fast(struct nn_dnnl *d, const struct nn_conv_spec *spec);

/* Whether it has Winograd's algorithm for a spec that asks for it. */
bool nn_dnnl_conv_is_winograd(struct nn_dnnl *d, const struct nn_conv_spec *spec);

/* Whether the last of the spec's posts changes nothing about the implementation. */
bool nn_dnnl_conv_takes_post(struct nn_dnnl *d, const struct nn_conv_spec *spec);

/* A copy from one format to another; slots SRC and DST. rank up to 12; formats but PLAIN have
 * rank 4 (or CHANNELS_LAST more). Not for U8. */
enum status nn_dnnl_reorder_open(struct nn_dnnl *d, int rank, const int64_t *dim,
                                 struct nn_format from, struct nn_format to,
                                 struct nn_dnnl_op **ret, struct error *err);

/* training: the forward pass of max pooling fills a workspace that backward reads. */
enum status nn_dnnl_pool_open(struct nn_dnnl *d, const struct nn_window *w, enum nn_pool_kind kind,
                              enum nn_pass pass, bool training, struct nn_format format,
                              struct nn_dnnl_op **ret, struct error *err);
void nn_dnnl_op_close(struct nn_dnnl_op **op);

/* Bytes of the scratch slot; of the workspace slot; that the op itself holds. */
size_t nn_dnnl_op_scratch_bytes(const struct nn_dnnl_op *op);
size_t nn_dnnl_op_workspace_bytes(const struct nn_dnnl_op *op);
size_t nn_dnnl_op_own_bytes(const struct nn_dnnl_op *op);
size_t nn_dnnl_op_packed_bytes(const struct nn_dnnl_op *op); /* 0 unless transient */

/* oneDNN's name of the implementation, "ref:any" for a slow one. */
const char *nn_dnnl_op_implementation(const struct nn_dnnl_op *op);

/* Slots that the pass does not use are ignored, NN_SLOT_NONE among them. */
enum status nn_dnnl_op_bind(struct nn_dnnl_op *op, enum nn_slot slot, void *data);

/* Copies the bound plain weights into the primitive's layout: after they changed, before a run.
 * Nothing to do for a transient op. */
enum status nn_dnnl_op_pack(struct nn_dnnl_op *op);
enum status nn_dnnl_op_run(struct nn_dnnl_op *op);

/* C = alpha * op(A) op(B) + beta * C, row-major; op(A) is m x k, op(B) is k x n. */
enum status nn_sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                     const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                     int64_t ldc);

#endif
