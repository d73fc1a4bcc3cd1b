/* pixels.h - two operators on NHWC images that a strided copy and a dense product do slowly.
 *
 * Threads: the calling thread's OpenMP team; safe in several threads at once.
 * Memory:  nn_sparse_init allocates, runs do not. Up to NN_PIXELS_SLACK_BYTES after the end of an
 *          input may be read (never used).
 */
#ifndef ATTUNE_NN_PIXELS_H
#define ATTUNE_NN_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define NN_PIXELS_SLACK_BYTES 64

/* y[p][c] = x[p][source[c]] (+= when add) for every pixel: a channel shuffle. */
void nn_shuffle_channels(const float *x, float *y, int64_t pixels, int channels, const int *source,
                         bool add);

/* A mostly empty matrix [in][out] as lists of its non-zeros by output. */
struct nn_sparse {
    int64_t in, out;
    int32_t *first; /* [out + 1]: where the list of an output starts */
    int32_t *from;  /* input of each non-zero */
    float *weight;
};

/* Whether less than a quarter of the values is not zero. */
bool nn_sparse_pays(const float *matrix, int64_t in, int64_t out);

/* Of the matrix or its transpose (for the gradient). ST_NOMEM, ST_LIMIT. */
enum status nn_sparse_init(struct nn_sparse *s, const float *matrix, int64_t in, int64_t out,
                           bool transposed, struct error *err);
void nn_sparse_clear(struct nn_sparse *s); /* accepts a zeroed struct */

/* y[row][o][c] = sum over i of matrix[i][o] * x[row][i][c]: along the width of NHWC images (rows =
 * N * H, channels = C) or, with rows = N and channels = W * C, along their height. */
void nn_sparse_product(const struct nn_sparse *s, const float *x, float *y, int64_t rows,
                       int64_t channels);

#endif
