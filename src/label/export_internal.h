/* export_internal.h - between reading samples (export.c) and writing them (export_write.c). */
#ifndef ATTUNE_LABEL_EXPORT_INTERNAL_H
#define ATTUNE_LABEL_EXPORT_INTERNAL_H

#include <stdio.h>

#include "base/buf.h"
#include "label/export.h"

#define EXPORT_NAME_BYTES 128

struct export_sample {
    char name[EXPORT_NAME_BYTES]; /* without extension */
    const char *camera;
    uint64_t t_us, version;
    const struct frame *frame;
    const struct label_map *labels; /* as the teacher gave them; boxes of a detection */
};

struct exporter {
    const struct export_options *options;
    struct export_summary *summary;
    FILE *images, *annotations; /* COCO: the file, and what comes after the pictures */
    struct label_map resized;   /* labels at the picture's size */
    struct buf bytes;
};

enum status exporter_open(struct exporter *e, const struct export_options *options,
                          struct export_summary *summary, struct error *err);
enum status exporter_add(struct exporter *e, const struct export_sample *s, struct error *err);
/* Completes the data set; also after an error, when what there is is left as it is. */
enum status exporter_close(struct exporter *e, bool complete, struct error *err);

#endif
