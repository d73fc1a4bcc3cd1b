/* eval.c - one pass over the source: every frame is scored by every mode, then sampled by it. */
#include "eval/eval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "eval/lane.h"
#include "eval/recording.h"
#include "eval/score.h"
#include "video/frame.h"

static const char *const mode_names[] = {
#define MODE_TEXT(name, text) text,
    EVAL_MODE_LIST(MODE_TEXT)
#undef MODE_TEXT
};
_Static_assert(NAMES_COUNT(mode_names) == EVAL_MODE_COUNT, "a name for each mode");

const char *eval_mode_name(enum eval_mode mode)
{
    return names_text(mode_names, EVAL_MODE_COUNT, mode, "unknown");
}

enum eval_mode eval_mode_parse(const char *name)
{
    return (enum eval_mode)names_find(mode_names, EVAL_MODE_COUNT, name, EVAL_MODE_COUNT);
}

void eval_options_init(struct eval_options *o)
{
    *o = (struct eval_options){.fps = 1,
                               .uplink_kbps = 300,
                               .downlink_kbps = 300,
                               .train_steps_per_s = 20,
                               .seed = 1,
                               .threads = 1};
}

void eval_result_clear(struct eval_result *r)
{
    for (size_t i = 0; i < EVAL_MODE_COUNT; i++)
        free(r->modes[i].series);
    memset(r, 0, sizeof *r);
}

/* Everything that a run holds; cleared as a whole. */
struct run {
    const struct eval_options *options;
    struct nn_model *student, *teacher;
    enum task_kind task;
    struct class_map map;
    struct teach *teach;
    struct recording *stream;
    struct lane *lanes[EVAL_MODE_COUNT];
    struct score *scores[EVAL_MODE_COUNT];
    struct label_map taught, answered; /* at the size that is scored */
    uint64_t last_us, frames;
};

static enum status open_models(struct run *r, struct error *err)
{
    enum status st = nn_model_open(r->options->student, NULL, &r->student, err);
    if (st == ST_OK)
        st = nn_model_open(r->options->teacher, NULL, &r->teacher, err);
    if (st != ST_OK)
        return st;
    struct recipe recipe;
    st = lane_recipe(r->options, EVAL_ATTUNE, &recipe, err);
    if (st == ST_OK)
        st = teach_open(r->student, r->teacher, recipe.learning.soft_width,
                        recipe.learning.soft_height, r->options->threads, &r->teach, err);
    if (st != ST_OK)
        return st;
    const struct task_spec *spec = labeller_student_spec(teach_labeller(r->teach));
    r->task = spec->task;
    class_map_identity(spec, &r->map);
    if (r->options->class_map)
        st = class_map_open(r->options->class_map, &r->map, err);
    if (st == ST_OK && r->map.network_count != spec->class_count)
        st = error_set(err, ST_INVALID, "%s is for a network of %d classes, the student has %d",
                       r->options->class_map, r->map.network_count, spec->class_count);
    return st;
}

static enum status open_stream(struct run *r, struct error *err)
{
    struct labeller *l = teach_labeller(r->teach);
    const struct recording_use use =
        recording_use_of(labeller_student_spec(l), labeller_teacher_spec(l), &r->map);
    return recording_open(r->options, &use, &r->stream, err);
}

static enum status open_lanes(struct run *r, struct error *err)
{
    uint8_t chosen[CLASSES_MAX];
    for (int k = 0; k < CLASSES_MAX; k++)
        chosen[k] = k < r->map.network_count && r->map.to_label[k] != LABEL_IGNORE;
    labeller_choose(teach_labeller(r->teach), chosen);
    struct lane_shared shared = {
        .options = r->options, .student = r->student, .teach = r->teach, .map = &r->map};
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < r->options->mode_count; i++) {
        st = lane_open(&shared, r->options->modes[i], &r->lanes[i], err);
        if (st == ST_OK)
            st = score_open(r->task, &r->map, &r->scores[i], err);
    }
    return st;
}

static void run_clear(struct run *r)
{
    for (size_t i = 0; i < EVAL_MODE_COUNT; i++) {
        lane_close(&r->lanes[i]);
        score_close(&r->scores[i]);
    }
    recording_close(&r->stream);
    teach_close(&r->teach);
    label_map_clear(&r->taught);
    label_map_clear(&r->answered);
    nn_model_close(&r->teacher);
    nn_model_close(&r->student);
}

/* Scores are at the ground truth's size, at the student's output size without. */
static enum status size_maps(struct run *r, const struct label_map *truth, struct error *err)
{
    const struct task_spec *spec = labeller_student_spec(teach_labeller(r->teach));
    int width = truth ? truth->width : spec->out_width;
    int height = truth ? truth->height : spec->out_height;
    enum status st = label_map_resize(&r->taught, width, height, err);
    return st == ST_OK ? label_map_resize(&r->answered, width, height, err) : st;
}

static enum status score_frame(struct run *r, const struct frame *frame,
                               const struct label_map *truth, struct error *err)
{
    enum status st = size_maps(r, truth, err);
    if (st == ST_OK)
        st = labeller_teach(teach_labeller(r->teach), frame, &r->taught, err);
    if (st != ST_OK)
        return st;
    task_map_classes(r->task, &r->map, &r->taught);
    for (size_t i = 0; st == ST_OK && i < r->options->mode_count; i++) {
        st = lane_predict(r->lanes[i], frame, &r->answered, err);
        if (st != ST_OK)
            break;
        task_map_classes(r->task, &r->map, &r->answered);
        st = score_add(r->scores[i], frame->t_us, &r->answered, &r->taught, truth, err);
        if (st == ST_OK)
            st = lane_sample(r->lanes[i], frame, err);
    }
    return st;
}

static enum status run_frames(struct run *r, eval_progress *progress, void *user, struct error *err)
{
    for (;;) {
        const struct frame *frame;
        const struct label_map *truth = NULL;
        enum status st = recording_next(r->stream, &frame, &truth, err);
        if (st == ST_END)
            return r->frames ? ST_OK
                             : error_set(err, ST_NOT_FOUND, "%s has no frames", r->options->source);
        if (st == ST_OK)
            st = score_frame(r, frame, truth, err);
        if (st != ST_OK)
            return st;
        r->last_us = frame->t_us;
        r->frames++;
        if (progress)
            progress(user, r->frames, recording_frames(r->stream), NULL);
    }
}

static void collect(struct run *r, struct eval_result *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->duration_s = (double)r->last_us / 1e6 + 1.0 / r->options->fps;
    ret->task = r->task;
    ret->mode_count = r->options->mode_count;
    for (size_t i = 0; i < ret->mode_count; i++) {
        score_finish(r->scores[i], &ret->modes[i]);
        lane_finish(r->lanes[i], ret->duration_s, &ret->modes[i]);
    }
}

enum status eval_run(const struct eval_options *options, eval_progress *progress, void *user,
                     struct eval_result *ret, struct error *err)
{
    struct run r = {.options = options};
    label_map_init(&r.taught);
    label_map_init(&r.answered);
    enum status st = open_models(&r, err);
    if (st == ST_OK)
        st = open_stream(&r, err);
    if (st == ST_OK)
        st = open_lanes(&r, err);
    if (st == ST_OK)
        st = run_frames(&r, progress, user, err);
    if (st == ST_OK)
        collect(&r, ret);
    run_clear(&r);
    return st;
}
