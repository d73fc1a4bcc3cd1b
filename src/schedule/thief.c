/* thief.c - Ekya's Algorithm 1 over units of delta.
 *
 * What a camera is worth is (factor of its inference share) x (model accuracy over the window by
 * its training share): two tables a camera, made once, so a trial is two products. As printed: one
 * pass over all pairs of thief and victim, and a pair ends at the first amount that gains nothing.
 * Ours
 * ("thief"): every amount is tried and the best one taken, and passes go on until nothing changes.
 * Both treat floors softly: fewer cameras below theirs wins over any accuracy. The paper's empty
 * pool (worth 0) starves a camera that starts below its floor. */
#include <math.h>
#include <stdlib.h>

#include "schedule/internal.h"

#define PASSES_MAX 1000

struct job {
    int camera;
    bool trains; /* else: infers */
    int units;
};

struct thief {
    const struct schedule_snapshot *s;
    double base, delta;               /* a job's share is base + units * delta */
    int job_count, unit_count, width; /* width: of a table, units and one */
    struct job *jobs;
    int *infer_job, *train_job; /* [cameras], -1: none */
    double *factor, *model;     /* [cameras][width] */
    bool *below;                /* [cameras][width] */
    struct value {
        int below;
        double sum;
    } value;
    uint64_t evaluations;
};

static void thief_clear(struct thief *t)
{
    free(t->jobs);
    free(t->infer_job);
    free(t->factor);
    free(t->model);
    free(t->below);
}

static enum status allocate(struct thief *t, struct error *err)
{
    size_t n = (size_t)t->s->count, cells = n * (size_t)t->width;
    t->jobs = calloc(2 * n, sizeof *t->jobs);
    t->infer_job = calloc(2 * n, sizeof *t->infer_job);
    t->factor = malloc(cells * sizeof *t->factor);
    t->model = malloc(cells * sizeof *t->model);
    t->below = malloc(cells * sizeof *t->below);
    if (!t->jobs || !t->infer_job || !t->factor || !t->model || !t->below)
        return error_set(err, ST_NOMEM, "no memory to plan %d cameras in %d units", t->s->count,
                         t->unit_count);
    t->train_job = t->infer_job + n;
    return ST_OK;
}

static void list_jobs(struct thief *t)
{
    for (int i = 0; i < t->s->count; i++) {
        t->infer_job[i] = -1;
        if (t->s->cameras[i].infer.count) {
            t->infer_job[i] = t->job_count;
            t->jobs[t->job_count++] = (struct job){.camera = i};
        }
        t->train_job[i] = t->job_count;
        t->jobs[t->job_count++] = (struct job){.camera = i, .trains = true};
    }
}

/* A fair start: in whole units, the first jobs one more; or, as printed, equal parts. */
static void share_fairly(struct thief *t)
{
    int each = t->unit_count / t->job_count, over = t->unit_count % t->job_count;
    if (!t->s->settings.aligned) {
        double share = t->s->capacity / t->job_count;
        each = (int)floor(share / t->delta + 1e-9);
        t->base = share - each * t->delta;
        over = 0;
    }
    for (int j = 0; j < t->job_count; j++)
        t->jobs[j].units = each + (j < over);
}

static double share_of(const struct thief *t, int units)
{
    return t->base + units * t->delta;
}

static void make_tables(struct thief *t)
{
    static const struct schedule_curve full = {0}; /* a factor of 1 */
    for (int i = 0; i < t->s->count; i++) {
        const struct schedule_camera *c = &t->s->cameras[i];
        struct schedule_camera alone = *c;
        alone.infer = full;
        for (int u = 0; u < t->width; u++) {
            size_t at = (size_t)i * (size_t)t->width + (size_t)u;
            int option;
            t->factor[at] = schedule_factor(&c->infer, share_of(t, u));
            t->below[at] = schedule_is_below_floor(c, share_of(t, u));
            t->model[at] = schedule_pick(t->s, &alone, 0, share_of(t, u), &option);
        }
    }
}

/* Units of the camera's two jobs, with `more` units for job j. */
static void add_camera(const struct thief *t, int camera, int j, int more, int sign,
                       struct value *v)
{
    int a = t->infer_job[camera], b = t->train_job[camera];
    size_t row = (size_t)camera * (size_t)t->width;
    size_t infer = row + (a < 0 ? 0 : (size_t)(t->jobs[a].units + (a == j ? more : 0)));
    size_t train = row + (size_t)(t->jobs[b].units + (b == j ? more : 0));
    v->sum += sign * t->factor[infer] * t->model[train];
    v->below += sign * t->below[infer];
}

static struct value value_after(struct thief *t, int thief, int victim, int units)
{
    struct value v = t->value;
    int a = t->jobs[thief].camera, b = t->jobs[victim].camera;
    t->evaluations++;
    add_camera(t, a, -1, 0, -1, &v);
    if (a != b) {
        add_camera(t, b, -1, 0, -1, &v);
        add_camera(t, a, thief, units, 1, &v);
        add_camera(t, b, victim, -units, 1, &v);
        return v;
    }
    t->jobs[thief].units += units;
    add_camera(t, a, victim, -units, 1, &v);
    t->jobs[thief].units -= units;
    return v;
}

static bool is_better(struct value a, struct value b)
{
    return a.below != b.below ? a.below < b.below : a.sum > b.sum + SCHEDULE_EPSILON;
}

/* Steals what is best for the whole; false when nothing is. */
static bool steal(struct thief *t, int thief, int victim, bool printed)
{
    int best = 0;
    struct value top = t->value;
    for (int units = 1; units <= t->jobs[victim].units; units++) {
        struct value v = value_after(t, thief, victim, units);
        if (is_better(v, top)) {
            best = units;
            top = v;
        } else if (printed)
            break;
    }
    t->jobs[thief].units += best;
    t->jobs[victim].units -= best;
    t->value = top;
    return best > 0;
}

static bool pass(struct thief *t, bool printed)
{
    bool any = false;
    for (int i = 0; i < t->job_count; i++)
        for (int j = 0; j < t->job_count; j++)
            if (i != j && t->jobs[j].units > 0)
                any |= steal(t, i, j, printed);
    return any;
}

static void fill_grants(const struct thief *t, struct schedule_plan *p)
{
    for (int i = 0; i < t->s->count; i++) {
        const struct schedule_camera *c = &t->s->cameras[i];
        int a = t->infer_job[i], option;
        double infer = a < 0 ? 0 : share_of(t, t->jobs[a].units);
        double train = share_of(t, t->jobs[t->train_job[i]].units);
        schedule_pick(t->s, c, infer, train, &option);
        schedule_grant_fill(t->s, i, infer, train, option, &p->grants[i]);
    }
}

enum status schedule_thief(const struct schedule_snapshot *s, struct schedule_plan *p,
                           struct error *err)
{
    bool printed = s->settings.policy == SCHEDULE_THIEF_PRINTED;
    struct thief t = {.s = s, .delta = s->settings.delta};
    t.unit_count = (int)floor(s->capacity / t.delta + 1e-9);
    t.width = t.unit_count + 1;
    enum status st = allocate(&t, err);
    if (st == ST_OK) {
        list_jobs(&t);
        share_fairly(&t);
        make_tables(&t);
        for (int i = 0; i < s->count; i++)
            add_camera(&t, i, -1, 0, 1, &t.value);
        for (p->rounds = 1; pass(&t, printed) && !printed && p->rounds < PASSES_MAX; p->rounds++)
            ;
        fill_grants(&t, p);
        p->evaluations = t.evaluations;
    }
    thief_clear(&t);
    return st;
}
