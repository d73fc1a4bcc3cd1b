/* worker_trial.c - the request that tries models on a camera's frames: who is to learn with whom is
 * decided by that. Nothing is learnt, no learner is touched. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/delta.h"
#include "drift/signature.h"
#include "server/trial.h"
#include "server/worker_internal.h"
#include "task/confusion.h"
#include "video/decode.h"
#include "video/frame.h"

#define SNAPSHOT_BYTES_MAX ((size_t)1 << 30)
#define LOOKS_CELLS_MAX 1024

/* The frames, newest chunk first, and what the models are run with. */
struct bench {
    const struct nn_model *model;
    struct task_spec spec;
    struct nn_session *session;
    struct delta_model delta;
    struct frame frames[TRIAL_FRAMES_MAX];
    struct label_map truth[TRIAL_FRAMES_MAX];
    uint8_t *answer; /* [task_cells] */
    float *params;
    int count, count_max;
    struct drift_mean looks; /* with the first model's answers */
};

static void bench_clear(struct bench *b)
{
    for (int i = 0; i < TRIAL_FRAMES_MAX; i++) {
        frame_clear(&b->frames[i]);
        label_map_clear(&b->truth[i]);
    }
    nn_session_close(&b->session);
    delta_model_clear(&b->delta);
    free(b->answer);
    free(b->params);
}

/* Clear it whatever comes back. */
static enum status bench_init(struct bench *b, const struct worker *w, struct error *err)
{
    struct nn_session_options o;
    *b = (struct bench){.model = w->model};
    drift_mean_init(&b->looks);
    for (int i = 0; i < TRIAL_FRAMES_MAX; i++) {
        frame_init(&b->frames[i]);
        label_map_init(&b->truth[i]);
    }
    nn_session_options_init(&o);
    o.threads = w->options.threads;
    o.logits = true;
    enum status st = task_spec_read(w->model, &b->spec, err);
    if (st == ST_OK)
        st = delta_model_init(w->model, &b->delta, err);
    if (st == ST_OK)
        st = nn_session_open(w->model, &o, &b->session, err);
    if (st != ST_OK)
        return st;
    b->answer = malloc(task_cells(&b->spec));
    b->params = malloc(nn_model_param_count(w->model) * sizeof *b->params);
    return b->answer && b->params ? ST_OK : error_set(err, ST_NOMEM, "no memory for a trial");
}

/* ---- frames ---- */

static enum status copy_labels(const struct label_map *from, struct label_map *to,
                               struct error *err)
{
    enum status st = label_map_resize(to, from->width, from->height, err);
    if (st == ST_OK)
        memcpy(to->classes, from->classes, (size_t)from->width * (size_t)from->height);
    return st;
}

/* The newest frames of the chunk, as many as there is room for. */
static enum status take_frames(struct bench *b, struct worker *w, const struct chunk *c,
                               const struct label_set *labels, struct error *err)
{
    struct clip_decoder *d;
    int room = b->count_max - b->count, first = c->count > room ? c->count - room : 0;
    if (labels->count != c->count || labels->class_count != b->spec.class_count ||
        labels->width != b->spec.out_width || labels->height != b->spec.out_height)
        return error_set(err, ST_FORMAT, "labels and frames do not belong together");
    enum status st =
        clip_decoder_open(c->payload, c->payload_bytes, c->width, c->height, c->count, &d, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < c->count && st == ST_OK; i++) {
        st = clip_decoder_next(d, &w->decoded, err);
        if (st != ST_OK || i < first)
            continue;
        struct label_map map = label_set_map(labels, i);
        struct frame *to = &b->frames[b->count];
        st = frame_resize(to, b->spec.width, b->spec.height, err);
        if (st == ST_OK)
            st = scaler_run(&w->scaler, &w->decoded, to, err);
        if (st == ST_OK)
            st = copy_labels(&map, &b->truth[b->count], err);
        b->count += st == ST_OK;
    }
    clip_decoder_close(&d);
    return st;
}

/* A chunk that cannot be read is left out; without any there is nothing to try. */
static enum status read_frames(struct bench *b, struct worker *w, const json_t *q,
                               struct error *err)
{
    const json_t *pair;
    size_t i;
    struct error why = {.message = "no chunk was named"};
    json_array_foreach(json_object_get(q, "chunks"), i, pair)
    {
        struct worker_pair read;
        if (b->count == b->count_max)
            break;
        if (worker_pair_read(pair, &read, &why) == ST_OK)
            take_frames(b, w, read.chunk, &read.labels, &why);
        worker_pair_clear(&read);
    }
    return b->count > 0 ? ST_OK
                        : error_set(err, ST_INVALID, "no frames to try models on: %s", why.message);
}

/* ---- models ---- */

