/* still_index.h - inside bench/: the index.csv of a folder of stills whose conditions are known.
 *
 * Columns: file, camera, site (or place), time_of_day (or day_or_night_by_clock) and, where they
 * are known, weather_or_light_from_name, lat, lon, time (2026-01-22T00:24:52, by the clock on the
 * wall there). Rows without a camera or a time of day are left out. The pictures are in the folder,
 * or in one for each site.
 *
 * Owns:    the table and the rows, until still_index_clear.
 * Errors:  ST_FORMAT, ST_NOT_FOUND, ST_NOMEM.
 */
#ifndef ATTUNE_BENCH_STILL_INDEX_H
#define ATTUNE_BENCH_STILL_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/csv.h"

#define STILLS_MAX 2000

struct still_row {
    char file[256];
    const char *camera, *site, *conditions; /* conditions: "day" or "night" */
    double lat, lon;                        /* NaN unknown */
    uint64_t time_us;                       /* 0: not known */
};

struct still_index {
    struct csv table;
    struct still_row *rows; /* [count] */
    int count;
    bool dated; /* time_us is a time, not a usual time of that part of the day */
};

enum status still_index_open(const char *folder, struct still_index *ret, struct error *err);
void still_index_clear(struct still_index *x);

#endif
