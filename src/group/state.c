/* state.c - the grouper as bytes, and back.
 *
 * What is read is checked for all that the rest relies on: groups that share no camera, cameras and
 * groups that name each other, numbers in their ranges.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "group/internal.h"

#define MAGIC "ATGR"
#define FORMAT_VERSION 1
#define COUNT_MAX 1000000000
#define CAMERA_PERSONAL 1
#define CAMERA_MOVED 2

/* ---- Writing ---- */

static void put_why(struct buf *b, const struct group_why *w)
{
    buf_put_u8(b, (uint8_t)w->code);
    buf_put_u64(b, w->at_us);
    buf_put_u64(b, w->group);
    buf_put_u64(b, w->other);
    buf_put_u32(b, (uint32_t)w->tried);
    buf_put_u32(b, (uint32_t)w->windows);
    buf_put_f64(b, w->accuracy);
    buf_put_f64(b, w->reference);
    buf_put_f64(b, w->margin);
    buf_put_f64(b, w->signature);
    buf_put_f64(b, w->place_m);
}

static void put_camera(struct buf *b, const struct camera *c)
{
    size_t n = strlen(c->id);
    buf_put_u8(b, (uint8_t)n);
    buf_put(b, c->id, n);
    if (!n)
        return;
    buf_put_u8(b, (uint8_t)((c->personal ? CAMERA_PERSONAL : 0) | (c->moved ? CAMERA_MOVED : 0)));
    group_conditions_put(b, &c->conditions);
    buf_put_u32(b, (uint32_t)c->looks);
    for (int v = 0; v < SIGNATURE_VALUES && c->looks; v++)
        buf_put_f32(b, c->usual.value[v]);
    buf_put_f64(b, c->accuracy);
    buf_put_f64(b, c->previous);
    buf_put_f64(b, c->offset);
    buf_put_u32(b, (uint32_t)c->frames);
    buf_put_u32(b, (uint32_t)c->behind);
    buf_put_u32(b, (uint32_t)c->offset_windows);
    buf_put_u32(b, (uint32_t)c->personal_windows);
    buf_put_u32(b, (uint32_t)c->moves);
    buf_put_u32(b, (uint32_t)c->peace);
    buf_put_u64(b, c->apart);
    buf_put_u32(b, (uint32_t)c->apart_windows);
    put_why(b, &c->why);
}

static void put_group(struct buf *b, const struct group *k)
{
    buf_put_u64(b, k->id);
    buf_put_u64(b, k->formed_us);
    buf_put_u64(b, k->centre.time_us);
    buf_put_f64(b, k->accuracy);
    buf_put_f64(b, k->previous);
    buf_put_f64(b, k->gain);
    buf_put_f64(b, k->rested);
    buf_put_f64(b, k->best);
    buf_put_u32(b, (uint32_t)k->below);
    buf_put_u32(b, (uint32_t)k->probes);
    buf_put_u32(b, (uint32_t)k->quiet);
    buf_put_u32(b, (uint32_t)k->frames);
    buf_put_u32(b, (uint32_t)k->windows);
    buf_put_u32(b, (uint32_t)k->flat);
    buf_put_u8(b, k->resting);
    buf_put_u16(b, (uint16_t)k->count);
    for (int i = 0; i < k->count; i++)
        buf_put_u16(b, (uint16_t)k->members[i]);
}

static void put_pairs(struct buf *b, const struct grouper *g)
{
    buf_put_u16(b, (uint16_t)g->pair_count);
    for (int i = 0; i < g->pair_count; i++) {
        buf_put_u64(b, g->pairs[i].a);
        buf_put_u64(b, g->pairs[i].b);
        buf_put_u32(b, (uint32_t)g->pairs[i].agreed);
        buf_put_u32(b, g->pairs[i].window);
    }
}

enum status grouper_save(const struct grouper *g, struct buf *out, struct error *err)
{
    size_t start = out->size_bytes;
    buf_put(out, MAGIC, 4);
    buf_put_u16(out, FORMAT_VERSION);
    buf_put_u16(out, (uint16_t)g->limit);
    buf_put_u16(out, (uint16_t)g->group_count);
    buf_put_u64(out, g->next_id);
    buf_put_u32(out, g->window);
    buf_put_u64(out, g->merge_from);
    buf_put_u16(out, (uint16_t)g->personal_from);
    for (int i = 0; i < g->limit; i++)
        put_camera(out, &g->cameras[i]);
    for (int i = 0; i < g->group_count; i++)
        put_group(out, g->groups[i]);
    put_pairs(out, g);
    if (!out->failed)
        buf_put_u32(out, file_crc32(out->data + start, out->size_bytes - start));
    return out->failed ? error_set(err, ST_NOMEM, "no memory for the groups as bytes") : ST_OK;
}

