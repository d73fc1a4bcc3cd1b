/* lane.c - the AMS loop of one camera, event by event: a chunk leaves, arrives and is labelled; a
 * phase starts, ends and its delta travels; the camera swaps. Everything that is due by a frame's
 * time has happened before that frame is scored. */
#include "eval/lane.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/sampler.h"
#include "eval/link.h"
#include "eval/pack.h"
#include "nn/loss.h"
#include "train/asr.h"
#include "train/atr.h"
#include "train/recipe.h"
#include "uplink/chunk.h"
#include "video/frame.h"
#include "video/scale.h"

struct lane {
    enum eval_mode mode;
    struct lane_shared shared;
    struct task_spec spec;
    struct pace_options pace;
    uint8_t class_chosen[CLASSES_MAX]; /* network classes that have a label */

    /* the camera */
    struct nn_session *student;
    float *params; /* what the camera holds */
    uint64_t version;
    struct scaler scaler;
    struct frame scaled;
    struct label_map native; /* at the network's output size */
    struct sampler sampler;
    struct frame pending[CHUNK_FRAMES_MAX];
    int pending_count;
    uint64_t chunk_due_us, chunk_seq;

    struct link up, down;
    struct parcel chunks[LANE_CHUNKS_MAX], deltas[LANE_DELTAS_MAX];
    int chunk_count, delta_count;

    /* the server */
    struct learner *learner; /* NULL: nothing is learned */
    struct delta_model delta_model;
    struct atr atr;
    double rate_fps;
    struct label_map labels[CHUNK_FRAMES_MAX]; /* since the last phase, for the sampling rate */
    int label_count;
    uint64_t phase_due_us, trainer_free_us;
    uint64_t phases, train_steps, rejected, applied;
};

static enum learner_preset preset_of(enum eval_mode mode)
{
    switch (mode) {
    case EVAL_ONE_TIME:
        return LEARNER_ONE_TIME;
    case EVAL_AMS:
        return LEARNER_AMS;
    default:
        return LEARNER_ATTUNE;
    }
}

enum status lane_recipe(const struct eval_options *o, enum eval_mode mode, struct recipe *ret,
                        struct error *err)
{
    recipe_preset(preset_of(mode), ret);
    bool ours = mode == EVAL_ATTUNE || mode == EVAL_FULL;
    enum status st = ours && o->recipe ? recipe_set(ret, o->recipe, err) : ST_OK;
    if (mode == EVAL_FULL) {
        ret->learning.fraction = 1;
        ret->learning.strategy = SELECT_FULL;
    }
    return st;
}

static enum status open_learning(struct lane *l, struct error *err)
{
    struct recipe r;
    enum status st = lane_recipe(l->shared.options, l->mode, &r, err);
    if (st != ST_OK)
        return st;
    r.learning.threads = l->shared.options->threads;
    memcpy(r.learning.class_chosen, l->class_chosen, sizeof r.learning.class_chosen);
    st = learner_open(l->shared.student, &r.learning, l->shared.options->seed, &l->learner, err);
    if (st == ST_OK)
        st = delta_model_init(l->shared.student, &l->delta_model, err);
    l->pace = r.pace;
    l->rate_fps = l->pace.asr.rate_max_fps;
    sampler_init(&l->sampler, l->rate_fps);
    atr_init(&l->atr, &l->pace.atr);
    l->chunk_due_us = l->pace.chunk_us;
    l->phase_due_us = l->pace.first_phase_us;
    return st;
}

static enum status open_camera(struct lane *l, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.logits = true;
    o.threads = l->shared.options->threads;
    o.precision = nn_precision_of_model(l->shared.student); /* as a camera runs it */
    enum status st = nn_session_open(l->shared.student, &o, &l->student, err);
    if (st == ST_OK)
        st = frame_resize(&l->scaled, l->spec.width, l->spec.height, err);
    if (st == ST_OK)
        st = label_map_resize(&l->native, l->spec.out_width, l->spec.out_height, err);
    size_t count = nn_model_param_count(l->shared.student);
    if (st == ST_OK && !(l->params = malloc(count * sizeof *l->params)))
        st = error_set(err, ST_NOMEM, "no memory for %zu parameters", count);
    if (st == ST_OK)
        memcpy(l->params, nn_model_values(l->shared.student), count * sizeof *l->params);
    return st;
}

