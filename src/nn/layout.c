/* Pass 1 of the plan: a layout for every tensor, conversions where a reader wants another one.
 *
 * Windows (convolution, pooling), resize and batch-norm take and give channels-last. Elementwise
 * operators and those that copy keep what their input has, matrix products are row-major, and a
 * reshape is free in either layout when it leaves N and the last two dimensions alone, else in
 * row-major only. Conversions that would not move anything (a 1 x 1 image) are aliases. Also here:
 * the checks that a graph made for one image holds for a batch. */
#include "nn/conv_group.h"
#include "nn/exec_bytes.h"
#include "nn/formats.h"
#include "nn/fuse.h"
#include "nn/kernels_bytes.h"
#include "nn/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum status nomem(struct error *err)
{
    return error_set(err, ST_NOMEM, "out of memory while planning a session");
}

static void blocked_strides(struct nn_value *v)
{
    int64_t blocks = (v->dim[1] + NN_BLOCK_CHANNELS - 1) / NN_BLOCK_CHANNELS;
    v->stride[3] = NN_BLOCK_CHANNELS;
    v->stride[2] = v->dim[3] * v->stride[3];
    v->stride[1] = 0;
    v->stride[0] = v->dim[2] * v->stride[2] * blocks;
    v->count = v->dim[0] * v->stride[0];
}

static void value_strides(struct nn_value *v)
{
    if (v->layout == NN_LAYOUT_BLOCKED) {
        blocked_strides(v);
        return;
    }
    int64_t stride = 1;
    for (int i = v->rank; i-- > 0;) {
        int d = nn_memory_dimension(v->layout, v->rank, i);
        v->stride[d] = stride;
        stride *= v->dim[d];
    }
    v->count = stride;
}

int nn_plan_value(struct nn_plan *p, int tensor, struct nn_format format)
{
    if (p->value_count == p->value_capacity) {
        int capacity = p->value_capacity ? p->value_capacity * 2 : 256;
        struct nn_value *grown = realloc(p->values, (size_t)capacity * sizeof *grown);
        if (!grown)
            return -1;
        p->values = grown;
        p->value_capacity = capacity;
    }
    const struct nn_tensor *t = &p->graph->tensors[tensor];
    struct nn_value v = {.tensor = tensor,
                         .layout = format.layout,
                         .type = format.type,
                         .rank = t->rank,
                         .buffer = -1,
                         .param = -1,
                         .grad = -1};
    memcpy(v.dim, t->dim, sizeof v.dim);
    if (t->batched && t->rank > 0)
        v.dim[0] *= p->options.batch;
    value_strides(&v);
    int id = p->value_count++;
    int *of_tensor = p->tensor_value[tensor];
    if (of_tensor[0] < 0)
        of_tensor[0] = id;
    of_tensor[nn_format_index(format)] = id;
    if (v.type == NN_TYPE_U8)
        v.quant = kernel_quant_of(nn_plan_range(p, tensor).lo, nn_plan_range(p, tensor).hi);
    p->values[id] = v;
    return id;
}

/* Whether all that a graph's input is for is convolutions that read plain images. */
static bool is_read_plain(const struct nn_plan *p, int tensor)
{
    int readers = 0;
    for (int i = 0; i < p->graph->node_count; i++) {
        const struct nn_node *n = &p->graph->nodes[i];
        for (int k = 0; k < n->input_count; k++) {
            struct nn_format in, out;
            if (n->input[k] != tensor)
                continue;
            if (n->op != NN_OP_CONV || k != 0 || p->graph->tensors[tensor].rank != 4)
                return false;
            nn_conv_formats(p, n, true, &in, &out);
            if (in.layout != NN_LAYOUT_PLAIN)
                return false;
            readers++;
        }
    }
    return readers > 0;
}

/* What sources come in and outputs go out as. */
static struct nn_format outside_format(const struct nn_plan *p, int tensor)
{
    const struct nn_tensor *t = &p->graph->tensors[tensor];
    bool image = t->kind != NN_TENSOR_PARAM && t->kind != NN_TENSOR_CONSTANT && t->rank >= 4;
    if (t->kind == NN_TENSOR_INPUT && is_read_plain(p, tensor))
        image = false;
    return (struct nn_format){image ? NN_LAYOUT_CHANNELS_LAST : NN_LAYOUT_PLAIN, NN_TYPE_F32};
}

