#include "server/control.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/executor.h"
#include "train/atr.h"
#include "train/round_robin.h"

#define SECOND_US ((uint64_t)1000000)
#define RETRY_US (SECOND_US / 2) /* a camera without new frames is looked at again */
#define BUSY_US (SECOND_US / 5)  /* one whose worker has another job */
#define PENALTY_MAX_US (600 * SECOND_US)

struct seat {
    struct trainee trainee;
    int executor; /* whose worker has or gets the learner; -1: none */
    bool busy;
    int failures; /* in a row */
    struct atr atr;
};

struct control {
    struct server *server;
    struct executor *executors[EXECUTORS_MAX];
    int executor_count;
    struct round_robin ring;
    pthread_mutex_t lock; /* of count and of the seats' executors, for others than the thread */
    struct seat *seats;   /* [cameras_max], index is the ring's id */
    int count;
    pthread_t thread;
    bool running;
};

/* ---- what others see ---- */

const char *control_worker_state(struct control *c)
{
    struct executor_view view;
    enum executor_state worst = EXECUTOR_OFF;
    for (int i = 0; c && i < c->executor_count; i++) {
        executor_look(c->executors[i], &view);
        worst = view.state > worst ? view.state : worst;
    }
    return executor_state_name(worst);
}

int control_worker_pid(struct control *c, const char *camera)
{
    struct executor_view view = {.pid = 0};
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < c->count; i++)
        if (c->seats[i].executor >= 0 && strcmp(c->seats[i].trainee.id, camera) == 0)
            executor_look(c->executors[c->seats[i].executor], &view);
    pthread_mutex_unlock(&c->lock);
    return view.pid;
}

static json_t *cameras_json(struct control *c, int executor)
{
    json_t *all = json_array();
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < c->count; i++)
        if (c->seats[i].executor == executor)
            json_array_append_new(all, json_string(c->seats[i].trainee.id));
    pthread_mutex_unlock(&c->lock);
    return all;
}

json_t *control_workers_json(struct control *c)
{
    json_t *all = json_array();
    for (int i = 0; c && i < c->executor_count; i++) {
        struct executor_view v;
        executor_look(c->executors[i], &v);
        json_array_append_new(all, json_pack("{s:i,s:s,s:i,s:s,s:o,s:f,s:f,s:I}", "worker", i,
                                             "state", executor_state_name(v.state), "pid", v.pid,
                                             "camera", v.camera, "cameras", cameras_json(c, i),
                                             "share", v.share, "used_s", (double)v.used_us / 1e6,
                                             "restarts", (json_int_t)v.restarts));
    }
    return all;
}

/* ---- executors and shares ---- */

static void sit(struct control *c, struct seat *s, int executor)
{
    pthread_mutex_lock(&c->lock);
    s->executor = executor;
    pthread_mutex_unlock(&c->lock);
}

static int load_of(const struct control *c, int executor)
{
    int load = 0;
    for (int i = 0; i < c->count; i++)
        load += c->seats[i].executor == executor;
    return load;
}

/* The executor for the seat: its own, or the one with the fewest learners. -1: not now. */
static int executor_for(struct control *c, const struct seat *s, uint64_t now_us)
{
    int best = -1;
    if (s->executor >= 0)
        return executor_ready(c->executors[s->executor], now_us) ? s->executor : -1;
    for (int i = 0; i < c->executor_count; i++)
        if (executor_ready(c->executors[i], now_us) &&
            (best < 0 || load_of(c, i) < load_of(c, best)))
            best = i;
    return best;
}

static void plan_share(struct control *c, const struct seat *s, double share)
{
    struct error err;
    if (ledger_plan(c->server->ledger, s->trainee.id, LEDGER_TRAIN, share, clock_mono_us(), &err) !=
        ST_OK)
        log_write(LOG_WARN, "account", "camera=%s why=\"%s\"", s->trainee.id, err.message);
    if (share > 0 && executor_set_share(c->executors[s->executor], share, &err) != ST_OK)
        log_write(LOG_WARN, "share not set", "camera=%s why=\"%s\"", s->trainee.id, err.message);
}

