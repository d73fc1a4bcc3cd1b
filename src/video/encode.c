/* One try is one x264 encoding of all frames at one constant rate factor. Frames are converted
 * anew for every try: it costs a tenth of the encoding, keeping them would cost their memory.
 * x264's SEI, a text of 700 bytes about itself, is taken out: small budgets notice. */
#include "video/encode.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>

#include "base/names.h"
#include "video/picture.h"

#define COARSEST_FACTOR 51.0
#define BUDGET_USED_ENOUGH 0.8
#define BUDGET_AIM 0.92
/* As AMS's script declares it; with few frames it only shapes x264's rate decisions. */
#define DECLARED_FPS 10

struct encoder {
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *rgb;
    struct converter converter;
};

void clip_options_init(struct clip_options *o)
{
    *o = (struct clip_options){
        .bytes_max = 250000, .preset = "veryfast", .finest_factor = 18, .start_factor = 26};
}

void clip_init(struct clip *c)
{
    memset(c, 0, sizeof *c);
}

void clip_clear(struct clip *c)
{
    buf_clear(&c->bytes);
    clip_init(c);
}

static enum status check_frames(const struct frame *frames, int count, struct error *err)
{
    if (count < 1 || count > CLIP_FRAMES_MAX)
        return error_set(err, ST_INVALID, "a clip of %d frames: it must have 1 to %d", count,
                         CLIP_FRAMES_MAX);
    int width = frames[0].width, height = frames[0].height;
    if (width < 16 || height < 16 || width > FRAME_SIDE_MAX || height > FRAME_SIDE_MAX)
        return error_set(err, ST_INVALID, "a clip of %d x %d: each side must be 16 to %d", width,
                         height, FRAME_SIDE_MAX);
    for (int i = 1; i < count; i++)
        if (frames[i].width != width || frames[i].height != height)
            return error_set(err, ST_INVALID, "frame %d of a clip is %d x %d, the first %d x %d", i,
                             frames[i].width, frames[i].height, width, height);
    return ST_OK;
}

/* x264 would print its complaint. */
static bool is_preset(const char *name)
{
    static const char *const known[] = {"ultrafast", "superfast", "veryfast", "faster",  "fast",
                                        "medium",    "slow",      "slower",   "veryslow"};
    return names_find(known, NAMES_COUNT(known), name, -1) >= 0;
}

static enum status check_options(const struct clip_options *o, struct error *err)
{
    if (!is_preset(o->preset))
        return error_set(err, ST_INVALID,
                         "x264 has no preset \"%s\": use ultrafast, superfast, veryfast, faster, "
                         "fast, medium, slow, slower or veryslow",
                         o->preset ? o->preset : "");
    if (o->bytes_max < 64 || o->bytes_max > (size_t)1 << 28)
        return error_set(err, ST_INVALID, "a clip budget of %zu bytes: it must be 64 to 2^28",
                         o->bytes_max);
    if (!(o->finest_factor >= 0 && o->finest_factor <= COARSEST_FACTOR) ||
        !(o->start_factor >= 0 && o->start_factor <= COARSEST_FACTOR))
        return error_set(err, ST_INVALID, "rate factors of %g and %g: they must be 0 to %g",
                         o->finest_factor, o->start_factor, COARSEST_FACTOR);
    return ST_OK;
}

/* With AVX-512 x264's macroblock tree reads on beyond the macroblocks of a row that are no multiple
 * of four, and what memory held there shows in the clip (0.164). With AVX2 it takes as long. */
static void avoid_avx512(AVCodecContext *codec)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        av_opt_set(codec->priv_data, "x264-params", "asm=LZCNT,FMA3,BMI2,AVX2", 0);
#else
    (void)codec;
#endif
}

