/* Operators that only move elements. What changes nothing becomes another name of its input, so
 * that exporters' no-op Pads and Slices cost nothing.
 *
 * A tensor stays `batched` while its dim 0 is the batch. Exporters bake the batch of one into the
 * targets of Reshape and its kin: a result that begins with 1 is taken as one that begins with the
 * batch, which is right as long as every image is computed by itself, as these networks do. */
#include <inttypes.h>
#include <string.h>

#include "nn/lower.h"

static int64_t product(const struct nn_shape *s, int begin, int end)
{
    int64_t p = 1;
    for (int i = begin; i < end; i++)
        p *= s->dim[i];
    return p;
}

void nn_lower_identity(struct nn_lower *l)
{
    nn_out_alias(l, 0);
}

/* Folded away, for training too: the students that attune adapts are trained without it. */
void nn_lower_dropout(struct nn_lower *l)
{
    nn_attr_ignore(l, "ratio");
    nn_attr_ignore(l, "seed");
    nn_attr_ignore(l, "is_test");
    nn_out_alias(l, 0);
}

void nn_lower_concat(struct nn_lower *l)
{
    struct nn_shape out = nn_in_shape(l, 0, 0);
    int axis = nn_axis(l, nn_attr_int(l, "axis", 1), out.rank);
    bool constant = nn_all_constant(l);
    for (int i = 0; !l->status && i < l->node.input_count; i++) {
        struct nn_shape s = nn_in_shape(l, i, 0), want = out;
        char ts[96], tw[96];
        if (l->status)
            return;
        if (nn_in(l, i)->dtype != (constant ? nn_in(l, 0)->dtype : NN_F32))
            nn_fail(l, ST_UNSUPPORTED, "its inputs have different element types");
        want.dim[axis] = axis < s.rank ? s.dim[axis] : 0;
        if (!nn_shape_equal(&want, &s))
            nn_fail(l, ST_FORMAT, "shapes %s and %s do not join", nn_shape_text(&out, tw),
                    nn_shape_text(&s, ts));
        out.batched = out.batched && s.batched && axis != 0;
        if (i && __builtin_add_overflow(out.dim[axis], s.dim[axis], &out.dim[axis]))
            nn_fail(l, ST_LIMIT, "its output is too large");
    }
    l->node.a.axis.axis = axis;
    if (l->node.input_count == 1)
        nn_out_alias(l, 0);
    else
        nn_out(l, NN_OP_CONCAT, out);
}

/* Sizes of the parts from the attribute, the input, or even shares. Returns how many. */
static int split_sizes(struct nn_lower *l, int64_t dim, int64_t *sizes)
{
    int count = nn_ints_either(l, "split", 1, 13, sizes, NN_NODE_OUTPUTS_MAX);
    if (count >= 0)
        return count;
    int64_t parts = nn_attr_int(l, "num_outputs", (int64_t)l->proto->n_output);
    if (parts < 1 || parts > NN_NODE_OUTPUTS_MAX) {
        nn_fail(l, ST_UNSUPPORTED, "%" PRId64 " parts are not possible", parts);
        return 0;
    }
    int64_t share = (dim + parts - 1) / parts;
    for (int64_t i = 0; i < parts; i++) {
        sizes[i] = dim < share ? dim : share;
        dim -= sizes[i];
    }
    return (int)parts;
}

void nn_lower_split(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0);
    int axis = nn_axis(l, nn_attr_int(l, "axis", 0), x.rank);
    int64_t sizes[NN_NODE_OUTPUTS_MAX], left = l->status ? 0 : x.dim[axis];
    int count = l->status ? 0 : split_sizes(l, left, sizes);
    l->node.a.axis.axis = axis;
    l->node.input_count = 1;
    for (int i = 0; !l->status && i < count; i++) {
        if (sizes[i] < 0 || sizes[i] > left) {
            nn_fail(l, ST_FORMAT, "its parts do not add up to %" PRId64, x.dim[axis]);
            return;
        }
        left -= sizes[i];
        struct nn_shape part = x;
        part.dim[axis] = sizes[i];
        part.batched = x.batched && axis != 0;
        if (count > 1)
            nn_out(l, NN_OP_SPLIT, part);
    }
    if (left != 0)
        nn_fail(l, ST_FORMAT, "its parts do not add up to the input");
    if (count == 1)
        nn_out_alias(l, 0);
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v > high ? high : v < low ? low : v;
}

