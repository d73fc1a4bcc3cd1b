/* still_index.c - see still_index.h. */
#include "still_index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US ((uint64_t)1000000)

/* 2026-01-22T00:24:52+08:00, by the clock on the wall there; 0 for anything else. */
static uint64_t time_of(const char *text)
{
    int y, mo, d, h, mi, s;
    if (sscanf(text, "%d-%d-%dT%d:%d:%d", &y, &mo, &d, &h, &mi, &s) != 6 || y < 1970 || y > 3000)
        return 0;
    int m = (mo + 9) % 12, years = y - (mo < 3);
    long days =
        365L * years + years / 4 - years / 100 + years / 400 + (m * 306 + 5) / 10 + d - 1 - 719468;
    return (uint64_t)(((days * 24 + h) * 60 + mi) * 60 + s) * SECOND_US;
}

/* A time of day where only its name is known. */
static uint64_t usual_time(const char *name)
{
    static const struct {
        const char *name;
        int hour;
    } hours[] = {{"morning", 8}, {"day", 12}, {"evening", 19}, {"night", 23}};
    for (size_t i = 0; i < sizeof hours / sizeof *hours; i++)
        if (strcmp(name, hours[i].name) == 0)
            return (uint64_t)(20000 * 24 + hours[i].hour) * 3600 * SECOND_US;
    return 0;
}

/* By day or by night, from what the index says of time or light. */
static const char *light_of(const char *conditions, const char *light)
{
    return strstr(conditions, "night") || strstr(light, "night") || strstr(light, "dark") ? "night"
                                                                                          : "day";
}

struct columns {
    int file, camera, site, conditions;
    int lat, lon, light, time; /* -1: there is none */
};

static enum status find_columns(const struct csv *t, struct columns *c, struct error *err)
{
    if (csv_need_column(t, (const char *[]){"file", NULL}, &c->file, err) != ST_OK ||
        csv_need_column(t, (const char *[]){"camera", NULL}, &c->camera, err) != ST_OK ||
        csv_need_column(t, (const char *[]){"site", "place", NULL}, &c->site, err) != ST_OK ||
        csv_need_column(t, (const char *[]){"time_of_day", "day_or_night_by_clock", NULL},
                        &c->conditions, err) != ST_OK)
        return err->code;
    c->lat = csv_column(t, (const char *[]){"lat", NULL});
    c->lon = csv_column(t, (const char *[]){"lon", NULL});
    c->light = csv_column(t, (const char *[]){"weather_or_light_from_name", NULL});
    c->time = csv_column(t, (const char *[]){"time", NULL});
    return ST_OK;
}

/* False: a row that does not say enough. */
static bool read_row(const struct csv *t, const struct columns *c, int i, struct still_row *ret)
{
    const char *conditions = csv_text(t, i, c->conditions);
    *ret = (struct still_row){.camera = csv_text(t, i, c->camera),
                              .site = csv_text(t, i, c->site),
                              .lat = c->lat < 0 ? (double)NAN : atof(csv_text(t, i, c->lat)),
                              .lon = c->lon < 0 ? (double)NAN : atof(csv_text(t, i, c->lon))};
    ret->time_us = c->time < 0 ? usual_time(conditions) : time_of(csv_text(t, i, c->time));
    ret->conditions = light_of(conditions, c->light < 0 ? "" : csv_text(t, i, c->light));
    snprintf(ret->file, sizeof ret->file, "%s", csv_text(t, i, c->file));
    return *conditions && *ret->camera;
}

enum status still_index_open(const char *folder, struct still_index *ret, struct error *err)
{
    char path[4096];
    struct columns c;
    *ret = (struct still_index){0};
    snprintf(path, sizeof path, "%s/index.csv", folder);
    enum status st = csv_open(path, &ret->table, err);
    if (st != ST_OK)
        return st;
    st = find_columns(&ret->table, &c, err);
    ret->rows = calloc(STILLS_MAX, sizeof *ret->rows);
    if (st == ST_OK && !ret->rows)
        st = error_set(err, ST_NOMEM, "no memory for %d stills", STILLS_MAX);
    for (int i = 0; st == ST_OK && i < ret->table.row_count && ret->count < STILLS_MAX; i++)
        ret->count += read_row(&ret->table, &c, i, &ret->rows[ret->count]);
    ret->dated = st == ST_OK && c.time >= 0;
    if (st != ST_OK)
        still_index_clear(ret);
    return st;
}

void still_index_clear(struct still_index *x)
{
    free(x->rows);
    csv_clear(&x->table);
    *x = (struct still_index){0};
}
