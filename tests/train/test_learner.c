/* The learner on a tiny network and a world whose colours drift: it learns, the camera's copy stays
 * equal, and a phase that is rejected or killed leaves no trace. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "nn/build.h"
#include "nn/loss.h"
#include "profile/profiler.h"
#include "train/learner.h"

#define WIDTH 24
#define HEIGHT 16
#define CLASSES 3
#define SECOND_US 1000000ull

static struct nn_model *tiny_model(void)
{
    struct nn_build *b;
    assert_int_equal(nn_build_open(HEIGHT, WIDTH, 11, &b, NULL), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 8, 3, 1, 1, 1, false);
    x = nn_build_relu(b, nn_build_batch_norm(b, x));
    x = nn_build_conv(b, x, 8, 3, 1, 1, 8, false);
    x = nn_build_relu(b, nn_build_batch_norm(b, x));
    x = nn_build_conv(b, x, CLASSES, 1, 1, 1, 1, true);
    struct buf file;
    buf_init(&file);
    struct error err;
    enum status st = nn_build_finish(b, x, &file, &err);
    if (st != ST_OK)
        print_message("%s\n", err.message);
    assert_int_equal(st, ST_OK);
    nn_build_close(&b);
    struct nn_model *m;
    assert_int_equal(nn_model_read(file.data, file.size_bytes, NULL, &m, NULL), ST_OK);
    buf_clear(&file);
    return m;
}

/* Three classes in random rectangles; the hue of each turns by `drift`. */
struct scene {
    uint8_t pixels[HEIGHT * WIDTH * 3], classes[HEIGHT * WIDTH];
    struct frame frame;
    struct label_map labels;
};

static void scene_draw(struct scene *s, uint64_t t_us, float drift, struct rng *rng)
{
    memset(s->classes, 0, sizeof s->classes);
    for (int k = 1; k < CLASSES; k++) {
        int x0 = (int)rng_below(rng, WIDTH - 8), y0 = (int)rng_below(rng, HEIGHT - 6);
        for (int y = y0; y < y0 + 6; y++)
            memset(s->classes + y * WIDTH + x0, k, 8);
    }
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        for (int c = 0; c < 3; c++) {
            float hue = (float)(s->classes[i] + c) * 2.1f + drift;
            float v = 128 + 60 * sinf(hue) + 12 * rng_normal(rng);
            s->pixels[3 * i + c] = (uint8_t)fminf(fmaxf(v, 0), 255);
        }
    s->frame = (struct frame){WIDTH, HEIGHT, t_us, s->pixels};
    s->labels = (struct label_map){WIDTH, HEIGHT, s->classes};
}

static void feed(struct learner *l, uint64_t from_s, int frames, float drift, struct rng *rng)
{
    for (int i = 0; i < frames; i++) {
        struct scene s;
        scene_draw(&s, (from_s + (uint64_t)i) * SECOND_US, drift, rng);
        assert_int_equal(learner_add(l, &s.frame, &s.labels, NULL, 0, NULL), ST_OK);
    }
}

static struct learner *open_learner(const struct nn_model *m, const struct learner_options *o,
                                    uint64_t seed)
{
    struct learner *l;
    struct error err = {.message = ""};
    if (learner_open(m, o, seed, &l, &err) != ST_OK)
        fail_msg("%s", err.message);
    return l;
}

static struct learner_options quick_options(enum learner_preset p)
{
    struct learner_options o;
    learner_preset(p, &o);
    o.steps = 15;
    o.batch = 4;
    o.frames_max = 30;
    o.optimizer.learning_rate = 0.01f;
    return o;
}

/* mIoU of the present version on the newest `count` frames. */
static double score(struct learner *l, int count)
{
    struct confusion c;
    confusion_init(&c, CLASSES);
    int n = buffer_count(learner_buffer(l));
    assert_int_equal(learner_score(l, NULL, n - count, count, &c, NULL), ST_OK);
    return confusion_miou(&c);
}

struct camera {
    struct delta_model model;
    float *params;
    uint64_t version;
};

static void camera_init(struct camera *c, const struct nn_model *m)
{
    memset(c, 0, sizeof *c);
    assert_int_equal(delta_model_init(m, &c->model, NULL), ST_OK);
    size_t n = nn_model_param_count(m);
    c->params = malloc(n * sizeof(float));
    assert_non_null(c->params);
    memcpy(c->params, nn_model_values(m), n * sizeof(float));
}

