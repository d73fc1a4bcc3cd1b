/* still_cameras.c - see still_cameras.h. */
#include "still_cameras.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "video/crop.h"
#include "video/frame.h"
#include "video/image.h"

/* "camB" and "B" are one camera of a site. */
static void name_of(const struct still_row *row, enum still_unit unit, char *name)
{
    const char *camera = strncmp(row->camera, "cam", 3) == 0 ? row->camera + 3 : row->camera;
    if (unit == STILL_SITE)
        snprintf(name, STILL_CAMERA_CHARS, "%.60s", row->site);
    else if (unit == STILL_DEVICE)
        snprintf(name, STILL_CAMERA_CHARS, "%.60s/%.20s", row->site, camera);
    else
        snprintf(name, STILL_CAMERA_CHARS, "%.50s/%.20s/%.10s", row->site, camera, row->conditions);
}

/* -1: there are too many. */
static int camera_of(struct still_cameras *c, const struct still_row *row, enum still_unit unit)
{
    char name[STILL_CAMERA_CHARS];
    name_of(row, unit, name);
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->cameras[i].name, name) == 0)
            return i;
    if (c->count == STILL_CAMERAS_MAX)
        return -1;
    struct still_camera *k = &c->cameras[c->count];
    memcpy(k->name, name, sizeof name);
    k->place = group_place_of_degrees(row->lat, row->lon);
    return c->count++;
}

static enum status add_place(struct still_camera *k, struct still_picture **ret, struct error *err)
{
    struct still_picture *more = realloc(k->pictures, (size_t)(k->count + 1) * sizeof *more);
    if (!more)
        return error_set(err, ST_NOMEM, "no memory for stills");
    k->pictures = more;
    *ret = &more[k->count++];
    **ret = (struct still_picture){.time_us = 0};
    frame_init(&(*ret)->frame);
    label_map_init(&(*ret)->labels);
    return ST_OK;
}

static enum status open_image(const char *folder, const struct still_row *row, struct frame *ret,
                              struct error *err)
{
    char path[4096];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s/%s", folder, row->site, row->file);
    if (stat(path, &info) != 0)
        snprintf(path, sizeof path, "%s/%s", folder, row->file);
    return image_open(path, ret, err);
}

/* What reading needs. */
struct reader {
    struct labeller *labeller;
    struct frame image, taught; /* taught: a tile at the teacher's input size */
    struct cropper to_teacher, to_student;
};

static void reader_clear(struct reader *r)
{
    frame_clear(&r->image);
    frame_clear(&r->taught);
    cropper_clear(&r->to_teacher);
    cropper_clear(&r->to_student);
}

static enum status reader_init(struct reader *r, struct labeller *labeller, struct error *err)
{
    const struct task_spec *spec = labeller_teacher_spec(labeller);
    r->labeller = labeller;
    frame_init(&r->image);
    frame_init(&r->taught);
    cropper_init(&r->to_teacher);
    cropper_init(&r->to_student);
    return frame_resize(&r->taught, spec->width, spec->height, err);
}

static enum status add_tile(struct still_camera *k, struct reader *r, const struct box *tile,
                            uint64_t time_us, struct error *err)
{
    const struct task_spec *spec = labeller_student_spec(r->labeller);
    struct still_picture *p = NULL;
    enum status st = add_place(k, &p, err);
    if (st != ST_OK)
        return st;
    p->time_us = time_us;
    p->order = k->count;
    st = frame_resize(&p->frame, spec->width, spec->height, err);
    if (st == ST_OK)
        st = label_map_resize(&p->labels, spec->out_width, spec->out_height, err);
    if (st == ST_OK)
        st = cropper_cut(&r->to_student, &r->image, tile, &p->frame, err);
    if (st == ST_OK)
        st = cropper_cut(&r->to_teacher, &r->image, tile, &r->taught, err);
    return st == ST_OK ? labeller_teach(r->labeller, &r->taught, &p->labels, err) : st;
}

