/* micro.c - whose turn it is by the allocator's micro-windows, where cameras infer by themselves
 * (schedule/allocator.h; ECCO, our reading).
 *
 * A window of window_s has micro_windows parts for each worker. In each of them a worker trains one
 * group, under an equal part of the capacity, as many steps as that comes to; then the gate judges,
 * and what the model gained on frames that it was not trained on is what the allocator decides the
 * next one by. A group is ready when it has frames that it was not trained on, or when its last
 * micro-window has made it better on those that it has: nobody trains for nothing.
 *
 * As in `attune eval --fleet` (eval/fleet_micro.c), except that there a phase of the learner goes
 * on over several micro-windows; here it ends with each, since a worker has many groups. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/micro_internal.h"
#include "train/learner.h"

#define LOOK_US (CONTROL_SECOND_US / 5) /* between looks for who is ready */

static uint64_t period_us(const struct micro *m)
{
    return (uint64_t)(config_live(m->control->server->config).period_s * 1e6);
}

/* ---- who could train ---- */

bool micro_ready(const struct micro *m, int seat, uint64_t now_us)
{
    const struct control *c = m->control;
    const struct seat *s = &c->seats[seat];
    bool due = false;
    if (!control_sits(c, seat) || !control_learns(c, seat) || s->busy || s->held || s->resting ||
        now_us < m->seats[seat].rest_us)
        return false;
    if (m->seats[seat].gaining)
        return true;
    return job_is_due(c->server, &s->trainee, &due, NULL) == ST_OK && due;
}

static bool any_free(const struct control *c, uint64_t now_us)
{
    for (int i = 0; i < c->executor_count; i++)
        if (executor_ready(c->executors[i], now_us))
            return true;
    return false;
}

/* Is there a worker for it now: the one that has its learner, or any? */
static bool has_worker(const struct control *c, int seat, uint64_t now_us)
{
    int executor = c->seats[seat].executor;
    return executor < 0 ? any_free(c, now_us) : executor_ready(c->executors[executor], now_us);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct allocator_job *)a)->id, y = ((const struct allocator_job *)b)->id;
    return (x > y) - (x < y);
}

/* Groups as the allocator wants them. free_only: ready are only those with a worker for them. */
static int list_jobs(struct micro *m, uint64_t now_us, bool free_only, int *ret_ready)
{
    const struct control *c = m->control;
    int n = 0;
    *ret_ready = 0;
    for (int i = 0; i < c->count; i++) {
        if (!control_sits(c, i) || m->seats[i].id == 0)
            continue;
        bool ready = micro_ready(m, i, now_us) && (!free_only || has_worker(c, i, now_us));
        *ret_ready += ready;
        m->jobs[n++] = (struct allocator_job){.id = m->seats[i].id,
                                              .members = c->seats[i].trainee.count,
                                              .accuracy = control_accuracy(c, i),
                                              .ready = ready};
    }
    if (n > 1)
        qsort(m->jobs, (size_t)n, sizeof *m->jobs, by_id);
    return n;
}

static int seat_of(const struct micro *m, uint64_t id)
{
    for (int i = 0; i < m->control->count; i++)
        if (m->seats[i].id == id)
            return i;
    return -1;
}

/* ---- windows ---- */

/* The part of the compute that a ready group has in any case (schedule/allocator.h). */
static double least_part(const struct micro *m, int groups)
{
    return 1.0 / (m->slots > 2 * groups ? m->slots : 2 * groups);
}

/* Together the parts are the whole: what groups had in windows of other groups is not. */
static void tell(struct micro *m)
{
    const struct control *c = m->control;
    int groups = 0;
    double sum = 0;
    for (int i = 0; i < c->count; i++)
        groups += control_sits(c, i) && m->seats[i].id != 0;
    for (int i = 0; i < c->count; i++) {
        m->parts[i] = NAN;
        if (!control_sits(c, i) || m->seats[i].id == 0)
            continue;
        m->parts[i] = fmax(allocator_share(m->allocator, m->seats[i].id), least_part(m, groups));
        sum += m->parts[i];
    }
    for (int i = 0; i < c->count; i++)
        m->parts[i] /= sum;
    control_tell_groups(m->control, m->parts);
    m->revision = c->revision;
}

/* All that are ready count, whoever has a worker at the moment: what they wait for is theirs. */
static void begin_window(struct micro *m, uint64_t now_us)
{
    struct error err;
    int ready, n = list_jobs(m, now_us, false, &ready);
    enum status st = allocator_update(m->allocator, m->jobs, n, &err);
    if (st == ST_OK)
        st = allocator_begin(m->allocator, m->jobs, n, &err);
    if (st != ST_OK)
        log_write(LOG_ERROR, "no micro-windows", "why=\"%s\"", err.message);
    m->window_end_us = now_us + m->window_us;
    m->used = 0;
    for (int i = 0; i < m->control->count; i++)
        m->seats[i].slots = 0;
    tell(m);
}

/* ---- micro-windows ---- */

static bool start(struct micro *m, int seat, uint64_t now_us)
{
    struct control *c = m->control;
    struct micro_seat *s = &m->seats[seat];
    int steps = c->server->set.steps > 0 ? c->server->set.steps : LEARNER_STEPS_MAX;
    if (!control_start(c, seat, &(struct job){.kind = LEDGER_TRAIN, .steps = steps}, now_us))
        return false;
    s->started_us = now_us;
    s->until_us = now_us + m->slot_us;
    s->ending = false;
    control_share(c, seat, LEDGER_TRAIN, control_capacity(c) / c->executor_count);
    return true;
}