/* ---- Reading: nonsense sets the cursor's failed ---- */

static double get_accuracy(struct cursor *c)
{
    double v = cursor_f64(c);
    c->failed |= !isnan(v) && !(v >= 0 && v <= 1);
    return v;
}

static double get_finite(struct cursor *c, bool or_nan)
{
    double v = cursor_f64(c);
    c->failed |= isnan(v) ? !or_nan : !(fabs(v) <= 1e9);
    return v;
}

static int get_count(struct cursor *c, int max)
{
    uint32_t v = cursor_u32(c);
    c->failed |= v > (uint32_t)max;
    return c->failed ? 0 : (int)v;
}

static void get_why(struct cursor *c, struct group_why *ret)
{
    uint8_t code = cursor_u8(c);
    c->failed |= code >= GROUP_WHY_COUNT;
    ret->code = c->failed ? GROUP_WHY_NEW : (enum group_why_code)code;
    ret->at_us = cursor_u64(c);
    ret->group = cursor_u64(c);
    ret->other = cursor_u64(c);
    ret->tried = get_count(c, COUNT_MAX);
    ret->windows = get_count(c, COUNT_MAX);
    ret->accuracy = get_accuracy(c);
    ret->reference = get_accuracy(c);
    ret->margin = get_finite(c, true);
    ret->signature = get_finite(c, true);
    ret->place_m = get_finite(c, true);
}

static void get_camera_state(struct cursor *c, struct camera *m)
{
    uint8_t flags = cursor_u8(c);
    c->failed |= flags & ~(CAMERA_PERSONAL | CAMERA_MOVED);
    m->personal = flags & CAMERA_PERSONAL;
    m->moved = flags & CAMERA_MOVED;
    group_conditions_get(c, &m->conditions);
    m->looks = get_count(c, COUNT_MAX);
    for (int v = 0; v < SIGNATURE_VALUES && m->looks; v++)
        m->usual.value[v] = cursor_f32(c);
    c->failed |= !signature_is_valid(&m->usual);
    m->accuracy = get_accuracy(c);
    m->previous = get_accuracy(c);
    m->offset = get_finite(c, false);
    m->frames = get_count(c, COUNT_MAX);
    m->behind = get_count(c, COUNT_MAX);
    m->offset_windows = get_count(c, OFFSET_WINDOWS);
    m->personal_windows = get_count(c, COUNT_MAX);
    m->moves = get_count(c, MOVES_MAX);
    m->peace = get_count(c, COUNT_MAX);
    m->apart = cursor_u64(c);
    m->apart_windows = get_count(c, COUNT_MAX);
    get_why(c, &m->why);
}

/* Number i; a number that is not in use is one, too. */
static enum status get_camera(struct cursor *c, struct grouper *g, int i, struct error *err)
{
    char id[CAMERA_ID_CHARS_MAX + 1] = "";
    uint8_t n = cursor_u8(c);
    const uint8_t *text = n <= CAMERA_ID_CHARS_MAX ? cursor_take(c, n) : NULL;
    if (!text)
        return error_set(err, ST_FORMAT, "the groups end in a camera's id");
    memcpy(id, text, n);
    if (n && (!camera_id_valid(id) || strlen(id) != n || grouper_find(g, id) >= 0))
        return error_set(err, ST_FORMAT, "the groups have a camera twice, or one without an id");
    enum status st = camera_append(g, id, err);
    if (st != ST_OK || !n)
        return st;
    get_camera_state(c, &g->cameras[i]);
    return c->failed ? error_set(err, ST_FORMAT, "the state of camera %s makes no sense", id)
                     : ST_OK;
}

static void get_group_state(struct cursor *c, struct group *k)
{
    k->centre.time_us = cursor_u64(c);
    k->accuracy = get_accuracy(c);
    k->previous = get_accuracy(c);
    k->gain = get_finite(c, true);
    k->rested = get_accuracy(c);
    k->best = get_accuracy(c);
    k->below = get_count(c, COUNT_MAX);
    k->probes = get_count(c, MOVES_MAX);
    k->quiet = get_count(c, COUNT_MAX);
    k->frames = get_count(c, COUNT_MAX);
    k->windows = get_count(c, COUNT_MAX);
    k->flat = get_count(c, COUNT_MAX);
    uint8_t resting = cursor_u8(c);
    c->failed |= resting > 1;
    k->resting = resting == 1;
}

