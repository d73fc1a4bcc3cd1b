/* folder_samples.h - a folder of pictures with labels as samples.
 *
 * For a classification: a folder a class, or a CSV file (task/class_list.h). For a segmentation:
 * NAME.jpg, .jpeg or .png with NAME_label.png beside it or in labels_dir; a picture without labels
 * is left out and counted. A label's gray value is its class (video/image.h); 255 and the map's
 * ignore value are nobody's. Pictures are scaled to the network's input when they are drawn.
 *
 * A share of the names, chosen by their hash and the seed, is held back for validation, so that a
 * picture stays on its side when others are added. Where frames of one drive are alike, a folder of
 * its own is the better validation set.
 *
 * Memory:  the names, one picture.
 * Errors:  ST_NOT_FOUND (nothing to train on), ST_UNSUPPORTED (a label or a class that the
 *          map does not have, labels of another size than their picture), ST_INVALID.
 */
#ifndef ATTUNE_TRAIN_FOLDER_SAMPLES_H
#define ATTUNE_TRAIN_FOLDER_SAMPLES_H

#include "train/samples.h"

enum folder_part { FOLDER_ALL = 1, FOLDER_TRAINING, FOLDER_VALIDATION };

struct folder_samples_options {
    const char *dir;
    const char *labels;    /* default NULL: beside the pictures, or their folders are the classes;
                            * else the folder of the label pictures, or the CSV file */
    const char *class_map; /* a file, default NULL: the labels are the network's class numbers */
    enum folder_part part; /* default FOLDER_ALL */
    double validation;     /* the share that is held back, 0..0.9 */
    bool shuffle;          /* another order every time through; else sample n is picture n */
    uint64_t seed;
};

enum status folder_samples_open(const struct folder_samples_options *options,
                                const struct task_spec *spec, struct samples **ret,
                                struct error *err);

/* Pictures of the folder that have no labels. */
uint64_t folder_samples_unlabelled(const struct samples *s);

#endif