static void camera_clear(struct camera *c)
{
    delta_model_clear(&c->model);
    free(c->params);
}

static void camera_apply(struct camera *c, const struct learner *l, const struct buf *b)
{
    bool applied;
    struct error err = {.message = ""};
    if (delta_apply(&c->model, b->data, b->size_bytes, &c->version, c->params, NULL, &applied,
                    &err) != ST_OK)
        fail_msg("%s", err.message);
    assert_true(applied);
    assert_int_equal(c->version, learner_version(l));
    size_t n = c->model.trainable_count + c->model.stat_count;
    assert_memory_equal(c->params, learner_params(l), n * sizeof(float));
}

/* Ten phases of a drifting world in the given configuration; the camera must follow exactly and
 * the score must end high. */
static void adapt(const struct learner_options *o, double want)
{
    struct nn_model *m = tiny_model();
    struct learner *l = open_learner(m, o, 5);
    struct camera camera;
    camera_init(&camera, m);
    struct rng rng;
    rng_init(&rng, 21, 0);
    int accepted = 0;
    for (int phase = 0; phase < 12; phase++) {
        feed(l, (uint64_t)phase * 10, 10, 0.1f * (float)phase, &rng);
        struct buf delta;
        buf_init(&delta);
        struct learner_result r;
        assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
        assert_true(r.trained && r.reason[0]);
        assert_int_equal(r.steps, o->steps);
        assert_true(r.accepted == (delta.size_bytes > 0));
        assert_int_equal(r.delta_bytes, delta.size_bytes);
        if (r.accepted) {
            camera_apply(&camera, l, &delta);
            assert_int_equal(r.coordinates, select_count(o->fraction, nn_model_trainable_count(m)));
        }
        accepted += r.accepted;
        buf_clear(&delta);
    }
    feed(l, 120, 5, 1.2f, &rng);
    double after = score(l, 5);
    if (after < want)
        print_message("mIoU %.3f, %d phases accepted\n", after, accepted);
    assert_true(after >= want);
    struct buf snapshot;
    buf_init(&snapshot);
    assert_int_equal(learner_snapshot(l, &snapshot, NULL), ST_OK);
    struct camera newcomer;
    camera_init(&newcomer, m);
    camera_apply(&newcomer, l, &snapshot);
    camera_clear(&newcomer);
    buf_clear(&snapshot);
    camera_clear(&camera);
    learner_close(&l);
    assert_null(l);
    nn_model_close(&m);
}

static void learns_a_drifting_world(void **state)
{
    (void)state;
    struct learner_options o = quick_options(LEARNER_FULL);
    adapt(&o, 0.8);
    o = quick_options(LEARNER_ATTUNE);
    o.fraction = 0.3;
    adapt(&o, 0.7);
    o = quick_options(LEARNER_AMS);
    o.fraction = 0.3;
    o.strategy = SELECT_PREVIOUS;
    o.bn_mode = NN_BN_BATCH; /* statistics travel too */
    o.flip = true;
    o.crop_min = 0.8f;
    o.class_balance = true;
    adapt(&o, 0.6);
}

static size_t moved_count(const struct learner *l, const struct nn_model *m)
{
    size_t moved = 0;
    for (size_t i = 0; i < nn_model_trainable_count(m); i++)
        moved += learner_candidate(l)[i] != nn_model_values(m)[i];
    return moved;
}

static void off_the_mask_nothing_moves(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    static const enum select_strategy all[] = {SELECT_GRADIENT, SELECT_PREVIOUS,   SELECT_RANDOM,
                                               SELECT_FIRST,    SELECT_FIRST_LAST, SELECT_LAST};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        struct learner_options o = quick_options(LEARNER_AMS);
        o.strategy = all[k];
        struct learner *l = open_learner(m, &o, 5);
        struct rng rng;
        rng_init(&rng, 22, 0);
        feed(l, 0, 10, 0, &rng);
        size_t n = nn_model_trainable_count(m), take = select_count(o.fraction, n);
        double loss;
        assert_int_equal(learner_begin(l, NULL), ST_OK);
        assert_int_equal(learner_train(l, 7, &loss, NULL), ST_OK);
        size_t moved = moved_count(l, m);
        assert_true(moved > take / 2 && moved <= take);
        for (size_t i = 0; i < n && all[k] == SELECT_LAST; i++)
            assert_true(i >= n - take || learner_candidate(l)[i] == nn_model_values(m)[i]);
        assert_memory_equal(learner_candidate(l) + n, nn_model_values(m) + n,
                            (nn_model_param_count(m) - n) * sizeof(float));
        learner_close(&l);
    }
    nn_model_close(&m);
}

