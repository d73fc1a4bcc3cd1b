/* fleet_group.c - see fleet_group.h. */
#include "eval/fleet_group.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "video/frame.h"

enum status fleet_labelled_set(struct fleet_labelled *to, int camera, const struct frame *frame,
                               const struct label_map *labels, struct error *err)
{
    enum status st = frame_copy(&to->frame, frame, err);
    if (st == ST_OK)
        st = label_map_resize(&to->labels, labels->width, labels->height, err);
    if (st != ST_OK)
        return st;
    memcpy(to->labels.classes, labels->classes, (size_t)labels->width * (size_t)labels->height);
    to->camera = camera;
    return ST_OK;
}

void fleet_labelled_clear(struct fleet_labelled *l)
{
    frame_clear(&l->frame);
    label_map_clear(&l->labels);
}

enum status fleet_group_open(const struct fleet_shared *shared, uint64_t id,
                             struct fleet_group **ret, struct error *err)
{
    struct fleet_group *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(err, ST_NOMEM, "no memory for a group");
    g->id = id;
    g->accuracy_kept = (double)NAN;
    group_conditions_init(&g->conditions);
    enum status st = learner_open(shared->student, &shared->learning,
                                  rng_hash(shared->options->seed, id - 1, 0, 0), &g->learner, err);
    if (st != ST_OK)
        fleet_group_close(&g);
    *ret = g;
    return st;
}

void fleet_group_close(struct fleet_group **g)
{
    if (!g || !*g)
        return;
    learner_close(&(*g)->learner);
    for (int i = 0; i < FLEET_PENDING_MAX; i++)
        fleet_labelled_clear(&(*g)->pending[i]);
    free(*g);
    *g = NULL;
}

bool fleet_group_has(const struct fleet_group *g, int camera)
{
    for (int i = 0; i < g->member_count; i++)
        if (g->members[i] == camera)
            return true;
    return false;
}

void fleet_group_join(struct fleet_group *g, int camera)
{
    g->members[g->member_count++] = camera;
}

void fleet_group_leave(struct fleet_group *g, int camera)
{
    int kept = 0;
    for (int i = 0; i < g->member_count; i++)
        if (g->members[i] != camera)
            g->members[kept++] = g->members[i];
    g->member_count = kept;
}

enum status fleet_group_keep(struct fleet_group *g, int camera, const struct frame *frame,
                             const struct label_map *labels, struct error *err)
{
    if (g->pending_count == FLEET_PENDING_MAX) {
        struct fleet_labelled first = g->pending[0];
        memmove(g->pending, g->pending + 1, (FLEET_PENDING_MAX - 1) * sizeof first);
        g->pending[--g->pending_count] = first;
    }
    enum status st = fleet_labelled_set(&g->pending[g->pending_count], camera, frame, labels, err);
    g->pending_count += st == ST_OK;
    return st;
}

/* The newest frame that the group has: its learner's horizon counts from it. */
static uint64_t newest_us(const struct fleet_group *g)
{
    uint64_t newest = buffer_newest_us(learner_buffer(g->learner), 0);
    for (int i = 0; i < g->pending_count; i++)
        newest = g->pending[i].frame.t_us > newest ? g->pending[i].frame.t_us : newest;
    return newest;
}

enum status fleet_group_give(const struct fleet_group *g, int camera, struct learner *l,
                             struct error *err)
{
    uint64_t horizon_us = learner_options_of(l)->horizon_us, now_us = newest_us(g);
    enum status st = ST_OK;
    for (int i = 0; i < g->pending_count && st == ST_OK; i++) {
        const struct fleet_labelled *p = &g->pending[i];
        bool old = horizon_us && now_us - p->frame.t_us > horizon_us; /* its camera sends rarely */
        if (!old && (camera < 0 || p->camera == camera))
            st = learner_add(l, &p->frame, &p->labels, NULL, p->camera, err);
    }
    return st;
}

enum status fleet_group_take_pending(struct fleet_group *g, struct error *err)
{
    enum status st = fleet_group_give(g, -1, g->learner, err);
    g->pending_count = 0;
    return st;
}
