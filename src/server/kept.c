/* kept.c - three files of a chunk, and one frame of each. */
#include "server/kept.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "label/label_file.h"
#include "uplink/chunk.h"
#include "video/decode.h"
#include "video/frame.h"

static enum status read_file(const char *path, size_t max, struct buf *out, struct error *err)
{
    if (access(path, R_OK) != 0)
        return error_set(err, ST_NOT_FOUND, "that frame is not kept any more");
    return file_read(path, max, out, err);
}

/* Frames 0..index of the clip through *out. */
static enum status decode(const struct chunk *c, int index, struct frame *out, struct error *err)
{
    struct clip_decoder *d;
    enum status st =
        clip_decoder_open(c->payload, c->payload_bytes, c->width, c->height, c->count, &d, err);
    for (int i = 0; i <= index && st == ST_OK; i++)
        st = clip_decoder_next(d, out, err);
    clip_decoder_close(&d);
    return st;
}

static enum status read_picture(const char *path, int index, struct frame *out, int *ret_index,
                                struct error *err)
{
    struct buf bytes;
    struct chunk c;
    buf_init(&bytes);
    enum status st = read_file(path, CHUNK_BYTES_MAX, &bytes, err);
    if (st == ST_OK)
        st = chunk_parse(bytes.data, bytes.size_bytes, &c, err);
    if (st == ST_OK) {
        *ret_index = index == KEPT_LAST ? c.count - 1 : index;
        st = *ret_index < c.count ? decode(&c, *ret_index, out, err)
                                  : error_set(err, ST_NOT_FOUND, "the chunk has no such frame");
    }
    buf_clear(&bytes);
    return st;
}

static enum status copy_map(const struct label_set *all, int index, struct label_map *dst,
                            struct error *err)
{
    if (index >= all->count)
        return error_set(err, ST_NOT_FOUND, "the chunk has no labels of that frame");
    struct label_map src = label_set_map(all, index);
    enum status st = label_map_resize(dst, src.width, src.height, err);
    if (st == ST_OK)
        memcpy(dst->classes, src.classes, (size_t)src.width * (size_t)src.height);
    return st;
}

static enum status read_map(const char *path, int index, struct label_map *dst, struct error *err)
{
    struct buf bytes;
    struct label_set all;
    buf_init(&bytes);
    enum status st = read_file(path, LABEL_SET_BYTES_MAX, &bytes, err);
    if (st == ST_OK)
        st = label_set_read(bytes.data, bytes.size_bytes, &all, err);
    buf_clear(&bytes);
    if (st != ST_OK)
        return st;
    st = copy_map(&all, index, dst, err);
    label_set_clear(&all);
    return st;
}

enum status kept_open(const struct server *s, const char *camera, uint64_t seq, int index,
                      struct kept_frame *ret, struct error *err)
{
    char path[PATH_MAX];
    struct kept_frame k;
    int at = 0;
    frame_init(&k.frame);
    label_map_init(&k.teacher);
    label_map_init(&k.student);
    store_chunk_path(s->store, camera, seq, path);
    enum status st = read_picture(path, index, &k.frame, &at, err);
    store_label_path(s->store, camera, seq, path);
    if (st == ST_OK)
        st = read_map(path, at, &k.teacher, err);
    store_answer_path(s->store, camera, seq, path);
    if (st == ST_OK)
        st = read_map(path, at, &k.student, err);
    if (st == ST_OK)
        *ret = k;
    else
        kept_clear(&k);
    return st;
}

void kept_clear(struct kept_frame *k)
{
    frame_clear(&k->frame);
    label_map_clear(&k->teacher);
    label_map_clear(&k->student);
}
