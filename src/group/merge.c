/* merge.c - groups that one model serves become one.
 *
 * A few pairs are compared in a window: those that agreed the last time, then young groups, then
 * the others in turn. Each one's model is tried on a few members of the other, for whom the
 * accuracy of their own is known on the same frames: two models on the same frames, which says much
 * from few.
 *
 * ecco: both models must serve the other group as well as its own (our reading).
 * attune: one that serves both is enough, a group that has trained for longer should take in one
 * that has not; but it must be so in `patience` comparisons in a row, and as long as the other
 * group is not settled the model must do there what it does at home: anything is better than a
 * model that is hardly trained, or that a change has just made useless.
 */
#include <math.h>
#include <string.h>

#include "group/internal.h"

#define VISITS_A_PAIR 4 /* groups that are looked at, for each pair that may be compared */
#define NEIGHBOURS 2
#define YOUNG_WINDOWS 1 /* more than patience */
#define RISING_GAINS 3

/* ---- Pairs ---- */

static struct pair ordered(uint64_t a, uint64_t b)
{
    return a < b ? (struct pair){.a = a, .b = b} : (struct pair){.a = b, .b = a};
}

/* -1: not there. */
static int pair_find(const struct grouper *g, struct pair p)
{
    for (int i = 0; i < g->pair_count; i++)
        if (g->pairs[i].a == p.a && g->pairs[i].b == p.b)
            return i;
    return -1;
}

static void pair_forget(struct grouper *g, int at)
{
    g->pair_count--;
    memmove(g->pairs + at, g->pairs + at + 1, (size_t)(g->pair_count - at) * sizeof *g->pairs);
}

/* Returns in how many comparisons in a row the pair has agreed with this one. When there are too
 * many pairs, the one that was compared longest ago is forgotten. */
static int pair_agrees(struct grouper *g, struct pair p)
{
    int at = pair_find(g, p), oldest = 0;
    p.agreed = 1 + (at < 0 ? 0 : g->pairs[at].agreed);
    p.window = g->window;
    for (int i = 1; i < g->pair_count; i++)
        if (g->pairs[i].window < g->pairs[oldest].window)
            oldest = i;
    if (at < 0 && g->pair_count == PAIRS_MAX)
        pair_forget(g, oldest);
    if (at < 0)
        at = g->pair_count++;
    g->pairs[at] = p;
    return p.agreed;
}

static bool may_merge(const struct grouper *g, const struct group *k)
{
    return k && k->windows > 0 && !k->resting && k->count < g->settings.members_max;
}

/* Whether a member of one left the other lately. */
static bool apart(const struct grouper *g, const struct group *a, const struct group *b)
{
    for (int i = 0; i < a->count; i++)
        if (g->cameras[a->members[i]].apart == b->id)
            return true;
    for (int i = 0; i < b->count; i++)
        if (g->cameras[b->members[i]].apart == a->id)
            return true;
    return false;
}

/* ---- Phase 1 ---- */

struct picker {
    struct grouper *g;
    struct group_review *r;
    int *capacity;
    struct error *err;
    int pairs;
    struct pair chosen[GROUP_MERGE_PAIRS_MAX];
};

static enum status try_on(struct picker *p, const struct group *model, const struct group *k)
{
    enum status st = ST_OK;
    int samples = k->count < CROSS_SAMPLES ? k->count : CROSS_SAMPLES;
    for (int i = 0; i < samples && st == ST_OK; i++) {
        int at = (int)((p->g->window + (uint32_t)i) % (uint32_t)k->count);
        st = review_add(p->r, p->capacity, GROUP_REVIEW_CROSS, model->id, k->members[at], p->err);
    }
    return st;
}

static enum status choose(struct picker *p, const struct group *a, const struct group *b)
{
    struct pair x = ordered(a->id, b->id);
    if (p->pairs >= p->g->settings.merge_pairs_max ||
        a->count + b->count > p->g->settings.members_max || apart(p->g, a, b))
        return ST_OK;
    for (int i = 0; i < p->pairs; i++)
        if (p->chosen[i].a == x.a && p->chosen[i].b == x.b)
            return ST_OK;
    p->chosen[p->pairs++] = x;
    enum status st = try_on(p, a, b);
    return st == ST_OK ? try_on(p, b, a) : st;
}

