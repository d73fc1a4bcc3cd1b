/* kernels_activation.c - activations over dense elements, and the slopes of PReLU.
 *
 * Every function is a loop over fixed blocks around a leaf that vectorises. Comparisons are written
 * so that NaN stays NaN. Sigmoid uses our own exp (kernels_math.h).
 */
#include "nn/kernels_internal.h"
#include "nn/kernels_math.h"

KERNEL_CLONES static void clip_block(const float *x, float *y, int64_t n, float lo, float hi)
{
    KERNEL_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = kernel_clamp(x[i], lo, hi);
}

KERNEL_CLONES static void leaky_block(const float *x, float *y, int64_t n, float alpha)
{
    KERNEL_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : alpha * x[i];
}

KERNEL_CLONES static void sigmoid_block(const float *x, float *y, int64_t n)
{
    KERNEL_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = 1.0f / (1.0f + kernel_expf(-x[i]));
}

void kernel_relu(const float *x, float *y, size_t n)
{
    KERNEL_FOR_BLOCKS(n, clip_block(x + i, y + i, m, 0.0f, INFINITY));
}

void kernel_leaky_relu(const float *x, float *y, size_t n, float alpha)
{
    KERNEL_FOR_BLOCKS(n, leaky_block(x + i, y + i, m, alpha));
}

void kernel_clip(const float *x, float *y, size_t n, float lo, float hi)
{
    KERNEL_FOR_BLOCKS(n, clip_block(x + i, y + i, m, lo, hi));
}

void kernel_sigmoid(const float *x, float *y, size_t n)
{
    KERNEL_FOR_BLOCKS(n, sigmoid_block(x + i, y + i, m));
}

KERNEL_CLONES static void clip_backward_block(const float *v, const float *gy, float *gx, int64_t n,
                                              float lo, float hi, bool add)
{
    if (add) {
        KERNEL_IVDEP
        for (int64_t i = 0; i < n; i++)
            gx[i] += v[i] <= lo || v[i] >= hi ? 0.0f : gy[i];
    } else {
        KERNEL_IVDEP
        for (int64_t i = 0; i < n; i++)
            gx[i] = v[i] <= lo || v[i] >= hi ? 0.0f : gy[i];
    }
}

KERNEL_CLONES static void leaky_backward_block(const float *x, const float *gy, float *gx,
                                               int64_t n, float alpha, bool add)
{
    if (add) {
        KERNEL_IVDEP
        for (int64_t i = 0; i < n; i++)
            gx[i] += (x[i] > 0 ? 1.0f : alpha) * gy[i];
    } else {
        KERNEL_IVDEP
        for (int64_t i = 0; i < n; i++)
            gx[i] = (x[i] > 0 ? 1.0f : alpha) * gy[i];
    }
}

KERNEL_CLONES static void sigmoid_backward_block(const float *y, const float *gy, float *gx,
                                                 int64_t n, bool add)
{
    if (add) {
        KERNEL_IVDEP
        for (int64_t i = 0; i < n; i++)
            gx[i] += gy[i] * y[i] * (1.0f - y[i]);
    } else {
        KERNEL_IVDEP
        for (int64_t i = 0; i < n; i++)
            gx[i] = gy[i] * y[i] * (1.0f - y[i]);
    }
}

void kernel_relu_backward(const float *x_or_y, const float *gy, float *gx, size_t n, bool add)
{
    KERNEL_FOR_BLOCKS(n, clip_backward_block(x_or_y + i, gy + i, gx + i, m, 0.0f, INFINITY, add));
}

void kernel_clip_backward(const float *x_or_y, const float *gy, float *gx, size_t n, float lo,
                          float hi, bool add)
{
    KERNEL_FOR_BLOCKS(n, clip_backward_block(x_or_y + i, gy + i, gx + i, m, lo, hi, add));
}

