/* export.c - finds the samples: chunks with labels, newest first, camera by camera. The files say
 * all there is to say; the database is not asked, so a running server is not disturbed. */
#include "label/export.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/names.h"
#include "label/export_internal.h"
#include "label/label_file.h"
#include "uplink/chunk.h"
#include "video/decode.h"
#include "video/frame.h"

#define CAMERAS_MAX 4096
#define CHUNKS_MAX ((size_t)1 << 24)
#define LABEL_FILE_BYTES_MAX ((size_t)1 << 30)

static const char *const formats[] = {
    [EXPORT_COCO] = "coco", [EXPORT_YOLO] = "yolo", [EXPORT_FOLDERS] = "folders"};

enum export_format export_format_parse(const char *name)
{
    return (enum export_format)names_find(formats, NAMES_COUNT(formats), name, 0);
}

const char *export_format_name(enum export_format f)
{
    return names_text(formats, NAMES_COUNT(formats), f, "?");
}

enum export_format export_format_for(enum task_kind task)
{
    return task == TASK_CLASSIFY ? EXPORT_FOLDERS : EXPORT_COCO;
}

static enum status check_format(const struct export_options *o, struct error *err)
{
    bool folders = o->format == EXPORT_FOLDERS;
    if (folders == (o->task == TASK_CLASSIFY) &&
        (o->format != EXPORT_YOLO || o->task == TASK_DETECT))
        return ST_OK;
    return error_set(err, ST_INVALID, "%s is not a format for labels of the task %s; take %s",
                     export_format_name(o->format), task_name(o->task),
                     export_format_name(export_format_for(o->task)));
}

/* ---- folders ---- */

