/* The learner on a detection: tables of boxes go the way that maps of pixels go. The world is a
 * dark ground with a few rectangles, whose colour says the class; light and colours drift. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "label/label_file.h"
#include "label/labeller.h"
#include "nn/build.h"
#include "train/augment.h"
#include "train/learner.h"

#define SIDE 64
#define CLASSES 2
#define SECOND_US 1000000ull

static nn_value layer(struct nn_build *b, nn_value x, int channels, int stride)
{
    x = nn_build_conv(b, x, channels, 3, stride, 1, 1, false);
    return nn_build_relu(b, nn_build_batch_norm(b, x));
}

static struct nn_model *network(uint64_t seed)
{
    struct nn_build *b;
    struct error err = {.message = ""};
    assert_int_equal(nn_build_open(SIDE, SIDE, seed, &b, NULL), ST_OK);
    nn_value x = layer(b, nn_build_input(b), 8, 2);
    x = layer(b, layer(b, layer(b, x, 12, 2), 16, 2), 16, 1);
    x = nn_build_conv(b, x, 5 + CLASSES, 1, 1, 1, 1, true);
    nn_build_metadata(b, "attune.task", "detect");
    nn_build_metadata(b, "attune.detect.head", "grid");
    nn_build_metadata(b, "attune.classes", "red,blue");
    struct buf file;
    buf_init(&file);
    assert_int_equal(nn_build_finish(b, x, &file, NULL), ST_OK);
    nn_build_close(&b);
    struct nn_model *m;
    if (nn_model_read(file.data, file.size_bytes, NULL, &m, &err) != ST_OK)
        fail_msg("%s", err.message);
    buf_clear(&file);
    return m;
}

static void paint(uint8_t *pixels, const struct box *b, const uint8_t color[3])
{
    for (int y = (int)b->y0; y < (int)b->y1; y++)
        for (int x = (int)b->x0; x < (int)b->x1; x++)
            memcpy(pixels + (y * SIDE + x) * 3, color, 3);
}

/* One picture and its table; light: 0..1. */
static void draw_world(struct rng *r, float light, uint8_t *pixels, uint8_t *table)
{
    static const uint8_t class_of[] = {0, 1};
    struct box boxes[3];
    int n = 1 + (int)rng_below(r, 3);
    for (int p = 0; p < SIDE * SIDE * 3; p++)
        pixels[p] = (uint8_t)(20 + rng_below(r, 20));
    for (int i = 0; i < n; i++) {
        float x = (float)(20 * i) + (float)rng_below(r, 6), y = (float)rng_below(r, 40);
        boxes[i] = (struct box){x,
                                y,
                                x + 10 + (float)rng_below(r, 6),
                                y + 8 + (float)rng_below(r, 14),
                                (int)rng_below(r, CLASSES),
                                1};
        uint8_t color[3] = {40, 60, 40};
        color[boxes[i].class_id ? 2 : 0] = (uint8_t)(80 + 150 * light);
        color[1] = (uint8_t)(60 + 80 * (1 - light));
        paint(pixels, &boxes[i], color);
    }
    detect_from_boxes(boxes, (size_t)n, SIDE, SIDE, class_of, 4, table);
}

static void feed(struct learner *l, uint64_t from_s, int frames, float light, struct rng *r)
{
    uint8_t pixels[SIDE * SIDE * 3], table[DETECT_TABLE_BYTES];
    for (int i = 0; i < frames; i++) {
        draw_world(r, light, pixels, table);
        struct frame frame = {SIDE, SIDE, (from_s + (uint64_t)i) * SECOND_US, pixels};
        struct label_map labels = {DETECT_ROW_BYTES, DETECT_BOXES_MAX, table};
        assert_int_equal(learner_add(l, &frame, &labels, NULL, 0, NULL), ST_OK);
    }
}

static struct learner *open_learner(const struct nn_model *m, enum learner_preset preset)
{
    struct learner_options o;
    struct learner *l;
    struct error err = {.message = ""};
    learner_preset(preset, &o);
    o.fraction = preset == LEARNER_FULL ? 1 : 0.3;
    o.steps = 60;
    o.frames_max = 80;
    o.optimizer.learning_rate = 0.01f;
    o.bn_mode = NN_BN_BATCH; /* from nothing */
    o.flip = true;
    o.crop_min = 0.9f;
    o.class_balance = true; /* boxes have none: ignored */
    o.soft_weight = 0.5f;   /* likewise */
    o.soft_width = o.soft_height = 16;
    if (learner_open(m, &o, 5, &l, &err) != ST_OK)
        fail_msg("%s", err.message);
    return l;
}

static double score(struct learner *l, int newest)
{
    struct confusion c;
    task_counts_init(learner_spec(l)->task, CLASSES, &c);
    int n = buffer_count(learner_buffer(l));
    assert_int_equal(learner_score(l, NULL, n - newest, newest, &c, NULL), ST_OK);
    return task_score(learner_spec(l)->task, &c);
}

