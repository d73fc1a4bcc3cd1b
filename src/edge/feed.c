/* feed.c - paces a video source or the town against the monotonic clock.
 *
 * `origin_us` is the monotonic time of source time 0: fixed at the first frame for files and the
 * town. For live sources it is the least delay seen, allowed to grow by a millisecond a frame so
 * that a peer whose clock runs slow is not late for ever.
 */
#include "edge/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/url.h"
#include "synth/source.h"
#include "synth/things.h"
#include "task/task.h"
#include "uplink/client.h"
#include "video/frame.h"
#include "video/mask.h"
#include "video/scale.h"

#define FPS_ASSUMED 30.0
#define CREDENTIALS_BYTES_MAX 1024
#define LIVE_SLACK_US 1000
/* Frames that have been late for so long, at their own pace, are not late: the clock that stamps
 * them has stood still. */
#define LATE_RUN_US 2000000

struct feed {
    struct feed_options options;
    char url[FEED_URL_BYTES];
    struct video_source *video; /* one of the two */
    struct synth_source *town;
    double fps;
    bool live, started;
    uint64_t origin_us, index, period_us, town_next_us;
    uint64_t available_us;                   /* of the last frame */
    uint64_t late_since_us, steady_since_us; /* monotonic; 0: not late */
    struct backoff backoff;
    struct feed_stats stats;
    struct scaler scaler; /* the town at another size */
    struct frame scaled;
    struct label_map truth;
    struct synth_view town_view;
    struct rng rng;
};

/* The URL with what the credentials file has now; it holds secrets then. */
static enum status complete_url(const struct feed_options *o, char url[FEED_URL_BYTES],
                                struct error *err)
{
    const char *path = o->credentials_file;
    if (!path) {
        snprintf(url, FEED_URL_BYTES, "%s", o->url);
        return ST_OK;
    }
    struct buf file;
    buf_init(&file);
    enum status st = file_read(path, CREDENTIALS_BYTES_MAX, &file, err);
    if (st == ST_OK) {
        buf_put_u8(&file, 0);
        st = url_add_credentials(o->url, (const char *)file.data, url, FEED_URL_BYTES, err);
        if (st != ST_OK)
            st = error_prefix(err, "credentials file %s:", path);
    }
    buf_clear(&file);
    return st;
}

enum status feed_open_source(const struct feed_options *o, struct video_source **ret,
                             struct error *err)
{
    struct video_source_options v;
    char url[FEED_URL_BYTES];
    video_source_options_init(&v);
    v.fps = o->fps;
    v.width = o->width;
    v.height = o->height;
    v.mask = o->mask;
    v.transport = o->transport;
    v.tls_ca = o->tls_ca;
    if (o->timeout_s > 0)
        v.timeout_ms = (int)(o->timeout_s * 1000 + 0.5);
    v.cancel = o->cancel;
    enum status st = complete_url(o, url, err);
    if (st == ST_OK)
        st = video_source_open(url, &v, ret, err);
    memset(url, 0, sizeof url);
    return st;
}

static enum status open_video(struct feed *f, struct error *err)
{
    enum status st = feed_open_source(&f->options, &f->video, err);
    if (st != ST_OK)
        return st;
    struct video_source_info info;
    video_source_info(f->video, &info);
    f->live = info.live;
    f->fps = info.fps > 0 ? info.fps : FPS_ASSUMED;
    f->period_us = (uint64_t)(1e6 / f->fps);
    return ST_OK;
}

static enum status open_town(struct feed *f, struct error *err)
{
    size_t n = strlen(f->url);
    if (f->options.fps > 0)
        snprintf(f->url + n, sizeof f->url - n, "%sfps=%g", f->url[n - 1] == ':' ? "" : ",",
                 f->options.fps);
    enum status st = synth_source_open(f->url, &f->town, err);
    if (st != ST_OK)
        return st;
    const struct synth_url *u = synth_source_url(f->town);
    f->fps = u->fps;
    f->period_us = (uint64_t)(1e6 / f->fps);
    f->town_next_us = (uint64_t)(u->start_s * 1e6);
    if (!f->options.width || !f->options.height) {
        f->options.width = u->town.width;
        f->options.height = u->town.height;
    }
    st = frame_resize(&f->scaled, f->options.width, f->options.height, err);
    if (st == ST_OK)
        st = f->options.boxes
                 ? label_map_resize(&f->truth, DETECT_ROW_BYTES, DETECT_BOXES_MAX, err)
                 : label_map_resize(&f->truth, f->options.width, f->options.height, err);
    return st;
}

