#include "server/executor.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/names.h"

#define SECOND_US ((uint64_t)1000000)
#define BACKOFF_MAX_US (60 * SECOND_US)

enum hand { HAND_EMPTY, HAND_GIVEN, HAND_WORKING, HAND_DONE };

struct executor {
    struct server *server;
    int index, member;
    char cores[CORES_TEXT_BYTES]; /* to stay on, "" for any */
    pthread_t thread;
    bool running;

    /* the thread's */
    struct worker_process worker;
    bool ready;         /* the worker knows the model */
    uint64_t processes; /* started so far */
    uint64_t charged_us, backoff_us;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t given;
    bool stopping;
    enum hand hand;
    struct executor_report report; /* trainee and job from executor_start on, the rest when done */
    enum executor_state state;
    int pid;
    uint64_t restart_us, restarts;

    struct job_wishes wishes;
    struct job_board board;
};

const char *executor_state_name(enum executor_state s)
{
    static const char *const names[] = {"off", "running", "restarting"};
    return names_text(names, NAMES_COUNT(names), (size_t)s, "");
}

static void note_process(struct executor *l, enum executor_state state, int pid)
{
    pthread_mutex_lock(&l->lock);
    l->state = state;
    l->pid = pid;
    pthread_mutex_unlock(&l->lock);
}

/* ---- the process ---- */

static void lose(struct executor *l, const char *group, const struct error *why)
{
    l->backoff_us = l->backoff_us ? l->backoff_us * 2 : SECOND_US;
    if (l->backoff_us > BACKOFF_MAX_US)
        l->backoff_us = BACKOFF_MAX_US;
    worker_process_stop(&l->worker);
    l->ready = false;
    atomic_fetch_add(&l->server->counters.worker_restarts, 1);
    pthread_mutex_lock(&l->lock);
    l->state = EXECUTOR_RESTARTING;
    l->pid = 0;
    l->restarts++;
    l->restart_us = clock_mono_us() + l->backoff_us;
    pthread_mutex_unlock(&l->lock);
    server_event(l->server, "", "worker_restarted",
                 json_pack("{s:i,s:s}", "worker", l->index, "job", group),
                 "%s; another starts in %llu s", why->message,
                 (unsigned long long)(l->backoff_us / SECOND_US));
}

static json_t *init_request(const struct executor *l)
{
    const struct settings *set = &l->server->set;
    return json_pack("{s:s,s:s,s:s,s:f,s:i,s:i,s:f,s:f,s:f,s:i,s:s,s:i}", "op", "init", "student",
                     set->student, "preset", set->preset, "gamma", set->gamma, "steps", set->steps,
                     "batch", set->batch, "learning_rate", set->learning_rate, "horizon_s",
                     set->horizon_s, "sampling_fps_max", set->sampling_fps_max, "threads",
                     set->train_threads, "cores", l->cores, "seed", set->seed);
}

static enum status start_process(struct executor *l, struct error *err)
{
    static char self[] = "/proc/self/exe", command[] = "worker";
    static char *const standard[] = {self, command, NULL};
    struct server *s = l->server;
    char *const *argv = s->options.worker_argv ? s->options.worker_argv : standard;
    char setting[LIMITER_ENVIRONMENT_BYTES];
    limiter_environment(s->limiter, l->member, WORKER_PROCESS_FD, setting);
    struct worker_process_start how = {.setting = setting,
                                       .fd = limiter_descriptor(s->limiter, l->member),
                                       .memory_mb = (uint64_t)s->set.worker_memory_mb};
    enum status st = worker_process_start(&l->worker, argv, &how, err);
    return st == ST_OK ? limiter_join(s->limiter, l->member, l->worker.pid, err) : st;
}

