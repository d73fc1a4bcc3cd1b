/* uplink_profile.c - scene by scene: frames are read once, every size and rate is made of them. */
#include "eval/uplink_profile.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "eval/recording.h"
#include "eval/teach.h"
#include "train/learner.h"
#include "uplink/chunk.h"
#include "video/encode.h"
#include "video/frame.h"
#include "video/scale.h"

#define CHUNK_S 10
#define FRAMES_MAX 4096
#define CLIP_BYTES_MAX ((size_t)64 << 20)
#define COST_STEPS 4
#define SIDE_MIN 16

struct profile {
    const struct uplink_profile_options *options;
    struct controller_table *table;
    struct nn_model *student, *teacher;
    struct teach *teach;
    struct task_spec spec;
    struct scaler scaler;
    double label_s, step_s; /* of one frame, of one step; 0: not measured yet */
    int batch;

    /* The scene at hand, at the student's size. */
    struct frame *frames;
    int frame_count, learn_count; /* the first of them are learned from */
    struct label_map *truths;     /* [frame_count] of those that are scored, else empty */
    struct label_map answer;
};

void uplink_profile_options_init(struct uplink_profile_options *o)
{
    *o = (struct uplink_profile_options){
        .learn_s = 30, .score_s = 20, .score_fps = 1, .passes = 8, .threads = 1, .seed = 1};
}

/* ---- the scene ---- */

static void forget_scene(struct profile *p)
{
    for (int i = 0; i < p->frame_count; i++) {
        frame_clear(&p->frames[i]);
        label_map_clear(&p->truths[i]);
    }
    p->frame_count = p->learn_count = 0;
}

static enum status keep_frame(struct profile *p, const struct frame *f, struct error *err)
{
    if (p->frame_count == FRAMES_MAX)
        return error_set(err, ST_LIMIT, "a scene has more than %d frames; learn from fewer seconds",
                         FRAMES_MAX);
    struct frame *to = &p->frames[p->frame_count];
    frame_init(to);
    label_map_init(&p->truths[p->frame_count++]);
    enum status st = frame_resize(to, p->spec.width, p->spec.height, err);
    if (st == ST_OK)
        st = scaler_run(&p->scaler, f, to, err);
    if (st == ST_OK && (double)f->t_us < p->options->learn_s * 1e6)
        p->learn_count = p->frame_count;
    return st;
}

static enum status read_frames(struct profile *p, struct recording *r, struct error *err)
{
    const struct frame *f;
    const struct label_map *truth;
    enum status st;
    while ((st = recording_next(r, &f, &truth, err)) == ST_OK)
        if ((st = keep_frame(p, f, err)) != ST_OK)
            return st;
    return st == ST_END ? ST_OK : st;
}

static enum status read_scene(struct profile *p, const char *scene, struct error *err)
{
    const struct controller_table *t = p->table;
    struct labeller *l = teach_labeller(p->teach);
    struct recording *r = NULL;
    struct class_map map;
    struct eval_options o;
    eval_options_init(&o);
    o.source = scene;
    o.fps = fmax(t->fps[t->rate_count - 1], p->options->score_fps);
    o.seconds = p->options->learn_s + p->options->score_s;
    class_map_identity(&p->spec, &map);
    const struct recording_use use =
        recording_use_of(labeller_student_spec(l), labeller_teacher_spec(l), &map);
    forget_scene(p);
    enum status st = recording_open(&o, &use, &r, err);
    if (st == ST_OK)
        st = read_frames(p, r, err);
    recording_close(&r);
    if (st == ST_OK && (p->learn_count == 0 || p->learn_count == p->frame_count))
        st = error_set(err, ST_INVALID, "%.200s ends before it can be learned from and scored",
                       scene);
    return st;
}

