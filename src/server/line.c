#include "server/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "delta/delta.h"
#include "delta/half.h"

#define FILE_BYTES_MAX ((size_t)1 << 30)

static void path_of(const struct server *s, const char *group, uint64_t version, const char *kind,
                    char path[PATH_MAX])
{
    char name[48];
    snprintf(name, sizeof name, "v%llu.%s", (unsigned long long)version, kind);
    store_model_path(s->store, group, name, path);
}

/* ---- a version's weights, with all that a new snapshot of them needs ---- */

struct weights {
    struct delta_model model;
    struct delta_history sent;
    float *params;
    int step_log2;
};

static void weights_clear(struct weights *w)
{
    delta_history_clear(&w->sent);
    delta_model_clear(&w->model);
    free(w->params);
}

/* The student's own. Clear it whatever comes back. */
static enum status weights_init(const struct server *s, struct weights *w, struct error *err)
{
    size_t count = nn_model_param_count(s->student);
    *w = (struct weights){.step_log2 = DELTA_STEP_FLOAT16};
    enum status st = delta_model_init(s->student, &w->model, err);
    if (st == ST_OK)
        st = delta_history_init(nn_model_trainable_count(s->student), &w->sent, err);
    if (st != ST_OK)
        return st;
    w->params = malloc(count * sizeof *w->params);
    if (!w->params)
        return error_set(err, ST_NOMEM, "no memory for a model of %zu parameters", count);
    memcpy(w->params, nn_model_values(s->student), count * sizeof *w->params);
    return ST_OK;
}

static enum status weights_read(struct weights *w, const char *snapshot_path, struct error *err)
{
    struct buf bytes;
    struct delta_info info;
    uint64_t at = 0;
    bool applied;
    buf_init(&bytes);
    enum status st = file_read(snapshot_path, FILE_BYTES_MAX, &bytes, err);
    if (st == ST_OK)
        st = delta_apply(&w->model, bytes.data, bytes.size_bytes, &at, w->params, &w->sent,
                         &applied, err);
    if (st == ST_OK)
        st = delta_info_read(bytes.data, bytes.size_bytes, &info, NULL, 0, err);
    if (st == ST_OK)
        w->step_log2 = info.step_log2;
    buf_clear(&bytes);
    return st;
}

enum status line_params(const struct server *s, const char *group, uint64_t version, float *params,
                        struct error *err)
{
    struct weights w;
    char path[PATH_MAX];
    path_of(s, group, version, "snap", path);
    enum status st = weights_init(s, &w, err);
    if (st == ST_OK && version > 0)
        st = weights_read(&w, path, err);
    if (st == ST_OK)
        memcpy(params, w.params, nn_model_param_count(s->student) * sizeof *params);
    weights_clear(&w);
    return st;
}

/* ---- writing ---- */

static enum status write_kind(const struct server *s, const char *group, uint64_t version,
                              const char *kind, const struct buf *bytes, struct error *err)
{
    char path[PATH_MAX];
    path_of(s, group, version, kind, path);
    return file_write(path, bytes->data, bytes->size_bytes, err);
}

static enum status write_snapshot(const struct server *s, const char *group, uint64_t version,
                                  const struct weights *w, struct buf *out, struct error *err)
{
    out->size_bytes = 0;
    enum status st =
        delta_encode_snapshot(&w->model, version, w->params, &w->sent, w->step_log2, out, err);
    return st == ST_OK ? write_kind(s, group, version, "snap", out, err) : st;
}

/* The step that leaves everything as it is. */
static enum status write_step(const struct server *s, const char *group,
                              struct delta_versions versions, const struct weights *w,
                              struct buf *out, struct error *err)
{
    size_t bytes = mask_bytes(nn_model_trainable_count(s->student));
    uint8_t *none = calloc(bytes, 1);
    if (!none)
        return error_set(err, ST_NOMEM, "no memory for a model update");
    out->size_bytes = 0;
    enum status st = delta_encode(&w->model, versions, w->params, w->params, none, w->step_log2,
                                  false, out, err);
    if (st == ST_OK)
        st = write_kind(s, group, versions.new, "delta", out, err);
    free(none);
    return st;
}

/* A file that is not there is nothing to copy. */
static enum status copy_file(const char *from, const char *to, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st =
        access(from, F_OK) == 0 ? file_read(from, FILE_BYTES_MAX, &bytes, err) : ST_END;
    if (st == ST_OK)
        st = file_write(to, bytes.data, bytes.size_bytes, err);
    buf_clear(&bytes);
    return st == ST_END ? ST_OK : st;
}

