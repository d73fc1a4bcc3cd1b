/* nearby.c - one look at every group: place, time and signature are a filter, nothing more.
 *
 * A linear pass: at 10,000 groups it is a fraction of a millisecond (bench_group), which an index
 * over centres that move with every joining would have to beat.
 */
#include <math.h>

#include "group/internal.h"

static double age_us(const struct group *k, uint64_t now_us)
{
    uint64_t t = k->centre.time_us;
    return (double)(now_us > t ? now_us - t : t - now_us);
}

/* How far x of at most max is, in 0..1; NaN (unknown) and a max of 0 count as nothing. */
static double part(double x, double max)
{
    return max > 0 && isfinite(x) ? x / max : 0;
}

/* False: no candidate. */
static bool look_at(const struct grouper *g, const struct group_place *place, struct looks looks,
                    uint64_t now_us, struct group *k, struct near *ret)
{
    const struct group_settings *s = &g->settings;
    double place_m = group_place_distance_m(place, &k->centre.place), age = 0;
    if (place_m > s->near_place_m)
        return false;
    if (now_us) {
        age = age_us(k, now_us);
        if (age > (double)s->near_time_us)
            return false;
    }
    *ret = (struct near){.group = k,
                         .place_m = place_m,
                         .signature = (double)NAN,
                         .unlikeness =
                             part(place_m, s->near_place_m) + part(age, (double)s->near_time_us)};
    if (s->policy == GROUP_POLICY_ECCO)
        return true;
    double signature = looks_distance(looks, group_looks(k)) / s->signature_unit;
    if (signature > s->signature_max)
        return false;
    ret->signature = signature;
    ret->unlikeness += isfinite(signature) ? 2 * signature : 0;
    return true;
}

int near_groups(const struct grouper *g, const struct group_place *place, struct looks looks,
                uint64_t now_us, uint64_t self, uint64_t apart, int room, int most,
                struct near *ret)
{
    int n = 0;
    for (int i = 0; i < g->group_count && most > 0; i++) {
        struct group *k = g->groups[i];
        struct near x;
        if (k->id == self || k->id == apart || k->count + room > g->settings.members_max ||
            !look_at(g, place, looks, now_us, k, &x) ||
            (n == most && x.unlikeness >= ret[n - 1].unlikeness))
            continue;
        int at = n < most ? n++ : n - 1;
        for (; at > 0 && ret[at - 1].unlikeness > x.unlikeness; at--)
            ret[at] = ret[at - 1];
        ret[at] = x;
    }
    return n;
}
