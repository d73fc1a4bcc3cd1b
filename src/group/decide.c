/* decide.c - a request: what to try, and where the camera belongs.
 *
 * ecco is our reading (ECCO's text is not public beyond its abstract): the best candidate by
 * accuracy on the frames, if it is better than what the camera has.
 *
 * attune asks another question: is the group's model as good here as on its own members? A model
 * that is merely better than an outdated one may be of other conditions still. What it does for the
 * group's members is known; what it lacks of that here is the shortfall, and who is served like a
 * member is one. A group that has not trained yet since it was formed serves everybody equally
 * badly; there only one that is alike in place, time and looks is joined, and the reviews prove it
 * or not.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "group/internal.h"

#define ALIKE_UNITS 1.0  /* of signatures over... */
#define ALIKE_FRAMES 3.0 /* ...so many frames; half of the square of it is chance's */

/* What a policy makes of a request. */
struct verdict {
    uint64_t group; /* to be in; 0: alone */
    enum group_model start;
    uint64_t start_id;
    struct group_why why;
};

/* ---- Phase 1 ---- */

static void add_trial(struct group_request *r, enum group_model kind, uint64_t id, double place_m,
                      double signature)
{
    r->trials[r->trial_count++] = (struct group_trial){.kind = kind,
                                                       .id = id,
                                                       .place_m = place_m,
                                                       .signature = signature,
                                                       .score = group_score_none()};
}

static void add_groups(const struct grouper *g, struct group_request *r)
{
    const struct camera *c = &g->cameras[r->camera];
    struct near near[GROUP_CANDIDATES_MAX];
    int n = near_groups(g, &r->conditions.place, camera_looks(c), r->now_us, c->group, c->apart, 1,
                        g->settings.candidates_max, near);
    for (int i = 0; i < n; i++)
        add_trial(r, GROUP_MODEL_GROUP, near[i].group->id, near[i].place_m, near[i].signature);
}

static void add_zoo(const struct grouper *g, const struct zoo *zoo, struct group_request *r)
{
    const struct zoo_units units = {g->settings.signature_unit, g->settings.near_place_m};
    uint64_t ids[GROUP_ZOO_TRIES_MAX];
    int n = zoo ? zoo_select(zoo, &r->conditions, &units, g->settings.zoo_tries, ids) : 0;
    for (int i = 0; i < n; i++) {
        const struct zoo_entry *e = zoo_find(zoo, ids[i]);
        add_trial(r, GROUP_MODEL_ZOO, ids[i],
                  group_place_distance_m(&r->conditions.place, &e->conditions.place),
                  group_signature_distance(&r->conditions, &e->conditions) /
                      g->settings.signature_unit);
    }
}

enum status grouper_request(struct grouper *g, int camera, const struct group_conditions *c,
                            uint64_t now_us, const struct zoo *zoo, struct group_request *ret,
                            struct error *err)
{
    if (!grouper_camera_id(g, camera))
        return error_set(err, ST_NOT_FOUND, "there is no camera number %d to group", camera);
    if (!group_conditions_valid(c))
        return error_set(err, ST_INVALID, "%s asks with conditions that are no numbers",
                         g->cameras[camera].id);
    struct group_request r = {.camera = camera, .now_us = now_us, .conditions = *c};
    g->cameras[camera].conditions = *c;
    if (c->looks_known)
        camera_look(&g->cameras[camera], &c->signature);
    if (!g->cameras[camera].moved) { /* the world has changed: what was apart may belong together */
        g->cameras[camera].apart = 0;
        g->cameras[camera].apart_windows = 0;
    }
    add_trial(&r, GROUP_MODEL_OWN, 0, 0, 0);
    if (g->settings.policy != GROUP_POLICY_NONE)
        add_groups(g, &r);
    add_zoo(g, zoo, &r);
    *ret = r;
    return ST_OK;
}

/* ---- Phase 2 ---- */

static int tried(const struct group_request *r)
{
    int n = 0;
    for (int i = 0; i < r->trial_count; i++)
        n += score_known(&r->trials[i].score);
    return n;
}

/* The group that a trial is of, if it can still be joined and was evaluated. */
static struct group *candidate(const struct grouper *g, const struct group_request *r,
                               const struct group_trial *t)
{
    struct group *k =
        t->kind == GROUP_MODEL_GROUP && score_known(&t->score) ? group_find(g, t->id) : NULL;
    return k && k->id != g->cameras[r->camera].group && k->count < g->settings.members_max ? k
                                                                                           : NULL;
}

static void why_trial(struct group_why *w, const struct group_trial *t)
{
    w->accuracy = t->score.accuracy;
    w->signature = t->signature;
    w->place_m = t->place_m;
}

