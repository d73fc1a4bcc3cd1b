/* worker.c - the loop, and the requests about learners and their frames; those about training are
 * in worker_train.c. */
#include "server/worker.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cores.h"
#include "base/file.h"
#include "base/rng.h"
#include "server/worker_internal.h"
#include "server/worker_process.h"
#include "video/decode.h"
#include "video/frame.h"

#define SNAPSHOT_BYTES_MAX ((size_t)1 << 30)
#define FRAMES_MAX 2048 /* a camera; pictures of the student's size */

const char *worker_text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t ? t : "";
}

double worker_number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : 0;
}

/* ---- init ---- */

/* The preset, and over it what the settings give (0: as the preset has it). */
static enum status read_options(const json_t *q, struct learner_options *o, struct error *err)
{
    const char *name = worker_text(q, "preset");
    enum learner_preset preset = learner_preset_parse(name);
    if (!preset)
        return error_set(err, ST_INVALID,
                         "there is no preset '%.40s'; it is attune, ams, full or one-time", name);
    learner_preset(preset, o);
    if (worker_number(q, "gamma") > 0)
        o->fraction = worker_number(q, "gamma");
    if (worker_number(q, "steps") > 0)
        o->steps = (int)worker_number(q, "steps");
    if (worker_number(q, "batch") > 0)
        o->batch = (int)worker_number(q, "batch");
    if (worker_number(q, "learning_rate") > 0)
        o->optimizer.learning_rate = (float)worker_number(q, "learning_rate");
    if (worker_number(q, "threads") > 0)
        o->threads = (int)worker_number(q, "threads");
    double horizon_s = worker_number(q, "horizon_s"), fps = worker_number(q, "sampling_fps_max");
    if (horizon_s > 0) {
        o->horizon_us = (uint64_t)(horizon_s * 1e6);
        /* Room for every frame of the horizon, and some that come early. */
        double frames = ceil(horizon_s * fps * 1.1) + 16;
        o->frames_max = frames < FRAMES_MAX ? (int)frames : FRAMES_MAX;
    }
    return ST_OK;
}

/* Before this process has a team: its threads start where the first one is. */
static enum status keep_to_cores(const char *list, struct error *err)
{
    struct cores cores;
    if (!list[0])
        return ST_OK;
    enum status st = cores_parse(list, &cores, err);
    return st == ST_OK ? cores_pin(&cores, err) : st;
}

static enum status do_init(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    (void)reply;
    if (w->model)
        return error_set(err, ST_INVALID, "init comes once");
    enum status st = read_options(q, &w->options, err);
    if (st == ST_OK)
        st = keep_to_cores(worker_text(q, "cores"), err);
    if (st == ST_OK)
        st = nn_model_open(worker_text(q, "student"), NULL, &w->model, err);
    struct task_spec spec;
    if (st == ST_OK)
        st = task_spec_read(w->model, &spec, err);
    if (st == ST_OK && spec.task == TASK_CLASSIFY)
        w->options.frames_max = 0; /* crops: many at a time, and small */
    w->seed = (uint64_t)worker_number(q, "seed");
    return st;
}

/* ---- open, close ---- */

static struct pupil *find(struct worker *w, const char *group)
{
    for (int i = 0; i < w->count; i++)
        if (strcmp(w->pupils[i].group, group) == 0)
            return &w->pupils[i];
    return NULL;
}

enum status worker_pupil(struct worker *w, const json_t *q, struct pupil **ret, struct error *err)
{
    *ret = find(w, worker_text(q, "group"));
    return *ret
               ? ST_OK
               : error_set(err, ST_NOT_FOUND, "group '%.63s' is not open", worker_text(q, "group"));
}

static void remove_pupil(struct worker *w, struct pupil *p)
{
    learner_close(&p->learner);
    *p = w->pupils[--w->count];
}

static enum status install(struct learner *l, const char *path, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st = file_read(path, SNAPSHOT_BYTES_MAX, &bytes, err);
    if (st == ST_OK)
        st = learner_install(l, bytes.data, bytes.size_bytes, err);
    buf_clear(&bytes);
    return st;
}

/* The saved state of the version, or where that is damaged or of other settings its snapshot,
 * which costs the optimiser's moments only. Either may have been made under a lower number. */
static enum status restore(struct learner *l, const json_t *q, uint64_t version, json_t *reply,
                           struct error *err)
{
    struct error why = {0};
    if (version == 0)
        return ST_OK;
    if (learner_load_file(l, worker_text(q, "state"), &why) != ST_OK) {
        char note[sizeof why.message + 64];
        snprintf(note, sizeof note, "started from the snapshot: %s", why.message);
        json_object_set_new(reply, "note", json_string(note));
        enum status st = install(l, worker_text(q, "snapshot"), err);
        if (st != ST_OK)
            return st;
    }
    return learner_renumber(l, version, err);
}

