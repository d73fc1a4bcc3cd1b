/* confusion.h - answers counted by true and predicted class, and what a score makes of them.
 *
 * An answer is a pixel's class, or a picture's where the network gives one class a picture.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_TASK_CONFUSION_H
#define ATTUNE_TASK_CONFUSION_H

#include "flow/records.h"

/* Counts [truth][predicted]. */
struct confusion {
    int class_count;
    uint64_t count[CLASSES_MAX][CLASSES_MAX];
};

void confusion_init(struct confusion *c, int class_count);

/* Adds n answers; those where either is >= class_count are skipped. */
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

/* IoU of each class weighted by its share of the true pixels ("frequency weighted IU", Long et al.
 * 2015, section 5): on a few frames the mean over classes is mostly the noise of classes with a
 * handful of pixels, this is not. NaN without true pixels. */
double confusion_fwiou(const struct confusion *c);

#endif
