#include "task/detect_loss.h"

#include <math.h>
#include <string.h>

#define BOX_WEIGHT 5
#define IOU_COST 3
#define REACH 1.5f /* strides between the centres of a box and of its candidates */
#define TOP_IOUS 10
#define CANDIDATES_MAX (DETECT_LEVELS_MAX * 16)
#define CERTAIN 1e-6f /* probabilities are kept this far from 0 and 1 */

/* ---- overlap ---- */

/* One axis of two boxes: length of what they share and of what holds both, and the derivatives by
 * the first one's ends. */
struct axis {
    float shared, hull;
    float shared_by[2], hull_by[2];
};

static struct axis axis_of(float centre_a, float side_a, float centre_b, float side_b)
{
    float a0 = centre_a - side_a / 2, a1 = centre_a + side_a / 2;
    float b0 = centre_b - side_b / 2, b1 = centre_b + side_b / 2;
    struct axis r = {.shared = fminf(a1, b1) - fmaxf(a0, b0),
                     .hull = fmaxf(a1, b1) - fminf(a0, b0)};
    r.shared_by[0] = a0 > b0 ? -1.0f : 0;
    r.shared_by[1] = a1 < b1 ? 1.0f : 0;
    r.hull_by[0] = a0 < b0 ? -1.0f : 0;
    r.hull_by[1] = a1 > b1 ? 1.0f : 0;
    if (r.shared <= 0)
        r.shared = r.shared_by[0] = r.shared_by[1] = 0;
    return r;
}

/* The derivatives by the ends of one axis: `across` is the other axis, side_across the first box's
 * side on it. */
static void giou_by_ends(const struct axis *along, const struct axis *across, float side_across,
                         float common, float either, float hull, float ret[2])
{
    for (int end = 0; end < 2; end++) {
        float common_by = along->shared_by[end] * across->shared;
        float either_by = (end ? side_across : -side_across) - common_by;
        float hull_by = along->hull_by[end] * across->hull;
        ret[end] = common_by / either - common * either_by / (either * either) + either_by / hull -
                   either * hull_by / (hull * hull);
    }
}

float detect_giou(const float a[4], const float b[4], float derivative[4])
{
    struct axis x = axis_of(a[0], a[2], b[0], b[2]), y = axis_of(a[1], a[3], b[1], b[3]);
    float common = x.shared * y.shared, either = a[2] * a[3] + b[2] * b[3] - common;
    float hull = x.hull * y.hull, by_x[2], by_y[2];
    either = fmaxf(either, 1e-12f);
    hull = fmaxf(hull, 1e-12f);
    giou_by_ends(&x, &y, a[3], common, either, hull, by_x);
    giou_by_ends(&y, &x, a[2], common, either, hull, by_y);
    derivative[0] = by_x[0] + by_x[1];
    derivative[1] = by_y[0] + by_y[1];
    derivative[2] = (by_x[1] - by_x[0]) / 2;
    derivative[3] = (by_y[1] - by_y[0]) / 2;
    return common / either - 1 + either / hull;
}

/* ---- assignment ---- */

/* What the cells of one picture are to say. */
struct targets {
    struct box boxes[DETECT_BOXES_MAX];   /* that are asked for */
    struct box excused[DETECT_BOXES_MAX]; /* regions that cost nothing */
    int box_count, excused_count;
    int16_t box_of[DETECT_CELLS_MAX]; /* of a cell, -1 for none */
    float cost[DETECT_CELLS_MAX];     /* of that */
    int assigned;
};

static void read_boxes(const struct detect_head *h, const uint8_t *table,
                       const uint8_t *class_chosen, struct targets *t)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(table, d);
    t->box_count = t->excused_count = 0;
    for (int i = 0; i < count; i++) {
        const struct box *b = &d[i].box;
        bool asked = !d[i].unsure && b->class_id < h->class_count &&
                     (!class_chosen || class_chosen[b->class_id]);
        if (asked)
            t->boxes[t->box_count++] = *b;
        else
            t->excused[t->excused_count++] = *b;
    }
}

static float clamp_probability(float p)
{
    return fminf(fmaxf(p, CERTAIN), 1 - CERTAIN);
}

static void centre_sides_of(const struct box *b, float ret[4])
{
    ret[0] = (b->x0 + b->x1) / 2;
    ret[1] = (b->y0 + b->y1) / 2;
    ret[2] = b->x1 - b->x0;
    ret[3] = b->y1 - b->y0;
}

