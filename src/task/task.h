/* task.h - what a network is for: what it takes and gives, and by what number it is judged.
 *
 * A task gives logits on a grid of cells: of segmentation the grid covers the picture, of
 * classification it is one cell, so a class for a picture is a label map of 1 x 1 and goes through
 * the same losses, buffers, label files and counts. A task differs in its score alone: mIoU of a
 * segmentation (AMS's), the fraction correct of a classification (Ekya's). The boxes of a detection
 * are a label map of fixed size as well, a row a box (detect.h): it differs in how a network's
 * output becomes one and in its loss (detect_head.h, detect_loss.h), and scores F1.
 *
 * Which task it is comes from the file's metadata (attune.task), or where that is silent from the
 * output's shape: [N,C] and [N,C,1,1] are a classification. Softmax at the end of a file is read
 * past by sessions that are asked for logits (nn/session.h).
 *
 * Owns:    plain values.
 * Threads: pure functions.
 * Errors:  ST_UNSUPPORTED with a sentence when a model is not a network of a task that we know.
 */
#ifndef ATTUNE_TASK_TASK_H
#define ATTUNE_TASK_TASK_H

#include "flow/records.h"
#include "nn/session.h"
#include "task/class_map.h"
#include "task/confusion.h"
#include "task/detect_head.h"

enum task_kind { TASK_SEGMENT = 1, TASK_CLASSIFY, TASK_DETECT };

/* "segment", "classify", "detect": in metadata and in the HTTP interface. NULL and 0 for none. */
const char *task_name(enum task_kind task);
enum task_kind task_parse(const char *name);

/* Counts of the task's answers, none yet: confusion_init, or confusion_init_boxes. */
void task_counts_init(enum task_kind task, int class_count, struct confusion *c);

/* The task's score, 0..1, NaN where nothing was counted; and its name for people: "mIoU",
 * "accuracy", "F1".
 */
double task_score(enum task_kind task, const struct confusion *c);
const char *task_score_name(enum task_kind task);

/* The same for one class: IoU, the share of its pictures that were recognised, F1. */
double task_class_score(enum task_kind task, const struct confusion *c, int class_id);

/* What a network takes and gives. */
struct task_spec {
    enum task_kind task;
    int width, height;         /* of its input */
    int out_width, out_height; /* of its logits; 1 x 1: a class for the picture; of a detection
                                * DETECT_ROW_BYTES x DETECT_BOXES_MAX */
    int class_count;           /* channels of its logits, 2..CLASSES_MAX; of a detection from 1 */
    float mean[3], std[3];     /* of RGB in 0..1 */
    bool bgr;                  /* the input's channels come in the other order (attune.order) */
    bool letterbox;          /* pictures keep their aspect in the input (attune.fit); a detection */
    struct detect_head head; /* of a detection */
    char class_name[CLASSES_MAX][CLASS_NAME_CHARS_MAX + 1];
    bool from_metadata; /* false: the file says nothing, ImageNet's mean and std are assumed */
};

/* One input [1,3,H,W], one output [1,C,h,w] or [1,C]; metadata where present must agree with the
 * shapes. */
enum status task_spec_read(const struct nn_model *m, struct task_spec *ret, struct error *err);

/* Whether a network of this kind can be adapted: its pictures fill its input, since frames are kept
 * and sent at that size. ST_UNSUPPORTED for one whose file says letterbox, as teachers may. */
enum status task_spec_check_student(const struct task_spec *spec, struct error *err);

/* Student and teacher fit when they have the same task and the same classes in the same order
 * (names compared where both files give them). */
enum status task_specs_match(const struct task_spec *student, const struct task_spec *teacher,
                             struct error *err);

/* Cells of a network's answer: bytes of its label map. */
static inline size_t task_cells(const struct task_spec *spec)
{
    return (size_t)spec->out_width * (size_t)spec->out_height;
}

/* Normalises frame (spec's size exactly) into image `index` of the batch at *input. */
void task_input(const struct task_spec *spec, const struct frame *frame,
                const struct nn_view *input, int index);

/* A network's answer as label maps, one after the other for every image of the batch: the largest
 * logit among the chosen classes (NULL: all), or the boxes. classes[N][task_cells]. */
void task_answer(const struct task_spec *spec, const struct nn_view *output,
                 const uint8_t *class_chosen, uint8_t *classes);

/* A network's classes to label classes, in place; those without one become LABEL_IGNORE, a box
 * without one goes. */
void task_map_classes(enum task_kind task, const struct class_map *map, struct label_map *l);

/* The answer of a camera that has not answered yet: the first class everywhere, no box. */
void task_no_answer(enum task_kind task, struct label_map *l);

/* Labels of classes that are not chosen (NULL: all are) count as none. Equal sizes. */
void task_choose_labels(const struct task_spec *spec, const uint8_t *class_chosen,
                        const struct label_map *from, uint8_t *to);

/* Nearest-neighbour resize of a label map (dst allocated, its size says the target); boxes, which
 * have one size, are copied. */
void task_resize_labels(const struct label_map *src, struct label_map *dst);

/* How much of an answer each class has: cells, or the area of its boxes as a part of the picture.
 * weight[class_count]. Returns the mean score of the boxes, NaN where there is none and for answers
 * that are no boxes. */
float task_class_weights(const struct task_spec *spec, const uint8_t *classes, float *weight);

/* Softmax over the chosen classes (NULL: all) of one cell of image 0, 0 for the others:
 * probability[class_count]. */
void task_probabilities(const struct nn_view *logits, int x, int y, const uint8_t *class_chosen,
                        float *probability);

#endif