/* What the camera decodes from the deltas is the learner's, bit for bit. */
static void adapt(enum learner_preset preset, double want)
{
    struct nn_model *m = network(11);
    struct learner *l = open_learner(m, preset);
    assert_int_equal(learner_options_of(l)->gate.metric, GATE_F1);
    struct delta_model model;
    size_t count = nn_model_param_count(m);
    float *camera = malloc(count * sizeof *camera);
    uint64_t version = 0;
    struct rng rng;
    rng_init(&rng, 21, 0);
    assert_non_null(camera);
    memcpy(camera, nn_model_values(m), count * sizeof *camera);
    assert_int_equal(delta_model_init(m, &model, NULL), ST_OK);
    feed(l, 0, 40, 1, &rng);
    for (int phase = 0; phase < 12; phase++) {
        feed(l, 40 + (uint64_t)phase * 10, 10, 1 - 0.04f * (float)phase, &rng);
        struct buf delta;
        buf_init(&delta);
        struct learner_result r;
        bool applied;
        assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
        if (r.accepted)
            assert_int_equal(delta_apply(&model, delta.data, delta.size_bytes, &version, camera,
                                         NULL, &applied, NULL),
                             ST_OK);
        assert_int_equal(version, learner_version(l));
        assert_memory_equal(camera, learner_params(l), count * sizeof *camera);
        buf_clear(&delta);
    }
    feed(l, 300, 40, 0.52f, &rng);
    double after = score(l, 40);
    if (!(after >= want))
        fail_msg("F1 %.3f", after);
    delta_model_clear(&model);
    free(camera);
    learner_close(&l);
    nn_model_close(&m);
}

static void learns_a_drifting_world(void **state)
{
    (void)state;
    adapt(LEARNER_FULL, 0.8);
    adapt(LEARNER_ATTUNE, 0.6);
}

static void only_boxes(void **state)
{
    (void)state;
    struct nn_model *m = network(11);
    struct learner *l = open_learner(m, LEARNER_ATTUNE);
    uint8_t pixels[SIDE * SIDE * 3] = {0}, map[16] = {0};
    struct frame frame = {SIDE, SIDE, 0, pixels};
    struct label_map labels = {4, 4, map};
    struct error err;
    assert_int_equal(learner_add(l, &frame, &labels, NULL, 0, &err), ST_INVALID);
    learner_close(&l);
    nn_model_close(&m);
}

/* Labels of a picture, through a label file; what is no table is refused. */
static void labels_of_pictures(void **state)
{
    (void)state;
    enum { N = 3 };
    struct nn_model *student = network(11), *teacher = network(12);
    struct labeller *l;
    assert_int_equal(labeller_open(student, teacher, 1, &l, NULL), ST_OK);
    struct label_set labels, read;
    struct rng rng;
    rng_init(&rng, 4, 0);
    assert_int_equal(label_set_init_for(&labels, N, labeller_teacher_spec(l), NULL), ST_OK);
    assert_true(labels.boxes);
    for (int i = 0; i < N; i++) {
        uint8_t pixels[SIDE * SIDE * 3], table[DETECT_TABLE_BYTES];
        draw_world(&rng, 1, pixels, table);
        struct frame frame = {SIDE, SIDE, (uint64_t)i, pixels};
        struct label_map map = label_set_map(&labels, i);
        assert_int_equal(labeller_teach(l, &frame, &map, NULL), ST_OK);
        assert_int_equal(detect_check(map.classes, CLASSES, NULL), ST_OK);
        labels.t_us[i] = (uint64_t)i;
    }
    struct detection d[] = {{{0.1f, 0.2f, 0.3f, 0.4f, 1, 0.5f}, true}};
    detect_write(d, 1, label_set_map(&labels, 1).classes);
    struct buf file;
    buf_init(&file);
    assert_int_equal(label_set_write(&labels, &file, NULL), ST_OK);
    assert_int_equal(label_set_read(file.data, file.size_bytes, &read, NULL), ST_OK);
    assert_true(read.boxes && read.count == N && read.class_count == CLASSES);
    assert_memory_equal(read.classes, labels.classes, N * DETECT_TABLE_BYTES);
    label_set_clear(&read);
    file.size_bytes = 0;
    label_set_map(&labels, 2).classes[8] = 7; /* a class that there is not, in an empty row */
    assert_int_equal(label_set_write(&labels, &file, NULL), ST_OK);
    assert_int_equal(label_set_read(file.data, file.size_bytes, &read, NULL), ST_FORMAT);
    label_set_clear(&labels);
    buf_clear(&file);
    labeller_close(&l);
    nn_model_close(&student);
    nn_model_close(&teacher);
}

/* Picture and boxes are mirrored together: what is painted inside of a box stays inside. */
static void mirrored(void **state)
{
    (void)state;
    uint8_t pixels[SIDE * SIDE * 3], table[DETECT_TABLE_BYTES];
    struct detection d[DETECT_BOXES_MAX];
    struct rng rng;
    rng_init(&rng, 8, 0);
    for (int round = 0; round < 20; round++) {
        draw_world(&rng, 1, pixels, table);
        struct frame frame = {SIDE, SIDE, 0, pixels};
        struct label_map labels = {DETECT_ROW_BYTES, DETECT_BOXES_MAX, table};
        augment_mirror(TASK_DETECT, &frame, &labels);
        int n = detect_read(table, d);
        for (int i = 0; i < n; i++) {
            int x = (int)((d[i].box.x0 + d[i].box.x1) / 2 * SIDE);
            int y = (int)((d[i].box.y0 + d[i].box.y1) / 2 * SIDE);
            assert_true(pixels[(y * SIDE + x) * 3 + (d[i].box.class_id ? 2 : 0)] > 200);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_a_drifting_world),
        cmocka_unit_test(only_boxes),
        cmocka_unit_test(labels_of_pictures),
        cmocka_unit_test(mirrored),
    };
    return cmocka_run_group_tests_name("detect-learner", tests, NULL, NULL);
}