static void a_later_choice_moves_all_until_then(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_AMS);
    o.select_after = 4;
    struct learner *l = open_learner(m, &o, 5);
    struct rng rng;
    rng_init(&rng, 30, 0);
    feed(l, 0, 10, 0, &rng);
    size_t take = select_count(o.fraction, nn_model_trainable_count(m));
    double loss;
    assert_int_equal(learner_begin(l, NULL), ST_OK);
    assert_int_equal(learner_train(l, 3, &loss, NULL), ST_OK);
    assert_true(moved_count(l, m) > 2 * take);
    assert_int_equal(learner_train(l, 1, &loss, NULL), ST_OK);
    assert_int_equal(moved_count(l, m), take);
    assert_int_equal(learner_train(l, 3, &loss, NULL), ST_OK);
    assert_true(moved_count(l, m) <= take);
    learner_abandon(l);
    /* A phase that stops before the choice chooses at its end. */
    struct buf delta;
    buf_init(&delta);
    struct learner_result r;
    assert_int_equal(learner_begin(l, NULL), ST_OK);
    assert_int_equal(learner_train(l, 2, &loss, NULL), ST_OK);
    assert_int_equal(learner_finish(l, &r, &delta, NULL), ST_OK);
    assert_int_equal(r.coordinates, take);
    buf_clear(&delta);
    learner_close(&l);
    nn_model_close(&m);
}

/* Plain Adam with the engine alone, on a batch of one frame repeated. */
static void plain_adam(const struct nn_model *m, const struct learner_options *o,
                       const struct task_spec *spec, const struct scene *scene, int steps,
                       float *out)
{
    struct nn_session_options so;
    nn_session_options_init(&so);
    so.mode = NN_TRAIN;
    so.batch = o->batch;
    struct nn_session *s;
    struct nn_optimizer *adam;
    assert_int_equal(nn_session_open(m, &so, &s, NULL), ST_OK);
    assert_int_equal(nn_optimizer_open(nn_model_trainable_count(m), &o->optimizer, &adam, NULL),
                     ST_OK);
    static uint8_t labels[4 * HEIGHT * WIDTH];
    struct nn_view input = nn_session_input(s, 0), logits = nn_session_output(s, 0);
    struct nn_view grad = nn_session_output_grad(s, 0);
    const struct nn_ce_options ce = {0};
    for (int step = 0; step < steps; step++) {
        for (int i = 0; i < o->batch; i++) {
            task_input(spec, &scene->frame, &input, i);
            memcpy(labels + i * HEIGHT * WIDTH, scene->classes, HEIGHT * WIDTH);
        }
        assert_int_equal(nn_session_forward(s, NULL), ST_OK);
        nn_loss_hard(&logits, labels, &ce, 1, &grad);
        assert_int_equal(nn_session_backward(s, NULL), ST_OK);
        nn_optimizer_step(adam, nn_session_params(s), nn_session_grads(s), NULL);
        nn_session_params_changed(s);
    }
    memcpy(out, nn_session_params(s), nn_model_param_count(m) * sizeof(float));
    nn_optimizer_close(&adam);
    nn_session_close(&s);
}

static void whole_fraction_is_plain_adam(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_AMS);
    o.fraction = 1;
    struct learner *l = open_learner(m, &o, 5);
    struct rng rng;
    rng_init(&rng, 23, 0);
    struct scene s;
    scene_draw(&s, 0, 0, &rng);
    assert_int_equal(learner_add(l, &s.frame, &s.labels, NULL, 0, NULL), ST_OK);
    double loss;
    assert_int_equal(learner_begin(l, NULL), ST_OK);
    assert_int_equal(learner_train(l, 6, &loss, NULL), ST_OK);
    size_t bytes = nn_model_param_count(m) * sizeof(float);
    float *want = malloc(bytes);
    assert_non_null(want);
    plain_adam(m, &o, learner_spec(l), &s, 6, want);
    assert_memory_equal(learner_candidate(l), want, bytes);
    assert_memory_not_equal(want, nn_model_values(m), bytes);
    free(want);
    learner_close(&l);
    nn_model_close(&m);
}

