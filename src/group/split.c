/* split.c - groups in which two kinds of members pull at one model.
 *
 * Where half of a group's world changes and nobody says so, the model goes halfway: all members do
 * worse, and none is behind the others. So a group that stays well below what it had, for
 * `patience` windows, is looked at: where its members' signatures fall into two kinds (2-means)
 * that are further apart than alike ones are, the smaller kind forms a group of its own. That is a
 * trial: should one model serve both after all, they merge again, and the next trial is put off,
 * for longer each time.
 */
#include <math.h>
#include <string.h>

#include "group/internal.h"

#define ROUNDS 8
#define APART_OVER_WITHIN 2.0 /* centres, over the mean distance of members to theirs */
#define QUIET_WINDOWS 4

struct kinds {
    struct signature centre[2];
    int count[2];
    int kind[GROUP_MEMBERS_MAX]; /* of the group's member i */
};

static const struct signature *looks(const struct grouper *g, const struct group *k, int i)
{
    return &g->cameras[k->members[i]].conditions.signature;
}

static bool all_known(const struct grouper *g, const struct group *k)
{
    for (int i = 0; i < k->count; i++)
        if (!g->cameras[k->members[i]].conditions.looks_known)
            return false;
    return true;
}

/* The member that is farthest from x. */
static int farthest(const struct grouper *g, const struct group *k, const struct signature *x)
{
    int found = 0;
    double most = -1;
    for (int i = 0; i < k->count; i++) {
        double d = signature_distance(x, looks(g, k, i));
        if (d > most) {
            most = d;
            found = i;
        }
    }
    return found;
}

static void assign(const struct grouper *g, const struct group *k, struct kinds *x)
{
    double sum[2][SIGNATURE_VALUES] = {{0}};
    x->count[0] = x->count[1] = 0;
    for (int i = 0; i < k->count; i++) {
        const struct signature *s = looks(g, k, i);
        x->kind[i] = signature_distance(&x->centre[1], s) < signature_distance(&x->centre[0], s);
        x->count[x->kind[i]]++;
        for (int v = 0; v < SIGNATURE_VALUES; v++)
            sum[x->kind[i]][v] += (double)s->value[v];
    }
    for (int c = 0; c < 2; c++)
        for (int v = 0; v < SIGNATURE_VALUES && x->count[c]; v++)
            x->centre[c].value[v] = (float)(sum[c][v] / x->count[c]);
}

/* 2-means, begun with the two members that are far from each other. */
static void find_kinds(const struct grouper *g, const struct group *k, struct kinds *ret)
{
    int first = farthest(g, k, &k->centre.signature);
    ret->centre[0] = *looks(g, k, first);
    ret->centre[1] = *looks(g, k, farthest(g, k, &ret->centre[0]));
    for (int i = 0; i < ROUNDS; i++)
        assign(g, k, ret);
}

static bool two_kinds(const struct grouper *g, const struct group *k, const struct kinds *x,
                      double *ret_units)
{
    double within = 0, between = signature_distance(&x->centre[0], &x->centre[1]);
    for (int i = 0; i < k->count; i++)
        within += signature_distance(&x->centre[x->kind[i]], looks(g, k, i)) / k->count;
    *ret_units = between / g->settings.signature_unit;
    return x->count[0] && x->count[1] && *ret_units > 1 && between > APART_OVER_WITHIN * within;
}

enum status split_mixed(struct conclusion *c, struct group *k)
{
    struct grouper *g = c->g;
    struct kinds x;
    struct group_why why = why_none(GROUP_WHY_MIXED);
    int leavers[GROUP_MEMBERS_MAX], n = 0;
    struct group_why whys[GROUP_MEMBERS_MAX];
    if (k->count < 2 || k->quiet || k->below < g->settings.patience || !all_known(g, k))
        return ST_OK;
    find_kinds(g, k, &x);
    if (!two_kinds(g, k, &x, &why.signature))
        return ST_OK;
    why.accuracy = k->accuracy;
    why.reference = k->best;
    why.margin = g->settings.gap;
    why.windows = k->below;
    int fewer = x.count[1] < x.count[0];
    for (int i = 0; i < k->count; i++)
        if (x.kind[i] == fewer) {
            leavers[n] = k->members[i];
            whys[n++] = why;
        }
    k->quiet = QUIET_WINDOWS << k->probes;
    k->probes += k->probes < MOVES_MAX;
    return leave_for_new(c, k->id, leavers, whys, n, GROUP_ACTION_SPLIT);
}
