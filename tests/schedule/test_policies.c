/* The policies on random fleets: what every plan must keep, the thief against a literal reading of
 * the paper's two algorithms, the exhaustive search against all others. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "eval/replay_window.h"
#include "schedule/planner.h"

#define CAMERAS_MAX 6
#define OPTIONS 6
#define FLEETS 60

static const struct schedule_point steps[] = {{0.1, 0.5}, {0.2, 0.8}, {0.4, 1}};
static const struct schedule_point bent[] = {{0, 0}, {0.1, 0.6}, {0.25, 0.9}, {0.5, 1}};
static const struct schedule_point mps[] = {{0, 0}, {0.1, 0.36}, {0.5, 0.83}, {1, 1}};

struct fleet {
    struct schedule_camera cameras[CAMERAS_MAX];
    struct schedule_option options[CAMERAS_MAX][OPTIONS];
};

static double draw(struct rng *r, double low, double high)
{
    return low + (high - low) * (double)rng_float(r);
}

static void draw_camera(struct rng *r, struct schedule_camera *c, struct schedule_option *options,
                        int option_count)
{
    static const struct schedule_curve curves[] = {
        {SCHEDULE_STEPS, 3, steps}, {SCHEDULE_LINEAR, 4, bent}, {SCHEDULE_INTERVAL, 3, steps}, {0}};
    *c = (struct schedule_camera){.accuracy = draw(r, 0.4, 0.9),
                                  .accuracy_min = rng_below(r, 3) ? 0 : 0.4,
                                  .infer = curves[rng_below(r, 4)],
                                  .option_count = option_count,
                                  .options = options,
                                  .running = -1};
    for (int k = 0; k < option_count; k++)
        options[k] = (struct schedule_option){.configuration = k,
                                              .training = k / 2,
                                              .accuracy = draw(r, 0.3, 1),
                                              .accuracy_sd = 0,
                                              .compute_s = (k % 2 + 1) * draw(r, 5, 30)};
}

static struct schedule_snapshot draw_fleet(struct rng *r, struct fleet *f, int cameras, int options)
{
    struct schedule_snapshot s = {.event = SCHEDULE_WINDOW_START,
                                  .capacity = 0.5 * (1 + (double)rng_below(r, 6)),
                                  .left_s = 100,
                                  .count = cameras,
                                  .cameras = f->cameras};
    schedule_settings_init(&s.settings);
    s.settings.delta = rng_below(r, 2) ? 0.1 : 0.25;
    if (rng_below(r, 3) == 0)
        s.throughput = (struct schedule_curve){SCHEDULE_LINEAR, 4, mps};
    for (int i = 0; i < cameras; i++)
        draw_camera(r, &f->cameras[i], f->options[i], options);
    return s;
}

static void check_plan(const struct schedule_snapshot *s, const struct schedule_plan *p)
{
    double sum = 0;
    assert_int_equal(p->count, s->count);
    for (int i = 0; i < p->count; i++) {
        const struct schedule_grant *g = &p->grants[i];
        char text[SCHEDULE_REASON_CHARS];
        assert_true(g->infer_share >= 0 && g->train_share >= 0);
        assert_true(s->cameras[i].infer.count > 0 || g->infer_share == 0);
        assert_true(g->option >= -1 && g->option < s->cameras[i].option_count);
        assert_true(g->expected >= 0 && g->expected <= 1 + 1e-9);
        schedule_reason(s, p, i, text);
        assert_true(strlen(text) > 10);
        sum += g->infer_share + g->train_share;
    }
    assert_true(sum <= s->capacity + 1e-6);
}

static void plans_keep_their_promises(void **state)
{
    (void)state;
    static struct fleet f;
    struct rng r;
    struct error err;
    rng_init(&r, 1, 0);
    for (int n = 0; n < FLEETS; n++) {
        struct schedule_snapshot s = draw_fleet(&r, &f, 1 + n % CAMERAS_MAX, OPTIONS);
        for (int p = 0; p < SCHEDULE_POLICY_COUNT; p++) {
            struct schedule_plan plan;
            s.settings.policy = (enum schedule_policy)p;
            if (p == SCHEDULE_EXHAUSTIVE && (s.count > 2 || s.settings.delta < 0.2))
                continue; /* slow */
            assert_int_equal(schedule_make(&s, &plan, &err), ST_OK);
            check_plan(&s, &plan);
            schedule_plan_clear(&plan);
        }
    }
}

