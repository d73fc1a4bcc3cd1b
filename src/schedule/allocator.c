/* allocator.c - what is known of each group, and the rules: see allocator.h. */
#include "schedule/allocator.h"

#include <math.h>
#include <stdlib.h>

#include "base/names.h"

#define POTENTIAL_NEW 0.1 /* of a group of which nothing is known */
#define SHARE_SMOOTH 0.5  /* weight of the newest window in a group's share */

static const char *const rule_names[] = {NULL, "equal", "recl", "ecco", "attune"};

struct job {
    struct allocator_job now;
    int slots;        /* in this window */
    int waited;       /* windows without one */
    bool owed;        /* it gets one in this window in any case */
    bool measured;    /* gain and potential rest on an observation */
    double gain;      /* of a micro-window, running mean (recl, ecco) */
    double potential; /* attune */
    double share;     /* smoothed; NaN: no window has ended yet */
};

struct allocator {
    struct allocator_settings set;
    struct job *jobs; /* ascending ids */
    int count, used;  /* slots of this window */
    double *curves;   /* room for allocator_plan's gains */
    struct allocator_curve *plan;
    int *planned;
    struct job **order; /* by waiting */
    int room;           /* jobs that the arrays have room for */
    int owed;           /* jobs that are */
};

const char *allocator_rule_name(enum allocator_rule r)
{
    return names_text(rule_names, NAMES_COUNT(rule_names), r, NULL);
}

enum allocator_rule allocator_rule_parse(const char *name)
{
    return (enum allocator_rule)names_find(rule_names, NAMES_COUNT(rule_names), name, 0);
}

void allocator_settings_init(struct allocator_settings *s)
{
    *s = (struct allocator_settings){
        .rule = ALLOCATOR_ATTUNE, .fairness = 0.5, .trust = 0.4, .keep = 0.8, .slots = 8};
}

enum status allocator_open(const struct allocator_settings *s, struct allocator **ret,
                           struct error *err)
{
    if (!allocator_rule_name(s->rule) || !(s->fairness >= 0 && s->fairness <= 100) ||
        !(s->trust >= 0 && s->trust <= 1) || !(s->keep >= 0 && s->keep < 1) || s->slots < 1 ||
        s->slots > ALLOCATOR_SLOTS_MAX)
        return error_set(err, ST_INVALID,
                         "allocator: fairness %g (0..100), trust %g (0..1), keep %g (0..1) or %d "
                         "slots (1..%d) is out of range",
                         s->fairness, s->trust, s->keep, s->slots, ALLOCATOR_SLOTS_MAX);
    struct allocator *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(err, ST_NOMEM, "no memory for an allocator");
    a->set = *s;
    *ret = a;
    return ST_OK;
}

void allocator_close(struct allocator **a)
{
    if (!a || !*a)
        return;
    free((*a)->jobs);
    free((*a)->curves);
    free((*a)->plan);
    free((*a)->planned);
    free((*a)->order);
    free(*a);
    *a = NULL;
}

static int compare_id(const void *key, const void *item)
{
    uint64_t id = *(const uint64_t *)key, other = ((const struct job *)item)->now.id;
    return (id > other) - (id < other);
}

static struct job *find(const struct allocator *a, uint64_t id)
{
    if (a->count == 0)
        return NULL;
    return bsearch(&id, a->jobs, (size_t)a->count, sizeof *a->jobs, compare_id);
}

/* ---- who is there ---- */

static enum status reserve(struct allocator *a, int count, struct error *err)
{
    if (count <= a->room)
        return ST_OK;
    size_t n = (size_t)count;
    double *curves = realloc(a->curves, n * (size_t)a->set.slots * sizeof *curves);
    if (curves)
        a->curves = curves;
    struct allocator_curve *plan = realloc(a->plan, n * sizeof *plan);
    if (plan)
        a->plan = plan;
    int *planned = realloc(a->planned, n * sizeof *planned);
    if (planned)
        a->planned = planned;
    struct job **order = realloc(a->order, n * sizeof(struct job *));
    if (order)
        a->order = order;
    if (!curves || !plan || !planned || !order)
        return error_set(err, ST_NOMEM, "no memory for %d groups", count);
    a->room = count;
    return ST_OK;
}

