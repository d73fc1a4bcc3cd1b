/* control.c - seats for groups, executors for their jobs, and what comes of a job; whose job is
 * next is turns.c's or windows.c's to decide. */
#include "server/control.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/control_internal.h"
#include "server/grouping.h"
#include "server/requests.h"

#define CAPACITY_MIN 0.05 /* what labelling leaves at least */

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
    int seat = control_seat_with(c, camera);
    if (seat >= 0 && c->seats[seat].executor >= 0)
        executor_look(c->executors[c->seats[seat].executor], &view);
    pthread_mutex_unlock(&c->lock);
    return view.pid;
}

static void add_learners(struct control *c, int executor, json_t *groups, json_t *cameras)
{
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < c->count; i++) {
        const struct trainee *t = &c->seats[i].trainee;
        if (c->seats[i].executor != executor)
            continue;
        json_array_append_new(groups, json_string(t->id));
        for (int k = 0; k < t->count; k++)
            json_array_append_new(cameras, json_string(t->members[k].camera));
    }
    pthread_mutex_unlock(&c->lock);
}

json_t *control_workers_json(struct control *c)
{
    json_t *all = json_array();
    for (int i = 0; c && i < c->executor_count; i++) {
        struct executor_view v;
        json_t *groups = json_array(), *cameras = json_array();
        executor_look(c->executors[i], &v);
        add_learners(c, i, groups, cameras);
        json_array_append_new(all, json_pack("{s:i,s:s,s:i,s:s,s:o,s:o,s:f,s:f,s:I}", "worker", i,
                                             "state", executor_state_name(v.state), "pid", v.pid,
                                             "group", v.group, "groups", groups, "cameras", cameras,
                                             "share", v.share, "used_s", (double)v.used_us / 1e6,
                                             "restarts", (json_int_t)v.restarts));
    }
    return all;
}

/* ---- executors and shares ---- */

static void assign(struct control *c, struct seat *s, int executor)
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

double control_capacity(const struct control *c)
{
    const struct server *s = c->server;
    return fmax(CAPACITY_MIN, limiter_capacity(s->limiter) - s->set.label_share);
}

void control_share(struct control *c, int seat, enum ledger_kind kind, double share)
{
    const struct seat *s = &c->seats[seat];
    struct error err;
    if (ledger_plan(c->server->ledger, s->trainee.id, kind, share, clock_mono_us(), &err) != ST_OK)
        log_write(LOG_WARN, "account", "group=%s why=\"%s\"", s->trainee.id, err.message);
    if (share > 0 && s->busy && executor_set_share(c->executors[s->executor], share, &err) != ST_OK)
        log_write(LOG_WARN, "share not set", "group=%s why=\"%s\"", s->trainee.id, err.message);
}

bool control_start(struct control *c, int seat, const struct job *job, uint64_t now_us)
{
    struct seat *s = &c->seats[seat];
    bool may = job->close || (control_learns(c, seat) && !s->held);
    int executor = may ? executor_for(c, s, now_us) : -1;
    if (executor < 0)
        return false;
    assign(c, s, executor);
    s->busy = true;
    executor_start(c->executors[executor], &s->trainee, job);
    return true;
}

bool control_end_early(struct control *c, int seat)
{
    struct executor *e = c->executors[c->seats[seat].executor];
    struct job_progress p;
    executor_progress(e, &p);
    if (p.steps == 0)
        return false;
    executor_set_steps(e, p.steps);
    executor_pause(e, false);
    return true;
}

bool control_try(struct control *c, struct trial *t, uint64_t now_us)
{
    struct seat *s = &c->trials;
    struct error err;
    *s = (struct seat){.executor = -1};
    int executor = executor_for(c, s, now_us);
    if (executor < 0)
        return false;
    s->executor = executor;
    s->busy = true;
    snprintf(s->trainee.id, sizeof s->trainee.id, "%s", t->camera);
    executor_start(c->executors[executor], &s->trainee,
                   &(struct job){.kind = LEDGER_PROFILE, .trial = t});
    double share = limiter_capacity(c->server->limiter) / c->executor_count;
    if (executor_set_share(c->executors[executor], share, &err) != ST_OK)
        log_write(LOG_WARN, "share not set", "camera=%s why=\"%s\"", t->camera, err.message);
    return true;
}

