/* One cached swscale context a converter, made anew when sizes, format or colours change. Bit-exact
 * paths are asked for, so that results do not depend on memory alignment. Untagged YUV is read as
 * BT.709 from 720 rows on and as BT.601 below, as players do. */
#include "video/picture.h"

#include <errno.h>
#include <string.h>

#include <libavutil/error.h>
#include <libavutil/log.h>
#include <libswscale/swscale.h>

void libav_quiet(void)
{
    av_log_set_level(AV_LOG_QUIET);
}

enum status libav_error(struct error *err, int code, const char *what)
{
    char text[AV_ERROR_MAX_STRING_SIZE];
    av_strerror(code, text, sizeof text);
    enum status st = ST_IO;
    if (code == AVERROR(ENOMEM))
        st = ST_NOMEM;
    else if (code == AVERROR(ENOENT))
        st = ST_NOT_FOUND;
    else if (code == AVERROR(EACCES))
        st = ST_DENIED;
    else if (code == AVERROR_INVALIDDATA)
        st = ST_FORMAT;
    else if (code == AVERROR_DECODER_NOT_FOUND || code == AVERROR_DEMUXER_NOT_FOUND ||
             code == AVERROR_PROTOCOL_NOT_FOUND || code == AVERROR_PATCHWELCOME)
        st = ST_UNSUPPORTED;
    return error_set(err, st, "%s: %s", what, text);
}

AVFrame *picture_open(enum AVPixelFormat format, int width, int height)
{
    AVFrame *p = av_frame_alloc();
    if (!p)
        return NULL;
    p->format = format;
    p->width = width;
    p->height = height;
    if (av_frame_get_buffer(p, 0) < 0)
        av_frame_free(&p);
    return p;
}

void picture_pack(AVFrame *dst, const struct frame *src)
{
    size_t row = (size_t)src->width * 3;
    for (int y = 0; y < dst->height; y++) {
        int from = y < src->height ? y : src->height - 1;
        uint8_t *to = dst->data[0] + (ptrdiff_t)y * dst->linesize[0];
        memcpy(to, src->pixels + (size_t)from * row, row);
        for (size_t i = row; i < (size_t)dst->linesize[0]; i++) /* swscale's filters reach there */
            to[i] = to[i - 3];
    }
}

void converter_init(struct converter *c)
{
    memset(c, 0, sizeof *c);
}

void converter_clear(struct converter *c)
{
    sws_freeContext(c->context);
    av_frame_free(&c->result);
    converter_init(c);
}

/* The "J" formats are the plain ones with full range; swscale wants to be told so. */
static int plain_format(int format, int *full_range)
{
    static const int pairs[][2] = {{AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P},
                                   {AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUV422P},
                                   {AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV444P},
                                   {AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUV440P},
                                   {AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUV411P}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (format == pairs[i][0]) {
            *full_range = 1;
            return pairs[i][1];
        }
    }
    return format;
}

static int matrix_of(const AVFrame *src)
{
    switch (src->colorspace) {
    case AVCOL_SPC_BT709:
        return SWS_CS_ITU709;
    case AVCOL_SPC_FCC:
        return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE240M:
        return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return SWS_CS_BT2020;
    case AVCOL_SPC_UNSPECIFIED:
        return src->height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601;
    default:
        return SWS_CS_ITU601;
    }
}

static struct converter_key key_of(const AVFrame *src, int dst_format, int dst_width,
                                   int dst_height)
{
    struct converter_key k = {.src_width = src->width,
                              .src_height = src->height,
                              .matrix = matrix_of(src),
                              .full_range = src->color_range == AVCOL_RANGE_JPEG,
                              .dst_width = dst_width,
                              .dst_height = dst_height,
                              .dst_format = dst_format};
    k.src_format = plain_format(src->format, &k.full_range);
    return k;
}

static enum status make_context(struct converter *c, const struct converter_key *k,
                                struct error *err)
{
    bool shrinks = k->dst_width < k->src_width || k->dst_height < k->src_height;
    int flags = (shrinks ? SWS_AREA : SWS_BILINEAR) | SWS_ACCURATE_RND | SWS_BITEXACT;
    int dst_full_range = 0;
    converter_clear(c);
    c->context =
        sws_getContext(k->src_width, k->src_height, k->src_format, k->dst_width, k->dst_height,
                       plain_format(k->dst_format, &dst_full_range), flags, NULL, NULL, NULL);
    if (!c->context)
        return error_set(err, ST_UNSUPPORTED, "cannot convert a picture of %d x %d to %d x %d",
                         k->src_width, k->src_height, k->dst_width, k->dst_height);
    /* Refused for formats that have no matrix (RGB to RGB); nothing is lost then. */
    (void)sws_setColorspaceDetails(c->context, sws_getCoefficients(k->matrix), k->full_range,
                                   sws_getCoefficients(SWS_CS_ITU601), dst_full_range, 0, 1 << 16,
                                   1 << 16);
    c->result = picture_open(k->dst_format, k->dst_width, k->dst_height);
    if (!c->result) {
        converter_clear(c);
        return error_set(err, ST_NOMEM, "no memory for a picture of %d x %d", k->dst_width,
                         k->dst_height);
    }
    c->key = *k;
    return ST_OK;
}

enum status converter_run(struct converter *c, const AVFrame *src, enum AVPixelFormat dst_format,
                          int dst_width, int dst_height, struct error *err)
{
    if (src->width < 1 || src->height < 1 || src->width > FRAME_SIDE_MAX ||
        src->height > FRAME_SIDE_MAX)
        return error_set(err, ST_LIMIT, "a picture of %d x %d: each side must be 1 to %d",
                         src->width, src->height, FRAME_SIDE_MAX);
    libav_quiet();
    struct converter_key k = key_of(src, dst_format, dst_width, dst_height);
    if (!c->context || memcmp(&k, &c->key, sizeof k) != 0) {
        enum status st = make_context(c, &k, err);
        if (st != ST_OK)
            return st;
    }
    if (av_frame_make_writable(c->result) < 0) /* an encoder may hold the last one */
        return error_set(err, ST_NOMEM, "no memory for a picture of %d x %d", dst_width,
                         dst_height);
    int rows = sws_scale(c->context, (const uint8_t *const *)src->data, src->linesize, 0,
                         src->height, c->result->data, c->result->linesize);
    if (rows != dst_height)
        return error_set(err, ST_INTERNAL, "the picture converter gave %d of %d rows", rows,
                         dst_height);
    return ST_OK;
}

enum status converter_rgb(struct converter *c, const AVFrame *src, struct frame *out,
                          struct error *err)
{
    enum status st = converter_run(c, src, AV_PIX_FMT_RGB24, out->width, out->height, err);
    if (st != ST_OK)
        return st;
    size_t row = (size_t)out->width * 3;
    for (int y = 0; y < out->height; y++)
        memcpy(out->pixels + (size_t)y * row,
               c->result->data[0] + (ptrdiff_t)y * c->result->linesize[0], row);
    return ST_OK;
}
