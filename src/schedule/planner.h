/* planner.h - the cameras of one machine between two plans: who trains what, and how far it is.
 *
 * Everything that schedules goes through it: the server in real time, attune eval --fleet and
 * attune replay in virtual time. At an event the caller says what has happened, then asks for a
 * plan; the planner makes the snapshot, has the policy decide (schedule.h) and takes the plan over.
 *
 * Usage: planner_open; planner_begin for each camera when its window starts; planner_plan; then
 * until the window ends: planner_next says which training reaches what and when at the present
 * shares; planner_advance (virtual time) or planner_progress (measured) moves on; planner_reached
 * tells what the model that is there now is worth; planner_plan again.
 *
 * Owns:    copies of the options; ids and curves are borrowed and must outlive it.
 * Threads: one at a time.
 * Time:    seconds, arguments.
 * Memory:  grows with planner_begin up to SCHEDULE_OPTIONS_MAX options a camera.
 */
#ifndef ATTUNE_SCHEDULE_PLANNER_H
#define ATTUNE_SCHEDULE_PLANNER_H

#include "schedule/schedule.h"

struct planner;

/* throughput: borrowed points. ST_LIMIT: too many cameras. */
enum status planner_open(const struct schedule_settings *settings, double capacity,
                         const struct schedule_curve *throughput, int cameras, struct planner **ret,
                         struct error *err);
void planner_close(struct planner **p);

/* How camera i infers (points borrowed; count 0: on its own computer), and its floor. */
void planner_set_inference(struct planner *p, int camera, const char *id,
                           const struct schedule_curve *infer, double accuracy_min);

/* Camera i stands for so many that share a student (schedule_camera.members). */
void planner_set_members(struct planner *p, int camera, int members);

/* A new window for camera i: the accuracy of what serves, and what could be trained (copied;
 * count 0: nothing). A training under way is forgotten. */
enum status planner_begin(struct planner *p, int camera, double accuracy,
                          const struct schedule_option *options, int count, struct error *err);

/* Decides and takes over. *ret (NULL allowed) is the caller's to clear; its options are indices
 * into planner_camera(p, i)->options as they are after the call. */
enum status planner_plan(struct planner *p, double left_s, enum schedule_event event,
                         struct schedule_plan *ret, struct error *err);

/* Takes shares and options of grants[cameras] over, as planner_plan does. */
void planner_take(struct planner *p, const struct schedule_grant *grants);

/* Camera i as the policies see it. */
const struct schedule_camera *planner_camera(const struct planner *p, int camera);

/* The snapshot that a plan would be made from now (for reasons). */
struct schedule_snapshot planner_snapshot(const struct planner *p, double left_s,
                                          enum schedule_event event);

/* The next checkpoint or end at the present shares: seconds from now (INFINITY: none), and the
 * camera and option that it is. Checkpoints count where the policy deploys them. */
double planner_next(const struct planner *p, int *ret_camera, int *ret_option);

/* Trainings go on for `seconds` at their shares. */
void planner_advance(struct planner *p, double seconds);

/* Camera i's training has done this much more, in compute-seconds at a share of 1. */
void planner_progress(struct planner *p, int camera, double compute_s);

/* Camera i's training is at the end of `option`; what serves now has this accuracy (of the old
 * model where the new one was not deployed). At the end of the running option the camera is done
 * for this window, unless the settings let it train again. */
void planner_reached(struct planner *p, int camera, int option, double accuracy);

/* The training failed or was given up: what it has not reached may be tried again (retry) or not.
 */
void planner_dropped(struct planner *p, int camera, bool retry);

/* Camera i's training `training` came out this much better (accuracy) than was believed: what is
 * believed of its later ends moves by carry_same of that, of other trainings by carry_other, 0..1
 * (profile/estimate.h), and gets the more certain for it. NaN: nothing was measured. */
void planner_surprise(struct planner *p, int camera, int training, double surprise,
                      double carry_same, double carry_other);

/* How accurate camera i's model was seen to be just now. */
void planner_observe(struct planner *p, int camera, double accuracy);

/* What is left of camera i's training, and of what goes on from it, takes `factor` (above 0) of the
 * compute that was estimated. */
void planner_rescale(struct planner *p, int camera, double factor);

#endif
