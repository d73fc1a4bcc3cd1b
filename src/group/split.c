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
#define ONE_APART_UNITS 1.4   /* of a kind of one, whose own spread is not known */
#define QUIET_WINDOWS 4

struct kinds {
    struct signature looks[GROUP_MEMBERS_MAX]; /* less the usual, where that is known of all */
    struct signature centre[2];
    int count[2];
    int kind[GROUP_MEMBERS_MAX]; /* of the group's member i */
};

/* False where one is not known. */
static bool look(const struct grouper *g, const struct group *k, struct kinds *x)
{
    for (int i = 0; i < k->count; i++) {
        struct looks l = camera_looks(&g->cameras[k->members[i]]);
        if (!l.now)
            return false;
        for (int v = 0; v < SIGNATURE_VALUES; v++)
            x->looks[i].value[v] = l.now->value[v] - (k->usual_known ? l.usual->value[v] : 0);
    }
    return true;
}

/* The member that is farthest from x. */
static int farthest(const struct group *k, const struct kinds *all, const struct signature *x)
{
    int found = 0;
    double most = -1;
    for (int i = 0; i < k->count; i++) {
        double d = signature_distance(x, &all->looks[i]);
        if (d > most) {
            most = d;
            found = i;
        }
    }
    return found;
}

static void assign(const struct group *k, struct kinds *x)
{
    double sum[2][SIGNATURE_VALUES] = {{0}};
    x->count[0] = x->count[1] = 0;
    for (int i = 0; i < k->count; i++) {
        const struct signature *s = &x->looks[i];
        x->kind[i] = signature_distance(&x->centre[1], s) < signature_distance(&x->centre[0], s);
        x->count[x->kind[i]]++;
        for (int v = 0; v < SIGNATURE_VALUES; v++)
            sum[x->kind[i]][v] += (double)s->value[v];
    }
    for (int c = 0; c < 2; c++)
        for (int v = 0; v < SIGNATURE_VALUES && x->count[c]; v++)
            x->centre[c].value[v] = (float)(sum[c][v] / x->count[c]);
}

/* 2-means, begun with the member that is farthest from the first, and the one farthest from that.
 */
static void find_kinds(const struct group *k, struct kinds *x)
{
    x->centre[0] = x->looks[farthest(k, x, &x->looks[0])];
    x->centre[1] = x->looks[farthest(k, x, &x->centre[0])];
    for (int i = 0; i < ROUNDS; i++)
        assign(k, x);
}

static bool two_kinds(const struct grouper *g, const struct group *k, const struct kinds *x,
                      double *ret_units)
{
    double within = 0, between = signature_distance(&x->centre[0], &x->centre[1]);
    for (int i = 0; i < k->count; i++)
        within += signature_distance(&x->centre[x->kind[i]], &x->looks[i]) / k->count;
    bool one = x->count[0] == 1 || x->count[1] == 1;
    *ret_units = between / g->settings.signature_unit;
    return x->count[0] && x->count[1] && *ret_units > (one ? ONE_APART_UNITS : 1) &&
           between > APART_OVER_WITHIN * within;
}

enum status split_mixed(struct conclusion *c, struct group *k)
{
    struct grouper *g = c->g;
    struct kinds x;
    struct group_why why = why_none(GROUP_WHY_MIXED);
    int leavers[GROUP_MEMBERS_MAX], n = 0;
    struct group_why whys[GROUP_MEMBERS_MAX];
    if (k->count < 2 || k->quiet || k->below < g->settings.patience || !look(g, k, &x))
        return ST_OK;
    find_kinds(k, &x);
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
