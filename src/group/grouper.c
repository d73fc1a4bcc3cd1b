/* grouper.c - cameras and groups, and who is in which.
 *
 * Membership is written here only, so that its promises are kept here: groups share no camera, a
 * camera's group names it back, and no group is empty.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "base/rng.h"
#include "group/internal.h"

static const char *const policy_names[] = {
#define POLICY_TEXT(name, text) text,
    GROUP_POLICY_LIST(POLICY_TEXT)
#undef POLICY_TEXT
};

const char *group_policy_name(enum group_policy p)
{
    return names_text(policy_names, NAMES_COUNT(policy_names), p, "unknown");
}

enum group_policy group_policy_parse(const char *name)
{
    return (enum group_policy)names_find(policy_names, NAMES_COUNT(policy_names), name,
                                         GROUP_POLICY_COUNT);
}

void group_settings_init(struct group_settings *s)
{
    *s = (struct group_settings){.policy = GROUP_POLICY_ATTUNE,
                                 .near_time_us = (uint64_t)600 * 1000000,
                                 .near_place_m = 2000,
                                 .signature_unit = 2,
                                 .signature_max = 2,
                                 .members_max = 32,
                                 .candidates_max = 5,
                                 .zoo_tries = 2,
                                 .join_margin = 0.01,
                                 .drop = 0.05,
                                 .gap = 0.05,
                                 .target = 2,
                                 .gain = 0.003,
                                 .patience = 2,
                                 .frame_sd = 0.08,
                                 .camera_sd = 0.03,
                                 .confidence = 1.64,
                                 .merge_pairs_max = 16,
                                 .personal_gain = 0.02};
}

static enum status check_range(const char *name, double v, double min, double max,
                               struct error *err)
{
    if (v >= min && v <= max)
        return ST_OK;
    return error_set(err, ST_INVALID, "grouping: %s is %g, and must be %g to %g", name, v, min,
                     max);
}

enum status group_settings_check(const struct group_settings *s, struct error *err)
{
    const struct {
        const char *name;
        double value, min, max;
    } ranges[] = {{"policy", s->policy, 0, GROUP_POLICY_COUNT - 1},
                  {"near_time_us", (double)s->near_time_us, 0, 1e18},
                  {"near_place_m", s->near_place_m, 0, 1e9},
                  {"signature_unit", s->signature_unit, 1e-9, 1e9},
                  {"signature_max", s->signature_max, 0, 1e9},
                  {"members_max", s->members_max, 1, GROUP_MEMBERS_MAX},
                  {"candidates_max", s->candidates_max, 0, GROUP_CANDIDATES_MAX},
                  {"zoo_tries", s->zoo_tries, 0, GROUP_ZOO_TRIES_MAX},
                  {"join_margin", s->join_margin, -1, 1},
                  {"drop", s->drop, 0, 1},
                  {"gap", s->gap, 0, 1},
                  {"target", s->target, 0, 1e9},
                  {"gain", s->gain, -1, 1},
                  {"patience", s->patience, 1, 100},
                  {"rest_windows", s->rest_windows, 0, 1e6},
                  {"frame_sd", s->frame_sd, 0, 1},
                  {"camera_sd", s->camera_sd, 0, 1},
                  {"confidence", s->confidence, 0, 10},
                  {"merge_pairs_max", s->merge_pairs_max, 0, GROUP_MERGE_PAIRS_MAX},
                  {"personal_max", s->personal_max, 0, GROUP_PERSONAL_MAX},
                  {"personal_gain", s->personal_gain, 0, 1},
                  {"personal_mib_price", s->personal_mib_price, 0, 1},
                  {"personal_s_price", s->personal_s_price, 0, 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        enum status st =
            check_range(ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

enum status grouper_open(const struct group_settings *s, struct grouper **ret, struct error *err)
{
    enum status st = group_settings_check(s, err);
    if (st != ST_OK)
        return st;
    struct grouper *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(err, ST_NOMEM, "no memory for groups");
    g->settings = *s;
    g->next_id = 1;
    *ret = g;
    return ST_OK;
}

static void free_group(struct group *k)
{
    free(k->members);
    free(k);
}

void grouper_close(struct grouper **g)
{
    if (!*g)
        return;
    for (int i = 0; i < (*g)->group_count; i++)
        free_group((*g)->groups[i]);
    free((*g)->groups);
    free((*g)->cameras);
    free((*g)->index);
    free(*g);
    *g = NULL;
}

const struct group_settings *grouper_settings(const struct grouper *g)
{
    return &g->settings;
}

enum status grouper_set(struct grouper *g, const struct group_settings *s, struct error *err)
{
    enum status st = group_settings_check(s, err);
    if (st == ST_OK)
        g->settings = *s;
    return st;
}

/* ---- Cameras ---- */

static uint32_t hash_id(const char *id)
{
    uint64_t h = 0;
    for (; *id; id++)
        h = rng_hash(h, (unsigned char)*id, 0, 0);
    return (uint32_t)h;
}

/* Where id is in the index, or the free place where it belongs. */
static int index_place(const struct grouper *g, const char *id)
{
    int at = (int)(hash_id(id) & (uint32_t)(g->index_size - 1));
    while (g->index[at] && strcmp(g->cameras[g->index[at] - 1].id, id) != 0)
        at = (at + 1) & (g->index_size - 1);
    return at;
}

static void index_all(struct grouper *g)
{
    memset(g->index, 0, (size_t)g->index_size * sizeof *g->index);
    for (int i = 0; i < g->limit; i++)
        if (*g->cameras[i].id)
            g->index[index_place(g, g->cameras[i].id)] = i + 1;
}

