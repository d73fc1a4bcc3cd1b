/* The loop for networks that classify: what is scored is what the source holds, counted here anew;
 * students learn; the report says what it is about. */
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
#include "eval/report.h"
#include "synth/crops.h"
#include "synth/source.h"
#include "task/nets.h"
#include "train/folder_samples.h"
#include "train/trainer.h"
#include "video/frame.h"
#include "video/image.h"

#define PICTURES 90
#define TOWN "town:camera=0,seed=3,scenario=clear,width=160,height=96,fps=1"

static char folder[] = "/tmp/attune-classes-XXXXXX";
static char stills[64], students[2][64], teachers[2][64];

static void write_network(const char *path, enum net_kind kind, int count, const char *const *names,
                          uint64_t seed)
{
    struct net_options o = {TASK_CLASSIFY, kind, 32, 32, count, names, seed, "nothing"};
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(net_build(&o, &bytes, NULL), ST_OK);
    assert_int_equal(file_write(path, bytes.data, bytes.size_bytes, NULL), ST_OK);
    buf_clear(&bytes);
}

/* Red and green by turns of five; at half time the light changes and they get dark. */
static void write_stills(void)
{
    struct rng r;
    struct frame f;
    struct buf b;
    rng_init(&r, 1, 0);
    frame_init(&f);
    buf_init(&b);
    assert_int_equal(frame_resize(&f, 48, 40, NULL), ST_OK);
    for (int i = 0; i < PICTURES; i++) {
        char path[128];
        int red = i / 5 % 2, light = i < PICTURES / 2 ? 150 : 60;
        for (size_t k = 0; k < frame_bytes(&f); k++)
            f.pixels[k] = (uint8_t)((int)rng_below(&r, 40) + (k % 3 == (red ? 0 : 1) ? light : 20));
        snprintf(path, sizeof path, "%s/%s", stills, red ? "red" : "green");
        mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/%s/%d.png", stills, red ? "red" : "green", i);
        b.size_bytes = 0;
        assert_int_equal(image_png_write(&f, &b, NULL), ST_OK);
        assert_int_equal(file_write(path, b.data, b.size_bytes, NULL), ST_OK);
    }
    frame_clear(&f);
    buf_clear(&b);
}

