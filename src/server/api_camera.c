/* api_camera.c - what cameras ask: hello, chunks, updates. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "server/board.h"
#include "server/gate.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/own.h"
#include "uplink/chunk.h"

#define FUTURE_MAX_US ((uint64_t)3600 * 1000000)
#define DELTA_BYTES_MAX ((size_t)1 << 30)

/* ---- hello ---- */

struct hello {
    const char *student, *task, *state;
    int width, height;
    double fps;
    json_int_t version;
    double latitude_deg, longitude_deg;
};

static bool read_hello(const json_t *body, struct hello *h, struct reply *out)
{
    json_error_t why;
    *h = (struct hello){.state = "", .latitude_deg = NAN, .longitude_deg = NAN};
    /* Without a task: the student says it. */
    if (json_unpack_ex((json_t *)(uintptr_t)body, &why, 0, "{s:s,s?s,s:i,s:i,s:F,s:I,s?s,s?F,s?F}",
                       "student", &h->student, "task", &h->task, "width", &h->width, "height",
                       &h->height, "fps", &h->fps, "version", &h->version, "state", &h->state,
                       "latitude", &h->latitude_deg, "longitude", &h->longitude_deg) != 0) {
        reply_error(out, 400, "the hello is not complete: %s; see docs/api.md", why.text);
        return false;
    }
    if (h->width < 1 || h->width > FRAME_SIDE_MAX || h->height < 1 || h->height > FRAME_SIDE_MAX ||
        !(h->fps > 0 && h->fps <= 10000) || h->version < 0 || fabs(h->latitude_deg) > 90 ||
        fabs(h->longitude_deg) > 180) {
        reply_error(out, 400, "width, height, fps, version or place is out of range");
        return false;
    }
    return true;
}

/* Both sides must have the same file, or an update would land on other weights. */
static bool check_student(const struct server *s, const struct hello *h, struct reply *out)
{
    const char *ours = nn_model_identity_hex(s->student);
    const char *task = task_name(s->student_spec.task);
    if (h->task && strcmp(h->task, task) != 0)
        reply_error(out, 409, "this server's task is %s, the camera's is %.40s", task, h->task);
    else if (strcmp(h->student, ours) != 0)
        reply_error(out, 409,
                    "the camera runs student %.64s, this server adapts %s; give both the same "
                    "ONNX file",
                    h->student, ours);
    else
        return true;
    return false;
}

