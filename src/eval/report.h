/* report.h - an eval's result as a table for people and as JSON for programs. */
#ifndef ATTUNE_EVAL_REPORT_H
#define ATTUNE_EVAL_REPORT_H

#include <jansson.h>

#include "base/buf.h"
#include "eval/eval.h"

/* {"task", "duration_s", "modes": [{"mode", "frames", "accuracy_teacher", "accuracy_truth",
 * "teacher_truth", "uplink_kbps", "downlink_kbps", "phases", "train_steps", "rejected", "deltas",
 * "after_60s": {"frames", "accuracy_teacher", "accuracy_truth", "teacher_truth", "gap_closed"},
 * "series": [{"t_s", "accuracy_teacher", "accuracy_truth"}]}]}; null where there is no ground
 * truth. Of a segmentation the accuracies stand there as "miou_teacher" and "miou_truth" as well.
 * NULL when out of memory; the caller owns it. */
json_t *report_json(const struct eval_result *r);

void report_table(const struct eval_result *r, struct buf *out);

/* Share of the gap between the unadapted student and the teacher that `mode` closed after the
 * warm-up, against ground truth (against the teacher's labels, where the gap is to 1, without). NaN
 * when "none" was not run. */
double report_gap_closed(const struct eval_result *r, const struct eval_mode_result *mode);

/* Accuracy over time of every mode as a PNG. */
enum status report_plot(const struct eval_result *r, const char *title, const char *path,
                        struct error *err);

#endif
