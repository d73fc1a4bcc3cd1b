/* Operators that slide a window over height and width: convolutions and pools. Output sizes follow
 * the ONNX specification; with ceil_mode a window that would start in the end padding is dropped,
 * as PyTorch and ONNX Runtime do. Only two-dimensional windows are read. */
#include <inttypes.h>

#include "nn/lower.h"

#define WINDOW_MAX 65536 /* of kernel, stride, dilation, pad: keeps all arithmetic in range */

enum auto_pad { AUTO_NOTSET, AUTO_VALID, AUTO_SAME_UPPER, AUTO_SAME_LOWER };

static const char *const auto_pad_names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", NULL};

/* Two or four ints of an attribute in [min, WINDOW_MAX], or the value `otherwise`. */
static bool window_ints(struct nn_lower *l, const char *name, int count, int64_t min, int otherwise,
                        int *out)
{
    int64_t v[4];
    int given = nn_attr_ints(l, name, v, 4);
    if (given >= 0 && given != count)
        nn_fail(l, ST_UNSUPPORTED,
                "attribute '%s' has %d values; only two dimensions are supported", name, given);
    for (int i = 0; i < count; i++) {
        int64_t value = given == count ? v[i] : otherwise;
        if (value < min || value > WINDOW_MAX)
            nn_fail(l, ST_UNSUPPORTED, "attribute '%s' value %" PRId64 " is not supported", name,
                    value);
        out[i] = l->status ? otherwise : (int)value;
    }
    return given >= 0;
}

/* Everything but the pads that auto_pad resolves. kernel: the weights' height and width, or NULL
 * where only the attribute says them. */
static enum auto_pad read_window(struct nn_lower *l, const int64_t *kernel)
{
    int(*k)[2] = &l->node.a.window.kernel;
    int otherwise = 1;
    bool given = window_ints(l, "kernel_shape", 2, 1, otherwise, *k);
    if (!given && !kernel)
        nn_fail(l, ST_FORMAT, "attribute 'kernel_shape' is missing");
    for (int i = 0; kernel && i < 2; i++) {
        if (kernel[i] > WINDOW_MAX || (given && kernel[i] != (*k)[i]))
            nn_fail(l, ST_FORMAT, "kernel_shape and the weight disagree");
        (*k)[i] = (int)kernel[i];
    }
    window_ints(l, "strides", 2, 1, 1, l->node.a.window.stride);
    window_ints(l, "dilations", 2, 1, 1, l->node.a.window.dilation);
    window_ints(l, "pads", 4, 0, 0, l->node.a.window.pad);
    return (enum auto_pad)nn_attr_choice(l, "auto_pad", auto_pad_names, AUTO_NOTSET);
}

static int64_t extent(const struct nn_lower *l, int axis)
{
    return (int64_t)l->node.a.window.dilation[axis] * (l->node.a.window.kernel[axis] - 1) + 1;
}

/* Splits total over both ends; the odd one goes to the end, or the beginning for SAME_LOWER. */
static void split_pad(struct nn_lower *l, int axis, int64_t total, enum auto_pad mode)
{
    int *pad = l->node.a.window.pad;
    if (total < 0)
        total = 0;
    if (total > WINDOW_MAX) {
        nn_fail(l, ST_UNSUPPORTED, "auto_pad gives a padding of %" PRId64, total);
        return;
    }
    int less = (int)(total / 2), more = (int)(total - total / 2);
    pad[axis] = mode == AUTO_SAME_LOWER ? more : less;
    pad[axis + 2] = mode == AUTO_SAME_LOWER ? less : more;
}

/* Size of the output along axis (0 height, 1 width); resolves auto_pad into pads. */
static int64_t window_out(struct nn_lower *l, int axis, int64_t in, enum auto_pad mode)
{
    int *pad = l->node.a.window.pad;
    int64_t stride = l->node.a.window.stride[axis], span = extent(l, axis);
    if (mode == AUTO_VALID)
        pad[axis] = pad[axis + 2] = 0;
    if (mode >= AUTO_SAME_UPPER)
        split_pad(l, axis, ((in + stride - 1) / stride - 1) * stride + span - in, mode);
    int64_t room = in + pad[axis] + pad[axis + 2] - span;
    if (room < 0) {
        nn_fail(l, ST_FORMAT,
                "its window of %" PRId64 " is larger than the padded input of %" PRId64, span,
                room + span);
        return 1;
    }
    int64_t out = room / stride + 1;
    if (l->node.a.window.ceil_mode) {
        out = (room + stride - 1) / stride + 1;
        if ((out - 1) * stride >= in + pad[axis])
            out--;
    }
    return out;
}

static void check_weights(struct nn_lower *l)
{
    for (int i = 1; i < l->node.input_count; i++) {
        const struct nn_tensor *t = nn_in(l, i);
        if (t && (t->kind != NN_TENSOR_CONSTANT || t->dtype != NN_F32))
            nn_fail(l, ST_UNSUPPORTED, "weight '%.100s' has to be a constant float tensor",
                    t->name);
    }
}

/* groups, and that channels divide by them and the bias has one value a channel. */
static void check_channels(struct nn_lower *l, int64_t in, int64_t weight_in, int64_t out)
{
    const struct nn_tensor *bias = nn_in(l, 2);
    int64_t groups = l->node.a.window.groups;
    if (in != weight_in * groups || out % groups)
        nn_fail(l, ST_FORMAT,
                "%" PRId64 " channels do not fit a weight for %" PRId64 " in %" PRId64 " groups",
                in, weight_in, groups);
    if (bias && (bias->rank != 1 || bias->dim[0] != out))
        nn_fail(l, ST_FORMAT, "bias '%.100s' needs %" PRId64 " values", bias->name, out);
}

