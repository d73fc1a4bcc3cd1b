/* model_check_score.c - see model_check_score.h. */
#include "cmd/model_check_score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval/recording.h"
#include "label/labeller.h"
#include "task/detect_precision.h"
#include "video/frame.h"

struct check_score {
    enum task_kind task;
    struct class_map map;
    int frames;
    struct confusion counts;
    struct detect_precision *precision; /* of a detection, else NULL */
};

void check_score_close(struct check_score **s)
{
    if (!s || !*s)
        return;
    detect_precision_close(&(*s)->precision);
    free(*s);
    *s = NULL;
}

static enum status read_map(struct check_score *s, const struct check_score_source *from,
                            const struct task_spec *spec, struct error *err)
{
    class_map_identity(spec, &s->map);
    enum status st = from->class_map ? class_map_open(from->class_map, &s->map, err) : ST_OK;
    if (st == ST_OK && s->map.network_count != spec->class_count)
        st = error_set(err, ST_INVALID, "%s is for a network of %d classes, this one has %d",
                       from->class_map, s->map.network_count, spec->class_count);
    s->task = spec->task;
    task_counts_init(s->task, s->map.label_count, &s->counts);
    if (st == ST_OK && s->task == TASK_DETECT)
        st = detect_precision_open(s->map.label_count, &s->precision, err);
    return st;
}

static enum status add(struct check_score *s, struct labeller *l, const struct frame *frame,
                       const struct label_map *truth, struct label_map *answer, struct error *err)
{
    enum status st = label_map_resize(answer, truth->width, truth->height, err);
    if (st == ST_OK)
        st = labeller_predict(l, frame, NULL, 0, answer, err);
    if (st != ST_OK)
        return st;
    task_map_classes(s->task, &s->map, answer);
    s->frames++;
    confusion_add(&s->counts, truth->classes, answer->classes,
                  (size_t)truth->width * (size_t)truth->height);
    return s->precision ? detect_precision_add(s->precision, truth->classes, answer->classes, err)
                        : ST_OK;
}

static enum status add_all(struct check_score *s, struct labeller *l, struct recording *r,
                           struct error *err)
{
    const struct frame *frame;
    const struct label_map *truth;
    struct label_map answer;
    enum status st = ST_OK;
    label_map_init(&answer);
    while (st == ST_OK) {
        st = recording_next(r, &frame, &truth, err);
        if (st == ST_OK && truth)
            st = add(s, l, frame, truth, &answer, err);
    }
    label_map_clear(&answer);
    if (st != ST_END)
        return st;
    return s->frames ? ST_OK : error_set(err, ST_NOT_FOUND, "no frame has labels: see --labels");
}

/* The labeller with this network on both sides: as it scales and infers for everybody else. */
static enum status score(struct check_score *s, const struct check_score_source *from,
                         const struct nn_model *m, struct error *err)
{
    struct eval_options o;
    struct labeller *l = NULL;
    struct recording *r = NULL;
    eval_options_init(&o);
    o.source = from->source;
    o.labels_dir = from->labels;
    o.fps = from->fps;
    o.seconds = from->until_s;
    enum status st = labeller_open(m, m, from->threads, &l, err);
    if (st != ST_OK)
        return st;
    const struct task_spec *spec = labeller_student_spec(l);
    st = read_map(s, from, spec, err);
    const struct recording_use use = recording_use_of(spec, spec, &s->map);
    if (st == ST_OK)
        st = recording_open(&o, &use, &r, err);
    if (st == ST_OK)
        st = add_all(s, l, r, err);
    recording_close(&r);
    labeller_close(&l);
    return st;
}

enum status check_score_open(const struct check_score_source *from, const struct nn_model *m,
                             struct check_score **ret, struct error *err)
{
    struct check_score *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for scores");
    enum status st = score(s, from, m, err);
    if (st != ST_OK)
        check_score_close(&s);
    *ret = s;
    return st;
}

/* ---- told ---- */

static void print_value(double v)
{
    if (isnan(v))
        printf("%10s", "-");
    else
        printf("%9.1f%%", 100 * v);
}

static double precision_of(const struct check_score *s, int class_id)
{
    return class_id < 0 ? detect_precision_mean(s->precision)
                        : detect_precision_class(s->precision, class_id);
}

static void print_row(const struct check_score *s, const char *name, double score, int class_id)
{
    printf("%-20.20s", name);
    print_value(score);
    if (s->precision)
        print_value(precision_of(s, class_id));
    puts("");
}

void check_score_print(const struct check_score *s)
{
    printf("%d labelled frames\n%-20s%10s%s\n", s->frames, "", task_score_name(s->task),
           s->precision ? "       mAP" : "");
    print_row(s, "all", task_score(s->task, &s->counts), -1);
    for (int k = 0; k < s->map.label_count; k++)
        print_row(s, s->map.label_name[k], task_class_score(s->task, &s->counts, k), k);
}

static json_t *real(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static json_t *row_json(const struct check_score *s, double score, int class_id)
{
    json_t *row = json_pack("{s:o}", "score", real(score));
    if (s->precision)
        json_object_set_new(row, "average_precision", real(precision_of(s, class_id)));
    return row;
}

json_t *check_score_json(const struct check_score *s)
{
    json_t *classes = json_object(), *all = row_json(s, task_score(s->task, &s->counts), -1);
    for (int k = 0; k < s->map.label_count; k++)
        json_object_set_new(classes, s->map.label_name[k],
                            row_json(s, task_class_score(s->task, &s->counts, k), k));
    json_object_set_new(all, "metric", json_string(task_score_name(s->task)));
    json_object_set_new(all, "frames", json_integer(s->frames));
    json_object_set_new(all, "classes", classes);
    return all;
}