enum status feed_open(const struct feed_options *options, struct feed **ret, struct error *err)
{
    if (strlen(options->url) >= FEED_URL_BYTES - 64)
        return error_set(err, ST_LIMIT, "the source's URL is too long");
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(err, ST_NOMEM, "no memory for a source");
    f->options = *options;
    snprintf(f->url, sizeof f->url, "%s", options->url);
    f->options.url = f->url;
    scaler_init(&f->scaler);
    frame_init(&f->scaled);
    label_map_init(&f->truth);
    rng_init(&f->rng, options->seed, 2);
    backoff_init(&f->backoff, FEED_WAIT_FIRST_US, FEED_WAIT_MAX_US);
    f->steady_since_us = clock_mono_us();
    if (video_source_is_tls(f->url) && !f->options.tls_ca)
        log_write(LOG_WARN, "camera not verified",
                  "reason=\"the stream is encrypted, but whoever answers is taken for the camera; "
                  "name its certificate with tls_ca\"");
    enum status st = synth_url_is(f->url) ? open_town(f, err) : open_video(f, err);
    if (st != ST_OK) {
        feed_close(&f);
        return st;
    }
    *ret = f;
    return ST_OK;
}

void feed_close(struct feed **f)
{
    if (!f || !*f)
        return;
    video_source_close(&(*f)->video);
    synth_source_close(&(*f)->town);
    scaler_clear(&(*f)->scaler);
    frame_clear(&(*f)->scaled);
    label_map_clear(&(*f)->truth);
    free(*f);
    *f = NULL;
}

static bool cancelled(const struct feed *f)
{
    if (f->options.beats)
        atomic_fetch_add(f->options.beats, 1);
    return f->options.cancel && atomic_load(f->options.cancel);
}

/* Sleeps, but wakes up for cancel within a tenth of a second. */
static void sleep_until(const struct feed *f, uint64_t until_us)
{
    for (uint64_t now_us; !cancelled(f) && (now_us = clock_mono_us()) < until_us;)
        clock_sleep_until_us(until_us - now_us > 100000 ? now_us + 100000 : until_us);
}

/* The town's frames are made, so the overdue ones need not be made at all. */
static void skip_overdue_town(struct feed *f)
{
    uint64_t now_us = clock_mono_us(), due_us = f->origin_us + f->town_next_us;
    if (!f->started || now_us <= due_us + f->period_us)
        return;
    uint64_t skip = (now_us - due_us) / f->period_us;
    synth_source_skip(f->town, skip);
    f->stats.late += skip;
    f->index += skip;
}

/* Boxes keep the town's classes. */
static void list_things(const struct synth_view *v, struct label_map *truth)
{
    uint8_t class_of[TOWN_CLASS_COUNT];
    for (int c = 0; c < TOWN_CLASS_COUNT; c++)
        class_of[c] = (uint8_t)c;
    detect_from_boxes(v->boxes, v->box_count, v->frame.width, v->frame.height, class_of,
                      TOWN_THING_SIDE_MIN, truth->classes);
}

static enum status fit_town_view(struct feed *f, struct feed_view *out, struct error *err)
{
    struct synth_view *v = &f->town_view;
    *out = (struct feed_view){.frame = v->frame, .truth = &v->labels, .condition = v->condition};
    if (f->options.boxes) {
        list_things(v, &f->truth);
        out->truth = &f->truth;
    }
    enum status st = ST_OK;
    if (v->frame.width != f->options.width || v->frame.height != f->options.height) {
        if (!f->options.boxes)
            task_resize_labels(&v->labels, &f->truth);
        st = scaler_run(&f->scaler, &v->frame, &f->scaled, err);
        out->frame = f->scaled;
        out->truth = &f->truth;
    }
    return st == ST_OK && f->options.mask ? mask_paint(f->options.mask, &out->frame, err) : st;
}

/* The frame as a time alone. */
static enum status pass_town(struct feed *f, struct feed_view *out)
{
    double t_s = (double)f->index / f->fps, end_s = synth_source_url(f->town)->seconds;
    if (end_s > 0 && t_s >= end_s)
        return ST_END;
    synth_source_skip(f->town, 1);
    *out = (struct feed_view){.frame = {.width = f->options.width,
                                        .height = f->options.height,
                                        .t_us = (uint64_t)(t_s * 1e6 + 0.5)},
                              .condition = ""};
    f->town_next_us = out->frame.t_us + f->period_us;
    return ST_OK;
}

static enum status next_town(struct feed *f, uint64_t pixels_from, struct feed_view *out,
                             struct error *err)
{
    skip_overdue_town(f);
    if (f->started && f->index < pixels_from)
        return pass_town(f, out);
    enum status st = synth_source_next(f->town, &f->town_view, err);
    if (st != ST_OK)
        return st;
    uint64_t t_us = f->town_view.frame.t_us;
    f->town_next_us = t_us + f->period_us;
    if (!f->started)
        f->origin_us = clock_mono_us() - t_us;
    return fit_town_view(f, out, err);
}

static void tell_source(const struct feed *f, const char *reason)
{
    if (f->options.on_source)
        f->options.on_source(f->options.context, reason);
}

static void tell_lost(const struct feed *f, const struct error *why, char told[static 512])
{
    const char *reason = why->message[0] ? why->message : "the stream ended";
    if (strcmp(reason, told) == 0)
        return;
    snprintf(told, 512, "%s", reason);
    log_write(LOG_WARN, "source lost", "reason=\"%s\"", reason);
    tell_source(f, reason);
}

