/* A ring of slots whose pixels are three slabs taken at open. The oldest frame is at `first`. */
#include "train/buffer.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "task/task.h"

struct buffer {
    struct buffer_options options;
    struct buffer_entry *entries; /* [capacity] */
    uint8_t *pixels, *classes, *probs;
    size_t frame_bytes, label_bytes, soft_bytes;
    int first, count;
    uint64_t next_seq;
};

static bool side_ok(int side)
{
    return side >= 1 && side <= FRAME_SIDE_MAX;
}

static enum status check_options(const struct buffer_options *o, struct error *err)
{
    if (!side_ok(o->width) || !side_ok(o->height) || !side_ok(o->label_width) ||
        !side_ok(o->label_height))
        return error_set(err, ST_INVALID, "frames and labels have sides of 1 to %d pixels",
                         FRAME_SIDE_MAX);
    if (o->capacity < 1 || o->capacity > BUFFER_FRAMES_MAX)
        return error_set(err, ST_INVALID, "a buffer of %d frames is outside 1..%d", o->capacity,
                         BUFFER_FRAMES_MAX);
    bool soft = o->soft_width || o->soft_height;
    if (soft && (!side_ok(o->soft_width) || !side_ok(o->soft_height) || o->class_count < 1 ||
                 o->class_count > CLASSES_MAX))
        return error_set(err, ST_INVALID, "soft labels of %d x %d with %d classes are not possible",
                         o->soft_width, o->soft_height, o->class_count);
    return ST_OK;
}

static size_t frame_bytes(const struct buffer_options *o)
{
    return (size_t)o->width * (size_t)o->height * 3;
}

static size_t label_bytes(const struct buffer_options *o)
{
    return (size_t)o->label_width * (size_t)o->label_height;
}

static size_t soft_bytes(const struct buffer_options *o)
{
    return (size_t)o->soft_width * (size_t)o->soft_height * (size_t)o->class_count;
}

size_t buffer_bytes(const struct buffer_options *o)
{
    /* With checked options no product overflows: at most 2^16 * 2^32.1 bytes. */
    return (size_t)o->capacity *
           (frame_bytes(o) + label_bytes(o) + soft_bytes(o) + sizeof(struct buffer_entry));
}

static void point_entries(struct buffer *b)
{
    for (int i = 0; i < b->options.capacity; i++) {
        struct buffer_entry *e = &b->entries[i];
        e->frame.width = b->options.width;
        e->frame.height = b->options.height;
        e->frame.pixels = b->pixels + (size_t)i * b->frame_bytes;
        e->labels.width = b->options.label_width;
        e->labels.height = b->options.label_height;
        e->labels.classes = b->classes + (size_t)i * b->label_bytes;
    }
}

enum status buffer_open(const struct buffer_options *o, struct buffer **ret, struct error *err)
{
    *ret = NULL;
    enum status st = check_options(o, err);
    if (st != ST_OK)
        return st;
    struct buffer *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(err, ST_NOMEM, "no memory for a frame buffer");
    b->options = *o;
    b->frame_bytes = frame_bytes(o);
    b->label_bytes = label_bytes(o);
    b->soft_bytes = soft_bytes(o);
    size_t n = (size_t)o->capacity;
    b->entries = calloc(n, sizeof *b->entries);
    b->pixels = malloc(n * b->frame_bytes);
    b->classes = malloc(n * b->label_bytes);
    b->probs = b->soft_bytes ? malloc(n * b->soft_bytes) : NULL;
    if (!b->entries || !b->pixels || !b->classes || (b->soft_bytes && !b->probs)) {
        buffer_close(&b);
        return error_set(err, ST_NOMEM, "no memory for %zu bytes of frames: lower the horizon",
                         buffer_bytes(o));
    }
    point_entries(b);
    *ret = b;
    return ST_OK;
}

void buffer_close(struct buffer **b)
{
    if (!b || !*b)
        return;
    free((*b)->entries);
    free((*b)->pixels);
    free((*b)->classes);
    free((*b)->probs);
    free(*b);
    *b = NULL;
}

static struct buffer_entry *slot(const struct buffer *b, int i)
{
    return &b->entries[(b->first + i) % b->options.capacity];
}

static void drop_oldest(struct buffer *b)
{
    b->first = (b->first + 1) % b->options.capacity;
    b->count--;
}

