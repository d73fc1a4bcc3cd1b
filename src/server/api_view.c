/* api_view.c - what the page and scripts read: JSON made from the store's rows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "server/board.h"
#include "server/control.h"
#include "server/http.h"
#include "server/requests.h"

#define RATE_WINDOW_US ((uint64_t)60 * 1000000)
#define SERIES_MAX 20000
#define VERSIONS_MAX 500
#define REQUESTS_SHOWN 8

static double mean(unsigned long long sum, unsigned long long count, double unit)
{
    return count ? (double)sum / (double)count / unit : NAN;
}

static void count_camera(const struct store_camera *c, void *context)
{
    (void)c;
    ++*(int *)context;
}

json_t *server_json_health(struct server *s, struct error *err)
{
    struct counters *n = &s->counters;
    int cameras = 0;
    uint64_t backlog = 0;
    enum status st = store_cameras(s->store, count_camera, &cameras, err);
    if (st == ST_OK)
        st = store_backlog(s->store, NULL, &backlog, err);
    if (st != ST_OK)
        return NULL;
    unsigned long long labelled = n->frames_labelled, phases = n->phases;
    json_t *o = json_pack(
        "{s:s,s:s,s:s,s:I,s:s,s:s,s:i,s:I,s:s,s:I,s:I,s:I,s:o,s:o,s:I,s:I,s:I,s:I,s:b}", "status",
        "ok", "task", task_name(s->student_spec.task), "metric",
        task_score_name(s->student_spec.task), "uptime_s",
        (json_int_t)((clock_mono_us() - s->started_us) / 1000000), "student",
        nn_model_identity_hex(s->student), "teacher", nn_model_identity_hex(s->teacher), "cameras",
        cameras, "backlog_chunks", (json_int_t)backlog, "worker", control_worker_state(s->control),
        "worker_restarts", (json_int_t)n->worker_restarts, "phases", (json_int_t)phases,
        "phases_failed", (json_int_t)n->phases_failed, "label_ms",
        server_json_real(mean(n->label_us, labelled, 1e3)), "phase_s",
        server_json_real(mean(n->phase_us, phases, 1e6)), "frames_labelled", (json_int_t)labelled,
        "chunks_failed", (json_int_t)n->chunks_failed, "chunks_retired",
        (json_int_t)n->retired_chunks, "events", (json_int_t)store_event_last(s->store), "adapt",
        (int)s->set.adapt);
    if (!o)
        error_set(err, ST_NOMEM, "no memory for the answer");
    json_object_set_new(o, "state_bytes", json_integer((json_int_t)n->state_bytes));
    json_object_set_new(o, "oldest_us", json_integer((json_int_t)n->oldest_us));
    return o;
}

void api_health(struct request *r, struct reply *out)
{
    struct error err = {0};
    bool sees = r->caller.role == ROLE_VIEW || r->caller.role == ROLE_OPERATE;
    json_t *o = sees ? server_json_health(r->server, &err) : json_pack("{s:s}", "status", "ok");
    if (o)
        reply_json(out, 200, o);
    else
        reply_status(out, err.code, &err);
}

/* Rows are read under the store's lock; what needs the store again comes after. */
static json_t *camera_json(const struct server *s, const struct store_camera *c)
{
    json_t *camera = json_pack(
        "{s:s,s:s,s:s,s:i,s:i,s:f,s:I,s:I,s:I,s:I,s:f,s:I,s:I,s:I,s:I,s:I,s:I}", "id", c->id,
        "group", c->group, "state", c->state, "width", c->width, "height", c->height, "fps", c->fps,
        "created_us", (json_int_t)c->created_us, "seen_us", (json_int_t)c->seen_us, "version",
        (json_int_t)c->version, "camera_version", (json_int_t)c->camera_version, "sampling_fps",
        c->sampling_fps, "frame_t_us", (json_int_t)c->frame_t_us, "chunks", (json_int_t)c->chunks,
        "up_bytes", (json_int_t)c->up_bytes, "down_bytes", (json_int_t)c->down_bytes, "versions",
        (json_int_t)c->versions, "rejected", (json_int_t)c->rejected);
    json_object_set_new(camera, "paused", json_boolean(c->paused_us > 0));
    if (c->paused_us > 0)
        json_object_set_new(camera, "paused_us", json_integer((json_int_t)c->paused_us));
    server_json_accuracy(s, camera, c->accuracy, c->unadapted);
    if (isfinite(c->latitude_deg) && isfinite(c->longitude_deg)) {
        json_object_set_new(camera, "latitude", json_real(c->latitude_deg));
        json_object_set_new(camera, "longitude", json_real(c->longitude_deg));
    }
    return camera;
}