static bool trains(const struct nn_plan *p, int param)
{
    return p->options.mode == NN_TRAIN && p->graph->params[param].kind == NN_PARAM_TRAINABLE &&
           (!p->options.frozen || !p->options.frozen[param]);
}

/* The value that a tensor was first made as; sources come into being here. */
static int value_first(struct nn_plan *p, int tensor)
{
    if (p->tensor_value[tensor][0] >= 0)
        return p->tensor_value[tensor][0];
    const struct nn_tensor *t = &p->graph->tensors[tensor];
    int id = nn_plan_value(p, tensor, outside_format(p, tensor));
    if (id < 0)
        return id;
    struct nn_value *v = &p->values[id];
    v->constant = t->kind == NN_TENSOR_CONSTANT;
    if (t->kind == NN_TENSOR_PARAM) {
        v->param = t->param;
        v->needs_grad = trains(p, t->param);
    }
    return id;
}

static struct nn_ir ir_of(const struct nn_node *node)
{
    return (struct nn_ir){.node = node,
                          .workspace = -1,
                          .before = -1,
                          .after = -1,
                          .moments = -1,
                          .lines = -1,
                          .sums = -1,
                          .lo = -INFINITY,
                          .hi = INFINITY};
}

static struct nn_ir *ir_new(struct nn_plan *p, const struct nn_node *node)
{
    if (p->ir_count == p->ir_capacity) {
        int capacity = p->ir_capacity ? p->ir_capacity * 2 : 256;
        struct nn_ir *grown = realloc(p->irs, (size_t)capacity * sizeof *grown);
        if (!grown)
            return NULL;
        p->irs = grown;
        p->ir_capacity = capacity;
    }
    struct nn_ir *ir = &p->irs[p->ir_count++];
    *ir = ir_of(node);
    return ir;
}

static bool same_memory(const struct nn_value *a, const struct nn_value *b)
{
    if (a->type != b->type || a->layout == NN_LAYOUT_BLOCKED || b->layout == NN_LAYOUT_BLOCKED)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] > 1 && a->stride[i] != b->stride[i])
            return false;
    return true;
}

/* Bytes are converted from and to float32 in their own layout only. */
static bool takes_two_steps(const struct nn_value *from, struct nn_format to)
{
    return from->layout != to.layout && (from->type == NN_TYPE_U8) != (to.type == NN_TYPE_U8);
}

/* The tensor in this format, converted when it is not there yet; negative: out of memory. */
static int value_as(struct nn_plan *p, int tensor, struct nn_format format)
{
    int first = value_first(p, tensor), at = nn_format_index(format);
    if (first < 0 || p->tensor_value[tensor][at] >= 0)
        return first < 0 ? first : p->tensor_value[tensor][at];
    if (takes_two_steps(&p->values[first], format)) {
        first = value_as(p, tensor, (struct nn_format){NN_LAYOUT_CHANNELS_LAST, NN_TYPE_F32});
        if (first < 0)
            return first;
    }
    int id = nn_plan_value(p, tensor, format);
    struct nn_ir *ir = id < 0 ? NULL : ir_new(p, NULL);
    if (!ir)
        return -1;
    ir->input_count = ir->output_count = 1;
    ir->in[0] = first;
    ir->out[0] = id;
    ir->alias = same_memory(&p->values[first], &p->values[id]);
    p->values[id].needs_grad = p->values[first].needs_grad;
    p->values[first].uses++;
    return id;
}

/* The tensor in a format whose strides tell all: float32, not blocked. */
static int value_strided(struct nn_plan *p, int tensor)
{
    int first = value_first(p, tensor);
    bool good = first < 0 || (p->values[first].layout != NN_LAYOUT_BLOCKED &&
                              p->values[first].type == NN_TYPE_F32);
    return good ? first : value_as(p, tensor, outside_format(p, tensor));
}

static enum nn_layout layout_of(const struct nn_plan *p, int tensor)
{
    int id = p->tensor_value[tensor][0];
    return id < 0 ? NN_LAYOUT_PLAIN : p->values[id].layout;
}

