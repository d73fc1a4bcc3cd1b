/* kernels_transpose.c - turns a matrix, eight by eight elements at a time in registers.
 *
 * Three rounds of pairwise shuffles (neighbours, pairs, halves) turn a block; blocks overlap at the
 * edges; matrices narrower than a block are moved one by one. Channels become lanes and back with
 * it in the losses, in softmax over few classes and in layout conversion.
 */
#include "nn/kernels_internal.h"

#define SIDE 8
typedef float block_row __attribute__((vector_size(4 * SIDE), aligned(4), may_alias));

#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW_HALF(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH_HALF(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)

KERNEL_INLINE void turn_block(const float *x, int64_t x_step, float *y, int64_t y_step)
{
    block_row r[SIDE], s[SIDE];
    for (int i = 0; i < SIDE; i++)
        r[i] = *(const block_row *)(x + i * x_step);
    for (int i = 0; i < SIDE; i += 2) {
        s[i] = LOW(r[i], r[i + 1]);
        s[i + 1] = HIGH(r[i], r[i + 1]);
    }
    for (int i = 0; i < SIDE; i += 4) {
        r[i] = LOW_PAIRS(s[i], s[i + 2]);
        r[i + 1] = HIGH_PAIRS(s[i], s[i + 2]);
        r[i + 2] = LOW_PAIRS(s[i + 1], s[i + 3]);
        r[i + 3] = HIGH_PAIRS(s[i + 1], s[i + 3]);
    }
    for (int i = 0; i < SIDE / 2; i++) {
        *(block_row *)(y + i * y_step) = LOW_HALF(r[i], r[i + 4]);
        *(block_row *)(y + (i + 4) * y_step) = HIGH_HALF(r[i], r[i + 4]);
    }
}

/* Start of the next block: the last one overlaps its neighbour instead of leaving an edge. */
KERNEL_INLINE int64_t next_block(int64_t at, int64_t count)
{
    return at + SIDE < count && at + 2 * SIDE > count ? count - SIDE : at + SIDE;
}

KERNEL_CLONES void kernel_transpose(const float *x, int64_t x_step, float *y, int64_t y_step,
                                    int64_t rows, int64_t columns)
{
    if (rows >= SIDE && columns >= SIDE) {
        for (int64_t r = 0; r < rows; r = next_block(r, rows))
            for (int64_t c = 0; c < columns; c = next_block(c, columns))
                turn_block(x + r * x_step + c, x_step, y + c * y_step + r, y_step);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            y[c * y_step + r] = x[r * x_step + c];
}
