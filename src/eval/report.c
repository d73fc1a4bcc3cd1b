/* report.c - numbers to text and JSON; the chart is plot.c's. */
#include "eval/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/plot.h"

static const struct eval_mode_result *find(const struct eval_result *r, enum eval_mode mode)
{
    for (size_t i = 0; i < r->mode_count; i++)
        if (r->modes[i].mode == mode)
            return &r->modes[i];
    return NULL;
}

double report_gap_closed(const struct eval_result *r, const struct eval_mode_result *mode)
{
    const struct eval_mode_result *none = find(r, EVAL_NONE);
    if (!none)
        return NAN;
    const struct eval_score *a = &mode->after_warm_up, *b = &none->after_warm_up;
    if (!isnan(b->accuracy_truth))
        return (a->accuracy_truth - b->accuracy_truth) / (b->teacher_truth - b->accuracy_truth);
    return (a->accuracy_teacher - b->accuracy_teacher) / (1.0 - b->accuracy_teacher);
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

/* Under the general name, and of a segmentation under the metric's own. */
static void set_accuracies(json_t *o, enum task_kind task, double teacher, double truth)
{
    json_object_set_new(o, "accuracy_teacher", number(teacher));
    json_object_set_new(o, "accuracy_truth", number(truth));
    if (task != TASK_SEGMENT)
        return;
    json_object_set_new(o, "miou_teacher", number(teacher));
    json_object_set_new(o, "miou_truth", number(truth));
}

static void set_score(json_t *o, enum task_kind task, const struct eval_score *s)
{
    json_object_set_new(o, "frames", json_integer((json_int_t)s->frames));
    set_accuracies(o, task, s->accuracy_teacher, s->accuracy_truth);
    json_object_set_new(o, "teacher_truth", number(s->teacher_truth));
}

static json_t *series_json(enum task_kind task, const struct eval_mode_result *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->series_count; i++) {
        json_t *p = json_object();
        json_object_set_new(p, "t_s", number(m->series[i].t_s));
        set_accuracies(p, task, m->series[i].accuracy_teacher, m->series[i].accuracy_truth);
        json_array_append_new(list, p);
    }
    return list;
}

/* Mean average precision, of a detection. */
static json_t *precision_json(const struct eval_score *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "teacher", number(s->accuracy_teacher));
    json_object_set_new(o, "truth", number(s->accuracy_truth));
    json_object_set_new(o, "teacher_truth", number(s->teacher_truth));
    return o;
}

static json_t *mode_json(const struct eval_result *r, const struct eval_mode_result *m)
{
    json_t *o = json_object(), *late = json_object();
    json_object_set_new(o, "mode", json_string(eval_mode_name(m->mode)));
    set_score(o, r->task, &m->whole);
    json_object_set_new(o, "uplink_kbps", number(m->uplink_kbps));
    json_object_set_new(o, "downlink_kbps", number(m->downlink_kbps));
    json_object_set_new(o, "phases", json_integer((json_int_t)m->phases));
    json_object_set_new(o, "train_steps", json_integer((json_int_t)m->train_steps));
    json_object_set_new(o, "rejected", json_integer((json_int_t)m->rejected));
    json_object_set_new(o, "deltas", json_integer((json_int_t)m->deltas));
    if (r->task == TASK_DETECT)
        json_object_set_new(o, "map", precision_json(&m->precision));
    set_score(late, r->task, &m->after_warm_up);
    json_object_set_new(late, "gap_closed", number(report_gap_closed(r, m)));
    json_object_set_new(o, "after_60s", late);
    json_object_set_new(o, "series", series_json(r->task, m));
    return o;
}

json_t *report_json(const struct eval_result *r)
{
    json_t *o = json_object(), *modes = json_array();
    if (!o || !modes) {
        json_decref(o);
        json_decref(modes);
        return NULL;
    }
    json_object_set_new(o, "task", json_string(task_name(r->task)));
    json_object_set_new(o, "duration_s", number(r->duration_s));
    for (size_t i = 0; i < r->mode_count; i++)
        json_array_append_new(modes, mode_json(r, &r->modes[i]));
    json_object_set_new(o, "modes", modes);
    return o;
}

/* "49.9", or "-" where there is nothing to say. */
static void put_percent(struct buf *out, double v)
{
    if (isfinite(v))
        buf_printf(out, "%8.1f", 100.0 * v);
    else
        buf_printf(out, "%8s", "-");
}

