#include "task/draw.h"

void task_palette(const struct task_spec *spec, struct palette *ret)
{
    palette_init(ret);
    for (int c = 0; c < spec->class_count; c++)
        palette_name(ret, c, spec->class_name[c]);
}

static void draw_boxes(const uint8_t *table, const struct palette *p, struct frame *f)
{
    struct detection d[DETECT_BOXES_MAX];
    struct box boxes[DETECT_BOXES_MAX];
    int count = detect_read(table, d), sure = 0;
    for (int i = count; i-- > 0;) { /* the best ones on top */
        const struct box *b = &d[i].box;
        if (!d[i].unsure)
            boxes[sure++] = (struct box){b->x0 * (float)f->width,
                                         b->y0 * (float)f->height,
                                         b->x1 * (float)f->width,
                                         b->y1 * (float)f->height,
                                         b->class_id,
                                         b->score};
    }
    overlay_boxes(f, boxes, sure, p);
}

void task_draw(enum task_kind task, const struct label_map *answer, const struct palette *p,
               int opacity, struct frame *f)
{
    if (task == TASK_DETECT)
        draw_boxes(answer->classes, p, f);
    else
        overlay_labels(f, answer, p, opacity);
}
