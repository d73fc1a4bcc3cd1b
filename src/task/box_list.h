/* box_list.h - the true boxes of a video's frames, from a CSV file.
 *
 * Columns frame (from 1), x, y, w, h in pixels of the video, and where there are several classes
 * class, the name of a label; without it every box is of the first label. Other columns are left
 * out. A frame that no row names has no truth.
 *
 * Owns:    its rows, until box_list_clear.
 * Threads: a list that is not changed may be read by many.
 * Errors:  ST_FORMAT and ST_UNSUPPORTED with file:line, ST_NOT_FOUND, ST_IO, ST_NOMEM.
 */
#ifndef ATTUNE_TASK_BOX_LIST_H
#define ATTUNE_TASK_BOX_LIST_H

#include "task/class_map.h"
#include "task/detect.h"

#define BOX_LIST_FRAME_MAX 100000000

struct box_list_row {
    int frame, order; /* order: of the rows of a frame */
    struct box box;   /* in pixels */
};

struct box_list {
    struct box_list_row *rows; /* [count] by frame */
    size_t count;
};

enum status box_list_open(const char *path, const struct class_map *labels, struct box_list *ret,
                          struct error *err);

/* The bytes of such a file; name: for messages. */
enum status box_list_parse(const void *text, size_t n, const char *name,
                           const struct class_map *labels, struct box_list *ret, struct error *err);
void box_list_clear(struct box_list *l);

/* The boxes of one frame of a width x height video, as labels. False: the list does not have it. */
bool box_list_table(const struct box_list *l, int frame, int width, int height, uint8_t *table);

#endif
