/* planted.c - see planted.h. */
#include "planted.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_US ((uint64_t)60 * 1000000)
#define START_US ((uint64_t)1000 * 1000000)
#define ACCURACY_BEST 0.85
#define ACCURACY_LOST 0.40 /* by a model of quite other conditions */
#define CONDITION_SPREAD 1.2
#define CONDITION_APART 1.3
#define CAMERA_SPREAD 0.12
#define LEARNING 0.6 /* of the way, a window */
#define SETTLED_WINDOWS 4
#define CALM_WINDOWS 6
#define HURT 0.12
#define MODELS_SIZE 4096

void planted_options_init(struct planted_options *o)
{
    *o = (struct planted_options){.cameras = 18,
                                  .districts = 3,
                                  .windows = 60,
                                  .event_windows = 12,
                                  .difficulty_sd = 0.03,
                                  .false_requests = 0.01,
                                  .apart_m = 5000,
                                  .seed = 1};
}

static double distance(const double *a, const double *b)
{
    double sum = 0;
    for (int d = 0; d < PLANTED_DIMS; d++)
        sum += (a[d] - b[d]) * (a[d] - b[d]);
    return sqrt(sum);
}

/* One that is far from all that there were lately. */
static int new_condition(struct planted *p)
{
    int n = p->condition_count;
    bool far = false;
    for (int tries = 0; tries < 1000 && !far; tries++) {
        far = true;
        for (int d = 0; d < PLANTED_DIMS; d++)
            p->conditions[n][d] = CONDITION_SPREAD * (double)rng_normal(&p->rng);
        for (int c = n > 8 ? n - 8 : 0; c < n && far; c++)
            far = distance(p->conditions[n], p->conditions[c]) > CONDITION_APART;
    }
    return p->condition_count++;
}

static void expose(struct planted *p, int camera, int condition)
{
    struct planted_camera *c = &p->cameras[camera];
    c->condition = condition;
    for (int d = 0; d < PLANTED_DIMS; d++)
        c->x[d] = p->conditions[condition][d] + CAMERA_SPREAD * (double)rng_normal(&p->rng);
}

static void place_cameras(struct planted *p)
{
    for (int d = 0; d < p->options.districts; d++)
        new_condition(p);
    for (int i = 0; i < p->options.cameras; i++) {
        struct planted_camera *c = &p->cameras[i];
        c->district = i % p->options.districts;
        c->difficulty = p->options.difficulty_sd * (double)rng_normal(&p->rng);
        for (int v = 0; v < SIGNATURE_VALUES; v++)
            c->view[v] = 0.15 * (double)rng_normal(&p->rng);
        expose(p, i, c->district);
        c->asks_us = START_US + rng_below(&p->rng, 30) * (uint64_t)1000000 + 1;
    }
}

bool planted_open(const struct planted_options *o, struct planted *ret)
{
    struct planted p = {.options = *o, .now_us = START_US};
    int conditions = o->districts + (o->event_windows ? o->windows / o->event_windows : 0) + 2;
    p.models_size = o->cameras * 4 > MODELS_SIZE ? o->cameras * 4 : MODELS_SIZE;
    p.cameras = calloc((size_t)o->cameras, sizeof *p.cameras);
    p.models = calloc((size_t)p.models_size, sizeof *p.models);
    p.conditions = calloc((size_t)conditions, sizeof *p.conditions);
    if (!p.cameras || !p.models || !p.conditions) {
        planted_close(&p);
        return false;
    }
    rng_init(&p.rng, o->seed, 7);
    for (int d = 0; d < PLANTED_DIMS; d++)
        for (int v = 0; v < SIGNATURE_VALUES; v++)
            p.embed[d][v] = 2.0 / sqrt(SIGNATURE_VALUES) * (double)rng_normal(&p.rng);
    place_cameras(&p);
    *ret = p;
    return true;
}

void planted_close(struct planted *p)
{
    free(p->cameras);
    free(p->models);
    free(p->conditions);
    memset(p, 0, sizeof *p);
}

