/* Detection: tables of boxes, counts by hand and by brute force, decoded outputs and average
 * precision against tools/make_detect_cases.py, gradients against finite differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "task/box_list.h"
#include "task/detect_loss.h"
#include "task/detect_precision.h"
#include "task/scorer.h"

#include "detect_cases.h"

/* ---- tables ---- */

static struct detection thing(float x0, float y0, float x1, float y1, int class_id, float score,
                              bool unsure)
{
    return (struct detection){{x0, y0, x1, y1, class_id, score}, unsure};
}

static void tables(void **state)
{
    (void)state;
    uint8_t table[DETECT_TABLE_BYTES], mapped[DETECT_TABLE_BYTES];
    const struct detection in[] = {thing(0.25f, 0.5f, 0.75f, 1, 2, 1, false),
                                   thing(0.5f, 0.5f, 0.5f, 0.9f, 1, 1, false), /* no area */
                                   thing(-1, -1, 0.1f, 0.2f, 4, 0.4f, true)};
    struct detection out[DETECT_BOXES_MAX];
    detect_write(in, 3, table);
    assert_int_equal(detect_read(table, out), 2);
    assert_float_equal(out[0].box.x0, 0.25, 1e-5);
    assert_float_equal(out[0].box.y1, 1, 0);
    assert_int_equal(out[0].box.class_id, 2);
    assert_false(out[0].unsure);
    assert_float_equal(out[1].box.x0, 0, 0);
    assert_float_equal(out[1].box.score, 0.4, 1.0 / 255);
    assert_true(out[1].unsure);
    assert_int_equal(detect_check(table, 5, NULL), ST_OK);
    assert_int_equal(detect_check(table, 4, NULL), ST_FORMAT); /* class 4 of 4 */
    const uint8_t to_class[CLASSES_MAX] = {[2] = LABEL_IGNORE, [4] = 1};
    memcpy(mapped, table, sizeof table);
    detect_map_classes(to_class, mapped);
    assert_int_equal(detect_read(mapped, out), 1);
    assert_int_equal(out[0].box.class_id, 1);
    memset(table, LABEL_IGNORE, DETECT_ROW_BYTES); /* a hole before a box */
    assert_int_equal(detect_check(table, 5, NULL), ST_FORMAT);
    memset(table, 0, sizeof table);
    assert_int_equal(detect_check(table, 5, NULL), ST_FORMAT);
}

/* Any bytes are either refused or read as boxes that can be written again. */
static void any_bytes(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3, 0);
    for (int i = 0; i < 200; i++) {
        uint8_t table[DETECT_TABLE_BYTES];
        struct detection d[DETECT_BOXES_MAX];
        for (size_t k = 0; k < sizeof table; k++)
            table[k] = (uint8_t)rng_below(&r, 256);
        assert_int_equal(detect_check(table, 5, NULL), ST_FORMAT);
        int n = detect_read(table, d), kept = 0;
        for (int k = 0; k < n; k++)
            if (d[k].box.class_id < DETECT_CLASSES_MAX)
                d[kept++] = d[k];
        detect_write(d, kept, table);
        assert_int_equal(detect_check(table, DETECT_CLASSES_MAX, NULL), ST_OK);
    }
}

static void pixels_become_boxes(void **state)
{
    (void)state;
    const struct box boxes[] = {{10, 20, 30, 60, 3, 1}, {0, 0, 4, 50, 3, 1}, {0, 0, 9, 9, 1, 1}};
    const uint8_t class_of[] = {0, LABEL_IGNORE, 0, 2};
    uint8_t table[DETECT_TABLE_BYTES];
    struct detection d[DETECT_BOXES_MAX];
    detect_from_boxes(boxes, 3, 100, 200, class_of, 7, table);
    assert_int_equal(detect_read(table, d), 2);
    assert_float_equal(d[0].box.x0, 0.1, 1e-5);
    assert_float_equal(d[0].box.y1, 0.3, 1e-5);
    assert_int_equal(d[0].box.class_id, 2);
    assert_false(d[0].unsure);
    assert_true(d[1].unsure); /* 4 pixels wide */
}

/* ---- counting ---- */

