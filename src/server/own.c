/* own.c - see own.h. */
#include "server/own.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define OWN_BYTES_MAX ((size_t)1 << 28)

void own_path(const struct server *s, const char *group, const char *camera, bool trial, char *ret)
{
    char name[CAMERA_ID_CHARS_MAX + 16];
    snprintf(name, sizeof name, "own-%s.%s", camera, trial ? "trial" : "delta");
    store_model_path(s->store, group, name, ret);
}

enum status own_read(const struct server *s, const char *group, const char *camera, uint64_t number,
                     struct buf *out, uint64_t *ret_number, struct error *err)
{
    char path[PATH_MAX];
    size_t before = out->size_bytes;
    own_path(s, group, camera, false, path);
    enum status st = file_read(path, OWN_BYTES_MAX, out, err);
    if (st != ST_OK)
        return st;
    size_t n = out->size_bytes - before;
    uint64_t is = file_crc32(out->data + before, n > 4 ? n - 4 : n);
    is += is == 0;
    if (number && number != is) {
        out->size_bytes = before;
        return error_set(err, ST_NOT_FOUND, "the camera's own delta is another by now");
    }
    if (ret_number)
        *ret_number = is;
    return ST_OK;
}

enum status own_promote(const struct server *s, const char *group, const char *camera,
                        uint64_t *ret_number, struct error *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct buf bytes;
    own_path(s, group, camera, true, from);
    own_path(s, group, camera, false, to);
    if (rename(from, to) != 0)
        return error_set(err, ST_IO, "cannot rename %.200s: %s", from, strerror(errno));
    buf_init(&bytes);
    enum status st = own_read(s, group, camera, 0, &bytes, ret_number, err);
    buf_clear(&bytes);
    return st;
}

void own_remove(const struct server *s, const char *group, const char *camera, bool trial)
{
    char path[PATH_MAX];
    own_path(s, group, camera, trial, path);
    unlink(path);
}
