/* libavcodec's parser cuts the bytes into pictures, its decoder is told to give up on any error
 * and on pictures larger than the clip says. */
#include "video/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include "video/frame.h"
#include "video/picture.h"

struct clip_decoder {
    AVCodecContext *codec;
    AVCodecParserContext *parser;
    AVPacket *packet;
    AVFrame *picture;
    struct converter converter;
    uint8_t *bytes; /* a copy: libav reads past the end */
    size_t at, size_bytes;
    int width, height, count, given;
    bool parsed, draining;
    enum status ended;
};

static enum status check_clip(size_t n, int width, int height, int count, struct error *err)
{
    if (width < 16 || height < 16 || width > FRAME_SIDE_MAX || height > FRAME_SIDE_MAX ||
        count < 1 || count > CLIP_FRAMES_MAX || n < 1 || n > (size_t)1 << 28)
        return error_set(err, ST_FORMAT, "a clip of %d frames of %d x %d in %zu bytes", count,
                         width, height, n);
    return ST_OK;
}

static enum status open_codec(struct clip_decoder *d, struct error *err)
{
    const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_H264);
    d->codec = codec ? avcodec_alloc_context3(codec) : NULL;
    d->parser = av_parser_init(AV_CODEC_ID_H264);
    d->packet = av_packet_alloc();
    d->picture = av_frame_alloc();
    if (!d->codec || !d->parser || !d->packet || !d->picture)
        return error_set(err, ST_NOMEM, "no memory to decode a clip");
    d->codec->thread_count = 1;
    d->codec->err_recognition = AV_EF_EXPLODE | AV_EF_BITSTREAM | AV_EF_BUFFER;
    /* Coded sizes are multiples of 16, of 32 where interlaced. */
    d->codec->max_pixels = (int64_t)(d->width + 32) * (d->height + 32);
    if (avcodec_open2(d->codec, codec, NULL) < 0)
        return error_set(err, ST_UNSUPPORTED, "libavcodec cannot decode H.264");
    return ST_OK;
}

enum status clip_decoder_open(const void *data, size_t n, int width, int height, int count,
                              struct clip_decoder **ret, struct error *err)
{
    enum status st = check_clip(n, width, height, count, err);
    if (st != ST_OK)
        return st;
    libav_quiet();
    struct clip_decoder *d = calloc(1, sizeof *d);
    if (d)
        d->bytes = calloc(1, n + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!d || !d->bytes) {
        free(d);
        return error_set(err, ST_NOMEM, "no memory to decode a clip of %zu bytes", n);
    }
    memcpy(d->bytes, data, n);
    d->size_bytes = n;
    d->width = width;
    d->height = height;
    d->count = count;
    st = open_codec(d, err);
    if (st != ST_OK)
        clip_decoder_close(&d);
    else
        *ret = d;
    return st;
}

void clip_decoder_close(struct clip_decoder **d)
{
    if (!*d)
        return;
    av_frame_free(&(*d)->picture);
    av_packet_free(&(*d)->packet);
    if ((*d)->parser)
        av_parser_close((*d)->parser);
    avcodec_free_context(&(*d)->codec);
    converter_clear(&(*d)->converter);
    free((*d)->bytes);
    free(*d);
    *d = NULL;
}

static enum status damaged(const struct clip_decoder *d, struct error *err)
{
    return error_set(err, ST_FORMAT, "the clip is damaged after %d of %d frames", d->given,
                     d->count);
}

/* The next coded picture into d->packet; false at the clip's end. The parser gives the last one
 * when it is told that nothing more comes. */
static bool next_packet(struct clip_decoder *d)
{
    while (!d->parsed) {
        uint8_t *unit = NULL;
        int size = 0;
        size_t left = d->size_bytes - d->at;
        int used = av_parser_parse2(d->parser, d->codec, &unit, &size, d->bytes + d->at, (int)left,
                                    AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
        d->at += used > 0 ? (size_t)used : 0;
        d->parsed = left == 0 || used < 0 || (used == 0 && size <= 0);
        if (size > 0) {
            d->packet->data = unit;
            d->packet->size = size;
            return true;
        }
    }
    return false;
}

static enum status feed(struct clip_decoder *d, struct error *err)
{
    int rc;
    if (next_packet(d)) {
        rc = avcodec_send_packet(d->codec, d->packet);
        d->packet->data = NULL;
        d->packet->size = 0;
    } else {
        rc = avcodec_send_packet(d->codec, NULL);
        d->draining = true;
    }
    if (rc == AVERROR(ENOMEM))
        return error_set(err, ST_NOMEM, "no memory to decode a clip");
    return rc < 0 ? damaged(d, err) : ST_OK;
}

/* ST_END at the end of the bytes, whatever was promised. */
static enum status next_picture(struct clip_decoder *d, struct error *err)
{
    for (;;) {
        int rc = avcodec_receive_frame(d->codec, d->picture);
        if (rc >= 0)
            return d->picture->decode_error_flags || d->picture->flags & AV_FRAME_FLAG_CORRUPT
                       ? damaged(d, err)
                       : ST_OK;
        if (rc == AVERROR_EOF)
            return ST_END;
        if (rc != AVERROR(EAGAIN))
            return damaged(d, err);
        enum status st = d->draining ? damaged(d, err) : feed(d, err);
        if (st != ST_OK)
            return st;
    }
}

/* An odd side was padded by one for the encoder. */
static enum status check_picture(struct clip_decoder *d, struct error *err)
{
    AVFrame *p = d->picture;
    if (p->width != d->width + d->width % 2 || p->height != d->height + d->height % 2)
        return error_set(err, ST_FORMAT, "a clip of %d x %d holds a frame of %d x %d", d->width,
                         d->height, p->width, p->height);
    p->width = d->width;
    p->height = d->height;
    return ST_OK;
}

static enum status give_next(struct clip_decoder *d, struct frame *out, struct error *err)
{
    enum status st = next_picture(d, err);
    if (st == ST_END && d->given < d->count)
        return error_set(err, ST_FORMAT, "a clip of %d frames holds only %d", d->count, d->given);
    if (st == ST_OK && d->given == d->count)
        return error_set(err, ST_FORMAT, "a clip of %d frames holds more", d->count);
    if (st == ST_OK)
        st = check_picture(d, err);
    if (st == ST_OK)
        st = frame_resize(out, d->width, d->height, err);
    if (st == ST_OK)
        st = converter_rgb(&d->converter, d->picture, out, err);
    if (st == ST_OK)
        d->given++;
    return st;
}

enum status clip_decoder_next(struct clip_decoder *d, struct frame *out, struct error *err)
{
    if (d->ended != ST_OK)
        return d->ended == ST_END ? ST_END : error_set(err, d->ended, "the clip has failed before");
    d->ended = give_next(d, out, err);
    return d->ended;
}

enum status clip_decode(const void *data, size_t n, int width, int height, int count,
                        struct frame *frames, struct error *err)
{
    struct clip_decoder *d = NULL;
    enum status st = clip_decoder_open(data, n, width, height, count, &d, err);
    for (int i = 0; i < count && st == ST_OK; i++)
        st = clip_decoder_next(d, &frames[i], err);
    struct frame none;
    frame_init(&none);
    if (st == ST_OK && clip_decoder_next(d, &none, err) != ST_END)
        st = ST_FORMAT;
    frame_clear(&none);
    clip_decoder_close(&d);
    return st;
}
