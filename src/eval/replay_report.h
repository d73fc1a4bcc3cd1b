/* replay_report.h - a replay as a table for people, JSON for programs, and seconds for plots. */
#ifndef ATTUNE_EVAL_REPLAY_REPORT_H
#define ATTUNE_EVAL_REPLAY_REPORT_H

#include <jansson.h>

#include "eval/replay.h"
#include "eval/replay_example.h"

#define REPLAY_CELLS_MAX 20000000 /* seconds x cameras of one window */

void replay_table(const struct replay_options *o, const struct replay_set *s, struct buf *out);

/* {"profiles", "cameras", "windows", "window_s", "delta", "estimates", "runs": [{"policy", "gpus",
 * "mean_accuracy", "min_accuracy", "lowest_accuracy", "gain_over_best_fixed",
 * "gain_over_worst_fixed", "gain_over_none", "retrainings", "ended", "deployed", "worse",
 * "stopped", "plans"}], "baselines": [the same], "estimators": [...]}. NULL when out of memory. */
json_t *replay_json(const struct replay_options *o, const struct replay_set *s);

void replay_example_table(const struct replay_example_row rows[REPLAY_EXAMPLE_ROWS],
                          struct buf *out);
json_t *replay_example_json(const struct replay_example_row rows[REPLAY_EXAMPLE_ROWS]);

/* Second by second: means over each second, from the spans of replay_run_all.
 *
 * Owns: its text and series until replay_seconds_close. A failure is kept and returned by finish.
 */
struct replay_seconds;

enum status replay_seconds_open(const struct replay_options *o, struct replay_seconds **ret,
                                struct error *err);
void replay_seconds_close(struct replay_seconds **s);

/* A replay_on_span; context is the struct replay_seconds. */
void replay_seconds_span(void *context, const struct replay_run *run, int window,
                         const char *camera, const struct replay_span *span);

/* After the run. csv: policy,gpus,window,t_s,camera,accuracy,infer_share,train_share,configuration
 * (that trained last in that second, config * 1000 + epochs, -1 for none). png: mean accuracy over
 * time, a line a run, of the largest capacity where they are more than the plot takes. Either path
 * may be NULL. */
enum status replay_seconds_write(struct replay_seconds *s, const char *csv, const char *png,
                                 struct error *err);

#endif