static enum status add_live(struct server *s, json_t *camera, bool points, struct error *err)
{
    const char *id = json_string_value(json_object_get(camera, "id"));
    uint64_t backlog;
    double up, down;
    if (!id)
        return error_set(err, ST_NOMEM, "no memory for the answer");
    enum status st = store_rates(s->store, id, RATE_WINDOW_US, clock_wall_us(), &up, &down, err);
    if (st == ST_OK)
        st = store_backlog(s->store, id, &backlog, err);
    if (st != ST_OK)
        return st;
    json_object_set_new(camera, "up_kbps", json_real(up));
    json_object_set_new(camera, "down_kbps", json_real(down));
    json_object_set_new(camera, "backlog_chunks", json_integer((json_int_t)backlog));
    struct client_settings settings;
    board_settings(s->board, id, &settings);
    json_object_set_new(camera, "uplink_kbps", json_real(settings.uplink_kbps));
    server_json_inference(s, camera, id, points);
    return ST_OK;
}

struct camera_rows {
    const struct server *server;
    json_t *cameras;
};

static void add_camera(const struct store_camera *c, void *context)
{
    const struct camera_rows *l = context;
    json_array_append_new(l->cameras, camera_json(l->server, c));
}

/* A camera of the configuration whose source has not given a picture yet: it has no row. */
static struct store_camera unseen(const struct server *s, const char *id)
{
    struct store_camera c = {.width = s->student_spec.width,
                             .height = s->student_spec.height,
                             .accuracy = NAN,
                             .unadapted = NAN,
                             .latitude_deg = NAN,
                             .longitude_deg = NAN};
    snprintf(c.id, sizeof c.id, "%.63s", id);
    snprintf(c.state, sizeof c.state, "no picture yet");
    return c;
}

static void add_unseen(const struct server *s, json_t *list)
{
    struct camera_list cameras;
    uint64_t generation;
    if (config_cameras(s->config, &cameras, &generation, NULL) != ST_OK)
        return;
    for (int i = 0; i < cameras.count; i++) {
        struct store_camera c;
        const char *id = cameras.cameras[i].id;
        if (!board_infers_here(s->board, id) || store_camera_get(s->store, id, &c, NULL) == ST_OK)
            continue;
        c = unseen(s, id);
        json_array_append_new(list, camera_json(s, &c));
    }
    camera_list_clear(&cameras);
}

json_t *server_json_cameras(struct server *s, struct error *err)
{
    json_t *list = json_array(), *camera;
    struct camera_rows cameras = {s, list};
    size_t i;
    enum status st = store_cameras(s->store, add_camera, &cameras, err);
    if (st == ST_OK)
        add_unseen(s, list);
    json_array_foreach(list, i, camera) if (st == ST_OK) st = add_live(s, camera, false, err);
    if (st == ST_OK)
        return list;
    json_decref(list);
    return NULL;
}

void api_cameras(struct request *r, struct reply *out)
{
    struct error err = {0};
    json_t *list = server_json_cameras(r->server, &err);
    if (list)
        reply_json(out, 200, json_pack("{s:o}", "cameras", list));
    else
        reply_status(out, err.code, &err);
}

/* The row of the camera in the path, or an error reply. */
static bool get_camera(struct request *r, struct store_camera *ret, struct reply *out)
{
    struct error err = {0};
    enum status st = store_camera_get(r->server->store, r->args[0], ret, &err);
    if (st != ST_OK)
        reply_status(out, st, &err);
    return st == ST_OK;
}

void api_camera(struct request *r, struct reply *out)
{
    struct store_camera c;
    struct server *s = r->server;
    if (board_infers_here(s->board, r->args[0]) &&
        store_camera_get(s->store, r->args[0], &c, NULL) == ST_NOT_FOUND)
        c = unseen(s, r->args[0]);
    else if (!get_camera(r, &c, out))
        return;
    struct error err = {0};
    json_t *camera = camera_json(s, &c);
    enum status st = add_live(r->server, camera, true, &err);
    json_object_set_new(camera, "requests", requests_json(s, c.id, REQUESTS_SHOWN));
    if (st == ST_OK)
        reply_json(out, 200, json_incref(camera));
    else
        reply_status(out, st, &err);
    json_decref(camera);
}

