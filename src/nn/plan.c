/* Passes 2 to 4 of the plan: emission, lifetimes, offsets, and the tools that exec_*.c emit with.
 *
 * Offsets are assigned greedily, largest buffer first, each at the lowest place that is free over
 * its lifetime. The arena is one anonymous mapping for which huge pages are advised. */
#include "nn/plan.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nn/exec_bytes.h"
#include "nn/inspect.h"
#include "nn/kernels.h"
#include "nn/pixels.h"
#include "nn/recompute.h"

#define ALIGNMENT_BYTES 64
#define ARENA_BYTES_MAX ((size_t)1 << 40)

enum status nn_plan_refuse(const struct nn_plan *p, struct error *err, const char *why)
{
    if (p->node < 0)
        return error_set(err, ST_UNSUPPORTED, "a layout conversion: %s", why);
    const struct nn_node *n = &p->graph->nodes[p->node];
    return error_set(err, ST_UNSUPPORTED, "node '%s' (%s): %s", n->name, nn_op_name(n->op), why);
}

static enum status nomem(struct error *err)
{
    return error_set(err, ST_NOMEM, "out of memory while planning a session");
}

/* --- tools for emission --- */

int nn_plan_buffer(struct nn_plan *p, size_t bytes)
{
    if (p->buffer_count == p->buffer_capacity) {
        int capacity = p->buffer_capacity ? p->buffer_capacity * 2 : 256;
        struct nn_buffer *grown = realloc(p->buffers, (size_t)capacity * sizeof *grown);
        if (!grown)
            return -1;
        p->buffers = grown;
        p->buffer_capacity = capacity;
    }
    p->buffers[p->buffer_count] = (struct nn_buffer){.bytes = bytes, .first_step = -1};
    return p->buffer_count++;
}

static int external_buffer(struct nn_plan *p, float *data, size_t bytes)
{
    int b = nn_plan_buffer(p, bytes);
    if (b >= 0) {
        p->buffers[b].external = true;
        p->buffers[b].data = data;
    }
    return b;
}

enum status nn_plan_step(struct nn_plan *p, enum status (*run)(struct nn_step *), size_t args_bytes,
                         struct nn_step **ret, struct error *err)
{
    if (p->step_count == p->step_capacity) {
        int capacity = p->step_capacity ? p->step_capacity * 2 : 256;
        struct nn_step *grown = realloc(p->steps, (size_t)capacity * sizeof *grown);
        if (!grown)
            return nomem(err);
        p->steps = grown;
        p->step_capacity = capacity;
    }
    void *args = args_bytes ? calloc(1, args_bytes) : NULL;
    if (args_bytes && !args)
        return nomem(err);
    p->steps[p->step_count] = (struct nn_step){.run = run, .node = p->node, .args = args};
    *ret = &p->steps[p->step_count++];
    return ST_OK;
}

void nn_step_operand(struct nn_step *s, int buffer)
{
    assert(s->operand_count < NN_STEP_OPERANDS_MAX && buffer >= 0);
    s->buffer[s->operand_count++] = buffer;
}

enum status nn_plan_emit(struct nn_plan *p, enum status (*run)(struct nn_step *), const void *args,
                         size_t args_bytes, const int *buffer, int count, struct error *err)
{
    struct nn_step *s;
    enum status st = nn_plan_step(p, run, args_bytes, &s, err);
    if (st)
        return st;
    memcpy(s->args, args, args_bytes);
    for (int i = 0; i < count; i++)
        nn_step_operand(s, buffer[i]);
    return ST_OK;
}

void nn_step_slot(struct nn_step *s, enum nn_slot slot, int buffer)
{
    s->slot[s->operand_count] = slot;
    nn_step_operand(s, buffer);
}

static enum status run_dnnl(struct nn_step *s)
{
    return nn_dnnl_op_run(s->op);
}

/* Memory that the step has to itself while it runs. */
static enum status own_slot(struct nn_plan *p, struct nn_step *s, enum nn_slot slot, size_t bytes,
                            struct error *err)
{
    int buffer = bytes ? nn_plan_buffer(p, bytes) : 0;
    if (buffer < 0)
        return nomem(err);
    if (bytes)
        nn_step_slot(s, slot, buffer);
    return ST_OK;
}

