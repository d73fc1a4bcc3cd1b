/* csv.c - see csv.h. */
#include "base/csv.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

void csv_clear(struct csv *c)
{
    free(c->name);
    free(c->text);
    free(c->header);
    free(c->fields);
    free(c->lines);
    *c = (struct csv){0};
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r", s[n - 1]))
        s[--n] = '\0';
    return s;
}

/* Cuts the line in place; returns how many fields it has, those beyond `most` counted only. */
static int cut(char *line, char **fields, int most)
{
    int n = 0;
    for (char *next = line; next;) {
        char *field = next;
        next = strchr(field, ',');
        if (next)
            *next++ = '\0';
        if (n < most)
            fields[n] = trim(field);
        n++;
    }
    return n;
}

static enum status take_header(struct csv *c, char *line, int number, struct error *err)
{
    char *fields[CSV_COLUMNS_MAX];
    int n = cut(line, fields, CSV_COLUMNS_MAX);
    if (n > CSV_COLUMNS_MAX)
        return error_set(err, ST_LIMIT, "%s:%d: more than %d columns", c->name, number,
                         CSV_COLUMNS_MAX);
    c->header = malloc((size_t)n * sizeof *c->header);
    if (!c->header)
        return error_set(err, ST_NOMEM, "no memory for the columns of %s", c->name);
    memcpy(c->header, fields, (size_t)n * sizeof *c->header);
    c->column_count = n;
    return ST_OK;
}

static enum status grow(struct csv *c, int *capacity, struct error *err)
{
    if (c->row_count == CSV_ROWS_MAX)
        return error_set(err, ST_LIMIT, "%s has more than %d rows", c->name, CSV_ROWS_MAX);
    if (c->row_count < *capacity)
        return ST_OK;
    *capacity = *capacity ? 2 * *capacity : 256;
    size_t n = (size_t)*capacity;
    int *lines = realloc(c->lines, n * sizeof *lines);
    if (!lines)
        return error_set(err, ST_NOMEM, "no memory for %s", c->name);
    c->lines = lines;
    char **fields = realloc(c->fields, n * (size_t)c->column_count * sizeof *fields);
    if (!fields)
        return error_set(err, ST_NOMEM, "no memory for %s", c->name);
    c->fields = fields;
    return ST_OK;
}

static enum status take_row(struct csv *c, char *line, int number, int *capacity, struct error *err)
{
    enum status st = grow(c, capacity, err);
    if (st != ST_OK)
        return st;
    char **fields = c->fields + (size_t)c->row_count * (size_t)c->column_count;
    int n = cut(line, fields, c->column_count);
    if (n != c->column_count)
        return error_set(err, ST_FORMAT, "%s:%d: %d fields, the header has %d", c->name, number, n,
                         c->column_count);
    c->lines[c->row_count++] = number;
    return ST_OK;
}

static enum status read_lines(struct csv *c, struct error *err)
{
    enum status st = ST_OK;
    int number = 0, capacity = 0;
    for (char *next = c->text; next && st == ST_OK;) {
        char *line = next;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        number++;
        char *begin = trim(line);
        if (!*begin || *begin == '#')
            continue;
        st = c->header ? take_row(c, begin, number, &capacity, err)
                       : take_header(c, begin, number, err);
    }
    if (st == ST_OK && !c->header)
        st = error_set(err, ST_FORMAT,
                       "%s is empty: a header line with the columns' names is needed", c->name);
    return st;
}

enum status csv_read(const void *text, size_t n, const char *name, struct csv *ret,
                     struct error *err)
{
    if (n > CSV_BYTES_MAX || memchr(text, '\0', n))
        return error_set(err, ST_FORMAT, "%s is no table: it is too large or not text", name);
    struct csv c = {.name = strdup(name), .text = malloc(n + 1)};
    enum status st = ST_OK;
    if (!c.name || !c.text)
        st = error_set(err, ST_NOMEM, "no memory for %s", name);
    if (st == ST_OK) {
        memcpy(c.text, text, n);
        c.text[n] = '\0';
        st = read_lines(&c, err);
    }
    if (st != ST_OK) {
        csv_clear(&c);
        return st;
    }
    *ret = c;
    return ST_OK;
}

enum status csv_open(const char *path, struct csv *ret, struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = file_read(path, CSV_BYTES_MAX, &b, err);
    if (st == ST_OK)
        st = csv_read(b.size_bytes ? b.data : (const uint8_t *)"", b.size_bytes, path, ret, err);
    buf_clear(&b);
    return st;
}

int csv_column(const struct csv *c, const char *const *names)
{
    for (; *names; names++)
        for (int i = 0; i < c->column_count; i++)
            if (strcmp(c->header[i], *names) == 0)
                return i;
    return -1;
}

enum status csv_need_column(const struct csv *c, const char *const *names, int *ret,
                            struct error *err)
{
    int i = csv_column(c, names);
    if (i < 0)
        return error_set(err, ST_FORMAT, "%s has no column '%s'", c->name, *names);
    *ret = i;
    return ST_OK;
}

const char *csv_text(const struct csv *c, int row, int column)
{
    return c->fields[(size_t)row * (size_t)c->column_count + (size_t)column];
}

enum status csv_number(const struct csv *c, int row, int column, double min, double max,
                       double *ret, struct error *err)
{
    const char *text = csv_text(c, row, column);
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max))
        return error_set(err, ST_FORMAT, "%s:%d: %s is '%.40s', a number from %g to %g is expected",
                         c->name, c->lines[row], c->header[column], text, min, max);
    *ret = v;
    return ST_OK;
}

enum status csv_whole(const struct csv *c, int row, int column, int min, int max, int *ret,
                      struct error *err)
{
    double v = 0;
    enum status st = csv_number(c, row, column, min, max, &v, err);
    if (st == ST_OK && v != (double)(int)v)
        return error_set(err, ST_FORMAT, "%s:%d: %s is '%.40s', a whole number is expected",
                         c->name, c->lines[row], c->header[column], csv_text(c, row, column));
    if (st == ST_OK)
        *ret = (int)v;
    return st;
}
