/* curve.c - values between the points of a curve, and its concave hull. */
#include <assert.h>

#include "schedule/internal.h"

/* Points that stand for one segment of a curve that is not straight. */
#define HULL_PARTS 4

static double between(enum schedule_curve_kind kind, struct schedule_point a,
                      struct schedule_point b, double share)
{
    if (kind == SCHEDULE_STEPS)
        return a.value;
    double at = kind == SCHEDULE_LINEAR ? (share - a.share) / (b.share - a.share)
                                        : (1 / a.share - 1 / share) / (1 / a.share - 1 / b.share);
    return a.value + (b.value - a.value) * at;
}

double schedule_curve_at(const struct schedule_curve *c, double share)
{
    assert(c->count > 0);
    if (share < c->points[0].share - SCHEDULE_EPSILON)
        return 0;
    int low = 0, high = c->count; /* points[low].share <= share < points[high].share */
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (c->points[middle].share <= share + SCHEDULE_EPSILON)
            low = middle;
        else
            high = middle;
    }
    if (high == c->count || share <= c->points[low].share)
        return c->points[low].value;
    return between(c->kind, c->points[low], c->points[high], share);
}

double schedule_factor(const struct schedule_curve *inference, double share)
{
    return inference->count == 0 ? 1 : schedule_curve_at(inference, share);
}

double schedule_throughput(const struct schedule_curve *throughput, double share)
{
    return throughput->count == 0 ? share : schedule_curve_at(throughput, share);
}

/* Whether b lies on or under the line from a to c. */
static bool is_under(struct schedule_point a, struct schedule_point b, struct schedule_point c)
{
    return (b.value - a.value) * (c.share - a.share) <= (c.value - a.value) * (b.share - a.share);
}

static int hull_add(struct schedule_point *hull, int n, struct schedule_point p)
{
    if (p.share <= hull[n - 1].share) { /* a first point at share 0 */
        hull[n - 1].value = p.value > hull[n - 1].value ? p.value : hull[n - 1].value;
        return n;
    }
    while (n > 1 && is_under(hull[n - 2], hull[n - 1], p))
        n--;
    if (n > 0 && p.value <= hull[n - 1].value)
        return n;
    hull[n] = p;
    return n + 1;
}

int schedule_hull(const struct schedule_curve *c, struct schedule_point *hull)
{
    /* Straight segments and steps need their ends only. */
    int n = 1, parts = c->kind == SCHEDULE_INTERVAL && c->count < SCHEDULE_HULL_MAX / HULL_PARTS
                           ? HULL_PARTS
                           : 1;
    hull[0] = (struct schedule_point){0, 0};
    for (int i = 0; i < c->count; i++) {
        for (int k = 1; i > 0 && k < parts; k++) {
            struct schedule_point a = c->points[i - 1], b = c->points[i], p;
            p.share = a.share + (b.share - a.share) * k / parts;
            p.value = between(c->kind, a, b, p.share);
            n = hull_add(hull, n, p);
        }
        n = hull_add(hull, n, c->points[i]);
    }
    return n;
}
