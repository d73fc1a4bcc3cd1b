/* setting_table.c - loops over the rows. Values from files and from flags go through the same
 * setting_table_set. */
#include "server/setting_table.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "base/url.h"
#include "notify/webhook.h"
#include "server/setting_units.h"

static const char *const from_names[] = {
#define FROM_TEXT(name, text) text,
    SETTING_FROM_LIST(FROM_TEXT)
#undef FROM_TEXT
};

const char *setting_from_name(enum setting_from from)
{
    return names_text(from_names, NAMES_COUNT(from_names), from, "");
}

static void names(const struct setting_table *t, const char *ret[SETTING_ROWS_MAX])
{
    assert(t->count > 0 && t->count <= SETTING_ROWS_MAX);
    for (int i = 0; i < t->count; i++)
        ret[i] = t->rows[i].name;
}

int setting_table_find(const struct setting_table *t, const char *name)
{
    char key[64];
    if (strlen(name) >= sizeof key)
        return -1;
    snprintf(key, sizeof key, "%s", name);
    for (char *p = key; *p; p++)
        if (*p == '-')
            *p = '_';
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].name, key) == 0)
            return i;
    return -1;
}

static enum status fail_unknown(const struct setting_table *t, const char *name, struct error *err)
{
    const char *known[SETTING_ROWS_MAX];
    names(t, known);
    const char *near = yaml_nearest(name, known, (size_t)t->count);
    return near ? error_set(err, ST_INVALID, "there is no setting '%.60s'; did you mean '%s'?",
                            name, near)
                : error_set(err, ST_INVALID,
                            "there is no setting '%.60s'; 'attune config example' lists them all",
                            name);
}

static struct setting_origin *origin_at(const struct setting_table *t, void *values, int i)
{
    return (struct setting_origin *)(void *)((char *)values + t->origins_offset) + i;
}

struct setting_origin setting_table_origin(const struct setting_table *t, const void *values, int i)
{
    struct setting_origin o;
    memcpy(&o, (const char *)values + t->origins_offset + (size_t)i * sizeof o, sizeof o);
    return o;
}

/* ---- one value ---- */

static enum status set_bool(const struct setting *row, const char *value, const char *shown,
                            bool *ret, struct error *err)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    bool is_yes = names_find(yes, NAMES_COUNT(yes), value, -1) >= 0;
    if (is_yes || names_find(no, NAMES_COUNT(no), value, -1) >= 0) {
        *ret = is_yes;
        return ST_OK;
    }
    return error_set(err, ST_INVALID, "'%.60s' is neither; %s takes true or false", shown,
                     row->name);
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

#define WORDS_MAX 32

/* The word that was meant, NULL when none is near. */
static const char *nearest_word(const char *words, const char *value, char room[512])
{
    const char *list[WORDS_MAX];
    size_t count = 0;
    char *save = NULL;
    snprintf(room, 512, "%s", words);
    for (char *p = strtok_r(room, " ", &save); p && count < WORDS_MAX;
         p = strtok_r(NULL, " ", &save))
        list[count++] = p;
    return yaml_nearest(value, list, count);
}

static enum status fail_choice(const struct setting *row, const char *value, const char *shown,
                               struct error *err)
{
    char room[512];
    const char *near = nearest_word(row->choices, value, room);
    struct buf b;
    buf_init(&b);
    setting_write_range(row, &b);
    buf_put_u8(&b, 0);
    enum status st = error_set(err, ST_INVALID, "'%.60s' is none of them; %s takes one of %s%s%s%s",
                               shown, row->name, b.data ? (const char *)b.data : row->choices,
                               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    buf_clear(&b);
    return st;
}

static enum status set_text(const struct setting *row, const char *value, const char *shown,
                            char *ret, struct error *err)
{
    if (strlen(value) >= SETTING_TEXT_BYTES)
        return error_set(err, ST_INVALID, "the text is too long; %s may have %d characters",
                         row->name, SETTING_TEXT_BYTES - 1);
    if (row->kind == SETTING_CHOICE && !is_choice(row, value))
        return fail_choice(row, value, shown, err);
    snprintf(ret, SETTING_TEXT_BYTES, "%s", value);
    return ST_OK;
}

/* shown: what messages may quote in place of the value. */
static enum status set_row(const struct setting *row, void *values, const char *value,
                           const char *shown, struct error *err)
{
    void *at = (char *)values + row->offset;
    if (row->kind == SETTING_BOOL)
        return set_bool(row, value, shown, at, err);
    if (row->kind == SETTING_TEXT || row->kind == SETTING_CHOICE)
        return set_text(row, value, shown, at, err);
    double v = 0;
    enum status st = setting_number(row, value, shown, &v, err);
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
        enum status st = set_row(&t->rows[i], values, t->rows[i].standard, "", NULL);
        assert(st == ST_OK); /* a default is within its own range */
        (void)st;
    }
}