/* What the teacher says of the frames to be scored, as the camera saw them. */
static enum status label_truths(struct profile *p, struct error *err)
{
    uint64_t next_us = 0, cpu_us = clock_process_cpu_us(0);
    int count = 0;
    enum status st = ST_OK;
    for (int i = p->learn_count; st == ST_OK && i < p->frame_count; i++) {
        if (p->frames[i].t_us < next_us)
            continue;
        next_us = p->frames[i].t_us + (uint64_t)(0.99e6 / p->options->score_fps);
        st = label_map_resize(&p->truths[i], p->spec.out_width, p->spec.out_height, err);
        if (st == ST_OK)
            st = labeller_teach(teach_labeller(p->teach), &p->frames[i], &p->truths[i], err);
        count++;
    }
    if (count > 0)
        p->label_s = (double)(clock_process_cpu_us(0) - cpu_us) / 1e6 / count;
    return st;
}

/* ---- sampling and encoding ---- */

static bool is_sampled(const struct profile *p, int i, double fps, double *next_s)
{
    double t_s = (double)p->frames[i].t_us / 1e6;
    if (t_s < *next_s - 1e-3)
        return false;
    *next_s = fmax(*next_s, 0) + 1 / fps;
    return true;
}

/* Frames of one chunk, scaled; *first is moved on to the next chunk's. */
static enum status gather(struct profile *p, double scale, double fps, int *first, double *next_s,
                          struct frame *ret, struct chunk *c, struct error *err)
{
    int width = 2 * (int)lround(p->spec.width * scale / 2);
    int height = 2 * (int)lround(p->spec.height * scale / 2);
    uint64_t end_us = p->frames[*first].t_us + CHUNK_S * (uint64_t)1000000;
    enum status st = ST_OK;
    c->count = 0;
    for (; st == ST_OK && *first < p->learn_count && p->frames[*first].t_us < end_us; ++*first) {
        if (c->count == CHUNK_FRAMES_MAX || !is_sampled(p, *first, fps, next_s))
            continue;
        c->t_us[c->count] = p->frames[*first].t_us;
        c->version[c->count] = 0;
        struct frame *to = &ret[c->count++];
        st = frame_resize(to, width > SIDE_MIN ? width : SIDE_MIN,
                          height > SIDE_MIN ? height : SIDE_MIN, err);
        if (st == ST_OK)
            st = scaler_run(&p->scaler, &p->frames[*first], to, err);
    }
    return st;
}

static enum status encode(const struct controller_table *t, const struct frame *frames,
                          struct chunk *c, struct clip *clip, struct buf *out, struct error *err)
{
    struct clip_options o;
    clip_options_init(&o);
    o.bytes_max = CLIP_BYTES_MAX;
    o.finest_factor = o.start_factor = t->rate_factor;
    enum status st = clip_encode(frames, c->count, &o, clip, err);
    if (st != ST_OK)
        return st;
    c->width = clip->width;
    c->height = clip->height;
    c->count = clip->count;
    c->payload = clip->bytes.data;
    c->payload_bytes = clip->bytes.size_bytes;
    out->size_bytes = 0;
    return chunk_encode(c, out, err);
}

static enum status learn_chunk(struct profile *p, const struct buf *bytes, struct learner *l,
                               struct error *err)
{
    const struct taught *taught;
    int count;
    enum status st = teach_chunk(p->teach, bytes->data, bytes->size_bytes, &taught, &count, err);
    for (int i = 0; st == ST_OK && i < count; i++)
        st = learner_add(l, &taught[i].frame, &taught[i].labels,
                         taught[i].soft.probs ? &taught[i].soft : NULL, 0, err);
    return st;
}

