/* settings.c - everything here is a loop over the one table: adding a setting is adding a row to
 * settings.def. Values from the file and from flags go through the same settings_set. */
#include "server/settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/names.h"
#include "base/yaml.h"

#define TEXT_OF(x) #x
static const struct setting table[] = {
#define TEXT(name, standard, help)                                                                 \
    {#name, "", standard, help, SETTING_TEXT, 0, 0, offsetof(struct settings, name)},
#define INT(name, unit, standard, min, max, help)                                                  \
    {#name, unit, TEXT_OF(standard), help, SETTING_INT, min, max, offsetof(struct settings, name)},
#define REAL(name, unit, standard, min, max, help)                                                 \
    {#name, unit, TEXT_OF(standard), help, SETTING_REAL, min, max, offsetof(struct settings, name)},
#define BOOL(name, standard, help)                                                                 \
    {#name, "", #standard, help, SETTING_BOOL, 0, 1, offsetof(struct settings, name)},
#include "server/settings.def"
#undef TEXT
#undef INT
#undef REAL
#undef BOOL
};
enum { COUNT = sizeof table / sizeof table[0] };

const struct setting *settings_table(int *ret_count)
{
    *ret_count = COUNT;
    return table;
}

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof *s);
#define TEXT(name, standard, help) snprintf(s->name, sizeof s->name, "%s", standard);
#define INT(name, unit, standard, min, max, help) s->name = standard;
#define REAL(name, unit, standard, min, max, help) s->name = standard;
#define BOOL(name, standard, help) s->name = standard;
#include "server/settings.def"
#undef TEXT
#undef INT
#undef REAL
#undef BOOL
}

static void names(const char *ret[COUNT])
{
    for (int i = 0; i < COUNT; i++)
        ret[i] = table[i].name;
}

static const struct setting *find(const char *name)
{
    char key[64];
    if (strlen(name) >= sizeof key)
        return NULL;
    snprintf(key, sizeof key, "%s", name);
    for (char *p = key; *p; p++)
        if (*p == '-')
            *p = '_';
    for (int i = 0; i < COUNT; i++)
        if (strcmp(table[i].name, key) == 0)
            return &table[i];
    return NULL;
}

static enum status fail_unknown(const char *name, struct error *err)
{
    const char *known[COUNT];
    names(known);
    const char *near = yaml_nearest(name, known, COUNT);
    return near ? error_set(err, ST_INVALID, "there is no setting '%.60s'; did you mean '%s'?",
                            name, near)
                : error_set(err, ST_INVALID, "there is no setting '%.60s'", name);
}

static enum status set_number(const struct setting *row, const char *value, double *ret,
                              struct error *err)
{
    char *end;
    errno = 0;
    double v = strtod(value, &end);
    bool whole = row->kind == SETTING_INT;
    if (end == value || *end || !isfinite(v) || (whole && v != floor(v)) || strpbrk(value, "xX \t"))
        return error_set(err, ST_INVALID, "%s takes a %s, not '%.60s'", row->name,
                         whole ? "whole number" : "number", value);
    if (v < row->min || v > row->max)
        return error_set(err, ST_INVALID, "%s is %.10g to %.10g%s%s, not %.60s", row->name,
                         row->min, row->max, row->unit[0] ? " " : "", row->unit, value);
    *ret = v;
    return ST_OK;
}

static enum status set_bool(const struct setting *row, const char *value, bool *ret,
                            struct error *err)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    bool is_yes = names_find(yes, NAMES_COUNT(yes), value, -1) >= 0;
    if (is_yes || names_find(no, NAMES_COUNT(no), value, -1) >= 0) {
        *ret = is_yes;
        return ST_OK;
    }
    return error_set(err, ST_INVALID, "%s is true or false, not '%.60s'", row->name, value);
}

enum status settings_set(struct settings *s, const char *name, const char *value, struct error *err)
{
    const struct setting *row = find(name);
    if (!row)
        return fail_unknown(name, err);
    void *at = (char *)s + row->offset;
    if (row->kind == SETTING_BOOL)
        return set_bool(row, value, at, err);
    if (row->kind == SETTING_TEXT) {
        if (strlen(value) >= SETTING_TEXT_BYTES)
            return error_set(err, ST_INVALID, "%s may have %d characters", row->name,
                             SETTING_TEXT_BYTES - 1);
        snprintf(at, SETTING_TEXT_BYTES, "%s", value);
        return ST_OK;
    }
    double v = 0;
    enum status st = set_number(row, value, &v, err);
    if (st != ST_OK)
        return st;
    if (row->kind == SETTING_INT)
        *(int *)at = (int)v;
    else
        *(double *)at = v;
    return ST_OK;
}

static enum status read_map(struct settings *s, const struct yaml_doc *d, struct error *err)
{
    const yaml_node *root = yaml_root(d);
    if (!root)
        return ST_OK;
    const char *known[COUNT];
    names(known);
    enum status st = yaml_check_keys(d, root, known, COUNT, err);
    for (size_t i = 0; i < yaml_count(root) && st == ST_OK; i++) {
        const yaml_node *value = yaml_value(d, root, i);
        const char *key = yaml_text(yaml_key(d, root, i)), *text = yaml_text(value);
        struct error why = {0};
        if (!text)
            st = yaml_fail(d, value, err, "%s takes one value, not a list or map", key);
        else if (settings_set(s, key, text, &why) != ST_OK)
            st = yaml_fail(d, value, err, "%s", why.message);
    }
    return st;
}

enum status settings_read(struct settings *s, const void *text, size_t n, const char *source,
                          struct error *err)
{
    struct yaml_doc *d;
    enum status st = yaml_open(text, n, source, &d, err);
    if (st != ST_OK)
        return st;
    struct settings copy = *s;
    st = read_map(&copy, d, err);
    yaml_close(&d);
    if (st == ST_OK)
        *s = copy;
    return st;
}

enum status settings_open(struct settings *s, const char *path, struct error *err)
{
    struct buf text;
    buf_init(&text);
    enum status st = file_read(path, SETTINGS_FILE_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = settings_read(s, text.data, text.size_bytes, path, err);
    buf_clear(&text);
    return st;
}

enum status settings_check(const struct settings *s, struct error *err)
{
    if (!s->student[0])
        return error_set(err, ST_INVALID, "no student is given; add --student FILE.onnx");
    if (!s->teacher[0])
        return error_set(err, ST_INVALID, "no teacher is given; add --teacher FILE.onnx");
    if (s->sampling_fps_min > s->sampling_fps_max)
        return error_set(err, ST_INVALID, "sampling_fps_min (%g) is above sampling_fps_max (%g)",
                         s->sampling_fps_min, s->sampling_fps_max);
    if (s->horizon_s < s->chunk_s)
        return error_set(err, ST_INVALID, "horizon_s (%g) is shorter than chunk_s (%g)",
                         s->horizon_s, s->chunk_s);
    if (strcmp(s->listen, "off") == 0 && strcmp(s->http, "off") == 0)
        return error_set(err, ST_INVALID, "listen and http are both off; nobody could connect");
    return ST_OK;
}

static void write_range(struct buf *out, const struct setting *row)
{
    if (row->kind == SETTING_INT || row->kind == SETTING_REAL)
        buf_printf(out, "%.10g..%.10g%s%s", row->min, row->max, row->unit[0] ? " " : "", row->unit);
    else
        buf_printf(out, "%s", row->kind == SETTING_BOOL ? "true or false" : "text");
}

void settings_write_markdown(struct buf *out)
{
    buf_printf(out,
               "# Settings of `attune server`\n\n"
               "Made by `attune server --settings-markdown` from the table that the parser "
               "uses; do not edit.\n\nIn a YAML file (`--config FILE`) as `name: value`, on "
               "the command line as `--name VALUE` with dashes for underscores; the command "
               "line wins.\n\n| setting | default | range | what it is |\n|---|---|---|---|\n");
    for (int i = 0; i < COUNT; i++) {
        buf_printf(out, "| `%s` | %s | ", table[i].name,
                   table[i].standard[0] ? table[i].standard : "(none)");
        write_range(out, &table[i]);
        buf_printf(out, " | %s |\n", table[i].help);
    }
}

void settings_write_help(struct buf *out)
{
    for (int i = 0; i < COUNT; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "--%s", table[i].name);
        for (char *p = flag + 2; *p; p++)
            if (*p == '_')
                *p = '-';
        buf_printf(out, "  %-20s %s", flag, table[i].help);
        if (table[i].standard[0])
            buf_printf(out, " [%s%s%s]", table[i].standard, table[i].unit[0] ? " " : "",
                       table[i].unit);
        buf_printf(out, "\n");
    }
}
