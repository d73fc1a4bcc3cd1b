/* assets.h - the page's files, part of the binary; the table is made by web/embed.py. Internal. */
#ifndef ATTUNE_SERVER_ASSETS_H
#define ATTUNE_SERVER_ASSETS_H

#include <stddef.h>

struct asset_bytes {
    const unsigned char *data;
    size_t size_bytes;
};

struct asset {
    const char *name, *type;
    const char *hash; /* of the plain bytes */
    struct asset_bytes plain, gzip;
};

extern const struct asset assets_table[];
extern const int assets_count;

#endif
