/* libavformat and libavcodec behind one pull function. Every blocking call runs under a deadline
 * that the interrupt callback watches; the run of packets and of damaged frames without a picture
 * is bounded, so no input can keep a caller forever. */
#include "video/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "base/clock.h"
#include "base/url.h"
#include "video/input.h"
#include "video/picture.h"
#include "video/relay.h"

/* Packets of a badly interleaved file between two pictures. */
#define PACKETS_WITHOUT_PICTURE_MAX 100000
/* Pictures of a live source with one and the same stamp, after which it has no clock. */
#define SAME_STAMPS_MAX 4
/* A stamp this little before the last is jitter, more is a new clock. */
#define JITTER_US_MAX 1000000
#define GOODBYE_US 2000000
/* Reads that a non-blocking device may answer with "nothing yet" before its deadline. */
#define READ_WAIT_US 2000

struct stream {
    struct relay *relay; /* NULL: libav's own connection */
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *picture;
    int index;
    const char *url;                 /* borrowed while it is opened, then the shown one */
    char shown_url[URL_SHOWN_BYTES]; /* without a password */

    uint64_t deadline_us, timeout_us;
    const atomic_bool *cancel;
    struct video_source_options options;

    bool live, unstamped; /* pictures have no times of their own: that of their arrival */
    bool draining, have_picture;
    bool have_base;
    int64_t last_pts;
    int same_pts;    /* pictures in a row that had it */
    int64_t base_us; /* stream time of t_us 0, when have_base */
    uint64_t last_us, interval_us;
    uint64_t damaged, damaged_run;
};

static bool cancelled(const struct stream *s)
{
    return s->cancel && atomic_load(s->cancel);
}

static int on_interrupt(void *context)
{
    const struct stream *s = context;
    return cancelled(s) || clock_mono_us() >= s->deadline_us;
}

static void arm_deadline(struct stream *s)
{
    s->deadline_us = clock_mono_us() + s->timeout_us;
}

static enum status fail(const struct stream *s, struct error *err, int code, const char *what)
{
    if (cancelled(s))
        return error_set(err, ST_NETWORK, "%s %s: cancelled", what, s->shown_url);
    /* An interrupted RTSP handshake comes back as invalid data. */
    if (code == AVERROR_EXIT || clock_mono_us() >= s->deadline_us)
        return error_set(err, ST_NETWORK, "%s %s: no data for %.3g s", what, s->shown_url,
                         (double)s->timeout_us / 1e6);
    return input_error(s->url, s->shown_url, &s->options, code, what, err);
}

static void rearm(void *context, uint64_t more_us)
{
    struct stream *s = context;
    arm_deadline(s);
    s->deadline_us += more_us;
}

/* Somebody who asks for a check must not get a stream that has none. */
static enum status check_kind(const struct stream *s, struct error *err)
{
    enum input_kind kind = input_kind(s->url);
    bool open = kind != INPUT_FILE && kind != INPUT_DEVICE && !input_is_tls(s->url);
    if (open && s->options.tls_ca)
        return error_set(err, ST_INVALID,
                         "cannot open %s: `tls_ca` is of rtsps:// and https://, and this stream is "
                         "not encrypted; write rtsps:// (https://), or leave `tls_ca` out",
                         s->shown_url);
    return ST_OK;
}

/* The connection that is to be checked is made before libav is. */
static enum status open_relay(struct stream *s, const AVIOInterruptCB *over, struct error *err)
{
    int code;
    rearm(s, 0);
    enum status st = relay_open(s->url, s->options.tls_ca, over, &s->relay, &code, err);
    if (st == ST_OK)
        return ST_OK;
    return code ? fail(s, err, code, "cannot open")
                : error_prefix(err, "cannot open %s", s->shown_url);
}

static int open_input(struct stream *s)
{
    char url[RELAY_URL_BYTES];
    if (!s->relay)
        return input_open(s->url, NULL, &s->options, &s->format, rearm, s);
    relay_url(s->relay, s->url, url);
    int rc = input_open(url, relay_host(s->relay), &s->options, &s->format, rearm, s);
    memset(url, 0, sizeof url);
    return rc;
}

static enum status open_format(struct stream *s, struct error *err)
{
    const AVIOInterruptCB over = {.callback = on_interrupt, .opaque = s};
    enum status st = check_kind(s, err);
    if (st == ST_OK && s->options.tls_ca && input_is_tls(s->url))
        st = open_relay(s, &over, err);
    if (st != ST_OK)
        return st;
    s->format = avformat_alloc_context();
    if (!s->format)
        return error_set(err, ST_NOMEM, "no memory to open %s", s->shown_url);
    s->format->interrupt_callback = over;
    int rc = open_input(s);
    if (rc < 0)
        return fail(s, err, rc, "cannot open");
    enum input_kind kind = input_kind(s->url);
    s->live = kind == INPUT_DEVICE || (kind != INPUT_FILE && s->format->duration <= 0);
    s->unstamped = s->live && s->format->iformat->flags & AVFMT_NOTIMESTAMPS;
    return ST_OK;
}

