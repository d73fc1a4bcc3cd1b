/* floats.h - vectors of float32 in attune's little-endian formats.
 *
 * The machines that attune runs on store floats as the formats do, so both ways are copies.
 */
#ifndef ATTUNE_NN_FLOATS_H
#define ATTUNE_NN_FLOATS_H

#include <string.h>

#include "base/buf.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "formats are copied as they are");

static inline void floats_put(struct buf *out, const float *x, size_t count)
{
    buf_put(out, x, count * sizeof(float));
}

/* bytes: what cursor_take gave for count * sizeof(float); any alignment. */
static inline void floats_copy(float *x, const uint8_t *bytes, size_t count)
{
    if (count > 0)
        memcpy(x, bytes, count * sizeof(float));
}

#endif
