/* sharing.h - policies of a fleet that shares compute, each under one name: who learns together,
 * who divides the compute for training, and what cameras send. The server (setting `sharing`) and
 * `attune eval --fleet` read the same table.
 *
 *  independent  every camera alone, equal parts, one frame rate for all
 *  ekya         every camera alone, Ekya's thief plans (NSDI 2022)
 *  recl         every camera alone, micro-windows by measured gain, past models tried (our reading
 *               of RECL, NSDI 2023)
 *  ecco         groups, fairness, rates and bandwidth by the group's share, past models (our
 *               reading of ECCO, 2025)
 *  attune       ours: our groups and our allocator; where the server infers, our planner, which
 *               divides the machine between inference and training
 *
 * and attune with one thing left out: attune-no-grouping, attune-no-fairness, attune-fixed-sampling
 * (one rate), attune-no-gaimd (equal bandwidth), attune-no-zoo; and with one more: attune-personal
 * (members may have small deltas of their own on top of what they share).
 *
 * Owns:    nothing; the rows live as long as the program.
 * Threads: pure functions.
 */
#ifndef ATTUNE_GROUP_SHARING_H
#define ATTUNE_GROUP_SHARING_H

#include "group/group.h"
#include "schedule/allocator.h"
#include "schedule/schedule.h"

/* Who divides the compute. */
enum sharing_division {
    SHARING_PLANNED = 1, /* the planner (schedule/planner.h): trainings of known length, and shares
                            for inference */
    SHARING_MICRO,       /* the allocator (schedule/allocator.h): micro-windows, training alone */
    SHARING_JOINT /* the planner where the machine infers for any camera, else the allocator */
};

/* "plans", "micro-windows", "joint"; NULL for none. */
const char *sharing_division_name(enum sharing_division d);

struct sharing {
    const char *name;
    enum sharing_division division;
    enum schedule_policy plan; /* where the planner divides */
    enum allocator_rule rule;  /* where the allocator does */
    enum group_policy grouping;
    bool fair;       /* the worst-off group counts more */
    double by_share; /* part of the frames that follows the group's share of the training */
    bool weighted;   /* bandwidth does */
    bool zoo;        /* a request may start from a past model */
    bool personal;   /* a member may have a delta of its own */
};

/* NULL: there is none of this name. */
const struct sharing *sharing_find(const char *name);

/* Row i of the table, NULL beyond its end. */
const struct sharing *sharing_at(int i);

/* What divides the compute in the end, SHARING_PLANNED or SHARING_MICRO. infers_here: the machine
 * that trains also infers, for one camera at least. ST_INVALID: micro-windows divide training
 * alone, so that nobody would say what inference gets; `name` is the policy's. */
enum status sharing_divide(enum sharing_division d, const char *name, bool infers_here,
                           enum sharing_division *ret, struct error *err);

/* The allocator's settings under the policy. */
void sharing_allocation(const struct sharing *s, struct allocator_settings *ret);

#endif
