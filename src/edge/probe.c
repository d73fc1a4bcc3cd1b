#include "edge/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "synth/source.h"

#define WAITED_US 10000
#define PACE_S 1 /* a shorter look says nothing of the pace */

static enum status probe_town(const char *url, struct probe *ret, struct error *err)
{
    struct synth_source *s = NULL;
    struct synth_view view;
    enum status st = synth_source_open(url, &s, err);
    if (st == ST_OK)
        st = synth_source_next(s, &view, err);
    if (st == ST_OK)
        *ret = (struct probe){.width = view.frame.width,
                              .height = view.frame.height,
                              .fps = synth_source_url(s)->fps,
                              .frames = 1};
    synth_source_close(&s);
    return st;
}

/* Frames behind the first one, until time or frames are up. What libav has read ahead while opening
 * comes at once, so the pace counts from the first frame that had to be waited for. */
static void look(struct video_source *s, double seconds, uint64_t t_us, struct probe *ret)
{
    struct video_source_info info;
    uint64_t now_us = clock_mono_us(), until_us = now_us + (uint64_t)(seconds * 1e6);
    uint64_t from_us = 0, from_t_us = 0, from_frames = 0;
    while (now_us < until_us && (ret->live || ret->frames < PROBE_FRAMES)) {
        uint64_t before_us = now_us;
        if (video_source_pass(s, &t_us, NULL) != ST_OK)
            break;
        ret->frames++;
        now_us = clock_mono_us();
        if (from_us > 0 || now_us - before_us < WAITED_US)
            continue;
        from_us = now_us;
        from_t_us = t_us;
        from_frames = ret->frames;
        until_us = now_us + (uint64_t)(seconds * 1e6);
    }
    double took_s = from_us > 0 ? (double)(now_us - from_us) / 1e6 : 0;
    if (ret->live && took_s >= PACE_S) {
        ret->seen_fps = (double)(ret->frames - from_frames) / took_s;
        ret->pace = (double)(t_us - from_t_us) / 1e6 / took_s;
    }
    video_source_info(s, &info);
    ret->damaged = info.damaged;
}

enum status probe_source(const struct feed_options *o, double seconds, struct probe *ret,
                         struct error *err)
{
    if (synth_url_is(o->url))
        return probe_town(o->url, ret, err);
    struct video_source *s = NULL;
    struct frame frame;
    uint64_t began_us = clock_mono_us();
    enum status st = feed_open_source(o, &s, err);
    if (st == ST_OK)
        st = video_source_next(s, &frame, err);
    if (st == ST_END)
        st = error_set(err, ST_FORMAT, "it has no picture");
    if (st == ST_OK) {
        struct video_source_info info;
        video_source_info(s, &info);
        *ret = (struct probe){.width = frame.width,
                              .height = frame.height,
                              .fps = info.native_fps,
                              .frames = 1,
                              .live = info.live,
                              .open_s = (double)(clock_mono_us() - began_us) / 1e6};
        snprintf(ret->codec, sizeof ret->codec, "%s", info.codec);
        look(s, seconds, frame.t_us, ret);
    }
    video_source_close(&s);
    return st;
}