void kernel_leaky_relu_backward(const float *x, const float *gy, float *gx, size_t n, float alpha,
                                bool add)
{
    KERNEL_FOR_BLOCKS(n, leaky_backward_block(x + i, gy + i, gx + i, m, alpha, add));
}

void kernel_sigmoid_backward(const float *y, const float *gy, float *gx, size_t n, bool add)
{
    KERNEL_FOR_BLOCKS(n, sigmoid_backward_block(y + i, gy + i, gx + i, m, add));
}

/* ---- PReLU ---------------------------------------------------------------------------------- */

/* Channels-last rows; the other layouts go through leaky_block, one slope a run. */
/* Channels of `fold` rows together when one row is shorter than the lanes: whole lanes. */
#define FOLDED_MAX (KERNEL_LANES * KERNEL_LANES)

static int64_t fold_of(int64_t channels)
{
    int64_t fold = 1;
    while (channels < KERNEL_LANES && channels * fold % KERNEL_LANES != 0)
        fold++;
    return fold;
}

KERNEL_CLONES static void prelu_rows(const float *x, const float *slope, float *y, int64_t rows,
                                     int64_t channels)
{
    for (int64_t r = 0; r < rows; r++) {
        KERNEL_IVDEP
        for (int64_t c = 0; c < channels; c++) {
            float v = x[r * channels + c];
            y[r * channels + c] = v > 0 ? v : slope[c] * v;
        }
    }
}

KERNEL_CLONES static void prelu_backward_rows(const float *x, const float *slope, const float *gy,
                                              float *gx, int64_t rows, int64_t channels, bool add)
{
    for (int64_t r = 0; r < rows; r++) {
        KERNEL_IVDEP
        for (int64_t c = 0; c < channels; c++) {
            int64_t i = r * channels + c;
            float g = (x[i] > 0 ? 1.0f : slope[c]) * gy[i];
            gx[i] = add ? gx[i] + g : g;
        }
    }
}

/* slope[channels] `fold` times over. */
static void repeat_slope(const float *slope, int64_t channels, int64_t fold, float wide[FOLDED_MAX])
{
    for (int64_t c = 0; c < channels * fold; c++)
        wide[c] = slope[c % channels];
}

static void prelu_any(const float *x, const float *slope, float *y, int64_t rows, int64_t channels)
{
    int64_t fold = fold_of(channels), done = fold > 1 ? rows / fold * fold : 0;
    float wide[FOLDED_MAX];
    if (done) {
        repeat_slope(slope, channels, fold, wide);
        prelu_rows(x, wide, y, rows / fold, channels * fold);
    }
    prelu_rows(x + done * channels, slope, y + done * channels, rows - done, channels);
}

static void prelu_backward_any(const float *x, const float *slope, const float *gy, float *gx,
                               int64_t rows, int64_t channels, bool add)
{
    int64_t fold = fold_of(channels), done = fold > 1 ? rows / fold * fold : 0;
    float wide[FOLDED_MAX];
    if (done) {
        repeat_slope(slope, channels, fold, wide);
        prelu_backward_rows(x, wide, gy, gx, rows / fold, channels * fold, add);
    }
    prelu_backward_rows(x + done * channels, slope, gy + done * channels, gx + done * channels,
                        rows - done, channels, add);
}

KERNEL_INLINE void slope_lanes(const float *x, const float *gy, int64_t row, int64_t end,
                               int64_t channels, float few[KERNEL_LANES])
{
    kernel_vec sum = {0};
    for (int64_t r = row; r < end; r++) {
        kernel_vec v = *(const kernel_vec *)(x + r * channels);
        kernel_vec g = *(const kernel_vec *)(gy + r * channels);
        sum += KERNEL_WHERE_NEGATIVE(v, g * v);
    }
    *(kernel_vec *)few = sum;
}

/* sum[c] += sum over the rows of gy * min(x, 0), for `columns` >= KERNEL_LANES channels that start
 * at x; in float over KERNEL_FLOAT_ROWS rows, in double beyond. The last lanes may lie over those
 * before, of which they then leave out the sums. */
