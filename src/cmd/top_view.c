/* top_view.c - see top_view.h. */
#include "cmd/top_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/explain.h"
#include "cmd/plain.h"

#define SILENT_S 60
#define EVENTS_MAX 8
#define CELL_BYTES 256
#define TREND 12

enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_NOTE, TONE_HEAD };

/* A screen that is being written: lines are cut to the width, and counted. */
struct screen {
    struct buf *out;
    int columns, rows, used;
    int at; /* columns of the line at hand */
    bool color;
};

/* ---- writing ---- */

static const char *const tones[] = {"", "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[7m"};

/* Text, cut at the edge. */
static void put(struct screen *s, const char *text)
{
    while (*text) {
        int wide;
        const char *from = text;
        uint32_t c = plain_next(&text, &wide);
        if (s->at + wide > s->columns)
            return;
        if (c == '?')
            buf_put_u8(s->out, '?'); /* it may stand for bytes that are not to be shown */
        else
            buf_put(s->out, from, (size_t)(text - from));
        s->at += wide;
    }
}

static void put_tone(struct screen *s, enum tone tone, const char *text)
{
    if (s->color && tone != TONE_PLAIN)
        buf_put(s->out, tones[tone], strlen(tones[tone]));
    put(s, text);
    if (s->color && tone != TONE_PLAIN)
        buf_put(s->out, "\x1b[0m", 4);
}

/* To the column, with blanks. */
static void fill_to(struct screen *s, int column)
{
    while (s->at < column && s->at < s->columns) {
        buf_put_u8(s->out, ' ');
        s->at++;
    }
}

/* False: the screen is full. */
static bool begin_line(struct screen *s)
{
    if (s->used == s->rows)
        return false;
    if (s->used > 0)
        buf_put_u8(s->out, '\n');
    s->used++;
    s->at = 0;
    return true;
}

__attribute__((format(printf, 2, 3))) static void say(struct screen *s, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(s, text);
}

/* ---- the head ---- */

static double mean_of(const json_t *cameras, const char *key)
{
    const json_t *c;
    size_t i;
    double sum = 0;
    int count = 0;
    json_array_foreach(cameras, i, c)
    {
        double v = explain_number(c, key);
        if (isfinite(v) && isfinite(explain_number(c, "accuracy"))) {
            sum += v;
            count++;
        }
    }
    return count ? sum / count : NAN;
}

static void duration(double s, char ret[32])
{
    if (!(s >= 0))
        snprintf(ret, 32, "?");
    else if (s < 120)
        snprintf(ret, 32, "%.0f s", s);
    else if (s < 7200)
        snprintf(ret, 32, "%.0f min", s / 60);
    else if (s < 172800)
        snprintf(ret, 32, "%.1f h", s / 3600);
    else
        snprintf(ret, 32, "%.1f days", s / 86400);
}

static void draw_head(struct screen *s, const json_t *all)
{
    const json_t *health = json_object_get(all, "health");
    const json_t *cameras = json_object_get(all, "cameras");
    char up[32];
    double accuracy = mean_of(cameras, "accuracy"), was = mean_of(cameras, "accuracy_unadapted");
    duration(explain_number(health, "uptime_s"), up);
    if (!begin_line(s))
        return;
    put_tone(s, TONE_HEAD, "attune");
    say(s, " %s  up %s  %zu cameras in %zu groups  sharing %s", explain_text(all, "server", ""), up,
        json_array_size(cameras), json_array_size(json_object_get(all, "groups")),
        explain_text(all, "sharing", "?"));
    if (isfinite(accuracy))
        say(s, "  accuracy %.1f %% (%+.1f)", 100 * accuracy, 100 * (accuracy - was));
    if (!begin_line(s))
        return;
    say(s, "workers %s, %.0f trainings, %.0f failed", explain_text(health, "worker", "?"),
        explain_number(health, "phases"), explain_number(health, "phases_failed"));
    put(s, "  ");
    char backlog[64];
    double waiting = explain_number(health, "backlog_chunks");
    snprintf(backlog, sizeof backlog, "backlog %.0f", waiting);
    put_tone(s, waiting > 10 ? TONE_BAD : TONE_PLAIN, backlog);
    if (explain_number(health, "state_bytes") > 0)
        say(s, "  state %.0f MB", explain_number(health, "state_bytes") / 1048576);
    if (json_is_false(json_object_get(health, "adapt")))
        put_tone(s, TONE_NOTE, "  only watching");
}

