/* The list is read and sorted once: files that appear later are not seen. */
#include "video/image_list.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

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

int image_list_compare_names(const char *a, const char *b)
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
    return image_list_compare_names(*(char *const *)a, *(char *const *)b);
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

static enum status add_name(struct image_list *f, size_t *capacity, const char *dir,
                            const char *name, struct error *err)
{
    if (f->count == IMAGE_LIST_MAX)
        return error_set(err, ST_LIMIT, "%s holds more than %d images", dir, IMAGE_LIST_MAX);
    if (f->count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 64;
        char **paths = realloc(f->paths, more * sizeof *paths);
        if (!paths)
            return error_set(err, ST_NOMEM, "no memory to list %s", dir);
        f->paths = paths;
        *capacity = more;
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

static enum status list_images(struct image_list *f, const char *path, struct error *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return error_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "cannot open %s: %s", path,
                         strerror(errno));
    enum status st = ST_OK;
    size_t capacity = 0;
    const struct dirent *entry;
    while (st == ST_OK && (entry = readdir(dir)))
        if (is_picture(entry->d_name))
            st = add_name(f, &capacity, path, entry->d_name, err);
    closedir(dir);
    if (st == ST_OK && f->count == 0)
        st = error_set(err, ST_NOT_FOUND, "%s holds no jpg, jpeg or png images", path);
    return st;
}

enum status image_list_read(const char *dir, struct image_list *ret, struct error *err)
{
    struct image_list list = {0};
    enum status st = list_images(&list, dir, err);
    if (st != ST_OK) {
        image_list_clear(&list);
        return st;
    }
    qsort(list.paths, list.count, sizeof *list.paths, compare_entries);
    *ret = list;
    return ST_OK;
}

void image_list_clear(struct image_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->paths[i]);
    free(l->paths);
    *l = (struct image_list){0};
}

bool image_label_path(const char *image, const char *labels_dir, char path[PATH_MAX])
{
    const char *slash = strrchr(image, '/'), *name = slash ? slash + 1 : image;
    const char *dot = strrchr(name, '.');
    int stem = dot ? (int)(dot - name) : (int)strlen(name);
    int n = labels_dir ? snprintf(path, PATH_MAX, "%s/%.*s_label.png", labels_dir, stem, name)
                       : snprintf(path, PATH_MAX, "%.*s%.*s_label.png", (int)(name - image), image,
                                  stem, name);
    return n > 0 && n < PATH_MAX;
}
