/* input.h - inside src/video only: opens what a URL names, each kind with what it needs, and says
 * in a sentence why it cannot.
 *
 * Owns:    nothing; the format context is the caller's, to be closed by avformat_close_input.
 * Threads: one at a time.
 */
#ifndef ATTUNE_VIDEO_INPUT_H
#define ATTUNE_VIDEO_INPUT_H

#include <libavformat/avformat.h>

#include "video/source.h"

enum input_kind {
    INPUT_FILE,
    INPUT_RTSP,
    INPUT_HTTP,
    INPUT_NETWORK, /* any other libavformat knows: udp://, srt://, rtmp:// */
    INPUT_DEVICE   /* V4L2 */
};

enum input_kind input_kind(const char *url);

/* rtsps:// and https:// */
bool input_is_tls(const char *url);

/* Opens the URL and finds its streams into *f, which has the interrupt callback set, as libav does:
 * 0, or its negative code. On failure *f is NULL. `arm` restarts the deadline of the callback, with
 * so much more than usual. host: NULL, or whom HTTP is to ask for, when the URL is that of a relay
 * (relay.h) to it. */
int input_open(const char *url, const char *host, const struct video_source_options *o,
               AVFormatContext **f, void (*arm)(void *context, uint64_t more_us), void *context);

/* The status and sentence for a code of input_open, or one later on. shown: the URL, redacted;
 * what: "cannot open". */
enum status input_error(const char *url, const char *shown, const struct video_source_options *o,
                        int code, const char *what, struct error *err);

#endif
