/* Training from nothing: it learns, it resumes as if it had never stopped, it refuses what it
 * cannot train. */
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

#include "task/nets.h"
#include "train/pretrain.h"

static struct nn_model *build(int class_count)
{
    struct net_options o = {NET_STUDENT, 96, 64, class_count, town_class_names, 7, "test"};
    struct buf b;
    struct error err;
    struct nn_model *m = NULL;
    buf_init(&b);
    assert_int_equal(net_build(&o, &b, &err), ST_OK);
    assert_int_equal(nn_model_read(b.data, b.size_bytes, NULL, &m, &err), ST_OK);
    buf_clear(&b);
    return m;
}

static struct pretrain *start(const struct nn_model *m, uint64_t steps)
{
    struct pretrain_options o;
    struct pretrain *p = NULL;
    struct error err;
    pretrain_options_init(&o);
    o.steps = steps;
    o.batch = 4;
    assert_int_equal(pretrain_open(m, &o, &p, &err), ST_OK);
    return p;
}

static double run(struct pretrain *p, uint64_t steps)
{
    struct pretrain_step s = {0};
    struct error err;
    double sum = 0;
    for (uint64_t i = 0; i < steps; i++) {
        assert_int_equal(pretrain_advance(p, &s, &err), ST_OK);
        sum += s.loss;
    }
    return sum / (double)steps;
}

static void loss_falls_and_scores_rise(void **state)
{
    (void)state;
    struct nn_model *m = build(TOWN_CLASS_COUNT);
    struct pretrain *p = start(m, 40);
    struct error err;
    struct pretrain_step s;
    double first = run(p, 5);
    run(p, 30);
    double last = run(p, 5);
    assert_true(last < 0.7 * first);
    assert_int_equal(pretrain_advance(p, &s, &err), ST_END);
    struct pretrain_score before, after;
    assert_int_equal(pretrain_evaluate(m, NULL, &pretrain_trials[0], 6, 1, &before, &err), ST_OK);
    assert_int_equal(
        pretrain_evaluate(m, pretrain_params(p), &pretrain_trials[0], 6, 1, &after, &err), ST_OK);
    assert_true(after.miou > before.miou && after.miou <= 1 && after.frames == 6);
    pretrain_close(&p);
    nn_model_close(&m);
}

/* Three steps and a resume give the bits of six steps. */
static void a_resumed_run_is_the_same_run(void **state)
{
    (void)state;
    char path[] = "/tmp/attune-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct nn_model *m = build(TOWN_CLASS_COUNT);
    struct pretrain *whole = start(m, 6), *first = start(m, 6), *second = start(m, 6);
    struct error err;
    run(whole, 6);
    run(first, 3);
    assert_int_equal(pretrain_save(first, path, &err), ST_OK);
    assert_int_equal(pretrain_resume(second, path, &err), ST_OK);
    run(second, 3);
    assert_memory_equal(pretrain_params(whole), pretrain_params(second),
                        nn_model_param_count(m) * sizeof(float));
    unlink(path);
    pretrain_close(&whole);
    pretrain_close(&first);
    pretrain_close(&second);
    nn_model_close(&m);
}

static void other_networks_are_refused(void **state)
{
    (void)state;
    struct nn_model *m = build(5);
    struct pretrain_options o;
    struct pretrain *p = NULL;
    struct error err;
    pretrain_options_init(&o);
    assert_int_equal(pretrain_open(m, &o, &p, &err), ST_UNSUPPORTED);
    nn_model_close(&m);
    m = build(TOWN_CLASS_COUNT);
    o.batch = 0;
    assert_int_equal(pretrain_open(m, &o, &p, &err), ST_INVALID);
    pretrain_options_init(&o);
    o.scenario = "rainy";
    assert_int_equal(pretrain_open(m, &o, &p, &err), ST_NOT_FOUND);
    assert_null(p);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loss_falls_and_scores_rise),
                                       cmocka_unit_test(a_resumed_run_is_the_same_run),
                                       cmocka_unit_test(other_networks_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
