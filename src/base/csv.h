/* csv.h - small tables from text: a header line with the columns' names, then rows of fields.
 *
 * Fields are separated by commas; spaces around them, empty lines and lines that begin with '#' do
 * not count. No quotes: none of our tables has a comma in a field.
 *
 * Owns:    one copy of the text and the fields' places, until csv_clear.
 * Threads: a table that is not changed may be read by many.
 * Errors:  ST_FORMAT with "NAME:LINE: what is wrong"; ST_LIMIT over the bounds below.
 */
#ifndef ATTUNE_BASE_CSV_H
#define ATTUNE_BASE_CSV_H

#include <stddef.h>

#include "base/error.h"

#define CSV_BYTES_MAX ((size_t)64 << 20)
#define CSV_COLUMNS_MAX 64
#define CSV_ROWS_MAX 1000000

struct csv {
    char *name, *text;
    int column_count, row_count;
    char **header; /* [column_count] */
    char **fields; /* [row_count][column_count] */
    int *lines;    /* [row_count] line number of a row, from 1 */
};

/* name is for messages and copied. */
enum status csv_read(const void *text, size_t n, const char *name, struct csv *ret,
                     struct error *err);
enum status csv_open(const char *path, struct csv *ret, struct error *err);
void csv_clear(struct csv *c);

/* Index of the first of the names (NULL at the end) that is a column; -1 for none. */
int csv_column(const struct csv *c, const char *const *names);

/* The same; none is ST_FORMAT and names the first. */
enum status csv_need_column(const struct csv *c, const char *const *names, int *ret,
                            struct error *err);

const char *csv_text(const struct csv *c, int row, int column);

/* A field as a number in [min, max], the whole of it. */
enum status csv_number(const struct csv *c, int row, int column, double min, double max,
                       double *ret, struct error *err);
enum status csv_whole(const struct csv *c, int row, int column, int min, int max, int *ret,
                      struct error *err);

#endif
