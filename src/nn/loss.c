/* loss.c - softmax cross-entropy, hard and soft, and argmax, on strided logits.
 *
 * Pixels are taken LANES at a time: the chosen classes of a block are gathered into a small tile
 * with one row a class, whatever the logits' layout, so that maximum, exp, sum and gradient all run
 * over neighbouring lanes. Loss and gradient come from one reading of the logits. Before it, the
 * weights of all pixels are summed, since the gradient is that of a mean. Sums are double, over
 * a fixed number of parts: the result does not depend on the number of threads.
 */
#include "nn/loss.h"

#include <assert.h>
#include <string.h>

#include "nn/kernels_internal.h"
#include "nn/kernels_math.h"

#define LANES 32
#define PARTS 64
#define FEW 128 /* classes that are turned in a scratch on the stack */

typedef float lanes[LANES];

/* The chosen classes and how pixels lie in memory: operands of the walk are logits, gradient and
 * the flat index of the pixel. */
struct pixels {
    struct kernel_walk walk;
    const float *x;
    float *g; /* NULL: no gradient */
    int64_t class_stride, grad_class_stride;
    int classes, chosen;
    int16_t index[NN_LOSS_CLASSES_MAX]; /* of the chosen */
};

enum { LOGITS, GRAD, FLAT };

static void pixels_init(struct pixels *p, const struct nn_view *logits, const uint8_t *class_chosen,
                        const struct nn_view *grad)
{
    assert(logits->rank >= 2 && logits->dim[1] <= NN_LOSS_CLASSES_MAX);
    int64_t dim[NN_RANK_MAX], x[NN_RANK_MAX], g[NN_RANK_MAX], flat[NN_RANK_MAX], step = 1;
    bool has_grad = grad && grad->data;
    int rank = 0;
    for (int i = 0; i < logits->rank; i++) {
        if (i == 1)
            continue;
        dim[rank] = logits->dim[i];
        x[rank] = logits->stride[i];
        g[rank++] = has_grad ? grad->stride[i] : 0;
    }
    for (int i = rank - 1; i >= 0; step *= dim[i--])
        flat[i] = step;
    kernel_walk_init(&p->walk, rank, dim, 3, (const int64_t *[]){x, g, flat}, FLAT);
    p->x = logits->data;
    p->g = has_grad ? grad->data : NULL;
    p->class_stride = logits->stride[1];
    p->grad_class_stride = has_grad ? grad->stride[1] : 0;
    p->classes = (int)logits->dim[1];
    p->chosen = 0;
    for (int c = 0; c < p->classes; c++)
        if (!class_chosen || class_chosen[c])
            p->index[p->chosen++] = (int16_t)c;
}

/* A block: up to LANES pixels at one stride. */
struct block {
    int count;
    int64_t pixel; /* flat index of the first; the others follow */
    const float *x;
    float *g;
    int64_t x_stride, g_stride;
};

static int64_t block_count(const struct pixels *p)
{
    int64_t inner = p->walk.rank > 0 ? p->walk.dim[p->walk.rank - 1] : 1;
    return inner == 0 || p->walk.count == 0 ? 0
                                            : p->walk.count / inner * kernel_ceil_div(inner, LANES);
}

static struct block block_at(const struct pixels *p, int64_t index)
{
    const struct kernel_walk *w = &p->walk;
    int64_t inner = w->rank > 0 ? w->dim[w->rank - 1] : 1;
    int64_t each = kernel_ceil_div(inner, LANES), first = index % each * LANES;
    int64_t offset[KERNEL_OPERANDS] = {0};
    kernel_walk_offset(w, w->rank - 1, index / each, offset);
    for (int k = 0; k < w->operands; k++)
        offset[k] += first * kernel_column_stride(w, k);
    return (struct block){.count = (int)kernel_min(LANES, inner - first),
                          .pixel = offset[FLAT],
                          .x = p->x + offset[LOGITS],
                          .g = p->g ? p->g + offset[GRAD] : NULL,
                          .x_stride = kernel_column_stride(w, LOGITS),
                          .g_stride = kernel_column_stride(w, GRAD)};
}

KERNEL_CLONES static void scale_tile(lanes *tile, int classes, float scale)
{
    for (int c = 0; c < classes; c++)
        for (int k = 0; k < LANES; k++)
            tile[c][k] *= scale;
}

