/* contender.h - a policy as it is asked for by name, to be compared with others.
 *
 * Beside the names of schedule.h: the fixed baselines of Ekya's evaluation (NSDI 2022,
 * section 6.1), uniform-c{1,2}-PERCENT, one configuration for all (C1, costly; C2, cheap) and so
 * much of the machine for inference, with "uniform" for its four; and the ablations of its figure
 * 10a: attune-fixed-split (half of the machine is inference's) and attune-fixed-configuration (C2
 * is all there is).
 *
 * And the policies of fleets that share (group/sharing.h), with planted: ours with the districts as
 * groups. A name that is in neither table is one of schedule.h, and the planner divides.
 */
#ifndef ATTUNE_EVAL_CONTENDER_H
#define ATTUNE_EVAL_CONTENDER_H

#include "group/sharing.h"

#define CONTENDERS_MAX 16
#define CONTENDER_NAME_BYTES 32
#define CONTENDER_BASELINES 4

/* Which configurations it may choose from. */
enum contender_range { CONTENDER_ALL = 1, CONTENDER_CHEAP, CONTENDER_COSTLY };

struct contender {
    char name[CONTENDER_NAME_BYTES];
    enum sharing_division division;    /* before it is known who infers: sharing_divide */
    struct schedule_settings settings; /* of the planner */
    enum contender_range range;

    /* Of fleets that share trainings. */
    struct allocator_settings allocation;
    enum group_policy grouping;
    bool planted;    /* groups are the districts, from the start */
    double by_share; /* part of the frames that follows the group's share of the training */
    bool weighted;   /* bandwidth does */
    bool zoo;        /* a request may start from a past model */
    bool personal;   /* a member may have a delta of its own */
};

/* Appends to list[*count], at most CONTENDERS_MAX. ST_INVALID names the choices. */
enum status contender_add(const char *name, struct contender *list, int *count, struct error *err);

/* Appends each of the words between commas. */
enum status contender_add_list(const char *names, struct contender *list, int *count,
                               struct error *err);

/* Whether its policy asks what retrainings would bring. */
bool contender_estimates(const struct contender *c);

#endif
