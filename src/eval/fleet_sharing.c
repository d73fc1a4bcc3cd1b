/* fleet_sharing.c - see fleet_sharing.h. */
#include "eval/fleet_sharing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/fleet_internal.h"

#define ASK_AGAIN_S 20
#define FALL 0.15       /* of the accuracy, that is a change */
#define FRAMES_FIRST 1  /* labelled frames with which a camera introduces itself */
#define FRAMES_TO_ASK 3 /* of the new world, with which it asks again */
#define PERSONAL_MAX 4  /* members with a delta of their own, or one on trial, at a time */
#define BETTER 0.02     /* that a past model must be for a group to begin anew with it */

/* ---- opening ---- */

enum status fleet_sharing_open(struct fleet *f, struct error *err)
{
    const struct contender *p = f->policy;
    struct group_settings set;
    if (p->grouping == GROUP_POLICY_NONE && !p->zoo)
        return ST_OK;
    f->sharing = calloc(1, sizeof *f->sharing);
    if (!f->sharing)
        return error_set(err, ST_NOMEM, "no memory for groups");
    for (int i = 0; i < f->s->camera_count; i++) {
        f->sharing->cameras[i].reference = NAN;
        f->cameras[i].watches = true;
    }
    group_settings_init(&set);
    set.policy = p->grouping;
    set.personal_max = p->personal ? PERSONAL_MAX : 0;
    group_settings_suit(&set, labeller_student_spec(f->shared.labeller)->task);
    enum status st = grouper_open(&set, &f->sharing->grouper, err);
    if (st == ST_OK)
        st = fleet_personal_init(&f->sharing->personals, nn_model_param_count(f->student), err);
    for (int i = 0, number; i < f->s->camera_count && st == ST_OK; i++) {
        st = grouper_camera(f->sharing->grouper, f->s->cameras[i].id, &number, err);
        if (st == ST_OK && number != i) /* numbers are indices from here on */
            st = error_set(err, ST_INTERNAL, "camera %d became number %d", i, number);
    }
    return st == ST_OK && p->zoo ? zoo_open(FLEET_ZOO_MAX, &f->sharing->zoo, err) : st;
}

static void past_clear(struct fleet_past *p)
{
    buf_clear(&p->snapshot);
    free(p->params);
    *p = (struct fleet_past){0};
}

void fleet_sharing_close(struct fleet_sharing **s)
{
    if (!s || !*s)
        return;
    fleet_personal_clear(&(*s)->personals);
    grouper_close(&(*s)->grouper);
    zoo_close(&(*s)->zoo);
    for (int i = 0; i < FLEET_ZOO_MAX; i++)
        past_clear(&(*s)->past[i]);
    free(*s);
    *s = NULL;
}

/* ---- the zoo ---- */

static struct fleet_past *past_of(struct fleet_sharing *s, uint64_t id)
{
    for (int i = 0; i < FLEET_ZOO_MAX; i++)
        if (s->past[i].id == id)
            return &s->past[i];
    return NULL;
}

static enum status past_fill(struct fleet *f, const struct learner *l, uint64_t id,
                             struct error *err)
{
    struct fleet_past *p = past_of(f->sharing, 0);
    size_t bytes = nn_model_param_count(f->student) * sizeof(float);
    if (!p)
        return error_set(err, ST_INTERNAL, "the zoo has more models than places");
    buf_init(&p->snapshot);
    p->params = malloc(bytes);
    if (!p->params)
        return error_set(err, ST_NOMEM, "no memory for a past model");
    memcpy(p->params, learner_params(l), bytes);
    p->id = id;
    return learner_snapshot(l, &p->snapshot, err);
}

/* Somebody begins with it. */
static void past_use(struct fleet *f, const struct fleet_past *p)
{
    zoo_use(f->sharing->zoo, p->id, (uint64_t)(f->now_s * 1e6));
    f->result.zoo_starts++;
}

