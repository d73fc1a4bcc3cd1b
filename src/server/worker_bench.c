/* worker_bench.c - see worker_bench.h. */
#include "server/worker_bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/personal.h"
#include "video/decode.h"
#include "video/frame.h"

void bench_clear(struct bench *b)
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

enum status bench_init(struct bench *b, const struct worker *w, struct error *err)
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
        to->t_us = c->t_us[i];
        b->count += st == ST_OK;
    }
    clip_decoder_close(&d);
    return st;
}

enum status bench_read(struct bench *b, struct worker *w, const json_t *q, struct error *err)
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

/* The snapshot's parameters into b->params; *ret_version is its. */
static enum status take_snapshot(struct bench *b, const char *path, uint64_t *ret_version,
                                 struct error *err)
{
    struct buf snapshot;
    bool applied;
    memcpy(b->params, nn_model_values(b->model),
           nn_model_param_count(b->model) * sizeof *b->params);
    *ret_version = 0;
    if (!path[0])
        return ST_OK;
    buf_init(&snapshot);
    enum status st = file_read(path, BENCH_SNAPSHOT_BYTES_MAX, &snapshot, err);
    if (st == ST_OK)
        st = delta_apply(&b->delta, snapshot.data, snapshot.size_bytes, ret_version, b->params,
                         NULL, &applied, err);
    buf_clear(&snapshot);
    return st;
}

/* A camera's own differences go on top of b->params, which are at `version`. */
static enum status take_own(struct bench *b, const char *path, uint64_t version, struct error *err)
{
    struct delta_personal own = {.count = 0};
    struct buf bytes;
    buf_init(&bytes);
    enum status st = file_read(path, BENCH_SNAPSHOT_BYTES_MAX, &bytes, err);
    if (st == ST_OK)
        st = delta_personal_read(&b->delta, bytes.data, bytes.size_bytes, version, &own, err);
    if (st == ST_OK)
        delta_personal_put(&own, b->params, b->params);
    delta_personal_clear(&own);
    buf_clear(&bytes);
    return st;
}

enum status bench_take_model(struct bench *b, const char *snapshot, const char *own,
                             struct error *err)
{
    uint64_t version;
    enum status st = take_snapshot(b, snapshot, &version, err);
    if (st == ST_OK && own[0])
        st = take_own(b, own, version, err);
    if (st != ST_OK)
        return st;
    memcpy(nn_session_params(b->session), b->params,
           nn_model_param_count(b->model) * sizeof *b->params);
    nn_session_params_changed(b->session);
    return ST_OK;
}
