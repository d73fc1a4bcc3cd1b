/* exhaustive.c - the best plan there is on the grid of delta: the oracle that others are judged by.
 *
 * Shares change when a training ends, as everywhere; from each such moment on every choice is tried
 * again, so the value of a first step is that of the best continuation. What inference gets within
 * one phase changes nothing later, so for each choice of training shares the best split of the rest
 * is found by dynamic programming instead of by trying. Small cases only. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/internal.h"

#define CAMERAS_MAX 4
#define UNITS_MAX 64
#define OPTIONS_MAX 16
#define NODES_MAX 20000000u

/* Fewer cameras below their floors wins, then accuracy x seconds. */
struct worth {
    int below;
    double area;
};

struct state {
    double left_s;
    double accuracy[CAMERAS_MAX];
    int option[CAMERAS_MAX]; /* under way, -1: may begin, -2: done */
    double compute_s[CAMERAS_MAX];
};

struct choice {
    int option[CAMERAS_MAX], train[CAMERAS_MAX], infer[CAMERAS_MAX];
};

struct search {
    const struct schedule_snapshot *s;
    int units;
    uint64_t nodes;
    bool too_large;
};

/* One decision: the state, what is being tried, and the best inference for each number of units. */
struct node {
    struct search *search;
    const struct state *at;
    struct choice trial, best;
    struct worth top;
    struct worth infer[UNITS_MAX + 1]; /* area of a second */
    uint8_t split[CAMERAS_MAX][UNITS_MAX + 1];
};

static bool is_better(struct worth a, struct worth b)
{
    return a.below != b.below ? a.below < b.below : a.area > b.area + SCHEDULE_EPSILON;
}

static struct worth second_of(const struct node *n, int camera, int units)
{
    struct schedule_camera c = n->search->s->cameras[camera];
    double share = units * n->search->s->settings.delta;
    c.accuracy = n->at->accuracy[camera];
    return (struct worth){schedule_is_below_floor(&c, share),
                          c.accuracy * schedule_factor(&c.infer, share)};
}

/* Best split of u units of inference over the cameras, for every u. */
static void split_inference(struct node *n)
{
    memset(n->infer, 0, sizeof n->infer);
    for (int i = 0; i < n->search->s->count; i++)
        for (int u = n->search->units; u >= 0; u--) {
            struct worth best = {.below = CAMERAS_MAX + 1};
            for (int mine = 0; mine <= u; mine++) {
                struct worth w = second_of(n, i, mine), rest = n->infer[u - mine];
                w.below += rest.below;
                w.area += rest.area;
                if (mine == 0 || is_better(w, best)) {
                    best = w;
                    n->split[i][u] = (uint8_t)mine;
                }
            }
            n->infer[u] = best;
        }
}

static void take_split(const struct node *n, int units, struct choice *c)
{
    for (int i = n->search->s->count - 1; i >= 0; i--) {
        c->infer[i] = n->split[i][units];
        units -= c->infer[i];
    }
}

static struct worth best_of(struct search *q, const struct state *at, struct choice *ret);

/* To the end of the first training, or of the window. */
static struct worth follow(struct node *n, int infer_units)
{
    const struct schedule_snapshot *s = n->search->s;
    struct state next = *n->at;
    double step_s = next.left_s, speed[CAMERAS_MAX];
    int ends = -1;
    for (int i = 0; i < s->count; i++) {
        double share = n->trial.train[i] * s->settings.delta;
        speed[i] = share > 0 ? schedule_throughput(&s->throughput, share) : 0;
        if (n->trial.option[i] < 0)
            continue;
        if (next.option[i] < 0) {
            next.option[i] = n->trial.option[i];
            next.compute_s[i] = s->cameras[i].options[n->trial.option[i]].compute_s;
        }
        if (next.compute_s[i] <= speed[i] * step_s && next.compute_s[i] / speed[i] < step_s) {
            step_s = next.compute_s[i] / speed[i];
            ends = i;
        }
    }
    struct worth w = n->infer[infer_units];
    w.area *= step_s;
    if (ends < 0)
        return w;
    for (int i = 0; i < s->count; i++)
        next.compute_s[i] -= speed[i] * step_s;
    next.left_s -= step_s;
    next.accuracy[ends] = s->cameras[ends].options[next.option[ends]].accuracy;
    next.option[ends] = -2;
    struct choice ignored;
    struct worth rest = best_of(n->search, &next, &ignored);
    w.below = rest.below > w.below ? rest.below : w.below;
    w.area += rest.area;
    return w;
}

