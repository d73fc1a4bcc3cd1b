/* kept.h - a labelled frame of a chunk that is still stored: the picture, what the teacher says of
 * it and what the student answered, as the camera ran it then. Internal.
 *
 * Owns:    a kept_frame its picture and maps until kept_clear.
 * Threads: safe; works in the calling thread (a chunk is decoded up to the frame).
 * Errors:  ST_NOT_FOUND: the chunk or its files are not kept any more.
 */
#ifndef ATTUNE_SERVER_KEPT_H
#define ATTUNE_SERVER_KEPT_H

#include "server/node.h"

struct kept_frame {
    struct frame frame;
    struct label_map teacher, student;
};

#define KEPT_LAST (-1)

/* Frame `index` of the camera's chunk (KEPT_LAST: its last). */
enum status kept_open(const struct server *s, const char *camera, uint64_t seq, int index,
                      struct kept_frame *ret, struct error *err);
void kept_clear(struct kept_frame *k);

#endif
