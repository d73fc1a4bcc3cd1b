/* Training on the town and on labelled pictures: it learns, it resumes as if it had never stopped,
 * it refuses what it cannot train. */
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

#include "base/file.h"
#include "task/nets.h"
#include "train/folder_samples.h"
#include "train/town_samples.h"
#include "train/trainer.h"
#include "video/frame.h"
#include "video/image.h"

static const char *const three_names[] = {"left", "right", "dot"};

static struct nn_model *build(int class_count, const char *const *names)
{
    struct net_options o = {TASK_SEGMENT, NET_STUDENT, 96, 64, class_count, names, 7, "test"};
    struct buf b;
    struct error err;
    struct nn_model *m = NULL;
    buf_init(&b);
    assert_int_equal(net_build(&o, &b, &err), ST_OK);
    assert_int_equal(nn_model_read(b.data, b.size_bytes, NULL, &m, &err), ST_OK);
    buf_clear(&b);
    return m;
}

static struct task_spec spec_of(const struct nn_model *m)
{
    struct task_spec spec;
    struct error err;
    assert_int_equal(task_spec_read(m, &spec, &err), ST_OK);
    return spec;
}

static struct samples *open_town(const struct nn_model *m)
{
    struct task_spec spec = spec_of(m);
    struct samples *s = NULL;
    struct error err;
    assert_int_equal(town_samples_open(&spec, "clear", 1, &s, &err), ST_OK);
    return s;
}

static struct trainer *start(const struct nn_model *m, struct samples *s, uint64_t steps)
{
    struct trainer_options o;
    struct trainer *t = NULL;
    struct error err;
    trainer_options_init(&o);
    o.steps = steps;
    o.batch = 4;
    assert_int_equal(trainer_open(m, &o, s, &t, &err), ST_OK);
    return t;
}

static double run(struct trainer *t, uint64_t steps)
{
    struct trainer_step s = {0};
    struct error err;
    double sum = 0;
    for (uint64_t i = 0; i < steps; i++) {
        if (trainer_advance(t, &s, &err) != ST_OK)
            fail_msg("%s", err.message);
        sum += s.loss;
    }
    return sum / (double)steps;
}

static double score(const struct nn_model *m, struct samples *s, const float *params, uint64_t n)
{
    static struct confusion c;
    struct error err;
    if (samples_score(s, n, m, params, 1, &c, &err) != ST_OK)
        fail_msg("%s", err.message);
    return confusion_miou(&c);
}

static void loss_falls_and_scores_rise(void **state)
{
    (void)state;
    struct nn_model *m = build(TOWN_CLASS_COUNT, town_class_names);
    struct task_spec spec = spec_of(m);
    struct samples *s = open_town(m), *trial = NULL;
    struct trainer *t = start(m, s, 40);
    struct error err;
    struct trainer_step step;
    double first = run(t, 5);
    run(t, 30);
    double last = run(t, 5);
    assert_true(last < 0.7 * first);
    assert_int_equal(trainer_advance(t, &step, &err), ST_END);
    assert_int_equal(town_trial_samples_open(&spec, town_trials, 1, &trial, &err), ST_OK);
    double before = score(m, trial, NULL, 6), after = score(m, trial, trainer_params(t), 6);
    assert_true(after > before && after <= 1);
    assert_true(score(m, trial, NULL, 6) == before); /* the same frames again */
    samples_close(&trial);
    trainer_close(&t);
    samples_close(&s);
    nn_model_close(&m);
}

/* Three steps and a resume give the bits of six steps. */
static void resume(const struct nn_model *m, struct samples *(*open)(const struct nn_model *))
{
    char path[] = "/tmp/attune-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct samples *a = open(m), *b = open(m), *c = open(m);
    struct trainer *whole = start(m, a, 6), *first = start(m, b, 6), *second = start(m, c, 6);
    struct error err;
    run(whole, 6);
    run(first, 3);
    assert_int_equal(trainer_save(first, path, &err), ST_OK);
    assert_int_equal(trainer_resume(second, path, &err), ST_OK);
    assert_int_equal(trainer_steps_done(second), 3);
    run(second, 3);
    assert_memory_equal(trainer_params(whole), trainer_params(second),
                        nn_model_param_count(m) * sizeof(float));
    struct trainer *longer = start(m, c, 7); /* another run: its learning rate is another */
    assert_int_equal(trainer_resume(longer, path, &err), ST_CONFLICT);
    assert_non_null(strstr(err.message, "'steps=6', this run 'steps=7'"));
    unlink(path);
    trainer_close(&whole);
    trainer_close(&first);
    trainer_close(&second);
    trainer_close(&longer);
    samples_close(&a);
    samples_close(&b);
    samples_close(&c);
}

static void a_resumed_run_is_the_same_run(void **state)
{
    (void)state;
    struct nn_model *m = build(TOWN_CLASS_COUNT, town_class_names);
    resume(m, open_town);
    nn_model_close(&m);
}

