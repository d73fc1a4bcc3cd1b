/* Chunks from the network: the envelope as given, then with its checksum set right so that the
 * fields and the clip behind it are reached too. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "uplink/chunk.h"
#include "video/decode.h"
#include "video/frame.h"

/* Larger clips only cost time. */
#define PIXELS_TRIED_MAX (128 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void decode(const struct chunk *c)
{
    if ((int64_t)c->width * c->height * c->count > PIXELS_TRIED_MAX)
        return;
    struct frame frames[CHUNK_FRAMES_MAX] = {0};
    enum status st = chunk_decode_frames(c, frames, NULL);
    for (int i = 0; i < c->count; i++) {
        if (st == ST_OK && (frames[i].width != c->width || frames[i].height != c->height))
            abort();
        frame_clear(&frames[i]);
    }
}

/* What was accepted is written again as the same bytes. */
static void write_again(const struct chunk *c, const uint8_t *data, size_t n)
{
    struct buf b;
    buf_init(&b);
    if (chunk_encode(c, &b, NULL) != ST_OK || b.size_bytes != n || memcmp(b.data, data, n) != 0)
        abort();
    buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct chunk c;
    if (chunk_parse(data, n, &c, NULL) == ST_OK)
        decode(&c);
    if (n < 4)
        return 0;
    struct buf b;
    buf_init(&b);
    buf_put(&b, data, n - 4);
    buf_put_u32(&b, file_crc32(data, n - 4));
    if (!b.failed && chunk_parse(b.data, b.size_bytes, &c, NULL) == ST_OK) {
        write_again(&c, b.data, b.size_bytes);
        decode(&c);
    }
    buf_clear(&b);
    return 0;
}
