/* The engine's door to oneDNN. Everything that depends on the major version of its C API is here.
 *
 * An op is one primitive with its memory objects. Weights cross the door in ONNX's plain layout:
 * where the primitive prefers another one, the op holds a packed copy and a reorder that fills it
 * (forward, backward by data) or empties it (backward by weights). Scratchpads are the caller's, so
 * that several sessions can run at once. */
#include "nn/dnnl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#if DNNL_VERSION_MAJOR != 2
#error "dnnl.c is written for oneDNN 2.x: operation descriptors are gone in 3.x, port this file"
#endif

struct nn_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr; /* scratchpads in user mode */
};

struct nn_dnnl_op {
    struct nn_dnnl *owner;
    enum nn_pass pass;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t slot[NN_SLOT_COUNT];
    dnnl_memory_t scratch;
    int argument_count;
    dnnl_exec_arg_t argument[NN_SLOT_COUNT + 1];
    /* Weights in another layout than plain: all NULL where the primitive takes them as they are. */
    dnnl_memory_t plain;
    dnnl_primitive_t reorder;
    void *packed; /* NULL: transient, the caller's */
    size_t packed_bytes;
    bool transient;
};

typedef union {
    dnnl_convolution_desc_t conv;
    dnnl_deconvolution_desc_t deconv;
    dnnl_pooling_v2_desc_t pool;
} op_desc;

/* Window parameters as oneDNN wants them (dilation counted from 0). */
struct window_dims {
    dnnl_dims_t stride, kernel, dilation, pad_before, pad_after;
};

static enum status refused(struct error *err, dnnl_status_t code, const char *what)
{
    if (code == dnnl_out_of_memory)
        return error_set(err, ST_NOMEM, "out of memory in oneDNN (%s)", what);
    return error_set(err, code == dnnl_unimplemented ? ST_UNSUPPORTED : ST_INTERNAL,
                     "oneDNN cannot make this %s (status %d)", what, (int)code);
}

enum status nn_dnnl_open(struct nn_dnnl **ret, struct error *err)
{
    struct nn_dnnl *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(err, ST_NOMEM, "out of memory for a oneDNN engine");
    dnnl_status_t code = dnnl_engine_create(&d->engine, dnnl_cpu, 0);
    if (!code)
        code = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags);
    if (!code)
        code = dnnl_primitive_attr_create(&d->attr);
    if (!code)
        code = dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user);
    if (code) {
        nn_dnnl_close(&d);
        return refused(err, code, "engine");
    }
    *ret = d;
    return ST_OK;
}

void nn_dnnl_close(struct nn_dnnl **d)
{
    if (!d || !*d)
        return;
    if ((*d)->attr)
        dnnl_primitive_attr_destroy((*d)->attr);
    if ((*d)->stream)
        dnnl_stream_destroy((*d)->stream);
    if ((*d)->engine)
        dnnl_engine_destroy((*d)->engine);
    free(*d);
    *d = NULL;
}

static void window_dims_fill(const struct nn_window *w, struct window_dims *ret)
{
    for (int i = 0; i < 2; i++) {
        int64_t in = i ? w->in_width : w->in_height, out = i ? w->out_width : w->out_height;
        int64_t small = w->transposed ? in : out, large = w->transposed ? out : in;
        int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
        ret->stride[i] = w->stride[i];
        ret->kernel[i] = w->kernel[i];
        ret->dilation[i] = w->dilation[i] - 1;
        ret->pad_before[i] = w->pad[i];
        /* What makes the sizes agree exactly: differs from pad[i + 2] where a stride leaves rows
         * over, where ceil_mode adds some, and by output_pad of the transposed convolution. */
        ret->pad_after[i] = (small - 1) * w->stride[i] + extent - large - w->pad[i];
    }
}

