/* Ekya's worked example: rationals worked out by hand from table 1 and figure 4 (an event-driven
 * reconstruction in exact arithmetic gives the same). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "eval/replay_example.h"

static struct replay_example_row rows[REPLAY_EXAMPLE_ROWS];

static int run_example(void **state)
{
    (void)state;
    struct error err;
    return replay_example(rows, &err) == ST_OK ? 0 : -1;
}

static const struct replay_example_row *row(const char *begin)
{
    for (int i = 0; i < REPLAY_EXAMPLE_ROWS; i++)
        if (strncmp(rows[i].name, begin, strlen(begin)) == 0)
            return &rows[i];
    fail_msg("no row %s", begin);
    return NULL;
}

static void check(const char *name, double mean, double a1, double b1, double a2, double b2)
{
    const struct replay_example_row *r = row(name);
    double want[] = {a1, b1, a2, b2};
    print_message("%s: %.6f, want %.6f\n", r->name, r->mean_percent, mean);
    assert_true(fabs(r->mean_percent - mean) < 1e-9);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(r->camera_percent[i] - want[i]) < 1e-9);
}

static void uniform_is_56(void **state)
{
    (void)state;
    check("uniform (", 8077.0 / 144, 51.25, 130.0 / 3, 530.0 / 9, 638.0 / 9);
    check("uniform, cheap", 19195.0 / 288, 4145.0 / 72, 1055.0 / 18, 220.0 / 3, 925.0 / 12);
    check("no retraining", 57.5, 65, 50, 65, 50);
}

static void drawn_schedule_is_75(void **state)
{
    (void)state;
    check("drawn schedule", 21685.0 / 288, 590.0 / 9, 555.0 / 8, 725.0 / 9, 3085.0 / 36);
    assert_true(fabs(row("drawn")->lowest_percent - 40) < 1e-9);
}

static void optimum_is_76(void **state)
{
    (void)state;
    static const char *const names[] = {"exhaustive", "thief to a fixed point, delta 0.05",
                                        "thief to a fixed point, delta 0.25", "attune"};
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(row(names[i])->mean_percent - 76.09375) < 1e-9);
    assert_true(row("exhaustive")->lowest_percent >= 40);
}

/* 71.8145 is of the reconstruction in exact arithmetic, printed with four digits. */
static void printed_thief_stalls(void **state)
{
    (void)state;
    assert_true(fabs(row("thief as printed")->mean_percent - 71.8145) < 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_is_56), cmocka_unit_test(drawn_schedule_is_75),
        cmocka_unit_test(optimum_is_76), cmocka_unit_test(printed_thief_stalls)};
    return cmocka_run_group_tests(tests, run_example, NULL);
}
