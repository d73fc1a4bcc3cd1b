/* yaml.c - libyaml's document loader with places in every message. Aliases stay references, so a
 * file cannot grow in memory beyond its own size. */
#include "base/yaml.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/names.h"

struct yaml_doc {
    char name[256];
    yaml_document_t tree;
    bool loaded;
};

/* Line and column of a byte. */
static void place_of(const char *text, size_t offset, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < offset; i++) {
        *column = text[i] == '\n' ? 1 : *column + 1;
        *line += text[i] == '\n';
    }
}

/* Of a file that is no YAML: libyaml's word, and what usually helps. */
static enum status fail_syntax(const struct yaml_doc *d, const yaml_parser_t *parser,
                               const char *text, size_t n, struct error *err)
{
    size_t line = parser->problem_mark.line + 1, column = parser->problem_mark.column + 1;
    const char *problem = parser->problem ? parser->problem : "not valid YAML";
    if (parser->error == YAML_MEMORY_ERROR)
        return error_set(err, ST_NOMEM, "no memory to read %s", d->name);
    if (parser->error == YAML_READER_ERROR) {
        place_of(text, parser->problem_offset < n ? parser->problem_offset : n, &line, &column);
        return error_set(err, ST_FORMAT,
                         "%s:%zu:%zu: %s; write plain text in UTF-8, with \\x escapes in quotes "
                         "for anything else",
                         d->name, line, column, problem);
    }
    size_t at = parser->problem_mark.index;
    if (at < n && text[at] == '\t')
        return error_set(err, ST_FORMAT, "%s:%zu:%zu: a tab cannot stand here; indent with spaces",
                         d->name, line, column);
    const char *context = parser->context ? parser->context : "";
    return error_set(err, ST_FORMAT,
                     "%s:%zu:%zu: %s%s%s; check the indentation, colons, quotes and brackets here "
                     "and on the line before",
                     d->name, line, column, context, *context ? ", " : "", problem);
}

/* What comes after the document that was read must be nothing. */
static enum status refuse_second(const struct yaml_doc *d, yaml_parser_t *parser, const char *text,
                                 size_t n, struct error *err)
{
    yaml_document_t more;
    if (!yaml_parser_load(parser, &more))
        return fail_syntax(d, parser, text, n, err);
    bool there = yaml_document_get_root_node(&more) != NULL;
    size_t line = more.start_mark.line + 1, column = more.start_mark.column + 1;
    yaml_document_delete(&more);
    return there ? error_set(err, ST_FORMAT,
                             "%s:%zu:%zu: a second document begins here; put all into one, without "
                             "'---' between",
                             d->name, line, column)
                 : ST_OK;
}

static enum status load(struct yaml_doc *d, const void *text, size_t n, struct error *err)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return error_set(err, ST_NOMEM, "no memory for the YAML parser");
    yaml_parser_set_input_string(&parser, text, n);
    d->loaded = yaml_parser_load(&parser, &d->tree);
    enum status st = d->loaded ? ST_OK : fail_syntax(d, &parser, text, n, err);
    if (st == ST_OK && yaml_document_get_root_node(&d->tree))
        st = refuse_second(d, &parser, text, n, err);
    yaml_parser_delete(&parser);
    return st;
}

enum status yaml_open(const void *text, size_t n, const char *name, struct yaml_doc **ret,
                      struct error *err)
{
    if (n > YAML_BYTES_MAX)
        return error_set(err, ST_LIMIT, "%s:1:1: the file is larger than %zu bytes; shorten it",
                         name, YAML_BYTES_MAX);
    struct yaml_doc *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(err, ST_NOMEM, "no memory to read %s", name);
    snprintf(d->name, sizeof d->name, "%s", name);
    enum status st = load(d, n ? text : "", n, err);
    if (st != ST_OK) {
        yaml_close(&d);
        return st;
    }
    *ret = d;
    return ST_OK;
}

void yaml_close(struct yaml_doc **d)
{
    if (!d || !*d)
        return;
    if ((*d)->loaded)
        yaml_document_delete(&(*d)->tree);
    free(*d);
    *d = NULL;
}

/* libyaml's accessors take a non-const document but do not change it. */
static yaml_document_t *tree(const struct yaml_doc *d)
{
    return (yaml_document_t *)(uintptr_t)&d->tree;
}

