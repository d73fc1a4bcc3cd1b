/* Tasks: what files say of them, scores against numbers worked out by hand, class maps, label
 * resizing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nn/build.h"
#include "task/task.h"

static void miou_by_hand(void **state)
{
    (void)state;
    struct confusion c, part;
    confusion_init(&c, 4);
    assert_true(isnan(confusion_miou(&c)));
    const uint8_t truth[] = {0, 0, 0, 1, 1, 255, 2};
    const uint8_t guess[] = {0, 0, 1, 1, 1, 0, 255};
    confusion_add(&c, truth, guess, 7);
    /* class 0: 2 / 3; class 1: 2 / 3; class 2 never counted (its pixel had no prediction). */
    assert_float_equal(confusion_miou(&c), 2.0 / 3.0, 1e-12);
    confusion_init(&part, 4);
    confusion_add(&part, truth + 2, guess + 2, 1);
    confusion_subtract(&c, &part);
    assert_float_equal(confusion_miou(&c), 1.0, 1e-12);
    confusion_merge(&c, &part);
    const uint8_t t3[] = {3}, g0[] = {0};
    confusion_add(&c, t3, g0, 1); /* class 0: 2/4, class 1: 2/3, class 3: 0/1 */
    assert_float_equal(confusion_miou(&c), (0.5 + 2.0 / 3.0) / 3.0, 1e-12);
}

static const char good[] = "labels: [road, car]\nignore: 9\nnetwork: {0: car, 1: none, 2: road}\n";

static void class_map_good(void **state)
{
    (void)state;
    struct class_map m;
    struct error err;
    assert_int_equal(class_map_read(good, strlen(good), "m.yaml", &m, &err), ST_OK);
    assert_int_equal(m.label_count, 2);
    assert_int_equal(m.network_count, 3);
    assert_int_equal(m.ignore, 9);
    assert_int_equal(m.to_label[0], 1);
    assert_int_equal(m.to_label[1], LABEL_IGNORE);
    assert_int_equal(m.to_label[2], 0);
    assert_string_equal(m.label_name[1], "car");
}

static void class_map_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"label: [a, b]\n", "m.yaml:1:1: unknown key 'label'; did you mean 'labels'?"},
        {"labels: [a, b]\nnetwork: {0: a, 1: c}\n",
         "m.yaml:2:20: 'c' is not one of 'labels' (or none)"},
        {"labels: [a, b]\nnetwork: {0: a, 0: b}\n",
         "m.yaml:2:17: class numbers are whole and given once"},
        {"labels: [a, b]\nnetwork: {0: a, 5: b}\n",
         "m.yaml:2:17: 5 is outside 0 to 1; choose a value within"},
        {"labels: [a]\n", "m.yaml:1:9: 'labels' must be a list of 2 to 64 class names"},
        {"labels: [a, b\n", NULL},
        {"", NULL},
        {"- 1\n", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct class_map m;
        struct error err;
        assert_int_equal(class_map_read(cases[i].text, strlen(cases[i].text), "m.yaml", &m, &err),
                         ST_FORMAT);
        if (cases[i].message)
            assert_string_equal(err.message, cases[i].message);
    }
    /* Every truncation is either a complete map or an error with its place. */
    for (size_t n = 0; n < strlen(good); n++) {
        struct class_map m;
        struct error err;
        if (class_map_read(good, n, "m.yaml", &m, &err) != ST_OK)
            assert_memory_equal(err.message, "m.yaml:", 7);
    }
}

static void labels_resize(void **state)
{
    (void)state;
    uint8_t small[] = {1, 2, 3, 4}, big[16], back[4];
    struct label_map s = {2, 2, small}, b = {4, 4, big}, r = {2, 2, back};
    task_resize_labels(&s, &b);
    const uint8_t expected[] = {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4};
    assert_memory_equal(big, expected, 16);
    task_resize_labels(&b, &r);
    assert_memory_equal(back, small, 4);
}

static void input_is_normalised(void **state)
{
    (void)state;
    struct task_spec spec = {
        .width = 2, .height = 1, .mean = {0.5f, 0, 0}, .std = {0.5f, 1, 0.25f}};
    uint8_t pixels[] = {255, 0, 51, 0, 255, 102};
    struct frame f = {.width = 2, .height = 1, .pixels = pixels};
    float planar[12] = {0}, packed[12] = {0};
    struct nn_view p = {planar, 4, {2, 3, 1, 2}, {6, 2, 2, 1}};
    struct nn_view q = {packed, 4, {2, 3, 1, 2}, {6, 1, 6, 3}};
    task_input(&spec, &f, &p, 1);
    task_input(&spec, &f, &q, 1);
    const float expect[] = {1, -1, 0, 1, 0.8f, 1.6f}; /* R R G G B B */
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < 2; x++) {
            assert_float_equal(planar[6 + 2 * c + x], expect[2 * c + x], 1e-6);
            assert_float_equal(packed[6 + 3 * x + c], expect[2 * c + x], 1e-6);
        }
    assert_float_equal(planar[0], 0, 0);
}

