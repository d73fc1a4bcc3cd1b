/* Groupings against a planted truth: pairwise precision and recall over many fleets, time until the
 * groups are right, no flapping, and what every state must keep on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "planted.h"

#define SEEDS 25

struct totals {
    struct group_pairs settled, all;
    int events, stable, stable_windows, hurt_windows_max, trials_max;
    uint64_t calm_moves, calm_camera_windows;
};

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

/* Groups share no camera, name each other with their members, are none of them empty, and all
 * cameras that asked are in one. */
static void check_promises(const struct grouper *g)
{
    int limit = grouper_camera_limit(g), members = 0, in_groups = 0;
    char *seen = calloc((size_t)limit, 1);
    uint64_t last = 0;
    for (int i = 0; i < grouper_group_count(g); i++) {
        struct group_view k = grouper_group_at(g, i);
        assert_true(k.id > last && k.member_count >= 1);
        assert_true(k.member_count <= grouper_settings(g)->members_max);
        last = k.id;
        for (int m = 0; m < k.member_count; m++) {
            assert_false(seen[k.members[m]]);
            seen[k.members[m]] = 1;
            assert_int_equal(grouper_group_of(g, k.members[m]), k.id);
            assert_true(m == 0 || k.members[m] > k.members[m - 1]);
            members++;
        }
    }
    for (int i = 0; i < limit; i++)
        in_groups += grouper_group_of(g, i) != 0;
    assert_int_equal(members, in_groups);
    free(seen);
}

static void run(const struct planted_options *o, enum group_policy policy, struct totals *t)
{
    struct planted p;
    struct error err;
    struct grouper *g = open_grouper(policy);
    assert_true(planted_open(o, &p));
    assert_int_equal(planted_enlist(&p, g, &err), ST_OK);
    while (p.window < o->windows) {
        assert_int_equal(planted_window(&p, g, &err), ST_OK);
        check_promises(g);
    }
    t->settled = group_pairs_add(t->settled, p.settled);
    t->all = group_pairs_add(t->all, p.all);
    t->events += p.events;
    t->stable += p.events_stable;
    t->stable_windows += p.stable_windows;
    t->calm_moves += p.calm_moves;
    t->calm_camera_windows += p.calm_camera_windows;
    if (p.hurt_windows_max > t->hurt_windows_max)
        t->hurt_windows_max = p.hurt_windows_max;
    if (p.trials_max > t->trials_max)
        t->trials_max = p.trials_max;
    grouper_close(&g);
    planted_close(&p);
}

static struct totals over_seeds(struct planted_options o, const char *name)
{
    struct totals t = {0};
    for (int seed = 1; seed <= SEEDS; seed++) {
        o.seed = (uint64_t)seed;
        run(&o, GROUP_POLICY_ATTUNE, &t);
    }
    print_message("%s: precision %.3f recall %.3f settled, %.3f %.3f always; right after %.1f "
                  "windows in %d of %d changes; %.2f moves a camera in 100 calm windows\n",
                  name, t.settled.precision, t.settled.recall, t.all.precision, t.all.recall,
                  (double)t.stable_windows / t.stable, t.stable, t.events,
                  100.0 * (double)t.calm_moves / (double)t.calm_camera_windows);
    return t;
}

static void check_totals(const struct totals *t)
{
    struct group_settings s;
    group_settings_init(&s);
    assert_true(t->settled.precision >= 0.95 && t->settled.recall >= 0.95);
    assert_true(t->all.precision >= 0.95 && t->all.recall >= 0.9);
    assert_true(t->stable * 20 >= t->events * 19);
    assert_true(t->stable_windows <= 4 * t->stable);
    assert_true(t->calm_moves * 200 <= t->calm_camera_windows);
    assert_true(t->hurt_windows_max <= s.patience + 1);
    assert_true(t->trials_max <= 1 + s.candidates_max + s.zoo_tries);
}

static void groups_are_the_planted_ones(void **state)
{
    (void)state;
    struct planted_options o;
    planted_options_init(&o);
    struct totals t = over_seeds(o, "exact labels");
    check_totals(&t);
}

