/* Decisions on cases made by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "group/group.h"

#define FRAMES 16
#define SECOND_US ((uint64_t)1000000)

static struct grouper *open_grouper(enum group_policy policy)
{
    struct group_settings s;
    struct grouper *g;
    struct error err;
    group_settings_init(&s);
    s.policy = policy;
    assert_int_equal(grouper_open(&s, &g, &err), ST_OK);
    return g;
}

static void change(struct grouper *g, struct group_settings s)
{
    struct error err;
    assert_int_equal(grouper_set(g, &s, &err), ST_OK);
}

static struct group_score score(double accuracy)
{
    return (struct group_score){accuracy, FRAMES, NULL};
}

static struct group_conditions at(double x_m, uint64_t now_us, float looks)
{
    struct group_conditions c;
    group_conditions_init(&c);
    c.place = group_place_of_map(x_m, 0);
    c.time_us = now_us;
    c.looks_known = true;
    c.signature.value[0] = looks;
    return c;
}

static struct group_request ask(struct grouper *g, int number, struct group_conditions c)
{
    char id[16];
    struct group_request r;
    struct error err;
    int camera;
    snprintf(id, sizeof id, "cam%d", number);
    assert_int_equal(grouper_camera(g, id, &camera, &err), ST_OK);
    assert_int_equal(camera, number);
    assert_int_equal(grouper_request(g, camera, &c, c.time_us, NULL, &r, &err), ST_OK);
    return r;
}

/* The camera's own model reaches own, all others `others`. */
static struct group_decision decide(struct grouper *g, struct group_request r, double own,
                                    double others)
{
    struct group_decision d;
    struct error err;
    for (int i = 0; i < r.trial_count; i++)
        r.trials[i].score = score(i ? others : own);
    assert_int_equal(grouper_decide(g, &r, &d, &err), ST_OK);
    return d;
}

/* A window in which camera i reaches accuracy[i] under its group's model, and every other model
 * that is tried on somebody `cross` (an own delta: personal). Returns the number of actions and in
 * *ret the first. */
static int window_with(struct grouper *g, uint64_t now_us, const double *accuracy, double cross,
                       double personal, struct group_action *ret)
{
    struct group_review r;
    struct group_actions a;
    struct error err;
    assert_int_equal(grouper_review(g, now_us, &r, &err), ST_OK);
    for (int i = 0; i < r.trial_count; i++) {
        struct group_review_trial *t = &r.trials[i];
        t->score = score(t->kind == GROUP_REVIEW_CROSS      ? cross
                         : t->kind == GROUP_REVIEW_PERSONAL ? personal
                                                            : accuracy[t->camera]);
    }
    assert_int_equal(grouper_conclude(g, &r, &a, &err), ST_OK);
    int n = a.count;
    if (n)
        *ret = a.items[0];
    group_actions_clear(&a);
    group_review_clear(&r);
    return n;
}

static int window(struct grouper *g, uint64_t now_us, const double *accuracy, double cross,
                  struct group_action *ret)
{
    return window_with(g, now_us, accuracy, cross, (double)NAN, ret);
}

/* Cameras 0..n-1 side by side, with the same looks, in one group. */
static uint64_t one_group(struct grouper *g, int n)
{
    uint64_t id = decide(g, ask(g, 0, at(0, SECOND_US, 0)), 0.5, 0.5).group;
    for (int i = 1; i < n; i++) {
        struct group_decision d =
            decide(g, ask(g, i, at(10.0 * i, SECOND_US * (uint64_t)(i + 1), 0)), 0.5, 0.55);
        assert_int_equal(d.group, id);
        assert_false(d.formed);
    }
    return id;
}