/* Both keep N and the last two dimensions: only the names of the channels change. */
static bool reshapes_channels(const struct nn_tensor *x, const struct nn_tensor *y)
{
    return x->rank >= 4 && y->rank >= 4 && x->dim[0] == y->dim[0] && x->batched == y->batched &&
           x->dim[x->rank - 1] == y->dim[y->rank - 1] && x->dim[x->rank - 2] == y->dim[y->rank - 2];
}

/* N stays first and the last two dimensions stay the last two, in either order. */
static bool transposes_within(const struct nn_node *n, int rank)
{
    int a = n->a.transpose.perm[rank - 1], b = n->a.transpose.perm[rank - 2];
    return rank >= 4 && n->a.transpose.perm[0] == 0 && a >= rank - 2 && b >= rank - 2;
}

/* What a node that knows no blocks gets. */
static enum nn_layout image_layout(const struct nn_plan *p, int tensor)
{
    enum nn_layout l = layout_of(p, tensor);
    return l == NN_LAYOUT_BLOCKED ? NN_LAYOUT_CHANNELS_LAST : l;
}

static enum nn_layout agreed_layout(const struct nn_plan *p, const struct nn_node *n)
{
    int rank = nn_tensor_out(p, n)->rank;
    for (int i = 0; i < n->input_count; i++) {
        const struct nn_tensor *t = nn_tensor_in(p, n, i);
        if (t && t->rank == rank && image_layout(p, n->input[i]) == NN_LAYOUT_CHANNELS_LAST)
            return NN_LAYOUT_CHANNELS_LAST;
    }
    return NN_LAYOUT_PLAIN;
}

/* The layout that a node works in without blocks: of its outputs, and of its inputs of the same
 * rank. */
static enum nn_layout node_layout(const struct nn_plan *p, const struct nn_node *n)
{
    const struct nn_tensor *x = nn_tensor_in(p, n, 0), *y = nn_tensor_out(p, n);
    enum nn_layout of_x = image_layout(p, n->input[0]);
    switch (n->op) {
    case NN_OP_CONV:
    case NN_OP_CONV_TRANSPOSE:
    case NN_OP_MAX_POOL:
    case NN_OP_AVERAGE_POOL:
    case NN_OP_GLOBAL_AVERAGE_POOL:
    case NN_OP_RESIZE:
    case NN_OP_BATCH_NORM:
        return x->rank >= 4 ? NN_LAYOUT_CHANNELS_LAST : NN_LAYOUT_PLAIN;
    case NN_OP_ADD:
    case NN_OP_SUB:
    case NN_OP_MUL:
    case NN_OP_DIV:
    case NN_OP_CONCAT:
        return agreed_layout(p, n);
    case NN_OP_RESHAPE:
        return of_x == NN_LAYOUT_CHANNELS_LAST && reshapes_channels(x, y) ? of_x : NN_LAYOUT_PLAIN;
    case NN_OP_TRANSPOSE:
        return transposes_within(n, x->rank) ? of_x : NN_LAYOUT_PLAIN;
    case NN_OP_GATHER:
        return x->rank == y->rank ? of_x : NN_LAYOUT_PLAIN;
    case NN_OP_MATMUL:
        return nn_matmul_is_sparse(p->graph, n) ? of_x : NN_LAYOUT_PLAIN;
    case NN_OP_GEMM:
        return NN_LAYOUT_PLAIN;
    default:
        return of_x;
    }
}

static bool reads_narrow(const struct nn_plan *p, const struct nn_node *n)
{
    for (int i = 0; i < n->input_count; i++) {
        int id = n->input[i] < 0 ? -1 : p->tensor_value[n->input[i]][0];
        if (id >= 0 && p->values[id].type == p->narrow)
            return true;
    }
    return false;
}

