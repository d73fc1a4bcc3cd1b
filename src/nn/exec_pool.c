/* MaxPool by oneDNN (with its workspace), AveragePool and GlobalAveragePool by own kernels.
 *
 * oneDNN's average divides by the whole window or by its part inside the image; ONNX's divides by
 * the part inside image and padding, which differs where ceil_mode or asymmetric padding lets a
 * window hang over. Where the two agree oneDNN's faster one is taken. */
#include "nn/plan.h"

#include "nn/kernels.h"
#include "nn/kernels_halves.h"

static struct kernel_window kernel_window_of(const struct nn_window *w, const struct nn_node *n)
{
    struct kernel_window k = {
        .images = w->batch,
        .channels = w->in_channels,
        .in_h = (int)w->in_height,
        .in_w = (int)w->in_width,
        .out_h = (int)w->out_height,
        .out_w = (int)w->out_width,
        .count_include_pad = n->a.window.count_include_pad,
    };
    for (int i = 0; i < 2; i++) {
        k.kernel[i] = (int)w->kernel[i];
        k.stride[i] = (int)w->stride[i];
        k.dilation[i] = (int)w->dilation[i];
    }
    for (int i = 0; i < 4; i++)
        k.pad[i] = (int)w->pad[i];
    return k;
}

/* Every window lies within image and padding, touches the image, and padding is within reach. */
static bool window_is_regular(const struct nn_window *w)
{
    for (int i = 0; i < 2; i++) {
        int64_t in = i ? w->in_width : w->in_height, out = i ? w->out_width : w->out_height;
        int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
        int64_t last = (out - 1) * w->stride[i] - w->pad[i]; /* where the last window starts */
        if (last >= in || last + extent > in + w->pad[i + 2] || w->pad[i] >= w->kernel[i] ||
            w->pad[i + 2] >= w->kernel[i] || w->dilation[i] != 1)
            return false;
    }
    return true;
}

static enum nn_pool_kind pool_kind(const struct nn_node *n)
{
    if (n->op == NN_OP_MAX_POOL)
        return NN_POOL_MAX;
    return n->a.window.count_include_pad ? NN_POOL_AVERAGE_INCLUDE_PAD
                                         : NN_POOL_AVERAGE_EXCLUDE_PAD;
}

static bool by_dnnl(const struct nn_window *w, const struct nn_node *n)
{
    return n->op == NN_OP_MAX_POOL || window_is_regular(w);
}

static enum status run_average(struct nn_step *s)
{
    kernel_average_pool(s->args, s->data[0], s->data[1]);
    return ST_OK;
}

struct average_backward_args {
    struct kernel_window window;
    bool add;
};

static enum status run_average_backward(struct nn_step *s)
{
    const struct average_backward_args *a = s->args;
    kernel_average_pool_backward(&a->window, s->data[0], s->data[1], a->add);
    return ST_OK;
}

static enum status pool_forward_dnnl(struct nn_plan *p, struct nn_ir *ir, const struct nn_window *w,
                                     struct error *err)
{
    bool training = p->options.mode == NN_TRAIN && nn_out(p, ir, 0)->needs_grad;
    struct nn_dnnl_op *op;
    struct nn_step *s;
    enum status st = nn_dnnl_pool_open(p->dnnl, w, pool_kind(ir->node), NN_PASS_FORWARD, training,
                                       nn_value_format(nn_in(p, ir, 0)), &op, err);
    if (!st)
        st = nn_plan_dnnl_step(p, op, &s, err);
    if (!st)
        st = nn_plan_output(p, ir, 0, -1, err);
    if (st)
        return st;
    nn_step_slot(s, NN_SLOT_SRC, nn_in(p, ir, 0)->buffer);
    nn_step_slot(s, NN_SLOT_DST, nn_out(p, ir, 0)->buffer);
    if (nn_dnnl_op_workspace_bytes(op) == 0)
        return ST_OK;
    ir->workspace = nn_plan_buffer(p, nn_dnnl_op_workspace_bytes(op));
    if (ir->workspace < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    nn_step_slot(s, NN_SLOT_WORKSPACE, ir->workspace);
    return ST_OK;
}

static enum status pool_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct nn_window w = nn_window_of(p, ir);
    if (by_dnnl(&w, ir->node)) {
        enum status st = pool_forward_dnnl(p, ir, &w, err);
        return st ? error_prefix(err, "node '%s'", ir->node->name) : ST_OK;
    }
    struct kernel_window k = kernel_window_of(&w, ir->node);
    return nn_plan_emit_forward(p, ir, -1, run_average, &k, sizeof k, err);
}