static void candidates_are_near_and_few(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_NONE);
    struct group_settings s = *grouper_settings(g);
    uint64_t now_us = 10000 * SECOND_US;
    for (int i = 0; i < 12; i++) /* 100 m apart, each alone */
        decide(g, ask(g, i, at(100.0 * i, now_us, 0)), 0.5, 0.5);
    decide(g, ask(g, 12, at(150, now_us - 700 * SECOND_US, 0)), 0.5, 0.5); /* too long ago */
    decide(g, ask(g, 13, at(150, now_us, 9)), 0.5, 0.5);                   /* looks otherwise */
    s.policy = GROUP_POLICY_ATTUNE;
    s.near_place_m = 350;
    change(g, s);
    struct group_request r = ask(g, 14, at(-5, now_us, 0));
    assert_int_equal(r.trial_count, 1 + 4);
    assert_int_equal(r.trials[0].kind, GROUP_MODEL_OWN);
    for (int i = 1; i < r.trial_count; i++) {
        assert_int_equal(r.trials[i].id, grouper_group_of(g, i - 1));
        assert_true(fabs(r.trials[i].place_m - (100 * (i - 1) + 5)) < 1e-9);
    }
    s.near_place_m = 1e6;
    change(g, s);
    r = ask(g, 14, at(-5, now_us, 0));
    assert_int_equal(r.trial_count, 1 + s.candidates_max);
    s.policy = GROUP_POLICY_NONE;
    change(g, s);
    r = ask(g, 14, at(-5, now_us, 0));
    assert_int_equal(r.trial_count, 1);
    grouper_close(&g);
}

static void ecco_joins_what_is_better(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ECCO);
    uint64_t first = decide(g, ask(g, 0, at(0, SECOND_US, 0)), 0.5, 0.5).group;
    struct group_decision d = decide(g, ask(g, 1, at(5, SECOND_US, 0)), 0.6, 0.605);
    assert_true(d.formed && d.group != first && d.start == GROUP_MODEL_OWN);
    assert_int_equal(d.why.code, GROUP_WHY_ALONE);
    uint64_t second = d.group;
    /* The best of two, by accuracy. */
    struct group_request r = ask(g, 2, at(7, SECOND_US, 0));
    struct error err;
    assert_int_equal(r.trial_count, 3);
    for (int i = 0; i < 3; i++)
        r.trials[i].score = score(i == 0 ? 0.6 : r.trials[i].id == first ? 0.7 : 0.65);
    assert_int_equal(grouper_decide(g, &r, &d, &err), ST_OK);
    assert_true(d.group == first && !d.formed && d.start == GROUP_MODEL_GROUP);
    assert_int_equal(d.why.code, GROUP_WHY_BETTER);
    /* From one group to the other: the first is left, and not empty. */
    r = ask(g, 0, at(0, 2 * SECOND_US, 0));
    assert_int_equal(r.trial_count, 2);
    d = decide(g, r, 0.4, 0.7);
    assert_true(d.group == second && d.left == first && !d.emptied);
    d = decide(g, ask(g, 2, at(0, 2 * SECOND_US, 0)), 0.4, 0.7);
    assert_true(d.group == second && d.left == first && d.emptied);
    assert_int_equal(grouper_group_count(g), 1);
    grouper_close(&g);
}

static void attune_joins_what_serves_as_at_home(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    const double good[] = {0.8, 0.5, 0.78};
    struct group_action a;
    uint64_t home = decide(g, ask(g, 0, at(0, SECOND_US, 0)), 0.5, 0.5).group;
    assert_int_equal(window(g, 60 * SECOND_US, good, 0.5, &a), 0);
    /* Better than its own, but far from what it does at home: a start, not a group. */
    struct group_decision d = decide(g, ask(g, 1, at(5, 61 * SECOND_US, 0)), 0.5, 0.6);
    assert_true(d.formed && d.group != home);
    assert_true(d.start == GROUP_MODEL_GROUP && d.start_id == home);
    /* As good as at home. */
    d = decide(g, ask(g, 2, at(5, 62 * SECOND_US, 0)), 0.5, 0.78);
    assert_int_equal(d.group, home);
    assert_int_equal(d.why.code, GROUP_WHY_JOINED);
    /* Asks for nothing: it stays. */
    d = decide(g, ask(g, 2, at(5, 63 * SECOND_US, 0)), 0.77, 0.77);
    assert_true(d.group == home && !d.left && d.start == GROUP_MODEL_OWN);
    assert_int_equal(d.why.code, GROUP_WHY_STAYED);
    grouper_close(&g);
}