/* Chosen logits of a block, times scale; lanes past the last pixel are 0. */
static void load_tile(const struct pixels *p, const struct block *b, float scale, lanes *tile)
{
    if (b->count < LANES)
        memset(tile, 0, (size_t)p->chosen * sizeof(lanes));
    if (p->chosen == p->classes && p->class_stride == 1)
        kernel_transpose(b->x, b->x_stride, tile[0], LANES, b->count, p->chosen);
    else
        for (int c = 0; c < p->chosen; c++)
            for (int k = 0; k < b->count; k++)
                tile[c][k] = b->x[p->index[c] * p->class_stride + k * b->x_stride];
    if (scale != 1)
        scale_tile(tile, p->chosen, scale);
}

KERNEL_CLONES static void add_pixels(const float *restrict from, float *restrict to, int pixels,
                                     int classes, int64_t stride)
{
    for (int k = 0; k < pixels; k++)
        for (int c = 0; c < classes; c++)
            to[k * stride + c] += from[k * classes + c];
}

/* All classes, channels-last. */
static void store_dense(const struct pixels *p, const struct block *b, lanes *tile, bool add)
{
    float row[LANES * FEW];
    if (!add) {
        kernel_transpose(tile[0], LANES, b->g, b->g_stride, p->classes, b->count);
        return;
    }
    kernel_transpose(tile[0], LANES, row, p->classes, p->classes, b->count);
    if (b->g_stride == p->classes)
        add_pixels(row, b->g, 1, b->count * p->classes, 0);
    else
        add_pixels(row, b->g, b->count, p->classes, b->g_stride);
}

static void store_tile(const struct pixels *p, const struct block *b, lanes *tile, bool add)
{
    int64_t stride = p->grad_class_stride;
    bool every = p->chosen == p->classes;
    if (every && stride == 1 && (!add || p->classes <= FEW)) {
        store_dense(p, b, tile, add);
        return;
    }
    for (int k = 0; k < b->count; k++) {
        float *g = b->g + k * b->g_stride;
        for (int c = 0; !add && !every && c < p->classes; c++)
            g[c * stride] = 0;
        for (int c = 0; c < p->chosen; c++) {
            float *to = g + p->index[c] * stride;
            *to = add ? *to + tile[c][k] : tile[c][k];
        }
    }
}

/* tile becomes probabilities; log_sum = log of the sum of exp over the classes. */
KERNEL_CLONES static void softmax_tile(lanes *tile, int classes, float *restrict log_sum)
{
    lanes top, sum = {0};
    memcpy(top, tile[0], sizeof(top));
    for (int c = 1; c < classes; c++)
        for (int k = 0; k < LANES; k++)
            top[k] = tile[c][k] > top[k] ? tile[c][k] : top[k];
    for (int c = 0; c < classes; c++)
        for (int k = 0; k < LANES; k++) {
            float e = kernel_expf(tile[c][k] - top[k]);
            tile[c][k] = e;
            sum[k] += e;
        }
    for (int k = 0; k < LANES; k++) {
        log_sum[k] = top[k] + kernel_logf(sum[k]);
        sum[k] = 1.0f / sum[k];
    }
    for (int c = 0; c < classes; c++)
        for (int k = 0; k < LANES; k++)
            tile[c][k] *= sum[k];
}

/* tile = factor * (tile - target); a factor of 0 gives 0 whatever is there. */
KERNEL_CLONES static void gradient_tile(lanes *tile, lanes *target, int classes, float evenly,
                                        const float *factor)
{
    for (int c = 0; c < classes; c++)
        for (int k = 0; k < LANES; k++) {
            float share = target ? target[c][k] : evenly;
            float v = factor[k] * (tile[c][k] - share);
            tile[c][k] = factor[k] == 0 ? 0 : v;
        }
}

/* ---- targets -------------------------------------------------------------------------------- */

/* What the logits are compared with: labels, or else probabilities at height x width. */
struct target {
    const struct nn_ce_options *options;
    const uint8_t *labels;
    int16_t position[256]; /* of a label among the chosen, -1: masked */
    const uint8_t *probs;
    int64_t height, width, out_height, out_width; /* of probs, of the logits */
    float smoothing;
};

