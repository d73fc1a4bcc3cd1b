/* api_drift.c - GET /v1/drift: of every camera what it thinks of its world, and what became of its
 * requests. */
#include <string.h>

#include "base/clock.h"
#include "server/board.h"
#include "server/http.h"
#include "server/requests.h"

#define REQUESTS_SHOWN 8

static void add_name(const struct store_camera *c, void *context)
{
    json_array_append_new(context, json_string(c->id));
}

static json_t *drift_of(struct server *s, const char *camera)
{
    struct inference_report told = {.drift = {.kind = DRIFT_NONE}};
    uint64_t age_us = 0;
    json_t *requests = requests_json(s, camera, REQUESTS_SHOWN);
    if (!requests)
        return NULL;
    bool known = board_told(s->board, camera, clock_mono_us(), &told, &age_us);
    return json_pack("{s:s,s:o,s:o,s:o}", "camera", camera, "told_s",
                     known ? json_real((double)age_us / 1e6) : json_null(), "state",
                     requests_state_json(&told.drift), "requests", requests);
}

void api_drift(struct request *r, struct reply *out)
{
    struct error err = {0};
    json_t *names = json_array(), *cameras = json_array(), *name;
    size_t i;
    enum status st = store_cameras(r->server->store, add_name, names, &err);
    json_array_foreach(names, i, name)
    {
        json_t *one = drift_of(r->server, json_string_value(name));
        if (!one)
            st = error_set(&err, ST_NOMEM, "no memory for the answer");
        else
            json_array_append_new(cameras, one);
    }
    if (st == ST_OK)
        reply_json(out, 200, json_pack("{s:O}", "cameras", cameras));
    else
        reply_status(out, st, &err);
    json_decref(names);
    json_decref(cameras);
}
