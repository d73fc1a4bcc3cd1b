/* Operators that move elements between channels and space, or shuffle channels: as Reshape,
 * Transpose and Reshape, of which the session knows how to do without copies. */
#include <inttypes.h>
#include <string.h>

#include "nn/lower.h"

/* x as `parts`, its dims permuted, merged into `out`: appends two nodes and ends with the third. */
static void out_permuted(struct nn_lower *l, struct nn_shape parts, const int perm[NN_RANK_MAX],
                         struct nn_shape out)
{
    struct nn_shape turned = parts;
    struct nn_node split = {.op = NN_OP_RESHAPE, .input_count = 1, .input = {l->node.input[0]}};
    struct nn_node turn = {.op = NN_OP_TRANSPOSE, .input_count = 1};
    for (int i = 0; i < parts.rank; i++) {
        turn.a.transpose.perm[i] = perm[i];
        turned.dim[i] = parts.dim[perm[i]];
    }
    turn.input[0] = nn_emit(l, split, &parts, "_parts");
    l->node.input[0] = nn_emit(l, turn, &turned, "_turned");
    nn_out(l, NN_OP_RESHAPE, out);
}

/* The image and its block size, 1 after a failure. */
static int64_t read_block(struct nn_lower *l, struct nn_shape *ret)
{
    *ret = nn_in_shape(l, 0, 4);
    nn_require_floats(l);
    if (nn_in_constant(l, 0))
        nn_fail(l, ST_UNSUPPORTED, "of a constant is not supported");
    int64_t b = nn_attr_int(l, "blocksize", 0);
    if (b < 1 || b > 64)
        nn_fail(l, ST_UNSUPPORTED, "attribute blocksize %" PRId64 " is not supported", b);
    return l->status ? 1 : b;
}

/* [N, C, H, W] -> [N, C/b^2, H b, W b]; DCR has the block's place in front of the channel, CRD
 * behind it (as torch's pixel_shuffle). */
void nn_lower_depth_to_space(struct nn_lower *l)
{
    static const char *const modes[] = {"DCR", "CRD", NULL};
    static const int perm[2][NN_RANK_MAX] = {{0, 3, 4, 1, 5, 2}, {0, 1, 4, 2, 5, 3}};
    struct nn_shape x, out;
    int64_t b = read_block(l, &x);
    int crd = nn_attr_choice(l, "mode", modes, 0);
    if (x.dim[1] % (b * b))
        nn_fail(l, ST_FORMAT, "%" PRId64 " channels do not divide by %" PRId64, x.dim[1], b * b);
    out = x;
    out.dim[1] = x.dim[1] / (b * b);
    out.dim[2] = x.dim[2] * b;
    out.dim[3] = x.dim[3] * b;
    struct nn_shape parts = {.rank = 6, .dim = {x.dim[0]}, .batched = x.batched};
    int64_t dcr[] = {b, b, out.dim[1], x.dim[2], x.dim[3]};
    int64_t crd_dims[] = {out.dim[1], b, b, x.dim[2], x.dim[3]};
    memcpy(parts.dim + 1, crd ? crd_dims : dcr, sizeof dcr);
    out_permuted(l, parts, perm[crd], out);
}

/* The inverse of DCR. */
void nn_lower_space_to_depth(struct nn_lower *l)
{
    static const int perm[NN_RANK_MAX] = {0, 3, 5, 1, 2, 4};
    struct nn_shape x, out;
    int64_t b = read_block(l, &x);
    if (x.dim[2] % b || x.dim[3] % b)
        nn_fail(l, ST_FORMAT, "its height and width do not divide by %" PRId64, b);
    out = x;
    out.dim[1] = x.dim[1] * b * b;
    out.dim[2] = x.dim[2] / b;
    out.dim[3] = x.dim[3] / b;
    struct nn_shape parts = {
        .rank = 6, .dim = {x.dim[0], x.dim[1], out.dim[2], b, out.dim[3], b}, .batched = x.batched};
    out_permuted(l, parts, perm, out);
}

static const struct nn_node *maker(const struct nn_lower *l, int tensor, enum nn_op op)
{
    int node = l->d->tensors[tensor].t.producer;
    return node >= 0 && l->d->nodes[node].op == op ? &l->d->nodes[node] : NULL;
}

/* ShuffleNetV2's exporters take x [N, k c, H, W] as [N c, k, H W], put k in front and pick one of
 * the k: these are the channels i, i + k, ... of x, whatever the batch. */
bool nn_lower_shuffle_part(struct nn_lower *l, int axis)
{
    static const int front[3] = {1, 0, 2};
    const struct nn_tensor *y = nn_in(l, 0), *index = nn_in(l, 1);
    const struct nn_node *merge = axis == 0 ? maker(l, l->node.input[0], NN_OP_RESHAPE) : NULL;
    const struct nn_node *turn = merge ? maker(l, merge->input[0], NN_OP_TRANSPOSE) : NULL;
    const struct nn_node *part = turn ? maker(l, turn->input[0], NN_OP_RESHAPE) : NULL;
    if (!part || index->rank != 0 || y->rank != 5 || y->dim[0] == 1)
        return false;
    const struct nn_tensor *x = &l->d->tensors[part->input[0]].t;
    const struct nn_tensor *three = &l->d->tensors[part->output[0]].t;
    int64_t k = y->dim[0], c = y->dim[2];
    if (three->rank != 3 || x->rank != 4 || x->dim[0] != 1 || y->dim[1] != 1 ||
        memcmp(turn->a.transpose.perm, front, sizeof front) != 0 || three->dim[0] != c ||
        three->dim[1] != k || x->dim[1] != c * k || x->dim[2] != y->dim[3] ||
        x->dim[3] != y->dim[4])
        return false;
    struct nn_shape out = nn_shape_of(x);
    out.dim[1] = c;
    memset(&l->node.a, 0, sizeof l->node.a);
    for (int i = 0; i < 4; i++)
        l->node.a.slice.step[i] = i == 1 && c > 1 ? k : 1;
    l->node.a.slice.start[1] = *(const int64_t *)index->data;
    l->node.input[0] = part->input[0];
    l->node.input_count = 1;
    nn_out(l, NN_OP_SLICE, out);
    return true;
}
