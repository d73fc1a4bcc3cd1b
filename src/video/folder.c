/* Files that have gone since the folder was listed are errors of their own. */
#include "video/folder.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "video/image.h"
#include "video/image_decoder.h"
#include "video/image_list.h"

struct folder {
    struct image_list list;
    size_t next;
    struct buf file;
};

bool folder_is(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

enum status folder_open(const char *path, struct folder **ret, struct error *err)
{
    struct folder *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(err, ST_NOMEM, "no memory to open %s", path);
    enum status st = image_list_read(path, &f->list, err);
    if (st != ST_OK) {
        folder_close(&f);
        return st;
    }
    *ret = f;
    return ST_OK;
}

void folder_close(struct folder **f)
{
    if (!*f)
        return;
    image_list_clear(&(*f)->list);
    buf_clear(&(*f)->file);
    free(*f);
    *f = NULL;
}

enum status folder_next(struct folder *f, AVFrame **ret, size_t *ret_index, struct error *err)
{
    if (f->next == f->list.count)
        return ST_END;
    size_t index = f->next++;
    f->file.size_bytes = 0;
    f->file.failed = false;
    enum status st = file_read(f->list.paths[index], IMAGE_BYTES_MAX, &f->file, err);
    if (st != ST_OK)
        return st;
    st = image_decode(f->file.data, f->file.size_bytes, ret, err);
    if (st != ST_OK) {
        error_prefix(err, "%s", f->list.paths[index]);
        return st;
    }
    *ret_index = index;
    return ST_OK;
}

const char *folder_name(const struct folder *f)
{
    return f->next ? f->list.paths[f->next - 1] : NULL;
}

size_t folder_count(const struct folder *f)
{
    return f->list.count;
}
