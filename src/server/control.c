/* control.c - everything that a restart needs is on disk: this thread's memory is only what it has
 * told the present worker. A version's row is written after its files, and the worker's state of
 * version N is in vN.learner, so a crash between the two repeats the phase from version N - 1. */
#include "server/control.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/worker_process.h"
#include "train/atr.h"
#include "train/round_robin.h"

#define SECOND_US ((uint64_t)1000000)
#define ASK_US (120 * SECOND_US) /* for everything but a phase */
#define RETRY_US (SECOND_US / 2) /* a camera without new frames is looked at again */
#define BACKOFF_MAX_US (60 * SECOND_US)
#define PENALTY_MAX_US (600 * SECOND_US)
#define CHUNKS_MAX 512 /* told to the worker in one turn */

struct trainee {
    char id[CAMERA_ID_CHARS_MAX + 1];
    bool open;            /* the worker has it */
    uint64_t added_seq;   /* the worker has chunks up to here */
    uint64_t trained_seq; /* newest chunk of the last recorded phase */
    int frames;           /* in the worker's buffer */
    int failures;         /* turns in a row */
    struct atr atr;
};

struct control {
    struct server *server;
    struct worker_process worker;
    atomic_int worker_pid;
    struct round_robin ring;
    struct trainee *trainees; /* [cameras_max], index is the ring's id */
    int count;
    uint64_t backoff_us, restart_us; /* not before restart_us */
    bool ready;                      /* the worker knows the model */
    pthread_t thread;
    bool running;
};

const char *control_worker_state(const struct server *s)
{
    static const char *const names[] = {"off", "running", "restarting"};
    return names[atomic_load(&s->counters.worker_state)];
}

int control_worker_pid(const struct control *c)
{
    return atomic_load(&c->worker_pid);
}

/* ---- the worker ---- */

static void end_worker(struct control *c)
{
    worker_process_stop(&c->worker);
    atomic_store(&c->worker_pid, 0);
    c->ready = false;
    for (int i = 0; i < c->count; i++)
        c->trainees[i].open = false;
}

static void lose_worker(struct control *c, const struct error *why)
{
    struct counters *n = &c->server->counters;
    c->backoff_us = c->backoff_us ? c->backoff_us * 2 : SECOND_US;
    if (c->backoff_us > BACKOFF_MAX_US)
        c->backoff_us = BACKOFF_MAX_US;
    c->restart_us = clock_mono_us() + c->backoff_us;
    end_worker(c);
    atomic_fetch_add(&n->worker_restarts, 1);
    atomic_store(&n->worker_state, WORKER_RESTARTING);
    server_event(c->server, "", "worker_restarted", NULL, "%s; another starts in %llu s",
                 why->message, (unsigned long long)(c->backoff_us / SECOND_US));
}

static enum status ask(struct control *c, json_t *request, uint64_t wait_us, json_t **ret,
                       struct error *err)
{
    if (!request)
        return error_set(err, ST_NOMEM, "no memory for a request to the worker");
    return worker_process_ask(&c->worker, request, clock_mono_us() + wait_us, &c->server->bell, ret,
                              err);
}

static json_t *init_request(const struct server *s)
{
    const struct settings *set = &s->set;
    char cores[CORES_TEXT_BYTES] = "";
    if (s->cores.pinned)
        cores_write(&s->roles[SERVER_TRAIN].own, cores);
    return json_pack("{s:s,s:s,s:s,s:f,s:i,s:i,s:f,s:f,s:f,s:i,s:s,s:i}", "op", "init", "student",
                     set->student, "preset", set->preset, "gamma", set->gamma, "steps", set->steps,
                     "batch", set->batch, "learning_rate", set->learning_rate, "horizon_s",
                     set->horizon_s, "sampling_fps_max", set->sampling_fps_max, "threads",
                     set->train_threads, "cores", cores, "seed", set->seed);
}

static enum status ensure_worker(struct control *c, struct error *err)
{
    static char self[] = "/proc/self/exe", command[] = "worker";
    static char *const standard[] = {self, command, NULL};
    char *const *argv = c->server->options.worker_argv;
    if (c->ready)
        return ST_OK;
    end_worker(c);
    enum status st = worker_process_start(&c->worker, argv ? argv : standard, err);
    if (st != ST_OK)
        return ST_NETWORK;
    atomic_store(&c->worker_pid, (int)c->worker.pid);
    json_t *reply;
    st = ask(c, init_request(c->server), ASK_US, &reply, err);
    if (st != ST_OK)
        return st == ST_AGAIN ? st : ST_NETWORK;
    json_decref(reply);
    c->ready = true;
    atomic_store(&c->server->counters.worker_state, WORKER_RUNNING);
    return ST_OK;
}

