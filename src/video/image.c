/* Pictures through libavcodec's image codecs, chosen by the file's first bytes: a name may lie.
 * PNG label maps are in png.c, since they must not pass through any colour conversion. */
#include "video/image.h"

#include <string.h>

#include <libavcodec/avcodec.h>

#include "base/file.h"
#include "video/frame.h"
#include "video/image_decoder.h"
#include "video/picture.h"

static enum AVCodecID sniff(const uint8_t *data, size_t n)
{
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (n >= 8 && memcmp(data, png, 8) == 0)
        return AV_CODEC_ID_PNG;
    if (n >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff)
        return AV_CODEC_ID_MJPEG;
    return AV_CODEC_ID_NONE;
}

static AVCodecContext *open_codec(enum AVCodecID id)
{
    const AVCodec *codec = avcodec_find_decoder(id);
    AVCodecContext *c = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!c)
        return NULL;
    c->thread_count = 1;
    c->max_pixels = (int64_t)FRAME_SIDE_MAX * FRAME_SIDE_MAX;
    /* Half a picture is no picture: a file that is still being written is reported, not shown. */
    c->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK;
    if (avcodec_open2(c, codec, NULL) < 0)
        avcodec_free_context(&c);
    return c;
}

static int decode_one(AVCodecContext *codec, AVPacket *packet, AVFrame *picture)
{
    int rc = avcodec_send_packet(codec, packet);
    if (rc >= 0)
        rc = avcodec_send_packet(codec, NULL);
    if (rc >= 0)
        rc = avcodec_receive_frame(codec, picture);
    bool damaged =
        rc >= 0 && (picture->decode_error_flags || picture->flags & AV_FRAME_FLAG_CORRUPT);
    return damaged || rc == AVERROR_EOF ? AVERROR_INVALIDDATA : rc;
}

static enum status check_picture(const AVFrame *p, struct error *err)
{
    if (p->width > FRAME_SIDE_MAX || p->height > FRAME_SIDE_MAX)
        return error_set(err, ST_LIMIT, "the image is %d x %d; sides may be %d at most", p->width,
                         p->height, FRAME_SIDE_MAX);
    return ST_OK;
}

enum status image_decode(const void *data, size_t n, AVFrame **ret, struct error *err)
{
    enum AVCodecID id = sniff(data, n);
    if (id == AV_CODEC_ID_NONE)
        return error_set(err, ST_UNSUPPORTED, "neither a JPEG nor a PNG image");
    if (n > IMAGE_BYTES_MAX)
        return error_set(err, ST_LIMIT, "the image has %zu bytes; %zu is the most", n,
                         IMAGE_BYTES_MAX);
    libav_quiet();
    enum status st = ST_OK;
    AVCodecContext *codec = open_codec(id);
    AVFrame *picture = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    if (!codec || !picture || !packet || av_new_packet(packet, (int)n) < 0) {
        st = error_set(err, ST_NOMEM, "no memory to decode an image");
        goto out;
    }
    memcpy(packet->data, data, n); /* libav wants padding behind its bytes */
    int rc = decode_one(codec, packet, picture);
    st = rc < 0 ? libav_error(err, rc, "cannot decode the image") : check_picture(picture, err);
    if (rc < 0 && st == ST_IO)
        st = ST_FORMAT;
    if (st == ST_OK) {
        *ret = picture;
        picture = NULL;
    }
out:
    av_packet_free(&packet);
    av_frame_free(&picture);
    avcodec_free_context(&codec);
    return st;
}

enum status image_read(const void *data, size_t n, struct frame *out, struct error *err)
{
    AVFrame *picture = NULL;
    struct converter converter;
    converter_init(&converter);
    enum status st = image_decode(data, n, &picture, err);
    if (st == ST_OK)
        st = frame_resize(out, picture->width, picture->height, err);
    if (st == ST_OK)
        st = converter_rgb(&converter, picture, out, err);
    converter_clear(&converter);
    av_frame_free(&picture);
    return st;
}

enum status image_open(const char *path, struct frame *out, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st = file_read(path, IMAGE_BYTES_MAX, &bytes, err);
    if (st == ST_OK) {
        st = image_read(bytes.data, bytes.size_bytes, out, err);
        if (st != ST_OK)
            error_prefix(err, "%s", path);
    }
    buf_clear(&bytes);
    return st;
}

/* quality 1..100 to libav's quantiser scale 31..1. */
static AVCodecContext *open_jpeg(int width, int height, int quality)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
    AVCodecContext *c = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!c)
        return NULL;
    c->width = width;
    c->height = height;
    c->pix_fmt = AV_PIX_FMT_YUVJ420P;
    c->color_range = AVCOL_RANGE_JPEG;
    c->time_base = (AVRational){1, 1};
    c->thread_count = 1;
    c->flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_BITEXACT;
    c->global_quality = FF_QP2LAMBDA * (31 - (quality - 1) * 30 / 99);
    if (avcodec_open2(c, codec, NULL) < 0)
        avcodec_free_context(&c);
    return c;
}

static enum status encode_jpeg(AVCodecContext *codec, AVFrame *picture, struct buf *out,
                               struct error *err)
{
    AVPacket *packet = av_packet_alloc();
    int rc = packet ? 0 : AVERROR(ENOMEM);
    picture->pts = 0;
    picture->quality = codec->global_quality;
    if (rc >= 0)
        rc = avcodec_send_frame(codec, picture);
    if (rc >= 0)
        rc = avcodec_receive_packet(codec, packet);
    if (rc >= 0)
        buf_put(out, packet->data, (size_t)packet->size);
    av_packet_free(&packet);
    if (rc < 0)
        return libav_error(err, rc, "cannot encode a JPEG");
    return out->failed ? error_set(err, ST_NOMEM, "no memory for a JPEG") : ST_OK;
}

enum status image_jpeg_write(const struct frame *f, int quality, struct buf *out, struct error *err)
{
    if (quality < 1 || quality > 100)
        return error_set(err, ST_INVALID, "a JPEG quality of %d: it must be 1 to 100", quality);
    libav_quiet();
    struct converter converter;
    converter_init(&converter);
    enum status st = ST_NOMEM;
    AVFrame *rgb = picture_open(AV_PIX_FMT_RGB24, f->width, f->height);
    AVCodecContext *codec = open_jpeg(f->width, f->height, quality);
    if (!rgb || !codec) {
        error_set(err, st, "no memory for a JPEG of %d x %d", f->width, f->height);
        goto out;
    }
    picture_pack(rgb, f);
    st = converter_run(&converter, rgb, AV_PIX_FMT_YUVJ420P, f->width, f->height, err);
    if (st == ST_OK)
        st = encode_jpeg(codec, converter.result, out, err);
out:
    avcodec_free_context(&codec);
    av_frame_free(&rgb);
    converter_clear(&converter);
    return st;
}