KERNEL_CLONES static void slope_sums(const float *x, const float *gy, int64_t rows,
                                     int64_t channels, int64_t columns, double *restrict sum)
{
    for (int64_t c = 0; c < columns; c += KERNEL_LANES) {
        int64_t from = kernel_min(c, columns - KERNEL_LANES);
        for (int64_t r = 0; r < rows; r += KERNEL_FLOAT_ROWS) {
            float few[KERNEL_LANES];
            slope_lanes(x + from, gy + from, r, kernel_min(rows, r + KERNEL_FLOAT_ROWS), channels,
                        few);
            for (int64_t k = c - from; k < KERNEL_LANES; k++)
                sum[from + k] += (double)few[k];
        }
    }
}

/* Fewer channels than lanes: several rows in a row are one of more channels. */
static void slope_sums_any(const float *x, const float *gy, int64_t rows, int64_t channels,
                           int64_t columns, double *restrict sum)
{
    if (columns >= KERNEL_LANES) {
        slope_sums(x, gy, rows, channels, columns, sum);
        return;
    }
    int64_t fold = columns == channels ? fold_of(channels) : 1, whole = rows / fold;
    double wide[FOLDED_MAX] = {0};
    if (fold > 1)
        slope_sums(x, gy, whole, channels * fold, channels * fold, wide);
    for (int64_t c = 0; fold > 1 && c < channels * fold; c++)
        sum[c % channels] += wide[c];
    for (int64_t r = fold > 1 ? whole * fold : 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            int64_t i = r * channels + c;
            sum[c] += x[i] > 0 ? 0.0 : (double)gy[i] * (double)x[i];
        }
}

/* The same for one channel of a plain layout: a run of n elements. */
KERNEL_CLONES static double slope_sum_run(const float *x, const float *gy, int64_t n)
{
    double lane[16] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++)
            lane[k] += x[i + k] > 0 ? 0.0 : (double)gy[i + k] * (double)x[i + k];
    for (; i < n; i++)
        sum += x[i] > 0 ? 0.0 : (double)gy[i] * (double)x[i];
    for (int k = 0; k < 16; k++)
        sum += lane[k];
    return sum;
}

void kernel_prelu(const float *x, const float *slope, float *y, int64_t outer, int64_t channels,
                  int64_t inner)
{
    if (channels == 1) {
        kernel_leaky_relu(x, y, (size_t)(outer * inner), slope[0]);
        return;
    }
    int64_t step = inner == 1 ? kernel_ceil_div(KERNEL_BLOCK, channels) : 1;
#pragma omp parallel for schedule(static) if (outer * channels * inner > KERNEL_PARALLEL_MIN)
    for (int64_t o = 0; o < outer; o += step) {
        int64_t at = o * channels * inner;
        if (inner == 1)
            prelu_any(x + at, slope, y + at, kernel_min(step, outer - o), channels);
        for (int64_t c = 0; inner > 1 && c < channels; c++)
            leaky_block(x + at + c * inner, y + at + c * inner, inner, slope[c]);
    }
}

static void prelu_backward_data(const float *x, const float *slope, const float *gy, float *gx,
                                int64_t outer, int64_t channels, int64_t inner, bool add)
{
    int64_t step = inner == 1 ? kernel_ceil_div(KERNEL_BLOCK, channels) : 1;
#pragma omp parallel for schedule(static) if (outer * channels * inner > KERNEL_PARALLEL_MIN)
    for (int64_t o = 0; o < outer; o += step) {
        int64_t at = o * channels * inner;
        if (inner == 1)
            prelu_backward_any(x + at, slope, gy + at, gx + at, kernel_min(step, outer - o),
                               channels, add);
        for (int64_t c = 0, i = at; inner > 1 && c < channels; c++, i += inner)
            leaky_backward_block(x + i, gy + i, gx + i, inner, slope[c], add);
    }
}

