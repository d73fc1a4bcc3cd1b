/* metrics.c - counts under one mutex; none is on a path that runs more often than a frame. */
#include "server/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRIC(id, name, kind, labels, help) {name, PROMETHEUS_##kind, labels, help},
static const struct prometheus_family families[METRIC_COUNT] = {
#include "server/metrics.def"
};
#undef METRIC

static const double label_bounds[] = {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5};
static const double retrain_bounds[] = {0.1, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600};
static const double gain_bounds[] = {0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5};

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
static const struct {
    enum metric metric;
    const double *bounds;
    int count;
} histograms[METRICS_HISTOGRAMS] = {
    [METRICS_LABEL] = {METRIC_TEACHER_DURATION, label_bounds, COUNT(label_bounds)},
    [METRICS_RETRAIN] = {METRIC_RETRAIN_DURATION, retrain_bounds, COUNT(retrain_bounds)},
    [METRICS_GAIN] = {METRIC_RETRAIN_GAIN, gain_bounds, COUNT(gain_bounds)},
};

enum { INFERRED, HELD, SKIPPED, TOLD };
static const char *const told_stages[TOLD] = {"inferred", "held", "skipped"};

struct camera {
    char id[CAMERA_ID_CHARS_MAX + 1];
    unsigned long long labelled, refused, drifts, faults, back;
    uint64_t before[TOLD], last[TOLD]; /* of its earlier starts; of this one */
    struct durations run_before, run_last, age_before, age_last;
};

struct kind {
    char name[METRICS_KIND_CHARS_MAX + 1];
    unsigned long long count;
};

struct metrics {
    pthread_mutex_t mutex;
    struct camera *cameras;
    int camera_count, cameras_max;
    struct kind kinds[METRICS_KINDS_MAX];
    int kind_count;
    unsigned long long counts[METRICS_HISTOGRAMS][PROMETHEUS_BUCKETS_MAX + 1];
    double sums[METRICS_HISTOGRAMS];
};

const struct prometheus_family *metrics_table(void)
{
    return families;
}

void metrics_write_markdown(struct buf *out)
{
    buf_printf(
        out, "# Metrics of `attune server`\n\n"
             "Made by `attune server --metrics-markdown` from the table that `GET /metrics` uses; "
             "do not edit. How to scrape them, the dashboard and the alert rules: "
             "[integrations.md](integrations.md).\n\n"
             "Units are base units, ratios are in 0..1, labels are ids and fixed words only. What "
             "is not known (no frame scored yet) is left out. Counters begin at 0 with the server "
             "but for those that are of a camera since it joined or of a group since it was "
             "made.\n\n");
    buf_printf(out, "| metric | type | labels | what it is |\n|---|---|---|---|\n");
    for (int i = 0; i < METRIC_COUNT; i++)
        buf_printf(out, "| `%s` | %s | %s | %s |\n", families[i].name,
                   prometheus_kind_name(families[i].kind), families[i].labels, families[i].help);
}

enum status metrics_open(int cameras_max, struct metrics **ret, struct error *err)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (m)
        m->cameras = calloc((size_t)cameras_max, sizeof *m->cameras);
    if (!m || !m->cameras) {
        free(m);
        return error_set(err, ST_NOMEM, "no memory for the metrics");
    }
    m->cameras_max = cameras_max;
    pthread_mutex_init(&m->mutex, NULL);
    *ret = m;
    return ST_OK;
}

void metrics_close(struct metrics **m)
{
    if (!m || !*m)
        return;
    pthread_mutex_destroy(&(*m)->mutex);
    free((*m)->cameras);
    free(*m);
    *m = NULL;
}

/* ---- counting ---- */

/* NULL: nobody's, or the table is full. */
static struct camera *camera_of(struct metrics *m, const char *id)
{
    for (int i = 0; i < m->camera_count; i++)
        if (strcmp(m->cameras[i].id, id) == 0)
            return &m->cameras[i];
    if (!id[0] || m->camera_count == m->cameras_max)
        return NULL;
    struct camera *c = &m->cameras[m->camera_count++];
    snprintf(c->id, sizeof c->id, "%s", id);
    return c;
}

/* Kinds are words of ours; should there ever be too many, the last counts for the rest. */
static struct kind *kind_of(struct metrics *m, const char *name)
{
    for (int i = 0; i < m->kind_count; i++)
        if (strcmp(m->kinds[i].name, name) == 0)
            return &m->kinds[i];
    if (m->kind_count == METRICS_KINDS_MAX)
        return &m->kinds[METRICS_KINDS_MAX - 1];
    struct kind *k = &m->kinds[m->kind_count++];
    bool last = m->kind_count == METRICS_KINDS_MAX;
    snprintf(k->name, sizeof k->name, "%.*s", METRICS_KIND_CHARS_MAX, last ? "other" : name);
    return k;
}

static void observe(struct metrics *m, enum metrics_histogram h, double value)
{
    int i = 0;
    if (isnan(value))
        return;
    while (i < histograms[h].count && value > histograms[h].bounds[i])
        i++;
    m->counts[h][i]++;
    m->sums[h] += value;
}