/* All that train have equal parts of the capacity. */
static void share_out(struct control *c)
{
    int busy = 0;
    for (int i = 0; i < c->count; i++)
        busy += c->seats[i].busy;
    for (int i = 0; i < c->count; i++)
        if (c->seats[i].busy)
            plan_share(c, &c->seats[i], limiter_capacity(c->server->limiter) / busy);
}

/* ---- the end of a job ---- */

/* The next turn at another time than the ring would give. */
static void delay(struct control *c, int index, uint64_t wait_us)
{
    const struct seat *s = &c->seats[index];
    round_robin_remove(&c->ring, (uint32_t)index);
    round_robin_add(&c->ring, (uint32_t)index, s->atr.period_us, clock_mono_us() + wait_us, NULL);
}

/* A worker's death moves its cameras elsewhere: it may have been one of them. */
static void clear_executor(struct control *c, int executor)
{
    for (int i = 0; i < c->count; i++)
        if (c->seats[i].executor == executor)
            sit(c, &c->seats[i], -1);
}

static void fail(struct control *c, int index, const struct executor_report *report)
{
    struct seat *s = &c->seats[index];
    uint64_t wait_us = s->atr.period_us << (s->failures < 10 ? s->failures : 10);
    bool again = ++s->failures % CONTROL_TRIES_MAX != 0;
    atomic_fetch_add(&c->server->counters.phases_failed, 1);
    server_event(c->server, s->trainee.id, again ? "phase_failed" : "training_dropped",
                 json_pack("{s:i}", "tries", s->failures), "%s; %s", report->why.message,
                 again ? "it is tried again" : "dropped until there are new frames");
    s->trainee.trained_seq = again ? 0 : report->result.newest_seq;
    if (report->status == ST_NETWORK)
        clear_executor(c, s->executor);
    delay(c, index, wait_us < PENALTY_MAX_US ? wait_us : PENALTY_MAX_US);
}

static void succeed(struct control *c, int index, const struct job_result *r)
{
    struct seat *s = &c->seats[index];
    struct store_camera camera;
    s->failures = 0;
    s->trainee.trained_seq = r->newest_seq;
    if (r->end == JOB_DIVERGED || r->end == JOB_CANCELLED)
        server_event(c->server, s->trainee.id, "training_dropped", NULL, "%s", r->reason);
    if (c->server->set.adaptive_period &&
        store_camera_get(c->server->store, s->trainee.id, &camera, NULL) == ST_OK)
        round_robin_set_period(&c->ring, (uint32_t)index, atr_update(&s->atr, camera.sampling_fps));
}

static void collect(struct control *c, const struct executor_report *report)
{
    int index = 0;
    while (&c->seats[index].trainee != report->trainee)
        index++;
    struct seat *s = &c->seats[index];
    s->busy = false;
    plan_share(c, s, 0);
    if (report->status == ST_AGAIN)
        return;
    if (report->status != ST_OK)
        fail(c, index, report);
    else if (report->result.end == JOB_NOTHING)
        delay(c, index, RETRY_US);
    else
        succeed(c, index, &report->result);
}

static void collect_all(struct control *c)
{
    struct executor_report report;
    for (int i = 0; i < c->executor_count; i++)
        if (executor_collect(c->executors[i], &report))
            collect(c, &report);
}

/* ---- the next job ---- */

static void start(struct control *c, int index, uint64_t now_us)
{
    struct seat *s = &c->seats[index];
    struct error err = {0};
    bool due = false;
    int executor = executor_for(c, s, now_us);
    if (s->busy || executor < 0) {
        delay(c, index, BUSY_US);
        return;
    }
    if (job_is_due(c->server, &s->trainee, &due, &err) != ST_OK)
        log_write(LOG_ERROR, "store", "why=\"%s\"", err.message);
    if (!due) {
        delay(c, index, RETRY_US);
        return;
    }
    sit(c, s, executor);
    s->busy = true;
    share_out(c);
    executor_start(c->executors[executor], &s->trainee, &(struct job){.kind = LEDGER_TRAIN});
}

