/* picture.h - inside src/video only: libav's pictures, and their way to and from packed RGB.
 *
 * swscale's SIMD code may touch bytes beyond a row's end, so it only ever sees pictures that libav
 * allocated (padded rows); packed frames are copied in and out.
 *
 * Owns:    a struct converter owns its swscale context and its result.
 * Threads: one converter a thread.
 */
#ifndef ATTUNE_VIDEO_PICTURE_H
#define ATTUNE_VIDEO_PICTURE_H

#include <stdbool.h>

#include <libavutil/frame.h>
#include <libavutil/pixfmt.h>

#include "base/error.h"
#include "flow/records.h"

struct SwsContext;

struct converter_key {
    int src_width, src_height, src_format, matrix, full_range;
    int dst_width, dst_height, dst_format;
};

struct converter {
    struct SwsContext *context;
    AVFrame *result;
    struct converter_key key; /* what the context is for */
};

void converter_init(struct converter *c);
void converter_clear(struct converter *c);

/* src scaled and converted; the result is in c->result until the next run. YUV results are BT.601,
 * limited range (full for the "J" formats); RGB sources are taken as they are. */
enum status converter_run(struct converter *c, const AVFrame *src, enum AVPixelFormat dst_format,
                          int dst_width, int dst_height, struct error *err);

/* src as RGB of out's size (allocated) into out->pixels; t_us stays. */
enum status converter_rgb(struct converter *c, const AVFrame *src, struct frame *out,
                          struct error *err);

/* An allocated picture, NULL when there is no memory. */
AVFrame *picture_open(enum AVPixelFormat format, int width, int height);

/* Pixels of a packed frame into an RGB24 picture of its size, or of one column or row more: the
 * last ones are repeated then. */
void picture_pack(AVFrame *dst, const struct frame *src);

/* Stops libav's own messages on standard error; every open of ours calls it. */
void libav_quiet(void);

/* The status for a libav error code, with "what: its text" as the message. */
enum status libav_error(struct error *err, int code, const char *what);

#endif