/* The group's present model goes to the zoo, under the conditions that it served until now. */
static enum status keep_past(struct fleet *f, const struct fleet_group *g, struct error *err)
{
    struct fleet_sharing *s = f->sharing;
    struct zoo_entry e = {.conditions = g->conditions, .accuracy = g->accuracy_kept};
    struct zoo_entry gone;
    if (!s->zoo || learner_version(g->learner) == 0 || !isfinite(g->accuracy_kept))
        return ST_OK;
    uint64_t id;
    snprintf(e.model, sizeof e.model, "group-%llu-v%llu", (unsigned long long)g->id,
             (unsigned long long)learner_version(g->learner));
    enum status st = zoo_add(s->zoo, &e, (uint64_t)(f->now_s * 1e6), &id, &gone, err);
    if (st == ST_OK && gone.id && gone.id != id)
        past_clear(past_of(s, gone.id));
    return st == ST_OK && gone.id != id ? past_fill(f, g->learner, id, err) : st;
}

/* ---- models on trial ---- */

static struct fleet_group *group_of(const struct fleet *f, uint64_t shared)
{
    for (int i = 0; i < f->s->camera_count; i++)
        if (f->groups[i] && f->groups[i]->shared == shared)
            return f->groups[i];
    return NULL;
}

static enum status try_params(struct fleet *f, int camera, const float *params, float *by_frame,
                              struct group_score *ret, struct error *err)
{
    struct fleet_camera *c = &f->cameras[camera];
    int frames = 0;
    double accuracy;
    enum status st = fleet_camera_try(c, params, ++f->stamps, by_frame, &accuracy, &frames, err);
    f->result.used_s[FLEET_PROFILE] += frames * f->shared.infer_s;
    f->result.trials++;
    *ret = (struct group_score){.accuracy = accuracy, .frames = frames, .by_frame = by_frame};
    return st;
}

static const float *params_of(struct fleet *f, int camera, enum group_model kind, uint64_t id)
{
    const struct fleet_group *g = group_of(f, id);
    const struct fleet_past *p = id ? past_of(f->sharing, id) : NULL;
    if (kind == GROUP_MODEL_OWN)
        return learner_params(f->cameras[camera].group->learner);
    if (kind == GROUP_MODEL_GROUP)
        return g ? learner_params(g->learner) : NULL;
    return p ? p->params : NULL;
}

/* ---- what was decided ---- */

static enum status open_at(struct fleet *f, uint64_t shared, struct fleet_group **ret,
                           struct error *err)
{
    int place = 0;
    while (place < f->s->camera_count && f->groups[place])
        place++;
    if (place == f->s->camera_count)
        return error_set(err, ST_INTERNAL, "there are more groups than cameras");
    enum status st = fleet_group_open(&f->shared, ++f->group_ids, &f->groups[place], err);
    if (st == ST_OK)
        f->groups[place]->shared = shared;
    *ret = f->groups[place];
    return st;
}

/* The learner's version as a snapshot; nothing where that is the file's own values. */
static enum status snapshot_of(const struct learner *l, struct buf *ret, struct error *err)
{
    return learner_version(l) == 0 ? ST_OK : learner_snapshot(l, ret, err);
}

static enum status begin_from(struct fleet_group *to, const struct buf *snapshot, struct error *err)
{
    if (snapshot->size_bytes == 0)
        return ST_OK;
    return learner_install(to->learner, snapshot->data, snapshot->size_bytes, err);
}

/* The newest labelled frames of a camera are the first of its new group. */
static enum status seed(struct fleet_group *g, const struct fleet_camera *c, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < c->newest_count && st == ST_OK; i++) {
        int at = (c->newest_next - c->newest_count + i + FLEET_NEWEST_MAX) % FLEET_NEWEST_MAX;
        st = fleet_group_keep(g, c->index, &c->newest[at].frame, &c->newest[at].labels, err);
    }
    return st;
}

/* Closes a group that nobody is in. */
static enum status close_empty(struct fleet *f, struct fleet_group *g, struct error *err)
{
    if (g->member_count > 0)
        return ST_OK;
    enum status st = keep_past(f, g, err);
    for (int i = 0; i < f->s->camera_count; i++)
        if (f->groups[i] == g)
            fleet_group_close(&f->groups[i]);
    if (f->running == g)
        f->running = NULL;
    return st;
}