/* ---- series ---- */

enum { T, ACCURACY, UNADAPTED, VERSION, SAMPLING, UP, DOWN, COLUMNS };
static const char *const column_names[COLUMNS] = {
    "t_us", "accuracy", "accuracy_unadapted", "version", "sampling_fps", "up_kbps", "down_kbps"};

static void add_frame(const struct store_frame *f, void *context)
{
    json_t **columns = context;
    json_array_append_new(columns[T], json_integer((json_int_t)f->t_us));
    json_array_append_new(columns[ACCURACY], server_json_real(f->accuracy));
    json_array_append_new(columns[UNADAPTED], server_json_real(f->unadapted));
    json_array_append_new(columns[VERSION], json_integer((json_int_t)f->version));
    json_array_append_new(columns[SAMPLING], server_json_real(f->sampling_fps));
    json_array_append_new(columns[UP], server_json_real(f->up_kbps));
    json_array_append_new(columns[DOWN], server_json_real(f->down_kbps));
}

json_t *server_json_version(const struct store_version *v)
{
    return json_pack("{s:I,s:I,s:b,s:I,s:I,s:I,s:o,s:o,s:s}", "version", (json_int_t)v->version,
                     "base", (json_int_t)v->base, "accepted", (int)v->accepted, "t_us",
                     (json_int_t)v->t_us, "delta_bytes", (json_int_t)v->delta_bytes,
                     "snapshot_bytes", (json_int_t)v->snapshot_bytes, "score_before",
                     server_json_real(v->score_before), "score_after",
                     server_json_real(v->score_after), "reason", v->reason);
}

struct mark_list {
    json_t *marks;
    uint64_t since_us;
};

static void add_mark(const struct store_version *v, void *context)
{
    struct mark_list *l = context;
    if (v->t_us > l->since_us)
        json_array_insert_new(l->marks, 0, server_json_version(v));
}

void api_series(struct request *r, struct reply *out)
{
    struct store_camera c;
    struct server *s = r->server;
    uint64_t since_us, limit;
    if (!get_camera(r, &c, out) ||
        !request_number(r, "since_us", 0, 0, INT64_MAX, &since_us, out) ||
        !request_number(r, "limit", 2000, 1, SERIES_MAX, &limit, out))
        return;
    json_t *columns[COLUMNS], *whole = json_pack("{s:s}", "id", c.id);
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = json_array();
        json_object_set_new(whole, column_names[i], columns[i]);
    }
    if (s->student_spec.task == TASK_SEGMENT) {
        json_object_set(whole, "miou", columns[ACCURACY]);
        json_object_set(whole, "miou_unadapted", columns[UNADAPTED]);
    }
    struct error err = {0};
    enum status st = store_frames(s->store, c.id, since_us, (int)limit, add_frame, columns, &err);
    json_t *first = json_array_get(columns[T], 0);
    struct mark_list l = {json_array(),
                          first && !since_us ? (uint64_t)json_integer_value(first) - 1 : since_us};
    if (st == ST_OK)
        st = store_camera_versions(s->store, c.id, VERSIONS_MAX, add_mark, &l, &err);
    json_object_set_new(whole, "marks", l.marks);
    if (st == ST_OK)
        reply_json(out, 200, json_incref(whole));
    else
        reply_status(out, st, &err);
    json_decref(whole);
}

static void add_version(const struct store_version *v, void *context)
{
    json_array_append_new(context, server_json_version(v));
}

void api_versions(struct request *r, struct reply *out)
{
    struct store_camera c;
    if (!get_camera(r, &c, out))
        return;
    struct error err = {0};
    json_t *list = json_array();
    enum status st =
        store_camera_versions(r->server->store, c.id, VERSIONS_MAX, add_version, list, &err);
    if (st == ST_OK)
        reply_json(out, 200, json_pack("{s:O}", "versions", list));
    else
        reply_status(out, st, &err);
    json_decref(list);
}
