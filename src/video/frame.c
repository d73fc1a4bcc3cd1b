/* Pictures and label maps as owned values. Only the number of bytes decides whether memory moves,
 * so a consumer that sees one size allocates once. */
#include "video/frame.h"

#include <stdlib.h>
#include <string.h>

static enum status check_sides(int width, int height, struct error *err)
{
    if (width < 1 || height < 1 || width > FRAME_SIDE_MAX || height > FRAME_SIDE_MAX)
        return error_set(err, ST_INVALID, "a picture of %d x %d: each side must be 1 to %d", width,
                         height, FRAME_SIDE_MAX);
    return ST_OK;
}

/* Sides are checked, so the product of three fits easily. */
static enum status resize_bytes(uint8_t **bytes, size_t have, size_t need, struct error *err)
{
    if (*bytes && have == need)
        return ST_OK;
    uint8_t *fresh = malloc(need);
    if (!fresh)
        return error_set(err, ST_NOMEM, "no memory for a picture of %zu bytes", need);
    free(*bytes);
    *bytes = fresh;
    return ST_OK;
}

void frame_init(struct frame *f)
{
    memset(f, 0, sizeof *f);
}

void frame_clear(struct frame *f)
{
    free(f->pixels);
    frame_init(f);
}

size_t frame_bytes(const struct frame *f)
{
    return (size_t)f->width * (size_t)f->height * 3;
}

enum status frame_resize(struct frame *f, int width, int height, struct error *err)
{
    enum status st = check_sides(width, height, err);
    size_t need = st == ST_OK ? (size_t)width * (size_t)height * 3 : 0;
    if (st == ST_OK)
        st = resize_bytes(&f->pixels, frame_bytes(f), need, err);
    if (st != ST_OK)
        return st;
    f->width = width;
    f->height = height;
    return ST_OK;
}

enum status frame_copy(struct frame *dst, const struct frame *src, struct error *err)
{
    enum status st = frame_resize(dst, src->width, src->height, err);
    if (st != ST_OK)
        return st;
    memcpy(dst->pixels, src->pixels, frame_bytes(src));
    dst->t_us = src->t_us;
    return ST_OK;
}

void label_map_init(struct label_map *l)
{
    memset(l, 0, sizeof *l);
}

void label_map_clear(struct label_map *l)
{
    free(l->classes);
    label_map_init(l);
}

enum status label_map_resize(struct label_map *l, int width, int height, struct error *err)
{
    enum status st = check_sides(width, height, err);
    if (st == ST_OK)
        st = resize_bytes(&l->classes, (size_t)l->width * (size_t)l->height,
                          (size_t)width * (size_t)height, err);
    if (st != ST_OK)
        return st;
    l->width = width;
    l->height = height;
    return ST_OK;
}
