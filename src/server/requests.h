/* requests.h - what cameras, and the server for them, have noticed of their world: requests in the
 * store (store.h) with events for people, and faults, which are events alone: somebody has to go
 * and look.
 *
 * Threads: safe.
 */
#ifndef ATTUNE_SERVER_REQUESTS_H
#define ATTUNE_SERVER_REQUESTS_H

#include <jansson.h>

#include "server/node.h"

/* A camera has told `now` (kind DRIFT_NONE: nothing is wrong), and before that `before`. */
void requests_take(struct server *s, const char *camera, const struct drift_request *now,
                   const struct drift_request *before);

/* Raises a request; one that the camera has open already is raised once more, without an event. */
void requests_raise(struct server *s, const struct drift_request *r);

/* Where nobody groups cameras, a training answers: the camera's open request is closed when its
 * model has been trained on chunks up to trained_seq and one of them is of its new world. A
 * person's that is newer than `urged` came when that training had been decided, and stays open. */
void requests_trained(struct server *s, const char *camera, uint64_t trained_seq, uint64_t urged,
                      bool accepted);

/* Newest first, at most `limit`; NULL: no memory, or the store failed. */
json_t *requests_json(struct server *s, const char *camera, int limit);

/* What the camera thinks of its world, null where it has not told or nothing is wrong. */
json_t *requests_state_json(const struct drift_request *told);

#endif
