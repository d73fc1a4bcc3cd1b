/* api_samples.c - pictures: the newest of a camera, any labelled one that is still kept, a list of
 * those that student and teacher see differently, and what their colours mean. */
#include <stdio.h>
#include <string.h>

#include "server/http.h"
#include "server/labelling.h"
#include "task/draw.h"

#define SAMPLES_STANDARD 24
#define SAMPLES_MAX 200
#define INDEX_MAX 4096

static enum preview_view parse_view(const char *name)
{
    if (!name || strcmp(name, "image") == 0)
        return PREVIEW_IMAGE;
    if (strcmp(name, "student") == 0)
        return PREVIEW_STUDENT;
    return strcmp(name, "teacher") == 0 ? PREVIEW_TEACHER : (enum preview_view)0;
}

/* A frame that was sampled once does not change: a browser may keep it. */
static enum status draw_kept(struct request *r, uint64_t t_us, int index, enum preview_view view,
                             struct reply *out, struct error *err)
{
    struct store_frame f;
    struct store_camera c;
    enum status st = store_camera_get(r->server->store, r->args[0], &c, err);
    if (st == ST_OK)
        st = store_frame_get(r->server->store, c.id, t_us, index, &f, err);
    if (st == ST_OK)
        st = labelling_kept(r->server->labelling, c.id, &f, view, &out->body, err);
    if (st == ST_OK)
        reply_header(out, "Cache-Control", "private, max-age=3600, immutable");
    return st;
}

void api_frame(struct request *r, struct reply *out)
{
    enum preview_view view = parse_view(request_query(r, "view"));
    struct error err = {0};
    uint64_t t_us, index;
    if (!view) {
        reply_error(out, 400, "view is image, student or teacher");
        return;
    }
    if (!request_number(r, "t_us", 0, 1, INT64_MAX, &t_us, out) ||
        !request_number(r, "index", INDEX_MAX, 0, INDEX_MAX, &index, out))
        return;
    enum status st;
    if (t_us)
        st = draw_kept(r, t_us, index == INDEX_MAX ? -1 : (int)index, view, out, &err);
    else
        st = labelling_preview(r->server->labelling, r->args[0], view, &out->body, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    out->status = 200;
    out->type = "image/jpeg";
    if (!t_us)
        reply_header(out, "Cache-Control", "no-store");
}

void api_classes(struct request *r, struct reply *out)
{
    const struct task_spec *spec = &r->server->student_spec;
    json_t *list = json_array();
    struct palette palette;
    task_palette(spec, &palette);
    for (int i = 0; i < spec->class_count; i++) {
        const uint8_t *rgb = palette.rgb[i];
        char colour[8];
        snprintf(colour, sizeof colour, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
        json_array_append_new(
            list, json_pack("{s:s,s:s}", "name", spec->class_name[i], "colour", colour));
    }
    reply_json(out, 200, json_pack("{s:s,s:o}", "task", task_name(spec->task), "classes", list));
}

static void add_sample(const struct store_frame *f, void *context)
{
    json_array_append_new(context, json_pack("{s:I,s:i,s:I,s:I,s:o,s:o,s:o}", "t_us",
                                             (json_int_t)f->t_us, "index", f->index, "seq",
                                             (json_int_t)f->seq, "version", (json_int_t)f->version,
                                             "agreement", server_json_real(f->agreement),
                                             "accuracy", server_json_real(f->accuracy),
                                             "accuracy_unadapted", server_json_real(f->unadapted)));
}

void api_samples(struct request *r, struct reply *out)
{
    struct store_camera c;
    struct error err = {0};
    uint64_t limit;
    if (!request_number(r, "limit", SAMPLES_STANDARD, 1, SAMPLES_MAX, &limit, out))
        return;
    json_t *list = json_array();
    enum status st = store_camera_get(r->server->store, r->args[0], &c, &err);
    if (st == ST_OK)
        st = store_frames_doubtful(r->server->store, c.id, (int)limit, add_sample, list, &err);
    if (st == ST_OK)
        reply_json(out, 200, json_pack("{s:s,s:O}", "id", c.id, "samples", list));
    else
        reply_status(out, st, &err);
    json_decref(list);
}