/* ---- Algorithms 1 and 2 as a reader would write them down, without tables ---- */

struct naive {
    const struct schedule_snapshot *s;
    int jobs, camera[2 * CAMERAS_MAX];
    bool trains[2 * CAMERAS_MAX];
};

static double naive_factor(const struct schedule_curve *c, double share)
{
    double best = 0;
    if (c->count == 0)
        return 1;
    for (int i = 0; i < c->count; i++) {
        struct schedule_point a = c->points[i];
        if (share + 1e-12 >= a.share)
            best = a.value;
        if (i + 1 < c->count && share + 1e-12 >= a.share && share < c->points[i + 1].share) {
            struct schedule_point b = c->points[i + 1];
            if (c->kind == SCHEDULE_LINEAR)
                return a.value + (b.value - a.value) * (share - a.share) / (b.share - a.share);
            if (c->kind == SCHEDULE_INTERVAL)
                return a.value + (b.value - a.value) * (1 / a.share - 1 / share) /
                                     (1 / a.share - 1 / b.share);
        }
    }
    return best;
}

static void naive_pick(const struct naive *n, const double *share, int *ret_below, double *ret_sum)
{
    *ret_below = 0;
    *ret_sum = 0;
    for (int i = 0; i < n->s->count; i++) {
        const struct schedule_camera *c = &n->s->cameras[i];
        double infer = 0, train = 0;
        for (int j = 0; j < n->jobs; j++)
            if (n->camera[j] == i)
                *(n->trains[j] ? &train : &infer) = share[j];
        double f = naive_factor(&c->infer, infer), best = c->accuracy * f;
        double speed = n->s->throughput.count ? naive_factor(&n->s->throughput, train) : train;
        *ret_below += c->accuracy * f < c->accuracy_min - 1e-12;
        for (int k = 0; k < c->option_count && speed > 0; k++) {
            double d = c->options[k].compute_s / speed, left = n->s->left_s;
            if (d <= left)
                best =
                    fmax(best, f * (c->accuracy * d + c->options[k].accuracy * (left - d)) / left);
        }
        *ret_sum += best;
    }
}

static double naive_thief(const struct schedule_snapshot *s, bool printed, int *ret_below)
{
    struct naive n = {.s = s};
    double share[2 * CAMERAS_MAX], sum;
    for (int i = 0; i < s->count; i++)
        for (int trains = s->cameras[i].infer.count == 0; trains < 2; trains++) {
            n.camera[n.jobs] = i;
            n.trains[n.jobs++] = trains;
        }
    int units = (int)(s->capacity / s->settings.delta + 0.5);
    for (int j = 0; j < n.jobs; j++)
        share[j] = s->settings.delta * (units / n.jobs + (j < units % n.jobs));
    naive_pick(&n, share, ret_below, &sum);
    for (bool changed = true; changed;) {
        changed = false;
        for (int thief = 0; thief < n.jobs; thief++)
            for (int victim = 0; victim < n.jobs; victim++) {
                double best[2 * CAMERAS_MAX], try[2 * CAMERAS_MAX];
                memcpy(best, share, sizeof best);
                memcpy(try, share, sizeof try);
                while (thief != victim && try[victim] >= s->settings.delta - 1e-9) {
                    int below;
                    double v;
                    try[victim] -= s->settings.delta;
                    try[thief] += s->settings.delta;
                    naive_pick(&n, try, &below, &v);
                    if (below < *ret_below || (below == *ret_below && v > sum + 1e-12)) {
                        memcpy(best, try, sizeof best);
                        *ret_below = below;
                        sum = v;
                        changed = true;
                    } else if (printed)
                        break;
                }
                memcpy(share, best, sizeof share);
            }
        changed &= !printed;
    }
    return sum / s->count;
}

