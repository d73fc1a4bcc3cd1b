/* Which format a node works in: blocks of channels or channels-last, float32, bfloat16 or bytes.
 *
 * A training session whose convolutions are ordinary or depthwise ones works on blocks, where
 * oneDNN's kernels are at their best; one with small groups stays channels-last, for conv_group.h.
 * Convolutions choose, the operators between them follow their input where they can. */
#include "nn/formats.h"

#include "nn/conv_group.h"
#include "nn/kernels_bytes.h"
#include "nn/kernels_halves.h"

/* Of the work of all convolutions, this much must gain. */
#define BLOCKED_WORK_MIN 0.75
/* Of a convolution of an inference session. */
#define WINOGRAD_TILES_MIN 48
#define WINOGRAD_CHANNELS_MIN 32

static bool is_depthwise(const struct nn_window *w)
{
    return w->groups > 1 && w->groups == w->in_channels && w->groups == w->out_channels;
}

static bool by_group_in_any_pass(const struct nn_window *w)
{
    return nn_group_is_better(w, NN_PASS_FORWARD) || nn_group_is_better(w, NN_PASS_BACKWARD_DATA) ||
           nn_group_is_better(w, NN_PASS_BACKWARD_WEIGHTS);
}

/* Whether a convolution would rather have blocks. Few channels would mostly be padding. */
static bool prefers_blocks(const struct nn_window *w)
{
    bool depthwise = is_depthwise(w) && w->dilation[0] == 1 && w->dilation[1] == 1;
    return !w->transposed && (w->groups == 1 || depthwise) && !by_group_in_any_pass(w) &&
           w->out_channels * 4 >= NN_BLOCK_CHANNELS * 3;
}

static double work_of(const struct nn_window *w)
{
    return (double)(w->out_height * w->out_width * w->out_channels) *
           (double)(w->in_channels / w->groups * w->kernel[0] * w->kernel[1]);
}

bool nn_plan_wants_blocks(const struct nn_plan *p)
{
    double all = 0, blocked = 0;
    for (int i = 0; i < p->graph->node_count; i++) {
        const struct nn_node *n = &p->graph->nodes[i];
        if (n->op != NN_OP_CONV || nn_tensor_in(p, n, 0)->rank != 4)
            continue;
        struct nn_window w = nn_window_of_node(p, n);
        all += work_of(&w);
        blocked += prefers_blocks(&w) ? work_of(&w) : 0;
    }
    return p->options.mode == NN_TRAIN && !p->options.channels_last && all > 0 &&
           blocked >= BLOCKED_WORK_MIN * all;
}

