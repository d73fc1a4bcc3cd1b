/* settings.h - what `attune server` is told: its own settings (settings.def; YAML file or flags)
 * and those of its cameras (camera_settings.def; YAML file only, below the key `cameras`).
 *
 * Owns:    plain values; a camera_list its array.
 * Errors:  ST_FORMAT with file:line:column (YAML), ST_INVALID (range, unknown name with the
 *          nearest one that exists).
 */
#ifndef ATTUNE_SERVER_SETTINGS_H
#define ATTUNE_SERVER_SETTINGS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "flow/records.h"
#include "server/setting_table.h"
#include "train/configuration.h"

#define SETTINGS_FILE_BYTES_MAX ((size_t)1 << 20)
#define CAMERA_LIST_MAX 1024

#define SECTION(title)
#define TEXT(name, when, standard, help) char name[SETTING_TEXT_BYTES];
#define CHOICE(name, when, standard, words, help) char name[SETTING_TEXT_BYTES];
#define INT(name, when, unit, standard, min, max, help) int name;
#define REAL(name, when, unit, standard, min, max, help) double name;
#define BOOL(name, when, standard, help) bool name;
struct settings {
#include "server/settings.def"
    struct train_configurations configurations; /* what plans choose from */
};

/* What the file says of one camera. */
struct camera_settings {
    char id[CAMERA_ID_CHARS_MAX + 1];
#include "server/camera_settings.def"
};
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

/* A YAML mapping of names to scalars, `cameras`, a mapping of ids to mappings, and `configurations`
 * (train/configuration.h); a name may occur once. `source` is the name for messages. *cameras is
 * replaced. On failure both are as before. */
enum status settings_read(struct settings *s, struct camera_list *cameras, const void *text,
                          size_t n, const char *source, struct error *err);
enum status settings_open(struct settings *s, struct camera_list *cameras, const char *path,
                          struct error *err);

/* Rules between settings (min not over max, student given, ...). */
enum status settings_check(const struct settings *s, const struct camera_list *cameras,
                           struct error *err);

/* docs/configuration.md, and the option lines of --help. */
void settings_write_markdown(struct buf *out);
void settings_write_help(struct buf *out);

#endif