/* One axis of a slice by the specification's clamping; returns the size that is left. */
static int64_t slice_axis(struct nn_lower *l, int axis, int64_t dim, int64_t start, int64_t end,
                          int64_t step)
{
    if (step == 0 || step < -INT32_MAX || step > INT32_MAX) {
        nn_fail(l, ST_UNSUPPORTED, "a step of %" PRId64 " is not possible", step);
        return 0;
    }
    start = clamp(start < 0 ? start + dim : start, 0, step > 0 ? dim : dim - 1);
    end = clamp(end < 0 ? end + dim : end, step > 0 ? 0 : -1, step > 0 ? dim : dim - 1);
    l->node.a.slice.start[axis] = start;
    l->node.a.slice.step[axis] = step;
    int64_t span = step > 0 ? end - start : start - end, size = step > 0 ? step : -step;
    int64_t left = span <= 0 ? 0 : (span + size - 1) / size;
    if (left <= 1)
        l->node.a.slice.step[axis] = 1;
    return left;
}

void nn_lower_slice(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), out = x;
    int64_t start[NN_RANK_MAX], end[NN_RANK_MAX], axes[NN_RANK_MAX], step[NN_RANK_MAX];
    int count = nn_ints_either(l, "starts", 1, 10, start, NN_RANK_MAX);
    int ends = nn_ints_either(l, "ends", 2, 10, end, NN_RANK_MAX);
    int axis_count = nn_ints_either(l, "axes", 3, 10, axes, NN_RANK_MAX);
    int step_count = l->opset < 10 ? -1 : nn_ints_either(l, "", 4, 10, step, NN_RANK_MAX);
    if (count < 0 || ends != count || (axis_count >= 0 && axis_count != count) ||
        (step_count >= 0 && step_count != count) || (axis_count < 0 && count > x.rank))
        nn_fail(l, ST_FORMAT, "its starts, ends, axes and steps do not fit");
    for (int i = 0; i < x.rank; i++)
        l->node.a.slice.step[i] = 1;
    unsigned seen = 0;
    for (int i = 0; !l->status && i < count; i++) {
        int axis = nn_axis(l, axis_count < 0 ? i : axes[i], x.rank);
        if (seen >> axis & 1)
            nn_fail(l, ST_FORMAT, "axis %d is sliced twice", axis);
        seen |= 1u << axis;
        out.dim[axis] =
            slice_axis(l, axis, x.dim[axis], start[i], end[i], step_count < 0 ? 1 : step[i]);
    }
    bool changes = !nn_shape_equal(&x, &out), moves_batch = x.rank && out.dim[0] != x.dim[0];
    for (int i = 0; i < x.rank; i++)
        changes = changes || l->node.a.slice.step[i] < 0;
    out.batched = x.batched && !moves_batch;
    l->node.input_count = 1;
    if (!changes)
        nn_out_alias(l, 0);
    else
        nn_out(l, NN_OP_SLICE, out);
}

/* The two pads of each axis from an attribute or inputs, by axis. */
static void read_pads(struct nn_lower *l, int rank)
{
    int64_t v[2 * NN_RANK_MAX], axes[NN_RANK_MAX];
    const char *name = l->opset < 2 ? "paddings" : "pads";
    int count = nn_ints_either(l, name, 1, 11, v, 2 * NN_RANK_MAX);
    int axis_count = l->opset < 18 ? -1 : nn_ints_either(l, "", 3, 18, axes, NN_RANK_MAX);
    int used = axis_count < 0 ? rank : axis_count;
    if (count != 2 * used)
        nn_fail(l, ST_FORMAT, "%d pads for %d dims", count, used);
    for (int i = 0; !l->status && i < used; i++) {
        int axis = nn_axis(l, axis_count < 0 ? i : axes[i], rank);
        l->node.a.pad.before[axis] = v[i];
        l->node.a.pad.after[axis] = v[i + used];
    }
}