/* ---- a camera's learner in the worker ---- */

static void note_trained(const struct store_version *v, void *context)
{
    *(uint64_t *)context = v->trained_seq;
}

static enum status open_trainee(struct control *c, struct trainee *t, struct error *err)
{
    struct store *store = c->server->store;
    struct store_camera camera;
    char name[32], state[PATH_MAX], snapshot[PATH_MAX];
    enum status st = store_camera_get(store, t->id, &camera, err);
    if (st != ST_OK)
        return st;
    snprintf(name, sizeof name, "v%llu.learner", (unsigned long long)camera.version);
    store_model_path(store, t->id, name, state);
    snprintf(name, sizeof name, "v%llu.snap", (unsigned long long)camera.version);
    store_model_path(store, t->id, name, snapshot);
    json_t *reply;
    st = ask(c,
             json_pack("{s:s,s:s,s:I,s:s,s:s}", "op", "open", "camera", t->id, "version",
                       (json_int_t)camera.version, "state", state, "snapshot", snapshot),
             ASK_US, &reply, err);
    if (st != ST_OK)
        return st;
    const char *note = json_string_value(json_object_get(reply, "note"));
    if (note && note[0])
        log_write(LOG_WARN, "learner restored", "camera=%s note=\"%s\"", t->id, note);
    json_decref(reply);
    t->open = true;
    t->added_seq = 0;
    t->frames = 0;
    return ST_OK;
}

struct seq_list {
    uint64_t seq[CHUNKS_MAX], newest_seq;
    uint64_t since_us; /* older ones are passed over */
    int count;
};

static void add_seq(const struct store_chunk *chunk, void *context)
{
    struct seq_list *l = context;
    l->newest_seq = chunk->seq;
    if (chunk->received_us >= l->since_us && l->count < CHUNKS_MAX)
        l->seq[l->count++] = chunk->seq;
}

static enum status add_chunk(struct control *c, struct trainee *t, uint64_t seq, struct error *err)
{
    char chunk[PATH_MAX], labels[PATH_MAX];
    store_chunk_path(c->server->store, t->id, seq, chunk);
    store_label_path(c->server->store, t->id, seq, labels);
    json_t *reply;
    enum status st = ask(c,
                         json_pack("{s:s,s:s,s:s,s:s}", "op", "add", "camera", t->id, "chunk",
                                   chunk, "labels", labels),
                         ASK_US, &reply, err);
    if (st == ST_INVALID) { /* that chunk is lost for training, the rest is not */
        log_write(LOG_WARN, "chunk not trained on", "camera=%s seq=%llu why=\"%s\"", t->id,
                  (unsigned long long)seq, err->message);
        return ST_OK;
    }
    if (st != ST_OK)
        return st;
    t->frames = (int)json_integer_value(json_object_get(reply, "buffered"));
    json_decref(reply);
    return ST_OK;
}

static enum status add_chunks(struct control *c, struct trainee *t, const struct seq_list *l,
                              struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < l->count && st == ST_OK; i++) {
        st = add_chunk(c, t, l->seq[i], err);
        if (st == ST_OK)
            t->added_seq = l->seq[i];
    }
    if (st == ST_OK && l->newest_seq > t->added_seq)
        t->added_seq = l->newest_seq; /* only ones older than the horizon were passed over */
    return st;
}

/* Chunks that the worker does not have; all of the horizon for a new one. */
static enum status list_chunks(struct control *c, const struct trainee *t, struct seq_list *l,
                               struct error *err)
{
    uint64_t horizon_us = (uint64_t)(c->server->set.horizon_s * 1.25e6), now_us = clock_wall_us();
    l->count = 0;
    l->newest_seq = 0;
    l->since_us = now_us > horizon_us ? now_us - horizon_us : 0;
    return store_chunks_labelled(c->server->store, t->id, t->open ? t->added_seq : 0, CHUNKS_MAX,
                                 add_seq, l, err);
}