enum status lane_open(const struct lane_shared *shared, enum eval_mode mode, struct lane **ret,
                      struct error *err)
{
    struct lane *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, ST_NOMEM, "no memory for a mode");
    l->mode = mode;
    l->shared = *shared;
    l->spec = *labeller_student_spec(teach_labeller(shared->teach));
    l->up.rate_kbps = shared->options->uplink_kbps;
    l->down.rate_kbps = shared->options->downlink_kbps;
    scaler_init(&l->scaler);
    for (int k = 0; k < l->spec.class_count; k++)
        l->class_chosen[k] = shared->map->to_label[k] != LABEL_IGNORE;
    enum status st = open_camera(l, err);
    if (st == ST_OK && mode != EVAL_NONE)
        st = open_learning(l, err);
    if (st != ST_OK) {
        lane_close(&l);
        return st;
    }
    *ret = l;
    return ST_OK;
}

void lane_close(struct lane **lane)
{
    if (!lane || !*lane)
        return;
    struct lane *l = *lane;
    nn_session_close(&l->student);
    free(l->params);
    scaler_clear(&l->scaler);
    frame_clear(&l->scaled);
    label_map_clear(&l->native);
    for (int i = 0; i < CHUNK_FRAMES_MAX; i++) {
        frame_clear(&l->pending[i]);
        label_map_clear(&l->labels[i]);
    }
    for (int i = 0; i < l->chunk_count; i++)
        buf_clear(&l->chunks[i].bytes);
    for (int i = 0; i < l->delta_count; i++)
        buf_clear(&l->deltas[i].bytes);
    learner_close(&l->learner);
    delta_model_clear(&l->delta_model);
    free(l);
    *lane = NULL;
}

/* Frames kept since the last chunk become one chunk on the uplink. */
static enum status send_chunk(struct lane *l, uint64_t now_us, struct error *err)
{
    if (l->pending_count == 0)
        return ST_OK;
    if (l->chunk_count == LANE_CHUNKS_MAX)
        parcels_drop_first(l->chunks, &l->chunk_count);
    struct parcel *p = &l->chunks[l->chunk_count];
    buf_init(&p->bytes);
    const struct packing how = {.bytes_max =
                                    (size_t)(l->up.rate_kbps * (double)l->pace.chunk_us / 8e3),
                                .seq = l->chunk_seq++,
                                .version = l->version,
                                .sampling_fps = l->rate_fps};
    enum status st = pack_frames(l->pending, l->pending_count, &how, &p->bytes, err);
    l->pending_count = 0;
    if (st != ST_OK) {
        buf_clear(&p->bytes);
        return st;
    }
    p->arrival_us = link_send(&l->up, p->bytes.size_bytes, now_us);
    l->chunk_count++;
    return ST_OK;
}

/* Keeps a label for the sampling rate; the buffer is bounded, older ones make room. */
static enum status remember_label(struct lane *l, const struct label_map *labels, struct error *err)
{
    if (l->label_count == CHUNK_FRAMES_MAX) {
        struct label_map first = l->labels[0];
        memmove(l->labels, l->labels + 1, (CHUNK_FRAMES_MAX - 1) * sizeof *l->labels);
        l->labels[--l->label_count] = first;
    }
    struct label_map *to = &l->labels[l->label_count];
    enum status st = label_map_resize(to, labels->width, labels->height, err);
    if (st == ST_OK) {
        memcpy(to->classes, labels->classes, (size_t)labels->width * (size_t)labels->height);
        l->label_count++;
    }
    return st;
}

static enum status label_chunk(struct lane *l, const struct buf *bytes, struct error *err)
{
    const struct taught *frames;
    int count;
    enum status st =
        teach_chunk(l->shared.teach, bytes->data, bytes->size_bytes, &frames, &count, err);
    for (int i = 0; st == ST_OK && i < count; i++) {
        st = learner_add(l->learner, &frames[i].frame, &frames[i].labels,
                         frames[i].soft.probs ? &frames[i].soft : NULL, 0, err);
        bool first = i == 0 || frames[i].frame.t_us != frames[i - 1].frame.t_us;
        if (st == ST_OK && first) /* of the crops of a picture, one */
            st = remember_label(l, &frames[i].labels, err);
    }
    return st;
}

/* New sampling rate and training period from the labels since the last phase (AMS: ASR, ATR). */
static void adapt_rates(struct lane *l)
{
    const uint8_t *chosen = learner_options_of(l->learner)->class_chosen;
    if (l->pace.adaptive_sampling) {
        double s = asr_mean_similarity(l->spec.task, l->labels, l->label_count, l->spec.class_count,
                                       chosen);
        l->rate_fps = asr_rate(&l->pace.asr, l->rate_fps, s);
        sampler_set_rate(&l->sampler, l->rate_fps);
    }
    l->label_count = 0;
}

