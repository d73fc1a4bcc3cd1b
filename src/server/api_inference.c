/* api_inference.c - what a camera should do, and what it tells of its inference. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/board.h"
#include "server/http.h"

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

/* A source that goes away or comes back is worth an event. */
static void note_source(struct server *s, const char *camera, const struct inference_report *before,
                        const struct inference_report *now)
{
    if (now->source[0] && !before->source[0])
        server_event(s, camera, "stream_lost", NULL, "%s", now->source);
    else if (!now->source[0] && before->source[0])
        server_event(s, camera, "stream_back", NULL, "the source delivers again");
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
    note_source(s, c.id, &before, &report);
    out->status = 204;
}

void server_json_inference(struct server *s, json_t *camera, const char *id, bool points)
{
    struct inference_report told;
    uint64_t age_us;
    json_t *inference = NULL;
    if (board_told(s->board, id, clock_mono_us(), &told, &age_us))
        inference = message_report(&told);
    if (inference && !points)
        json_object_del(inference, "points");
    if (inference)
        json_object_set_new(inference, "age_s", json_real((double)age_us / 1e6));
    json_object_set_new(camera, "infers_at",
                        json_string(board_infers_here(s->board, id) ? "server" : "camera"));
    json_object_set_new(camera, "inference", inference ? inference : json_null());
}
