#include "task/regions.h"

#include <stdio.h>
#include <string.h>

static enum status parse_one(const char *text, int number, struct region *r, struct error *err)
{
    int used = 0;
    if (sscanf(text, "%f,%f,%f,%f%n", &r->x0, &r->y0, &r->x1, &r->y1, &used) != 4 ||
        (text[used] != ';' && text[used] != '\0'))
        return error_set(err, ST_INVALID,
                         "region %d is not X0,Y0,X1,Y1 with fractions of the picture's sides",
                         number);
    if (!(r->x0 >= 0 && r->x0 < r->x1 && r->x1 <= 1 && r->y0 >= 0 && r->y0 < r->y1 && r->y1 <= 1))
        return error_set(err, ST_INVALID,
                         "region %d is empty or outside the picture: corners are 0 to 1, the "
                         "first above and left of the second",
                         number);
    return ST_OK;
}

enum status regions_parse(const char *text, struct regions *ret, struct error *err)
{
    struct regions all = {.count = 0};
    for (const char *at = text; at; at = strchr(at, ';'), at = at ? at + 1 : NULL) {
        if (all.count == REGIONS_MAX)
            return error_set(err, ST_INVALID, "more than %d regions", REGIONS_MAX);
        enum status st = parse_one(at, all.count + 1, &all.at[all.count], err);
        if (st != ST_OK)
            return st;
        all.count++;
    }
    *ret = all;
    return ST_OK;
}

struct box region_box(const struct region *r, int width, int height)
{
    return (struct box){.x0 = r->x0 * (float)width,
                        .y0 = r->y0 * (float)height,
                        .x1 = r->x1 * (float)width,
                        .y1 = r->y1 * (float)height,
                        .score = 1};
}