/* One micro-window, to whom the allocator says; false: nobody is ready, or no worker. */
static bool start_next(struct micro *m, uint64_t now_us)
{
    struct error err;
    int ready, n;
    if (!any_free(m->control, now_us))
        return false;
    n = list_jobs(m, now_us, true, &ready);
    if (allocator_update(m->allocator, m->jobs, n, &err) != ST_OK) {
        log_write(LOG_ERROR, "no micro-window", "why=\"%s\"", err.message);
        return false;
    }
    uint64_t id = ready > 0 ? allocator_next(m->allocator) : 0;
    int seat = id ? seat_of(m, id) : -1;
    return seat >= 0 && start(m, seat, now_us);
}

/* Those whose time is over end with what they have. */
static void end_slots(struct micro *m, uint64_t now_us)
{
    for (int i = 0; i < m->control->count; i++) {
        struct micro_seat *s = &m->seats[i];
        if (m->control->seats[i].busy && !s->ending && now_us >= s->until_us)
            s->ending = control_end_early(m->control, i);
    }
}

static uint64_t run(void *self, uint64_t now_us)
{
    struct micro *m = self;
    uint64_t wake_us = now_us + LOOK_US;
    bool news = m->revision != m->control->revision;
    end_slots(m, now_us);
    if (now_us >= m->window_end_us || m->used >= m->slots) {
        begin_window(m, now_us);
        news = true;
    } else if (news)
        tell(m);
    if (now_us >= m->looked_us + LOOK_US || m->looked_us == 0) {
        m->looked_us = now_us;
        while (start_next(m, now_us))
            news = true;
    }
    for (int i = 0; i < m->control->count; i++)
        if (m->control->seats[i].busy && !m->seats[i].ending && m->seats[i].until_us < wake_us)
            wake_us = m->seats[i].until_us;
    if (news)
        micro_show(m, now_us);
    return wake_us > now_us ? wake_us : now_us + LOOK_US;
}

/* ---- what came of them ---- */

static void note_gain(struct micro *m, int seat, const struct job_result *r)
{
    struct micro_seat *s = &m->seats[seat];
    bool better = r->end == JOB_TRAINED && r->accepted && r->after > r->before;
    m->used++;
    s->slots++;
    s->gaining = better;
    allocator_trained(m->allocator, s->id, better ? r->before : 0, better ? r->after : 0);
}

static void ended(void *self, int seat, const struct executor_report *report)
{
    struct micro *m = self;
    struct micro_seat *s = &m->seats[seat];
    const struct job_result *r = &report->result;
    uint64_t now_us = clock_mono_us();
    s->gaining = false;
    if (report->status != ST_OK)
        s->rest_us = now_us + control_penalty_us(period_us(m), m->control->seats[seat].failures);
    else if (r->end == JOB_NOTHING)
        control_note_barren(m->control, seat);
    else
        note_gain(m, seat, r);
    if (r->end == JOB_DIVERGED)
        s->rest_us = s->started_us + period_us(m);
    m->looked_us = 0;
}

static void join(void *self, int seat)
{
    struct micro *m = self;
    m->seats[seat] = (struct micro_seat){.id = ++m->ids};
}

static void leave(void *self, int seat)
{
    struct micro *m = self;
    m->seats[seat] = (struct micro_seat){.id = 0};
}

static void hurry(void *self, int seat)
{
    struct micro *m = self;
    m->seats[seat].ending |= control_end_early(m->control, seat);
}

static void urge(void *self, int seat)
{
    struct micro *m = self;
    m->seats[seat].rest_us = 0;
    m->looked_us = 0;
}

/* ---- open, close ---- */

static void close_micro(void *self)
{
    struct micro *m = self;
    allocator_close(&m->allocator);
    json_decref(m->shown);
    pthread_mutex_destroy(&m->lock);
    free(m->seats);
    free(m->jobs);
    free(m->parts);
    free(m);
}

static const struct decider_ops ops = {.close = close_micro,
                                       .join = join,
                                       .leave = leave,
                                       .hurry = hurry,
                                       .urge = urge,
                                       .ended = ended,
                                       .run = run,
                                       .json = micro_json};

static enum status open_parts(struct micro *m, struct error *err)
{
    const struct settings *set = &m->control->server->set;
    size_t seats = (size_t)m->control->seats_max;
    struct allocator_settings a;
    m->slots = set->micro_windows * set->workers;
    m->window_us = (uint64_t)(set->window_s * 1e6);
    m->slot_us = m->window_us / (uint64_t)set->micro_windows;
    m->seats = calloc(seats, sizeof *m->seats);
    m->jobs = calloc(seats, sizeof *m->jobs);
    m->parts = calloc(seats, sizeof *m->parts);
    if (!m->seats || !m->jobs || !m->parts)
        return error_set(err, ST_NOMEM, "no memory for micro-windows");
    sharing_allocation(m->sharing, &a);
    a.slots = m->slots < ALLOCATOR_SLOTS_MAX ? m->slots : ALLOCATOR_SLOTS_MAX;
    m->slots = a.slots;
    return allocator_open(&a, &m->allocator, err);
}

enum status micro_open(struct control *c, struct decider *ret, struct error *err)
{
    struct micro *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(err, ST_NOMEM, "no memory for micro-windows");
    m->control = c;
    m->sharing = c->server->dividing.sharing;
    pthread_mutex_init(&m->lock, NULL);
    enum status st = open_parts(m, err);
    if (st != ST_OK) {
        close_micro(m);
        return st;
    }
    *ret = (struct decider){&ops, m};
    return ST_OK;
}
