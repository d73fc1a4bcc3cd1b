/* tiny_model.c - see the header. */
#include "tiny_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/personal.h"
#include "nn/build.h"

static bool tiny_bytes(int height, int width, struct buf *out)
{
    struct nn_build *b = NULL;
    struct error err;
    if (nn_build_open(height, width, 1, &b, &err) != ST_OK)
        return false;
    nn_value x = nn_build_input(b);
    for (int i = 0; i < TINY_LAYERS; i++)
        x = nn_build_conv(b, x, i == TINY_LAYERS - 1 ? 3 : 1, 1, 1, 1, 1, true);
    nn_build_metadata(b, "attune.task", "segment");
    nn_build_metadata(b, "attune.classes", "road,car,person");
    nn_build_metadata(b, "attune.mean", "0,0,0");
    nn_build_metadata(b, "attune.std", "1,1,1");
    enum status st = nn_build_finish(b, x, out, &err);
    nn_build_close(&b);
    return st == ST_OK;
}

struct nn_model *tiny_model_open(int height, int width)
{
    return tiny_model_open_at(height, width, 0, 0);
}

struct nn_model *tiny_model_open_at(int file_height, int file_width, int height, int width)
{
    const struct nn_model_options o = {.height = height, .width = width};
    struct nn_model *m = NULL;
    struct error err;
    struct buf bytes;
    buf_init(&bytes);
    if (tiny_bytes(file_height, file_width, &bytes))
        (void)nn_model_read(bytes.data, bytes.size_bytes, &o, &m, &err);
    buf_clear(&bytes);
    return m;
}

bool tiny_model_write(const char *path, int height, int width)
{
    struct error err;
    struct buf bytes;
    buf_init(&bytes);
    bool good = tiny_bytes(height, width, &bytes) &&
                file_write(path, bytes.data, bytes.size_bytes, &err) == ST_OK;
    buf_clear(&bytes);
    return good;
}

double tiny_answer(double c)
{
    double x = 3 * c + c;
    for (int i = 1; i < TINY_LAYERS; i++)
        x = x * c + c;
    return x;
}

float tiny_value(uint64_t version)
{
    return 0.25f + (float)version / 1024;
}

bool tiny_delta(const struct nn_model *m, uint64_t base, uint64_t version, float value,
                struct buf *out)
{
    size_t n = nn_model_param_count(m), trainable = nn_model_trainable_count(m);
    float *before = malloc(n * sizeof *before), *after = malloc(n * sizeof *after);
    uint8_t *mask = malloc(trainable / 8 + 1);
    struct delta_model dm;
    struct error err;
    bool good = before && after && mask && delta_model_init(m, &dm, &err) == ST_OK;
    if (good) {
        memset(mask, 0, trainable / 8 + 1);
        for (size_t i = 0; i < trainable; i++)
            mask[i >> 3] |= (uint8_t)(1 << (i & 7));
        memcpy(before, nn_model_values(m), n * sizeof *before);
        for (size_t i = 0; i < n; i++) {
            before[i] = base > 0 ? tiny_value(base) : before[i];
            after[i] = value;
        }
        const struct delta_versions v = {.base = base, .new = version};
        good = delta_round(&dm, mask, 24, false, after, &err) == ST_OK &&
               delta_encode(&dm, v, before, after, mask, 24, false, out, &err) == ST_OK;
        delta_model_clear(&dm);
    }
    free(before);
    free(after);
    free(mask);
    return good;
}

bool tiny_personal(const struct nn_model *m, uint64_t version, float difference, struct buf *out)
{
    size_t n = nn_model_param_count(m);
    float *shared = calloc(n, sizeof *shared), *own = calloc(n, sizeof *own);
    struct delta_personal p = {.count = 0};
    struct delta_model dm;
    struct error err;
    bool good = shared && own && delta_model_init(m, &dm, &err) == ST_OK;
    if (good) {
        for (size_t i = 0; i < n; i++)
            own[i] = difference;
        good = delta_personal_take(&dm, version, shared, own, 24, &p, &err) == ST_OK &&
               delta_personal_write(&dm, &p, out, &err) == ST_OK;
        delta_personal_clear(&p);
        delta_model_clear(&dm);
    }
    free(shared);
    free(own);
    return good;
}
