/* setting_table.c - loops over the rows. Values from files and from flags go through the same
 * setting_table_set. */
#include "server/setting_table.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"

static void names(const struct setting_table *t, const char *ret[SETTING_ROWS_MAX + 1])
{
    assert(t->count > 0 && t->count <= SETTING_ROWS_MAX);
    for (int i = 0; i < t->count; i++)
        ret[i] = t->rows[i].name;
}

static const struct setting *find(const struct setting_table *t, const char *name)
{
    char key[64];
    if (strlen(name) >= sizeof key)
        return NULL;
    snprintf(key, sizeof key, "%s", name);
    for (char *p = key; *p; p++)
        if (*p == '-')
            *p = '_';
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].name, key) == 0)
            return &t->rows[i];
    return NULL;
}

static enum status fail_unknown(const struct setting_table *t, const char *name, struct error *err)
{
    const char *known[SETTING_ROWS_MAX + 1];
    names(t, known);
    const char *near = yaml_nearest(name, known, (size_t)t->count);
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

static bool is_choice(const struct setting *row, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = row->choices; *p;) {
        size_t m = strcspn(p, " ");
        if (m == n && memcmp(p, value, n) == 0)
            return true;
        p += m + (p[m] == ' ');
    }
    return false;
}

static enum status set_text(const struct setting *row, const char *value, char *ret,
                            struct error *err)
{
    if (strlen(value) >= SETTING_TEXT_BYTES)
        return error_set(err, ST_INVALID, "%s may have %d characters", row->name,
                         SETTING_TEXT_BYTES - 1);
    if (row->kind == SETTING_CHOICE && !is_choice(row, value))
        return error_set(err, ST_INVALID, "%s is one of %s, not '%.60s'", row->name, row->choices,
                         value);
    snprintf(ret, SETTING_TEXT_BYTES, "%s", value);
    return ST_OK;
}

static enum status set_row(const struct setting *row, void *values, const char *value,
                           struct error *err)
{
    void *at = (char *)values + row->offset;
    if (row->kind == SETTING_BOOL)
        return set_bool(row, value, at, err);
    if (row->kind == SETTING_TEXT || row->kind == SETTING_CHOICE)
        return set_text(row, value, at, err);
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

void setting_table_init(const struct setting_table *t, void *values)
{
    for (int i = 0; i < t->count; i++) {
        enum status st = set_row(&t->rows[i], values, t->rows[i].standard, NULL);
        assert(st == ST_OK); /* a default is within its own range */
        (void)st;
    }
}

enum status setting_table_set(const struct setting_table *t, void *values, const char *name,
                              const char *value, struct error *err)
{
    const struct setting *row = find(t, name);
    return row ? set_row(row, values, value, err) : fail_unknown(t, name, err);
}

enum status setting_table_read(const struct setting_table *t, void *values,
                               const struct yaml_doc *d, const yaml_node *map,
                               const char *const *others, struct error *err)
{
    const char *known[SETTING_ROWS_MAX + SETTING_OTHERS_MAX];
    size_t count = (size_t)t->count, own = count;
    names(t, known);
    while (others && others[count - own]) {
        assert(count - own < SETTING_OTHERS_MAX);
        known[count] = others[count - own];
        count++;
    }
    enum status st = yaml_check_keys(d, map, known, count, err);
    for (size_t i = 0; i < yaml_count(map) && st == ST_OK; i++) {
        const yaml_node *value = yaml_value(d, map, i);
        const char *key = yaml_text(yaml_key(d, map, i)), *text = yaml_text(value);
        struct error why = {0};
        if (names_find(known + own, count - own, key, -1) >= 0)
            continue;
        if (!text)
            st = yaml_fail(d, value, err, "%s takes one value, not a list or map", key);
        else if (setting_table_set(t, values, key, text, &why) != ST_OK)
            st = yaml_fail(d, value, err, "%s", why.message);
    }
    return st;
}

static void write_words(struct buf *out, const char *words, const char *between)
{
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        buf_printf(out, "%s%.*s", p == words ? "" : between, (int)n, p);
        p += n + (p[n] == ' ');
    }
}

static void write_range(struct buf *out, const struct setting *row)
{
    if (row->kind == SETTING_INT || row->kind == SETTING_REAL)
        buf_printf(out, "%.10g..%.10g%s%s", row->min, row->max, row->unit[0] ? " " : "", row->unit);
    else if (row->kind == SETTING_CHOICE)
        write_words(out, row->choices, ", ");
    else
        buf_printf(out, "%s", row->kind == SETTING_BOOL ? "true or false" : "text");
}

static void write_heading(struct buf *out, const char *section)
{
    if (section[0])
        buf_printf(out, "\n## %s\n", section);
    buf_printf(out, "\n| setting | default | range | live | what it is |\n|---|---|---|---|---|\n");
}

void setting_table_write_markdown(const struct setting_table *t, struct buf *out)
{
    const char *section = NULL;
    for (int i = 0; i < t->count; i++) {
        const struct setting *row = &t->rows[i];
        if (!section || strcmp(section, row->section) != 0)
            write_heading(out, row->section);
        section = row->section;
        buf_printf(out, "| `%s` | %s | ", row->name, row->standard[0] ? row->standard : "(none)");
        write_range(out, row);
        buf_printf(out, " | %s | %s |\n", row->live ? "yes" : "", row->help);
    }
}

void setting_table_write_help(const struct setting_table *t, struct buf *out)
{
    for (int i = 0; i < t->count; i++) {
        const struct setting *row = &t->rows[i];
        char flag[64];
        snprintf(flag, sizeof flag, "--%s", row->name);
        for (char *p = flag + 2; *p; p++)
            if (*p == '_')
                *p = '-';
        buf_printf(out, "  %-20s %s", flag, row->help);
        if (row->standard[0])
            buf_printf(out, " [%s%s%s]", row->standard, row->unit[0] ? " " : "", row->unit);
        buf_printf(out, "\n");
    }
}
