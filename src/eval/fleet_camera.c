/* fleet_camera.c - see fleet_camera.h. */
#include "eval/fleet_camera.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drift/answer.h"
#include "nn/loss.h"
#include "video/frame.h"

#define PROBE_EVERY 4   /* labelled frames */
#define REFRACTORY_S 60 /* of the drift monitor: an eval's hours are minutes */

/* The source with the run's seed in place of "{seed}": another town for another seed. */
static void name_source(const struct fleet_camera *c, char ret[FLEET_TEXT_BYTES + 32])
{
    const char *text = c->source->source, *at = strstr(text, "{seed}");
    if (!at)
        snprintf(ret, FLEET_TEXT_BYTES + 32, "%s", text);
    else
        snprintf(ret, FLEET_TEXT_BYTES + 32, "%.*s%llu%s", (int)(at - text), text,
                 (unsigned long long)c->shared->options->seed, at + strlen("{seed}"));
}

static enum status open_stream(struct fleet_camera *c, struct error *err)
{
    struct eval_options o;
    const struct fleet_scenario *s = c->shared->options->scenario;
    char source[FLEET_TEXT_BYTES + 32];
    eval_options_init(&o);
    name_source(c, source);
    o.source = source;
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

enum status fleet_camera_open(const struct fleet_shared *shared, int index, struct fleet_camera *c,
                              struct error *err)
{
    *c = (struct fleet_camera){.index = index,
                               .shared = shared,
                               .source = &shared->options->scenario->cameras[index],
                               .spec = *labeller_student_spec(shared->labeller),
                               .deployed_accuracy = NAN};
    struct drift_monitor_options watching;
    drift_monitor_options_init(&watching);
    watching.refractory_s = REFRACTORY_S;
    drift_monitor_init(&c->monitor, &watching);
    scaler_init(&c->scaler);
    scaler_init(&c->shrinker);
    enum status st = open_stream(c, err);
    if (st == ST_OK)
        st = open_student(c, err);
    if (st == ST_OK)
        st = score_open(c->spec.task, &shared->map, &c->score, err);
    if (st == ST_OK)
        init_inference(c);
    return st;
}

void fleet_camera_close(struct fleet_camera *c)
{
    recording_close(&c->recording);
    score_close(&c->score);
    nn_session_close(&c->session);
    scaler_clear(&c->scaler);
    scaler_clear(&c->shrinker);
    for (int i = 0; i < FLEET_NEWEST_MAX; i++)
        fleet_labelled_clear(&c->newest[i]);
    for (int i = 0; i < CHUNK_FRAMES_MAX; i++)
        frame_clear(&c->sampled[i]);
    for (int i = 0; i < c->parcel_count; i++)
        buf_clear(&c->parcels[i].bytes);
    for (int i = 0; i < FLEET_AGE_MAX; i++)
        frame_clear(&c->frames[i]);
    label_map_clear(&c->native);
    label_map_clear(&c->answer);
    label_map_clear(&c->taught);
}

static struct frame *ring_frame(struct fleet_camera *c, uint64_t n)
{
    return &c->frames[n % FLEET_AGE_MAX];
}

/* The student's classes of one frame, at its input size, into c->native. */
static enum status infer(struct fleet_camera *c, const struct frame *frame, struct error *err)
{
    struct nn_view in = nn_session_input(c->session, 0);
    task_input(&c->spec, frame, &in, 0);
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

/* Frames from one inference to the next; infinite: none. */
static double infer_interval(const struct fleet_camera *c, double share)
{
    const struct fleet_scenario *s = c->shared->options->scenario;
    if (s->at_cameras)
        return 1;
    return share > 0 ? s->fps * c->shared->infer_s / share : INFINITY;
}

/* Of the frame that was inferred last. */
static void summarise(struct fleet_camera *c, const struct frame *frame, struct drift_summary *ret)
{
    struct drift_picture picture;
    struct nn_view output = nn_session_output(c->session, 0);
    drift_picture_measure(frame, &picture);
    drift_summary_answer(ret, &c->spec, &output, c->native.classes);
    memcpy(ret->feature, picture.feature, sizeof ret->feature);
}

/* The camera watches itself, as a live one does. */
static void watch(struct fleet_camera *c, const struct frame *frame)
{
    struct drift_summary now;
    summarise(c, frame, &now);
    if (drift_monitor_add(&c->monitor, &now, frame->t_us) == DRIFT_BEGAN)
        c->alarmed = true;
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
    double interval = infer_interval(c, infer_share);
    if ((double)n + 1e-9 >= c->next_infer && isfinite(interval)) {
        st = infer(c, ring_frame(c, n), err);
        c->answered = true;
        if (st == ST_OK && c->watches)
            watch(c, ring_frame(c, n));
        c->next_infer = fmax(c->next_infer, (double)n - 1) + (interval > 1 ? interval : 1);
        if (!c->shared->options->scenario->at_cameras)
            *used_s += c->shared->infer_s;
    }
    if (st == ST_OK)
        st = score(c, frame, c->lent_truth, err);
    return st == ST_OK ? fleet_camera_sample(c, frame, err) : st;
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

static void note_recent(struct fleet_camera *c, const struct label_map *labels)
{
    struct confusion *r = &c->recent[c->recent_next];
    task_counts_init(c->spec.task, c->spec.class_count, r);
    confusion_add(r, labels->classes, c->native.classes, task_cells(&c->spec));
    c->recent_next = (c->recent_next + 1) % FLEET_RECENT_MAX;
    c->recent_count += c->recent_count < FLEET_RECENT_MAX;
    c->kept_count += c->kept_count < FLEET_RECENT_MAX;
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
        st = infer(c, ring_frame(c, newest - age), err);
        if (st != ST_OK)
            return st;
        *used_s += c->shared->infer_s;
        double got = accuracy_of(c, labels);
        full = i == 0 ? got : full;
        inference_profile_add_accuracy(&c->inference, 0, (int)age, got, full);
    }
    return st == ST_OK ? infer(c, ring_frame(c, newest), err) : st;
}

/* The answer to this very frame is what says how good the model is, whatever the camera shows. What
 * holding answers costs can be measured where the frame is the newest of the stream. */
static enum status judge(struct fleet_camera *c, const struct frame *frame, bool newest,
                         const struct label_map *labels, double used_s[FLEET_USES],
                         struct error *err)
{
    enum status st;
    if (newest && !c->shared->options->scenario->at_cameras && c->probes++ % PROBE_EVERY == 0)
        st = probe(c, labels, &used_s[FLEET_INFER], err);
    else {
        st = infer(c, frame, err);
        used_s[FLEET_INFER] += c->shared->infer_s;
    }
    c->answered = true;
    if (st == ST_OK)
        note_recent(c, labels);
    return st;
}

enum status fleet_camera_take_labelled(struct fleet_camera *c, const struct frame *frame,
                                       bool newest, const struct label_map *labels,
                                       double used_s[FLEET_USES], struct error *err)
{
    used_s[FLEET_LABEL] += c->shared->label_s;
    enum status st = judge(c, frame, newest, labels, used_s, err);
    if (st == ST_OK)
        st = fleet_labelled_set(&c->newest[c->newest_next], c->index, frame, labels, err);
    if (st != ST_OK)
        return st;
    summarise(c, frame, &c->summaries[c->newest_next]);
    c->labelled++;
    c->newest_next = (c->newest_next + 1) % FLEET_NEWEST_MAX;
    c->newest_count += c->newest_count < FLEET_NEWEST_MAX;
    return fleet_group_keep(c->group, c->index, frame, labels, err);
}

enum status fleet_camera_label(struct fleet_camera *c, double now_s, double label_fps,
                               double used_s[FLEET_USES], struct error *err)
{
    if (now_s + 1e-9 < c->next_label_s || c->frame_count == 0)
        return ST_OK;
    c->next_label_s += 1 / label_fps;
    const struct frame *frame = ring_frame(c, c->frame_count - 1);
    struct label_map labels;
    label_map_init(&labels);
    enum status st = label_map_resize(&labels, c->spec.out_width, c->spec.out_height, err);
    if (st == ST_OK)
        st = labeller_teach(c->shared->labeller, frame, &labels, err);
    if (st == ST_OK)
        st = fleet_camera_take_labelled(c, frame, true, &labels, used_s, err);
    label_map_clear(&labels);
    return st;
}

/* ---- models on trial ---- */

static enum status try_frame(struct fleet_camera *c, const struct fleet_labelled *l,
                             const float *params, uint64_t stamp, struct confusion *ret,
                             struct error *err)
{
    enum status st = label_map_resize(&c->answer, c->spec.out_width, c->spec.out_height, err);
    if (st == ST_OK)
        st = labeller_predict(c->shared->labeller, &l->frame, params, stamp, &c->answer, err);
    task_counts_init(c->spec.task, c->spec.class_count, ret);
    if (st == ST_OK)
        confusion_add(ret, l->labels.classes, c->answer.classes, task_cells(&c->spec));
    return st;
}

enum status fleet_camera_try_one(struct fleet_camera *c, int age, const float *params,
                                 uint64_t stamp, struct confusion *ret, struct error *err)
{
    int at = (c->newest_next - 1 - age + 2 * FLEET_NEWEST_MAX) % FLEET_NEWEST_MAX;
    return try_frame(c, &c->newest[at], params, stamp, ret, err);
}

enum status fleet_camera_try(struct fleet_camera *c, const float *params, uint64_t stamp,
                             float *by_frame, double *ret, int *ret_frames, struct error *err)
{
    struct confusion sum;
    enum status st = ST_OK;
    task_counts_init(c->spec.task, c->spec.class_count, &sum);
    for (int i = 0; i < c->newest_count && st == ST_OK; i++) {
        struct confusion one;
        st = try_frame(c, &c->newest[i], params, stamp, &one, err);
        if (st != ST_OK)
            return st;
        confusion_merge(&sum, &one);
        if (by_frame)
            by_frame[i] = (float)task_score(c->spec.task, &one);
    }
    *ret = c->newest_count > 0 ? task_score(c->spec.task, &sum) : NAN;
    *ret_frames = c->newest_count;
    return st;
}

bool fleet_camera_signature(const struct fleet_camera *c, struct signature *ret)
{
    struct drift_mean mean;
    struct drift_summary summary;
    drift_mean_init(&mean);
    for (int i = 0; i < c->newest_count; i++)
        drift_mean_add(&mean, &c->summaries[i]);
    if (!drift_mean_get(&mean, &summary))
        return false;
    signature_of(&summary, ret);
    return true;
}

/* ---- the model that serves ---- */

/* Over the newest `count` frames that were judged. */
static double recent_accuracy(const struct fleet_camera *c, int count)
{
    struct confusion sum;
    task_counts_init(c->spec.task, c->spec.class_count, &sum);
    for (int i = 1; i <= count; i++)
        confusion_merge(&sum,
                        &c->recent[(c->recent_next - i + FLEET_RECENT_MAX) % FLEET_RECENT_MAX]);
    return task_score(c->spec.task, &sum);
}

double fleet_camera_accuracy(const struct fleet_camera *c)
{
    return c->recent_count > 0 ? recent_accuracy(c, c->recent_count) : c->deployed_accuracy;
}

double fleet_camera_settled_accuracy(const struct fleet_camera *c)
{
    return c->recent_count < FLEET_RECENT_MAX ? NAN : recent_accuracy(c, FLEET_RECENT_MAX);
}

double fleet_camera_usual_accuracy(const struct fleet_camera *c)
{
    return c->kept_count < FLEET_RECENT_MAX ? NAN : recent_accuracy(c, FLEET_RECENT_MAX);
}

void fleet_camera_replace(struct fleet_camera *c, const float *params)
{
    fleet_camera_deploy(c, params, NAN);
    c->kept_count = 0;
}

void fleet_camera_deploy(struct fleet_camera *c, const float *params, double accuracy)
{
    memcpy(nn_session_params(c->session), params,
           nn_model_param_count(c->shared->student) * sizeof(float));
    nn_session_params_changed(c->session);
    c->recent_count = 0;
    drift_monitor_swapped(&c->monitor);
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