static void counts_by_hand(void **state)
{
    (void)state;
    uint8_t truth[DETECT_TABLE_BYTES], answer[DETECT_TABLE_BYTES];
    const struct detection t[] = {
        thing(0, 0, 0.2f, 0.2f, 0, 1, false), thing(0.4f, 0, 0.6f, 0.2f, 1, 1, false),
        thing(0.8f, 0, 1, 0.2f, 1, 1, false), thing(0, 0.5f, 0.3f, 0.9f, 0, 1, true),
        thing(0.5f, 0.5f, 0.6f, 0.6f, 2, 1, false)};
    const struct detection a[] = {
        thing(0, 0, 0.2f, 0.19f, 0, 0.6f, false),      /* the first */
        thing(0, 0, 0.19f, 0.2f, 0, 0.9f, false),      /* and better: takes it */
        thing(0.4f, 0, 0.6f, 0.21f, 0, 0.8f, false),   /* confused with class 0 */
        thing(0.8f, 0, 0.9f, 0.19f, 1, 0.8f, false),   /* less than half */
        thing(0.1f, 0.6f, 0.2f, 0.7f, 1, 0.7f, false), /* inside of what is unsure */
        thing(0.5f, 0.5f, 0.6f, 0.6f, 2, 0.2f, true),  /* not sure itself */
    };
    struct confusion c;
    task_counts_init(TASK_DETECT, 3, &c);
    detect_write(t, 5, truth);
    detect_write(a, 6, answer);
    confusion_add(&c, truth, answer, DETECT_TABLE_BYTES);
    const uint64_t want[4][4] = {{1, 0, 0, 0}, {1, 0, 0, 1}, {0, 0, 0, 1}, {1, 1, 0, 0}};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            assert_int_equal(c.count[i][k], want[i][k]);
    assert_float_equal(task_score(TASK_DETECT, &c), 2.0 * 1 / (4 + 4), 1e-12);
    assert_float_equal(task_class_score(TASK_DETECT, &c, 0), 2.0 * 1 / (1 + 3), 1e-12);
    assert_true(task_class_score(TASK_DETECT, &c, 2) == 0);
    assert_string_equal(task_score_name(TASK_DETECT), "F1");
    task_counts_init(TASK_DETECT, 3, &c);
    assert_true(isnan(task_score(TASK_DETECT, &c)));
}

static struct detection random_thing(struct rng *r)
{
    float x = rng_float(r) * 0.7f, y = rng_float(r) * 0.7f;
    return thing(x, y, x + 0.05f + 0.25f * rng_float(r), y + 0.05f + 0.25f * rng_float(r),
                 (int)rng_below(r, 3), 0.3f + 0.7f * rng_float(r), rng_below(r, 5) == 0);
}

/* Whatever the tables: sure boxes are each counted once, an answer equal to the truth is right. */
static void counts_add_up(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 5, 0);
    for (int round = 0; round < 100; round++) {
        struct detection t[40], a[40];
        uint8_t truth[DETECT_TABLE_BYTES], answer[DETECT_TABLE_BYTES];
        int n = (int)rng_below(&r, 41), m = (int)rng_below(&r, 41), sure_truths = 0,
            sure_answers = 0;
        for (int i = 0; i < n; i++)
            sure_truths += !(t[i] = random_thing(&r)).unsure;
        for (int i = 0; i < m; i++)
            sure_answers += !(a[i] = random_thing(&r)).unsure;
        detect_write(t, n, truth);
        detect_write(a, m, answer);
        struct confusion c;
        confusion_init_boxes(&c, 3);
        detect_count(&c, truth, answer);
        uint64_t in_truth = 0, answered = 0;
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++) {
                in_truth += i < 3 ? c.count[i][k] : 0;
                answered += k < 3 ? c.count[i][k] : 0;
            }
        assert_int_equal(in_truth, sure_truths);
        assert_true(answered <= (uint64_t)sure_answers);
        confusion_init_boxes(&c, 3);
        detect_count(&c, truth, truth);
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++)
                assert_true(i == k || c.count[i][k] == 0);
    }
}