static void fresh_groups_ask_for_likeness(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    uint64_t first = decide(g, ask(g, 0, at(0, SECOND_US, 0)), 0.5, 0.5).group;
    struct group_decision d = decide(g, ask(g, 1, at(5, SECOND_US, 2.5f)), 0.5, 0.5);
    assert_true(d.formed);
    d = decide(g, ask(g, 2, at(5, SECOND_US, -1)), 0.5, 0.5);
    assert_int_equal(d.group, first);
    assert_int_equal(d.why.code, GROUP_WHY_ALIKE);
    grouper_close(&g);
}

static void behind_for_two_windows_leaves(void **state)
{
    (void)state;
    for (int p = GROUP_POLICY_ECCO; p <= GROUP_POLICY_ATTUNE; p++) {
        struct grouper *g = open_grouper((enum group_policy)p);
        const double even[] = {0.7, 0.7, 0.7, 0.7}, odd[] = {0.7, 0.7, 0.7, 0.45};
        struct group_action a;
        struct group_explanation why;
        struct error err;
        uint64_t id = one_group(g, 4), t = 100;
        assert_int_equal(window(g, t * SECOND_US, even, 0.5, &a), 0);
        assert_int_equal(window(g, ++t * SECOND_US, odd, 0.5, &a), 0);
        assert_int_equal(grouper_explain(g, 3, &why, &err), ST_OK);
        assert_int_equal(why.behind_windows, 1);
        assert_int_equal(window(g, ++t * SECOND_US, even, 0.5, &a), 0); /* forgotten */
        assert_int_equal(window(g, ++t * SECOND_US, odd, 0.5, &a), 0);
        assert_int_equal(window(g, ++t * SECOND_US, odd, 0.5, &a), 1);
        assert_true(a.kind == GROUP_ACTION_LEAVE && a.camera == 3 && a.other == id && !a.emptied);
        assert_int_equal(a.group, grouper_group_of(g, 3));
        assert_int_equal(a.why.windows, 2);
        assert_true(a.why.accuracy == 0.45);
        /* What it left is not tried again at once. */
        struct group_request r = ask(g, 3, at(30, ++t * SECOND_US, 0));
        assert_int_equal(r.trial_count, 1);
        assert_true(decide(g, r, 0.45, 0).formed);
        assert_int_equal(grouper_group_of(g, 3), a.group); /* still as young as that */
        /* After another change of its world it is. */
        r = ask(g, 3, at(30, ++t * SECOND_US, 0));
        assert_int_equal(r.trial_count, 2);
        grouper_close(&g);
    }
}

static void a_hard_view_is_no_disagreement(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    double accuracy[] = {0.75, 0.75, 0.75, 0.69};
    struct group_action a;
    one_group(g, 4);
    for (int w = 0; w < 30; w++)
        assert_int_equal(window(g, (uint64_t)(100 + w) * SECOND_US, accuracy, 0.5, &a), 0);
    accuracy[3] = 0.62; /* known to be hard, it may be that much lower */
    for (int w = 0; w < 2; w++)
        assert_int_equal(window(g, (uint64_t)(200 + w) * SECOND_US, accuracy, 0.5, &a), 0);
    accuracy[3] = 0.5;
    window(g, 300 * SECOND_US, accuracy, 0.5, &a);
    assert_int_equal(window(g, 301 * SECOND_US, accuracy, 0.5, &a), 1);
    assert_int_equal(a.camera, 3);
    grouper_close(&g);
}