static enum status do_open(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    const char *group = worker_text(q, "group");
    uint64_t version = (uint64_t)worker_number(q, "version");
    if (find(w, group))
        return error_set(err, ST_CONFLICT, "group '%.63s' is open already", group);
    if (w->count == WORKER_CAMERAS_MAX)
        return error_set(err, ST_LIMIT, "%d groups are open already", w->count);
    struct pupil *grown = realloc(w->pupils, (size_t)(w->count + 1) * sizeof *w->pupils);
    if (!grown)
        return error_set(err, ST_NOMEM, "no memory for group '%.63s'", group);
    w->pupils = grown;
    struct pupil p = {.learner = NULL};
    snprintf(p.group, sizeof p.group, "%s", group);
    uint64_t seed = rng_hash(w->seed, file_crc32(group, strlen(group)), 0, 0);
    enum status st = learner_open(w->model, &w->options, seed, &p.learner, err);
    if (st == ST_OK)
        st = restore(p.learner, q, version, reply, err);
    if (st != ST_OK) {
        learner_close(&p.learner);
        return st;
    }
    w->pupils[w->count++] = p;
    json_object_set_new(reply, "version", json_integer((json_int_t)version));
    return ST_OK;
}

static enum status do_close(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    (void)reply;
    struct pupil *p;
    enum status st = worker_pupil(w, q, &p, err);
    if (st == ST_OK)
        remove_pupil(w, p);
    return st;
}

/* ---- add ---- */

static enum status add_frames(struct worker *w, struct pupil *p, const struct chunk *c,
                              const struct label_set *labels, int source, struct error *err)
{
    const struct task_spec *spec = learner_spec(p->learner);
    if (labels->count != c->count || labels->class_count != spec->class_count ||
        labels->boxes != (spec->task == TASK_DETECT))
        return error_set(err, ST_FORMAT, "labels and frames do not belong together");
    struct clip_decoder *d;
    enum status st =
        clip_decoder_open(c->payload, c->payload_bytes, c->width, c->height, c->count, &d, err);
    if (st != ST_OK)
        return st;
    st = frame_resize(&w->scaled, spec->width, spec->height, err);
    for (int i = 0; i < c->count && st == ST_OK; i++) {
        struct label_map map = label_set_map(labels, i);
        st = clip_decoder_next(d, &w->decoded, err);
        w->decoded.t_us = c->t_us[i];
        if (st == ST_OK)
            st = scaler_run(&w->scaler, &w->decoded, &w->scaled, err);
        if (st == ST_OK)
            st = learner_add(p->learner, &w->scaled, &map, NULL, source, err);
    }
    clip_decoder_close(&d);
    return st;
}

