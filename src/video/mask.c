#include "video/mask.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EDGE_STEP 0.25F /* of a pixel, along an edge */

void mask_init(struct mask *m)
{
    m->polygons = 0;
    m->width = m->height = 0;
    m->hidden = NULL;
}

void mask_clear(struct mask *m)
{
    free(m->hidden);
    mask_init(m);
}

/* ---- the text ---- */

static const char *skip_spaces(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* One corner; NULL: it is none. */
static const char *parse_corner(const char *at, struct mask_corner *c)
{
    int used = 0;
    if (sscanf(at, "%f,%f%n", &c->x, &c->y, &used) != 2)
        return NULL;
    bool inside = c->x >= 0 && c->x <= 1 && c->y >= 0 && c->y <= 1;
    bool ends = isspace((unsigned char)at[used]) || at[used] == ';' || at[used] == '\0';
    return inside && ends ? skip_spaces(at + used) : NULL;
}

/* The corners up to a ';' or the end into *m. */
static const char *parse_polygon(const char *at, struct mask *m, int begin, struct error *err)
{
    int end = begin;
    while (*at && *at != ';') {
        if (end == MASK_CORNERS_MAX) {
            error_set(err, ST_INVALID, "the masks have more than %d corners", MASK_CORNERS_MAX);
            return NULL;
        }
        at = parse_corner(at, &m->corners[end++]);
        if (!at) {
            error_set(err, ST_INVALID,
                      "mask %d, corner %d is not X,Y with fractions of the picture's sides, 0 to 1",
                      m->polygons + 1, end - begin);
            return NULL;
        }
    }
    if (end - begin < 3) {
        error_set(err, ST_INVALID, "mask %d has %d corners: a polygon has three or more",
                  m->polygons + 1, end - begin);
        return NULL;
    }
    m->ends[m->polygons++] = end;
    return at;
}

enum status mask_parse(const char *text, struct mask *ret, struct error *err)
{
    struct mask m;
    mask_init(&m);
    const char *at = skip_spaces(text ? text : "");
    while (*at) {
        if (m.polygons == MASK_POLYGONS_MAX)
            return error_set(err, ST_INVALID, "more than %d masks", MASK_POLYGONS_MAX);
        at = parse_polygon(at, &m, m.polygons ? m.ends[m.polygons - 1] : 0, err);
        if (!at)
            return ST_INVALID;
        at = skip_spaces(at + (*at == ';'));
    }
    mask_clear(ret);
    *ret = m;
    return ST_OK;
}

/* ---- the pixels ---- */

/* How often a polygon goes round a point; corners in fractions. */
static int winding(const struct mask_corner *c, int count, float x, float y)
{
    int turns = 0;
    for (int i = 0; i < count; i++) {
        const struct mask_corner *a = &c[i], *b = &c[(i + 1) % count];
        bool up = a->y <= y && b->y > y, down = a->y > y && b->y <= y;
        if (!up && !down)
            continue;
        float at_x = a->x + (y - a->y) / (b->y - a->y) * (b->x - a->x);
        if (at_x > x)
            turns += up ? 1 : -1;
    }
    return turns;
}

static void hide_around(struct mask *m, int x, int y)
{
    int x0 = x > MASK_MARGIN ? x - MASK_MARGIN : 0, y0 = y > MASK_MARGIN ? y - MASK_MARGIN : 0;
    int x1 = x + MASK_MARGIN < m->width ? x + MASK_MARGIN : m->width - 1;
    int y1 = y + MASK_MARGIN < m->height ? y + MASK_MARGIN : m->height - 1;
    for (int row = y0; row <= y1; row++)
        memset(m->hidden + (size_t)row * (size_t)m->width + x0, 1, (size_t)(x1 - x0 + 1));
}

/* What an edge passes, however thin the polygon is. */
static void hide_edge(struct mask *m, const struct mask_corner *a, const struct mask_corner *b)
{
    float dx = (b->x - a->x) * (float)m->width, dy = (b->y - a->y) * (float)m->height;
    int steps = 1 + (int)(hypotf(dx, dy) / EDGE_STEP);
    for (int i = 0; i <= steps; i++) {
        float part = (float)i / (float)steps;
        int x = (int)((a->x + part * (b->x - a->x)) * (float)m->width);
        int y = (int)((a->y + part * (b->y - a->y)) * (float)m->height);
        hide_around(m, x < m->width ? x : m->width - 1, y < m->height ? y : m->height - 1);
    }
}

static void hide_polygon(struct mask *m, const struct mask_corner *c, int count)
{
    for (int i = 0; i < count; i++)
        hide_edge(m, &c[i], &c[(i + 1) % count]);
    for (int y = 0; y < m->height; y++)
        for (int x = 0; x < m->width; x++)
            if (winding(c, count, ((float)x + 0.5F) / (float)m->width,
                        ((float)y + 0.5F) / (float)m->height))
                m->hidden[(size_t)y * (size_t)m->width + (size_t)x] = 1;
}

static enum status make_map(struct mask *m, int width, int height, struct error *err)
{
    free(m->hidden);
    m->width = m->height = 0;
    m->hidden = calloc((size_t)width * (size_t)height, 1);
    if (!m->hidden)
        return error_set(err, ST_NOMEM, "no memory to mask pictures");
    m->width = width;
    m->height = height;
    for (int i = 0, begin = 0; i < m->polygons; begin = m->ends[i++])
        hide_polygon(m, &m->corners[begin], m->ends[i] - begin);
    return ST_OK;
}

enum status mask_paint(struct mask *m, struct frame *f, struct error *err)
{
    if (m->polygons == 0)
        return ST_OK;
    if (m->width != f->width || m->height != f->height) {
        enum status st = make_map(m, f->width, f->height, err);
        if (st != ST_OK)
            return st;
    }
    size_t pixels = (size_t)f->width * (size_t)f->height;
    for (size_t i = 0; i < pixels; i++)
        if (m->hidden[i])
            memset(f->pixels + 3 * i, MASK_GREY, 3);
    return ST_OK;
}
