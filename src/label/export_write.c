/* export_write.c - a sample in the form of each kind of data set. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "label/export_internal.h"
#include "label/outline.h"
#include "task/detect.h"
#include "video/frame.h"
#include "video/image.h"

#define COPY_BYTES 65536

/* ---- the folder ---- */

static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    bool empty = true;
    if (!d)
        return errno == ENOENT;
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    closedir(d);
    return empty;
}

static enum status make_folder(const struct exporter *e, const char *name, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3900s/%s", e->options->out, name);
    return file_mkdirs(path, err);
}

/* A class's name as that of a folder. */
static void folder_name(const char *name, char ret[CLASS_NAME_CHARS_MAX + 1])
{
    size_t n = 0;
    for (; n < CLASS_NAME_CHARS_MAX && name[n]; n++)
        ret[n] = name[n] == '/' || (unsigned char)name[n] < ' ' || (n == 0 && name[n] == '.')
                     ? '_'
                     : name[n];
    ret[n] = '\0';
}

static enum status make_folders(const struct exporter *e, struct error *err)
{
    const struct export_options *o = e->options;
    if (o->format == EXPORT_FOLDERS) /* made with their first pictures */
        return file_mkdirs(o->out, err);
    if (o->format == EXPORT_COCO)
        return make_folder(e, "images", err);
    enum status st = make_folder(e, "images/train", err);
    return st == ST_OK ? make_folder(e, "labels/train", err) : st;
}

static enum status write_file(struct exporter *e, const char *folder, const char *name,
                              const char *suffix, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3700s/%s/%s%s", e->options->out, folder, name, suffix);
    FILE *f = fopen(path, "wbe");
    bool ok = f && !e->bytes.failed &&
              (e->bytes.size_bytes == 0 || fwrite(e->bytes.data, e->bytes.size_bytes, 1, f) == 1);
    if (f && fclose(f) != 0)
        ok = false;
    return ok ? ST_OK : error_set(err, ST_IO, "cannot write %s: %s", path, strerror(errno));
}

static const char *suffix_of(const struct exporter *e)
{
    return e->options->png ? ".png" : ".jpg";
}

static enum status write_picture(struct exporter *e, const char *folder,
                                 const struct export_sample *s, struct error *err)
{
    e->bytes.size_bytes = 0;
    enum status st = e->options->png
                         ? image_png_write(s->frame, &e->bytes, err)
                         : image_jpeg_write(s->frame, e->options->quality, &e->bytes, err);
    return st == ST_OK ? write_file(e, folder, s->name, suffix_of(e), err) : st;
}

/* ---- COCO ---- */

/* One element of an array, which the first has none before. */
static enum status put_element(FILE *f, json_t *o, bool first, struct error *err)
{
    bool ok = o && fputs(first ? "\n" : ",\n", f) >= 0 &&
              json_dumpf(o, f, JSON_COMPACT | JSON_REAL_PRECISION(8)) == 0;
    json_decref(o);
    return ok ? ST_OK : error_set(err, ST_IO, "cannot write annotations.json: %s", strerror(errno));
}

static enum status put_annotation(struct exporter *e, json_t *o, struct error *err)
{
    uint64_t id = ++e->summary->annotations;
    if (o) {
        json_object_set_new(o, "id", json_integer((json_int_t)id));
        json_object_set_new(o, "image_id", json_integer((json_int_t)e->summary->pictures));
    }
    return put_element(e->annotations, o, id == 1, err);
}

static void put_time(uint64_t t_us, char ret[32])
{
    struct tm utc;
    time_t s = (time_t)(t_us / 1000000);
    gmtime_r(&s, &utc);
    size_t n = strftime(ret, 24, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret + n, 32 - n, ".%03uZ", (unsigned)(t_us % 1000000 / 1000));
}

static json_t *image_of(const struct exporter *e, const struct export_sample *s)
{
    char time[32];
    put_time(s->t_us, time);
    return json_pack("{s:I,s:o,s:i,s:i,s:s,s:s,s:I}", "id", (json_int_t)e->summary->pictures,
                     "file_name", json_sprintf("images/%s%s", s->name, suffix_of(e)), "width",
                     s->frame->width, "height", s->frame->height, "date_captured", time, "camera",
                     s->camera, "model_version", (json_int_t)s->version);
}

static enum status add_boxes(struct exporter *e, const struct export_sample *s, struct error *err)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(s->labels->classes, d);
    enum status st = ST_OK;
    for (int i = 0; i < count && st == ST_OK; i++) {
        const struct box *b = &d[i].box;
        double w = (double)(b->x1 - b->x0) * s->frame->width;
        double h = (double)(b->y1 - b->y0) * s->frame->height;
        if ((double)b->score < e->options->min_score || b->class_id >= e->options->class_count)
            continue;
        st = put_annotation(e,
                            json_pack("{s:i,s:[f,f,f,f],s:f,s:i,s:f,s:{s:b,s:b}}", "category_id",
                                      b->class_id + 1, "bbox", (double)b->x0 * s->frame->width,
                                      (double)b->y0 * s->frame->height, w, h, "area", w * h,
                                      "iscrowd", (int)d[i].unsure, "score", (double)b->score,
                                      "attributes", "teacher", 1, "unsure", (int)d[i].unsure),
                            err);
    }
    return st;
}

