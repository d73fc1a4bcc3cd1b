/* plan.h - from a graph to a flat list of steps over one arena (internal to src/nn).
 *
 * The plan is made in four passes when a session opens:
 *  1 layouts (layout.c): each tensor gets a layout; where a reader wants another one a conversion
 *    is put in. The result is a list of `struct nn_ir` over `struct nn_value`.
 *  2 emission (exec_*.c): each nn_ir appends its forward steps, then in reverse order its backward
 *    steps; buffers appear and are shared (aliases, in-place operations).
 *  3 lifetimes (plan.c): a buffer lives from the first to the last step that touches it.
 *  4 offsets (plan.c): buffers whose lifetimes do not overlap share bytes of the arena.
 *
 * Pass 1 also fuses (fuse.c): a step that does the work of several nodes is one nn_ir.
 *
 * Gradients: backward emission walks the list in reverse. A value's gradient is made by its
 * first contributor and added to by the others; a contributor that only passes a gradient on shares
 * its buffer, and whoever adds to a shared one makes a new one first.
 *
 * Owns:    a plan owns its steps, their arguments and oneDNN ops.
 * Threads: one at a time.
 */
#ifndef ATTUNE_NN_PLAN_H
#define ATTUNE_NN_PLAN_H

#include <assert.h>

#include "nn/dnnl.h"
#include "nn/format.h"
#include "nn/kernels_blocked.h"
#include "nn/model.h"
#include "nn/session.h"

#define NN_STEP_OPERANDS_MAX 16
#define NN_HUGE_PAGE_BYTES ((size_t)2 << 20)

/* Memory that steps read and write. External ones (parameters, constants) have `data` from the
 * start, the others get it when the arena is there. */
struct nn_buffer {
    size_t bytes;
    float *data;
    size_t offset;
    int first_step, last_step;
    int readers; /* forward reads still to be emitted */
    bool external;
    bool pinned;  /* lives as long as the session: inputs, outputs and their gradients */
    bool between; /* used only while weights are prepared, between two runs */
    bool saved;   /* the backward pass reads it */
};

/* A tensor in one format. */
struct nn_value {
    int tensor; /* of the graph */
    enum nn_layout layout;
    enum nn_type type;
    int rank;
    /* Strides and count are in elements; a blocked value counts its padding, and has no stride of
     * channels (0). */
    int64_t dim[NN_RANK_MAX], stride[NN_RANK_MAX], count;
    struct nn_quant quant; /* of bytes */
    int buffer;            /* -1: not emitted yet */
    int uses;              /* nn_ir inputs that are this value */
    int param;             /* index into the graph's params, -1 */
    bool constant;         /* folded data */
    bool saved;            /* the backward pass reads it */
    bool needs_grad;       /* a trainable parameter is upstream */
    int grad;              /* buffer of the gradient, -1: none yet */
    bool grad_owned;       /* nobody else reads `grad`: it may be added to in place */
};

/* An operation over values. node NULL: a layout conversion of in[0]. */
struct nn_ir {
    const struct nn_node *node;
    int input_count, output_count;
    int in[NN_NODE_INPUTS_MAX], out[NN_NODE_OUTPUTS_MAX]; /* values, -1: absent */
    float lo, hi; /* the result is clamped: an activation that was fused; infinite: none */
    /* A convolution of an inference session: the batch-norm behind it (whose parameters are
     * inputs NN_CONV_NORM and on), and what it does to its results (the tensor that it adds is
     * input NN_CONV_ADDEND). */
    const struct nn_node *norm;
    int post_count;
    struct nn_post post[NN_POSTS_MAX];
    bool alias;  /* output 0 is input 0 under other dims (Reshape, free conversions) */
    bool planar; /* Conv reads its input from before the channel shuffle (nn_window.planar) */
    /* A batch norm whose result is never made, and the depthwise convolution that makes it as it
     * reads the batch norm's input (exec_depthwise.c). */
    bool deferred;
    int before; /* index of that batch norm, -1: none */
    int sums;   /* of a deferred one's backward pass: a buffer, -1 */
    /* Such a convolution takes the sums of the batch norm behind it, and that leaves it the end of
     * its backward pass. Index of the batch norm here, of the convolution there, -1; what each
     * computes for the other: buffers, -1. */
    int after, moments, lines;
    bool late;     /* backward left something for the end of the pass, and is called once more */
    bool remakes;  /* its output is not kept: recompute.c makes it again when backward reads it */
    bool dead;     /* nobody reads its outputs, or another one does its work */
    int workspace; /* buffer kept from forward to backward, -1 */
    int end_step;  /* the forward steps before this one made its outputs */
};