/* ---- a phase ---- */

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static uint64_t whole(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

static void announce(struct control *c, const struct trainee *t, const struct store_version *v,
                     const json_t *reply)
{
    json_t *more = json_pack(
        "{s:I,s:b,s:o,s:o,s:I,s:I,s:o,s:I}", "version", (json_int_t)v->version, "accepted",
        (int)v->accepted, "score_before", server_json_real(v->score_before), "score_after",
        server_json_real(v->score_after), "delta_bytes", (json_int_t)v->delta_bytes, "steps",
        (json_int_t)whole(reply, "steps"), "loss", server_json_real(number(reply, "loss_last")),
        "coordinates", (json_int_t)whole(reply, "coordinates"));
    server_event(c->server, t->id, v->accepted ? "accepted" : "rejected", more, "%s", v->reason);
}

/* The previous version's learner state is not needed once the next one is committed. */
static void drop_state(struct control *c, const struct trainee *t, uint64_t version)
{
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof name, "v%llu.learner", (unsigned long long)version);
    store_model_path(c->server->store, t->id, name, path);
    unlink(path);
}

static enum status record(struct control *c, struct trainee *t, const json_t *reply,
                          struct error *err)
{
    struct store_camera camera;
    enum status st = store_camera_get(c->server->store, t->id, &camera, err);
    if (st != ST_OK)
        return st;
    const char *reason = json_string_value(json_object_get(reply, "reason"));
    struct store_version v = {.version = camera.version + 1,
                              .base = camera.version,
                              .accepted = json_is_true(json_object_get(reply, "accepted")),
                              .delta_bytes = whole(reply, "delta_bytes"),
                              .snapshot_bytes = whole(reply, "snapshot_bytes"),
                              .score_before = number(reply, "score_current"),
                              .score_after = number(reply, "score_candidate"),
                              .trained_seq = t->added_seq,
                              .t_us = clock_wall_us()};
    snprintf(v.reason, sizeof v.reason, "%s", reason ? reason : "");
    if (v.accepted && whole(reply, "version") != v.version)
        return error_set(err, ST_INTERNAL, "the worker made version %llu, %llu was due",
                         (unsigned long long)whole(reply, "version"),
                         (unsigned long long)v.version);
    st = store_version_put(c->server->store, t->id, &v, err);
    if (st != ST_OK)
        return st;
    if (v.accepted && v.base > 0)
        drop_state(c, t, v.base);
    announce(c, t, &v, reply);
    return ST_OK;
}

static enum status run_phase(struct control *c, struct trainee *t, struct error *err)
{
    char folder[PATH_MAX];
    struct server *s = c->server;
    uint64_t start_us = clock_mono_us();
    store_model_path(s->store, t->id, "", folder);
    json_t *reply;
    enum status st =
        ask(c, json_pack("{s:s,s:s,s:s}", "op", "phase", "camera", t->id, "folder", folder),
            (uint64_t)(s->set.phase_timeout_s * 1e6), &reply, err);
    if (st != ST_OK)
        return st;
    atomic_fetch_add(&s->counters.phases, 1);
    atomic_fetch_add(&s->counters.phase_us, clock_mono_us() - start_us);
    if (json_is_true(json_object_get(reply, "trained")))
        st = record(c, t, reply, err);
    json_decref(reply);
    return st;
}

/* ---- turns ---- */

/* *ret_worked false: nothing new to learn from. */
static enum status take_turn(struct control *c, struct trainee *t, bool *ret_worked,
                             struct error *err)
{
    struct seq_list *l = malloc(sizeof *l);
    if (!l)
        return error_set(err, ST_NOMEM, "no memory for a turn");
    *ret_worked = false;
    enum status st = list_chunks(c, t, l, err);
    bool anything = st == ST_OK && l->newest_seq > t->trained_seq;
    if (anything)
        st = ensure_worker(c, err);
    if (anything && st == ST_OK && !t->open)
        st = open_trainee(c, t, err);
    if (anything && st == ST_OK)
        st = add_chunks(c, t, l, err);
    free(l);
    if (st != ST_OK || !anything || t->frames < c->server->set.frames_min)
        return st;
    *ret_worked = true;
    t->trained_seq = t->added_seq;
    return run_phase(c, t, err);
}

/* The next turn at another time than the ring would give. */
static void delay(struct control *c, int index, uint64_t wait_us)
{
    const struct trainee *t = &c->trainees[index];
    round_robin_remove(&c->ring, (uint32_t)index);
    round_robin_add(&c->ring, (uint32_t)index, t->atr.period_us, clock_mono_us() + wait_us, NULL);
}

