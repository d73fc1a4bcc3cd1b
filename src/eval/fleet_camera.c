/* fleet_camera.c - see fleet_camera.h. */
#include "eval/fleet_camera.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/loss.h"
#include "video/frame.h"

#define PROBE_EVERY 4 /* labelled frames */

static enum status open_stream(struct fleet_camera *c, struct error *err)
{
    struct eval_options o;
    const struct fleet_scenario *s = c->shared->options->scenario;
    eval_options_init(&o);
    o.source = c->source->source;
    o.fps = s->fps;
    o.seconds = s->seconds;
    o.seed = c->shared->options->seed;
    o.student = s->student;
    o.teacher = s->teacher;
    const struct recording_use use =
        recording_use_of(&c->spec, labeller_teacher_spec(c->shared->labeller), &c->shared->map);
    enum status st = recording_open(&o, &use, &c->recording, err);
    if (st == ST_OK)
        st = recording_next(c->recording, &c->lent, &c->lent_truth, err);
    return st == ST_OK ? st : error_prefix(err, "camera %s", c->source->id);
}

static enum status open_student(struct fleet_camera *c, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.threads = c->shared->options->threads;
    o.precision = nn_precision_of_model(c->shared->student);
    o.logits = true;
    enum status st = nn_session_open(c->shared->student, &o, &c->session, err);
    for (int i = 0; i < FLEET_AGE_MAX && st == ST_OK; i++)
        st = frame_resize(&c->frames[i], c->spec.width, c->spec.height, err);
    if (st == ST_OK)
        st = label_map_resize(&c->native, c->spec.out_width, c->spec.out_height, err);
    return st;
}

/* Rates alone: the town's cameras have one size. */
static void init_inference(struct fleet_camera *c)
{
    struct inference_grid grid = {.stride_count = 6,
                                  .scale_count = 1,
                                  .strides = {1, 2, 3, 4, 8, FLEET_AGE_MAX},
                                  .scales = {1}};
    inference_profile_init(&c->inference, &grid, c->shared->options->scenario->fps);
    inference_profile_add_frame(&c->inference, 0);
    inference_profile_add_pass(&c->inference, 0);
    inference_profile_add_background(&c->inference, 0);
    inference_profile_add_infer(&c->inference, 0, c->shared->infer_s);
    fleet_camera_update_curve(c);
}

enum status fleet_camera_open(const struct fleet_shared *shared, const struct fleet_source *source,
                              struct fleet_camera *c, struct error *err)
{
    const struct fleet_options *o = shared->options;
    *c = (struct fleet_camera){.shared = shared,
                               .source = source,
                               .spec = *labeller_student_spec(shared->labeller),
                               .deployed_accuracy = NAN};
    scaler_init(&c->scaler);
    enum status st = open_stream(c, err);
    if (st == ST_OK)
        st = open_student(c, err);
    if (st == ST_OK)
        st = score_open(c->spec.task, &shared->map, &c->score, err);
    if (st == ST_OK)
        st = learner_open(shared->student, &shared->learning,
                          rng_hash(o->seed, (uint64_t)(source - o->scenario->cameras), 0, 0),
                          &c->learner, err);
    if (st == ST_OK)
        init_inference(c);
    return st;
}

void fleet_camera_close(struct fleet_camera *c)
{
    recording_close(&c->recording);
    score_close(&c->score);
    nn_session_close(&c->session);
    learner_close(&c->learner);
    scaler_clear(&c->scaler);
    for (int i = 0; i < FLEET_AGE_MAX; i++)
        frame_clear(&c->frames[i]);
    for (int i = 0; i < FLEET_PENDING_MAX; i++) {
        frame_clear(&c->pending[i].frame);
        label_map_clear(&c->pending[i].labels);
    }
    label_map_clear(&c->native);
    label_map_clear(&c->answer);
    label_map_clear(&c->taught);
}

static struct frame *ring_frame(struct fleet_camera *c, uint64_t n)
{
    return &c->frames[n % FLEET_AGE_MAX];
}

/* The student's classes of one kept frame into c->native. */
static enum status infer(struct fleet_camera *c, uint64_t n, struct error *err)
{
    struct nn_view in = nn_session_input(c->session, 0);
    task_input(&c->spec, ring_frame(c, n), &in, 0);
    enum status st = nn_session_forward(c->session, err);
    if (st != ST_OK)
        return st;
    struct nn_view out = nn_session_output(c->session, 0);
    task_answer(&c->spec, &out, c->shared->learning.class_chosen, c->native.classes);
    return ST_OK;
}

