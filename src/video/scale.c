/* RGB scaling over the converter: the packed source is copied into a padded picture first. */
#include "video/scale.h"

#include <stdlib.h>
#include <string.h>

#include "video/frame.h"
#include "video/picture.h"

void scaler_init(struct scaler *s)
{
    memset(s, 0, sizeof *s);
}

void scaler_clear(struct scaler *s)
{
    AVFrame *staging = s->staging;
    av_frame_free(&staging);
    if (s->converter)
        converter_clear(s->converter);
    free(s->converter);
    scaler_init(s);
}

static enum status make_staging(struct scaler *s, const struct frame *src, struct error *err)
{
    AVFrame *staging = s->staging;
    if (!s->converter)
        s->converter = calloc(1, sizeof(struct converter));
    if (!staging || staging->width != src->width || staging->height != src->height) {
        av_frame_free(&staging);
        staging = picture_open(AV_PIX_FMT_RGB24, src->width, src->height);
        s->staging = staging;
    }
    if (!s->converter || !staging)
        return error_set(err, ST_NOMEM, "no memory to scale a picture of %d x %d", src->width,
                         src->height);
    return ST_OK;
}

enum status scaler_run(struct scaler *s, const struct frame *src, struct frame *dst,
                       struct error *err)
{
    dst->t_us = src->t_us;
    if (src->width == dst->width && src->height == dst->height) {
        memcpy(dst->pixels, src->pixels, frame_bytes(src));
        return ST_OK;
    }
    enum status st = make_staging(s, src, err);
    if (st != ST_OK)
        return st;
    picture_pack(s->staging, src);
    return converter_rgb(s->converter, s->staging, dst, err);
}