static void read_groups(struct nn_lower *l)
{
    int64_t groups = nn_attr_int(l, "group", 1);
    if (groups < 1 || groups > WINDOW_MAX)
        nn_fail(l, ST_FORMAT, "attribute group %" PRId64 " is not possible", groups);
    l->node.a.window.groups = l->status ? 1 : (int)groups;
}

void nn_lower_conv(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 4), w = nn_in_shape(l, 1, 4);
    check_weights(l);
    read_groups(l);
    enum auto_pad mode = read_window(l, &w.dim[2]);
    check_channels(l, x.dim[1], w.dim[1], w.dim[0]);
    x.dim[1] = w.dim[0];
    for (int axis = 0; !l->status && axis < 2; axis++)
        x.dim[axis + 2] = window_out(l, axis, x.dim[axis + 2], mode);
    nn_out(l, NN_OP_CONV, x);
}

/* Output size of a transposed convolution along axis; want: output_shape's entry or 0. */
static int64_t transpose_out(struct nn_lower *l, int axis, int64_t in, int64_t want,
                             enum auto_pad mode)
{
    int *pad = l->node.a.window.pad;
    int64_t stride = l->node.a.window.stride[axis];
    int64_t full = stride * (in - 1) + l->node.a.window.output_pad[axis] + extent(l, axis);
    if (mode >= AUTO_SAME_UPPER && !want)
        want = in * stride;
    if (mode == AUTO_VALID)
        pad[axis] = pad[axis + 2] = 0;
    if (want && full < want)
        nn_fail(l, ST_UNSUPPORTED, "an output of %" PRId64 " needs negative padding", want);
    /* The specification gives the odd pixel to the beginning unless SAME_UPPER. */
    if (want)
        split_pad(l, axis, full - want,
                  mode == AUTO_SAME_UPPER ? AUTO_SAME_UPPER : AUTO_SAME_LOWER);
    int64_t out = full - pad[axis] - pad[axis + 2];
    if (out < 1)
        nn_fail(l, ST_FORMAT, "its padding leaves no output");
    return out;
}

void nn_lower_conv_transpose(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 4), w = nn_in_shape(l, 1, 4);
    int64_t want[4] = {0};
    check_weights(l);
    read_groups(l);
    enum auto_pad mode = read_window(l, &w.dim[2]);
    window_ints(l, "output_padding", 2, 0, 0, l->node.a.window.output_pad);
    int given = nn_attr_ints(l, "output_shape", want, 4);
    if (given >= 0 && given != 2 && given != 4)
        nn_fail(l, ST_UNSUPPORTED, "attribute output_shape has %d values", given);
    if (x.dim[1] != w.dim[0] || x.dim[1] % l->node.a.window.groups ||
        w.dim[1] > NN_ELEMENTS_MAX / l->node.a.window.groups)
        nn_fail(l, ST_FORMAT, "%" PRId64 " channels do not fit a weight for %" PRId64, x.dim[1],
                w.dim[0]);
    x.dim[1] = l->status ? 1 : w.dim[1] * l->node.a.window.groups;
    const struct nn_tensor *bias = nn_in(l, 2);
    if (bias && (bias->rank != 1 || bias->dim[0] != x.dim[1]))
        nn_fail(l, ST_FORMAT, "bias '%.100s' needs %" PRId64 " values", bias->name, x.dim[1]);
    for (int axis = 0; !l->status && axis < 2; axis++)
        x.dim[axis + 2] =
            transpose_out(l, axis, x.dim[axis + 2], given > 0 ? want[given - 2 + axis] : 0, mode);
    nn_out(l, NN_OP_CONV_TRANSPOSE, x);
}

static void lower_pool(struct nn_lower *l, enum nn_op op)
{
    struct nn_shape x = nn_in_shape(l, 0, 4);
    l->node.a.window.groups = 1;
    l->node.a.window.ceil_mode = nn_attr_int(l, "ceil_mode", 0) != 0;
    enum auto_pad mode = read_window(l, NULL);
    for (int axis = 0; !l->status && axis < 2; axis++) {
        x.dim[axis + 2] = window_out(l, axis, x.dim[axis + 2], mode);
        if (l->node.a.window.pad[axis] >= extent(l, axis) ||
            l->node.a.window.pad[axis + 2] >= extent(l, axis))
            nn_fail(l, ST_UNSUPPORTED, "its padding is as large as its window");
    }
    nn_out(l, op, x);
}

void nn_lower_max_pool(struct nn_lower *l)
{
    if (nn_attr_int(l, "storage_order", 0))
        nn_fail(l, ST_UNSUPPORTED, "attribute storage_order 1 is not supported");
    lower_pool(l, NN_OP_MAX_POOL);
}

void nn_lower_average_pool(struct nn_lower *l)
{
    l->node.a.window.count_include_pad = nn_attr_int(l, "count_include_pad", 0) != 0;
    lower_pool(l, NN_OP_AVERAGE_POOL);
    if (l->node.a.window.dilation[0] != 1 || l->node.a.window.dilation[1] != 1)
        nn_fail(l, ST_UNSUPPORTED, "its dilations are not supported");
}

void nn_lower_global_average_pool(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 4);
    x.dim[2] = x.dim[3] = 1;
    nn_out(l, NN_OP_GLOBAL_AVERAGE_POOL, x);
}
