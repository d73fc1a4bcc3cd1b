/* From two vectors to a delta's bytes. */
#include "delta/delta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/container.h"
#include "delta/sections.h"

static size_t total_count(const struct delta_model *m)
{
    return m->trainable_count + m->stat_count;
}

static bool same_bits(float a, float b)
{
    return memcmp(&a, &b, 4) == 0;
}

/* ---- rounding ---- */

static enum status check_finite(const struct delta_model *m, const uint8_t *mask, bool statistics,
                                const float *params, struct error *err)
{
    for (size_t i = 0; i < total_count(m); i++) {
        bool sent = i < m->trainable_count ? mask_get(mask, i) : statistics;
        if (sent && !isfinite(params[i]))
            return error_set(err, ST_INVALID,
                             "parameter %zu is not finite: the training diverged, lower its rate",
                             i);
    }
    return ST_OK;
}

enum status delta_round(const struct delta_model *m, const uint8_t *mask, int step_log2,
                        bool statistics, float *params, struct error *err)
{
    enum status st = check_finite(m, mask, statistics, params, err);
    if (st != ST_OK)
        return st;
    for (size_t i = 0; i < m->trainable_count; i++)
        if (mask_get(mask, i))
            params[i] = half_value(half_code(params[i], step_log2), step_log2);
    for (size_t i = m->trainable_count; statistics && i < total_count(m); i++)
        params[i] = sections_round_statistic(params[i]);
    return ST_OK;
}

/* ---- encoding ---- */

static enum status check_encodable(const struct delta_model *m, const float *base,
                                   const float *params, const uint8_t *mask, int step_log2,
                                   bool statistics, struct error *err)
{
    enum status st = check_finite(m, mask, statistics, params, err);
    if (st != ST_OK)
        return st;
    for (size_t i = 0; i < total_count(m); i++) {
        bool stat = i >= m->trainable_count;
        float sent = base[i];
        if (stat && statistics)
            sent = sections_round_statistic(params[i]);
        else if (!stat && mask_get(mask, i))
            sent = half_value(half_code(params[i], step_log2), step_log2);
        if (!same_bits(sent, params[i]))
            return error_set(err, ST_INVALID,
                             "parameter %zu is not what a delta would carry: it "
                             "was not rounded or moved outside the mask",
                             i);
    }
    return ST_OK;
}

static uint32_t *tensor_counts(const struct delta_model *m, const uint8_t *mask)
{
    uint32_t *counts = calloc((size_t)m->tensor_count, sizeof *counts);
    size_t i = 0;
    for (int t = 0; counts && t < m->tensor_count; t++)
        for (; i < m->tensor_end[t]; i++)
            counts[t] += mask_get(mask, i);
    return counts;
}

/* The four sections into *body, their sizes into *info. */
static void put_sections(const struct delta_model *m, struct section_models *models,
                         const float *base, const float *params, const uint8_t *mask,
                         const uint32_t *counts, struct delta_info *info, struct buf *body)
{
    for (int t = 0; t < m->tensor_count; t++) {
        container_put_count(body, counts[t]);
        info->value_count += counts[t];
    }
    info->count_bytes = body->size_bytes;
    struct coder c;
    coder_encode_begin(&c, body);
    sections_mask_encode(&c, models, m, base, counts, mask);
    coder_encode_end(&c);
    info->mask_bytes = body->size_bytes - info->count_bytes;
    size_t before = body->size_bytes;
    coder_encode_begin(&c, body);
    sections_values_encode(&c, models, m, base, mask, info->step_log2, params);
    coder_encode_end(&c);
    info->value_bytes = body->size_bytes - before;
    if (!info->statistics)
        return;
    before = body->size_bytes;
    coder_encode_begin(&c, body);
    sections_statistics_encode(&c, models, base + m->trainable_count, m->stat_count,
                               params + m->trainable_count);
    coder_encode_end(&c);
    info->stat_bytes = body->size_bytes - before;
}