/* Ground truth where there is any, else the teacher's answer, in label classes. */
static enum status reference(struct fleet_camera *c, const struct frame *frame,
                             const struct label_map *truth, struct error *err)
{
    int width = truth ? truth->width : c->spec.out_width;
    int height = truth ? truth->height : c->spec.out_height;
    enum status st = label_map_resize(&c->taught, width, height, err);
    if (st == ST_OK)
        st = label_map_resize(&c->answer, width, height, err);
    if (st != ST_OK)
        return st;
    if (truth) {
        memcpy(c->taught.classes, truth->classes, (size_t)width * (size_t)height);
        return ST_OK;
    }
    st = labeller_teach(c->shared->labeller, frame, &c->taught, err);
    task_map_classes(c->spec.task, &c->shared->map, &c->taught);
    return st;
}

static enum status score(struct fleet_camera *c, const struct frame *frame,
                         const struct label_map *truth, struct error *err)
{
    enum status st = reference(c, frame, truth, err);
    if (st != ST_OK)
        return st;
    if (c->answered)
        task_resize_labels(&c->native, &c->answer);
    else
        task_no_answer(c->spec.task, &c->answer);
    task_map_classes(c->spec.task, &c->shared->map, &c->answer);
    return score_add(c->score, frame->t_us, &c->answer, &c->taught, truth, err);
}

static enum status take_frame(struct fleet_camera *c, double infer_share, double *used_s,
                              struct error *err)
{
    const struct frame *frame = c->lent;
    uint64_t n = c->frame_count;
    enum status st = scaler_run(&c->scaler, frame, ring_frame(c, n), err);
    if (st != ST_OK)
        return st;
    ring_frame(c, n)->t_us = frame->t_us;
    c->frame_count++;
    double fps = c->shared->options->scenario->fps;
    double interval = infer_share > 0 ? fps * c->shared->infer_s / infer_share : INFINITY;
    if ((double)n + 1e-9 >= c->next_infer && isfinite(interval)) {
        st = infer(c, n, err);
        c->answered = true;
        c->next_infer = fmax(c->next_infer, (double)n - 1) + (interval > 1 ? interval : 1);
        *used_s += c->shared->infer_s;
    }
    return st == ST_OK ? score(c, frame, c->lent_truth, err) : st;
}

enum status fleet_camera_frame(struct fleet_camera *c, double now_s, double infer_share,
                               double *used_s, struct error *err)
{
    enum status st = ST_OK;
    while (st == ST_OK && (double)c->lent->t_us <= now_s * 1e6 + 1) {
        st = take_frame(c, infer_share, used_s, err);
        if (st == ST_OK)
            st = recording_next(c->recording, &c->lent, &c->lent_truth, err);
    }
    return st;
}

/* ---- labels ---- */

static enum status keep_labelled(struct fleet_camera *c, const struct label_map *labels,
                                 struct error *err)
{
    const struct frame *frame = ring_frame(c, c->frame_count - 1);
    if (c->pending_count == FLEET_PENDING_MAX) {
        struct fleet_labelled first = c->pending[0];
        memmove(c->pending, c->pending + 1, (FLEET_PENDING_MAX - 1) * sizeof first);
        c->pending[--c->pending_count] = first;
    }
    struct fleet_labelled *to = &c->pending[c->pending_count];
    enum status st = frame_copy(&to->frame, frame, err);
    if (st == ST_OK)
        st = label_map_resize(&to->labels, labels->width, labels->height, err);
    if (st != ST_OK)
        return st;
    memcpy(to->labels.classes, labels->classes, (size_t)labels->width * (size_t)labels->height);
    c->pending_count++;
    return ST_OK;
}

enum status fleet_camera_take_pending(struct fleet_camera *c, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < c->pending_count && st == ST_OK; i++)
        st = learner_add(c->learner, &c->pending[i].frame, &c->pending[i].labels, NULL, 0, err);
    c->pending_count = 0;
    return st;
}

static void note_recent(struct fleet_camera *c, const struct label_map *labels)
{
    struct confusion *r = &c->recent[c->recent_next];
    task_counts_init(c->spec.task, c->spec.class_count, r);
    confusion_add(r, labels->classes, c->native.classes, task_cells(&c->spec));
    c->recent_next = (c->recent_next + 1) % FLEET_RECENT_MAX;
    c->recent_count += c->recent_count < FLEET_RECENT_MAX;
}