static void nothing_to_do(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_AMS);
    o.fraction = 0;
    struct learner *l = open_learner(m, &o, 5);
    struct rng rng;
    rng_init(&rng, 24, 0);
    struct buf delta;
    buf_init(&delta);
    struct learner_result r;
    struct error err;
    feed(l, 0, 5, 0, &rng);
    assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    assert_true(!r.trained && !r.accepted && delta.size_bytes == 0 && r.reason[0]);
    assert_int_equal(learner_snapshot(l, &delta, NULL), ST_NOT_FOUND);
    learner_close(&l);
    o = quick_options(LEARNER_ONE_TIME);
    o.steps = 3;
    l = open_learner(m, &o, 5);
    assert_int_equal(learner_begin(l, &err), ST_AGAIN); /* no frame yet */
    feed(l, 0, 5, 0, &rng);
    assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    assert_true(r.accepted && delta.size_bytes > 0);
    assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    assert_false(r.trained); /* one time is one time */
    assert_int_equal(r.version, 1);
    buf_clear(&delta);
    learner_close(&l);
    nn_model_close(&m);
}

static void save(const struct learner *l, struct buf *b)
{
    b->size_bytes = 0;
    assert_int_equal(learner_save(l, b, NULL), ST_OK);
}

/* A gate that nothing can pass: afterwards only the generator has moved. */
static void rejected_phases_leave_no_trace(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_ATTUNE);
    o.fraction = 1;
    struct learner *l = open_learner(m, &o, 5);
    struct rng rng;
    rng_init(&rng, 25, 0);
    struct buf before, after, delta;
    buf_init(&before);
    buf_init(&after);
    buf_init(&delta);
    struct learner_result r;
    feed(l, 0, 10, 0, &rng);
    assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    assert_true(r.accepted);
    struct learner_options strict = o;
    strict.gate.margin = 1;
    save(l, &before);
    learner_close(&l);
    l = open_learner(m, &strict, 5);
    assert_int_equal(learner_load(l, before.data, before.size_bytes, NULL), ST_OK);
    feed(l, 10, 10, 0.5f, &rng);
    delta.size_bytes = 0;
    assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    assert_true(r.trained && !r.accepted && r.holdout_frames == 2 && r.version == 1);
    assert_true(r.score_candidate < r.score_current + 1);
    assert_int_equal(delta.size_bytes, 0);
    save(l, &after);
    assert_int_equal(before.size_bytes, after.size_bytes);
    const size_t seen_and_rng = 4 + 4 + 32 + 16, params = seen_and_rng + 8 + 1 + 32;
    assert_memory_equal(before.data, after.data, seen_and_rng);
    assert_memory_equal(before.data + params, after.data + params, before.size_bytes - params - 4);
    /* An abandoned phase does not even move the generator. */
    double loss;
    assert_int_equal(learner_begin(l, NULL), ST_OK);
    assert_int_equal(learner_add(l, NULL, NULL, NULL, 0, NULL), ST_CONFLICT);
    assert_int_equal(learner_train(l, 3, &loss, NULL), ST_OK);
    learner_abandon(l);
    save(l, &before);
    assert_int_equal(before.size_bytes, after.size_bytes);
    assert_memory_equal(before.data, after.data, before.size_bytes);
    buf_clear(&before);
    buf_clear(&after);
    buf_clear(&delta);
    learner_close(&l);
    nn_model_close(&m);
}

static void divergence_is_rejected(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_FULL);
    o.optimizer.kind = NN_SGD;
    o.optimizer.learning_rate = 1e6f;
    struct learner *l = open_learner(m, &o, 5);
    struct rng rng;
    rng_init(&rng, 26, 0);
    feed(l, 0, 10, 0, &rng);
    struct buf delta;
    buf_init(&delta);
    struct learner_result r;
    assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    assert_true(r.trained && !r.accepted && delta.size_bytes == 0);
    assert_memory_equal(learner_params(l), nn_model_values(m),
                        nn_model_param_count(m) * sizeof(float));
    buf_clear(&delta);
    learner_close(&l);
    nn_model_close(&m);
}

