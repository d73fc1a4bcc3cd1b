/* format.h - how a tensor lies in memory: the order of its dimensions, and its elements (internal
 * to src/nn).
 *
 * PLAIN is row-major. CHANNELS_LAST (rank 4 and more) stores N, then the last two dimensions, then
 * the others: NHWC for rank 4; for [N,g,c,H,W] it makes splitting and merging channels a matter of
 * names, so that a channel shuffle costs one permutation of channels. BLOCKED (rank 4) stores
 * [N, ceil(C / 16), H, W, 16], the last block padded with lanes whose values nobody reads: what
 * oneDNN trains fastest in.
 */
#ifndef ATTUNE_NN_FORMAT_H
#define ATTUNE_NN_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NN_BLOCK_CHANNELS 16

enum nn_layout { NN_LAYOUT_PLAIN = 1, NN_LAYOUT_CHANNELS_LAST, NN_LAYOUT_BLOCKED };

/* BF16: the upper half of a float32, rounded to nearest, ties to even.
 * U8: a byte q that stands for (q - zero) * scale, channels-last only. */
enum nn_type { NN_TYPE_F32 = 1, NN_TYPE_BF16, NN_TYPE_U8 };

struct nn_format {
    enum nn_layout layout;
    enum nn_type type;
};

/* What the bytes of a U8 tensor stand for; zero is 0..255, so that 0 is exact. */
struct nn_quant {
    float scale;
    int zero;
};

/* Formats count from 1; 0 is free for "the first one made". */
#define NN_FORMAT_COUNT 9

static inline int nn_format_index(struct nn_format f)
{
    return (int)f.layout + 3 * ((int)f.type - 1);
}

static inline bool nn_format_equal(struct nn_format a, struct nn_format b)
{
    return a.layout == b.layout && a.type == b.type;
}

/* Which dimension comes i-th in memory, slowest first. Not for BLOCKED. */
static inline int nn_memory_dimension(enum nn_layout layout, int rank, int i)
{
    if (layout == NN_LAYOUT_PLAIN || rank < 4 || i == 0)
        return i;
    return i <= 2 ? rank - 3 + i : i - 2;
}

static inline size_t nn_type_bytes(enum nn_type t)
{
    return t == NN_TYPE_U8 ? 1 : t == NN_TYPE_BF16 ? 2 : 4;
}

#endif
