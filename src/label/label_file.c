/* label_file.c - sizes are checked before anything is allocated: the product of the header's
 * numbers bounds what decompression may yield, and zstd must yield exactly that. */
#include "label/label_file.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "base/file.h"

#define MAGIC "ATLB"
enum { OF_CLASSES = 1, OF_BOXES };
#define HEADER_BYTES 24
#define ZSTD_LEVEL 3

static enum status check_sizes(int count, int width, int height, int class_count, struct error *err)
{
    if (count < 1 || count > LABEL_FRAMES_MAX || width < 1 || width > FRAME_SIDE_MAX ||
        height < 1 || height > FRAME_SIDE_MAX || class_count < 1 || class_count > CLASSES_MAX)
        return error_set(err, ST_FORMAT,
                         "labels of %d x %d x %d pixels in %d classes are not valid", count, width,
                         height, class_count);
    if ((uint64_t)count * (uint64_t)width * (uint64_t)height > LABEL_SET_BYTES_MAX)
        return error_set(err, ST_LIMIT, "labels of %d x %d x %d pixels are too many", count, width,
                         height);
    return ST_OK;
}

static size_t map_bytes(const struct label_set *l)
{
    return (size_t)l->width * (size_t)l->height;
}

enum status label_set_init(struct label_set *l, int count, int width, int height, int class_count,
                           struct error *err)
{
    enum status st = check_sizes(count, width, height, class_count, err);
    if (st != ST_OK)
        return st;
    struct label_set made = {
        .width = width, .height = height, .class_count = class_count, .count = count};
    made.t_us = calloc((size_t)count, sizeof *made.t_us);
    made.classes = calloc((size_t)count, map_bytes(&made));
    if (!made.t_us || !made.classes) {
        label_set_clear(&made);
        return error_set(err, ST_NOMEM, "no memory for %d label maps", count);
    }
    *l = made;
    return ST_OK;
}

enum status label_set_init_for(struct label_set *l, int count, const struct task_spec *spec,
                               struct error *err)
{
    bool boxes = spec->task == TASK_DETECT;
    enum status st =
        label_set_init(l, count, spec->out_width, spec->out_height, spec->class_count, err);
    if (st != ST_OK)
        return st;
    l->boxes = boxes;
    if (boxes)
        memset(l->classes, LABEL_IGNORE, (size_t)count * map_bytes(l));
    return ST_OK;
}

void label_set_clear(struct label_set *l)
{
    free(l->t_us);
    free(l->classes);
    memset(l, 0, sizeof *l);
}

struct label_map label_set_map(const struct label_set *l, int index)
{
    return (struct label_map){.width = l->width,
                              .height = l->height,
                              .classes = l->classes + (size_t)index * map_bytes(l)};
}

static enum status write_body(const struct label_set *l, struct buf *out, struct error *err)
{
    for (int i = 0; i < l->count; i++)
        buf_put_u64(out, l->t_us[i]);
    size_t raw = (size_t)l->count * map_bytes(l), bound = ZSTD_compressBound(raw);
    uint8_t *at = buf_extend(out, bound);
    if (!at)
        return error_set(err, ST_NOMEM, "no memory to compress labels");
    size_t n = ZSTD_compress(at, bound, l->classes, raw, ZSTD_LEVEL);
    if (ZSTD_isError(n))
        return error_set(err, ST_INTERNAL, "zstd: %s", ZSTD_getErrorName(n));
    out->size_bytes -= bound - n;
    return ST_OK;
}

enum status label_set_write(const struct label_set *l, struct buf *out, struct error *err)
{
    struct buf body;
    buf_init(&body);
    enum status st = write_body(l, &body, err);
    if (st == ST_OK) {
        buf_put(out, MAGIC, 4);
        buf_put_u16(out, l->boxes ? OF_BOXES : OF_CLASSES);
        buf_put_u16(out, (uint16_t)l->class_count);
        buf_put_u32(out, (uint32_t)l->width);
        buf_put_u32(out, (uint32_t)l->height);
        buf_put_u32(out, (uint32_t)l->count);
        buf_put_u32(out, file_crc32(body.data, body.size_bytes));
        buf_put(out, body.data, body.size_bytes);
        if (out->failed)
            st = error_set(err, ST_NOMEM, "no memory for the label file");
    }
    buf_clear(&body);
    return st;
}

