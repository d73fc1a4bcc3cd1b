/* kernels_norm.c - batch norm over channels-last rows, column sums, softmax.
 *
 * Statistics and gradients of batch norm are sums over the rows. They are taken in double (the
 * gradients' in float over a few rows), per block of channels and in a fixed number of parts of the
 * rows, so that threads share the work without changing the result. Softmax subtracts the maximum
 * first.
 */
#include "nn/kernels_internal.h"
#include "nn/kernels_math.h"

void kernel_bn_coefficients(const float *scale, const float *shift, const float *mean,
                            const float *variance, float epsilon, int64_t channels, float *a,
                            float *b)
{
    for (int64_t c = 0; c < channels; c++) {
        double slope = (double)scale[c] / sqrt((double)variance[c] + (double)epsilon);
        a[c] = (float)slope;
        b[c] = (float)((double)shift[c] - (double)mean[c] * slope);
    }
}

void kernel_bn_running(const float *mean, const float *variance, int64_t rows, int64_t channels,
                       float momentum, float *running_mean, float *running_variance)
{
    float unbias = rows > 1 ? (float)((double)rows / (double)(rows - 1)) : 1.0f;
    float rest = 1.0f - momentum;
    for (int64_t c = 0; c < channels; c++) {
        running_mean[c] = momentum * running_mean[c] + rest * mean[c];
        running_variance[c] = momentum * running_variance[c] + rest * unbias * variance[c];
    }
}

KERNEL_CLONES static void apply_rows(const float *x, const float *a, const float *b, float *y,
                                     int64_t rows, int64_t channels, float lo, float hi)
{
    for (int64_t r = 0; r < rows; r++) {
        KERNEL_IVDEP
        for (int64_t c = 0; c < channels; c++)
            y[r * channels + c] = kernel_clamp(a[c] * x[r * channels + c] + b[c], lo, hi);
    }
}

void kernel_bn_apply(const float *x, const float *a, const float *b, float *y, int64_t rows,
                     int64_t channels, float lo, float hi)
{
    int64_t step = kernel_ceil_div(KERNEL_BLOCK, channels);
#pragma omp parallel for schedule(static) if (rows * channels > KERNEL_PARALLEL_MIN)
    for (int64_t r = 0; r < rows; r += step)
        apply_rows(x + r * channels, a, b, y + r * channels, kernel_min(step, rows - r), channels,
                   lo, hi);
}

/* ---- sums over the rows --------------------------------------------------------------------- */

/* Two sums a channel. */
struct sums {
    double first[KERNEL_COLUMNS], second[KERNEL_COLUMNS];
};

/* What is summed: NULL gy: x and x^2; else gy and gy * (x - mean), where y passes the clamp. */
struct summand {
    const float *x, *y, *gy, *mean;
    int64_t rows, channels;
    float lo, hi;
};

/* Rows [row, end) of KERNEL_LANES channels from `column` on, without a clamp. */
KERNEL_INLINE void gradient_lanes(const struct summand *s, int64_t row, int64_t end, int64_t column,
                                  float few[KERNEL_LANES], float product_few[KERNEL_LANES])
{
    kernel_vec mean = *(const kernel_vec *)(s->mean + column), sum = {0}, product = {0};
    for (int64_t r = row; r < end; r++) {
        int64_t at = r * s->channels + column;
        kernel_vec x = *(const kernel_vec *)(s->x + at), g = *(const kernel_vec *)(s->gy + at);
        sum += g;
        product += g * (x - mean);
    }
    *(kernel_vec *)few = sum;
    *(kernel_vec *)product_few = product;
}

/* The same for fewer channels, or with a clamp. */
KERNEL_INLINE void gradient_few(const struct summand *s, int64_t row, int64_t end, int64_t column,
                                int64_t lanes, float few[KERNEL_LANES],
                                float product_few[KERNEL_LANES])
{
    memset(few, 0, KERNEL_LANES * sizeof(float));
    memset(product_few, 0, KERNEL_LANES * sizeof(float));
    for (int64_t r = row; r < end; r++)
        for (int64_t k = 0; k < lanes; k++) {
            int64_t at = r * s->channels + column + k;
            float g = s->y[at] <= s->lo || s->y[at] >= s->hi ? 0.0f : s->gy[at];
            few[k] += g;
            product_few[k] += g * (s->x[at] - s->mean[column + k]);
        }
}

KERNEL_CLONES static void moments(const float *x, int64_t rows, int64_t channels, int64_t columns,
                                  double *restrict sum, double *restrict square)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            double v = (double)x[r * channels + c];
            sum[c] += v;
            square[c] += v * v;
        }
}

