/* kill_helper.c - what the kill test needs beside Python: small models, and a look into states.
 *
 *   kill_helper models FOLDER WIDTH HEIGHT     writes town-student.onnx and town-teacher.onnx
 *   kill_helper params STUDENT CKPT DELTA      "VERSION CRC32" of the camera's state, then of the
 *                                              server's snapshot: two lines that should be equal
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/delta.h"
#include "nn/build.h"
#include "nn/checkpoint.h"
#include "synth/town.h"

static nn_value block(struct nn_build *b, nn_value x, int channels, int stride)
{
    x = nn_build_conv(b, x, channels, 3, stride, 1, 1, false);
    return nn_build_relu(b, nn_build_batch_norm(b, x));
}

static enum status write_model(const char *path, int width, int height, int channels, uint64_t seed,
                               struct error *err)
{
    struct nn_build *b = NULL;
    enum status st = nn_build_open(height, width, seed, &b, err);
    if (st != ST_OK)
        return st;
    nn_value x = block(b, nn_build_input(b), channels, 2);
    x = block(b, x, 2 * channels, 2);
    x = block(b, x, 2 * channels, 1);
    x = nn_build_conv(b, x, TOWN_CLASS_COUNT, 1, 1, 1, 1, true);
    x = nn_build_resize(b, x, height, width);
    char names[512] = "";
    for (int c = 0; c < TOWN_CLASS_COUNT; c++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", c > 0 ? "," : "",
                 town_class_names[c]);
    nn_build_metadata(b, "attune.task", "segment");
    nn_build_metadata(b, "attune.classes", names);
    nn_build_metadata(b, "attune.mean", "0.5,0.5,0.5");
    nn_build_metadata(b, "attune.std", "0.25,0.25,0.25");
    struct buf bytes;
    buf_init(&bytes);
    st = nn_build_finish(b, x, &bytes, err);
    if (st == ST_OK)
        st = file_write(path, bytes.data, bytes.size_bytes, err);
    buf_clear(&bytes);
    nn_build_close(&b);
    return st;
}

static enum status write_models(const char *folder, int width, int height, struct error *err)
{
    char path[512];
    snprintf(path, sizeof path, "%s/town-student.onnx", folder);
    enum status st = write_model(path, width, height, 8, 1, err);
    snprintf(path, sizeof path, "%s/town-teacher.onnx", folder);
    return st == ST_OK ? write_model(path, width, height, 12, 7, err) : st;
}

static enum status snapshot_params(const struct nn_model *m, const char *path, float *params,
                                   uint64_t *ret_version, struct error *err)
{
    struct buf delta;
    buf_init(&delta);
    struct delta_model dm;
    bool applied;
    enum status st = delta_model_init(m, &dm, err);
    if (st != ST_OK)
        return st;
    *ret_version = 0;
    st = file_read(path, (size_t)1 << 28, &delta, err);
    if (st == ST_OK)
        st = delta_apply(&dm, delta.data, delta.size_bytes, ret_version, params, NULL, &applied,
                         err);
    delta_model_clear(&dm);
    buf_clear(&delta);
    return st;
}

static enum status print_params(const char *student, const char *checkpoint, const char *snapshot,
                                struct error *err)
{
    struct nn_model *m = NULL;
    uint64_t version;
    enum status st = nn_model_open(student, NULL, &m, err);
    if (st != ST_OK)
        return st;
    size_t n = nn_model_param_count(m);
    float *params = malloc(n * sizeof *params);
    if (!params)
        st = error_set(err, ST_NOMEM, "no memory");
    if (st == ST_OK)
        st = nn_checkpoint_read(checkpoint, m, params, NULL, NULL, &version, err);
    if (st == ST_OK) {
        printf("%" PRIu64 " %08x\n", version, file_crc32(params, n * sizeof *params));
        memcpy(params, nn_model_values(m), n * sizeof *params);
        st = snapshot_params(m, snapshot, params, &version, err);
    }
    if (st == ST_OK)
        printf("%" PRIu64 " %08x\n", version, file_crc32(params, n * sizeof *params));
    free(params);
    nn_model_close(&m);
    return st;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    enum status st = ST_INVALID;
    if (argc == 5 && strcmp(argv[1], "models") == 0)
        st = write_models(argv[2], atoi(argv[3]), atoi(argv[4]), &err);
    else if (argc == 5 && strcmp(argv[1], "params") == 0)
        st = print_params(argv[2], argv[3], argv[4], &err);
    else
        error_set(&err, ST_INVALID,
                  "usage: kill_helper models FOLDER W H | params STUDENT CKPT DELTA");
    if (st != ST_OK)
        fprintf(stderr, "kill_helper: %s\n", err.message);
    return st == ST_OK ? 0 : 1;
}
