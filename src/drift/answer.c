/* answer.c - a case a task. */
#include "drift/answer.h"

#include <math.h>

#include "task/detect.h"

#define CELLS_MAX 256 /* of a confidence */

static void sum_up_boxes(struct drift_summary *s, int class_count, const uint8_t *table)
{
    float weight[CLASSES_MAX];
    s->confidence = detect_sum_up(table, class_count, weight);
    drift_summary_shares(s, weight, class_count);
}

static void sum_up_class(struct drift_summary *s, const struct task_spec *spec,
                         const struct nn_view *output)
{
    float probability[CLASSES_MAX];
    task_probabilities(output, 0, 0, NULL, probability);
    drift_summary_shares(s, probability, spec->class_count);
    s->confidence = 0;
    for (int c = 0; c < spec->class_count; c++)
        s->confidence = fmaxf(s->confidence, probability[c]);
}

void drift_summary_answer(struct drift_summary *s, const struct task_spec *spec,
                          const struct nn_view *output, const uint8_t *answer)
{
    if (spec->task == TASK_DETECT) {
        sum_up_boxes(s, spec->class_count, answer);
    } else if (spec->task == TASK_CLASSIFY) {
        sum_up_class(s, spec, output);
    } else {
        drift_summary_labels(s, answer, task_cells(spec), spec->class_count);
        s->confidence = drift_confidence(output, CELLS_MAX);
    }
}