/* In float over KERNEL_FLOAT_ROWS rows, in double beyond. The last lanes may lie over those before,
 * of which they then leave out the sums. */
KERNEL_CLONES static void gradient_sums(const struct summand *s, int64_t row, int64_t rows,
                                        int64_t column, int64_t columns, double *restrict sum,
                                        double *restrict product)
{
    int64_t lanes = kernel_min(KERNEL_LANES, columns);
    for (int64_t c = 0; c < columns; c += KERNEL_LANES) {
        int64_t from = kernel_min(c, columns - lanes);
        for (int64_t r = row; r < row + rows; r += KERNEL_FLOAT_ROWS) {
            int64_t end = kernel_min(row + rows, r + KERNEL_FLOAT_ROWS);
            float few[KERNEL_LANES], product_few[KERNEL_LANES];
            if (lanes == KERNEL_LANES && s->lo == -INFINITY && s->hi == INFINITY)
                gradient_lanes(s, r, end, column + from, few, product_few);
            else
                gradient_few(s, r, end, column + from, lanes, few, product_few);
            for (int64_t k = c - from; k < lanes; k++) {
                sum[from + k] += (double)few[k];
                product[from + k] += (double)product_few[k];
            }
        }
    }
}

/* gx = k[c] * gy' + l[c] * x + m[c], for `columns` channels: what both modes come to. */
struct bn_line {
    float k[KERNEL_COLUMNS], l[KERNEL_COLUMNS], m[KERNEL_COLUMNS];
};

KERNEL_CLONES static void line_rows(const struct summand *s, const struct bn_line *line,
                                    int64_t row, int64_t rows, int64_t column, int64_t columns,
                                    float *out, bool add)
{
    const float *k = line->k, *l = line->l, *m = line->m;
    float lo = s->lo, hi = s->hi;
    for (int64_t r = row; r < row + rows; r++) {
        int64_t at = r * s->channels + column;
        const float *x = s->x + at, *y = s->y + at, *gy = s->gy + at;
        float *gx = out + at;
        KERNEL_IVDEP
        for (int64_t c = 0; c < columns; c++) {
            float passed = y[c] <= lo || y[c] >= hi ? 0.0f : gy[c];
            float v = k[c] * passed + (l[c] * x[c] + m[c]);
            gx[c] = add ? gx[c] + v : v;
        }
    }
}

/* A part's sums, and with a line the gradient by the input of each block of rows that has just been
 * read. */
static void sum_part(const struct summand *s, int64_t row, int64_t rows, int64_t column,
                     int64_t columns, struct sums *sums, const struct bn_line *line, float *gx,
                     bool add)
{
    int64_t block = line ? kernel_ceil_div(KERNEL_BLOCK / 2, s->channels) : rows;
    for (int64_t r = row; r < row + rows; r += block) {
        int64_t n = kernel_min(block, row + rows - r);
        if (s->gy)
            gradient_sums(s, r, n, column, columns, sums->first, sums->second);
        else
            moments(s->x + r * s->channels + column, n, s->channels, columns, sums->first,
                    sums->second);
        if (line)
            line_rows(s, line, r, n, column, columns, gx, add);
    }
}

/* Sums of `columns` channels from `column` on, over all rows; line as in sum_part, or NULL. */
static void sum_block(const struct summand *s, int64_t column, int64_t columns, struct sums *ret,
                      const struct bn_line *line, float *gx, bool add)
{
    struct sums part[KERNEL_PARTS];
    int64_t step = kernel_ceil_div(s->rows, KERNEL_PARTS);
    memset(part, 0, sizeof(part));
#pragma omp parallel for schedule(static) if (s->rows * columns > KERNEL_PARALLEL_MIN)
    for (int p = 0; p < KERNEL_PARTS; p++) {
        int64_t row = kernel_min(s->rows, p * step), rows = kernel_min(step, s->rows - row);
        sum_part(s, row, rows, column, columns, &part[p], line, gx, add);
    }
    *ret = part[0];
    for (int p = 1; p < KERNEL_PARTS; p++)
        for (int64_t c = 0; c < columns; c++) {
            ret->first[c] += part[p].first[c];
            ret->second[c] += part[p].second[c];
        }
}

