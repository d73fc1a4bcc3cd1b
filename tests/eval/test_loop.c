/* The whole loop on a small scale: two tiny networks, a camera of the town, every mode. What must
 * hold whatever the networks are: the student moves towards its teacher, budgets are kept, the same
 * seed gives the same bits, and bad input is an error that names what is wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "eval/eval.h"
#include "train/recipe.h"
#include "two_networks.h"

static const enum eval_mode all_modes[] = {EVAL_NONE, EVAL_ONE_TIME, EVAL_FULL, EVAL_AMS,
                                           EVAL_ATTUNE};

static struct eval_options small_options(void)
{
    struct eval_options o;
    eval_options_init(&o);
    o.source = "town:camera=0,seed=3,scenario=clear,width=80,height=64,fps=2";
    o.fps = 2;
    o.seconds = 120;
    o.student = student_path;
    o.teacher = teacher_path;
    o.modes = all_modes;
    o.mode_count = EVAL_MODE_COUNT;
    o.uplink_kbps = 20;
    o.downlink_kbps = 20;
    o.recipe = "steps=10,batch=2,learning_rate=0.01,fraction=0.5";
    return o;
}

static void run(const struct eval_options *o, struct eval_result *r)
{
    struct error err = {0};
    enum status st = eval_run(o, NULL, NULL, r, &err);
    if (st != ST_OK)
        fail_msg("%s", err.message);
}

static void students_follow_their_teacher(void **state)
{
    (void)state;
    struct eval_options o = small_options();
    struct eval_result r;
    run(&o, &r);
    const struct eval_mode_result *none = &r.modes[0];
    assert_int_equal(none->whole.frames, 240);
    assert_int_equal(none->after_warm_up.frames, 120);
    assert_int_equal(none->phases, 0);
    assert_true(none->uplink_kbps == 0 && none->downlink_kbps == 0);
    for (size_t i = 1; i < r.mode_count; i++) {
        const struct eval_mode_result *m = &r.modes[i];
        assert_true(m->uplink_kbps > 0 && m->uplink_kbps <= o.uplink_kbps);
        assert_true(m->downlink_kbps <= o.downlink_kbps);
        assert_int_equal(m->series_count, 240);
        assert_true(m->phases >= m->deltas);
    }
    assert_int_equal(r.modes[1].phases, 1); /* one-time */
    assert_true(r.modes[4].after_warm_up.accuracy_teacher >
                none->after_warm_up.accuracy_teacher + 0.1);
    assert_true(r.modes[2].after_warm_up.accuracy_teacher >
                none->after_warm_up.accuracy_teacher + 0.1);
    eval_result_clear(&r);
}

static void same_seed_same_bits(void **state)
{
    (void)state;
    struct eval_options o = small_options();
    o.seconds = 40;
    o.modes = &all_modes[4];
    o.mode_count = 1;
    struct eval_result a, b, c;
    run(&o, &a);
    run(&o, &b);
    o.seed = 2;
    run(&o, &c);
    assert_int_equal(a.modes[0].series_count, 80);
    assert_memory_equal(a.modes[0].series, b.modes[0].series, 80 * sizeof *a.modes[0].series);
    assert_true(a.modes[0].phases > 0);
    assert_memory_not_equal(a.modes[0].series, c.modes[0].series, 80 * sizeof *a.modes[0].series);
    eval_result_clear(&a);
    eval_result_clear(&b);
    eval_result_clear(&c);
}

static void bad_input_is_named(void **state)
{
    (void)state;
    struct eval_options o = small_options();
    struct eval_result r;
    struct error err;
    o.student = "/nonexistent.onnx";
    assert_int_equal(eval_run(&o, NULL, NULL, &r, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent.onnx"));
    o = small_options();
    o.source = "/nonexistent.mp4";
    assert_int_not_equal(eval_run(&o, NULL, NULL, &r, &err), ST_OK);
    assert_non_null(strstr(err.message, "/nonexistent.mp4"));
    o = small_options();
    o.recipe = "stepps=3";
    assert_int_equal(eval_run(&o, NULL, NULL, &r, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "did you mean 'steps'"));
}

static void recipes_by_name(void **state)
{
    (void)state;
    struct recipe r, before;
    struct error err;
    recipe_preset(LEARNER_ATTUNE, &r);
    assert_int_equal(
        recipe_set(&r, "steps=7,strategy=random,bn_mode=batch,period_s=2.5,gated=0", &err), ST_OK);
    assert_int_equal(r.learning.steps, 7);
    assert_int_equal(r.learning.strategy, SELECT_RANDOM);
    assert_int_equal(r.learning.bn_mode, NN_BN_BATCH);
    assert_int_equal(r.pace.period_us, 2500000);
    assert_false(r.learning.gated);
    before = r;
    static const char *const bad[] = {"steps=0",     "steps=1.5", "steps=", "steps",
                                      "fraction=2",  "=1",        "",       "steps=3,",
                                      "bn_mode=off", "strategy=", "flip=2", "steps=3,fraction=nan"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(recipe_set(&r, bad[i], &err), ST_INVALID);
        assert_memory_equal(&r, &before, sizeof r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(students_follow_their_teacher),
        cmocka_unit_test(same_seed_same_bits),
        cmocka_unit_test(bad_input_is_named),
        cmocka_unit_test(recipes_by_name),
    };
    return cmocka_run_group_tests(tests, make_networks, drop_networks);
}
