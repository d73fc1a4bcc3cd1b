/* setting_table.h - a table of settings and everything that follows from it: setting one by its
 * name, reading a YAML mapping, the options of --help, the rows of docs/configuration.md.
 *
 * The rows come from a .def file (settings.def says which forms there are).
 *
 * Owns:    nothing; values are plain members of the struct that a row's offset is within.
 * Threads: pure functions.
 * Errors:  ST_FORMAT with file:line:column (YAML), ST_INVALID (range, unknown name with the
 *          nearest one that exists).
 */
#ifndef ATTUNE_SERVER_SETTING_TABLE_H
#define ATTUNE_SERVER_SETTING_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/yaml.h"

#define SETTING_TEXT_BYTES 1024
#define SETTING_ROWS_MAX 256

enum setting_kind {
    SETTING_SECTION = 1, /* in the .def files only: a heading; tables have none */
    SETTING_TEXT,
    SETTING_CHOICE,
    SETTING_INT,
    SETTING_REAL,
    SETTING_BOOL
};

/* One row, for help, documentation and tests. */
struct setting {
    enum setting_kind kind;
    bool live; /* a reload changes it at once */
    const char *name, *unit, *standard, *help;
    const char *section; /* the heading that it is under, "" for none */
    const char *choices; /* CHOICE: the words, a space between two; else NULL */
    double min, max;     /* INT and REAL */
    size_t offset; /* within the struct of values: char[SETTING_TEXT_BYTES] (TEXT and CHOICE), int,
                    * double, bool */
};

struct setting_table {
    const struct setting *rows;
    int count; /* 1..SETTING_ROWS_MAX */
};

/* Every value becomes its default. */
void setting_table_init(const struct setting_table *t, void *values);

/* name: as in the file, or the flag's form with dashes. On failure *values is as before. */
enum status setting_table_set(const struct setting_table *t, void *values, const char *name,
                              const char *value, struct error *err);

/* A YAML mapping of names to scalars; a name may occur once. The keys `others` (a NULL at their
 * end; NULL: none) are known, too, and left to the caller. On failure some values may be set. */
#define SETTING_OTHERS_MAX 4
enum status setting_table_read(const struct setting_table *t, void *values,
                               const struct yaml_doc *d, const yaml_node *map,
                               const char *const *others, struct error *err);

/* A row of Markdown each; a line of --help each. */
void setting_table_write_markdown(const struct setting_table *t, struct buf *out);
void setting_table_write_help(const struct setting_table *t, struct buf *out);

#endif
