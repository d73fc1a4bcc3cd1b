/* control.h - the thread that decides who trains next, and the workers that do. Internal.
 *
 * Round robin over the cameras (train/round_robin.h, as AMS shares its GPU), with as many trainings
 * at once as there are workers. A camera's learner lives in one worker, the one with the fewest
 * when it comes; when that dies, the camera goes to another. What fails is tried again,
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

/* The process that has the camera's learner, 0 for none (tests kill it). */
int control_worker_pid(struct control *c, const char *camera);

/* [{"worker", "state", "pid", "camera" (trains now), "cameras", "share", "used_s", "restarts"}] */
json_t *control_workers_json(struct control *c);

/* The plan in force (docs/api.md); NULL under round robin, which makes none. */
json_t *control_schedule_json(struct control *c);

#endif