/* Blocks, bfloat16 and bytes where an input has them and the node can go on with them. */
static struct nn_format node_format(const struct nn_plan *p, const struct nn_node *n)
{
    struct nn_format f = {node_layout(p, n), NN_TYPE_F32};
    bool blocked = false, bf16 = false;
    for (int i = 0; (p->blocked || p->winograd) && i < n->input_count; i++) {
        int id = n->input[i] < 0 ? -1 : p->tensor_value[n->input[i]][0];
        bool is_blocked = id >= 0 && p->values[id].layout == NN_LAYOUT_BLOCKED;
        blocked = blocked || is_blocked;
        bf16 = bf16 || (is_blocked && p->values[id].type == NN_TYPE_BF16);
    }
    if (p->narrow != NN_TYPE_F32 && f.layout == NN_LAYOUT_CHANNELS_LAST && reads_narrow(p, n) &&
        nn_node_narrow(p, n))
        f.type = p->narrow;
    if (!blocked || !nn_node_blocks(p, n))
        return f;
    f.layout = NN_LAYOUT_BLOCKED;
    f.type = bf16 && nn_node_bf16(p, n) ? NN_TYPE_BF16 : NN_TYPE_F32;
    return f;
}

/* The formats of a node's first input and of its outputs. */
static void node_formats(const struct nn_plan *p, const struct nn_node *n, struct nn_format *ret_in,
                         struct nn_format *ret_out)
{
    bool conv = n->op == NN_OP_CONV || n->op == NN_OP_CONV_TRANSPOSE;
    if (conv) {
        nn_conv_formats(p, n, nn_tensor_in(p, n, 0)->kind == NN_TENSOR_INPUT, ret_in, ret_out);
        return;
    }
    *ret_in = *ret_out = node_format(p, n);
    if (n->op == NN_OP_GLOBAL_AVERAGE_POOL)
        ret_out->type = NN_TYPE_F32;
}

/* The format that an input but the first is wanted in, where it has the rank of the output. */
static struct nn_format other_format(const struct nn_plan *p, const struct nn_node *n, int i,
                                     struct nn_format f)
{
    if (n->op == NN_OP_PRELU || nn_is_channel_vector(nn_tensor_in(p, n, i), nn_tensor_out(p, n)))
        f.type = NN_TYPE_F32;
    return f;
}

/* Operators that read their input through its strides, whatever the layout of their output. */
static bool reads_any_layout(enum nn_op op)
{
    return op == NN_OP_TRANSPOSE || op == NN_OP_GATHER;
}

static enum status needs_images(const struct nn_plan *p, const struct nn_node *n, struct error *err)
{
    bool image = n->op == NN_OP_CONV || n->op == NN_OP_CONV_TRANSPOSE || n->op == NN_OP_MAX_POOL ||
                 n->op == NN_OP_AVERAGE_POOL || n->op == NN_OP_GLOBAL_AVERAGE_POOL ||
                 n->op == NN_OP_RESIZE;
    if (image && nn_tensor_in(p, n, 0)->rank != 4)
        return nn_plan_refuse(p, err, "only images (two spatial dimensions) are supported");
    return ST_OK;
}

static bool works_on_dimension_0(const struct nn_plan *p, const struct nn_node *n)
{
    switch (n->op) {
    case NN_OP_SOFTMAX:
    case NN_OP_CONCAT:
    case NN_OP_SPLIT:
    case NN_OP_GATHER:
        return n->a.axis.axis == 0;
    case NN_OP_SLICE:
    case NN_OP_PAD:
        return nn_tensor_in(p, n, 0)->dim[0] != nn_tensor_out(p, n)->dim[0];
    case NN_OP_REDUCE_MEAN:
    case NN_OP_REDUCE_SUM:
        return n->a.reduce.axes & 1;
    case NN_OP_TRANSPOSE:
        return n->a.transpose.perm[0] != 0;
    case NN_OP_GEMM:
        return n->a.gemm.trans_a;
    default:
        return false;
    }
}

/* A larger batch than the file's one image: dimension 0 has to be the batch all the way through. */
static enum status holds_for_batch(const struct nn_plan *p, const struct nn_node *n,
                                   struct error *err)
{
    static const char why[] = "its shape is fixed for a batch of one: export the model with a "
                              "dynamic batch, or use batch 1";
    bool batched = nn_tensor_out(p, n)->batched;
    for (int i = 0; i < n->input_count; i++) {
        const struct nn_tensor *t = nn_tensor_in(p, n, i);
        if (!t || t->kind == NN_TENSOR_PARAM)
            continue;
        if (t->batched && (!batched || works_on_dimension_0(p, n)))
            return nn_plan_refuse(p, err, why);
        if (!t->batched && batched && (n->op == NN_OP_CONCAT || n->op == NN_OP_RESHAPE))
            return nn_plan_refuse(p, err, why);
    }
    return ST_OK;
}

