/* augment.h - changes to a training picture that its labels survive.
 *
 * Threads: pure functions of their arguments.
 */
#ifndef ATTUNE_TRAIN_AUGMENT_H
#define ATTUNE_TRAIN_AUGMENT_H

#include "base/rng.h"
#include "task/task.h"

/* Left and right exchanged; labels of the picture's size, or boxes. */
void augment_mirror(enum task_kind task, struct frame *f, struct label_map *labels);

/* Another camera's exposure, gamma, contrast and white balance; amount 0..1. */
void augment_colors(struct frame *f, struct rng *r, float amount);

#endif
