/* Medians, bests and when to stop; and that a process can be held to one processor. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cores.h"
#include "bench/case.h"
#include "bench/times.h"

static struct bench_times times; /* large for a stack */

static void medians_and_bests(void **state)
{
    (void)state;
    times.count = 0;
    assert_true(bench_times_median(&times) == 0 && bench_times_best(&times) == 0);
    bench_times_add(&times, 5);
    bench_times_add(&times, 2);
    bench_times_add(&times, 9);
    assert_true(bench_times_median(&times) == 5 && bench_times_best(&times) == 2);
    bench_times_add(&times, 7);
    assert_true(bench_times_median(&times) == 6);
}

static void runs_go_on_until_the_time_is_over(void **state)
{
    (void)state;
    times.count = 0;
    assert_true(bench_times_more(&times, 0, 100, 200)); /* at least BENCH_RUNS_MIN */
    while (times.count < BENCH_RUNS_MIN)
        bench_times_add(&times, 1);
    assert_false(bench_times_more(&times, 0, 100, 200));
    assert_true(bench_times_more(&times, 1e-3, 100, 1099));
    assert_false(bench_times_more(&times, 1e-3, 100, 1100));
    while (times.count < BENCH_RUNS_MAX)
        bench_times_add(&times, 1);
    bench_times_add(&times, 0); /* no room: not kept */
    assert_true(bench_times_best(&times) == 1);
    assert_false(bench_times_more(&times, 1e9, 100, 200));
}

static void names_go_both_ways(void **state)
{
    (void)state;
    for (enum bench_mode m = BENCH_TRAIN; m <= BENCH_DELTA; m++)
        assert_int_equal(bench_mode_parse(bench_mode_name(m)), m);
    assert_int_equal(bench_mode_parse("guess"), 0);
    assert_int_equal(bench_precision_parse("f32"), NN_PRECISION_F32);
    assert_string_equal(bench_precision_name(NN_PRECISION_BF16), "bf16");
    assert_int_equal(bench_precision_parse("f8"), 0);
}

static void one_processor(void **state)
{
    (void)state;
    cpu_set_t set;
    struct error err;
    assert_int_equal(cores_pin_some(cores_usable_count() + 1, &err), ST_LIMIT);
    assert_int_equal(cores_pin_some(1, &err), ST_OK);
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_int_equal(cores_usable_count(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians_and_bests),
        cmocka_unit_test(runs_go_on_until_the_time_is_over),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(one_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
