/* controller.c - tries every size at every rate that the group can use, within the bandwidth. */
#include "uplink/controller.h"

#include <assert.h>
#include <math.h>

#define SIDE_MIN 16

/* Same choice: the table's numbers come out of the same arithmetic, so this is for small drifts of
 * the group's share. */
#define SAME_PART 0.1

/* Pictures of another size than the table's cost, and take to train, in proportion to pixels. */
static double pixels_part(const struct controller_table *t, const struct controller_input *in)
{
    if (in->width <= 0 || in->height <= 0)
        return 1;
    return (double)in->width * in->height / ((double)t->width * t->height);
}

static double expected_kbps(const struct controller_table *t, const struct controller_input *in,
                            int size, double fps)
{
    double cost = in->cost > 0 ? in->cost : 1;
    return controller_table_kbps(t, size, fps) * pixels_part(t, in) * cost;
}

double controller_expected_kbps(const struct controller_table *t, const struct controller_input *in,
                                double scale, double fps)
{
    int nearest = 0;
    for (int i = 1; i < t->size_count; i++)
        if (fabs(t->sizes[i].scale - scale) < fabs(t->sizes[nearest].scale - scale))
            nearest = i;
    return expected_kbps(t, in, nearest, fps);
}

static int side(int whole, double scale)
{
    int v = 2 * (int)lround(whole * scale / 2);
    return v < SIDE_MIN ? SIDE_MIN : v;
}

static bool size_is_wished(const struct controller_input *in, double scale)
{
    return scale >= in->scale_min && !(in->scale_max > 0 && scale > in->scale_max);
}

/* Which sizes may be chosen: those within the wishes, or the nearest. */
static void allow_sizes(const struct controller_table *t, const struct controller_input *in,
                        bool *ret)
{
    bool any = false;
    for (int i = 0; i < t->size_count; i++)
        any |= ret[i] = size_is_wished(in, t->sizes[i].scale);
    if (any)
        return;
    double wish = in->scale_max > 0 ? fmin(in->scale_max, fmax(in->scale_min, 0)) : in->scale_min;
    int best = 0;
    for (int i = 1; i < t->size_count; i++)
        if (fabs(t->sizes[i].scale - wish) < fabs(t->sizes[best].scale - wish))
            best = i;
    ret[best] = true;
}

/* Frames a second that this member should send at most: its part of what the group can use. */
static double member_fps(const struct controller_table *t, const struct controller_input *in,
                         int size)
{
    double fps = in->share * t->sizes[size].trainable_fps / pixels_part(t, in) / in->members;
    return fmin(fmax(fps, CONTROLLER_FPS_MIN), in->asr_fps);
}

struct candidate {
    int size;
    double fps, kbps, accuracy;
};

static struct candidate candidate_at(const struct controller_table *t,
                                     const struct controller_input *in, int size, double fps)
{
    return (struct candidate){.size = size,
                              .fps = fps,
                              .kbps = expected_kbps(t, in, size, fps),
                              .accuracy =
                                  controller_table_accuracy(t, size, in->share, fps * in->members)};
}

/* Every table rate below the member's part, and the part itself, which is the table's next step cut
 * to what the group can use. */
static int list_candidates(const struct controller_table *t, const struct controller_input *in,
                           struct candidate *ret)
{
    bool allowed[CONTROLLER_SIZES_MAX];
    int count = 0;
    allow_sizes(t, in, allowed);
    for (int s = 0; s < t->size_count; s++) {
        if (!allowed[s])
            continue;
        double part_fps = fmin(member_fps(t, in, s), t->fps[t->rate_count - 1]);
        for (int r = 0; r < t->rate_count && t->fps[r] < part_fps; r++)
            ret[count++] = candidate_at(t, in, s, t->fps[r]);
        ret[count++] = candidate_at(t, in, s, part_fps);
    }
    return count;
}

