/* Samples of a classification: the town's crops and folders of classes. A sample follows from its
 * number, in whatever order samples are drawn; what is drawn can be learned. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "synth/crops.h"
#include "task/nets.h"
#include "train/folder_samples.h"
#include "train/town_samples.h"
#include "train/trainer.h"
#include "video/frame.h"
#include "video/image.h"

#define SIDE 32

static struct nn_model *build(int class_count, const char *const *names)
{
    struct net_options o = {TASK_CLASSIFY, NET_STUDENT, SIDE, SIDE, class_count, names, 7, "test"};
    struct buf b;
    struct nn_model *m = NULL;
    buf_init(&b);
    assert_int_equal(net_build(&o, &b, NULL), ST_OK);
    assert_int_equal(nn_model_read(b.data, b.size_bytes, NULL, &m, NULL), ST_OK);
    buf_clear(&b);
    return m;
}

struct sample {
    struct frame frame;
    struct label_map labels;
};

static void sample_init(struct sample *s)
{
    frame_init(&s->frame);
    label_map_init(&s->labels);
    assert_int_equal(frame_resize(&s->frame, SIDE, SIDE, NULL), ST_OK);
    assert_int_equal(label_map_resize(&s->labels, SIDE, SIDE, NULL), ST_OK);
}

static void sample_clear(struct sample *s)
{
    frame_clear(&s->frame);
    label_map_clear(&s->labels);
}

/* Draws sample n; returns its class, which all cells have. */
static uint8_t draw(struct samples *from, uint64_t n, struct sample *s)
{
    struct rng r;
    struct error err;
    rng_init(&r, 1, n);
    if (samples_draw(from, n, &r, &s->frame, &s->labels, &err) != ST_OK)
        fail_msg("%s", err.message);
    for (int i = 1; i < SIDE * SIDE; i++)
        assert_int_equal(s->labels.classes[i], s->labels.classes[0]);
    return s->labels.classes[0];
}

/* 24 crops one by one, then some of them again from another source, backwards. */
static void check_order(struct samples *a, struct samples *b, uint64_t *seen)
{
    enum { N = 24 };
    struct sample first[N], again;
    sample_init(&again);
    for (uint64_t n = 0; n < N; n++) {
        sample_init(&first[n]);
        uint8_t class_id = draw(a, n, &first[n]);
        assert_in_range(class_id, 0, TOWN_CROP_CLASS_COUNT - 1);
        seen[class_id]++;
    }
    for (int n = N - 1; n >= 0; n -= 5) {
        assert_int_equal(draw(b, (uint64_t)n, &again), first[n].labels.classes[0]);
        assert_memory_equal(again.frame.pixels, first[n].frame.pixels, SIDE * SIDE * 3);
    }
    for (uint64_t n = 0; n < N; n++)
        sample_clear(&first[n]);
    sample_clear(&again);
}

static void crops_follow_from_their_number(void **state)
{
    (void)state;
    struct nn_model *m = build(TOWN_CROP_CLASS_COUNT, town_crop_class_names);
    struct task_spec spec;
    assert_int_equal(town_spec_read(m, &spec, NULL), ST_OK);
    assert_int_equal(town_samples_a_view(&spec), TOWN_CROPS_A_VIEW);
    uint64_t seen[TOWN_CROP_CLASS_COUNT] = {0};
    struct samples *a = NULL, *b = NULL;
    assert_int_equal(town_samples_open(&spec, "clear", 5, &a, NULL), ST_OK);
    assert_int_equal(town_samples_open(&spec, "clear", 5, &b, NULL), ST_OK);
    check_order(a, b, seen);
    samples_close(&a);
    samples_close(&b);
    assert_int_equal(town_trial_samples_open(&spec, town_trials, 2, &a, NULL), ST_OK);
    assert_int_equal(town_trial_samples_open(&spec, town_trials, 2, &b, NULL), ST_OK);
    check_order(a, b, seen);
    samples_close(&a);
    samples_close(&b);
    int there = 0;
    for (int k = 0; k < TOWN_CROP_CLASS_COUNT; k++)
        there += seen[k] > 0;
    assert_true(there >= 4);
    nn_model_close(&m);
    const char *const others[] = {"a", "b"};
    m = build(2, others);
    struct error err;
    assert_int_equal(town_spec_read(m, &spec, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "the town's 6 classes"));
    nn_model_close(&m);
}

static struct trainer *start(const struct nn_model *m, struct samples *s, uint64_t steps)
{
    struct trainer_options o;
    struct trainer *t = NULL;
    trainer_options_init(&o);
    o.steps = steps;
    assert_int_equal(trainer_open(m, &o, s, &t, NULL), ST_OK);
    return t;
}

static void run(struct trainer *t, uint64_t steps)
{
    struct trainer_step s;
    for (uint64_t i = 0; i < steps; i++)
        assert_int_equal(trainer_advance(t, &s, NULL), ST_OK);
}

static double accuracy(const struct nn_model *m, struct samples *s, const float *params, uint64_t n)
{
    static struct confusion c;
    assert_int_equal(samples_score(s, n, m, params, 1, &c, NULL), ST_OK);
    uint64_t counted = 0;
    for (int i = 0; i < c.class_count * c.class_count; i++)
        counted += c.count[i / c.class_count][i % c.class_count];
    assert_int_equal(counted, n); /* a picture is one answer */
    return task_score(TASK_CLASSIFY, &c);
}

