/* attune.c - our policy: decide what is worth training and in which order, then how much of the
 * machine training gets.
 *
 * Between two events the thief keeps every share as it is, so it trains all cameras side by side
 * and each of them ends late. Ours plans the rest of the window as a list: the pieces of work that
 * were chosen (a training, or the stretch to its next checkpoint) are taken in the order of gain
 * per second of compute (Smith's rule, which is optimal on one machine), `parallel` of them at a
 * time, on a part of the machine that stays the same until the list is done. Where a share is worth
 * less the larger it is (NVIDIA MPS), several at once are better than one, and the search finds
 * how many. Inference has the rest, floors first, then where the next bit keeps most accuracy.
 *
 * The search: each camera in turn takes the choice (or none) that is best for all, then the
 * machine's split is tried anew, until nothing changes. A trial walks the sorted list once; for
 * several at a time it takes the work before a piece as spread evenly over them. The plan is made
 * again at every event, when more is known.
 *
 * A model that is worse is not deployed (gate/), so what an uncertain option is expected to bring
 * is the mean of the better part of its distribution: E[max(accuracy - current, 0)]. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/list.h"

#define SPLITS 16 /* parts of the inference demand that are offered to training */
#define PASSES_MAX 8
#define MANY_CAMERAS 64 /* beyond it fewer choices of each are looked at */
#define MANY_CHOICES 8

struct split {          /* of the machine */
    double train_share; /* all of training */
    int parallel;       /* trainings at once */
    double speed;       /* of one of them */
};

struct search {
    const struct schedule_snapshot *s;
    struct filling filling;
    struct choice *choices; /* [first[i], first[i + 1]) are camera i's */
    int *first, *chosen;    /* chosen: index into choices, -1 for none */
    double *factor;         /* [cameras] of the present split, times members */
    double *full_factor;    /* [cameras] when nobody trains, times members */
    double *ready_s;        /* [cameras] scratch of a walk: end of the last piece */
    struct piece *list;     /* of all chosen, by falling index */
    int list_count;
    struct split split;
    double base, base_full; /* accuracy a second: at the split; with everything for inference */
    double value;           /* accuracy x seconds over the rest of the window */
    uint64_t evaluations;
};

/* ---- one walk along the list ---- */

struct walk {
    double before_s; /* compute ahead of the next piece */
    double end_s;    /* of the last piece so far */
    double value;    /* of gains, until the window's end */
    double freed;    /* accuracy a second more of the gains, once inference has everything */
};

/* Places p; a piece that would end after the window is left out, as is what follows it. */
static bool place(const struct search *q, struct walk *w, const struct piece *p,
                  double *ret_start_s)
{
    const struct split *split = &q->split;
    double start_s = w->before_s / (split->speed * split->parallel);
    double ready_s = q->ready_s[p->camera];
    start_s = start_s > ready_s ? start_s : ready_s;
    double end_s = start_s + p->compute_s / split->speed;
    if (end_s > q->s->left_s) {
        q->ready_s[p->camera] = INFINITY;
        return false;
    }
    q->ready_s[p->camera] = end_s;
    w->before_s += p->compute_s;
    w->end_s = end_s > w->end_s ? end_s : w->end_s;
    w->value += p->gain * q->factor[p->camera] * (q->s->left_s - end_s);
    w->value += p->gain * q->full_factor[p->camera] * q->s->settings.beyond_s;
    w->freed += p->gain * (q->full_factor[p->camera] - q->factor[p->camera]);
    *ret_start_s = start_s;
    return true;
}

static double walk_value(const struct search *q, const struct walk *w)
{
    double rest_s = q->s->left_s - w->end_s;
    return q->base * q->s->left_s + w->value + rest_s * (q->base_full - q->base + w->freed);
}

/* The value when camera i takes choice c (NULL: none) instead of what it has. */
static double try_choice(struct search *q, int camera, const struct choice *c)
{
    struct walk w = {0};
    double start_s;
    int at = 0, count = c ? c->count : 0;
    q->evaluations++;
    memset(q->ready_s, 0, (size_t)q->s->count * sizeof *q->ready_s);
    for (int k = 0; k < q->list_count; k++) {
        if (q->list[k].camera == camera)
            continue;
        while (at < count && c->pieces[at].index >= q->list[k].index)
            place(q, &w, &c->pieces[at++], &start_s);
        place(q, &w, &q->list[k], &start_s);
    }
    while (at < count)
        place(q, &w, &c->pieces[at++], &start_s);
    return walk_value(q, &w);
}