static const struct candidate *cheapest_of(const struct candidate *list, int count, double limit,
                                           double accuracy_min)
{
    const struct candidate *best = NULL;
    for (int i = 0; i < count; i++) {
        const struct candidate *c = &list[i];
        if (c->kbps > limit || c->accuracy < accuracy_min)
            continue;
        if (!best || c->kbps < best->kbps ||
            (c->kbps == best->kbps && c->accuracy > best->accuracy))
            best = c;
    }
    return best;
}

/* The cheapest that is as good as the best; NULL: none fits the bandwidth. */
static const struct candidate *best_of(const struct controller_table *t,
                                       const struct candidate *list, int count, double limit)
{
    double highest = -1;
    for (int i = 0; i < count; i++)
        if (list[i].kbps <= limit)
            highest = fmax(highest, list[i].accuracy);
    return highest < 0 ? NULL : cheapest_of(list, count, limit, highest - t->slack);
}

/* The cheapest row so rarely that it fits. */
static struct candidate squeezed(const struct controller_table *t,
                                 const struct controller_input *in, const struct candidate *list,
                                 int count)
{
    const struct candidate *c = cheapest_of(list, count, INFINITY, -1);
    double fps = c->kbps > 0 ? c->fps * in->bandwidth_kbps / c->kbps : c->fps;
    struct candidate ret = candidate_at(t, in, c->size, fmax(fps, CONTROLLER_FPS_MIN));
    ret.kbps = fmin(ret.kbps, in->bandwidth_kbps);
    return ret;
}

void controller_choose(const struct controller_table *t, const struct controller_input *in,
                       struct controller_choice *ret)
{
    assert(in->members >= 1 && in->share >= 0 && in->asr_fps > 0);
    struct candidate list[CONTROLLER_SIZES_MAX * (CONTROLLER_RATES_MAX + 1)];
    int count = list_candidates(t, in, list);
    double limit = fmax(in->bandwidth_kbps, 0);
    const struct candidate *found = best_of(t, list, count, limit);
    struct candidate c = found ? *found : squeezed(t, in, list, count);
    double scale = t->sizes[c.size].scale;
    *ret =
        (struct controller_choice){.fps = c.fps,
                                   .width = side(in->width > 0 ? in->width : t->width, scale),
                                   .height = side(in->height > 0 ? in->height : t->height, scale),
                                   .scale = scale,
                                   .kbps = c.kbps,
                                   .accuracy = c.accuracy};
}

/* ---- hysteresis ---- */

void controller_init(struct controller *c)
{
    *c = (struct controller){0};
}

static bool near(double a, double b)
{
    return fabs(a - b) <= SAME_PART * fmax(fabs(a), fabs(b));
}

static bool same(const struct controller_choice *a, const struct controller_choice *b)
{
    return a->scale == b->scale && near(a->fps, b->fps);
}

static bool sends_less(const struct controller_choice *a, const struct controller_choice *than)
{
    return a->scale == than->scale && a->fps <= than->fps && a->kbps <= than->kbps;
}

/* What is in force, so much rarer that it keeps the bounds of this window. */
static void keep_bounds(struct controller_choice *c, const struct controller_input *in)
{
    double part = 1;
    if (c->kbps > in->bandwidth_kbps)
        part = fmax(in->bandwidth_kbps, 0) / c->kbps;
    if (c->fps * part > in->asr_fps)
        part = in->asr_fps / c->fps;
    c->kbps *= part;
    c->fps = fmin(fmax(c->fps * part, CONTROLLER_FPS_MIN), fmax(in->asr_fps, 0));
}

void controller_step(struct controller *c, const struct controller_table *t,
                     const struct controller_input *in, struct controller_choice *ret)
{
    struct controller_choice wanted;
    controller_choose(t, in, &wanted);
    bool again = c->pending && same(&wanted, &c->next);
    if (!c->started || again || sends_less(&wanted, &c->now)) {
        c->now = wanted;
        c->started = true;
        c->pending = false;
    } else {
        c->pending = !same(&wanted, &c->now);
        c->next = wanted;
        keep_bounds(&c->now, in);
    }
    *ret = c->now;
}
