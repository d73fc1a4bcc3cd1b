/* Fixed fields, the camera's id, a table with two words a frame, the clip, and a CRC-32 over all of
 * it. The checksum is looked at right after magic and version: what is wrong behind a good checksum
 * was written wrongly, and the message can say what. */
#include "uplink/chunk.h"

#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "video/decode.h"

#define FIXED_BYTES 40
#define CRC_BYTES 4
#define FORMAT_VERSION 1
#define SIDE_MIN 16
#define FPS_MAX 1000

_Static_assert(CHUNK_FRAMES_MAX == CLIP_FRAMES_MAX, "a chunk holds one clip");

static const char magic[4] = {'A', 'T', 'C', 'K'};

static size_t header_bytes(size_t id_chars, size_t count)
{
    return FIXED_BYTES + id_chars + 16 * count;
}

static bool is_camera_id(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t n = strnlen(id, CAMERA_ID_CHARS_MAX + 1);
    return n >= 1 && n <= CAMERA_ID_CHARS_MAX && strspn(id, allowed) == n;
}

static enum status check_size(const struct chunk *c, enum status bad, struct error *err)
{
    if (c->count < 1 || c->count > CHUNK_FRAMES_MAX)
        return error_set(err, bad, "a chunk of %d frames: it must have 1 to %d", c->count,
                         CHUNK_FRAMES_MAX);
    if (c->width < SIDE_MIN || c->height < SIDE_MIN || c->width > FRAME_SIDE_MAX ||
        c->height > FRAME_SIDE_MAX)
        return error_set(err, bad, "a chunk of %d x %d: each side must be %d to %d", c->width,
                         c->height, SIDE_MIN, FRAME_SIDE_MAX);
    uint64_t pixels = (uint64_t)c->width * (uint64_t)c->height * (uint64_t)c->count;
    if (pixels > CHUNK_PIXELS_MAX)
        return error_set(err, ST_LIMIT, "a chunk of %d frames of %d x %d has over 2^30 pixels",
                         c->count, c->width, c->height);
    if (c->payload_bytes < 1 || c->payload_bytes > CHUNK_BYTES_MAX)
        return error_set(err, bad, "a chunk with a clip of %zu bytes: it must have 1 to %zu",
                         c->payload_bytes, CHUNK_BYTES_MAX);
    return ST_OK;
}

/* What holds for every chunk; `bad` is whose fault it is. */
static enum status check(const struct chunk *c, enum status bad, struct error *err)
{
    if (!is_camera_id(c->camera))
        return error_set(err, bad, "a chunk's camera id must be 1 to %d of a-z, 0-9, _ and -",
                         CAMERA_ID_CHARS_MAX);
    if (c->codec != CHUNK_H264)
        return error_set(err, ST_UNSUPPORTED, "a chunk with codec %d: only H.264 (1) is known",
                         (int)c->codec);
    if (!(c->sampling_fps > 0 && c->sampling_fps <= FPS_MAX))
        return error_set(err, bad, "a chunk sampled at %g frames a second: over 0 to %d",
                         (double)c->sampling_fps, FPS_MAX);
    enum status st = check_size(c, bad, err);
    for (int i = 1; st == ST_OK && i < c->count; i++)
        if (c->t_us[i] < c->t_us[i - 1])
            return error_set(err, bad, "frame %d of a chunk is older than the one before it", i);
    return st;
}

enum status chunk_encode(const struct chunk *c, struct buf *out, struct error *err)
{
    enum status st = check(c, ST_INVALID, err);
    if (st != ST_OK)
        return st;
    size_t start = out->size_bytes, id_chars = strlen(c->camera);
    buf_put(out, magic, sizeof magic);
    buf_put_u16(out, FORMAT_VERSION);
    buf_put_u16(out, (uint16_t)header_bytes(id_chars, (size_t)c->count));
    buf_put_u64(out, c->seq);
    buf_put_u16(out, (uint16_t)c->width);
    buf_put_u16(out, (uint16_t)c->height);
    buf_put_u16(out, (uint16_t)c->count);
    buf_put_u8(out, (uint8_t)c->codec);
    buf_put_u8(out, (uint8_t)id_chars);
    buf_put_f32(out, c->sampling_fps);
    buf_put_u64(out, c->payload_bytes);
    buf_put_u32(out, 0);
    buf_put(out, c->camera, id_chars);
    for (int i = 0; i < c->count; i++) {
        buf_put_u64(out, c->t_us[i]);
        buf_put_u64(out, c->version[i]);
    }
    buf_put(out, c->payload, c->payload_bytes);
    if (!out->failed)
        buf_put_u32(out, file_crc32(out->data + start, out->size_bytes - start));
    return out->failed ? error_set(err, ST_NOMEM, "no memory for a chunk") : ST_OK;
}