static enum status take_model(struct bench *b, const char *path, struct error *err)
{
    size_t bytes = nn_model_param_count(b->model) * sizeof *b->params;
    struct buf snapshot;
    uint64_t version = 0;
    bool applied;
    memcpy(b->params, nn_model_values(b->model), bytes);
    buf_init(&snapshot);
    enum status st = path[0] ? file_read(path, SNAPSHOT_BYTES_MAX, &snapshot, err) : ST_END;
    if (st == ST_OK)
        st = delta_apply(&b->delta, snapshot.data, snapshot.size_bytes, &version, b->params, NULL,
                         &applied, err);
    buf_clear(&snapshot);
    if (st != ST_OK && st != ST_END)
        return st;
    memcpy(nn_session_params(b->session), b->params, bytes);
    nn_session_params_changed(b->session);
    return ST_OK;
}

/* Boxes have no cells that could be counted by class: of a detection nothing is said. */
static void note_looks(struct bench *b, int i, const struct nn_view *logits)
{
    struct drift_summary s;
    struct drift_picture picture;
    if (b->spec.task == TASK_DETECT)
        return;
    drift_summary_labels(&s, b->answer, task_cells(&b->spec), b->spec.class_count);
    s.confidence = drift_confidence(logits, LOOKS_CELLS_MAX);
    drift_picture_measure(&b->frames[i], &picture);
    memcpy(s.feature, picture.feature, sizeof s.feature);
    drift_mean_add(&b->looks, &s);
}

static json_t *looks_json(const struct bench *b)
{
    struct drift_summary mean;
    struct signature signature;
    if (!drift_mean_get(&b->looks, &mean))
        return json_null();
    signature_of(&mean, &signature);
    json_t *values = json_array();
    for (int i = 0; i < SIGNATURE_VALUES; i++)
        json_array_append_new(values, json_real((double)signature.value[i]));
    return values;
}

static enum status score_frame(struct bench *b, int i, bool looks, double *ret, struct error *err)
{
    struct nn_view input = nn_session_input(b->session, 0);
    struct confusion counts;
    task_input(&b->spec, &b->frames[i], &input, 0);
    enum status st = nn_session_forward(b->session, err);
    if (st != ST_OK)
        return st;
    struct nn_view logits = nn_session_output(b->session, 0);
    task_answer(&b->spec, &logits, NULL, b->answer);
    if (looks)
        note_looks(b, i, &logits);
    task_counts_init(b->spec.task, b->spec.class_count, &counts);
    confusion_add(&counts, b->truth[i].classes, b->answer, task_cells(&b->spec));
    *ret = task_score(b->spec.task, &counts);
    return ST_OK;
}

/* Null for a model that cannot be had: the others are tried all the same. */
static enum status try_model(struct bench *b, struct worker *w, const char *path, json_t *scores,
                             struct error *err)
{
    struct error why;
    bool first = json_array_size(scores) == 0;
    if (take_model(b, path, &why) != ST_OK) {
        json_array_append_new(scores, json_null());
        return ST_OK;
    }
    json_t *frames = json_array();
    enum status st = ST_OK;
    for (int i = 0; i < b->count && st == ST_OK; i++) {
        double score = NAN;
        st = score_frame(b, i, first, &score, err);
        json_array_append_new(frames, isfinite(score) ? json_real(score) : json_null());
        throttle_step(&w->throttle);
    }
    json_array_append_new(scores, frames);
    return st;
}

static enum status try_all(struct bench *b, struct worker *w, const json_t *q, json_t *scores,
                           struct error *err)
{
    const json_t *models = json_object_get(q, "models"), *path;
    double most = worker_number(q, "frames");
    size_t i;
    if (json_array_size(models) > TRIAL_MODELS_MAX || !(most >= 1))
        return error_set(err, ST_INVALID, "a trial has at most %d models, and frames",
                         TRIAL_MODELS_MAX);
    b->count_max = most < TRIAL_FRAMES_MAX ? (int)most : TRIAL_FRAMES_MAX;
    enum status st = read_frames(b, w, q, err);
    json_array_foreach(models, i, path) if (st == ST_OK) st =
        try_model(b, w, json_is_string(path) ? json_string_value(path) : "", scores, err);
    return st;
}

enum status worker_trial(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    struct bench *b = malloc(sizeof *b);
    if (!b)
        return error_set(err, ST_NOMEM, "no memory for a trial");
    int threads = omp_get_max_threads();
    json_t *scores = json_array();
    omp_set_num_threads(w->options.threads);
    enum status st = bench_init(b, w, err);
    if (st == ST_OK)
        st = try_all(b, w, q, scores, err);
    omp_set_num_threads(threads);
    if (st == ST_OK) {
        json_object_set(reply, "scores", scores);
        json_object_set_new(reply, "signature", looks_json(b));
    }
    json_decref(scores);
    bench_clear(b);
    free(b);
    return st;
}
