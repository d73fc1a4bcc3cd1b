/* link.h - a link of a fixed rate under the virtual clock: bits go out one after the other. */
#ifndef ATTUNE_EVAL_LINK_H
#define ATTUNE_EVAL_LINK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

struct link {
    double rate_kbps;
    uint64_t free_us, bytes; /* idle from then on; bytes sent so far */
};

/* Bytes on their way. */
struct parcel {
    uint64_t arrival_us; /* over a link of one's own */
    double end_bits;     /* over a shared one: it is there when so many of the owner's bits are */
    struct buf bytes;
};

/* The first of *count parcels is gone: received or lost. */
static inline void parcels_drop_first(struct parcel *parcels, int *count)
{
    buf_clear(&parcels[0].bytes);
    memmove(parcels, parcels + 1, (size_t)(--*count) * sizeof *parcels);
}

/* When the last bit of n bytes arrives that are ready at now_us. */
static inline uint64_t link_send(struct link *l, size_t n, uint64_t now_us)
{
    uint64_t start_us = now_us > l->free_us ? now_us : l->free_us;
    l->free_us = start_us + (uint64_t)((double)n * 8e3 / l->rate_kbps);
    l->bytes += n;
    return l->free_us;
}

#endif
