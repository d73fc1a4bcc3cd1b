/* The list is read and sorted once at open: files that appear later are not seen, files that have
 * gone by then are errors of their own. */
#include "video/folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "video/image.h"
#include "video/image_decoder.h"
#include "video/source.h"

struct folder {
    char **paths;
    size_t count, capacity, next;
    struct buf file;
};

bool folder_is(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static const char *skip_zeros(const char *s)
{
    while (*s == '0')
        s++;
    return s;
}

static size_t digits(const char *s)
{
    size_t n = 0;
    while (isdigit((unsigned char)s[n]))
        n++;
    return n;
}

/* Compares the numbers at *a and *b and moves both behind them. */
static int compare_numbers(const char **a, const char **b)
{
    const char *x = skip_zeros(*a), *y = skip_zeros(*b);
    size_t nx = digits(x), ny = digits(y);
    *a = x + nx;
    *b = y + ny;
    if (nx != ny)
        return nx < ny ? -1 : 1;
    return memcmp(x, y, nx);
}

int folder_compare_names(const char *a, const char *b)
{
    const char *whole_a = a, *whole_b = b;
    while (*a && *b) {
        int order;
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            order = compare_numbers(&a, &b);
        } else {
            order = (unsigned char)*a - (unsigned char)*b;
            a++;
            b++;
        }
        if (order)
            return order;
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return strcmp(whole_a, whole_b); /* "01" and "1": any order, but always the same */
}

static int compare_entries(const void *a, const void *b)
{
    return folder_compare_names(*(char *const *)a, *(char *const *)b);
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcasecmp(name + n - m, end) == 0;
}

static bool is_picture(const char *name)
{
    return name[0] != '.' && !ends_with(name, "_label.png") &&
           (ends_with(name, ".jpg") || ends_with(name, ".jpeg") || ends_with(name, ".png"));
}

static enum status add_name(struct folder *f, const char *dir, const char *name, struct error *err)
{
    if (f->count == VIDEO_IMAGES_MAX)
        return error_set(err, ST_LIMIT, "%s holds more than %d images", dir, VIDEO_IMAGES_MAX);
    if (f->count == f->capacity) {
        size_t capacity = f->capacity ? 2 * f->capacity : 64;
        char **paths = realloc(f->paths, capacity * sizeof *paths);
        if (!paths)
            return error_set(err, ST_NOMEM, "no memory to list %s", dir);
        f->paths = paths;
        f->capacity = capacity;
    }
    const char *slash = dir[0] && dir[strlen(dir) - 1] == '/' ? "" : "/";
    struct buf path;
    buf_init(&path);
    buf_printf(&path, "%s%s%s", dir, slash, name);
    if (path.failed) {
        buf_clear(&path);
        return error_set(err, ST_NOMEM, "no memory to list %s", dir);
    }
    f->paths[f->count++] = (char *)path.data; /* NUL-terminated by buf_printf */
    return ST_OK;
}

static enum status list_images(struct folder *f, const char *path, struct error *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return error_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "cannot open %s: %s", path,
                         strerror(errno));
    enum status st = ST_OK;
    const struct dirent *entry;
    while (st == ST_OK && (entry = readdir(dir)))
        if (is_picture(entry->d_name))
            st = add_name(f, path, entry->d_name, err);
    closedir(dir);
    if (st == ST_OK && f->count == 0)
        st = error_set(err, ST_NOT_FOUND, "%s holds no jpg, jpeg or png images", path);
    return st;
}

enum status folder_open(const char *path, struct folder **ret, struct error *err)
{
    struct folder *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(err, ST_NOMEM, "no memory to open %s", path);
    enum status st = list_images(f, path, err);
    if (st != ST_OK) {
        folder_close(&f);
        return st;
    }
    qsort(f->paths, f->count, sizeof *f->paths, compare_entries);
    *ret = f;
    return ST_OK;
}

void folder_close(struct folder **f)
{
    if (!*f)
        return;
    for (size_t i = 0; i < (*f)->count; i++)
        free((*f)->paths[i]);
    free((*f)->paths);
    buf_clear(&(*f)->file);
    free(*f);
    *f = NULL;
}

enum status folder_next(struct folder *f, AVFrame **ret, size_t *ret_index, struct error *err)
{
    if (f->next == f->count)
        return ST_END;
    size_t index = f->next++;
    f->file.size_bytes = 0;
    f->file.failed = false;
    enum status st = file_read(f->paths[index], IMAGE_BYTES_MAX, &f->file, err);
    if (st != ST_OK)
        return st;
    st = image_decode(f->file.data, f->file.size_bytes, ret, err);
    if (st != ST_OK) {
        error_prefix(err, "%s", f->paths[index]);
        return st;
    }
    *ret_index = index;
    return ST_OK;
}

const char *folder_name(const struct folder *f)
{
    return f->next ? f->paths[f->next - 1] : NULL;
}

size_t folder_count(const struct folder *f)
{
    return f->count;
}