/* Answers drawn at random, counted again without a matrix. */
static void accuracy_and_recall_against_a_count(void **state)
{
    (void)state;
    enum { N = 500, CLASSES = 5 };
    uint8_t truth[N], guess[N];
    struct rng r;
    rng_init(&r, 3, 0);
    int right = 0, counted = 0, of_class[CLASSES] = {0}, found[CLASSES] = {0};
    for (int i = 0; i < N; i++) {
        truth[i] = rng_below(&r, 20) ? (uint8_t)rng_below(&r, CLASSES - 1) : LABEL_IGNORE;
        guess[i] = (uint8_t)rng_below(&r, CLASSES - 1);
        if (truth[i] == LABEL_IGNORE)
            continue;
        counted++;
        of_class[truth[i]]++;
        right += truth[i] == guess[i];
        found[truth[i]] += truth[i] == guess[i];
    }
    struct confusion c;
    confusion_init(&c, CLASSES);
    assert_true(isnan(task_score(TASK_CLASSIFY, &c)));
    confusion_add(&c, truth, guess, N);
    assert_float_equal(task_score(TASK_CLASSIFY, &c), (double)right / counted, 1e-12);
    assert_float_equal(task_score(TASK_SEGMENT, &c), confusion_miou(&c), 0);
    for (int k = 0; k < CLASSES - 1; k++)
        assert_float_equal(task_class_score(TASK_CLASSIFY, &c, k), (double)found[k] / of_class[k],
                           1e-12);
    assert_true(isnan(task_class_score(TASK_CLASSIFY, &c, CLASSES - 1)));
}

enum output { PIXELS, CELL, VECTOR, PROBABILITIES };

struct network {
    enum output output;
    int classes;
    const char *task, *names, *mean, *std; /* metadata, NULL: none */
};

static struct nn_model *make(const struct network *w)
{
    struct nn_build *b;
    assert_int_equal(nn_build_open(8, 12, 1, &b, NULL), ST_OK);
    nn_value x = nn_build_input(b);
    if (w->output != PIXELS)
        x = nn_build_global_average_pool(b, x);
    if (w->output >= VECTOR)
        x = nn_build_linear(b, x, w->classes);
    else
        x = nn_build_conv(b, x, w->classes, 1, 1, 1, 1, true);
    if (w->output == PROBABILITIES)
        x = nn_build_softmax(b, x);
    const char *const keys[] = {"attune.task", "attune.classes", "attune.mean", "attune.std"};
    const char *const values[] = {w->task, w->names, w->mean, w->std};
    for (int i = 0; i < 4; i++)
        if (values[i])
            nn_build_metadata(b, keys[i], values[i]);
    struct buf file;
    buf_init(&file);
    assert_int_equal(nn_build_finish(b, x, &file, NULL), ST_OK);
    nn_build_close(&b);
    struct nn_model *m;
    assert_int_equal(nn_model_read(file.data, file.size_bytes, NULL, &m, NULL), ST_OK);
    buf_clear(&file);
    return m;
}