/* The video track to decode, and what decodes it. */
static enum status find_track(struct stream *s, const AVCodec **codec, struct error *err)
{
    s->index = av_find_best_stream(s->format, AVMEDIA_TYPE_VIDEO, -1, -1, codec, 0);
    if (s->index >= 0 && *codec)
        return ST_OK;
    if (s->index == AVERROR_DECODER_NOT_FOUND)
        return error_set(err, ST_UNSUPPORTED,
                         "%s: its video codec cannot be decoded here; let the camera send H.264 or "
                         "H.265",
                         s->shown_url);
    return error_set(err, ST_UNSUPPORTED, "%s: it has no video track; check the path",
                     s->shown_url);
}

static enum status open_codec(struct stream *s, struct error *err)
{
    const AVCodec *codec = NULL;
    enum status st = find_track(s, &codec, err);
    if (st != ST_OK)
        return st;
    for (unsigned i = 0; i < s->format->nb_streams; i++)
        if ((int)i != s->index)
            s->format->streams[i]->discard = AVDISCARD_ALL;
    s->codec = avcodec_alloc_context3(codec);
    s->packet = av_packet_alloc();
    s->picture = av_frame_alloc();
    if (!s->codec || !s->packet || !s->picture)
        return error_set(err, ST_NOMEM, "no memory to decode %s", s->shown_url);
    int rc = avcodec_parameters_to_context(s->codec, s->format->streams[s->index]->codecpar);
    s->codec->pkt_timebase = s->format->streams[s->index]->time_base;
    s->codec->thread_count = 1;
    s->codec->max_pixels = (int64_t)FRAME_SIDE_MAX * FRAME_SIDE_MAX;
    if (rc >= 0)
        rc = avcodec_open2(s->codec, codec, NULL);
    return rc < 0 ? fail(s, err, rc, "cannot open the decoder") : ST_OK;
}

static uint64_t nominal_interval_us(const struct stream *s)
{
    const AVStream *v = s->format->streams[s->index];
    double fps = v->avg_frame_rate.den ? av_q2d(v->avg_frame_rate) : 0;
    if (!(fps >= 0.001 && fps <= 1000))
        fps = v->r_frame_rate.den ? av_q2d(v->r_frame_rate) : 0;
    if (!(fps >= 0.001 && fps <= 1000))
        fps = 25;
    return (uint64_t)(1e6 / fps + 0.5);
}

enum status stream_open(const char *url, const struct video_source_options *options,
                        struct stream **ret, struct error *err)
{
    libav_quiet();
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory to open a video");
    url_redact(url, s->shown_url, sizeof s->shown_url);
    s->url = url;
    s->options = *options;
    s->timeout_us = (uint64_t)options->timeout_ms * 1000;
    s->cancel = options->cancel;
    enum status st = open_format(s, err);
    if (st == ST_OK)
        st = open_codec(s, err);
    if (st != ST_OK) {
        stream_close(&s);
        return st;
    }
    s->url = s->shown_url;
    s->interval_us = nominal_interval_us(s);
    *ret = s;
    return ST_OK;
}

void stream_close(struct stream **s)
{
    if (!*s)
        return;
    arm_deadline(*s); /* the goodbye to a server is bounded too, however patient reads are */
    uint64_t soon_us = clock_mono_us() + GOODBYE_US;
    (*s)->deadline_us = soon_us < (*s)->deadline_us ? soon_us : (*s)->deadline_us;
    av_frame_free(&(*s)->picture);
    av_packet_free(&(*s)->packet);
    avcodec_free_context(&(*s)->codec);
    avformat_close_input(&(*s)->format);
    relay_close(&(*s)->relay);
    free(*s);
    *s = NULL;
}

static enum status count_damaged(struct stream *s, struct error *err)
{
    s->damaged++;
    if (++s->damaged_run >= VIDEO_DAMAGED_RUN_MAX)
        return error_set(err, ST_FORMAT, "%s: %d damaged frames in a row", s->shown_url,
                         VIDEO_DAMAGED_RUN_MAX);
    return ST_OK;
}

/* Stream time to t_us: monotone from 0, whatever the stamps are. */
static uint64_t place(struct stream *s, int64_t pts_us, uint64_t next_us)
{
    int64_t t = 0, ahead = 0;
    bool known = s->have_base && !__builtin_sub_overflow(pts_us, s->base_us, &t) &&
                 !__builtin_sub_overflow(t, (int64_t)s->last_us, &ahead);
    if (known && ahead >= 0 && ahead <= (int64_t)VIDEO_GAP_US_MAX)
        return (uint64_t)t;
    if (known && ahead < 0 && ahead >= -JITTER_US_MAX)
        return s->last_us;
    s->have_base = !__builtin_sub_overflow(pts_us, (int64_t)next_us, &s->base_us);
    return next_us;
}

