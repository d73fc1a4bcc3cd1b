/* turns.c - whose turn it is by AMS's round robin: each group every period_s at most, one after
 * the other, with as many at once as there are workers, in equal parts of the capacity. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/control_internal.h"
#include "train/atr.h"
#include "train/round_robin.h"

#define RETRY_US (CONTROL_SECOND_US / 2) /* a group without new frames is looked at again */
#define BUSY_US (CONTROL_SECOND_US / 5)  /* one whose worker has another job */

struct turns {
    struct control *control;
    struct round_robin ring; /* an id is a seat */
    struct atr *atr;         /* [seats_max] */
};

static void join(void *self, int seat)
{
    struct turns *t = self;
    struct atr_options o;
    atr_options_init(&o);
    o.base_us = (uint64_t)(config_live(t->control->server->config).period_s * 1e6);
    atr_init(&t->atr[seat], &o);
    round_robin_add(&t->ring, (uint32_t)seat, o.base_us, clock_mono_us(), NULL);
}

static void leave(void *self, int seat)
{
    struct turns *t = self;
    round_robin_remove(&t->ring, (uint32_t)seat);
}

/* The next turn at another time than the ring would give. */
static void delay(struct turns *t, int seat, uint64_t wait_us)
{
    round_robin_remove(&t->ring, (uint32_t)seat);
    round_robin_add(&t->ring, (uint32_t)seat, t->atr[seat].period_us, clock_mono_us() + wait_us,
                    NULL);
}

/* All that train have equal parts of the capacity. */
static void share_out(struct turns *t)
{
    struct control *c = t->control;
    int busy = 0;
    for (int i = 0; i < c->count; i++)
        busy += c->seats[i].busy;
    for (int i = 0; i < c->count; i++)
        if (c->seats[i].busy)
            control_share(c, i, LEDGER_TRAIN, limiter_capacity(c->server->limiter) / busy);
}

/* The rate of the member whose scene moves most. */
static double sampling_of(const struct turns *t, int seat)
{
    const struct trainee *g = &t->control->seats[seat].trainee;
    struct store_camera camera;
    double most = 0;
    for (int i = 0; i < g->count; i++)
        if (store_camera_get(t->control->server->store, g->members[i].camera, &camera, NULL) ==
                ST_OK &&
            camera.sampling_fps > most)
            most = camera.sampling_fps;
    return most;
}

static void adapt_period(struct turns *t, int seat)
{
    const struct settings_live live = config_live(t->control->server->config);
    double fps = live.adaptive_period ? sampling_of(t, seat) : 0;
    struct atr *atr = &t->atr[seat];
    atr->options.base_us = (uint64_t)(live.period_s * 1e6);
    if (fps > 0)
        atr_update(atr, fps);
    else
        atr->period_us = atr->options.base_us;
    round_robin_set_period(&t->ring, (uint32_t)seat, atr->period_us);
}

static void ended(void *self, int seat, const struct executor_report *report)
{
    struct turns *t = self;
    if (report->status != ST_OK)
        delay(t, seat,
              control_penalty_us(t->atr[seat].period_us, t->control->seats[seat].failures));
    else if (report->result.end == JOB_NOTHING)
        delay(t, seat, RETRY_US);
    else
        adapt_period(t, seat);
    share_out(t);
}

static void start(struct turns *t, int seat, uint64_t now_us)
{
    struct control *c = t->control;
    struct seat *s = &c->seats[seat];
    struct error err = {0};
    bool due = false;
    if (job_is_due(c->server, &s->trainee, &due, &err) != ST_OK)
        log_write(LOG_ERROR, "store", "why=\"%s\"", err.message);
    if (!due || s->resting)
        delay(t, seat, RETRY_US);
    else if (s->busy || !control_start(c, seat, &(struct job){.kind = LEDGER_TRAIN}, now_us))
        delay(t, seat, BUSY_US);
    else
        share_out(t);
}

static bool any_ready(const struct control *c, uint64_t now_us)
{
    for (int i = 0; i < c->executor_count; i++)
        if (executor_ready(c->executors[i], now_us))
            return true;
    return false;
}

static uint64_t run(void *self, uint64_t now_us)
{
    struct turns *t = self;
    uint64_t late_us;
    uint32_t seat;
    while (any_ready(t->control, now_us) && round_robin_next(&t->ring, now_us, &seat, &late_us)) {
        if (late_us > t->atr[seat].period_us)
            log_write(LOG_DEBUG, "late turn", "group=%s late_ms=%llu",
                      t->control->seats[seat].trainee.id, (unsigned long long)(late_us / 1000));
        start(t, (int)seat, now_us);
    }
    uint64_t due_us = round_robin_due_us(&t->ring);
    return due_us > now_us ? due_us : now_us + BUSY_US; /* due, but all are at work */
}

static void hurry(void *self, int seat)
{
    const struct turns *t = self;
    control_end_early(t->control, seat);
}

static void urge(void *self, int seat)
{
    delay(self, seat, 0);
}

/* Turns are no plan. */
static json_t *no_json(void *self)
{
    (void)self;
    return NULL;
}

/* ---- open, close ---- */

static void close_turns(void *self)
{
    struct turns *t = self;
    round_robin_clear(&t->ring);
    free(t->atr);
    free(t);
}

static const struct decider_ops ops = {.close = close_turns,
                                       .join = join,
                                       .leave = leave,
                                       .hurry = hurry,
                                       .urge = urge,
                                       .ended = ended,
                                       .run = run,
                                       .json = no_json};

enum status turns_open(struct control *c, struct decider *ret, struct error *err)
{
    struct turns *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, ST_NOMEM, "no memory for the cameras' turns");
    t->control = c;
    t->atr = calloc((size_t)c->seats_max, sizeof *t->atr);
    enum status st = t->atr ? round_robin_init(&t->ring, c->seats_max, err)
                            : error_set(err, ST_NOMEM, "no memory for the cameras' turns");
    if (st != ST_OK) {
        close_turns(t);
        return st;
    }
    *ret = (struct decider){&ops, t};
    return ST_OK;
}