static enum status ensure_process(struct executor *l, struct job_run *r, const struct job *job,
                                  struct error *err)
{
    if (l->ready && limiter_restart_due(l->server->limiter, l->member))
        l->ready = false; /* between jobs; nothing is lost but the learners' frames */
    if (l->ready)
        return ST_OK;
    worker_process_stop(&l->worker);
    r->process = ++l->processes * EXECUTORS_MAX + (uint64_t)l->index;
    if (start_process(l, err) != ST_OK)
        return ST_NETWORK;
    note_process(l, EXECUTOR_RUNNING, (int)l->worker.pid);
    json_t *reply;
    enum status st = job_ask(r, job, init_request(l), clock_mono_us() + JOB_ASK_US, &reply, err);
    if (st != ST_OK)
        return st == ST_AGAIN ? st : ST_NETWORK;
    json_decref(reply);
    l->ready = true;
    return ST_OK;
}

/* ---- the thread ---- */

static void execute(struct executor *l, struct executor_report *report)
{
    struct job_run r = {.server = l->server,
                        .worker = &l->worker,
                        .process = l->processes * EXECUTORS_MAX + (uint64_t)l->index,
                        .member = l->member,
                        .trainee = report->trainee,
                        .wishes = &l->wishes,
                        .board = &l->board,
                        .charged_us = l->charged_us};
    report->why = (struct error){0};
    report->status = ensure_process(l, &r, &report->job, &report->why);
    if (report->status == ST_OK)
        report->status = job_execute(&r, &report->job, &report->result, &report->why);
    l->charged_us = r.charged_us;
    if (report->status == ST_NETWORK)
        lose(l, report->trainee->id, &report->why);
    else if (report->status == ST_OK)
        l->backoff_us = 0;
}