/* As YOLOX: the error of sqrt(objectness * class) against the box's one class. */
static float class_cost(const struct detect_head *h, const struct detect_cell *c, int class_id)
{
    float objectness = detect_cell_objectness(h, c), cost = 0;
    for (int k = 0; k < h->class_count; k++) {
        float p = clamp_probability(sqrtf(fmaxf(objectness * detect_cell_class(h, c, k), 0)));
        cost -= logf(k == class_id ? p : 1 - p);
    }
    return cost;
}

struct candidate {
    int cell;
    float iou, cost;
};

static struct candidate consider(const struct detect_head *h, const struct nn_view *output,
                                 int image, int cell, const struct box *b)
{
    struct detect_cell c = detect_cell_at(h, output, image, cell);
    float v[4];
    detect_cell_box(h, &c, v, NULL);
    struct box own = {v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2, 0, 0};
    float iou = detect_iou(&own, b);
    return (struct candidate){cell, iou,
                              class_cost(h, &c, b->class_id) - IOU_COST * logf(iou + 1e-8f)};
}

/* Cells near enough to the box's centre on each grid. */
static int find_candidates(const struct detect_head *h, const struct nn_view *output, int image,
                           const struct box *b, struct candidate ret[CANDIDATES_MAX])
{
    bool reaching = h->kind == DETECT_FASTESTDET; /* tanh: from a cell's corner less than 1 */
    float reach = reaching ? 1 : REACH, middle = reaching ? 0 : 0.5f;
    int count = 0;
    for (int i = 0; i < h->level_count; i++) {
        const struct detect_level *l = &h->levels[i];
        float cx = (b->x0 + b->x1) / 2 * (float)l->width - middle;
        float cy = (b->y0 + b->y1) / 2 * (float)l->height - middle;
        for (int y = (int)fmaxf(ceilf(cy - reach), 0); y < l->height && (float)y < cy + reach; y++)
            for (int x = (int)fmaxf(ceilf(cx - reach), 0); x < l->width && (float)x < cx + reach;
                 x++)
                if (fabsf((float)x - cx) < reach && fabsf((float)y - cy) < reach)
                    ret[count++] = consider(h, output, image, l->first + y * l->width + x, b);
    }
    return count;
}

/* How many cells the box gets; puts the candidates in order of their cost. */
static int sort_candidates(struct candidate *c, int count)
{
    float sum = 0;
    for (int i = 0; i < count; i++) { /* the best IoUs first */
        for (int k = i; k > 0 && c[k].iou > c[k - 1].iou; k--) {
            struct candidate swapped = c[k];
            c[k] = c[k - 1];
            c[k - 1] = swapped;
        }
    }
    for (int i = 0; i < count && i < TOP_IOUS; i++)
        sum += c[i].iou;
    for (int i = 0; i < count; i++)
        for (int k = i; k > 0 && c[k].cost < c[k - 1].cost; k--) {
            struct candidate swapped = c[k];
            c[k] = c[k - 1];
            c[k - 1] = swapped;
        }
    int take = sum > 1 ? (int)sum : 1;
    return take < count ? take : count;
}

static void assign(const struct detect_head *h, const struct nn_view *output, int image,
                   const uint8_t *table, const uint8_t *class_chosen, struct targets *t)
{
    struct candidate c[CANDIDATES_MAX];
    read_boxes(h, table, class_chosen, t);
    for (int i = 0; i < h->cell_count; i++)
        t->box_of[i] = -1;
    t->assigned = 0;
    for (int b = 0; b < t->box_count; b++) {
        int count = find_candidates(h, output, image, &t->boxes[b], c);
        int take = sort_candidates(c, count);
        for (int i = 0; i < take; i++) {
            int cell = c[i].cell;
            if (t->box_of[cell] >= 0 && t->cost[cell] <= c[i].cost)
                continue;
            t->assigned += t->box_of[cell] < 0;
            t->box_of[cell] = (int16_t)b;
            t->cost[cell] = c[i].cost;
        }
    }
}

/* ---- costs ---- */

/* A cell, its gradient (at NULL: none), and what a unit of loss is worth in it. */
struct costed {
    const struct detect_head *head;
    struct detect_cell cell, grad;
    float scale;
};