static void those_that_differ_alike_split_together(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    const double accuracy[] = {0.7, 0.7, 0.7, 0.7, 0.4, 0.42};
    struct group_action a;
    uint64_t id = one_group(g, 6);
    struct signature other = {{5}};
    grouper_signature(g, 4, &other);
    grouper_signature(g, 5, &other);
    assert_int_equal(window(g, 100 * SECOND_US, accuracy, 0.3, &a), 0);
    assert_int_equal(window(g, 101 * SECOND_US, accuracy, 0.3, &a), 2);
    assert_true(a.kind == GROUP_ACTION_SPLIT && a.other == id);
    assert_int_equal(grouper_group_of(g, 4), grouper_group_of(g, 5));
    assert_int_equal(a.group, grouper_group_of(g, 4));
    struct group_view k;
    assert_true(grouper_group(g, id, &k));
    assert_int_equal(k.member_count, 4);
    grouper_close(&g);
}

/* Two groups of one, of which one model (a's) serves both: a's at b reaches what b's does. */
static int merge_windows(enum group_policy p, double a_at_b, double b_at_a)
{
    struct grouper *g = open_grouper(p);
    struct group_review r;
    struct group_actions actions;
    struct error err;
    uint64_t a = decide(g, ask(g, 0, at(0, SECOND_US, 0)), 0.5, 0.4).group;
    decide(g, ask(g, 1, at(9, SECOND_US, 0)), 0.5, 0.2);
    int windows = 0;
    for (; windows < 6 && grouper_group_count(g) == 2; windows++) {
        assert_int_equal(grouper_review(g, (uint64_t)(100 + windows) * SECOND_US, &r, &err), ST_OK);
        for (int i = 0; i < r.trial_count; i++)
            r.trials[i].score = score(r.trials[i].kind == GROUP_REVIEW_MEMBER ? 0.7
                                      : r.trials[i].group == a                ? a_at_b
                                                                              : b_at_a);
        assert_int_equal(grouper_conclude(g, &r, &actions, &err), ST_OK);
        for (int i = 0; i < actions.count; i++) {
            assert_int_equal(actions.items[i].kind, GROUP_ACTION_MERGE);
            assert_true(actions.items[i].emptied &&
                        actions.items[i].camera == (a_at_b < b_at_a ? 0 : 1));
        }
        group_actions_clear(&actions);
        group_review_clear(&r);
    }
    grouper_close(&g);
    return windows;
}

static void one_model_for_both_merges(void **state)
{
    (void)state;
    /* The first window finds them too young, they are compared from the second on. */
    assert_int_equal(merge_windows(GROUP_POLICY_ATTUNE, 0.72, 0.4), 3);
    assert_int_equal(merge_windows(GROUP_POLICY_ATTUNE, 0.4, 0.72), 3);
    assert_int_equal(merge_windows(GROUP_POLICY_ATTUNE, 0.5, 0.5), 6);
    assert_int_equal(merge_windows(GROUP_POLICY_ECCO, 0.7, 0.695), 2);
    assert_int_equal(merge_windows(GROUP_POLICY_ECCO, 0.72, 0.4), 6);
    assert_int_equal(merge_windows(GROUP_POLICY_NONE, 0.72, 0.72), 6);
}

/* That the next review asks for; train: those for which a delta is to be trained, or the others. */
static int personal_trials(struct grouper *g, bool train)
{
    struct group_review r;
    int n = 0;
    assert_int_equal(grouper_review(g, 1, &r, NULL), ST_OK);
    for (int i = 0; i < r.trial_count; i++)
        n += r.trials[i].kind == GROUP_REVIEW_PERSONAL && r.trials[i].train == train;
    group_review_clear(&r);
    return n;
}