static enum status encode_body(const struct delta_model *m, const float *base, const float *params,
                               const uint8_t *mask, struct delta_info *info, struct buf *body,
                               struct error *err)
{
    struct section_models *models = section_models_open(m);
    uint32_t *counts = tensor_counts(m, mask);
    if (models && counts)
        put_sections(m, models, base, params, mask, counts, info, body);
    bool failed = !models || !counts || body->failed;
    section_models_close(&models);
    free(counts);
    return failed ? error_set(err, ST_NOMEM, "no memory to encode a delta") : ST_OK;
}

/* info: versions, step and what kind it is; the rest is filled in. */
static enum status encode(const struct delta_model *m, struct delta_info info, const float *base,
                          const float *params, const uint8_t *mask, struct buf *out,
                          struct error *err)
{
    enum status st = check_encodable(m, base, params, mask, info.step_log2, info.statistics, err);
    if (st != ST_OK)
        return st;
    struct buf body;
    buf_init(&body);
    info.trainable_count = (uint32_t)m->trainable_count;
    info.stat_count = (uint32_t)m->stat_count;
    info.tensor_count = (uint32_t)m->tensor_count;
    info.result_crc32 = file_crc32(params, total_count(m) * 4);
    memcpy(info.identity, m->identity, sizeof info.identity);
    st = encode_body(m, base, params, mask, &info, &body, err);
    size_t begin = out->size_bytes;
    if (st == ST_OK) {
        container_put_header(&info, out);
        buf_put(out, body.data, body.size_bytes);
        if (!out->failed)
            buf_put_u32(out, file_crc32(out->data + begin, out->size_bytes - begin));
        if (out->failed)
            st = error_set(err, ST_NOMEM, "no memory for an encoded delta");
    }
    if (st != ST_OK)
        out->size_bytes = begin;
    buf_clear(&body);
    return st;
}

static bool step_is_valid(int step_log2)
{
    return step_log2 >= DELTA_STEP_MIN && step_log2 <= DELTA_STEP_FLOAT16;
}

enum status delta_encode(const struct delta_model *m, struct delta_versions versions,
                         const float *base, const float *params, const uint8_t *mask, int step_log2,
                         bool statistics, struct buf *out, struct error *err)
{
    if (versions.base >= versions.new || !step_is_valid(step_log2))
        return error_set(err, ST_INVALID,
                         "a delta goes to a later version, in steps of 2^-%d to "
                         "2^-%d",
                         DELTA_STEP_MIN, DELTA_STEP_FLOAT16);
    const struct delta_info info = {
        .versions = versions, .step_log2 = step_log2, .statistics = statistics};
    return encode(m, info, base, params, mask, out, err);
}

enum status delta_encode_personal(const struct delta_model *m, uint64_t version,
                                  const float *difference, const uint8_t *mask, int step_log2,
                                  struct buf *out, struct error *err)
{
    if (!step_is_valid(step_log2))
        return error_set(err, ST_INVALID, "a delta has steps of 2^-%d to 2^-%d", DELTA_STEP_MIN,
                         DELTA_STEP_FLOAT16);
    const struct delta_info info = {
        .versions = {version, version}, .step_log2 = step_log2, .personal = true};
    float *zeros = calloc(total_count(m), sizeof *zeros);
    if (!zeros)
        return error_set(err, ST_NOMEM, "no memory to encode a delta");
    enum status st = encode(m, info, zeros, difference, mask, out, err);
    free(zeros);
    return st;
}

enum status delta_encode_snapshot(const struct delta_model *m, uint64_t version,
                                  const float *params, const struct delta_history *sent,
                                  int step_log2, struct buf *out, struct error *err)
{
    struct delta_versions versions = {.base = 0, .new = version};
    return delta_encode(m, versions, m->initial, params, sent->mask, step_log2, sent->statistics,
                        out, err);
}

enum status delta_info_read(const void *bytes, size_t n, struct delta_info *ret, uint32_t *counts,
                            uint32_t counts_max, struct error *err)
{
    struct delta_info info = {0};
    struct container s;
    enum status st = container_open(bytes, n, &info, &s, err);
    if (st != ST_OK)
        return st;
    if (counts)
        container_take_counts(&info, s.counts, counts, counts_max);
    *ret = info;
    return ST_OK;
}