/* Cameras with a clock that stands still get the times of arrival, like those without. */
static void watch_clock(struct stream *s, int64_t pts)
{
    s->same_pts = s->have_picture && pts == s->last_pts ? s->same_pts + 1 : 0;
    s->last_pts = pts;
    if (s->live && s->same_pts >= SAME_STAMPS_MAX)
        s->unstamped = true;
}

static uint64_t stamp(struct stream *s)
{
    uint64_t t_us = s->have_picture ? s->last_us + s->interval_us : 0;
    int64_t pts = s->picture->best_effort_timestamp;
    watch_clock(s, pts);
    AVRational unit = s->format->streams[s->index]->time_base;
    if (s->unstamped)
        t_us = place(s, (int64_t)clock_mono_us(), t_us);
    else if (pts != AV_NOPTS_VALUE)
        t_us = place(s, av_rescale_q(pts, unit, (AVRational){1, 1000000}), t_us);
    s->have_picture = true;
    s->last_us = t_us;
    return t_us;
}

/* The next packet of the video track. Devices do not block; sound that goes on without pictures
 * is a stall, too. */
static int read_packet(struct stream *s)
{
    arm_deadline(s);
    for (;;) {
        int rc = av_read_frame(s->format, s->packet);
        if (rc != AVERROR(EAGAIN) && (rc < 0 || s->packet->stream_index == s->index))
            return rc;
        if (rc < 0)
            clock_sleep_until_us(clock_mono_us() + READ_WAIT_US);
        else
            av_packet_unref(s->packet);
        if (on_interrupt(s))
            return AVERROR_EXIT;
    }
}

/* One packet into the decoder, or its end. */
static enum status feed(struct stream *s, struct error *err)
{
    int rc = read_packet(s);
    if (rc == AVERROR_EOF) {
        s->draining = true;
        rc = avcodec_send_packet(s->codec, NULL);
        return rc < 0 && rc != AVERROR_EOF ? fail(s, err, rc, "cannot finish") : ST_OK;
    }
    if (rc == AVERROR_INVALIDDATA)
        return count_damaged(s, err);
    if (rc < 0)
        return fail(s, err, rc, "cannot read");
    rc = avcodec_send_packet(s->codec, s->packet);
    av_packet_unref(s->packet);
    if (rc == AVERROR(ENOMEM))
        return fail(s, err, rc, "cannot decode");
    return rc < 0 ? count_damaged(s, err) : ST_OK;
}

/* ST_AGAIN: the decoder wants more. */
static enum status take_picture(struct stream *s, struct error *err)
{
    int rc = avcodec_receive_frame(s->codec, s->picture);
    if (rc == AVERROR(EAGAIN))
        return s->draining ? ST_END : ST_AGAIN;
    if (rc == AVERROR_EOF)
        return ST_END;
    if (rc == AVERROR(ENOMEM))
        return fail(s, err, rc, "cannot decode");
    bool damaged = rc < 0 || s->picture->flags & AV_FRAME_FLAG_CORRUPT ||
                   s->picture->decode_error_flags || s->picture->width > FRAME_SIDE_MAX ||
                   s->picture->height > FRAME_SIDE_MAX;
    if (!damaged)
        return ST_OK;
    enum status st = count_damaged(s, err);
    return st == ST_OK ? ST_AGAIN : st;
}

enum status stream_next(struct stream *s, const AVFrame **ret, uint64_t *ret_t_us,
                        struct error *err)
{
    for (int packets = 0; packets < PACKETS_WITHOUT_PICTURE_MAX; packets++) {
        enum status st = take_picture(s, err);
        if (st == ST_OK) {
            s->damaged_run = 0;
            *ret = s->picture;
            *ret_t_us = stamp(s);
            return ST_OK;
        }
        if (st != ST_AGAIN)
            return st;
        st = s->draining ? ST_OK : feed(s, err);
        if (st != ST_OK)
            return st;
    }
    return error_set(err, ST_FORMAT, "%s: no picture in %d packets", s->shown_url,
                     PACKETS_WITHOUT_PICTURE_MAX);
}

uint64_t stream_interval_us(const struct stream *s)
{
    return s->interval_us;
}

void stream_info(const struct stream *s, struct video_source_info *ret)
{
    bool has_end = s->format->duration > 0;
    *ret = (struct video_source_info){.width = s->codec->width,
                                      .height = s->codec->height,
                                      .fps = 1e6 / (double)s->interval_us,
                                      .duration_us = has_end ? (uint64_t)s->format->duration : 0,
                                      .damaged = s->damaged,
                                      .live = s->live};
    snprintf(ret->codec, sizeof ret->codec, "%s", avcodec_get_name(s->codec->codec_id));
}
