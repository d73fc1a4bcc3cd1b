/* score.c - confusion matrices of one mode. The sliding window keeps one matrix a frame and
 * subtracts the oldest, so that a point costs the same whatever the window's length. */
#include "eval/score.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/detect_precision.h"

struct window_frame {
    uint64_t t_us;
    struct confusion pair[2];
};

struct score {
    enum task_kind task;
    int class_count;
    struct detect_precision *precision[SCORE_PAIRS]; /* of a detection */
    struct confusion whole[SCORE_PAIRS], late[SCORE_PAIRS], sliding[2];
    struct window_frame *ring;
    size_t ring_capacity, ring_first, ring_count;
    uint64_t frames, late_frames;
    bool has_truth;
    struct eval_point *points;
    size_t point_count, point_capacity;
};

enum status score_open(enum task_kind task, const struct class_map *map, struct score **ret,
                       struct error *err)
{
    struct score *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for scores");
    s->task = task;
    s->class_count = map->label_count;
    for (int p = 0; p < SCORE_PAIRS; p++) {
        task_counts_init(task, s->class_count, &s->whole[p]);
        task_counts_init(task, s->class_count, &s->late[p]);
    }
    for (int p = 0; p < 2; p++)
        task_counts_init(task, s->class_count, &s->sliding[p]);
    enum status st = ST_OK;
    for (int p = 0; p < SCORE_PAIRS && task == TASK_DETECT && st == ST_OK; p++)
        st = detect_precision_open(s->class_count, &s->precision[p], err);
    if (st != ST_OK)
        score_close(&s);
    *ret = s;
    return st;
}

void score_close(struct score **s)
{
    if (!s || !*s)
        return;
    for (int p = 0; p < SCORE_PAIRS; p++)
        detect_precision_close(&(*s)->precision[p]);
    free((*s)->ring);
    free((*s)->points);
    free(*s);
    *s = NULL;
}

/* Doubles the ring up to its bound; at the bound the oldest frame leaves. */
static bool ring_has_room(struct score *s)
{
    if (s->ring_count < s->ring_capacity)
        return true;
    if (s->ring_capacity >= SCORE_WINDOW_FRAMES_MAX)
        return false;
    size_t capacity = s->ring_capacity ? s->ring_capacity * 2 : 16;
    if (capacity > SCORE_WINDOW_FRAMES_MAX)
        capacity = SCORE_WINDOW_FRAMES_MAX;
    struct window_frame *ring = malloc(capacity * sizeof *ring);
    if (!ring)
        return false;
    for (size_t i = 0; i < s->ring_count; i++)
        ring[i] = s->ring[(s->ring_first + i) % s->ring_capacity];
    free(s->ring);
    s->ring = ring;
    s->ring_capacity = capacity;
    s->ring_first = 0;
    return true;
}

static void ring_drop(struct score *s)
{
    struct window_frame *old = &s->ring[s->ring_first];
    for (int p = 0; p < 2; p++)
        confusion_subtract(&s->sliding[p], &old->pair[p]);
    s->ring_first = (s->ring_first + 1) % s->ring_capacity;
    s->ring_count--;
}

static enum status slide(struct score *s, uint64_t t_us, const struct confusion *now,
                         struct error *err)
{
    while (s->ring_count > 0 && s->ring[s->ring_first].t_us + SCORE_WINDOW_US <= t_us)
        ring_drop(s);
    if (!ring_has_room(s)) {
        if (s->ring_count == 0)
            return error_set(err, ST_NOMEM, "no memory for the sliding window");
        ring_drop(s);
    }
    struct window_frame *f = &s->ring[(s->ring_first + s->ring_count++) % s->ring_capacity];
    f->t_us = t_us;
    for (int p = 0; p < 2; p++) {
        f->pair[p] = now[p];
        confusion_merge(&s->sliding[p], &now[p]);
    }
    return ST_OK;
}