double planted_accuracy(const struct planted *p, const double *model, int camera)
{
    const struct planted_camera *c = &p->cameras[camera];
    double d = distance(model, c->x);
    return ACCURACY_BEST - ACCURACY_LOST * (1 - exp(-d * d / 2)) + c->difficulty;
}

struct group_score planted_score(struct planted *p, const double *model, int camera,
                                 uint64_t frames_of, float *by_frame)
{
    double expected = planted_accuracy(p, model, camera), wrong = p->options.label_noise, sum = 0;
    struct rng frames;
    rng_init(&frames, frames_of * 100003 + (uint64_t)camera, p->options.seed);
    for (int f = 0; f < PLANTED_FRAMES; f++) {
        double a =
            expected + 0.07 * (double)rng_normal(&frames) + 0.03 * (double)rng_normal(&p->rng);
        a = a * (1 - wrong) + wrong * (0.1 + 0.3 * (double)rng_float(&p->rng));
        by_frame[f] = (float)fmin(1, fmax(0, a));
        sum += (double)by_frame[f];
    }
    return (struct group_score){sum / PLANTED_FRAMES, PLANTED_FRAMES, by_frame};
}

void planted_conditions(struct planted *p, int camera, struct group_conditions *ret)
{
    const struct planted_camera *c = &p->cameras[camera];
    int number = camera / p->options.districts;
    group_conditions_init(ret);
    ret->place =
        group_place_of_map(p->options.apart_m * (c->district % 100) + 40.0 * (number % 10),
                           p->options.apart_m * (c->district / 100) + 40.0 * (number / 10 % 10));
    ret->time_us = p->now_us;
    ret->looks_known = !p->options.blind;
    for (int v = 0; v < SIGNATURE_VALUES; v++) {
        double s = c->view[v] + 0.03 * (double)rng_normal(&p->rng);
        for (int d = 0; d < PLANTED_DIMS; d++)
            s += c->x[d] * p->embed[d][v];
        ret->signature.value[v] = (float)s;
    }
}

uint64_t planted_truth(const struct planted *p, int camera)
{
    const struct planted_camera *c = &p->cameras[camera];
    return 1 + (uint64_t)c->condition * 100000 + (uint64_t)c->district;
}

static double *group_model(struct planted *p, uint64_t id)
{
    return p->models[id % (uint64_t)p->models_size];
}

static double *model_of(struct planted *p, const struct grouper *g, int camera)
{
    uint64_t k = grouper_group_of(g, camera);
    return k ? group_model(p, k) : p->cameras[camera].model;
}

/* Something happens to all of a district or to a part of it. */
static void happen(struct planted *p)
{
    int district = (int)rng_below(&p->rng, (uint32_t)p->options.districts);
    int condition = new_condition(p), part = 1 + (int)rng_below(&p->rng, 3);
    for (int i = 0; i < p->options.cameras; i++) {
        struct planted_camera *c = &p->cameras[i];
        if (c->district != district || i / p->options.districts % 3 >= part)
            continue;
        expose(p, i, condition);
        if (!((double)rng_float(&p->rng) < p->options.silent))
            c->asks_us = p->now_us + 1 + rng_below(&p->rng, 40) * (uint64_t)1000000;
    }
}

static void count_move(struct planted *p)
{
    p->moves++;
    p->calm_moves += p->since_event >= CALM_WINDOWS;
}

static uint64_t clock_us(const struct planted *p)
{
    return p->options.timed ? p->options.clock_us() : 0;
}

static void took(const struct planted *p, enum planted_call call, uint64_t since_us)
{
    if (p->options.timed)
        p->options.timed(p->options.context, call, p->options.clock_us() - since_us);
}