static dnnl_data_type_t type_of(enum nn_type t)
{
    return t == NN_TYPE_U8 ? dnnl_u8 : t == NN_TYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_format_tag_t image_tag(enum nn_layout layout)
{
    switch (layout) {
    case NN_LAYOUT_PLAIN:
        return dnnl_nchw;
    case NN_LAYOUT_BLOCKED:
        return dnnl_nChw16c;
    default:
        return dnnl_nhwc;
    }
}

static dnnl_status_t image_md(int64_t n, int64_t c, int64_t h, int64_t w, struct nn_format f,
                              dnnl_memory_desc_t *ret)
{
    dnnl_dims_t dims = {n, c, h, w};
    return dnnl_memory_desc_init_by_tag(ret, 4, dims, type_of(f.type), image_tag(f.layout));
}

static dnnl_status_t src_md(const struct nn_window *w, struct nn_format f, dnnl_memory_desc_t *ret)
{
    return image_md(w->batch, w->in_channels, w->in_height, w->in_width, f, ret);
}

static dnnl_status_t dst_md(const struct nn_window *w, struct nn_format f, dnnl_memory_desc_t *ret)
{
    return image_md(w->batch, w->out_channels, w->out_height, w->out_width, f, ret);
}

/* Weights as oneDNN names their dimensions, [G,] O, I, H, W: any layout, and ONNX's plain one. */
static dnnl_status_t weights_mds(const struct nn_window *w, dnnl_data_type_t type,
                                 dnnl_data_type_t plain_type, dnnl_memory_desc_t *any,
                                 dnnl_memory_desc_t *plain)
{
    int64_t o = w->out_channels / w->groups, i = w->in_channels / w->groups;
    int64_t area = w->kernel[0] * w->kernel[1];
    dnnl_dims_t dims = {w->groups, o, i, w->kernel[0], w->kernel[1]};
    dnnl_dims_t strides = {o * i * area, w->transposed ? area : i * area,
                           w->transposed ? o * area : area, w->kernel[1], 1};
    int skip = w->groups == 1 ? 1 : 0;
    dnnl_status_t code =
        dnnl_memory_desc_init_by_tag(any, 5 - skip, dims + skip, type, dnnl_format_tag_any);
    return code ? code
                : dnnl_memory_desc_init_by_strides(plain, 5 - skip, dims + skip, plain_type,
                                                   strides + skip);
}

static dnnl_status_t conv_describe(const struct nn_conv_spec *spec, enum nn_pass pass,
                                   dnnl_alg_kind_t algorithm, const dnnl_memory_desc_t *weights,
                                   op_desc *ret)
{
    const struct nn_window *w = &spec->window;
    struct window_dims k;
    window_dims_fill(w, &k);
    dnnl_memory_desc_t src, dst, bias;
    dnnl_dims_t bias_dims = {w->out_channels};
    dnnl_status_t code = src_md(w, spec->src, &src);
    if (!code)
        code = dst_md(w, spec->dst, &dst);
    if (!code)
        code = dnnl_memory_desc_init_by_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_a);
    if (code)
        return code;
    const dnnl_memory_desc_t *b = w->bias ? &bias : NULL;
    if (pass == NN_PASS_FORWARD && w->transposed)
        return dnnl_dilated_deconvolution_forward_desc_init(
            &ret->deconv, dnnl_forward_training, dnnl_deconvolution_direct, &src, weights, b, &dst,
            k.stride, k.dilation, k.pad_before, k.pad_after);
    if (pass == NN_PASS_FORWARD)
        return dnnl_dilated_convolution_forward_desc_init(
            &ret->conv, dnnl_forward_training, algorithm, &src, weights, b, &dst, k.stride,
            k.dilation, k.pad_before, k.pad_after);
    if (pass == NN_PASS_BACKWARD_DATA && w->transposed)
        return dnnl_dilated_deconvolution_backward_data_desc_init(
            &ret->deconv, dnnl_deconvolution_direct, &src, weights, &dst, k.stride, k.dilation,
            k.pad_before, k.pad_after);
    if (pass == NN_PASS_BACKWARD_DATA)
        return dnnl_dilated_convolution_backward_data_desc_init(&ret->conv, algorithm, &src,
                                                                weights, &dst, k.stride, k.dilation,
                                                                k.pad_before, k.pad_after);
    if (w->transposed)
        return dnnl_dilated_deconvolution_backward_weights_desc_init(
            &ret->deconv, dnnl_deconvolution_direct, &src, weights, b, &dst, k.stride, k.dilation,
            k.pad_before, k.pad_after);
    return dnnl_dilated_convolution_backward_weights_desc_init(&ret->conv, algorithm, &src, weights,
                                                               b, &dst, k.stride, k.dilation,
                                                               k.pad_before, k.pad_after);
}

/* Makes the memory object of a slot; its data is bound later. */
static dnnl_status_t slot_add(struct nn_dnnl_op *op, enum nn_slot slot, int argument,
                              const dnnl_memory_desc_t *md)
{
    dnnl_status_t code =
        dnnl_memory_create(&op->slot[slot], md, op->owner->engine, DNNL_MEMORY_NONE);
    op->argument[op->argument_count++] = (dnnl_exec_arg_t){argument, op->slot[slot]};
    return code;
}

