/* picture.c - one pass over a subsampled picture, cell by cell. */
#include "drift/picture.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COARSE 4
#define BLOCK_CELLS (DRIFT_CELLS_X / DRIFT_BLOCKS_X)
#define LUMA_ONE 65280.0 /* luma of white in the integers below */
#define DARK_BELOW 9792  /* 0.15 */
#define BRIGHT_ABOVE 55488

_Static_assert(DRIFT_CELLS_X / DRIFT_BLOCKS_X == DRIFT_CELLS_Y / DRIFT_BLOCKS_Y,
               "a block has as many cells across as down");

/* 255 * 256 for white. */
static int luma_at(const uint8_t *p)
{
    return 77 * p[0] + 150 * p[1] + 29 * p[2];
}

struct sums {
    int64_t n, luma, fine, coarse, red_green, blue_green, saturation, dark, bright;
    double squares;
};

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void add_pixel(const uint8_t *p, const uint8_t *right, const uint8_t *down,
                      const uint8_t *far_right, const uint8_t *far_down, struct sums *s)
{
    int luma = luma_at(p);
    s->n++;
    s->luma += luma;
    s->squares += (double)luma * luma;
    s->fine += abs(luma_at(right) - luma) + abs(luma_at(down) - luma);
    s->coarse += abs(luma_at(far_right) - luma) + abs(luma_at(far_down) - luma);
    s->red_green += p[0] - p[1];
    s->blue_green += p[2] - p[1];
    s->saturation += larger(larger(p[0], p[1]), p[2]) - smaller(smaller(p[0], p[1]), p[2]);
    s->dark += luma < DARK_BELOW;
    s->bright += luma > BRIGHT_ABOVE;
}

/* Pixels first..end of a side belong to cell i of n; a small picture's cells overlap. */
static void cell_range(int i, int n, int side, int *ret_first, int *ret_end)
{
    *ret_first = (int)((int64_t)i * side / n);
    *ret_end = larger((int)((int64_t)(i + 1) * side / n), *ret_first + 1);
}

/* At the far borders differences look back. */
static int step_to(int at, int step, int side)
{
    return at + step < side ? step : -step;
}

static void add_cell(const struct frame *f, int cx, int cy, struct sums *s)
{
    int x0, x1, y0, y1, w = f->width, h = f->height;
    cell_range(cx, DRIFT_CELLS_X, w, &x0, &x1);
    cell_range(cy, DRIFT_CELLS_Y, h, &y0, &y1);
    int dx = larger((x1 - x0) / DRIFT_PICTURE_STEPS, 1);
    int dy = larger((y1 - y0) / DRIFT_PICTURE_STEPS, 1);
    ptrdiff_t row = (ptrdiff_t)3 * w;
    for (int y = y0; y < y1; y += dy)
        for (int x = x0; x < x1; x += dx) {
            const uint8_t *p = f->pixels + y * row + (ptrdiff_t)3 * x;
            add_pixel(p, p + 3 * step_to(x, 1, w), p + row * step_to(y, 1, h),
                      p + 3 * step_to(x, COARSE, w), p + row * step_to(y, COARSE, h), s);
        }
}

static void add_sums(struct sums *to, const struct sums *s)
{
    to->n += s->n;
    to->luma += s->luma;
    to->fine += s->fine;
    to->coarse += s->coarse;
    to->red_green += s->red_green;
    to->blue_green += s->blue_green;
    to->saturation += s->saturation;
    to->dark += s->dark;
    to->bright += s->bright;
    to->squares += s->squares;
}

static void fill_features(const struct sums *s, float *f)
{
    double n = (double)s->n, mean = (double)s->luma / n;
    double variance = s->squares / n - mean * mean;
    f[DRIFT_LUMA] = (float)(mean / LUMA_ONE);
    f[DRIFT_CONTRAST] = (float)(sqrt(fmax(variance, 0)) / LUMA_ONE);
    f[DRIFT_RED_GREEN] = (float)((double)s->red_green / n / 255);
    f[DRIFT_BLUE_GREEN] = (float)((double)s->blue_green / n / 255);
    f[DRIFT_SATURATION] = (float)((double)s->saturation / n / 255);
    f[DRIFT_EDGES] = (float)((double)s->coarse / (2 * n) / LUMA_ONE);
    f[DRIFT_SHARPNESS] = s->coarse > 0 ? (float)((double)s->fine / (double)s->coarse) : 0;
    f[DRIFT_DARK] = (float)((double)s->dark / n);
    f[DRIFT_BRIGHT] = (float)((double)s->bright / n);
}

static float mean_of_rows(const struct drift_picture *p, int begin, int end)
{
    double sum = 0;
    for (int y = begin; y < end; y++)
        for (int x = 0; x < DRIFT_CELLS_X; x++)
            sum += (double)p->luma[y][x];
    return (float)(sum / ((end - begin) * DRIFT_CELLS_X));
}

static void measure_block(const struct frame *f, int bx, int by, struct drift_picture *p,
                          struct sums *all)
{
    struct sums block = {0};
    for (int j = 0; j < BLOCK_CELLS; j++)
        for (int i = 0; i < BLOCK_CELLS; i++) {
            struct sums cell = {0};
            int cx = bx * BLOCK_CELLS + i, cy = by * BLOCK_CELLS + j;
            add_cell(f, cx, cy, &cell);
            p->luma[cy][cx] = (float)((double)cell.luma / (double)cell.n / LUMA_ONE);
            add_sums(&block, &cell);
        }
    double n = 2 * (double)block.n * LUMA_ONE;
    p->fine[by][bx] = (float)((double)block.fine / n);
    p->coarse[by][bx] = (float)((double)block.coarse / n);
    add_sums(all, &block);
}

void drift_picture_measure(const struct frame *f, struct drift_picture *ret)
{
    assert(f->width >= 2 * COARSE && f->height >= 2 * COARSE);
    struct sums all = {0};
    for (int by = 0; by < DRIFT_BLOCKS_Y; by++)
        for (int bx = 0; bx < DRIFT_BLOCKS_X; bx++)
            measure_block(f, bx, by, ret, &all);
    fill_features(&all, ret->feature);
    ret->feature[DRIFT_UPPER_LUMA] = mean_of_rows(ret, 0, DRIFT_CELLS_Y / 3);
    ret->feature[DRIFT_LOWER_LUMA] =
        mean_of_rows(ret, DRIFT_CELLS_Y - DRIFT_CELLS_Y / 3, DRIFT_CELLS_Y);
}
