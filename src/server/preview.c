/* preview.c - pictures are drawn when somebody asks: most frames are never looked at. */
#include "server/preview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/draw.h"
#include "video/frame.h"
#include "video/image.h"

#define OPACITY 120
#define JPEG_QUALITY 82

enum status preview_set_init(struct preview_set *p, int capacity, const struct task_spec *spec,
                             struct error *err)
{
    memset(p, 0, sizeof *p);
    p->previews = calloc((size_t)capacity, sizeof *p->previews);
    if (!p->previews)
        return error_set(err, ST_NOMEM, "no memory for %d previews", capacity);
    p->capacity = capacity;
    p->task = spec->task;
    pthread_mutex_init(&p->lock, NULL);
    task_palette(spec, &p->palette);
    return ST_OK;
}

static void preview_init(struct preview *v, const char *camera)
{
    snprintf(v->camera, sizeof v->camera, "%s", camera);
    frame_init(&v->frame);
    label_map_init(&v->student);
    label_map_init(&v->teacher);
}

static void preview_clear(struct preview *v)
{
    frame_clear(&v->frame);
    label_map_clear(&v->student);
    label_map_clear(&v->teacher);
}

void preview_set_clear(struct preview_set *p)
{
    if (!p->previews)
        return;
    for (int i = 0; i < p->count; i++)
        preview_clear(&p->previews[i]);
    free(p->previews);
    p->previews = NULL;
    pthread_mutex_destroy(&p->lock);
}

static struct preview *find(struct preview_set *p, const char *camera)
{
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->previews[i].camera, camera) == 0)
            return &p->previews[i];
    return NULL;
}

static enum status copy_map(struct label_map *dst, const struct label_map *src, struct error *err)
{
    enum status st = label_map_resize(dst, src->width, src->height, err);
    if (st == ST_OK)
        memcpy(dst->classes, src->classes, (size_t)src->width * (size_t)src->height);
    return st;
}

enum status preview_put(struct preview_set *p, const char *camera, const struct frame *frame,
                        const struct label_map *student, const struct label_map *teacher,
                        struct error *err)
{
    pthread_mutex_lock(&p->lock);
    struct preview *v = find(p, camera);
    if (!v && p->count < p->capacity) {
        v = &p->previews[p->count++];
        preview_init(v, camera);
    }
    enum status st = ST_OK;
    if (v)
        st = frame_copy(&v->frame, frame, err);
    if (v && st == ST_OK)
        st = copy_map(&v->student, student, err);
    if (v && st == ST_OK)
        st = copy_map(&v->teacher, teacher, err);
    pthread_mutex_unlock(&p->lock);
    return st;
}

static enum status copy_out(struct preview_set *p, const char *camera, enum preview_view view,
                            struct preview *ret, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    const struct preview *v = find(p, camera);
    enum status st = ST_OK;
    if (!v)
        st = error_set(err, ST_NOT_FOUND, "there is no labelled frame of '%.63s' yet", camera);
    else
        st = frame_copy(&ret->frame, &v->frame, err);
    if (st == ST_OK && view != PREVIEW_IMAGE)
        st = copy_map(&ret->student, view == PREVIEW_STUDENT ? &v->student : &v->teacher, err);
    pthread_mutex_unlock(&p->lock);
    return st;
}

enum status preview_draw(const struct preview_set *p, struct frame *frame,
                         const struct label_map *map, struct buf *out, struct error *err)
{
    if (map)
        task_draw(p->task, map, &p->palette, OPACITY, frame);
    return image_jpeg_write(frame, JPEG_QUALITY, out, err);
}

enum status preview_jpeg(struct preview_set *p, const char *camera, enum preview_view view,
                         struct buf *out, struct error *err)
{
    struct preview copy = {.camera = ""};
    preview_init(&copy, "");
    enum status st = copy_out(p, camera, view, &copy, err);
    if (st == ST_OK)
        st = preview_draw(p, &copy.frame, view == PREVIEW_IMAGE ? NULL : &copy.student, out, err);
    preview_clear(&copy);
    return st;
}
