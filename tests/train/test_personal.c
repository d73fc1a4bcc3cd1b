/* A member's own delta, trained on top of the model that a group of two different cameras shares:
 * the camera that takes its bytes runs the weights that were scored, and the group's learner does
 * not notice. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group/group.h"
#include "nn/build.h"
#include "train/personal.h"

#define WIDTH 24
#define HEIGHT 16
#define CLASSES 3
#define SECOND_US 1000000ull
#define ODD 1 /* source of the camera that differs */

static struct nn_model *tiny_model(void)
{
    struct nn_build *b;
    struct nn_model *m;
    struct buf file;
    struct error err = {.message = ""};
    assert_int_equal(nn_build_open(HEIGHT, WIDTH, 11, &b, NULL), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 8, 3, 1, 1, 1, false);
    x = nn_build_relu(b, nn_build_batch_norm(b, x));
    x = nn_build_conv(b, x, CLASSES, 1, 1, 1, 1, true);
    buf_init(&file);
    if (nn_build_finish(b, x, &file, &err) != ST_OK)
        fail_msg("%s", err.message);
    nn_build_close(&b);
    assert_int_equal(nn_model_read(file.data, file.size_bytes, NULL, &m, NULL), ST_OK);
    buf_clear(&file);
    return m;
}

/* Classes by colour, for the odd camera through a lens that is dim and red. */
static void feed_one(struct learner *l, uint64_t t_us, int source, struct rng *rng)
{
    uint8_t pixels[HEIGHT * WIDTH * 3], classes[HEIGHT * WIDTH];
    for (int i = 0; i < HEIGHT * WIDTH; i++) {
        classes[i] = (uint8_t)(i % WIDTH * CLASSES / WIDTH);
        for (int c = 0; c < 3; c++) {
            int v = (classes[i] == c ? 130 : 90) + (int)rng_below(rng, 80);
            if (source == ODD)
                v = v * 9 / 10 + (c == 0 ? 20 : 0);
            pixels[3 * i + c] = (uint8_t)v;
        }
    }
    const struct frame f = {WIDTH, HEIGHT, t_us, pixels};
    const struct label_map labels = {WIDTH, HEIGHT, classes};
    assert_int_equal(learner_add(l, &f, &labels, NULL, source, NULL), ST_OK);
}

static struct learner_options options(void)
{
    struct learner_options o;
    learner_preset(LEARNER_ATTUNE, &o);
    o.batch = 4;
    o.fraction = 0.5;
    o.gated = false;
    o.optimizer.learning_rate = 0.02f;
    return o;
}

/* A group's learner after a phase on the frames of both. */
static struct learner *group_of_two(const struct nn_model *m, int frames)
{
    struct learner_options o = options();
    struct learner_result r;
    struct learner *l;
    struct rng rng;
    struct buf delta;
    rng_init(&rng, 1, 1);
    buf_init(&delta);
    assert_int_equal(learner_open(m, &o, 3, &l, NULL), ST_OK);
    for (int i = 0; i < frames; i++)
        feed_one(l, (uint64_t)(i + 1) * SECOND_US, i % 4 == 0 ? ODD : 0, &rng);
    assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    assert_true(r.accepted);
    buf_clear(&delta);
    return l;
}

static enum status train(const struct learner *group, uint64_t seed,
                         const struct personal_options *o, struct delta_personal *ret,
                         struct error *err)
{
    struct learner_result r;
    struct learner *l;
    assert_int_equal(personal_open(group, ODD, o, seed, &l, NULL), ST_OK);
    for (int i = 0; i < buffer_count(learner_buffer(l)); i++)
        assert_int_equal(buffer_at(learner_buffer(l), i)->source, ODD);
    enum status st = personal_train(l, group, o, NULL, NULL, ret, &r, err);
    learner_close(&l);
    return st;
}

/* Accuracy on frames of the odd camera that nobody was trained on. */
static double score(const struct nn_model *m, const float *params, uint64_t seed)
{
    struct learner_options o = options();
    struct confusion counts;
    struct learner *l;
    struct rng rng;
    rng_init(&rng, seed, 9);
    assert_int_equal(learner_open(m, &o, 1, &l, NULL), ST_OK);
    for (int i = 0; i < 6; i++)
        feed_one(l, (uint64_t)(i + 1) * SECOND_US, ODD, &rng);
    task_counts_init(TASK_SEGMENT, CLASSES, &counts);
    assert_int_equal(learner_score(l, params, 0, 6, &counts, NULL), ST_OK);
    learner_close(&l);
    return task_score(TASK_SEGMENT, &counts);
}