/* What goes into JSON later must not be cut within a UTF-8 character: plain ASCII only. */
static void copy_plain(char *ret, size_t size_bytes, const char *text)
{
    size_t n = 0;
    for (; text[n] && n + 1 < size_bytes; n++)
        ret[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    ret[n] = '\0';
}

/* The configuration's place, where it has one, in place of what the camera said. */
static void take_place(const struct server *s, struct store_camera *c)
{
    struct camera_settings set;
    if (!config_camera(s->config, c->id, &set) || (set.latitude == 0 && set.longitude == 0))
        return;
    c->latitude_deg = set.latitude;
    c->longitude_deg = set.longitude;
}

static void join(struct request *r, const struct hello *h, struct reply *out)
{
    struct server *s = r->server;
    struct store_camera c = {.width = h->width,
                             .height = h->height,
                             .fps = h->fps,
                             .sampling_fps = config_live(s->config).sampling_fps_max,
                             .camera_version = (uint64_t)h->version,
                             .latitude_deg = h->latitude_deg,
                             .longitude_deg = h->longitude_deg,
                             .seen_us = clock_wall_us()};
    snprintf(c.id, sizeof c.id, "%.63s", r->args[0]);
    copy_plain(c.state, sizeof c.state, h->state);
    take_place(s, &c);
    bool is_new;
    struct error err = {0};
    enum status st = store_camera_hello(s->store, &c, &is_new, &err);
    if (st != ST_OK) {
        reply_status(out, st == ST_LIMIT ? ST_DENIED : st, &err);
        return;
    }
    if (is_new || gate_tells(s, c.id))
        server_event(s, c.id, is_new ? "camera_joined" : "camera_back",
                     json_pack("{s:i,s:i,s:f,s:I}", "width", c.width, "height", c.height, "fps",
                               c.fps, "version", (json_int_t)h->version),
                     "%s with %d x %d at %.3g fps and version %lld",
                     is_new ? "a new camera" : "the camera said hello again", c.width, c.height,
                     c.fps, (long long)h->version);
    api_settings(r, out);
}

static bool check_camera_id(const struct request *r, struct reply *out)
{
    if (store_camera_id_valid(r->args[0]))
        return true;
    reply_error(out, 400, "a camera id is 1 to 63 of a-z, 0-9, _ and -");
    return false;
}

void api_hello(struct request *r, struct reply *out)
{
    if (!check_camera_id(r, out))
        return;
    json_error_t why;
    json_t *body =
        json_loadb((const char *)r->body.data, r->body.size_bytes, JSON_REJECT_DUPLICATES, &why);
    struct hello h;
    if (!body)
        reply_error(out, 400, "the body is not JSON: line %d: %s", why.line, why.text);
    else if (read_hello(body, &h, out) && check_student(r->server, &h, out))
        join(r, &h, out);
    json_decref(body);
}

/* ---- chunks ---- */

/* What decoding takes goes by a picture's size, and a few bytes can claim a large one. */
static enum status check_picture(const struct server *s, const struct chunk *c, struct error *err)
{
    const struct task_spec *own = &s->student_spec;
    long pixels = (long)c->width * c->height, most = config_live(s->config).picture_pixels_max;
    if (pixels <= most || (c->width <= own->width && c->height <= own->height))
        return ST_OK;
    return error_set(err, ST_FORMAT,
                     "pictures of %d x %d are larger than the server takes (%ld pixels); raise "
                     "picture_pixels_max there",
                     c->width, c->height, most);
}

static enum status check_chunk(const struct request *r, uint64_t seq, struct error *err)
{
    struct chunk c;
    enum status st = chunk_parse(r->body.data, r->body.size_bytes, &c, err);
    if (st == ST_LIMIT)
        return ST_FORMAT; /* of the format, not of this server's disk */
    if (st != ST_OK)
        return st;
    if (strcmp(c.camera, r->args[0]) != 0 || c.seq != seq)
        return error_set(err, ST_FORMAT, "the chunk is number %llu of '%s', the path says another",
                         (unsigned long long)c.seq, c.camera);
    if (c.t_us[c.count - 1] > clock_wall_us() + FUTURE_MAX_US)
        return error_set(err, ST_FORMAT,
                         "the frames are more than an hour in the future; set the camera's clock");
    return check_picture(r->server, &c, err);
}

static void reply_chunk(struct request *r, bool is_new, struct reply *out)
{
    struct store_camera c;
    struct error err = {0};
    enum status st = store_camera_get(r->server->store, r->args[0], &c, &err);
    if (st != ST_OK)
        reply_status(out, st, &err);
    else
        reply_json(out, is_new ? 201 : 200,
                   json_pack("{s:f,s:I}", "sampling_fps", c.sampling_fps, "version",
                             (json_int_t)c.version));
}

/* One event when the backlog fills, not one a refused request. */
static void note_refusal(struct server *s, const char *camera, uint64_t seq, enum status st,
                         const struct error *err)
{
    log_write(LOG_WARN, "chunk refused", "camera=%s seq=%llu code=%d why=\"%s\"", camera,
              (unsigned long long)seq, (int)st, err->message);
    struct store_camera c;
    if (store_camera_get(s->store, camera, &c, NULL) == ST_OK)
        metrics_refused(s->metrics, camera);
    if (st == ST_AGAIN && store_camera_get(s->store, camera, &c, NULL) == ST_OK &&
        seq == c.seq_last + 1 && !atomic_exchange(&s->counters.backlog_noted, true))
        server_event(s, camera, "backlog_full", NULL, "%s", err->message);
}

void api_chunk(struct request *r, struct reply *out)
{
    uint64_t seq;
    if (!check_camera_id(r, out))
        return;
    if (!http_parse_number(r->args[1], INT64_MAX, &seq) || seq == 0) {
        reply_error(out, 400, "a sequence number is a whole number from 1");
        return;
    }
    struct error err = {0};
    bool is_new = false;
    enum status st = check_chunk(r, seq, &err);
    if (st == ST_OK)
        st = store_chunk_put(r->server->store, r->args[0], seq, r->body.data, r->body.size_bytes,
                             clock_wall_us(), &is_new, &err);
    if (st != ST_OK) {
        note_refusal(r->server, r->args[0], seq, st, &err);
        reply_status(out, st, &err);
        return;
    }
    if (is_new)
        bell_ring(&r->server->bell);
    reply_chunk(r, is_new, out);
}

/* ---- updates ---- */

static enum status read_kind(const struct server *s, const char *group, uint64_t version,
                             const char *kind, struct buf *out, struct error *err)
{
    char name[48], path[PATH_MAX];
    snprintf(name, sizeof name, "v%llu.%s", (unsigned long long)version, kind);
    store_model_path(s->store, group, name, path);
    out->size_bytes = 0;
    return file_read(path, DELTA_BYTES_MAX, out, err);
}

/* Is the step to `version` one from what the camera has? Not from another group's version of the
 * same number. */
static bool step_fits(const struct server *s, const char *camera, const char *group, uint64_t have,
                      uint64_t version)
{
    char group_of_have[CAMERA_ID_CHARS_MAX + 1];
    uint64_t base, from;
    return store_version_base(s->store, group, version, &base, NULL) == ST_OK && base == have &&
           (have == 0 ||
            (store_group_of(s->store, camera, have, group_of_have, &from, NULL) == ST_OK &&
             strcmp(group_of_have, group) == 0));
}

/* The file that leads from `have` to the group's `version`, the same for all of its cameras: the
 * one step, or a snapshot. */
static enum status read_update(const struct server *s, const char *camera, uint64_t have,
                               uint64_t version, uint64_t *ret_base, struct buf *out,
                               struct error *err)
{
    char group[CAMERA_ID_CHARS_MAX + 1];
    uint64_t from;
    enum status st = store_group_of(s->store, camera, version, group, &from, err);
    if (st != ST_OK)
        return st;
    bool step = step_fits(s, camera, group, have, version) &&
                read_kind(s, group, version, "delta", out, NULL) == ST_OK;
    if (!step)
        st = read_kind(s, group, version, "snap", out, err);
    if (st == ST_OK)
        *ret_base = step ? have : 0;
    return st;
}

static void say_delta(struct reply *out, uint64_t base, uint64_t version, uint64_t own)
{
    out->status = 200;
    out->type = "application/vnd.attune.delta";
    reply_header(out, "Attune-Base", "%llu", (unsigned long long)base);
    reply_header(out, "Attune-Version", "%llu", (unsigned long long)version);
    reply_header(out, "Attune-Own", "%llu", (unsigned long long)own);
}

/* The camera's own delta, which is of number `number`; an empty body for none. */
static void reply_own(struct request *r, uint64_t version, uint64_t number, struct reply *out)
{
    struct server *s = r->server;
    struct store_camera c;
    struct error err = {0};
    enum status st = store_camera_get(s->store, r->args[0], &c, &err);
    out->body.size_bytes = 0;
    if (st == ST_OK && number)
        st = own_read(s, c.group, r->args[0], number, &out->body, NULL, &err);
    if (st == ST_NOT_FOUND) { /* it is being replaced */
        out->status = 204;
        return;
    }
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    say_delta(out, version, version, number);
    store_camera_update(s->store, r->args[0], version, out->body.size_bytes, clock_wall_us(), NULL);
}

static void reply_update(struct request *r, uint64_t have, uint64_t version, struct reply *out)
{
    struct server *s = r->server;
    struct error err = {0};
    uint64_t base;
    if (version == 0) {
        reply_error(out, 409,
                    "this server is at version 0, the camera at %llu: go back to the student's "
                    "own weights and say hello",
                    (unsigned long long)have);
        return;
    }
    enum status st = read_update(s, r->args[0], have, version, &base, &out->body, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    say_delta(out, base, version, board_own(s->board, r->args[0]));
    st = store_camera_update(s->store, r->args[0], have, out->body.size_bytes, clock_wall_us(),
                             &err);
    if (st != ST_OK)
        log_write(LOG_WARN, "download not counted", "camera=%s why=\"%s\"", r->args[0],
                  err.message);
}

/* The camera runs `have` from now on: said before waiting, so that the page need not wait too. */
static void note_version(struct server *s, const char *camera, uint64_t have)
{
    struct store_camera c;
    struct error err = {0};
    if (store_camera_get(s->store, camera, &c, NULL) != ST_OK || c.camera_version == have)
        return;
    if (store_camera_update(s->store, camera, have, 0, clock_wall_us(), &err) != ST_OK)
        log_write(LOG_WARN, "version not noted", "camera=%s why=\"%s\"", camera, err.message);
}

/* What a camera says that it has. */
struct has {
    uint64_t version;
    uint64_t own;      /* number of its personal delta; OWN_UNKNOWN: it knows of none */
    uint64_t settings; /* revision; 0: it does not care */
};

#define OWN_UNKNOWN UINT64_MAX

/* Until the camera's version differs from what it has, or its own delta does; ST_AGAIN after the
 * time, or when its settings have another revision than the one that it knows. */
static enum status wait_version(struct request *r, const struct has *has, uint64_t until_us,
                                uint64_t *ret_version, struct error *err)
{
    struct server *s = r->server;
    uint64_t have = has->version, known = has->settings;
    for (;;) {
        uint64_t seen = bell_count(&s->bell);
        struct store_camera c;
        if (!http_wait_holds(r))
            return error_set(err, ST_DENIED, "this camera's token was revoked");
        enum status st = store_camera_get(s->store, r->args[0], &c, err);
        if (st != ST_OK)
            return st;
        if (c.version != have) {
            *ret_version = c.version;
            return ST_OK;
        }
        if (have > 0 && has->own != OWN_UNKNOWN && board_own(s->board, r->args[0]) != has->own) {
            *ret_version = have;
            return ST_OK;
        }
        if (known > 0 && board_revision(s->board, r->args[0]) != known)
            return ST_AGAIN;
        if (clock_mono_us() >= until_us || !bell_wait(&s->bell, seen, until_us))
            return ST_AGAIN;
    }
}

void api_updates(struct request *r, struct reply *out)
{
    struct has has;
    uint64_t wait_s, version = 0;
    if (!check_camera_id(r, out) ||
        !request_number(r, "have", 0, 0, INT64_MAX, &has.version, out) ||
        !request_number(r, "own", OWN_UNKNOWN, 0, INT64_MAX, &has.own, out) ||
        !request_number(r, "wait_s", 0, 0, HTTP_WAIT_S_MAX, &wait_s, out) ||
        !request_number(r, "settings", 0, 0, INT64_MAX, &has.settings, out))
        return;
    if (wait_s > 0 && !http_wait_begin(r, out))
        return;
    struct error err = {0};
    uint64_t until_us = clock_mono_us() + wait_s * 1000000;
    note_version(r->server, r->args[0], has.version);
    enum status st = wait_version(r, &has, until_us, &version, &err);
    if (wait_s > 0)
        http_wait_end(r->server);
    reply_header(out, "Attune-Settings", "%llu",
                 (unsigned long long)board_revision(r->server->board, r->args[0]));
    if (st == ST_OK && version > 0 && version == has.version)
        reply_own(r, version, board_own(r->server->board, r->args[0]), out);
    else if (st == ST_OK)
        reply_update(r, has.version, version, out);
    else if (st == ST_AGAIN) {
        out->status = 204;
        store_camera_update(r->server->store, r->args[0], has.version, 0, clock_wall_us(), NULL);
    } else
        reply_status(out, st, &err);
}
