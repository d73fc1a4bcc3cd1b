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

struct wish {
    char camera[CAMERA_ID_CHARS_MAX + 1], group[CAMERA_ID_CHARS_MAX + 1];
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

enum status control_move(struct control *c, const char *camera, const char *group,
                         const char *reason, struct error *err)
{
    struct moves *m = c->moves;
    enum status st = ST_OK;
    pthread_mutex_lock(&m->lock);
    if (m->count == CONTROL_MOVES_MAX)
        st = error_set(err, ST_LIMIT, "%d cameras wait for another group already", m->count);
    else {
        struct wish *w = &m->wishes[m->count++];
        snprintf(w->camera, sizeof w->camera, "%s", camera);
        snprintf(w->group, sizeof w->group, "%s", group);
        snprintf(w->reason, sizeof w->reason, "%s", reason);
    }
    pthread_mutex_unlock(&m->lock);
    if (st == ST_OK)
        bell_ring(&c->server->bell);
    return st;
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

static enum status join(struct server *s, const struct store_camera *camera, const struct wish *w,
                        struct error *err)
{
    struct store_move move = {
        .camera = camera->id, .group = w->group, .t_us = clock_wall_us(), .reason = w->reason};
    enum status st = make_room(s, camera->id, camera->version, w->group, move.t_us, err);
    return st == ST_OK ? store_move_put(s->store, &move, err) : st;
}

/* ret: the new group's id. */
static enum status found(struct server *s, const struct store_camera *camera, const struct wish *w,
                         char *ret, struct error *err)
{
    struct store_version v;
    struct store_move move = {.camera = camera->id,
                              .group = ret,
                              .found = &v,
                              .t_us = clock_wall_us(),
                              .reason = w->reason};
    enum status st = store_group_name(s->store, camera->id, ret, err);
    if (st == ST_OK)
        st = line_fork(s, camera->group, camera->version, ret, &v, err);
    if (st != ST_OK)
        return st;
    v.t_us = move.t_us;
    v.score_before = v.score_after = NAN;
    snprintf(v.reason, sizeof v.reason, "goes on from version %llu of group %.63s",
             (unsigned long long)camera->version, camera->group);
    return store_move_put(s->store, &move, err);
}

/* ---- one move ---- */

static void say(struct control *c, const struct wish *w, const char *from, const char *to)
{
    server_event(c->server, w->camera, w->group[0] ? "group_joined" : "group_left",
                 json_pack("{s:s,s:s}", "group", to, "from", from), "%s", w->reason);
}

static enum status carry_out(struct control *c, const struct wish *w, struct error *err)
{
    struct store_camera camera;
    char group[CAMERA_ID_CHARS_MAX + 1];
    enum status st = store_camera_get(c->server->store, w->camera, &camera, err);
    if (st != ST_OK)
        return st;
    snprintf(group, sizeof group, "%s", w->group);
    st = w->group[0] ? join(c->server, &camera, w, err) : found(c->server, &camera, w, group, err);
    if (st == ST_OK)
        st = control_sit(c, w->camera, group, err);
    if (st == ST_OK)
        say(c, w, camera.group, group);
    return st;
}

static void hurry(struct control *c, int seat)
{
    struct job_progress p;
    struct seat *s = &c->seats[seat];
    s->held = true;
    if (!s->busy)
        return;
    if (c->windows) {
        windows_hurry(c->windows, seat);
        return;
    }
    executor_progress(c->executors[s->executor], &p);
    if (p.steps > 0)
        executor_set_steps(c->executors[s->executor], p.steps);
}

/* ST_AGAIN: one of its groups is at work. ST_END: there is nothing to do. */
static enum status attempt(struct control *c, const struct wish *w, struct error *err)
{
    int from = control_seat_with(c, w->camera);
    int to = w->group[0] ? control_seat_of(c, w->group) : -1;
    if (from < 0 || (w->group[0] && (to < 0 || !control_sits(c, to))))
        return error_set(err, ST_NOT_FOUND, "there is no such camera or group any more");
    if (from == to || (!w->group[0] && c->seats[from].trainee.count == 1))
        return ST_END;
    hurry(c, from);
    if (to >= 0)
        hurry(c, to);
    if (c->seats[from].busy || (to >= 0 && c->seats[to].busy))
        return ST_AGAIN;
    return carry_out(c, w, err);
}

static void report(struct control *c, const struct wish *w, const struct error *err)
{
    server_event(c->server, w->camera, "group_refused", json_pack("{s:s}", "group", w->group),
                 "the camera stays in its group: %s", err->message);
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
