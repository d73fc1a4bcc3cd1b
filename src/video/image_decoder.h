/* image_decoder.h - inside src/video only: one JPEG or PNG to libav's picture.
 *
 * Memory: libav's own; the codec's context lives for one image.
 */
#ifndef ATTUNE_VIDEO_IMAGE_DECODER_H
#define ATTUNE_VIDEO_IMAGE_DECODER_H

#include <stddef.h>

#include <libavutil/frame.h>

#include "base/error.h"

/* *ret is the caller's (av_frame_free). Errors as in image.h. */
enum status image_decode(const void *data, size_t n, AVFrame **ret, struct error *err);

#endif