static void own_deltas_must_pay(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    struct group_settings s = *grouper_settings(g);
    const double accuracy[] = {0.75, 0.75, 0.70};
    struct group_action a;
    s.personal_max = 2;
    change(g, s);
    one_group(g, 3);
    uint64_t t = 100;
    for (int w = 0; w < 3; w++)
        assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.71, &a), 0);
    assert_int_equal(personal_trials(g, true), 1);
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.71, &a), 0); /* too little */
    for (int w = 0; w < 2; w++) { /* so it is not asked again for a while */
        assert_int_equal(personal_trials(g, true) + personal_trials(g, false), w);
        assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, NAN, &a), 0);
    }
    assert_int_equal(personal_trials(g, false), 1); /* trained, to be scored now */
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.745, &a), 0);
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.745, &a), 1);
    assert_true(a.kind == GROUP_ACTION_PERSONAL_ON && a.camera == 2);
    assert_true(grouper_personal(g, 2));
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.715, &a),
                     0); /* more than half */
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.70, &a), 0);
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.70, &a), 1);
    assert_int_equal(a.kind, GROUP_ACTION_PERSONAL_OFF);
    assert_false(grouper_personal(g, 2));
    grouper_close(&g);
}

/* With a delta that serves it a camera is not behind, and stays; where even that does not help, it
 * goes. */
static void own_deltas_keep_members(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    struct group_settings s = *grouper_settings(g);
    double accuracy[] = {0.75, 0.75, 0.70};
    struct group_action a;
    s.personal_max = 1;
    change(g, s);
    one_group(g, 3);
    uint64_t t = 100;
    for (int w = 0; w < 4; w++)
        assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.75, &a), 0);
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.75, &a), 1);
    assert_true(a.kind == GROUP_ACTION_PERSONAL_ON && a.why.code == GROUP_WHY_PERSONAL);
    struct group_explanation e;
    assert_int_equal(grouper_explain(g, 2, &e, NULL), ST_OK);
    assert_true(e.personal && strstr(e.text, "with a delta of its own"));
    assert_non_null(strstr(e.text, "brings 0.700 -> 0.750"));
    accuracy[2] = 0.45; /* the shared model's, not what the camera has */
    for (int w = 0; w < 4; w++)
        assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.74, &a), 0);
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.5, &a), 0);
    assert_int_equal(window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.5, &a), 1);
    assert_true(a.kind == GROUP_ACTION_LEAVE && a.camera == 2 && a.why.code == GROUP_WHY_HELD);
    assert_false(grouper_personal(g, 2));
    grouper_close(&g);
}

/* No more than personal_max at a time, and one that fades is made anew. */
static void own_deltas_are_few(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    struct group_settings s = *grouper_settings(g);
    const double accuracy[] = {0.75, 0.75, 0.70, 0.70, 0.70};
    struct group_action a;
    s.personal_max = 2;
    change(g, s);
    one_group(g, 5);
    uint64_t t = 100;
    for (int w = 0; w < 3; w++)
        window_with(g, ++t * SECOND_US, accuracy, 0.5, NAN, &a);
    for (int w = 0; w < 6; w++) {
        assert_int_equal(personal_trials(g, true) + personal_trials(g, false), 2);
        window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.75, &a);
    }
    assert_int_equal(grouper_personal(g, 2) + grouper_personal(g, 3) + grouper_personal(g, 4), 2);
    assert_int_equal(personal_trials(g, true), 0);
    window_with(g, ++t * SECOND_US, accuracy, 0.5, 0.715, &a); /* less than was asked */
    assert_int_equal(personal_trials(g, true), 2);
    grouper_close(&g);
}

