/* The starter networks' sizes and metadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "synth/town.h"
#include "task/nets.h"
#include "task/task.h"

static struct nn_model *build(enum net_kind kind, struct task_spec *spec)
{
    struct net_options o = {TASK_SEGMENT,     kind, 160,      96, TOWN_CLASS_COUNT,
                            town_class_names, 7,    "nothing"};
    struct buf b;
    struct error err;
    struct nn_model *m = NULL;
    buf_init(&b);
    assert_int_equal(net_build(&o, &b, &err), ST_OK);
    assert_int_equal(nn_model_read(b.data, b.size_bytes, NULL, &m, &err), ST_OK);
    assert_int_equal(task_spec_read(m, spec, &err), ST_OK);
    buf_clear(&b);
    return m;
}

static void networks_have_their_sizes(void **state)
{
    (void)state;
    struct task_spec student, teacher;
    struct error err;
    struct nn_model *s = build(NET_STUDENT, &student), *t = build(NET_TEACHER, &teacher);
    assert_int_equal(task_specs_match(&student, &teacher, &err), ST_OK);
    assert_true(student.from_metadata);
    assert_string_equal(student.class_name[TOWN_CYCLIST], "cyclist");
    assert_true(student.out_width == 160 && student.out_height == 96);
    assert_true(nn_model_trainable_count(s) <= 500000);
    assert_true(nn_model_trainable_count(t) >= 10 * nn_model_trainable_count(s));
    assert_true(nn_model_param_count(t) + nn_model_param_count(s) < 15000000 / 4);
    assert_int_equal(nn_model_bn_form(s), NN_BN_KEPT);
    assert_string_equal(nn_model_metadata(s, "attune.seed"), "7");
    assert_string_equal(nn_model_metadata(t, "attune.trained_on"), "nothing");
    nn_model_close(&s);
    nn_model_close(&t);
}

static struct nn_model *build_classifier(enum net_kind kind, struct task_spec *spec)
{
    static const char *const names[] = {"day", "dusk", "night"};
    struct net_options o = {TASK_CLASSIFY, kind, 48, 32, 3, names, 7, "nothing"};
    struct buf b;
    struct nn_model *m = NULL;
    buf_init(&b);
    assert_int_equal(net_build(&o, &b, NULL), ST_OK);
    assert_int_equal(nn_model_read(b.data, b.size_bytes, NULL, &m, NULL), ST_OK);
    assert_int_equal(task_spec_read(m, spec, NULL), ST_OK);
    buf_clear(&b);
    return m;
}

static void classifiers_have_their_sizes(void **state)
{
    (void)state;
    struct task_spec student, teacher;
    struct nn_model *s = build_classifier(NET_STUDENT, &student);
    struct nn_model *t = build_classifier(NET_TEACHER, &teacher);
    assert_int_equal(task_specs_match(&student, &teacher, NULL), ST_OK);
    assert_int_equal(student.task, TASK_CLASSIFY);
    assert_true(student.width == 48 && student.height == 32 && task_cells(&student) == 1);
    assert_string_equal(student.class_name[2], "night");
    assert_in_range(nn_model_trainable_count(s), 20000, 60000);
    assert_in_range(nn_model_trainable_count(t), 8 * nn_model_trainable_count(s),
                    12 * nn_model_trainable_count(s));
    nn_model_close(&s);
    nn_model_close(&t);
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    struct net_options o = {TASK_SEGMENT,     NET_STUDENT,      321, 192,
                            TOWN_CLASS_COUNT, town_class_names, 7,   ""};
    struct buf b;
    struct error err;
    buf_init(&b);
    assert_int_equal(net_build(&o, &b, &err), ST_INVALID);
    o.width = 320;
    o.class_count = 1;
    assert_int_equal(net_build(&o, &b, &err), ST_INVALID);
    o.class_count = 2;
    o.kind = 0;
    assert_int_equal(net_build(&o, &b, &err), ST_INVALID);
    o.kind = NET_STUDENT;
    o.task = 0;
    assert_int_equal(net_build(&o, &b, &err), ST_INVALID);
    assert_int_equal(net_parse("teacher"), NET_TEACHER);
    assert_int_equal(net_parse("professor"), 0);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(networks_have_their_sizes),
                                       cmocka_unit_test(classifiers_have_their_sizes),
                                       cmocka_unit_test(bad_sizes_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
