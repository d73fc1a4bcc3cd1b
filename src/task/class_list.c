#include "task/class_list.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "task/task.h"
#include "video/image_list.h"

#define CSV_HEADER "file,class"
#define CSV_BYTES_MAX ((size_t)64 << 20)

void class_list_clear(struct class_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->paths[i]);
    free(l->paths);
    free(l->classes);
    *l = (struct class_list){.count = 0};
}

/* Room for `more` pictures. */
static enum status grow(struct class_list *l, size_t more, struct error *err)
{
    if (l->count + more > IMAGE_LIST_MAX)
        return error_set(err, ST_LIMIT, "more than %d pictures", IMAGE_LIST_MAX);
    char **paths = realloc(l->paths, (l->count + more) * sizeof *paths);
    if (paths)
        l->paths = paths;
    uint8_t *classes = realloc(l->classes, l->count + more);
    if (classes)
        l->classes = classes;
    return paths && classes
               ? ST_OK
               : error_set(err, ST_NOMEM, "no memory to list %zu pictures", l->count + more);
}

/* Index of the class with that name, which is made when it is new; -1: no room, or no name. */
static int class_of(struct class_list *l, const char *name, size_t n)
{
    for (int k = 0; k < l->class_count; k++)
        if (strlen(l->class_name[k]) == n && memcmp(l->class_name[k], name, n) == 0)
            return k;
    if (l->class_count == CLASSES_MAX || n < 1 || n > CLASS_NAME_CHARS_MAX)
        return -1;
    memcpy(l->class_name[l->class_count], name, n);
    l->class_name[l->class_count][n] = '\0';
    return l->class_count++;
}

/* ---- a folder of classes ---- */

static int compare_names(const void *a, const void *b)
{
    return image_list_compare_names(a, b);
}

static bool is_folder(const char *dir, const char *name, char path[PATH_MAX])
{
    struct stat info;
    int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return name[0] != '.' && n > 0 && n < PATH_MAX && stat(path, &info) == 0 &&
           S_ISDIR(info.st_mode);
}

static enum status list_classes(struct class_list *l, const char *path, struct error *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return error_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "cannot open %s: %s", path,
                         strerror(errno));
    enum status st = ST_OK;
    const struct dirent *entry;
    char sub[PATH_MAX];
    while (st == ST_OK && (entry = readdir(dir)))
        if (is_folder(path, entry->d_name, sub) &&
            class_of(l, entry->d_name, strlen(entry->d_name)) < 0)
            st = error_set(err, ST_LIMIT,
                           "%s holds '%.80s': there are at most %d classes, with names of at most "
                           "%d characters",
                           path, entry->d_name, CLASSES_MAX, CLASS_NAME_CHARS_MAX);
    closedir(dir);
    if (st == ST_OK && l->class_count < 2)
        st = error_set(err, ST_NOT_FOUND,
                       "%s holds %d folders; a folder for each of two classes or more is needed",
                       path, l->class_count);
    qsort(l->class_name, (size_t)l->class_count, sizeof *l->class_name, compare_names);
    return st;
}

static enum status add_folder(struct class_list *l, const char *dir, int k, struct error *err)
{
    char path[PATH_MAX];
    if (!is_folder(dir, l->class_name[k], path))
        return error_set(err, ST_IO, "the folder %s/%s is gone", dir, l->class_name[k]);
    struct image_list images;
    enum status st = image_list_read(path, &images, err);
    if (st != ST_OK)
        return st;
    st = grow(l, images.count, err);
    for (size_t i = 0; st == ST_OK && i < images.count; i++) {
        l->classes[l->count] = (uint8_t)k;
        l->paths[l->count++] = images.paths[i];
        images.paths[i] = NULL;
    }
    image_list_clear(&images);
    return st;
}

struct picture {
    char *path;
    uint8_t class_id;
};

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* By name, then by path. */
static int compare_pictures(const void *a, const void *b)
{
    const struct picture *p = a, *q = b;
    int order = image_list_compare_names(name_of(p->path), name_of(q->path));
    return order ? order : image_list_compare_names(p->path, q->path);
}

static enum status sort_pictures(struct class_list *l, struct error *err)
{
    struct picture *all = malloc(l->count * sizeof *all);
    if (!all)
        return error_set(err, ST_NOMEM, "no memory to sort %zu pictures", l->count);
    for (size_t i = 0; i < l->count; i++)
        all[i] = (struct picture){l->paths[i], l->classes[i]};
    qsort(all, l->count, sizeof *all, compare_pictures);
    for (size_t i = 0; i < l->count; i++) {
        l->paths[i] = all[i].path;
        l->classes[i] = all[i].class_id;
    }
    free(all);
    return ST_OK;
}

static enum status read_folders(struct class_list *l, const char *dir, struct error *err)
{
    enum status st = list_classes(l, dir, err);
    for (int k = 0; st == ST_OK && k < l->class_count; k++)
        st = add_folder(l, dir, k, err);
    return st == ST_OK ? sort_pictures(l, err) : st;
}

/* ---- a CSV file ---- */

