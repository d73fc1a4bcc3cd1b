#include "video/crop.h"

#include <math.h>
#include <string.h>

#include "video/frame.h"

void cropper_init(struct cropper *c)
{
    scaler_init(&c->scaler);
    frame_init(&c->part);
}

void cropper_clear(struct cropper *c)
{
    scaler_clear(&c->scaler);
    frame_clear(&c->part);
}

/* A coordinate within 0..max; NaN is 0. */
static int within(float v, int max)
{
    if (!(v > 0))
        return 0;
    return v >= (float)max ? max : (int)v;
}

enum status cropper_cut(struct cropper *c, const struct frame *src, const struct box *box,
                        struct frame *dst, struct error *err)
{
    int x0 = within(floorf(box->x0), src->width), x1 = within(ceilf(box->x1), src->width);
    int y0 = within(floorf(box->y0), src->height), y1 = within(ceilf(box->y1), src->height);
    if (x0 >= x1 || y0 >= y1)
        return error_set(err, ST_INVALID, "a crop has no pixel of the %d x %d picture", src->width,
                         src->height);
    enum status st = frame_resize(&c->part, x1 - x0, y1 - y0, err);
    if (st != ST_OK)
        return st;
    size_t stride = (size_t)src->width * 3, row = (size_t)c->part.width * 3;
    for (int y = y0; y < y1; y++)
        memcpy(c->part.pixels + (size_t)(y - y0) * row,
               src->pixels + (size_t)y * stride + (size_t)x0 * 3, row);
    c->part.t_us = src->t_us;
    return scaler_run(&c->scaler, &c->part, dst, err);
}