static const dnnl_memory_desc_t *query(const struct nn_dnnl_op *op, dnnl_query_t what, int index)
{
    return dnnl_primitive_desc_query_md(op->desc, what, index);
}

static dnnl_status_t scratch_add(struct nn_dnnl_op *op)
{
    dnnl_status_t code = dnnl_memory_create(&op->scratch, query(op, dnnl_query_scratchpad_md, 0),
                                            op->owner->engine, DNNL_MEMORY_NONE);
    op->argument[op->argument_count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, op->scratch};
    return code;
}

/* The primitive's weights slot, and the copy between it and the plain weights where needed. */
static dnnl_status_t weights_add(struct nn_dnnl_op *op, enum nn_slot slot, int argument,
                                 const dnnl_memory_desc_t *md, const dnnl_memory_desc_t *plain)
{
    dnnl_engine_t engine = op->owner->engine;
    dnnl_status_t code = slot_add(op, slot, argument, md);
    if (code || dnnl_memory_desc_equal(md, plain))
        return code;
    op->packed_bytes = (dnnl_memory_desc_get_size(md) + 63) & ~(size_t)63;
    if (!op->transient) {
        op->packed = aligned_alloc(64, op->packed_bytes);
        if (!op->packed)
            return dnnl_out_of_memory;
        memset(op->packed, 0, op->packed_bytes);
        code = dnnl_memory_set_data_handle(op->slot[slot], op->packed);
    }
    if (!code)
        code = dnnl_memory_create(&op->plain, plain, engine, DNNL_MEMORY_NONE);
    bool unpack = slot == NN_SLOT_DIFF_WEIGHTS;
    dnnl_primitive_desc_t reorder = NULL;
    if (!code)
        code = dnnl_reorder_primitive_desc_create(&reorder, unpack ? md : plain, engine,
                                                  unpack ? plain : md, engine, NULL);
    if (!code)
        code = dnnl_primitive_create(&op->reorder, reorder);
    if (reorder)
        dnnl_primitive_desc_destroy(reorder);
    return code;
}

/* A number for each output channel. */
static dnnl_status_t channels_md(const struct nn_window *w, dnnl_memory_desc_t *ret)
{
    dnnl_dims_t dims = {1, w->out_channels, 1, 1};
    return dnnl_memory_desc_init_by_tag(ret, 4, dims, dnnl_f32, dnnl_nchw);
}

/* The scales are the second operand of the first post-op: an attribute would be part of the
 * primitive, and they follow the weights. */
static dnnl_status_t scales_add(struct nn_dnnl_op *op, const struct nn_conv_spec *spec)
{
    dnnl_memory_desc_t md;
    dnnl_status_t code = channels_md(&spec->window, &md);
    return code ? code
                : slot_add(op, NN_SLOT_SCALES, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                           &md);
}

static dnnl_status_t conv_slots(struct nn_dnnl_op *op, bool bias, const dnnl_memory_desc_t *plain)
{
    dnnl_status_t code = dnnl_success;
    if (op->pass == NN_PASS_FORWARD) {
        code = slot_add(op, NN_SLOT_SRC, DNNL_ARG_SRC, query(op, dnnl_query_src_md, 0));
        if (!code)
            code = weights_add(op, NN_SLOT_WEIGHTS, DNNL_ARG_WEIGHTS,
                               query(op, dnnl_query_weights_md, 0), plain);
        if (!code && bias)
            code = slot_add(op, NN_SLOT_BIAS, DNNL_ARG_BIAS, query(op, dnnl_query_weights_md, 1));
        return code ? code
                    : slot_add(op, NN_SLOT_DST, DNNL_ARG_DST, query(op, dnnl_query_dst_md, 0));
    }
    code = slot_add(op, NN_SLOT_DST, DNNL_ARG_DIFF_DST, query(op, dnnl_query_diff_dst_md, 0));
    if (code)
        return code;
    if (op->pass == NN_PASS_BACKWARD_DATA) {
        code = weights_add(op, NN_SLOT_WEIGHTS, DNNL_ARG_WEIGHTS,
                           query(op, dnnl_query_weights_md, 0), plain);
        return code ? code
                    : slot_add(op, NN_SLOT_DIFF_SRC, DNNL_ARG_DIFF_SRC,
                               query(op, dnnl_query_diff_src_md, 0));
    }
    code = slot_add(op, NN_SLOT_SRC, DNNL_ARG_SRC, query(op, dnnl_query_src_md, 0));
    if (!code)
        code = weights_add(op, NN_SLOT_DIFF_WEIGHTS, DNNL_ARG_DIFF_WEIGHTS,
                           query(op, dnnl_query_diff_weights_md, 0), plain);
    if (!code && bias)
        code = slot_add(op, NN_SLOT_DIFF_BIAS, DNNL_ARG_DIFF_BIAS,
                        query(op, dnnl_query_diff_weights_md, 1));
    return code;
}