/* ---- compute ---- */

static double used_by(const json_t *compute, const char *kind)
{
    const json_t *rows = json_object_get(compute, "account"), *r;
    size_t i;
    double sum = 0;
    json_array_foreach(rows, i, r) if (strcmp(explain_text(r, "kind", ""), kind) == 0) sum +=
        fmax(0, explain_number(r, "used_s"));
    return sum;
}

static void draw_compute(struct screen *s, const json_t *all)
{
    static const char *const kinds[] = {"infer", "label", "profile", "train"};
    const json_t *compute = json_object_get(all, "compute");
    double whole = explain_number(compute, "capacity") * explain_number(compute, "window_s");
    int bar = s->columns / 4 - 14;
    if (!begin_line(s))
        return;
    for (int i = 0; i < 4; i++) {
        double part = whole > 0 ? fmin(1, used_by(compute, kinds[i]) / whole) : 0;
        char text[128] = "";
        size_t n = 0;
        for (int k = 0; k < bar && n + 4 < sizeof text; k++)
            text[n++] = k < (int)(part * bar + 0.5) ? '|' : '.';
        text[n] = '\0';
        say(s, "%s%s ", i ? "  " : "", kinds[i]);
        if (bar > 0)
            put_tone(s, TONE_GOOD, text);
        say(s, "%s%3.0f%%", bar > 0 ? " " : "", 100 * part);
    }
}

/* ---- the table ---- */

struct row {
    const json_t *camera, *group, *request, *history;
    double key;
    const char *name;
};

static double gain_of(const json_t *c)
{
    return explain_number(c, "accuracy") - explain_number(c, "accuracy_unadapted");
}

static enum tone cell_name(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    snprintf(ret, CELL_BYTES, "%s", explain_text(r->camera, "id", "?"));
    return TONE_PLAIN;
}

/* Most urgent first. */
static enum tone cell_state(const struct row *r, uint64_t now_us, char *ret)
{
    double silent_s = ((double)now_us - explain_number(r->camera, "seen_us")) / 1e6;
    const json_t *drift = json_object_get(r->camera, "drift");
    if (silent_s > SILENT_S && silent_s < 1e9) {
        char text[32];
        duration(silent_s, text);
        snprintf(ret, CELL_BYTES, "silent %s", text);
        return TONE_BAD;
    }
    if (json_is_true(json_object_get(r->camera, "paused"))) {
        snprintf(ret, CELL_BYTES, "paused");
        return TONE_NOTE;
    }
    if (r->request || json_is_object(drift)) {
        snprintf(ret, CELL_BYTES, "drift %s", explain_text(drift, "kind", ""));
        return TONE_NOTE;
    }
    snprintf(ret, CELL_BYTES, "%s", explain_text(r->camera, "state", ""));
    return TONE_PLAIN;
}

static void number(char *ret, const char *format, double v)
{
    if (!isfinite(v))
        snprintf(ret, CELL_BYTES, "-");
    else if (strcmp(format, "%+.1f") == 0)
        snprintf(ret, CELL_BYTES, "%+.1f", v);
    else if (strcmp(format, "%.2f") == 0)
        snprintf(ret, CELL_BYTES, "%.2f", v);
    else if (strcmp(format, "%.0f") == 0)
        snprintf(ret, CELL_BYTES, "%.0f", v);
    else
        snprintf(ret, CELL_BYTES, "%.1f", v);
}

