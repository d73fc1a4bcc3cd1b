/* confusion.h - answers counted by true and predicted class, and what a score makes of them.
 *
 * An answer is a pixel's class, or a picture's where the network gives one class a picture, or a
 * box's: counts of boxes have a last class more, "nothing", for things that were missed and for
 * answers to nothing (task/detect.h).
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_TASK_CONFUSION_H
#define ATTUNE_TASK_CONFUSION_H

#include <stdbool.h>

#include "flow/records.h"

/* Counts [truth][predicted]. */
struct confusion {
    int class_count; /* of boxes with "nothing" */
    bool boxes;
    uint64_t count[CLASSES_MAX][CLASSES_MAX];
};

/* Of classes of pixels or pictures; task_counts_init (task/task.h) is for any task. */
void confusion_init(struct confusion *c, int class_count);

/* Of boxes: class_count (1..CLASSES_MAX - 1) without "nothing". */
void confusion_init_boxes(struct confusion *c, int class_count);

/* Adds n answers; those where either is >= class_count are skipped. Of boxes: n bytes of whole
 * tables, a picture each (detect_count). */
void confusion_add(struct confusion *c, const uint8_t *truth, const uint8_t *predicted, size_t n);
void confusion_merge(struct confusion *into, const struct confusion *from);
void confusion_subtract(struct confusion *from, const struct confusion *part);

/* Share of the answers that are right; NaN without any. */
double confusion_accuracy(const struct confusion *c);

/* Share of the answers of one true class that are right (recall); NaN for a class that did not
 * occur. */
double confusion_recall(const struct confusion *c, int class_id);

/* Intersection / union of one class; NaN for a class that did not occur. */
double confusion_iou(const struct confusion *c, int class_id);

/* Mean over the classes that occur (truth or predicted) of intersection / union; NaN for no pixel.
 * AMS's metric: classes with an empty union are left out of the mean. */
double confusion_miou(const struct confusion *c);

/* Harmonic mean of precision and recall over the boxes of all classes, 2 right / (true + answered);
 * the same of one class. NaN where there was neither. */
double confusion_f1(const struct confusion *c);
double confusion_class_f1(const struct confusion *c, int class_id);

/* IoU of each class weighted by its share of the true pixels ("frequency weighted IU", Long et al.
 * 2015, section 5): on a few frames the mean over classes is mostly the noise of classes with a
 * handful of pixels, this is not. NaN without true pixels. */
double confusion_fwiou(const struct confusion *c);

#endif
