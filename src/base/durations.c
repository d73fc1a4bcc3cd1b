#include "base/durations.h"

#include <math.h>

/* From a small network on a fast processor to a camera that cannot keep up. */
const double durations_bounds_s[DURATIONS_BOUNDS] = {
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5};

void durations_add(struct durations *d, double duration_s)
{
    int i = 0;
    while (i < DURATIONS_BOUNDS && duration_s > durations_bounds_s[i])
        i++;
    d->counts[i]++;
    d->sum_s += duration_s;
}

uint64_t durations_count(const struct durations *d)
{
    uint64_t count = 0;
    for (int i = 0; i < DURATIONS_BUCKETS; i++)
        count += d->counts[i];
    return count;
}

void durations_join(struct durations *d, const struct durations *more)
{
    for (int i = 0; i < DURATIONS_BUCKETS; i++)
        d->counts[i] += more->counts[i];
    d->sum_s += more->sum_s;
}

bool durations_since(const struct durations *now, const struct durations *before,
                     struct durations *ret)
{
    struct durations d;
    for (int i = 0; i < DURATIONS_BUCKETS; i++) {
        if (now->counts[i] < before->counts[i])
            return false;
        d.counts[i] = now->counts[i] - before->counts[i];
    }
    d.sum_s = fmax(now->sum_s - before->sum_s, 0);
    *ret = d;
    return true;
}

double durations_quantile(const struct durations *d, double part)
{
    double wanted = part * (double)durations_count(d), below = 0;
    if (durations_count(d) == 0)
        return NAN;
    for (int i = 0; i < DURATIONS_BOUNDS; i++) {
        double here = (double)d->counts[i];
        if (here > 0 && below + here >= wanted) {
            double low_s = i > 0 ? durations_bounds_s[i - 1] : 0;
            return low_s + (durations_bounds_s[i] - low_s) * fmax(wanted - below, 0) / here;
        }
        below += here;
    }
    return durations_bounds_s[DURATIONS_BOUNDS - 1];
}