static bool is_of_bytes(const struct nn_conv_spec *spec)
{
    return spec->src.type == NN_TYPE_U8;
}

/* Weights of the forward pass are of the source's type, signed beside bytes; the gradient by them
 * is float32. */
static dnnl_data_type_t weights_type(const struct nn_conv_spec *spec, enum nn_pass pass)
{
    if (is_of_bytes(spec))
        return dnnl_s8;
    return pass == NN_PASS_BACKWARD_WEIGHTS ? dnnl_f32 : type_of(spec->src.type);
}

/* As they cross the door. */
static dnnl_data_type_t plain_type(const struct nn_conv_spec *spec)
{
    return is_of_bytes(spec) ? dnnl_s8 : dnnl_f32;
}

static dnnl_status_t conv_describe_any(const struct nn_conv_spec *spec, enum nn_pass pass,
                                       dnnl_alg_kind_t algorithm, op_desc *ret)
{
    dnnl_memory_desc_t any, plain;
    dnnl_status_t code =
        weights_mds(&spec->window, weights_type(spec, pass), plain_type(spec), &any, &plain);
    return code ? code : conv_describe(spec, pass, algorithm, &any, ret);
}

/* The values are `factor` times the real ones. */
static dnnl_status_t post_append(dnnl_post_ops_t posts, const struct nn_conv_spec *spec,
                                 const struct nn_post *post, float factor)
{
    const struct nn_quant *sum = &spec->sum_quant;
    switch (post->kind) {
    case NN_POST_CLAMP:
        if (post->lo == 0 && post->hi == INFINITY)
            return dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_relu, 0, 0);
        return dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_clip, post->lo * factor,
                                            post->hi * factor);
    case NN_POST_LEAKY:
        return dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_relu, post->lo, 0);
    case NN_POST_SIGMOID:
        return dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_logistic, 0, 0);
    case NN_POST_HARD_SWISH:
        return dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_hardswish, 0, 0);
    case NN_POST_SWISH:
        return dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_swish, 1, 0);
    default:
        if (is_of_bytes(spec) && spec->dst.type == NN_TYPE_U8)
            return dnnl_post_ops_append_sum_v3(posts, sum->scale * factor, sum->zero, dnnl_u8);
        return dnnl_post_ops_append_sum(posts, 1);
    }
}

/* Whether c v becomes c times what v becomes, for c > 0, with bounds and addends scaled. */
static bool is_homogeneous(const struct nn_post *post)
{
    return post->kind == NN_POST_CLAMP || post->kind == NN_POST_LEAKY || post->kind == NN_POST_ADD;
}

float nn_conv_spec_factor(const struct nn_conv_spec *spec)
{
    bool steps = is_of_bytes(spec) && spec->dst.type == NN_TYPE_U8;
    for (int i = 0; i < spec->post_count; i++)
        steps = steps && is_homogeneous(&spec->post[i]);
    return steps ? 1 / spec->dst_quant.scale : 1;
}

/* A clamp that storing a byte does as well. */
static bool is_saturation(const struct nn_conv_spec *spec, int i)
{
    const struct nn_post *post = &spec->post[i];
    const struct nn_quant *q = &spec->dst_quant;
    return is_of_bytes(spec) && spec->dst.type == NN_TYPE_U8 && i == spec->post_count - 1 &&
           post->kind == NN_POST_CLAMP && post->lo <= -(float)q->zero * q->scale &&
           post->hi >= (float)(255 - q->zero) * q->scale;
}

static dnnl_status_t posts_append(dnnl_post_ops_t posts, const struct nn_conv_spec *spec)
{
    dnnl_memory_desc_t scales;
    dnnl_status_t code = dnnl_success;
    float factor = nn_conv_spec_factor(spec);
    bool bytes = is_of_bytes(spec);
    if (bytes)
        code = channels_md(&spec->window, &scales);
    if (bytes && !code)
        code = dnnl_post_ops_append_binary(posts, dnnl_binary_mul, &scales);
    for (int i = 0; i < spec->post_count && !code; i++)
        if (!is_saturation(spec, i))
            code = post_append(posts, spec, &spec->post[i], factor);
    if (!code && bytes && spec->dst.type == NN_TYPE_U8 && factor == 1)
        code = dnnl_post_ops_append_eltwise(posts, 1, dnnl_eltwise_linear,
                                            1 / spec->dst_quant.scale, 0);
    return code;
}

