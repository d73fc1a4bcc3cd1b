/* See kernels_blocked_depthwise.h. A plane (a block of channels of an image) is one thread's. Rows
 * wait in rings of three, in float, with a zero pixel on either side; a row beyond the image is a
 * row of zeros. */
#include "nn/kernels_blocked_depthwise.h"

#include <math.h>
#include <omp.h>

#include "nn/kernels_bf16.h"

#define LANES KERNEL_LANES
#define TAPS 9
#define RING 3
#define PART_DOUBLES ((TAPS + 2) * LANES)

/* A thread's rows. */
struct rings {
    float *x[RING], *gy[RING];
    const float *zeros;
};

/* One plane: where it is and what is known of its channels. */
struct plane {
    const struct kernel_dw *d;
    int64_t block, in, out; /* first elements of input and output */
    const struct kernel_dw_after *after;
    struct rings rings;
    float a[LANES], b[LANES], mean[LANES], w[TAPS][LANES];
};

static size_t row_floats(int width)
{
    return (size_t)(width + 2) * LANES;
}

static size_t thread_floats(const struct kernel_dw *d)
{
    return (RING + 1) * row_floats(d->in_width) + RING * row_floats(d->out_width);
}

size_t kernel_dw_rows(const struct kernel_dw *d)
{
    return thread_floats(d) * (size_t)d->threads;
}

size_t kernel_dw_parts(const struct kernel_dw *d)
{
    return (size_t)(d->images * kernel_blocks_of(d->channels)) * PART_DOUBLES;
}

size_t kernel_dw_sums(const struct kernel_dw *d)
{
    return (size_t)kernel_blocks_of(d->channels) * 2 * LANES;
}

size_t kernel_dw_moments(const struct kernel_dw *d)
{
    return (size_t)(d->images * kernel_blocks_of(d->channels)) * KERNEL_MOMENTS;
}

static struct rings rings_of(const struct kernel_dw *d)
{
    struct rings r;
    float *at = d->rows + thread_floats(d) * (size_t)omp_get_thread_num();
    memset(at, 0, thread_floats(d) * sizeof *at);
    for (int k = 0; k < RING; k++, at += row_floats(d->in_width))
        r.x[k] = at;
    r.zeros = at;
    at += row_floats(d->in_width);
    for (int k = 0; k < RING; k++, at += row_floats(d->out_width))
        r.gy[k] = at;
    return r;
}

static void plane_open(const struct kernel_dw *d, int64_t index, const float *mean, struct plane *p)
{
    int64_t block = index % kernel_blocks_of(d->channels);
    p->d = d;
    p->block = block;
    p->after = NULL;
    p->in = index * d->in_height * d->in_width * LANES;
    p->out = index * d->out_height * d->out_width * LANES;
    p->rings = rings_of(d);
    for (int k = 0; k < LANES; k++) {
        int64_t c = block * LANES + k;
        bool real = c < d->channels;
        p->a[k] = d->a[c];
        p->b[k] = d->b[c];
        p->mean[k] = real && mean ? mean[c] : 0;
        for (int i = 0; i < TAPS; i++)
            p->w[i][k] = real ? d->weights[c * TAPS + i] : 0;
    }
}

static const float *row_at(const struct plane *p, float *const ring[RING], int row, int height)
{
    return row < 0 || row >= height ? p->rings.zeros : ring[row % RING];
}

KERNEL_INLINE kernel_vec at(const float *row, int64_t pixel)
{
    return *(const kernel_vec *)(row + pixel * LANES);
}

KERNEL_INLINE void add_wide(double *to, kernel_vec v)
{
    *(kernel_wide *)to += __builtin_convertvector(v, kernel_wide);
}

/* --- rows in --- */

/* The row after the next, while there is arithmetic to do: a hint, which may point beyond the end.
 */
KERNEL_INLINE void fetch(const void *p, int64_t element, bool bf16)
{
    __builtin_prefetch((const char *)p + element * (bf16 ? 2 : 4));
}

