#include "server/setting_units.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dimension { PLAIN, TIME, RATE, SIZE, FREQUENCY, LENGTH, ANGLE, PART, DIMENSIONS };

static const char *const dimension_names[DIMENSIONS] = {
    "plain number", "time", "bit rate", "size", "frequency", "length", "angle", "part of a whole"};

/* A unit's worth in the smallest of its dimension, so that conversions of round numbers are exact.
 */
static const struct unit {
    const char *name;
    enum dimension dimension;
    double worth;
} units[] = {
    {"us", TIME, 1},       {"ms", TIME, 1e3},     {"s", TIME, 1e6},      {"min", TIME, 60e6},
    {"h", TIME, 3600e6},   {"d", TIME, 86400e6},  {"bit/s", RATE, 1},    {"kbit/s", RATE, 1e3},
    {"Mbit/s", RATE, 1e6}, {"Gbit/s", RATE, 1e9}, {"B", SIZE, 1},        {"kB", SIZE, 1024},
    {"MB", SIZE, 0x1p20},  {"GB", SIZE, 0x1p30},  {"TB", SIZE, 0x1p40},  {"KiB", SIZE, 1024},
    {"MiB", SIZE, 0x1p20}, {"GiB", SIZE, 0x1p30}, {"TiB", SIZE, 0x1p40}, {"1/s", FREQUENCY, 1},
    {"/s", FREQUENCY, 1},  {"fps", FREQUENCY, 1}, {"Hz", FREQUENCY, 1},  {"mm", LENGTH, 1},
    {"m", LENGTH, 1e3},    {"km", LENGTH, 1e6},   {"deg", ANGLE, 1},     {"%", PART, 1},
    {NULL, PLAIN, 1},
};

static const struct unit *find(const char *name)
{
    const struct unit *u = units;
    while (u->name && strcmp(u->name, name) != 0)
        u++;
    return u->name ? u : NULL;
}

/* Parts of a whole may be said in percent. */
static bool is_part(const struct setting *row)
{
    return row->kind == SETTING_REAL && !row->unit[0] && row->min >= 0 && row->max == 1;
}

static enum dimension dimension_of(const struct setting *row)
{
    const struct unit *u = find(row->unit);
    return u ? u->dimension : is_part(row) ? PART : PLAIN;
}

/* Worth of one of the row's numbers. */
static double worth_of(const struct setting *row)
{
    const struct unit *u = find(row->unit);
    return u ? u->worth : is_part(row) ? 100 : 1;
}

void setting_units_write(const struct setting *row, struct buf *out)
{
    enum dimension d = dimension_of(row);
    const char *between = "";
    for (const struct unit *u = units; u->name && d != PLAIN; u++)
        if (u->dimension == d) {
            buf_printf(out, "%s%s", between, u->name);
            between = ", ";
        }
}

/* "what is wrong; what the row takes". */
static enum status refuse(const struct setting *row, const char *wrong, struct error *err)
{
    struct buf b;
    buf_init(&b);
    setting_units_write(row, &b);
    bool named = b.size_bytes > 0;
    buf_put_u8(&b, 0);
    enum status st = error_set(err, ST_INVALID, "%s; %s takes %.10g to %.10g%s%s%s%s%s", wrong,
                               row->name, row->min, row->max, row->unit[0] ? " " : "", row->unit,
                               named ? ", with or without a unit (" : "",
                               named && b.data ? (const char *)b.data : "", named ? ")" : "");
    buf_clear(&b);
    return st;
}

/* The unit behind the number; *ret: worth of one. */
static enum status read_unit(const struct setting *row, const char *name, const char *shown,
                             double *ret, struct error *err)
{
    char wrong[200];
    enum dimension want = dimension_of(row);
    const struct unit *u = find(name);
    if (!*name)
        *ret = worth_of(row);
    else if (!u)
        snprintf(wrong, sizeof wrong, "'%.60s' has no unit that is known here ('%.20s')", shown,
                 name);
    else if (u->dimension != want)
        snprintf(wrong, sizeof wrong, "'%.60s' is a %s, %s is a %s", shown,
                 dimension_names[u->dimension], row->name, dimension_names[want]);
    else
        *ret = u->worth;
    return *name && (!u || u->dimension != want) ? refuse(row, wrong, err) : ST_OK;
}

/* How much of text is digits and what belongs to them; 0: no number. */
static size_t number_chars(const char *text, double *ret)
{
    size_t digits = strspn(text, "+-.0123456789");
    char *end;
    errno = 0;
    *ret = strtod(text, &end);
    if (digits == 0 || end == text || text[digits] == 'x' || text[digits] == 'X' || !isfinite(*ret))
        return 0;
    return (size_t)(end - text);
}

enum status setting_number(const struct setting *row, const char *text, const char *shown,
                           double *ret, struct error *err)
{
    char wrong[200];
    double v, worth = 1;
    size_t n = number_chars(text, &v);
    const char *unit = text + n + (n > 0 && text[n] == ' ' && text[n + 1]);
    bool is_unit = *unit == '\0' || *unit == '%' || *unit == '/' || *unit == '1' ||
                   (*unit >= 'a' && *unit <= 'z') || (*unit >= 'A' && *unit <= 'Z');
    if (n == 0 || !is_unit) {
        snprintf(wrong, sizeof wrong, text[0] ? "'%.60s' is no number" : "there is no value%s",
                 text[0] ? shown : "");
        return refuse(row, wrong, err);
    }
    enum status st = read_unit(row, unit, shown, &worth, err);
    if (st != ST_OK)
        return st;
    if (*unit)
        v = v * worth / worth_of(row);
    snprintf(wrong, sizeof wrong, "'%.60s' is %s", shown,
             v < row->min   ? "too small"
             : v > row->max ? "too large"
                            : "not a whole number");
    bool broken = row->kind == SETTING_INT && v != floor(v);
    if (!(v >= row->min && v <= row->max) || broken)
        return refuse(row, wrong, err);
    *ret = v;
    return ST_OK;
}
