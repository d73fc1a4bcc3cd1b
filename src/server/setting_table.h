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
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/problems.h"
#include "base/substitute.h"
#include "base/yaml.h"

#define SETTING_TEXT_BYTES 1024
#define SETTING_ROWS_MAX 256

/* Who said what a value is; later ones win. */
#define SETTING_FROM_LIST(X)                                                                       \
    X(DEFAULT, "default")                                                                          \
    X(FILE, "file")                                                                                \
    X(ENVIRONMENT, "environment")                                                                  \
    X(FLAG, "flag")

enum setting_from {
#define SETTING_FROM_ENUM(name, text) SETTING_FROM_##name,
    SETTING_FROM_LIST(SETTING_FROM_ENUM)
#undef SETTING_FROM_ENUM
};

/* "default", "file", "environment", "flag". */
const char *setting_from_name(enum setting_from from);

struct setting_origin {
    uint8_t from;          /* enum setting_from */
    uint8_t file;          /* FILE: which of struct settings' files */
    bool secret;           /* the value came out of ${...}: never show it */
    bool shared;           /* of a camera: said by camera_defaults */
    uint32_t line, column; /* FILE: of the value, from 1 on */
};

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
    int count;             /* 1..SETTING_ROWS_MAX */
    size_t origins_offset; /* of struct setting_origin[count], within the struct of values */
};

/* How a text comes to be read. */
struct setting_reading {
    struct substitutes substitutes;
    struct setting_origin origin; /* line and column are filled in while reading a file */
    struct problems *problems;    /* gets all that is wrong */
};

/* Every value becomes its default. */
void setting_table_init(const struct setting_table *t, void *values);

/* The row of this name (as in the file, or the flag's form with dashes), -1 for none. */
int setting_table_find(const struct setting_table *t, const char *name);

/* Where the value of row i comes from. */
struct setting_origin setting_table_origin(const struct setting_table *t, const void *values,
                                           int i);

/* Whether row i has the same value in both. */
bool setting_table_same(const struct setting_table *t, const void *a, const void *b, int i);

/* Row i of `from`, with its origin, into `to`. */
void setting_table_copy(const struct setting_table *t, void *to, const void *from, int i);

/* A value of row i for a person: as it would stand in a file. Secrets (out of ${...}, passwords,
 * users in URLs) are not shown. */
void setting_table_show(const struct setting_table *t, const void *values, int i,
                        char ret[SETTING_TEXT_BYTES]);

/* Sets row i to what text says, with ${...} replaced. On failure *values is as before; the message
 * says what is wrong and what the row takes. */
enum status setting_table_put(const struct setting_table *t, void *values, int i, const char *text,
                              const struct substitutes *from, const struct setting_origin *origin,
                              struct error *err);

/* The same by name, from a flag, without ${...}. An unknown name gets the nearest one. */
enum status setting_table_set(const struct setting_table *t, void *values, const char *name,
                              const char *value, struct error *err);

/* A YAML mapping of names to scalars; a name may occur once. The keys `others` (a NULL at their
 * end; NULL: none) are known, too, and left to the caller. What is wrong goes to how->problems, and
 * what is not wrong is set all the same. */
#define SETTING_OTHERS_MAX 4
void setting_table_read(const struct setting_table *t, void *values, const struct yaml_doc *d,
                        const yaml_node *map, const char *const *others,
                        const struct setting_reading *how);

/* What row i takes, for a person: "0.5..600 s", "true or false", "a, b, c". */
void setting_write_range(const struct setting *row, struct buf *out);

/* A row of Markdown each; a line of --help each. */
void setting_table_write_markdown(const struct setting_table *t, struct buf *out);
void setting_table_write_help(const struct setting_table *t, struct buf *out);

#endif