void kernel_bn_statistics(const float *x, int64_t rows, int64_t channels, float *mean,
                          float *variance)
{
    struct summand s = {.x = x, .rows = rows, .channels = channels};
    struct sums sums;
    for (int64_t first = 0; first < channels; first += KERNEL_COLUMNS) {
        int64_t columns = kernel_min(KERNEL_COLUMNS, channels - first);
        sum_block(&s, first, columns, &sums, NULL, NULL, false);
        for (int64_t c = 0; c < columns; c++) {
            double m = sums.first[c] / (double)rows;
            double v = sums.second[c] / (double)rows - m * m;
            mean[first + c] = (float)m;
            variance[first + c] = (float)(v > 0 ? v : 0);
        }
    }
}

void kernel_column_sums(const float *x, int64_t rows, int64_t channels, float *out)
{
    struct summand s = {.x = x, .rows = rows, .channels = channels};
    struct sums sums;
    for (int64_t first = 0; first < channels; first += KERNEL_COLUMNS) {
        int64_t columns = kernel_min(KERNEL_COLUMNS, channels - first);
        sum_block(&s, first, columns, &sums, NULL, NULL, false);
        for (int64_t c = 0; c < columns; c++)
            out[first + c] = (float)sums.first[c];
    }
}

/* ---- batch norm, backward ------------------------------------------------------------------- */

/* Batch: gx = a (gy' - mean(gy') - (x - mean) mean(gy' (x - mean)) / (variance + epsilon)).
 * Frozen (s is NULL): gx = a gy'. */
static void line_of(const struct sums *s, int64_t rows, int64_t columns, const float *scale,
                    const float *mean, const float *variance, float epsilon, struct bn_line *line)
{
    for (int64_t c = 0; c < columns; c++) {
        double spread = (double)variance[c] + (double)epsilon;
        double a = (double)scale[c] / sqrt(spread);
        double l = s ? -a * s->second[c] / ((double)rows * spread) : 0;
        double m = s ? -a * s->first[c] / (double)rows - l * (double)mean[c] : 0;
        line->k[c] = (float)a;
        line->l[c] = (float)l;
        line->m[c] = (float)m;
    }
}

static void line_block(const struct summand *s, const struct bn_line *line, int64_t column,
                       int64_t columns, float *gx, bool add)
{
    int64_t step = kernel_ceil_div(KERNEL_BLOCK, columns);
#pragma omp parallel for schedule(static) if (s->rows * columns > KERNEL_PARALLEL_MIN)
    for (int64_t r = 0; r < s->rows; r += step)
        line_rows(s, line, r, kernel_min(step, s->rows - r), column, columns, gx, add);
}

void kernel_bn_backward(const float *x, const float *y, const float *gy, int64_t rows,
                        int64_t channels, const float *scale, const float *mean,
                        const float *variance, float epsilon, bool batch, float lo, float hi,
                        float *gx, bool add, float *gscale, float *gshift)
{
    /* Without a clamp x stands in for y: all but infinities pass infinite bounds. */
    struct summand s = {.x = x,
                        .y = y ? y : x,
                        .gy = gy,
                        .mean = mean,
                        .rows = rows,
                        .channels = channels,
                        .lo = lo,
                        .hi = hi};
    struct sums sums;
    struct bn_line line;
    for (int64_t first = 0; first < channels; first += KERNEL_COLUMNS) {
        int64_t columns = kernel_min(KERNEL_COLUMNS, channels - first);
        bool fused = gx && !batch; /* the line does not depend on the sums */
        if (fused)
            line_of(NULL, rows, columns, scale + first, mean + first, variance + first, epsilon,
                    &line);
        sum_block(&s, first, columns, &sums, fused ? &line : NULL, gx, add);
        for (int64_t c = 0; c < columns; c++) {
            double spread = (double)variance[first + c] + (double)epsilon;
            gscale[first + c] = (float)(sums.second[c] / sqrt(spread));
            gshift[first + c] = (float)sums.first[c];
        }
        if (!gx || fused)
            continue;
        line_of(&sums, rows, columns, scale + first, mean + first, variance + first, epsilon,
                &line);
        line_block(&s, &line, first, columns, gx, add);
    }
}

/* ---- softmax -------------------------------------------------------------------------------- */

/* `inner` is cut into blocks of this many, so that a block's maxima and sums stay in registers. */
#define SOFTMAX_LANES 64

/* Lanes are neighbours in the inner dimension. */
KERNEL_CLONES static void softmax_lanes(const float *x, float *y, int64_t n, int64_t stride,
                                        int64_t lanes)
{
    float top[SOFTMAX_LANES], sum[SOFTMAX_LANES];
    for (int64_t k = 0; k < lanes; k++) {
        top[k] = x[k];
        sum[k] = 0;
    }
    for (int64_t i = 1; i < n; i++)
        for (int64_t k = 0; k < lanes; k++)
            top[k] = x[i * stride + k] > top[k] ? x[i * stride + k] : top[k];
    for (int64_t i = 0; i < n; i++) {
        KERNEL_IVDEP
        for (int64_t k = 0; k < lanes; k++) {
            float e = kernel_expf(x[i * stride + k] - top[k]);
            y[i * stride + k] = e;
            sum[k] += e;
        }
    }
    for (int64_t k = 0; k < lanes; k++)
        sum[k] = 1.0f / sum[k];
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < lanes; k++)
            y[i * stride + k] *= sum[k];
}