/* Inputs of a convolution that fuse.c took over. */
enum { NN_CONV_NORM = 3, NN_CONV_ADDEND = NN_CONV_NORM + 4, NN_CONV_INPUTS };

struct nn_step {
    enum status (*run)(struct nn_step *s);
    /* Runs before the weights of `op` are packed, whenever parameters changed; NULL: nothing. */
    void (*prepare)(struct nn_step *s);
    int node; /* of the graph, for messages; -1: a conversion */
    int operand_count;
    int buffer[NN_STEP_OPERANDS_MAX];
    float *data[NN_STEP_OPERANDS_MAX]; /* the buffers' memory, once it is there */
    struct nn_dnnl_op *op;             /* owned, NULL for own kernels */
    enum nn_slot slot[NN_STEP_OPERANDS_MAX];
    void *args;                /* owned (free), whatever `run` needs */
    void (*clear)(void *args); /* what free alone would leak; NULL */
};

/* Steps of what is made again: up to all that batch norms made, then of what convolutions made. */
enum nn_remake { NN_REMAKE_NOTHING, NN_REMAKE_NORMS = 4, NN_REMAKE_MOST = 12 };

struct nn_plan {
    const struct nn_graph *graph;
    struct nn_session_options options;
    struct nn_dnnl *dnnl;  /* borrowed */
    float *params, *grads; /* borrowed; grads NULL without training */
    bool blocked;          /* convolutions work on blocks of channels */
    bool winograd;         /* those do that are faster by Winograd's algorithm: inference */
    int remake;            /* what is not kept for the backward pass: enum nn_remake */
    /* What convolutions of inference work on, channels-last: BF16, U8, or F32 as everywhere. */
    enum nn_type narrow;
    int *output_value; /* [graph output] */
    /* [tensor]: value by nn_format_index, [0] the one made first; -1: none */
    int (*tensor_value)[NN_FORMAT_COUNT + 1];
    struct nn_value *values;
    int value_count, value_capacity;
    struct nn_ir *irs;
    int ir_count, ir_capacity;
    struct nn_buffer *buffers;
    int buffer_count, buffer_capacity;
    struct nn_step *steps;
    int step_count, step_capacity;
    int forward_count; /* steps before this one are the forward pass */
    int *output_grad;  /* [graph output]: buffer, training only */
    size_t arena_bytes, own_bytes;
    void *arena;
    size_t arena_map_bytes;
    void **constants; /* owned copies */
    int constant_count;
    int node; /* being emitted, for messages; -1: a conversion */
};

/* Makes everything up to memory and bound primitives. On failure nn_plan_clear releases the rest.
 */
enum status nn_plan_make(struct nn_plan *p, struct error *err);
void nn_plan_clear(struct nn_plan *p);

/* Input i of a node, NULL when it is absent; its first output. */
static inline const struct nn_tensor *nn_tensor_in(const struct nn_plan *p, const struct nn_node *n,
                                                   int i)
{
    return i < n->input_count && n->input[i] >= 0 ? &p->graph->tensors[n->input[i]] : NULL;
}

static inline const struct nn_tensor *nn_tensor_out(const struct nn_plan *p,
                                                    const struct nn_node *n)
{
    return &p->graph->tensors[n->output[0]];
}

static inline bool nn_plan_is_output(const struct nn_plan *p, int value)
{
    for (int i = 0; i < p->graph->output_count; i++)
        if (p->output_value[i] == value)
            return true;
    return false;
}

