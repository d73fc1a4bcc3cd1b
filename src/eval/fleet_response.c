/* fleet_response.c - see fleet_response.h. */
#include "eval/fleet_response.h"

#include <math.h>

#define RECOVERED 0.9
#define SLIDING_S 10 /* until then the score still holds frames from before the change */

/* The highest accuracy of a camera in (from_s, to_s] of any run. */
static double best_of(const struct fleet_result *runs, int count, int camera, double from_s,
                      double to_s)
{
    double best = 0;
    for (int i = 0; i < count; i++)
        for (size_t k = 0; runs[i].cameras[camera].series && k < runs[i].points; k++)
            if (runs[i].t_s[k] > from_s && runs[i].t_s[k] <= to_s)
                best = fmax(best, runs[i].cameras[camera].series[k]);
    return best;
}

/* Seconds from the change until the accuracy is there; infinite: not before to_s. */
static double time_to(const struct fleet_result *r, int camera, double level, double from_s,
                      double to_s)
{
    for (size_t k = 0; k < r->points; k++)
        if (r->t_s[k] >= from_s + SLIDING_S && r->t_s[k] <= to_s &&
            r->cameras[camera].series[k] >= level)
            return r->t_s[k] - from_s;
    return INFINITY;
}

struct fleet_response fleet_response_of(const struct fleet_scenario *s,
                                        const struct fleet_result *runs, int count, int which)
{
    struct fleet_response ret = {0};
    double sum = 0;
    for (int c = 0; c < s->camera_count; c++) {
        const struct fleet_source *camera = &s->cameras[c];
        for (int k = 0; k < camera->change_count; k++) {
            double from_s = camera->changes_s[k];
            double to_s = k + 1 < camera->change_count ? camera->changes_s[k + 1] : s->seconds;
            to_s = fmin(to_s, s->seconds);
            double best = best_of(runs, count, c, from_s + SLIDING_S, to_s);
            if (to_s <= from_s + SLIDING_S || !runs[which].cameras[c].series)
                continue;
            double t = time_to(&runs[which], c, RECOVERED * best, from_s, to_s);
            ret.changes++;
            ret.reached += isfinite(t);
            sum += isfinite(t) ? t : to_s - from_s;
        }
    }
    ret.mean_s = ret.changes ? sum / ret.changes : NAN;
    return ret;
}
