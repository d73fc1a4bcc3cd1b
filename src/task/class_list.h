/* class_list.h - pictures with one class each: a folder for every class, or a CSV file.
 *
 * A folder's subfolders are the classes, in natural order of their names; what they hold are their
 * pictures (video/image_list.h). Or DIR holds pictures and a CSV file says what they are: a first
 * line "file,class", then NAME,CLASS, names relative to DIR (docs/formats.md, "class list").
 *
 * Pictures come in natural order of their own names whatever their folder is, which for names that
 * begin with the time is the order in which they were taken; those of a CSV file in its order.
 *
 * Owns:    the paths, until class_list_clear.
 * Errors:  ST_NOT_FOUND (no subfolder, no picture, no such file), ST_FORMAT with file:line,
 *          ST_LIMIT, ST_IO, ST_NOMEM.
 */
#ifndef ATTUNE_TASK_CLASS_LIST_H
#define ATTUNE_TASK_CLASS_LIST_H

#include "task/class_map.h"

struct class_list {
    char **paths;     /* [count] */
    uint8_t *classes; /* [count] index into class_name */
    size_t count;
    int class_count; /* 2..CLASSES_MAX */
    char class_name[CLASSES_MAX][CLASS_NAME_CHARS_MAX + 1];
};

/* csv: NULL for a folder of classes. */
enum status class_list_read(const char *dir, const char *csv, struct class_list *ret,
                            struct error *err);
void class_list_clear(struct class_list *l);

/* The bytes of such a CSV file; name: for messages. */
enum status class_list_parse(const void *text, size_t n, const char *name, const char *dir,
                             struct class_list *ret, struct error *err);

/* Numbers the classes as the map's labels do; ST_UNSUPPORTED names a class that it does not have.
 */
enum status class_list_fit(struct class_list *l, const struct class_map *map, struct error *err);

#endif
