#include "nn/describe.h"

#include <string.h>

/* Field numbers of onnx.proto with wire type 2, a length and bytes. */
#define LENGTH_DELIMITED(field) ((uint8_t)((field) << 3 | 2))
#define METADATA_PROPS LENGTH_DELIMITED(14)
#define ENTRY_KEY LENGTH_DELIMITED(1)
#define ENTRY_VALUE LENGTH_DELIMITED(2)

static size_t varint_bytes(size_t v)
{
    size_t n = 1;
    for (; v >= 128; v >>= 7)
        n++;
    return n;
}

static void put_tag(struct buf *out, uint8_t tag, size_t length)
{
    uint8_t bytes[11] = {tag};
    size_t n = 1;
    for (; length >= 128; length >>= 7)
        bytes[n++] = (uint8_t)(length | 128);
    bytes[n++] = (uint8_t)length;
    buf_put(out, bytes, n);
}

static void put_entry(struct buf *out, const struct nn_property *p)
{
    size_t key = strlen(p->key), value = strlen(p->value);
    put_tag(out, METADATA_PROPS, 2 + varint_bytes(key) + key + varint_bytes(value) + value);
    put_tag(out, ENTRY_KEY, key);
    buf_put(out, p->key, key);
    put_tag(out, ENTRY_VALUE, value);
    buf_put(out, p->value, value);
}

enum status nn_describe(const void *file, size_t n, const struct nn_property *properties, int count,
                        struct buf *out, struct error *err)
{
    buf_put(out, file, n);
    for (int i = 0; i < count; i++)
        put_entry(out, &properties[i]);
    return out->failed ? error_set(err, ST_NOMEM, "no memory for the network's file") : ST_OK;
}