static void add_gradient(const struct costed *c, int index, float v)
{
    if (c->grad.at)
        c->grad.at[index * c->grad.stride] += v * c->scale;
}

/* Binary cross-entropy of one number. Of logits the derivative is p - target. */
static double binary_cost(const struct costed *c, int index, float p, float target)
{
    float q = clamp_probability(p);
    bool logit = c->head->kind == DETECT_GRID;
    add_gradient(c, index, logit ? p - target : (q - target) / (q * (1 - q)));
    return -(double)(target * logf(q) + (1 - target) * logf(1 - q));
}

static double class_costs(const struct costed *c, int class_id)
{
    const struct detect_head *h = c->head;
    double loss = 0;
    if (h->kind == DETECT_FASTESTDET) {
        float p = clamp_probability(detect_cell_class(h, &c->cell, class_id));
        add_gradient(c, 5 + h->channel[class_id], -1 / p);
        return -(double)logf(p);
    }
    for (int k = 0; k < h->class_count; k++)
        loss += binary_cost(c, 5 + h->channel[k], detect_cell_class(h, &c->cell, k),
                            k == class_id ? 1 : 0);
    return loss;
}

static double box_cost(const struct costed *c, const struct box *b)
{
    float own[4], true_box[4], by_raw[4], by_box[4];
    detect_cell_box(c->head, &c->cell, own, by_raw);
    centre_sides_of(b, true_box);
    float giou = detect_giou(own, true_box, by_box);
    for (int i = 0; i < 4; i++)
        add_gradient(c, c->cell.box + i, -BOX_WEIGHT * by_box[i] * by_raw[i]);
    return BOX_WEIGHT * (1 - (double)giou);
}

static bool is_excused(const struct targets *t, const struct detect_cell *c)
{
    float x = (c->x + 0.5f) / c->width, y = (c->y + 0.5f) / c->height;
    for (int i = 0; i < t->excused_count; i++) {
        const struct box *b = &t->excused[i];
        if (x >= b->x0 && x < b->x1 && y >= b->y0 && y < b->y1)
            return true;
    }
    return false;
}

static double picture_loss(const struct detect_head *h, const struct nn_view *output, int image,
                           const struct targets *t, float scale, const struct nn_view *grad)
{
    double loss = 0;
    for (int i = 0; i < h->cell_count; i++) {
        struct costed c = {.head = h, .cell = detect_cell_at(h, output, image, i), .scale = scale};
        if (grad && grad->data)
            c.grad = detect_cell_at(h, grad, image, i);
        const struct box *b = t->box_of[i] >= 0 ? &t->boxes[t->box_of[i]] : NULL;
        if (!b && is_excused(t, &c.cell))
            continue;
        loss += binary_cost(&c, c.cell.objectness, detect_cell_objectness(h, &c.cell), b ? 1 : 0);
        if (b)
            loss += class_costs(&c, b->class_id) + box_cost(&c, b);
    }
    return loss;
}

static void clear(const struct nn_view *v)
{
    int64_t dim[4] = {1, 1, 1, 1}, stride[4] = {0};
    for (int i = 0; i < v->rank; i++) {
        dim[i] = v->dim[i];
        stride[i] = v->stride[i];
    }
    for (int64_t a = 0; a < dim[0]; a++)
        for (int64_t b = 0; b < dim[1]; b++)
            for (int64_t c = 0; c < dim[2]; c++)
                for (int64_t d = 0; d < dim[3]; d++)
                    v->data[a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3]] = 0;
}

/* Twice: the sum is divided by the number of cells that are assigned in all pictures. */
double detect_loss(const struct detect_head *h, const struct nn_view *output, const uint8_t *tables,
                   const uint8_t *class_chosen, float grad_scale, const struct nn_view *grad)
{
    struct targets t;
    int images = (int)output->dim[0], assigned = 0;
    double loss = 0;
    if (grad && grad->data)
        clear(grad);
    for (int i = 0; i < images; i++) {
        assign(h, output, i, tables + (size_t)i * DETECT_TABLE_BYTES, class_chosen, &t);
        assigned += t.assigned;
    }
    double each = 1.0 / (assigned > 0 ? assigned : 1);
    for (int i = 0; i < images; i++) {
        assign(h, output, i, tables + (size_t)i * DETECT_TABLE_BYTES, class_chosen, &t);
        loss += picture_loss(h, output, i, &t, (float)each * grad_scale, grad);
    }
    return loss * each;
}