static void other_networks_are_refused(void **state)
{
    (void)state;
    struct nn_model *m = build(3, three_names);
    struct task_spec spec;
    struct trainer_options o;
    struct trainer *t = NULL;
    struct samples *s = NULL;
    struct error err;
    assert_int_equal(town_spec_read(m, &spec, &err), ST_UNSUPPORTED);
    nn_model_close(&m);
    m = build(TOWN_CLASS_COUNT, town_class_names);
    spec = spec_of(m);
    assert_int_equal(town_samples_open(&spec, "rainy", 1, &s, &err), ST_NOT_FOUND);
    assert_null(s);
    s = open_town(m);
    trainer_options_init(&o);
    o.batch = 0;
    assert_int_equal(trainer_open(m, &o, s, &t, &err), ST_INVALID);
    assert_null(t);
    samples_close(&s);
    nn_model_close(&m);
}

/* ---- pictures in a folder ---- */

#define PICTURES 12

static char folder[64];

static void write_bytes(const char *name, struct buf *b)
{
    char path[128];
    struct error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_write(path, b->data, b->size_bytes, &err), ST_OK);
    buf_clear(b);
}

/* A picture of 96 x 64, red on the left and blue on the right of x = 20 + 4 i, with a green dot,
 * its labels in label_width x 64; label `dot` for the dot. */
static void write_picture(int i, int label_width, uint8_t dot)
{
    struct frame f;
    struct label_map l;
    struct buf b;
    struct error err;
    char name[64];
    frame_init(&f);
    label_map_init(&l);
    assert_int_equal(frame_resize(&f, 96, 64, &err), ST_OK);
    assert_int_equal(label_map_resize(&l, label_width, 64, &err), ST_OK);
    for (int y = 0; y < 64; y++)
        for (int x = 0; x < 96; x++) {
            bool right = x >= 20 + 4 * i, green = x / 8 == i % 12 && y / 8 == i % 8;
            uint8_t *p = f.pixels + 3 * (y * 96 + x);
            p[0] = green || right ? 30 : 200;
            p[1] = green ? 220 : 40;
            p[2] = !green && right ? 200 : 30;
            if (x < label_width)
                l.classes[y * label_width + x] = green ? dot : right;
        }
    snprintf(name, sizeof name, "pic%d.png", i);
    buf_init(&b);
    assert_int_equal(image_png_write(&f, &b, &err), ST_OK);
    write_bytes(name, &b);
    snprintf(name, sizeof name, "pic%d_label.png", i);
    assert_int_equal(image_labels_write(&l, &b, &err), ST_OK);
    write_bytes(name, &b);
    frame_clear(&f);
    label_map_clear(&l);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/attune-test-pictures-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    for (int i = 0; i < PICTURES; i++)
        write_picture(i, 96, 2);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct folder_samples_options all_pictures(void)
{
    return (struct folder_samples_options){
        .dir = folder, .part = FOLDER_ALL, .shuffle = true, .seed = 3};
}

static struct samples *open_folder(const struct nn_model *m)
{
    struct folder_samples_options o = all_pictures();
    struct task_spec spec = spec_of(m);
    struct samples *s = NULL;
    struct error err;
    if (folder_samples_open(&o, &spec, &s, &err) != ST_OK)
        fail_msg("%s", err.message);
    return s;
}

static enum status try_folder(const struct nn_model *m, const struct folder_samples_options *o,
                              struct error *err)
{
    struct task_spec spec = spec_of(m);
    struct samples *s = NULL;
    enum status st = folder_samples_open(o, &spec, &s, err);
    assert_true((st == ST_OK) == (s != NULL));
    samples_close(&s);
    return st;
}

static void pictures_are_learned(void **state)
{
    (void)state;
    struct nn_model *m = build(3, three_names);
    struct samples *s = open_folder(m);
    struct trainer *t = start(m, s, 40);
    assert_int_equal(s->count, PICTURES);
    assert_true(s->class_weight[2] > 2 * s->class_weight[0]); /* dots are rare */
    run(t, 40);
    assert_true(score(m, s, trainer_params(t), s->count) > 0.5);
    assert_true(score(m, s, NULL, s->count) < 0.4);
    trainer_close(&t);
    samples_close(&s);
    resume(m, open_folder);
    nn_model_close(&m);
}

/* Where the edge is: 20 + 4 i says which picture a sample is. */
static int which_picture(struct samples *s, uint64_t n)
{
    struct frame f;
    struct label_map l;
    struct rng r;
    struct error err;
    frame_init(&f);
    label_map_init(&l);
    assert_int_equal(frame_resize(&f, 96, 64, &err), ST_OK);
    assert_int_equal(label_map_resize(&l, 96, 64, &err), ST_OK);
    rng_init(&r, 1, n);
    assert_int_equal(samples_draw(s, n, &r, &f, &l, &err), ST_OK);
    int edge = 0;
    while (l.classes[63 * 96 + edge] != 1)
        edge++;
    frame_clear(&f);
    label_map_clear(&l);
    return (edge - 20) / 4;
}

/* Every pass shows every picture once, in another order, and can be entered anywhere. */
static void a_pass_is_a_permutation(void **state)
{
    (void)state;
    struct nn_model *m = build(3, three_names);
    struct samples *s = open_folder(m), *again = open_folder(m);
    int order[3 * PICTURES], moved = 0;
    for (int pass = 0; pass < 3; pass++) {
        unsigned seen = 0;
        for (int i = 0; i < PICTURES; i++) {
            int n = pass * PICTURES + i;
            order[n] = which_picture(s, (uint64_t)n);
            seen |= 1u << order[n];
            moved += pass > 0 && order[n] != order[n - PICTURES];
        }
        assert_int_equal(seen, (1u << PICTURES) - 1);
    }
    assert_true(moved > 0);
    for (int n = 3 * PICTURES; n-- > 0;)
        assert_int_equal(which_picture(again, (uint64_t)n), order[n]);
    samples_close(&s);
    samples_close(&again);
    nn_model_close(&m);
}

/* Held back and trained on: together all, never the same. */
static void the_split_parts_the_pictures(void **state)
{
    (void)state;
    struct nn_model *m = build(3, three_names);
    struct task_spec spec = spec_of(m);
    struct folder_samples_options o = all_pictures();
    struct samples *part[2] = {NULL, NULL};
    struct error err;
    unsigned seen[2] = {0, 0};
    o.validation = 0.4;
    for (int k = 0; k < 2; k++) {
        o.part = k ? FOLDER_VALIDATION : FOLDER_TRAINING;
        assert_int_equal(folder_samples_open(&o, &spec, &part[k], &err), ST_OK);
        for (uint64_t n = 0; n < part[k]->count; n++)
            seen[k] |= 1u << which_picture(part[k], n);
        samples_close(&part[k]);
    }
    assert_int_equal(seen[0] & seen[1], 0);
    assert_int_equal(seen[0] | seen[1], (1u << PICTURES) - 1);
    o.validation = 0;
    assert_int_equal(try_folder(m, &o, &err), ST_NOT_FOUND); /* nothing is held back */
    o.validation = 2;
    assert_int_equal(try_folder(m, &o, &err), ST_INVALID);
    nn_model_close(&m);
}

static void bad_folders_are_refused(void **state)
{
    (void)state;
    struct nn_model *m = build(3, three_names);
    struct folder_samples_options o = all_pictures();
    struct error err;
    o.dir = "/nowhere/at/all";
    assert_int_equal(try_folder(m, &o, &err), ST_NOT_FOUND);
    o = all_pictures();
    o.labels = "/tmp/attune-no-labels-here";
    assert_int_equal(try_folder(m, &o, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "none of the 12 pictures"));

    o = all_pictures();
    write_picture(3, 96, 7); /* a label that the network has not */
    assert_int_equal(try_folder(m, &o, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "pic3_label.png has a pixel with label 7"));
    write_picture(3, 96, 255); /* nobody's pixels are fine */
    assert_int_equal(try_folder(m, &o, &err), ST_OK);

    write_picture(3, 48, 2); /* labels of another size */
    struct samples *s = open_folder(m);
    struct trainer *t = start(m, s, 10);
    struct trainer_step step;
    enum status st = ST_OK;
    for (int i = 0; i < 3 && st == ST_OK; i++)
        st = trainer_advance(t, &step, &err);
    assert_int_equal(st, ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "96 x 64, but its labels are 48 x 64"));
    trainer_close(&t);
    samples_close(&s);
    write_picture(3, 96, 2);
    nn_model_close(&m);
}

