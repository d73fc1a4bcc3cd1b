/* members.c - who is in which group.
 *
 * Written here only, so that its promises are kept here: groups share no camera, a camera's group
 * names it back, and no group is empty.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "group/internal.h"

/* Index of the first group whose id is not below. */
static int group_place_of(const struct grouper *g, uint64_t id)
{
    int low = 0, high = g->group_count;
    while (low < high) {
        int mid = (low + high) / 2;
        if (g->groups[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct group *group_find(const struct grouper *g, uint64_t id)
{
    int at = group_place_of(g, id);
    return at < g->group_count && g->groups[at]->id == id ? g->groups[at] : NULL;
}

int grouper_group_count(const struct grouper *g)
{
    return g->group_count;
}

static struct group_view view_of(const struct group *k)
{
    return (struct group_view){.id = k->id,
                               .member_count = k->count,
                               .members = k->members,
                               .accuracy = k->accuracy,
                               .gain = k->gain,
                               .formed_us = k->formed_us,
                               .windows = k->windows,
                               .resting = k->resting,
                               .conditions = &k->centre};
}

struct group_view grouper_group_at(const struct grouper *g, int i)
{
    assert(i >= 0 && i < g->group_count);
    return view_of(g->groups[i]);
}

bool grouper_group(const struct grouper *g, uint64_t id, struct group_view *ret)
{
    const struct group *k = group_find(g, id);
    if (k)
        *ret = view_of(k);
    return k;
}

void grouper_measured(struct grouper *g, uint64_t group, double accuracy, int frames)
{
    struct group *k = group_find(g, group);
    if (k && accuracy >= 0 && accuracy <= 1 && frames > 0) {
        k->accuracy = accuracy;
        k->frames = frames;
    }
}

/* Mean place and signature of the members that have one. */
void group_recentre(struct grouper *g, struct group *k)
{
    double place[3] = {0}, looks[SIGNATURE_VALUES] = {0}, usual[SIGNATURE_VALUES] = {0};
    int placed = 0, looking = 0, known = 0;
    for (int i = 0; i < k->count; i++) {
        const struct group_conditions *c = &g->cameras[k->members[i]].conditions;
        bool p = group_place_known(&c->place);
        for (int d = 0; d < 3 && p; d++)
            place[d] += c->place.m[d];
        for (int d = 0; d < SIGNATURE_VALUES && c->looks_known; d++)
            looks[d] += (double)c->signature.value[d];
        const struct signature *u = camera_looks(&g->cameras[k->members[i]]).usual;
        for (int d = 0; d < SIGNATURE_VALUES && u; d++)
            usual[d] += (double)u->value[d];
        known += u != NULL;
        placed += p;
        looking += c->looks_known;
    }
    k->centre.place = group_place_unknown();
    for (int d = 0; d < 3 && placed; d++)
        k->centre.place.m[d] = place[d] / placed;
    k->centre.looks_known = looking > 0;
    for (int d = 0; d < SIGNATURE_VALUES && looking; d++)
        k->centre.signature.value[d] = (float)(looks[d] / looking);
    k->usual_known = known == k->count && looking == k->count;
    for (int d = 0; d < SIGNATURE_VALUES && k->usual_known; d++)
        k->usual.value[d] = (float)(usual[d] / known);
}

bool group_make_room(struct group *k, int members)
{
    if (members <= k->capacity)
        return true;
    int *more = realloc(k->members, (size_t)members * sizeof *more);
    if (!more)
        return false;
    k->members = more;
    k->capacity = members;
    return true;
}

static void insert_member(struct group *k, int camera)
{
    int at = k->count;
    assert(k->count < k->capacity);
    for (; at > 0 && k->members[at - 1] > camera; at--)
        k->members[at] = k->members[at - 1];
    k->members[at] = camera;
    k->count++;
}

void group_free(struct group *k)
{
    free(k->members);
    free(k);
}

static void end_group(struct grouper *g, struct group *k)
{
    int at = group_place_of(g, k->id);
    g->group_count--;
    memmove(g->groups + at, g->groups + at + 1, (size_t)(g->group_count - at) * sizeof *g->groups);
    group_free(k);
}

/* Returns the group's id, 0: it was in none. */
static uint64_t exit_group(struct grouper *g, int camera, bool *ret_emptied)
{
    struct camera *c = &g->cameras[camera];
    uint64_t id = c->group;
    *ret_emptied = false;
    if (!id)
        return 0;
    struct group *k = group_find(g, id);
    int at = 0;
    while (k->members[at] != camera)
        at++;
    k->count--;
    memmove(k->members + at, k->members + at + 1, (size_t)(k->count - at) * sizeof *k->members);
    c->group = 0;
    c->behind = 0;
    c->offset = 0;
    c->offset_windows = 0;
    personal_forget(c);
    *ret_emptied = k->count == 0;
    if (*ret_emptied)
        end_group(g, k);
    else
        group_recentre(g, k);
    return id;
}

enum status group_enter(struct grouper *g, struct group *to, int camera, uint64_t *ret_left,
                        bool *ret_emptied, struct error *err)
{
    assert(g->cameras[camera].group != to->id);
    if (!group_make_room(to, to->count + 1))
        return error_set(err, ST_NOMEM, "no memory for a group of %d", to->count + 1);
    *ret_left = exit_group(g, camera, ret_emptied);
    insert_member(to, camera);
    g->cameras[camera].group = to->id;
    group_recentre(g, to);
    return ST_OK;
}

static bool room_for_group(struct grouper *g)
{
    if (g->group_count < g->group_capacity)
        return true;
    int capacity = g->group_capacity ? 2 * g->group_capacity : 16;
    struct group **more = realloc(g->groups, (size_t)capacity * sizeof *more);
    if (!more)
        return false;
    g->groups = more;
    g->group_capacity = capacity;
    return true;
}

enum status group_form(struct grouper *g, int camera, uint64_t now_us, struct group **ret,
                       uint64_t *ret_left, bool *ret_emptied, struct error *err)
{
    struct group *k = room_for_group(g) ? calloc(1, sizeof *k) : NULL;
    if (!k || !group_make_room(k, 1)) {
        free(k);
        return error_set(err, ST_NOMEM, "no memory for another group");
    }
    *ret_left = exit_group(g, camera, ret_emptied);
    k->id = g->next_id++;
    k->formed_us = now_us;
    k->accuracy = k->previous = k->gain = k->best = (double)NAN;
    k->centre.time_us = now_us;
    insert_member(k, camera);
    g->cameras[camera].group = k->id;
    group_recentre(g, k);
    g->groups[g->group_count++] = k;
    *ret = k;
    return ST_OK;
}

void grouper_remove(struct grouper *g, int camera, uint64_t *ret_emptied)
{
    bool emptied;
    assert(grouper_camera_id(g, camera));
    uint64_t left = exit_group(g, camera, &emptied);
    camera_forget(g, camera);
    *ret_emptied = emptied ? left : 0;
}
