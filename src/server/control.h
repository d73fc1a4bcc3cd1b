/* control.h - the thread that decides whose turn it is and has the worker train. Internal.
 *
 * Round robin over the cameras (train/round_robin.h, as AMS shares its GPU); a turn is: add the
 * newly labelled chunks, run a phase, record the result. The worker's crash or silence costs that
 * phase: another is started (1 s, 2 s, ... 60 s apart), which reads learner states and horizons
 * from the state folder. A camera whose turns fail again and again gets fewer of them.
 */
#ifndef ATTUNE_SERVER_CONTROL_H
#define ATTUNE_SERVER_CONTROL_H

#include "server/node.h"

enum worker_state { WORKER_OFF, WORKER_RUNNING, WORKER_RESTARTING };

enum status control_open(struct server *s, struct control **ret, struct error *err);

/* Call bell_stop first. Ends the worker, whatever it is doing. */
void control_close(struct control **c);

/* "off", "running" or "restarting". */
const char *control_worker_state(const struct server *s);

/* The worker's process id, 0 for none (tests kill it). */
int control_worker_pid(const struct control *c);

#endif