static bool same_dims(const struct nn_tensor *a, const struct nn_tensor *b)
{
    for (int i = 0; i < 4; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return a->batched == b->batched;
}

bool nn_is_channel_vector(const struct nn_tensor *t, const struct nn_tensor *image)
{
    return t->rank == 4 && image->rank == 4 && t->dim[1] == image->dim[1] && t->dim[2] == 1 &&
           t->dim[3] == 1 && !same_dims(t, image);
}

/* Both of the output's shape, or the second a number for each channel. */
static bool binary_blocks(const struct nn_plan *p, const struct nn_node *n)
{
    const struct nn_tensor *a = nn_tensor_in(p, n, 0), *b = nn_tensor_in(p, n, 1);
    const struct nn_tensor *y = nn_tensor_out(p, n);
    if (a->rank != 4 || b->rank != 4 || !same_dims(a, y))
        return false;
    return same_dims(b, y) || (n->op == NN_OP_MUL && nn_is_channel_vector(b, y));
}

static bool channels_fill_blocks(const struct nn_plan *p, const struct nn_node *n)
{
    for (int i = 0; i < n->input_count; i++)
        if (nn_tensor_in(p, n, i)->rank != 4 ||
            nn_tensor_in(p, n, i)->dim[1] % NN_BLOCK_CHANNELS != 0)
            return false;
    return true;
}

bool nn_node_blocks(const struct nn_plan *p, const struct nn_node *n)
{
    if (!nn_tensor_in(p, n, 0) || nn_tensor_in(p, n, 0)->rank != 4)
        return false;
    switch (n->op) {
    case NN_OP_RELU:
    case NN_OP_LEAKY_RELU:
    case NN_OP_CLIP:
    case NN_OP_SIGMOID:
    case NN_OP_HARD_SIGMOID: /* not Exp, Sqrt and Pow, of which padding could become infinite */
    case NN_OP_TANH:
    case NN_OP_ELU:
    case NN_OP_SOFTPLUS:
    case NN_OP_ERF:
    case NN_OP_ABS:
    case NN_OP_NEG:
    case NN_OP_BATCH_NORM:
    case NN_OP_MAX_POOL:
    case NN_OP_GLOBAL_AVERAGE_POOL:
        return true;
    case NN_OP_ADD:
    case NN_OP_MUL:
        return binary_blocks(p, n);
    case NN_OP_RESIZE:
        return channels_fill_blocks(p, n);
    default:
        return false;
    }
}

bool nn_node_bf16(const struct nn_plan *p, const struct nn_node *n)
{
    switch (n->op) {
    case NN_OP_RELU:
    case NN_OP_CLIP:
    case NN_OP_BATCH_NORM:
    case NN_OP_MAX_POOL:
    case NN_OP_GLOBAL_AVERAGE_POOL:
    case NN_OP_ADD:
    case NN_OP_MUL:
        return nn_node_blocks(p, n);
    default:
        return false;
    }
}

static bool fits_pieces(const struct nn_tensor *t)
{
    return t->rank == 4 && t->dim[1] <= KERNEL_PIECE;
}

static bool binary_halves(const struct nn_plan *p, const struct nn_node *n)
{
    const struct nn_tensor *a = nn_tensor_in(p, n, 0), *b = nn_tensor_in(p, n, 1);
    const struct nn_tensor *y = nn_tensor_out(p, n);
    return fits_pieces(a) && same_dims(a, y) && b->rank == 4 &&
           (same_dims(b, y) || nn_is_channel_vector(b, y));
}

static bool node_halves(const struct nn_plan *p, const struct nn_node *n)
{
    const struct nn_tensor *x = nn_tensor_in(p, n, 0);
    if (!x || x->rank != 4)
        return false;
    switch (n->op) {
    case NN_OP_BATCH_NORM:
    case NN_OP_GLOBAL_AVERAGE_POOL:
        return fits_pieces(x);
    case NN_OP_PRELU: /* a slope for each channel, or one */
        return fits_pieces(x) && nn_tensor_in(p, n, 1)->dim[nn_tensor_in(p, n, 1)->rank - 1] == 1;
    case NN_OP_ADD:
    case NN_OP_MUL:
        return binary_halves(p, n);
    case NN_OP_RELU:
    case NN_OP_LEAKY_RELU:
    case NN_OP_CLIP:
    case NN_OP_SIGMOID:
    case NN_OP_HARD_SIGMOID:
    case NN_OP_TANH:
    case NN_OP_ELU:
    case NN_OP_SOFTPLUS:
    case NN_OP_MAX_POOL:
    case NN_OP_CONCAT:
    case NN_OP_SPLIT:
    case NN_OP_SLICE:
    case NN_OP_PAD:
        return true;
    default:
        return false;
    }
}

static bool has_range(const struct nn_plan *p, int tensor)
{
    return nn_range_is_known(nn_plan_range(p, tensor));
}

static bool is_made_of_ranges(const struct nn_plan *p, const struct nn_node *n)
{
    bool all = has_range(p, n->output[0]);
    for (int i = 0; i < n->input_count; i++)
        all = all && has_range(p, n->input[i]);
    return all;
}

/* Activations are here to become part of a convolution (fuse.c); what does not, exec_bytes.c puts
 * back to float32. */
static bool node_bytes(const struct nn_plan *p, const struct nn_node *n)
{
    const struct nn_tensor *x = nn_tensor_in(p, n, 0), *b = nn_tensor_in(p, n, 1);
    if (!x || x->rank != 4 || !has_range(p, n->input[0]) || !has_range(p, n->output[0]))
        return false;
    switch (n->op) {
    case NN_OP_ADD:
    case NN_OP_MUL:
        return b->rank == 4 && same_dims(x, b) && is_made_of_ranges(p, n);
    case NN_OP_BATCH_NORM:
    case NN_OP_RELU:
    case NN_OP_CLIP:
    case NN_OP_LEAKY_RELU:
    case NN_OP_SIGMOID:
    case NN_OP_HARD_SIGMOID:
    case NN_OP_MAX_POOL:
    case NN_OP_GLOBAL_AVERAGE_POOL:
        return true;
    default:
        return false;
    }
}

bool nn_node_narrow(const struct nn_plan *p, const struct nn_node *n)
{
    return p->narrow == NN_TYPE_U8 ? node_bytes(p, n) : node_halves(p, n);
}

bool nn_node_keeps_quant(const struct nn_node *n)
{
    return n->op == NN_OP_MAX_POOL;
}

enum nn_type nn_plan_narrow_type(const struct nn_plan *p)
{
    if (p->options.mode != NN_INFER || p->options.precision == NN_PRECISION_F32)
        return NN_TYPE_F32;
    return p->options.precision == NN_PRECISION_INT8 ? NN_TYPE_U8 : NN_TYPE_BF16;
}

/* oneDNN has fast kernels for every pass that the session may need. */
static bool is_fast(const struct nn_plan *p, const struct nn_window *w, struct nn_format src,
                    struct nn_format dst)
{
    struct nn_conv_spec spec = {.window = *w, .src = src, .dst = dst};
    static const enum nn_pass passes[] = {NN_PASS_FORWARD, NN_PASS_BACKWARD_WEIGHTS,
                                          NN_PASS_BACKWARD_DATA};
    int count = src.layout == NN_LAYOUT_PLAIN ? 2 : 3; /* nobody wants an image's gradient */
    for (int i = 0; i < count; i++) {
        spec.pass = passes[i];
        if (!nn_dnnl_conv_is_fast(p->dnnl, &spec))
            return false;
    }
    return true;
}

/* Inference: channels-last where oneDNN has a fast kernel, which conv_group.h's rival then. */
static void half_formats(const struct nn_plan *p, const struct nn_window *w,
                         struct nn_format *ret_src, struct nn_format *ret_dst)
{
    const struct nn_format half = {NN_LAYOUT_CHANNELS_LAST, NN_TYPE_BF16};
    struct nn_conv_spec spec = {.window = *w, .pass = NN_PASS_FORWARD, .src = half, .dst = half};
    if (!nn_group_is_better(w, NN_PASS_FORWARD) && nn_dnnl_conv_is_fast(p->dnnl, &spec))
        *ret_src = *ret_dst = half;
}

/* Whether inference is faster by Winograd's algorithm in blocks than directly in channels-last: its
 * weights are four times as large, which pays when enough tiles of 4 x 4 share them. */
static bool winograd_wins(const struct nn_plan *p, const struct nn_window *w)
{
    int64_t tiles = w->batch * ((w->out_height + 3) / 4) * ((w->out_width + 3) / 4);
    bool channels =
        w->in_channels % NN_BLOCK_CHANNELS == 0 && w->in_channels >= WINOGRAD_CHANNELS_MIN &&
        w->out_channels % NN_BLOCK_CHANNELS == 0 && w->out_channels >= WINOGRAD_CHANNELS_MIN;
    if (w->groups != 1 || w->kernel[0] != 3 || w->kernel[1] != 3 || w->stride[0] != 1 ||
        w->stride[1] != 1 || w->dilation[0] != 1 || w->dilation[1] != 1 || !channels ||
        tiles < WINOGRAD_TILES_MIN)
        return false;
    const struct nn_format blocks = {NN_LAYOUT_BLOCKED, NN_TYPE_F32};
    struct nn_conv_spec spec = {.window = *w,
                                .pass = NN_PASS_FORWARD,
                                .src = blocks,
                                .dst = blocks,
                                .winograd = NN_WINOGRAD_ALWAYS};
    return nn_dnnl_conv_is_winograd(p->dnnl, &spec);
}

/* Taps whose sum of products of bytes fits 32 bits whatever they are. */
#define TAPS_MAX (INT32_MAX / (255 * 127))

static struct nn_quant quant_of(const struct nn_plan *p, int tensor)
{
    struct nn_range r = nn_plan_range(p, tensor);
    return kernel_quant_of(r.lo, r.hi);
}

/* Where a convolution can work on bytes. Not on one pixel (the gate of a squeeze-and-excitation),
 * where there is no time to win. */
static void byte_formats(const struct nn_plan *p, const struct nn_node *n,
                         const struct nn_window *w, struct nn_format *ret_src,
                         struct nn_format *ret_dst)
{
    const struct nn_format bytes = {NN_LAYOUT_CHANNELS_LAST, NN_TYPE_U8};
    int64_t taps = w->in_channels / w->groups * w->kernel[0] * w->kernel[1];
    if (w->transposed || !has_range(p, n->input[0]) || taps > TAPS_MAX ||
        w->in_height * w->in_width == 1 || nn_group_is_better(w, NN_PASS_FORWARD))
        return;
    struct nn_conv_spec spec = {
        .window = *w, .pass = NN_PASS_FORWARD, .src = bytes, .dst = *ret_dst};
    spec.src_quant = quant_of(p, n->input[0]);
    if (has_range(p, n->output[0])) {
        spec.dst = bytes;
        spec.dst_quant = quant_of(p, n->output[0]);
    }
    if (!nn_dnnl_conv_is_fast(p->dnnl, &spec))
        return;
    *ret_src = spec.src;
    *ret_dst = spec.dst;
}

void nn_conv_formats(const struct nn_plan *p, const struct nn_node *n, bool from_input,
                     struct nn_format *ret_src, struct nn_format *ret_dst)
{
    const struct nn_format fallback = {NN_LAYOUT_CHANNELS_LAST, NN_TYPE_F32};
    *ret_src = *ret_dst = fallback;
    struct nn_window w = nn_window_of_node(p, n);
    if (p->winograd && n->op == NN_OP_CONV && winograd_wins(p, &w))
        *ret_src = *ret_dst = (struct nn_format){NN_LAYOUT_BLOCKED, NN_TYPE_F32};
    if (p->narrow == NN_TYPE_BF16)
        half_formats(p, &w, ret_src, ret_dst);
    if (p->narrow == NN_TYPE_U8)
        byte_formats(p, n, &w, ret_src, ret_dst);
    if (!p->blocked || n->op != NN_OP_CONV)
        return;
    if (w.groups > 1 && !prefers_blocks(&w))
        return;
    bool few = from_input && w.groups == 1 && w.in_channels < NN_BLOCK_CHANNELS;
    enum nn_type types[] = {NN_TYPE_BF16, NN_TYPE_F32};
    for (int i = p->options.precision == NN_PRECISION_BF16 ? 0 : 1; i < 2; i++) {
        struct nn_format src = {few ? NN_LAYOUT_PLAIN : NN_LAYOUT_BLOCKED, types[i]};
        struct nn_format dst = {NN_LAYOUT_BLOCKED, types[i]};
        if (!is_fast(p, &w, src, dst))
            continue;
        *ret_src = src;
        *ret_dst = dst;
        return;
    }
}
