/* draw.h - a network's answer over its picture, for people.
 */
#ifndef ATTUNE_TASK_DRAW_H
#define ATTUNE_TASK_DRAW_H

#include "task/task.h"
#include "video/overlay.h"

/* The colours that the network's classes are drawn in, by their names where these are customary. */
void task_palette(const struct task_spec *spec, struct palette *ret);

/* Classes blended over the picture (overlay_labels), or the outlines of sure boxes. */
void task_draw(enum task_kind task, const struct label_map *answer, const struct palette *p,
               int opacity, struct frame *f);

#endif