/* One dense row of n; the sum in sixteen lanes. */
KERNEL_CLONES static void softmax_row(const float *x, float *y, int64_t n)
{
    float top = x[0];
    for (int64_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    KERNEL_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = kernel_expf(x[i] - top);
    double lane[16] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++)
            lane[k] += (double)y[i + k];
    for (; i < n; i++)
        sum += (double)y[i];
    for (int k = 0; k < 16; k++)
        sum += lane[k];
    float scale = (float)(1.0 / sum);
    for (i = 0; i < n; i++)
        y[i] *= scale;
}

/* Dense rows of few: turned in a tile, so that lanes are rows. */
#define SOFTMAX_FEW 64

static void softmax_rows(const float *x, float *y, int64_t n, int64_t rows)
{
    float tile[SOFTMAX_FEW * SOFTMAX_LANES];
    kernel_transpose(x, n, tile, SOFTMAX_LANES, rows, n);
    softmax_lanes(tile, tile, n, SOFTMAX_LANES, rows);
    kernel_transpose(tile, SOFTMAX_LANES, y, n, n, rows);
}

static void softmax_dense(const float *x, float *y, int64_t outer, int64_t n)
{
    int64_t step = n <= SOFTMAX_FEW ? SOFTMAX_LANES : 1;
#pragma omp parallel for schedule(static) if (outer * n > KERNEL_PARALLEL_MIN)
    for (int64_t o = 0; o < outer; o += step)
        if (step > 1)
            softmax_rows(x + o * n, y + o * n, n, kernel_min(step, outer - o));
        else
            softmax_row(x + o * n, y + o * n, n);
}

void kernel_softmax(const float *x, float *y, int64_t outer, int64_t n, int64_t inner)
{
    if (inner == 1) {
        softmax_dense(x, y, outer, n);
        return;
    }
#pragma omp parallel for schedule(static) if (outer * n * inner > KERNEL_PARALLEL_MIN)
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < inner; k += SOFTMAX_LANES) {
            int64_t at = o * n * inner + k;
            softmax_lanes(x + at, y + at, n, inner, kernel_min(SOFTMAX_LANES, inner - k));
        }
}

/* gx = y * (gy - sum(gy * y)). */
KERNEL_CLONES static void softmax_backward_lanes(const float *y, const float *gy, float *gx,
                                                 int64_t n, int64_t stride, int64_t lanes, bool add)
{
    double dot[SOFTMAX_LANES] = {0};
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < lanes; k++)
            dot[k] += (double)y[i * stride + k] * (double)gy[i * stride + k];
    for (int64_t i = 0; i < n; i++) {
        KERNEL_IVDEP
        for (int64_t k = 0; k < lanes; k++) {
            int64_t at = i * stride + k;
            float v = y[at] * (gy[at] - (float)dot[k]);
            gx[at] = add ? gx[at] + v : v;
        }
    }
}

KERNEL_CLONES static void softmax_backward_row(const float *y, const float *gy, float *gx,
                                               int64_t n, bool add)
{
    double dot = 0;
    for (int64_t i = 0; i < n; i++)
        dot += (double)y[i] * (double)gy[i];
    KERNEL_IVDEP
    for (int64_t i = 0; i < n; i++) {
        float v = y[i] * (gy[i] - (float)dot);
        gx[i] = add ? gx[i] + v : v;
    }
}

void kernel_softmax_backward(const float *y, const float *gy, float *gx, int64_t outer, int64_t n,
                             int64_t inner, bool add)
{
#pragma omp parallel for schedule(static) if (outer * n * inner > KERNEL_PARALLEL_MIN)
    for (int64_t o = 0; o < outer; o++) {
        int64_t at = o * n * inner;
        if (inner == 1)
            softmax_backward_row(y + at, gy + at, gx + at, n, add);
        for (int64_t k = at; inner > 1 && k < at + inner; k += SOFTMAX_LANES)
            softmax_backward_lanes(y + k, gy + k, gx + k, n, inner,
                                   kernel_min(SOFTMAX_LANES, at + inner - k), add);
    }
}