/* Two lives: one goes on, one is killed after phase 2 and restored from the file. */
static void restored_goes_on_identically(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_ATTUNE);
    o.fraction = 0.3;
    o.flip = true;
    struct learner *one = open_learner(m, &o, 5), *two = open_learner(m, &o, 5), *three;
    char path[] = "/tmp/attune-learner-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct rng rng_one, rng_two;
    rng_init(&rng_one, 27, 0);
    rng_two = rng_one;
    struct learner_result a, b;
    struct buf delta_one, delta_two;
    buf_init(&delta_one);
    buf_init(&delta_two);
    for (int phase = 0; phase < 4; phase++) {
        feed(one, (uint64_t)phase * 10, 10, 0.2f * (float)phase, &rng_one);
        feed(two, (uint64_t)phase * 10, 10, 0.2f * (float)phase, &rng_two);
        assert_int_equal(learner_phase(one, NULL, NULL, &a, &delta_one, NULL), ST_OK);
        assert_int_equal(learner_phase(two, NULL, NULL, &b, &delta_two, NULL), ST_OK);
        if (phase == 1) {
            assert_int_equal(learner_save_file(two, path, NULL), ST_OK);
            three = open_learner(m, &o, 99);
            assert_int_equal(learner_load_file(three, path, NULL), ST_OK);
            for (int i = 0; i < buffer_count(learner_buffer(two)); i++) {
                const struct buffer_entry *e = buffer_at(learner_buffer(two), i);
                assert_int_equal(learner_add(three, &e->frame, &e->labels, NULL, 0, NULL), ST_OK);
            }
            learner_close(&two);
            two = three;
        }
    }
    assert_int_equal(delta_one.size_bytes, delta_two.size_bytes);
    assert_memory_equal(delta_one.data, delta_two.data, delta_one.size_bytes);
    assert_true(a.score_candidate == b.score_candidate && a.loss_last == b.loss_last);
    save(one, &delta_one);
    save(two, &delta_two);
    assert_int_equal(delta_one.size_bytes, delta_two.size_bytes);
    assert_memory_equal(delta_one.data, delta_two.data, delta_one.size_bytes);
    unlink(path);
    buf_clear(&delta_one);
    buf_clear(&delta_two);
    learner_close(&one);
    learner_close(&two);
    nn_model_close(&m);
}

static void damaged_states_are_refused(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_AMS);
    struct learner *l = open_learner(m, &o, 5);
    struct buf good, now;
    buf_init(&good);
    buf_init(&now);
    save(l, &good);
    for (size_t i = 0; i < good.size_bytes; i += 1 + good.size_bytes / 300) {
        assert_int_equal(learner_load(l, good.data, i, NULL), ST_FORMAT);
        good.data[i] ^= 0x10;
        assert_int_equal(learner_load(l, good.data, good.size_bytes, NULL), ST_FORMAT);
        good.data[i] ^= 0x10;
    }
    good.data[10] ^= 1; /* another model, checksum right */
    uint32_t crc = file_crc32(good.data, good.size_bytes - 4);
    memcpy(good.data + good.size_bytes - 4, &crc, 4);
    assert_int_equal(learner_load(l, good.data, good.size_bytes, NULL), ST_CONFLICT);
    good.data[10] ^= 1;
    save(l, &now);
    assert_memory_equal(good.data, now.data, now.size_bytes - 4);
    buf_clear(&good);
    buf_clear(&now);
    learner_close(&l);
    nn_model_close(&m);
}