static bool any_ready(struct control *c, uint64_t now_us)
{
    for (int i = 0; i < c->executor_count; i++)
        if (executor_ready(c->executors[i], now_us))
            return true;
    return false;
}

/* ---- the thread ---- */

static void note_trained(const struct store_version *v, void *context)
{
    *(uint64_t *)context = v->trained_seq;
}

static void add_seat(const struct store_camera *camera, void *context)
{
    struct control *c = context;
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->seats[i].trainee.id, camera->id) == 0)
            return;
    if (c->count == c->server->set.cameras_max)
        return;
    struct seat *s = &c->seats[c->count];
    *s = (struct seat){.executor = -1};
    memcpy(s->trainee.id, camera->id, sizeof s->trainee.id);
    struct atr_options o;
    atr_options_init(&o);
    o.base_us = (uint64_t)(c->server->set.period_s * 1e6);
    atr_init(&s->atr, &o);
    if (round_robin_add(&c->ring, (uint32_t)c->count, o.base_us, clock_mono_us(), NULL) != ST_OK)
        return;
    pthread_mutex_lock(&c->lock);
    c->count++;
    pthread_mutex_unlock(&c->lock);
}

/* New cameras join the ring; what was trained before a restart is not trained again. */
static void refresh(struct control *c)
{
    int before = c->count;
    if (store_cameras(c->server->store, add_seat, c, NULL) != ST_OK)
        return;
    for (int i = before; i < c->count; i++) {
        struct trainee *t = &c->seats[i].trainee;
        store_versions(c->server->store, t->id, 1, note_trained, &t->trained_seq, NULL);
    }
}

/* When something may be due that no bell announces. */
static uint64_t next_us(struct control *c, uint64_t now_us)
{
    uint64_t due_us = round_robin_due_us(&c->ring), most_us = now_us + SECOND_US;
    for (int i = 0; i < c->executor_count; i++) {
        uint64_t restart_us = executor_restart_us(c->executors[i]);
        if (restart_us > now_us && restart_us < due_us)
            due_us = restart_us;
    }
    due_us = due_us > now_us ? due_us : now_us + BUSY_US; /* due, but all are at work */
    return due_us < most_us ? due_us : most_us;
}

static void *run(void *context)
{
    struct control *c = context;
    struct bell *bell = &c->server->bell;
    while (!bell_stopped(bell)) {
        uint64_t seen = bell_count(bell), now_us = clock_mono_us(), late_us;
        uint32_t index;
        refresh(c);
        collect_all(c);
        if (any_ready(c, now_us) && round_robin_next(&c->ring, now_us, &index, &late_us)) {
            start(c, (int)index, now_us);
            continue;
        }
        bell_wait(bell, seen, next_us(c, now_us));
    }
    return NULL;
}

/* ---- open, close ---- */

static enum status open_executors(struct control *c, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < c->server->set.workers && st == ST_OK; i++) {
        st = executor_open(c->server, i, c->server->set.workers, &c->executors[i], err);
        c->executor_count += st == ST_OK;
    }
    return st;
}

enum status control_open(struct server *s, struct control **ret, struct error *err)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory for the control loop");
    c->server = s;
    pthread_mutex_init(&c->lock, NULL);
    c->seats = calloc((size_t)s->set.cameras_max, sizeof *c->seats);
    enum status st = c->seats ? round_robin_init(&c->ring, s->set.cameras_max, err)
                              : error_set(err, ST_NOMEM, "no memory for cameras");
    if (st == ST_OK)
        st = open_executors(c, err);
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
    for (int i = 0; i < c->executor_count; i++)
        executor_close(&c->executors[i]);
    round_robin_clear(&c->ring);
    pthread_mutex_destroy(&c->lock);
    free(c->seats);
    free(c);
    *ptr = NULL;
}