struct line {
    const char *csv; /* the file's path */
    int number;
    const char *text;
    size_t length;
};

static enum status add_line(struct class_list *l, const char *dir, const struct line *line,
                            struct error *err)
{
    const char *comma = memchr(line->text, ',', line->length);
    size_t file = comma ? (size_t)(comma - line->text) : 0;
    size_t name = comma ? line->length - file - 1 : 0;
    if (file < 1 || name < 1 || memchr(comma + 1, ',', name))
        return error_set(err, ST_FORMAT, "%s:%d: a line is NAME,CLASS", line->csv, line->number);
    int k = class_of(l, comma + 1, name);
    if (k < 0)
        return error_set(err, ST_FORMAT,
                         "%s:%d: at most %d classes, with names of at most %d characters",
                         line->csv, line->number, CLASSES_MAX, CLASS_NAME_CHARS_MAX);
    struct buf path;
    buf_init(&path);
    buf_printf(&path, "%s/%.*s", dir, (int)file, line->text);
    enum status st =
        path.failed ? error_set(err, ST_NOMEM, "no memory to list pictures") : grow(l, 1, err);
    if (st != ST_OK) {
        buf_clear(&path);
        return st;
    }
    l->classes[l->count] = (uint8_t)k;
    l->paths[l->count++] = (char *)path.data; /* NUL-terminated by buf_printf */
    return ST_OK;
}

static enum status read_lines(struct class_list *l, const char *dir, const char *csv,
                              const char *text, size_t size, struct error *err)
{
    const char *at = size ? text : "", *end = at + size;
    for (int number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = stop ? (size_t)(stop - at) : (size_t)(end - at);
        struct line line = {csv, number, at, n > 0 && at[n - 1] == '\r' ? n - 1 : n};
        bool header = line.length == strlen(CSV_HEADER) && memcmp(at, CSV_HEADER, line.length) == 0;
        enum status st = ST_OK;
        if (memchr(at, '\0', n))
            st = error_set(err, ST_FORMAT, "%s:%d: the line is no text", csv, number);
        else if (number == 1 && !header)
            st = error_set(err, ST_FORMAT, "%s:1: the first line is '" CSV_HEADER "'", csv);
        else if (number > 1 && line.length > 0)
            st = add_line(l, dir, &line, err);
        if (st != ST_OK)
            return st;
        at += n + (stop != NULL);
    }
    return l->class_count >= 2 ? ST_OK
                               : error_set(err, ST_FORMAT, "%s names %d classes, two are needed",
                                           csv, l->class_count);
}

/* Classes in natural order, as those of folders, whatever the order of the lines. */
static void sort_classes(struct class_list *l)
{
    char before[CLASSES_MAX][CLASS_NAME_CHARS_MAX + 1];
    uint8_t now[CLASSES_MAX] = {0};
    memcpy(before, l->class_name, sizeof before);
    qsort(l->class_name, (size_t)l->class_count, sizeof *l->class_name, compare_names);
    for (int k = 0; k < l->class_count; k++)
        now[k] = (uint8_t)class_of(l, before[k], strlen(before[k]));
    for (size_t i = 0; i < l->count; i++)
        l->classes[i] = now[l->classes[i]];
}

enum status class_list_parse(const void *text, size_t n, const char *name, const char *dir,
                             struct class_list *ret, struct error *err)
{
    struct class_list l = {.count = 0};
    enum status st = read_lines(&l, dir, name, text, n, err);
    if (st != ST_OK) {
        class_list_clear(&l);
        return st;
    }
    sort_classes(&l);
    *ret = l;
    return ST_OK;
}

static enum status read_csv(const char *dir, const char *csv, struct class_list *ret,
                            struct error *err)
{
    struct buf text;
    buf_init(&text);
    enum status st = file_read(csv, CSV_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = class_list_parse(text.data, text.size_bytes, csv, dir, ret, err);
    buf_clear(&text);
    return st;
}

enum status class_list_read(const char *dir, const char *csv, struct class_list *ret,
                            struct error *err)
{
    if (csv)
        return read_csv(dir, csv, ret, err);
    struct class_list l = {.count = 0};
    enum status st = read_folders(&l, dir, err);
    if (st != ST_OK) {
        class_list_clear(&l);
        return st;
    }
    *ret = l;
    return ST_OK;
}

enum status class_list_fit(struct class_list *l, const struct class_map *map, struct error *err)
{
    uint8_t label[CLASSES_MAX] = {0};
    for (int k = 0; k < l->class_count; k++) {
        int found = 0;
        while (found < map->label_count && strcmp(l->class_name[k], map->label_name[found]) != 0)
            found++;
        if (found == map->label_count)
            return error_set(err, ST_UNSUPPORTED,
                             "'%s' is none of the network's %d classes (the first is '%s')",
                             l->class_name[k], map->label_count, map->label_name[0]);
        label[k] = (uint8_t)found;
    }
    for (size_t i = 0; i < l->count; i++)
        l->classes[i] = label[l->classes[i]];
    l->class_count = map->label_count;
    memcpy(l->class_name, map->label_name, sizeof l->class_name);
    return ST_OK;
}
