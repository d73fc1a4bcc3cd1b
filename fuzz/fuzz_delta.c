/* Any bytes as a model update: refused without a trace, or applied to exactly the announced result.
 * Each input is tried as it is and with its checksum made right, so that the fuzzer gets past it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/personal.h"

#define TENSORS 4
#define STATS 12
#define TRAINABLE 600
static const uint32_t tensor_size[TENSORS] = {216, 8, 360, 16};
static const uint32_t tensor_row[TENSORS] = {27, 1, 45, 1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same model in every run; fuzz/corpus/delta was made with it. */
static void make_model(float *initial, struct delta_model *ret)
{
    const uint8_t identity[32] = {'f', 'u', 'z', 'z'};
    struct rng rng;
    rng_init(&rng, 1, 2);
    for (int i = 0; i < TRAINABLE + STATS; i++)
        initial[i] = ((float)rng_below(&rng, 2001) - 1000) / 7000;
    struct error err;
    enum status st = delta_model_init_plain(identity, tensor_size, tensor_row, TENSORS, STATS,
                                            initial, ret, &err);
    assert(st == ST_OK);
    (void)st;
}

/* As a camera's own. */
static void try_personal(const struct delta_model *m, const uint8_t *data, size_t size, uint64_t at)
{
    float difference[TRAINABLE + STATS] = {0};
    struct delta_personal p;
    struct delta_info info;
    struct error err = {.code = ST_OK};
    if (delta_personal_read(m, data, size, at, &p, &err) != ST_OK) {
        assert(err.message[0]);
        return;
    }
    for (size_t n = 0; n < p.count; n++)
        difference[p.index[n]] = p.difference[n];
    enum status st = delta_info_read(data, size, &info, NULL, 0, &err);
    assert(st == ST_OK && info.personal && info.versions.base <= at);
    assert(file_crc32(difference, sizeof difference) == info.result_crc32);
    (void)st;
    delta_personal_clear(&p);
}

static void try_apply(const struct delta_model *m, const uint8_t *data, size_t size, uint64_t at)
{
    float params[TRAINABLE + STATS];
    memcpy(params, m->initial, sizeof params);
    uint64_t version = at;
    bool applied = false;
    struct error err = {.code = ST_OK};
    try_personal(m, data, size, at);
    enum status st = delta_apply(m, data, size, &version, params, NULL, &applied, &err);
    if (st != ST_OK) {
        assert(err.message[0] && version == at);
        assert(memcmp(params, m->initial, sizeof params) == 0);
        return;
    }
    struct delta_info info;
    uint32_t counts[TENSORS];
    st = delta_info_read(data, size, &info, counts, TENSORS, &err);
    assert(st == ST_OK && version == info.versions.new);
    assert(file_crc32(params, sizeof params) == info.result_crc32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float initial[TRAINABLE + STATS];
    static struct delta_model model;
    if (!model.initial)
        make_model(initial, &model);
    try_apply(&model, data, size, 0);
    if (size < 8)
        return 0;
    uint8_t *fixed = malloc(size);
    if (!fixed)
        return 0;
    memcpy(fixed, data, size);
    uint32_t crc = file_crc32(fixed, size - 4);
    memcpy(fixed + size - 4, &crc, 4);
    try_apply(&model, fixed, size, 0);
    try_apply(&model, fixed, size, 3);
    free(fixed);
    return 0;
}
