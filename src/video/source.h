/* source.h - frames from anywhere: files, rtsp://, http://, V4L2 devices, folders of images.
 *
 * A URL is whatever libavformat opens; /dev/videoN, /dev/v4l/... and v4l2:PATH are V4L2 devices. A
 * folder gives its jpg, jpeg and png files in natural order of names (img2 before img10); names
 * that end in _label.png are labels and are left out; frame n has t_us = n * 1e6 / fps (1 fps when
 * not given).
 *
 * t_us counts from the stream's first frame and never decreases; missing stamps are made from the
 * frame rate (of a live source that has none, as MJPEG over HTTP, or whose clock stands still: from
 * the time of arrival), and a
 * stamp that jumps back (over a second) or over VIDEO_GAP_US_MAX ahead continues one frame after
 * the last. A video whose size changes goes on in that of its first frame. With options.fps a video
 * is thinned: for each multiple of 1/fps the first frame that is not more than half a frame before
 * it, with its own time; a slower video gives every frame. All frames have the size of the first
 * unless options say another.
 *
 * Owns:    everything; the pixels of a frame are lent until the next call.
 * Threads: one at a time; options.cancel may be set from any thread.
 * Time:    reads the monotonic clock for the timeout of blocking reads and times of arrival. Does
 *          not pace: a file
 *          is read as fast as it is asked for.
 * Memory:  one frame and libav's pictures; nothing a frame is allocated here after the first.
 * Errors:  ST_NOT_FOUND, ST_FORMAT, ST_UNSUPPORTED, ST_NETWORK (timeout, lost peer), ST_DENIED
 * (user or password refused, no permission), ST_CONFLICT (a device in use), ST_END. Messages say
 *          what to do, and hold the URL without its secrets (base/url.h).
 *          A damaged frame is skipped and counted; VIDEO_DAMAGED_RUN_MAX of them in a row are
 *          ST_FORMAT. After any status but ST_OK the source only gives that status again.
 */
#ifndef ATTUNE_VIDEO_SOURCE_H
#define ATTUNE_VIDEO_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "flow/records.h"

#define VIDEO_DAMAGED_RUN_MAX 250
#define VIDEO_GAP_US_MAX (60 * (uint64_t)1000000)

/* How RTSP packets come. AUTO: over TCP, UDP where the camera refuses that. */
#define VIDEO_TRANSPORT_LIST(X) X(AUTO, "auto") X(TCP, "tcp") X(UDP, "udp")
enum video_transport {
#define VIDEO_TRANSPORT_ENUM(name, text) VIDEO_TRANSPORT_##name,
    VIDEO_TRANSPORT_LIST(VIDEO_TRANSPORT_ENUM)
#undef VIDEO_TRANSPORT_ENUM
};

/* False: no such transport. */
bool video_transport_parse(const char *text, enum video_transport *ret);

/* rtsps:// and https://, for which options have tls_ca. */
bool video_source_is_tls(const char *url);

struct mask;

struct video_source_options {
    double fps;        /* default 0: the source's own; at most 1000 */
    int width, height; /* default 0, 0: the source's own; otherwise scaled to exactly this */
    int timeout_ms;    /* default 10000: longest wait for a blocking read, 1..600000 */
    enum video_transport transport;
    const char *tls_ca; /* of rtsps:// and https://: file of the certificates to trust, or "system";
                         * default NULL: encrypted, but whoever answers is taken for the camera.
                         * Borrowed until it is open */
    struct mask *mask;  /* default NULL; painted into every picture, borrowed */
    const atomic_bool *cancel; /* default NULL; when it becomes true, blocking reads give up */
};

void video_source_options_init(struct video_source_options *o);

struct video_source;

/* options may be NULL (defaults). */
enum status video_source_open(const char *url, const struct video_source_options *options,
                              struct video_source **ret, struct error *err);
void video_source_close(struct video_source **s);

/* Lends the next frame in *out. ST_END (without a message) after the last. */
enum status video_source_next(struct video_source *s, struct frame *out, struct error *err);

/* The same in two halves, for one who does not need the pixels of all: pass decodes the next frame
 * and tells its time, pixels converts the one that pass came to (once). */
enum status video_source_pass(struct video_source *s, uint64_t *ret_t_us, struct error *err);
enum status video_source_pixels(struct video_source *s, struct frame *out, struct error *err);

/* Path of the image that the last frame came from; NULL for videos and before the first. */
const char *video_source_name(const struct video_source *s);

struct video_source_info {
    int width, height;    /* of the frames given; 0 for a folder without a size, before the first */
    double fps;           /* of the frames given, as far as known; 0: unknown */
    double native_fps;    /* of the source's own frames; 0: unknown, or a folder */
    uint64_t duration_us; /* 0: unknown or live */
    uint64_t damaged;     /* frames skipped so far */
    char codec[24];       /* as libav names it, "" for a folder */
    bool live;            /* network or device: cannot be read ahead of time */
};

void video_source_info(const struct video_source *s, struct video_source_info *ret);

#endif
