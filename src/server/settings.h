/* settings.h - the server's settings: one table (settings.def), one YAML file, the same as flags.
 *
 * Owns:    plain values.
 * Errors:  ST_FORMAT with file:line:column (YAML), ST_INVALID (range, unknown name with the
 *          nearest one that exists).
 */
#ifndef ATTUNE_SERVER_SETTINGS_H
#define ATTUNE_SERVER_SETTINGS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

#define SETTING_TEXT_BYTES 1024
#define SETTINGS_FILE_BYTES_MAX ((size_t)1 << 20)

struct settings {
#define TEXT(name, standard, help) char name[SETTING_TEXT_BYTES];
#define INT(name, unit, standard, min, max, help) int name;
#define REAL(name, unit, standard, min, max, help) double name;
#define BOOL(name, standard, help) bool name;
#include "server/settings.def"
#undef TEXT
#undef INT
#undef REAL
#undef BOOL
};

enum setting_kind { SETTING_TEXT = 1, SETTING_INT, SETTING_REAL, SETTING_BOOL };

/* One row of the table, for help, documentation and tests. */
struct setting {
    const char *name, *unit, *standard, *help;
    enum setting_kind kind;
    double min, max; /* INT and REAL */
    size_t offset;   /* within struct settings */
};

/* The rows, in the order of settings.def. */
const struct setting *settings_table(int *ret_count);

/* The defaults. */
void settings_init(struct settings *s);

/* name: as in the file, or the flag's form with dashes. ST_INVALID names the range, or for an
 * unknown name the nearest. */
enum status settings_set(struct settings *s, const char *name, const char *value,
                         struct error *err);

/* A YAML mapping of names to scalars; a name may occur once. `source` is the name for messages.
 * On failure *s is as before. */
enum status settings_read(struct settings *s, const void *text, size_t n, const char *source,
                          struct error *err);
enum status settings_open(struct settings *s, const char *path, struct error *err);

/* Rules between settings (min not over max, student given, ...). */
enum status settings_check(const struct settings *s, struct error *err);

/* docs/configuration.md, and the option lines of --help. */
void settings_write_markdown(struct buf *out);
void settings_write_help(struct buf *out);

#endif