/* A learner of finer steps hands its weights to one of coarser steps, which goes on from them. */
static void installs_another_learners_weights(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options fine = quick_options(LEARNER_AMS), coarse = fine;
    fine.fraction = coarse.fraction = 0.2;
    coarse.step_log2 = 12;
    struct learner *a = open_learner(m, &fine, 5), *b = open_learner(m, &coarse, 6);
    struct rng rng;
    rng_init(&rng, 28, 0);
    feed(a, 0, 10, 0, &rng);
    feed(b, 0, 10, 0, &rng);
    struct buf delta, snapshot;
    buf_init(&delta);
    buf_init(&snapshot);
    struct learner_result r;
    for (int i = 0; i < 3; i++)
        assert_int_equal(learner_phase(a, NULL, NULL, &r, &delta, NULL), ST_OK);
    assert_int_equal(learner_snapshot(a, &snapshot, NULL), ST_OK);
    assert_int_equal(learner_install(b, delta.data, 10, NULL), ST_FORMAT);
    assert_int_equal(learner_version(b), 0);
    assert_int_equal(learner_install(b, snapshot.data, snapshot.size_bytes, NULL), ST_OK);
    assert_int_equal(learner_version(b), 3);
    assert_memory_equal(learner_params(a), learner_params(b),
                        nn_model_param_count(m) * sizeof(float));
    assert_int_equal(learner_phase(b, NULL, NULL, &r, &delta, NULL), ST_OK);
    snapshot.size_bytes = 0;
    assert_int_equal(learner_snapshot(b, &snapshot, NULL), ST_OK);
    struct camera newcomer;
    camera_init(&newcomer, m);
    camera_apply(&newcomer, b, &snapshot);
    camera_clear(&newcomer);
    buf_clear(&delta);
    buf_clear(&snapshot);
    learner_close(&a);
    learner_close(&b);
    nn_model_close(&m);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner *l;
    struct learner_options o;
    for (enum learner_preset p = LEARNER_AMS; p <= LEARNER_ONE_TIME; p++) {
        assert_int_equal(learner_preset_parse(learner_preset_name(p)), p);
        learner_preset(p, &o);
        o.batch = -1;
        assert_int_equal(learner_open(m, &o, 1, &l, NULL), ST_INVALID);
        assert_null(l);
    }
    learner_preset(LEARNER_AMS, &o);
    o.fraction = NAN;
    assert_int_equal(learner_open(m, &o, 1, &l, NULL), ST_INVALID);
    learner_preset(LEARNER_AMS, &o);
    o.soft_weight = 0.5f; /* without a size of soft labels */
    assert_int_equal(learner_open(m, &o, 1, &l, NULL), ST_INVALID);
    assert_int_equal(learner_preset_parse("fastest"), 0);
    nn_model_close(&m);
}

static bool stop_at_four(void *context, int done, int total, double loss)
{
    int *calls = context;
    assert_true(isfinite(loss) && done == *calls + 1 && total == 15);
    return ++*calls < 4;
}

static void soft_labels_and_early_stop(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_FULL);
    o.soft_width = WIDTH / 2;
    o.soft_height = HEIGHT / 2;
    o.soft_weight = 1;
    struct learner *l = open_learner(m, &o, 5);
    struct rng rng;
    rng_init(&rng, 29, 0);
    static uint8_t probs[HEIGHT / 2 * WIDTH / 2 * CLASSES];
    for (int i = 0; i < 6; i++) {
        struct scene s;
        scene_draw(&s, (uint64_t)i * SECOND_US, 0, &rng);
        for (int p = 0; p < HEIGHT / 2 * WIDTH / 2; p++)
            for (int c = 0; c < CLASSES; c++)
                probs[p * CLASSES + c] = c == 1 ? 255 : 0; /* a teacher that sees 1 everywhere */
        struct soft_map soft = {WIDTH / 2, HEIGHT / 2, CLASSES, probs};
        assert_int_equal(learner_add(l, &s.frame, &s.labels, &soft, 0, NULL), ST_OK);
    }
    struct buf delta;
    buf_init(&delta);
    struct learner_result r;
    int calls = 0;
    assert_int_equal(learner_phase(l, stop_at_four, &calls, &r, &delta, NULL), ST_OK);
    assert_int_equal(r.steps, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(learner_phase(l, NULL, NULL, &r, &delta, NULL), ST_OK);
    struct confusion c;
    confusion_init(&c, CLASSES);
    assert_int_equal(learner_score(l, NULL, 0, 6, &c, NULL), ST_OK);
    uint64_t ones = c.count[0][1] + c.count[1][1] + c.count[2][1];
    assert_true(ones > 6 * HEIGHT * WIDTH * 9 / 10); /* it followed the soft labels */
    assert_int_equal(learner_score(l, NULL, 0, 7, &c, NULL), ST_INVALID);
    buf_clear(&delta);
    learner_close(&l);
    nn_model_close(&m);
}

/* Versions in mid-training: cameras follow them exactly, and what comes after falls back on them.
 */
