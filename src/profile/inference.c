/* inference.c - running means, an isotonic fit over age, and the choice from the table. */
#include "profile/inference.h"

#include <assert.h>
#include <math.h>

/* What is assumed before anything was compared, and counts as one comparison afterwards: the side
 * to the power of SCALE_EXPONENT, times one plus the age in frames to the power of AGE_EXPONENT. */
#define SCALE_EXPONENT 0.3
#define AGE_EXPONENT (-0.05)
#define GUESS_WEIGHT 1.0

/* A change must gain as much; what runs may need as much more than its share. */
#define GAIN_MIN 0.005
#define SHARE_SLACK 1.05

void inference_grid_init(struct inference_grid *g)
{
    *g = (struct inference_grid){
        .stride_count = 5, .scale_count = 3, .strides = {1, 2, 4, 8, 16}, .scales = {1, 0.75, 0.5}};
}

static void check_grid(const struct inference_grid *g)
{
    assert(g->stride_count >= 1 && g->stride_count <= INFERENCE_STRIDES_MAX);
    assert(g->scale_count >= 1 && g->scale_count <= INFERENCE_SCALES_MAX);
    assert(g->strides[0] == 1 && g->scales[0] == 1);
    for (int i = 1; i < g->stride_count; i++)
        assert(g->strides[i] > g->strides[i - 1] && g->strides[i] <= INFERENCE_STRIDE_MAX);
    for (int i = 1; i < g->scale_count; i++)
        assert(g->scales[i] < g->scales[i - 1] && g->scales[i] > 0);
}

/* ---- measuring ---- */

static void add(struct inference_mean *m, double v)
{
    m->weight = fmin(m->weight + 1, INFERENCE_MEMORY);
    m->mean += (v - m->mean) / m->weight;
    m->count++;
}

void inference_profile_init(struct inference_profile *p, const struct inference_grid *grid,
                            double fps)
{
    check_grid(grid);
    assert(fps > 0);
    *p = (struct inference_profile){.grid = *grid, .fps = fps};
}

/* The stride whose last age that is. */
static int stride_at(const struct inference_grid *g, int age_frames)
{
    for (int i = 0; i < g->stride_count; i++)
        if (g->strides[i] - 1 == age_frames)
            return i;
    assert(!"an age of the grid");
    return 0;
}

void inference_profile_add_accuracy(struct inference_profile *p, int scale, int age_frames,
                                    double got, double full)
{
    int i = stride_at(&p->grid, age_frames);
    assert(scale >= 0 && scale < p->grid.scale_count);
    assert(got >= 0 && got <= 1 && full >= 0 && full <= 1);
    add(&p->got[scale][i], got);
    add(&p->full[scale][i], full);
}

void inference_profile_add_agreement(struct inference_profile *p, int scale, int age_frames,
                                     double agreed)
{
    int i = stride_at(&p->grid, age_frames);
    assert(scale >= 0 && scale < p->grid.scale_count);
    assert(agreed >= 0 && agreed <= 1);
    add(&p->agreed[scale][i], agreed);
}

void inference_profile_add_infer(struct inference_profile *p, int scale, double infer_s)
{
    assert(scale >= 0 && scale < p->grid.scale_count);
    add(&p->infer_s[scale], infer_s);
}

void inference_profile_add_frame(struct inference_profile *p, double frame_s)
{
    add(&p->frame_s, frame_s);
}

void inference_profile_add_pass(struct inference_profile *p, double pass_s)
{
    add(&p->pass_s, pass_s);
}

void inference_profile_add_background(struct inference_profile *p, double processors)
{
    add(&p->background, processors);
}

/* ---- the table ---- */

static double guess(const struct inference_grid *g, int scale, int age_frames)
{
    return pow(g->scales[scale], SCALE_EXPONENT) * pow(1 + age_frames, AGE_EXPONENT);
}

/* Brings v[n] to the nearest sequence that never rises, by squared distance with these weights:
 * neighbours that rise are pooled to their mean (Ayer et al. 1955). */
static void never_rise(double *v, double *weight, int n)
{
    double level[INFERENCE_STRIDES_MAX], mass[INFERENCE_STRIDES_MAX];
    int members[INFERENCE_STRIDES_MAX], pools = 0;
    for (int i = 0; i < n; i++) {
        level[pools] = v[i];
        mass[pools] = weight[i];
        members[pools++] = 1;
        for (; pools > 1 && level[pools - 1] > level[pools - 2]; pools--) {
            int a = pools - 2, b = pools - 1;
            level[a] = (level[a] * mass[a] + level[b] * mass[b]) / (mass[a] + mass[b]);
            mass[a] += mass[b];
            members[a] += members[b];
        }
    }
    for (int i = 0, pool = 0; pool < pools; pool++)
        for (int k = 0; k < members[pool]; k++)
            v[i++] = level[pool];
}

/* `value` that counts `weight` times, with what was assumed before it. */
static double shrunk(double value, double weight, double before)
{
    return (weight * value + GUESS_WEIGHT * before) / (weight + GUESS_WEIGHT);
}

/* Relative accuracy of a scale's answers at the grid's ages: a guess, improved by agreement,
 * improved by labels. */
