#include "task/detect_head.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"

#define CANDIDATES_MAX 1024
#define LOG_SIDE_MAX 8 /* exp of more is no side */

static const char *const head_names[] = {
    [DETECT_GRID] = "grid", [DETECT_YOLOX] = "yolox", [DETECT_FASTESTDET] = "fastestdet"};

/* ---- reading ---- */

static bool add_level(struct detect_head *h, int64_t width, int64_t height)
{
    if (width < 1 || height < 1 || width * height > DETECT_CELLS_MAX - h->cell_count)
        return false;
    h->levels[h->level_count++] = (struct detect_level){(int)width, (int)height, h->cell_count};
    h->cell_count += (int)(width * height);
    return true;
}

static enum status read_grids(const struct nn_tensor *in, const struct nn_tensor *out,
                              struct detect_head *h, int *ret_channels, struct error *err)
{
    bool ok;
    if (h->kind == DETECT_YOLOX) {
        ok = out->rank == 3;
        for (int stride = 8; ok && stride <= 32; stride *= 2)
            ok = in->dim[2] % stride == 0 && in->dim[3] % stride == 0 &&
                 add_level(h, in->dim[3] / stride, in->dim[2] / stride);
        ok = ok && out->dim[1] == h->cell_count;
    } else
        ok = out->rank == 4 && add_level(h, out->dim[3], out->dim[2]);
    int64_t channels = !ok ? 0 : h->kind == DETECT_YOLOX ? out->dim[2] : out->dim[1];
    if (channels < 6 || channels > 5 + DETECT_CHANNELS_MAX)
        return error_set(err, ST_UNSUPPORTED,
                         "the output does not fit the head %s: it has [N,5+C,h,w], or [N,A,5+C] "
                         "with the cells of strides 8, 16 and 32 for yolox, at most %d cells",
                         head_names[h->kind], DETECT_CELLS_MAX);
    *ret_channels = (int)channels - 5;
    return ST_OK;
}

static enum status read_channels(const struct nn_model *m, int channels, struct detect_head *h,
                                 struct error *err)
{
    const char *p = nn_model_metadata(m, "attune.detect.channels");
    if (!p && h->class_count && h->class_count != channels)
        return error_set(err, ST_UNSUPPORTED,
                         "metadata attune.classes names %d classes, the output has %d: "
                         "attune.detect.channels says which they are",
                         h->class_count, channels);
    if (!p && !h->class_count)
        h->class_count = channels;
    if (h->class_count < 1 || h->class_count > DETECT_CLASSES_MAX)
        return error_set(err, ST_UNSUPPORTED,
                         "a detector has 1 to %d classes, this one %d: attune.classes and "
                         "attune.detect.channels choose among them",
                         DETECT_CLASSES_MAX, h->class_count);
    for (int k = 0; k < h->class_count; k++) {
        char *end = NULL;
        long v = p ? strtol(p, &end, 10) : k;
        bool last = k == h->class_count - 1;
        if (v < 0 || v >= channels || (p && (end == p || *end != (last ? '\0' : ','))))
            return error_set(err, ST_UNSUPPORTED,
                             "metadata attune.detect.channels must be %d numbers below %d",
                             h->class_count, channels);
        h->channel[k] = (uint8_t)v;
        p = p ? end + 1 : NULL;
    }
    return ST_OK;
}

static enum status read_share(const struct nn_model *m, const char *key, float *value,
                              struct error *err)
{
    const char *text = nn_model_metadata(m, key);
    char rest;
    float v;
    if (!text)
        return ST_OK;
    if (sscanf(text, " %f %c", &v, &rest) != 1 || !(v > 0 && v <= 1))
        return error_set(err, ST_UNSUPPORTED, "metadata %s must be a number above 0, at most 1",
                         key);
    *value = v;
    return ST_OK;
}