static void checkpoints_are_versions(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_ATTUNE);
    o.gated = false;
    struct learner *l = open_learner(m, &o, 5);
    struct camera camera;
    struct rng rng;
    struct learner_result r;
    struct buf delta, at_checkpoint, after;
    double loss;
    camera_init(&camera, m);
    rng_init(&rng, 31, 0);
    buf_init(&delta);
    buf_init(&at_checkpoint);
    buf_init(&after);
    feed(l, 0, 10, 0, &rng);
    assert_int_equal(learner_checkpoint(l, &r, &delta, NULL), ST_INVALID);
    assert_int_equal(learner_begin(l, NULL), ST_OK);
    assert_int_equal(learner_checkpoint(l, &r, &delta, NULL), ST_INVALID);
    for (int version = 1; version <= 3; version++) {
        assert_int_equal(learner_train(l, 5, &loss, NULL), ST_OK);
        delta.size_bytes = 0;
        assert_int_equal(learner_checkpoint(l, &r, &delta, NULL), ST_OK);
        assert_true(r.accepted && (int)r.version == version && r.steps == 5 * version);
        camera_apply(&camera, l, &delta);
    }
    save(l, &at_checkpoint);
    assert_int_equal(learner_train(l, 5, &loss, NULL), ST_OK);
    save(l, &after); /* what is saved in a phase is the last checkpoint */
    assert_int_equal(after.size_bytes, at_checkpoint.size_bytes);
    assert_memory_equal(after.data, at_checkpoint.data, after.size_bytes);
    learner_abandon(l);
    save(l, &after);
    assert_memory_equal(after.data, at_checkpoint.data, after.size_bytes);
    assert_int_equal(learner_version(l), 3);
    buf_clear(&delta);
    buf_clear(&at_checkpoint);
    buf_clear(&after);
    camera_clear(&camera);
    learner_close(&l);
    nn_model_close(&m);
}

/* Frames of one class from each of two cameras, all of the second one's newer. */
static void a_group_is_judged_on_every_member(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_ATTUNE);
    struct learner *l = open_learner(m, &o, 5);
    struct confusion c;
    struct rng rng;
    struct scene s;
    int first;
    rng_init(&rng, 33, 0);
    for (int i = 0; i < 20; i++) {
        scene_draw(&s, (uint64_t)(i + 1) * SECOND_US, 0, &rng);
        memset(s.classes, i / 10, sizeof s.classes);
        assert_int_equal(learner_add(l, &s.frame, &s.labels, NULL, i / 10, NULL), ST_OK);
    }
    assert_int_equal(learner_begin(l, NULL), ST_OK);
    int held = learner_holdout(l, &first);
    assert_int_equal(held, 3);
    assert_int_equal(first, 17);
    confusion_init(&c, CLASSES);
    assert_int_equal(learner_score(l, NULL, first, held, &c, NULL), ST_OK);
    uint64_t of_class[2] = {0};
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < CLASSES; p++)
            of_class[k] += c.count[k][p];
    assert_int_equal(of_class[0], WIDTH * HEIGHT);
    assert_int_equal(of_class[1], 2 * WIDTH * HEIGHT);
    learner_close(&l);
    nn_model_close(&m);
}

static void a_rejected_checkpoint_changes_nothing(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_ATTUNE);
    o.gate.margin = 1;
    struct learner *asked = open_learner(m, &o, 5), *plain = open_learner(m, &o, 5);
    struct rng rng, same;
    struct learner_result r;
    struct buf delta;
    double a, b;
    buf_init(&delta);
    rng_init(&rng, 32, 0);
    same = rng;
    feed(asked, 0, 10, 0, &rng);
    feed(plain, 0, 10, 0, &same);
    assert_int_equal(learner_begin(asked, NULL), ST_OK);
    assert_int_equal(learner_begin(plain, NULL), ST_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(learner_train(asked, 6, &a, NULL), ST_OK);
        assert_int_equal(learner_checkpoint(asked, &r, &delta, NULL), ST_OK);
        assert_true(!r.accepted && r.holdout_frames >= 1 && isfinite(r.score_candidate));
        assert_int_equal(learner_train(plain, 6, &b, NULL), ST_OK);
        assert_true(a == b);
    }
    assert_int_equal(delta.size_bytes, 0);
    assert_memory_equal(learner_candidate(asked), learner_candidate(plain),
                        nn_model_param_count(m) * sizeof(float));
    buf_clear(&delta);
    learner_close(&asked);
    learner_close(&plain);
    nn_model_close(&m);
}

/* Parameters that a phase under this configuration moved, by tensor. */
static void moved_by(struct learner *l, const struct nn_model *m,
                     const struct train_configuration *c, int *ret_steps, size_t *moved)
{
    const struct nn_graph *g = nn_model_graph(m);
    double loss;
    struct error err = {.message = ""};
    if (learner_begin_as(l, c, ret_steps, &err) != ST_OK)
        fail_msg("%s", err.message);
    assert_int_equal(learner_train(l, 3, &loss, NULL), ST_OK);
    for (int p = 0; p < g->param_count; p++) {
        moved[p] = 0;
        for (size_t i = g->params[p].offset; i < g->params[p].offset + g->params[p].count; i++)
            moved[p] += learner_candidate(l)[i] != learner_params(l)[i];
    }
    learner_abandon(l);
}

