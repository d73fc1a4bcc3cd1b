/* chunk.h - what a camera uploads: a few sampled frames as one clip, with when and what it ran.
 *
 * Format: docs/formats.md, "chunk". Everything but the pictures is checked by chunk_parse, the
 * pictures by chunk_decode_frames.
 *
 * Owns:    a struct chunk is a plain value; payload is borrowed (from the clip when encoding, from
 *          the parsed bytes when parsing).
 * Threads: pure functions.
 * Errors:  ST_FORMAT (damaged; says how), ST_LIMIT (over a bound), ST_UNSUPPORTED (a newer version,
 *          another codec), ST_INVALID (chunk_encode: a member out of range), ST_NOMEM.
 */
#ifndef ATTUNE_UPLINK_CHUNK_H
#define ATTUNE_UPLINK_CHUNK_H

#include "base/buf.h"
#include "base/error.h"
#include "flow/records.h"

#define CHUNK_FRAMES_MAX 256
#define CHUNK_BYTES_MAX ((size_t)256 << 20)
/* Bound of width * height * count: 3 GiB of decoded RGB at most. */
#define CHUNK_PIXELS_MAX ((uint64_t)1 << 30)

enum chunk_codec { CHUNK_H264 = 1 };

struct chunk {
    char camera[CAMERA_ID_CHARS_MAX + 1]; /* [a-z0-9_-], not empty */
    uint64_t seq;
    int width, height; /* 16..FRAME_SIDE_MAX */
    int count;         /* 1..CHUNK_FRAMES_MAX */
    float sampling_fps;
    enum chunk_codec codec;
    uint64_t t_us[CHUNK_FRAMES_MAX];    /* capture, wall clock, never decreasing */
    uint64_t version[CHUNK_FRAMES_MAX]; /* model version that the camera ran then */
    const uint8_t *payload;
    size_t payload_bytes;
};

/* Appends the chunk's bytes to *out. */
enum status chunk_encode(const struct chunk *c, struct buf *out, struct error *err);

/* The n bytes are exactly one chunk; ret->payload points into them. */
enum status chunk_parse(const void *data, size_t n, struct chunk *ret, struct error *err);

/* The pictures, into frames[c->count] (each frame_init'ed, video/frame.h); t_us is set. To hold
 * one picture at a time, use video/decode.h on the payload. */
enum status chunk_decode_frames(const struct chunk *c, struct frame *frames, struct error *err);

#endif