static dnnl_status_t zeros_set(dnnl_primitive_attr_t attr, const struct nn_conv_spec *spec)
{
    const int32_t src = spec->src_quant.zero, dst = spec->dst_quant.zero;
    if (!is_of_bytes(spec)) /* bytes are made by convolutions of bytes */
        return spec->dst.type == NN_TYPE_U8 ? dnnl_unimplemented : dnnl_success;
    dnnl_status_t code = dnnl_success;
    if (src)
        code = dnnl_primitive_attr_set_zero_points(attr, DNNL_ARG_SRC, 1, 0, &src);
    if (!code && dst && spec->dst.type == NN_TYPE_U8)
        code = dnnl_primitive_attr_set_zero_points(attr, DNNL_ARG_DST, 1, 0, &dst);
    return code;
}

/* The owner's attributes and the posts; the caller destroys them. */
static dnnl_status_t conv_attr_create(const struct nn_dnnl *d, const struct nn_conv_spec *spec,
                                      dnnl_primitive_attr_t *ret)
{
    dnnl_post_ops_t posts = NULL;
    dnnl_status_t code = dnnl_primitive_attr_clone(ret, d->attr);
    if (!code)
        code = dnnl_post_ops_create(&posts);
    if (!code)
        code = posts_append(posts, spec);
    if (!code)
        code = dnnl_primitive_attr_set_post_ops(*ret, posts);
    if (!code)
        code = zeros_set(*ret, spec);
    if (posts)
        dnnl_post_ops_destroy(posts);
    return code;
}

static bool is_winograd(dnnl_primitive_desc_t forward)
{
    const dnnl_convolution_desc_t *d;
    return dnnl_primitive_desc_query(forward, dnnl_query_convolution_d, 0, (void *)&d) ==
               dnnl_success &&
           d->alg_kind == dnnl_convolution_winograd;
}

/* hint: the forward one of a backward primitive, else NULL. oneDNN often leaves Winograd's
 * algorithm to the forward pass, where it takes half of the direct one's time in the backward
 * passes too. */
static dnnl_status_t conv_desc_try(struct nn_dnnl *d, const struct nn_conv_spec *spec,
                                   dnnl_primitive_attr_t attr, dnnl_primitive_desc_t hint,
                                   dnnl_primitive_desc_t *ret)
{
    op_desc desc;
    dnnl_alg_kind_t algorithm = spec->winograd ? dnnl_convolution_auto : dnnl_convolution_direct;
    bool insists = spec->winograd == NN_WINOGRAD_ALWAYS || (hint && is_winograd(hint));
    if (spec->winograd && insists &&
        conv_describe_any(spec, spec->pass, dnnl_convolution_winograd, &desc) == dnnl_success &&
        dnnl_primitive_desc_create(ret, &desc, attr, d->engine, hint) == dnnl_success)
        return dnnl_success;
    dnnl_status_t code = conv_describe_any(spec, spec->pass, algorithm, &desc);
    return code ? code : dnnl_primitive_desc_create(ret, &desc, attr, d->engine, hint);
}

/* A backward primitive is described relative to its forward one. */
static dnnl_status_t conv_desc_create(struct nn_dnnl *d, const struct nn_conv_spec *spec,
                                      dnnl_primitive_desc_t *ret)
{
    dnnl_primitive_desc_t hint = NULL;
    dnnl_primitive_attr_t attr = NULL;
    struct nn_conv_spec forward = *spec;
    forward.pass = NN_PASS_FORWARD;
    dnnl_status_t code = conv_attr_create(d, spec, &attr);
    if (!code && spec->pass != NN_PASS_FORWARD)
        code = conv_desc_try(d, &forward, d->attr, NULL, &hint);
    if (!code)
        code = conv_desc_try(d, spec, attr, hint, ret);
    if (hint)
        dnnl_primitive_desc_destroy(hint);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return code;
}

static const char *implementation(const_dnnl_primitive_desc_t desc)
{
    const char *name = NULL;
    dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name);
    return name ? name : "";
}