/* Another model takes the place of the group's, at all its members. */
static enum status install(struct fleet *f, struct fleet_group *g, const struct buf *snapshot,
                           struct error *err)
{
    if (g->training.open)
        learner_abandon(g->learner);
    g->training.open = false;
    enum status st = begin_from(g, snapshot, err);
    for (int i = 0; i < g->member_count && st == ST_OK; i++) {
        fleet_camera_replace(&f->cameras[g->members[i]], learner_params(g->learner));
        f->result.cameras[g->members[i]].deployed++;
    }
    return st;
}

static enum status enter(struct fleet *f, int camera, struct fleet_group *to, struct error *err)
{
    struct fleet_camera *c = &f->cameras[camera];
    fleet_personal_drop(f, camera);
    fleet_group_join(to, camera);
    c->group = to;
    fleet_camera_replace(c, learner_params(to->learner));
    f->result.downlink_bytes += fleet_snapshot_bytes(to);
    f->result.moves++;
    return seed(to, c, err);
}

static enum status leave(struct fleet *f, int camera, struct error *err)
{
    struct fleet_group *from = f->cameras[camera].group;
    fleet_group_leave(from, camera);
    return close_empty(f, from, err);
}

static enum status move(struct fleet *f, int camera, struct fleet_group *to, struct error *err)
{
    enum status st = leave(f, camera, err);
    return st == ST_OK ? enter(f, camera, to, err) : st;
}

/* The model that a new group begins with. */
static enum status start_of(struct fleet *f, int camera, const struct group_decision *d,
                            struct buf *ret, struct error *err)
{
    const struct fleet_past *past =
        d->start == GROUP_MODEL_ZOO ? past_of(f->sharing, d->start_id) : NULL;
    const struct fleet_group *g =
        d->start == GROUP_MODEL_GROUP ? group_of(f, d->start_id) : f->cameras[camera].group;
    if (!past)
        return g ? snapshot_of(g->learner, ret, err) : ST_OK;
    past_use(f, past);
    buf_put(ret, past->snapshot.data, past->snapshot.size_bytes);
    return ret->failed ? error_set(err, ST_NOMEM, "no memory for a past model") : ST_OK;
}

/* A new group of this camera alone. */
static enum status form(struct fleet *f, int camera, const struct group_decision *d,
                        struct error *err)
{
    struct fleet_group *g = NULL;
    struct buf start;
    buf_init(&start);
    enum status st = start_of(f, camera, d, &start, err);
    if (st == ST_OK)
        st = leave(f, camera, err);
    if (st == ST_OK)
        st = open_at(f, d->group, &g, err);
    if (st == ST_OK)
        st = begin_from(g, &start, err);
    buf_clear(&start);
    return st == ST_OK ? enter(f, camera, g, err) : st;
}

/* The same for a camera that was alone: its frames stay. */
static enum status begin_anew(struct fleet *f, struct fleet_group *g,
                              const struct group_decision *d, struct error *err)
{
    struct buf start;
    enum status st = ST_OK;
    g->shared = d->group;
    if (d->start == GROUP_MODEL_OWN)
        return ST_OK;
    buf_init(&start);
    st = start_of(f, g->members[0], d, &start, err);
    if (st == ST_OK)
        st = install(f, g, &start, err);
    buf_clear(&start);
    return st;
}

static enum status carry_out(struct fleet *f, int camera, const struct group_decision *d,
                             struct error *err)
{
    struct fleet_group *own = f->cameras[camera].group;
    if (d->formed && own->member_count == 1)
        return begin_anew(f, own, d, err);
    if (own->shared == d->group)
        return ST_OK;
    if (d->formed)
        return form(f, camera, d, err);
    struct fleet_group *g = group_of(f, d->group);
    return g ? move(f, camera, g, err)
             : error_set(err, ST_INTERNAL, "a camera joined a group that is not there");
}

/* ---- requests ---- */

static struct group_conditions conditions_of(const struct fleet *f, int camera)
{
    const struct fleet_camera *c = &f->cameras[camera];
    struct group_conditions k;
    group_conditions_init(&k);
    if (c->source->placed)
        k.place = group_place_of_map(c->source->x_m, c->source->y_m);
    k.time_us = (uint64_t)(f->now_s * 1e6);
    k.looks_known = fleet_camera_signature(c, &k.signature);
    return k;
}

/* A group of which every member asks has drifted as a whole: it may begin anew with a past model.
 */
