/* demo_view.c - a bar and a line for each camera while it runs, a table at the end. */
#include "cmd/demo_view.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define BAR_CELLS 30
#define LINE_PERIOD_US 10000000

void demo_camera_init(struct demo_camera *c, const char *id)
{
    *c = (struct demo_camera){.id = id,
                              .now = NAN,
                              .now_unadapted = NAN,
                              .exact = NAN,
                              .exact_unadapted = NAN,
                              .teacher = NAN,
                              .teacher_unadapted = NAN};
}

static double number_of(const json_t *json, const char *key)
{
    const json_t *v = json_object_get(json, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static uint64_t count_of(const json_t *json, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(json, key));
}

static void take_score(struct demo_camera *c, const json_t *json)
{
    const char *condition = json_string_value(json_object_get(json, "condition"));
    snprintf(c->condition, sizeof c->condition, "%s", condition ? condition : "");
    c->now = number_of(json, "miou_10s");
    c->now_unadapted = number_of(json, "miou_unadapted_10s");
    c->up_kbps = number_of(json, "up_kbps");
    c->down_kbps = number_of(json, "down_kbps");
    c->version = count_of(json, "version");
    c->frames = count_of(json, "frames");
}

static void take_summary(struct demo_camera *c, const json_t *json)
{
    c->finished = true;
    c->exact = number_of(json, "miou_60s");
    c->exact_unadapted = number_of(json, "miou_unadapted_60s");
    c->up_kbps = number_of(json, "up_kbps");
    c->down_kbps = number_of(json, "down_kbps");
    c->latency_p95_ms = number_of(json, "latency_p95_ms");
    c->frames = count_of(json, "frames");
    c->version = count_of(json, "version");
    c->versions_applied = count_of(json, "versions_applied");
    c->dropped_late = count_of(json, "dropped_late");
    c->dropped_by_swap = count_of(json, "dropped_by_swap");
}

void demo_camera_line(struct demo_camera *c, const char *line)
{
    static const char frame[] = "{\"type\":\"frame\"";
    if (strncmp(line, frame, sizeof frame - 1) == 0)
        return;
    json_t *json = json_loads(line, 0, NULL);
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type && strcmp(type, "score") == 0)
        take_score(c, json);
    else if (type && strcmp(type, "summary") == 0)
        take_summary(c, json);
    json_decref(json);
}

/* "0.71" or "-" into text. */
static const char *accuracy(double v, char text[8])
{
    if (isfinite(v))
        snprintf(text, 8, "%.3f", v);
    else
        snprintf(text, 8, "-");
    return text;
}

/* "+12.3" percentage points, or "". */
static const char *points(double better, double worse, char text[16])
{
    text[0] = '\0';
    if (isfinite(better) && isfinite(worse))
        snprintf(text, 16, "%+.1f", (better - worse) * 100);
    return text;
}

static void draw_bar(const struct demo_view *v, uint64_t now_us)
{
    uint64_t spent_us = now_us - v->start_us;
    if (spent_us > v->total_us)
        spent_us = v->total_us;
    int full = v->total_us ? (int)(spent_us * BAR_CELLS / v->total_us) : 0;
    fprintf(v->to, "\033[2K  [");
    for (int i = 0; i < BAR_CELLS; i++)
        fputc(i < full ? '#' : '.', v->to);
    fprintf(v->to, "] %" PRIu64 ":%02" PRIu64 " of %" PRIu64 ":%02" PRIu64 "   page: %s\n\n",
            spent_us / 60000000, spent_us / 1000000 % 60, v->total_us / 60000000,
            v->total_us / 1000000 % 60, v->page);
}

static void draw_camera(FILE *to, const struct demo_camera *c)
{
    char a[8], b[8], d[16];
    fprintf(to, "\033[2K  %-10s %-34.34s %9s %9s %7s   v%-4" PRIu64 " %6.0f %6.0f\n", c->id,
            c->condition, accuracy(c->now_unadapted, b), accuracy(c->now, a),
            points(c->now, c->now_unadapted, d), c->version, c->up_kbps, c->down_kbps);
}

static void draw_block(struct demo_view *v, const struct demo_camera *cameras, uint64_t now_us)
{
    if (v->drawn)
        fprintf(v->to, "\033[%dA", 4 + DEMO_CAMERAS);
    v->drawn = true;
    draw_bar(v, now_us);
    fprintf(v->to, "\033[2K  %-45s %s\n", "", "mIoU, last 10 s, exact labels   model  kbit/s");
    fprintf(v->to, "\033[2K  %-10s %-34s %9s %9s %7s   %-5s %6s %6s\n", "camera", "scene",
            "unadapted", "adapted", "points", "", "up", "down");
    for (int i = 0; i < DEMO_CAMERAS; i++)
        draw_camera(v->to, &cameras[i]);
    fflush(v->to);
}

