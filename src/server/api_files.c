/* api_files.c - models. */
#include <stdlib.h>

#include "server/http.h"

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
    uint64_t version;
    if (!request_number(r, "version", UINT64_MAX, 0, INT64_MAX, &version, out))
        return;
    enum status st = store_camera_get(r->server->store, r->args[0], &c, &err);
    if (st == ST_OK && version == UINT64_MAX)
        version = c.version;
    if (st == ST_OK)
        st = write_model(r, version, &out->body, &err);
    if (st != ST_OK) {
        reply_status(out, st, &err);
        return;
    }
    out->status = 200;
    out->type = "application/octet-stream";
    reply_header(out, "Attune-Version", "%llu", (unsigned long long)version);
    reply_header(out, "Content-Disposition", "attachment; filename=\"%.30s-v%llu.onnx\"", c.id,
                 (unsigned long long)version);
}