/* Everything that a camera sends at this size and rate, into the learner. */
static enum status send_all(struct profile *p, double scale, double fps, struct learner *l,
                            size_t *ret_bytes, int *ret_frames, struct error *err)
{
    struct frame *frames = calloc(CHUNK_FRAMES_MAX, sizeof *frames);
    struct chunk c = {.camera = "profile", .codec = CHUNK_H264, .sampling_fps = (float)fps};
    struct clip clip;
    struct buf bytes;
    double next_s = 0;
    *ret_bytes = 0;
    *ret_frames = 0;
    if (!frames)
        return error_set(err, ST_NOMEM, "no memory for a chunk's frames");
    clip_init(&clip);
    buf_init(&bytes);
    enum status st = ST_OK;
    for (int first = 0; st == ST_OK && first < p->learn_count;) {
        st = gather(p, scale, fps, &first, &next_s, frames, &c, err);
        if (st != ST_OK || c.count == 0)
            continue;
        c.seq++;
        if ((st = encode(p->table, frames, &c, &clip, &bytes, err)) == ST_OK)
            st = learn_chunk(p, &bytes, l, err);
        *ret_bytes += bytes.size_bytes;
        *ret_frames += c.count;
    }
    for (int i = 0; i < CHUNK_FRAMES_MAX; i++)
        frame_clear(&frames[i]);
    free(frames);
    clip_clear(&clip);
    buf_clear(&bytes);
    return st;
}

/* ---- training and scoring ---- */

static enum status score(struct profile *p, const float *params, uint64_t stamp, double *ret,
                         struct error *err)
{
    struct confusion c;
    enum status st = ST_OK;
    task_counts_init(p->spec.task, p->spec.class_count, &c);
    for (int i = p->learn_count; st == ST_OK && i < p->frame_count; i++) {
        if (!p->truths[i].classes)
            continue;
        st = labeller_predict(teach_labeller(p->teach), &p->frames[i], params, stamp, &p->answer,
                              err);
        confusion_add(&c, p->truths[i].classes, p->answer.classes, task_cells(&p->spec));
    }
    *ret = task_score(p->spec.task, &c);
    return st;
}

static enum status measure_step(struct profile *p, struct learner *l, int *steps, struct error *err)
{
    double loss;
    uint64_t cpu_us = clock_process_cpu_us(0);
    enum status st = learner_train(l, COST_STEPS, &loss, err);
    p->step_s = (double)(clock_process_cpu_us(0) - cpu_us) / 1e6 / COST_STEPS;
    *steps += COST_STEPS;
    return st;
}

/* The accuracy under each share, the shares' trainings one after the other. */
static enum status train_shares(struct profile *p, struct learner *l, int frames, double *accuracy,
                                struct error *err)
{
    const struct controller_table *t = p->table;
    static uint64_t stamp = 1;
    int steps = 0;
    double loss, best;
    enum status st = score(p, NULL, 0, &best, err);
    enum status began = st == ST_OK ? learner_begin(l, err) : st;
    if (began != ST_OK && began != ST_AGAIN)
        return began;
    if (began == ST_OK && p->step_s == 0)
        st = measure_step(p, l, &steps, err);
    for (int s = 0; st == ST_OK && s < t->share_count; s++) {
        double left_s = t->share[s] * p->options->learn_s - frames * p->label_s;
        int wanted = began == ST_OK && left_s > 0 ? (int)fmin(left_s / p->step_s, 5000) : 0;
        double now = best;
        if (wanted > steps) {
            st = learner_train(l, wanted - steps, &loss, err);
            steps = wanted;
            if (st == ST_OK)
                st = score(p, learner_candidate(l), ++stamp, &now, err);
        }
        best = fmax(best, now);
        accuracy[s] = best;
    }
    if (began == ST_OK)
        learner_abandon(l);
    return st;
}