/* ---- the end of a job ---- */

uint64_t control_penalty_us(uint64_t period_us, int failures)
{
    int doubled = failures < 1 ? 0 : failures < 10 ? failures - 1 : 10;
    uint64_t wait_us = period_us << doubled;
    return wait_us < CONTROL_PENALTY_MAX_US ? wait_us : CONTROL_PENALTY_MAX_US;
}

/* A worker's death moves its groups elsewhere: it may have been one of them. */
static void clear_executor(struct control *c, int executor)
{
    for (int i = 0; i < c->count; i++)
        if (c->seats[i].executor == executor)
            assign(c, &c->seats[i], -1);
}

/* The newest chunks that the learner was given count as trained on, or (again) nothing does. */
static void note_trained(struct trainee *t, bool again)
{
    for (int i = 0; i < t->count; i++)
        t->members[i].trained_seq = again ? 0 : t->members[i].added_seq;
}

void control_note_barren(struct control *c, int seat)
{
    struct trainee *t = &c->seats[seat].trainee;
    for (int i = 0; i < t->count; i++)
        t->members[i].barren_seq = t->members[i].added_seq;
}

static void fail(struct control *c, struct seat *s, const struct executor_report *report)
{
    bool again = ++s->failures % CONTROL_TRIES_MAX != 0;
    atomic_fetch_add(&c->server->counters.phases_failed, 1);
    trainee_event(c->server, &s->trainee, again ? "phase_failed" : "training_dropped",
                  json_pack("{s:i}", "tries", s->failures), "%s; %s", report->why.message,
                  again ? "it is tried again" : "dropped until there are new frames");
    note_trained(&s->trainee, again);
    if (report->status == ST_NETWORK)
        clear_executor(c, s->executor);
}

static void succeed(struct control *c, struct seat *s, const struct job_result *r)
{
    s->failures = 0;
    if (r->end == JOB_TRAINED || r->end == JOB_DIVERGED)
        note_trained(&s->trainee, false);
    for (int i = 0; i < s->trainee.count && !c->grouping && r->end == JOB_TRAINED; i++)
        requests_trained(c->server, s->trainee.members[i].camera, s->trainee.members[i].trained_seq,
                         s->urged, r->accepted);
    if (r->end == JOB_DIVERGED || r->end == JOB_CANCELLED)
        trainee_event(c->server, &s->trainee, "training_dropped", NULL, "%s", r->reason);
}

static void collect_trial(struct control *c, const struct executor_report *report)
{
    c->trials.busy = false;
    if (report->status == ST_NETWORK)
        clear_executor(c, c->trials.executor);
    grouping_ended(c->grouping, report);
}

static void collect(struct control *c, const struct executor_report *report)
{
    int index = 0;
    if (report->job.trial) {
        collect_trial(c, report);
        return;
    }
    while (&c->seats[index].trainee != report->trainee)
        index++;
    struct seat *s = &c->seats[index];
    control_share(c, index, report->job.kind, 0);
    s->busy = false;
    if (report->status == ST_NETWORK && s->trainee.count == 0)
        clear_executor(c, s->executor);
    if (report->status == ST_AGAIN || s->trainee.count == 0)
        return;
    if (report->status != ST_OK)
        fail(c, s, report);
    else if (report->result.end != JOB_NOTHING)
        succeed(c, s, &report->result);
    c->decider.ops->ended(c->decider.self, index, report);
    control_look_at_requests(c); /* what came too late for it */
}

static void collect_all(struct control *c)
{
    struct executor_report report;
    for (int i = 0; i < c->executor_count; i++)
        if (executor_collect(c->executors[i], &report))
            collect(c, &report);
}

/* ---- the thread ---- */

struct arrivals {
    struct control *control;
    struct store_camera *cameras; /* [cameras_max] */
    int count;
};

static void note_arrival(const struct store_camera *camera, void *context)
{
    struct arrivals *a = context;
    struct control *c = a->control;
    int seat = control_seat_with(c, camera->id);
    if (seat >= 0) {
        struct trainee *t = &c->seats[seat].trainee;
        t->members[control_member_of(t, camera->id)].to_pause = camera->paused_us > 0;
    } else if (a->count < c->server->set.cameras_max)
        a->cameras[a->count++] = *camera;
}

