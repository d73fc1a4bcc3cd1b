/* Folder or stream, then thinning to the wanted rate, then RGB in the wanted size. Frames that the
 * rate leaves out are decoded but never converted. */
#include "video/source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "video/folder.h"
#include "video/frame.h"
#include "video/input.h"
#include "video/mask.h"
#include "video/picture.h"
#include "video/stream.h"

struct video_source {
    struct video_source_options options;
    struct folder *folder; /* one of the two */
    struct stream *stream;
    struct converter converter;
    struct frame frame;
    const AVFrame *picture; /* the stream's, not converted yet */
    double next_tick;       /* of options.fps; a frame before it is left out */
    uint64_t damaged;       /* images; a stream counts its own */
    bool given;
    enum status ended; /* what every further call answers */
    struct error why;
};

void video_source_options_init(struct video_source_options *o)
{
    *o = (struct video_source_options){.timeout_ms = 10000};
}

bool video_transport_parse(const char *text, enum video_transport *ret)
{
#define VIDEO_TRANSPORT_NAME(name, text) text,
    static const char *const names[] = {VIDEO_TRANSPORT_LIST(VIDEO_TRANSPORT_NAME)};
#undef VIDEO_TRANSPORT_NAME
    int i = names_find(names, NAMES_COUNT(names), text, -1);
    if (i >= 0)
        *ret = (enum video_transport)i;
    return i >= 0;
}

bool video_source_is_tls(const char *url)
{
    return input_is_tls(url);
}

static enum status check_options(const struct video_source_options *o, struct error *err)
{
    if (!(o->fps >= 0 && o->fps <= 1000))
        return error_set(err, ST_INVALID, "a frame rate of %g: it must be 0 to 1000", o->fps);
    bool sized = o->width != 0 || o->height != 0;
    if (sized &&
        (o->width < 1 || o->height < 1 || o->width > FRAME_SIDE_MAX || o->height > FRAME_SIDE_MAX))
        return error_set(err, ST_INVALID, "a frame size of %d x %d: each side must be 1 to %d",
                         o->width, o->height, FRAME_SIDE_MAX);
    if (o->timeout_ms < 1 || o->timeout_ms > 600000)
        return error_set(err, ST_INVALID, "a timeout of %d ms: it must be 1 to 600000",
                         o->timeout_ms);
    return ST_OK;
}

enum status video_source_open(const char *url, const struct video_source_options *options,
                              struct video_source **ret, struct error *err)
{
    struct video_source *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory to open a video");
    video_source_options_init(&s->options);
    if (options)
        s->options = *options;
    enum status st = check_options(&s->options, err);
    if (st == ST_OK)
        st = folder_is(url) ? folder_open(url, &s->folder, err)
                            : stream_open(url, &s->options, &s->stream, err);
    if (st != ST_OK) {
        video_source_close(&s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

void video_source_close(struct video_source **s)
{
    if (!*s)
        return;
    folder_close(&(*s)->folder);
    stream_close(&(*s)->stream);
    converter_clear(&(*s)->converter);
    frame_clear(&(*s)->frame);
    free(*s);
    *s = NULL;
}

static enum status convert(struct video_source *s, const AVFrame *picture, uint64_t t_us,
                           struct error *err)
{
    enum status st = ST_OK;
    if (!s->frame.pixels) {
        bool sized = s->options.width > 0;
        st = frame_resize(&s->frame, sized ? s->options.width : picture->width,
                          sized ? s->options.height : picture->height, err);
    }
    if (st == ST_OK)
        st = converter_rgb(&s->converter, picture, &s->frame, err);
    if (st == ST_OK && s->options.mask)
        st = mask_paint(s->options.mask, &s->frame, err);
    s->frame.t_us = t_us;
    return st;
}

static enum status next_image(struct video_source *s, struct error *err)
{
    double fps = s->options.fps > 0 ? s->options.fps : 1;
    for (int run = 0; run < VIDEO_DAMAGED_RUN_MAX; run++) {
        AVFrame *picture = NULL;
        size_t index = 0;
        enum status st = folder_next(s->folder, &picture, &index, err);
        if (st == ST_END || st == ST_NOMEM)
            return st;
        if (st == ST_OK)
            st = convert(s, picture, (uint64_t)llround((double)index * 1e6 / fps), err);
        av_frame_free(&picture);
        if (st == ST_OK || st == ST_NOMEM)
            return st;
        s->damaged++;
    }
    return error_prefix(err, "%d images in a row cannot be read, the last:", VIDEO_DAMAGED_RUN_MAX);
}

/* For each tick of 1/fps, the first frame that is not more than half a frame before it. */
static bool wanted(struct video_source *s, uint64_t t_us)
{
    double fps = s->options.fps;
    if (fps <= 0)
        return true;
    double half_us = (double)stream_interval_us(s->stream) / 2;
    double tick = floor(((double)t_us + half_us) * fps / 1e6);
    if (tick < s->next_tick)
        return false;
    s->next_tick = tick + 1;
    return true;
}

static enum status next_picture(struct video_source *s, struct error *err)
{
    do {
        enum status st = stream_next(s->stream, &s->picture, &s->frame.t_us, err);
        if (st != ST_OK)
            return st;
    } while (!wanted(s, s->frame.t_us));
    return ST_OK;
}

/* What has ended stays so. */
static enum status outcome(struct video_source *s, enum status st, struct error *err)
{
    s->ended = st;
    if (st != ST_OK && st != ST_END && err)
        *err = s->why;
    return st;
}

enum status video_source_pass(struct video_source *s, uint64_t *ret_t_us, struct error *err)
{
    enum status st = s->ended;
    if (st == ST_OK)
        st = s->folder ? next_image(s, &s->why) : next_picture(s, &s->why);
    if (outcome(s, st, err) != ST_OK)
        return st;
    s->given = true;
    *ret_t_us = s->frame.t_us;
    return ST_OK;
}

enum status video_source_pixels(struct video_source *s, struct frame *out, struct error *err)
{
    enum status st = s->ended;
    if (st == ST_OK && s->picture)
        st = convert(s, s->picture, s->frame.t_us, &s->why);
    s->picture = NULL;
    if (outcome(s, st, err) == ST_OK)
        *out = s->frame;
    return st;
}

enum status video_source_next(struct video_source *s, struct frame *out, struct error *err)
{
    uint64_t t_us;
    enum status st = video_source_pass(s, &t_us, err);
    return st == ST_OK ? video_source_pixels(s, out, err) : st;
}

const char *video_source_name(const struct video_source *s)
{
    return s->folder && s->given ? folder_name(s->folder) : NULL;
}

static void folder_info(const struct video_source *s, struct video_source_info *ret)
{
    double fps = s->options.fps > 0 ? s->options.fps : 1;
    *ret = (struct video_source_info){.fps = fps,
                                      .duration_us =
                                          (uint64_t)((double)folder_count(s->folder) * 1e6 / fps),
                                      .damaged = s->damaged};
}

void video_source_info(const struct video_source *s, struct video_source_info *ret)
{
    if (s->stream) {
        stream_info(s->stream, ret);
        ret->native_fps = ret->fps;
        if (s->options.fps > 0 && s->options.fps < ret->fps)
            ret->fps = s->options.fps;
    } else {
        folder_info(s, ret);
    }
    if (s->frame.pixels || s->options.width > 0) {
        ret->width = s->frame.pixels ? s->frame.width : s->options.width;
        ret->height = s->frame.pixels ? s->frame.height : s->options.height;
    }
}
