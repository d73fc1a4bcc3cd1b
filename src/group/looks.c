/* looks.c - whether cameras, or groups, look alike.
 *
 * A signature tells a camera's view as much as the conditions. So once a camera has been looked at
 * USUAL_LOOKS times, what it usually looks like is taken away: of two cameras that have both
 * changed in the same way the differences from the usual are alike, whatever they look at. On
 * stills of two highway cameras by day and by night this tells same from other conditions in 92 of
 * 100 pairs, signatures as they are in 68 (docs/benchmarks.md). Cameras with other histories have
 * other usuals, so the nearer of both counts.
 */
#include <math.h>

#include "group/internal.h"

#define USUAL_LOOKS_MAX 1000 /* beyond it the mean forgets */

void camera_look(struct camera *c, const struct signature *s)
{
    c->conditions.signature = *s;
    c->conditions.looks_known = true;
    c->looks += c->looks < USUAL_LOOKS_MAX;
    for (int v = 0; v < SIGNATURE_VALUES; v++)
        c->usual.value[v] += (s->value[v] - c->usual.value[v]) / (float)c->looks;
}

struct looks camera_looks(const struct camera *c)
{
    return (struct looks){c->conditions.looks_known ? &c->conditions.signature : NULL,
                          c->looks >= USUAL_LOOKS ? &c->usual : NULL};
}

struct looks group_looks(const struct group *k)
{
    return (struct looks){k->centre.looks_known ? &k->centre.signature : NULL,
                          k->usual_known ? &k->usual : NULL};
}

double looks_distance(struct looks a, struct looks b)
{
    if (!a.now || !b.now)
        return (double)NAN;
    double as_they_are = signature_distance(a.now, b.now), sum = 0;
    if (!a.usual || !b.usual)
        return as_they_are;
    for (int v = 0; v < SIGNATURE_VALUES; v++) {
        double d = ((double)a.now->value[v] - (double)a.usual->value[v]) -
                   ((double)b.now->value[v] - (double)b.usual->value[v]);
        sum += d * d;
    }
    return fmin(as_they_are, sqrt(sum));
}

/* One that looks like its group has a hard view rather than other conditions, or saw the new ones a
 * moment before the others. */
double leave_allowed(const struct grouper *g, const struct group *k, int camera,
                     const struct evidence *e)
{
    const struct group_settings *s = &g->settings;
    double d = looks_distance(camera_looks(&g->cameras[camera]), group_looks(k));
    bool alike = k->count > 1 && d <= s->signature_unit;
    return alike ? s->gap + s->confidence * e->error : shortfall_allowed(s, e);
}