static enum status pool_backward_dnnl(struct nn_plan *p, struct nn_ir *ir,
                                      const struct nn_window *w, struct error *err)
{
    struct nn_dnnl_op *op;
    struct nn_step *s;
    int gx;
    bool add;
    enum status st = nn_dnnl_pool_open(p->dnnl, w, pool_kind(ir->node), NN_PASS_BACKWARD_DATA, true,
                                       nn_value_format(nn_in(p, ir, 0)), &op, err);
    if (!st)
        st = nn_plan_dnnl_step(p, op, &s, err);
    if (!st)
        st = nn_grad_begin(p, ir->in[0], false, &gx, &add, err);
    if (st)
        return st;
    nn_step_slot(s, NN_SLOT_DST, nn_grad_of_output(p, ir, 0));
    nn_step_slot(s, NN_SLOT_DIFF_SRC, gx);
    if (ir->workspace >= 0)
        nn_step_slot(s, NN_SLOT_WORKSPACE, ir->workspace);
    return nn_grad_done(p, ir->in[0], gx, err);
}

static enum status pool_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct nn_window w = nn_window_of(p, ir);
    if (by_dnnl(&w, ir->node)) {
        enum status st = pool_backward_dnnl(p, ir, &w, err);
        return st ? error_prefix(err, "node '%s'", ir->node->name) : ST_OK;
    }
    struct average_backward_args a = {.window = kernel_window_of(&w, ir->node)};
    return nn_plan_emit_backward(p, ir, run_average_backward, &a, sizeof a, &a.add, err);
}

const struct nn_exec nn_exec_pool = {NULL, pool_forward, pool_backward};

struct global_args {
    int64_t images, pixels, channels;
    struct kernel_blocked blocked;
    bool is_blocked, bf16, add;
};

static enum status run_global(struct nn_step *s)
{
    const struct global_args *a = s->args;
    if (a->is_blocked)
        kernel_blocked_average(&a->blocked, s->data[0], s->data[1]);
    else if (a->bf16)
        kernel_global_average_bf16(s->data[0], s->data[1], a->images, a->pixels, a->channels);
    else
        kernel_global_average(s->data[0], s->data[1], a->images, a->pixels, a->channels);
    return ST_OK;
}

static enum status run_global_backward(struct nn_step *s)
{
    const struct global_args *a = s->args;
    if (a->is_blocked)
        kernel_blocked_average_backward(&a->blocked, s->data[0], s->data[1], a->add);
    else
        kernel_global_average_backward(s->data[0], s->data[1], a->images, a->pixels, a->channels,
                                       a->add);
    return ST_OK;
}

static struct global_args global_args_of(const struct nn_value *x)
{
    struct global_args a = {.images = x->dim[0],
                            .pixels = x->dim[2] * x->dim[3],
                            .channels = x->dim[1],
                            .is_blocked = x->layout == NN_LAYOUT_BLOCKED,
                            .bf16 = x->type == NN_TYPE_BF16};
    if (a.is_blocked)
        a.blocked = nn_blocked_of(x);
    return a;
}

static enum status global_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct global_args a = global_args_of(nn_in(p, ir, 0));
    return nn_plan_emit_forward(p, ir, -1, run_global, &a, sizeof a, err);
}

static enum status global_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct global_args a = global_args_of(nn_in(p, ir, 0));
    return nn_plan_emit_backward(p, ir, run_global_backward, &a, sizeof a, &a.add, err);
}

const struct nn_exec nn_exec_global_pool = {NULL, global_forward, global_backward};