static enum status read_thresholds(const struct nn_model *m, struct detect_head *h,
                                   struct error *err)
{
    h->threshold = 0.35f;
    h->unsure = 0.1f;
    h->nms_iou = 0.5f;
    enum status st = read_share(m, "attune.detect.threshold", &h->threshold, err);
    if (st == ST_OK)
        st = read_share(m, "attune.detect.unsure", &h->unsure, err);
    if (st == ST_OK)
        st = read_share(m, "attune.detect.nms", &h->nms_iou, err);
    if (st == ST_OK && h->unsure > h->threshold)
        h->unsure = h->threshold;
    return st;
}

enum status detect_head_read(const struct nn_model *m, int class_count, struct detect_head *ret,
                             struct error *err)
{
    const struct nn_graph *g = nn_model_graph(m);
    const struct nn_tensor *in = &g->tensors[g->inputs[0]], *out = &g->tensors[g->outputs[0]];
    const char *name = nn_model_metadata(m, "attune.detect.head");
    struct detect_head h = {.class_count = class_count};
    int channels = 0;
    h.kind = (enum detect_head_kind)names_find(head_names, NAMES_COUNT(head_names), name, 0);
    if (!h.kind)
        return error_set(err, ST_UNSUPPORTED,
                         "metadata attune.detect.head must be grid, yolox or fastestdet, it is "
                         "'%.40s'",
                         name ? name : "");
    enum status st = read_grids(in, out, &h, &channels, err);
    if (st == ST_OK)
        st = read_channels(m, channels, &h, err);
    if (st == ST_OK)
        st = read_thresholds(m, &h, err);
    if (st == ST_OK)
        *ret = h;
    return st;
}

/* ---- a cell ---- */

struct detect_cell detect_cell_at(const struct detect_head *h, const struct nn_view *output,
                                  int image, int index)
{
    const struct detect_level *l = &h->levels[h->level_count - 1];
    while (l->first > index)
        l--;
    int x = (index - l->first) % l->width, y = (index - l->first) / l->width;
    const int64_t *s = output->stride;
    bool list = h->kind == DETECT_YOLOX;
    int64_t at = image * s[0] + (list ? index * s[1] : y * s[2] + x * s[3]);
    bool first = h->kind == DETECT_FASTESTDET;
    return (struct detect_cell){.at = output->data + at,
                                .stride = list ? s[2] : s[1],
                                .objectness = first ? 0 : 4,
                                .box = first ? 1 : 0,
                                .x = (float)x,
                                .y = (float)y,
                                .width = (float)l->width,
                                .height = (float)l->height};
}

static float sigmoid(float v)
{
    return 1 / (1 + expf(-v));
}

static float probability(const struct detect_head *h, const struct detect_cell *c, int index)
{
    float v = c->at[index * c->stride];
    return h->kind == DETECT_GRID ? sigmoid(v) : v;
}

float detect_cell_objectness(const struct detect_head *h, const struct detect_cell *c)
{
    return probability(h, c, c->objectness);
}

float detect_cell_class(const struct detect_head *h, const struct detect_cell *c, int class_id)
{
    return probability(h, c, 5 + h->channel[class_id]);
}

void detect_cell_box(const struct detect_head *h, const struct detect_cell *c,
                     float centre_sides[4], float derivative[4])
{
    const float cell[4] = {c->x, c->y, 0, 0};
    const float size[4] = {c->width, c->height, c->width, c->height};
    for (int i = 0; i < 4; i++) {
        float v = c->at[(c->box + i) * c->stride], slope;
        if (h->kind == DETECT_FASTESTDET) {
            float t = i < 2 ? tanhf(v) : sigmoid(v);
            centre_sides[i] = i < 2 ? (cell[i] + t) / size[i] : t;
            slope = i < 2 ? (1 - t * t) / size[i] : t * (1 - t);
        } else {
            float t = i < 2 ? cell[i] + v : expf(fminf(v, LOG_SIDE_MAX));
            centre_sides[i] = t / size[i];
            slope = i < 2 ? 1 / size[i] : v < LOG_SIDE_MAX ? t / size[i] : 0;
        }
        if (derivative)
            derivative[i] = slope;
    }
}