static void groups_rest_and_wake(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    struct group_settings s = *grouper_settings(g);
    struct group_action a;
    struct group_view k;
    s.rest_windows = 3;
    change(g, s);
    uint64_t id = one_group(g, 2), t = 100;
    for (double v = 0.5; v < 0.7; v += 0.05) {
        const double rising[] = {v, v};
        assert_int_equal(window(g, ++t * SECOND_US, rising, 0.5, &a), 0);
    }
    const double flat[] = {0.7, 0.7}, low[] = {0.6, 0.6};
    int windows = 0;
    while (window(g, ++t * SECOND_US, flat, 0.5, &a) == 0 && windows < 20)
        windows++;
    assert_true(windows >= 2 && windows < 10);
    assert_true(a.kind == GROUP_ACTION_REST && a.group == id && a.camera == -1);
    assert_true(grouper_group(g, id, &k) && k.resting);
    assert_int_equal(window(g, ++t * SECOND_US, flat, 0.5, &a), 0);
    assert_int_equal(window(g, ++t * SECOND_US, low, 0.5, &a), 1);
    assert_int_equal(a.kind, GROUP_ACTION_WAKE);
    assert_true(grouper_group(g, id, &k) && !k.resting);
    grouper_close(&g);
}

static void zoo_models_are_tried_and_begun_with(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    struct zoo *z;
    struct zoo_entry e = {.accuracy = 0.7, .model = "snapshots/1"}, gone;
    struct group_request r;
    struct group_decision d;
    struct group_conditions now = at(0, SECOND_US, 0);
    struct error err;
    uint64_t id;
    int camera;
    assert_int_equal(zoo_open(4, &z, &err), ST_OK);
    e.conditions = now;
    assert_int_equal(zoo_add(z, &e, 1, &id, &gone, &err), ST_OK);
    assert_int_equal(grouper_camera(g, "a", &camera, &err), ST_OK);
    assert_int_equal(grouper_request(g, camera, &now, SECOND_US, z, &r, &err), ST_OK);
    assert_int_equal(r.trial_count, 2);
    assert_true(r.trials[1].kind == GROUP_MODEL_ZOO && r.trials[1].id == id);
    r.trials[0].score = score(0.5);
    r.trials[1].score = score(0.65);
    assert_int_equal(grouper_decide(g, &r, &d, &err), ST_OK);
    assert_true(d.formed && d.start == GROUP_MODEL_ZOO && d.start_id == id);
    r.trials[1].score = score(0.505); /* not worth the change */
    assert_int_equal(grouper_decide(g, &r, &d, &err), ST_OK);
    assert_true(d.formed && d.start == GROUP_MODEL_OWN);
    zoo_close(&z);
    grouper_close(&g);
}

static void paired_frames_say_more(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    float own[FRAMES], zoo[FRAMES];
    for (int i = 0; i < FRAMES; i++) {
        own[i] = i % 2 ? 0.9f : 0.3f; /* frames differ much, the models in the same way */
        zoo[i] = own[i] + 0.03f;
    }
    struct group_request r = ask(g, 0, at(0, SECOND_US, 0));
    struct group_decision d;
    struct error err;
    r.trial_count = 2;
    r.trials[1] = (struct group_trial){.kind = GROUP_MODEL_ZOO, .id = 7};
    r.trials[0].score = (struct group_score){0.6, FRAMES, own};
    r.trials[1].score = (struct group_score){0.63, FRAMES, zoo};
    assert_int_equal(grouper_decide(g, &r, &d, &err), ST_OK);
    assert_int_equal(d.start, GROUP_MODEL_ZOO);
    struct group_settings s = *grouper_settings(g);
    s.frame_sd = 0.3;
    change(g, s);
    r.trials[0].score.by_frame = r.trials[1].score.by_frame = NULL;
    assert_int_equal(grouper_decide(g, &r, &d, &err), ST_OK);
    assert_int_equal(d.start, GROUP_MODEL_OWN);
    grouper_close(&g);
}

static void unknown_scores_are_done_without(void **state)
{
    (void)state;
    for (int p = 0; p < GROUP_POLICY_COUNT; p++) {
        struct grouper *g = open_grouper((enum group_policy)p);
        const double nothing[4] = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
        struct group_action a;
        for (int i = 0; i < 4; i++)
            assert_true(decide(g, ask(g, i, at(i, SECOND_US, 0)), (double)NAN, (double)NAN).formed);
        for (uint64_t w = 0; w < 5; w++)
            assert_int_equal(window(g, (100 + w) * SECOND_US, nothing, (double)NAN, &a), 0);
        grouper_close(&g);
    }
}

