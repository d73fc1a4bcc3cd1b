/* requests.c - from reports to rows and events. */
#include "server/requests.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "drift/watch.h"
#include "server/gate.h"

static bool is_fault(enum drift_kind kind)
{
    return kind == DRIFT_DIRTY || kind == DRIFT_BLIND;
}

void requests_raise(struct server *s, const struct drift_request *r)
{
    struct error err = {0};
    uint64_t id;
    bool is_new;
    if (store_request_raise(s->store, r, &id, &is_new, &err) != ST_OK) {
        log_write(LOG_ERROR, "request lost", "camera=%s why=\"%s\"", r->camera, err.message);
        return;
    }
    if (is_new)
        server_event(s, r->camera, "drift_request",
                     json_pack("{s:I,s:s,s:s,s:f,s:I}", "request", (json_int_t)id, "drift",
                               drift_kind_name(r->kind), "noticed_at",
                               r->at_server ? "server" : "camera", "score", r->score, "since_us",
                               (json_int_t)r->since_us),
                     "%s", r->text);
}

static void take_newest(const struct store_request *r, void *context)
{
    *(struct store_request *)context = *r;
}

void requests_trained(struct server *s, const char *camera, uint64_t trained_seq, uint64_t urged,
                      bool accepted)
{
    struct store_request r = {.id = 0};
    struct error err;
    enum status st = store_requests(s->store, camera, 1, take_newest, &r, &err);
    if (st == ST_OK && (r.id == 0 || r.closed_us > 0 || trained_seq <= r.drift.seq))
        return;
    if (st == ST_OK && r.drift.kind == DRIFT_MANUAL && r.id > urged)
        return;
    if (st == ST_OK)
        st = store_request_close(s->store, r.id,
                                 accepted ? "learns alone: trained on frames since then"
                                          : "learns alone: training on frames since then brought "
                                            "nothing better",
                                 clock_wall_us(), &err);
    if (st != ST_OK && st != ST_NOT_FOUND)
        log_write(LOG_ERROR, "request not closed", "camera=%s why=\"%s\"", camera, err.message);
}

static void tell_fault(struct server *s, const char *camera, const struct drift_request *r,
                       bool over)
{
    json_t *more = json_pack("{s:s,s:I}", "fault", drift_kind_name(r->kind), "since_us",
                             (json_int_t)r->since_us);
    if (over)
        server_event(s, camera, "camera_well", more, "the camera is not %s any more",
                     drift_kind_name(r->kind));
    else
        server_event(s, camera, "camera_fault", more, "the camera is %s: %s",
                     drift_kind_name(r->kind), r->text);
}

void requests_take(struct server *s, const char *camera, const struct drift_request *now,
                   const struct drift_request *before)
{
    if (now->kind == before->kind && now->since_us == before->since_us)
        return;
    bool faults = now->kind != before->kind && (is_fault(before->kind) || is_fault(now->kind));
    if (faults && gate_tells(s, camera)) {
        if (is_fault(before->kind))
            tell_fault(s, camera, before, true);
        if (is_fault(now->kind))
            tell_fault(s, camera, now, false);
    }
    if (now->kind != DRIFT_SCENE && now->kind != DRIFT_VIEW)
        return;
    struct drift_request r = *now;
    snprintf(r.camera, sizeof r.camera, "%s", camera);
    requests_raise(s, &r);
}

/* ---- for people ---- */

json_t *requests_state_json(const struct drift_request *told)
{
    if (told->kind == DRIFT_NONE)
        return json_null();
    return json_pack("{s:s,s:I,s:f,s:s}", "kind", drift_kind_name(told->kind), "since_us",
                     (json_int_t)told->since_us, "score", told->score, "text", told->text);
}

static void add_request(const struct store_request *r, void *context)
{
    const struct drift_request *d = &r->drift;
    json_t *o =
        json_pack("{s:I,s:s,s:s,s:I,s:I,s:o,s:s,s:i,s:I,s:b,s:s}", "id", (json_int_t)r->id, "kind",
                  drift_kind_name(d->kind), "noticed_at", d->at_server ? "server" : "camera",
                  "t_us", (json_int_t)d->t_us, "since_us", (json_int_t)d->since_us, "score",
                  server_json_real(d->score), "text", d->text, "times", r->times, "after_chunk",
                  (json_int_t)d->seq, "open", (int)(r->closed_us == 0), "outcome", r->outcome);
    if (r->closed_us > 0)
        json_object_set_new(o, "closed_us", json_integer((json_int_t)r->closed_us));
    json_object_set_new(o, "latitude", server_json_real(d->latitude_deg));
    json_object_set_new(o, "longitude", server_json_real(d->longitude_deg));
    json_array_append_new(context, o);
}

json_t *requests_json(struct server *s, const char *camera, int limit)
{
    struct error err;
    json_t *list = json_array();
    if (list && store_requests(s->store, camera, limit, add_request, list, &err) != ST_OK) {
        json_decref(list);
        return NULL;
    }
    return list;
}
