/* model_train_score.c - the task's score and that of each class, as a table or as JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/progress.h"
#include "cmd/model_train.h"
#include "train/town_samples.h"

static void print_score(enum task_kind task, const char *name, const struct confusion *c)
{
    printf("%-12s %6.1f", name, 100 * task_score(task, c));
    int things = c->boxes ? c->class_count - 1 : c->class_count;
    for (int k = 0; k < things; k++) {
        double score = task_class_score(task, c, k);
        if (isnan(score))
            printf("%9s", "-");
        else
            printf("%9.1f", 100 * score);
    }
    printf("\n");
}

static void print_header(enum task_kind task, const struct class_map *map)
{
    printf("%-12s %6s", "score", task_score_name(task));
    for (int k = 0; k < map->label_count; k++)
        printf("%9.8s", map->label_name[k]);
    printf("\n");
}

static json_t *real(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static json_t *score_json(enum task_kind task, const char *name, const struct class_map *map,
                          const struct confusion *c, uint64_t frames)
{
    json_t *classes = json_object();
    for (int k = 0; k < map->label_count; k++)
        json_object_set_new(classes, map->label_name[k], real(task_class_score(task, c, k)));
    json_t *o =
        json_pack("{s:s, s:o, s:I, s:O}", "condition", name, "accuracy", real(task_score(task, c)),
                  "frames", (json_int_t)frames, "classes", classes);
    if (task == TASK_SEGMENT) {
        json_object_set_new(o, "miou", real(task_score(task, c)));
        json_object_set(o, "iou", classes);
    }
    json_decref(classes);
    return o;
}

static enum status report_samples(const struct train_scores *s, const char *name,
                                  struct samples *samples, uint64_t count, const float *params,
                                  struct error *err)
{
    struct confusion *c = malloc(sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory to score a network");
    enum status st =
        samples_score(samples, count, s->model, params, s->args->train.threads, c, err);
    if (st == ST_OK && s->args->json)
        json_array_append_new(s->rows, score_json(s->args->task, name, &samples->map, c, count));
    else if (st == ST_OK)
        print_score(s->args->task, name, c);
    free(c);
    return st;
}

static enum status report_town(const struct train_scores *s, const float *params, struct error *err)
{
    struct task_spec spec;
    struct progress bar;
    enum status st = town_spec_read(s->model, &spec, err);
    progress_init(&bar, "scoring", TOWN_TRIAL_COUNT, s->args->json, clock_mono_us());
    for (int i = 0; i < TOWN_TRIAL_COUNT && st == ST_OK; i++) {
        struct samples *samples = NULL;
        progress_update(&bar, (uint64_t)i, town_trials[i].name, clock_mono_us());
        st = town_trial_samples_open(&spec, &town_trials[i], 1, &samples, err);
        progress_clear(&bar);
        if (st == ST_OK && i == 0 && !s->args->json)
            print_header(s->args->task, &samples->map);
        if (st == ST_OK)
            st =
                report_samples(s, town_trials[i].name, samples,
                               (uint64_t)s->args->frames * town_samples_a_view(&spec), params, err);
        samples_close(&samples);
    }
    return st;
}

enum status train_report(const struct train_scores *s, const float *params, struct error *err)
{
    if (!s->args->data)
        return report_town(s, params, err);
    if (!s->validation)
        return ST_OK;
    if (!s->args->json)
        print_header(s->args->task, &s->validation->map);
    return report_samples(s, "validation", s->validation, s->validation->count, params, err);
}