KERNEL_INLINE void normalise_row(const struct plane *p, const void *x, int row, bool bf16)
{
    const struct kernel_dw *d = p->d;
    float *to = p->rings.x[row % RING] + LANES;
    int64_t from = p->in + (int64_t)row * d->in_width * LANES;
    kernel_vec a = *(const kernel_vec *)p->a, b = *(const kernel_vec *)p->b;
    kernel_vec lo = kernel_splat(d->lo), hi = kernel_splat(d->hi);
    int64_t row_elements = (int64_t)d->in_width * LANES;
    for (int64_t i = 0; i < row_elements; i += LANES) {
        fetch(x, from + row_elements + i, bf16);
        kernel_store(to, i, kernel_clamp_vec(a * kernel_load(x, from + i, bf16) + b, lo, hi),
                     false);
    }
}

KERNEL_INLINE void gradient_row_after(const struct plane *p, const void *gy, int row, bool bf16)
{
    const struct kernel_dw_after *n = p->after;
    float *to = p->rings.gy[row % RING] + LANES;
    int64_t row_elements = (int64_t)p->d->out_width * LANES, lane = p->block * LANES;
    int64_t from = p->out + row * row_elements;
    const kernel_vec a = *(const kernel_vec *)(n->a + lane), b = *(const kernel_vec *)(n->b + lane);
    const kernel_vec k = *(const kernel_vec *)(n->k + lane), l = *(const kernel_vec *)(n->l + lane);
    const kernel_vec m = *(const kernel_vec *)(n->m + lane);
    const kernel_vec lo = kernel_splat(n->lo), hi = kernel_splat(n->hi);
    for (int64_t i = 0; i < row_elements; i += LANES) {
        fetch(gy, from + row_elements + i, bf16);
        fetch(n->y, from + row_elements + i, bf16);
        kernel_vec y = kernel_load(n->y, from + i, bf16), g = kernel_load(gy, from + i, bf16);
        kernel_store(to, i, k * kernel_pass(g, a * y + b, lo, hi) + (l * y + m), false);
    }
}

KERNEL_INLINE void gradient_row(const struct plane *p, const void *gy, int row, bool bf16)
{
    float *to = p->rings.gy[row % RING] + LANES;
    int64_t from = p->out + (int64_t)row * p->d->out_width * LANES;
    int64_t row_elements = (int64_t)p->d->out_width * LANES;
    for (int64_t i = 0; i < row_elements; i += LANES) {
        fetch(gy, from + row_elements + i, bf16);
        kernel_store(to, i, kernel_load(gy, from + i, bf16), false);
    }
}

/* Normalises what output row `row` reads and is not there yet. */
KERNEL_INLINE void normalise_until(const struct plane *p, const void *x, int row, int *next,
                                   bool bf16)
{
    int end = row * p->d->stride + 2;
    for (; *next < end && *next < p->d->in_height; ++*next)
        normalise_row(p, x, *next, bf16);
}

/* --- forward --- */

/* The taps of a block. */
struct taps {
    kernel_vec w0, w1, w2, w3, w4, w5, w6, w7, w8;
};

KERNEL_INLINE struct taps taps_of(const struct plane *p)
{
    const kernel_vec *w = (const kernel_vec *)p->w;
    return (struct taps){w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8]};
}

/* The three rows that an output row reads. */
struct window {
    const float *r0, *r1, *r2;
};

KERNEL_INLINE struct window window_of(const struct plane *p, int row)
{
    int first = row * p->d->stride - 1, height = p->d->in_height;
    return (struct window){row_at(p, p->rings.x, first, height),
                           row_at(p, p->rings.x, first + 1, height),
                           row_at(p, p->rings.x, first + 2, height)};
}

