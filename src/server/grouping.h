/* grouping.h - who learns with whom, in a running server: the grouper (group/group.h) is asked and
 * told, its trials run in a worker, what it decides becomes moves (moves.c). Internal.
 *
 * A question is one of: a camera's request (its world has changed, or it is new, or it has left a
 * group), or a window's review of all cameras. One is worked on at a time, a trial is one job of a
 * worker: a camera's newest frames under a few models. What fails is asked again,
 * GROUPING_TRIES_MAX times, then decided without. The grouper's state and the zoo's index are files
 * in the state folder, written after each decision; that moves follow from it is looked after anew
 * all the time, so that a crash between decision and move costs nothing but time.
 *
 * Threads: the control thread's; grouping_json from any.
 * Bound:   cameras_max cameras; a camera asks again at the soonest GROUPING_PAUSE_US after.
 */
#ifndef ATTUNE_SERVER_GROUPING_H
#define ATTUNE_SERVER_GROUPING_H

#include "server/control_internal.h"

#define GROUPING_TRIES_MAX 3
#define GROUPING_PAUSE_US (5 * CONTROL_SECOND_US)

/* *ret NULL: every camera is to be alone, and no past model is kept. ST_INVALID: settings. */
enum status grouping_open(struct control *c, struct grouping **ret, struct error *err);
void grouping_close(struct grouping **g);

/* Does what is due. */
void grouping_run(struct grouping *g, uint64_t now_us);

/* The trial at hand is over. */
void grouping_ended(struct grouping *g, const struct executor_report *report);

/* {"policy", "decisions": [{"camera", "group", "why", "text", "t_us", ...}], "zoo": [...]}; NULL
 * for none.
 */
json_t *grouping_json(struct grouping *g);

#endif