static void specs_say_the_task(void **state)
{
    (void)state;
    const struct {
        struct network network;
        enum task_kind task;
        int width, height; /* of the logits */
        bool from_metadata;
    } cases[] = {
        {{.output = PIXELS, .classes = 3}, TASK_SEGMENT, 12, 8, false},
        {{.output = PIXELS, .classes = 2, .task = "segment", .names = "a,b"},
         TASK_SEGMENT,
         12,
         8,
         true},
        {{.output = CELL, .classes = 2}, TASK_CLASSIFY, 1, 1, false},
        {{.output = CELL, .classes = 2, .task = "segment"}, TASK_SEGMENT, 1, 1, false},
        {{.output = VECTOR, .classes = 4}, TASK_CLASSIFY, 1, 1, false},
        {{.output = VECTOR, .classes = 2, .task = "classify", .names = "day,night"},
         TASK_CLASSIFY,
         1,
         1,
         true},
        {{.output = PROBABILITIES, .classes = 5}, TASK_CLASSIFY, 1, 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nn_model *m = make(&cases[i].network);
        struct task_spec s;
        assert_int_equal(task_spec_read(m, &s, NULL), ST_OK);
        assert_int_equal(s.task, cases[i].task);
        assert_int_equal(s.class_count, cases[i].network.classes);
        assert_int_equal(s.width, 12);
        assert_int_equal(s.height, 8);
        assert_int_equal(s.out_width, cases[i].width);
        assert_int_equal(s.out_height, cases[i].height);
        assert_int_equal(s.from_metadata, cases[i].from_metadata);
        nn_model_close(&m);
    }
}

static void bad_specs_say_why(void **state)
{
    (void)state;
    const struct {
        struct network network;
        const char *message;
    } cases[] = {
        {{.output = PIXELS, .classes = 2, .task = "classify"}, "a classification has logits [N,C]"},
        {{.output = VECTOR, .classes = 2, .task = "dance"}, "the network's task is 'dance'"},
        {{.output = VECTOR, .classes = 1}, "logits of 2 to 64 classes"},
        {{.output = VECTOR, .classes = 65}, "logits of 2 to 64 classes"},
        {{.output = VECTOR, .classes = 2, .task = "classify", .names = "day"}, "names 1 classes"},
        {{.output = VECTOR, .classes = 2, .names = "day,"}, "names have 1 to 31 characters"},
        {{.output = VECTOR, .classes = 2, .mean = "1,2"}, "attune.mean must be three numbers"},
        {{.output = VECTOR, .classes = 2, .std = "1,0,1"}, "attune.std must be positive"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nn_model *m = make(&cases[i].network);
        struct task_spec s = {.width = -7};
        struct error err;
        assert_int_equal(task_spec_read(m, &s, &err), ST_UNSUPPORTED);
        if (!strstr(err.message, cases[i].message))
            fail_msg("'%s' does not say '%s'", err.message, cases[i].message);
        assert_int_equal(s.width, -7);
        nn_model_close(&m);
    }
}

static void pairs_must_match(void **state)
{
    (void)state;
    struct task_spec a = {.task = TASK_CLASSIFY,
                          .class_count = 2,
                          .from_metadata = true,
                          .class_name = {"day", "night"}},
                     b = a;
    assert_int_equal(task_specs_match(&a, &b, NULL), ST_OK);
    b.task = TASK_SEGMENT;
    struct error err;
    assert_int_equal(task_specs_match(&a, &b, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "student's task is classify, the teacher's segment"));
    b = a;
    memcpy(b.class_name[1], "dusk", 5);
    assert_int_equal(task_specs_match(&a, &b, &err), ST_UNSUPPORTED);
    b.from_metadata = false;
    assert_int_equal(task_specs_match(&a, &b, &err), ST_OK);
}

/* A session that is asked for logits gives what stands before the softmax: its exponentials are in
 * the proportions of the probabilities that the other session gives. */
static void logits_are_before_the_softmax(void **state)
{
    (void)state;
    struct nn_model *m = make(&(struct network){.output = PROBABILITIES, .classes = 4});
    struct nn_session_options o;
    nn_session_options_init(&o);
    struct nn_session *plain, *logits;
    assert_int_equal(nn_session_open(m, &o, &plain, NULL), ST_OK);
    o.logits = true;
    assert_int_equal(nn_session_open(m, &o, &logits, NULL), ST_OK);
    struct nn_view in[2] = {nn_session_input(plain, 0), nn_session_input(logits, 0)};
    for (int i = 0; i < 3 * 8 * 12; i++)
        in[0].data[i] = in[1].data[i] = (float)(i % 7) - 2;
    assert_int_equal(nn_session_forward(plain, NULL), ST_OK);
    assert_int_equal(nn_session_forward(logits, NULL), ST_OK);
    struct nn_view p = nn_session_output(plain, 0), z = nn_session_output(logits, 0);
    float sum = 0, of_task[4];
    const uint8_t some[] = {1, 0, 1, 1};
    task_probabilities(&z, 0, 0, NULL, of_task);
    for (int k = 0; k < 4; k++) {
        assert_float_equal(expf(z.data[k] - z.data[0]), p.data[k] / p.data[0], 1e-4);
        assert_float_equal(of_task[k], p.data[k], 1e-6);
        sum += some[k] ? p.data[k] : 0;
    }
    assert_true(fabsf(z.data[0] - p.data[0]) > 1e-3f);
    task_probabilities(&z, 0, 0, some, of_task);
    for (int k = 0; k < 4; k++)
        assert_float_equal(of_task[k], some[k] ? p.data[k] / sum : 0, 1e-6);
    nn_session_close(&plain);
    nn_session_close(&logits);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(miou_by_hand),
        cmocka_unit_test(class_map_good),
        cmocka_unit_test(class_map_bad),
        cmocka_unit_test(labels_resize),
        cmocka_unit_test(input_is_normalised),
        cmocka_unit_test(accuracy_and_recall_against_a_count),
        cmocka_unit_test(specs_say_the_task),
        cmocka_unit_test(bad_specs_say_why),
        cmocka_unit_test(pairs_must_match),
        cmocka_unit_test(logits_are_before_the_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
