#include "task/box_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"

#define PIXEL_MAX 100000

enum { FRAME, X, Y, W, H, COLUMNS };

static const char *const names[COLUMNS][2] = {{"frame"}, {"x"}, {"y"}, {"w"}, {"h"}};

static enum status find_class(const struct csv *c, int row, int column,
                              const struct class_map *labels, int *ret, struct error *err)
{
    const char *name = column < 0 ? labels->label_name[0] : csv_text(c, row, column);
    for (int k = 0; k < labels->label_count; k++)
        if (strcmp(labels->label_name[k], name) == 0) {
            *ret = k;
            return ST_OK;
        }
    return error_set(err, ST_UNSUPPORTED, "%s:%d: '%.40s' is none of the labels", c->name,
                     c->lines[row], name);
}

static enum status read_row(const struct csv *c, int row, const int at[COLUMNS], int class_column,
                            const struct class_map *labels, struct box_list_row *ret,
                            struct error *err)
{
    double v[COLUMNS];
    int frame = 0, class_id = 0;
    enum status st = csv_whole(c, row, at[FRAME], 1, BOX_LIST_FRAME_MAX, &frame, err);
    for (int k = X; k < COLUMNS && st == ST_OK; k++)
        st = csv_number(c, row, at[k], k < W ? -PIXEL_MAX : 0, PIXEL_MAX, &v[k], err);
    if (st == ST_OK)
        st = find_class(c, row, class_column, labels, &class_id, err);
    if (st == ST_OK)
        *ret = (struct box_list_row){
            frame,
            row,
            {(float)v[X], (float)v[Y], (float)(v[X] + v[W]), (float)(v[Y] + v[H]), class_id, 1}};
    return st;
}

static int by_frame(const void *a, const void *b)
{
    const struct box_list_row *x = a, *y = b;
    return x->frame != y->frame ? (x->frame > y->frame) - (x->frame < y->frame)
                                : (x->order > y->order) - (x->order < y->order);
}

static enum status read_table(const struct csv *c, const struct class_map *labels,
                              struct box_list *ret, struct error *err)
{
    static const char *const class_names[] = {"class", NULL};
    int at[COLUMNS], class_column = csv_column(c, class_names);
    enum status st = ST_OK;
    for (int k = 0; k < COLUMNS && st == ST_OK; k++)
        st = csv_need_column(c, (const char *const[]){names[k][0], NULL}, &at[k], err);
    struct box_list l = {.count = (size_t)c->row_count};
    if (st == ST_OK && !(l.rows = calloc(l.count + 1, sizeof *l.rows)))
        st = error_set(err, ST_NOMEM, "no memory for %zu boxes", l.count);
    for (int i = 0; i < c->row_count && st == ST_OK; i++)
        st = read_row(c, i, at, class_column, labels, &l.rows[i], err);
    if (st != ST_OK) {
        box_list_clear(&l);
        return st;
    }
    qsort(l.rows, l.count, sizeof *l.rows, by_frame);
    *ret = l;
    return ST_OK;
}

enum status box_list_parse(const void *text, size_t n, const char *name,
                           const struct class_map *labels, struct box_list *ret, struct error *err)
{
    struct csv c;
    enum status st = csv_read(text, n, name, &c, err);
    if (st != ST_OK)
        return st;
    st = read_table(&c, labels, ret, err);
    csv_clear(&c);
    return st;
}

enum status box_list_open(const char *path, const struct class_map *labels, struct box_list *ret,
                          struct error *err)
{
    struct csv c;
    enum status st = csv_open(path, &c, err);
    if (st != ST_OK)
        return st;
    st = read_table(&c, labels, ret, err);
    csv_clear(&c);
    return st;
}

void box_list_clear(struct box_list *l)
{
    free(l->rows);
    *l = (struct box_list){0};
}

/* The first row of a frame that is not before `frame`. */
static size_t find_frame(const struct box_list *l, int frame)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->rows[middle].frame < frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool box_list_table(const struct box_list *l, int frame, int width, int height, uint8_t *table)
{
    struct box boxes[DETECT_BOXES_MAX];
    uint8_t same[CLASSES_MAX];
    size_t count = 0;
    for (int k = 0; k < CLASSES_MAX; k++)
        same[k] = k < DETECT_CLASSES_MAX ? (uint8_t)k : LABEL_IGNORE;
    for (size_t i = find_frame(l, frame);
         i < l->count && l->rows[i].frame == frame && count < DETECT_BOXES_MAX; i++)
        boxes[count++] = l->rows[i].box;
    detect_from_boxes(boxes, count, width, height, same, 0, table);
    return count > 0;
}