struct names {
    char (*items)[CAMERA_ID_CHARS_MAX + 1];
    size_t count;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static enum status list_cameras(const struct export_options *o, struct names *ret,
                                struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.4000s/labels", o->state);
    DIR *d = opendir(path);
    if (!d)
        return error_set(err, ST_NOT_FOUND,
                         "%s has no labels: is it the state folder of attune server?", o->state);
    ret->items = calloc(CAMERAS_MAX, sizeof *ret->items);
    enum status st = ret->items ? ST_OK : error_set(err, ST_NOMEM, "no memory for the cameras");
    for (const struct dirent *e = readdir(d); e && st == ST_OK; e = readdir(d)) {
        size_t n = strspn(e->d_name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        if (n < 1 || n > CAMERA_ID_CHARS_MAX || e->d_name[n] || ret->count == CAMERAS_MAX ||
            (o->camera && strcmp(o->camera, e->d_name) != 0))
            continue;
        memcpy(ret->items[ret->count++], e->d_name, n + 1);
    }
    closedir(d);
    if (st == ST_OK && ret->count == 0)
        st = o->camera
                 ? error_set(err, ST_NOT_FOUND, "there are no labels of a camera '%.63s' in %s",
                             o->camera, o->state)
                 : error_set(err, ST_NOT_FOUND, "nothing is labelled yet in %s", o->state);
    if (st == ST_OK)
        qsort(ret->items, ret->count, sizeof *ret->items, by_name);
    return st;
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The numbers of the camera's chunks that have labels. */
static enum status list_chunks(const struct export_options *o, const char *camera, struct buf *ret,
                               struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3900s/labels/%s", o->state, camera);
    DIR *d = opendir(path);
    if (!d)
        return error_set(err, ST_IO, "cannot read %s: %s", path, strerror(errno));
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        uint64_t seq;
        int used = 0;
        if (sscanf(e->d_name, "%" SCNu64 ".labels%n", &seq, &used) == 1 && used > 0 &&
            !e->d_name[used] && ret->size_bytes < CHUNKS_MAX * sizeof seq)
            buf_put(ret, &seq, sizeof seq);
    }
    closedir(d);
    if (ret->failed)
        return error_set(err, ST_NOMEM, "no memory for the list of chunks");
    if (ret->size_bytes > 0)
        qsort(ret->data, ret->size_bytes / sizeof(uint64_t), sizeof(uint64_t), newest_first);
    return ST_OK;
}

/* ---- a chunk ---- */

struct reader {
    const struct export_options *options;
    struct exporter *to;
    struct export_summary *summary;
    const char *camera;
    uint64_t left; /* pictures that this camera may still give */
    struct buf bytes;
    struct frame frame;
};

static bool is_of_task(const struct reader *r, const struct label_set *l, const struct chunk *c)
{
    return l->count == c->count && l->boxes == (r->options->task == TASK_DETECT) &&
           l->class_count <= r->options->class_count;
}

/* Frames in the order of the clip; the newest `left` of them are taken. */
static enum status export_frames(struct reader *r, const struct chunk *c,
                                 const struct label_set *labels, struct error *err)
{
    struct clip_decoder *d;
    uint64_t skip = (uint64_t)c->count > r->left ? (uint64_t)c->count - r->left : 0;
    enum status st =
        clip_decoder_open(c->payload, c->payload_bytes, c->width, c->height, c->count, &d, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < c->count && st == ST_OK; i++) {
        st = clip_decoder_next(d, &r->frame, err);
        if (st != ST_OK || (uint64_t)i < skip || c->t_us[i] <= r->options->since_us)
            continue;
        struct label_map map = label_set_map(labels, i);
        struct export_sample s = {.camera = r->camera,
                                  .t_us = c->t_us[i],
                                  .version = c->version[i],
                                  .frame = &r->frame,
                                  .labels = &map};
        snprintf(s.name, sizeof s.name, "%s-%06llu-%03d", r->camera, (unsigned long long)c->seq, i);
        st = exporter_add(r->to, &s, err);
        r->left -= st == ST_OK;
        if (st == ST_OK && r->options->on_picture)
            r->options->on_picture(r->options->context, r->summary->pictures);
        if (st == ST_FORMAT)
            st = error_set(err, ST_IO, "cannot write the picture %s", s.name);
    }
    clip_decoder_close(&d);
    return st;
}

static enum status read_file(struct reader *r, const char *kind, uint64_t seq, const char *suffix,
                             size_t bytes_max, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3900s/%s/%s/%" PRIu64 ".%s", r->options->state, kind, r->camera,
             seq, suffix);
    r->bytes.size_bytes = 0;
    return file_read(path, bytes_max, &r->bytes, err);
}

/* ST_FORMAT, ST_NOT_FOUND: the chunk is damaged or was deleted just now. */
static enum status export_chunk(struct reader *r, uint64_t seq, struct error *err)
{
    struct label_set labels = {0};
    struct chunk *c = malloc(sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory for a chunk");
    enum status st = read_file(r, "labels", seq, "labels", LABEL_FILE_BYTES_MAX, err);
    if (st == ST_OK)
        st = label_set_read(r->bytes.data, r->bytes.size_bytes, &labels, err);
    if (st == ST_OK)
        st = read_file(r, "chunks", seq, "chunk", CHUNK_BYTES_MAX, err);
    if (st == ST_OK)
        st = chunk_parse(r->bytes.data, r->bytes.size_bytes, c, err);
    if (st == ST_OK && !is_of_task(r, &labels, c))
        st = error_set(err, ST_FORMAT, "the labels of chunk %" PRIu64 " are of another task", seq);
    if (st == ST_OK && c->t_us[c->count - 1] > r->options->since_us)
        st = export_frames(r, c, &labels, err);
    label_set_clear(&labels);
    free(c);
    return st;
}

static enum status export_camera(struct reader *r, struct error *err)
{
    struct buf chunks;
    buf_init(&chunks);
    r->left = r->options->limit ? r->options->limit : UINT64_MAX;
    uint64_t before = r->summary->pictures;
    enum status st = list_chunks(r->options, r->camera, &chunks, err);
    const uint64_t *seq = (const uint64_t *)(void *)chunks.data;
    for (size_t i = 0; i < chunks.size_bytes / sizeof *seq && r->left > 0 && st == ST_OK; i++) {
        st = export_chunk(r, seq[i], err);
        if (st == ST_FORMAT || st == ST_LIMIT || st == ST_UNSUPPORTED) {
            r->summary->damaged++;
            st = ST_OK;
        } else if (st == ST_NOT_FOUND)
            st = ST_OK;
    }
    r->summary->cameras += r->summary->pictures > before;
    buf_clear(&chunks);
    return st;
}

enum status export_labels(const struct export_options *options, struct export_summary *ret,
                          struct error *err)
{
    struct exporter to;
    struct names cameras = {0};
    struct reader r = {.options = options, .to = &to, .summary = ret};
    *ret = (struct export_summary){0};
    enum status st = check_format(options, err);
    if (st == ST_OK)
        st = list_cameras(options, &cameras, err);
    if (st == ST_OK)
        st = exporter_open(&to, options, ret, err);
    if (st != ST_OK) {
        free(cameras.items);
        return st;
    }
    buf_init(&r.bytes);
    frame_init(&r.frame);
    for (size_t i = 0; i < cameras.count && st == ST_OK; i++) {
        r.camera = cameras.items[i];
        st = export_camera(&r, err);
    }
    if (st == ST_OK && ret->pictures == 0)
        st = error_set(err, ST_NOT_FOUND, "no picture of %s is asked for: nothing is that new",
                       options->state);
    enum status closed = exporter_close(&to, st == ST_OK, st == ST_OK ? err : NULL);
    frame_clear(&r.frame);
    buf_clear(&r.bytes);
    free(cameras.items);
    return st != ST_OK ? st : closed;
}
