/* The bytes around the sections. Nothing is believed: the file's own checksum first, then every
 * field against the bounds. */
#include "delta/container.h"

#include <string.h>

#include "base/file.h"

#define FORMAT_VERSION 1
#define FLAG_STATISTICS 1
#define FLAG_PERSONAL 2
#define HEADER_BYTES 92
#define TRAILER_BYTES 4
static const uint8_t magic[4] = {'A', 'T', 'D', 'L'};

/* ---- writing ---- */

void container_put_count(struct buf *out, uint32_t v)
{
    for (; v >= 128; v >>= 7)
        buf_put_u8(out, (uint8_t)(v | 128));
    buf_put_u8(out, (uint8_t)v);
}

void container_put_header(const struct delta_info *info, struct buf *out)
{
    buf_put(out, magic, 4);
    buf_put_u16(out, FORMAT_VERSION);
    buf_put_u8(out, (uint8_t)info->step_log2);
    buf_put_u8(out, (uint8_t)((info->statistics ? FLAG_STATISTICS : 0) |
                              (info->personal ? FLAG_PERSONAL : 0)));
    buf_put(out, info->identity, 32);
    buf_put_u64(out, info->versions.base);
    buf_put_u64(out, info->versions.new);
    buf_put_u32(out, info->trainable_count);
    buf_put_u32(out, info->stat_count);
    buf_put_u32(out, info->tensor_count);
    buf_put_u32(out, info->value_count);
    buf_put_u32(out, (uint32_t)info->count_bytes);
    buf_put_u32(out, (uint32_t)info->mask_bytes);
    buf_put_u32(out, (uint32_t)info->value_bytes);
    buf_put_u32(out, (uint32_t)info->stat_bytes);
    buf_put_u32(out, info->result_crc32);
}

/* ---- reading ---- */

enum status container_torn(struct error *err)
{
    return error_set(err, ST_FORMAT, "the model update is damaged or cut: fetch it again");
}

static void take_header(struct cursor *in, struct delta_info *info, uint8_t *ret_flags)
{
    info->step_log2 = cursor_u8(in);
    *ret_flags = cursor_u8(in);
    info->statistics = *ret_flags & FLAG_STATISTICS;
    info->personal = *ret_flags & FLAG_PERSONAL;
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

/* At most counts_max are written, all are summed and checked. */
bool container_take_counts(const struct delta_info *info, const uint8_t *bytes, uint32_t *counts,
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

/* A step leads to a later version, a personal delta nowhere. */
static bool versions_are_sound(const struct delta_info *info)
{
    return info->personal ? info->versions.base == info->versions.new && !info->statistics
                          : info->versions.base < info->versions.new;
}

static bool header_is_sound(const struct delta_info *info, uint8_t flags)
{
    return !(flags & ~(FLAG_STATISTICS | FLAG_PERSONAL)) && info->step_log2 >= DELTA_STEP_MIN &&
           info->step_log2 <= DELTA_STEP_FLOAT16 && versions_are_sound(info) &&
           info->trainable_count > 0 && info->trainable_count <= DELTA_PARAMS_MAX &&
           info->stat_count <= DELTA_PARAMS_MAX && info->tensor_count > 0 &&
           info->tensor_count <= DELTA_TENSORS_MAX && info->value_count <= info->trainable_count &&
           (info->statistics || info->stat_bytes == 0);
}

enum status container_open(const void *bytes, size_t n, struct delta_info *info,
                           struct container *s, struct error *err)
{
    struct cursor in;
    cursor_init(&in, bytes, n);
    const uint8_t *begin = cursor_take(&in, 4);
    if (!begin || memcmp(begin, magic, 4) != 0)
        return error_set(err, ST_FORMAT, "this is not a model update");
    uint16_t format = cursor_u16(&in);
    if (n < HEADER_BYTES + TRAILER_BYTES)
        return container_torn(err);
    struct cursor trailer;
    cursor_init(&trailer, begin + n - TRAILER_BYTES, TRAILER_BYTES);
    if (cursor_u32(&trailer) != file_crc32(bytes, n - TRAILER_BYTES))
        return container_torn(err);
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
        !container_take_counts(info, s->counts, NULL, 0))
        return container_torn(err);
    return ST_OK;
}