enum status worker_pair_read(const json_t *q, struct worker_pair *ret, struct error *err)
{
    struct buf text;
    *ret = (struct worker_pair){.chunk = calloc(1, sizeof *ret->chunk)};
    buf_init(&ret->bytes);
    if (!ret->chunk)
        return error_set(err, ST_NOMEM, "no memory for a chunk");
    buf_init(&text);
    enum status st = file_read(worker_text(q, "chunk"), CHUNK_BYTES_MAX, &ret->bytes, err);
    if (st == ST_OK)
        st = chunk_parse(ret->bytes.data, ret->bytes.size_bytes, ret->chunk, err);
    if (st == ST_OK)
        st = file_read(worker_text(q, "labels"), LABEL_SET_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = label_set_read(text.data, text.size_bytes, &ret->labels, err);
    buf_clear(&text);
    return st;
}

void worker_pair_clear(struct worker_pair *p)
{
    label_set_clear(&p->labels);
    buf_clear(&p->bytes);
    free(p->chunk);
}

static enum status do_add(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    struct pupil *p;
    struct worker_pair pair;
    enum status st = worker_pupil(w, q, &p, err);
    if (st != ST_OK)
        return st;
    st = worker_pair_read(q, &pair, err);
    if (st == ST_OK)
        st = add_frames(w, p, pair.chunk, &pair.labels, (int)worker_number(q, "source"), err);
    if (st == ST_OK)
        json_object_set_new(reply, "buffered",
                            json_integer(buffer_count(learner_buffer(p->learner))));
    worker_pair_clear(&pair);
    return st;
}

/* ---- the loop ---- */

static const struct {
    const char *name;
    enum status (*run)(struct worker *w, const json_t *q, json_t *reply, struct error *err);
} requests[] = {{"init", do_init},           {"open", do_open},
                {"close", do_close},         {"add", do_add},
                {"phase", worker_phase},     {"begin", worker_begin},
                {"train", worker_train},     {"checkpoint", worker_checkpoint},
                {"finish", worker_finish},   {"abandon", worker_abandon},
                {"profile", worker_profile}, {"trial", worker_trial},
                {"own", worker_own}};

static enum status dispatch(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    const char *op = worker_text(q, "op");
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        if (strcmp(op, requests[i].name) == 0) {
            if (!w->model && requests[i].run != do_init)
                return error_set(err, ST_INVALID, "init comes first");
            return requests[i].run(w, q, reply, err);
        }
    return error_set(err, ST_INVALID, "there is no request '%.40s'", op);
}

static enum status write_line(int fd, const json_t *reply, struct error *err)
{
    char *text = json_dumps(reply, JSON_COMPACT);
    if (!text)
        return error_set(err, ST_NOMEM, "no memory for an answer");
    size_t n = strlen(text), at = 0;
    text[n++] = '\n'; /* over the NUL: from here on it is bytes, not a string */
    while (at < n) {
        ssize_t done = write(fd, text + at, n - at);
        if (done > 0)
            at += (size_t)done;
        else if (errno != EINTR)
            break;
    }
    free(text);
    return at == n ? ST_OK : error_set(err, ST_IO, "cannot answer: %s", strerror(errno));
}

static enum status answer(struct worker *w, const char *line, size_t n, int out_fd,
                          struct error *err)
{
    struct error why = {0};
    json_t *q = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL), *reply = json_object();
    enum status st = json_is_object(q) ? dispatch(w, q, reply, &why)
                                       : error_set(&why, ST_FORMAT, "the line is no JSON object");
    json_t *id = json_object_get(q, "id");
    json_object_set(reply, "id", id ? id : json_null());
    json_object_set_new(reply, "ok", json_boolean(st == ST_OK));
    if (st != ST_OK)
        json_object_set_new(reply, "error",
                            json_string(why.message[0] ? why.message : status_text(st)));
    st = write_line(out_fd, reply, err);
    json_decref(reply);
    json_decref(q);
    return st;
}

/* Answers the whole lines in `in` and keeps the rest. */
static enum status answer_lines(struct worker *w, struct buf *in, int out_fd, struct error *err)
{
    size_t at = 0;
    uint8_t *end;
    enum status st = ST_OK;
    while (st == ST_OK && (end = memchr(in->data + at, '\n', in->size_bytes - at))) {
        size_t n = (size_t)(end - in->data) - at;
        st = answer(w, (const char *)in->data + at, n, out_fd, err);
        throttle_step(&w->throttle); /* after the answer: only the next request waits */
        at += n + 1;
    }
    memmove(in->data, in->data + at, in->size_bytes - at);
    in->size_bytes -= at;
    if (st == ST_OK && in->size_bytes >= WORKER_LINE_BYTES_MAX)
        st = error_set(err, ST_LIMIT, "a request has more than %zu bytes", WORKER_LINE_BYTES_MAX);
    return st;
}

static enum status serve(struct worker *w, int in_fd, int out_fd, struct error *err)
{
    struct buf in;
    buf_init(&in);
    enum status st = ST_OK;
    while (st == ST_OK) {
        uint8_t part[4096];
        ssize_t n = read(in_fd, part, sizeof part);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            st = error_set(err, ST_IO, "cannot read requests: %s", strerror(errno));
        if (n <= 0)
            continue;
        buf_put(&in, part, (size_t)n);
        st = in.failed ? error_set(err, ST_NOMEM, "no memory for a request")
                       : answer_lines(w, &in, out_fd, err);
    }
    buf_clear(&in);
    return st;
}

enum status worker_run(int in_fd, int out_fd, struct error *err)
{
    struct worker w = {.model = NULL};
    scaler_init(&w.scaler);
    frame_init(&w.decoded);
    frame_init(&w.scaled);
    enum status st = throttle_open(&w.throttle, err);
    if (st == ST_OK)
        st = serve(&w, in_fd, out_fd, err);
    throttle_clear(&w.throttle);
    for (int i = 0; i < w.count; i++)
        learner_close(&w.pupils[i].learner);
    free(w.pupils);
    nn_model_close(&w.model);
    scaler_clear(&w.scaler);
    frame_clear(&w.decoded);
    frame_clear(&w.scaled);
    return st;
}