KERNEL_INLINE kernel_vec convolve_pixel(const struct window *r, const struct taps *t, int64_t k)
{
    kernel_vec v = at(r->r0, k) * t->w0 + at(r->r0, k + 1) * t->w1 + at(r->r0, k + 2) * t->w2;
    kernel_vec u = at(r->r1, k) * t->w3 + at(r->r1, k + 1) * t->w4 + at(r->r1, k + 2) * t->w5;
    v += at(r->r2, k) * t->w6 + at(r->r2, k + 1) * t->w7 + at(r->r2, k + 2) * t->w8;
    return v + u;
}

/* moments: NULL, or the pivot and the sums so far of y - pivot and its square. */
KERNEL_INLINE void convolve_row(const struct plane *p, int row, void *y, double *moments,
                                int stride, bool bf16)
{
    const struct window r = window_of(p, row);
    const struct taps t = taps_of(p);
    kernel_vec pivot = {0}, sum = {0}, square = {0};
    if (moments)
        pivot = __builtin_convertvector(*(const kernel_wide *)moments, kernel_vec);
    int64_t to = p->out + (int64_t)row * p->d->out_width * LANES;
    for (int64_t i = 0; i < p->d->out_width; i++) {
        kernel_vec v = convolve_pixel(&r, &t, i * stride), d = v - pivot;
        kernel_store(y, to + i * LANES, v, bf16);
        sum += d;
        square += d * d;
    }
    if (moments) {
        add_wide(moments + LANES, sum);
        add_wide(moments + (ptrdiff_t)2 * LANES, square);
    }
}

/* The first pixel of the plane: sums relative to it lose little to cancellation. */
KERNEL_INLINE void moments_begin(const struct plane *p, double *moments)
{
    const struct window r = window_of(p, 0);
    const struct taps t = taps_of(p);
    *(kernel_wide *)moments = __builtin_convertvector(convolve_pixel(&r, &t, 0), kernel_wide);
    memset(moments + LANES, 0, (size_t)2 * LANES * sizeof *moments);
}

KERNEL_INLINE void forward_plane(const struct plane *p, const void *x, void *y, double *moments,
                                 bool bf16)
{
    int next = 0;
    for (int row = 0; row < p->d->out_height; row++) {
        normalise_until(p, x, row, &next, bf16);
        if (moments && row == 0)
            moments_begin(p, moments);
        if (p->d->stride == 1)
            convolve_row(p, row, y, moments, 1, bf16);
        else
            convolve_row(p, row, y, moments, 2, bf16);
    }
}

KERNEL_CLONES static void forward_f32(const struct plane *p, const void *x, void *y,
                                      double *moments)
{
    forward_plane(p, x, y, moments, false);
}

KERNEL_CLONES static void forward_bf16(const struct plane *p, const void *x, void *y,
                                       double *moments)
{
    forward_plane(p, x, y, moments, true);
}

void kernel_dw_forward(const struct kernel_dw *d, const void *x, void *y, double *moments)
{
    int64_t planes = d->images * kernel_blocks_of(d->channels);
#pragma omp parallel for schedule(static) num_threads(d->threads)
    for (int64_t i = 0; i < planes; i++) {
        struct plane p;
        plane_open(d, i, NULL, &p);
        double *of_plane = moments ? moments + i * KERNEL_MOMENTS : NULL;
        (d->bf16 ? forward_bf16 : forward_f32)(&p, x, y, of_plane);
    }
}

/* --- gradient by the weights --- */

KERNEL_INLINE void weights_row(const struct plane *p, int row, double *sums, int stride)
{
    const struct kernel_dw *d = p->d;
    const struct window r = window_of(p, row);
    const float *gy = p->rings.gy[row % RING] + LANES;
    kernel_vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0}, s7 = {0},
               s8 = {0};
    for (int64_t i = 0; i < d->out_width; i++) {
        kernel_vec g = at(gy, i);
        int64_t k = i * stride;
        s0 += g * at(r.r0, k);
        s1 += g * at(r.r0, k + 1);
        s2 += g * at(r.r0, k + 2);
        s3 += g * at(r.r1, k);
        s4 += g * at(r.r1, k + 1);
        s5 += g * at(r.r1, k + 2);
        s6 += g * at(r.r2, k);
        s7 += g * at(r.r2, k + 1);
        s8 += g * at(r.r2, k + 2);
    }
    const kernel_vec s[TAPS] = {s0, s1, s2, s3, s4, s5, s6, s7, s8};
    for (int i = 0; i < TAPS; i++)
        add_wide(sums + i * LANES, s[i]);
}