static enum tone cell_accuracy(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    number(ret, "%.1f", 100 * explain_number(r->camera, "accuracy"));
    return TONE_PLAIN;
}

static enum tone cell_gain(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    double gain = 100 * gain_of(r->camera);
    number(ret, "%+.1f", gain);
    return gain > 0.05 ? TONE_GOOD : gain < -0.05 ? TONE_BAD : TONE_PLAIN;
}

/* From the least to the most that is there. */
static enum tone cell_trend(const struct row *r, uint64_t now_us, char *ret)
{
    static const char *const steps[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    size_t n = json_array_size(r->history), from = n > TREND ? n - TREND : 0, used = 0;
    double low = INFINITY, high = -INFINITY;
    (void)now_us;
    for (size_t i = from; i < n; i++) {
        double v = json_number_value(json_array_get(r->history, i));
        low = fmin(low, v);
        high = fmax(high, v);
    }
    for (size_t i = from; i < n; i++) {
        double v = json_number_value(json_array_get(r->history, i));
        double part = high - low > 1e-6 ? (v - low) / (high - low) : 0.5;
        int step = (int)(part * 7.999);
        memcpy(ret + used, steps[step < 0 ? 0 : step > 7 ? 7 : step], 3); /* bytes of each */
        used += 3;
    }
    ret[used] = '\0';
    return TONE_PLAIN;
}

static enum tone cell_version(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    double has = explain_number(r->camera, "camera_version"),
           is = explain_number(r->camera, "version");
    number(ret, "%.0f", is);
    return isfinite(has) && has != is ? TONE_NOTE : TONE_PLAIN; /* it does not run it yet */
}

static enum tone cell_group(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    snprintf(ret, CELL_BYTES, "%s", explain_text(r->camera, "group", ""));
    return TONE_PLAIN;
}

static enum tone cell_share(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    number(ret, "%.1f", 100 * explain_number(r->group, "share"));
    return json_is_true(json_object_get(r->group, "trains")) ? TONE_GOOD : TONE_PLAIN;
}

static enum tone cell_fps(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    number(ret, "%.2f", explain_number(r->camera, "sampling_fps"));
    return TONE_PLAIN;
}

static enum tone cell_up(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    number(ret, "%.0f", explain_number(r->camera, "up_kbps"));
    return TONE_PLAIN;
}

static enum tone cell_down(const struct row *r, uint64_t now_us, char *ret)
{
    (void)now_us;
    number(ret, "%.0f", explain_number(r->camera, "down_kbps"));
    return TONE_PLAIN;
}

/* As they stand; the narrower the screen the fewer there are, the highest rank goes first. */
static const struct column {
    const char *head;
    int width; /* negative: to the left */
    int rank;
    char key; /* 0: none sorts by it */
    enum top_sort sort;
    enum tone (*cell)(const struct row *r, uint64_t now_us, char *ret);
} columns[] = {{"camera", -16, 0, 'c', TOP_CAMERA, cell_name},
               {"state", -14, 2, 0, TOP_CAMERA, cell_state},
               {"now %", 6, 1, 'a', TOP_ACCURACY, cell_accuracy},
               {"gain", 6, 3, 'g', TOP_GAIN, cell_gain},
               {"trend", -TREND, 6, 0, TOP_CAMERA, cell_trend},
               {"version", 7, 4, 'v', TOP_VERSION, cell_version},
               {"group", -14, 5, 'r', TOP_GROUP, cell_group},
               {"share %", 7, 7, 's', TOP_SHARE, cell_share},
               {"frames/s", 8, 8, 0, TOP_CAMERA, cell_fps},
               {"up kb/s", 7, 9, 'u', TOP_UP, cell_up},
               {"down", 6, 10, 0, TOP_CAMERA, cell_down}};
#define COLUMN_COUNT ((int)(sizeof columns / sizeof columns[0]))

bool top_sort_key(struct top_view *view, char key)
{
    for (int i = 0; i < COLUMN_COUNT; i++)
        if (columns[i].key && columns[i].key == key) {
            view->reversed = view->sort == columns[i].sort && !view->reversed;
            view->sort = columns[i].sort;
            return true;
        }
    return false;
}

/* Columns up to this rank fit. */
static int ranks_that_fit(int width)
{
    int sum = -2, rank = 0;
    for (; rank < COLUMN_COUNT; rank++) {
        for (int i = 0; i < COLUMN_COUNT; i++)
            if (columns[i].rank == rank)
                sum += abs(columns[i].width) + 2;
        if (sum > width)
            break;
    }
    return rank > 0 ? rank : 1;
}

static void draw_cell(struct screen *s, int width, enum tone tone, const char *text)
{
    int begin = s->at, wide = plain_columns(text);
    if (width > 0)
        fill_to(s, begin + width - (wide < width ? wide : width));
    struct screen cell = *s;
    cell.columns = begin + abs(width) < s->columns ? begin + abs(width) : s->columns;
    put_tone(&cell, tone, text);
    s->at = cell.at;
    fill_to(s, begin + abs(width));
}

static void draw_titles(struct screen *s, const struct top_view *view, int ranks)
{
    bool first = true;
    if (!begin_line(s))
        return;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        const struct column *c = &columns[i];
        char text[32];
        if (c->rank >= ranks)
            continue;
        bool sorts = c->key && c->sort == view->sort;
        snprintf(text, sizeof text, "%s%s", c->head, !sorts ? "" : view->reversed ? "▲" : "▼");
        if (!first)
            fill_to(s, s->at + 2);
        draw_cell(s, c->width, TONE_HEAD, text);
        first = false;
    }
}