static enum status encoder_open(struct encoder *e, const struct frame *like, const char *preset,
                                double factor, struct error *err)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    if (!codec)
        return error_set(err, ST_UNSUPPORTED,
                         "libavcodec has no libx264: install Debian's libavcodec");
    e->codec = avcodec_alloc_context3(codec);
    e->packet = av_packet_alloc();
    e->rgb = picture_open(AV_PIX_FMT_RGB24, like->width + like->width % 2,
                          like->height + like->height % 2);
    if (!e->codec || !e->packet || !e->rgb)
        return error_set(err, ST_NOMEM, "no memory to encode a clip");
    e->codec->width = e->rgb->width;
    e->codec->height = e->rgb->height;
    e->codec->pix_fmt = AV_PIX_FMT_YUV420P;
    e->codec->colorspace = AVCOL_SPC_SMPTE170M; /* what the converter makes */
    e->codec->color_range = AVCOL_RANGE_MPEG;
    e->codec->time_base = (AVRational){1, DECLARED_FPS};
    e->codec->framerate = (AVRational){DECLARED_FPS, 1};
    e->codec->gop_size = CLIP_FRAMES_MAX;
    e->codec->max_b_frames = 0;
    e->codec->thread_count = 1;
    char text[32];
    snprintf(text, sizeof text, "%.2f", factor);
    av_opt_set(e->codec->priv_data, "preset", preset, 0);
    av_opt_set(e->codec->priv_data, "crf", text, 0);
    avoid_avx512(e->codec);
    int rc = avcodec_open2(e->codec, codec, NULL);
    return rc < 0 ? libav_error(err, rc, "x264 cannot encode a clip") : ST_OK;
}

static void encoder_clear(struct encoder *e)
{
    av_frame_free(&e->rgb);
    av_packet_free(&e->packet);
    avcodec_free_context(&e->codec);
    converter_clear(&e->converter);
}

/* Offset of the next 00 00 01 at or after `from`, n when there is none. */
static size_t find_start(const uint8_t *data, size_t n, size_t from)
{
    for (size_t i = from; i + 3 <= n; i++)
        if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1)
            return i;
    return n;
}

/* Appends the NAL units of a packet, all but SEI. */
static void put_units(struct buf *out, const uint8_t *data, size_t n)
{
    size_t at = find_start(data, n, 0);
    while (at < n) {
        size_t next = find_start(data, n, at + 3);
        bool is_sei = at + 3 < n && (data[at + 3] & 31) == 6;
        if (!is_sei)
            buf_put(out, data + at, next - at);
        at = next;
    }
}