static void reasons_are_sentences_with_numbers(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE);
    struct group_explanation x;
    struct error err;
    int camera;
    one_group(g, 2);
    assert_int_equal(grouper_explain(g, 1, &x, &err), ST_OK);
    assert_int_equal(x.members, 2);
    assert_non_null(strstr(x.text, "cam0"));
    assert_non_null(strstr(x.text, "0.550"));
    assert_non_null(strstr(x.text, "10 m"));
    assert_int_equal(grouper_explain(g, 9, &x, &err), ST_NOT_FOUND);
    assert_int_equal(grouper_camera(g, "new", &camera, &err), ST_OK);
    assert_int_equal(grouper_explain(g, camera, &x, &err), ST_OK);
    assert_int_equal(x.group, 0);
    for (int c = 0; c < GROUP_WHY_COUNT; c++) {
        struct group_why w = {.code = (enum group_why_code)c, .accuracy = 0.5, .reference = 0.6};
        char text[GROUP_REASON_CHARS];
        group_why_text(&w, text);
        assert_true(strlen(text) > 20 && strlen(text) < GROUP_REASON_CHARS - 1);
        assert_true(strlen(group_why_name(w.code)) > 2);
    }
    grouper_close(&g);
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    struct grouper *g = open_grouper(GROUP_POLICY_ATTUNE), *none = NULL;
    struct group_settings s = *grouper_settings(g);
    struct group_conditions c = at(0, 1, 0);
    struct group_request r;
    struct group_decision d;
    struct error err;
    uint64_t emptied;
    int camera;
    assert_int_equal(grouper_camera(g, "", &camera, &err), ST_INVALID);
    assert_int_equal(grouper_camera(g, "Big", &camera, &err), ST_INVALID);
    assert_int_equal(grouper_request(g, 0, &c, 1, NULL, &r, &err), ST_NOT_FOUND);
    r = ask(g, 0, c);
    c.signature.value[0] = (float)NAN;
    assert_int_equal(grouper_request(g, 0, &c, 1, NULL, &r, &err), ST_INVALID);
    assert_int_equal(decide(g, ask(g, 0, at(0, 1, 0)), 0.5, 0.5).group, 1);
    grouper_remove(g, 0, &emptied);
    assert_int_equal(emptied, 1);
    assert_int_equal(grouper_group_count(g), 0);
    assert_int_equal(grouper_decide(g, &r, &d, &err), ST_NOT_FOUND);
    s.members_max = 0;
    assert_int_equal(grouper_open(&s, &none, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "members_max"));
    assert_int_equal(group_policy_parse("ecco"), GROUP_POLICY_ECCO);
    assert_int_equal(group_policy_parse("x"), GROUP_POLICY_COUNT);
    grouper_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_are_near_and_few),
        cmocka_unit_test(ecco_joins_what_is_better),
        cmocka_unit_test(attune_joins_what_serves_as_at_home),
        cmocka_unit_test(fresh_groups_ask_for_likeness),
        cmocka_unit_test(behind_for_two_windows_leaves),
        cmocka_unit_test(a_hard_view_is_no_disagreement),
        cmocka_unit_test(those_that_differ_alike_split_together),
        cmocka_unit_test(one_model_for_both_merges),
        cmocka_unit_test(own_deltas_must_pay),
        cmocka_unit_test(own_deltas_keep_members),
        cmocka_unit_test(own_deltas_are_few),
        cmocka_unit_test(groups_rest_and_wake),
        cmocka_unit_test(zoo_models_are_tried_and_begun_with),
        cmocka_unit_test(paired_frames_say_more),
        cmocka_unit_test(unknown_scores_are_done_without),
        cmocka_unit_test(reasons_are_sentences_with_numbers),
        cmocka_unit_test(bad_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