static void *run(void *context)
{
    struct executor *l = context;
    pthread_mutex_lock(&l->lock);
    while (!l->stopping) {
        if (l->hand != HAND_GIVEN) {
            pthread_cond_wait(&l->given, &l->lock);
            continue;
        }
        struct executor_report report = l->report;
        l->hand = HAND_WORKING;
        pthread_mutex_unlock(&l->lock);
        execute(l, &report);
        pthread_mutex_lock(&l->lock);
        l->report = report;
        l->hand = HAND_DONE;
        bell_ring(&l->server->bell);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- from outside ---- */

bool executor_ready(struct executor *l, uint64_t now_us)
{
    pthread_mutex_lock(&l->lock);
    bool ready = l->hand == HAND_EMPTY && now_us >= l->restart_us;
    pthread_mutex_unlock(&l->lock);
    return ready;
}

uint64_t executor_restart_us(struct executor *l)
{
    pthread_mutex_lock(&l->lock);
    uint64_t restart_us = l->hand == HAND_EMPTY ? l->restart_us : 0;
    pthread_mutex_unlock(&l->lock);
    return restart_us;
}

static void board_clear(struct job_board *b)
{
    pthread_mutex_lock(&b->lock);
    b->now = (struct job_progress){.steps = 0};
    pthread_mutex_unlock(&b->lock);
}

void executor_progress(struct executor *l, struct job_progress *ret)
{
    pthread_mutex_lock(&l->board.lock);
    *ret = l->board.now;
    pthread_mutex_unlock(&l->board.lock);
}

void executor_pause(struct executor *l, bool pause)
{
    atomic_store(&l->wishes.pause, pause);
}

void executor_set_steps(struct executor *l, int steps)
{
    atomic_store(&l->wishes.steps, steps);
}

void executor_start(struct executor *l, struct trainee *t, const struct job *job)
{
    pthread_mutex_lock(&l->lock);
    l->report = (struct executor_report){.trainee = t, .job = *job};
    l->hand = HAND_GIVEN;
    atomic_store(&l->wishes.cancel, false);
    atomic_store(&l->wishes.checkpoint, false);
    atomic_store(&l->wishes.pause, false);
    atomic_store(&l->wishes.steps, 0);
    board_clear(&l->board);
    pthread_cond_signal(&l->given);
    pthread_mutex_unlock(&l->lock);
}

bool executor_collect(struct executor *l, struct executor_report *ret)
{
    pthread_mutex_lock(&l->lock);
    bool done = l->hand == HAND_DONE;
    if (done) {
        *ret = l->report;
        l->hand = HAND_EMPTY;
    }
    pthread_mutex_unlock(&l->lock);
    return done;
}

void executor_cancel(struct executor *l)
{
    atomic_store(&l->wishes.cancel, true);
}

void executor_checkpoint(struct executor *l)
{
    atomic_store(&l->wishes.checkpoint, true);
}

enum status executor_set_share(struct executor *l, double share, struct error *err)
{
    return limiter_set(l->server->limiter, l->member, share, err);
}

void executor_look(struct executor *l, struct executor_view *ret)
{
    pthread_mutex_lock(&l->lock);
    bool busy = l->hand == HAND_GIVEN || l->hand == HAND_WORKING;
    *ret = (struct executor_view){.state = l->state, .pid = l->pid, .restarts = l->restarts};
    if (busy)
        memcpy(ret->group, l->report.trainee->id, sizeof ret->group);
    pthread_mutex_unlock(&l->lock);
    ret->share = limiter_share(l->server->limiter, l->member);
    ret->used_us = limiter_used_us(l->server->limiter, l->member);
}

/* ---- open, close ---- */

/* The executor's part of the processors that are training's alone: the first executor has the first
 * ones.
 */
static enum status choose_cores(struct executor *l, int count, struct error *err)
{
    const struct server *s = l->server;
    struct cores_machine machine;
    struct cores left = s->roles[SERVER_TRAIN].own, own;
    if (!s->cores.pinned)
        return ST_OK;
    if (cores_count(&left) < count * s->set.train_threads) {
        cores_write(&left, l->cores); /* one thread each, on any of them */
        return ST_OK;
    }
    enum status st = cores_machine_read(&machine, err);
    for (int i = 0; i <= l->index && st == ST_OK; i++)
        st = cores_take(&machine, &left, s->set.train_threads, &own, err);
    if (st == ST_OK)
        cores_write(&own, l->cores);
    return st;
}

static enum status join_limiter(struct executor *l, struct error *err)
{
    char name[32];
    struct limiter *limiter = l->server->limiter;
    snprintf(name, sizeof name, "worker-%d", l->index);
    enum status st = limiter_add(limiter, name, limiter_capacity(limiter), &l->member, err);
    return st == ST_OK ? limiter_set_background(limiter, l->member, true, err) : st;
}

static enum status start_thread(struct executor *l, struct error *err)
{
    l->running = pthread_create(&l->thread, NULL, run, l) == 0;
    return l->running ? ST_OK : error_set(err, ST_NOMEM, "cannot start a worker's thread");
}

enum status executor_open(struct server *s, int index, int count, struct executor **ret,
                          struct error *err)
{
    struct executor *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, ST_NOMEM, "no memory for a worker");
    l->server = s;
    l->index = index;
    l->member = -1;
    worker_process_init(&l->worker);
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->board.lock, NULL);
    pthread_cond_init(&l->given, NULL);
    enum status st = choose_cores(l, count, err);
    if (st == ST_OK)
        st = join_limiter(l, err);
    if (st == ST_OK)
        st = start_thread(l, err);
    if (st != ST_OK) {
        executor_close(&l);
        return st;
    }
    *ret = l;
    return ST_OK;
}

void executor_close(struct executor **ptr)
{
    struct executor *l = ptr ? *ptr : NULL;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_signal(&l->given);
    pthread_mutex_unlock(&l->lock);
    if (l->running)
        pthread_join(l->thread, NULL);
    worker_process_stop(&l->worker);
    limiter_remove(l->server->limiter, l->member);
    pthread_cond_destroy(&l->given);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->board.lock);
    free(l);
    *ptr = NULL;
}