/* NaN where the event has no such number. */
static double number(const json_t *members, const char *key)
{
    const json_t *v = json_object_get(members, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* What the gate let pass within its margin brought nothing: a sum never falls. */
static double gain_of(const json_t *members)
{
    double gain = number(members, "score_after") - number(members, "score_before");
    return gain < 0 ? 0 : gain;
}

static void count_of_camera(struct camera *c, const char *kind)
{
    if (strcmp(kind, "drift_request") == 0)
        c->drifts++;
    else if (strcmp(kind, "camera_fault") == 0)
        c->faults++;
    else if (strcmp(kind, "camera_back") == 0 || strcmp(kind, "stream_back") == 0)
        c->back++;
}

void metrics_event(struct metrics *m, const char *camera, const char *kind, const json_t *members)
{
    pthread_mutex_lock(&m->mutex);
    struct camera *c = camera_of(m, camera);
    kind_of(m, kind)->count++;
    if (c)
        count_of_camera(c, kind);
    if (strcmp(kind, "accepted") == 0)
        observe(m, METRICS_GAIN, gain_of(members));
    pthread_mutex_unlock(&m->mutex);
}

void metrics_observe(struct metrics *m, enum metrics_histogram h, double value)
{
    pthread_mutex_lock(&m->mutex);
    observe(m, h, value);
    pthread_mutex_unlock(&m->mutex);
}

void metrics_labelled(struct metrics *m, const char *camera)
{
    pthread_mutex_lock(&m->mutex);
    struct camera *c = camera_of(m, camera);
    if (c)
        c->labelled++;
    pthread_mutex_unlock(&m->mutex);
}

void metrics_refused(struct metrics *m, const char *camera)
{
    pthread_mutex_lock(&m->mutex);
    struct camera *c = camera_of(m, camera);
    if (c)
        c->refused++;
    pthread_mutex_unlock(&m->mutex);
}

/* Less than was told last has been counted from 0 again. */
static void carry_on(struct durations *before, struct durations *last, const struct durations *now)
{
    struct durations more;
    if (!durations_since(now, last, &more))
        durations_join(before, last);
    *last = *now;
}

void metrics_report(struct metrics *m, const char *camera, const struct inference_report *r)
{
    const uint64_t now[TOLD] = {r->frames, r->held, r->skipped};
    pthread_mutex_lock(&m->mutex);
    struct camera *c = camera_of(m, camera);
    for (int i = 0; c && i < TOLD; i++) {
        if (now[i] < c->last[i])
            c->before[i] += c->last[i];
        c->last[i] = now[i];
    }
    if (c) {
        carry_on(&c->run_before, &c->run_last, &r->timing.run);
        carry_on(&c->age_before, &c->age_last, &r->timing.age);
    }
    pthread_mutex_unlock(&m->mutex);
}

/* ---- reading ---- */

unsigned long long metrics_events(struct metrics *m, const char *kind)
{
    unsigned long long count = 0;
    pthread_mutex_lock(&m->mutex);
    for (int i = 0; i < m->kind_count; i++)
        if (strcmp(m->kinds[i].name, kind) == 0)
            count = m->kinds[i].count;
    pthread_mutex_unlock(&m->mutex);
    return count;
}

static void put(struct prometheus_page *p, enum metric f, unsigned long long v, const char *a,
                const char *b)
{
    prometheus_put(p, f, (double)v, (const char *const[]){a, b});
}

/* None of a camera that tells none. */
static void put_durations(struct prometheus_page *p, enum metric f, const struct durations *before,
                          const struct durations *last, const char *camera)
{
    struct durations all = *before;
    unsigned long long counts[DURATIONS_BUCKETS];
    durations_join(&all, last);
    if (durations_count(&all) == 0)
        return;
    for (int i = 0; i < DURATIONS_BUCKETS; i++)
        counts[i] = all.counts[i];
    const struct prometheus_counts c = {durations_bounds_s, DURATIONS_BOUNDS, counts, all.sum_s};
    prometheus_put_histogram(p, f, &c, &camera);
}

static void put_camera(const struct camera *c, struct prometheus_page *p)
{
    for (int i = 0; i < TOLD; i++)
        put(p, METRIC_CAMERA_FRAMES, c->before[i] + c->last[i], c->id, told_stages[i]);
    put_durations(p, METRIC_INFERENCE_DURATION, &c->run_before, &c->run_last, c->id);
    put_durations(p, METRIC_FRAME_AGE, &c->age_before, &c->age_last, c->id);
    put(p, METRIC_CAMERA_FRAMES, c->labelled, c->id, "labelled");
    put(p, METRIC_CAMERA_RECONNECTS, c->back, c->id, NULL);
    put(p, METRIC_CAMERA_REFUSED, c->refused, c->id, NULL);
    put(p, METRIC_DRIFT_EVENTS, c->drifts, c->id, NULL);
    put(p, METRIC_CAMERA_FAULTS, c->faults, c->id, NULL);
}

void metrics_put(struct metrics *m, struct prometheus_page *p)
{
    pthread_mutex_lock(&m->mutex);
    unsigned long long refused = 0;
    for (int i = 0; i < m->camera_count; i++) {
        put_camera(&m->cameras[i], p);
        refused += m->cameras[i].refused;
    }
    put(p, METRIC_QUEUE_DROPPED, refused, "label", NULL);
    for (int i = 0; i < m->kind_count; i++)
        put(p, METRIC_EVENTS, m->kinds[i].count, m->kinds[i].name, NULL);
    for (int h = 0; h < METRICS_HISTOGRAMS; h++) {
        struct prometheus_counts c = {histograms[h].bounds, histograms[h].count, m->counts[h],
                                      m->sums[h]};
        prometheus_put_histogram(p, histograms[h].metric, &c, NULL);
    }
    pthread_mutex_unlock(&m->mutex);
}