/* Windows of pictures: the counts of boxes add up and are F1. */
static void windows_of_boxes(void **state)
{
    (void)state;
    struct scorer *s;
    struct score got;
    uint8_t truth[DETECT_TABLE_BYTES], none[DETECT_TABLE_BYTES];
    const struct detection d = thing(0, 0, 0.5f, 0.5f, 0, 1, false);
    assert_int_equal(scorer_open(TASK_DETECT, 1, 10, &s, NULL), ST_OK);
    detect_write(&d, 1, truth);
    detect_write(NULL, 0, none);
    for (uint64_t t = 0; t < 4; t++) /* the last two are found */
        scorer_add(s, t * 1000000, truth, t < 2 ? none : truth, none, DETECT_TABLE_BYTES);
    scorer_window(s, 0, &got);
    assert_float_equal(got.adapted, 2.0 * 2 / (4 + 2), 1e-12);
    assert_float_equal(got.unadapted, 0, 0);
    scorer_window(s, 2000000, &got);
    assert_float_equal(got.adapted, 1, 0);
    scorer_total(s, &got);
    assert_int_equal(got.frames, 4);
    scorer_close(&s);
}

static void summed_up(void **state)
{
    (void)state;
    uint8_t table[DETECT_TABLE_BYTES];
    float weight[3];
    const struct detection d[] = {thing(0, 0, 0.5f, 0.5f, 0, 0.5f, false),
                                  thing(0, 0, 0.2f, 0.5f, 2, 0.9f, false),
                                  thing(0, 0, 0.3f, 0.5f, 2, 0.2f, true)};
    detect_write(d, 3, table);
    assert_float_equal(detect_sum_up(table, 3, weight), 0.7, 2.0 / 255);
    assert_true(weight[0] == 1 && weight[1] == 0 && weight[2] == 1);
    detect_write(NULL, 0, table);
    assert_true(isnan(detect_sum_up(table, 3, weight)) && weight[0] == 0);
}

/* ---- moving ---- */

/* Boxes and a grid of points move together: which points are inside does not change. */
static void boxes_move_with_the_picture(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 6, 0);
    for (int round = 0; round < 50; round++) {
        struct detection d = random_thing(&r), out[DETECT_BOXES_MAX];
        struct detect_window w = {.side = 0.5f + 0.5f * rng_float(&r),
                                  .mirrored = rng_below(&r, 2)};
        uint8_t from[DETECT_TABLE_BYTES], to[DETECT_TABLE_BYTES];
        w.x = (1 - w.side) * rng_float(&r);
        w.y = (1 - w.side) * rng_float(&r);
        detect_write(&d, 1, from);
        detect_move(&w, from, to);
        int n = detect_read(to, out), inside = 0, all = 0;
        for (int i = 0; i < 60; i++)
            for (int k = 0; k < 60; k++) {
                float x = ((float)i + 0.5f) / 60, y = ((float)k + 0.5f) / 60; /* as is seen */
                float at_x = w.x + w.side * (w.mirrored ? 1 - x : x), at_y = w.y + w.side * y;
                bool was =
                    at_x >= d.box.x0 && at_x < d.box.x1 && at_y >= d.box.y0 && at_y < d.box.y1;
                bool is = n && x >= out[0].box.x0 && x < out[0].box.x1 && y >= out[0].box.y0 &&
                          y < out[0].box.y1;
                inside += was == is;
                all++;
            }
        assert_true(inside >= all - 2); /* points on an edge, of which tables know 1/65535 */
    }
}

/* ---- decoding ---- */

/* The generator of the tool. */
static float draw(uint32_t *state, float low, float high)
{
    *state = *state * 1664525u + 1013904223u;
    return low + (high - low) * (float)((double)(*state >> 8) / 16777216.0);
}

static struct nn_view list_view(float *data, int cells, int channels)
{
    return (struct nn_view){
        data, 3, {1, cells, channels}, {(int64_t)cells * channels, channels, 1}};
}

/* [N,C,h,w], channels last, as sessions often lay them. */
static struct nn_view grid_view(float *data, int images, int channels, int height, int width)
{
    int64_t row = (int64_t)width * channels;
    return (struct nn_view){
        data, 4, {images, channels, height, width}, {height * row, 1, row, channels}};
}

