/* label_file.h - the teacher's hard labels of one chunk in a file.
 *
 * Format (docs/formats.md, "labels"): "ATLB", u16 version 1, u16 class count, u32 width, u32
 * height, u32 frame count, u32 CRC-32 of what follows, then u64 t_us a frame, then one zstd frame
 * of all maps, [frame][height][width] class bytes. Little-endian. Version 2: the maps are tables of
 * boxes (task/detect.h), width and height those of such a table.
 *
 * Owns:    label_set owns its arrays until label_set_clear.
 * Errors:  ST_FORMAT (damaged, says how), ST_LIMIT (over the bounds), ST_NOMEM.
 */
#ifndef ATTUNE_LABEL_LABEL_FILE_H
#define ATTUNE_LABEL_LABEL_FILE_H

#include "base/buf.h"
#include "base/error.h"
#include "flow/records.h"
#include "task/task.h"

#define LABEL_FRAMES_MAX 4096
#define LABEL_SET_BYTES_MAX ((size_t)1 << 30)

struct label_set {
    int width, height, class_count, count;
    uint64_t *t_us;   /* [count] */
    bool boxes;       /* the maps are tables of boxes */
    uint8_t *classes; /* [count][height][width], < class_count or LABEL_IGNORE */
};

/* Zeroed arrays for count maps. */
enum status label_set_init(struct label_set *l, int count, int width, int height, int class_count,
                           struct error *err);

/* The same of a network's answers. */
enum status label_set_init_for(struct label_set *l, int count, const struct task_spec *spec,
                               struct error *err);
void label_set_clear(struct label_set *l);

/* Borrowed map of frame `index`. */
struct label_map label_set_map(const struct label_set *l, int index);

enum status label_set_write(const struct label_set *l, struct buf *out, struct error *err);
/* Tables of boxes have been checked (detect_check). */
enum status label_set_read(const void *data, size_t n, struct label_set *ret, struct error *err);

#endif
