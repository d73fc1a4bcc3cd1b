/* sending.c - see sending.h. */
#include "uplink/sending.h"

#include <math.h>

static int count_cameras(const struct sending_group *groups, int count)
{
    int cameras = 0;
    for (int i = 0; i < count; i++)
        cameras += groups[i].members;
    return cameras;
}

static double rate_of(const struct sending_rules *r, const struct sending_group *g, double part,
                      int cameras)
{
    double even = r->total_fps / cameras, own = r->total_fps * part / g->members;
    double fps = (1 - r->by_share) * even + r->by_share * own;
    if (r->by_share > 0)
        fps = fmin(fps, fmax(r->trainable_fps * part / g->members, (1 - r->by_share) * even));
    return fmin(fmax(fps, r->fps_min), r->fps_max);
}

void sending_divide(const struct sending_rules *r, const struct sending_group *groups, int count,
                    struct sending_member *ret)
{
    int cameras = count_cameras(groups, count);
    double sum = 0;
    for (int i = 0; i < count; i++) {
        const struct sending_group *g = &groups[i];
        bool known = r->by_share > 0 && !isnan(g->part);
        double even = (double)g->members / cameras, part = known ? g->part : even;
        double fps = rate_of(r, g, part, cameras);
        ret[i] = (struct sending_member){.part = part,
                                         .labels = (1 - r->by_share) * even + r->by_share * part,
                                         .fps = fps,
                                         .weight = r->weighted ? fps : 1};
        sum += ret[i].weight * g->members;
    }
    for (int i = 0; i < count; i++)
        ret[i].weight *= cameras / sum;
}