static enum status check_envelope(const uint8_t *data, size_t n, struct error *err)
{
    struct cursor c;
    cursor_init(&c, data, n);
    if (n < FIXED_BYTES + CRC_BYTES || memcmp(cursor_take(&c, sizeof magic), magic, sizeof magic))
        return error_set(err, ST_FORMAT, "this is not a chunk (%zu bytes)", n);
    unsigned version = cursor_u16(&c);
    if (version != FORMAT_VERSION)
        return error_set(err, ST_UNSUPPORTED, "a chunk of format version %u; %d is known", version,
                         FORMAT_VERSION);
    cursor_init(&c, data + n - CRC_BYTES, CRC_BYTES);
    if (cursor_u32(&c) != file_crc32(data, n - CRC_BYTES))
        return error_set(err, ST_FORMAT, "a chunk of %zu bytes is damaged: wrong checksum", n);
    return ST_OK;
}

/* The fixed fields; *ret_header, *ret_id_chars and the payload's size are as stated, unchecked. */
static void read_fixed(struct cursor *in, struct chunk *ret, size_t *ret_header,
                       size_t *ret_id_chars, uint64_t *ret_payload_bytes, uint32_t *ret_reserved)
{
    cursor_take(in, sizeof magic + 2);
    *ret_header = cursor_u16(in);
    ret->seq = cursor_u64(in);
    ret->width = cursor_u16(in);
    ret->height = cursor_u16(in);
    ret->count = cursor_u16(in);
    ret->codec = cursor_u8(in);
    *ret_id_chars = cursor_u8(in);
    ret->sampling_fps = cursor_f32(in);
    *ret_payload_bytes = cursor_u64(in);
    *ret_reserved = cursor_u32(in);
}

static enum status read_fields(const uint8_t *data, size_t n, struct chunk *ret, struct error *err)
{
    struct cursor in;
    cursor_init(&in, data, n - CRC_BYTES);
    size_t header, id_chars;
    uint64_t payload_bytes;
    uint32_t reserved;
    read_fixed(&in, ret, &header, &id_chars, &payload_bytes, &reserved);
    if (id_chars > CAMERA_ID_CHARS_MAX || ret->count > CHUNK_FRAMES_MAX || reserved != 0)
        return error_set(err, ST_FORMAT,
                         "a chunk of %d frames with a camera id of %zu characters: at most %d and "
                         "%d (or its reserved field is not 0)",
                         ret->count, id_chars, CHUNK_FRAMES_MAX, CAMERA_ID_CHARS_MAX);
    if (header != header_bytes(id_chars, (size_t)ret->count) || header + CRC_BYTES > n ||
        payload_bytes != n - CRC_BYTES - header)
        return error_set(err, ST_FORMAT, "a chunk of %zu bytes states other lengths", n);
    memcpy(ret->camera, cursor_take(&in, id_chars), id_chars);
    if (strlen(ret->camera) != id_chars)
        return error_set(err, ST_FORMAT, "a chunk's camera id holds a NUL");
    for (int i = 0; i < ret->count; i++) {
        ret->t_us[i] = cursor_u64(&in);
        ret->version[i] = cursor_u64(&in);
    }
    ret->payload_bytes = (size_t)payload_bytes;
    ret->payload = cursor_take(&in, ret->payload_bytes);
    return ST_OK;
}

enum status chunk_parse(const void *data, size_t n, struct chunk *ret, struct error *err)
{
    struct chunk c = {0};
    enum status st = check_envelope(data, n, err);
    if (st == ST_OK)
        st = read_fields(data, n, &c, err);
    if (st == ST_OK)
        st = check(&c, ST_FORMAT, err);
    if (st == ST_OK)
        *ret = c;
    return st;
}

enum status chunk_decode_frames(const struct chunk *c, struct frame *frames, struct error *err)
{
    enum status st =
        clip_decode(c->payload, c->payload_bytes, c->width, c->height, c->count, frames, err);
    for (int i = 0; i < c->count && st == ST_OK; i++)
        frames[i].t_us = c->t_us[i];
    return st;
}
