/* letterbox.c - see letterbox.h. */
#include "video/letterbox.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "video/frame.h"

void letterbox_init(struct letterbox *l)
{
    scaler_init(&l->scaler);
    frame_init(&l->inner);
}

void letterbox_clear(struct letterbox *l)
{
    scaler_clear(&l->scaler);
    frame_clear(&l->inner);
}

/* side * to / from to the nearest, 1 at least, `most` at most. */
static int scaled(int side, int to, int from, int most)
{
    int64_t n = ((int64_t)side * to * 2 + from) / (2 * (int64_t)from);
    return n < 1 ? 1 : n > most ? most : (int)n;
}

/* The sides that the picture has in the frame: the one that is tighter is filled. */
static void fit(const struct frame *src, const struct frame *dst, int *width, int *height)
{
    bool flat = (int64_t)src->width * dst->height >= (int64_t)src->height * dst->width;
    *width = flat ? dst->width : scaled(src->width, dst->height, src->height, dst->width);
    *height = flat ? scaled(src->height, dst->width, src->width, dst->height) : dst->height;
}

static void place(const struct frame *inner, struct frame *dst)
{
    size_t row = (size_t)inner->width * 3, whole = (size_t)dst->width * 3;
    for (int y = 0; y < dst->height; y++) {
        uint8_t *to = dst->pixels + (size_t)y * whole;
        size_t kept = y < inner->height ? row : 0;
        if (kept)
            memcpy(to, inner->pixels + (size_t)y * row, kept);
        memset(to + kept, LETTERBOX_GRAY, whole - kept);
    }
    dst->t_us = inner->t_us;
}

enum status letterbox_run(struct letterbox *l, const struct frame *src, struct frame *dst,
                          struct letterbox_fit *ret, struct error *err)
{
    int width, height;
    fit(src, dst, &width, &height);
    enum status st = frame_resize(&l->inner, width, height, err);
    if (st == ST_OK)
        st = scaler_run(&l->scaler, src, &l->inner, err);
    if (st != ST_OK)
        return st;
    place(&l->inner, dst);
    *ret = (struct letterbox_fit){(float)dst->width / (float)width,
                                  (float)dst->height / (float)height};
    return ST_OK;
}
