/* dividing.c - see dividing.h. */
#include "server/dividing.h"

#include <string.h>

#include "base/names.h"
#include "server/streams.h"

#define AUTO "auto"

static const char *const by_names[] = {NULL, "round-robin", "plans", "micro-windows"};

const char *dividing_by_name(enum dividing_by by)
{
    return names_text(by_names, NAMES_COUNT(by_names), by, "");
}

const char *dividing_policy(const struct dividing *d)
{
    return d->by == DIVIDING_PLANS ? schedule_policy_name(d->plan) : dividing_by_name(d->by);
}

static enum status read_grouping(const struct settings *s, struct dividing *d, struct error *err)
{
    bool given = strcmp(s->grouping, AUTO) != 0;
    d->grouping = given ? group_policy_parse(s->grouping) : d->sharing->grouping;
    if (d->grouping == GROUP_POLICY_COUNT)
        return error_set(err, ST_INVALID, "grouping is auto, attune, ecco or none, not '%.40s'",
                         s->grouping);
    d->zoo = d->sharing->zoo && s->zoo_models > 0;
    return ST_OK;
}

/* As the policy of the fleet has it, given who infers. */
static enum status divide(bool infers_here, struct dividing *d, struct error *err)
{
    enum sharing_division division = SHARING_PLANNED;
    enum status st =
        sharing_divide(d->sharing->division, d->sharing->name, infers_here, &division, err);
    d->by = division == SHARING_MICRO ? DIVIDING_MICRO : DIVIDING_PLANS;
    d->plan = d->sharing->plan;
    return st == ST_OK ? ST_OK : error_prefix(err, "some cameras have a source here");
}

/* The server's round robin is AMS's own, by turns; the other policies plan. */
static enum status read_policy(const struct settings *s, struct dividing *d, struct error *err)
{
    d->plan = schedule_policy_parse(s->policy);
    if (d->plan == SCHEDULE_POLICY_COUNT || d->plan == SCHEDULE_EXHAUSTIVE)
        return error_set(err, ST_INVALID,
                         "policy is auto, attune, round-robin, thief, thief-printed, uniform or "
                         "none, not '%.40s'",
                         s->policy);
    d->by = d->plan == SCHEDULE_ROUND_ROBIN ? DIVIDING_TURNS : DIVIDING_PLANS;
    return ST_OK;
}

enum status dividing_read(const struct settings *s, const struct camera_list *cameras,
                          struct dividing *ret, struct error *err)
{
    struct dividing d = {.sharing = sharing_find(s->sharing)};
    if (!d.sharing)
        return error_set(err, ST_INVALID,
                         "sharing is attune, ecco, recl, ekya or independent, not '%.40s'",
                         s->sharing);
    enum status st = read_grouping(s, &d, err);
    if (st == ST_OK)
        st = strcmp(s->policy, AUTO) == 0 ? divide(streams_wanted(cameras), &d, err)
                                          : read_policy(s, &d, err);
    if (st == ST_OK)
        *ret = d;
    return st;
}
