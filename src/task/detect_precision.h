/* detect_precision.h - mean average precision of boxes at an intersection over union of
 * DETECT_SAME_IOU, for reports.
 *
 * Source: PASCAL VOC since 2010 (Everingham et al., IJCV 2015, section 4.2): of each class the area
 * under the curve of precision over recall, precision made monotonous, at every answer; the mean
 * over classes that occur in the truth. As COCO's evaluation, an answer takes the free true box
 * that it overlaps most. Answers count at every score that the network gives, unsure ones too;
 * what falls into an unsure truth is left out, as detect_count does.
 *
 * Owns:    its answers. Threads: one at a time.
 * Memory:  12 bytes an answer, at most DETECT_ANSWERS_MAX.
 */
#ifndef ATTUNE_TASK_DETECT_PRECISION_H
#define ATTUNE_TASK_DETECT_PRECISION_H

#include "task/detect.h"

#define DETECT_ANSWERS_MAX ((size_t)1 << 22)

struct detect_precision;

enum status detect_precision_open(int class_count, struct detect_precision **ret,
                                  struct error *err);
void detect_precision_close(struct detect_precision **p);

/* One picture's tables. ST_LIMIT, ST_NOMEM. */
enum status detect_precision_add(struct detect_precision *p, const uint8_t *truth,
                                 const uint8_t *answer, struct error *err);

/* 0..1; NaN for a class (any class) that the truth does not have. */
double detect_precision_class(const struct detect_precision *p, int class_id);
double detect_precision_mean(const struct detect_precision *p);

#endif