/* The tiny network: three convolutions, the last one 8 -> 3 of 1x1 with a bias. */
static void configurations_train_what_they_say(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    const struct nn_graph *g = nn_model_graph(m);
    struct learner_options o = quick_options(LEARNER_FULL);
    struct learner *l = open_learner(m, &o, 1);
    struct rng rng;
    size_t moved[64];
    int steps, tensors = 0;
    rng_init(&rng, 1, 0);
    feed(l, 0, 21, 0, &rng);

    struct train_configuration head = {.epochs = 2, .data = 1, .layers = 1, .head_width = 1};
    moved_by(l, m, &head, &steps, moved);
    assert_int_equal(steps, 2 * 6); /* 21 frames in batches of 4 */
    for (int p = 0; p < g->param_count; p++)
        tensors += moved[p] > 0;
    assert_int_equal(tensors, 2); /* weights and bias of the last one */

    struct train_configuration narrow = {
        .epochs = 1, .data = 0.5, .layers = 1, .head_width = 0.5, .batch = 2};
    moved_by(l, m, &narrow, &steps, moved);
    assert_int_equal(steps, 6); /* 10.5 frames in batches of 2 */
    size_t sum = 0;
    for (int p = 0; p < g->param_count; p++)
        sum += moved[p];
    assert_true(sum > 3 && sum <= 4 * CLASSES + CLASSES);

    moved_by(l, m, NULL, &steps, moved); /* back to the recipe */
    assert_int_equal(steps, o.steps);
    tensors = 0;
    for (int p = 0; p < g->param_count; p++)
        tensors += g->params[p].kind == NN_PARAM_TRAINABLE && moved[p] == 0;
    assert_int_equal(tensors, 0);
    learner_close(&l);
    nn_model_close(&m);
}

/* A profile trains, scores and extrapolates, and the next phase is as if it had not been. */
static void profiling_leaves_no_trace(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model();
    struct learner_options o = quick_options(LEARNER_ATTUNE);
    struct train_configuration c = {.epochs = 20, .data = 1, .head_width = 1};
    struct profile_options options;
    struct profile_result r;
    struct buf delta[2];
    profile_options_init(&options);
    options.data = 0.5;
    for (int k = 0; k < 2; k++) {
        struct learner *l = open_learner(m, &o, 1);
        struct learner_result result;
        struct rng rng;
        rng_init(&rng, 1, 0);
        feed(l, 0, 20, 0, &rng);
        if (k == 1) {
            assert_int_equal(profile_run(l, &c, &options, &r, NULL), ST_OK);
            assert_int_equal(learner_version(l), 0);
        }
        buf_init(&delta[k]);
        assert_int_equal(learner_phase(l, NULL, NULL, &result, &delta[k], NULL), ST_OK);
        learner_close(&l);
    }
    assert_true(r.samples == 3 * PROFILE_SAMPLES_FRAME && r.epochs == 5 && r.scored == 6 * 3);
    assert_int_equal(r.steps, 5 * 3); /* 17 frames, half of them, in batches of 4 */
    assert_true(r.accuracy[4] > r.start && r.end >= r.accuracy[4] - 0.1 && r.end <= 1);
    assert_true(delta[0].size_bytes > 0 && delta[0].size_bytes == delta[1].size_bytes);
    assert_memory_equal(delta[0].data, delta[1].data, delta[0].size_bytes);
    buf_clear(&delta[0]);
    buf_clear(&delta[1]);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiling_leaves_no_trace),
        cmocka_unit_test(configurations_train_what_they_say),
        cmocka_unit_test(learns_a_drifting_world),
        cmocka_unit_test(off_the_mask_nothing_moves),
        cmocka_unit_test(a_later_choice_moves_all_until_then),
        cmocka_unit_test(whole_fraction_is_plain_adam),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(rejected_phases_leave_no_trace),
        cmocka_unit_test(checkpoints_are_versions),
        cmocka_unit_test(a_group_is_judged_on_every_member),
        cmocka_unit_test(a_rejected_checkpoint_changes_nothing),
        cmocka_unit_test(divergence_is_rejected),
        cmocka_unit_test(restored_goes_on_identically),
        cmocka_unit_test(damaged_states_are_refused),
        cmocka_unit_test(installs_another_learners_weights),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(soft_labels_and_early_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