static void expect(const struct detect_head *h, const struct nn_view *v, const struct expected *e,
                   int count)
{
    uint8_t table[DETECT_TABLE_BYTES];
    struct detection d[DETECT_BOXES_MAX];
    detect_decode(h, v, 0, NULL, table);
    assert_int_equal(detect_check(table, h->class_count, NULL), ST_OK);
    assert_int_equal(detect_read(table, d), count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(d[i].box.class_id, e[i].class_id);
        assert_float_equal(d[i].box.score, e[i].score, 0.6 / 255);
        assert_float_equal(d[i].box.x0, e[i].box[0], 2e-5);
        assert_float_equal(d[i].box.y0, e[i].box[1], 2e-5);
        assert_float_equal(d[i].box.x1, e[i].box[2], 2e-5);
        assert_float_equal(d[i].box.y1, e[i].box[3], 2e-5);
        assert_true(d[i].unsure == (e[i].score < h->threshold));
    }
}

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static struct detect_head yolox_head(void)
{
    return (struct detect_head){.kind = DETECT_YOLOX,
                                .level_count = 3,
                                .cell_count = 84,
                                .levels = {{8, 8, 0}, {4, 4, 64}, {2, 2, 80}},
                                .class_count = 2,
                                .channel = {2, 0},
                                .threshold = 0.4f,
                                .unsure = 0.2f,
                                .nms_iou = 0.45f};
}

static struct detect_head one_grid(enum detect_head_kind kind, int width, int height, int classes)
{
    struct detect_head h = {.kind = kind,
                            .level_count = 1,
                            .cell_count = width * height,
                            .levels = {{width, height, 0}},
                            .class_count = classes,
                            .threshold = 0.4f,
                            .unsure = 0.3f,
                            .nms_iou = 0.45f};
    for (int k = 0; k < classes; k++)
        h.channel[k] = (uint8_t)k;
    return h;
}

static void yolox(void **state)
{
    (void)state;
    static float data[84 * 9];
    struct detect_head h = yolox_head();
    uint32_t s = 7;
    for (int i = 0; i < 84; i++) {
        float *at = data + (size_t)i * 9, there;
        for (int k = 0; k < 4; k++)
            at[k] = draw(&s, k < 2 ? -1 : -0.5f, k < 2 ? 2 : 1.5f);
        there = draw(&s, 0, 1);
        at[4] = there * there * there;
        for (int k = 5; k < 9; k++)
            at[k] = draw(&s, 0, 1);
    }
    struct nn_view v = list_view(data, 84, 9);
    expect(&h, &v, yolox_expected, COUNT(yolox_expected));
    uint8_t table[DETECT_TABLE_BYTES]; /* only the second class is wanted */
    struct detection d[DETECT_BOXES_MAX];
    detect_decode(&h, &v, 0, (const uint8_t[]){0, 1}, table);
    int n = detect_read(table, d);
    assert_true(n > 0);
    for (int i = 0; i < n; i++)
        assert_int_equal(d[i].box.class_id, 1);
}

static void fastestdet(void **state)
{
    (void)state;
    static float data[30 * 8];
    struct detect_head h = one_grid(DETECT_FASTESTDET, 6, 5, 3);
    uint32_t s = 8;
    for (int i = 0; i < 30; i++) {
        float *at = data + (size_t)i * 8, sum = 0;
        at[0] = draw(&s, 0, 1);
        for (int k = 1; k < 5; k++)
            at[k] = draw(&s, -2, 2);
        for (int k = 5; k < 8; k++)
            sum += at[k] = expf(draw(&s, -2, 2));
        for (int k = 5; k < 8; k++)
            at[k] /= sum;
    }
    struct nn_view v = grid_view(data, 1, 8, 5, 6);
    expect(&h, &v, fastestdet_expected, COUNT(fastestdet_expected));
}

static void grid(void **state)
{
    (void)state;
    static float data[60 * 8];
    struct detect_head h = one_grid(DETECT_GRID, 10, 6, 3);
    h.unsure = 0.2f;
    h.nms_iou = 0.3f;
    uint32_t s = 9;
    for (int i = 0; i < 60; i++) {
        float *at = data + (size_t)i * 8;
        for (int k = 0; k < 4; k++)
            at[k] = draw(&s, -1, k < 2 ? 2 : 1);
        at[4] = draw(&s, -4, 3);
        for (int k = 5; k < 8; k++)
            at[k] = draw(&s, -3, 3);
    }
    struct nn_view v = grid_view(data, 1, 8, 6, 10);
    expect(&h, &v, grid_expected, COUNT(grid_expected));
}