static enum status agreed_before(struct picker *p)
{
    enum status st = ST_OK;
    for (int i = 0; i < p->g->pair_count && st == ST_OK; i++) {
        const struct pair *x = &p->g->pairs[i];
        const struct group *a = group_find(p->g, x->a), *b = group_find(p->g, x->b);
        if (may_merge(p->g, a) && may_merge(p->g, b))
            st = choose(p, a, b);
    }
    return st;
}

static enum status neighbours(struct picker *p, const struct group *k)
{
    struct near near[NEIGHBOURS];
    uint64_t now_us = p->g->settings.policy == GROUP_POLICY_ECCO ? k->centre.time_us : 0;
    enum status st = ST_OK;
    if (!may_merge(p->g, k))
        return ST_OK;
    int n = near_groups(p->g, &k->centre.place, group_looks(k), now_us, k->id, 0, k->count,
                        NEIGHBOURS, near);
    for (int i = 0; i < n && st == ST_OK; i++)
        if (may_merge(p->g, near[i].group))
            st = choose(p, k, near[i].group);
    return st;
}

/* The youngest half of the visits, then on from where the last review stopped. */
static enum status visit(struct picker *p)
{
    struct grouper *g = p->g;
    int visits = VISITS_A_PAIR * g->settings.merge_pairs_max, start = 0;
    enum status st = ST_OK;
    visits = visits < g->group_count ? visits : g->group_count;
    for (int i = 0; i < visits / 2 && st == ST_OK; i++)
        st = neighbours(p, g->groups[g->group_count - 1 - i]);
    while (start < g->group_count && g->groups[start]->id < g->merge_from)
        start++;
    for (int i = 0; i < visits - visits / 2 && st == ST_OK; i++) {
        const struct group *k = g->groups[(start + i) % g->group_count];
        st = neighbours(p, k);
        g->merge_from = k->id + 1;
    }
    return st;
}

enum status merge_review(struct grouper *g, struct group_review *r, int *capacity,
                         struct error *err)
{
    struct picker p = {.g = g, .r = r, .capacity = capacity, .err = err};
    enum status st = agreed_before(&p);
    return st == ST_OK ? visit(&p) : st;
}

/* ---- Phase 2 ---- */

/* What one group's model did on members of the other. */
struct crossing {
    uint64_t model, group;
    int count, frames;
    double accuracy, own; /* sums of the members' accuracies, under it and under their own */
    double squares;       /* of the standard errors of the differences */
};

/* Its accuracy says what its model can do: it is not young, has not fallen, and does not rise. */
static bool settled(const struct grouper *g, const struct group *k)
{
    return k->windows > g->settings.patience + YOUNG_WINDOWS && !k->below &&
           !(k->gain > RISING_GAINS * g->settings.gain);
}

static bool serves(const struct conclusion *c, const struct crossing *x, struct group_why *ret)
{
    const struct group_settings *s = &c->g->settings;
    const struct group *model = group_find(c->g, x->model);
    *ret = why_none(GROUP_WHY_MERGED);
    if (!x->count)
        return false;
    double accuracy = x->accuracy / x->count, own = x->own / x->count;
    ret->accuracy = accuracy;
    ret->reference = own;
    ret->tried = x->count;
    if (s->policy == GROUP_POLICY_ECCO) {
        ret->margin = s->join_margin;
        return accuracy >= own - s->join_margin;
    }
    ret->margin = s->gap;
    if (accuracy < own - ret->margin)
        return false;
    struct evidence e =
        shortfall(s, accuracy, x->frames, 0, model->accuracy, model->frames, model->count);
    return settled(c->g, group_find(c->g, x->group)) || e.difference <= shortfall_allowed(s, &e);
}

static void add_crossing(const struct conclusion *c, struct crossing *x,
                         const struct group_review_trial *t)
{
    const struct group_score *own = c->scores[t->camera];
    struct evidence e = score_difference(&c->g->settings, &t->score, own);
    x->count++;
    x->frames += t->score.frames;
    x->accuracy += t->score.accuracy;
    x->own += own->accuracy;
    x->squares += e.error * e.error;
}

