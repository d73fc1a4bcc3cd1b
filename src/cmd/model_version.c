#include "cmd/model_version.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/delta.h"
#include "nn/checkpoint.h"
#include "store/store.h"

#define CHECKPOINT_MAGIC "ATCP"
#define DELTA_MAGIC "ATDL"
#define DELTA_FILE_BYTES_MAX ((size_t)1 << 30)

static bool starts_with(const char *path, const char *magic)
{
    char head[4] = "";
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f)
        fclose(f);
    return n == sizeof head && memcmp(head, magic, sizeof head) == 0;
}

bool model_version_is_update(const char *path)
{
    return starts_with(path, CHECKPOINT_MAGIC) || starts_with(path, DELTA_MAGIC);
}

static enum status copy_params(const float *from, size_t count, float **ret, struct error *err)
{
    float *params = malloc((count + 1) * sizeof *params);
    if (!params)
        return error_set(err, ST_NOMEM, "no memory for %zu parameters", count);
    if (count)
        memcpy(params, from, count * sizeof *params);
    *ret = params;
    return ST_OK;
}

enum status model_version_open(const char *onnx, const struct nn_model_options *options,
                               struct model_version *ret, struct error *err)
{
    struct model_version v = {0};
    enum status st = nn_model_open(onnx, options, &v.owned, err);
    if (st != ST_OK)
        return st;
    v.model = v.owned;
    st = copy_params(nn_model_values(v.model), nn_model_param_count(v.model), &v.params, err);
    if (st == ST_OK)
        *ret = v;
    else
        model_version_close(&v);
    return st;
}

enum status model_version_copy(const struct model_version *from, struct model_version *ret,
                               struct error *err)
{
    struct model_version v = {.model = from->model, .version = from->version};
    enum status st = copy_params(from->params, nn_model_param_count(v.model), &v.params, err);
    if (st == ST_OK)
        *ret = v;
    return st;
}

void model_version_close(struct model_version *v)
{
    nn_model_close(&v->owned);
    free(v->params);
    *v = (struct model_version){0};
}

static enum status apply_delta(struct model_version *v, const char *path, struct error *err)
{
    struct buf bytes;
    struct delta_model dm = {0};
    bool applied;
    buf_init(&bytes);
    enum status st = delta_model_init(v->model, &dm, err);
    if (st == ST_OK)
        st = file_read(path, DELTA_FILE_BYTES_MAX, &bytes, err);
    if (st == ST_OK) {
        st = delta_apply(&dm, bytes.data, bytes.size_bytes, &v->version, v->params, NULL, &applied,
                         err);
        if (st != ST_OK)
            error_prefix(err, "%s", path);
    }
    delta_model_clear(&dm);
    buf_clear(&bytes);
    return st;
}

enum status model_version_update(struct model_version *v, const char *path, struct error *err)
{
    if (!starts_with(path, CHECKPOINT_MAGIC))
        return apply_delta(v, path, err);
    return nn_checkpoint_read(path, v->model, v->params, NULL, NULL, &v->version, err);
}

/* The highest N of the files vN.snap in a folder. */
static enum status newest_snapshot(const char *dir, uint64_t *ret, struct error *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return error_set(err, ST_NOT_FOUND, "cannot open %s: %s", dir, strerror(errno));
    uint64_t newest = 0;
    for (const struct dirent *e; (e = readdir(d));) {
        uint64_t n;
        int used = 0;
        if (sscanf(e->d_name, "v%" SCNu64 ".snap%n", &n, &used) == 1 && used && !e->d_name[used] &&
            n > newest)
            newest = n;
    }
    closedir(d);
    if (!newest)
        return error_set(err, ST_NOT_FOUND, "%s holds no snapshot: this camera has not learned yet",
                         dir);
    *ret = newest;
    return ST_OK;
}

enum status model_version_snapshot_path(const char *state, const char *camera, uint64_t version,
                                        char *path, struct error *err)
{
    char dir[PATH_MAX], group[CAMERA_ID_CHARS_MAX + 1];
    if (!store_camera_id_valid(camera))
        return error_set(err, ST_INVALID, "'%s' is not the name of a camera", camera);
    enum status st = store_peek_group(state, camera, group, err);
    if (st != ST_OK)
        return st;
    if ((size_t)snprintf(dir, sizeof dir, "%s/models/%s", state, group) >= sizeof dir - 32)
        return error_set(err, ST_LIMIT, "the path %s is too long", state);
    st = version ? ST_OK : newest_snapshot(dir, &version, err);
    if (st == ST_OK)
        snprintf(path, PATH_MAX, "%.*s/v%" PRIu64 ".snap", PATH_MAX - 40, dir, version);
    return st;
}