static enum status check(const struct allocator_job *jobs, int count, struct error *err)
{
    if (count < 0 || count > ALLOCATOR_JOBS_MAX)
        return error_set(err, ST_LIMIT, "%d groups, at most %d", count, ALLOCATOR_JOBS_MAX);
    for (int i = 0; i < count; i++)
        if (jobs[i].members < 1 || jobs[i].id == 0 || (i > 0 && jobs[i].id <= jobs[i - 1].id))
            return error_set(err, ST_INVALID, "group %llu: %d members, ids must ascend",
                             (unsigned long long)jobs[i].id, jobs[i].members);
    return ST_OK;
}

static double mean_potential(const struct allocator *a)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < a->count; i++)
        if (a->jobs[i].measured) {
            sum += a->jobs[i].potential;
            n++;
        }
    return n ? fmax(sum / n, POTENTIAL_NEW) : POTENTIAL_NEW;
}

/* What drift took can be won back; what came without training need not be won. */
static void see(struct job *j, double accuracy)
{
    if (isfinite(accuracy) && isfinite(j->now.accuracy))
        j->potential += j->now.accuracy - accuracy;
    if (isfinite(accuracy)) {
        j->now.accuracy = accuracy;
        j->potential = fmin(fmax(j->potential, 0), 1 - accuracy);
    }
}

enum status allocator_update(struct allocator *a, const struct allocator_job *jobs, int count,
                             struct error *err)
{
    enum status st = check(jobs, count, err);
    if (st == ST_OK)
        st = reserve(a, count, err);
    struct job *list = st == ST_OK ? calloc((size_t)count + 1, sizeof *list) : NULL;
    if (st != ST_OK || !list)
        return st != ST_OK ? st : error_set(err, ST_NOMEM, "no memory for %d groups", count);
    double potential = mean_potential(a);
    for (int i = 0; i < count; i++) {
        const struct job *known = find(a, jobs[i].id);
        struct job *j = &list[i];
        *j = known
                 ? *known
                 : (struct job){
                       .now = {.accuracy = NAN}, .potential = potential, .gain = NAN, .share = NAN};
        double accuracy = j->now.accuracy;
        j->now = jobs[i];
        j->now.accuracy = accuracy;
        see(j, jobs[i].accuracy);
    }
    free(a->jobs);
    a->jobs = list;
    a->count = count;
    return ST_OK;
}

static void end_window(struct allocator *a)
{
    if (a->used == 0)
        return;
    for (int i = 0; i < a->count; i++) {
        struct job *j = &a->jobs[i];
        double share = a->used > 0 ? (double)j->slots / a->used : 0;
        j->share =
            isfinite(j->share) ? (1 - SHARE_SMOOTH) * j->share + SHARE_SMOOTH * share : share;
        j->waited = j->slots > 0 || !j->now.ready ? 0 : j->waited + 1;
        j->slots = 0;
    }
    a->used = 0;
}

/* Longest waiting first. */
static int compare_waited(const void *x, const void *y)
{
    const struct job *a = *(struct job *const *)x, *b = *(struct job *const *)y;
    if (a->waited != b->waited)
        return a->waited > b->waited ? -1 : 1;
    return (a->now.id > b->now.id) - (a->now.id < b->now.id);
}

/* Every ready group, or as many as half of the slots. */
static void set_owed(struct allocator *a)
{
    int most = a->set.slots > 1 ? a->set.slots / 2 : 1;
    for (int i = 0; i < a->count; i++)
        a->order[i] = &a->jobs[i];
    qsort(a->order, (size_t)a->count, sizeof *a->order, compare_waited);
    a->owed = 0;
    for (int i = 0; i < a->count; i++) {
        struct job *j = a->order[i];
        j->owed = j->now.ready && a->owed < most;
        a->owed += j->owed;
    }
}

enum status allocator_begin(struct allocator *a, const struct allocator_job *jobs, int count,
                            struct error *err)
{
    end_window(a);
    enum status st = allocator_update(a, jobs, count, err);
    if (st == ST_OK)
        set_owed(a);
    return st;
}

/* ---- the rules ---- */

static bool is_due(const struct job *j)
{
    return j->owed && j->slots == 0 && j->now.ready;
}

/* The job of the highest score, the first of equals; NULL: none is ready. */
static struct job *best_of(struct allocator *a,
                           double (*score)(const struct allocator *a, const struct job *j))
{
    struct job *best = NULL;
    double most = -INFINITY;
    for (int i = 0; i < a->count; i++) {
        struct job *j = &a->jobs[i];
        double v = j->now.ready ? score(a, j) : -INFINITY;
        if (v > most) {
            most = v;
            best = j;
        }
    }
    return best;
}