static enum status restart(struct fleet *f, struct fleet_group *g, const struct group_request *r,
                           struct error *err)
{
    const struct group_trial *best = NULL;
    for (int i = 1; i < r->trial_count; i++)
        if (r->trials[i].kind == GROUP_MODEL_ZOO && isfinite(r->trials[i].score.accuracy) &&
            r->trials[i].score.accuracy > r->trials[0].score.accuracy + BETTER &&
            (!best || r->trials[i].score.accuracy > best->score.accuracy))
            best = &r->trials[i];
    struct fleet_past *past = best ? past_of(f->sharing, best->id) : NULL;
    if (!past || g->learner == NULL)
        return ST_OK;
    double now = 0, then = 0;
    enum status st = ST_OK;
    for (int i = 0; i < g->member_count && st == ST_OK; i++) {
        struct group_score a = group_score_none(), b = group_score_none();
        st = try_params(f, g->members[i], learner_params(g->learner), NULL, &a, err);
        if (st == ST_OK)
            st = try_params(f, g->members[i], past->params, NULL, &b, err);
        now += a.accuracy / g->member_count;
        then += b.accuracy / g->member_count;
    }
    if (st != ST_OK || !(then > now + BETTER))
        return st;
    past_use(f, past);
    return install(f, g, &past->snapshot, err);
}

static enum status decide(struct fleet *f, int camera, struct group_request *r, struct error *err)
{
    struct fleet_group *own = f->cameras[camera].group;
    struct group_decision d;
    double now = fleet_accuracy(f, own);
    if (own->shared && isfinite(now))
        grouper_measured(f->sharing->grouper, own->shared, now,
                         own->member_count * FLEET_NEWEST_MAX);
    enum status st = grouper_decide(f->sharing->grouper, r, &d, err);
    if (st != ST_OK)
        return st;
    st = carry_out(f, camera, &d, err);
    own = f->cameras[camera].group;
    if (st == ST_OK && f->sharing->zoo && !d.formed && d.start == GROUP_MODEL_OWN)
        st = restart(f, own, r, err);
    own->conditions = r->conditions;
    return st;
}

static enum status request(struct fleet *f, int camera, struct error *err)
{
    struct fleet_sharing *s = f->sharing;
    struct group_conditions k = conditions_of(f, camera);
    struct group_request r;
    float by_frame[GROUP_TRIALS_MAX][FLEET_NEWEST_MAX];
    enum status st = keep_past(f, f->cameras[camera].group, err);
    if (st == ST_OK)
        st = grouper_request(s->grouper, camera, &k, k.time_us, s->zoo, &r, err);
    for (int i = 0; st == ST_OK && i < r.trial_count; i++) {
        const float *params = params_of(f, camera, r.trials[i].kind, r.trials[i].id);
        if (params)
            st = try_params(f, camera, params, by_frame[i], &r.trials[i].score, err);
    }
    f->result.requests++;
    return st == ST_OK ? decide(f, camera, &r, err) : st;
}

/* A fall since the best accuracy. */
static bool has_fallen(struct fleet *f, int camera)
{
    struct fleet_asking *a = &f->sharing->cameras[camera];
    double now = fleet_camera_usual_accuracy(&f->cameras[camera]);
    if (!isfinite(now))
        return false;
    a->reference = isfinite(a->reference) ? fmax(a->reference, now) : now;
    return now < a->reference - FALL && f->now_s >= a->asked_s + ASK_AGAIN_S;
}

/* Whoever's world has changed asks as soon as there are labelled frames of the new one. */
static enum status watch_camera(struct fleet *f, int camera, struct error *err)
{
    struct fleet_asking *a = &f->sharing->cameras[camera];
    struct fleet_camera *c = &f->cameras[camera];
    if (!c->source->placed) /* nobody knows who is near */
        return ST_OK;
    bool fell = has_fallen(f, camera), asks = c->alarmed || fell;
    c->alarmed = false;
    if (!a->asks && a->asked && asks) {
        a->asks = true;
        a->from = c->labelled;
    }
    if ((a->asked && !a->asks) || c->labelled < a->from + (a->asked ? FRAMES_TO_ASK : FRAMES_FIRST))
        return ST_OK;
    a->asks = false;
    a->asked = true;
    a->asked_s = f->now_s;
    a->reference = NAN;
    return request(f, camera, err);
}

