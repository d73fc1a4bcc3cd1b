/* metrics.h - the table of GET /metrics (metrics.def), and the counts that nobody else keeps.
 *
 * What the store, the ledger and the board know is read from there when somebody asks
 * (api_metrics.c). Here is what passes by and would be gone: events by kind, durations, and what
 * cameras count since their own start, which is carried on so that a counter never falls.
 *
 * Owns:    bounded tables: cameras_max cameras, METRICS_KINDS_MAX kinds of events.
 * Threads: safe.
 */
#ifndef ATTUNE_SERVER_METRICS_H
#define ATTUNE_SERVER_METRICS_H

#include <jansson.h>

#include "base/prometheus.h"
#include "flow/records.h"
#include "uplink/message.h"

#define METRICS_KINDS_MAX 64
#define METRICS_KIND_CHARS_MAX 31

#define METRIC(id, name, kind, labels, help) METRIC_##id,
enum metric {
#include "server/metrics.def"
    METRIC_COUNT
};
#undef METRIC

const struct prometheus_family *metrics_table(void); /* METRIC_COUNT of them */

/* The table of docs/metrics.md. */
void metrics_write_markdown(struct buf *out);

/* Durations and gains, by buckets. */
enum metrics_histogram { METRICS_LABEL, METRICS_RETRAIN, METRICS_GAIN, METRICS_HISTOGRAMS };

struct metrics;

enum status metrics_open(int cameras_max, struct metrics **ret, struct error *err);
void metrics_close(struct metrics **m);

/* An event was recorded; `members` are its own (scores of a training among them). */
void metrics_event(struct metrics *m, const char *camera, const char *kind, const json_t *members);

/* A value for a histogram, seconds or a ratio; NaN is none. */
void metrics_observe(struct metrics *m, enum metrics_histogram h, double value);

void metrics_labelled(struct metrics *m, const char *camera);
void metrics_refused(struct metrics *m, const char *camera);

/* The camera's own counts; a smaller one than last time: it has started again. */
void metrics_report(struct metrics *m, const char *camera, const struct inference_report *r);

/* ---- reading ---- */

/* Times that an event of the kind was recorded; 0 for one that was not. */
unsigned long long metrics_events(struct metrics *m, const char *kind);

/* Everything that is kept here goes to the page. */
void metrics_put(struct metrics *m, struct prometheus_page *p);

#endif