/* ---- folders ---- */

static char folder[64];
#define PICTURES 30

/* Dark and bright ones, of several sizes. */
static int make_folders(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/attune-test-classes-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    struct buf b;
    struct rng r;
    struct frame f;
    buf_init(&b);
    rng_init(&r, 1, 0);
    frame_init(&f);
    for (int i = 0; i < PICTURES; i++) {
        char path[128];
        bool night = i % 3 == 0;
        snprintf(path, sizeof path, "%s/%s", folder, night ? "night" : "day");
        mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/%s/%d.png", folder, night ? "night" : "day", i);
        if (frame_resize(&f, 40 + i, 30, NULL) != ST_OK)
            return -1;
        for (size_t k = 0; k < frame_bytes(&f); k++)
            f.pixels[k] = (uint8_t)(rng_below(&r, 90) + (night ? 0 : 120));
        b.size_bytes = 0;
        if (image_png_write(&f, &b, NULL) != ST_OK ||
            file_write(path, b.data, b.size_bytes, NULL) != ST_OK)
            return -1;
    }
    frame_clear(&f);
    buf_clear(&b);
    return 0;
}

static int remove_folders(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct samples *open_part(const struct nn_model *m, enum folder_part part, double share)
{
    struct folder_samples_options o = {
        .dir = folder, .part = part, .validation = share, .shuffle = true, .seed = 3};
    struct task_spec spec;
    struct samples *s = NULL;
    struct error err;
    assert_int_equal(task_spec_read(m, &spec, NULL), ST_OK);
    if (folder_samples_open(&o, &spec, &s, &err) != ST_OK)
        fail_msg("%s", err.message);
    return s;
}

static const char *const names[] = {"night", "day"}; /* not the order of the folders */

static void folders_are_learned(void **state)
{
    (void)state;
    struct nn_model *m = build(2, names);
    struct samples *all = open_part(m, FOLDER_ALL, 0);
    assert_int_equal(all->count, PICTURES);
    assert_true(all->class_weight[0] > 1.2f * all->class_weight[1]); /* twice as many days */
    struct sample s;
    sample_init(&s);
    for (uint64_t n = 0; n < PICTURES; n++) {
        bool night = draw(all, n, &s) == 0;
        uint64_t sum = 0;
        for (int i = 0; i < SIDE * SIDE * 3; i++)
            sum += s.frame.pixels[i];
        assert_true((sum < 100ull * SIDE * SIDE * 3) == night);
    }
    sample_clear(&s);
    samples_close(&all);
    struct samples *training = open_part(m, FOLDER_TRAINING, 0.4);
    struct samples *held = open_part(m, FOLDER_VALIDATION, 0.4);
    assert_int_equal(training->count + held->count, PICTURES);
    struct trainer *t = start(m, training, 30);
    run(t, 30);
    assert_true(accuracy(m, held, trainer_params(t), held->count) > 0.95);
    trainer_close(&t);
    samples_close(&training);
    samples_close(&held);
    nn_model_close(&m);
}

/* Three steps and a resume give the bits of six steps. */
static void a_resumed_run_is_the_same_run(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/state", folder);
    struct nn_model *m = build(2, names);
    struct samples *a = open_part(m, FOLDER_ALL, 0), *b = open_part(m, FOLDER_ALL, 0);
    struct trainer *whole = start(m, a, 6), *part = start(m, b, 6), *rest = start(m, b, 6);
    run(whole, 6);
    run(part, 3);
    assert_int_equal(trainer_save(part, path, NULL), ST_OK);
    assert_int_equal(trainer_resume(rest, path, NULL), ST_OK);
    run(rest, 3);
    assert_memory_equal(trainer_params(whole), trainer_params(rest),
                        nn_model_param_count(m) * sizeof(float));
    trainer_close(&whole);
    trainer_close(&part);
    trainer_close(&rest);
    samples_close(&a);
    samples_close(&b);
    nn_model_close(&m);
}

static void unknown_classes_and_bad_pictures_are_named(void **state)
{
    (void)state;
    const char *const others[] = {"day", "dusk"};
    struct nn_model *m = build(2, others);
    struct folder_samples_options o = {.dir = folder, .part = FOLDER_ALL};
    struct task_spec spec;
    struct samples *s = NULL;
    struct error err;
    assert_int_equal(task_spec_read(m, &spec, NULL), ST_OK);
    assert_int_equal(folder_samples_open(&o, &spec, &s, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'night' is none of the network's 2 classes"));
    nn_model_close(&m);
    char path[128];
    snprintf(path, sizeof path, "%s/day/0_bad.png", folder);
    assert_int_equal(file_write(path, "no picture", 10, NULL), ST_OK);
    m = build(2, names);
    s = open_part(m, FOLDER_ALL, 0);
    static struct confusion c;
    assert_int_not_equal(samples_score(s, s->count, m, NULL, 1, &c, &err), ST_OK);
    assert_non_null(strstr(err.message, "0_bad.png"));
    unlink(path);
    samples_close(&s);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_follow_from_their_number),
        cmocka_unit_test_setup_teardown(folders_are_learned, make_folders, remove_folders),
        cmocka_unit_test_setup_teardown(a_resumed_run_is_the_same_run, make_folders,
                                        remove_folders),
        cmocka_unit_test_setup_teardown(unknown_classes_and_bad_pictures_are_named, make_folders,
                                        remove_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
