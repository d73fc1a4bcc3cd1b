/* H.264 in MP4 through libavformat. The file is written under its own name as it grows: it is a
 * recording to look at, not state. */
#include "video/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#include "video/frame.h"
#include "video/picture.h"

/* MP4's customary clock. */
#define TICKS_PER_S 90000
/* A hint for the encoder: frames carry their own times. */
#define DECLARED_FPS 30

struct overlay_writer {
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream; /* borrowed from format */
    AVPacket *packet;
    AVFrame *rgb;
    struct converter converter;
    char *path;
    int width, height; /* as given; coded are the even sides */
    bool started, finished, failed;
    uint64_t first_us;
    int64_t last_tick, interval; /* in ticks; interval between the last two frames */
};

static enum status fail(struct overlay_writer *w, int code, const char *what, struct error *err)
{
    char text[384];
    snprintf(text, sizeof text, "%s %s", what, w->path);
    w->failed = true;
    return libav_error(err, code, text);
}

static enum status open_codec(struct overlay_writer *w, struct error *err)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    w->codec = codec ? avcodec_alloc_context3(codec) : NULL;
    w->packet = av_packet_alloc();
    w->rgb = picture_open(AV_PIX_FMT_RGB24, w->width, w->height);
    if (!w->codec || !w->packet || !w->rgb)
        return error_set(err, ST_NOMEM, "no memory for a recording (or libavcodec has no libx264)");
    w->codec->width = w->width & ~1;
    w->codec->height = w->height & ~1;
    w->codec->pix_fmt = AV_PIX_FMT_YUV420P;
    w->codec->colorspace = AVCOL_SPC_SMPTE170M;
    w->codec->color_range = AVCOL_RANGE_MPEG;
    w->codec->time_base = (AVRational){1, TICKS_PER_S};
    w->codec->framerate = (AVRational){DECLARED_FPS, 1};
    w->codec->gop_size = 100;
    w->codec->thread_count = 1;
    w->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    av_opt_set(w->codec->priv_data, "preset", "veryfast", 0);
    av_opt_set(w->codec->priv_data, "crf", "23", 0);
    int rc = avcodec_open2(w->codec, codec, NULL);
    return rc < 0 ? fail(w, rc, "cannot encode", err) : ST_OK;
}

static enum status open_file(struct overlay_writer *w, struct error *err)
{
    int rc = avformat_alloc_output_context2(&w->format, NULL, "mp4", w->path);
    if (rc < 0)
        return fail(w, rc, "cannot create", err);
    w->stream = avformat_new_stream(w->format, NULL);
    if (!w->stream)
        return error_set(err, ST_NOMEM, "no memory for a recording");
    w->stream->time_base = w->codec->time_base;
    rc = avcodec_parameters_from_context(w->stream->codecpar, w->codec);
    if (rc >= 0)
        rc = avio_open(&w->format->pb, w->path, AVIO_FLAG_WRITE);
    if (rc >= 0)
        rc = avformat_write_header(w->format, NULL);
    return rc < 0 ? fail(w, rc, "cannot create", err) : ST_OK;
}

enum status overlay_writer_open(const char *path, int width, int height,
                                struct overlay_writer **ret, struct error *err)
{
    if (width < 16 || height < 16 || width > FRAME_SIDE_MAX || height > FRAME_SIDE_MAX)
        return error_set(err, ST_INVALID, "a recording of %d x %d: each side must be 16 to %d",
                         width, height, FRAME_SIDE_MAX);
    libav_quiet();
    struct overlay_writer *w = calloc(1, sizeof *w);
    if (w)
        w->path = strdup(path);
    if (!w || !w->path) {
        free(w);
        return error_set(err, ST_NOMEM, "no memory for a recording");
    }
    w->width = width;
    w->height = height;
    enum status st = open_codec(w, err);
    if (st == ST_OK)
        st = open_file(w, err);
    if (st != ST_OK)
        overlay_writer_close(&w);
    else
        *ret = w;
    return st;
}

void overlay_writer_close(struct overlay_writer **w)
{
    if (!*w)
        return;
    if ((*w)->format && (*w)->format->pb)
        avio_closep(&(*w)->format->pb);
    avformat_free_context((*w)->format);
    avcodec_free_context(&(*w)->codec);
    av_packet_free(&(*w)->packet);
    av_frame_free(&(*w)->rgb);
    converter_clear(&(*w)->converter);
    free((*w)->path);
    free(*w);
    *w = NULL;
}

static enum status write_packets(struct overlay_writer *w, struct error *err)
{
    for (;;) {
        int rc = avcodec_receive_packet(w->codec, w->packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return ST_OK;
        if (rc >= 0) {
            av_packet_rescale_ts(w->packet, w->codec->time_base, w->stream->time_base);
            w->packet->stream_index = w->stream->index;
            /* Without it the last frame lasts no time, and players leave it out. */
            w->packet->duration = w->interval;
            rc = av_interleaved_write_frame(w->format, w->packet);
        }
        if (rc < 0)
            return fail(w, rc, "cannot write", err);
    }
}

static int64_t next_tick(struct overlay_writer *w, uint64_t t_us)
{
    if (!w->started)
        w->first_us = t_us;
    uint64_t since_us = t_us > w->first_us ? t_us - w->first_us : 0;
    int64_t tick = av_rescale((int64_t)(since_us & INT64_MAX), TICKS_PER_S, 1000000);
    if (w->started && tick <= w->last_tick)
        tick = w->last_tick + 1;
    w->interval = w->started ? tick - w->last_tick : TICKS_PER_S / DECLARED_FPS;
    w->started = true;
    w->last_tick = tick;
    return tick;
}

enum status overlay_writer_add(struct overlay_writer *w, const struct frame *f, struct error *err)
{
    if (f->width != w->width || f->height != w->height || w->finished || w->failed)
        return error_set(err, ST_INVALID,
                         "a frame of %d x %d for a recording of %d x %d that is %s", f->width,
                         f->height, w->width, w->height,
                         w->failed     ? "broken"
                         : w->finished ? "finished"
                                       : "open");
    picture_pack(w->rgb, f);
    AVFrame view = *w->rgb; /* the even sides of the same picture */
    view.width = w->codec->width;
    view.height = w->codec->height;
    enum status st =
        converter_run(&w->converter, &view, AV_PIX_FMT_YUV420P, view.width, view.height, err);
    if (st != ST_OK)
        return st;
    w->converter.result->pts = next_tick(w, f->t_us);
    int rc = avcodec_send_frame(w->codec, w->converter.result);
    return rc < 0 ? fail(w, rc, "cannot encode", err) : write_packets(w, err);
}

enum status overlay_writer_finish(struct overlay_writer *w, struct error *err)
{
    if (w->finished || w->failed)
        return error_set(err, ST_INVALID, "the recording %s is %s", w->path,
                         w->failed ? "broken" : "finished already");
    w->finished = true;
    int rc = avcodec_send_frame(w->codec, NULL);
    enum status st = rc < 0 ? fail(w, rc, "cannot finish", err) : write_packets(w, err);
    if (st != ST_OK)
        return st;
    rc = av_write_trailer(w->format);
    if (rc >= 0)
        rc = avio_closep(&w->format->pb);
    return rc < 0 ? fail(w, rc, "cannot finish", err) : ST_OK;
}
