/* settings.h - what `attune server` is told: its own settings (settings.def) and those of its
 * cameras (camera_settings.def).
 *
 * Who says it, later ones winning: the defaults; a YAML file, then the *.yaml in the folder conf.d
 * beside it, by name; the environment (ATTUNE_PERIOD_S, ATTUNE_CAMERAS_GATE_1_SOURCE for camera
 * gate-1 or gate_1 of the file); flags. In a file, `camera_defaults` has the keys of a camera and
 * counts for all of them; what a camera says itself wins. Values may have ${env:NAME} and
 * ${file:PATH} in them (base/substitute.h). Every value knows its origin.
 *
 * Owns:    plain values; a camera_list its array.
 * Threads: pure functions, but for the files that are read.
 * Errors:  ST_FORMAT with file:line:column (YAML), ST_INVALID (range, unknown name with the
 *          nearest one that exists, rules between settings).
 */
#ifndef ATTUNE_SERVER_SETTINGS_H
#define ATTUNE_SERVER_SETTINGS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/problems.h"
#include "flow/records.h"
#include "server/setting_table.h"
#include "train/configuration.h"

#define SETTINGS_FILE_BYTES_MAX ((size_t)1 << 20)
#define SETTINGS_FILES_MAX 17 /* the file and those of conf.d */
#define SETTINGS_PATH_BYTES 256
#define CAMERA_LIST_MAX 1024

/* Row numbers, as in settings_table() and camera_settings_table(). */
#define SECTION(title)
#define TEXT(name, ...) ROW(name)
#define CHOICE(name, ...) ROW(name)
#define INT(name, ...) ROW(name)
#define REAL(name, ...) ROW(name)
#define BOOL(name, ...) ROW(name)
#define ROW(name) SETTINGS_ROW_##name,
enum settings_row {
#include "server/settings.def"
    SETTINGS_ROWS
};
#undef ROW
#define ROW(name) CAMERA_ROW_##name,
enum camera_row {
#include "server/camera_settings.def"
    CAMERA_ROWS
};
#undef ROW
#undef TEXT
#undef CHOICE
#undef INT
#undef REAL
#undef BOOL

#define TEXT(name, when, standard, help) char name[SETTING_TEXT_BYTES];
#define CHOICE(name, when, standard, words, help) char name[SETTING_TEXT_BYTES];
#define INT(name, when, unit, standard, min, max, help) int name;
#define REAL(name, when, unit, standard, min, max, help) double name;
#define BOOL(name, when, standard, help) bool name;
struct settings {
#include "server/settings.def"
    struct train_configurations configurations; /* what plans choose from */
    struct setting_origin origins[SETTINGS_ROWS];
    char files[SETTINGS_FILES_MAX][SETTINGS_PATH_BYTES]; /* that origins mean */
    int file_count;
};

/* What the file says of one camera. */
struct camera_settings {
    char id[CAMERA_ID_CHARS_MAX + 1];
#include "server/camera_settings.def"
    struct setting_origin origins[CAMERA_ROWS];
    struct setting_origin place; /* of its id in the file */
};

/* The settings that a reload changes, without texts: small enough to be copied at each use. */
#define LIVE(row) row
#define RESTART(row)
#undef TEXT
#undef CHOICE
#undef INT
#undef REAL
#undef BOOL
#define TEXT(name, ...)
#define CHOICE(name, ...)
#define INT(name, when, ...) when(int name;)
#define REAL(name, when, ...) when(double name;)
#define BOOL(name, when, ...) when(bool name;)
struct settings_live {
#include "server/settings.def"
};
#undef LIVE
#undef RESTART
#undef SECTION
#undef TEXT
#undef CHOICE
#undef INT
#undef REAL
#undef BOOL

struct camera_list {
    struct camera_settings *cameras; /* in the order of the file */
    int count;                       /* 0..CAMERA_LIST_MAX */
};

/* Where each struct's values are; offsets are within it. */
const struct setting_table *settings_table(void);
const struct setting_table *camera_settings_table(void);

/* The defaults; the id is empty. */
void settings_init(struct settings *s);
void camera_settings_init(struct camera_settings *c);

void camera_list_init(struct camera_list *l);
void camera_list_clear(struct camera_list *l);
/* NULL when the file does not name the camera. */
const struct camera_settings *camera_list_find(const struct camera_list *l, const char *id);

/* name: as in the file, or the flag's form with dashes. ST_INVALID names the range, or for an
 * unknown name the nearest. */
enum status settings_set(struct settings *s, const char *name, const char *value,
                         struct error *err);

struct setting_flag {
    const char *name, *value;
};

/* Where all that can be said is said. */
struct settings_sources {
    const char *path;                 /* NULL: no file */
    const char *const *environment;   /* "NAME=value", NULL at the end; NULL: none */
    const struct setting_flag *flags; /* later ones win */
    int flag_count;
    bool partial; /* student and teacher may be missing: a warning, no error */
};

/* Defaults, files, environment and flags into *s and *cameras (which is replaced). Everything wrong
 * that can be found, rules between settings among it, goes to *problems; with any error there both
 * stay as they were, and the first is returned. */
enum status settings_load(const struct settings_sources *from, struct settings *s,
                          struct camera_list *cameras, struct problems *problems,
                          struct error *err);

/* One file's text on top of what *s holds; `source` is its name for messages. *cameras is replaced.
 * No environment, no ${file:...}, no rules between settings. On failure both are as before. */
enum status settings_read(struct settings *s, struct camera_list *cameras, const void *text,
                          size_t n, const char *source, struct error *err);

/* Rules between settings (min not over max, student given, ...): the first that is broken. */
enum status settings_check(const struct settings *s, const struct camera_list *cameras,
                           struct error *err);

/* All that are broken, and what is unwise. Each names the place of a value that it is about. A
 * student and a teacher that are not named are errors only where `complete`: flags may name them.
 */
void settings_rules(const struct settings *s, const struct camera_list *cameras, bool complete,
                    struct problems *problems);

#define SETTINGS_ORIGIN_BYTES (SETTINGS_PATH_BYTES + 64)

/* "default", "FILE:LINE", "environment" or "flag". */
void settings_origin(const struct settings *s, const struct setting_origin *origin,
                     char ret[SETTINGS_ORIGIN_BYTES]);

void settings_live(const struct settings *s, struct settings_live *ret);

/* docs/configuration.md; the option lines of --help; deploy/attune.yaml, a file with every setting
 * in a comment. */
void settings_write_markdown(struct buf *out);
void settings_write_help(struct buf *out);
void settings_write_example(struct buf *out);

#endif