struct mask {
    int x0, y0, x1, y1; /* exclusive of x1, y1 */
    json_int_t area;
    json_t *counts; /* run lengths, column by column, zeros first */
};

/* COCO's uncompressed run lengths of one class. */
static struct mask mask_of(const struct label_map *l, int class_id)
{
    struct mask m = {.x0 = l->width, .y0 = l->height, .counts = json_array()};
    json_int_t run = 0;
    bool inside = false;
    for (int x = 0; x < l->width; x++)
        for (int y = 0; y < l->height; y++) {
            bool here = l->classes[(size_t)y * (size_t)l->width + (size_t)x] == class_id;
            if (here != inside) {
                json_array_append_new(m.counts, json_integer(run));
                run = 0;
                inside = here;
            }
            run++;
            if (!here)
                continue;
            m.area++;
            m.x0 = x < m.x0 ? x : m.x0;
            m.y0 = y < m.y0 ? y : m.y0;
            m.x1 = x + 1;
            m.y1 = y + 1 > m.y1 ? y + 1 : m.y1;
        }
    json_array_append_new(m.counts, json_integer(run));
    return m;
}

static enum status put_mask(struct exporter *e, int class_id, struct error *err)
{
    struct mask m = mask_of(&e->resized, class_id);
    if (m.area == 0) {
        json_decref(m.counts);
        return ST_OK;
    }
    return put_annotation(e,
                          json_pack("{s:i,s:[i,i,i,i],s:I,s:i,s:{s:o,s:[i,i]},s:{s:b}}",
                                    "category_id", class_id + 1, "bbox", m.x0, m.y0, m.x1 - m.x0,
                                    m.y1 - m.y0, "area", m.area, "iscrowd", 1, "segmentation",
                                    "counts", m.counts, "size", e->resized.height, e->resized.width,
                                    "attributes", "teacher", 1),
                          err);
}

struct polygons {
    struct exporter *e;
    int class_id;
    enum status st;
    struct error *err;
};

static void put_polygon(void *context, const struct outline *o)
{
    struct polygons *p = context;
    json_t *points = json_array();
    for (int i = 0; i < 2 * o->count; i++)
        json_array_append_new(points, json_integer(o->corners[i]));
    if (p->st == ST_OK)
        p->st = put_annotation(p->e,
                               json_pack("{s:i,s:[i,i,i,i],s:I,s:i,s:[O],s:{s:b}}", "category_id",
                                         p->class_id + 1, "bbox", o->x0, o->y0, o->x1 - o->x0,
                                         o->y1 - o->y0, "area", (json_int_t)o->area, "iscrowd", 0,
                                         "segmentation", points, "attributes", "teacher", 1),
                               p->err);
    json_decref(points);
}

static enum status put_polygons(struct exporter *e, int class_id, struct error *err)
{
    struct polygons p = {e, class_id, ST_OK, err};
    enum status st = outline_trace(&e->resized, class_id, EXPORT_AREA_MIN, put_polygon, &p, err);
    return st == ST_OK ? p.st : st;
}

static enum status add_masks(struct exporter *e, const struct export_sample *s, struct error *err)
{
    enum status st = label_map_resize(&e->resized, s->frame->width, s->frame->height, err);
    if (st != ST_OK)
        return st;
    task_resize_labels(s->labels, &e->resized);
    for (int c = 0; c < e->options->class_count && st == ST_OK; c++)
        st = e->options->polygons ? put_polygons(e, c, err) : put_mask(e, c, err);
    e->bytes.size_bytes = 0;
    if (st == ST_OK)
        st = image_labels_write(&e->resized, &e->bytes, err);
    return st == ST_OK ? write_file(e, "images", s->name, "_label.png", err) : st;
}

static enum status add_coco(struct exporter *e, const struct export_sample *s, struct error *err)
{
    enum status st = write_picture(e, "images", s, err);
    if (st == ST_OK)
        st = put_element(e->images, image_of(e, s), e->summary->pictures == 1, err);
    if (st != ST_OK)
        return st;
    return e->options->task == TASK_DETECT ? add_boxes(e, s, err) : add_masks(e, s, err);
}

static enum status open_coco(struct exporter *e, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3900s/annotations.json", e->options->out);
    e->images = fopen(path, "wbe");
    e->annotations = tmpfile();
    if (!e->images || !e->annotations)
        return error_set(err, ST_IO, "cannot write %s: %s", path, strerror(errno));
    fputs("{\"images\":[", e->images);
    return ST_OK;
}

static json_t *categories_of(const struct export_options *o)
{
    json_t *list = json_array();
    for (int c = 0; c < o->class_count; c++)
        json_array_append_new(list, json_pack("{s:i,s:s,s:s}", "id", c + 1, "name",
                                              o->class_name[c], "supercategory", ""));
    return list;
}

