/* Segmentation task: scores against numbers worked out by hand, class maps, label resizing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "task/segment.h"

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
        {"labels: [a, b]\nnetwork: {0: a, 5: b}\n", "m.yaml:2:17: 5 is outside 0 to 1"},
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
    segment_resize_labels(&s, &b);
    const uint8_t expected[] = {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4};
    assert_memory_equal(big, expected, 16);
    segment_resize_labels(&b, &r);
    assert_memory_equal(back, small, 4);
}

static void input_is_normalised(void **state)
{
    (void)state;
    struct segment_spec spec = {
        .width = 2, .height = 1, .mean = {0.5f, 0, 0}, .std = {0.5f, 1, 0.25f}};
    uint8_t pixels[] = {255, 0, 51, 0, 255, 102};
    struct frame f = {.width = 2, .height = 1, .pixels = pixels};
    float planar[12] = {0}, packed[12] = {0};
    struct nn_view p = {planar, 4, {2, 3, 1, 2}, {6, 2, 2, 1}};
    struct nn_view q = {packed, 4, {2, 3, 1, 2}, {6, 1, 6, 3}};
    segment_input(&spec, &f, &p, 1);
    segment_input(&spec, &f, &q, 1);
    const float expect[] = {1, -1, 0, 1, 0.8f, 1.6f}; /* R R G G B B */
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < 2; x++) {
            assert_float_equal(planar[6 + 2 * c + x], expect[2 * c + x], 1e-6);
            assert_float_equal(packed[6 + 3 * x + c], expect[2 * c + x], 1e-6);
        }
    assert_float_equal(planar[0], 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(miou_by_hand),        cmocka_unit_test(class_map_good),
        cmocka_unit_test(class_map_bad),       cmocka_unit_test(labels_resize),
        cmocka_unit_test(input_is_normalised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