/* More cells than candidates and boxes: the best ones are answered, best first. */
static void too_many(void **state)
{
    (void)state;
    enum { SIDE = 40 };
    static float data[SIDE * SIDE * 6];
    struct detect_head h = one_grid(DETECT_FASTESTDET, SIDE, SIDE, 1);
    h.threshold = h.unsure = 0.1f;
    for (int i = 0; i < SIDE * SIDE; i++) {
        float *at = data + (size_t)i * 6;
        at[0] = 0.2f + 0.8f * (float)(i * 7919 % (SIDE * SIDE)) / (SIDE * SIDE);
        at[3] = at[4] = -5; /* small: nothing overlaps */
        at[5] = 1;
    }
    struct nn_view v = grid_view(data, 1, 6, SIDE, SIDE);
    uint8_t table[DETECT_TABLE_BYTES];
    struct detection d[DETECT_BOXES_MAX];
    detect_decode(&h, &v, 0, NULL, table);
    assert_int_equal(detect_read(table, d), DETECT_BOXES_MAX);
    for (int i = 0; i < DETECT_BOXES_MAX; i++) {
        float there = 0.2f + 0.8f * (float)(SIDE * SIDE - 1 - i) / (SIDE * SIDE);
        assert_float_equal(d[i].box.score, powf(there, 0.6f), 0.6 / 255);
    }
}

/* ---- average precision ---- */

static struct detection drawn_box(uint32_t *s)
{
    float x = draw(s, 0, 0.7f), y = draw(s, 0, 0.7f);
    float w = draw(s, 0.05f, 0.3f), h = draw(s, 0.05f, 0.3f);
    return thing(x, y, x + w, y + h, 0, 1, false);
}

static double precision_case(uint32_t seed)
{
    struct detection truth[12][8], answers[12][16];
    int truths[12], n[12] = {0};
    struct detect_precision *p;
    uint32_t s = seed;
    for (int i = 0; i < 12; i++) {
        truths[i] = 1 + (int)draw(&s, 0, 4);
        for (int k = 0; k < truths[i]; k++)
            truth[i][k] = drawn_box(&s);
    }
    assert_int_equal(detect_precision_open(2, &p, NULL), ST_OK);
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < truths[i]; k++) {
            struct detection d = truth[i][k];
            float shift = draw(&s, -0.08f, 0.08f), found = draw(&s, 0, 1);
            d.box.score = draw(&s, 0.2f, 1);
            d.box.x0 += shift;
            d.box.x1 += shift;
            if (found < 0.8f)
                answers[i][n[i]++] = d;
        }
        struct detection d = drawn_box(&s);
        d.box.score = draw(&s, 0.1f, 0.8f);
        answers[i][n[i]++] = d;
        uint8_t t[DETECT_TABLE_BYTES], a[DETECT_TABLE_BYTES];
        detect_write(truth[i], truths[i], t);
        detect_write(answers[i], n[i], a);
        assert_int_equal(detect_precision_add(p, t, a, NULL), ST_OK);
    }
    double ap = detect_precision_class(p, 0);
    assert_true(isnan(detect_precision_class(p, 1)));
    assert_float_equal(detect_precision_mean(p), ap, 0);
    detect_precision_close(&p);
    return ap;
}

static void average_precision(void **state)
{
    (void)state;
    assert_float_equal(precision_case(11), PRECISION_0, 1e-6);
    assert_float_equal(precision_case(12), PRECISION_1, 1e-6);
    assert_float_equal(precision_case(13), PRECISION_2, 1e-6);
}

/* ---- lists of true boxes ---- */

static void box_lists(void **state)
{
    (void)state;
    static const char text[] = "# by hand\nframe,x,y,w,h,area,class\n"
                               "7,10,20,30,40,9,car\n3,-5,0,15,50,1,person\n7,0,0,1.5,2,8,person\n";
    static const struct {
        const char *text, *message;
    } bad[] = {{"frame,x,y,w\n", "h"},
               {"frame,x,y,w,h\n0,1,1,1,1\n", "b.csv:2"},
               {"frame,x,y,w,h\n1,1,1,-1,1\n", "b.csv:2"},
               {"frame,x,y,w,h\n1,1,nan,1,1\n", "b.csv:2"},
               {"frame,x,y,w,h,class\n1,1,1,1,1,cat\n", "'cat' is none of the labels"}};
    const struct class_map labels = {.label_count = 2, .label_name = {"car", "person"}};
    struct box_list l;
    struct detection d[DETECT_BOXES_MAX];
    uint8_t table[DETECT_TABLE_BYTES];
    struct error err = {.message = ""};
    assert_int_equal(box_list_parse(text, sizeof text - 1, "b.csv", &labels, &l, &err), ST_OK);
    assert_int_equal(l.count, 3);
    assert_true(box_list_table(&l, 7, 100, 200, table));
    assert_int_equal(detect_read(table, d), 2);
    assert_float_equal(d[0].box.x1, 0.4, 1e-5);
    assert_float_equal(d[0].box.y0, 0.1, 1e-5);
    assert_int_equal(d[1].box.class_id, 1);
    assert_true(box_list_table(&l, 3, 100, 200, table));
    assert_int_equal(detect_read(table, d), 1);
    assert_float_equal(d[0].box.x0, 0, 0); /* clipped */
    assert_false(box_list_table(&l, 4, 100, 200, table));
    assert_int_equal(detect_read(table, d), 0);
    box_list_clear(&l);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(
            box_list_parse(bad[i].text, strlen(bad[i].text), "b.csv", &labels, &l, &err), ST_OK);
        if (!strstr(err.message, bad[i].message))
            fail_msg("'%s'", err.message);
    }
    const char one[] = "frame,x,y,w,h\n1,1,1,5,5\n"; /* no class: the first label */
    assert_int_equal(box_list_parse(one, strlen(one), "b.csv", &labels, &l, &err), ST_OK);
    assert_int_equal(l.rows[0].box.class_id, 0);
    box_list_clear(&l);
}