/* Per lane: weight (0: masked), and the score, the sum of target * logit. */
struct lane_target {
    lanes weight, score;
    int16_t position[LANES];
};

static float class_weight(const struct target *t, int c)
{
    return t->options && t->options->class_weight ? t->options->class_weight[c] : 1.0f;
}

static void hard_lanes(const struct pixels *p, const struct target *t, const struct block *b,
                       lanes *tile, struct lane_target *ret)
{
    for (int k = 0; k < LANES; k++) {
        int label = k < b->count ? t->labels[b->pixel + k] : NN_LABEL_IGNORE;
        int at = k < b->count ? t->position[label] : -1;
        ret->position[k] = (int16_t)at;
        ret->weight[k] = at >= 0 ? class_weight(t, label) : 0;
        float sum = 0;
        for (int c = 0; t->smoothing > 0 && c < p->chosen; c++)
            sum += tile[c][k];
        float evenly = t->smoothing / (float)p->chosen * sum;
        ret->score[k] = at >= 0 ? (1 - t->smoothing) * tile[at][k] + evenly : 0;
    }
}

/* Nearest neighbour by pixel centres: floor((i + 1/2) in / out). */
static int64_t nearest(int64_t i, int64_t in, int64_t out)
{
    return (2 * i + 1) * in / (2 * out);
}

/* Weight of a pixel with these probabilities: the mean of its classes' weights; 0 when masked.
 * *ret_sum: the sum of the chosen. */
static float soft_weight(const struct pixels *p, const struct target *t, const uint8_t *q,
                         int *ret_sum)
{
    bool plain = !t->options || !t->options->class_weight;
    int sum = 0;
    if (p->chosen == p->classes)
        for (int c = 0; c < p->classes; c++)
            sum += q[c];
    else
        for (int c = 0; c < p->chosen; c++)
            sum += q[p->index[c]];
    *ret_sum = sum;
    if (plain || sum == 0)
        return sum > 0;
    float weighted = 0;
    for (int c = 0; c < p->chosen; c++)
        weighted += (float)q[p->index[c]] * class_weight(t, p->index[c]);
    return weighted / (float)sum;
}

/* The lanes' probabilities: one source pixel serves several neighbours. */
static void find_probs(const struct pixels *p, const struct target *t, const struct block *b,
                       const uint8_t **q)
{
    int64_t x = b->pixel % t->out_width, y = b->pixel / t->out_width % t->out_height;
    int64_t n = b->pixel / t->out_width / t->out_height;
    const uint8_t *row = NULL;
    for (int k = 0; k < b->count; k++) {
        if (!row)
            row = t->probs +
                  (n * t->height + nearest(y, t->height, t->out_height)) * t->width * p->classes;
        q[k] = row + nearest(x, t->width, t->out_width) * p->classes;
        if (++x < t->out_width)
            continue;
        x = 0;
        row = NULL;
        n += ++y == t->out_height;
        y = y == t->out_height ? 0 : y;
    }
}

/* share = share * scale + evenly, and its product with the logits. */
KERNEL_CLONES static void finish_shares(lanes *share, lanes *tile, int classes, const float *scale,
                                        float evenly, float *restrict score)
{
    for (int k = 0; k < LANES; k++)
        score[k] = 0;
    for (int c = 0; c < classes; c++)
        for (int k = 0; k < LANES; k++) {
            float v = share[c][k] * scale[k] + evenly;
            share[c][k] = v;
            score[k] += v * tile[c][k];
        }
}

/* One pixel's bytes as floats. */
KERNEL_CLONES static void widen(const uint8_t *restrict from, float *restrict to, int count)
{
    for (int c = 0; c < count; c++)
        to[c] = (float)from[c];
}

static void gather_shares(const struct pixels *p, const struct block *b, const uint8_t *const *q,
                          lanes *share)
{
    if (b->count < LANES)
        memset(share, 0, (size_t)p->chosen * sizeof(lanes));
    if (p->chosen < p->classes || p->classes > FEW) {
        for (int k = 0; k < b->count; k++)
            for (int c = 0; c < p->chosen; c++)
                share[c][k] = (float)q[k][p->index[c]];
        return;
    }
    float row[LANES * FEW];
    for (int k = 0; k < b->count; k++)
        widen(q[k], row + k * p->classes, p->classes);
    kernel_transpose(row, p->classes, share[0], LANES, b->count, p->classes);
}

