/* segment.h - the segmentation task: what a network expects, how its answer is scored.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 * Errors:  ST_UNSUPPORTED with a sentence when a model is not a segmentation network of ours.
 */
#ifndef ATTUNE_TASK_SEGMENT_H
#define ATTUNE_TASK_SEGMENT_H

#include "flow/records.h"
#include "nn/session.h"

#define CLASS_NAME_CHARS_MAX 31

/* What a segmentation network takes and gives. */
struct segment_spec {
    int width, height;         /* of its input */
    int out_width, out_height; /* of its logits */
    int class_count;           /* channels of its logits, 2..CLASSES_MAX */
    float mean[3], std[3];     /* of RGB in 0..1 */
    char class_name[CLASSES_MAX][CLASS_NAME_CHARS_MAX + 1];
    bool from_metadata; /* false: the file says nothing, ImageNet's mean and std are assumed */
};

/* One input [1,3,H,W], one output [1,C,h,w]; metadata where present must agree with the shapes. */
enum status segment_spec_read(const struct nn_model *m, struct segment_spec *ret,
                              struct error *err);

/* Student and teacher fit when they have the same classes in the same order (names compared where
 * both files give them). */
enum status segment_specs_match(const struct segment_spec *student,
                                const struct segment_spec *teacher, struct error *err);

/* Normalises frame (spec's size exactly) into image `index` of the batch at *input. */
void segment_input(const struct segment_spec *spec, const struct frame *frame,
                   const struct nn_view *input, int index);

/* Nearest-neighbour resize of a label map (dst allocated, its size says the target). */
void segment_resize_labels(const struct label_map *src, struct label_map *dst);

/* From a network's classes to the classes of a labelled data set. */
struct class_map {
    int label_count;               /* classes of the labels */
    int network_count;             /* classes of the network the map is for */
    int ignore;                    /* label value that is never scored, -1 for none */
    uint8_t to_label[CLASSES_MAX]; /* [network class]: label class or LABEL_IGNORE */
    char label_name[CLASSES_MAX][CLASS_NAME_CHARS_MAX + 1];
};

/* Every class to itself. */
void class_map_identity(const struct segment_spec *spec, struct class_map *ret);

/* Reads a YAML class map (docs/formats.md, "class map"); messages have file:line:column. */
enum status class_map_open(const char *path, struct class_map *ret, struct error *err);
enum status class_map_read(const void *text, size_t n, const char *name, struct class_map *ret,
                           struct error *err);

/* Pixel counts [truth][predicted]. */
struct confusion {
    int class_count;
    uint64_t count[CLASSES_MAX][CLASSES_MAX];
};

void confusion_init(struct confusion *c, int class_count);

/* Adds n pixels; those where either is >= class_count are skipped. */
void confusion_add(struct confusion *c, const uint8_t *truth, const uint8_t *predicted, size_t n);
void confusion_merge(struct confusion *into, const struct confusion *from);
void confusion_subtract(struct confusion *from, const struct confusion *part);

/* Intersection / union of one class; NaN for a class that did not occur. */
double confusion_iou(const struct confusion *c, int class_id);

/* Mean over the classes that occur (truth or predicted) of intersection / union; NaN for no pixel.
 * AMS's metric: classes with an empty union are left out of the mean. */
double confusion_miou(const struct confusion *c);

/* IoU of each class weighted by its share of the true pixels ("frequency weighted IU", Long et al.
 * 2015, section 5): on a few frames the mean over classes is mostly the noise of classes with a
 * handful of pixels, this is not. NaN without true pixels. */
double confusion_fwiou(const struct confusion *c);

#endif