const yaml_node *yaml_root(const struct yaml_doc *d)
{
    return yaml_document_get_root_node(tree(d));
}

bool yaml_is_map(const yaml_node *n)
{
    return n && n->type == YAML_MAPPING_NODE;
}

bool yaml_is_list(const yaml_node *n)
{
    return n && n->type == YAML_SEQUENCE_NODE;
}

const char *yaml_text(const yaml_node *n)
{
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

size_t yaml_count(const yaml_node *n)
{
    if (yaml_is_map(n))
        return (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    if (yaml_is_list(n))
        return (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
    return 0;
}

const yaml_node *yaml_key(const struct yaml_doc *d, const yaml_node *n, size_t index)
{
    if (!yaml_is_map(n) || index >= yaml_count(n))
        return NULL;
    return yaml_document_get_node(tree(d), n->data.mapping.pairs.start[index].key);
}

const yaml_node *yaml_value(const struct yaml_doc *d, const yaml_node *n, size_t index)
{
    if (index >= yaml_count(n))
        return NULL;
    int id = yaml_is_map(n) ? n->data.mapping.pairs.start[index].value
                            : n->data.sequence.items.start[index];
    return yaml_document_get_node(tree(d), id);
}

const yaml_node *yaml_get(const struct yaml_doc *d, const yaml_node *map, const char *key)
{
    for (size_t i = 0; i < yaml_count(map); i++) {
        const char *text = yaml_text(yaml_key(d, map, i));
        if (text && strcmp(text, key) == 0)
            return yaml_value(d, map, i);
    }
    return NULL;
}

void yaml_place(const yaml_node *n, size_t *ret_line, size_t *ret_column)
{
    *ret_line = n ? n->start_mark.line + 1 : 1;
    *ret_column = n ? n->start_mark.column + 1 : 1;
}

enum status yaml_fail(const struct yaml_doc *d, const yaml_node *n, struct error *err,
                      const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(err, ST_FORMAT, "%s:%zu:%zu: %s", d->name, n ? n->start_mark.line + 1 : 1,
                     n ? n->start_mark.column + 1 : 1, text);
}

enum status yaml_check_keys(const struct yaml_doc *d, const yaml_node *map,
                            const char *const *known, size_t count, struct error *err)
{
    if (!yaml_is_map(map))
        return yaml_fail(d, map, err, "expected a map of settings here");
    for (size_t i = 0; i < yaml_count(map); i++) {
        const yaml_node *key = yaml_key(d, map, i);
        const char *text = yaml_text(key);
        if (!text)
            return yaml_fail(d, key, err, "a key must be a plain word");
        if (names_find(known, count, text, -1) < 0) {
            const char *near = yaml_nearest(text, known, count);
            return yaml_fail(d, key, err, "unknown key '%.60s'%s%s%s", text,
                             near ? "; did you mean '" : "; delete it", near ? near : "",
                             near ? "'?" : "");
        }
        if (yaml_get(d, map, text) != yaml_value(d, map, i))
            return yaml_fail(d, key, err, "'%.60s' is given twice", text);
    }
    return ST_OK;
}

enum status yaml_number(const struct yaml_doc *d, const yaml_node *n, double min, double max,
                        double *ret, struct error *err)
{
    const char *text = yaml_text(n);
    char *end = NULL;
    double v = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !isfinite(v))
        return yaml_fail(d, n, err, "expected a number, found '%.60s'; write one",
                         text ? text : "a list or map");
    if (v < min || v > max)
        return yaml_fail(d, n, err, "%g is outside %g to %g; choose a value within", v, min, max);
    *ret = v;
    return ST_OK;
}

#define NEAREST_CHARS_MAX 48

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters to insert, delete, replace, or swap with their neighbour; texts beyond the bound count as
 * far apart. Three rows of the usual table: this one and the two before. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), rows[3][NEAREST_CHARS_MAX + 1];
    if (n > NEAREST_CHARS_MAX || m > NEAREST_CHARS_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *last = rows[(i - 1) % 3], *older = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], older[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

const char *yaml_nearest(const char *text, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(text) / 2 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t k = distance(text, candidates[i]);
        if (k < best_distance) {
            best_distance = k;
            best = candidates[i];
        }
    }
    return best;
}
