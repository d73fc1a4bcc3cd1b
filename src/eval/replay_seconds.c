/* replay_seconds.c - spans of any length become means over seconds, window by window. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "eval/plot.h"
#include "eval/replay_report.h"

struct cell {
    double accuracy, infer_share, train_share; /* x seconds */
    int configuration;
};

struct line { /* of the plot: one run */
    char name[64];
    double capacity;
    double *x, *y;
    size_t count;
};

struct replay_seconds {
    const struct replay_options *o;
    struct buf csv;
    int seconds, cameras; /* of a window; cameras grows as they are seen */
    struct cell *cells;   /* [seconds][cameras_max] */
    int cameras_max;
    char (*ids)[TRACE_NAME_CHARS_MAX + 1];
    char policy[CONTENDER_NAME_BYTES]; /* of the window at hand, "" for none */
    double capacity;
    int window;
    struct line lines[REPLAY_RUNS_MAX];
    int line_count;
    struct error err;
    enum status st;
};

enum status replay_seconds_open(const struct replay_options *o, struct replay_seconds **ret,
                                struct error *err)
{
    struct replay_seconds *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for seconds");
    s->o = o;
    s->seconds = (int)ceil(o->window_s);
    s->cameras_max = o->streams;
    buf_init(&s->csv);
    size_t cells = (size_t)s->seconds * (size_t)s->cameras_max;
    if (cells <= REPLAY_CELLS_MAX) {
        s->cells = calloc(cells, sizeof *s->cells);
        s->ids = calloc((size_t)s->cameras_max, sizeof *s->ids);
    }
    if (!s->cells || !s->ids) {
        replay_seconds_close(&s);
        return error_set(err, ST_LIMIT, "%g seconds of %d cameras are too many to write out",
                         o->window_s, o->streams);
    }
    buf_printf(&s->csv, "policy,gpus,window,t_s,camera,accuracy,infer_share,train_share,"
                        "configuration\n");
    *ret = s;
    return ST_OK;
}

void replay_seconds_close(struct replay_seconds **seconds)
{
    if (!seconds || !*seconds)
        return;
    struct replay_seconds *s = *seconds;
    buf_clear(&s->csv);
    free(s->cells);
    free(s->ids);
    for (int i = 0; i < s->line_count; i++) {
        free(s->lines[i].x);
        free(s->lines[i].y);
    }
    free(s);
    *seconds = NULL;
}

static struct cell *cell_at(struct replay_seconds *s, int second, int camera)
{
    return &s->cells[(size_t)second * (size_t)s->cameras_max + (size_t)camera];
}

static bool grow(double **numbers, size_t count)
{
    double *grown = realloc(*numbers, count * sizeof *grown);
    if (grown)
        *numbers = grown;
    return grown;
}

/* The line of the run at hand, with room for one more window. */
static struct line *line_of(struct replay_seconds *s)
{
    struct line *l = s->line_count ? &s->lines[s->line_count - 1] : NULL;
    char name[64];
    snprintf(name, sizeof name, "%s, %g GPUs", s->policy, s->capacity);
    if (!l || strcmp(l->name, name) != 0) {
        if (s->line_count == REPLAY_RUNS_MAX)
            return NULL;
        l = &s->lines[s->line_count++];
        *l = (struct line){.capacity = s->capacity};
        memcpy(l->name, name, sizeof l->name);
    }
    size_t count = l->count + (size_t)s->seconds;
    return grow(&l->x, count) && grow(&l->y, count) ? l : NULL;
}

static void write_second(struct replay_seconds *s, int second, struct line *l)
{
    double width_s = fmin(1, s->o->window_s - second), sum = 0;
    for (int i = 0; i < s->cameras; i++) {
        const struct cell *c = cell_at(s, second, i);
        sum += c->accuracy / width_s;
        buf_printf(&s->csv, "%s,%g,%d,%d,%s,%.6f,%.4f,%.4f,%d\n", s->policy, s->capacity, s->window,
                   second, s->ids[i], c->accuracy / width_s, c->infer_share / width_s,
                   c->train_share / width_s, c->configuration);
    }
    l->x[l->count] = (double)l->count;
    l->y[l->count++] = sum / s->cameras;
}

/* The window that is complete goes to the text and the plot. */
static void flush(struct replay_seconds *s)
{
    if (!s->policy[0] || s->st != ST_OK)
        return;
    struct line *l = line_of(s);
    if (!l) {
        s->st = error_set(&s->err, ST_NOMEM, "no memory for seconds");
        return;
    }
    for (int t = 0; t < s->seconds; t++)
        write_second(s, t, l);
    memset(s->cells, 0, (size_t)s->seconds * (size_t)s->cameras_max * sizeof *s->cells);
    if (s->csv.failed)
        s->st = error_set(&s->err, ST_NOMEM, "no memory for the seconds' table");
}

static void begin_window(struct replay_seconds *s, const struct replay_run *run, int window)
{
    if (strcmp(s->policy, run->policy) == 0 && s->capacity == run->capacity && s->window == window)
        return;
    flush(s);
    snprintf(s->policy, sizeof s->policy, "%s", run->policy);
    s->capacity = run->capacity;
    s->window = window;
    s->cameras = 0;
}

void replay_seconds_span(void *context, const struct replay_run *run, int window,
                         const char *camera, const struct replay_span *span)
{
    struct replay_seconds *s = context;
    begin_window(s, run, window);
    if (span->camera >= s->cameras_max)
        return;
    s->cameras = span->camera >= s->cameras ? span->camera + 1 : s->cameras;
    snprintf(s->ids[span->camera], sizeof *s->ids, "%s", camera);
    for (int t = (int)span->from_s; t < s->seconds && t < span->to_s; t++) {
        double part_s = fmin(span->to_s, t + 1) - fmax(span->from_s, t);
        struct cell *c = cell_at(s, t, span->camera);
        c->accuracy += span->accuracy * span->factor * part_s;
        c->infer_share += span->infer_share * part_s;
        c->train_share += span->train_share * part_s;
        c->configuration = span->configuration;
    }
}

static enum status draw(const struct replay_seconds *s, const char *path, struct error *err)
{
    struct plot_series series[PLOT_SERIES_MAX];
    double largest = s->line_count ? s->lines[s->line_count - 1].capacity : 0;
    int n = 0;
    for (int i = 0; i < s->line_count && n < PLOT_SERIES_MAX; i++) {
        const struct line *l = &s->lines[i];
        if (s->line_count > PLOT_SERIES_MAX && l->capacity != largest)
            continue;
        series[n++] =
            (struct plot_series){.name = l->name, .x = l->x, .y = l->y, .count = l->count};
    }
    struct plot_options o;
    plot_options_init(&o);
    o.title = "accuracy, mean over the cameras";
    return plot_png_file(series, n, &o, path, err);
}

enum status replay_seconds_write(struct replay_seconds *s, const char *csv, const char *png,
                                 struct error *err)
{
    flush(s);
    s->policy[0] = '\0';
    if (s->st != ST_OK)
        return error_set(err, s->st, "%s", s->err.message);
    enum status st = csv ? file_write(csv, s->csv.data, s->csv.size_bytes, err) : ST_OK;
    return st == ST_OK && png ? draw(s, png, err) : st;
}