/* jit_bf16 is made for blocks: with few channels-last ones it is slower than float32. */
static bool is_slow(const char *name, const struct nn_conv_spec *spec)
{
    return strstr(name, "ref") || strstr(name, "gemm") ||
           (strstr(name, "jit_bf16") && spec->src.layout == NN_LAYOUT_CHANNELS_LAST);
}

bool nn_dnnl_conv_is_fast(struct nn_dnnl *d, const struct nn_conv_spec *spec)
{
    dnnl_primitive_desc_t desc = NULL;
    bool fast =
        conv_desc_create(d, spec, &desc) == dnnl_success && !is_slow(implementation(desc), spec);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return fast;
}

bool nn_dnnl_conv_is_winograd(struct nn_dnnl *d, const struct nn_conv_spec *spec)
{
    dnnl_primitive_desc_t desc = NULL;
    bool winograd = conv_desc_create(d, spec, &desc) == dnnl_success && is_winograd(desc);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return winograd;
}

bool nn_dnnl_conv_takes_post(struct nn_dnnl *d, const struct nn_conv_spec *spec)
{
    struct nn_conv_spec without = *spec;
    dnnl_primitive_desc_t a = NULL, b = NULL;
    without.post_count--;
    bool takes = conv_desc_create(d, spec, &a) == dnnl_success &&
                 conv_desc_create(d, &without, &b) == dnnl_success &&
                 strcmp(implementation(a), implementation(b)) == 0;
    if (a)
        dnnl_primitive_desc_destroy(a);
    if (b)
        dnnl_primitive_desc_destroy(b);
    return takes;
}

bool nn_dnnl_has_bf16(void)
{
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

bool nn_dnnl_has_int8(void)
{
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core_vnni) == dnnl_cpu_isa_avx512_core_vnni ||
           (isa & dnnl_cpu_isa_avx2_vnni) == dnnl_cpu_isa_avx2_vnni;
}

static enum status op_new(struct nn_dnnl *d, enum nn_pass pass, struct nn_dnnl_op **ret,
                          struct error *err)
{
    struct nn_dnnl_op *op = calloc(1, sizeof *op);
    if (!op)
        return error_set(err, ST_NOMEM, "out of memory for a primitive");
    op->owner = d;
    op->pass = pass;
    *ret = op;
    return ST_OK;
}

enum status nn_dnnl_conv_open(struct nn_dnnl *d, const struct nn_conv_spec *spec,
                              struct nn_dnnl_op **ret, struct error *err)
{
    struct nn_dnnl_op *op = NULL;
    enum status st = op_new(d, spec->pass, &op, err);
    if (st)
        return st;
    op->transient = spec->transient;
    dnnl_memory_desc_t any, plain;
    dnnl_status_t code = weights_mds(&spec->window, dnnl_f32, plain_type(spec), &any, &plain);
    if (!code)
        code = conv_desc_create(d, spec, &op->desc);
    if (!code)
        code = dnnl_primitive_create(&op->primitive, op->desc);
    if (!code)
        code = conv_slots(op, spec->window.bias, &plain);
    if (!code && is_of_bytes(spec))
        code = scales_add(op, spec);
    if (!code)
        code = scratch_add(op);
    if (code) {
        nn_dnnl_op_close(&op);
        return refused(err, code, "convolution");
    }
    *ret = op;
    return ST_OK;
}

static dnnl_status_t any_md(int rank, const int64_t *dim, struct nn_format f,
                            dnnl_memory_desc_t *ret)
{
    dnnl_dims_t dims, strides;
    memcpy(dims, dim, (size_t)rank * sizeof *dim);
    if (f.layout == NN_LAYOUT_BLOCKED)
        return dnnl_memory_desc_init_by_tag(ret, rank, dims, type_of(f.type), dnnl_nChw16c);
    int64_t stride = 1;
    for (int i = rank; i-- > 0;) {
        int k = nn_memory_dimension(f.layout, rank, i);
        strides[k] = stride;
        stride *= dim[k];
    }
    return dnnl_memory_desc_init_by_strides(ret, rank, dims, type_of(f.type), strides);
}

static dnnl_status_t reorder_make(struct nn_dnnl_op *op, const dnnl_memory_desc_t *from,
                                  const dnnl_memory_desc_t *to)
{
    dnnl_engine_t engine = op->owner->engine;
    dnnl_status_t code =
        dnnl_reorder_primitive_desc_create(&op->desc, from, engine, to, engine, op->owner->attr);
    if (!code)
        code = dnnl_primitive_create(&op->primitive, op->desc);
    if (!code)
        code = slot_add(op, NN_SLOT_SRC, DNNL_ARG_FROM, from);
    if (!code)
        code = slot_add(op, NN_SLOT_DST, DNNL_ARG_TO, to);
    return code ? code : scratch_add(op);
}