static float *copy_of(const struct nn_model *m, const float *params)
{
    size_t bytes = nn_model_param_count(m) * sizeof *params;
    float *copy = malloc(bytes);
    assert_non_null(copy);
    return memcpy(copy, params, bytes);
}

static void it_serves_the_odd_one(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner *group = group_of_two(m, 40);
    struct personal_options o;
    struct delta_personal own, again, got;
    struct buf bytes, before, after;
    struct error err = {.message = ""};
    personal_options_init(&o);
    o.fraction = 0.1;
    o.steps = 40;
    buf_init(&bytes);
    buf_init(&before);
    buf_init(&after);
    assert_int_equal(learner_save(group, &before, NULL), ST_OK);
    if (train(group, 5, &o, &own, &err) != ST_OK)
        fail_msg("%s", err.message);
    assert_int_equal(learner_save(group, &after, NULL), ST_OK);
    assert_true(before.size_bytes == after.size_bytes);
    assert_memory_equal(before.data, after.data, before.size_bytes);
    assert_true(own.count > 0 && own.version == learner_version(group));
    assert_true(own.count <= select_count(o.fraction, nn_model_trainable_count(m)));
    /* Same seed, same frames: same delta. */
    assert_int_equal(train(group, 5, &o, &again, &err), ST_OK);
    assert_int_equal(own.count, again.count);
    assert_memory_equal(own.index, again.index, own.count * sizeof *own.index);
    assert_memory_equal(own.difference, again.difference, own.count * sizeof *own.difference);
    /* The camera's weights from the bytes, and what they are worth. */
    float *params = copy_of(m, learner_params(group)), *camera = copy_of(m, learner_params(group));
    delta_personal_put(&own, learner_params(group), params);
    assert_int_equal(delta_personal_write(learner_delta_model(group), &own, &bytes, &err), ST_OK);
    assert_int_equal(delta_personal_read(learner_delta_model(group), bytes.data, bytes.size_bytes,
                                         own.version, &got, &err),
                     ST_OK);
    delta_personal_put(&got, learner_params(group), camera);
    assert_memory_equal(camera, params, nn_model_param_count(m) * sizeof *camera);
    assert_true(score(m, camera, 7) > score(m, learner_params(group), 7) + 0.02);
    free(params);
    free(camera);
    buf_clear(&bytes);
    buf_clear(&before);
    buf_clear(&after);
    delta_personal_clear(&own);
    delta_personal_clear(&again);
    delta_personal_clear(&got);
    learner_close(&group);
    nn_model_close(&m);
}

/* Within a phase of the group's, and where the group is at the file's own values. */
static void it_begins_at_any_version(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options lo = options();
    struct learner *group;
    struct personal_options o;
    struct delta_personal own;
    struct rng rng;
    struct error err = {.message = ""};
    rng_init(&rng, 2, 2);
    personal_options_init(&o);
    assert_int_equal(learner_open(m, &lo, 3, &group, NULL), ST_OK);
    for (int i = 0; i < o.frames_min; i++)
        feed_one(group, (uint64_t)(i + 1) * SECOND_US, ODD, &rng);
    assert_int_equal(learner_begin(group, NULL), ST_OK);
    if (train(group, 1, &o, &own, &err) != ST_OK)
        fail_msg("%s", err.message);
    assert_true(own.version == 0 && own.count > 0);
    delta_personal_clear(&own);
    learner_abandon(group);
    learner_close(&group);
    nn_model_close(&m);
}

static void few_frames_are_refused(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner *group = group_of_two(m, 12); /* three of them are the odd camera's */
    struct personal_options o;
    struct delta_personal own;
    struct error err = {.message = ""};
    personal_options_init(&o);
    assert_int_equal(train(group, 1, &o, &own, &err), ST_AGAIN);
    assert_non_null(strstr(err.message, "3 labelled frames of its own, 6 are needed"));
    learner_close(&group);
    nn_model_close(&m);
}

/* ---- the decision ---- */

#define CAMERAS 3
#define FRAMES 8