static double accuracy_of(const struct fleet_camera *c, const struct label_map *labels)
{
    struct confusion r;
    task_counts_init(c->spec.task, c->spec.class_count, &r);
    confusion_add(&r, labels->classes, c->native.classes, task_cells(&c->spec));
    return task_score(c->spec.task, &r);
}

/* The answers that frames of each age would have left standing, against this frame's labels. Leaves
 * the newest frame's answer in c->native. */
static enum status probe(struct fleet_camera *c, const struct label_map *labels, double *used_s,
                         struct error *err)
{
    const struct inference_grid *g = &c->inference.grid;
    double full = 0;
    enum status st = ST_OK;
    uint64_t newest = c->frame_count - 1;
    for (int i = 0; i < g->stride_count && st == ST_OK; i++) {
        uint64_t age = (uint64_t)g->strides[i] - 1;
        if (age > newest)
            break;
        st = infer(c, newest - age, err);
        if (st != ST_OK)
            return st;
        *used_s += c->shared->infer_s;
        double got = accuracy_of(c, labels);
        full = i == 0 ? got : full;
        inference_profile_add_accuracy(&c->inference, 0, (int)age, got, full);
    }
    return st == ST_OK ? infer(c, newest, err) : st;
}

/* The answer to this very frame is what says how good the model is, whatever the camera shows. */
static enum status judge(struct fleet_camera *c, const struct label_map *labels,
                         double used_s[FLEET_USES], struct error *err)
{
    enum status st;
    if (c->probes++ % PROBE_EVERY == 0)
        st = probe(c, labels, &used_s[FLEET_INFER], err);
    else {
        st = infer(c, c->frame_count - 1, err);
        used_s[FLEET_INFER] += c->shared->infer_s;
    }
    c->answered = true;
    if (st == ST_OK)
        note_recent(c, labels);
    return st;
}

enum status fleet_camera_label(struct fleet_camera *c, double now_s, double label_fps,
                               double used_s[FLEET_USES], struct error *err)
{
    if (now_s + 1e-9 < c->next_label_s || c->frame_count == 0)
        return ST_OK;
    c->next_label_s += 1 / label_fps;
    struct label_map labels;
    label_map_init(&labels);
    enum status st = label_map_resize(&labels, c->spec.out_width, c->spec.out_height, err);
    if (st == ST_OK)
        st = labeller_teach(c->shared->labeller, ring_frame(c, c->frame_count - 1), &labels, err);
    used_s[FLEET_LABEL] += c->shared->label_s;
    if (st == ST_OK)
        st = judge(c, &labels, used_s, err);
    if (st == ST_OK)
        st = keep_labelled(c, &labels, err);
    label_map_clear(&labels);
    return st;
}

/* ---- the model that serves ---- */

double fleet_camera_accuracy(const struct fleet_camera *c)
{
    struct confusion sum;
    if (c->recent_count == 0)
        return c->deployed_accuracy;
    task_counts_init(c->spec.task, c->spec.class_count, &sum);
    for (int i = 0; i < c->recent_count; i++)
        confusion_merge(&sum, &c->recent[i]);
    return task_score(c->spec.task, &sum);
}

double fleet_camera_settled_accuracy(const struct fleet_camera *c)
{
    return c->recent_count < FLEET_RECENT_MAX ? NAN : fleet_camera_accuracy(c);
}

void fleet_camera_deploy(struct fleet_camera *c, double accuracy)
{
    memcpy(nn_session_params(c->session), learner_params(c->learner),
           nn_model_param_count(c->shared->student) * sizeof(float));
    nn_session_params_changed(c->session);
    c->recent_count = c->recent_next = 0;
    c->deployed_accuracy = accuracy;
}

void fleet_camera_update_curve(struct fleet_camera *c)
{
    struct inference_table table;
    struct inference_point front[INFERENCE_POINTS_MAX];
    inference_profile_table(&c->inference, &table);
    int n = inference_front(&table, front);
    for (int i = 0; i < n; i++)
        c->points[i] = (struct schedule_point){front[i].demand, front[i].factor};
    c->curve = (struct schedule_curve){SCHEDULE_STEPS, n, c->points};
}
