/* api_files.c - pictures and models. */
#include <stdlib.h>
#include <string.h>

#include "server/http.h"
#include "server/labelling.h"

static enum preview_view parse_view(const char *name)
{
    if (!name || strcmp(name, "image") == 0)
        return PREVIEW_IMAGE;
    if (strcmp(name, "student") == 0)
        return PREVIEW_STUDENT;
    return strcmp(name, "teacher") == 0 ? PREVIEW_TEACHER : (enum preview_view)0;
}

void api_frame(struct request *r, struct reply *out)
{
    enum preview_view view = parse_view(request_query(r, "view"));
    struct error err = {0};
    if (!view) {
        reply_error(out, 400, "view is image, student or teacher");
        return;
    }
    enum status st = labelling_preview(r->server->labelling, r->args[0], view, &out->body, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    out->status = 200;
    out->type = "image/jpeg";
    reply_header(out, "Cache-Control", "no-store");
}

static enum status write_model(struct request *r, uint64_t version, struct buf *out,
                               struct error *err)
{
    const struct nn_model *m = r->server->student;
    float *params = calloc(nn_model_param_count(m), sizeof *params);
    if (!params)
        return error_set(err, ST_NOMEM, "no memory for the model");
    enum status st = server_version_params(r->server, r->args[0], version, params, err);
    if (st == ST_OK)
        st = nn_model_write(m, params, out, err);
    free(params);
    return st;
}

void api_model(struct request *r, struct reply *out)
{
    struct store_camera c;
    struct error err = {0};
    enum status st = store_camera_get(r->server->store, r->args[0], &c, &err);
    if (st == ST_OK)
        st = write_model(r, c.version, &out->body, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    out->status = 200;
    out->type = "application/octet-stream";
    reply_header(out, "Attune-Version", "%llu", (unsigned long long)c.version);
    reply_header(out, "Content-Disposition", "attachment; filename=\"%.30s.onnx\"", c.id);
}
