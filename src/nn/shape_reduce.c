/* ReduceMean and ReduceSum. Over height and width of an image the mean is GlobalAveragePool; where
 * the reduced dims are not kept, a Reshape after it drops them. */
#include <inttypes.h>

#include "nn/lower.h"

/* Bits of the axes, 0 for none. since: the operator set in which they became an input. */
static unsigned read_axes(struct nn_lower *l, int rank, int since)
{
    int64_t axes[NN_RANK_MAX];
    unsigned bits = 0;
    int count = nn_ints_either(l, "axes", 1, since, axes, NN_RANK_MAX);
    for (int i = 0; !l->status && i < count; i++) {
        unsigned bit = 1u << nn_axis(l, axes[i], rank);
        if (bits & bit)
            nn_fail(l, ST_FORMAT, "axis %" PRId64 " is named twice", axes[i]);
        bits |= bit;
    }
    bool all = !nn_attr_int(l, "noop_with_empty_axes", 0);
    return !bits && all ? (1u << rank) - 1 : bits;
}

static struct nn_shape dropped(const struct nn_shape *kept, unsigned axes)
{
    struct nn_shape s = {.batched = kept->batched};
    for (int i = 0; i < kept->rank; i++)
        if (!(axes >> i & 1))
            s.dim[s.rank++] = kept->dim[i];
    return s;
}

static void lower_reduce(struct nn_lower *l, enum nn_op op, int since)
{
    struct nn_shape x = nn_in_shape(l, 0, 0), kept = x;
    unsigned axes = read_axes(l, x.rank, since);
    bool keep = nn_attr_int(l, "keepdims", 1) != 0;
    l->node.input_count = 1; /* the axes are read */
    nn_require_floats(l);
    if (nn_in_constant(l, 0))
        nn_fail(l, ST_UNSUPPORTED, "of a constant is not supported");
    if (l->status)
        return;
    for (int i = 0; i < x.rank; i++)
        kept.dim[i] = axes >> i & 1 ? 1 : x.dim[i];
    kept.batched = x.batched && !(axes & 1);
    if (op == NN_OP_REDUCE_MEAN && x.rank == 4 && axes == 0xc)
        op = NN_OP_GLOBAL_AVERAGE_POOL;
    else
        l->node.a.reduce.axes = axes;
    if (!axes) {
        nn_out_alias(l, 0);
    } else if (keep) {
        nn_out(l, op, kept);
    } else {
        struct nn_node n = l->node;
        n.op = op;
        l->node.input[0] = nn_emit(l, n, &kept, "_kept");
        l->node.a.reduce.axes = 0;
        nn_out(l, NN_OP_RESHAPE, dropped(&kept, axes));
    }
}

void nn_lower_reduce_mean(struct nn_lower *l)
{
    lower_reduce(l, NN_OP_REDUCE_MEAN, 18);
}

void nn_lower_reduce_sum(struct nn_lower *l)
{
    lower_reduce(l, NN_OP_REDUCE_SUM, 13);
}
