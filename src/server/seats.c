/* seats.c - seats of groups: who sits where, and what is known of a group from its members' rows.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "server/control_internal.h"

bool control_sits(const struct control *c, int seat)
{
    return c->seats[seat].trainee.count > 0;
}

bool control_learns(const struct control *c, int seat)
{
    const struct trainee *t = &c->seats[seat].trainee;
    for (int i = 0; i < t->count; i++)
        if (!t->members[i].paused && !t->members[i].to_pause)
            return true;
    return false;
}

int control_seat_of(const struct control *c, const char *group)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->seats[i].trainee.id, group) == 0)
            return i;
    return -1;
}

int control_member_of(const struct trainee *t, const char *camera)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->members[i].camera, camera) == 0)
            return i;
    return -1;
}

int control_seat_with(const struct control *c, const char *camera)
{
    for (int i = 0; i < c->count; i++)
        if (control_member_of(&c->seats[i].trainee, camera) >= 0)
            return i;
    return -1;
}

bool control_paused(const struct control *c, const char *camera)
{
    int seat = control_seat_with(c, camera);
    if (seat < 0)
        return false;
    const struct trainee *t = &c->seats[seat].trainee;
    const struct trainee_member *m = &t->members[control_member_of(t, camera)];
    return m->paused || m->to_pause;
}

/* An empty one, or another. */
static int free_seat(const struct control *c)
{
    int seat = 0;
    while (seat < c->count && c->seats[seat].trainee.id[0])
        seat++;
    return seat < c->seats_max ? seat : -1;
}

static void leave(struct control *c, const char *camera)
{
    int seat = control_seat_with(c, camera);
    if (seat < 0)
        return;
    struct trainee *t = &c->seats[seat].trainee;
    int at = control_member_of(t, camera);
    memmove(t->members + at, t->members + at + 1, (size_t)(t->count - at - 1) * sizeof *t->members);
    t->count--;
    t->stale = true;
}

static void join(struct seat *s, const char *camera)
{
    struct trainee *t = &s->trainee;
    t->members[t->count] = (struct trainee_member){.added_seq = 0};
    snprintf(t->members[t->count].camera, sizeof t->members[t->count].camera, "%s", camera);
    t->count++;
    t->stale = true;
}

static void open_seat(struct control *c, int seat, const char *group, uint64_t number)
{
    struct seat *s = &c->seats[seat];
    *s = (struct seat){.executor = -1};
    snprintf(s->trainee.id, sizeof s->trainee.id, "%s", group);
    s->trainee.number = number;
    if (seat == c->count)
        c->count++;
}

enum status control_sit(struct control *c, const char *camera, const char *group, struct error *err)
{
    int known = control_seat_of(c, group), seat = known >= 0 ? known : free_seat(c);
    if (seat < 0 || (known >= 0 && c->seats[seat].trainee.count == STORE_MEMBERS_MAX))
        return error_set(err, ST_LIMIT, "there is no room for camera '%s' in group '%s'", camera,
                         group);
    struct store_group row = {.number = 0};
    if (known < 0)
        store_group_get(c->server->store, group, &row, NULL);
    pthread_mutex_lock(&c->lock);
    if (known < 0)
        open_seat(c, seat, group, row.number);
    leave(c, camera);
    join(&c->seats[seat], camera);
    c->revision++;
    pthread_mutex_unlock(&c->lock);
    if (known < 0)
        c->decider.ops->join(c->decider.self, seat);
    return ST_OK;
}

/* ---- what is known of a group ---- */

double control_camera_accuracy(const struct control *c, const char *camera)
{
    struct store_camera row;
    return store_camera_get(c->server->store, camera, &row, NULL) == ST_OK ? row.accuracy : NAN;
}

double control_accuracy(const struct control *c, int seat)
{
    const struct trainee *t = &c->seats[seat].trainee;
    double sum = 0;
    int scored = 0;
    for (int i = 0; i < t->count; i++) {
        double accuracy = control_camera_accuracy(c, t->members[i].camera);
        sum += isnan(accuracy) ? 0 : accuracy;
        scored += !isnan(accuracy);
    }
    return scored ? sum / scored : NAN;
}
