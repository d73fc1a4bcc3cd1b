/* What eval adds to the stages: scores over time, links, presets' pace, reports. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eval/link.h"
#include "eval/report.h"
#include "eval/score.h"
#include "train/pace.h"

static struct class_map two_classes(void)
{
    struct class_map m = {.label_count = 2, .network_count = 2, .ignore = -1};
    m.to_label[1] = 1;
    return m;
}

/* One frame of four pixels, `right` of them as the teacher says; truth is all class 0. */
static void add_frame(struct score *s, double t_s, int right, bool with_truth)
{
    uint8_t student[4], teacher[4] = {0, 0, 0, 0}, truth[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4; i++)
        student[i] = i < right ? 0 : 1;
    struct label_map a = {2, 2, student}, b = {2, 2, teacher}, c = {2, 2, truth};
    struct error err;
    assert_int_equal(score_add(s, (uint64_t)(t_s * 1e6), &a, &b, with_truth ? &c : NULL, &err),
                     ST_OK);
}

static void scores_slide(void **state)
{
    (void)state;
    struct class_map map = two_classes();
    struct score *s = NULL;
    struct error err;
    assert_int_equal(score_open(TASK_SEGMENT, &map, &s, &err), ST_OK);
    for (int t = 0; t < 30; t++)
        add_frame(s, t, t < 15 ? 4 : 0, true);
    for (int t = 60; t < 70; t++)
        add_frame(s, t, 4, true);
    struct eval_mode_result r = {0};
    score_finish(s, &r);
    score_close(&s);
    assert_int_equal(r.whole.frames, 40);
    assert_int_equal(r.after_warm_up.frames, 10);
    assert_float_equal(r.after_warm_up.accuracy_truth, 1.0, 1e-12);
    /* whole: class 0 has 25 of 40 frames right, class 1 is never true. */
    assert_float_equal(r.whole.accuracy_teacher, 25.0 / 40.0 / 2.0, 1e-12);
    assert_float_equal(r.whole.teacher_truth, 1.0, 1e-12);
    assert_float_equal(r.series[14].accuracy_teacher, 1.0, 1e-12);
    /* At 19 s the last ten frames are 10..19: five right, five wrong. */
    assert_float_equal(r.series[19].accuracy_teacher, 0.25, 1e-12);
    assert_float_equal(r.series[29].accuracy_teacher, 0.0, 1e-12);
    /* At 60 s everything older has left the window. */
    assert_float_equal(r.series[30].accuracy_teacher, 1.0, 1e-12);
    free(r.series);
}

static void scores_without_truth(void **state)
{
    (void)state;
    struct class_map map = two_classes();
    struct score *s = NULL;
    struct error err;
    assert_int_equal(score_open(TASK_SEGMENT, &map, &s, &err), ST_OK);
    add_frame(s, 0, 4, false);
    struct eval_mode_result r = {0};
    score_finish(s, &r);
    score_close(&s);
    assert_true(isnan(r.whole.accuracy_truth));
    assert_true(isnan(r.after_warm_up.accuracy_teacher));
    assert_float_equal(r.whole.accuracy_teacher, 1.0, 1e-12);
    free(r.series);
}

/* More frames within 10 s than the window keeps: the oldest leave, nothing is lost or overrun. */
static void score_window_is_bounded(void **state)
{
    (void)state;
    struct class_map map = two_classes();
    struct score *s = NULL;
    struct error err;
    assert_int_equal(score_open(TASK_SEGMENT, &map, &s, &err), ST_OK);
    for (int i = 0; i < SCORE_WINDOW_FRAMES_MAX + 10; i++)
        add_frame(s, i * 0.001, i < 10 ? 0 : 4, false);
    struct eval_mode_result r = {0};
    score_finish(s, &r);
    score_close(&s);
    assert_float_equal(r.series[r.series_count - 1].accuracy_teacher, 1.0, 1e-12);
    assert_true(r.series[r.series_count - 2].accuracy_teacher < 1.0);
    free(r.series);
}

