/* control.c - seats for cameras, executors for their jobs, and what comes of a job; whose job is
 * next is turns.c's or windows.c's to decide. */
#include "server/control.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/control_internal.h"

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

void control_share(struct control *c, int seat, enum ledger_kind kind, double share)
{
    const struct seat *s = &c->seats[seat];
    struct error err;
    if (ledger_plan(c->server->ledger, s->trainee.id, kind, share, clock_mono_us(), &err) != ST_OK)
        log_write(LOG_WARN, "account", "camera=%s why=\"%s\"", s->trainee.id, err.message);
    if (share > 0 && s->busy && executor_set_share(c->executors[s->executor], share, &err) != ST_OK)
        log_write(LOG_WARN, "share not set", "camera=%s why=\"%s\"", s->trainee.id, err.message);
}

bool control_start(struct control *c, int seat, const struct job *job, uint64_t now_us)
{
    struct seat *s = &c->seats[seat];
    int executor = executor_for(c, s, now_us);
    if (executor < 0)
        return false;
    sit(c, s, executor);
    s->busy = true;
    executor_start(c->executors[executor], &s->trainee, job);
    return true;
}

/* ---- the end of a job ---- */

uint64_t control_penalty_us(uint64_t period_us, int failures)
{
    int doubled = failures < 1 ? 0 : failures < 10 ? failures - 1 : 10;
    uint64_t wait_us = period_us << doubled;
    return wait_us < CONTROL_PENALTY_MAX_US ? wait_us : CONTROL_PENALTY_MAX_US;
}

/* A worker's death moves its cameras elsewhere: it may have been one of them. */
static void clear_executor(struct control *c, int executor)
{
    for (int i = 0; i < c->count; i++)
        if (c->seats[i].executor == executor)
            sit(c, &c->seats[i], -1);
}

static void fail(struct control *c, struct seat *s, const struct executor_report *report)
{
    bool again = ++s->failures % CONTROL_TRIES_MAX != 0;
    atomic_fetch_add(&c->server->counters.phases_failed, 1);
    server_event(c->server, s->trainee.id, again ? "phase_failed" : "training_dropped",
                 json_pack("{s:i}", "tries", s->failures), "%s; %s", report->why.message,
                 again ? "it is tried again" : "dropped until there are new frames");
    s->trainee.trained_seq = again ? 0 : report->result.newest_seq;
    if (report->status == ST_NETWORK)
        clear_executor(c, s->executor);
}

static void succeed(struct control *c, struct seat *s, const struct job_result *r)
{
    s->failures = 0;
    if (r->end == JOB_TRAINED || r->end == JOB_DIVERGED)
        s->trainee.trained_seq = r->newest_seq;
    if (r->end == JOB_DIVERGED || r->end == JOB_CANCELLED)
        server_event(c->server, s->trainee.id, "training_dropped", NULL, "%s", r->reason);
}

static void collect(struct control *c, const struct executor_report *report)
{
    int index = 0;
    while (&c->seats[index].trainee != report->trainee)
        index++;
    struct seat *s = &c->seats[index];
    control_share(c, index, report->job.kind, 0);
    s->busy = false;
    if (report->status == ST_AGAIN)
        return;
    if (report->status != ST_OK)
        fail(c, s, report);
    else if (report->result.end != JOB_NOTHING)
        succeed(c, s, &report->result);
    if (c->turns)
        turns_ended(c->turns, index, report);
    else
        windows_ended(c->windows, index, report);
}

static void collect_all(struct control *c)
{
    struct executor_report report;
    for (int i = 0; i < c->executor_count; i++)
        if (executor_collect(c->executors[i], &report))
            collect(c, &report);
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
    pthread_mutex_lock(&c->lock);
    c->count++;
    pthread_mutex_unlock(&c->lock);
}

/* New cameras take a seat; what was trained before a restart is not trained again. */
static void refresh(struct control *c)
{
    int before = c->count;
    if (store_cameras(c->server->store, add_seat, c, NULL) != ST_OK)
        return;
    for (int i = before; i < c->count; i++) {
        struct trainee *t = &c->seats[i].trainee;
        store_versions(c->server->store, t->id, 1, note_trained, &t->trained_seq, NULL);
        if (c->turns)
            turns_join(c->turns, i);
        else
            windows_join(c->windows, i);
    }
}

/* The sooner of what was asked for and what no bell announces. */
static uint64_t wake_us(struct control *c, uint64_t due_us, uint64_t now_us)
{
    uint64_t most_us = now_us + CONTROL_SECOND_US;
    for (int i = 0; i < c->executor_count; i++) {
        uint64_t restart_us = executor_restart_us(c->executors[i]);
        if (restart_us > now_us && restart_us < due_us)
            due_us = restart_us;
    }
    return due_us < most_us ? due_us : most_us;
}

static void *run(void *context)
{
    struct control *c = context;
    struct bell *bell = &c->server->bell;
    while (!bell_stopped(bell)) {
        uint64_t seen = bell_count(bell);
        refresh(c);
        collect_all(c);
        uint64_t now_us = clock_mono_us();
        uint64_t due_us = c->turns ? turns_run(c->turns, now_us) : windows_run(c->windows, now_us);
        bell_wait(bell, seen, wake_us(c, due_us, now_us));
    }
    return NULL;
}

json_t *control_schedule_json(struct control *c)
{
    return c && c->windows ? windows_json(c->windows) : NULL;
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

/* The server's round robin is AMS's own, by turns; the other policies plan. */
static enum status open_policy(struct control *c, struct error *err)
{
    const char *name = c->server->set.policy;
    enum schedule_policy policy = schedule_policy_parse(name);
    if (policy == SCHEDULE_POLICY_COUNT || policy == SCHEDULE_EXHAUSTIVE)
        return error_set(
            err, ST_INVALID,
            "policy is attune, round-robin, thief, thief-printed, uniform or none, not "
            "'%.40s'",
            name);
    return policy == SCHEDULE_ROUND_ROBIN ? turns_open(c, &c->turns, err)
                                          : windows_open(c, policy, &c->windows, err);
}

enum status control_open(struct server *s, struct control **ret, struct error *err)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory for the control loop");
    c->server = s;
    pthread_mutex_init(&c->lock, NULL);
    c->seats = calloc((size_t)s->set.cameras_max, sizeof *c->seats);
    enum status st =
        c->seats ? open_policy(c, err) : error_set(err, ST_NOMEM, "no memory for cameras");
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
    turns_close(&c->turns);
    windows_close(&c->windows);
    pthread_mutex_destroy(&c->lock);
    free(c->seats);
    free(c);
    *ptr = NULL;
}