enum status setting_table_put(const struct setting_table *t, void *values, int i, const char *text,
                              const struct substitutes *from, const struct setting_origin *origin,
                              struct error *err)
{
    char value[2 * SETTING_TEXT_BYTES];
    bool secret;
    enum status st = substitute(text, from, value, sizeof value, &secret, err);
    if (st == ST_OK)
        st = set_row(&t->rows[i], values, value, text, err);
    if (st != ST_OK)
        return st;
    *origin_at(t, values, i) = *origin;
    origin_at(t, values, i)->secret = secret;
    return ST_OK;
}

enum status setting_table_set(const struct setting_table *t, void *values, const char *name,
                              const char *value, struct error *err)
{
    int i = setting_table_find(t, name);
    if (i < 0)
        return fail_unknown(t, name, err);
    enum status st = set_row(&t->rows[i], values, value, value, err);
    if (st == ST_OK)
        *origin_at(t, values, i) = (struct setting_origin){.from = SETTING_FROM_FLAG};
    return st;
}

/* ---- a mapping of a file ---- */

static bool is_other(const char *const *others, const char *key)
{
    for (int i = 0; others && others[i]; i++)
        if (strcmp(others[i], key) == 0)
            return true;
    return false;
}

static void refuse_unknown(const struct setting_table *t, const struct yaml_doc *d,
                           const yaml_node *key, const char *const *others, struct problems *p)
{
    const char *known[SETTING_ROWS_MAX + SETTING_OTHERS_MAX], *name = yaml_text(key);
    size_t count = (size_t)t->count;
    struct error err;
    names(t, known);
    for (int i = 0; others && others[i]; i++) {
        assert(i < SETTING_OTHERS_MAX);
        known[count++] = others[i];
    }
    const char *near = yaml_nearest(name, known, count);
    if (strcmp(name, "<<") == 0)
        yaml_fail(d, key, &err,
                  "merge keys are not read; use camera_defaults for what cameras "
                  "have in common");
    else if (near)
        yaml_fail(d, key, &err, "there is no setting '%.60s'; did you mean '%s'?", name, near);
    else
        yaml_fail(d, key, &err,
                  "there is no setting '%.60s' here; 'attune config example' lists them all", name);
    problems_error(p, "%s", err.message);
}

/* The same key before entry `index`: says so. */
static bool is_repeated(const struct yaml_doc *d, const yaml_node *map, size_t index,
                        struct problems *p)
{
    const yaml_node *key = yaml_key(d, map, index);
    size_t line, column;
    struct error err;
    for (size_t i = 0; i < index; i++) {
        const char *other = yaml_text(yaml_key(d, map, i));
        if (!other || strcmp(other, yaml_text(key)) != 0)
            continue;
        yaml_place(yaml_key(d, map, i), &line, &column);
        yaml_fail(d, key, &err, "'%.60s' is given twice, on line %zu and here; keep one",
                  yaml_text(key), line);
        problems_error(p, "%s", err.message);
        return true;
    }
    return false;
}

static void read_value(const struct setting_table *t, void *values, int i, const struct yaml_doc *d,
                       const yaml_node *value, const struct setting_reading *how)
{
    const char *text = yaml_text(value);
    struct setting_origin origin = how->origin;
    size_t line, column;
    struct error why = {0}, err;
    yaml_place(value, &line, &column);
    origin.line = (uint32_t)line;
    origin.column = (uint32_t)column;
    if (!text)
        yaml_fail(d, value, &err, "this is a %s; %s takes one value",
                  yaml_is_map(value) ? "map" : "list", t->rows[i].name);
    else if (setting_table_put(t, values, i, text, &how->substitutes, &origin, &why) != ST_OK)
        yaml_fail(d, value, &err, "%s", why.message);
    else
        return;
    problems_error(how->problems, "%s", err.message);
}

