#include "task/detect.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "task/detect_match.h"

#define FRACTION_ONE 65535.0f
#define SEEN_MIN (1.0f / 3)
#define EXCUSED_PART 0.5f

static float get_fraction(const uint8_t *at)
{
    return (float)(at[0] | at[1] << 8) / FRACTION_ONE;
}

static void put_fraction(uint8_t *at, float v)
{
    unsigned n = (unsigned)(v * FRACTION_ONE + 0.5f);
    at[0] = (uint8_t)n;
    at[1] = (uint8_t)(n >> 8);
}

/* False: not a box. */
static bool get_row(const uint8_t *row, struct detection *ret)
{
    if (row[8] == LABEL_IGNORE)
        return false;
    *ret = (struct detection){{get_fraction(row), get_fraction(row + 2), get_fraction(row + 4),
                               get_fraction(row + 6), row[8] & (DETECT_UNSURE - 1),
                               (float)row[9] / 255},
                              row[8] & DETECT_UNSURE};
    return ret->box.x0 < ret->box.x1 && ret->box.y0 < ret->box.y1;
}

int detect_read(const uint8_t *table, struct detection ret[DETECT_BOXES_MAX])
{
    int count = 0;
    for (int i = 0; i < DETECT_BOXES_MAX; i++)
        count += get_row(table + (size_t)i * DETECT_ROW_BYTES, &ret[count]);
    return count;
}

static float within(float v)
{
    return fminf(fmaxf(v, 0), 1);
}

static bool put_row(const struct detection *d, uint8_t *row)
{
    const struct box *b = &d->box;
    uint8_t made[DETECT_ROW_BYTES];
    struct detection back;
    assert(b->class_id >= 0 && b->class_id < DETECT_CLASSES_MAX);
    put_fraction(made, within(b->x0));
    put_fraction(made + 2, within(b->y0));
    put_fraction(made + 4, within(b->x1));
    put_fraction(made + 6, within(b->y1));
    made[8] = (uint8_t)(b->class_id | (d->unsure ? DETECT_UNSURE : 0));
    made[9] = (uint8_t)(within(b->score) * 255 + 0.5f);
    if (!get_row(made, &back))
        return false;
    memcpy(row, made, sizeof made);
    return true;
}

void detect_write(const struct detection *d, int count, uint8_t *table)
{
    int used = 0;
    memset(table, LABEL_IGNORE, DETECT_TABLE_BYTES);
    for (int i = 0; i < count && used < DETECT_BOXES_MAX; i++)
        used += put_row(&d[i], table + (size_t)used * DETECT_ROW_BYTES);
}

static bool is_unused(const uint8_t *row)
{
    for (int i = 0; i < DETECT_ROW_BYTES; i++)
        if (row[i] != LABEL_IGNORE)
            return false;
    return true;
}

enum status detect_check(const uint8_t *table, int class_count, struct error *err)
{
    bool ended = false;
    for (int i = 0; i < DETECT_BOXES_MAX; i++) {
        const uint8_t *row = table + (size_t)i * DETECT_ROW_BYTES;
        struct detection d;
        if (is_unused(row)) {
            ended = true;
            continue;
        }
        if (ended)
            return error_set(err, ST_FORMAT, "box %d comes after the last one", i);
        if (!get_row(row, &d))
            return error_set(err, ST_FORMAT, "box %d has no area", i);
        if (d.box.class_id >= class_count)
            return error_set(err, ST_FORMAT, "box %d has class %d of %d", i, d.box.class_id,
                             class_count);
    }
    return ST_OK;
}

void detect_from_boxes(const struct box *boxes, size_t count, int width, int height,
                       const uint8_t *class_of, float side_min, uint8_t *table)
{
    struct detection d[DETECT_BOXES_MAX];
    int n = 0;
    for (size_t i = 0; i < count && n < DETECT_BOXES_MAX; i++) {
        const struct box *b = &boxes[i];
        uint8_t class_id = class_of[b->class_id];
        if (class_id == LABEL_IGNORE)
            continue;
        d[n++] =
            (struct detection){{b->x0 / (float)width, b->y0 / (float)height, b->x1 / (float)width,
                                b->y1 / (float)height, class_id, b->score},
                               b->x1 - b->x0 < side_min || b->y1 - b->y0 < side_min};
    }
    detect_write(d, n, table);
}

static float area(const struct box *b)
{
    return (b->x1 - b->x0) * (b->y1 - b->y0);
}

static float common_area(const struct box *a, const struct box *b)
{
    float w = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0);
    float h = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
    return w > 0 && h > 0 ? w * h : 0;
}

float detect_iou(const struct box *a, const struct box *b)
{
    float common = common_area(a, b), either = area(a) + area(b) - common;
    return either > 0 ? common / either : 0;
}

void detect_side_read(struct detect_side *s, const uint8_t *table, int class_count)
{
    s->count = detect_read(table, s->at);
    for (int i = 0; i < s->count; i++)
        s->taken[i] = s->at[i].box.class_id >= class_count;
}

