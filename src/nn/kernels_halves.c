/* bfloat16 by way of float32 pieces, and copies of 16-bit elements (see kernels_halves.h). */
#include "nn/kernels_halves.h"

#include "nn/kernels_bf16.h"

#define LANES KERNEL_LANES

KERNEL_CLONES static void widen(const uint16_t *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        kernel_store(y, i, kernel_load(x, i, true), false);
    for (; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(y + i, &bits, sizeof bits);
    }
}

/* In whole vectors: x has room for them. */
KERNEL_CLONES static void narrow(const float *x, uint16_t *y, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        kernel_store(y, i, kernel_load(x, i, false), true);
    if (i < n) {
        uint16_t last[LANES];
        kernel_store(last, 0, kernel_load(x, i, false), true);
        memcpy(y + i, last, (size_t)(n - i) * sizeof *y);
    }
}

void kernel_by_pieces(const void *x, void *y, int64_t n, int64_t unit, kernel_piece run,
                      const void *args)
{
    int64_t piece = KERNEL_PIECE / unit * unit;
    const uint16_t *from = x;
    uint16_t *to = y;
#pragma omp parallel for schedule(static) if (n > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i += piece) {
        float a[KERNEL_PIECE + LANES] __attribute__((aligned(64)));
        int64_t count = kernel_min(piece, n - i);
        widen(from + i, a, count);
        run(args, i, count, a, a);
        for (int k = 0; k < LANES; k++)
            a[count + k] = 0;
        narrow(a, to + i, count);
    }
}

struct rows {
    int64_t rows, columns, x_row, x_column, y_row, y_column;
};

KERNEL_CLONES static void copy_strided(const struct rows *c, const uint16_t *x, uint16_t *y)
{
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t i = 0; i < c->columns; i++)
            y[r * c->y_row + i * c->y_column] = x[r * c->x_row + i * c->x_column];
}

static void copy_rows(const struct rows *c, const uint16_t *x, uint16_t *y)
{
    for (int64_t r = 0; r < c->rows; r++)
        memcpy(y + r * c->y_row, x + r * c->x_row, (size_t)c->columns * sizeof *y);
}

void kernel_copy_bf16(int rank, const int64_t *dim, const void *x, const int64_t *x_stride, void *y,
                      const int64_t *y_stride)
{
    struct kernel_walk w;
    const int64_t *stride[] = {x_stride, y_stride};
    kernel_walk_init(&w, rank, dim, 2, stride, 1);
    int64_t tiles = kernel_walk_tiles(&w);
#pragma omp parallel for schedule(static) if (w.count > KERNEL_PARALLEL_MIN)
    for (int64_t i = 0; i < tiles; i++) {
        struct kernel_tile t = kernel_walk_tile(&w, i);
        struct rows c = {t.rows,
                         t.columns,
                         kernel_row_stride(&w, 0),
                         kernel_column_stride(&w, 0),
                         kernel_row_stride(&w, 1),
                         kernel_column_stride(&w, 1)};
        const uint16_t *from = (const uint16_t *)x + t.offset[0];
        uint16_t *to = (uint16_t *)y + t.offset[1];
        if (c.x_column == 1 && c.y_column == 1)
            copy_rows(&c, from, to);
        else
            copy_strided(&c, from, to);
    }
}

void kernel_fill_bf16(void *y, size_t n, float value)
{
    float a[LANES];
    uint16_t half[LANES], *to = y;
    for (int k = 0; k < LANES; k++)
        a[k] = value;
    narrow(a, half, LANES);
    for (size_t i = 0; i < n; i++)
        to[i] = half[0];
}

/* Pieces of whole pixels, their means added up weighted. */
void kernel_global_average_bf16(const void *x, float *y, int64_t images, int64_t pixels,
                                int64_t channels)
{
    const uint16_t *from = x;
    int64_t piece = KERNEL_PIECE / channels;
    for (int64_t image = 0; image < images; image++) {
        float *mean = y + image * channels;
        memset(mean, 0, (size_t)channels * sizeof *mean);
        for (int64_t p = 0; p < pixels; p += piece) {
            float a[KERNEL_PIECE], part[KERNEL_PIECE];
            int64_t count = kernel_min(piece, pixels - p);
            widen(from + (image * pixels + p) * channels, a, count * channels);
            kernel_global_average(a, part, 1, count, channels);
            kernel_axpy(mean, part, (size_t)channels, (float)count / (float)pixels);
        }
    }
}
