/* interventions.c - what people want of the control thread: a group goes back to an older version,
 * the learning of cameras is paused or goes on, a camera is trained now.
 *
 * What is under way comes first to an end: a training that nobody wants any more is given up, and
 * what it had made is not kept. Pauses and requests are rows of the store, so that a restart finds
 * them; a return to an older version is done when whoever wants it hears so. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/control_internal.h"
#include "server/operate.h"

#define WISHES_MAX 16
#define LOOK_US (CONTROL_SECOND_US / 10)

enum wish_state { WISH_WAITS, WISH_TAKEN, WISH_DONE };

/* Its caller's, who waits for it. */
struct wish {
    const char *group, *by;
    uint64_t version;
    enum wish_state state;
    enum status status;
    struct error why;
    uint64_t made;
};

struct interventions {
    struct control *control;
    pthread_mutex_t lock;
    struct wish *wishes[WISHES_MAX];
    int count;
    atomic_bool look; /* at people's requests */
};

enum status interventions_open(struct control *c, struct interventions **ret, struct error *err)
{
    struct interventions *v = calloc(1, sizeof *v);
    if (!v)
        return error_set(err, ST_NOMEM, "no memory for what people want");
    v->control = c;
    atomic_init(&v->look, true);
    pthread_mutex_init(&v->lock, NULL);
    *ret = v;
    return ST_OK;
}

void interventions_close(struct interventions **v)
{
    if (!v || !*v)
        return;
    pthread_mutex_destroy(&(*v)->lock);
    free(*v);
    *v = NULL;
}

/* ---- back to an older version ---- */

static void remove_wish(struct interventions *v, const struct wish *w)
{
    for (int i = 0; i < v->count; i++)
        if (v->wishes[i] == w) {
            v->wishes[i] = v->wishes[--v->count];
            return;
        }
}

/* Is it done, or taken back because it took too long? */
static bool is_over(struct interventions *v, struct wish *w, uint64_t until_us)
{
    pthread_mutex_lock(&v->lock);
    bool late = clock_mono_us() >= until_us || bell_stopped(&v->control->server->bell);
    if (w->state == WISH_WAITS && late) {
        remove_wish(v, w);
        w->state = WISH_DONE;
        w->status = error_set(&w->why, ST_AGAIN,
                              "group '%.80s' is still at work and stays as it is; ask again later",
                              w->group);
    }
    bool over = w->state == WISH_DONE;
    pthread_mutex_unlock(&v->lock);
    return over;
}

static enum status add_wish(struct interventions *v, struct wish *w, struct error *err)
{
    enum status st = ST_OK;
    pthread_mutex_lock(&v->lock);
    if (v->count == WISHES_MAX)
        st = error_set(err, ST_AGAIN, "%d groups wait for an older version already", v->count);
    else
        v->wishes[v->count++] = w;
    pthread_mutex_unlock(&v->lock);
    return st;
}

enum status control_rollback(struct control *c, const char *group, uint64_t version, const char *by,
                             uint64_t *ret, struct error *err)
{
    struct wish w = {.group = group, .by = by, .version = version};
    struct bell *bell = &c->server->bell;
    uint64_t until_us = clock_mono_us() + CONTROL_WAIT_S * CONTROL_SECOND_US;
    enum status st = add_wish(c->interventions, &w, err);
    if (st != ST_OK)
        return st;
    bell_ring(bell);
    for (uint64_t seen = bell_count(bell); !is_over(c->interventions, &w, until_us);
         seen = bell_count(bell))
        if (!bell_wait(bell, seen, clock_mono_us() + LOOK_US))
            clock_sleep_until_us(clock_mono_us() + LOOK_US / 10);
    if (w.status == ST_OK)
        *ret = w.made;
    else if (err)
        *err = w.why;
    return w.status;
}

/* A job under way ends without a version. False: there is none. */
static bool give_up(struct control *c, int seat)
{
    if (!c->seats[seat].busy)
        return false;
    c->seats[seat].held = true;
    executor_cancel(c->executors[c->seats[seat].executor]);
    return true;
}

/* ST_END: its group is at work. */
static enum status attempt(struct control *c, struct wish *w)
{
    int seat = control_seat_of(c, w->group);
    if (seat < 0 || !control_sits(c, seat))
        return error_set(&w->why, ST_NOT_FOUND, "no camera is in a group '%.80s'", w->group);
    if (give_up(c, seat))
        return ST_END;
    enum status st = operate_go_back(c->server, w->group, w->version, w->by, &w->made, &w->why);
    if (st != ST_OK)
        return st;
    c->seats[seat].trainee.stale = true;
    c->seats[seat].failures = 0;
    c->revision++;
    return ST_OK;
}

