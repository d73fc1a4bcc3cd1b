/* grouping_own.c - members' own small deltas in a running server. Whether one pays is the grouper's
 * to say (group/personal.c): what it asks for is trained by a worker on the member's newest frames,
 * tried at the reviews on those that came later, and published for the camera when it pays. The
 * shared model may have seen some of these frames by then, which speaks against the delta. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/board.h"
#include "server/grouping_internal.h"
#include "server/own.h"

static struct watched_own *own_of(const struct grouping *g, int camera)
{
    return &g->cameras[camera].own;
}

static const char *id_of(const struct grouping *g, int camera)
{
    return grouper_camera_id(g->grouper, camera);
}

/* The camera learns of it by its long poll. */
static void publish(struct grouping *g, int camera, uint64_t number)
{
    struct server *s = grouping_server(g);
    if (board_set_own(s->board, id_of(g, camera), number))
        bell_ring(&s->bell);
}

static void drop(struct grouping *g, int camera, bool trial)
{
    struct watched_own *own = own_of(g, camera);
    own_remove(grouping_server(g), own->group, id_of(g, camera), trial);
    if (trial)
        own->trial = false;
    else
        own->use = false;
}

static void promote(struct grouping *g, int camera)
{
    struct watched_own *own = own_of(g, camera);
    struct error err;
    uint64_t number;
    if (!own->trial)
        return;
    own->trial = false;
    if (own_promote(grouping_server(g), own->group, id_of(g, camera), &number, &err) != ST_OK) {
        log_write(LOG_ERROR, "own delta", "camera=%s why=\"%s\"", id_of(g, camera), err.message);
        return;
    }
    own->use = true;
    own->use_seq = own->trial_seq;
    publish(g, camera, number);
}

/* ---- training ---- */

static bool is_asked_for(const struct grouping *g, int camera)
{
    return grouper_personal(g->grouper, camera) || grouper_personal_tried(g->grouper, camera);
}

bool grouping_own_next(struct grouping *g)
{
    for (int i = 0; i < grouper_camera_limit(g->grouper) && grouping_is_ours(g, i); i++) {
        struct watched_own *own = own_of(g, i);
        struct store_camera c;
        int seat = grouping_seat(g, grouper_group_of(g->grouper, i));
        if (!own->wanted || !grouping_may(g, i))
            continue;
        own->wanted = false;
        g->trial = (struct trial){.frames_max = TRIAL_FRAMES_MAX};
        if (seat < 0 || !is_asked_for(g, i) ||
            store_camera_get(grouping_server(g)->store, id_of(g, i), &c, NULL) != ST_OK ||
            strcmp(c.group, g->control->seats[seat].trainee.id) != 0 || /* it is to move */
            !grouping_take_recent_chunks(g, id_of(g, i)))
            continue;
        g->now = (struct question){.kind = ASKING_OWN, .camera = i};
        grouping_add_group_model(g, c.group, 0);
        snprintf(own->group, sizeof own->group, "%s", c.group);
        own_path(grouping_server(g), c.group, id_of(g, i), true, g->trial.own.path);
        return true;
    }
    return false;
}

void grouping_own_trained(struct grouping *g, const struct executor_report *report)
{
    struct watched_own *own = own_of(g, g->now.camera);
    const struct trial *t = &g->trial;
    if (!t->own.trained) {
        log_write(LOG_INFO, "own delta not trained", "camera=%s why=\"%s\"",
                  id_of(g, g->now.camera), t->own.reason);
        return;
    }
    own->trial = true;
    own->trial_seq = t->seq[0];
    own->size_mib = (double)t->own.bytes / 1048576;
    own->compute_s = (double)report->result.compute_us / 1e6;
    if (grouper_personal(g->grouper, g->now.camera) && !own->use)
        promote(g, g->now.camera); /* the file of the one in use was lost */
}

/* ---- reviews ---- */

bool grouping_own_frames(struct grouping *g, int camera)
{
    const struct watched_own *own = own_of(g, camera);
    uint64_t use = own->use ? own->use_seq : 0, trial = own->trial ? own->trial_seq : 0;
    return (own->use || own->trial) &&
           grouping_take_chunks(g, id_of(g, camera), use > trial ? use : trial);
}

static int add(struct grouping *g, int camera, bool trial, int of)
{
    struct trial *t = &g->trial;
    int at = t->model_count;
    grouping_add_group_model(g, own_of(g, camera)->group, of);
    if (t->model_count == at)
        return -1;
    own_path(grouping_server(g), own_of(g, camera)->group, id_of(g, camera), trial,
             t->models[at].own);
    return at;
}

void grouping_own_models(struct grouping *g, int of)
{
    struct question *q = &g->now;
    const struct watched_own *own = own_of(g, q->camera);
    if (g->trial.model_count + 2 > TRIAL_MODELS_MAX)
        return;
    q->own_use = own->use ? add(g, q->camera, false, of) : -1;
    q->own_trial = own->trial ? add(g, q->camera, true, of) : -1;
    q->review.trials[of].size_mib = own->size_mib;
    q->review.trials[of].compute_s = own->compute_s;
}

bool grouping_own_counts(struct grouping *g, int model)
{
    const struct question *q = &g->now;
    if (model != q->own_trial || q->own_use < 0)
        return true;
    const struct trial_model *use = &g->trial.models[q->own_use], *trial = &g->trial.models[model];
    double better = grouper_settings(g->grouper)->personal_gain / 2;
    bool renews = trial->frames && (!use->frames || trial->mean > use->mean + better);
    if (renews)
        promote(g, q->camera);
    else
        drop(g, q->camera, true);
    return renews;
}

void grouping_own_reviewed(struct grouping *g, const struct group_actions *actions)
{
    const struct group_review *r = &g->now.review;
    for (int i = 0; i < actions->count; i++)
        if (actions->items[i].kind == GROUP_ACTION_PERSONAL_ON)
            promote(g, actions->items[i].camera);
    for (int i = 0; i < r->trial_count; i++) {
        const struct group_review_trial *t = &r->trials[i];
        if (t->kind == GROUP_REVIEW_PERSONAL && t->train && grouping_is_ours(g, t->camera))
            own_of(g, t->camera)->wanted = is_asked_for(g, t->camera);
    }
}

/* ---- looking after ---- */

/* After a restart; frames from now on are those that it was not trained on. */
static void find_again(struct grouping *g, int camera)
{
    struct watched_own *own = own_of(g, camera);
    struct store_camera c;
    struct buf bytes;
    uint64_t number;
    own->looked_for = true;
    buf_init(&bytes);
    if (store_camera_get(grouping_server(g)->store, id_of(g, camera), &c, NULL) == ST_OK &&
        own_read(grouping_server(g), c.group, id_of(g, camera), 0, &bytes, &number, NULL) ==
            ST_OK) {
        own->use = true;
        own->use_seq = c.seq_last;
        own->size_mib = (double)bytes.size_bytes / 1048576;
        snprintf(own->group, sizeof own->group, "%s", c.group);
        publish(g, camera, number);
    }
    buf_clear(&bytes);
}

void grouping_own_tend(struct grouping *g, int camera)
{
    struct watched_own *own = own_of(g, camera);
    bool personal = grouper_personal(g->grouper, camera);
    if (personal && !own->use && !own->looked_for)
        find_again(g, camera);
    if (!personal && own->use) {
        drop(g, camera, false);
        publish(g, camera, 0);
    }
    if (!personal && own->trial && !grouper_personal_tried(g->grouper, camera))
        drop(g, camera, true);
}