static void factors_by_age(const struct inference_profile *p, int scale, double *ret)
{
    const struct inference_grid *g = &p->grid;
    double weight[INFERENCE_STRIDES_MAX];
    for (int i = 0; i < g->stride_count; i++) {
        const struct inference_mean *got = &p->got[scale][i], *full = &p->full[scale][i];
        const struct inference_mean *agreed = &p->agreed[scale][i];
        double measured = full->mean > 0 ? fmin(got->mean / full->mean, 1) : 1;
        double assumed = shrunk(agreed->mean, agreed->weight, guess(g, scale, g->strides[i] - 1));
        ret[i] = shrunk(measured, got->weight, assumed);
        weight[i] = (got->count ? got->weight : agreed->weight) + GUESS_WEIGHT;
    }
    if (scale == 0)
        ret[0] = 1; /* that is the configuration that all are compared with */
    never_rise(ret, weight, g->stride_count);
}

/* Sum over the ages 0..strides[count - 1] - 1 of the line through the known ones. */
static double sum_over_ages(const struct inference_grid *g, const double *factor, int count)
{
    double sum = factor[0];
    for (int i = 1; i < count; i++) {
        int gap = g->strides[i] - g->strides[i - 1];
        for (int k = 1; k <= gap; k++)
            sum += factor[i - 1] + (factor[i] - factor[i - 1]) * k / gap;
    }
    return sum;
}

/* Of one inference; of a scale that has not run, by the area of the nearest one that has. */
static double infer_seconds(const struct inference_profile *p, int scale)
{
    for (int far = 0; far < p->grid.scale_count; far++)
        for (int side = -1; side <= 1; side += 2) {
            int other = scale + side * far;
            if (other < 0 || other >= p->grid.scale_count || p->infer_s[other].count == 0)
                continue;
            double ratio = p->grid.scales[scale] / p->grid.scales[other];
            return p->infer_s[other].mean * ratio * ratio;
        }
    return 0;
}

static double demand_of(const struct inference_profile *p, int scale, int stride)
{
    double pass_s = p->pass_s.count ? p->pass_s.mean : p->frame_s.mean, part = 1.0 / stride;
    double second = (p->frame_s.mean + infer_seconds(p, scale)) * part + pass_s * (1 - part);
    return p->background.mean + p->fps * second;
}

static uint64_t samples_of(const struct inference_profile *p, int scale, int stride_index)
{
    uint64_t least = UINT64_MAX;
    for (int i = scale == 0 ? 1 : 0; i <= stride_index; i++)
        if (p->got[scale][i].count < least)
            least = p->got[scale][i].count;
    return least;
}

void inference_profile_table(const struct inference_profile *p, struct inference_table *ret)
{
    const struct inference_grid *g = &p->grid;
    ret->count = 0;
    for (int scale = 0; scale < g->scale_count; scale++) {
        double factor[INFERENCE_STRIDES_MAX];
        factors_by_age(p, scale, factor);
        for (int i = 0; i < g->stride_count; i++)
            ret->points[ret->count++] = (struct inference_point){
                .configuration = {g->strides[i], g->scales[scale]},
                .demand = demand_of(p, scale, g->strides[i]),
                .factor = sum_over_ages(g, factor, i + 1) / g->strides[i],
                .samples = samples_of(p, scale, i),
            };
    }
    ret->points[0].samples = g->stride_count > 1 ? p->got[0][1].count : 0;
}

/* ---- choosing ---- */

/* How far a value is from a wish, the same up and down; 0 without a wish. */
static double distance(double value, double wish)
{
    return wish > 0 ? fabs(log(value / wish)) : 0;
}

static double distance_to(const struct inference_point *p, const struct inference_wish *wish)
{
    return distance(1.0 / p->configuration.stride, wish->rate) +
           distance(p->configuration.scale, wish->scale);
}

static bool is_better(const struct inference_point *a, const struct inference_point *b,
                      double share)
{
    bool a_fits = a->demand <= share, b_fits = b->demand <= share;
    if (a_fits != b_fits)
        return a_fits;
    if (!a_fits || a->factor == b->factor)
        return a->demand < b->demand;
    return a->factor > b->factor;
}

int inference_pick(const struct inference_table *t, const struct inference_wish *wish, double share,
                   int current)
{
    assert(t->count > 0 && current < t->count);
    double nearest = INFINITY;
    for (int i = 0; i < t->count; i++)
        nearest = fmin(nearest, distance_to(&t->points[i], wish));
    int best = -1;
    for (int i = 0; i < t->count; i++)
        if (distance_to(&t->points[i], wish) <= nearest + 1e-9 &&
            (best < 0 || is_better(&t->points[i], &t->points[best], share)))
            best = i;
    bool may_stay = current >= 0 && distance_to(&t->points[current], wish) <= nearest + 1e-9 &&
                    t->points[current].demand <= share * SHARE_SLACK;
    return may_stay && t->points[best].factor < t->points[current].factor + GAIN_MIN ? current
                                                                                     : best;
}

int inference_front(const struct inference_table *t, struct inference_point *front)
{
    int count = 0;
    for (int i = 0; i < t->count; i++) {
        struct inference_point p = t->points[i];
        int at = count++; /* insertion by demand, then by factor falling */
        for (; at > 0 && (front[at - 1].demand > p.demand ||
                          (front[at - 1].demand == p.demand && front[at - 1].factor < p.factor));
             at--)
            front[at] = front[at - 1];
        front[at] = p;
    }
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (kept == 0 || front[i].factor > front[kept - 1].factor)
            front[kept++] = front[i];
    return kept;
}
