/* export.h - labelled samples of a server's state folder as a data set that annotation and training
 * tools read.
 *
 *   coco     of a detection or a segmentation: images/NAME.jpg and annotations.json. A box that the
 *            teacher is not sure of has iscrowd 1, which COCO's evaluation ignores. Of a
 *            segmentation a mask for each class as run lengths (iscrowd 1), and beside each picture
 *            NAME_label.png, so that attune model train --data OUT/images takes it; or a polygon
 *            for each area (label/outline.h) of EXPORT_AREA_MIN pixels
 *   yolo     of a detection: images/train, labels/train/NAME.txt and data.yaml; unsure boxes are
 *            left out
 *   folders  of a classification: CLASS/NAME.jpg
 *
 * NAME is CAMERA-SEQUENCE-INDEX. The folder may be one of a running server: it is read only, and
 * what is deleted meanwhile is left out.
 *
 * Owns:    nothing between calls.
 * Threads: one a call.
 * Memory:  one chunk with its labels, one picture; annotations go to files as they come.
 * Errors:  ST_NOT_FOUND (no folder, nothing labelled), ST_CONFLICT (the output is there already),
 *          ST_INVALID (a format that is not for this task), ST_IO.
 */
#ifndef ATTUNE_LABEL_EXPORT_H
#define ATTUNE_LABEL_EXPORT_H

#include "task/task.h"

#define EXPORT_AREA_MIN 10

enum export_format { EXPORT_COCO = 1, EXPORT_YOLO, EXPORT_FOLDERS };

/* 0: there is no such name. */
enum export_format export_format_parse(const char *name);
const char *export_format_name(enum export_format f);
/* What is usual for the task. */
enum export_format export_format_for(enum task_kind task);

struct export_options {
    const char *state;  /* of the server */
    const char *out;    /* a folder that is made; it must not exist or be empty */
    const char *camera; /* NULL: all */
    enum export_format format;
    enum task_kind task;
    int class_count;
    const char (*class_name)[CLASS_NAME_CHARS_MAX + 1];
    const char *teacher; /* its identity, "" where it is not known */
    uint64_t since_us;   /* pictures taken later than that */
    uint64_t limit;      /* the newest of each camera; 0: all */
    double min_score;    /* of boxes */
    bool polygons;       /* of a segmentation as COCO, instead of run lengths */
    bool png;            /* pictures without loss */
    int quality;         /* of JPEG, 1..100 */
    uint64_t now_us;     /* for the data set's date */
    /* After each picture; NULL allowed. */
    void (*on_picture)(void *context, uint64_t pictures);
    void *context;
};

struct export_summary {
    uint64_t cameras, pictures, annotations, damaged; /* damaged: chunks that could not be read */
};

enum status export_labels(const struct export_options *options, struct export_summary *ret,
                          struct error *err);

#endif
