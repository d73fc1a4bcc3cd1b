/* rest.c - groups that training does nothing for any more rest, until their accuracy falls. */
#include <math.h>

#include "group/internal.h"

static enum status rest(struct conclusion *c, struct group *k)
{
    const struct group_settings *s = &c->g->settings;
    bool flat = k->accuracy >= s->target || k->gain < s->gain;
    k->flat = flat ? k->flat + 1 : 0;
    if (k->flat < s->rest_windows)
        return ST_OK;
    struct group_why why = why_none(GROUP_WHY_RESTED);
    why.accuracy = k->accuracy;
    why.margin = s->gain;
    why.windows = k->flat;
    k->resting = true;
    k->rested = k->accuracy;
    k->flat = 0;
    return act(c, GROUP_ACTION_REST, -1, k->id, 0, false, why);
}

static enum status wake(struct conclusion *c, struct group *k)
{
    if (!(k->accuracy < k->rested - c->g->settings.drop))
        return ST_OK;
    struct group_why why = why_none(GROUP_WHY_WOKEN);
    why.accuracy = k->accuracy;
    why.reference = k->rested;
    k->resting = false;
    k->gain = (double)NAN;
    return act(c, GROUP_ACTION_WAKE, -1, k->id, 0, false, why);
}

enum status rest_conclude(struct conclusion *c)
{
    enum status st = ST_OK;
    for (int i = 0; i < c->g->group_count && st == ST_OK; i++) {
        struct group *k = c->g->groups[i];
        if (k->resting)
            st = wake(c, k);
        else if (c->g->settings.rest_windows > 0)
            st = rest(c, k);
    }
    return st;
}