/* How many of its inputs an operator cannot do without. */
static int required_inputs(const struct nn_node *n)
{
    switch (n->op) {
    case NN_OP_CONCAT:
        return n->input_count;
    case NN_OP_BATCH_NORM:
        return 5;
    case NN_OP_CONV:
    case NN_OP_CONV_TRANSPOSE:
    case NN_OP_PRELU:
    case NN_OP_ADD:
    case NN_OP_SUB:
    case NN_OP_MUL:
    case NN_OP_DIV:
    case NN_OP_MATMUL:
    case NN_OP_GEMM:
        return 2;
    default:
        return 1;
    }
}

static enum status has_inputs(const struct nn_plan *p, const struct nn_node *n, struct error *err)
{
    for (int i = 0; i < required_inputs(n); i++)
        if (!nn_tensor_in(p, n, i) || nn_tensor_in(p, n, i)->dtype != NN_F32)
            return nn_plan_refuse(p, err, "an input is missing or is not float32");
    if (n->output_count < 1 || n->output[0] < 0 || nn_tensor_out(p, n)->dtype != NN_F32)
        return nn_plan_refuse(p, err, "its output is missing or is not float32");
    return ST_OK;
}

/* The node that makes a tensor as a channels-last image, if it is of this operator. */
static const struct nn_node *maker(const struct nn_plan *p, int tensor, enum nn_op op)
{
    int node = p->graph->tensors[tensor].producer;
    bool fits = node >= 0 && p->graph->nodes[node].op == op &&
                layout_of(p, tensor) == NN_LAYOUT_CHANNELS_LAST;
    return fits ? &p->graph->nodes[node] : NULL;
}

/* What a convolution's input is a channel shuffle of (Reshape [N,k,groups,H,W], Transpose, Reshape)
 * such that the channels of a group lie `groups` apart before it; -1: not of that kind. */
static int before_shuffle(const struct nn_plan *p, const struct nn_node *conv)
{
    static const int swap[5] = {0, 2, 1, 3, 4};
    const struct nn_node *merge = maker(p, conv->input[0], NN_OP_RESHAPE);
    const struct nn_node *turn = merge ? maker(p, merge->input[0], NN_OP_TRANSPOSE) : NULL;
    const struct nn_node *part = turn ? maker(p, turn->input[0], NN_OP_RESHAPE) : NULL;
    if (!part || layout_of(p, part->input[0]) != NN_LAYOUT_CHANNELS_LAST)
        return -1;
    const struct nn_tensor *x = &p->graph->tensors[part->input[0]], *five = nn_tensor_out(p, part);
    if (x->rank != 4 || five->rank != 5 || memcmp(turn->a.transpose.perm, swap, sizeof swap) != 0)
        return -1;
    return five->dim[2] == conv->a.window.groups ? p->tensor_value[part->input[0]][0] : -1;
}

/* Where the kernels for small groups run a convolution, it reads around the shuffle. */
static void skip_shuffle(struct nn_plan *p, struct nn_ir *conv)
{
    int source = before_shuffle(p, conv->node);
    struct nn_window w = nn_window_of(p, conv);
    if (source < 0 || !nn_group_is_better(&w, NN_PASS_FORWARD) ||
        !nn_group_is_better(&w, NN_PASS_BACKWARD_DATA) ||
        !nn_group_is_better(&w, NN_PASS_BACKWARD_WEIGHTS))
        return;
    p->values[conv->in[0]].uses--;
    p->values[source].uses++;
    conv->in[0] = source;
    conv->planar = true;
}

/* Shuffles that nobody reads any more. */
static void mark_dead(struct nn_plan *p)
{
    for (int i = p->ir_count; i-- > 0;) {
        struct nn_ir *ir = &p->irs[i];
        ir->dead = true;
        for (int o = 0; o < ir->output_count; o++)
            if (ir->out[o] >= 0 &&
                (p->values[ir->out[o]].uses > 0 || nn_plan_is_output(p, ir->out[o])))
                ir->dead = false;
        for (int k = 0; ir->dead && k < ir->input_count; k++)
            if (ir->in[k] >= 0)
                p->values[ir->in[k]].uses--;
    }
}