/* Columns [first, first + columns) of channels-last rows, in fixed parts of the rows. With gx (all
 * columns at once then) a block's gx follows while the block is in the caches; it may be gy. */
static void slope_columns(const float *x, const float *slope, const float *gy, float *gx,
                          float *gslope, int64_t rows, int64_t channels, int64_t first,
                          int64_t columns, bool add)
{
    double part[KERNEL_PARTS][KERNEL_COLUMNS] = {{0}};
    int64_t step = kernel_ceil_div(rows, KERNEL_PARTS);
    int64_t block = kernel_ceil_div(KERNEL_BLOCK / 2, channels);
#pragma omp parallel for schedule(static) if (rows * columns > KERNEL_PARALLEL_MIN)
    for (int p = 0; p < KERNEL_PARTS; p++) {
        int64_t to = kernel_min(rows, (p + 1) * step);
        for (int64_t r = p * step; r < to; r += block) {
            int64_t n = kernel_min(block, to - r), at = r * channels + first;
            slope_sums_any(x + at, gy + at, n, channels, columns, part[p]);
            if (gx)
                prelu_backward_any(x + at, slope, gy + at, gx + at, n, channels, add);
        }
    }
    for (int64_t c = 0; c < columns; c++) {
        double sum = 0;
        for (int p = 0; p < KERNEL_PARTS; p++)
            sum += part[p][c];
        gslope[first + c] = (float)sum;
    }
}

/* One slope for n elements in a row, in fixed parts of them. */
static float slope_scalar(const float *x, const float *gy, int64_t n)
{
    double part[KERNEL_PARTS], sum = 0;
    int64_t step = kernel_ceil_div(n, KERNEL_PARTS);
#pragma omp parallel for schedule(static) if (n > KERNEL_PARALLEL_MIN)
    for (int p = 0; p < KERNEL_PARTS; p++) {
        int64_t from = kernel_min(n, p * step), to = kernel_min(n, from + step);
        part[p] = slope_sum_run(x + from, gy + from, to - from);
    }
    for (int p = 0; p < KERNEL_PARTS; p++)
        sum += part[p];
    return (float)sum;
}

static void prelu_backward_slope(const float *x, const float *slope, const float *gy, float *gslope,
                                 int64_t outer, int64_t channels, int64_t inner)
{
    if (channels == 1) {
        gslope[0] = slope_scalar(x, gy, outer * inner);
        return;
    }
    for (int64_t c = 0; inner == 1 && c < channels; c += KERNEL_COLUMNS)
        slope_columns(x, slope, gy, NULL, gslope, outer, channels, c,
                      kernel_min(KERNEL_COLUMNS, channels - c), false);
    if (inner == 1)
        return;
#pragma omp parallel for schedule(static) if (outer * channels * inner > KERNEL_PARALLEL_MIN)
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t o = 0; o < outer; o++) {
            int64_t at = (o * channels + c) * inner;
            sum += slope_sum_run(x + at, gy + at, inner);
        }
        gslope[c] = (float)sum;
    }
}

void kernel_prelu_backward(const float *x, const float *slope, const float *gy, float *gx,
                           float *gslope, int64_t outer, int64_t channels, int64_t inner, bool add)
{
    if (gslope && gx && inner == 1 && channels > 1 && channels <= KERNEL_COLUMNS) {
        slope_columns(x, slope, gy, gx, gslope, outer, channels, 0, channels, add);
        return;
    }
    if (gslope)
        prelu_backward_slope(x, slope, gy, gslope, outer, channels, inner);
    if (gx && channels == 1)
        kernel_leaky_relu_backward(x, gy, gx, (size_t)(outer * inner), slope[0], add);
    else if (gx)
        prelu_backward_data(x, slope, gy, gx, outer, channels, inner, add);
}