static enum status run_phase(struct lane *l, uint64_t now_us, struct error *err)
{
    adapt_rates(l);
    uint64_t period_us =
        l->pace.adaptive_training ? atr_update(&l->atr, l->rate_fps) : l->pace.period_us;
    l->phase_due_us = l->pace.once ? UINT64_MAX : now_us + period_us;
    struct parcel *p = &l->deltas[l->delta_count];
    buf_init(&p->bytes);
    struct learner_result r;
    enum status st = learner_phase(l->learner, NULL, NULL, &r, &p->bytes, err);
    if (st != ST_OK || !r.accepted)
        buf_clear(&p->bytes);
    if (st != ST_OK)
        return st;
    l->phases += r.trained;
    l->train_steps += (uint64_t)r.steps;
    l->rejected += r.trained && !r.accepted;
    l->trainer_free_us =
        now_us + (uint64_t)((double)r.steps * 1e6 / l->shared.options->train_steps_per_s);
    if (r.accepted) {
        p->arrival_us = link_send(&l->down, p->bytes.size_bytes, l->trainer_free_us);
        l->delta_count++;
    }
    return ST_OK;
}

static enum status swap(struct lane *l, struct error *err)
{
    bool applied;
    const struct buf *b = &l->deltas[0].bytes;
    enum status st = delta_apply(&l->delta_model, b->data, b->size_bytes, &l->version, l->params,
                                 NULL, &applied, err);
    parcels_drop_first(l->deltas, &l->delta_count);
    if (st != ST_OK)
        return st;
    l->applied++;
    memcpy(nn_session_params(l->student), l->params,
           nn_model_param_count(l->shared.student) * sizeof *l->params);
    nn_session_params_changed(l->student);
    return ST_OK;
}

/* The time of the earliest event that is not later than now_us, UINT64_MAX for none. */
static uint64_t next_event_us(const struct lane *l, uint64_t now_us)
{
    uint64_t t = l->chunk_due_us;
    if (l->chunk_count > 0 && l->chunks[0].arrival_us < t)
        t = l->chunks[0].arrival_us;
    if (l->delta_count > 0 && l->deltas[0].arrival_us < t)
        t = l->deltas[0].arrival_us;
    uint64_t phase_us = l->phase_due_us > l->trainer_free_us ? l->phase_due_us : l->trainer_free_us;
    if (l->phase_due_us != UINT64_MAX && l->delta_count < LANE_DELTAS_MAX && phase_us < t)
        t = phase_us;
    return t <= now_us ? t : UINT64_MAX;
}

/* At one instant: labels before the phase that uses them, deltas before the next phase's. */
static enum status run_event(struct lane *l, uint64_t t_us, struct error *err)
{
    if (l->chunk_count > 0 && l->chunks[0].arrival_us <= t_us) {
        enum status st = label_chunk(l, &l->chunks[0].bytes, err);
        parcels_drop_first(l->chunks, &l->chunk_count);
        return st;
    }
    if (l->delta_count > 0 && l->deltas[0].arrival_us <= t_us)
        return swap(l, err);
    if (l->chunk_due_us <= t_us) {
        l->chunk_due_us += l->pace.chunk_us;
        return send_chunk(l, t_us, err);
    }
    return run_phase(l, t_us, err);
}

enum status lane_predict(struct lane *l, const struct frame *frame, struct label_map *classes,
                         struct error *err)
{
    enum status st = ST_OK;
    uint64_t t_us;
    while (st == ST_OK && l->learner && (t_us = next_event_us(l, frame->t_us)) != UINT64_MAX)
        st = run_event(l, t_us, err);
    if (st == ST_OK)
        st = scaler_run(&l->scaler, frame, &l->scaled, err);
    if (st != ST_OK)
        return st;
    struct nn_view in = nn_session_input(l->student, 0);
    task_input(&l->spec, &l->scaled, &in, 0);
    st = nn_session_forward(l->student, err);
    if (st != ST_OK)
        return st;
    struct nn_view out = nn_session_output(l->student, 0);
    task_answer(&l->spec, &out, l->class_chosen, l->native.classes);
    task_resize_labels(&l->native, classes);
    return ST_OK;
}

enum status lane_sample(struct lane *l, const struct frame *frame, struct error *err)
{
    if (!l->learner || l->pending_count == CHUNK_FRAMES_MAX ||
        !sampler_take(&l->sampler, frame->t_us))
        return ST_OK;
    enum status st = frame_copy(&l->pending[l->pending_count], frame, err);
    if (st == ST_OK)
        l->pending_count++;
    return st;
}

void lane_finish(const struct lane *l, double duration_s, struct eval_mode_result *ret)
{
    ret->mode = l->mode;
    ret->phases = l->phases;
    ret->train_steps = l->train_steps;
    ret->rejected = l->rejected;
    ret->deltas = l->applied;
    ret->uplink_kbps = duration_s > 0 ? (double)l->up.bytes * 8e-3 / duration_s : NAN;
    ret->downlink_kbps = duration_s > 0 ? (double)l->down.bytes * 8e-3 / duration_s : NAN;
}
