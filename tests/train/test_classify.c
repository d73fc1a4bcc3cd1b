/* The learner on a classification: a class for a whole picture goes the way that maps of pixels go.
 * The world is pictures of one colour with noise; which colour is which class drifts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "label/label_file.h"
#include "label/labeller.h"
#include "nn/build.h"
#include "nn/loss.h"
#include "train/learner.h"

#define SIDE 12
#define CLASSES 4
#define SECOND_US 1000000ull

/* smooth: without kinks that a difference could step over. */
static struct nn_model *network(bool smooth)
{
    nn_value (*activation)(struct nn_build *, nn_value) = smooth ? nn_build_sigmoid : nn_build_relu;
    struct nn_build *b;
    assert_int_equal(nn_build_open(SIDE, SIDE, 11, &b, NULL), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 8, 3, 2, 1, 1, false);
    x = activation(b, nn_build_batch_norm(b, x));
    x = nn_build_conv(b, x, 12, 3, 2, 1, 1, false);
    x = activation(b, nn_build_batch_norm(b, x));
    x = nn_build_linear(b, nn_build_global_average_pool(b, x), CLASSES);
    x = nn_build_softmax(b, x);
    struct buf file;
    buf_init(&file);
    assert_int_equal(nn_build_finish(b, x, &file, NULL), ST_OK);
    nn_build_close(&b);
    struct nn_model *m;
    assert_int_equal(nn_model_read(file.data, file.size_bytes, NULL, &m, NULL), ST_OK);
    buf_clear(&file);
    return m;
}

static struct nn_model *tiny_model(void)
{
    return network(false);
}

