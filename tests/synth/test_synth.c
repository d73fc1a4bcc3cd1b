/* The town: same pixels everywhere, labels that fit the boxes, conditions that change pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "synth/town.h"

#define W 160
#define H 96

struct shot {
    struct frame frame;
    struct label_map labels;
    struct box boxes[TOWN_BOXES_MAX];
    size_t box_count;
    uint8_t pixels[W * H * 3], classes[W * H];
};

static void take(struct town *t, int camera, uint64_t t_us, struct shot *s)
{
    struct error err;
    s->frame = (struct frame){.width = W, .height = H, .pixels = s->pixels};
    s->labels = (struct label_map){.width = W, .height = H, .classes = s->classes};
    assert_int_equal(town_render(t, camera, t_us, &s->frame, &s->labels, s->boxes, TOWN_BOXES_MAX,
                                 &s->box_count, &err),
                     ST_OK);
}

static struct town *open_town(uint64_t seed, int cameras, const struct scenario *scenario)
{
    struct town_options o;
    town_options_init(&o);
    o.seed = seed;
    o.cameras = cameras;
    o.width = W;
    o.height = H;
    o.scenario = scenario;
    struct town *t = NULL;
    struct error err;
    assert_int_equal(town_open(&o, &t, &err), ST_OK);
    return t;
}

static struct scenario constant(struct town_condition c)
{
    struct scenario s;
    struct error err;
    assert_int_equal(scenario_preset("clear", &s, &err), ST_OK);
    s.town.keyframes[0].condition = c;
    return s;
}

/* Order of calls, other cameras and a second town change nothing. */
static void frames_have_no_history(void **state)
{
    (void)state;
    struct scenario s = constant((struct town_condition){
        .dusk = 1, .night = 0.5f, .rain = 0.5f, .snow = 0.3f, .traffic = 0.7f, .crowd = 0.7f});
    static struct shot a, b;
    struct town *t = open_town(3, 2, &s);
    take(t, 1, 7000000, &a);
    take(t, 0, 1000000, &b);
    take(t, 1, 900000000000u, &b);
    take(t, 1, 7000000, &b);
    assert_memory_equal(a.pixels, b.pixels, sizeof a.pixels);
    assert_memory_equal(a.classes, b.classes, sizeof a.classes);
    struct town *other = open_town(3, 2, &s);
    take(other, 1, 7000000, &b);
    assert_memory_equal(a.pixels, b.pixels, sizeof a.pixels);
    struct town *different = open_town(4, 2, &s);
    take(different, 1, 7000000, &b);
    assert_memory_not_equal(a.classes, b.classes, sizeof a.classes);
    town_close(&t);
    town_close(&other);
    town_close(&different);
    assert_null(t);
}

/* Every box holds pixels of its class, every moving pixel lies in a box of its class. */
static void boxes_fit_labels(void **state)
{
    (void)state;
    struct scenario s = constant((struct town_condition){.traffic = 1, .crowd = 1});
    static struct shot a;
    struct town *t = open_town(5, 3, &s);
    int outside = 0, moving = 0;
    for (int camera = 0; camera < 3; camera++) {
        take(t, camera, 12345678, &a);
        assert_true(a.box_count > 5);
        for (size_t i = 0; i < a.box_count; i++) {
            const struct box *b = &a.boxes[i];
            assert_true(b->class_id >= TOWN_CAR && b->class_id < TOWN_CLASS_COUNT);
            assert_true(b->x0 >= 0 && b->y0 >= 0 && b->x1 <= W && b->y1 <= H && b->x0 < b->x1);
        }
        for (int p = 0; p < W * H; p++) {
            if (a.classes[p] < TOWN_CAR)
                continue;
            bool inside = false;
            for (size_t i = 0; i < a.box_count; i++) {
                const struct box *b = &a.boxes[i];
                inside = inside || (b->class_id == a.classes[p] && (float)(p % W) >= b->x0 &&
                                    (float)(p % W) < b->x1 && (float)(p / W) >= b->y0 &&
                                    (float)(p / W) < b->y1);
            }
            moving++;
            outside += !inside; /* parts too small for a box */
        }
    }
    assert_true(moving > 500 && outside * 20 < moving);
    town_close(&t);
}

static void all_classes_occur(void **state)
{
    (void)state;
    struct scenario s = constant((struct town_condition){.traffic = 0.8f, .crowd = 0.8f});
    static struct shot a;
    struct town *t = open_town(2, 6, &s);
    int count[TOWN_CLASS_COUNT] = {0};
    for (int i = 0; i < 18; i++) {
        take(t, i % 6, (uint64_t)i * 5000000, &a);
        for (int p = 0; p < W * H; p++) {
            assert_true(a.classes[p] < TOWN_CLASS_COUNT);
            count[a.classes[p]]++;
        }
    }
    for (int c = 0; c < TOWN_CLASS_COUNT; c++)
        assert_true(count[c] > 18 * W * H / 1000);
    town_close(&t);
}

static double mean_of(const struct shot *s)
{
    double sum = 0;
    for (int i = 0; i < W * H * 3; i++)
        sum += s->pixels[i];
    return sum / (W * H * 3);
}

/* Weather changes pictures strongly and labels not at all. */
static void conditions_change_pictures_only(void **state)
{
    (void)state;
    const struct town_condition conditions[] = {
        {.traffic = 0.6f, .crowd = 0.6f},
        {.dusk = 1, .night = 1, .traffic = 0.6f, .crowd = 0.6f},
        {.rain = 1, .traffic = 0.6f, .crowd = 0.6f},
        {.fog = 1, .traffic = 0.6f, .crowd = 0.6f},
        {.snow = 1, .traffic = 0.6f, .crowd = 0.6f}};
    static struct shot shots[5];
    for (int i = 0; i < 5; i++) {
        struct scenario s = constant(conditions[i]);
        struct town *t = open_town(6, 1, &s);
        take(t, 0, 3000000, &shots[i]);
        town_close(&t);
        assert_memory_equal(shots[0].classes, shots[i].classes, sizeof shots[0].classes);
        double difference = 0;
        for (int p = 0; p < W * H * 3; p++)
            difference += abs(shots[0].pixels[p] - shots[i].pixels[p]);
        assert_true(i == 0 || difference / (W * H * 3) > 15);
    }
    assert_true(mean_of(&shots[1]) < 0.5 * mean_of(&shots[0]));
    assert_true(mean_of(&shots[4]) > mean_of(&shots[2]));
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct town *t = NULL;
    struct town_options o;
    town_options_init(&o);
    o.cameras = 0;
    assert_int_equal(town_open(&o, &t, &err), ST_INVALID);
    town_options_init(&o);
    o.width = 321;
    assert_int_equal(town_open(&o, &t, &err), ST_INVALID);
    o.width = 4000;
    assert_int_equal(town_open(&o, &t, &err), ST_INVALID);
    assert_null(t);
    t = open_town(1, 1, NULL);
    assert_int_equal(town_render(t, 1, 0, NULL, NULL, NULL, 0, NULL, &err), ST_INVALID);
    uint8_t pixels[3];
    struct frame small = {.width = 1, .height = 1, .pixels = pixels};
    assert_int_equal(town_render(t, 0, 0, &small, NULL, NULL, 0, NULL, &err), ST_INVALID);
    assert_int_equal(town_render(t, 0, 0, NULL, NULL, NULL, 0, NULL, &err), ST_OK);
    town_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_have_no_history),
        cmocka_unit_test(boxes_fit_labels),
        cmocka_unit_test(all_classes_occur),
        cmocka_unit_test(conditions_change_pictures_only),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