void detect_side_order(struct detect_side *s)
{
    for (int i = 1; i < s->count; i++) {
        struct detection d = s->at[i];
        bool taken = s->taken[i];
        int k = i;
        for (; k > 0 && s->at[k - 1].box.score < d.box.score; k--) {
            s->at[k] = s->at[k - 1];
            s->taken[k] = s->taken[k - 1];
        }
        s->at[k] = d;
        s->taken[k] = taken;
    }
}

int detect_best_truth(const struct detect_side *truth, const struct box *answer, bool any_class)
{
    int best = -1;
    float most = DETECT_SAME_IOU;
    for (int i = 0; i < truth->count; i++) {
        const struct detection *t = &truth->at[i];
        if (t->unsure || truth->taken[i] || (!any_class && t->box.class_id != answer->class_id))
            continue;
        float iou = detect_iou(&t->box, answer);
        if (iou >= most && (best < 0 || iou > most)) {
            most = iou;
            best = i;
        }
    }
    return best;
}

static void match(struct confusion *c, struct detect_side *truth, struct detect_side *answer,
                  bool any_class)
{
    for (int i = 0; i < answer->count; i++) {
        const struct detection *a = &answer->at[i];
        int t = a->unsure || answer->taken[i] ? -1 : detect_best_truth(truth, &a->box, any_class);
        if (t < 0)
            continue;
        truth->taken[t] = answer->taken[i] = true;
        c->count[truth->at[t].box.class_id][a->box.class_id]++;
    }
}

bool detect_is_excused(const struct detect_side *truth, const struct box *answer)
{
    for (int i = 0; i < truth->count; i++) {
        const struct box *t = &truth->at[i].box;
        if (truth->at[i].unsure && (detect_iou(t, answer) >= DETECT_SAME_IOU ||
                                    common_area(t, answer) >= EXCUSED_PART * area(answer)))
            return true;
    }
    return false;
}

void detect_count(struct confusion *c, const uint8_t *truth_table, const uint8_t *answer_table)
{
    struct detect_side truth, answer;
    int nothing = c->class_count - 1;
    detect_side_read(&truth, truth_table, nothing);
    detect_side_read(&answer, answer_table, nothing);
    detect_side_order(&answer);
    match(c, &truth, &answer, false);
    match(c, &truth, &answer, true);
    for (int i = 0; i < answer.count; i++)
        if (!answer.at[i].unsure && !answer.taken[i] &&
            !detect_is_excused(&truth, &answer.at[i].box))
            c->count[nothing][answer.at[i].box.class_id]++;
    for (int i = 0; i < truth.count; i++)
        if (!truth.at[i].unsure && !truth.taken[i])
            c->count[truth.at[i].box.class_id][nothing]++;
}

float detect_sum_up(const uint8_t *table, int class_count, float *weight)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(table, d), sure = 0;
    float sum = 0;
    for (int k = 0; k < class_count; k++)
        weight[k] = 0;
    for (int i = 0; i < count; i++) {
        if (d[i].unsure || d[i].box.class_id >= class_count)
            continue;
        weight[d[i].box.class_id]++;
        sum += d[i].box.score;
        sure++;
    }
    return sure ? sum / (float)sure : NAN;
}

void detect_map_classes(const uint8_t *to_class, uint8_t *table)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(table, d), kept = 0;
    for (int i = 0; i < count; i++) {
        uint8_t k = d[i].box.class_id < CLASSES_MAX ? to_class[d[i].box.class_id] : LABEL_IGNORE;
        if (k == LABEL_IGNORE)
            continue;
        d[kept] = d[i];
        d[kept++].box.class_id = k;
    }
    detect_write(d, kept, table);
}

void detect_move(const struct detect_window *w, const uint8_t *from, uint8_t *to)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(from, d), kept = 0;
    for (int i = 0; i < count; i++) {
        struct detection m = d[i];
        struct box *b = &m.box;
        float before = area(b) / (w->side * w->side);
        float x0 = (b->x0 - w->x) / w->side, x1 = (b->x1 - w->x) / w->side;
        b->x0 = within(w->mirrored ? 1 - x1 : x0);
        b->x1 = within(w->mirrored ? 1 - x0 : x1);
        b->y0 = within((b->y0 - w->y) / w->side);
        b->y1 = within((b->y1 - w->y) / w->side);
        if (b->x0 >= b->x1 || b->y0 >= b->y1)
            continue;
        m.unsure |= area(b) < SEEN_MIN * before;
        d[kept++] = m;
    }
    detect_write(d, kept, to);
}

void detect_stretch(float x, float y, uint8_t *table)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(table, d);
    for (int i = 0; i < count; i++) {
        d[i].box.x0 *= x;
        d[i].box.x1 *= x;
        d[i].box.y0 *= y;
        d[i].box.y1 *= y;
    }
    detect_write(d, count, table);
}
