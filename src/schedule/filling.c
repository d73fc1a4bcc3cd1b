/* filling.c - a total of inference share divided over the cameras by the slopes of their hulls. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/list.h"

struct segment {
    int camera;
    double share, slope; /* its width; accuracy per share */
};

/* The least share at which the camera is not below its floor; 0 where it cannot be helped. */
static double floor_share(const struct schedule_camera *c)
{
    const struct schedule_curve *f = &c->infer;
    if (f->count == 0 || c->accuracy_min <= 0 || !schedule_is_below_floor(c, 0))
        return 0;
    double low = 0, high = f->points[f->count - 1].share;
    if (schedule_is_below_floor(c, high))
        return 0;
    for (int i = 0; i < 40; i++) {
        double middle = (low + high) / 2;
        if (schedule_is_below_floor(c, middle))
            low = middle;
        else
            high = middle;
    }
    return high;
}

static void add_segments(struct filling *f, int camera)
{
    const struct schedule_camera *c = &f->s->cameras[camera];
    struct schedule_point hull[SCHEDULE_HULL_MAX];
    int n = c->infer.count ? schedule_hull(&c->infer, hull) : 0;
    for (int i = 1; i < n; i++) {
        double from = hull[i - 1].share, slope;
        if (hull[i].share <= f->floor_share[camera])
            continue;
        slope = schedule_members(c) * c->accuracy * (hull[i].value - hull[i - 1].value) /
                (hull[i].share - from);
        from = from < f->floor_share[camera] ? f->floor_share[camera] : from;
        f->segments[f->segment_count++] =
            (struct segment){.camera = camera, .share = hull[i].share - from, .slope = slope};
    }
}

static int by_slope(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;
    if (x->slope != y->slope)
        return x->slope > y->slope ? -1 : 1;
    return x->camera - y->camera;
}

enum status filling_init(const struct schedule_snapshot *s, struct filling *ret, struct error *err)
{
    size_t n = (size_t)s->count, points = 0;
    for (int i = 0; i < s->count; i++)
        points += s->cameras[i].infer.count ? SCHEDULE_HULL_MAX : 0;
    struct filling f = {.s = s,
                        .segments = malloc((points + 1) * sizeof *f.segments),
                        .floor_share = calloc(n, sizeof *f.floor_share),
                        .share = calloc(n, sizeof *f.share),
                        .closed = calloc(n, sizeof *f.closed)};
    *ret = f;
    if (!f.segments || !f.floor_share || !f.share || !f.closed)
        return error_set(err, ST_NOMEM, "no memory to divide inference over %d cameras", s->count);
    for (int i = 0; i < s->count; i++) {
        ret->floor_share[i] = floor_share(&s->cameras[i]);
        ret->demand += ret->floor_share[i];
        add_segments(ret, i);
    }
    for (int i = 0; i < ret->segment_count; i++)
        ret->demand += ret->segments[i].share;
    qsort(ret->segments, (size_t)ret->segment_count, sizeof *ret->segments, by_slope);
    return ST_OK;
}

void filling_clear(struct filling *f)
{
    free(f->segments);
    free(f->floor_share);
    free(f->share);
    free(f->closed);
}

/* Returns what is left when all floors that fit are served. */
static double serve_floors(struct filling *f, double total)
{
    for (int i = 0; i < f->s->count; i++) {
        bool fits = f->floor_share[i] <= total + SCHEDULE_EPSILON;
        f->share[i] = fits ? f->floor_share[i] : 0;
        f->closed[i] = !fits;
        total -= f->share[i];
    }
    return total;
}

static void fill_by_slope(struct filling *f, double total)
{
    double left = serve_floors(f, total);
    for (int k = 0; k < f->segment_count && left > SCHEDULE_EPSILON; k++) {
        const struct segment *g = &f->segments[k];
        bool whole = f->s->cameras[g->camera].infer.kind == SCHEDULE_STEPS;
        double take = g->share <= left ? g->share : left;
        if (f->closed[g->camera] || (whole && g->share > left + SCHEDULE_EPSILON)) {
            f->closed[g->camera] = true;
            continue;
        }
        f->share[g->camera] += take;
        left -= take;
    }
}

/* Fewer cameras below their floors, then accuracy a second. */
static void judge(const struct filling *f, const double *share, double equal, int *ret_below,
                  double *ret_sum)
{
    *ret_below = 0;
    *ret_sum = 0;
    for (int i = 0; i < f->s->count; i++) {
        const struct schedule_camera *c = &f->s->cameras[i];
        double mine = share ? share[i] : equal;
        *ret_below += schedule_is_below_floor(c, mine);
        *ret_sum += schedule_members(c) * c->accuracy * schedule_factor(&c->infer, mine);
    }
}

/* Where curves are no hulls (steps; a hollow between two points), equal shares can be better. */
void filling_fill(struct filling *f, double total)
{
    int below, equal_below, here = 0;
    double sum, equal_sum;
    fill_by_slope(f, total);
    for (int i = 0; i < f->s->count; i++)
        here += f->s->cameras[i].infer.count > 0;
    if (here == 0)
        return;
    judge(f, f->share, 0, &below, &sum);
    judge(f, NULL, total / here, &equal_below, &equal_sum);
    if (equal_below > below || (equal_below == below && equal_sum <= sum + SCHEDULE_EPSILON))
        return;
    for (int i = 0; i < f->s->count; i++)
        f->share[i] = f->s->cameras[i].infer.count > 0 ? total / here : 0;
}