/* Boxes: F1 of the sure ones, average precision of all. */
static void scores_of_boxes(void **state)
{
    (void)state;
    const struct class_map map = {.label_count = 1, .network_count = 1};
    const struct detection truth[] = {{{0, 0, 0.5f, 0.5f, 0, 1}, false},
                                      {{0.5f, 0.5f, 1, 1, 0, 1}, false}};
    struct detection answer[] = {truth[0], truth[1], {{0, 0.6f, 0.2f, 0.9f, 0, 0.6f}, false}};
    answer[1].box.score = 0.3f; /* found, but not sure */
    answer[1].unsure = true;
    uint8_t t[DETECT_TABLE_BYTES], a[DETECT_TABLE_BYTES];
    struct label_map teacher = {DETECT_ROW_BYTES, DETECT_BOXES_MAX, t};
    struct label_map student = {DETECT_ROW_BYTES, DETECT_BOXES_MAX, a};
    struct score *s = NULL;
    struct eval_mode_result r = {0};
    detect_write(truth, 2, t);
    detect_write(answer, 3, a);
    assert_int_equal(score_open(TASK_DETECT, &map, &s, NULL), ST_OK);
    assert_int_equal(score_add(s, 0, &student, &teacher, NULL, NULL), ST_OK);
    score_finish(s, &r);
    score_close(&s);
    assert_float_equal(r.whole.accuracy_teacher, 2.0 * 1 / (2 + 2), 1e-12);
    /* Ranked right, wrong, right: precision 1 up to half of the truth, then 2/3. */
    assert_float_equal(r.precision.accuracy_teacher, (1 + 2.0 / 3) / 2, 1e-12);
    assert_true(isnan(r.precision.accuracy_truth));
    free(r.series);
}

static void links_queue(void **state)
{
    (void)state;
    struct link l = {.rate_kbps = 100};
    assert_int_equal(link_send(&l, 12500, 1000000), 2000000); /* 100 kbit at 100 kbit/s */
    assert_int_equal(link_send(&l, 12500, 1500000), 3000000); /* waits for the first */
    assert_int_equal(link_send(&l, 0, 5000000), 5000000);
    assert_int_equal(l.bytes, 25000);
}

static void pace_of_presets(void **state)
{
    (void)state;
    struct pace_options p;
    pace_preset(LEARNER_AMS, &p);
    assert_int_equal(p.first_phase_us, 100000000); /* authors' code: ceil(100 / T) * T */
    assert_int_equal(p.period_us, 10000000);
    assert_true(p.adaptive_sampling && p.adaptive_training && !p.once);
    pace_preset(LEARNER_ONE_TIME, &p);
    assert_true(p.once);
    assert_int_equal(p.first_phase_us, 60000000);
}

static void report_has_the_promised_keys(void **state)
{
    (void)state;
    struct eval_result r = {.duration_s = 100, .mode_count = 2};
    r.modes[0] = (struct eval_mode_result){
        .mode = EVAL_NONE, .after_warm_up = {.accuracy_truth = 0.4, .teacher_truth = 0.6}};
    r.modes[1] = (struct eval_mode_result){
        .mode = EVAL_ATTUNE, .after_warm_up = {.accuracy_truth = 0.55, .teacher_truth = 0.6}};
    assert_float_equal(report_gap_closed(&r, &r.modes[1]), 0.75, 1e-9);
    r.task = TASK_SEGMENT;
    r.modes[0].whole.accuracy_truth = NAN;
    json_t *o = report_json(&r);
    assert_non_null(o);
    json_t *mode = json_array_get(json_object_get(o, "modes"), 0);
    static const char *const keys[] = {
        "mode",          "frames", "miou_teacher", "miou_truth", "teacher_truth", "uplink_kbps",
        "downlink_kbps", "phases", "train_steps",  "rejected",   "series",        "after_60s"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_non_null(json_object_get(mode, keys[i]));
    assert_true(json_is_null(json_object_get(mode, "miou_truth")));
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_slide),
        cmocka_unit_test(scores_without_truth),
        cmocka_unit_test(scores_of_boxes),
        cmocka_unit_test(score_window_is_bounded),
        cmocka_unit_test(links_queue),
        cmocka_unit_test(pace_of_presets),
        cmocka_unit_test(report_has_the_promised_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
