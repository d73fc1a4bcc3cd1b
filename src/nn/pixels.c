/* Channel shuffles and products with mostly empty matrices (linear interpolation and pooling that
 * were exported as matrix products), both over NHWC images. */
#include "nn/pixels.h"

#include <stdlib.h>

#include "nn/kernels_internal.h"

#define LANES KERNEL_LANES
#define PIXELS_PER_TASK 2048

/* --- shuffle --- */

KERNEL_CLONES static void shuffle_block(const float *restrict x, float *restrict y, int64_t pixels,
                                        int channels, const int *restrict source)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int c = 0; c < channels; c++)
            y[p * channels + c] = x[p * channels + source[c]];
}

KERNEL_CLONES static void shuffle_block_add(const float *restrict x, float *restrict y,
                                            int64_t pixels, int channels,
                                            const int *restrict source)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int c = 0; c < channels; c++)
            y[p * channels + c] += x[p * channels + source[c]];
}

void nn_shuffle_channels(const float *x, float *y, int64_t pixels, int channels, const int *source,
                         bool add)
{
    int64_t tasks = kernel_ceil_div(pixels, PIXELS_PER_TASK);
#pragma omp parallel for schedule(static) if (tasks > 1)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t first = t * PIXELS_PER_TASK, n = kernel_min(PIXELS_PER_TASK, pixels - first);
        if (add)
            shuffle_block_add(x + first * channels, y + first * channels, n, channels, source);
        else
            shuffle_block(x + first * channels, y + first * channels, n, channels, source);
    }
}

/* --- sparse product --- */

bool nn_sparse_pays(const float *matrix, int64_t in, int64_t out)
{
    int64_t count = 0;
    for (int64_t i = 0; i < in * out; i++)
        count += matrix[i] != 0;
    return count * 4 < in * out;
}

/* Element (input i, output o) of what is to be listed. */
static float element(const float *matrix, const struct nn_sparse *s, bool transposed, int64_t i,
                     int64_t o)
{
    return transposed ? matrix[o * s->in + i] : matrix[i * s->out + o];
}

enum status nn_sparse_init(struct nn_sparse *s, const float *matrix, int64_t in, int64_t out,
                           bool transposed, struct error *err)
{
    int64_t count = 0;
    *s = (struct nn_sparse){.in = transposed ? out : in, .out = transposed ? in : out};
    for (int64_t i = 0; i < in * out; i++)
        count += matrix[i] != 0;
    if (count > INT32_MAX)
        return error_set(err, ST_LIMIT, "a matrix has too many values");
    s->first = calloc((size_t)s->out + 1, sizeof *s->first);
    s->from = calloc((size_t)count + 1, sizeof *s->from);
    s->weight = calloc((size_t)count + 1, sizeof *s->weight);
    if (!s->first || !s->from || !s->weight) {
        nn_sparse_clear(s);
        return error_set(err, ST_NOMEM, "out of memory for a sparse matrix");
    }
    int32_t n = 0;
    for (int64_t o = 0; o < s->out; o++) {
        s->first[o] = n;
        for (int64_t i = 0; i < s->in; i++)
            if (element(matrix, s, transposed, i, o) != 0) {
                s->from[n] = (int32_t)i;
                s->weight[n++] = element(matrix, s, transposed, i, o);
            }
    }
    s->first[s->out] = n;
    return ST_OK;
}

void nn_sparse_clear(struct nn_sparse *s)
{
    free(s->first);
    free(s->from);
    free(s->weight);
    *s = (struct nn_sparse){0};
}

/* Outputs in ascending order, 16 lanes at a time: what a store puts beyond the channels of its
 * output is overwritten by the next output; at the end of the row lanes are stored one by one. */
KERNEL_CLONES static void product_row(const struct nn_sparse *s, const float *restrict x,
                                      float *restrict y, int64_t channels)
{
    int64_t end = s->out * channels;
    for (int64_t o = 0; o < s->out; o++)
        for (int64_t c = 0; c < channels; c += LANES) {
            kernel_vec sum = {0};
            for (int32_t k = s->first[o]; k < s->first[o + 1]; k++)
                sum += *(const kernel_vec *)(x + s->from[k] * channels + c) * s->weight[k];
            float *to = y + o * channels + c;
            if (o * channels + c + LANES <= end)
                *(kernel_vec *)to = sum;
            else
                for (int64_t i = 0; o * channels + c + i < end && c + i < channels; i++)
                    to[i] = sum[i];
        }
}

void nn_sparse_product(const struct nn_sparse *s, const float *x, float *y, int64_t rows,
                       int64_t channels)
{
#pragma omp parallel for schedule(static) if (rows * s->out * channels > KERNEL_PARALLEL_MIN)
    for (int64_t r = 0; r < rows; r++)
        product_row(s, x + r * s->in * channels, y + r * s->out * channels, channels);
}