/* drift turns the hues; wrong: labels that are not those of the picture. */
static void feed(struct learner *l, uint64_t from_s, int frames, float drift, bool wrong,
                 struct rng *rng)
{
    uint8_t pixels[SIDE * SIDE * 3];
    for (int i = 0; i < frames; i++) {
        uint8_t class_id = (uint8_t)rng_below(rng, CLASSES);
        for (int p = 0; p < SIDE * SIDE * 3; p++) {
            float hue = (float)class_id * 1.6f + (float)(p % 3) * 2.1f + drift;
            float v = 128 + 60 * sinf(hue) + 12 * rng_normal(rng);
            pixels[p] = (uint8_t)fminf(fmaxf(v, 0), 255);
        }
        struct frame frame = {SIDE, SIDE, (from_s + (uint64_t)i) * SECOND_US, pixels};
        uint8_t label = wrong ? (uint8_t)((class_id + 1) % CLASSES) : class_id;
        struct label_map labels = {1, 1, &label};
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
    o.steps = 25;
    o.batch = 8;
    o.frames_max = 60;
    o.optimizer.learning_rate = 0.01f;
    o.flip = true;
    o.crop_min = 0.7f;
    o.class_balance = true;
    if (learner_open(m, &o, 5, &l, &err) != ST_OK)
        fail_msg("%s", err.message);
    return l;
}

static double accuracy(struct learner *l, int newest)
{
    struct confusion c;
    confusion_init(&c, CLASSES);
    int n = buffer_count(learner_buffer(l));
    assert_int_equal(learner_score(l, NULL, n - newest, newest, &c, NULL), ST_OK);
    uint64_t counted = 0;
    for (int i = 0; i < CLASSES * CLASSES; i++)
        counted += c.count[i / CLASSES][i % CLASSES];
    assert_int_equal(counted, newest); /* one answer a picture */
    return task_score(learner_spec(l)->task, &c);
}

/* Fifteen phases of a drifting world; what the camera decodes is the learner's, bit for bit. */
static void adapt(enum learner_preset preset, double want)
{
    struct nn_model *m = tiny_model();
    struct learner *l = open_learner(m, preset);
    struct delta_model model;
    size_t count = nn_model_param_count(m);
    float *camera = malloc(count * sizeof *camera);
    uint64_t version = 0;
    struct rng rng;
    rng_init(&rng, 21, 0);
    assert_non_null(camera);
    memcpy(camera, nn_model_values(m), count * sizeof *camera);
    assert_int_equal(delta_model_init(m, &model, NULL), ST_OK);
    for (int phase = 0; phase < 15; phase++) {
        feed(l, (uint64_t)phase * 20, 20, 0.08f * (float)phase, false, &rng);
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
    feed(l, 300, 40, 1.2f, false, &rng);
    double after = accuracy(l, 40);
    if (after < want)
        fail_msg("accuracy %.3f", after);
    delta_model_clear(&model);
    free(camera);
    learner_close(&l);
    nn_model_close(&m);
}

static void learns_a_drifting_world(void **state)
{
    (void)state;
    adapt(LEARNER_FULL, 0.95);
    adapt(LEARNER_ATTUNE, 0.9);
}

/* Trained on labels that are wrong, judged on newer ones that are right: it must not go out. */
static void gate_keeps_a_worse_one_back(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner *l = open_learner(m, LEARNER_ATTUNE);
    assert_int_equal(learner_options_of(l)->gate.metric, GATE_ACCURACY);
    size_t bytes = nn_model_param_count(m) * sizeof(float);
    struct rng rng;
    rng_init(&rng, 22, 0);
    struct buf delta;
    struct learner_result r;
    buf_init(&delta);
    for (int phase = 0; phase < 6; phase++) {
        feed(l, (uint64_t)phase * 20, 20, 0, false, &rng);
        assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    }
    assert_true(accuracy(l, 20) > 0.9);
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, learner_params(l), bytes);
    uint64_t version = learner_version(l);
    feed(l, 120, 55, 0, true, &rng);
    feed(l, 175, 5, 0, false, &rng);
    delta.size_bytes = 0;
    bool rejected = false;
    for (int phase = 0; phase < 3 && !rejected; phase++) {
        feed(l, 180 + (uint64_t)phase * 5, 5, 0, false, &rng);
        assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
        rejected = !r.accepted;
    }
    assert_true(rejected && r.score_candidate < r.score_current);
    assert_non_null(strstr(r.reason, "accuracy"));
    if (learner_version(l) == version)
        assert_memory_equal(before, learner_params(l), bytes);
    free(before);
    buf_clear(&delta);
    learner_close(&l);
    nn_model_close(&m);
}

/* Teacher's and student's classes and the teacher's probabilities, against sessions that give the
 * probabilities of the file; then through a label file. */
static void labels_of_pictures(void **state)
{
    (void)state;
    enum { N = 5 };
    struct nn_model *student = tiny_model(), *teacher = network(true);
    struct labeller *l;
    struct nn_session *plain;
    assert_int_equal(labeller_open(student, teacher, 1, &l, NULL), ST_OK);
    assert_int_equal(nn_session_open(teacher, NULL, &plain, NULL), ST_OK);
    struct nn_view in = nn_session_input(plain, 0);
    struct label_set labels;
    struct rng rng;
    rng_init(&rng, 4, 0);
    assert_int_equal(label_set_init(&labels, N, 1, 1, CLASSES, NULL), ST_OK);
    for (int i = 0; i < N; i++) {
        uint8_t pixels[SIDE * SIDE * 3], soft[CLASSES], answer = 99;
        for (size_t p = 0; p < sizeof pixels; p++)
            pixels[p] = (uint8_t)rng_below(&rng, 256);
        struct frame frame = {SIDE, SIDE, (uint64_t)i, pixels};
        struct label_map map = label_set_map(&labels, i), one = {1, 1, &answer};
        labels.t_us[i] = (uint64_t)i / 2; /* two crops of one picture share their time */
        assert_int_equal(labeller_teach(l, &frame, &map, NULL), ST_OK);
        labeller_soft(l, 1, 1, soft);
        task_input(labeller_teacher_spec(l), &frame, &in, 0);
        assert_int_equal(nn_session_forward(plain, NULL), ST_OK);
        const float *p = nn_session_output(plain, 0).data;
        for (int k = 0; k < CLASSES; k++) {
            assert_true(p[k] <= p[map.classes[0]]);
            assert_true(fabsf(255 * p[k] - (float)soft[k]) <= 0.51f);
        }
        assert_int_equal(labeller_predict(l, &frame, NULL, 0, &one, NULL), ST_OK);
        assert_in_range(answer, 0, CLASSES - 1);
        const uint8_t only_2[CLASSES] = {0, 0, 1, 0};
        labeller_choose(l, only_2);
        assert_int_equal(labeller_teach(l, &frame, &one, NULL), ST_OK);
        labeller_soft(l, 1, 1, soft);
        assert_true(answer == 2 && soft[2] == 255 && soft[0] == 0);
        labeller_choose(l, NULL);
    }
    struct buf file;
    struct label_set read;
    buf_init(&file);
    assert_int_equal(label_set_write(&labels, &file, NULL), ST_OK);
    assert_int_equal(label_set_read(file.data, file.size_bytes, &read, NULL), ST_OK);
    assert_true(read.count == N && read.width == 1 && read.height == 1);
    assert_memory_equal(read.classes, labels.classes, N);
    assert_memory_equal(read.t_us, labels.t_us, N * sizeof *read.t_us);
    label_set_clear(&read);
    label_set_clear(&labels);
    buf_clear(&file);
    nn_session_close(&plain);
    labeller_close(&l);
    nn_model_close(&student);
    nn_model_close(&teacher);
}

/* A teacher's probabilities say more than its class: the student follows them. */
static void soft_labels_of_pictures(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o;
    struct learner *l;
    learner_preset(LEARNER_FULL, &o);
    o.steps = 80;
    o.optimizer.learning_rate = 0.02f;
    o.soft_weight = 1;
    o.soft_width = 40; /* more than there is: kept at the size of the logits */
    o.soft_height = 24;
    assert_int_equal(learner_open(m, &o, 5, &l, NULL), ST_OK);
    assert_int_equal(learner_options_of(l)->soft_width, 1);
    assert_int_equal(learner_options_of(l)->soft_height, 1);
    uint8_t pixels[SIDE * SIDE * 3], label = 0, probs[CLASSES] = {153, 0, 102, 0};
    memset(pixels, 90, sizeof pixels);
    for (uint64_t i = 0; i < 4; i++) {
        struct frame frame = {SIDE, SIDE, i * SECOND_US, pixels};
        struct label_map labels = {1, 1, &label};
        struct soft_map soft = {1, 1, CLASSES, probs};
        assert_int_equal(learner_add(l, &frame, &labels, &soft, 0, NULL), ST_OK);
    }
    struct buf delta;
    struct learner_result r;
    buf_init(&delta);
    assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    struct nn_session *s;
    assert_int_equal(nn_session_open(m, NULL, &s, NULL), ST_OK);
    memcpy(nn_session_params(s), learner_params(l), nn_model_param_count(m) * sizeof(float));
    nn_session_params_changed(s);
    struct nn_view in = nn_session_input(s, 0);
    struct frame frame = {SIDE, SIDE, 0, pixels};
    task_input(learner_spec(l), &frame, &in, 0);
    assert_int_equal(nn_session_forward(s, NULL), ST_OK);
    struct nn_view p = nn_session_output(s, 0); /* the file's softmax: probabilities */
    for (int k = 0; k < CLASSES; k++)
        assert_float_equal(p.data[k], (float)probs[k] / 255, 0.08);
    nn_session_close(&s);
    buf_clear(&delta);
    learner_close(&l);
    nn_model_close(&m);
}

/* The loss from the probabilities that the file gives. */
static double loss_of(struct nn_session *s, const uint8_t *labels, int n)
{
    assert_int_equal(nn_session_forward(s, NULL), ST_OK);
    struct nn_view p = nn_session_output(s, 0);
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum -= log((double)p.data[i * p.stride[0] + labels[i] * p.stride[1]]);
    return sum / n;
}

/* d loss / d parameter of [N,C] logits against central differences of the loss, which an inference
 * session computes through the softmax of the file. */
static void gradient_by_finite_differences(void **state)
{
    (void)state;
    enum { N = 5 };
    struct nn_model *m = network(true);
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.batch = N;
    o.fuse = false;
    struct nn_session *plain, *train;
    assert_int_equal(nn_session_open(m, &o, &plain, NULL), ST_OK);
    o.mode = NN_TRAIN;
    o.logits = true;
    assert_int_equal(nn_session_open(m, &o, &train, NULL), ST_OK);
    struct nn_view in[2] = {nn_session_input(plain, 0), nn_session_input(train, 0)};
    struct rng rng;
    rng_init(&rng, 9, 0);
    for (int i = 0; i < N * 3 * SIDE * SIDE; i++)
        in[0].data[i] = in[1].data[i] = rng_normal(&rng);
    const uint8_t labels[N] = {3, 0, 1, 1, 2};
    assert_int_equal(nn_session_forward(train, NULL), ST_OK);
    struct nn_view logits = nn_session_output(train, 0), grad = nn_session_output_grad(train, 0);
    assert_int_equal(logits.rank, 2);
    double loss =
        nn_loss_hard(&logits, labels, &(struct nn_ce_options){.class_chosen = NULL}, 1, &grad);
    assert_float_equal(loss, loss_of(plain, labels, N), 1e-5);
    assert_int_equal(nn_session_backward(train, NULL), ST_OK);
    size_t count = nn_model_trainable_count(m);
    for (size_t i = 0; i < count; i += 1 + count / 60) {
        float *at = nn_session_params(plain) + i, kept = *at, step = 2e-3f;
        *at = kept + step;
        nn_session_params_changed(plain);
        double above = loss_of(plain, labels, N);
        *at = kept - step;
        nn_session_params_changed(plain);
        double slope = (above - loss_of(plain, labels, N)) / (2 * (double)step);
        *at = kept;
        assert_float_equal(nn_session_grads(train)[i], slope, 1e-4 + 0.01 * fabs(slope));
    }
    nn_session_close(&plain);
    nn_session_close(&train);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient_by_finite_differences), cmocka_unit_test(learns_a_drifting_world),
        cmocka_unit_test(gate_keeps_a_worse_one_back),    cmocka_unit_test(labels_of_pictures),
        cmocka_unit_test(soft_labels_of_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
