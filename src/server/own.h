/* own.h - files of members' own small deltas (delta/personal.h): models/GROUP/own-CAMERA.delta is
 * the one in use, .trial one that is being judged. Internal.
 *
 * A delta's number, by which camera and server speak of it, is the CRC-32 of its bytes but for the
 * last four (which are that, too), never 0. The same bytes are for whatever version of the group
 * the camera has.
 *
 * Threads: safe for different cameras; reading at any time, as files are renamed into place.
 */
#ifndef ATTUNE_SERVER_OWN_H
#define ATTUNE_SERVER_OWN_H

#include "server/node.h"

/* Into ret[PATH_MAX]. */
void own_path(const struct server *s, const char *group, const char *camera, bool trial, char *ret);

/* Appends to out. number 0: whatever is there, and *ret_number (NULL allowed) is what it is.
 * ST_NOT_FOUND: there is none, or another. */
enum status own_read(const struct server *s, const char *group, const char *camera, uint64_t number,
                     struct buf *out, uint64_t *ret_number, struct error *err);

/* The trial becomes the one in use. */
enum status own_promote(const struct server *s, const char *group, const char *camera,
                        uint64_t *ret_number, struct error *err);
void own_remove(const struct server *s, const char *group, const char *camera, bool trial);

#endif
