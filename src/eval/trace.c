/* trace.c - the flat table, and what all forms share: names, order, windows. */
#include "eval/trace.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/csv.h"
#include "base/file.h"
#include "eval/trace_internal.h"

void trace_clear(struct trace *t)
{
    free(t->rows);
    free(t->names);
    *t = (struct trace){0};
}

int trace_camera(struct trace *t, const char *name, struct error *err)
{
    for (int i = t->camera_count - 1; i >= 0; i--)
        if (strcmp(t->names[i], name) == 0)
            return i;
    if (strlen(name) > TRACE_NAME_CHARS_MAX || !*name || t->camera_count == TRACE_CAMERAS_MAX) {
        error_set(err, ST_LIMIT,
                  "a camera's name must have 1 to %d characters, and %d cameras at "
                  "most can be replayed",
                  TRACE_NAME_CHARS_MAX, TRACE_CAMERAS_MAX);
        return -1;
    }
    void *names = realloc(t->names, (size_t)(t->camera_count + 1) * sizeof *t->names);
    if (!names) {
        error_set(err, ST_NOMEM, "no memory for the cameras' names");
        return -1;
    }
    t->names = names;
    snprintf(t->names[t->camera_count], sizeof t->names[0], "%s", name);
    return t->camera_count++;
}

enum status trace_add(struct trace *t, const struct trace_row *row, struct error *err)
{
    if (t->count == t->capacity) {
        int capacity = t->capacity ? 2 * t->capacity : 256;
        struct trace_row *rows = realloc(t->rows, (size_t)capacity * sizeof *rows);
        if (!rows)
            return error_set(err, ST_NOMEM, "no memory for %d retrainings", capacity);
        t->rows = rows;
        t->capacity = capacity;
    }
    t->rows[t->count++] = *row;
    return ST_OK;
}

/* ---- order ---- */

struct keyed {
    struct trace_row row;
    int place;
};

static int by_place(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->row.camera != y->row.camera)
        return x->row.camera - y->row.camera;
    if (x->row.window != y->row.window)
        return x->row.window < y->row.window ? -1 : 1;
    return x->place - y->place;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* New number of each camera once the names are sorted. */
static void renumber(const struct trace *t, const char (*sorted)[TRACE_NAME_CHARS_MAX + 1],
                     int *number)
{
    for (int i = 0; i < t->camera_count; i++) {
        const char *at =
            bsearch(t->names[i], sorted, (size_t)t->camera_count, sizeof *sorted, by_text);
        number[i] = (int)((at - sorted[0]) / (long)sizeof *sorted);
    }
}

enum status trace_sort(struct trace *t, struct error *err)
{
    size_t names_bytes = (size_t)t->camera_count * sizeof *t->names;
    char(*sorted)[TRACE_NAME_CHARS_MAX + 1] = malloc(names_bytes + 1);
    int *number = malloc(((size_t)t->camera_count + 1) * sizeof *number);
    struct keyed *keyed = malloc(((size_t)t->count + 1) * sizeof *keyed);
    bool ok = sorted && number && keyed;
    if (ok && t->count > 0) {
        memcpy(sorted, t->names, names_bytes);
        qsort(sorted, (size_t)t->camera_count, sizeof *sorted, by_text);
        renumber(t, (const char(*)[TRACE_NAME_CHARS_MAX + 1]) sorted, number);
        for (int i = 0; i < t->count; i++) {
            keyed[i] = (struct keyed){t->rows[i], i};
            keyed[i].row.camera = number[t->rows[i].camera];
        }
        qsort(keyed, (size_t)t->count, sizeof *keyed, by_place);
        for (int i = 0; i < t->count; i++)
            t->rows[i] = keyed[i].row;
        memcpy(t->names, sorted, names_bytes);
    }
    free(sorted);
    free(number);
    free(keyed);
    return ok ? ST_OK : error_set(err, ST_NOMEM, "no memory to sort %d retrainings", t->count);
}

int trace_window(const struct trace *t, int camera, int window, int *ret_first)
{
    int first = 0;
    while (first < t->count &&
           (t->rows[first].camera < camera ||
            (t->rows[first].camera == camera && t->rows[first].window < window)))
        first++;
    int end = first;
    while (end < t->count && t->rows[end].camera == camera && t->rows[end].window == window)
        end++;
    *ret_first = first;
    return end;
}

/* ---- CSV ---- */

enum field { CITY, WINDOW, CONFIG, EPOCHS, START, END, COMPUTE, EST_START, EST_END, FIELDS };

static const char *const field_names[FIELDS][4] = {
    [CITY] = {"city", "camera", NULL},
    [WINDOW] = {"window", NULL},
    [CONFIG] = {"config", "configuration", NULL},
    [EPOCHS] = {"epochs", NULL},
    [START] = {"start_acc", "start", NULL},
    [END] = {"end_acc", "end", NULL},
    [COMPUTE] = {"gpu_seconds", "compute_s", NULL},
    [EST_START] = {"est_start_acc", "est_start", NULL},
    [EST_END] = {"est_end_acc", "est_end", NULL},
};