/* Waits, opens the live source anew, until it works or cancel is set (ST_END). */
static enum status restart_video(struct feed *f, struct error *why)
{
    char told[sizeof why->message] = "";
    if (clock_mono_us() - f->steady_since_us > FEED_STEADY_US)
        backoff_reset(&f->backoff);
    video_source_close(&f->video);
    while (!cancelled(f)) {
        tell_lost(f, why, told);
        sleep_until(f, clock_mono_us() + backoff_next_us(&f->backoff, &f->rng));
        if (cancelled(f) || open_video(f, why) != ST_OK)
            continue;
        f->stats.restarts++;
        log_write(LOG_INFO, "source back", "restarts=%llu", (unsigned long long)f->stats.restarts);
        tell_source(f, NULL);
        f->started = false;
        f->steady_since_us = clock_mono_us();
        return ST_OK;
    }
    return ST_END;
}

static void follow_live_clock(struct feed *f, uint64_t t_us)
{
    uint64_t now_us = clock_mono_us();
    uint64_t origin_us = now_us > t_us ? now_us - t_us : 0;
    f->origin_us += LIVE_SLACK_US;
    bool late = f->started && origin_us > f->origin_us + 2 * f->period_us;
    if (!late)
        f->late_since_us = 0;
    else if (f->late_since_us == 0)
        f->late_since_us = now_us;
    bool stood = late && now_us - f->late_since_us >= LATE_RUN_US;
    if (!f->started || origin_us < f->origin_us || stood)
        f->origin_us = origin_us;
}

/* Whether a frame of source time t_us, just decoded, is still of the present. */
static bool on_time(struct feed *f, uint64_t t_us)
{
    if (f->live)
        follow_live_clock(f, t_us);
    else if (!f->started)
        f->origin_us = clock_mono_us() - t_us;
    f->started = true;
    return clock_mono_us() <= f->origin_us + t_us + 2 * f->period_us;
}

/* The next frame that is of the present, with pixels from that index on. */
static enum status decode(struct feed *f, uint64_t pixels_from, struct frame *ret,
                          struct error *err)
{
    uint64_t t_us;
    enum status st;
    while ((st = video_source_pass(f->video, &t_us, err)) == ST_OK && !on_time(f, t_us)) {
        f->stats.late++;
        f->index++;
    }
    if (st != ST_OK)
        return st;
    *ret = (struct frame){.width = f->options.width, .height = f->options.height, .t_us = t_us};
    return f->index < pixels_from ? ST_OK : video_source_pixels(f->video, ret, err);
}

/* A source that is opened anew may have pictures of another size. */
static void keep_size(struct feed *f, const struct frame *first)
{
    if (f->options.width || !first->pixels)
        return;
    f->options.width = first->width;
    f->options.height = first->height;
}

static enum status next_video(struct feed *f, uint64_t pixels_from, struct feed_view *out,
                              struct error *err)
{
    for (;;) {
        struct frame frame;
        struct error why = {0};
        enum status st = decode(f, pixels_from, &frame, &why);
        if (st != ST_OK && !cancelled(f) && f->live) {
            if ((st = restart_video(f, &why)) != ST_OK)
                return st;
            continue;
        }
        if (st != ST_OK)
            return cancelled(f) || st == ST_END ? ST_END : error_set(err, st, "%s", why.message);
        *out = (struct feed_view){.frame = frame, .condition = ""};
        keep_size(f, &frame);
        return ST_OK;
    }
}

enum status feed_next(struct feed *f, uint64_t pixels_from, struct feed_view *out,
                      struct error *err)
{
    uint64_t asked_us = clock_mono_us();
    enum status st = cancelled(f) ? ST_END
                     : f->town    ? next_town(f, pixels_from, out, err)
                                  : next_video(f, pixels_from, out, err);
    if (st != ST_OK)
        return st;
    bool first = !f->started;
    f->started = true;
    out->index = f->index++;
    uint64_t due_us = f->origin_us + out->frame.t_us;
    if (!f->live)
        sleep_until(f, due_us);
    out->available_us = clock_mono_us();
    /* What it waited because the camera was busy counts; what decoding or rendering took does
     * not: a sensor delivers pictures. */
    if (!first && asked_us > due_us)
        out->available_us -= asked_us - due_us;
    /* Stamps that stand still or jump must not turn the order of frames around. */
    if (out->available_us <= f->available_us)
        out->available_us = f->available_us + 1;
    f->available_us = out->available_us;
    return ST_OK;
}

void feed_stats_get(const struct feed *f, struct feed_stats *ret)
{
    *ret = f->stats;
}

double feed_fps(const struct feed *f)
{
    return f->fps;
}

bool feed_has_truth(const struct feed *f)
{
    return f->town != NULL;
}

bool feed_passes_free(const struct feed *f)
{
    return f->town != NULL;
}