static void take_choice(struct search *q, int camera, int index)
{
    int n = 0;
    for (int k = 0; k < q->list_count; k++)
        if (q->list[k].camera != camera)
            q->list[n++] = q->list[k];
    q->list_count = n;
    q->chosen[camera] = index;
    if (index < 0)
        return;
    const struct choice *c = &q->choices[index];
    for (int i = 0; i < c->count; i++) {
        int at = q->list_count++;
        for (; at > 0 && q->list[at - 1].index < c->pieces[i].index; at--)
            q->list[at] = q->list[at - 1];
        q->list[at] = c->pieces[i];
    }
}

/* ---- the machine's split ---- */

static double infer_all(struct search *q, double total, double *factor)
{
    double sum = 0;
    filling_fill(&q->filling, total);
    for (int i = 0; i < q->s->count; i++) {
        factor[i] = schedule_members(&q->s->cameras[i]) *
                    schedule_factor(&q->s->cameras[i].infer, q->filling.share[i]);
        sum += q->s->cameras[i].accuracy * factor[i];
    }
    return sum;
}

static void set_split(struct search *q, double train_share, int parallel)
{
    q->split.train_share = train_share;
    q->split.parallel = parallel;
    double share = train_share / parallel;
    q->split.speed = share > 1e-9 ? schedule_throughput(&q->s->throughput, share) : 0;
}

static void use_split(struct search *q, struct split split)
{
    q->base = infer_all(q, q->s->capacity - split.train_share, q->factor);
    q->split = split;
}

static int next_parallel(int m)
{
    return m < 4 ? m + 1 : m + m / 2;
}

/* One at a time is best where a share is worth the same wherever it goes. */
static int parallel_max(const struct search *q)
{
    int most = q->s->throughput.count ? q->s->settings.parallel_max : 1;
    return most < q->s->count ? most : q->s->count;
}

/* The best part for training, and how many at a time, for the present list; false: as it was. */
static bool split_anew(struct search *q)
{
    double capacity = q->s->capacity, demand = q->filling.demand;
    double least = demand < capacity ? capacity - demand : 0, most = capacity;
    if (q->s->settings.infer_part > 0)
        least = most = capacity * (1 - q->s->settings.infer_part);
    struct split best = q->split;
    double before = q->value;
    for (int k = 0; k <= SPLITS; k++) {
        double train = least + (most - least) * k / SPLITS;
        use_split(q, (struct split){.train_share = train, .parallel = 1});
        for (int m = 1; m <= parallel_max(q); m = next_parallel(m)) {
            set_split(q, train, m);
            if (q->split.speed <= 0)
                continue;
            double v = try_choice(q, -1, NULL);
            if (v > q->value + SCHEDULE_EPSILON) {
                q->value = v;
                best = q->split;
            }
        }
    }
    use_split(q, best);
    return q->value > before + SCHEDULE_EPSILON;
}

/* ---- the search ---- */

static bool choose_for(struct search *q, int camera)
{
    int best = -1;
    double top = try_choice(q, camera, NULL);
    for (int k = q->first[camera]; k < q->first[camera + 1]; k++) {
        double v = try_choice(q, camera, &q->choices[k]);
        if (v > top + SCHEDULE_EPSILON) {
            top = v;
            best = k;
        }
    }
    q->value = top;
    if (best == q->chosen[camera])
        return false;
    take_choice(q, camera, best);
    return true;
}

static void search(struct search *q, struct schedule_plan *p)
{
    /* Everyone's cheapest choice is where the search begins: something for the split to go by. */
    for (int i = 0; i < q->s->count; i++)
        take_choice(q, i, q->first[i] < q->first[i + 1] ? q->first[i] : -1);
    q->value = -1;
    split_anew(q);
    for (p->rounds = 1; p->rounds < PASSES_MAX; p->rounds++) {
        bool changed = false;
        for (int i = 0; i < q->s->count; i++)
            changed |= choose_for(q, i);
        changed |= split_anew(q);
        if (!changed)
            break;
    }
    /* One by one nobody may want to stop although all together should. */
    if (q->s->settings.infer_part <= 0 && q->value <= q->base_full * q->s->left_s)
        for (int i = 0; i < q->s->count; i++)
            take_choice(q, i, -1);
    p->evaluations = q->evaluations;
}

/* ---- life ---- */

static enum status allocate(struct search *q, struct error *err)
{
    size_t n = (size_t)q->s->count;
    int most = q->s->count > MANY_CAMERAS ? MANY_CHOICES : CAMERA_CHOICES_MAX;
    q->choices = malloc(n * (size_t)most * sizeof *q->choices);
    q->list = malloc(n * CHOICE_PIECES_MAX * sizeof *q->list);
    q->first = calloc(2 * n + 1, sizeof *q->first);
    q->factor = calloc(3 * n, sizeof *q->factor);
    if (!q->choices || !q->list || !q->first || !q->factor)
        return error_set(err, ST_NOMEM, "no memory to plan %d cameras", q->s->count);
    q->chosen = q->first + n + 1;
    q->full_factor = q->factor + n;
    q->ready_s = q->factor + 2 * n;
    q->base_full = infer_all(q, q->s->capacity, q->full_factor);
    for (int i = 0; i < q->s->count; i++) {
        int count = pieces_choices(q->s, i, q->full_factor[i], most, q->choices + q->first[i]);
        q->first[i + 1] = q->first[i] + count;
    }
    return ST_OK;
}