/* Three neighbours in one group; the scores that make them one are beside the point here. */
static struct grouper *group_of_three(void)
{
    struct group_settings s;
    struct grouper *g;
    struct error err;
    group_settings_init(&s);
    s.personal_max = 1;
    assert_int_equal(grouper_open(&s, &g, &err), ST_OK);
    for (int i = 0, number; i < CAMERAS; i++) {
        char id[] = {'c', (char)('0' + i), '\0'};
        struct group_conditions k;
        struct group_request r;
        struct group_decision d;
        group_conditions_init(&k);
        k.place = group_place_of_map(10.0 * i, 0);
        k.time_us = SECOND_US;
        k.looks_known = true;
        assert_int_equal(grouper_camera(g, id, &number, &err), ST_OK);
        assert_int_equal(grouper_request(g, number, &k, SECOND_US, NULL, &r, &err), ST_OK);
        for (int t = 0; t < r.trial_count; t++)
            r.trials[t].score = (struct group_score){.accuracy = 0.6, .frames = FRAMES};
        assert_int_equal(grouper_decide(g, &r, &d, &err), ST_OK);
    }
    assert_int_equal(grouper_group_count(g), 1);
    return g;
}

/* The model on frames that the camera labelled in this window. */
static struct group_score window_score(const struct nn_model *m, const float *params, int camera,
                                       uint64_t window, float *by_frame)
{
    struct learner_options o = options();
    struct confusion all, one;
    struct learner *l;
    struct rng rng;
    rng_init(&rng, window, (uint64_t)camera);
    assert_int_equal(learner_open(m, &o, 1, &l, NULL), ST_OK);
    task_counts_init(TASK_SEGMENT, CLASSES, &all);
    for (int i = 0; i < FRAMES; i++) {
        feed_one(l, (uint64_t)(i + 1) * SECOND_US, camera, &rng);
        task_counts_init(TASK_SEGMENT, CLASSES, &one);
        assert_int_equal(learner_score(l, params, i, 1, &one, NULL), ST_OK);
        confusion_merge(&all, &one);
        by_frame[i] = (float)task_score(TASK_SEGMENT, &one);
    }
    learner_close(&l);
    return (struct group_score){
        .accuracy = task_score(TASK_SEGMENT, &all), .frames = FRAMES, .by_frame = by_frame};
}

/* A window: every score is measured, a delta that is asked for is trained. */
static struct group_actions window(struct grouper *g, const struct nn_model *m,
                                   const struct learner *group, const float *serving,
                                   uint64_t number, struct delta_personal *own, int *trainings)
{
    struct group_review r;
    struct group_actions a;
    struct error err = {.message = ""};
    struct personal_options o;
    float by_frame[2 * CAMERAS][FRAMES];
    float *params = copy_of(m, serving);
    if (own->count)
        delta_personal_put(own, serving, params);
    assert_int_equal(grouper_review(g, (100 + number) * SECOND_US, &r, &err), ST_OK);
    assert_true(r.trial_count <= 2 * CAMERAS);
    for (int i = 0; i < r.trial_count; i++) {
        struct group_review_trial *t = &r.trials[i];
        bool personal = t->kind == GROUP_REVIEW_PERSONAL;
        if (!personal || own->count)
            t->score = window_score(m, personal ? params : serving, t->camera, number, by_frame[i]);
    }
    personal_options_init(&o);
    o.fraction = 0.1;
    o.steps = 40;
    for (int i = 0; i < r.trial_count; i++)
        if (r.trials[i].train) {
            assert_int_equal(r.trials[i].camera, ODD);
            assert_int_equal(train(group, 5, &o, own, &err), ST_OK);
            ++*trainings;
        }
    assert_int_equal(grouper_conclude(g, &r, &a, &err), ST_OK);
    group_review_clear(&r);
    free(params);
    return a;
}

static void the_odd_one_gets_it(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner *group = group_of_two(m, 40);
    struct grouper *g = group_of_three();
    struct delta_personal own = {.count = 0};
    struct group_explanation e;
    int on = -1, trainings = 0;
    for (uint64_t w = 0; w < 20 && on < 0; w++) {
        struct group_actions a = window(g, m, group, learner_params(group), w, &own, &trainings);
        for (int i = 0; i < a.count; i++)
            if (a.items[i].kind == GROUP_ACTION_PERSONAL_ON)
                on = a.items[i].camera;
        group_actions_clear(&a);
    }
    assert_int_equal(on, ODD);
    assert_int_equal(trainings, 1);
    assert_true(grouper_personal(g, ODD) && grouper_group_count(g) == 1);
    assert_int_equal(grouper_explain(g, ODD, &e, NULL), ST_OK);
    assert_non_null(strstr(e.text, "its own delta on top of group 1's model brings"));
    delta_personal_clear(&own);
    grouper_close(&g);
    learner_close(&group);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_serves_the_odd_one), cmocka_unit_test(it_begins_at_any_version),
        cmocka_unit_test(few_frames_are_refused), cmocka_unit_test(the_odd_one_gets_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