enum status nn_plan_dnnl_step(struct nn_plan *p, struct nn_dnnl_op *op, struct nn_step **ret,
                              struct error *err)
{
    enum status st = nn_plan_step(p, run_dnnl, 0, ret, err);
    if (st) {
        nn_dnnl_op_close(&op);
        return st;
    }
    (*ret)->op = op;
    p->own_bytes += nn_dnnl_op_own_bytes(op);
    st = own_slot(p, *ret, NN_SLOT_SCRATCH, nn_dnnl_op_scratch_bytes(op), err);
    return st ? st : own_slot(p, *ret, NN_SLOT_PACKED, nn_dnnl_op_packed_bytes(op), err);
}

static void value_place(struct nn_plan *p, struct nn_value *v, int buffer)
{
    struct nn_buffer *b = &p->buffers[buffer];
    v->buffer = buffer;
    b->readers += v->uses;
    b->saved = b->saved || v->saved;
}

static bool may_overwrite(const struct nn_plan *p, const struct nn_value *in,
                          const struct nn_value *out)
{
    const struct nn_buffer *b = &p->buffers[in->buffer];
    return !b->external && !b->pinned && !b->saved && b->readers == 1 && in->count == out->count &&
           b->bytes == nn_value_bytes(out);
}

enum status nn_plan_output(struct nn_plan *p, struct nn_ir *ir, int out, int in, struct error *err)
{
    struct nn_value *v = nn_out(p, ir, out), *source = in >= 0 ? nn_in(p, ir, in) : NULL;
    int buffer = source && may_overwrite(p, source, v) ? source->buffer
                                                       : nn_plan_buffer(p, nn_value_bytes(v));
    if (buffer < 0)
        return nomem(err);
    value_place(p, v, buffer);
    return ST_OK;
}

enum status nn_plan_emit_forward(struct nn_plan *p, struct nn_ir *ir, int over,
                                 enum status (*run)(struct nn_step *), const void *args,
                                 size_t args_bytes, struct error *err)
{
    enum status st = nn_plan_output(p, ir, 0, over, err);
    if (st)
        return st;
    int buffer[] = {nn_in(p, ir, 0)->buffer, nn_out(p, ir, 0)->buffer};
    return nn_plan_emit(p, run, args, args_bytes, buffer, 2, err);
}

int nn_grad_of_output(const struct nn_plan *p, const struct nn_ir *ir, int out)
{
    return ir->out[out] >= 0 ? p->values[ir->out[out]].grad : -1;
}

/* --- gradients --- */

struct add_args {
    size_t count;
    enum nn_type type;
};

static enum status run_axpy(struct nn_step *s)
{
    const struct add_args *a = s->args;
    if (a->type == NN_TYPE_BF16)
        kernel_add_bf16(s->data[0], s->data[1], s->data[0], a->count, -INFINITY, INFINITY);
    else
        kernel_axpy(s->data[0], s->data[1], a->count, 1);
    return ST_OK;
}

static enum status run_duplicate(struct nn_step *s)
{
    const struct add_args *a = s->args;
    memcpy(s->data[0], s->data[1], a->count * nn_type_bytes(a->type));
    return ST_OK;
}

static enum status emit_pair(struct nn_plan *p, enum status (*run)(struct nn_step *), int to,
                             int from, const struct nn_value *v, struct error *err)
{
    const struct add_args a = {(size_t)v->count, v->type};
    const int buffer[] = {to, from};
    return nn_plan_emit(p, run, &a, sizeof a, buffer, 2, err);
}

static int grad_buffer(struct nn_plan *p, const struct nn_value *v)
{
    size_t bytes = nn_value_bytes(v);
    if (v->param >= 0)
        return external_buffer(p, p->grads + p->graph->params[v->param].offset, bytes);
    return nn_plan_buffer(p, bytes);
}

enum status nn_grad_begin(struct nn_plan *p, int value, bool can_add, int *ret_buffer,
                          bool *ret_add, struct error *err)
{
    const struct nn_value *v = &p->values[value];
    if (v->grad >= 0 && v->grad_owned && can_add) {
        *ret_buffer = v->grad;
        *ret_add = true;
        return ST_OK;
    }
    int buffer = v->grad < 0 ? grad_buffer(p, v) : nn_plan_buffer(p, nn_value_bytes(v));
    if (buffer < 0)
        return nomem(err);
    *ret_buffer = buffer;
    *ret_add = false;
    return ST_OK;
}