void setting_table_read(const struct setting_table *t, void *values, const struct yaml_doc *d,
                        const yaml_node *map, const char *const *others,
                        const struct setting_reading *how)
{
    struct error err;
    if (!yaml_is_map(map)) {
        yaml_fail(d, map, &err, "this is no map of settings; write one 'name: value' a line");
        problems_error(how->problems, "%s", err.message);
        return;
    }
    for (size_t i = 0; i < yaml_count(map) && how->problems->errors < PROBLEMS_MAX; i++) {
        const yaml_node *key = yaml_key(d, map, i);
        const char *name = yaml_text(key);
        if (!name) {
            yaml_fail(d, key, &err, "a key must be a plain word; write 'name: value'");
            problems_error(how->problems, "%s", err.message);
            continue;
        }
        int row = -1;
        for (int k = 0; k < t->count && row < 0; k++)
            row = strcmp(t->rows[k].name, name) == 0 ? k : -1;
        if (is_repeated(d, map, i, how->problems) || (row < 0 && is_other(others, name)))
            continue;
        if (row < 0)
            refuse_unknown(t, d, key, others, how->problems);
        else
            read_value(t, values, row, d, yaml_value(d, map, i), how);
    }
}

/* ---- for people ---- */

bool setting_table_same(const struct setting_table *t, const void *a, const void *b, int i)
{
    const struct setting *row = &t->rows[i];
    const void *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
    switch (row->kind) {
    case SETTING_INT:
        return *(const int *)x == *(const int *)y;
    case SETTING_REAL:
        return *(const double *)x == *(const double *)y;
    case SETTING_BOOL:
        return *(const bool *)x == *(const bool *)y;
    default:
        return strcmp(x, y) == 0;
    }
}

void setting_table_copy(const struct setting_table *t, void *to, const void *from, int i)
{
    const struct setting *row = &t->rows[i];
    size_t n = row->kind == SETTING_INT    ? sizeof(int)
               : row->kind == SETTING_REAL ? sizeof(double)
               : row->kind == SETTING_BOOL ? sizeof(bool)
                                           : SETTING_TEXT_BYTES;
    memcpy((char *)to + row->offset, (const char *)from + row->offset, n);
    *origin_at(t, to, i) = setting_table_origin(t, from, i);
}

/* A name that says so: its value is shown to nobody. */
static bool is_secret(const char *name)
{
    size_t n = strlen(name);
    bool file = n > 5 && strcmp(name + n - 5, "_file") == 0;
    return !file && (strstr(name, "password") || strstr(name, "token") || strstr(name, "secret"));
}

void setting_table_show(const struct setting_table *t, const void *values, int i,
                        char ret[SETTING_TEXT_BYTES])
{
    const struct setting *row = &t->rows[i];
    const void *at = (const char *)values + row->offset;
    bool text = row->kind == SETTING_TEXT;
    if (text && ((const char *)at)[0] &&
        (setting_table_origin(t, values, i).secret || is_secret(row->name)))
        snprintf(ret, SETTING_TEXT_BYTES, "***");
    else if (text && strcmp(row->name, "webhooks") == 0)
        webhook_list_show(at, ret, SETTING_TEXT_BYTES);
    else if (text)
        url_redact(at, ret, SETTING_TEXT_BYTES);
    else if (row->kind == SETTING_CHOICE)
        snprintf(ret, SETTING_TEXT_BYTES, "%s", (const char *)at);
    else if (row->kind == SETTING_BOOL)
        snprintf(ret, SETTING_TEXT_BYTES, "%s", *(const bool *)at ? "true" : "false");
    else if (row->kind == SETTING_INT)
        snprintf(ret, SETTING_TEXT_BYTES, "%d", *(const int *)at);
    else
        snprintf(ret, SETTING_TEXT_BYTES, "%.10g", *(const double *)at);
}

static void write_words(struct buf *out, const char *words, const char *between)
{
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        buf_printf(out, "%s%.*s", p == words ? "" : between, (int)n, p);
        p += n + (p[n] == ' ');
    }
}

void setting_write_range(const struct setting *row, struct buf *out)
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
        setting_write_range(row, out);
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