static double equal_score(const struct allocator *a, const struct job *j)
{
    (void)a;
    return j->waited - (double)j->slots * ALLOCATOR_JOBS_MAX;
}

static const struct job *worst_of(const struct allocator *a)
{
    const struct job *worst = NULL;
    for (int i = 0; i < a->count; i++)
        if (isfinite(a->jobs[i].now.accuracy) &&
            (!worst || a->jobs[i].now.accuracy < worst->now.accuracy))
            worst = &a->jobs[i];
    return worst;
}

static int members_of(const struct allocator *a)
{
    int n = 0;
    for (int i = 0; i < a->count; i++)
        n += a->jobs[i].now.members;
    return n;
}

/* Who is due goes first: its micro-window measures its gain. */
static double greedy_score(const struct allocator *a, const struct job *j)
{
    double members = j->now.members;
    if (is_due(j))
        return 1e9 + j->waited;
    if (a->set.rule == ALLOCATOR_ECCO && j == worst_of(a))
        members += a->set.fairness * members_of(a);
    return isfinite(j->gain) ? members * j->gain : 0;
}

static double expected(const struct allocator *a, const struct job *j)
{
    return (1 - a->set.keep) * j->potential;
}

static void set_curves(struct allocator *a, int slots)
{
    for (int i = 0; i < a->count; i++) {
        const struct job *j = &a->jobs[i];
        double *gain = a->curves + (size_t)i * (size_t)slots;
        double next = j->now.ready ? expected(a, j) : 0;
        for (int k = 0; k < slots; k++, next *= a->set.keep)
            gain[k] = next;
        a->plan[i] = (struct allocator_curve){
            .members = j->now.members,
            .floor = is_due(j),
            .accuracy = isfinite(j->now.accuracy) ? j->now.accuracy : 1 - j->potential,
            .gain = gain};
    }
}

/* Of whom nothing is known is tried first. */
static bool goes_before(const struct allocator *a, const struct job *j, const struct job *than)
{
    if (than && j->measured != than->measured)
        return !j->measured;
    return !than || j->now.members * expected(a, j) > than->now.members * expected(a, than);
}

/* Of those that the plan gives slots, the one whose next is worth most. */
static struct job *planned_next(struct allocator *a)
{
    int left = a->set.slots - a->used;
    set_curves(a, left);
    if (allocator_plan(a->plan, a->count, left, a->set.fairness, a->planned, NULL) != ST_OK)
        return NULL;
    struct job *best = NULL;
    for (int i = 0; i < a->count; i++)
        if (a->planned[i] > 0 && a->jobs[i].now.ready && goes_before(a, &a->jobs[i], best))
            best = &a->jobs[i];
    return best;
}

uint64_t allocator_next(struct allocator *a)
{
    if (a->used >= a->set.slots || a->count == 0)
        return 0;
    const struct job *j;
    if (a->set.rule == ALLOCATOR_ATTUNE)
        j = planned_next(a);
    else
        j = best_of(a, a->set.rule == ALLOCATOR_EQUAL ? equal_score : greedy_score);
    return j ? j->now.id : 0;
}

/* ---- what came of it ---- */

void allocator_trained(struct allocator *a, uint64_t id, double before, double after)
{
    struct job *j = find(a, id);
    if (!j)
        return;
    j->slots++;
    a->used++;
    double gain = isfinite(after - before) ? fmax(after - before, 0) : 0;
    double t = j->measured ? a->set.trust : 1, potential = fmin(gain / (1 - a->set.keep), 1);
    j->gain = j->measured ? (1 - t) * j->gain + t * gain : gain;
    j->potential = a->set.keep * ((1 - t) * j->potential + t * potential);
    j->measured = true;
    if (isfinite(j->now.accuracy))
        j->now.accuracy = fmin(j->now.accuracy + gain, 1);
}

void allocator_observe(struct allocator *a, uint64_t id, double accuracy)
{
    struct job *j = find(a, id);
    if (j)
        see(j, accuracy);
}

double allocator_share(const struct allocator *a, uint64_t id)
{
    const struct job *j = find(a, id);
    if (!j)
        return 0;
    return isfinite(j->share) ? j->share : 1.0 / a->count;
}

double allocator_gain(const struct allocator *a, uint64_t id)
{
    const struct job *j = find(a, id);
    if (!j)
        return NAN;
    return a->set.rule == ALLOCATOR_ATTUNE ? expected(a, j) : j->gain;
}