static inline size_t nn_value_bytes(const struct nn_value *v)
{
    return (size_t)v->count * nn_type_bytes(v->type);
}

static inline struct nn_format nn_value_format(const struct nn_value *v)
{
    return (struct nn_format){v->layout, v->type};
}

static inline struct kernel_blocked nn_blocked_of(const struct nn_value *v)
{
    return (struct kernel_blocked){v->dim[0], v->dim[1], v->dim[2] * v->dim[3],
                                   v->type == NN_TYPE_BF16};
}

/* Whether ir is alive and reads the value. */
static inline bool nn_ir_reads(const struct nn_ir *ir, int value)
{
    for (int k = 0; !ir->dead && k < ir->input_count; k++)
        if (ir->in[k] == value)
            return true;
    return false;
}

/* What makes a value; NULL: nothing does (it is a source, or value is -1). */
static inline struct nn_ir *nn_plan_maker(const struct nn_plan *p, int value)
{
    for (int i = 0; value >= 0 && i < p->ir_count; i++)
        for (int o = 0; !p->irs[i].dead && o < p->irs[i].output_count; o++)
            if (p->irs[i].out[o] == value)
                return &p->irs[i];
    return NULL;
}

/* Appends a step that makes the output of a batch norm (exec_norm.c) or of a convolution
 * (exec_conv.c) again, into `buffer`. */
enum status nn_norm_remake(struct nn_plan *p, struct nn_ir *ir, int buffer, struct error *err);
enum status nn_conv_remake(struct nn_plan *p, struct nn_ir *ir, int buffer, struct error *err);

/* For development tools: what a session runs. */
struct nn_plan *nn_session_plan(struct nn_session *s);

/* Pass 1, in layout.c. */
enum status nn_plan_layouts(struct nn_plan *p, struct error *err);

/* Pass 2: what an operator does. `saves` marks values that backward will read; backward may be
 * NULL for an operator without gradients. */
struct nn_exec {
    void (*saves)(struct nn_plan *p, const struct nn_ir *ir);
    enum status (*forward)(struct nn_plan *p, struct nn_ir *ir, struct error *err);
    enum status (*backward)(struct nn_plan *p, struct nn_ir *ir, struct error *err);
};
const struct nn_exec *nn_exec_of(const struct nn_plan *p, const struct nn_ir *ir);

/* --- for exec_*.c --- */

/* Input i, NULL when it is absent. */
static inline struct nn_value *nn_optional(const struct nn_plan *p, const struct nn_ir *ir, int i)
{
    return i < ir->input_count && ir->in[i] >= 0 ? &p->values[ir->in[i]] : NULL;
}

/* An input that layout.c made sure is there. */
static inline struct nn_value *nn_in(const struct nn_plan *p, const struct nn_ir *ir, int i)
{
    assert(i < ir->input_count && ir->in[i] >= 0);
    return &p->values[ir->in[i]];
}

static inline struct nn_value *nn_out(const struct nn_plan *p, const struct nn_ir *ir, int i)
{
    return &p->values[ir->out[i]];
}

/* New arena buffer; negative when out of memory (never otherwise). */
int nn_plan_buffer(struct nn_plan *p, size_t bytes);

/* Appends a step; args_bytes of zeroed arguments at step->args (none for 0). The pointer is valid
 * until the next call. */
enum status nn_plan_step(struct nn_plan *p, enum status (*run)(struct nn_step *), size_t args_bytes,
                         struct nn_step **ret, struct error *err);
void nn_step_operand(struct nn_step *s, int buffer);

/* Appends a step with a copy of its arguments and `count` operands. */
enum status nn_plan_emit(struct nn_plan *p, enum status (*run)(struct nn_step *), const void *args,
                         size_t args_bytes, const int *buffer, int count, struct error *err);

/* Step that runs op (which it owns from now on, also on failure). */
enum status nn_plan_dnnl_step(struct nn_plan *p, struct nn_dnnl_op *op, struct nn_step **ret,
                              struct error *err);
void nn_step_slot(struct nn_step *s, enum nn_slot slot, int buffer);

