/* params_cache.h - the parameter vectors of the few model versions that cameras run now; cameras of
 * a group share them. Internal.
 *
 * Owns:    PARAMS_CACHE_MAX vectors at most; the least recently used one goes.
 * Threads: one at a time.
 */
#ifndef ATTUNE_SERVER_PARAMS_CACHE_H
#define ATTUNE_SERVER_PARAMS_CACHE_H

#include "server/node.h"

#define PARAMS_CACHE_MAX 8

struct params_cache {
    struct params_entry {
        char group[CAMERA_ID_CHARS_MAX + 1];
        uint64_t version, used, stamp;
        float *params; /* NULL: free */
    } entries[PARAMS_CACHE_MAX];
    uint64_t clock;
};

void params_cache_init(struct params_cache *c);
void params_cache_clear(struct params_cache *c);

/* *ret_params is borrowed until the next call, NULL for version 0; *ret_stamp is unique to these
 * values. ST_NOT_FOUND when the version is not kept. */
enum status params_cache_get(struct params_cache *c, const struct server *s, const char *camera,
                             uint64_t version, const float **ret_params, uint64_t *ret_stamp,
                             struct error *err);

#endif
