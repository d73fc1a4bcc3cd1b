/* kernels_copy.c - vectors and strided copies.
 *
 * A copy is walked in the order of the destination. Where the source runs fastest along another
 * dimension (a transposition) that dimension becomes the rows of the tiles, which are then moved
 * in small squares, so that both sides use whole cache lines.
 */
#include "nn/kernels_internal.h"

#define SQUARE 16

KERNEL_CLONES static void fill_block(float *y, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = value;
}

void kernel_fill(float *y, size_t n, float value)
{
    int64_t count = (int64_t)n;
#pragma omp parallel for schedule(static) if (count > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < count; i += KERNEL_BLOCK)
        fill_block(y + i, kernel_min(KERNEL_BLOCK, count - i), value);
}

KERNEL_CLONES static void axpy_block(float *restrict y, const float *restrict x, int64_t n,
                                     float alpha)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

void kernel_axpy(float *y, const float *x, size_t n, float alpha)
{
    int64_t count = (int64_t)n;
#pragma omp parallel for schedule(static) if (count > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < count; i += KERNEL_BLOCK)
        axpy_block(y + i, x + i, kernel_min(KERNEL_BLOCK, count - i), alpha);
}

/* Sixteen running sums, added up in a fixed order: what a vector unit can do without reordering. */
KERNEL_CLONES static double sum_squares_block(const float *x, int64_t n)
{
    double lane[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++)
            lane[k] += (double)x[i + k] * (double)x[i + k];
    double sum = 0;
    for (; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (int k = 0; k < 16; k++)
        sum += lane[k];
    return sum;
}

double kernel_sum_squares(const float *x, size_t n)
{
    double part[KERNEL_PARTS];
    int64_t count = (int64_t)n, step = kernel_ceil_div(count, KERNEL_PARTS);
#pragma omp parallel for schedule(static) if (count > KERNEL_PARALLEL_MIN)
    for (int p = 0; p < KERNEL_PARTS; p++) {
        int64_t first = kernel_min(count, p * step), last = kernel_min(count, first + step);
        part[p] = sum_squares_block(x + first, last - first);
    }
    double sum = 0;
    for (int p = 0; p < KERNEL_PARTS; p++)
        sum += part[p];
    return sum;
}

struct copy {
    int64_t rows, columns;
    int64_t x_row, x_column, y_row, y_column; /* strides */
};

KERNEL_CLONES static void add_rows(const struct copy *c, const float *x, float *y)
{
    for (int64_t r = 0; r < c->rows; r++) {
        const float *restrict from = x + r * c->x_row;
        float *restrict to = y + r * c->y_row;
        for (int64_t i = 0; i < c->columns; i++)
            to[i] += from[i];
    }
}

/* Short rows are worth a loop that the compiler turns into vector moves; long ones memcpy. */
KERNEL_CLONES static void copy_rows(const struct copy *c, const float *x, float *y)
{
    for (int64_t r = 0; r < c->rows; r++) {
        const float *restrict from = x + r * c->x_row;
        float *restrict to = y + r * c->y_row;
        if (c->columns >= 64) {
            memcpy(to, from, (size_t)c->columns * sizeof(float));
            continue;
        }
        KERNEL_IVDEP
        for (int64_t i = 0; i < c->columns; i++)
            to[i] = from[i];
    }
}

/* A square of a strided tile: reads along the source's rows stay in the cache until used. */
KERNEL_INLINE void square(const struct copy *c, const float *restrict x, float *restrict y,
                          int64_t rows, int64_t columns, bool add)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < columns; i++) {
            float v = x[r * c->x_row + i * c->x_column];
            float *to = y + r * c->y_row + i * c->y_column;
            *to = add ? *to + v : v;
        }
}

static void copy_squares(const struct copy *c, const float *x, float *y, bool add)
{
    if (!add && c->x_row == 1 && c->y_column == 1) {
        kernel_transpose(x, c->x_column, y, c->y_row, c->columns, c->rows);
        return;
    }
    for (int64_t r = 0; r < c->rows; r += SQUARE)
        for (int64_t i = 0; i < c->columns; i += SQUARE) {
            const float *from = x + r * c->x_row + i * c->x_column;
            float *to = y + r * c->y_row + i * c->y_column;
            square(c, from, to, kernel_min(SQUARE, c->rows - r), kernel_min(SQUARE, c->columns - i),
                   add);
        }
}

/* Makes the dimension along which the source is contiguous the rows of the tiles. */
static void rows_along_source(struct kernel_walk *w)
{
    if (w->rank < 3 || w->stride[0][w->rank - 1] == 1)
        return;
    for (int i = 0; i < w->rank - 2; i++) {
        if (w->stride[0][i] != 1)
            continue;
        for (int j = i; j < w->rank - 2; j++) {
            int64_t dim = w->dim[j], x = w->stride[0][j], y = w->stride[1][j];
            w->dim[j] = w->dim[j + 1];
            w->stride[0][j] = w->stride[0][j + 1];
            w->stride[1][j] = w->stride[1][j + 1];
            w->dim[j + 1] = dim;
            w->stride[0][j + 1] = x;
            w->stride[1][j + 1] = y;
        }
        return;
    }
}

void kernel_copy(int rank, const int64_t *dim, const float *x, const int64_t *x_stride, float *y,
                 const int64_t *y_stride, bool add)
{
    struct kernel_walk w;
    const int64_t *stride[] = {x_stride, y_stride};
    kernel_walk_init(&w, rank, dim, 2, stride, 1);
    rows_along_source(&w);
    bool dense = w.rank == 0 || (w.stride[0][w.rank - 1] == 1 && w.stride[1][w.rank - 1] == 1);
    int64_t tiles = kernel_walk_tiles(&w);
#pragma omp parallel for schedule(static) if (w.count > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < tiles; i++) {
        struct kernel_tile t = kernel_walk_tile(&w, i);
        struct copy c = {.rows = t.rows,
                         .columns = t.columns,
                         .x_row = kernel_row_stride(&w, 0),
                         .x_column = kernel_column_stride(&w, 0),
                         .y_row = kernel_row_stride(&w, 1),
                         .y_column = kernel_column_stride(&w, 1)};
        if (!dense)
            copy_squares(&c, x + t.offset[0], y + t.offset[1], add);
        else if (add)
            add_rows(&c, x + t.offset[0], y + t.offset[1]);
        else
            copy_rows(&c, x + t.offset[0], y + t.offset[1]);
    }
}
