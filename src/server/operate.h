/* operate.h - what a person does to a running server: learning is paused and goes on, a group goes
 * back to an older version, a camera is trained now. Each is durable when the function returns and
 * leaves an event that says who did it.
 *
 * Paused: the camera's frames come, are labelled and scored as ever, so that its accuracy shows,
 * but nobody trains on them, and the camera keeps the version that it has; it changes no group, and
 * what others of its group learn meanwhile it gets when its learning goes on. Going back: all
 * cameras of the group, paused ones too, have the weights of the older version under a new number,
 * since a camera's version never falls; the optimiser's state is forgotten. Learning goes on from
 * there.
 *
 * by: who did it, for people: printable ASCII, at most OPERATE_BY_CHARS_MAX count.
 * Threads: safe. server_rollback may wait CONTROL_WAIT_S for a training to end.
 */
#ifndef ATTUNE_SERVER_OPERATE_H
#define ATTUNE_SERVER_OPERATE_H

#include "server/node.h"

#define OPERATE_BY_CHARS_MAX 63

/* *ret (NULL allowed): the camera's row afterwards; *ret_news (NULL allowed) false: it was so
 * already, and there is no event. ST_NOT_FOUND: no such camera. */
enum status server_pause(struct server *s, const char *camera, const char *by,
                         struct store_camera *ret, bool *ret_news, struct error *err);
enum status server_resume(struct server *s, const char *camera, const char *by,
                          struct store_camera *ret, bool *ret_news, struct error *err);

/* *ret: the new version. ST_NOT_FOUND: no such group, or the version is not kept (the message names
 * those that are). ST_CONFLICT: the group is at that version. ST_AGAIN: not now. */
enum status server_rollback(struct server *s, const char *group, uint64_t version, const char *by,
                            uint64_t *ret, struct error *err);

/* A request for training, like a camera's own when its world has changed; *ret_id is its number.
 * One that is open already stays. ST_CONFLICT: nobody trains here, or the camera is paused. */
enum status server_retrain(struct server *s, const char *camera, const char *by, uint64_t *ret_id,
                           struct error *err);

/* Are the weights of the version of the group there to go back to? */
bool server_version_kept(const struct server *s, const char *group, uint64_t version);

/* The return itself: files, row, event. No job of the group is under way. Internal. */
enum status operate_go_back(struct server *s, const char *group, uint64_t version, const char *by,
                            uint64_t *ret, struct error *err);

#endif
