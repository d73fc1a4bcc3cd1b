#include "base/prometheus.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PRECISION 15 /* digits: whole numbers up to 10^15 stay whole */

const char *prometheus_kind_name(enum prometheus_kind kind)
{
    return kind == PROMETHEUS_COUNTER ? "counter"
           : kind == PROMETHEUS_GAUGE ? "gauge"
                                      : "histogram";
}

void prometheus_init(struct prometheus_page *p, const struct prometheus_family *families, int count)
{
    assert(count <= PROMETHEUS_FAMILIES_MAX);
    p->families = families;
    p->count = count;
    for (int i = 0; i < count; i++)
        buf_init(&p->samples[i]);
}

void prometheus_clear(struct prometheus_page *p)
{
    for (int i = 0; i < p->count; i++)
        buf_clear(&p->samples[i]);
    p->count = 0;
}

static void put_value(struct buf *b, double v)
{
    if (isinf(v))
        buf_printf(b, " %cInf\n", v > 0 ? '+' : '-');
    else
        buf_printf(b, " %.*g\n", PRECISION, v);
}

static void put_label_value(struct buf *b, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            buf_put(b, "\\n", 2);
        else {
            if (*text == '"' || *text == '\\')
                buf_put_u8(b, '\\');
            buf_put_u8(b, (uint8_t)*text);
        }
    }
}

/* {a="x",b="y"} for names "a,b", and a bucket's bound behind them, "" for none. */
static void put_labels(struct buf *b, const char *names, const char *const *values, const char *le)
{
    char before = '{';
    for (int i = 0; *names; i++) {
        size_t n = strcspn(names, ",");
        assert(i < PROMETHEUS_LABELS_MAX && values && values[i]);
        buf_printf(b, "%c%.*s=\"", before, (int)n, names);
        put_label_value(b, values[i]);
        buf_put_u8(b, '"');
        names += n + (names[n] == ',');
        before = ',';
    }
    if (*le)
        buf_printf(b, "%cle=\"%s\"", before, le);
    if (*le || before == ',')
        buf_put_u8(b, '}');
}

void prometheus_put(struct prometheus_page *p, int f, double value, const char *const *labels)
{
    assert(f >= 0 && f < p->count);
    struct buf *b = &p->samples[f];
    if (isnan(value))
        return;
    buf_put(b, p->families[f].name, strlen(p->families[f].name));
    put_labels(b, p->families[f].labels, labels, "");
    put_value(b, value);
}

/* A line of a histogram. */
static void put_part(struct prometheus_page *p, int f, const char *part, const char *const *labels,
                     const char *le, double value)
{
    struct buf *b = &p->samples[f];
    buf_printf(b, "%s_%s", p->families[f].name, part);
    put_labels(b, p->families[f].labels, labels, le);
    put_value(b, value);
}

void prometheus_put_histogram(struct prometheus_page *p, int f, const struct prometheus_counts *c,
                              const char *const *labels)
{
    assert(f >= 0 && f < p->count && c->bound_count <= PROMETHEUS_BUCKETS_MAX);
    unsigned long long below = 0;
    char le[32];
    for (int i = 0; i < c->bound_count; i++) {
        below += c->counts[i];
        snprintf(le, sizeof le, "%.*g", PRECISION, c->bounds[i]);
        put_part(p, f, "bucket", labels, le, (double)below);
    }
    below += c->counts[c->bound_count];
    put_part(p, f, "bucket", labels, "+Inf", (double)below);
    put_part(p, f, "sum", labels, "", c->sum);
    put_part(p, f, "count", labels, "", (double)below);
}

enum status prometheus_write(const struct prometheus_page *p, struct buf *out, struct error *err)
{
    bool failed = false;
    for (int i = 0; i < p->count; i++) {
        const struct prometheus_family *f = &p->families[i];
        const struct buf *b = &p->samples[i];
        failed = failed || b->failed;
        if (b->size_bytes == 0)
            continue;
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
                   prometheus_kind_name(f->kind));
        buf_put(out, b->data, b->size_bytes);
    }
    return failed || out->failed ? error_set(err, ST_NOMEM, "no memory for the metrics") : ST_OK;
}