enum status nn_dnnl_reorder_open(struct nn_dnnl *d, int rank, const int64_t *dim,
                                 struct nn_format from, struct nn_format to,
                                 struct nn_dnnl_op **ret, struct error *err)
{
    struct nn_dnnl_op *op = NULL;
    enum status st = op_new(d, NN_PASS_FORWARD, &op, err);
    if (st)
        return st;
    dnnl_memory_desc_t a, b;
    dnnl_status_t code = any_md(rank, dim, from, &a);
    if (!code)
        code = any_md(rank, dim, to, &b);
    if (!code)
        code = reorder_make(op, &a, &b);
    if (code) {
        nn_dnnl_op_close(&op);
        return refused(err, code, "layout conversion");
    }
    *ret = op;
    return ST_OK;
}

static dnnl_alg_kind_t pool_algorithm(enum nn_pool_kind kind)
{
    switch (kind) {
    case NN_POOL_MAX:
        return dnnl_pooling_max;
    case NN_POOL_AVERAGE_INCLUDE_PAD:
        return dnnl_pooling_avg_include_padding;
    default:
        return dnnl_pooling_avg_exclude_padding;
    }
}

static dnnl_status_t pool_desc_create(struct nn_dnnl_op *op, const struct nn_window *w,
                                      enum nn_pool_kind kind, bool training,
                                      struct nn_format format)
{
    struct window_dims k;
    window_dims_fill(w, &k);
    dnnl_memory_desc_t src, dst;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_pooling_v2_desc_t desc;
    dnnl_status_t code = src_md(w, format, &src);
    if (!code)
        code = dst_md(w, format, &dst);
    if (!code)
        code = dnnl_pooling_v2_forward_desc_init(
            &desc, training ? dnnl_forward_training : dnnl_forward_inference, pool_algorithm(kind),
            &src, &dst, k.stride, k.kernel, k.dilation, k.pad_before, k.pad_after);
    if (!code)
        code = dnnl_primitive_desc_create(&hint, &desc, op->owner->attr, op->owner->engine, NULL);
    if (op->pass == NN_PASS_FORWARD) {
        op->desc = hint;
        return code;
    }
    if (!code)
        code = dnnl_pooling_v2_backward_desc_init(&desc, pool_algorithm(kind), &src, &dst, k.stride,
                                                  k.kernel, k.dilation, k.pad_before, k.pad_after);
    if (!code)
        code =
            dnnl_primitive_desc_create(&op->desc, &desc, op->owner->attr, op->owner->engine, hint);
    if (hint)
        dnnl_primitive_desc_destroy(hint);
    return code;
}

static dnnl_status_t pool_slots(struct nn_dnnl_op *op)
{
    bool forward = op->pass == NN_PASS_FORWARD;
    dnnl_status_t code =
        forward ? slot_add(op, NN_SLOT_SRC, DNNL_ARG_SRC, query(op, dnnl_query_src_md, 0))
                : slot_add(op, NN_SLOT_DIFF_SRC, DNNL_ARG_DIFF_SRC,
                           query(op, dnnl_query_diff_src_md, 0));
    if (!code)
        code = forward ? slot_add(op, NN_SLOT_DST, DNNL_ARG_DST, query(op, dnnl_query_dst_md, 0))
                       : slot_add(op, NN_SLOT_DST, DNNL_ARG_DIFF_DST,
                                  query(op, dnnl_query_diff_dst_md, 0));
    const dnnl_memory_desc_t *workspace = query(op, dnnl_query_workspace_md, 0);
    if (!code && workspace && dnnl_memory_desc_get_size(workspace) > 0)
        code = slot_add(op, NN_SLOT_WORKSPACE, DNNL_ARG_WORKSPACE, workspace);
    return code;
}

enum status nn_dnnl_pool_open(struct nn_dnnl *d, const struct nn_window *w, enum nn_pool_kind kind,
                              enum nn_pass pass, bool training, struct nn_format format,
                              struct nn_dnnl_op **ret, struct error *err)
{
    struct nn_dnnl_op *op = NULL;
    enum status st = op_new(d, pass, &op, err);
    if (st)
        return st;
    dnnl_status_t code = pool_desc_create(op, w, kind, training, format);
    if (!code)
        code = dnnl_primitive_create(&op->primitive, op->desc);
    if (!code)
        code = pool_slots(op);
    if (!code)
        code = scratch_add(op);
    if (code) {
        nn_dnnl_op_close(&op);
        return refused(err, code, "pooling");
    }
    *ret = op;
    return ST_OK;
}

