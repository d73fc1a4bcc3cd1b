/* Measuring the transmission table on the town with small networks: what must hold whatever the
 * networks know. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "eval/uplink_profile.h"
#include "two_networks.h"

static struct error err;

static const char *const scenes[] = {"town:scenario=clear,width=80,height=64",
                                     "town:scenario=clear,width=80,height=64,camera=1"};

static void options_of_test(struct uplink_profile_options *o, struct controller_table *t)
{
    uplink_profile_options_init(o);
    o->student = student_path;
    o->teacher = teacher_path;
    o->scenes = scenes;
    o->scene_count = 2;
    o->learn_s = 12;
    o->score_s = 3;
    *t = (struct controller_table){.rate_factor = 23,
                                   .slack = 0.01,
                                   .size_count = 2,
                                   .rate_count = 2,
                                   .share_count = 2,
                                   .fps = {0.5, 2},
                                   .share = {0.002, 0.01},
                                   .sizes = {{.scale = 1}, {.scale = 0.5}}};
}

static void count(void *user, int done, int total)
{
    int *calls = user;
    assert_int_equal(done, ++*calls);
    assert_int_equal(total, 8);
}

static void a_table_is_measured(void **state)
{
    (void)state;
    struct uplink_profile_options o;
    struct controller_table t, back;
    struct buf text;
    int calls = 0;
    options_of_test(&o, &t);
    assert_int_equal(uplink_profile_run(&o, count, &calls, &t, &err), ST_OK);
    assert_int_equal(calls, 8);
    assert_true(t.width == 80 && t.height == 64 && t.rate_count == 2 && t.fps[1] == 2);
    for (int i = 0; i < 2; i++) {
        const struct controller_size *z = &t.sizes[i];
        assert_true(z->trainable_fps > 0 && isfinite(z->trainable_fps));
        assert_true(z->kbps[1] > z->kbps[0]);
        for (int r = 0; r < 2; r++)
            assert_true(z->accuracy[0][r] >= 0 && z->accuracy[1][r] >= z->accuracy[0][r] &&
                        z->accuracy[1][r] <= 1);
    }
    assert_true(t.sizes[1].kbps[1] < t.sizes[0].kbps[1]);
    buf_init(&text);
    controller_table_write(&t, &text);
    assert_int_equal(controller_table_read(text.data, text.size_bytes, "t", &back, &err), ST_OK);
    buf_clear(&text);
}

static void a_scene_that_is_too_short_is_refused(void **state)
{
    (void)state;
    static const char *const brief[] = {"town:scenario=clear,width=80,height=64,seconds=5"};
    struct uplink_profile_options o;
    struct controller_table t;
    options_of_test(&o, &t);
    o.scenes = brief;
    o.scene_count = 1;
    assert_int_equal(uplink_profile_run(&o, NULL, NULL, &t, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "seconds=5"));
    o.student = "/nowhere/student.onnx";
    assert_int_not_equal(uplink_profile_run(&o, NULL, NULL, &t, &err), ST_OK);
    assert_non_null(strstr(err.message, "/nowhere/student.onnx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_table_is_measured),
                                       cmocka_unit_test(a_scene_that_is_too_short_is_refused)};
    return cmocka_run_group_tests(tests, make_networks, drop_networks);
}