static enum status find_columns(const struct csv *c, int column[FIELDS], struct error *err)
{
    enum status st = ST_OK;
    for (int f = 0; f < EST_START && st == ST_OK; f++)
        st = csv_need_column(c, field_names[f], &column[f], err);
    column[EST_START] = csv_column(c, field_names[EST_START]);
    column[EST_END] = csv_column(c, field_names[EST_END]);
    return st;
}

static enum status read_row(const struct csv *c, int i, const int column[FIELDS], struct trace *t,
                            struct error *err)
{
    struct trace_row r = {.est_start = NAN, .est_end = NAN};
    r.camera = trace_camera(t, csv_text(c, i, column[CITY]), err);
    if (r.camera < 0)
        return error_prefix(err, "%s:%d", c->name, c->lines[i]);
    enum status st = csv_whole(c, i, column[WINDOW], 0, 1000000, &r.window, err);
    if (st == ST_OK)
        st = csv_whole(c, i, column[CONFIG], 0, 1000000, &r.config, err);
    if (st == ST_OK)
        st = csv_whole(c, i, column[EPOCHS], 0, 1000, &r.epochs, err);
    if (st == ST_OK)
        st = csv_number(c, i, column[START], 0, 1, &r.start, err);
    if (st == ST_OK)
        st = csv_number(c, i, column[END], 0, 1, &r.end, err);
    if (st == ST_OK)
        st = csv_number(c, i, column[COMPUTE], 1e-6, 1e9, &r.compute_s, err);
    if (st == ST_OK && column[EST_START] >= 0)
        st = csv_number(c, i, column[EST_START], 0, 1, &r.est_start, err);
    if (st == ST_OK && column[EST_END] >= 0)
        st = csv_number(c, i, column[EST_END], 0, 1, &r.est_end, err);
    return st == ST_OK ? trace_add(t, &r, err) : st;
}

static enum status finish(struct trace *t, enum status st, const char *name, struct trace *ret,
                          struct error *err)
{
    if (st == ST_OK && t->count == 0)
        st = error_set(err, ST_FORMAT, "%s holds no retraining", name);
    if (st == ST_OK)
        st = trace_sort(t, err);
    if (st != ST_OK) {
        trace_clear(t);
        return st;
    }
    *ret = *t;
    return ST_OK;
}

enum status trace_read_csv(const void *text, size_t n, const char *name, struct trace *ret,
                           struct error *err)
{
    struct csv c;
    struct trace t = {0};
    int column[FIELDS];
    enum status st = csv_read(text, n, name, &c, err);
    if (st != ST_OK)
        return st;
    st = find_columns(&c, column, err);
    for (int i = 0; i < c.row_count && st == ST_OK; i++)
        st = read_row(&c, i, column, &t, err);
    csv_clear(&c);
    return finish(&t, st, name, ret, err);
}

enum status trace_read_json(const void *text, size_t n, const char *name, struct trace *ret,
                            struct error *err)
{
    struct trace t = {0};
    enum status st = trace_add_json(&t, text, n, name, err);
    return finish(&t, st, name, ret, err);
}

/* ---- files ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static enum status add_json_file(struct trace *t, const char *path, struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = file_read(path, CSV_BYTES_MAX, &b, err);
    if (st == ST_OK)
        st = trace_add_json(t, b.data, b.size_bytes, path, err);
    buf_clear(&b);
    return st;
}

static enum status add_folder(struct trace *t, const char *path, struct error *err)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        return error_set(err, ST_IO, "cannot list %s", path);
    enum status st = n > TRACE_FILES_MAX ? error_set(err, ST_LIMIT, "%s has more than %d files",
                                                     path, TRACE_FILES_MAX)
                                         : ST_OK;
    for (int i = 0; i < n; i++) {
        char file[4096];
        int m = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (st == ST_OK && ends_with(entries[i]->d_name, ".json") && m < (int)sizeof file)
            st = add_json_file(t, file, err);
        free(entries[i]);
    }
    free(entries);
    return st;
}

static enum status open_csv(const char *path, struct trace *ret, struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = file_read(path, CSV_BYTES_MAX, &b, err);
    if (st == ST_OK)
        st = trace_read_csv(b.size_bytes ? b.data : (const uint8_t *)"", b.size_bytes, path, ret,
                            err);
    buf_clear(&b);
    return st;
}

enum status trace_open(const char *path, struct trace *ret, struct error *err)
{
    struct stat info;
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if (!folder && !ends_with(path, ".json"))
        return open_csv(path, ret, err);
    struct trace t = {0};
    enum status st = folder ? add_folder(&t, path, err) : add_json_file(&t, path, err);
    return finish(&t, st, path, ret, err);
}
