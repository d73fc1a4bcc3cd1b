/* api_inference.c - what a camera should do, and what it tells of its inference. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "label/label_file.h"
#include "server/board.h"
#include "server/gate.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/requests.h"
#include "server/streams.h"

void api_settings(struct request *r, struct reply *out)
{
    struct server *s = r->server;
    struct store_camera c;
    struct error err = {0};
    enum status st = store_camera_get(s->store, r->args[0], &c, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    struct client_settings set = {.version = c.version,
                                  .sampling_fps = c.sampling_fps,
                                  .chunk_s = s->set.chunk_s,
                                  .next_seq = c.seq_last + 1,
                                  .adapt = s->set.adapt};
    board_settings(s->board, c.id, &set);
    reply_json(out, 200, message_settings(&set));
}

/* A source that goes away or comes back is worth an event, also when it was away between two
 * reports only. */
static void note_source(struct server *s, const char *camera, const struct inference_report *before,
                        const struct inference_report *now)
{
    bool lost = now->source[0] && !before->source[0], back = !now->source[0] && before->source[0];
    if (!(lost || back || now->reconnects > before->reconnects) || !gate_tells(s, camera))
        return;
    if (lost)
        server_event(s, camera, "stream_lost", NULL, "%s", now->source);
    else if (back)
        server_event(s, camera, "stream_back", NULL, "the source delivers again");
    else
        server_event(s, camera, "stream_back", NULL, "the source was away for a moment");
}

void api_report(struct request *r, struct reply *out)
{
    struct server *s = r->server;
    struct store_camera c;
    struct inference_report report, before;
    struct error err = {0};
    enum status st = store_camera_get(s->store, r->args[0], &c, &err);
    if (st == ST_OK)
        st = message_read_report(r->body.data, r->body.size_bytes, &report, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    board_report(s->board, c.id, &report, clock_mono_us(), &before);
    metrics_report(s->metrics, c.id, &report);
    note_source(s, c.id, &before, &report);
    if (report.no_upload && (report.drift.kind == DRIFT_SCENE || report.drift.kind == DRIFT_VIEW))
        report.drift.kind = DRIFT_NONE; /* without frames nobody can help it */
    requests_take(s, c.id, &report.drift, &before.drift);
    out->status = 204;
}

/* ---- labels ---- */

/* The map of that time out of a chunk's labels, as a file of its own. */
static enum status cut_labels(const struct label_set *all, uint64_t t_us, struct buf *out,
                              struct error *err)
{
    for (int i = 0; i < all->count; i++) {
        if (all->t_us[i] != t_us)
            continue;
        struct label_set one = *all;
        one.count = 1;
        one.t_us = &all->t_us[i];
        one.classes = label_set_map(all, i).classes;
        return label_set_write(&one, out, err);
    }
    return error_set(err, ST_NOT_FOUND, "the chunk has no labels of that frame");
}

static enum status read_labels(const struct server *s, const char *camera, uint64_t seq,
                               uint64_t t_us, struct buf *out, struct error *err)
{
    char path[PATH_MAX];
    struct label_set all;
    struct buf file;
    buf_init(&file);
    store_label_path(s->store, camera, seq, path);
    enum status st = file_read(path, LABEL_SET_BYTES_MAX, &file, err);
    if (st == ST_OK)
        st = label_set_read(file.data, file.size_bytes, &all, err);
    buf_clear(&file);
    if (st != ST_OK)
        return st;
    st = cut_labels(&all, t_us, out, err);
    label_set_clear(&all);
    return st;
}

void api_labels(struct request *r, struct reply *out)
{
    struct server *s = r->server;
    struct store_camera c;
    struct store_frame f;
    struct error err = {0};
    uint64_t t_us;
    if (!request_number(r, "t_us", 0, 1, INT64_MAX, &t_us, out))
        return;
    enum status st = store_camera_get(s->store, r->args[0], &c, &err);
    if (st == ST_OK)
        st = store_frame_get(s->store, c.id, t_us, -1, &f, &err);
    if (st == ST_OK)
        st = read_labels(s, c.id, f.seq, t_us, &out->body, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    out->status = 200;
    out->type = "application/octet-stream";
}

static json_t *quantiles_json(const struct durations *d)
{
    if (durations_count(d) == 0)
        return json_null();
    return json_pack("{s:f,s:f}", "p50", durations_quantile(d, 0.5), "p95",
                     durations_quantile(d, 0.95));
}

/* Counts are for the metrics; who looks at a camera wants to know how it is now. */
static json_t *timing_json(struct server *s, const char *id)
{
    struct inference_timing recent;
    board_timing(s->board, id, &recent);
    return json_pack("{s:o,s:o}", "run_s", quantiles_json(&recent.run), "age_s",
                     quantiles_json(&recent.age));
}

void server_json_inference(struct server *s, json_t *camera, const char *id, bool points)
{
    struct inference_report told = {.drift = {.kind = DRIFT_NONE}};
    uint64_t age_us;
    json_t *inference = NULL;
    if (board_told(s->board, id, clock_mono_us(), &told, &age_us))
        inference = message_report(&told);
    if (inference && !points)
        json_object_del(inference, "points");
    if (inference) {
        json_object_del(inference, "drift");
        json_object_set_new(inference, "timing", timing_json(s, id));
    }
    json_object_set_new(camera, "drift", requests_state_json(&told.drift));
    if (inference)
        json_object_set_new(inference, "age_s", json_real((double)age_us / 1e6));
    json_object_set_new(camera, "infers_at",
                        json_string(board_infers_here(s->board, id) ? "server" : "camera"));
    json_object_set_new(camera, "inference", inference ? inference : json_null());
    struct stream_view stream;
    if (streams_look(s->streams, id, &stream))
        json_object_set_new(camera, "stream",
                            json_pack("{s:b,s:I,s:s}", "running", stream.pid > 0, "starts",
                                      (json_int_t)stream.starts, "reason", stream.reason));
    else
        json_object_set_new(camera, "stream", json_null());
}
