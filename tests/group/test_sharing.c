/* Policies of fleets that share: what each name means, and what divides the compute in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "group/sharing.h"

/* ECCO, RECL and Ekya as their papers are read in docs/decisions and the header; ours after them.
 */
static void names_mean_what_the_papers_say(void **state)
{
    (void)state;
    static const struct sharing want[] = {
        {.name = "independent", .rule = ALLOCATOR_EQUAL, .grouping = GROUP_POLICY_NONE},
        {.name = "recl", .rule = ALLOCATOR_RECL, .grouping = GROUP_POLICY_NONE, .zoo = true},
        {.name = "ecco",
         .rule = ALLOCATOR_ECCO,
         .grouping = GROUP_POLICY_ECCO,
         .fair = true,
         .by_share = 1,
         .weighted = true,
         .zoo = true},
        {.name = "attune",
         .rule = ALLOCATOR_ATTUNE,
         .grouping = GROUP_POLICY_ATTUNE,
         .fair = true,
         .by_share = 0.3,
         .weighted = true,
         .zoo = true}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct sharing *s = sharing_find(want[i].name);
        assert_non_null(s);
        assert_int_equal(s->rule, want[i].rule);
        assert_int_equal(s->grouping, want[i].grouping);
        assert_true(s->fair == want[i].fair && s->by_share == want[i].by_share &&
                    s->weighted == want[i].weighted && s->zoo == want[i].zoo);
    }
    const struct sharing *ekya = sharing_find("ekya");
    assert_true(ekya->division == SHARING_PLANNED && ekya->plan == SCHEDULE_THIEF && !ekya->zoo);
    assert_null(sharing_find("attun"));
    assert_null(sharing_find(""));
    assert_null(sharing_at(-1));
}

/* An ablation, or a variant, differs from ours in one thing. */
static void an_ablation_leaves_one_thing_out(void **state)
{
    (void)state;
    const struct sharing *ours = sharing_find("attune"), *s;
    int ablations = 0;
    for (int i = 0; (s = sharing_at(i)); i++) {
        for (int k = 0; k < i; k++)
            assert_string_not_equal(sharing_at(k)->name, s->name);
        if (strncmp(s->name, "attune-", 7) != 0)
            continue;
        ablations++;
        assert_true(s->rule == ours->rule && s->plan == ours->plan);
        assert_int_equal((s->grouping != ours->grouping) + (s->fair != ours->fair) +
                             (s->by_share != ours->by_share) + (s->weighted != ours->weighted) +
                             (s->zoo != ours->zoo) + (s->personal != ours->personal),
                         1);
    }
    assert_int_equal(ablations, 6);
}

static void what_divides_follows_from_who_infers(void **state)
{
    (void)state;
    enum sharing_division d = SHARING_JOINT;
    struct error err;
    assert_int_equal(sharing_divide(SHARING_JOINT, "x", false, &d, &err), ST_OK);
    assert_int_equal(d, SHARING_MICRO);
    assert_int_equal(sharing_divide(SHARING_JOINT, "x", true, &d, &err), ST_OK);
    assert_int_equal(d, SHARING_PLANNED);
    for (int here = 0; here < 2; here++) {
        assert_int_equal(sharing_divide(SHARING_PLANNED, "x", here, &d, &err), ST_OK);
        assert_int_equal(d, SHARING_PLANNED);
    }
    assert_int_equal(sharing_divide(SHARING_MICRO, "x", false, &d, &err), ST_OK);
    assert_int_equal(d, SHARING_MICRO);
    d = SHARING_PLANNED;
    assert_int_equal(sharing_divide(SHARING_MICRO, "recl", true, &d, &err), ST_INVALID);
    assert_int_equal(d, SHARING_PLANNED);
    assert_non_null(strstr(err.message, "recl"));
    assert_string_equal(sharing_division_name(SHARING_MICRO), "micro-windows");
    assert_null(sharing_division_name((enum sharing_division)0));
}

static void only_the_fair_are_fair(void **state)
{
    (void)state;
    const struct sharing *s;
    struct allocator_settings standard, a;
    allocator_settings_init(&standard);
    for (int i = 0; (s = sharing_at(i)); i++) {
        struct allocator *opened = NULL;
        sharing_allocation(s, &a);
        assert_int_equal(a.rule, s->rule);
        assert_true(s->fair ? a.fairness == standard.fairness : a.fairness == 0);
        assert_int_equal(allocator_open(&a, &opened, NULL), ST_OK);
        allocator_close(&opened);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_mean_what_the_papers_say),
                                       cmocka_unit_test(an_ablation_leaves_one_thing_out),
                                       cmocka_unit_test(what_divides_follows_from_who_infers),
                                       cmocka_unit_test(only_the_fair_are_fair)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