/* It is taken: its caller waits for it, however long that takes. */
static void carry_out(struct interventions *v, struct wish *w)
{
    enum status st = attempt(v->control, w);
    pthread_mutex_lock(&v->lock);
    w->status = st;
    w->state = st == ST_END ? WISH_WAITS : WISH_DONE;
    if (st != ST_END)
        remove_wish(v, w);
    pthread_mutex_unlock(&v->lock);
    if (st != ST_END)
        bell_ring(&v->control->server->bell);
}

/* One after the other, each once. */
static void run_wishes(struct interventions *v)
{
    struct wish *wishes[WISHES_MAX];
    pthread_mutex_lock(&v->lock);
    int count = v->count;
    memcpy(wishes, v->wishes, sizeof wishes);
    pthread_mutex_unlock(&v->lock);
    for (int i = 0; i < count; i++) {
        bool there = false;
        pthread_mutex_lock(&v->lock);
        for (int k = 0; k < v->count; k++)
            there |= v->wishes[k] == wishes[i];
        if (there)
            wishes[i]->state = WISH_TAKEN;
        pthread_mutex_unlock(&v->lock);
        if (there)
            carry_out(v, wishes[i]);
    }
}

/* ---- pauses ---- */

/* Members whose learning is to be paused, or is to go on; *ret_stops: one of the first kind. */
static bool has_news(const struct trainee *t, bool *ret_stops)
{
    bool news = false;
    *ret_stops = false;
    for (int i = 0; i < t->count; i++) {
        const struct trainee_member *m = &t->members[i];
        news |= m->paused != m->to_pause;
        *ret_stops |= m->to_pause && !m->paused;
    }
    return news;
}

/* The learner is made anew, with the frames that it may learn from. */
static void settle(struct control *c, int seat)
{
    struct trainee *t = &c->seats[seat].trainee;
    bool stops;
    if (!has_news(t, &stops) || (stops && give_up(c, seat)))
        return;
    if (c->seats[seat].busy) {
        c->seats[seat].held = true;
        c->decider.ops->hurry(c->decider.self, seat);
        return;
    }
    for (int i = 0; i < t->count; i++)
        t->members[i].paused = t->members[i].to_pause;
    t->stale = true;
    c->revision++;
}

/* ---- training now ---- */

struct asked {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    uint64_t id;
};

struct asked_list {
    struct asked *items; /* [count_max] */
    int count, count_max;
};

static void note_asked(const struct store_request *r, void *context)
{
    struct asked_list *l = context;
    if (r->drift.kind != DRIFT_MANUAL || l->count == l->count_max)
        return;
    struct asked *a = &l->items[l->count++];
    memcpy(a->camera, r->drift.camera, sizeof a->camera);
    a->id = r->id;
}

/* All frames that there are count as new. A training that is under way is what was asked for,
 * unless it is decided already: then it is looked at again when that has ended. */
static void urge(struct control *c, const struct asked *a)
{
    int seat = control_seat_with(c, a->camera);
    if (seat < 0 || a->id <= c->seats[seat].urged || control_paused(c, a->camera))
        return;
    struct seat *s = &c->seats[seat];
    struct job_progress now = {0};
    if (s->busy)
        executor_progress(c->executors[s->executor], &now);
    if (now.decided)
        return;
    s->urged = a->id;
    if (s->busy)
        return;
    for (int i = 0; i < s->trainee.count; i++)
        s->trainee.members[i].trained_seq = s->trainee.members[i].barren_seq = 0;
    s->failures = 0;
    c->decider.ops->urge(c->decider.self, seat);
}

static void look_at_requests(struct control *c)
{
    struct asked_list l = {.count_max = c->server->set.cameras_max};
    l.items = calloc((size_t)l.count_max, sizeof *l.items);
    if (l.items && store_requests_open(c->server->store, note_asked, &l, NULL) == ST_OK)
        for (int i = 0; i < l.count; i++)
            urge(c, &l.items[i]);
    free(l.items);
}

void control_look_at_requests(struct control *c)
{
    atomic_store(&c->interventions->look, true);
    bell_ring(&c->server->bell);
}

void interventions_run(struct interventions *v)
{
    struct control *c = v->control;
    for (int i = 0; i < c->count; i++)
        settle(c, i);
    run_wishes(v);
    if (atomic_exchange(&v->look, false))
        look_at_requests(c);
}
