/* kernels_walk.c - loop nests over strided operands.
 *
 * A nest is put into a normal form once per call: no dimensions of one, the leading operand's
 * smallest stride innermost, neighbours merged when all operands step through them evenly. What is
 * left is cut into rectangles of the two innermost dimensions, which are what runs in parallel.
 */
#include "nn/kernels_internal.h"

#include <assert.h>

static int64_t magnitude(int64_t v)
{
    return v < 0 ? -v : v;
}

static void swap_dims(struct kernel_walk *w, int i, int j)
{
    int64_t t = w->dim[i];
    w->dim[i] = w->dim[j];
    w->dim[j] = t;
    for (int k = 0; k < w->operands; k++) {
        t = w->stride[k][i];
        w->stride[k][i] = w->stride[k][j];
        w->stride[k][j] = t;
    }
}

static void sort_by_stride(struct kernel_walk *w, int lead)
{
    for (int i = 1; i < w->rank; i++)
        for (int j = i; j > 0 && magnitude(w->stride[lead][j - 1]) < magnitude(w->stride[lead][j]);
             j--)
            swap_dims(w, j - 1, j);
}

/* Whether dimension i and i + 1 are one for every operand. */
static bool mergeable(const struct kernel_walk *w, int i)
{
    for (int k = 0; k < w->operands; k++)
        if (w->stride[k][i] != w->stride[k][i + 1] * w->dim[i + 1])
            return false;
    return true;
}

static void merge(struct kernel_walk *w, int i)
{
    w->dim[i] *= w->dim[i + 1];
    for (int k = 0; k < w->operands; k++)
        w->stride[k][i] = w->stride[k][i + 1];
    for (int j = i + 1; j + 1 < w->rank; j++) {
        w->dim[j] = w->dim[j + 1];
        for (int k = 0; k < w->operands; k++)
            w->stride[k][j] = w->stride[k][j + 1];
    }
    w->rank--;
}

void kernel_walk_init(struct kernel_walk *w, int rank, const int64_t *dim, int operands,
                      const int64_t *const *stride, int lead)
{
    assert(rank >= 0 && rank <= KERNEL_RANK_MAX && operands <= KERNEL_OPERANDS);
    memset(w, 0, sizeof(*w));
    w->operands = operands;
    w->count = 1;
    for (int i = 0; i < rank; i++) {
        assert(dim[i] >= 0);
        w->count *= dim[i];
        if (dim[i] == 1)
            continue;
        w->dim[w->rank] = dim[i];
        for (int k = 0; k < operands; k++)
            w->stride[k][w->rank] = stride[k] ? stride[k][i] : 0;
        w->rank++;
    }
    sort_by_stride(w, lead);
    for (int i = w->rank - 2; i >= 0; i--)
        if (mergeable(w, i))
            merge(w, i);
}

struct tiling {
    int64_t columns, rows;               /* of a full tile */
    int64_t column_tiles, row_tiles, up; /* tiles along each, and outer indices */
};

static struct tiling tiling_of(const struct kernel_walk *w)
{
    int64_t columns = w->rank > 0 ? w->dim[w->rank - 1] : 1;
    int64_t rows = w->rank > 1 ? w->dim[w->rank - 2] : 1;
    struct tiling t = {.columns = kernel_min(columns, KERNEL_BLOCK), .up = 1};
    t.rows = kernel_min(rows, kernel_ceil_div(KERNEL_BLOCK, t.columns));
    t.column_tiles = kernel_ceil_div(columns, t.columns);
    t.row_tiles = kernel_ceil_div(rows, t.rows);
    for (int i = 0; i < w->rank - 2; i++)
        t.up *= w->dim[i];
    return t;
}

int64_t kernel_walk_tiles(const struct kernel_walk *w)
{
    if (w->count == 0)
        return 0;
    struct tiling t = tiling_of(w);
    return t.up * t.row_tiles * t.column_tiles;
}

void kernel_walk_offset(const struct kernel_walk *w, int rank, int64_t flat, int64_t *offset)
{
    for (int i = rank - 1; i >= 0; i--) {
        int64_t at = flat % w->dim[i];
        flat /= w->dim[i];
        for (int k = 0; k < w->operands; k++)
            offset[k] += at * w->stride[k][i];
    }
}

struct kernel_tile kernel_walk_tile(const struct kernel_walk *w, int64_t index)
{
    struct tiling t = tiling_of(w);
    int64_t column = index % t.column_tiles * t.columns;
    index /= t.column_tiles;
    int64_t row = index % t.row_tiles * t.rows;
    index /= t.row_tiles;
    struct kernel_tile tile = {.rows = 1, .columns = 1};
    if (w->rank > 0)
        tile.columns = kernel_min(t.columns, w->dim[w->rank - 1] - column);
    if (w->rank > 1)
        tile.rows = kernel_min(t.rows, w->dim[w->rank - 2] - row);
    for (int k = 0; k < w->operands; k++)
        tile.offset[k] = column * kernel_column_stride(w, k) + row * kernel_row_stride(w, k);
    kernel_walk_offset(w, w->rank - 2, index, tile.offset);
    return tile;
}