static enum status add_point(struct score *s, uint64_t t_us, struct error *err)
{
    if (s->point_count == s->point_capacity) {
        size_t capacity = s->point_capacity ? s->point_capacity * 2 : 256;
        struct eval_point *points = realloc(s->points, capacity * sizeof *points);
        if (!points)
            return error_set(err, ST_NOMEM, "no memory for the accuracy series");
        s->points = points;
        s->point_capacity = capacity;
    }
    s->points[s->point_count++] = (struct eval_point){
        .t_s = (double)t_us / 1e6,
        .accuracy_teacher = task_score(s->task, &s->sliding[SCORE_TEACHER]),
        .accuracy_truth = task_score(s->task, &s->sliding[SCORE_TRUTH]),
    };
    return ST_OK;
}

static enum status add_precision(struct score *s, const struct label_map *student,
                                 const struct label_map *teacher, const struct label_map *truth,
                                 struct error *err)
{
    struct detect_precision *const *p = s->precision;
    enum status st =
        detect_precision_add(p[SCORE_TEACHER], teacher->classes, student->classes, err);
    if (st == ST_OK && truth)
        st = detect_precision_add(p[SCORE_TRUTH], truth->classes, student->classes, err);
    if (st == ST_OK && truth)
        st = detect_precision_add(p[SCORE_TEACHER_TRUTH], truth->classes, teacher->classes, err);
    return st;
}

enum status score_add(struct score *s, uint64_t t_us, const struct label_map *student,
                      const struct label_map *teacher, const struct label_map *truth,
                      struct error *err)
{
    size_t n = (size_t)student->width * (size_t)student->height;
    struct confusion now[SCORE_PAIRS];
    for (int p = 0; p < SCORE_PAIRS; p++)
        task_counts_init(s->task, s->class_count, &now[p]);
    confusion_add(&now[SCORE_TEACHER], teacher->classes, student->classes, n);
    if (truth) {
        s->has_truth = true;
        confusion_add(&now[SCORE_TRUTH], truth->classes, student->classes, n);
        confusion_add(&now[SCORE_TEACHER_TRUTH], truth->classes, teacher->classes, n);
    }
    bool late = t_us >= EVAL_WARM_UP_S * UINT64_C(1000000);
    s->frames++;
    s->late_frames += late;
    for (int p = 0; p < SCORE_PAIRS; p++) {
        confusion_merge(&s->whole[p], &now[p]);
        if (late)
            confusion_merge(&s->late[p], &now[p]);
    }
    enum status st =
        s->task == TASK_DETECT ? add_precision(s, student, teacher, truth, err) : ST_OK;
    if (st == ST_OK)
        st = slide(s, t_us, now, err);
    return st == ST_OK ? add_point(s, t_us, err) : st;
}

static struct eval_score score_of(const struct score *s, const struct confusion *pair,
                                  uint64_t frames)
{
    return (struct eval_score){.frames = frames,
                               .accuracy_teacher = task_score(s->task, &pair[SCORE_TEACHER]),
                               .accuracy_truth = task_score(s->task, &pair[SCORE_TRUTH]),
                               .teacher_truth = task_score(s->task, &pair[SCORE_TEACHER_TRUTH])};
}

static double mean_precision(const struct score *s, enum score_pair pair)
{
    return s->precision[pair] ? detect_precision_mean(s->precision[pair]) : (double)NAN;
}

void score_finish(struct score *s, struct eval_mode_result *ret)
{
    ret->whole = score_of(s, s->whole, s->frames);
    ret->precision = (struct eval_score){.frames = s->frames,
                                         .accuracy_teacher = mean_precision(s, SCORE_TEACHER),
                                         .accuracy_truth = mean_precision(s, SCORE_TRUTH),
                                         .teacher_truth = mean_precision(s, SCORE_TEACHER_TRUTH)};
    ret->after_warm_up = score_of(s, s->late, s->late_frames);
    ret->series = s->points;
    ret->series_count = s->point_count;
    s->points = NULL;
    s->point_count = s->point_capacity = 0;
}
