/* answer.h - a network's answer to one picture as a summary (summary.h), whatever its task is.
 *
 * Threads: pure functions.  Memory: nothing is allocated.
 */
#ifndef ATTUNE_DRIFT_ANSWER_H
#define ATTUNE_DRIFT_ANSWER_H

#include "drift/summary.h"
#include "task/task.h"

/* Sets shares and confidence; the features stay as they are. output: of the network, image 0;
 * answer: what task_answer made of it, [task_cells]. */
void drift_summary_answer(struct drift_summary *s, const struct task_spec *spec,
                          const struct nn_view *output, const uint8_t *answer);

#endif
