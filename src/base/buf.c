#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b)
{
    memset(b, 0, sizeof *b);
}

void buf_clear(struct buf *b)
{
    free(b->data);
    buf_init(b);
}

static bool reserve(struct buf *b, size_t n)
{
    if (b->failed || n > BUF_BYTES_MAX - b->size_bytes) {
        b->failed = true;
        return false;
    }
    size_t need = b->size_bytes + n;
    if (need <= b->capacity_bytes)
        return true;
    size_t capacity = b->capacity_bytes ? b->capacity_bytes : 256;
    while (capacity < need)
        capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity_bytes = capacity;
    return true;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
    if (!reserve(b, n))
        return NULL;
    uint8_t *at = b->data + b->size_bytes;
    b->size_bytes += n;
    return at;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
    uint8_t *at = n ? buf_extend(b, n) : NULL;
    if (at)
        memcpy(at, data, n);
}

static void put_le(struct buf *b, uint64_t v, size_t n)
{
    uint8_t *at = buf_extend(b, n);
    for (size_t i = 0; at && i < n; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

bool buf_put_within(struct buf *b, const void *data, size_t n, size_t max_bytes)
{
    if (b->size_bytes > max_bytes || n > max_bytes - b->size_bytes)
        return false;
    buf_put(b, data, n);
    return !b->failed;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    put_le(b, v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    put_le(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    put_le(b, v, 8);
}

void buf_put_f32(struct buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    put_le(b, bits, 4);
}

void buf_put_f64(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    put_le(b, bits, 8);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !reserve(b, (size_t)n + 1)) {
        b->failed = true;
    } else {
        vsnprintf((char *)b->data + b->size_bytes, (size_t)n + 1, format, again);
        b->size_bytes += (size_t)n;
    }
    va_end(again);
}

void cursor_init(struct cursor *c, const void *data, size_t n)
{
    *c = (struct cursor){.data = data, .left_bytes = n};
}

const uint8_t *cursor_take(struct cursor *c, size_t n)
{
    if (c->failed || n > c->left_bytes) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *at = c->data;
    c->data += n;
    c->left_bytes -= n;
    return at;
}

static uint64_t take_le(struct cursor *c, size_t n)
{
    const uint8_t *at = cursor_take(c, n);
    uint64_t v = 0;
    for (size_t i = 0; at && i < n; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)take_le(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)take_le(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)take_le(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return take_le(c, 8);
}

float cursor_f32(struct cursor *c)
{
    uint32_t bits = cursor_u32(c);
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

double cursor_f64(struct cursor *c)
{
    uint64_t bits = cursor_u64(c);
    double v;
    memcpy(&v, &bits, 8);
    return v;
}