/* The annotations go behind the pictures, then what is about all of them. */
static enum status finish_coco(struct exporter *e, struct error *err)
{
    char time[32], *copy = malloc(COPY_BYTES);
    size_t n;
    put_time(e->options->now_us, time);
    json_t *rest =
        json_pack("{s:o,s:{s:s,s:s,s:s,s:s}}", "categories", categories_of(e->options), "info",
                  "description", "samples of attune, labelled by its teacher", "version", "1.0",
                  "date_created", time, "teacher", e->options->teacher);
    char *text = rest ? json_dumps(rest, JSON_COMPACT) : NULL;
    fputs("],\n\"annotations\":[", e->images);
    rewind(e->annotations);
    while (copy && (n = fread(copy, 1, COPY_BYTES, e->annotations)) > 0)
        fwrite(copy, 1, n, e->images);
    if (text)
        fprintf(e->images, "],\n%s\n", text + 1);
    bool ok = copy && text && !ferror(e->images) && !ferror(e->annotations);
    free(copy);
    free(text);
    json_decref(rest);
    return ok ? ST_OK : error_set(err, ST_IO, "cannot write annotations.json");
}

/* ---- YOLO ---- */

static enum status add_yolo(struct exporter *e, const struct export_sample *s, struct error *err)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(s->labels->classes, d);
    enum status st = write_picture(e, "images/train", s, err);
    e->bytes.size_bytes = 0;
    for (int i = 0; i < count; i++) {
        const struct box *b = &d[i].box;
        if (d[i].unsure || (double)b->score < e->options->min_score ||
            b->class_id >= e->options->class_count)
            continue;
        e->summary->annotations++;
        buf_printf(&e->bytes, "%d %.6f %.6f %.6f %.6f\n", b->class_id, (double)(b->x0 + b->x1) / 2,
                   (double)(b->y0 + b->y1) / 2, (double)(b->x1 - b->x0), (double)(b->y1 - b->y0));
    }
    return st == ST_OK ? write_file(e, "labels/train", s->name, ".txt", err) : st;
}

/* A JSON string is YAML's double-quoted one. */
static enum status finish_yolo(struct exporter *e, struct error *err)
{
    e->bytes.size_bytes = 0;
    buf_printf(&e->bytes, "path: .\ntrain: images/train\nval: images/train\nnames:\n");
    for (int c = 0; c < e->options->class_count; c++) {
        json_t *name = json_string(e->options->class_name[c]);
        char *text = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
        buf_printf(&e->bytes, "  %d: %s\n", c, text ? text : "\"?\"");
        free(text);
        json_decref(name);
    }
    return write_file(e, ".", "data", ".yaml", err);
}

/* ---- folders ---- */

static enum status add_to_folder(struct exporter *e, const struct export_sample *s,
                                 struct error *err)
{
    char name[CLASS_NAME_CHARS_MAX + 1];
    int class_id = s->labels->classes[0];
    if (class_id >= e->options->class_count) { /* nobody's: no sample */
        e->summary->pictures--;
        return ST_OK;
    }
    e->summary->annotations++;
    folder_name(e->options->class_name[class_id], name);
    enum status st = make_folder(e, name, err);
    return st == ST_OK ? write_picture(e, name, s, err) : st;
}

/* ---- the whole ---- */

enum status exporter_open(struct exporter *e, const struct export_options *options,
                          struct export_summary *summary, struct error *err)
{
    *e = (struct exporter){.options = options, .summary = summary};
    if (!is_empty(options->out))
        return error_set(err, ST_CONFLICT, "%s is there already and not empty; name another folder",
                         options->out);
    enum status st = make_folders(e, err);
    label_map_init(&e->resized);
    buf_init(&e->bytes);
    if (st == ST_OK && options->format == EXPORT_COCO)
        st = open_coco(e, err);
    if (st != ST_OK)
        exporter_close(e, false, NULL);
    return st;
}

enum status exporter_add(struct exporter *e, const struct export_sample *s, struct error *err)
{
    e->summary->pictures++;
    switch (e->options->format) {
    case EXPORT_YOLO:
        return add_yolo(e, s, err);
    case EXPORT_FOLDERS:
        return add_to_folder(e, s, err);
    default:
        return add_coco(e, s, err);
    }
}

enum status exporter_close(struct exporter *e, bool complete, struct error *err)
{
    enum status st = ST_OK;
    if (complete && e->options->format == EXPORT_COCO)
        st = finish_coco(e, err);
    else if (complete && e->options->format == EXPORT_YOLO)
        st = finish_yolo(e, err);
    if (e->images && fclose(e->images) != 0 && st == ST_OK)
        st = error_set(err, ST_IO, "cannot write annotations.json: %s", strerror(errno));
    if (e->annotations)
        fclose(e->annotations);
    label_map_clear(&e->resized);
    buf_clear(&e->bytes);
    return st;
}
