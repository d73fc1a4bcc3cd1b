/* image.h - still images: JPEG and PNG in, label maps as gray PNG, PNG and JPEG out.
 *
 * A label PNG's pixel value is its class: 8-bit gray and 8-bit palette files are read as stored
 * (a palette's indices, never its colours), 1, 2 and 4 bits likewise; anything else is refused.
 *
 * Threads: no shared state.
 * Errors:  ST_FORMAT (damaged), ST_UNSUPPORTED (another kind of image), ST_LIMIT (sides over
 *          FRAME_SIDE_MAX), ST_NOMEM; readers of files add the path.
 */
#ifndef ATTUNE_VIDEO_IMAGE_H
#define ATTUNE_VIDEO_IMAGE_H

#include "base/buf.h"
#include "base/error.h"
#include "flow/records.h"

#define IMAGE_BYTES_MAX ((size_t)256 << 20)

/* JPEG or PNG to RGB; *out (frame_init'ed) is resized, its t_us stays. */
enum status image_read(const void *data, size_t n, struct frame *out, struct error *err);
enum status image_open(const char *path, struct frame *out, struct error *err);

/* *out (label_map_init'ed) is resized. */
enum status image_labels_read(const void *data, size_t n, struct label_map *out, struct error *err);
enum status image_labels_open(const char *path, struct label_map *out, struct error *err);

/* Append a file to *out. */
enum status image_labels_write(const struct label_map *l, struct buf *out, struct error *err);
enum status image_png_write(const struct frame *f, struct buf *out, struct error *err);
/* quality 1 (smallest) .. 100. */
enum status image_jpeg_write(const struct frame *f, int quality, struct buf *out,
                             struct error *err);

#endif