static void draw_row(struct screen *s, const struct row *r, int ranks, uint64_t now_us)
{
    bool first = true;
    if (!begin_line(s))
        return;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        char text[CELL_BYTES];
        if (columns[i].rank >= ranks)
            continue;
        enum tone tone = columns[i].cell(r, now_us, text);
        if (!first)
            fill_to(s, s->at + 2);
        draw_cell(s, columns[i].width, tone, text);
        first = false;
    }
}

/* ---- rows in their order ---- */

static double key_of(const struct row *r, enum top_sort sort)
{
    switch (sort) {
    case TOP_ACCURACY:
        return explain_number(r->camera, "accuracy");
    case TOP_GAIN:
        return gain_of(r->camera);
    case TOP_VERSION:
        return explain_number(r->camera, "version");
    case TOP_SHARE:
        return explain_number(r->group, "share");
    case TOP_UP:
        return explain_number(r->camera, "up_kbps");
    default:
        return NAN;
    }
}

/* The most first, unknown last, the same by name. */
static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (isnan(x->key) != isnan(y->key))
        return isnan(x->key) ? 1 : -1;
    if (!isnan(x->key) && x->key != y->key)
        return x->key > y->key ? -1 : 1;
    int named = strcmp(x->name, y->name);
    return named ? named
                 : strcmp(explain_text(x->camera, "id", ""), explain_text(y->camera, "id", ""));
}

static const json_t *find(const json_t *list, const char *key, const char *name)
{
    const json_t *o;
    size_t i;
    json_array_foreach(list, i, o) if (strcmp(explain_text(o, key, ""), name) == 0) return o;
    return NULL;
}