static enum status ask(struct planted *p, struct grouper *g, int camera, struct error *err)
{
    struct group_conditions c;
    struct group_request r;
    struct group_decision d;
    float by_frame[GROUP_TRIALS_MAX][PLANTED_FRAMES];
    double own[PLANTED_DIMS];
    memcpy(own, model_of(p, g, camera), sizeof own);
    planted_conditions(p, camera, &c);
    uint64_t since_us = clock_us(p);
    enum status st = grouper_request(g, camera, &c, p->now_us, NULL, &r, err);
    took(p, PLANTED_REQUEST, since_us);
    if (st != ST_OK)
        return st;
    p->requests++;
    p->trials_max = r.trial_count > p->trials_max ? r.trial_count : p->trials_max;
    for (int i = 0; i < r.trial_count; i++) {
        struct group_trial *t = &r.trials[i];
        const double *model = t->kind == GROUP_MODEL_OWN ? own : group_model(p, t->id);
        t->score = planted_score(p, model, camera, p->now_us, by_frame[i]);
    }
    since_us = clock_us(p);
    st = grouper_decide(g, &r, &d, err);
    took(p, PLANTED_DECIDE, since_us);
    if (st == ST_OK && d.formed)
        memmove(group_model(p, d.group),
                d.start == GROUP_MODEL_GROUP ? group_model(p, d.start_id) : own, sizeof own);
    if (st == ST_OK && d.left)
        count_move(p);
    return st;
}

/* Who asks next in this window, -1: nobody. */
static int next_to_ask(const struct planted *p, uint64_t end_us)
{
    int next = -1;
    for (int i = 0; i < p->options.cameras; i++)
        if (p->cameras[i].asks_us && p->cameras[i].asks_us < end_us &&
            (next < 0 || p->cameras[i].asks_us < p->cameras[next].asks_us))
            next = i;
    return next;
}

static enum status requests(struct planted *p, struct grouper *g, struct error *err)
{
    uint64_t start_us = p->now_us, end_us = start_us + WINDOW_US;
    enum status st = ST_OK;
    for (int i = 0; i < p->options.cameras; i++)
        if ((double)rng_float(&p->rng) < p->options.false_requests && !p->cameras[i].asks_us)
            p->cameras[i].asks_us = start_us + 1 + rng_below(&p->rng, 50) * (uint64_t)1000000;
    for (int i; (i = next_to_ask(p, end_us)) >= 0 && st == ST_OK;) {
        p->now_us = p->cameras[i].asks_us;
        p->cameras[i].asks_us = 0;
        st = ask(p, g, i, err);
    }
    p->now_us = end_us;
    return st;
}

static void train(struct planted *p, const struct grouper *g)
{
    for (int i = 0; i < grouper_group_count(g); i++) {
        struct group_view k = grouper_group_at(g, i);
        double *w = group_model(p, k.id), mean[PLANTED_DIMS] = {0};
        for (int m = 0; m < k.member_count; m++)
            for (int d = 0; d < PLANTED_DIMS; d++)
                mean[d] += p->cameras[k.members[m]].x[d] / k.member_count;
        for (int d = 0; d < PLANTED_DIMS && !k.resting; d++)
            w[d] += LEARNING * (1 - p->options.label_noise) * (mean[d] - w[d]);
    }
}

static enum status follow(struct planted *p, struct grouper *g, const struct group_actions *a,
                          struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < a->count; i++) {
        const struct group_action *x = &a->items[i];
        bool leaves = x->kind == GROUP_ACTION_LEAVE || x->kind == GROUP_ACTION_SPLIT;
        if (leaves)
            memcpy(group_model(p, x->group), group_model(p, x->other),
                   sizeof(double) * PLANTED_DIMS);
        if (leaves || x->kind == GROUP_ACTION_MERGE)
            count_move(p);
    }
    for (int i = 0; i < a->count && st == ST_OK; i++)
        if (a->items[i].kind == GROUP_ACTION_LEAVE)
            st = ask(p, g, a->items[i].camera, err);
    return st;
}

static void look(struct planted *p, struct grouper *g)
{
    for (int i = 0; i < p->options.cameras && !p->options.blind; i++) {
        struct group_conditions c;
        planted_conditions(p, i, &c);
        grouper_signature(g, i, &c.signature);
    }
}