enum status nn_grad_begin_over(struct nn_plan *p, const struct nn_ir *ir, int *ret_buffer,
                               bool *ret_add, struct error *err)
{
    const struct nn_value *x = nn_in(p, ir, 0), *y = nn_out(p, ir, 0);
    if (x->grad >= 0 || x->param >= 0 || !y->grad_owned)
        return nn_grad_begin(p, ir->in[0], true, ret_buffer, ret_add, err);
    *ret_buffer = y->grad;
    *ret_add = false;
    return ST_OK;
}

enum status nn_grad_done(struct nn_plan *p, int value, int buffer, struct error *err)
{
    struct nn_value *v = &p->values[value];
    if (v->grad == buffer)
        return ST_OK;
    if (v->grad >= 0 && v->grad_owned)
        return emit_pair(p, run_axpy, v->grad, buffer, v, err);
    enum status st = ST_OK;
    if (v->grad >= 0)
        st = emit_pair(p, run_axpy, buffer, v->grad, v, err);
    v->grad = buffer;
    v->grad_owned = true;
    return st;
}

enum status nn_plan_emit_backward(struct nn_plan *p, struct nn_ir *ir,
                                  enum status (*run)(struct nn_step *), const void *args,
                                  size_t args_bytes, bool *add, struct error *err)
{
    int gx, gy = nn_grad_of_output(p, ir, 0);
    enum status st = nn_grad_begin(p, ir->in[0], true, &gx, add, err);
    if (!st)
        st = nn_plan_emit(p, run, args, args_bytes, (int[]){gy, gx}, 2, err);
    return st ? st : nn_grad_done(p, ir->in[0], gx, err);
}

enum status nn_grad_share(struct nn_plan *p, int value, int buffer, bool give, struct error *err)
{
    struct nn_value *v = &p->values[value];
    if (v->grad < 0 && v->param < 0) {
        v->grad = buffer;
        v->grad_owned = give;
        return ST_OK;
    }
    if (v->grad >= 0 && v->grad_owned)
        return emit_pair(p, run_axpy, v->grad, buffer, v, err);
    int copy;
    bool add;
    enum status st = nn_grad_begin(p, value, false, &copy, &add, err);
    if (!st)
        st = emit_pair(p, run_duplicate, copy, buffer, v, err);
    return st ? st : nn_grad_done(p, value, copy, err);
}

/* --- pass 2 --- */

/* A product of a blocked image and a number for each channel. */
static bool is_scale(const struct nn_plan *p, const struct nn_ir *ir)
{
    return ir->node->op == NN_OP_MUL && nn_out(p, ir, 0)->layout == NN_LAYOUT_BLOCKED &&
           nn_in(p, ir, 1)->count != nn_out(p, ir, 0)->count;
}