/* Alone, beginning with the best of `kinds` (a mask) by accuracy on the frames; the camera's own
 * unless another is better by more than the margin and chance. */
static void begin_with_best(const struct grouper *g, const struct group_request *r, unsigned kinds,
                            struct verdict *v)
{
    const struct group_trial *own = &r->trials[0], *best = own;
    for (int i = 1; i < r->trial_count; i++) {
        const struct group_trial *t = &r->trials[i];
        if (!(kinds & 1u << t->kind) || !score_known(&t->score))
            continue;
        struct evidence e = score_difference(&g->settings, &t->score, &own->score);
        double ask =
            fmax(g->settings.join_margin, g->settings.policy == GROUP_POLICY_ATTUNE ? e.error : 0);
        if ((!score_known(&own->score) || e.difference > ask) &&
            (!score_known(&best->score) || t->score.accuracy > best->score.accuracy))
            best = t;
    }
    v->group = 0;
    v->start = best->kind;
    v->start_id = best->id;
    v->why.accuracy = best->score.accuracy;
}

static void decide_none(const struct grouper *g, const struct group_request *r, struct verdict *v)
{
    begin_with_best(g, r, 1u << GROUP_MODEL_ZOO, v);
    v->why.code = GROUP_WHY_POLICY;
}

static void decide_ecco(const struct grouper *g, const struct group_request *r, struct verdict *v)
{
    const struct group_settings *s = &g->settings;
    const struct group_trial *own = &r->trials[0], *best = NULL;
    int groups = 0;
    for (int i = 1; i < r->trial_count; i++) {
        const struct group_trial *t = &r->trials[i];
        if (!candidate(g, r, t))
            continue;
        groups++;
        if (!best || t->score.accuracy > best->score.accuracy)
            best = t;
    }
    double base = score_known(&own->score) ? own->score.accuracy : 0;
    if (best && best->score.accuracy >= base + s->join_margin) {
        v->group = best->id;
        v->why.code = GROUP_WHY_BETTER;
        why_trial(&v->why, best);
    } else {
        begin_with_best(g, r, 1u << GROUP_MODEL_ZOO, v);
        v->why.code = groups ? GROUP_WHY_ALONE : GROUP_WHY_NEW;
    }
    v->why.reference = base;
    v->why.margin = s->join_margin;
}

/* Signatures of fewer frames differ more by chance. */
static double alike_units(const struct group_score *own)
{
    double frames = own->frames > 0 ? fmin(own->frames, ALIKE_FRAMES) : ALIKE_FRAMES;
    return ALIKE_UNITS * sqrt((1 + ALIKE_FRAMES / frames) / 2);
}

/* Whether k's model does for the camera what it does for its members; *ret_cost ranks those that
 * do. */
static bool serves(const struct grouper *g, const struct group_request *r,
                   const struct group_trial *t, const struct group *k, double *ret_cost,
                   double *ret_allowed)
{
    const struct group_settings *s = &g->settings;
    const struct camera *c = &g->cameras[r->camera];
    struct evidence short_of = shortfall(s, t->score.accuracy, t->score.frames, c->offset,
                                         k->accuracy, k->frames, k->count);
    struct evidence gain = score_difference(s, &t->score, &r->trials[0].score);
    bool known = isfinite(k->accuracy), looks = isfinite(t->signature); /* NaN is never alike */
    *ret_allowed = shortfall_allowed(s, &short_of);
    /* One that does much better here than at home is of other conditions, too. */
    *ret_cost = (known ? pow(short_of.difference / short_of.error, 2) : 1) +
                (looks ? t->signature * t->signature : 1);
    if (isfinite(gain.difference) && gain.difference < -s->confidence * gain.error)
        return false; /* worse than what it has */
    if (known && short_of.difference > *ret_allowed)
        return false;
    if (k->windows > 0)
        return true;
    return (!known || -short_of.difference <= *ret_allowed) &&
           t->signature <= alike_units(&r->trials[0].score);
}

/* The camera's own group: its model is the camera's own. Where it has company, the others' frames
 * of the new world may come a moment later; a review sees what is not plain at once. */
static bool stays(const struct grouper *g, const struct group_request *r, struct verdict *v)
{
    const struct camera *c = &g->cameras[r->camera];
    const struct group *k = c->group ? group_find(g, c->group) : NULL;
    const struct group_score *own = &r->trials[0].score;
    if (!k || !score_known(own) || !isfinite(k->accuracy) || k->windows == 0)
        return false;
    struct evidence e = shortfall(&g->settings, own->accuracy, own->frames, c->offset, k->accuracy,
                                  k->frames, k->count);
    v->why.accuracy = own->accuracy;
    v->why.reference = k->accuracy;
    v->why.margin = leave_allowed(g, k, r->camera, &e);
    v->why.code = GROUP_WHY_STAYED;
    v->group = k->id;
    v->start = GROUP_MODEL_OWN;
    return e.difference <= v->why.margin;
}