enum status fleet_sharing_watch(struct fleet *f, struct error *err)
{
    enum status st = f->sharing ? fleet_personal_watch(f, err) : ST_OK;
    for (int i = 0; f->sharing && i < f->s->camera_count && st == ST_OK; i++)
        st = watch_camera(f, i, err);
    return st;
}

/* ---- reviews ---- */

/* How a member does is known from its labelled frames; another group's model is tried on them. */
static enum status fill_review(struct fleet *f, struct group_review *r, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < r->trial_count && st == ST_OK; i++) {
        struct group_review_trial *t = &r->trials[i];
        const struct fleet_group *g = group_of(f, t->group);
        struct fleet_camera *c = &f->cameras[t->camera];
        if (t->kind == GROUP_REVIEW_MEMBER)
            t->score = (struct group_score){.accuracy = fleet_camera_usual_accuracy(c),
                                            .frames = FLEET_RECENT_MAX};
        else if (g && t->kind == GROUP_REVIEW_CROSS)
            st = try_params(f, t->camera, learner_params(g->learner), NULL, &t->score, err);
    }
    return st == ST_OK ? fleet_personal_fill(f, r, err) : st;
}

/* Where the camera is now, from the model of the group that it was in. */
static enum status follow(struct fleet *f, const struct group_action *a, struct error *err)
{
    const struct group_decision alone = {.group = a->group, .start = GROUP_MODEL_OWN};
    struct fleet_group *to = group_of(f, a->group);
    if (to == f->cameras[a->camera].group)
        return ST_OK;
    return to ? move(f, a->camera, to, err) : form(f, a->camera, &alone, err);
}

static enum status act(struct fleet *f, const struct group_action *a, struct error *err)
{
    struct fleet_group *g = group_of(f, a->group);
    enum status st = ST_OK;
    switch (a->kind) {
    case GROUP_ACTION_LEAVE:
        st = follow(f, a, err);
        return st == ST_OK ? request(f, a->camera, err) : st;
    case GROUP_ACTION_SPLIT:
    case GROUP_ACTION_MERGE:
        return follow(f, a, err);
    case GROUP_ACTION_REST:
    case GROUP_ACTION_WAKE:
        if (g)
            g->resting = a->kind == GROUP_ACTION_REST;
        return ST_OK;
    case GROUP_ACTION_PERSONAL_ON:
    case GROUP_ACTION_PERSONAL_OFF:
        return fleet_personal_turn(f, a->camera, a->kind == GROUP_ACTION_PERSONAL_ON, err);
    default:
        return ST_OK;
    }
}

static void note_conditions(struct fleet *f)
{
    for (int i = 0; i < f->s->camera_count; i++) {
        struct fleet_group *g = f->groups[i];
        struct group_view v;
        if (!g || !g->shared || !grouper_group(f->sharing->grouper, g->shared, &v))
            continue;
        g->conditions = *v.conditions;
        g->accuracy_kept = v.accuracy;
    }
}

enum status fleet_sharing_review(struct fleet *f, struct error *err)
{
    struct fleet_sharing *s = f->sharing;
    struct group_review r = {0};
    struct group_actions actions = {0};
    if (!s)
        return ST_OK;
    for (int i = 0; i < f->s->camera_count; i++) {
        struct signature looks;
        if (s->cameras[i].asked && fleet_camera_signature(&f->cameras[i], &looks))
            grouper_signature(s->grouper, i, &looks);
    }
    enum status st = grouper_review(s->grouper, (uint64_t)(f->now_s * 1e6), &r, err);
    if (st == ST_OK)
        st = fill_review(f, &r, err);
    if (st == ST_OK)
        st = grouper_conclude(s->grouper, &r, &actions, err);
    for (int i = 0; i < actions.count && st == ST_OK; i++)
        st = act(f, &actions.items[i], err);
    if (st == ST_OK)
        st = fleet_personal_reviewed(f, &r, err);
    note_conditions(f);
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++)
        if (f->groups[i]) /* what one group has learned may serve another soon */
            st = keep_past(f, f->groups[i], err);
    group_actions_clear(&actions);
    group_review_clear(&r);
    return st;
}