static void try_leaf(struct node *n, int used)
{
    if (++n->search->nodes > NODES_MAX)
        n->search->too_large = true;
    if (n->search->too_large)
        return;
    struct worth w = follow(n, n->search->units - used);
    if (n->top.below > CAMERAS_MAX || is_better(w, n->top)) {
        n->top = w;
        n->best = n->trial;
        take_split(n, n->search->units - used, &n->best);
    }
}

static void try_camera(struct node *n, int i, int used)
{
    const struct schedule_snapshot *s = n->search->s;
    if (i == s->count || i == CAMERAS_MAX) {
        try_leaf(n, used);
        return;
    }
    n->trial.option[i] = -1;
    n->trial.train[i] = 0;
    try_camera(n, i + 1, used);
    int under_way = n->at->option[i];
    for (int k = 0; under_way != -2 && k < s->cameras[i].option_count; k++) {
        if (under_way >= 0 && k != under_way)
            continue;
        for (int u = 1; u <= n->search->units - used; u++) {
            n->trial.option[i] = k;
            n->trial.train[i] = u;
            try_camera(n, i + 1, used + u);
        }
    }
}

static struct worth best_of(struct search *q, const struct state *at, struct choice *ret)
{
    struct node n = {.search = q, .at = at, .top = {.below = CAMERAS_MAX + 1}};
    split_inference(&n);
    try_camera(&n, 0, 0);
    *ret = n.best;
    return n.top;
}

static enum status check_small(const struct schedule_snapshot *s, int units, struct error *err)
{
    bool small = s->count <= CAMERAS_MAX && units <= UNITS_MAX;
    for (int i = 0; i < s->count && small; i++)
        small = s->cameras[i].option_count <= OPTIONS_MAX;
    return small ? ST_OK
                 : error_set(err, ST_LIMIT,
                             "exhaustive search takes at most %d cameras, %d options and %d units "
                             "of delta: take another policy",
                             CAMERAS_MAX, OPTIONS_MAX, UNITS_MAX);
}

enum status schedule_exhaustive(const struct schedule_snapshot *s, struct schedule_plan *p,
                                struct error *err)
{
    struct search q = {.s = s, .units = (int)floor(s->capacity / s->settings.delta + 1e-9)};
    enum status st = check_small(s, q.units, err);
    if (st != ST_OK)
        return st;
    struct state start = {.left_s = s->left_s};
    for (int i = 0; i < s->count; i++) {
        const struct schedule_camera *c = &s->cameras[i];
        start.accuracy[i] = c->accuracy;
        start.option[i] = c->option_count == 0 ? -2 : c->running;
        start.compute_s[i] = c->running >= 0 ? c->options[c->running].compute_s : 0;
    }
    struct choice best = {0};
    best_of(&q, &start, &best);
    if (q.too_large)
        return error_set(err, ST_LIMIT,
                         "the case is too large for exhaustive search: take a larger "
                         "delta or another policy");
    p->evaluations = q.nodes;
    for (int i = 0; i < s->count; i++) {
        int running = s->cameras[i].running; /* without a share it waits */
        schedule_grant_fill(s, i, best.infer[i] * s->settings.delta,
                            best.train[i] * s->settings.delta,
                            best.option[i] < 0 ? running : best.option[i], &p->grants[i]);
    }
    return ST_OK;
}
