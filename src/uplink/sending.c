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

static double rate_of(const struct sending_rules *r, const struct sending_group *g, double part)
{
    double fps = r->total_fps * part / g->members;
    if (r->by_share)
        fps = fmin(fps, r->trainable_fps * part / g->members);
    return fmin(fmax(fps, r->fps_min), r->fps_max);
}

void sending_divide(const struct sending_rules *r, const struct sending_group *groups, int count,
                    struct sending_member *ret)
{
    int cameras = count_cameras(groups, count);
    double sum = 0;
    for (int i = 0; i < count; i++) {
        const struct sending_group *g = &groups[i];
        bool known = r->by_share && !isnan(g->part);
        double part = known ? g->part : (double)g->members / cameras;
        double fps = rate_of(r, g, part);
        ret[i] = (struct sending_member){part, fps, r->weighted ? fps : 1};
        sum += ret[i].weight * g->members;
    }
    for (int i = 0; i < count; i++)
        ret[i].weight *= cameras / sum;
}