static enum status measure(struct profile *p, int size, int rate, struct error *err)
{
    struct controller_table *t = p->table;
    struct controller_size *z = &t->sizes[size];
    struct learner_options o;
    struct learner *l = NULL;
    double accuracy[CONTROLLER_SHARES_MAX] = {0};
    size_t bytes = 0;
    int frames = 0;
    learner_preset(LEARNER_ATTUNE, &o);
    learner_suit_options(&o, &p->spec);
    o.threads = p->options->threads;
    p->batch = o.batch;
    enum status st = learner_open(p->student, &o, p->options->seed, &l, err);
    if (st == ST_OK)
        st = send_all(p, z->scale, t->fps[rate], l, &bytes, &frames, err);
    if (st == ST_OK)
        st = train_shares(p, l, frames, accuracy, err);
    learner_close(&l);
    int scenes = p->options->scene_count;
    z->kbps[rate] += (double)bytes * 8e-3 / p->options->learn_s / scenes;
    for (int s = 0; s < t->share_count; s++)
        z->accuracy[s][rate] += accuracy[s] / scenes;
    return st;
}

/* ---- the whole ---- */

static enum status open_profile(struct profile *p, struct error *err)
{
    struct learner_options o;
    enum status st = nn_model_open(p->options->student, NULL, &p->student, err);
    if (st == ST_OK)
        st = nn_model_open(p->options->teacher, NULL, &p->teacher, err);
    if (st != ST_OK)
        return st;
    learner_preset(LEARNER_ATTUNE, &o);
    st = teach_open(p->student, p->teacher, o.soft_width, o.soft_height, p->options->threads,
                    &p->teach, err);
    if (st != ST_OK)
        return st;
    p->spec = *labeller_student_spec(teach_labeller(p->teach));
    p->table->width = p->spec.width;
    p->table->height = p->spec.height;
    p->frames = calloc(FRAMES_MAX, sizeof *p->frames);
    p->truths = calloc(FRAMES_MAX, sizeof *p->truths);
    if (!p->frames || !p->truths)
        return error_set(err, ST_NOMEM, "no memory for a scene");
    return label_map_resize(&p->answer, p->spec.out_width, p->spec.out_height, err);
}

static void close_profile(struct profile *p)
{
    forget_scene(p);
    free(p->frames);
    free(p->truths);
    label_map_clear(&p->answer);
    scaler_clear(&p->scaler);
    teach_close(&p->teach);
    nn_model_close(&p->teacher);
    nn_model_close(&p->student);
}

/* A reader of the table refuses what falls; noise must not make it so. */
static void finish(struct profile *p)
{
    struct controller_table *t = p->table;
    for (int i = 0; i < t->size_count; i++) {
        struct controller_size *z = &t->sizes[i];
        z->trainable_fps = 1 / (p->label_s + p->options->passes * p->step_s / p->batch);
        for (int r = 1; r < t->rate_count; r++)
            z->kbps[r] = fmax(z->kbps[r], z->kbps[r - 1]);
    }
}

static void clear_values(struct controller_table *t)
{
    for (int i = 0; i < t->size_count; i++) {
        memset(t->sizes[i].kbps, 0, sizeof t->sizes[i].kbps);
        memset(t->sizes[i].accuracy, 0, sizeof t->sizes[i].accuracy);
    }
}

enum status uplink_profile_run(const struct uplink_profile_options *o,
                               uplink_profile_progress *progress, void *user,
                               struct controller_table *table, struct error *err)
{
    assert(o->scene_count >= 1 && o->scene_count <= UPLINK_SCENES_MAX);
    struct controller_table t = *table;
    struct profile p = {.options = o, .table = &t};
    int done = 0, total = o->scene_count * t.size_count * t.rate_count;
    scaler_init(&p.scaler);
    label_map_init(&p.answer);
    clear_values(&t);
    enum status st = open_profile(&p, err);
    for (int k = 0; st == ST_OK && k < o->scene_count; k++) {
        st = read_scene(&p, o->scenes[k], err);
        if (st == ST_OK)
            st = label_truths(&p, err);
        for (int i = 0; st == ST_OK && i < t.size_count * t.rate_count; i++) {
            st = measure(&p, i / t.rate_count, i % t.rate_count, err);
            if (progress)
                progress(user, ++done, total);
        }
    }
    close_profile(&p);
    if (st != ST_OK)
        return st;
    finish(&p);
    *table = t;
    return ST_OK;
}
