/* internal.h - what the policies share. Internal to src/schedule. */
#ifndef ATTUNE_SCHEDULE_INTERNAL_H
#define ATTUNE_SCHEDULE_INTERNAL_H

#include "schedule/schedule.h"

/* Differences below this are rounding, not reasons. */
#define SCHEDULE_EPSILON 1e-12

static inline double schedule_members(const struct schedule_camera *c)
{
    return c->members > 1 ? c->members : 1;
}

/* What an option is worth with these shares held for the rest of the window (Ekya, Algorithm 2's
 * estimate): accuracy x factor averaged over left_s. Negative when it would not end in time. */
double schedule_estimate(const struct schedule_snapshot *s, const struct schedule_camera *c,
                         const struct schedule_option *o, double infer_share, double train_share);

/* The most that the camera's options (or none) are worth with these shares; *ret_option is the
 * first of the best, -1 for none. A running camera goes on or gives up. */
double schedule_pick(const struct schedule_snapshot *s, const struct schedule_camera *c,
                     double infer_share, double train_share, int *ret_option);

/* True when what the camera answers now would be under its floor. */
bool schedule_is_below_floor(const struct schedule_camera *c, double infer_share);

/* A grant of these shares and this option, with its expectations. */
void schedule_grant_fill(const struct schedule_snapshot *s, int camera, double infer_share,
                         double train_share, int option, struct schedule_grant *ret);

/* The plan's means from its grants. */
void schedule_plan_sum(const struct schedule_snapshot *s, struct schedule_plan *p);

/* The cheapest concave curve above c: vertices in order of share, from (0, 0).
 * Returns how many, at most SCHEDULE_HULL_MAX. */
#define SCHEDULE_HULL_MAX 160
int schedule_hull(const struct schedule_curve *c, struct schedule_point *hull);

/* Each fills p->grants. */
enum status schedule_none(const struct schedule_snapshot *s, struct schedule_plan *p,
                          struct error *err);
enum status schedule_uniform(const struct schedule_snapshot *s, struct schedule_plan *p,
                             struct error *err);
enum status schedule_round_robin(const struct schedule_snapshot *s, struct schedule_plan *p,
                                 struct error *err);
enum status schedule_thief(const struct schedule_snapshot *s, struct schedule_plan *p,
                           struct error *err);
enum status schedule_exhaustive(const struct schedule_snapshot *s, struct schedule_plan *p,
                                struct error *err);
enum status schedule_attune(const struct schedule_snapshot *s, struct schedule_plan *p,
                            struct error *err);

/* Who ended hands its share on, in equal parts, to all that still run: inference and trainings. */
enum status schedule_hand_over(const struct schedule_snapshot *s, struct schedule_plan *p,
                               struct error *err);

#endif
