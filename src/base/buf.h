/* buf.h - bytes: a growing buffer to write into, and a bounded cursor to read with.
 *
 * All integers of attune's formats are little-endian. The writer remembers the first failure, so
 * a run of puts is checked once at the end; the reader likewise returns zeros after it ran short.
 *
 * Owns:    struct buf owns its bytes until buf_clear.
 * Errors:  buf.failed (out of memory or over BUF_BYTES_MAX), cursor.failed (input too short).
 */
#ifndef ATTUNE_BASE_BUF_H
#define ATTUNE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUF_BYTES_MAX ((size_t)1 << 31)

struct buf {
    uint8_t *data;
    size_t size_bytes, capacity_bytes;
    bool failed;
};

void buf_init(struct buf *b);
void buf_clear(struct buf *b);

/* Room for n more bytes, size grown by n; NULL (and failed) when there is none. Not initialised. */
uint8_t *buf_extend(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *data, size_t n);
/* Nothing is put, and false returned, when b would be larger than max_bytes then. */
bool buf_put_within(struct buf *b, const void *data, size_t n, size_t max_bytes);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_f32(struct buf *b, float v);
void buf_put_f64(struct buf *b, double v);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct cursor {
    const uint8_t *data;
    size_t left_bytes;
    bool failed;
};

void cursor_init(struct cursor *c, const void *data, size_t n);

/* Borrowed pointer to the next n bytes; NULL (and failed) when fewer are left. */
const uint8_t *cursor_take(struct cursor *c, size_t n);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
float cursor_f32(struct cursor *c);
double cursor_f64(struct cursor *c);

#endif