const struct nn_exec *nn_exec_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    static const struct nn_exec *const table[NN_OP_COUNT] = {
        [NN_OP_CONV] = &nn_exec_conv,
        [NN_OP_CONV_TRANSPOSE] = &nn_exec_conv,
        [NN_OP_BATCH_NORM] = &nn_exec_batch_norm,
        [NN_OP_RELU] = &nn_exec_unary,
        [NN_OP_LEAKY_RELU] = &nn_exec_unary,
        [NN_OP_PRELU] = &nn_exec_prelu,
        [NN_OP_CLIP] = &nn_exec_unary,
        [NN_OP_SIGMOID] = &nn_exec_unary,
        [NN_OP_HARD_SIGMOID] = &nn_exec_unary,
        [NN_OP_TANH] = &nn_exec_unary,
        [NN_OP_ELU] = &nn_exec_unary,
        [NN_OP_SOFTPLUS] = &nn_exec_unary,
        [NN_OP_ERF] = &nn_exec_unary,
        [NN_OP_EXP] = &nn_exec_unary,
        [NN_OP_SQRT] = &nn_exec_unary,
        [NN_OP_ABS] = &nn_exec_unary,
        [NN_OP_NEG] = &nn_exec_unary,
        [NN_OP_POW] = &nn_exec_unary,
        [NN_OP_SOFTMAX] = &nn_exec_softmax,
        [NN_OP_ADD] = &nn_exec_binary,
        [NN_OP_SUB] = &nn_exec_binary,
        [NN_OP_MUL] = &nn_exec_binary,
        [NN_OP_DIV] = &nn_exec_binary,
        [NN_OP_CONCAT] = &nn_exec_concat,
        [NN_OP_SPLIT] = &nn_exec_split,
        [NN_OP_SLICE] = &nn_exec_slice,
        [NN_OP_PAD] = &nn_exec_pad,
        [NN_OP_RESHAPE] = &nn_exec_reshape,
        [NN_OP_TRANSPOSE] = &nn_exec_transpose,
        [NN_OP_MATMUL] = &nn_exec_matmul,
        [NN_OP_GEMM] = &nn_exec_gemm,
        [NN_OP_MAX_POOL] = &nn_exec_pool,
        [NN_OP_AVERAGE_POOL] = &nn_exec_pool,
        [NN_OP_GLOBAL_AVERAGE_POOL] = &nn_exec_global_pool,
        [NN_OP_REDUCE_MEAN] = &nn_exec_reduce,
        [NN_OP_REDUCE_SUM] = &nn_exec_reduce,
        [NN_OP_RESIZE] = &nn_exec_resize,
        [NN_OP_GATHER] = &nn_exec_gather,
    };
    const struct nn_exec *of_bytes = nn_exec_bytes_of(p, ir);
    if (of_bytes)
        return of_bytes;
    if (!ir->node)
        return &nn_exec_convert;
    if (ir->before >= 0)
        return &nn_exec_norm_depthwise;
    return is_scale(p, ir) ? &nn_exec_scale : table[ir->node->op];
}

static int ir_node(const struct nn_plan *p, const struct nn_ir *ir)
{
    return ir->node ? (int)(ir->node - p->graph->nodes) : -1;
}

/* Values that no step makes: parameters and constants are read where they are, inputs are pinned.
 */
static enum status place_sources(struct nn_plan *p, struct error *err)
{
    for (int i = 0; i < p->value_count; i++) {
        struct nn_value *v = &p->values[i];
        const struct nn_tensor *t = &p->graph->tensors[v->tensor];
        if (p->tensor_value[v->tensor][0] != i || t->kind == NN_TENSOR_ACTIVATION)
            continue;
        size_t bytes = nn_value_bytes(v);
        int b = -1;
        if (t->kind == NN_TENSOR_PARAM) {
            b = external_buffer(p, p->params + p->graph->params[t->param].offset, bytes);
        } else if (t->kind == NN_TENSOR_CONSTANT) {
            b = external_buffer(p, (float *)(uintptr_t)t->data, bytes); /* only ever read */
        } else {
            b = nn_plan_buffer(p, bytes);
            if (b >= 0)
                p->buffers[b].pinned = true;
        }
        if (b < 0)
            return nomem(err);
        value_place(p, v, b);
    }
    return ST_OK;
}

static void mark_saved(struct nn_plan *p)
{
    if (p->options.mode != NN_TRAIN)
        return;
    for (int i = 0; i < p->ir_count; i++) {
        const struct nn_exec *exec = nn_exec_of(p, &p->irs[i]);
        bool trains = false;
        if (p->irs[i].dead)
            continue;
        for (int o = 0; o < p->irs[i].output_count; o++)
            trains = trains || (p->irs[i].out[o] >= 0 && nn_out(p, &p->irs[i], o)->needs_grad);
        if (exec->saves && trains)
            exec->saves(p, &p->irs[i]);
    }
}

/* Outputs are pinned, and so that nobody overwrites them, saved. */
static void pin_outputs(struct nn_plan *p)
{
    for (int i = 0; i < p->graph->output_count; i++)
        p->buffers[p->values[p->output_value[i]].buffer].pinned = true;
}

static void mark_outputs(struct nn_plan *p)
{
    for (int i = 0; i < p->graph->output_count; i++)
        p->values[p->output_value[i]].saved = true;
}

static enum status emit_forward(struct nn_plan *p, struct error *err)
{
    for (int i = 0; i < p->ir_count; i++) {
        struct nn_ir *ir = &p->irs[i];
        p->node = ir_node(p, ir);
        enum status st = ST_OK;
        if (ir->dead)
            continue;
        if (ir->alias)
            value_place(p, nn_out(p, ir, 0), nn_in(p, ir, 0)->buffer);
        else
            st = nn_exec_of(p, ir)->forward(p, ir, err);
        if (st)
            return st;
        ir->end_step = p->step_count;
        for (int k = 0; k < ir->input_count; k++)
            if (ir->in[k] >= 0)
                p->buffers[p->values[ir->in[k]].buffer].readers--;
    }
    return ST_OK;
}

