/* control.h - the thread that decides who trains next, and the workers that do. Internal.
 *
 * What is trained is a group of cameras: a camera alone, or several that share one model. Round
 * robin over the groups (train/round_robin.h, as AMS shares its GPU) or by a plan, with as many
 * trainings at once as there are workers. A group's learner lives in one worker, the one with the
 * fewest when it comes; when that dies, the group goes to another. What fails is tried again,
 * CONTROL_TRIES_MAX times at most with the same data, later each time.
 */
#ifndef ATTUNE_SERVER_CONTROL_H
#define ATTUNE_SERVER_CONTROL_H

#include "server/node.h"

#define CONTROL_TRIES_MAX 3

enum status control_open(struct server *s, struct control **ret, struct error *err);

/* Call bell_stop first. Ends the workers, whatever they are doing. */
void control_close(struct control **c);

/* "off", "running" or "restarting": the worst of all workers. */
const char *control_worker_state(struct control *c);

/* The process that has the learner of the camera's group, 0 for none (tests kill it). */
int control_worker_pid(struct control *c, const char *camera);

/* [{"worker", "state", "pid", "group" (trains now), "groups", "cameras" (of those), "share",
 * "used_s", "restarts"}] */
json_t *control_workers_json(struct control *c);

#define CONTROL_MOVES_MAX 256

/* The camera is to leave its group, for `group` or ("") for one of its own, as soon as no job of
 * either is under way. reason: one sentence, for the event. ST_LIMIT: too many wait. Any thread. */
enum status control_move(struct control *c, const char *camera, const char *group,
                         const char *reason, struct error *err);

/* The group goes back to the weights of `version`, under a new number, *ret; a training that is
 * under way is given up. Waits until it is done, CONTROL_WAIT_S at most. by: who wants it.
 * ST_NOT_FOUND: no such group or version. ST_CONFLICT: it is at that version. ST_AGAIN: too many
 * wait, or it took too long and is not done. Any thread. */
#define CONTROL_WAIT_S 60
enum status control_rollback(struct control *c, const char *group, uint64_t version, const char *by,
                             uint64_t *ret, struct error *err);

/* People's requests for training are looked at anew. Any thread. */
void control_look_at_requests(struct control *c);

/* Why cameras are grouped as they are (docs/api.md); NULL where every camera is alone. */
json_t *control_grouping_json(struct control *c);

/* The plan in force (docs/api.md); NULL under round robin, which makes none. */
json_t *control_schedule_json(struct control *c);

#endif