/* Both directions of the pairs that were compared; returns how many pairs. */
static int crossings(const struct conclusion *c, struct crossing (*ret)[2])
{
    int n = 0;
    for (int i = 0; i < c->review->trial_count; i++) {
        const struct group_review_trial *t = &c->review->trials[i];
        uint64_t of = t->kind == GROUP_REVIEW_CROSS ? grouper_group_of(c->g, t->camera) : 0;
        if (!of || of == t->group || !c->scores[t->camera] || !score_known(&t->score) ||
            !group_find(c->g, t->group))
            continue;
        struct pair p = ordered(t->group, of);
        int at = 0;
        while (at < n && (ret[at][0].model != p.a || ret[at][1].model != p.b))
            at++;
        if (at == GROUP_MERGE_PAIRS_MAX)
            continue;
        if (at == n) {
            ret[n][0] = (struct crossing){.model = p.a, .group = p.b};
            ret[n++][1] = (struct crossing){.model = p.b, .group = p.a};
        }
        add_crossing(c, &ret[at][t->group == p.b], t);
    }
    return n;
}

/* All of `from` into `to`. That its model does for them what their own did is known, so what they
 * are below or above its members is how hard their views are. */
static enum status absorb(struct conclusion *c, struct group *to, struct group *from,
                          struct group_why why)
{
    struct grouper *g = c->g;
    uint64_t from_id = from->id, left;
    bool emptied = false;
    if (!group_make_room(to, to->count + from->count))
        return error_set(c->err, ST_NOMEM, "no memory for a group of %d", to->count + from->count);
    double sum = to->accuracy * to->count + from->accuracy * from->count;
    int all = to->count + from->count;
    if (from->centre.time_us > to->centre.time_us)
        to->centre.time_us = from->centre.time_us;
    for (enum status st; !emptied;) {
        int camera = from->members[from->count - 1];
        double offset = g->cameras[camera].offset + why.accuracy - to->accuracy;
        st = group_enter(g, to, camera, &left, &emptied, c->err);
        if (st == ST_OK)
            camera_offset(&g->cameras[camera], offset);
        if (st == ST_OK)
            st = act(c, GROUP_ACTION_MERGE, camera, to->id, from_id, emptied, why);
        if (st != ST_OK)
            return st;
    }
    to->accuracy = to->previous = sum / all;
    to->best = to->accuracy;
    return ST_OK;
}

static enum status judge(struct conclusion *c, const struct crossing x[2])
{
    struct grouper *g = c->g;
    const struct group_settings *s = &g->settings;
    struct group_why why[2];
    bool ok[2] = {serves(c, &x[0], &why[0]), serves(c, &x[1], &why[1])};
    bool one = s->policy == GROUP_POLICY_ATTUNE;
    const struct pair p = ordered(x[0].model, x[1].model);
    bool agree = one ? ok[0] || ok[1] : ok[0] && ok[1];
    int known = pair_find(g, p), agreed = agree ? pair_agrees(g, p) : 0;
    struct group *a = group_find(g, p.a), *b = group_find(g, p.b);
    if (!agree && known >= 0)
        pair_forget(g, known);
    if (!agree || agreed < (one ? s->patience : 1) || a->count + b->count > s->members_max)
        return ST_OK;
    /* The one whose model does more for the other group than the reverse. */
    int best = !ok[0] ||
               (ok[1] && why[1].accuracy - why[1].reference > why[0].accuracy - why[0].reference);
    why[best].windows = agreed;
    pair_forget(g, pair_find(g, p));
    return best ? absorb(c, b, a, why[1]) : absorb(c, a, b, why[0]);
}

enum status merge_conclude(struct conclusion *c)
{
    struct crossing x[GROUP_MERGE_PAIRS_MAX][2];
    int n = crossings(c, x);
    enum status st = ST_OK;
    for (int i = 0; i < n && st == ST_OK; i++)
        if (group_find(c->g, x[i][0].model) && group_find(c->g, x[i][1].model))
            st = judge(c, x[i]);
    return st;
}