static void with_wrong_labels_too(void **state)
{
    (void)state;
    struct planted_options o;
    planted_options_init(&o);
    o.label_noise = 0.1;
    struct totals t = over_seeds(o, "10 % wrong labels");
    check_totals(&t);
}

/* Three times what the settings expect: those that are harder are not taken for others. */
static void with_hard_views_too(void **state)
{
    (void)state;
    struct planted_options o;
    planted_options_init(&o);
    o.difficulty_sd = 0.1;
    struct totals t = over_seeds(o, "hard and easy views");
    assert_true(t.settled.precision >= 0.95 && t.settled.recall >= 0.95);
    assert_true(t.stable * 20 >= t.events * 19);
    assert_true(t.calm_moves * 100 <= t.calm_camera_windows);
}

static void without_signatures_too(void **state)
{
    (void)state;
    struct planted_options o;
    planted_options_init(&o);
    o.blind = true;
    struct totals t = over_seeds(o, "no signatures");
    /* All begin alone, and it takes some windows of training until models have something to say. */
    assert_true(t.settled.precision >= 0.95 && t.settled.recall >= 0.95);
    assert_true(t.stable * 20 >= t.events * 19 && t.stable_windows <= 6 * t.stable);
}

/* Nobody asks, nobody is behind: half of a group's world changes and the shared model goes halfway.
 */
static void changes_that_nobody_noticed_too(void **state)
{
    (void)state;
    struct planted_options o;
    planted_options_init(&o);
    o.silent = 1;
    struct totals t = over_seeds(o, "silent changes");
    check_totals(&t);
    o.silent = 0.3;
    t = over_seeds(o, "partly silent changes");
    check_totals(&t);
}

static void nothing_happens_nothing_moves(void **state)
{
    (void)state;
    struct planted_options o;
    planted_options_init(&o);
    o.event_windows = 0;
    o.windows = 150;
    o.false_requests = 0;
    o.label_noise = 0.1;
    struct totals t = over_seeds(o, "constant conditions");
    /* At most one move a camera in 400 windows. */
    assert_true(t.calm_moves * 400 <= t.calm_camera_windows);
    assert_true(t.settled.recall >= 0.98);
}

static void other_policies_keep_the_promises(void **state)
{
    (void)state;
    struct planted_options o;
    struct totals none = {0}, ecco = {0};
    planted_options_init(&o);
    run(&o, GROUP_POLICY_NONE, &none);
    run(&o, GROUP_POLICY_ECCO, &ecco);
    assert_int_equal(none.all.found, 0);
    assert_true(none.all.true_pairs > 0);
    assert_true(ecco.all.found > 0);
}

/* By hand: {1,2},{3,4,5} found, {1,2,3},{4,5} true: found 1 + 3, true 3 + 1, both 12 and 45. */
static void pairs_by_hand(void **state)
{
    (void)state;
    const uint64_t found[] = {7, 7, 9, 9, 9, 0}, truth[] = {1, 1, 1, 2, 2, 0}, none[6] = {0};
    struct group_pairs p = group_pairs_compare(found, truth, 6);
    assert_int_equal(p.found, 4);
    assert_int_equal(p.true_pairs, 4);
    assert_int_equal(p.both, 2);
    assert_true(p.precision == 0.5 && p.recall == 0.5);
    p = group_pairs_add(p, group_pairs_compare(truth, truth, 6));
    assert_true(p.precision == 0.75 && p.recall == 0.75);
    p = group_pairs_compare(none, truth, 6);
    assert_true(p.precision == 1 && p.recall == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_by_hand),
        cmocka_unit_test(groups_are_the_planted_ones),
        cmocka_unit_test(with_wrong_labels_too),
        cmocka_unit_test(with_hard_views_too),
        cmocka_unit_test(without_signatures_too),
        cmocka_unit_test(changes_that_nobody_noticed_too),
        cmocka_unit_test(nothing_happens_nothing_moves),
        cmocka_unit_test(other_policies_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