static void search_clear(struct search *q)
{
    filling_clear(&q->filling);
    free(q->choices);
    free(q->list);
    free(q->first);
    free(q->factor);
}

/* ---- the plan ---- */

static enum schedule_why why_not(const struct search *q, int camera)
{
    const struct schedule_camera *c = &q->s->cameras[camera];
    if (c->running >= 0)
        return SCHEDULE_WHY_DROP;
    if (c->option_count == 0)
        return SCHEDULE_WHY_NO_OPTION;
    if (q->first[camera] == q->first[camera + 1])
        return SCHEDULE_WHY_NO_GAIN;
    double cheapest_s = q->choices[q->first[camera]].pieces[0].compute_s;
    double full = schedule_throughput(&q->s->throughput, q->s->capacity);
    return cheapest_s > full * q->s->left_s ? SCHEDULE_WHY_NO_TIME : SCHEDULE_WHY_NO_COMPUTE;
}

/* A camera's grant before the list is walked: inference, and what it will train. */
static void grant_inference(const struct search *q, int i, struct schedule_grant *g)
{
    const struct schedule_camera *c = &q->s->cameras[i];
    *g = (struct schedule_grant){.infer_share = q->filling.share[i],
                                 .option = -1,
                                 .factor = q->factor[i] / schedule_members(c),
                                 .start_s = NAN,
                                 .end_s = NAN,
                                 .expected = c->accuracy * q->factor[i] / schedule_members(c),
                                 .why = why_not(q, i)};
}

static void grant_training(const struct search *q, const struct piece *p, double start_s,
                           struct schedule_grant *g)
{
    const struct schedule_camera *c = &q->s->cameras[p->camera];
    if (g->option < 0) {
        int k = q->choices[q->chosen[p->camera]].option;
        bool same = c->running >= 0 && c->options[k].training == c->options[c->running].training;
        g->option = k;
        g->start_s = start_s;
        g->why = same ? SCHEDULE_WHY_KEEP : start_s <= 0 ? SCHEDULE_WHY_TRAIN : SCHEDULE_WHY_QUEUE;
    }
    g->end_s = start_s + p->compute_s / q->split.speed;
    g->expected += p->gain * q->factor[p->camera] / schedule_members(c) *
                   (q->s->left_s - g->end_s) / q->s->left_s;
}

/* The first `parallel` cameras of the list train now, the others later. */
static void fill_grants(const struct search *q, struct schedule_plan *p)
{
    struct walk w = {0};
    int now = 0;
    for (int i = 0; i < q->s->count; i++) {
        grant_inference(q, i, &p->grants[i]);
        q->ready_s[i] = 0;
    }
    for (int k = 0; k < q->list_count; k++) {
        struct schedule_grant *g = &p->grants[q->list[k].camera];
        double start_s;
        if (!place(q, &w, &q->list[k], &start_s))
            continue;
        if (g->option < 0 && now < q->split.parallel) {
            g->train_share = q->split.train_share / q->split.parallel;
            start_s = 0;
            now++;
        }
        grant_training(q, &q->list[k], start_s, g);
    }
    if (now > 0 && now < q->split.parallel) /* fewer than planned: nothing stays idle */
        for (int i = 0; i < q->s->count; i++)
            p->grants[i].train_share *= (double)q->split.parallel / now;
    if (now == 0)
        for (int i = 0; i < q->s->count; i++)
            grant_inference(q, i, &p->grants[i]);
}

/* When nobody trains. */
static struct split idle_split(const struct schedule_snapshot *s)
{
    double part = s->settings.infer_part;
    return (struct split){.train_share = part > 0 ? s->capacity * (1 - part) : 0, .parallel = 1};
}

enum status schedule_attune(const struct schedule_snapshot *s, struct schedule_plan *p,
                            struct error *err)
{
    struct search q = {.s = s};
    enum status st = filling_init(s, &q.filling, err);
    if (st == ST_OK)
        st = allocate(&q, err);
    if (st == ST_OK) {
        search(&q, p);
        bool trains = false;
        for (int i = 0; i < s->count; i++)
            trains |= q.chosen[i] >= 0;
        if (!trains)
            use_split(&q, idle_split(s));
        fill_grants(&q, p);
    }
    search_clear(&q);
    return st;
}