/* ---- loss ---- */

static void giou_gradient(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 9, 0);
    for (int round = 0; round < 200; round++) {
        float a[4], b[4], by[4], unused[4];
        for (int i = 0; i < 4; i++) {
            a[i] = 0.2f + 0.5f * rng_float(&r);
            b[i] = 0.2f + 0.5f * rng_float(&r);
        }
        a[2] *= round % 3 ? 1 : 0.2f; /* boxes that do not meet, too */
        detect_giou(a, b, by);
        for (int i = 0; i < 4; i++) {
            float up[4], down[4], step = 1e-3f;
            memcpy(up, a, sizeof a);
            memcpy(down, a, sizeof a);
            up[i] += step;
            down[i] -= step;
            float slope = (detect_giou(up, b, unused) - detect_giou(down, b, unused)) / (2 * step);
            float back = (detect_giou(up, b, unused) + detect_giou(down, b, unused)) / 2 -
                         detect_giou(a, b, unused);
            if (fabsf(back) < 1e-4f) /* no kink within the step */
                assert_float_equal(slope, by[i], 0.02f + 0.03f * fabsf(slope));
        }
    }
}

struct problem {
    struct detect_head head;
    struct nn_view output, grad;
    uint8_t tables[2 * DETECT_TABLE_BYTES];
};

static void fill_problem(struct problem *p, int images, int channels, struct rng *r)
{
    int64_t count = (int64_t)images * p->head.cell_count * channels;
    for (int64_t i = 0; i < count; i++) {
        int k = (int)(i % channels);
        bool box = p->head.kind == DETECT_FASTESTDET ? k >= 1 && k <= 4 : k <= 3;
        bool logit = p->head.kind == DETECT_GRID;
        p->output.data[i] = box     ? rng_float(r) - 0.3f
                            : logit ? 3 * rng_float(r) - 2
                                    : 0.05f + 0.5f * rng_float(r);
    }
    for (int i = 0; i < images; i++) {
        struct detection d[5];
        for (int k = 0; k < 5; k++) {
            d[k] = random_thing(r);
            d[k].unsure = k == 4;
        }
        detect_write(d, 5, p->tables + (size_t)i * DETECT_TABLE_BYTES);
    }
}

/* Every element, but where the step crosses an assignment (the loss then jumps). */
static void check_problem(struct problem *p, int64_t count)
{
    int wrong = 0, moved = 0;
    const float step = 2e-3f;
    detect_loss(&p->head, &p->output, p->tables, NULL, 0.5f, &p->grad);
    for (int64_t i = 0; i < count; i++) {
        float kept = p->output.data[i], got = p->grad.data[i];
        p->output.data[i] = kept + step;
        double up = detect_loss(&p->head, &p->output, p->tables, NULL, 1, NULL);
        p->output.data[i] = kept - step;
        double down = detect_loss(&p->head, &p->output, p->tables, NULL, 1, NULL);
        p->output.data[i] = kept;
        double slope = 0.5 * (up - down) / (2.0 * (double)step);
        moved += got != 0;
        wrong += fabs(slope - (double)got) > 2e-3 + 0.03 * fabs(slope);
    }
    assert_true(moved > 50);
    assert_true(wrong * 200 <= count); /* jumps */
}

