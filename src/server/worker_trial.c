/* worker_trial.c - the request that tries models on a camera's frames: who is to learn with whom is
 * decided by that. Nothing is learnt, no learner is touched. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "server/worker_bench.h"
#include "task/confusion.h"

#define LOOKS_CELLS_MAX 1024

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
static enum status try_model(struct bench *b, struct worker *w, const json_t *model, json_t *scores,
                             struct error *err)
{
    struct error why;
    bool first = json_array_size(scores) == 0;
    if (bench_take_model(b, worker_text(model, "path"), worker_text(model, "own"), &why) != ST_OK) {
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
    const json_t *models = json_object_get(q, "models"), *model;
    double most = worker_number(q, "frames");
    size_t i;
    if (json_array_size(models) > TRIAL_MODELS_MAX || !(most >= 1))
        return error_set(err, ST_INVALID, "a trial has at most %d models, and frames",
                         TRIAL_MODELS_MAX);
    b->count_max = most < TRIAL_FRAMES_MAX ? (int)most : TRIAL_FRAMES_MAX;
    enum status st = bench_read(b, w, q, err);
    json_array_foreach(models, i, model) if (st == ST_OK) st = try_model(b, w, model, scores, err);
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
