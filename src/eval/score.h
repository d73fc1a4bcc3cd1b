/* score.h - the task's score of one mode: whole run, after the warm-up, and over a sliding 10 s. */
#ifndef ATTUNE_EVAL_SCORE_H
#define ATTUNE_EVAL_SCORE_H

#include "eval/eval.h"
#include "task/task.h"

/* Frames within the sliding window at most: 10 s of 60 fps. */
#define SCORE_WINDOW_FRAMES_MAX 600
#define SCORE_WINDOW_US 10000000u

/* student:teacher, student:truth, teacher:truth */
enum score_pair { SCORE_TEACHER, SCORE_TRUTH, SCORE_TEACHER_TRUTH, SCORE_PAIRS };

struct score;

enum status score_open(enum task_kind task, const struct class_map *map, struct score **ret,
                       struct error *err);
void score_close(struct score **s);

/* One frame's maps, all of one size, in label classes; truth may be NULL. Appends a point of the
 * series; ST_NOMEM. */
enum status score_add(struct score *s, uint64_t t_us, const struct label_map *student,
                      const struct label_map *teacher, const struct label_map *truth,
                      struct error *err);

/* Fills scores and series of *ret (the series is handed over). */
void score_finish(struct score *s, struct eval_mode_result *ret);

#endif