static enum status lower_node(struct nn_plan *p, const struct nn_node *n, struct error *err)
{
    enum status st = has_inputs(p, n, err);
    if (!st)
        st = needs_images(p, n, err);
    if (!st && p->options.batch > 1)
        st = holds_for_batch(p, n, err);
    if (st)
        return st;
    struct nn_format in, out;
    node_formats(p, n, &in, &out);
    int rank = nn_tensor_out(p, n)->rank;
    struct nn_ir made = ir_of(n);
    made.input_count = n->input_count;
    made.output_count = n->output_count;
    bool needs_grad = false;
    for (int i = 0; i < n->input_count; i++) {
        made.in[i] = -1;
        if (n->input[i] < 0 || p->graph->tensors[n->input[i]].dtype != NN_F32)
            continue;
        bool follows = (i == 0 || p->graph->tensors[n->input[i]].rank == rank) &&
                       n->op != NN_OP_CONV && n->op != NN_OP_CONV_TRANSPOSE;
        int id;
        if (reads_any_layout(n->op))
            id = value_strided(p, n->input[i]);
        else if (i == 0)
            id = value_as(p, n->input[i], in);
        else
            id = follows ? value_as(p, n->input[i], other_format(p, n, i, in))
                         : value_first(p, n->input[i]);
        if (id < 0)
            return nomem(err);
        made.in[i] = id;
        p->values[id].uses++;
        needs_grad = needs_grad || p->values[id].needs_grad;
    }
    for (int i = 0; i < n->output_count; i++) {
        made.out[i] = n->output[i] < 0 ? -1 : nn_plan_value(p, n->output[i], out);
        if (n->output[i] >= 0 && made.out[i] < 0)
            return nomem(err);
        if (made.out[i] < 0)
            continue;
        p->values[made.out[i]].needs_grad = needs_grad;
        if (nn_node_keeps_quant(n))
            p->values[made.out[i]].quant = p->values[made.in[0]].quant;
    }
    struct nn_ir *ir = ir_new(p, n);
    if (!ir)
        return nomem(err);
    *ir = made;
    ir->alias = n->op == NN_OP_RESHAPE;
    if (n->op == NN_OP_CONV)
        skip_shuffle(p, ir);
    return ST_OK;
}

/* The tensor that the session gives as output i. */
static int output_tensor(const struct nn_plan *p, int i)
{
    const struct nn_graph *g = p->graph;
    int tensor = g->outputs[i], producer = g->tensors[tensor].producer;
    const struct nn_node *n = producer >= 0 ? &g->nodes[producer] : NULL;
    bool probabilities = n && n->op == NN_OP_SOFTMAX && n->a.axis.axis == 1;
    return p->options.logits && probabilities ? n->input[0] : tensor;
}

enum status nn_plan_layouts(struct nn_plan *p, struct error *err)
{
    const struct nn_graph *g = p->graph;
    p->tensor_value = calloc((size_t)g->tensor_count + 1, sizeof *p->tensor_value);
    p->output_value = calloc((size_t)g->output_count + 1, sizeof *p->output_value);
    if (!p->tensor_value || !p->output_value)
        return nomem(err);
    p->blocked = nn_plan_wants_blocks(p);
    p->winograd = p->options.mode == NN_INFER && p->options.winograd && !p->options.channels_last &&
                  p->options.precision == NN_PRECISION_F32;
    p->narrow = nn_plan_narrow_type(p);
    for (int i = 0; i < g->tensor_count; i++)
        for (int k = 0; k <= NN_FORMAT_COUNT; k++)
            p->tensor_value[i][k] = -1;
    for (int i = 0; i < g->input_count; i++)
        if (value_first(p, g->inputs[i]) < 0)
            return nomem(err);
    for (int i = 0; i < g->node_count; i++) {
        p->node = i;
        enum status st = lower_node(p, &g->nodes[i], err);
        if (st)
            return st;
    }
    for (int i = 0; i < g->output_count; i++) {
        p->output_value[i] = value_strided(p, output_tensor(p, i));
        if (p->output_value[i] < 0)
            return nomem(err);
    }
    mark_dead(p);
    nn_plan_fuse(p);
    if (p->narrow != NN_TYPE_U8)
        return ST_OK;
    enum status st = nn_plan_widen(p, err);
    mark_dead(p);
    return st;
}
