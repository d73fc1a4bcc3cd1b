/* Expectations from a history against means worked out by hand, and their limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/build.h"
#include "server/outlook.h"

static struct outlook o;
static struct nn_model *student;
static struct store *store;
static char dir[] = "/tmp/attune-outlook-XXXXXX";
static struct error err;

static struct nn_model *tiny(void)
{
    struct nn_build *b;
    struct nn_model *m;
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(nn_build_open(16, 16, 1, &b, &err), ST_OK);
    nn_value x = nn_build_relu(b, nn_build_conv(b, nn_build_input(b), 4, 3, 1, 1, 1, true));
    x = nn_build_conv(b, x, 3, 1, 1, 1, 1, true);
    nn_build_metadata(b, "attune.task", "segment");
    nn_build_metadata(b, "attune.classes", "a,b,c");
    assert_int_equal(nn_build_finish(b, x, &bytes, &err), ST_OK);
    assert_int_equal(nn_model_read(bytes.data, bytes.size_bytes, NULL, &m, &err), ST_OK);
    buf_clear(&bytes);
    nn_build_close(&b);
    return m;
}

static int setup(void **state)
{
    (void)state;
    struct train_configurations c;
    struct learner_options recipe;
    struct store_options options;
    snprintf(dir, sizeof dir, "/tmp/attune-outlook-XXXXXX");
    assert_non_null(mkdtemp(dir));
    store_options_init(&options);
    options.disk_free_min_mb = 0;
    assert_int_equal(store_open(dir, &options, &store, &err), ST_OK);
    student = tiny();
    train_configurations_init(&c);
    learner_preset(LEARNER_ATTUNE, &recipe);
    recipe.steps = 12;
    recipe.batch = 4;
    assert_int_equal(outlook_init(&o, &c, student, &recipe, ESTIMATE_HISTORY, &err), ST_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[64];
    nn_model_close(&student);
    store_close(&store);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static int item(const char *name)
{
    for (int k = 0; k < o.count; k++)
        if (strcmp(o.items[k].configuration.name, name) == 0)
            return k;
    fail_msg("no item %s", name);
    return -1;
}

static uint64_t episodes;

static void add(const char *camera, const char *configuration, double start, double end,
                double compute_s, int steps)
{
    struct store_training t = {.episode = ++episodes,
                               .start = start,
                               .end = end,
                               .profiled_start = NAN,
                               .profiled_end = NAN,
                               .compute_s = compute_s,
                               .steps = steps,
                               .accepted = end != start};
    snprintf(t.camera, sizeof t.camera, "%s", camera);
    snprintf(t.configuration, sizeof t.configuration, "%s", configuration);
    assert_int_equal(store_training_put(store, &t, &err), ST_OK);
    assert_int_equal(outlook_read(&o, store, &err), ST_OK);
}

static struct outlook_expectation expect(const char *camera, double accuracy, int k)
{
    struct outlook_expectation e[OUTLOOK_ITEMS_MAX];
    outlook_expect(&o, camera, accuracy, NULL, e);
    return e[k];
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

/* The gain that is expected of an item without a history. */
static double prior(double epochs)
{
    return OUTLOOK_PRIOR_GAIN * epochs / (epochs + OUTLOOK_PRIOR_EPOCHS);
}

static void the_menu_has_the_recipe_and_the_table(void **state)
{
    (void)state;
    assert_int_equal(o.count, 7);
    assert_string_equal(o.items[OUTLOOK_RECIPE].configuration.name, "recipe");
    assert_int_equal(outlook_steps(&o, OUTLOOK_RECIPE, 1000), 12);
    assert_int_equal(outlook_steps(&o, item("head-8"), 41), 8 * 11);
    /* Whole trainings of any length are one; those of three layers another (here there are two
     * layers, so they cost the same). */
    assert_int_equal(o.items[item("all-3")].training, OUTLOOK_RECIPE);
    assert_int_equal(o.items[item("all-20")].training, OUTLOOK_RECIPE);
    assert_int_equal(o.items[item("head-20")].training, o.items[item("head-3")].training);
    assert_int_not_equal(o.items[item("head-3")].training, OUTLOOK_RECIPE);
    for (int k = 0; k < o.count; k++)
        assert_true(o.items[k].step_ops > 0);
    struct outlook other;
    struct learner_options recipe;
    struct train_configurations c;
    train_configurations_init(&c);
    learner_preset(LEARNER_ATTUNE, &recipe);
    recipe.batch = 4;
    snprintf(c.items[1].name, sizeof c.items[1].name, "recipe");
    assert_int_equal(outlook_init(&other, &c, student, &recipe, ESTIMATE_HISTORY, &err),
                     ST_INVALID);
}

static void without_a_history_there_is_a_prior(void **state)
{
    (void)state;
    assert_true(near(expect("a", 0.6, OUTLOOK_RECIPE).accuracy, 0.6 + prior(1)));
    assert_true(near(expect("a", 0.6, item("all-20")).accuracy, 0.6 + prior(20)));
    assert_true(near(expect("a", 0.6, item("all-20")).accuracy_sd, OUTLOOK_PRIOR_SD));
    assert_true(expect("a", 0.99, item("all-20")).accuracy == 1);
    assert_int_equal(expect("a", 0.6, item("all-20")).samples, 0);
    assert_true(outlook_op_s(&o, "a") == OUTLOOK_PRIOR_S);
    assert_true(isnan(outlook_mean_of(&o, OUTLOOK_RECIPE).gain));
}

static void the_fleets_gain_counts_for_a_newcomer(void **state)
{
    (void)state;
    int k = item("all-8");
    for (int i = 0; i < 6; i++)
        add("a", "all-8", 0.5, 0.6, 2, 10);
    add("a", "gone-from-the-file", 0.5, 0.9, 3, 20);
    struct outlook_expectation e = expect("new", 0.3, k);
    assert_true(near(e.accuracy, 0.3 + (6 * 0.1 + 2 * prior(8)) / 8));
    assert_int_equal(e.samples, 6);
    assert_true(near(outlook_op_s(&o, "new") / (12 / (60 * o.items[k].step_ops)), 1));
    add("b", "all-8", 0.5, 0.5, 8, 10);
    assert_true(near(outlook_op_s(&o, "b") / (8 / (10 * o.items[k].step_ops)), 1));
    struct outlook_mean m = outlook_mean_of(&o, k);
    assert_true(m.trainings == 7 && m.accepted == 6);
    assert_true(near(m.gain, 0.6 / 7) && near(m.compute_s, 20.0 / 7));
}

/* A camera that used to end high and has fallen is worth more than one that is where it ends. */
static void who_has_fallen_gains_more(void **state)
{
    (void)state;
    int k = item("all-3");
    for (int i = 0; i < 5; i++)
        add("a", "all-3", 0.7, 0.8, 2, 10);
    double fallen = expect("a", 0.5, k).accuracy - 0.5, there = expect("a", 0.8, k).accuracy - 0.8;
    assert_true(fallen > there + 0.05);
    double gain = (5 * 0.1 + 2 * prior(3)) / 7, by_end = (5 * 0.8 + 2 * (0.5 + gain)) / 7;
    assert_true(near(fallen, (gain + by_end - 0.5) / 2));
    /* What was not scored says nothing. */
    add("a", "all-3", 0.5, NAN, 2, 10);
    assert_true(near(expect("a", 0.5, k).accuracy - 0.5, fallen));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_menu_has_the_recipe_and_the_table),
        TEST(without_a_history_there_is_a_prior),
        TEST(the_fleets_gain_counts_for_a_newcomer),
        TEST(who_has_fallen_gains_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