static void soft_lanes(const struct pixels *p, const struct target *t, const struct block *b,
                       lanes *tile, lanes *share, struct lane_target *ret)
{
    const uint8_t *q[LANES];
    lanes scale = {0};
    memset(ret, 0, sizeof(*ret));
    find_probs(p, t, b, q);
    gather_shares(p, b, q, share);
    for (int k = 0; k < b->count; k++) {
        int sum;
        ret->weight[k] = soft_weight(p, t, q[k], &sum);
        scale[k] = sum > 0 ? (1 - t->smoothing) / (float)sum : 0;
    }
    finish_shares(share, tile, p->chosen, scale, t->smoothing / (float)p->chosen, ret->score);
}

/* ---- cross-entropy -------------------------------------------------------------------------- */

struct cross_entropy {
    struct pixels pixels;
    struct target target;
    float inverse_temperature, factor; /* of the gradient: grad_scale / sum of the weights */
    bool add;
};

/* Sum of the weighted losses of a block; its gradient is written. */
static double block_loss(const struct cross_entropy *e, const struct block *b, lanes *tile,
                         lanes *share)
{
    const struct pixels *p = &e->pixels;
    struct lane_target t;
    lanes log_sum, factor;
    if (p->chosen == 0) { /* every pixel is masked */
        if (b->g)
            store_tile(p, b, tile, e->add);
        return 0;
    }
    load_tile(p, b, e->inverse_temperature, tile);
    if (e->target.labels)
        hard_lanes(p, &e->target, b, tile, &t);
    else
        soft_lanes(p, &e->target, b, tile, share, &t);
    softmax_tile(tile, p->chosen, log_sum);
    double loss = 0;
    for (int k = 0; k < LANES; k++) {
        if (t.weight[k] != 0)
            loss += (double)t.weight[k] * ((double)log_sum[k] - (double)t.score[k]);
        factor[k] = t.weight[k] * e->factor;
    }
    if (!b->g)
        return loss;
    gradient_tile(tile, e->target.labels ? NULL : share, p->chosen,
                  e->target.smoothing / (float)p->chosen, factor);
    for (int k = 0; e->target.labels && k < b->count; k++)
        if (t.weight[k] != 0)
            tile[t.position[k]][k] -= factor[k] * (1 - e->target.smoothing);
    store_tile(p, b, tile, e->add);
    return loss;
}

static double blocks_loss(const struct cross_entropy *e, int64_t first, int64_t last)
{
    lanes tile[NN_LOSS_CLASSES_MAX], share[NN_LOSS_CLASSES_MAX];
    double loss = 0;
    for (int64_t i = first; i < last; i++) {
        struct block b = block_at(&e->pixels, i);
        loss += block_loss(e, &b, tile, share);
    }
    return loss;
}

/* Weighted mean over all pixels; weights: the sum of their weights. */
static double mean_loss(struct cross_entropy *e, double weights, float grad_scale)
{
    double part[PARTS], loss = 0;
    int64_t count = block_count(&e->pixels), step = kernel_ceil_div(count, PARTS);
    e->factor = weights > 0 ? (float)((double)grad_scale / weights) : 0;
#pragma omp parallel for schedule(static) if (count * e->pixels.classes > 256)
    for (int i = 0; i < PARTS; i++) {
        int64_t first = kernel_min(count, i * step);
        part[i] = blocks_loss(e, first, kernel_min(count, first + step));
    }
    for (int i = 0; i < PARTS; i++)
        loss += part[i];
    return weights > 0 ? loss / weights : 0;
}

double nn_loss_hard(const struct nn_view *logits, const uint8_t *labels,
                    const struct nn_ce_options *options, float grad_scale,
                    const struct nn_view *grad)
{
    struct cross_entropy e = {.inverse_temperature = 1};
    pixels_init(&e.pixels, logits, options ? options->class_chosen : NULL, grad);
    struct target *t = &e.target;
    t->options = options;
    t->labels = labels;
    t->smoothing = options ? options->label_smoothing : 0;
    memset(t->position, -1, sizeof(t->position));
    for (int c = 0; c < e.pixels.chosen; c++)
        if (e.pixels.index[c] < NN_LABEL_IGNORE)
            t->position[e.pixels.index[c]] = (int16_t)c;
    int64_t count[256] = {0};
    for (int64_t i = 0; i < e.pixels.walk.count; i++)
        count[labels[i]]++;
    double weights = 0;
    for (int c = 0; c < 256; c++)
        if (t->position[c] >= 0)
            weights += (double)count[c] * (double)class_weight(t, c);
    return mean_loss(&e, weights, grad_scale);
}