static void seat_arrival(struct control *c, const struct store_camera *camera)
{
    struct error err;
    if (control_sit(c, camera->id, camera->group, &err) != ST_OK) {
        log_write(LOG_ERROR, "no seat", "camera=%s why=\"%s\"", camera->id, err.message);
        return;
    }
    struct trainee *t = &c->seats[control_seat_of(c, camera->group)].trainee;
    struct trainee_member *m = &t->members[control_member_of(t, camera->id)];
    m->trained_seq = camera->trained_seq;
    m->paused = m->to_pause = camera->paused_us > 0;
}

/* What people have paused is noted. What was trained before a restart is not trained again. */
void control_refresh(struct control *c)
{
    struct arrivals a = {.control = c, .cameras = c->arrivals};
    if (store_cameras(c->server->store, note_arrival, &a, NULL) != ST_OK)
        return;
    for (int i = 0; i < a.count; i++)
        seat_arrival(c, &a.cameras[i]);
}

/* A group that is no more gives its seat back once its worker has closed the learner. */
static void clear_seats(struct control *c, uint64_t now_us)
{
    for (int i = 0; i < c->count; i++) {
        struct seat *s = &c->seats[i];
        if (!s->trainee.id[0] || s->trainee.count > 0 || s->busy)
            continue;
        if (s->executor >= 0 && s->trainee.process > 0) {
            control_start(c, i, &(struct job){.kind = LEDGER_TRAIN, .close = true}, now_us);
            continue;
        }
        c->decider.ops->leave(c->decider.self, i);
        pthread_mutex_lock(&c->lock);
        *s = (struct seat){.executor = -1};
        pthread_mutex_unlock(&c->lock);
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
        pulse_beat(&c->server->pulse, PULSE_CONTROL, clock_mono_us());
        control_refresh(c);
        collect_all(c);
        moves_run(c->moves);
        interventions_run(c->interventions);
        uint64_t now_us = clock_mono_us();
        clear_seats(c, now_us);
        if (c->grouping)
            grouping_run(c->grouping, now_us);
        uint64_t due_us = c->decider.ops->run(c->decider.self, now_us);
        bell_wait(bell, seen, wake_us(c, due_us, now_us));
    }
    pulse_end(&c->server->pulse, PULSE_CONTROL);
    return NULL;
}

json_t *control_schedule_json(struct control *c)
{
    return c ? c->decider.ops->json(c->decider.self) : NULL;
}

json_t *control_grouping_json(struct control *c)
{
    return c && c->grouping ? grouping_json(c->grouping) : NULL;
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

static enum status open_decider(struct control *c, struct error *err)
{
    switch (c->server->dividing.by) {
    case DIVIDING_TURNS:
        return turns_open(c, &c->decider, err);
    case DIVIDING_PLANS:
        return windows_open(c, c->server->dividing.plan, &c->decider, err);
    default:
        return micro_open(c, &c->decider, err);
    }
}

enum status control_open(struct server *s, struct control **ret, struct error *err)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory for the control loop");
    c->server = s;
    pthread_mutex_init(&c->lock, NULL);
    c->seats_max = 2 * s->set.cameras_max; /* a group each, and as many that are being closed */
    c->seats = calloc((size_t)c->seats_max, sizeof *c->seats);
    c->arrivals = calloc((size_t)s->set.cameras_max, sizeof *c->arrivals);
    enum status st = c->seats && c->arrivals ? open_decider(c, err)
                                             : error_set(err, ST_NOMEM, "no memory for cameras");
    if (st == ST_OK)
        st = moves_open(c, &c->moves, err);
    if (st == ST_OK)
        st = interventions_open(c, &c->interventions, err);
    if (st == ST_OK)
        st = grouping_open(c, &c->grouping, err);
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
    if (c->decider.ops)
        c->decider.ops->close(c->decider.self);
    grouping_close(&c->grouping);
    interventions_close(&c->interventions);
    moves_close(&c->moves);
    pthread_mutex_destroy(&c->lock);
    free(c->arrivals);
    free(c->seats);
    free(c);
    *ptr = NULL;
}