static void thief_is_the_papers(void **state)
{
    (void)state;
    static struct fleet f;
    struct rng r;
    rng_init(&r, 2, 0);
    for (int n = 0; n < FLEETS; n++) {
        struct schedule_snapshot s = draw_fleet(&r, &f, 1 + n % 4, 3);
        for (int printed = 0; printed < 2; printed++) {
            struct schedule_plan plan;
            int below;
            double want = naive_thief(&s, printed, &below);
            s.settings.policy = printed ? SCHEDULE_THIEF_PRINTED : SCHEDULE_THIEF;
            assert_int_equal(schedule_make(&s, &plan, NULL), ST_OK);
            assert_int_equal(plan.below_floor, below);
            assert_true(fabs(plan.expected - want) < 1e-9);
            schedule_plan_clear(&plan);
        }
    }
}

/* ---- whole windows ---- */

static double play(const struct schedule_snapshot *s, enum schedule_policy policy)
{
    struct replay_option options[CAMERAS_MAX][OPTIONS];
    struct replay_camera cameras[CAMERAS_MAX];
    struct replay_result result;
    struct error err;
    for (int i = 0; i < s->count; i++) {
        const struct schedule_camera *c = &s->cameras[i];
        for (int k = 0; k < c->option_count; k++)
            options[i][k] = (struct replay_option){c->options[k], c->options[k].accuracy, 0};
        cameras[i] = (struct replay_camera){.id = "c",
                                            .accuracy = c->accuracy,
                                            .infer = c->infer,
                                            .options = options[i],
                                            .option_count = c->option_count};
    }
    struct replay_case c = {.settings = s->settings,
                            .capacity = s->capacity,
                            .window_s = s->left_s,
                            .throughput = s->throughput,
                            .count = s->count,
                            .cameras = cameras};
    c.settings.policy = policy;
    assert_int_equal(replay_window(&c, NULL, NULL, &result, &err), ST_OK);
    double mean = replay_result_mean(&result, s->count);
    replay_result_clear(&result);
    return mean;
}

/* On one grid nothing is better than the search that tries everything. */
static void nothing_beats_the_exhaustive_search(void **state)
{
    (void)state;
    static struct fleet f;
    struct rng r;
    rng_init(&r, 3, 0);
    int better = 0;
    for (int n = 0; n < 20; n++) {
        struct schedule_snapshot s = draw_fleet(&r, &f, 2, 2);
        s.settings.delta = 0.25;
        double best = play(&s, SCHEDULE_EXHAUSTIVE);
        assert_true(best >= play(&s, SCHEDULE_THIEF) - 1e-9);
        assert_true(best >= play(&s, SCHEDULE_THIEF_PRINTED) - 1e-9);
        better += best > play(&s, SCHEDULE_THIEF_PRINTED) + 1e-6;
    }
    assert_true(better > 0);
}

static void attune_is_never_below_no_retraining(void **state)
{
    (void)state;
    static struct fleet f;
    struct rng r;
    double ours = 0, thief = 0;
    rng_init(&r, 4, 0);
    for (int n = 0; n < FLEETS; n++) {
        struct schedule_snapshot s = draw_fleet(&r, &f, CAMERAS_MAX, OPTIONS);
        double v = play(&s, SCHEDULE_ATTUNE);
        assert_true(v >= play(&s, SCHEDULE_NONE) - 1e-9);
        ours += v;
        thief += play(&s, SCHEDULE_THIEF);
    }
    assert_true(ours > thief);
}

/* Inference alone, on concave curves: no split of a fine grid keeps more accuracy. */
static void inference_goes_where_it_keeps_most(void **state)
{
    (void)state;
    static struct fleet f;
    struct rng r;
    rng_init(&r, 5, 0);
    for (int n = 0; n < 20; n++) {
        struct schedule_snapshot s = draw_fleet(&r, &f, 2, 0);
        struct schedule_plan plan;
        double best = 0, mean = 0;
        s.capacity = draw(&r, 0.1, 1.2);
        s.settings.policy = SCHEDULE_ATTUNE;
        for (int i = 0; i < 2; i++) {
            f.cameras[i].infer = (struct schedule_curve){SCHEDULE_LINEAR, 4, bent};
            f.cameras[i].accuracy_min = 0;
        }
        for (int k = 0; k <= 200; k++) {
            double a = s.capacity * k / 200;
            best = fmax(
                best, (f.cameras[0].accuracy * naive_factor(&f.cameras[0].infer, a) +
                       f.cameras[1].accuracy * naive_factor(&f.cameras[1].infer, s.capacity - a)) /
                          2);
        }
        assert_int_equal(schedule_make(&s, &plan, NULL), ST_OK);
        for (int i = 0; i < 2; i++)
            mean += f.cameras[i].accuracy *
                    naive_factor(&f.cameras[i].infer, plan.grants[i].infer_share) / 2;
        assert_true(mean >= best - 1e-9);
        schedule_plan_clear(&plan);
    }
}

