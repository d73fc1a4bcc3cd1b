/* overlay.h - what the network sees, drawn over the picture, and such pictures as an MP4 file.
 *
 * Threads: an overlay_writer is used by one thread at a time; the rest are pure functions.
 * Errors:  ST_INVALID (sizes), ST_IO (the file), ST_NOMEM.
 */
#ifndef ATTUNE_VIDEO_OVERLAY_H
#define ATTUNE_VIDEO_OVERLAY_H

#include "base/error.h"
#include "flow/records.h"

/* A colour for every class. */
struct palette {
    uint8_t rgb[CLASSES_MAX][3];
};

/* Colours from a hue wheel, neighbours far apart. */
void palette_init(struct palette *p);

/* Gives class_id the customary (Cityscapes) colour of a class of this name ("road", "car", ...);
 * unknown names keep what they have. */
void palette_name(struct palette *p, int class_id, const char *name);

/* Blends the classes' colours over f, opacity 0 (nothing) .. 255 (colours alone); classes >=
 * CLASSES_MAX are left clear. A map of another size is stretched (nearest); that of one cell,
 * the class of the picture, colours a margin around it. */
void overlay_labels(struct frame *f, const struct label_map *labels, const struct palette *p,
                    int opacity);

/* Outlines, 2 pixels, clipped to the frame. */
void overlay_boxes(struct frame *f, const struct box *boxes, int count, const struct palette *p);

struct overlay_writer;

/* H.264 in MP4 (veryfast, CRF 23); an existing file is replaced. All frames are width x height;
 * odd sides lose their last row or column. */
enum status overlay_writer_open(const char *path, int width, int height,
                                struct overlay_writer **ret, struct error *err);

/* Shown from f->t_us (relative to the first frame's); stamps that do not grow are moved on. */
enum status overlay_writer_add(struct overlay_writer *w, const struct frame *f, struct error *err);

/* Writes what is left; the file is playable after ST_OK only. Then close. */
enum status overlay_writer_finish(struct overlay_writer *w, struct error *err);
void overlay_writer_close(struct overlay_writer **w);

#endif