/* The network's first and last class are the labels, its second has none; dots are nobody's. */
static void class_maps_join_and_leave_out_classes(void **state)
{
    (void)state;
    static const char text[] = "labels: [red, blue, green]\nignore: 2\nnetwork:\n"
                               "  0: red\n  1: none\n  2: blue\n";
    char path[128];
    struct nn_model *m = build(3, three_names);
    struct folder_samples_options o = all_pictures();
    struct task_spec spec = spec_of(m);
    struct samples *s = NULL;
    struct error err;
    snprintf(path, sizeof path, "%s/map.yaml", folder);
    assert_int_equal(file_write(path, text, sizeof text - 1, &err), ST_OK);
    o.class_map = path;
    assert_int_equal(folder_samples_open(&o, &spec, &s, &err), ST_OK);
    struct trainer *t = start(m, s, 40);
    run(t, 40);
    /* Red and blue are learned as classes 0 and 2; class 1 is never answered. */
    assert_true(score(m, s, trainer_params(t), s->count) > 0.9);
    trainer_close(&t);
    samples_close(&s);
    nn_model_close(&m);
    m = build(TOWN_CLASS_COUNT, town_class_names);
    assert_int_equal(try_folder(m, &o, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "maps 3 classes"));
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loss_falls_and_scores_rise),
                                       cmocka_unit_test(a_resumed_run_is_the_same_run),
                                       cmocka_unit_test(other_networks_are_refused),
                                       cmocka_unit_test(pictures_are_learned),
                                       cmocka_unit_test(a_pass_is_a_permutation),
                                       cmocka_unit_test(the_split_parts_the_pictures),
                                       cmocka_unit_test(bad_folders_are_refused),
                                       cmocka_unit_test(class_maps_join_and_leave_out_classes)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