static void bad_snapshots_are_refused(void **state)
{
    (void)state;
    static struct fleet f;
    struct rng r;
    struct schedule_plan plan;
    struct error err;
    rng_init(&r, 6, 0);
    struct schedule_snapshot good = draw_fleet(&r, &f, 2, 2), s = good;
    s.count = 0;
    assert_int_equal(schedule_make(&s, &plan, &err), ST_LIMIT);
    s = good;
    s.left_s = 0;
    assert_int_equal(schedule_make(&s, &plan, &err), ST_INVALID);
    s = good;
    s.settings.delta = 0;
    assert_int_equal(schedule_make(&s, &plan, &err), ST_LIMIT);
    f.options[1][0].compute_s = NAN;
    assert_int_equal(schedule_make(&good, &plan, &err), ST_INVALID);
    f.options[1][0].compute_s = 1;
    f.cameras[0].running = 2;
    assert_int_equal(schedule_make(&good, &plan, &err), ST_INVALID);
    f.cameras[0].running = -1;
    static const struct schedule_point backwards[] = {{0.2, 1}, {0.1, 1}};
    f.cameras[0].infer = (struct schedule_curve){SCHEDULE_LINEAR, 2, backwards};
    assert_int_equal(schedule_make(&good, &plan, &err), ST_INVALID);
}

/* ---- the planner ---- */

static void planner_follows_a_training(void **state)
{
    (void)state;
    static const struct schedule_curve linear = {0};
    static const struct schedule_option options[] = {{0, 0, 0.8, 0, 10, NULL},
                                                     {1, 0, 0.9, 0, 30, NULL}};
    struct schedule_settings settings;
    struct planner *p;
    int camera = -1, option = -1;
    schedule_settings_init(&settings);
    assert_int_equal(planner_open(&settings, 1, &linear, 1, &p, NULL), ST_OK);
    planner_set_inference(p, 0, "a", &linear, 0);
    assert_int_equal(planner_begin(p, 0, 0.5, options, 2, NULL), ST_OK);
    assert_int_equal(planner_plan(p, 100, SCHEDULE_WINDOW_START, NULL, NULL), ST_OK);
    /* The whole processor; the checkpoint after 10 s comes first. */
    assert_true(fabs(planner_next(p, &camera, &option) - 10) < 1e-9);
    assert_int_equal(option, 0);
    planner_advance(p, 10);
    planner_reached(p, 0, option, 0.8);
    assert_true(fabs(planner_camera(p, 0)->accuracy - 0.8) < 1e-12);
    assert_true(fabs(planner_next(p, &camera, &option) - 20) < 1e-6);
    /* A crash: what was not reached may be tried again, from the start. */
    planner_dropped(p, 0, true);
    assert_int_equal(planner_camera(p, 0)->option_count, 1);
    assert_true(fabs(planner_camera(p, 0)->options[0].compute_s - 30) < 1e-9);
    assert_true(isinf(planner_next(p, &camera, &option)));
    planner_dropped(p, 0, false);
    assert_int_equal(planner_camera(p, 0)->option_count, 0);
    planner_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_keep_their_promises),
        cmocka_unit_test(thief_is_the_papers),
        cmocka_unit_test(nothing_beats_the_exhaustive_search),
        cmocka_unit_test(attune_is_never_below_no_retraining),
        cmocka_unit_test(inference_goes_where_it_keeps_most),
        cmocka_unit_test(bad_snapshots_are_refused),
        cmocka_unit_test(planner_follows_a_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
