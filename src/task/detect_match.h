/* detect_match.h - inside src/task: which answer is which true box of one picture.
 */
#ifndef ATTUNE_TASK_DETECT_MATCH_H
#define ATTUNE_TASK_DETECT_MATCH_H

#include "task/detect.h"

/* The rows of one table, and which have been taken. */
struct detect_side {
    struct detection at[DETECT_BOXES_MAX];
    bool taken[DETECT_BOXES_MAX]; /* from the start: rows of a class that is not counted */
    int count;
};

void detect_side_read(struct detect_side *s, const uint8_t *table, int class_count);

/* Best score first; rows of one score keep their order. */
void detect_side_order(struct detect_side *s);

/* The free sure truth that the answer overlaps most and from DETECT_SAME_IOU on, -1 for none. */
int detect_best_truth(const struct detect_side *truth, const struct box *answer, bool any_class);

/* The same as an unsure truth, or half in one. */
bool detect_is_excused(const struct detect_side *truth, const struct box *answer);

#endif
