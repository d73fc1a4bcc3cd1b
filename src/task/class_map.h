/* class_map.h - from a network's classes to the classes of a labelled data set.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 * Errors:  of a file: ST_FORMAT and ST_INVALID with file:line:column.
 */
#ifndef ATTUNE_TASK_CLASS_MAP_H
#define ATTUNE_TASK_CLASS_MAP_H

#include "base/error.h"
#include "flow/records.h"

struct class_map {
    int label_count;               /* classes of the labels */
    int network_count;             /* classes of the network the map is for */
    int ignore;                    /* label value that is never scored, -1 for none */
    uint8_t to_label[CLASSES_MAX]; /* [network class]: label class or LABEL_IGNORE */
    char label_name[CLASSES_MAX][CLASS_NAME_CHARS_MAX + 1];
};

struct task_spec;

/* Every class to itself. */
void class_map_identity(const struct task_spec *spec, struct class_map *ret);

/* A network's classes of pixels to label classes, in place (task_map_classes: of any task). */
void class_map_apply(const struct class_map *map, struct label_map *l);

/* Reads a YAML class map (docs/formats.md, "class map"); messages have file:line:column. */
enum status class_map_open(const char *path, struct class_map *ret, struct error *err);
enum status class_map_read(const void *text, size_t n, const char *name, struct class_map *ret,
                           struct error *err);

#endif