static void fail_turn(struct control *c, int index, enum status st, const struct error *why)
{
    struct trainee *t = &c->trainees[index];
    struct error err = {0};
    json_t *reply;
    uint64_t wait_us = t->atr.period_us << (t->failures < 10 ? t->failures : 10);
    t->failures++;
    atomic_fetch_add(&c->server->counters.phases_failed, 1);
    server_event(c->server, t->id, "phase_failed", NULL, "%s", why->message);
    if (st == ST_NETWORK)
        lose_worker(c, why);
    else if (t->open) { /* what the worker has in memory may be ahead of the disk */
        if (ask(c, json_pack("{s:s,s:s}", "op", "close", "camera", t->id), ASK_US, &reply, &err) ==
            ST_OK)
            json_decref(reply);
        t->open = false;
    }
    t->trained_seq = 0;
    delay(c, index, wait_us < PENALTY_MAX_US ? wait_us : PENALTY_MAX_US);
}

static void serve(struct control *c, int index)
{
    struct trainee *t = &c->trainees[index];
    struct error err = {0};
    struct store_camera camera;
    bool worked = false;
    enum status st = take_turn(c, t, &worked, &err);
    if (st == ST_AGAIN)
        return;
    if (st != ST_OK) {
        fail_turn(c, index, st, &err);
        return;
    }
    if (!worked) {
        delay(c, index, RETRY_US);
        return;
    }
    t->failures = 0;
    c->backoff_us = 0;
    if (c->server->set.adaptive_period &&
        store_camera_get(c->server->store, t->id, &camera, NULL) == ST_OK)
        round_robin_set_period(&c->ring, (uint32_t)index, atr_update(&t->atr, camera.sampling_fps));
}

/* ---- the thread ---- */

static void add_trainee(const struct store_camera *camera, void *context)
{
    struct control *c = context;
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->trainees[i].id, camera->id) == 0)
            return;
    if (c->count == c->server->set.cameras_max)
        return;
    struct trainee *t = &c->trainees[c->count];
    memset(t, 0, sizeof *t);
    memcpy(t->id, camera->id, sizeof t->id);
    struct atr_options o;
    atr_options_init(&o);
    o.base_us = (uint64_t)(c->server->set.period_s * 1e6);
    atr_init(&t->atr, &o);
    if (round_robin_add(&c->ring, (uint32_t)c->count, o.base_us, clock_mono_us(), NULL) == ST_OK)
        c->count++;
}

/* New cameras join the ring; what was trained before a restart is not trained again. */
static void refresh(struct control *c)
{
    int before = c->count;
    if (store_cameras(c->server->store, add_trainee, c, NULL) != ST_OK)
        return;
    for (int i = before; i < c->count; i++)
        store_versions(c->server->store, c->trainees[i].id, 1, note_trained,
                       &c->trainees[i].trained_seq, NULL);
}

static void *run(void *context)
{
    struct control *c = context;
    struct bell *bell = &c->server->bell;
    while (!bell_stopped(bell)) {
        uint64_t seen = bell_count(bell), now_us = clock_mono_us(), late_us;
        uint32_t index;
        refresh(c);
        if (now_us >= c->restart_us && round_robin_next(&c->ring, now_us, &index, &late_us)) {
            if (late_us > c->trainees[index].atr.period_us)
                log_write(LOG_DEBUG, "late turn", "camera=%s late_ms=%llu", c->trainees[index].id,
                          (unsigned long long)(late_us / 1000));
            serve(c, (int)index);
            continue;
        }
        uint64_t until_us = round_robin_due_us(&c->ring);
        until_us = until_us < c->restart_us ? c->restart_us : until_us;
        until_us = until_us < now_us + SECOND_US ? until_us : now_us + SECOND_US;
        /* A ring of the bell may be a new camera; due times come by themselves. */
        bell_wait(bell, seen, until_us);
    }
    return NULL;
}

enum status control_open(struct server *s, struct control **ret, struct error *err)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory for the control loop");
    c->server = s;
    worker_process_init(&c->worker);
    c->trainees = calloc((size_t)s->set.cameras_max, sizeof *c->trainees);
    enum status st = c->trainees ? round_robin_init(&c->ring, s->set.cameras_max, err)
                                 : error_set(err, ST_NOMEM, "no memory for cameras");
    if (st == ST_OK) {
        c->running = pthread_create(&c->thread, NULL, run, c) == 0;
        if (!c->running)
            st = error_set(err, ST_NOMEM, "cannot start the control thread");
    }
    if (st != ST_OK) {
        control_close(&c);
        return st;
    }
    *ret = c;
    return ST_OK;
}

void control_close(struct control **ptr)
{
    struct control *c = ptr ? *ptr : NULL;
    if (!c)
        return;
    if (c->running)
        pthread_join(c->thread, NULL);
    worker_process_stop(&c->worker);
    round_robin_clear(&c->ring);
    free(c->trainees);
    free(c);
    *ptr = NULL;
}