int grouper_find(const struct grouper *g, const char *id)
{
    return g->index_size ? g->index[index_place(g, id)] - 1 : -1;
}

static enum status grow_cameras(struct grouper *g, struct error *err)
{
    int capacity = g->capacity ? 2 * g->capacity : 16;
    if (g->capacity >= GROUP_CAMERAS_MAX)
        return error_set(err, ST_LIMIT, "more than %d cameras to group", GROUP_CAMERAS_MAX);
    struct camera *cameras = realloc(g->cameras, (size_t)capacity * sizeof *cameras);
    if (cameras)
        g->cameras = cameras;
    int *index = cameras ? realloc(g->index, 2 * (size_t)capacity * sizeof *index) : NULL;
    if (!index)
        return error_set(err, ST_NOMEM, "no memory for %d cameras to group", capacity);
    g->index = index;
    g->index_size = 2 * capacity;
    g->capacity = capacity;
    index_all(g);
    return ST_OK;
}

static int free_number(const struct grouper *g)
{
    for (int i = 0; i < g->limit && g->unused; i++)
        if (!*g->cameras[i].id)
            return i;
    return g->limit;
}

bool camera_id_valid(const char *id)
{
    size_t n = strnlen(id, CAMERA_ID_CHARS_MAX + 1);
    return n > 0 && n <= CAMERA_ID_CHARS_MAX &&
           strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static void begin_camera(struct grouper *g, int number, const char *id)
{
    struct camera *c = &g->cameras[number];
    *c = (struct camera){.accuracy = (double)NAN, .previous = (double)NAN};
    memcpy(c->id, id, strlen(id));
    group_conditions_init(&c->conditions);
    if (*id)
        g->index[index_place(g, id)] = number + 1;
}

enum status camera_append(struct grouper *g, const char *id, struct error *err)
{
    enum status st = g->limit == g->capacity ? grow_cameras(g, err) : ST_OK;
    if (st != ST_OK)
        return st;
    begin_camera(g, g->limit, id);
    g->unused += !*id;
    g->limit++;
    return ST_OK;
}

enum status grouper_camera(struct grouper *g, const char *id, int *ret, struct error *err)
{
    if (!camera_id_valid(id))
        return error_set(err, ST_INVALID,
                         "a camera's id is 1 to %d of a-z, 0-9, _ and -, and not \"%.80s\"",
                         CAMERA_ID_CHARS_MAX, id);
    int found = grouper_find(g, id);
    if (found < 0) {
        found = free_number(g);
        enum status st = found == g->limit ? camera_append(g, id, err) : ST_OK;
        if (st != ST_OK)
            return st;
        if (!*g->cameras[found].id) {
            begin_camera(g, found, id);
            g->unused--;
        }
    }
    *ret = found;
    return ST_OK;
}

int grouper_camera_limit(const struct grouper *g)
{
    return g->limit;
}

static bool camera_used(const struct grouper *g, int camera)
{
    return camera >= 0 && camera < g->limit && *g->cameras[camera].id;
}

const char *grouper_camera_id(const struct grouper *g, int camera)
{
    return camera_used(g, camera) ? g->cameras[camera].id : NULL;
}

uint64_t grouper_group_of(const struct grouper *g, int camera)
{
    return camera_used(g, camera) ? g->cameras[camera].group : 0;
}

bool grouper_personal(const struct grouper *g, int camera)
{
    return camera_used(g, camera) && g->cameras[camera].personal;
}

void grouper_signature(struct grouper *g, int camera, const struct signature *s)
{
    assert(camera_used(g, camera));
    struct group_conditions *c = &g->cameras[camera].conditions;
    if (signature_is_valid(s)) {
        c->signature = *s;
        c->looks_known = true;
    }
}

/* ---- Groups ---- */

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
    double place[3] = {0}, looks[SIGNATURE_VALUES] = {0};
    int placed = 0, looking = 0;
    for (int i = 0; i < k->count; i++) {
        const struct group_conditions *c = &g->cameras[k->members[i]].conditions;
        bool p = group_place_known(&c->place);
        for (int d = 0; d < 3 && p; d++)
            place[d] += c->place.m[d];
        for (int d = 0; d < SIGNATURE_VALUES && c->looks_known; d++)
            looks[d] += (double)c->signature.value[d];
        placed += p;
        looking += c->looks_known;
    }
    k->centre.place = group_place_unknown();
    for (int d = 0; d < 3 && placed; d++)
        k->centre.place.m[d] = place[d] / placed;
    k->centre.looks_known = looking > 0;
    for (int d = 0; d < SIGNATURE_VALUES && looking; d++)
        k->centre.signature.value[d] = (float)(looks[d] / looking);
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

static void end_group(struct grouper *g, struct group *k)
{
    int at = group_place_of(g, k->id);
    g->group_count--;
    memmove(g->groups + at, g->groups + at + 1, (size_t)(g->group_count - at) * sizeof *g->groups);
    free_group(k);
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
    c->personal = false;
    c->personal_windows = 0;
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
    k->accuracy = k->previous = k->gain = (double)NAN;
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
    assert(camera_used(g, camera));
    uint64_t left = exit_group(g, camera, &emptied);
    g->cameras[camera].id[0] = 0;
    g->unused++;
    index_all(g);
    *ret_emptied = emptied ? left : 0;
}

size_t grouper_bytes(const struct grouper *g)
{
    size_t n = sizeof *g + (size_t)g->capacity * sizeof *g->cameras +
               (size_t)g->index_size * sizeof *g->index +
               (size_t)g->group_capacity * sizeof *g->groups;
    for (int i = 0; i < g->group_count; i++)
        n += sizeof **g->groups + (size_t)g->groups[i]->capacity * sizeof(int);
    return n;
}