/* The learner's state goes on under the new number; a worker that reads it takes that over. */
static enum status copy_state(const struct server *s, const char *from, uint64_t base,
                              const char *to, uint64_t version, struct error *err)
{
    char old[PATH_MAX], new[PATH_MAX];
    path_of(s, from, base, "learner", old);
    path_of(s, to, version, "learner", new);
    return copy_file(old, new, err);
}

enum status line_renumber(const struct server *s, const char *group, uint64_t base,
                          uint64_t version, struct store_version *ret, struct error *err)
{
    struct weights w;
    struct buf step, snapshot;
    char path[PATH_MAX];
    buf_init(&step);
    buf_init(&snapshot);
    path_of(s, group, base, "snap", path);
    enum status st = weights_init(s, &w, err);
    if (st == ST_OK && base > 0)
        st = weights_read(&w, path, err);
    if (st == ST_OK)
        st = write_step(s, group, (struct delta_versions){base, version}, &w, &step, err);
    if (st == ST_OK)
        st = write_snapshot(s, group, version, &w, &snapshot, err);
    if (st == ST_OK)
        st = copy_state(s, group, base, group, version, err);
    if (st == ST_OK)
        *ret = (struct store_version){.version = version,
                                      .base = base,
                                      .accepted = true,
                                      .delta_bytes = step.size_bytes,
                                      .snapshot_bytes = snapshot.size_bytes};
    buf_clear(&step);
    buf_clear(&snapshot);
    weights_clear(&w);
    return st;
}

enum status line_fork(const struct server *s, const char *from, uint64_t version, const char *to,
                      struct store_version *ret, struct error *err)
{
    char old[PATH_MAX], new[PATH_MAX];
    enum status st = ST_OK;
    path_of(s, from, version, "snap", old);
    path_of(s, to, version, "snap", new);
    if (version > 0)
        st = copy_file(old, new, err);
    if (st == ST_OK && version > 0)
        st = copy_state(s, from, version, to, version, err);
    if (st == ST_OK)
        *ret = (struct store_version){.version = version, .accepted = version > 0};
    return st;
}

enum status line_adopt(const struct server *s, const char *snapshot_path, uint64_t version,
                       const char *to, struct store_version *ret, struct error *err)
{
    struct weights w;
    struct buf snapshot;
    buf_init(&snapshot);
    enum status st = weights_init(s, &w, err);
    if (st == ST_OK)
        st = weights_read(&w, snapshot_path, err);
    if (st == ST_OK)
        st = write_snapshot(s, to, version, &w, &snapshot, err);
    if (st == ST_OK)
        *ret = (struct store_version){
            .version = version, .accepted = true, .snapshot_bytes = snapshot.size_bytes};
    buf_clear(&snapshot);
    weights_clear(&w);
    return st;
}

/* What a training that was lost has left under a number that is to be another version's. */
static void remove_rubbish(const struct server *s, const char *group, uint64_t version)
{
    static const char *const kinds[] = {"delta", "snap", "learner"};
    char path[PATH_MAX];
    for (int i = 0; i < 3; i++) {
        path_of(s, group, version, kinds[i], path);
        unlink(path);
    }
}

enum status line_return(const struct server *s, const char *group, uint64_t to, uint64_t base,
                        uint64_t version, struct store_version *ret, struct error *err)
{
    struct weights w;
    struct buf snapshot;
    char path[PATH_MAX];
    buf_init(&snapshot);
    path_of(s, group, to, "snap", path);
    enum status st = weights_init(s, &w, err);
    if (st == ST_OK && to > 0)
        st = weights_read(&w, path, err);
    if (st == ST_OK) {
        remove_rubbish(s, group, version);
        st = write_snapshot(s, group, version, &w, &snapshot, err);
    }
    if (st == ST_OK)
        *ret = (struct store_version){.version = version,
                                      .base = base,
                                      .accepted = true,
                                      .snapshot_bytes = snapshot.size_bytes};
    buf_clear(&snapshot);
    weights_clear(&w);
    return st;
}

bool line_has(const struct server *s, const char *group, uint64_t version)
{
    char path[PATH_MAX];
    path_of(s, group, version, "snap", path);
    return version == 0 || access(path, F_OK) == 0;
}
