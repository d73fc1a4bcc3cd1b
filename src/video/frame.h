/* frame.h - life cycle of pictures and label maps (struct frame, struct label_map of records.h).
 *
 * Owns:    pixels and classes of values that were made here, until frame_clear, label_map_clear.
 *          Frames that others lend (video_source_next) are not cleared or resized.
 * Memory:  a resize to the size that is there keeps the bytes and allocates nothing.
 * Errors:  ST_INVALID for sides outside 1..FRAME_SIDE_MAX, ST_NOMEM.
 */
#ifndef ATTUNE_VIDEO_FRAME_H
#define ATTUNE_VIDEO_FRAME_H

#include "base/error.h"
#include "flow/records.h"

void frame_init(struct frame *f);
void frame_clear(struct frame *f);

/* Makes room for width x height; t_us stays, pixels are undefined after a change of size. */
enum status frame_resize(struct frame *f, int width, int height, struct error *err);

/* dst takes src's size, pixels and t_us. */
enum status frame_copy(struct frame *dst, const struct frame *src, struct error *err);

/* Bytes of a picture's pixels. */
size_t frame_bytes(const struct frame *f);

void label_map_init(struct label_map *l);
void label_map_clear(struct label_map *l);
enum status label_map_resize(struct label_map *l, int width, int height, struct error *err);

#endif