/* --- gradient by the input --- */

/* A row of the input while its gradient is made. */
struct row {
    const void *x;
    void *to;
    int64_t first; /* element of both */
    kernel_vec a, b, mean, lo, hi, sum, product;
};

/* v: the gradient by the normalised pixel. */
KERNEL_INLINE void finish_pixel(struct row *r, int64_t pixel, kernel_vec v, bool bf16)
{
    int64_t at = r->first + pixel * LANES;
    __builtin_prefetch((const char *)r->to + (at + 64 * LANES) * (bf16 ? 2 : 4), 1);
    kernel_vec x = kernel_load(r->x, at, bf16);
    v = kernel_pass(v, r->a * x + r->b, r->lo, r->hi);
    r->sum += v;
    r->product += v * (x - r->mean);
    kernel_store(r->to, at, v, bf16);
}

KERNEL_INLINE void input_row_1(const struct plane *p, int row, struct row *r, bool bf16)
{
    const struct kernel_dw *d = p->d;
    const float *g0 = row_at(p, p->rings.gy, row + 1, d->out_height);
    const float *g1 = row_at(p, p->rings.gy, row, d->out_height);
    const float *g2 = row_at(p, p->rings.gy, row - 1, d->out_height);
    const struct taps t = taps_of(p);
    for (int64_t i = 0; i < d->in_width; i++) {
        kernel_vec v = at(g0, i + 2) * t.w0 + at(g0, i + 1) * t.w1 + at(g0, i) * t.w2;
        kernel_vec u = at(g1, i + 2) * t.w3 + at(g1, i + 1) * t.w4 + at(g1, i) * t.w5;
        v += at(g2, i + 2) * t.w6 + at(g2, i + 1) * t.w7 + at(g2, i) * t.w8;
        finish_pixel(r, i, v + u, bf16);
    }
}

/* Of stride 2: an even row is read by the middle tap of one output row, an odd one by the outer
 * taps of two; pixels likewise. */
KERNEL_INLINE void input_row_2(const struct plane *p, int row, struct row *r, bool bf16)
{
    const struct kernel_dw *d = p->d;
    const kernel_vec *w = (const kernel_vec *)p->w;
    bool odd = row % 2;
    const float *g0 = row_at(p, p->rings.gy, (row + 1) / 2, d->out_height);
    const float *g1 = odd ? row_at(p, p->rings.gy, row / 2, d->out_height) : p->rings.zeros;
    const kernel_vec a0 = w[odd ? 0 : 3], a1 = w[odd ? 1 : 4], a2 = w[odd ? 2 : 5];
    const kernel_vec b0 = w[6], b1 = w[7], b2 = w[8];
    for (int64_t i = 0; 2 * i < d->in_width; i++) {
        finish_pixel(r, 2 * i, at(g0, i + 1) * a1 + at(g1, i + 1) * b1, bf16);
        if (2 * i + 1 == d->in_width)
            break;
        kernel_vec v = at(g0, i + 2) * a0 + at(g0, i + 1) * a2;
        finish_pixel(r, 2 * i + 1, v + at(g1, i + 2) * b0 + at(g1, i + 1) * b2, bf16);
    }
}