static void print_lines(struct demo_view *v, const struct demo_camera *cameras, uint64_t now_us)
{
    if (now_us - v->line_us < LINE_PERIOD_US)
        return;
    v->line_us = now_us;
    for (int i = 0; i < DEMO_CAMERAS; i++) {
        const struct demo_camera *c = &cameras[i];
        char a[8], b[8];
        fprintf(v->to,
                "%3" PRIu64 " s  %s: %s; unadapted %s, adapted %s; version %" PRIu64
                "; %.0f kbit/s up, %.0f down\n",
                (now_us - v->start_us) / 1000000, c->id, c->condition,
                accuracy(c->now_unadapted, b), accuracy(c->now, a), c->version, c->up_kbps,
                c->down_kbps);
    }
    fflush(v->to);
}

void demo_view_draw(struct demo_view *v, const struct demo_camera *cameras, uint64_t now_us)
{
    if (v->to && v->terminal)
        draw_block(v, cameras, now_us);
    else if (v->to)
        print_lines(v, cameras, now_us);
}

static void print_members(FILE *to, const json_t *cameras)
{
    const json_t *c;
    size_t i;
    json_array_foreach(cameras, i, c) fprintf(to, "%s%s", i ? ", " : "", json_string_value(c));
}

/* Who shares a model, and what the updates of all groups came to. */
static void print_groups(FILE *to, const json_t *answer)
{
    const json_t *groups = json_object_get(answer, "groups"), *g;
    double made = 0, sent = 0;
    size_t i;
    if (json_array_size(groups) == 0)
        return;
    fprintf(to, "learning together at the end: ");
    json_array_foreach(groups, i, g)
    {
        made += json_number_value(json_object_get(g, "encoded_bytes"));
        sent += json_number_value(json_object_get(g, "served_bytes"));
        fputs(i ? " | " : "", to);
        print_members(to, json_object_get(g, "cameras"));
    }
    fprintf(to, "\ntheir updates: %.0f kB made, %.0f kB sent\n\n", made / 1e3, sent / 1e3);
}

void demo_print_table(FILE *to, const struct demo_camera *cameras, const json_t *groups)
{
    fprintf(to,
            "\n           mIoU over the last minute\n"
            "           against exact labels       against the teacher        kbit/s       frames"
            "                  latency\n"
            "camera     unadapt. adapted points    unadapt. adapted points      up  down   shown"
            "  late  by swaps     p95\n");
    for (int i = 0; i < DEMO_CAMERAS; i++) {
        const struct demo_camera *c = &cameras[i];
        char a[8], b[8], d[16], e[8], f[8], g[16];
        fprintf(to,
                "%-10s %8s %7s %6s    %8s %7s %6s    %5.0f %5.0f   %5" PRIu64 " %5" PRIu64
                " %9" PRIu64 " %4.1f ms\n",
                c->id, accuracy(c->exact_unadapted, a), accuracy(c->exact, b),
                points(c->exact, c->exact_unadapted, d), accuracy(c->teacher_unadapted, e),
                accuracy(c->teacher, f), points(c->teacher, c->teacher_unadapted, g), c->up_kbps,
                c->down_kbps, c->frames, c->dropped_late, c->dropped_by_swap, c->latency_p95_ms);
    }
    fputc('\n', to);
    print_groups(to, groups);
}

static json_t *real_or_null(double v)
{
    return isfinite(v) ? json_real(round(v * 10000) / 10000) : json_null();
}

static json_t *camera_json(const struct demo_camera *c)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "id",
                     c->id, "miou", real_or_null(c->exact), "miou_unadapted",
                     real_or_null(c->exact_unadapted), "teacher_miou", real_or_null(c->teacher),
                     "teacher_miou_unadapted", real_or_null(c->teacher_unadapted), "up_kbps",
                     real_or_null(c->up_kbps), "down_kbps", real_or_null(c->down_kbps),
                     "latency_p95_ms", real_or_null(c->latency_p95_ms), "frames",
                     (json_int_t)c->frames, "dropped_late", (json_int_t)c->dropped_late,
                     "dropped_by_swap", (json_int_t)c->dropped_by_swap, "version",
                     (json_int_t)c->version, "versions_applied", (json_int_t)c->versions_applied);
}

static json_t *groups_json(const json_t *answer)
{
    json_t *all = json_array();
    const json_t *g;
    size_t i;
    json_array_foreach(json_object_get(answer, "groups"), i, g)
        json_array_append(all, json_object_get(g, "cameras"));
    return all;
}

void demo_print_json(FILE *to, const struct demo_camera *cameras, const json_t *groups,
                     double elapsed_s, const char *reasons)
{
    json_t *list = json_array();
    for (int i = 0; i < DEMO_CAMERAS; i++)
        json_array_append_new(list, camera_json(&cameras[i]));
    json_t *json = json_pack("{s:o, s:o, s:o, s:b, s:s}", "cameras", list, "groups",
                             groups_json(groups), "elapsed_s", real_or_null(elapsed_s), "passed",
                             reasons[0] == '\0', "reasons", reasons);
    json_dumpf(json, to, JSON_COMPACT | JSON_REAL_PRECISION(8));
    fputc('\n', to);
    json_decref(json);
}
