/* cameras.c - cameras by their ids and numbers. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "group/internal.h"

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

bool grouper_personal_tried(const struct grouper *g, int camera)
{
    return camera_used(g, camera) && g->cameras[camera].personal_tried;
}

void grouper_signature(struct grouper *g, int camera, const struct signature *s)
{
    assert(camera_used(g, camera));
    if (signature_is_valid(s))
        camera_look(&g->cameras[camera], s);
}

void camera_offset(struct camera *c, double v)
{
    c->offset = isfinite(v) ? fmin(OFFSET_MAX, fmax(-OFFSET_MAX, v)) : 0;
}

void camera_forget(struct grouper *g, int camera)
{
    g->cameras[camera].id[0] = 0;
    g->unused++;
    index_all(g);
}
