/* What a server would have written for a camera: two versions of a model, as deltas and snapshots,
 * and a camera's checkpoint of the second.
 *   make_versions MODEL.onnx FOLDER
 * FOLDER/models/gate-1/v1.delta, v1.snap, v2.delta, v2.snap; FOLDER/camera.checkpoint */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/delta.h"
#include "nn/checkpoint.h"

struct maker {
    struct nn_model *model;
    struct delta_model dm;
    struct delta_history history;
    float *params, *before;
    uint8_t *mask;
    const char *folder;
};

static void check(enum status st, const struct error *err)
{
    if (st == ST_OK)
        return;
    fprintf(stderr, "make_versions: %s\n", err->message);
    exit(1);
}

static void write_version(const struct maker *m, uint64_t version, const char *kind, struct buf *b)
{
    char path[512];
    struct error err;
    snprintf(path, sizeof path, "%s/models/gate-1/v%d.%s", m->folder, (int)version, kind);
    check(file_write(path, b->data, b->size_bytes, &err), &err);
    buf_clear(b);
}

/* Moves every 20th coordinate, others for each version. */
static void make_version(struct maker *m, uint64_t version)
{
    struct error err;
    struct buf b;
    size_t count = nn_model_param_count(m->model);
    memcpy(m->before, m->params, count * sizeof *m->params);
    memset(m->mask, 0, mask_bytes(m->dm.trainable_count));
    for (size_t i = version; i < m->dm.trainable_count; i += 20) {
        m->mask[i >> 3] |= (uint8_t)(1u << (i & 7));
        m->params[i] += 0.01f * (float)version;
    }
    check(delta_round(&m->dm, m->mask, DELTA_STEP_FLOAT16, false, m->params, &err), &err);
    delta_history_add(&m->history, m->mask, false);
    buf_init(&b);
    check(delta_encode(&m->dm, (struct delta_versions){version - 1, version}, m->before, m->params,
                       m->mask, DELTA_STEP_FLOAT16, false, &b, &err),
          &err);
    write_version(m, version, "delta", &b);
    check(delta_encode_snapshot(&m->dm, version, m->params, &m->history, DELTA_STEP_FLOAT16, &b,
                                &err),
          &err);
    write_version(m, version, "snap", &b);
}

int main(int argc, char **argv)
{
    struct maker m = {.folder = argc == 3 ? argv[2] : ""};
    struct error err;
    char path[512];
    if (argc != 3)
        return 2;
    check(nn_model_open(argv[1], NULL, &m.model, &err), &err);
    check(delta_model_init(m.model, &m.dm, &err), &err);
    check(delta_history_init(m.dm.trainable_count, &m.history, &err), &err);
    size_t count = nn_model_param_count(m.model);
    m.params = calloc(count, sizeof *m.params);
    m.before = calloc(count, sizeof *m.before);
    m.mask = calloc(mask_bytes(m.dm.trainable_count), 1);
    if (!m.params || !m.before || !m.mask)
        return 1;
    memcpy(m.params, nn_model_values(m.model), count * sizeof *m.params);
    snprintf(path, sizeof path, "%s/models/gate-1", m.folder);
    check(file_mkdirs(path, &err), &err);
    make_version(&m, 1);
    make_version(&m, 2);
    snprintf(path, sizeof path, "%s/camera.checkpoint", m.folder);
    check(nn_checkpoint_write(path, m.model, m.params, NULL, 2, NULL, &err), &err);
    free(m.params);
    free(m.before);
    free(m.mask);
    delta_history_clear(&m.history);
    delta_model_clear(&m.dm);
    nn_model_close(&m.model);
    return 0;
}