void nn_dnnl_op_close(struct nn_dnnl_op **ref)
{
    if (!ref || !*ref)
        return;
    struct nn_dnnl_op *op = *ref;
    for (int i = 0; i < NN_SLOT_COUNT; i++)
        if (op->slot[i])
            dnnl_memory_destroy(op->slot[i]);
    if (op->scratch)
        dnnl_memory_destroy(op->scratch);
    if (op->plain)
        dnnl_memory_destroy(op->plain);
    if (op->reorder)
        dnnl_primitive_destroy(op->reorder);
    if (op->primitive)
        dnnl_primitive_destroy(op->primitive);
    if (op->desc)
        dnnl_primitive_desc_destroy(op->desc);
    free(op->packed);
    free(op);
    *ref = NULL;
}

static size_t query_bytes(const struct nn_dnnl_op *op, dnnl_query_t what)
{
    const dnnl_memory_desc_t *md = query(op, what, 0);
    return md ? dnnl_memory_desc_get_size(md) : 0;
}

size_t nn_dnnl_op_scratch_bytes(const struct nn_dnnl_op *op)
{
    return query_bytes(op, dnnl_query_scratchpad_md);
}

size_t nn_dnnl_op_workspace_bytes(const struct nn_dnnl_op *op)
{
    return query_bytes(op, dnnl_query_workspace_md);
}

size_t nn_dnnl_op_own_bytes(const struct nn_dnnl_op *op)
{
    return op->transient ? 0 : op->packed_bytes;
}

size_t nn_dnnl_op_packed_bytes(const struct nn_dnnl_op *op)
{
    return op->transient ? op->packed_bytes : 0;
}

const char *nn_dnnl_op_implementation(const struct nn_dnnl_op *op)
{
    return implementation(op->desc);
}

/* The primitive's own weights, or gradient by them. */
static dnnl_memory_t packed_slot(const struct nn_dnnl_op *op)
{
    return op->slot[op->pass == NN_PASS_BACKWARD_WEIGHTS ? NN_SLOT_DIFF_WEIGHTS : NN_SLOT_WEIGHTS];
}

static enum status run_status(dnnl_status_t code)
{
    return code ? ST_INTERNAL : ST_OK;
}

enum status nn_dnnl_op_bind(struct nn_dnnl_op *op, enum nn_slot slot, void *data)
{
    bool weights = slot == NN_SLOT_WEIGHTS || slot == NN_SLOT_DIFF_WEIGHTS;
    if (slot == NN_SLOT_NONE)
        return ST_OK;
    if (slot == NN_SLOT_SCRATCH)
        return run_status(dnnl_memory_set_data_handle(op->scratch, data));
    if (slot == NN_SLOT_PACKED)
        return run_status(dnnl_memory_set_data_handle(packed_slot(op), data));
    dnnl_memory_t memory = weights && op->plain ? op->plain : op->slot[slot];
    return memory ? run_status(dnnl_memory_set_data_handle(memory, data)) : ST_OK;
}

static dnnl_status_t reorder_run(struct nn_dnnl_op *op, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_exec_arg_t argument[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    return dnnl_primitive_execute(op->reorder, op->owner->stream, 2, argument);
}

static dnnl_status_t pack(struct nn_dnnl_op *op)
{
    if (!op->reorder || op->pass == NN_PASS_BACKWARD_WEIGHTS)
        return dnnl_success;
    return reorder_run(op, op->plain, packed_slot(op));
}

enum status nn_dnnl_op_pack(struct nn_dnnl_op *op)
{
    return op->transient ? ST_OK : run_status(pack(op));
}

enum status nn_dnnl_op_run(struct nn_dnnl_op *op)
{
    dnnl_status_t code = op->transient ? pack(op) : dnnl_success;
    if (!code)
        code = dnnl_primitive_execute(op->primitive, op->owner->stream, op->argument_count,
                                      op->argument);
    if (!code && op->reorder && op->pass == NN_PASS_BACKWARD_WEIGHTS)
        code = reorder_run(op, packed_slot(op), op->plain);
    return run_status(code);
}

enum status nn_sgemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                     const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                     int64_t ldc)
{
    return run_status(dnnl_sgemm(trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', m, n, k, alpha, a, lda,
                                 b, ldb, beta, c, ldc));
}