void nn_lower_pad(struct nn_lower *l)
{
    static const char *const modes[] = {"constant", NULL};
    struct nn_shape x = nn_in_shape(l, 0, 0), out = x;
    bool changes = false;
    float value = 0;
    nn_attr_choice(l, "mode", modes, 0);
    read_pads(l, x.rank);
    if (l->opset < 11)
        value = nn_attr_float(l, "value", 0);
    else if (nn_in(l, 2) && nn_in(l, 0)->dtype == NN_F32 && nn_in_f32(l, 2, &value, 1) != 1)
        nn_fail(l, ST_FORMAT, "its value is not one float");
    l->node.a.pad.value = value;
    for (int i = 0; !l->status && i < x.rank; i++) {
        int64_t before = l->node.a.pad.before[i], after = l->node.a.pad.after[i];
        if (before < -NN_ELEMENTS_MAX || before > NN_ELEMENTS_MAX || after < -NN_ELEMENTS_MAX ||
            after > NN_ELEMENTS_MAX || x.dim[i] + before + after < 0) {
            nn_fail(l, ST_UNSUPPORTED, "pads %" PRId64 " and %" PRId64 " are not possible", before,
                    after);
            return;
        }
        out.dim[i] = x.dim[i] + before + after;
        changes = changes || before || after;
        out.batched = out.batched && (i || (!before && !after));
    }
    l->node.input_count = 1;
    if (!changes)
        nn_out_alias(l, 0);
    else
        nn_out(l, NN_OP_PAD, out);
}

/* Ends every operator that gives the same elements other dims. */
static void out_reshape(struct nn_lower *l, const struct nn_shape *x, struct nn_shape out)
{
    int64_t before = 0, after = 0;
    char tx[96], to[96];
    if (l->status)
        return;
    if (!nn_shape_count(x, &before) || !nn_shape_count(&out, &after) || before != after) {
        nn_fail(l, ST_FORMAT, "%s cannot become %s", nn_shape_text(x, tx), nn_shape_text(&out, to));
        return;
    }
    l->node.input_count = 1;
    out.batched = x->batched && out.rank > 0 && out.dim[0] == 1;
    if (nn_shape_equal(x, &out))
        nn_out_alias(l, 0);
    else
        nn_out(l, NN_OP_RESHAPE, out);
}

void nn_lower_reshape(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), out = {0};
    int64_t v[NN_RANK_MAX], known = 1, count = 0;
    int unknown = -1;
    bool zero_copies = !nn_attr_int(l, "allowzero", 0);
    out.rank = nn_ints_either(l, "shape", 1, 5, v, NN_RANK_MAX);
    if (out.rank < 0)
        nn_fail(l, ST_FORMAT, "its target is missing");
    for (int i = 0; !l->status && i < out.rank; i++) {
        int64_t dim = v[i];
        if (dim == 0 && zero_copies)
            dim = i < x.rank ? x.dim[i] : -2;
        if (dim < -1 || (dim == -1 && unknown >= 0) ||
            (dim > 0 && (__builtin_mul_overflow(known, dim, &known) || known > NN_ELEMENTS_MAX)))
            nn_fail(l, ST_FORMAT, "its target's dim %d (%" PRId64 ") is not possible", i, v[i]);
        if (dim == 0)
            known = 0;
        if (dim == -1)
            unknown = i;
        out.dim[i] = dim;
    }
    if (!l->status && unknown >= 0) {
        if (!nn_shape_count(&x, &count) || known == 0 || count % known)
            nn_fail(l, ST_FORMAT, "its target leaves no size for -1");
        else
            out.dim[unknown] = count / known;
    }
    if (out.rank >= 0)
        out_reshape(l, &x, out);
}

void nn_lower_flatten(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), out = {.rank = 2};
    int64_t axis = nn_attr_int(l, "axis", 1);
    if (axis < -x.rank || axis > x.rank)
        nn_fail(l, ST_FORMAT, "axis %" PRId64 " is outside a tensor of rank %d", axis, x.rank);
    if (l->status)
        return;
    int at = (int)(axis < 0 ? axis + x.rank : axis);
    out.dim[0] = product(&x, 0, at);
    out.dim[1] = product(&x, at, x.rank);
    out_reshape(l, &x, out);
}

/* Bits of the axes that Squeeze or Unsqueeze names; rank is the one that they count in. */
static unsigned read_axes(struct nn_lower *l, int rank, unsigned otherwise)
{
    int64_t axes[NN_RANK_MAX];
    unsigned bits = 0;
    int count = nn_ints_either(l, "axes", 1, 13, axes, NN_RANK_MAX);
    for (int i = 0; !l->status && i < count; i++) {
        unsigned bit = 1u << nn_axis(l, axes[i], rank);
        if (bits & bit)
            nn_fail(l, ST_FORMAT, "axis %" PRId64 " is named twice", axes[i]);
        bits |= bit;
    }
    return count < 0 ? otherwise : bits;
}

