#include "label/outline.h"

#include <stdlib.h>

struct tracing {
    const struct label_map *l;
    int class_id;
    uint8_t *seen; /* a pixel: of an area that was traced */
    int *queue;    /* of pixels that are to be seen */
    int *corners;  /* two numbers each: a corner is passed twice at most */
    struct outline found;
};

static bool is_inside(const struct tracing *t, int x, int y)
{
    return x >= 0 && y >= 0 && x < t->l->width && y < t->l->height &&
           t->l->classes[(size_t)y * (size_t)t->l->width + (size_t)x] == t->class_id;
}

static void see(struct tracing *t, int x, int y, int *end)
{
    int at = y * t->l->width + x;
    if (!is_inside(t, x, y) || t->seen[at])
        return;
    t->seen[at] = 1;
    t->queue[(*end)++] = at;
}

/* The whole area of the pixel. */
static void see_area(struct tracing *t, int x, int y)
{
    int begin = 0, end = 0, width = t->l->width;
    see(t, x, y, &end);
    for (; begin < end; begin++) {
        x = t->queue[begin] % width;
        y = t->queue[begin] / width;
        see(t, x + 1, y, &end);
        see(t, x - 1, y, &end);
        see(t, x, y + 1, &end);
        see(t, x, y - 1, &end);
    }
}

static void add_corner(struct tracing *t, int x, int y)
{
    struct outline *o = &t->found;
    t->corners[2 * o->count] = x;
    t->corners[2 * o->count + 1] = y;
    o->count++;
    o->x0 = x < o->x0 ? x : o->x0;
    o->x1 = x > o->x1 ? x : o->x1;
    o->y1 = y > o->y1 ? y : o->y1;
}

/* Round the area with it on the right hand, from its first pixel's upper edge back to there. */
static void go_round(struct tracing *t, int x, int y)
{
    static const int step[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    static const int ahead[4][2] = {{0, 0}, {-1, 0}, {-1, -1}, {0, -1}}; /* on the right */
    const int first_x = x, first_y = y;
    int way = 0;
    t->found = (struct outline){.corners = t->corners, .x0 = x, .y0 = y, .x1 = x, .y1 = y};
    add_corner(t, x, y);
    do {
        int left = (way + 3) % 4;
        x += step[way][0];
        y += step[way][1];
        int turn = !is_inside(t, x + ahead[way][0], y + ahead[way][1])    ? 1
                   : is_inside(t, x + ahead[left][0], y + ahead[left][1]) ? 3
                                                                          : 0;
        way = (way + turn) % 4;
        if (turn && (x != first_x || y != first_y || way != 0))
            add_corner(t, x, y);
    } while (x != first_x || y != first_y || way != 0);
}

static int64_t area_of(const struct outline *o)
{
    int64_t twice = 0;
    for (int i = 0; i < o->count; i++) {
        const int *a = o->corners + 2 * i, *b = o->corners + 2 * ((i + 1) % o->count);
        twice += (int64_t)a[0] * b[1] - (int64_t)b[0] * a[1];
    }
    return twice / 2;
}

static bool open_tracing(struct tracing *t)
{
    size_t width = (size_t)t->l->width, height = (size_t)t->l->height;
    t->seen = calloc(width * height, 1);
    t->queue = malloc(width * height * sizeof *t->queue);
    t->corners = malloc(4 * (width + 1) * (height + 1) * sizeof *t->corners);
    return t->seen && t->queue && t->corners;
}

enum status outline_trace(const struct label_map *l, int class_id, int64_t area_min,
                          void (*each)(void *context, const struct outline *o), void *context,
                          struct error *err)
{
    struct tracing t = {.l = l, .class_id = class_id};
    enum status st = open_tracing(&t) ? ST_OK : error_set(err, ST_NOMEM, "no memory for outlines");
    for (int y = 0; y < l->height && st == ST_OK; y++)
        for (int x = 0; x < l->width; x++) {
            if (!is_inside(&t, x, y) || t.seen[y * l->width + x])
                continue;
            see_area(&t, x, y);
            go_round(&t, x, y);
            t.found.area = area_of(&t.found);
            if (t.found.area >= area_min)
                each(context, &t.found);
        }
    free(t.seen);
    free(t.queue);
    free(t.corners);
    return st;
}
