/* Container of a delta: a fixed header, per-tensor counts, three entropy-coded sections, CRC-32.
 * Nothing is believed: the file's own checksum, then every field against the bounds and against
 * the model, then the decoded vector against the CRC that the sender computed of its own. Only
 * after that is the caller's vector written. */
#include "delta/delta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/sections.h"

#define FORMAT_VERSION 1
#define FLAG_STATISTICS 1
#define HEADER_BYTES 92
#define TRAILER_BYTES 4
static const uint8_t magic[4] = {'A', 'T', 'D', 'L'};
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the vector's CRC is over its memory");

struct sections {
    const uint8_t *counts, *mask, *values, *stats;
};

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

static void put_varint(struct buf *out, uint32_t v)
{
    for (; v >= 128; v >>= 7)
        buf_put_u8(out, (uint8_t)(v | 128));
    buf_put_u8(out, (uint8_t)v);
}

static uint32_t take_varint(struct cursor *in)
{
    uint32_t v = 0;
    for (int shift = 0; shift < 32; shift += 7) {
        uint8_t byte = cursor_u8(in);
        if (shift == 28 && byte > 15)
            break;
        v |= (uint32_t)(byte & 127) << shift;
        if (byte < 128)
            return v;
    }
    in->failed = true;
    return 0;
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

static void put_header(const struct delta_model *m, const struct delta_info *info, struct buf *out)
{
    buf_put(out, magic, 4);
    buf_put_u16(out, FORMAT_VERSION);
    buf_put_u8(out, (uint8_t)info->step_log2);
    buf_put_u8(out, info->statistics ? FLAG_STATISTICS : 0);
    buf_put(out, m->identity, 32);
    buf_put_u64(out, info->versions.base);
    buf_put_u64(out, info->versions.new);
    buf_put_u32(out, (uint32_t)m->trainable_count);
    buf_put_u32(out, (uint32_t)m->stat_count);
    buf_put_u32(out, (uint32_t)m->tensor_count);
    buf_put_u32(out, info->value_count);
    buf_put_u32(out, (uint32_t)info->count_bytes);
    buf_put_u32(out, (uint32_t)info->mask_bytes);
    buf_put_u32(out, (uint32_t)info->value_bytes);
    buf_put_u32(out, (uint32_t)info->stat_bytes);
    buf_put_u32(out, info->result_crc32);
}

/* The four sections into *body, their sizes into *info. params and mask are only read: the section
 * coders take them writable because decoding writes there. */
static enum status put_sections(const struct delta_model *m, const float *base, float *params,
                                uint8_t *mask, struct delta_info *info, struct buf *body,
                                struct error *err)
{
    uint32_t *counts = tensor_counts(m, mask);
    if (!counts)
        return error_set(err, ST_NOMEM, "no memory to encode a delta");
    for (int t = 0; t < m->tensor_count; t++) {
        put_varint(body, counts[t]);
        info->value_count += counts[t];
    }
    info->count_bytes = body->size_bytes;
    struct coder c;
    coder_encode_begin(&c, body);
    enum status st = sections_mask(&c, m, base, counts, mask, err);
    coder_encode_end(&c);
    free(counts);
    info->mask_bytes = body->size_bytes - info->count_bytes;
    size_t before = body->size_bytes;
    coder_encode_begin(&c, body);
    sections_values(&c, m, base, mask, info->step_log2, params);
    coder_encode_end(&c);
    info->value_bytes = body->size_bytes - before;
    before = body->size_bytes;
    if (info->statistics) {
        coder_encode_begin(&c, body);
        sections_statistics(&c, base + m->trainable_count, m->stat_count,
                            params + m->trainable_count);
        coder_encode_end(&c);
    }
    info->stat_bytes = body->size_bytes - before;
    return st;
}

enum status delta_encode(const struct delta_model *m, struct delta_versions versions,
                         const float *base, const float *params, const uint8_t *mask, int step_log2,
                         bool statistics, struct buf *out, struct error *err)
{
    if (versions.base >= versions.new || step_log2 < DELTA_STEP_MIN ||
        step_log2 > DELTA_STEP_FLOAT16)
        return error_set(err, ST_INVALID,
                         "a delta goes to a later version, in steps of 2^-%d to "
                         "2^-%d",
                         DELTA_STEP_MIN, DELTA_STEP_FLOAT16);
    enum status st = check_encodable(m, base, params, mask, step_log2, statistics, err);
    if (st != ST_OK)
        return st;
    struct delta_info info = {.versions = versions,
                              .step_log2 = step_log2,
                              .statistics = statistics,
                              .result_crc32 = file_crc32(params, total_count(m) * 4)};
    struct buf body;
    buf_init(&body);
    st = put_sections(m, base, (float *)(uintptr_t)params, (uint8_t *)(uintptr_t)mask, &info, &body,
                      err);
    size_t begin = out->size_bytes;
    if (st == ST_OK) {
        put_header(m, &info, out);
        buf_put(out, body.data, body.size_bytes);
        if (!out->failed)
            buf_put_u32(out, file_crc32(out->data + begin, out->size_bytes - begin));
        if (body.failed || out->failed)
            st = error_set(err, ST_NOMEM, "no memory for an encoded delta");
    }
    if (st != ST_OK)
        out->size_bytes = begin;
    buf_clear(&body);
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

/* ---- reading ---- */

static enum status torn(struct error *err)
{
    return error_set(err, ST_FORMAT, "the model update is damaged or cut: fetch it again");
}

static void take_header(struct cursor *in, struct delta_info *info, uint8_t *ret_flags)
{
    info->step_log2 = cursor_u8(in);
    *ret_flags = cursor_u8(in);
    info->statistics = *ret_flags & FLAG_STATISTICS;
    const uint8_t *identity = cursor_take(in, 32);
    if (identity)
        memcpy(info->identity, identity, 32);
    info->versions.base = cursor_u64(in);
    info->versions.new = cursor_u64(in);
    info->trainable_count = cursor_u32(in);
    info->stat_count = cursor_u32(in);
    info->tensor_count = cursor_u32(in);
    info->value_count = cursor_u32(in);
    info->count_bytes = cursor_u32(in);
    info->mask_bytes = cursor_u32(in);
    info->value_bytes = cursor_u32(in);
    info->stat_bytes = cursor_u32(in);
    info->result_crc32 = cursor_u32(in);
}

/* At most counts_max are written, all are summed and checked. */
static bool take_counts(const struct delta_info *info, const uint8_t *bytes, uint32_t *counts,
                        uint32_t counts_max)
{
    struct cursor in;
    cursor_init(&in, bytes, info->count_bytes);
    uint64_t sum = 0;
    for (uint32_t t = 0; t < info->tensor_count && !in.failed; t++) {
        uint32_t count = take_varint(&in);
        sum += count;
        if (t < counts_max)
            counts[t] = count;
    }
    return !in.failed && in.left_bytes == 0 && sum == info->value_count;
}

static bool header_is_sound(const struct delta_info *info, uint8_t flags)
{
    return !(flags & ~FLAG_STATISTICS) && info->step_log2 >= DELTA_STEP_MIN &&
           info->step_log2 <= DELTA_STEP_FLOAT16 && info->versions.base < info->versions.new &&
           info->trainable_count > 0 && info->trainable_count <= DELTA_PARAMS_MAX &&
           info->stat_count <= DELTA_PARAMS_MAX && info->tensor_count > 0 &&
           info->tensor_count <= DELTA_TENSORS_MAX && info->value_count <= info->trainable_count &&
           (info->statistics || info->stat_bytes == 0);
}

static enum status open_delta(const void *bytes, size_t n, struct delta_info *info,
                              struct sections *s, struct error *err)
{
    struct cursor in;
    cursor_init(&in, bytes, n);
    const uint8_t *begin = cursor_take(&in, 4);
    if (!begin || memcmp(begin, magic, 4) != 0)
        return error_set(err, ST_FORMAT, "this is not a model update");
    uint16_t format = cursor_u16(&in);
    if (n < HEADER_BYTES + TRAILER_BYTES)
        return torn(err);
    struct cursor trailer;
    cursor_init(&trailer, begin + n - TRAILER_BYTES, TRAILER_BYTES);
    if (cursor_u32(&trailer) != file_crc32(bytes, n - TRAILER_BYTES))
        return torn(err);
    if (format != FORMAT_VERSION)
        return error_set(err, ST_UNSUPPORTED,
                         "the model update has format %u, this program reads %u: install the same "
                         "version on both sides",
                         format, FORMAT_VERSION);
    uint8_t flags;
    take_header(&in, info, &flags);
    info->bytes = n;
    s->counts = cursor_take(&in, info->count_bytes);
    s->mask = cursor_take(&in, info->mask_bytes);
    s->values = cursor_take(&in, info->value_bytes);
    s->stats = cursor_take(&in, info->stat_bytes);
    if (in.failed || in.left_bytes != TRAILER_BYTES || !header_is_sound(info, flags) ||
        !take_counts(info, s->counts, NULL, 0))
        return torn(err);
    return ST_OK;
}

enum status delta_info_read(const void *bytes, size_t n, struct delta_info *ret, uint32_t *counts,
                            uint32_t counts_max, struct error *err)
{
    struct delta_info info = {0};
    struct sections s;
    enum status st = open_delta(bytes, n, &info, &s, err);
    if (st != ST_OK)
        return st;
    if (counts)
        take_counts(&info, s.counts, counts, counts_max);
    *ret = info;
    return ST_OK;
}

/* ---- applying ---- */

/* What a delta decodes to, before anybody sees it. */
struct decoded {
    float *params;
    uint8_t *mask;
    uint32_t *counts;
};

static void decoded_clear(struct decoded *d)
{
    free(d->params);
    free(d->mask);
    free(d->counts);
}

static enum status check_model(const struct delta_model *m, const struct delta_info *info,
                               struct error *err)
{
    if (memcmp(m->identity, info->identity, 32) != 0 ||
        m->trainable_count != info->trainable_count || m->stat_count != info->stat_count ||
        (uint32_t)m->tensor_count != info->tensor_count)
        return error_set(err, ST_CONFLICT,
                         "the model update is for another model: give camera and "
                         "server the same student file");
    return ST_OK;
}

static bool counts_fit(const struct delta_model *m, const uint32_t *counts)
{
    uint32_t begin = 0;
    for (int t = 0; t < m->tensor_count; begin = m->tensor_end[t++])
        if (counts[t] > m->tensor_end[t] - begin)
            return false;
    return true;
}

/* The checksum of the file was right, so a stream that does not decode was made from another base
 * (or by a forger): in both cases a snapshot helps. */
static enum status other_base(struct error *err)
{
    return error_set(err, ST_CONFLICT,
                     "the model update does not lead to the sender's weights "
                     "from these: ask for a snapshot");
}

static enum status decode_sections(const struct delta_model *m, const struct delta_info *info,
                                   const struct sections *s, const float *base, struct decoded *d,
                                   struct error *err)
{
    struct coder c;
    coder_decode_begin(&c, s->mask, info->mask_bytes);
    enum status st = sections_mask(&c, m, base, d->counts, d->mask, err);
    if (st != ST_OK)
        return st;
    if (!coder_decode_end(&c))
        return other_base(err);
    coder_decode_begin(&c, s->values, info->value_bytes);
    sections_values(&c, m, base, d->mask, info->step_log2, d->params);
    if (!coder_decode_end(&c))
        return other_base(err);
    if (!info->statistics)
        return ST_OK;
    coder_decode_begin(&c, s->stats, info->stat_bytes);
    sections_statistics(&c, base + m->trainable_count, m->stat_count,
                        d->params + m->trainable_count);
    return coder_decode_end(&c) ? ST_OK : other_base(err);
}

static enum status decode(const struct delta_model *m, const struct delta_info *info,
                          const struct sections *s, const float *base, struct decoded *d,
                          struct error *err)
{
    d->params = malloc(total_count(m) * sizeof *d->params);
    d->mask = calloc(mask_bytes(m->trainable_count), 1);
    d->counts = calloc((size_t)m->tensor_count, sizeof *d->counts);
    if (!d->params || !d->mask || !d->counts)
        return error_set(err, ST_NOMEM, "no memory to decode a model update");
    memcpy(d->params, base, total_count(m) * sizeof *d->params);
    take_counts(info, s->counts, d->counts, info->tensor_count);
    if (!counts_fit(m, d->counts))
        return torn(err);
    enum status st = decode_sections(m, info, s, base, d, err);
    if (st == ST_OK && file_crc32(d->params, total_count(m) * 4) != info->result_crc32)
        st = other_base(err);
    return st;
}

static void remember(const struct delta_model *m, const struct delta_info *info,
                     const uint8_t *mask, struct delta_history *sent)
{
    if (info->versions.base == 0) {
        memset(sent->mask, 0, mask_bytes(m->trainable_count));
        sent->statistics = false;
    }
    delta_history_add(sent, mask, info->statistics);
}

enum status delta_apply(const struct delta_model *m, const void *bytes, size_t n, uint64_t *version,
                        float *params, struct delta_history *sent, bool *ret_applied,
                        struct error *err)
{
    struct delta_info info = {0};
    struct sections s;
    enum status st = open_delta(bytes, n, &info, &s, err);
    if (st == ST_OK)
        st = check_model(m, &info, err);
    if (st != ST_OK)
        return st;
    if (info.versions.new == *version &&
        file_crc32(params, total_count(m) * 4) == info.result_crc32) {
        *ret_applied = false;
        return ST_OK;
    }
    bool snapshot = info.versions.base == 0 && info.versions.new > *version;
    if (!snapshot && info.versions.base != *version)
        return error_set(err, ST_CONFLICT,
                         "the model update leads from version %llu to %llu, but version %llu is "
                         "here: ask for a snapshot",
                         (unsigned long long)info.versions.base,
                         (unsigned long long)info.versions.new, (unsigned long long)*version);
    struct decoded d = {0};
    st = decode(m, &info, &s, snapshot ? m->initial : params, &d, err);
    if (st == ST_OK) {
        memcpy(params, d.params, total_count(m) * sizeof *params);
        *version = info.versions.new;
        if (sent)
            remember(m, &info, d.mask, sent);
        *ret_applied = true;
    }
    decoded_clear(&d);
    return st;
}