static enum status seed_gradients(struct nn_plan *p, struct error *err)
{
    for (int i = 0; i < p->graph->output_count; i++) {
        int id = p->output_value[i];
        int b = nn_plan_buffer(p, nn_value_bytes(&p->values[id]));
        if (b < 0)
            return nomem(err);
        p->buffers[b].pinned = true;
        p->output_grad[i] = b;
        enum status st = nn_grad_share(p, id, b, false, err);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status emit_backward(struct nn_plan *p, struct error *err)
{
    enum status st = seed_gradients(p, err);
    for (int i = p->ir_count; !st && i-- > 0;) {
        struct nn_ir *ir = &p->irs[i];
        p->node = ir_node(p, ir);
        bool reached = false, wanted = false;
        for (int o = 0; o < ir->output_count; o++)
            reached = reached || nn_grad_of_output(p, ir, o) >= 0;
        for (int k = 0; k < ir->input_count; k++)
            wanted = wanted || (ir->in[k] >= 0 && nn_in(p, ir, k)->needs_grad);
        if (ir->dead || !reached || !wanted)
            continue;
        st = nn_recompute_inputs(p, ir, err);
        if (st)
            return st;
        if (ir->alias)
            st = nn_grad_share(p, ir->in[0], nn_out(p, ir, 0)->grad, nn_out(p, ir, 0)->grad_owned,
                               err);
        else if (nn_exec_of(p, ir)->backward)
            st = nn_exec_of(p, ir)->backward(p, ir, err);
    }
    return st;
}

/* When little of the arena is needed any more. */
static enum status emit_late(struct nn_plan *p, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < p->ir_count && !st; i++) {
        struct nn_ir *ir = &p->irs[i];
        p->node = ir_node(p, ir);
        if (ir->late)
            st = nn_exec_of(p, ir)->backward(p, ir, err);
    }
    return st;
}

static enum status emit(struct nn_plan *p, struct error *err)
{
    mark_saved(p);
    nn_recompute_mark(p);
    mark_outputs(p);
    enum status st = place_sources(p, err);
    if (!st)
        st = emit_forward(p, err);
    if (st)
        return st;
    pin_outputs(p);
    p->forward_count = p->step_count;
    if (p->options.mode == NN_TRAIN)
        st = emit_backward(p, err);
    return st ? st : emit_late(p, err);
}

/* --- passes 3 and 4 --- */

static void lifetimes(struct nn_plan *p)
{
    for (int i = 0; i < p->step_count; i++)
        for (int k = 0; k < p->steps[i].operand_count; k++) {
            struct nn_buffer *b = &p->buffers[p->steps[i].buffer[k]];
            if (b->first_step < 0)
                b->first_step = i;
            b->last_step = i;
        }
    int after = p->step_count;
    for (int i = 0; i < p->buffer_count; i++) {
        struct nn_buffer *b = &p->buffers[i];
        if (b->pinned) {
            b->first_step = 0;
            b->last_step = INT_MAX;
        } else if (b->between) { /* one after the other */
            b->first_step = b->last_step = after++;
        }
    }
}

static size_t padded(size_t bytes)
{
    return (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
}

/* Largest first; equal sizes in order of making, so that the plan is a function of the graph. */
static int by_size(const void *a, const void *b)
{
    const struct nn_buffer *const *x = a, *const *y = b;
    if ((*x)->bytes != (*y)->bytes)
        return (*x)->bytes > (*y)->bytes ? -1 : 1;
    return *x < *y ? -1 : *x > *y;
}

static bool overlap(const struct nn_buffer *a, const struct nn_buffer *b)
{
    return a->first_step <= b->last_step && b->first_step <= a->last_step;
}

/* placed[0..n) is sorted by offset: b goes into the first gap that is wide enough. Returns its
 * place in that order. */
static int place(struct nn_buffer **placed, int n, struct nn_buffer *b)
{
    size_t end = 0, bytes = padded(b->bytes);
    for (int i = 0; i < n; i++) {
        if (!overlap(placed[i], b))
            continue;
        if (placed[i]->offset >= end + bytes)
            break;
        size_t past = placed[i]->offset + padded(placed[i]->bytes);
        end = past > end ? past : end;
    }
    b->offset = end;
    int at = 0;
    while (at < n && placed[at]->offset <= end)
        at++;
    return at;
}

static enum status assign_offsets(struct nn_plan *p, struct error *err)
{
    struct nn_buffer **order = calloc((size_t)p->buffer_count * 2 + 1, sizeof(void *));
    if (!order)
        return nomem(err);
    struct nn_buffer **placed = order + p->buffer_count;
    int n = 0;
    for (int i = 0; i < p->buffer_count; i++)
        if (!p->buffers[i].external && p->buffers[i].first_step >= 0)
            order[n++] = &p->buffers[i];
    qsort(order, (size_t)n, sizeof *order, by_size);
    enum status st = ST_OK;
    for (int i = 0; i < n && !st; i++) {
        int at = place(placed, i, order[i]);
        memmove(placed + at + 1, placed + at, (size_t)(i - at) * sizeof *placed);
        placed[at] = order[i];
        size_t end = order[i]->offset + padded(order[i]->bytes);
        p->arena_bytes = end > p->arena_bytes ? end : p->arena_bytes;
        if (p->arena_bytes > ARENA_BYTES_MAX)
            st = error_set(err, ST_LIMIT,
                           "the session would need more than 1 TiB: use a smaller "
                           "batch or input");
    }
    free(order);
    return st;
}

static enum status arena_map(struct nn_plan *p, struct error *err)
{
    p->arena_map_bytes = p->arena_bytes + padded(NN_PIXELS_SLACK_BYTES) + NN_HUGE_PAGE_BYTES;
    void *map =
        mmap(NULL, p->arena_map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return error_set(err, ST_NOMEM, "no memory for a session of %zu MiB: use a smaller batch",
                         p->arena_map_bytes >> 20);
    p->arena = map;
    madvise(map, p->arena_map_bytes, MADV_HUGEPAGE); /* advice only: refusal costs a little time */
    uintptr_t base =
        ((uintptr_t)map + NN_HUGE_PAGE_BYTES - 1) / NN_HUGE_PAGE_BYTES * NN_HUGE_PAGE_BYTES;
    for (int i = 0; i < p->buffer_count; i++)
        if (!p->buffers[i].external && p->buffers[i].first_step >= 0)
            p->buffers[i].data = (float *)(base + p->buffers[i].offset);
    return ST_OK;
}

static enum status bind(struct nn_plan *p, struct error *err)
{
    for (int i = 0; i < p->step_count; i++) {
        struct nn_step *s = &p->steps[i];
        enum status st = ST_OK;
        for (int k = 0; !st && k < s->operand_count; k++) {
            s->data[k] = p->buffers[s->buffer[k]].data;
            if (s->op)
                st = nn_dnnl_op_bind(s->op, s->slot[k], s->data[k]);
        }
        if (st)
            return error_set(err, ST_INTERNAL, "oneDNN refuses the memory of a session");
    }
    return ST_OK;
}

enum status nn_plan_make(struct nn_plan *p, struct error *err)
{
    p->output_grad = calloc((size_t)p->graph->output_count, sizeof *p->output_grad);
    if (!p->output_grad)
        return nomem(err);
    enum status st = nn_plan_layouts(p, err);
    if (!st)
        st = emit(p, err);
    if (st)
        return st;
    lifetimes(p);
    st = assign_offsets(p, err);
    if (!st)
        st = arena_map(p, err);
    return st ? st : bind(p, err);
}

void nn_plan_clear(struct nn_plan *p)
{
    for (int i = 0; i < p->step_count; i++) {
        nn_dnnl_op_close(&p->steps[i].op);
        if (p->steps[i].clear)
            p->steps[i].clear(p->steps[i].args);
        free(p->steps[i].args);
    }
    for (int i = 0; i < p->constant_count; i++)
        free(p->constants[i]);
    if (p->arena)
        munmap(p->arena, p->arena_map_bytes);
    free(p->constants);
    free(p->steps);
    free(p->buffers);
    free(p->irs);
    free(p->values);
    free(p->tensor_value);
    free(p->output_grad);
    free(p->output_value);
    *p = (struct nn_plan){0};
}
