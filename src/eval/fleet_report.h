/* fleet_report.h - the runs of a fleet eval as a table, as JSON and as a chart. */
#ifndef ATTUNE_EVAL_FLEET_REPORT_H
#define ATTUNE_EVAL_FLEET_REPORT_H

#include <jansson.h>

#include "eval/fleet.h"

void fleet_table(const struct fleet_scenario *s, const struct fleet_result *runs, int count,
                 struct buf *out);

/* {"fleet", "seconds", "runs": [{"policy", "mean_accuracy", "min_accuracy", "cameras": [...],
 * "retrainings", "deployed", "worse", "stopped", "unfinished", "used_s": {...}, "planned_s": {...},
 * "capacity_s", "gain_over_best_fixed", "gain_over_worst_fixed", "gain_over_none" (null where that
 * was not run), "estimates": {...}}]}. NULL when out of memory. */
json_t *fleet_json(const struct fleet_scenario *s, const struct fleet_result *runs, int count);

/* Accuracy over time, a line a policy, as a PNG file. */
enum status fleet_plot(const struct fleet_scenario *s, const struct fleet_result *runs, int count,
                       const char *path, struct error *err);

#endif
