/* moves.c - cameras that change groups. A move waits until neither group is at work, which it
 * hurries; then files, row and seat change one after the other, so that after a crash in between
 * the camera is where it was.
 *
 * Whoever leaves for a group of its own keeps the weights that it runs, under the same number:
 * nothing is sent. Whoever joins gets the group's weights as a snapshot. A camera's version never
 * falls, so a group that is behind it skips to a higher number first: a step without a change for
 * its members. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/control_internal.h"
#include "server/line.h"

/* To the group with the id, or the number; where neither is there to one of its own. */
struct wish {
    char camera[CAMERA_ID_CHARS_MAX + 1], group[CAMERA_ID_CHARS_MAX + 1];
    uint64_t number;
    char start[192]; /* of a group of its own: the snapshot to begin with, "": what it has */
    char reason[STORE_REASON_CHARS_MAX + 1];
};

struct moves {
    struct control *control;
    pthread_mutex_t lock;
    struct wish wishes[CONTROL_MOVES_MAX]; /* in the order in which they came */
    int count;
};

enum status moves_open(struct control *c, struct moves **ret, struct error *err)
{
    struct moves *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(err, ST_NOMEM, "no memory for groups");
    m->control = c;
    pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return ST_OK;
}

void moves_close(struct moves **m)
{
    if (!m || !*m)
        return;
    pthread_mutex_destroy(&(*m)->lock);
    free(*m);
    *m = NULL;
}

static enum status add_wish(struct moves *m, const struct wish *w, struct error *err)
{
    enum status st = ST_OK;
    pthread_mutex_lock(&m->lock);
    if (m->count == CONTROL_MOVES_MAX)
        st = error_set(err, ST_LIMIT, "%d cameras wait for another group already", m->count);
    else
        m->wishes[m->count++] = *w;
    pthread_mutex_unlock(&m->lock);
    if (st == ST_OK)
        bell_ring(&m->control->server->bell);
    return st;
}

enum status control_move(struct control *c, const char *camera, const char *group,
                         const char *reason, struct error *err)
{
    struct wish w = {.number = 0};
    snprintf(w.camera, sizeof w.camera, "%s", camera);
    snprintf(w.group, sizeof w.group, "%s", group);
    snprintf(w.reason, sizeof w.reason, "%s", reason);
    return add_wish(c->moves, &w, err);
}

enum status moves_ask(struct moves *m, const char *camera, uint64_t number, const char *start,
                      const char *reason, struct error *err)
{
    struct wish w = {.number = number};
    snprintf(w.camera, sizeof w.camera, "%s", camera);
    snprintf(w.start, sizeof w.start, "%s", start);
    snprintf(w.reason, sizeof w.reason, "%s", reason);
    return add_wish(m, &w, err);
}

bool moves_wait(struct moves *m, const char *camera)
{
    bool waits = false;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < m->count; i++)
        waits |= strcmp(m->wishes[i].camera, camera) == 0;
    pthread_mutex_unlock(&m->lock);
    return waits;
}

/* ---- files and rows ---- */

/* The group has a number that the camera can go to. */
static enum status make_room(struct server *s, const char *camera, uint64_t version,
                             const char *group, uint64_t t_us, struct error *err)
{
    struct store_group g;
    struct store_version v;
    enum status st = store_group_get(s->store, group, &g, err);
    if (st != ST_OK || g.version > version || (g.version == 0 && version == 0))
        return st;
    st = line_renumber(s, group, g.version, version + 1, &v, err);
    if (st != ST_OK)
        return st;
    v.t_us = t_us;
    v.score_before = v.score_after = NAN;
    snprintf(v.reason, sizeof v.reason,
             "the same weights under a higher number: %s joins and had version %llu", camera,
             (unsigned long long)version);
    return store_version_put(s->store, group, &v, NULL, 0, err);
}

static enum status join(struct server *s, const struct store_camera *camera, const char *group,
                        const struct wish *w, struct error *err)
{
    struct store_move move = {
        .camera = camera->id, .group = group, .t_us = clock_wall_us(), .reason = w->reason};
    enum status st = make_room(s, camera->id, camera->version, group, move.t_us, err);
    return st == ST_OK ? store_move_put(s->store, &move, err) : st;
}

/* The first files of the camera's new group: the model that it is to start with; what it has where
 * that is gone, or none was named. */
static enum status begin_line(struct server *s, const struct store_camera *camera,
                              const struct wish *w, const char *group, struct store_version *ret,
                              struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", store_dir(s->store), w->start);
    if (w->start[0] && line_adopt(s, path, camera->version + 1, group, ret, err) == ST_OK) {
        snprintf(ret->reason, sizeof ret->reason, "begins with the model %s", w->start);
        return ST_OK;
    }
    if (w->start[0])
        log_write(LOG_WARN, "model is gone", "camera=%s why=\"%s\"", camera->id, err->message);
    enum status st = line_fork(s, camera->group, camera->version, group, ret, err);
    snprintf(ret->reason, sizeof ret->reason, "goes on from version %llu of group %.63s",
             (unsigned long long)camera->version, camera->group);
    return st;
}