/* Output `out` gets a buffer: that of input `in` when nobody else needs it (in -1: never). */
enum status nn_plan_output(struct nn_plan *p, struct nn_ir *ir, int out, int in, struct error *err);

/* Places output 0 (over: as `in` above) and emits a step from input 0 to it. */
enum status nn_plan_emit_forward(struct nn_plan *p, struct nn_ir *ir, int over,
                                 enum status (*run)(struct nn_step *), const void *args,
                                 size_t args_bytes, struct error *err);

/* The gradient by an output of ir (a buffer); -1 when nothing downstream has one. */
int nn_grad_of_output(const struct nn_plan *p, const struct nn_ir *ir, int out);

/* Where to write a contribution to value's gradient. With can_add the kernel can add to what is
 * there, and must when *ret_add is set. nn_grad_done follows once the step is appended. */
enum status nn_grad_begin(struct nn_plan *p, int value, bool can_add, int *ret_buffer,
                          bool *ret_add, struct error *err);

/* nn_grad_begin of input 0 for a kernel that may write over the gradient by output 0. */
enum status nn_grad_begin_over(struct nn_plan *p, const struct nn_ir *ir, int *ret_buffer,
                               bool *ret_add, struct error *err);
enum status nn_grad_done(struct nn_plan *p, int value, int buffer, struct error *err);

/* Emits a step from the gradient by output 0 to that by input 0, which can add: `add`, a member of
 * the arguments, says whether it does. */
enum status nn_plan_emit_backward(struct nn_plan *p, struct nn_ir *ir,
                                  enum status (*run)(struct nn_step *), const void *args,
                                  size_t args_bytes, bool *add, struct error *err);

/* The contribution is the content of `buffer` as it is; give: nobody else reads that any more. */
enum status nn_grad_share(struct nn_plan *p, int value, int buffer, bool give, struct error *err);

/* "NODE (Op): why"; returns ST_UNSUPPORTED. */
enum status nn_plan_refuse(const struct nn_plan *p, struct error *err, const char *why);

/* A value of the tensor, not made by any nn_ir yet; negative: out of memory. */
int nn_plan_value(struct nn_plan *p, int tensor, struct nn_format format);

/* What the values of a tensor lie in, as the options or the file say. */
static inline struct nn_range nn_plan_range(const struct nn_plan *p, int tensor)
{
    return p->options.ranges ? p->options.ranges[tensor] : p->graph->tensors[tensor].range;
}

/* Whether a MatMul works on NHWC images by a sparse matrix (exec_matmul.c). */
bool nn_matmul_is_sparse(const struct nn_graph *g, const struct nn_node *n);

/* Whether exec_depthwise.c can run the convolution and the batch norm before it. */
bool nn_depthwise_takes_norm(const struct nn_plan *p, const struct nn_ir *conv,
                             const struct nn_ir *norm);

/* What oneDNN is asked for a convolution's forward pass; false: conv_group.h runs it. */
bool nn_conv_spec_of(const struct nn_plan *p, const struct nn_ir *ir, struct nn_conv_spec *ret);

/* The memory of a convolution's result: that of the tensor that it is added to, if there is one. */
enum status nn_conv_place_result(struct nn_plan *p, struct nn_ir *ir, struct error *err);

/* The window of a convolution or pooling node for the session's batch; that of an nn_ir also knows
 * what layout.c decided. */
struct nn_window nn_window_of_node(const struct nn_plan *p, const struct nn_node *n);
struct nn_window nn_window_of(const struct nn_plan *p, const struct nn_ir *ir);

extern const struct nn_exec nn_exec_conv, nn_exec_pool, nn_exec_global_pool, nn_exec_batch_norm,
    nn_exec_unary, nn_exec_prelu, nn_exec_binary, nn_exec_softmax, nn_exec_concat, nn_exec_split,
    nn_exec_slice, nn_exec_pad, nn_exec_reshape, nn_exec_transpose, nn_exec_gather, nn_exec_matmul,
    nn_exec_gemm, nn_exec_reduce, nn_exec_resize, nn_exec_convert, nn_exec_scale,
    nn_exec_norm_depthwise;

#endif