static void put_row(const struct eval_result *r, const struct eval_mode_result *m, struct buf *out)
{
    buf_printf(out, "%-9s%8llu", eval_mode_name(m->mode), (unsigned long long)m->whole.frames);
    put_percent(out, m->whole.accuracy_teacher);
    put_percent(out, m->whole.accuracy_truth);
    put_percent(out, m->after_warm_up.accuracy_teacher);
    put_percent(out, m->after_warm_up.accuracy_truth);
    put_percent(out, m->mode == EVAL_NONE ? NAN : report_gap_closed(r, m));
    buf_printf(out, "%9.1f%9.1f%8llu%8llu%8llu\n", m->uplink_kbps, m->downlink_kbps,
               (unsigned long long)m->phases, (unsigned long long)m->train_steps,
               (unsigned long long)m->rejected);
}

static void put_precision(const struct eval_result *r, struct buf *out)
{
    buf_printf(
        out,
        "\nmAP at an intersection over union of 0.5, whole run\nmode            teacher   truth\n");
    for (size_t i = 0; i < r->mode_count; i++) {
        buf_printf(out, "%-15s", eval_mode_name(r->modes[i].mode));
        put_percent(out, r->modes[i].precision.accuracy_teacher);
        put_percent(out, r->modes[i].precision.accuracy_truth);
        buf_printf(out, "\n");
    }
    if (r->mode_count > 0 && isfinite(r->modes[0].precision.teacher_truth)) {
        buf_printf(out, "%-15s%8s", "(teacher)", "");
        put_percent(out, r->modes[0].precision.teacher_truth);
        buf_printf(out, "\n");
    }
}

void report_table(const struct eval_result *r, struct buf *out)
{
    char whole[32], late[32];
    snprintf(whole, sizeof whole, "%s, whole", task_score_name(r->task));
    snprintf(late, sizeof late, "%s, after 60 s", task_score_name(r->task));
    buf_printf(out, "%-17s%-17s%-23sgap    kbit/s\n", "in percent", whole, late);
    buf_printf(out, "mode       frames teacher   truth teacher   truth  closed%%       up     down"
                    "  phases   steps rejected\n");
    for (size_t i = 0; i < r->mode_count; i++)
        put_row(r, &r->modes[i], out);
    if (r->mode_count > 0 && isfinite(r->modes[0].whole.teacher_truth)) {
        buf_printf(out, "%-9s%8s%8s", "(teacher)", "", "");
        put_percent(out, r->modes[0].whole.teacher_truth);
        buf_printf(out, "%8s", "");
        put_percent(out, r->modes[0].after_warm_up.teacher_truth);
        buf_printf(out, "\n");
    }
    if (r->task == TASK_DETECT)
        put_precision(r, out);
}

/* One line a mode, against ground truth where there is any. */
static enum status draw(const struct eval_result *r, double *values, const char *title,
                        const char *path, struct error *err)
{
    bool truth = r->mode_count > 0 && isfinite(r->modes[0].whole.accuracy_truth);
    struct plot_series series[EVAL_MODE_COUNT];
    for (size_t i = 0; i < r->mode_count; i++) {
        const struct eval_mode_result *m = &r->modes[i];
        double *x = values, *y = values + m->series_count;
        values = y + m->series_count;
        for (size_t k = 0; k < m->series_count; k++) {
            x[k] = m->series[k].t_s;
            y[k] = 100 * (truth ? m->series[k].accuracy_truth : m->series[k].accuracy_teacher);
        }
        series[i] = (struct plot_series){eval_mode_name(m->mode), x, y, m->series_count};
    }
    struct plot_options o;
    plot_options_init(&o);
    char label[80];
    snprintf(label, sizeof label, "%s %% against %s, last 10 s", task_score_name(r->task),
             truth ? "ground truth" : "the teacher");
    o.title = title;
    o.y_label = label;
    return plot_png_file(series, (int)r->mode_count, &o, path, err);
}

enum status report_plot(const struct eval_result *r, const char *title, const char *path,
                        struct error *err)
{
    size_t points = 0;
    for (size_t i = 0; i < r->mode_count; i++)
        points += r->modes[i].series_count;
    double *values = calloc(points ? 2 * points : 1, sizeof *values);
    if (!values)
        return error_set(err, ST_NOMEM, "no memory for the chart");
    enum status st = draw(r, values, title, path, err);
    free(values);
    return st;
}