/* The teacher of the stills has seen them all. */
static void train_teacher(const char *path)
{
    struct nn_model *m;
    struct task_spec spec;
    struct samples *s;
    struct trainer *t;
    struct trainer_options o;
    struct trainer_step step;
    struct folder_samples_options f = {.dir = stills, .part = FOLDER_ALL, .shuffle = true};
    assert_int_equal(nn_model_open(path, NULL, &m, NULL), ST_OK);
    assert_int_equal(task_spec_read(m, &spec, NULL), ST_OK);
    assert_int_equal(folder_samples_open(&f, &spec, &s, NULL), ST_OK);
    trainer_options_init(&o);
    o.steps = 80;
    assert_int_equal(trainer_open(m, &o, s, &t, NULL), ST_OK);
    while (trainer_advance(t, &step, NULL) == ST_OK)
        continue;
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(nn_model_write(m, trainer_params(t), &bytes, NULL), ST_OK);
    assert_int_equal(file_write(path, bytes.data, bytes.size_bytes, NULL), ST_OK);
    buf_clear(&bytes);
    trainer_close(&t);
    samples_close(&s);
    nn_model_close(&m);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const colours[] = {"green", "red"};
    if (!mkdtemp(folder))
        return -1;
    snprintf(stills, sizeof stills, "%s/stills", folder);
    mkdir(stills, 0700);
    for (int i = 0; i < 2; i++) {
        snprintf(students[i], sizeof students[i], "%s/s%d.onnx", folder, i);
        snprintf(teachers[i], sizeof teachers[i], "%s/t%d.onnx", folder, i);
        int count = i ? 2 : TOWN_CROP_CLASS_COUNT;
        const char *const *names = i ? colours : town_crop_class_names;
        write_network(students[i], NET_STUDENT, count, names, 1);
        write_network(teachers[i], i ? NET_STUDENT : NET_TEACHER, count, names, 2);
    }
    write_stills();
    train_teacher(teachers[1]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const enum eval_mode modes[] = {EVAL_NONE, EVAL_ATTUNE};

static struct eval_options options_of(int pair)
{
    struct eval_options o;
    eval_options_init(&o);
    o.source = pair ? stills : TOWN;
    o.seconds = pair ? 0 : 40;
    o.student = students[pair];
    o.teacher = teachers[pair];
    o.modes = modes;
    o.mode_count = 2;
    o.recipe = "learning_rate=0.01,fraction=0.5";
    return o;
}

static void run(const struct eval_options *o, struct eval_result *r)
{
    struct error err = {0};
    if (eval_run(o, NULL, NULL, r, &err) != ST_OK)
        fail_msg("%s", err.message);
}

static void stills_are_learned_and_scored(void **state)
{
    (void)state;
    struct eval_options o = options_of(1);
    struct eval_result r;
    run(&o, &r);
    assert_int_equal(r.task, TASK_CLASSIFY);
    const struct eval_score *none = &r.modes[0].whole, *ours = &r.modes[1].whole;
    assert_int_equal(none->frames, PICTURES);
    assert_true(none->teacher_truth > 0.95);
    /* A fraction of the pictures: a whole number of them. */
    double right = none->accuracy_truth * PICTURES;
    assert_float_equal(right, round(right), 1e-9);
    assert_true(ours->accuracy_truth > none->accuracy_truth + 0.15);
    assert_true(r.modes[1].deltas > 0);
    json_t *json = report_json(&r);
    const json_t *mode = json_array_get(json_object_get(json, "modes"), 1);
    assert_string_equal(json_string_value(json_object_get(json, "task")), "classify");
    assert_true(json_real_value(json_object_get(mode, "accuracy_truth")) == ours->accuracy_truth);
    assert_null(json_object_get(mode, "miou_truth"));
    json_decref(json);
    struct buf table;
    buf_init(&table);
    report_table(&r, &table);
    assert_non_null(strstr((const char *)table.data, "accuracy, whole"));
    buf_clear(&table);
    eval_result_clear(&r);
}

static void csv_takes_part_of_the_stills(void **state)
{
    (void)state;
    char csv[80];
    static const char text[] = "file,class\ngreen/0.png,green\nred/9.png,red\ngreen/1.png,red\n";
    snprintf(csv, sizeof csv, "%s/some.csv", folder);
    assert_int_equal(file_write(csv, text, sizeof text - 1, NULL), ST_OK);
    struct eval_options o = options_of(1);
    struct eval_result r;
    o.labels_dir = csv;
    run(&o, &r);
    assert_int_equal(r.modes[0].whole.frames, 3);
    assert_float_equal(r.modes[0].whole.teacher_truth, 2.0 / 3, 1e-9); /* one label is wrong */
    eval_result_clear(&r);
    static const char gone[] = "file,class\ngreen/0.png,green\nred/nowhere.png,red\n";
    struct error err;
    assert_int_equal(file_write(csv, gone, sizeof gone - 1, NULL), ST_OK);
    assert_int_equal(eval_run(&o, NULL, NULL, &r, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "nowhere.png"));
}

/* What the town's boxes give in 40 frames, counted from the source itself. */
static uint64_t count_crops(void)
{
    struct synth_source *s;
    struct synth_view v;
    uint64_t count = 0;
    assert_int_equal(synth_source_open(TOWN, &s, NULL), ST_OK);
    for (int i = 0; i < 40; i++) {
        struct box crops[TOWN_CROPS_MAX];
        struct rng r;
        assert_int_equal(synth_source_next(s, &v, NULL), ST_OK);
        rng_init(&r, 3, v.frame.t_us);
        count += town_crops(v.boxes, v.box_count, 160, 96, &r, crops);
    }
    synth_source_close(&s);
    return count;
}

static void crops_of_the_town_are_scored(void **state)
{
    (void)state;
    struct eval_options o = options_of(0);
    struct eval_result r, again;
    run(&o, &r);
    run(&o, &again);
    assert_int_equal(r.modes[0].whole.frames, count_crops());
    assert_true(isfinite(r.modes[0].whole.accuracy_truth));
    assert_true(r.modes[1].whole.accuracy_teacher > r.modes[0].whole.accuracy_teacher + 0.1);
    assert_memory_equal(r.modes[1].series, again.modes[1].series,
                        r.modes[1].series_count * sizeof *r.modes[1].series);
    eval_result_clear(&r);
    eval_result_clear(&again);
}

static void regions_are_scored_one_by_one(void **state)
{
    (void)state;
    struct eval_options o = options_of(0);
    struct eval_result r;
    struct error err;
    o.regions = "0,0,0.5,1;0.5,0,1,1;0.2,0.2,0.4,0.4";
    run(&o, &r);
    assert_int_equal(r.modes[0].whole.frames, 3 * 40);
    assert_true(isnan(r.modes[0].whole.accuracy_truth)); /* nobody knows what is in a region */
    assert_true(r.modes[1].phases > 0);
    eval_result_clear(&r);
    o.regions = "0,0,2,1";
    assert_int_equal(eval_run(&o, NULL, NULL, &r, &err), ST_INVALID);
    o = options_of(1);
    o.source = TOWN; /* red and green: none of the town's */
    o.seconds = 2;
    assert_int_equal(eval_run(&o, NULL, NULL, &r, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "--regions"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stills_are_learned_and_scored),
        cmocka_unit_test(csv_takes_part_of_the_stills),
        cmocka_unit_test(crops_of_the_town_are_scored),
        cmocka_unit_test(regions_are_scored_one_by_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