static int list_rows(const json_t *all, const struct top_view *view, struct row **ret)
{
    const json_t *cameras = json_object_get(all, "cameras"), *c;
    size_t i, n = json_array_size(cameras);
    struct row *rows = calloc(n + 1, sizeof *rows);
    json_array_foreach(cameras, i, c)
    {
        if (!rows)
            break;
        const char *id = explain_text(c, "id", ""), *group = explain_text(c, "group", "");
        rows[i] = (struct row){.camera = c,
                               .group = find(json_object_get(all, "groups"), "id", group),
                               .request = find(json_object_get(all, "requests"), "camera", id),
                               .history = json_object_get(json_object_get(all, "history"), id),
                               .name = view->sort == TOP_GROUP ? group : id};
        rows[i].key = key_of(&rows[i], view->sort);
    }
    if (rows && n > 1)
        qsort(rows, n, sizeof *rows, by_key);
    *ret = rows;
    return rows ? (int)n : 0;
}

static void draw_cameras(struct screen *s, const json_t *all, struct top_view *view, int room,
                         uint64_t now_us)
{
    struct row *rows;
    int n = list_rows(all, view, &rows), ranks = ranks_that_fit(s->columns);
    int most = n > room ? n - room : 0;
    view->scroll = view->scroll < 0 ? 0 : view->scroll > most ? most : view->scroll;
    for (int i = 0; i < room && view->scroll + i < n; i++) {
        int at = view->scroll + i;
        draw_row(s, &rows[view->reversed ? n - 1 - at : at], ranks, now_us);
    }
    free(rows);
}

/* ---- events ---- */

static bool is_shown(const json_t *e)
{
    const char *kind = explain_text(e, "kind", "");
    return strcmp(kind, "labelled") != 0 && strcmp(kind, "scheduled") != 0;
}

static void draw_event(struct screen *s, const json_t *e)
{
    char at[16] = "?";
    double t_us = explain_number(e, "t_us");
    time_t t = t_us > 0 ? (time_t)(t_us / 1e6) : 0;
    struct tm parts;
    if (t > 0 && localtime_r(&t, &parts))
        strftime(at, sizeof at, "%H:%M:%S", &parts);
    if (!begin_line(s))
        return;
    const char *who = explain_text(e, "camera", "");
    if (!who[0])
        who = explain_text(e, "group", "");
    say(s, "%s %s%s", at, who, who[0] ? " " : "");
    const char *kind = explain_text(e, "kind", "?");
    bool bad = strstr(kind, "fail") || strstr(kind, "lost") || strstr(kind, "fault") ||
               strcmp(kind, "rejected") == 0;
    put_tone(s, bad ? TONE_BAD : TONE_NOTE, kind);
    say(s, ": %s", explain_text(e, "reason", ""));
}

/* The newest at the bottom. */
static void draw_events(struct screen *s, const json_t *all, int room)
{
    const json_t *list = json_object_get(all, "events"), *shown[EVENTS_MAX];
    int n = 0;
    room = room < EVENTS_MAX ? room : EVENTS_MAX;
    for (size_t i = json_array_size(list); i-- > 0 && n < room;)
        if (is_shown(json_array_get(list, i)))
            shown[n++] = json_array_get(list, i);
    while (n-- > 0)
        draw_event(s, shown[n]);
}

void top_render(const json_t *all, struct top_view *view, int width, int rows, uint64_t now_us,
                struct buf *out)
{
    struct screen s = {.out = out,
                       .columns = width < TOP_COLUMNS_MIN   ? TOP_COLUMNS_MIN
                                  : width > TOP_COLUMNS_MAX ? TOP_COLUMNS_MAX
                                                            : width,
                       .rows = rows < TOP_ROWS_MIN   ? TOP_ROWS_MIN
                               : rows > TOP_ROWS_MAX ? TOP_ROWS_MAX
                                                     : rows,
                       .color = view->color};
    int events = s.rows / 4 < EVENTS_MAX ? s.rows / 4 : EVENTS_MAX;
    draw_head(&s, all);
    draw_compute(&s, all);
    draw_titles(&s, view, ranks_that_fit(s.columns));
    draw_cameras(&s, all, view, s.rows - s.used - events, now_us);
    draw_events(&s, all, s.rows - s.used);
}