/* How many of `out` pixels read pixel j of `in`. */
static int64_t readers(int64_t j, int64_t in, int64_t out)
{
    int64_t first = j == 0 ? 0 : kernel_ceil_div(2 * j * out - in, 2 * in);
    return kernel_min(out, kernel_ceil_div(2 * (j + 1) * out - in, 2 * in)) - first;
}

static double soft_weights(const struct pixels *p, const struct target *t, int64_t images)
{
    double sum = 0;
    for (int64_t n = 0; n < images; n++)
        for (int64_t y = 0; y < t->height; y++)
            for (int64_t x = 0; x < t->width; x++) {
                int chosen;
                const uint8_t *q = t->probs + ((n * t->height + y) * t->width + x) * p->classes;
                sum += (double)soft_weight(p, t, q, &chosen) *
                       (double)(readers(y, t->height, t->out_height) *
                                readers(x, t->width, t->out_width));
            }
    return sum;
}

double nn_loss_soft(const struct nn_view *logits, const uint8_t *probs, int height, int width,
                    const struct nn_ce_options *options, float temperature, float grad_scale,
                    bool add, const struct nn_view *grad)
{
    struct cross_entropy e = {.inverse_temperature = 1 / temperature, .add = add};
    pixels_init(&e.pixels, logits, options ? options->class_chosen : NULL, grad);
    assert(temperature > 0 && (logits->rank == 2 || logits->rank == 4));
    e.target = (struct target){.options = options,
                               .probs = probs,
                               .height = height,
                               .width = width,
                               .out_height = logits->rank == 4 ? logits->dim[2] : 1,
                               .out_width = logits->rank == 4 ? logits->dim[3] : 1,
                               .smoothing = options ? options->label_smoothing : 0};
    double weights = soft_weights(&e.pixels, &e.target, logits->dim[0]);
    return mean_loss(&e, weights, grad_scale);
}

/* ---- argmax --------------------------------------------------------------------------------- */

KERNEL_CLONES static void argmax_tile(lanes *tile, int classes, int32_t *restrict best)
{
    lanes top;
    memcpy(top, tile[0], sizeof(top));
    for (int k = 0; k < LANES; k++)
        best[k] = 0;
    for (int c = 1; c < classes; c++)
        for (int k = 0; k < LANES; k++) {
            best[k] = tile[c][k] > top[k] ? c : best[k];
            top[k] = tile[c][k] > top[k] ? tile[c][k] : top[k];
        }
}

static void argmax_blocks(const struct pixels *p, int64_t first, int64_t last, uint8_t *labels)
{
    lanes tile[NN_LOSS_CLASSES_MAX];
    int32_t best[LANES];
    for (int64_t i = first; i < last; i++) {
        struct block b = block_at(p, i);
        load_tile(p, &b, 1, tile);
        argmax_tile(tile, p->chosen, best);
        for (int k = 0; k < b.count; k++)
            labels[b.pixel + k] = (uint8_t)p->index[best[k]];
    }
}

void nn_argmax(const struct nn_view *logits, const uint8_t *class_chosen, uint8_t *labels)
{
    struct pixels p;
    assert(logits->dim[1] <= NN_LABEL_IGNORE);
    pixels_init(&p, logits, class_chosen, NULL);
    if (p.chosen == 0) {
        memset(labels, NN_LABEL_IGNORE, (size_t)p.walk.count);
        return;
    }
    int64_t count = block_count(&p), step = kernel_ceil_div(count, PARTS);
#pragma omp parallel for schedule(static) if (count * p.chosen > 1024)
    for (int i = 0; i < PARTS; i++) {
        int64_t first = kernel_min(count, i * step);
        argmax_blocks(&p, first, kernel_min(count, first + step), labels);
    }
}