/* ---- a picture ---- */

struct candidate {
    float score;
    int cell, class_id;
};

/* The best so far; a heap with the worst on top once it is full. */
struct candidates {
    struct candidate at[CANDIDATES_MAX];
    int count;
};

/* Of equal scores the earlier cell is better. */
static bool is_worse(const struct candidate *a, const struct candidate *b)
{
    return a->score < b->score || (a->score == b->score && a->cell > b->cell);
}

static void sink(struct candidates *c, int i)
{
    for (;;) {
        int worst = i;
        for (int k = 2 * i + 1; k <= 2 * i + 2; k++)
            if (k < c->count && is_worse(&c->at[k], &c->at[worst]))
                worst = k;
        if (worst == i)
            return;
        struct candidate swapped = c->at[i];
        c->at[i] = c->at[worst];
        c->at[worst] = swapped;
        i = worst;
    }
}

static void keep(struct candidates *c, struct candidate new)
{
    if (c->count < CANDIDATES_MAX) {
        c->at[c->count++] = new;
        for (int i = c->count == CANDIDATES_MAX ? CANDIDATES_MAX / 2 : 0; i-- > 0;)
            sink(c, i);
    } else if (is_worse(&c->at[0], &new)) {
        c->at[0] = new;
        sink(c, 0);
    }
}

static float score_of(const struct detect_head *h, float objectness, float of_class)
{
    return h->kind == DETECT_FASTESTDET ? powf(objectness, 0.6f) * powf(of_class, 0.4f)
                                        : objectness * of_class;
}

static void collect(const struct detect_head *h, const struct nn_view *output, int image,
                    const uint8_t *class_chosen, struct candidates *ret)
{
    ret->count = 0;
    for (int i = 0; i < h->cell_count; i++) {
        struct detect_cell cell = detect_cell_at(h, output, image, i);
        float objectness = detect_cell_objectness(h, &cell), best = -1;
        if (score_of(h, objectness, 1) < h->unsure)
            continue;
        struct candidate c = {.cell = i};
        for (int k = 0; k < h->class_count; k++) {
            if (class_chosen && !class_chosen[k])
                continue;
            float p = detect_cell_class(h, &cell, k);
            if (p > best) {
                best = p;
                c.class_id = k;
            }
        }
        c.score = best > 0 ? score_of(h, objectness, best) : 0;
        if (c.score >= h->unsure)
            keep(ret, c);
    }
}

static int by_score(const void *a, const void *b)
{
    return is_worse(a, b) ? 1 : -1;
}

static struct detection detection_of(const struct detect_head *h, const struct nn_view *output,
                                     int image, const struct candidate *c)
{
    struct detect_cell cell = detect_cell_at(h, output, image, c->cell);
    float v[4];
    detect_cell_box(h, &cell, v, NULL);
    return (struct detection){{v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2,
                               c->class_id, fminf(c->score, 1)},
                              c->score < h->threshold};
}

static bool is_weaker(const struct detection *d, const struct detection *kept, int count,
                      float nms_iou)
{
    for (int i = 0; i < count; i++)
        if (kept[i].box.class_id == d->box.class_id && detect_iou(&kept[i].box, &d->box) > nms_iou)
            return true;
    return false;
}

void detect_decode(const struct detect_head *h, const struct nn_view *output, int image,
                   const uint8_t *class_chosen, uint8_t *table)
{
    struct candidates c;
    struct detection kept[DETECT_BOXES_MAX];
    int count = 0;
    collect(h, output, image, class_chosen, &c);
    qsort(c.at, (size_t)c.count, sizeof *c.at, by_score);
    for (int i = 0; i < c.count && count < DETECT_BOXES_MAX; i++) {
        struct detection d = detection_of(h, output, image, &c.at[i]);
        if (!is_weaker(&d, kept, count, h->nms_iou))
            kept[count++] = d;
    }
    detect_write(kept, count, table);
}