KERNEL_INLINE void input_row(const struct plane *p, int row, const void *x, void *to, double *sums,
                             bool bf16)
{
    struct row r = {.x = x,
                    .to = to,
                    .first = p->in + (int64_t)row * p->d->in_width * LANES,
                    .a = *(const kernel_vec *)p->a,
                    .b = *(const kernel_vec *)p->b,
                    .mean = *(const kernel_vec *)p->mean,
                    .lo = kernel_splat(p->d->lo),
                    .hi = kernel_splat(p->d->hi)};
    if (p->d->stride == 1)
        input_row_1(p, row, &r, bf16);
    else
        input_row_2(p, row, &r, bf16);
    add_wide(sums, r.sum);
    add_wide(sums + LANES, r.product);
}

/* --- backward --- */

/* The last output row that input row `row` is read by. */
static int last_reader(const struct kernel_dw *d, int row)
{
    return d->stride == 1 ? row + 1 : (row + 1) / 2;
}

/* parts: the sums for the weights, then those for the batch norm. */
KERNEL_INLINE void backward_plane(const struct plane *p, const void *x, const void *gy,
                                  const struct kernel_dw_gradients *g, double *parts, bool bf16)
{
    const struct kernel_dw *d = p->d;
    int next = 0, done = 0;
    memset(parts, 0, PART_DOUBLES * sizeof *parts);
    for (int row = 0; row < d->out_height; row++) {
        if (p->after)
            gradient_row_after(p, gy, row, bf16);
        else
            gradient_row(p, gy, row, bf16);
        if (g->weights) {
            normalise_until(p, x, row, &next, bf16);
            if (d->stride == 1)
                weights_row(p, row, parts, 1);
            else
                weights_row(p, row, parts, 2);
        }
        bool last = row == d->out_height - 1;
        for (; g->gy_norm && done < d->in_height && (last || last_reader(d, done) <= row); done++)
            input_row(p, done, x, g->gy_norm, parts + TAPS * LANES, bf16);
    }
}

KERNEL_CLONES static void backward_f32(const struct plane *p, const void *x, const void *gy,
                                       const struct kernel_dw_gradients *g, double *parts)
{
    backward_plane(p, x, gy, g, parts, false);
}

KERNEL_CLONES static void backward_bf16(const struct plane *p, const void *x, const void *gy,
                                        const struct kernel_dw_gradients *g, double *parts)
{
    backward_plane(p, x, gy, g, parts, true);
}

/* A block's parts, summed over the images. */
static void gather(const struct kernel_dw *d, const struct kernel_dw_gradients *g, int64_t block,
                   double ret[PART_DOUBLES])
{
    memset(ret, 0, PART_DOUBLES * sizeof *ret);
    for (int64_t image = 0; image < d->images; image++) {
        const double *from =
            g->parts + (image * kernel_blocks_of(d->channels) + block) * PART_DOUBLES;
        for (int k = 0; k < PART_DOUBLES; k++)
            ret[k] += from[k];
    }
}

void kernel_dw_backward(const struct kernel_dw *d, const void *x, const void *gy,
                        const struct kernel_dw_gradients *g)
{
    int64_t planes = d->images * kernel_blocks_of(d->channels);
#pragma omp parallel for schedule(static) num_threads(d->threads)
    for (int64_t i = 0; i < planes; i++) {
        struct plane p;
        plane_open(d, i, g->mean, &p);
        p.after = g->after;
        (d->bf16 ? backward_bf16 : backward_f32)(&p, x, gy, g, g->parts + i * PART_DOUBLES);
    }
    for (int64_t block = 0; block < kernel_blocks_of(d->channels); block++) {
        double sum[PART_DOUBLES];
        gather(d, g, block, sum);
        for (int64_t c = block * LANES, k = 0; g->weights && k < LANES && c + k < d->channels; k++)
            for (int i = 0; i < TAPS; i++)
                g->weights[(c + k) * TAPS + i] = (float)sum[i * LANES + k];
        if (g->gy_norm)
            memcpy(g->sums + block * 2 * LANES, sum + (ptrdiff_t)TAPS * LANES,
                   2 * LANES * sizeof *sum);
    }
}
