/* stream.h - inside src/video only: the pictures of a file, a network stream or a device.
 *
 * Owns:    the demuxer, the decoder and one picture, lent until the next call.
 * Threads: one at a time.
 * Time:    the monotonic clock, for the deadline of blocking reads.
 */
#ifndef ATTUNE_VIDEO_STREAM_H
#define ATTUNE_VIDEO_STREAM_H

#include <libavutil/frame.h>

#include "video/source.h"

struct stream;

/* Resolved options: timeout_ms is set. */
enum status stream_open(const char *url, const struct video_source_options *options,
                        struct stream **ret, struct error *err);
void stream_close(struct stream **s);

/* Errors as in source.h. */
enum status stream_next(struct stream *s, const AVFrame **ret, uint64_t *ret_t_us,
                        struct error *err);

/* Time of one frame: the nominal rate's. */
uint64_t stream_interval_us(const struct stream *s);
/* Fills width, height, fps, duration_us, damaged and live. */
void stream_info(const struct stream *s, struct video_source_info *ret);

#endif
