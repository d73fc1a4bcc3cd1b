/* detect.h - the boxes of a picture as a label map, and how boxes are compared.
 *
 * A detection's label map has one row a box: DETECT_BOXES_MAX rows of DETECT_ROW_BYTES bytes.
 * Little-endian: u16 x0, y0, x1, y1 as fractions of the picture's sides in 1/65535 (so that a
 * table fits the picture at any size), u8 class, DETECT_UNSURE added to it where whoever answered
 * is not sure, u8 score in 1/255. Rows that are not used come last and are LABEL_IGNORE throughout.
 * So a picture's boxes go through buffers, label files, the wire and the store as a map does.
 *
 * A box that is unsure is neither there nor not there: as truth it asks for nothing and excuses
 * what was found in it, as an answer it is not counted (only a curve over all scores sees it).
 *
 * Two boxes are the same thing from an intersection over union of DETECT_SAME_IOU on.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 */
#ifndef ATTUNE_TASK_DETECT_H
#define ATTUNE_TASK_DETECT_H

#include <stdbool.h>

#include "base/error.h"
#include "flow/records.h"
#include "task/confusion.h"

#define DETECT_BOXES_MAX 100 /* as COCO's evaluation takes */
#define DETECT_ROW_BYTES 10
#define DETECT_TABLE_BYTES ((size_t)DETECT_BOXES_MAX * DETECT_ROW_BYTES)
#define DETECT_CLASSES_MAX (CLASSES_MAX - 1) /* one row of a confusion is for "nothing" */
#define DETECT_UNSURE 0x80
#define DETECT_SAME_IOU 0.5f

/* One row. The box is in fractions of the picture's sides. */
struct detection {
    struct box box;
    bool unsure;
};

/* Rows in use; what is out of order (a corner before the other one) is left out. */
int detect_read(const uint8_t *table, struct detection ret[DETECT_BOXES_MAX]);

/* The first DETECT_BOXES_MAX of them, clipped to the picture; boxes of no area are left out. */
void detect_write(const struct detection *d, int count, uint8_t *table);

/* Whether a table that came from outside is one. ST_FORMAT says what is wrong. */
enum status detect_check(const uint8_t *table, int class_count, struct error *err);

/* Boxes in pixels of a width x height picture to a table. class_of[class_id]: the table's class,
 * LABEL_IGNORE: left out. Boxes with a side below side_min pixels are unsure. */
void detect_from_boxes(const struct box *boxes, size_t count, int width, int height,
                       const uint8_t *class_of, float side_min, uint8_t *table);

/* Intersection over union. */
float detect_iou(const struct box *a, const struct box *b);

/* Adds one picture to counts of classes and "nothing" (task_counts_init): sure answers, best score
 * first, each take the sure truth of their class that they overlap most; then those left take one
 * of any class. What is left of the truth was missed, [class][nothing], what is left of the answers
 * is false, [nothing][class], but for answers that are the same as an unsure truth, or half of
 * whose area lies in one. */
void detect_count(struct confusion *c, const uint8_t *truth, const uint8_t *answer);

/* How many sure boxes there are of each class, weight[class_count], and the mean of their scores
 * (NaN without any): an answer in a few numbers. */
float detect_sum_up(const uint8_t *table, int class_count, float *weight);

/* Classes by a table, in place: to_class[class], LABEL_IGNORE: the row is left out. */
void detect_map_classes(const uint8_t *to_class, uint8_t *table);

/* What a window of the picture (fractions of its sides) sees of the boxes, mirrored where asked
 * for. A box of which less than a third is seen becomes unsure. */
struct detect_window {
    float x, y, side; /* of both sides, 0..1 */
    bool mirrored;
};
void detect_move(const struct detect_window *w, const uint8_t *from, uint8_t *to);

/* Corners times x and y, for a table of a frame that the picture fills in part (from its upper left
 * corner, video/letterbox.h). What lies outside of the picture is cut off. In place. */
void detect_stretch(float x, float y, uint8_t *table);

#endif