static enum status review(struct planted *p, struct grouper *g, struct error *err)
{
    struct group_review r;
    struct group_actions a;
    look(p, g);
    uint64_t since_us = clock_us(p);
    enum status st = grouper_review(g, p->now_us, &r, err);
    took(p, PLANTED_REVIEW, since_us);
    if (st != ST_OK)
        return st;
    float(*by_frame)[PLANTED_FRAMES] = calloc((size_t)r.trial_count + 1, sizeof *by_frame);
    for (int i = 0; i < r.trial_count && by_frame; i++)
        r.trials[i].score = planted_score(p, group_model(p, r.trials[i].group), r.trials[i].camera,
                                          p->now_us, by_frame[i]);
    since_us = clock_us(p);
    st = grouper_conclude(g, &r, &a, err);
    took(p, PLANTED_CONCLUDE, since_us);
    if (st == ST_OK)
        st = follow(p, g, &a, err);
    group_actions_clear(&a);
    group_review_clear(&r);
    free(by_frame);
    return st;
}

/* Hurt: in company whose model is much worse here than one of its own would be by now. */
static void watch_hurt(struct planted *p, const struct grouper *g)
{
    for (int i = 0; i < p->options.cameras; i++) {
        struct planted_camera *c = &p->cameras[i];
        struct group_view k;
        bool company = grouper_group(g, grouper_group_of(g, i), &k) && k.member_count > 1 &&
                       p->since_event > 2;
        bool hurt = company && planted_accuracy(p, group_model(p, k.id), i) <
                                   ACCURACY_BEST + c->difficulty - HURT;
        c->hurt = hurt ? c->hurt + 1 : 0;
        p->hurt_windows_max = c->hurt > p->hurt_windows_max ? c->hurt : p->hurt_windows_max;
    }
}

static void compare(struct planted *p, const struct grouper *g)
{
    int n = p->options.cameras;
    uint64_t *found = calloc(2 * (size_t)n, sizeof *found), *truth = found ? found + n : NULL;
    double sum = 0;
    for (int i = 0; i < n && found; i++) {
        found[i] = grouper_group_of(g, i);
        truth[i] = planted_truth(p, i);
        sum += planted_accuracy(p, model_of(p, g, i), i);
    }
    if (!found)
        return;
    struct group_pairs now = group_pairs_compare(found, truth, n);
    p->all = group_pairs_add(p->all, now);
    p->accuracy += sum / n;
    if (p->since_event >= SETTLED_WINDOWS)
        p->settled = group_pairs_add(p->settled, now);
    if (p->since_event >= CALM_WINDOWS)
        p->calm_camera_windows += (uint64_t)n;
    if (p->unstable && now.both == now.found && now.both == now.true_pairs) {
        p->unstable = false;
        p->events_stable++;
        p->stable_windows += p->since_event + 1;
    }
    free(found);
}

static void begin_event(struct planted *p)
{
    if (p->window)
        happen(p);
    p->events++;
    p->since_event = 0;
    p->unstable = true;
}

enum status planted_window(struct planted *p, struct grouper *g, struct error *err)
{
    if (p->window == 0 || (p->options.event_windows && p->window % p->options.event_windows == 0))
        begin_event(p);
    enum status st = requests(p, g, err);
    if (st != ST_OK)
        return st;
    train(p, g);
    st = review(p, g, err);
    compare(p, g);
    watch_hurt(p, g);
    p->window++;
    p->since_event++;
    return st;
}

enum status planted_enlist(const struct planted *p, struct grouper *g, struct error *err)
{
    char id[24];
    enum status st = ST_OK;
    for (int i = 0, number; i < p->options.cameras && st == ST_OK; i++) {
        snprintf(id, sizeof id, "cam%d", i);
        st = grouper_camera(g, id, &number, err);
    }
    return st;
}

enum status planted_run(struct planted *p, struct grouper *g, struct error *err)
{
    enum status st = planted_enlist(p, g, err);
    while (p->window < p->options.windows && st == ST_OK)
        st = planted_window(p, g, err);
    return st;
}
