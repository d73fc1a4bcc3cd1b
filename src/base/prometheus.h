/* prometheus.h - a page in Prometheus's text format, from a table of families.
 *
 * Samples may be put in any order: each family collects its own, and the page has them together,
 * under their HELP and TYPE, in the order of the table. A family without samples is left out.
 *
 * Owns:    a page its bytes until prometheus_clear.
 * Threads: one a page.
 * Memory:  PROMETHEUS_FAMILIES_MAX buffers; what is put.
 * Errors:  prometheus_write: ST_NOMEM, also for an earlier put.
 */
#ifndef ATTUNE_BASE_PROMETHEUS_H
#define ATTUNE_BASE_PROMETHEUS_H

#include "base/buf.h"
#include "base/error.h"

#define PROMETHEUS_FAMILIES_MAX 128
#define PROMETHEUS_LABELS_MAX 4
#define PROMETHEUS_BUCKETS_MAX 16

enum prometheus_kind { PROMETHEUS_COUNTER = 1, PROMETHEUS_GAUGE, PROMETHEUS_HISTOGRAM };

struct prometheus_family {
    const char *name;
    enum prometheus_kind kind;
    const char *labels; /* names with commas between, "" for none */
    const char *help;   /* a sentence without its full stop */
};

/* "counter", "gauge", "histogram". */
const char *prometheus_kind_name(enum prometheus_kind kind);

struct prometheus_page {
    const struct prometheus_family *families;
    int count;
    struct buf samples[PROMETHEUS_FAMILIES_MAX];
};

void prometheus_init(struct prometheus_page *p, const struct prometheus_family *families,
                     int count);
void prometheus_clear(struct prometheus_page *p);

/* A sample of family `f`; a value for each of its labels. NaN is no sample: what is not known is
 * left out. */
void prometheus_put(struct prometheus_page *p, int f, double value, const char *const *labels);

/* Bounds rise; counts has one more than there are bounds, for what is above all. */
struct prometheus_counts {
    const double *bounds;
    int bound_count; /* at most PROMETHEUS_BUCKETS_MAX */
    const unsigned long long *counts;
    double sum;
};
/* A value for each of the family's labels; the bound (le) is written behind them. */
void prometheus_put_histogram(struct prometheus_page *p, int f, const struct prometheus_counts *c,
                              const char *const *labels);

enum status prometheus_write(const struct prometheus_page *p, struct buf *out, struct error *err);

#endif