/* Before memory is taken for what the header claims: is as much really in the compressed frame? */
static enum status check_claim(const struct cursor *c, uint32_t width, uint32_t height,
                               uint32_t count, struct error *err)
{
    uint64_t times = (uint64_t)count * 8, raw = (uint64_t)count * width * height;
    if (c->left_bytes < times)
        return error_set(err, ST_FORMAT, "the label file is cut short");
    if (ZSTD_getFrameContentSize(c->data + times, c->left_bytes - times) != raw)
        return error_set(err, ST_FORMAT, "the label file's maps are not of the stated size");
    return ST_OK;
}

static enum status check_boxes(const struct label_set *l, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < l->count && st == ST_OK; i++)
        st = detect_check(label_set_map(l, i).classes, l->class_count, err);
    if (st != ST_OK && err)
        error_prefix(err, "the label file");
    return st;
}

static enum status read_maps(struct cursor *c, struct label_set *l, struct error *err)
{
    for (int i = 0; i < l->count; i++)
        l->t_us[i] = cursor_u64(c);
    size_t raw = (size_t)l->count * map_bytes(l);
    if (ZSTD_decompress(l->classes, raw, c->data, c->left_bytes) != raw)
        return error_set(err, ST_FORMAT, "the label file's maps are damaged");
    if (l->boxes)
        return check_boxes(l, err);
    for (size_t i = 0; i < raw; i++)
        if (l->classes[i] >= l->class_count && l->classes[i] != LABEL_IGNORE)
            return error_set(err, ST_FORMAT, "the label file names class %d of %d", l->classes[i],
                             l->class_count);
    return ST_OK;
}

enum status label_set_read(const void *data, size_t n, struct label_set *ret, struct error *err)
{
    struct cursor c;
    cursor_init(&c, data, n);
    const uint8_t *magic = cursor_take(&c, 4);
    if (n < HEADER_BYTES || memcmp(magic, MAGIC, 4) != 0)
        return error_set(err, ST_FORMAT, "this is not a label file");
    unsigned version = cursor_u16(&c), classes = cursor_u16(&c);
    uint32_t width = cursor_u32(&c), height = cursor_u32(&c), count = cursor_u32(&c);
    uint32_t crc = cursor_u32(&c);
    if (version != OF_CLASSES && version != OF_BOXES)
        return error_set(err, ST_FORMAT, "a label file of version %u; this attune reads up to %d",
                         version, OF_BOXES);
    if (version == OF_BOXES && (width != DETECT_ROW_BYTES || height != DETECT_BOXES_MAX))
        return error_set(err, ST_FORMAT, "the label file's boxes have %u rows of %u bytes", height,
                         width);
    if (crc != file_crc32(c.data, c.left_bytes))
        return error_set(err, ST_FORMAT, "the label file is damaged (checksum)");
    if (width > FRAME_SIDE_MAX || height > FRAME_SIDE_MAX || count > LABEL_FRAMES_MAX)
        return error_set(err, ST_FORMAT, "the label file's sizes are not valid");
    struct label_set l;
    enum status st = check_claim(&c, width, height, count, err);
    if (st != ST_OK)
        return st;
    st = label_set_init(&l, (int)count, (int)width, (int)height, (int)classes, err);
    if (st != ST_OK)
        return st;
    l.boxes = version == OF_BOXES;
    st = read_maps(&c, &l, err);
    if (st != ST_OK) {
        label_set_clear(&l);
        return st;
    }
    *ret = l;
    return ST_OK;
}