static enum status add_tiles(struct still_camera *k, struct reader *r, struct still_tiles tiles,
                             uint64_t time_us, struct error *err)
{
    const float w = (float)r->image.width / (float)tiles.across;
    const float h = (float)r->image.height / (float)tiles.down;
    enum status st = ST_OK;
    for (int i = 0; i < tiles.across * tiles.down && st == ST_OK; i++) {
        const float x = w * (float)(i % tiles.across), y = h * (float)(i / tiles.across);
        const struct box tile = {.x0 = x, .y0 = y, .x1 = x + w, .y1 = y + h};
        st = add_tile(k, r, &tile, time_us, err);
    }
    return st;
}

static enum status read_all(const char *folder, const struct still_index *index,
                            enum still_unit unit, struct labeller *labeller,
                            struct still_cameras *c, struct error *err)
{
    struct reader r;
    enum status st = reader_init(&r, labeller, err);
    for (int i = 0; i < index->count && st == ST_OK; i++) {
        int k = camera_of(c, &index->rows[i], unit);
        if (k < 0)
            st = error_set(err, ST_LIMIT, "more than %d cameras", STILL_CAMERAS_MAX);
        else
            st = open_image(folder, &index->rows[i], &r.image, err);
        if (st == ST_OK)
            st = add_tiles(&c->cameras[k], &r, c->tiles, index->rows[i].time_us, err);
    }
    reader_clear(&r);
    return st;
}

static void camera_clear(struct still_camera *k)
{
    for (int i = 0; i < k->count; i++) {
        frame_clear(&k->pictures[i].frame);
        label_map_clear(&k->pictures[i].labels);
    }
    free(k->pictures);
    *k = (struct still_camera){.count = 0};
}

static int by_time(const void *a, const void *b)
{
    const struct still_picture *x = a, *y = b;
    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? -1 : 1;
    return x->order - y->order;
}

enum status still_cameras_open(const char *folder, enum still_unit unit, struct still_tiles tiles,
                               struct labeller *labeller, struct still_cameras *ret,
                               struct error *err)
{
    struct still_index index;
    int kept = 0;
    *ret = (struct still_cameras){.tiles = tiles};
    enum status st = still_index_open(folder, &index, err);
    if (st != ST_OK)
        return st;
    st = read_all(folder, &index, unit, labeller, ret, err);
    ret->dated = index.dated;
    still_index_clear(&index);
    for (int i = 0; i < ret->count; i++) {
        struct still_camera *k = &ret->cameras[i];
        if (k->count < STILL_CAMERA_MIN * tiles.across * tiles.down) {
            camera_clear(k);
            continue;
        }
        if (ret->dated)
            qsort(k->pictures, (size_t)k->count, sizeof *k->pictures, by_time);
        struct still_camera moved = *k;
        *k = (struct still_camera){.count = 0};
        ret->cameras[kept++] = moved;
    }
    ret->count = kept;
    if (st != ST_OK)
        still_cameras_clear(ret);
    return st;
}

void still_cameras_clear(struct still_cameras *c)
{
    for (int i = 0; i < c->count; i++)
        camera_clear(&c->cameras[i]);
    c->count = 0;
}

static void split(struct still_camera *k, int tiles, bool dated, int run)
{
    int stills = k->count / tiles, rest = stills - stills / 3, before = 0;
    for (int i = 0; i < stills; i++) {
        bool test = dated ? i >= rest : i % 3 == run % 3;
        bool tries = dated ? before >= rest - rest / 4 : before % 4 == 1;
        for (int t = 0; t < tiles; t++)
            k->pictures[i * tiles + t].part = test    ? STILL_TESTS
                                              : tries ? STILL_TRIES
                                                      : STILL_TRAINS;
        before += !test;
    }
}

void still_cameras_split(struct still_cameras *c, int run)
{
    for (int i = 0; i < c->count; i++)
        split(&c->cameras[i], c->tiles.across * c->tiles.down, c->dated, run);
}
