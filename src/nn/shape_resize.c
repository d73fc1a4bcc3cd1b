/* Resize and Upsample of height and width. Before opset 11 both map coordinates as ONNX Runtime
 * does: out / scale, taken down when enlarging and up when shrinking. */
#include <inttypes.h>
#include <math.h>

#include "nn/lower.h"

#define RESIZE_SCALE_MAX 1024.0f

const char *const nn_resize_mode_names[] = {"", "nearest", "linear", "bilinear", NULL};
const char *const nn_resize_coordinate_names[] = {
    "", "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", NULL};
const char *const nn_resize_nearest_names[] = {
    "", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};

static void read_mode(struct nn_lower *l)
{
    int mode = nn_attr_choice(l, "mode", nn_resize_mode_names, NN_RESIZE_NEAREST);
    l->node.a.resize.mode = mode > NN_RESIZE_NEAREST ? NN_RESIZE_LINEAR : NN_RESIZE_NEAREST;
}

/* Checks the four scales (N and C have to be 1) and sets the output's height and width. */
static void apply_scales(struct nn_lower *l, const float *scale, int count, struct nn_shape *x)
{
    if (count != 4) {
        nn_fail(l, ST_UNSUPPORTED, "%d scales; four are supported", count);
        return;
    }
    for (int i = 0; i < 4; i++) {
        float s = scale[i];
        if (!(s > 0 && s <= RESIZE_SCALE_MAX) || (i < 2 && s != 1)) {
            nn_fail(l, ST_UNSUPPORTED, "scale %g of dim %d is not supported", (double)s, i);
            return;
        }
        if (i >= 2)
            l->node.a.resize.scale[i - 2] = s;
        x->dim[i] = (int64_t)floorf((float)x->dim[i] * s);
    }
}

static void apply_sizes(struct nn_lower *l, const int64_t *size, int count, struct nn_shape *x)
{
    if (count != 4 || size[0] != x->dim[0] || size[1] != x->dim[1]) {
        nn_fail(l, ST_UNSUPPORTED,
                "only height and width can be resized, and all four sizes needed");
        return;
    }
    for (int i = 2; i < 4; i++) {
        if (size[i] < 1 || size[i] > (int64_t)RESIZE_SCALE_MAX * x->dim[i])
            nn_fail(l, ST_FORMAT, "size %" PRId64 " is not possible", size[i]);
        l->node.a.resize.scale[i - 2] = (float)size[i] / (float)x->dim[i];
        x->dim[i] = size[i];
    }
}

static void out_resize(struct nn_lower *l, struct nn_shape out)
{
    l->node.input_count = 1;
    if (l->node.a.resize.scale[0] == 1 && l->node.a.resize.scale[1] == 1)
        nn_out_alias(l, 0);
    else
        nn_out(l, NN_OP_RESIZE, out);
}

/* The mapping of opset 10 and before. */
static void old_mapping(struct nn_lower *l)
{
    const float *scale = l->node.a.resize.scale;
    l->node.a.resize.coordinates = NN_RESIZE_ASYMMETRIC;
    l->node.a.resize.nearest = scale[0] < 1 || scale[1] < 1 ? NN_NEAREST_CEIL : NN_NEAREST_FLOOR;
    if ((scale[0] < 1 && scale[1] > 1) || (scale[0] > 1 && scale[1] < 1))
        nn_fail(l, ST_UNSUPPORTED, "one side shrinks while the other grows");
}

void nn_lower_upsample(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 4);
    float scale[4];
    int count;
    read_mode(l);
    if (l->opset < 9)
        count = nn_attr_floats(l, "scales", scale, 4);
    else
        count = nn_in_f32(l, 1, scale, 4);
    apply_scales(l, scale, count, &x);
    old_mapping(l);
    out_resize(l, x);
}

/* Attributes whose other values would change the result. */
static void refuse_variants(struct nn_lower *l)
{
    static const char *const policies[] = {"stretch", NULL};
    nn_attr_ignore(l, "cubic_coeff_a");
    nn_attr_ignore(l, "extrapolation_value");
    nn_attr_choice(l, "keep_aspect_ratio_policy", policies, 0);
    if (nn_attr_int(l, "exclude_outside", 0) || nn_attr_int(l, "antialias", 0))
        nn_fail(l, ST_UNSUPPORTED, "attributes exclude_outside and antialias are not supported");
}

void nn_lower_resize(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 4);
    float scale[4];
    int64_t size[4];
    if (l->opset < 11) {
        nn_lower_upsample(l);
        return;
    }
    read_mode(l);
    refuse_variants(l);
    l->node.a.resize.coordinates = (enum nn_resize_coordinates)nn_attr_choice(
        l, "coordinate_transformation_mode", nn_resize_coordinate_names, NN_RESIZE_HALF_PIXEL);
    l->node.a.resize.nearest = (enum nn_resize_nearest)nn_attr_choice(
        l, "nearest_mode", nn_resize_nearest_names, NN_NEAREST_ROUND_PREFER_FLOOR);
    int scales = nn_in(l, 2) ? nn_in_f32(l, 2, scale, 4) : 0;
    if (scales > 0)
        apply_scales(l, scale, scales, &x);
    else
        apply_sizes(l, size, nn_in_i64(l, 3, size, 4), &x);
    out_resize(l, x);
}