static void decide_attune(const struct grouper *g, const struct group_request *r, struct verdict *v)
{
    const struct group *own = group_find(g, g->cameras[r->camera].group), *best = NULL;
    double best_cost = 0;
    int groups = 0;
    if (own && own->count > 1 && stays(g, r, v))
        return;
    for (int i = 1; i < r->trial_count; i++) {
        const struct group_trial *t = &r->trials[i];
        const struct group *k = candidate(g, r, t);
        double cost, allowed;
        groups += k != NULL;
        if (!k || !serves(g, r, t, k, &cost, &allowed) || (best && cost >= best_cost))
            continue;
        best = k;
        best_cost = cost;
        v->group = k->id;
        v->why.code = k->windows ? GROUP_WHY_JOINED : GROUP_WHY_ALIKE;
        v->why.reference = k->accuracy;
        v->why.margin = allowed;
        why_trial(&v->why, t);
    }
    if (best || (own && own->count == 1 && stays(g, r, v)))
        return;
    begin_with_best(g, r, 1u << GROUP_MODEL_ZOO | 1u << GROUP_MODEL_GROUP, v);
    v->why.code = groups ? GROUP_WHY_ALONE : GROUP_WHY_NEW;
    v->why.reference = r->trials[0].score.accuracy;
    v->why.margin = (double)NAN;
}

/* A camera that is alone and begins anew keeps its group where that has not lived through a window.
 */
static enum status begin_alone(struct grouper *g, const struct group_request *r,
                               const struct verdict *v, struct group_decision *ret,
                               struct error *err)
{
    struct group *k = group_find(g, g->cameras[r->camera].group);
    enum status st = ST_OK;
    if (!k || k->count > 1 || k->windows > 0)
        st = group_form(g, r->camera, r->now_us, &k, &ret->left, &ret->emptied, err);
    if (st != ST_OK)
        return st;
    k->centre.time_us = r->now_us;
    k->accuracy = v->why.accuracy;
    k->frames = r->trials[0].score.frames;
    group_recentre(g, k);
    ret->group = k->id;
    ret->formed = true;
    ret->start = v->start;
    ret->start_id = v->start_id;
    return ST_OK;
}

static enum status join(struct grouper *g, const struct group_request *r, const struct verdict *v,
                        struct group_decision *ret, struct error *err)
{
    struct group *k = group_find(g, v->group);
    bool stays_here = g->cameras[r->camera].group == k->id;
    if (!stays_here) {
        enum status st = group_enter(g, k, r->camera, &ret->left, &ret->emptied, err);
        if (st != ST_OK)
            return st;
        k->centre.time_us = r->now_us;
        /* Half of what it is below or above the members counts as its view's, half as chance's. */
        camera_offset(&g->cameras[r->camera], (v->why.accuracy - k->accuracy) / 2);
    } else
        group_recentre(g, k);
    k->resting = false;
    ret->group = k->id;
    ret->start = stays_here ? GROUP_MODEL_OWN : GROUP_MODEL_GROUP;
    ret->start_id = stays_here ? 0 : k->id;
    return ST_OK;
}

enum status grouper_decide(struct grouper *g, const struct group_request *r,
                           struct group_decision *ret, struct error *err)
{
    static void (*const policies[GROUP_POLICY_COUNT])(
        const struct grouper *, const struct group_request *,
        struct verdict *) = {[GROUP_POLICY_NONE] = decide_none,
                             [GROUP_POLICY_ECCO] = decide_ecco,
                             [GROUP_POLICY_ATTUNE] = decide_attune};
    const double none = (double)NAN;
    struct verdict v = {.why = {.at_us = r->now_us,
                                .reference = none,
                                .margin = none,
                                .signature = none,
                                .place_m = none,
                                .accuracy = none,
                                .tried = tried(r)}};
    struct group_decision d = {0};
    if (!grouper_camera_id(g, r->camera))
        return error_set(err, ST_NOT_FOUND, "the camera of the request is gone");
    assert(r->trial_count >= 1 && r->trial_count <= GROUP_TRIALS_MAX &&
           r->trials[0].kind == GROUP_MODEL_OWN);
    policies[g->settings.policy](g, r, &v);
    enum status st = v.group ? join(g, r, &v, &d, err) : begin_alone(g, r, &v, &d, err);
    if (st != ST_OK)
        return st;
    struct camera *c = &g->cameras[r->camera];
    v.why.group = d.group;
    v.why.other = d.left;
    c->why = d.why = v.why;
    c->moved = false;
    c->accuracy = c->previous = none;
    c->behind = 0;
    *ret = d;
    return ST_OK;
}
