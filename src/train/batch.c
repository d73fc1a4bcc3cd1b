/* Minibatches: frames drawn from the buffer, mirrored and zoomed where the options say so, labels
 * and soft labels by the same transformation. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "train/learner_internal.h"

/* Where a sample looks: a window of the frame as fractions of its sides, maybe mirrored. */
struct window {
    float x, y, side;
    bool mirrored;
};

static struct window draw_window(const struct learner_options *o, struct rng *rng)
{
    struct window w = {.side = 1};
    if (o->flip)
        w.mirrored = rng_below(rng, 2);
    if (o->crop_min < 1) {
        w.side = o->crop_min + (1 - o->crop_min) * rng_float(rng);
        w.x = (1 - w.side) * rng_float(rng);
        w.y = (1 - w.side) * rng_float(rng);
    }
    return w;
}

static bool is_whole(const struct window *w)
{
    return w->side == 1 && !w->mirrored;
}

/* Source coordinate of pixel centre i of n. */
static float window_at(float begin, float side, int i, int n, bool mirrored)
{
    float at = ((float)i + 0.5f) / (float)n;
    return (begin + side * (mirrored ? 1 - at : at)) * (float)n;
}

static int nearest(float at, int n)
{
    int i = (int)at;
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Elements of `bytes` bytes on a width x height grid, nearest neighbour. */
static void window_nearest(const struct window *w, const uint8_t *from, int width, int height,
                           size_t bytes, uint8_t *to)
{
    for (int y = 0; y < height; y++) {
        int from_y = nearest(window_at(w->y, w->side, y, height, false), height);
        const uint8_t *row = from + (size_t)from_y * (size_t)width * bytes;
        for (int x = 0; x < width; x++, to += bytes) {
            int from_x = nearest(window_at(w->x, w->side, x, width, w->mirrored), width);
            memcpy(to, row + (size_t)from_x * bytes, bytes);
        }
    }
}

/* Two neighbours on an axis and the weight of the second, in 1/256. */
static void neighbours(float at, int n, int *low, int *high, int *weight)
{
    float shifted = at - 0.5f < 0 ? 0 : at - 0.5f;
    *low = nearest(shifted, n);
    *high = *low + 1 < n ? *low + 1 : *low;
    *weight = (int)((shifted - (float)*low) * 256);
}

static void window_bilinear(const struct window *w, const struct frame *from, uint8_t *to)
{
    size_t stride = (size_t)from->width * 3;
    for (int y = 0; y < from->height; y++) {
        int y0, y1, wy;
        neighbours(window_at(w->y, w->side, y, from->height, false), from->height, &y0, &y1, &wy);
        const uint8_t *top = from->pixels + (size_t)y0 * stride;
        const uint8_t *bottom = from->pixels + (size_t)y1 * stride;
        for (int x = 0; x < from->width; x++) {
            int x0, x1, wx;
            neighbours(window_at(w->x, w->side, x, from->width, w->mirrored), from->width, &x0, &x1,
                       &wx);
            for (int c = 0; c < 3; c++) {
                int a = top[3 * x0 + c] * (256 - wx) + top[3 * x1 + c] * wx;
                int b = bottom[3 * x0 + c] * (256 - wx) + bottom[3 * x1 + c] * wx;
                *to++ = (uint8_t)((a * (256 - wy) + b * wy + 32768) >> 16);
            }
        }
    }
}

static void put_targets(struct learner *l, const struct buffer_entry *e, const struct window *w,
                        int index)
{
    const struct learner_options *o = &l->options;
    uint8_t *labels = l->batch.labels + (size_t)index * task_cells(&l->spec);
    if (l->spec.task == TASK_DETECT) {
        const struct detect_window seen = {w->x, w->y, w->side, w->mirrored};
        detect_move(&seen, e->labels.classes, labels);
        return;
    }
    window_nearest(w, e->labels.classes, e->labels.width, e->labels.height, 1, labels);
    if (!l->batch.probs)
        return;
    size_t classes = (size_t)l->spec.class_count;
    size_t bytes = (size_t)o->soft_width * (size_t)o->soft_height * classes;
    uint8_t *probs = l->batch.probs + (size_t)index * bytes;
    if (e->soft.probs)
        window_nearest(w, e->soft.probs, o->soft_width, o->soft_height, classes, probs);
    else
        memset(probs, 0, bytes); /* masked by the loss */
    l->batch.any_soft |= e->soft.probs != NULL;
}

/* Tries after which a frame is taken although it is not in the part. */
#define DRAWS_MAX 64

/* A frame of the part of the data that the configuration uses. */
static int draw_frame(struct learner *l)
{
    int index = 0;
    for (int i = 0; i < DRAWS_MAX; i++) {
        index = buffer_sample(l->buffer, l->phase.order, l->phase.trainable_frames,
                              l->options.half_life_us, &l->rng);
        uint64_t h = rng_hash(buffer_at(l->buffer, index)->frame.t_us, l->phase.draw, 0, 0);
        if (l->data >= 1 || (double)(h >> 11) < l->data * 0x1p53)
            break;
    }
    return index;
}

void batch_draw(struct learner *l)
{
    struct nn_view input = nn_session_input(l->train, 0);
    l->batch.any_soft = false;
    for (int i = 0; i < l->options.batch; i++) {
        const struct buffer_entry *e = buffer_at(l->buffer, draw_frame(l));
        struct window w = draw_window(&l->options, &l->rng);
        struct frame seen = e->frame;
        if (!is_whole(&w)) {
            window_bilinear(&w, &e->frame, l->batch.pixels);
            seen.pixels = l->batch.pixels;
        }
        task_input(&l->spec, &seen, &input, i);
        put_targets(l, e, &w, i);
    }
}

static void count_classes(const struct learner *l, uint64_t count[256])
{
    for (int i = 0; i < l->phase.trainable_frames; i++) {
        const struct label_map *map = &buffer_at(l->buffer, l->phase.order[i])->labels;
        size_t pixels = (size_t)map->width * (size_t)map->height;
        for (size_t p = 0; p < pixels; p++)
            count[map->classes[p]]++;
    }
}

/* 1 / sqrt(frequency), scaled so that the mean over labelled pixels is 1. */
void batch_weigh_classes(struct learner *l)
{
    uint64_t count[256] = {0};
    for (int c = 0; c < CLASSES_MAX; c++)
        l->batch.class_weight[c] = 1;
    if (!l->options.class_balance)
        return;
    count_classes(l, count);
    double pixels = 0, sum = 0;
    for (int c = 0; c < l->spec.class_count; c++) {
        pixels += (double)count[c];
        sum += sqrt((double)count[c]); /* count * 1 / sqrt(count) */
    }
    for (int c = 0; c < l->spec.class_count; c++)
        if (count[c] > 0)
            l->batch.class_weight[c] = (float)(pixels / sum / sqrt((double)count[c]));
}