/* ret: the new group's id. */
static enum status found(struct server *s, const struct store_camera *camera, const struct wish *w,
                         char *ret, struct error *err)
{
    struct store_version v = {.version = 0};
    struct store_move move = {.camera = camera->id,
                              .group = ret,
                              .found = &v,
                              .number = w->number,
                              .t_us = clock_wall_us(),
                              .reason = w->reason};
    enum status st = store_group_name(s->store, camera->id, ret, err);
    if (st == ST_OK)
        st = begin_line(s, camera, w, ret, &v, err);
    if (st != ST_OK)
        return st;
    v.t_us = move.t_us;
    v.score_before = v.score_after = NAN;
    return store_move_put(s->store, &move, err);
}

/* ---- one move ---- */

static void say(struct control *c, const struct wish *w, bool joined, const char *from,
                const char *to)
{
    server_event(c->server, w->camera, joined ? "group_joined" : "group_left",
                 json_pack("{s:s,s:s}", "group", to, "from", from), "%s", w->reason);
}

static enum status carry_out(struct control *c, const struct wish *w, int to, struct error *err)
{
    struct store_camera camera;
    char group[CAMERA_ID_CHARS_MAX + 1] = "";
    enum status st = store_camera_get(c->server->store, w->camera, &camera, err);
    if (st != ST_OK)
        return st;
    if (to >= 0)
        snprintf(group, sizeof group, "%s", c->seats[to].trainee.id);
    st = to >= 0 ? join(c->server, &camera, group, w, err)
                 : found(c->server, &camera, w, group, err);
    if (st == ST_OK)
        st = control_sit(c, w->camera, group, err);
    if (st == ST_OK)
        say(c, w, to >= 0, camera.group, group);
    return st;
}

/* The camera has its group for itself already, and keeps it under the number. */
static enum status keep(struct control *c, int seat, const struct wish *w, struct error *err)
{
    struct trainee *t = &c->seats[seat].trainee;
    enum status st = store_group_number(c->server->store, t->id, w->number, err);
    if (st == ST_OK)
        t->number = w->number;
    return st == ST_OK ? ST_END : st;
}

static void hurry(struct control *c, int seat)
{
    c->seats[seat].held = true;
    if (c->seats[seat].busy)
        c->decider.ops->hurry(c->decider.self, seat);
}

/* The seat of the group that is meant, -1: there is none. */
static int target(const struct control *c, const struct wish *w)
{
    int seat = w->group[0] ? control_seat_of(c, w->group) : -1;
    for (int i = 0; w->number && i < c->count && seat < 0; i++)
        if (c->seats[i].trainee.number == w->number)
            seat = i;
    return seat >= 0 && control_sits(c, seat) ? seat : -1;
}

/* ST_AGAIN: one of its groups is at work. ST_END: there is nothing more to do. */
static enum status attempt(struct control *c, const struct wish *w, struct error *err)
{
    int from = control_seat_with(c, w->camera), to = target(c, w);
    if (from < 0 || (w->group[0] && to < 0)) { /* they may be newer than the last look */
        control_refresh(c);
        from = control_seat_with(c, w->camera);
        to = target(c, w);
    }
    if (from < 0 || (w->group[0] && to < 0))
        return error_set(err, ST_NOT_FOUND, "there is no such camera or group any more");
    if (from == to)
        return ST_END;
    if (control_paused(c, w->camera))
        return error_set(err, ST_CONFLICT, "its learning is paused");
    if (to < 0 && c->seats[from].trainee.count == 1 && !w->start[0])
        return w->number ? keep(c, from, w, err) : ST_END;
    hurry(c, from);
    if (to >= 0)
        hurry(c, to);
    if (c->seats[from].busy || (to >= 0 && c->seats[to].busy))
        return ST_AGAIN;
    return carry_out(c, w, to, err);
}

static void report(struct control *c, const struct wish *w, const struct error *err)
{
    server_event(c->server, w->camera, "group_refused", NULL, "the camera stays in its group: %s",
                 err->message);
}

/* The first wish; what cannot be done now is asked for again, in its order. */
static bool take(struct moves *m, int at, struct wish *ret)
{
    pthread_mutex_lock(&m->lock);
    bool there = at < m->count;
    if (there)
        *ret = m->wishes[at];
    pthread_mutex_unlock(&m->lock);
    return there;
}

static void drop(struct moves *m, int at)
{
    pthread_mutex_lock(&m->lock);
    m->count--;
    memmove(&m->wishes[at], &m->wishes[at + 1], (size_t)(m->count - at) * sizeof *m->wishes);
    pthread_mutex_unlock(&m->lock);
}

void moves_run(struct moves *m)
{
    struct control *c = m->control;
    struct wish w;
    int at = 0;
    for (int i = 0; i < c->count; i++)
        c->seats[i].held = false;
    while (take(m, at, &w)) {
        struct error err;
        enum status st = attempt(c, &w, &err);
        if (st == ST_AGAIN) {
            at++;
            continue;
        }
        if (st != ST_OK && st != ST_END)
            report(c, &w, &err);
        drop(m, at);
    }
}