static enum status take_packets(struct encoder *e, struct clip *c, struct error *err)
{
    for (;;) {
        int rc = avcodec_receive_packet(e->codec, e->packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return ST_OK;
        if (rc < 0)
            return libav_error(err, rc, "cannot encode a clip");
        size_t before = c->bytes.size_bytes;
        put_units(&c->bytes, e->packet->data, (size_t)e->packet->size);
        av_packet_unref(e->packet);
        if (c->bytes.failed)
            return error_set(err, ST_NOMEM, "no memory for an encoded clip");
        if (c->count == CLIP_FRAMES_MAX)
            return error_set(err, ST_INTERNAL, "x264 gave more packets than frames");
        c->frame_bytes[c->count++] = (uint32_t)(c->bytes.size_bytes - before);
    }
}

static enum status send_frame(struct encoder *e, const struct frame *f, int index,
                              struct error *err)
{
    picture_pack(e->rgb, f);
    enum status st = converter_run(&e->converter, e->rgb, AV_PIX_FMT_YUV420P, e->rgb->width,
                                   e->rgb->height, err);
    if (st != ST_OK)
        return st;
    e->converter.result->pts = index;
    int rc = avcodec_send_frame(e->codec, e->converter.result);
    return rc < 0 ? libav_error(err, rc, "cannot encode a frame") : ST_OK;
}

/* All frames at one rate factor into *c. */
static enum status encode_once(const struct frame *frames, int count, const char *preset,
                               double factor, struct clip *c, struct error *err)
{
    struct encoder e = {0};
    c->bytes.size_bytes = 0;
    c->count = 0;
    c->rate_factor = factor;
    enum status st = encoder_open(&e, frames, preset, factor, err);
    for (int i = 0; i < count && st == ST_OK; i++) {
        st = send_frame(&e, &frames[i], i, err);
        if (st == ST_OK)
            st = take_packets(&e, c, err);
    }
    if (st == ST_OK && avcodec_send_frame(e.codec, NULL) < 0)
        st = error_set(err, ST_INTERNAL, "x264 does not finish a clip");
    if (st == ST_OK)
        st = take_packets(&e, c, err);
    if (st == ST_OK && c->count != count)
        st = error_set(err, ST_INTERNAL, "x264 gave %d packets for %d frames", c->count, count);
    encoder_clear(&e);
    return st;
}

/* Where the budget should be met, from a size that came out. */
static double predict_factor(const struct clip *tried, const struct clip_options *o)
{
    double ratio = (double)tried->bytes.size_bytes / (BUDGET_AIM * (double)o->bytes_max);
    double factor = tried->rate_factor + 6 * log2(ratio);
    return fmin(fmax(factor, o->finest_factor), COARSEST_FACTOR);
}

static bool fits(const struct clip *c, const struct clip_options *o)
{
    return c->bytes.size_bytes <= o->bytes_max;
}

static bool good_enough(const struct clip *c, const struct clip_options *o)
{
    return fits(c, o) && (c->rate_factor <= o->finest_factor ||
                          (double)c->bytes.size_bytes >= BUDGET_USED_ENOUGH * (double)o->bytes_max);
}

/* Drops frames from the end until the budget is kept. */
static enum status cut(struct clip *c, size_t bytes_max, struct error *err)
{
    while (c->count > 0 && c->bytes.size_bytes > bytes_max)
        c->bytes.size_bytes -= c->frame_bytes[--c->count];
    if (c->count == 0)
        return error_set(err, ST_LIMIT,
                         "not even one frame of %d x %d fits in %zu bytes; give the uplink more "
                         "or send smaller frames",
                         c->width, c->height, bytes_max);
    return ST_OK;
}

static void swap(struct clip *a, struct clip *b)
{
    struct clip t = *a;
    *a = *b;
    *b = t;
}

/* *best: the largest clip so far that fits (count 0: none). Ends with *best as good as the tries
 * allow, or with the coarsest in *last. */
static enum status search(const struct frame *frames, int count, const struct clip_options *o,
                          struct clip *best, struct clip *last, struct error *err)
{
    double factor = fmax(o->start_factor, o->finest_factor);
    for (int tries = 1; tries <= CLIP_TRIES_MAX; tries++) {
        bool nothing_fits = best->count == 0;
        if (tries == CLIP_TRIES_MAX && nothing_fits)
            factor = COARSEST_FACTOR;
        enum status st = encode_once(frames, count, o->preset, factor, last, err);
        if (st != ST_OK)
            return st;
        last->tries = tries;
        best->tries = tries;
        double next = predict_factor(last, o);
        if (fits(last, o) && (nothing_fits || last->bytes.size_bytes > best->bytes.size_bytes))
            swap(best, last);
        bool done = best->count > 0 && good_enough(best, o);
        if (done || fabs(next - factor) < 0.25)
            return ST_OK;
        factor = next;
    }
    return ST_OK;
}

enum status clip_encode(const struct frame *frames, int count, const struct clip_options *options,
                        struct clip *ret, struct error *err)
{
    struct clip_options o;
    clip_options_init(&o);
    if (options)
        o = *options;
    enum status st = check_frames(frames, count, err);
    if (st == ST_OK)
        st = check_options(&o, err);
    if (st != ST_OK)
        return st;
    libav_quiet();
    struct clip best, last;
    clip_init(&best);
    clip_init(&last);
    best.width = last.width = frames[0].width;
    best.height = last.height = frames[0].height;
    st = search(frames, count, &o, &best, &last, err);
    if (st == ST_OK && best.count == 0) {
        swap(&best, &last);
        st = cut(&best, o.bytes_max, err);
    }
    if (st == ST_OK)
        swap(ret, &best);
    clip_clear(&best);
    clip_clear(&last);
    return st;
}