static bool member_is_free(const struct grouper *g, int camera, int before)
{
    return grouper_camera_id(g, camera) && !g->cameras[camera].group && camera > before;
}

/* Through the same doors as ever: its first member forms it, the others enter. */
static enum status get_members(struct cursor *c, struct grouper *g, struct group *stored,
                               struct error *err)
{
    int count = cursor_u16(c), before = -1;
    struct group *k = NULL;
    uint64_t left;
    bool emptied;
    enum status st = count >= 1 && count <= GROUP_MEMBERS_MAX
                         ? ST_OK
                         : error_set(err, ST_FORMAT, "a group has %d members", count);
    for (int i = 0; i < count && st == ST_OK; i++) {
        int camera = cursor_u16(c);
        if (c->failed || !member_is_free(g, camera, before))
            return error_set(err, ST_FORMAT, "a group's member is none, or another's, too");
        st = k ? group_enter(g, k, camera, &left, &emptied, err)
               : group_form(g, camera, stored->formed_us, &k, &left, &emptied, err);
        before = camera;
    }
    if (st != ST_OK)
        return st;
    stored->members = k->members;
    stored->count = k->count;
    stored->capacity = k->capacity;
    uint64_t time_us = stored->centre.time_us;
    stored->centre = k->centre;
    stored->centre.time_us = time_us;
    stored->usual = k->usual;
    stored->usual_known = k->usual_known;
    *k = *stored;
    return ST_OK;
}

static enum status get_group(struct cursor *c, struct grouper *g, uint64_t last, uint64_t next,
                             struct error *err)
{
    struct group k = {.id = cursor_u64(c)};
    k.formed_us = cursor_u64(c);
    get_group_state(c, &k);
    if (c->failed || k.id <= last || k.id >= next)
        return error_set(err, ST_FORMAT, "a group's state makes no sense");
    g->next_id = k.id;
    return get_members(c, g, &k, err);
}

static void get_pair(struct cursor *c, struct pair *p)
{
    p->a = cursor_u64(c);
    p->b = cursor_u64(c);
    p->agreed = get_count(c, COUNT_MAX);
    p->window = cursor_u32(c);
    c->failed |= p->a >= p->b || !p->agreed;
}

static enum status get_all(struct cursor *c, struct grouper *g, struct error *err)
{
    int limit = cursor_u16(c), groups = cursor_u16(c);
    uint64_t next = cursor_u64(c), last = 0;
    g->window = cursor_u32(c);
    g->merge_from = cursor_u64(c);
    int personal_from = cursor_u16(c);
    enum status st = ST_OK;
    if (c->failed || limit > GROUP_CAMERAS_MAX || groups > limit || !next)
        return error_set(err, ST_FORMAT, "the groups' sizes make no sense");
    for (int i = 0; i < limit && st == ST_OK; i++)
        st = get_camera(c, g, i, err);
    for (int i = 0; i < groups && st == ST_OK; i++) {
        st = get_group(c, g, last, next, err);
        last = g->next_id - 1;
    }
    int pairs = cursor_u16(c);
    c->failed |= pairs > PAIRS_MAX;
    for (int i = 0; i < pairs && !c->failed; i++)
        get_pair(c, &g->pairs[g->pair_count++]);
    g->next_id = next;
    g->personal_from = personal_from;
    if (st == ST_OK && (c->failed || c->left_bytes))
        st = error_set(err, ST_FORMAT, "the groups end too soon or too late");
    return st;
}

enum status grouper_load(const struct group_settings *s, const void *data, size_t n,
                         struct grouper **ret, struct error *err)
{
    struct cursor c, end;
    size_t body = n < 4 ? 0 : n - 4;
    cursor_init(&c, data, body);
    const uint8_t *magic = cursor_take(&c, 4);
    if (!magic || memcmp(magic, MAGIC, 4) != 0)
        return error_set(err, ST_FORMAT, "these are no groups of attune");
    if (cursor_u16(&c) != FORMAT_VERSION)
        return error_set(err, ST_FORMAT, "the groups are of another version of attune");
    cursor_init(&end, (const uint8_t *)data + body, 4);
    if (cursor_u32(&end) != file_crc32(data, body))
        return error_set(err, ST_FORMAT, "the groups are damaged: their checksum is another");
    struct grouper *g;
    enum status st = grouper_open(s, &g, err);
    if (st != ST_OK)
        return st;
    st = get_all(&c, g, err);
    if (st == ST_OK)
        *ret = g;
    else
        grouper_close(&g);
    return st;
}
