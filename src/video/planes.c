/* planes.c - copies rows into a padded picture and lets the converter do the rest. */
#include "video/planes.h"

#include <stdlib.h>
#include <string.h>

#include "video/picture.h"

/* Per plane: bytes of a sample and by how many bits the sides are halved. */
static const struct layout {
    enum AVPixelFormat format;
    int planes;
    struct {
        int bytes, shift;
    } plane[3];
} layouts[PLANES_LAYOUT_COUNT] = {
    [PLANES_RGB] = {AV_PIX_FMT_RGB24, 1, {{3, 0}}},
    [PLANES_BGR] = {AV_PIX_FMT_BGR24, 1, {{3, 0}}},
    [PLANES_RGBA] = {AV_PIX_FMT_RGB0, 1, {{4, 0}}},
    [PLANES_BGRA] = {AV_PIX_FMT_BGR0, 1, {{4, 0}}},
    [PLANES_GRAY] = {AV_PIX_FMT_GRAY8, 1, {{1, 0}}},
    [PLANES_I420] = {AV_PIX_FMT_YUV420P, 3, {{1, 0}, {1, 1}, {1, 1}}},
    [PLANES_NV12] = {AV_PIX_FMT_NV12, 2, {{1, 0}, {2, 1}}},
};

void planes_scaler_init(struct planes_scaler *s)
{
    memset(s, 0, sizeof *s);
}

void planes_scaler_clear(struct planes_scaler *s)
{
    AVFrame *staging = s->staging;
    av_frame_free(&staging);
    if (s->converter)
        converter_clear(s->converter);
    free(s->converter);
    planes_scaler_init(s);
}

static size_t row_bytes(const struct layout *l, int plane, int width)
{
    int half = (1 << l->plane[plane].shift) - 1;
    return (size_t)((width + half) >> l->plane[plane].shift) * (size_t)l->plane[plane].bytes;
}

static enum status check(const struct planes *src, struct error *err)
{
    if ((unsigned)src->layout >= PLANES_LAYOUT_COUNT)
        return error_set(err, ST_INVALID, "%d is no layout of a picture", (int)src->layout);
    if (src->width < 1 || src->height < 1 || src->width > FRAME_SIDE_MAX ||
        src->height > FRAME_SIDE_MAX)
        return error_set(err, ST_INVALID, "a picture of %d x %d: each side must be 1 to %d",
                         src->width, src->height, FRAME_SIDE_MAX);
    const struct layout *l = &layouts[src->layout];
    for (int i = 0; i < l->planes; i++) {
        ptrdiff_t stride = src->stride_bytes[i], row = (ptrdiff_t)row_bytes(l, i, src->width);
        if (!src->data[i])
            return error_set(err, ST_INVALID, "plane %d of the picture is missing", i);
        if (src->height > 1 && stride < row && stride > -row)
            return error_set(err, ST_INVALID, "a row of plane %d has %td bytes, its stride is %td",
                             i, row, stride);
    }
    return ST_OK;
}

static enum status make_staging(struct planes_scaler *s, const struct planes *src,
                                struct error *err)
{
    enum AVPixelFormat format = layouts[src->layout].format;
    AVFrame *staging = s->staging;
    if (!s->converter)
        s->converter = calloc(1, sizeof(struct converter));
    if (!staging || staging->width != src->width || staging->height != src->height ||
        staging->format != (int)format) {
        av_frame_free(&staging);
        staging = picture_open(format, src->width, src->height);
        s->staging = staging;
    }
    if (!s->converter || !staging)
        return error_set(err, ST_NOMEM, "no memory to scale a picture of %d x %d", src->width,
                         src->height);
    return ST_OK;
}

static void copy_plane(AVFrame *dst, const struct planes *src, int plane)
{
    const struct layout *l = &layouts[src->layout];
    size_t row = row_bytes(l, plane, src->width);
    int rows = (src->height + (1 << l->plane[plane].shift) - 1) >> l->plane[plane].shift;
    for (int y = 0; y < rows; y++)
        memcpy(dst->data[plane] + (ptrdiff_t)y * dst->linesize[plane],
               src->data[plane] + (ptrdiff_t)y * src->stride_bytes[plane], row);
}

enum status planes_scaler_run(struct planes_scaler *s, const struct planes *src, struct frame *dst,
                              struct error *err)
{
    enum status st = check(src, err);
    if (st == ST_OK)
        st = make_staging(s, src, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < layouts[src->layout].planes; i++)
        copy_plane(s->staging, src, i);
    return converter_rgb(s->converter, s->staging, dst, err);
}