uint64_t buffer_newest_us(const struct buffer *b, uint64_t t_us)
{
    for (int i = 0; i < b->count; i++)
        t_us = slot(b, i)->frame.t_us > t_us ? slot(b, i)->frame.t_us : t_us;
    return t_us;
}

/* Nearest neighbour at pixel centres, as task_resize_labels. */
static void copy_soft(const struct soft_map *from, struct soft_map *to)
{
    size_t classes = (size_t)to->class_count;
    uint8_t *out = to->probs;
    for (int y = 0; y < to->height; y++) {
        int64_t from_y = ((int64_t)y * 2 + 1) * from->height / (2 * (int64_t)to->height);
        for (int x = 0; x < to->width; x++, out += classes) {
            int64_t from_x = ((int64_t)x * 2 + 1) * from->width / (2 * (int64_t)to->width);
            memcpy(out, from->probs + (size_t)(from_y * from->width + from_x) * classes, classes);
        }
    }
}

static enum status check_frame(const struct buffer *b, const struct frame *frame,
                               const struct label_map *labels, const struct soft_map *soft,
                               struct error *err)
{
    const struct buffer_options *o = &b->options;
    if (frame->width != o->width || frame->height != o->height)
        return error_set(err, ST_INVALID, "a frame of %d x %d in a buffer of %d x %d", frame->width,
                         frame->height, o->width, o->height);
    if (!side_ok(labels->width) || !side_ok(labels->height))
        return error_set(err, ST_INVALID, "labels of %d x %d are not possible", labels->width,
                         labels->height);
    if (soft && b->probs &&
        (!side_ok(soft->width) || !side_ok(soft->height) || soft->class_count != o->class_count))
        return error_set(err, ST_INVALID, "soft labels of %d x %d x %d in a buffer of %d classes",
                         soft->width, soft->height, soft->class_count, o->class_count);
    if (o->horizon_us && buffer_newest_us(b, frame->t_us) - frame->t_us > o->horizon_us)
        return error_set(err, ST_INVALID, "the frame is older than the horizon");
    return ST_OK;
}

enum status buffer_add(struct buffer *b, const struct frame *frame, const struct label_map *labels,
                       const struct soft_map *soft, int source, struct error *err)
{
    enum status st = check_frame(b, frame, labels, soft, err);
    if (st != ST_OK)
        return st;
    if (b->count == b->options.capacity)
        drop_oldest(b);
    struct buffer_entry *e = slot(b, b->count++);
    memcpy(e->frame.pixels, frame->pixels, b->frame_bytes);
    e->frame.t_us = frame->t_us;
    task_resize_labels(labels, &e->labels);
    e->soft = (struct soft_map){0};
    if (soft && b->probs) {
        e->soft =
            (struct soft_map){b->options.soft_width, b->options.soft_height, b->options.class_count,
                              b->probs + (size_t)(e - b->entries) * b->soft_bytes};
        copy_soft(soft, &e->soft);
    }
    e->source = source;
    e->seq = b->next_seq++;
    uint64_t newest = buffer_newest_us(b, 0), horizon = b->options.horizon_us;
    while (horizon && newest - slot(b, 0)->frame.t_us > horizon)
        drop_oldest(b);
    return ST_OK;
}

int buffer_count(const struct buffer *b)
{
    return b->count;
}

const struct buffer_entry *buffer_at(const struct buffer *b, int i)
{
    assert(i >= 0 && i < b->count);
    return slot(b, i);
}

uint64_t buffer_next_seq(const struct buffer *b)
{
    return b->next_seq;
}

/* Rejection: a uniform draw is kept with probability 2^(-age / half life); at the 64th try it is
 * kept anyway, so that a half life far below the frame distance ends too. */
int buffer_sample(const struct buffer *b, const int *among, int count, uint64_t half_life_us,
                  struct rng *rng)
{
    assert(count >= 1 && count <= b->count);
    int i = among[rng_below(rng, (uint32_t)count)];
    if (half_life_us == 0)
        return i;
    uint64_t newest = slot(b, among[count - 1])->frame.t_us;
    for (int tries = 0; tries < 64; tries++) {
        uint64_t t = slot(b, i)->frame.t_us, age = newest > t ? newest - t : 0;
        if (rng_float(rng) < exp2f(-(float)age / (float)half_life_us))
            return i;
        i = among[rng_below(rng, (uint32_t)count)];
    }
    return among[count - 1];
}

void buffer_forget(struct buffer *b)
{
    b->first = b->count = 0;
}