void nn_lower_squeeze(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), out = {0};
    unsigned ones = 0;
    for (int i = 0; i < x.rank; i++)
        ones |= (unsigned)(x.dim[i] == 1) << i;
    unsigned bits = read_axes(l, x.rank, ones);
    if (bits & ~ones)
        nn_fail(l, ST_FORMAT, "an axis that is not 1 cannot be removed");
    for (int i = 0; i < x.rank; i++)
        if (!(bits >> i & 1))
            out.dim[out.rank++] = x.dim[i];
    out_reshape(l, &x, out);
}

void nn_lower_unsqueeze(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), out = {0};
    int64_t axes[NN_RANK_MAX];
    int count = nn_ints_either(l, "axes", 1, 13, axes, NN_RANK_MAX);
    if (count < 0 || x.rank + count > NN_RANK_MAX)
        nn_fail(l, ST_UNSUPPORTED, "%d axes on a tensor of rank %d", count, x.rank);
    if (l->status)
        return;
    unsigned bits = read_axes(l, x.rank + count, 0);
    for (int i = 0, from = 0; !l->status && i < x.rank + count; i++)
        out.dim[out.rank++] = bits >> i & 1 ? 1 : x.dim[from++];
    out_reshape(l, &x, out);
}

void nn_lower_transpose(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), out = x;
    int64_t perm[NN_RANK_MAX];
    unsigned seen = 0;
    bool changes = false;
    int count = nn_attr_ints(l, "perm", perm, NN_RANK_MAX);
    if (count >= 0 && count != x.rank)
        nn_fail(l, ST_FORMAT, "%d entries of perm for rank %d", count, x.rank);
    for (int i = 0; !l->status && i < x.rank; i++) {
        int from = nn_axis(l, count < 0 ? x.rank - 1 - i : perm[i], x.rank);
        if (seen >> from & 1)
            nn_fail(l, ST_FORMAT, "attribute perm names axis %d twice", from);
        seen |= 1u << from;
        l->node.a.transpose.perm[i] = from;
        out.dim[i] = x.dim[from];
        changes = changes || from != i;
    }
    out.batched = x.batched && l->node.a.transpose.perm[0] == 0;
    if (!changes)
        nn_out_alias(l, 0);
    else
        nn_out(l, NN_OP_TRANSPOSE, out);
}

/* Every index in [-dim, dim); the handed-on constant has them non-negative. */
static void check_indices(struct nn_lower *l, int64_t dim)
{
    const struct nn_tensor *t = nn_in(l, 1);
    if (!t || t->kind != NN_TENSOR_CONSTANT || t->dtype != NN_I64) {
        nn_fail(l, ST_UNSUPPORTED, "its indices have to be constant integers");
        return;
    }
    const int64_t *index = t->data;
    int64_t count = nn_tensor_count(t);
    bool negative = false;
    for (int64_t i = 0; i < count; i++) {
        if (index[i] < -dim || index[i] >= dim)
            nn_fail(l, ST_FORMAT, "index %" PRId64 " is outside %" PRId64, index[i], dim);
        negative = negative || index[i] < 0;
    }
    if (l->status || !negative)
        return;
    struct nn_shape shape = nn_shape_of(t);
    int64_t *fixed = nn_pool_alloc(l->d->pool, (size_t)count, sizeof *fixed);
    char *name = nn_draft_unique(l->d, l->node.name, "_indices");
    if (!fixed || !name) {
        nn_fail(l, ST_NOMEM, "no memory for its indices");
        return;
    }
    for (int64_t i = 0; i < count; i++)
        fixed[i] = index[i] < 0 ? index[i] + dim : index[i];
    l->status = nn_draft_tensor(l->d, name, NN_TENSOR_CONSTANT, NN_I64, &shape, fixed,
                                &l->node.input[1], l->err);
}

void nn_lower_gather(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), index = nn_in_shape(l, 1, 0), out = {0};
    int axis = nn_axis(l, nn_attr_int(l, "axis", 0), x.rank);
    if (x.rank - 1 + index.rank > NN_RANK_MAX)
        nn_fail(l, ST_UNSUPPORTED, "its output has more than %d dims", NN_RANK_MAX);
    if (l->status)
        return;
    check_indices(l, x.dim[axis]);
    if (l->status || nn_lower_shuffle_part(l, axis))
        return;
    for (int i = 0; i < axis; i++)
        out.dim[out.rank++] = x.dim[i];
    for (int i = 0; i < index.rank; i++)
        out.dim[out.rank++] = index.dim[i];
    for (int i = axis + 1; i < x.rank; i++)
        out.dim[out.rank++] = x.dim[i];
    out.batched = x.batched && axis > 0;
    l->node.a.axis.axis = axis;
    nn_out(l, NN_OP_GATHER, out);
}