static void loss_gradients(void **state)
{
    (void)state;
    static float data[2][2 * 84 * 9];
    struct rng r;
    rng_init(&r, 10, 0);
    for (int round = 0; round < 3; round++) {
        struct problem p = {.head = one_grid(DETECT_GRID, 8, 6, 3)};
        p.output = grid_view(data[0], 2, 8, 6, 8);
        p.grad = grid_view(data[1], 2, 8, 6, 8);
        fill_problem(&p, 2, 8, &r);
        check_problem(&p, 2 * 48 * 8);
        p.head.kind = DETECT_FASTESTDET;
        fill_problem(&p, 2, 8, &r);
        check_problem(&p, 2 * 48 * 8);
        p.head = yolox_head();
        p.output = list_view(data[0], 84, 9);
        p.grad = list_view(data[1], 84, 9);
        fill_problem(&p, 1, 9, &r);
        check_problem(&p, 84 * 9);
    }
}

/* Steps down the gradient lead to an answer that decodes to the truth. */
static void descends_to_the_truth(void **state)
{
    (void)state;
    enum { W = 10, H = 8, C = 8, N = W * H * C };
    static float data[N], grad[N];
    struct detect_head h = one_grid(DETECT_GRID, W, H, 3);
    const struct detection d[] = {thing(0.1f, 0.1f, 0.4f, 0.35f, 0, 1, false),
                                  thing(0.5f, 0.3f, 0.9f, 0.9f, 1, 1, false),
                                  thing(0.15f, 0.6f, 0.25f, 0.85f, 2, 1, false)};
    uint8_t table[DETECT_TABLE_BYTES], got[DETECT_TABLE_BYTES];
    struct nn_view v = grid_view(data, 1, C, H, W), g = grid_view(grad, 1, C, H, W);
    detect_write(d, 3, table);
    memset(data, 0, sizeof data);
    double first = detect_loss(&h, &v, table, NULL, 1, &g), last = first;
    for (int i = 0; i < 2000; i++) {
        last = detect_loss(&h, &v, table, NULL, 1, &g);
        for (int k = 0; k < N; k++)
            data[k] -= 0.05f * grad[k];
    }
    if (last > 0.1 * first)
        fail_msg("from %.3f to %.3f", first, last);
    struct confusion c;
    confusion_init_boxes(&c, 3);
    detect_decode(&h, &v, 0, NULL, got);
    detect_count(&c, table, got);
    assert_float_equal(confusion_f1(&c), 1, 0);
}

/* What is unsure asks for nothing: cells in it have no gradient, those outside do. */
static void unsure_costs_nothing(void **state)
{
    (void)state;
    enum { W = 8, H = 8, C = 6 };
    static float data[W * H * C], grad[W * H * C];
    struct detect_head h = one_grid(DETECT_GRID, W, H, 1);
    const struct detection d[] = {thing(0.25f, 0.25f, 0.75f, 0.75f, 0, 0.4f, true)};
    uint8_t table[DETECT_TABLE_BYTES];
    struct nn_view v = grid_view(data, 1, C, H, W), g = grid_view(grad, 1, C, H, W);
    detect_write(d, 1, table);
    memset(grad, 1, sizeof grad); /* all of it is written */
    detect_loss(&h, &v, table, NULL, 1, &g);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bool inside = x >= 2 && x < 6 && y >= 2 && y < 6;
            const float *at = grad + (size_t)(y * W + x) * C;
            assert_true(inside ? at[4] == 0 : at[4] > 0);
            assert_true(at[0] == 0 && at[3] == 0 && at[5] == 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(pixels_become_boxes),
        cmocka_unit_test(counts_by_hand),
        cmocka_unit_test(counts_add_up),
        cmocka_unit_test(windows_of_boxes),
        cmocka_unit_test(summed_up),
        cmocka_unit_test(boxes_move_with_the_picture),
        cmocka_unit_test(yolox),
        cmocka_unit_test(fastestdet),
        cmocka_unit_test(grid),
        cmocka_unit_test(too_many),
        cmocka_unit_test(average_precision),
        cmocka_unit_test(box_lists),
        cmocka_unit_test(giou_gradient),
        cmocka_unit_test(loss_gradients),
        cmocka_unit_test(descends_to_the_truth),
        cmocka_unit_test(unsure_costs_nothing),
    };
    return cmocka_run_group_tests_name("detect", tests, NULL, NULL);
}
