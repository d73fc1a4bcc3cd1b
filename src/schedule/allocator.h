/* allocator.h - which group trains in the next micro-window.
 *
 * A window is cut into micro-windows; in each of them one group has all the compute that there is
 * for training. The aims are ECCO's (He et al., 2025, abstract): accuracy and fairness. Its rule is
 * not public; "ecco" is our reading of it, "recl" the same without fairness, as we understand
 * RECL (Khani et al., NSDI 2023) to divide its time, "attune" is ours:
 *
 *  equal   who had least, first
 *  recl    one micro-window each, then always the largest members x measured gain
 *  ecco    the same, and the worst group's gain counts `fairness` x all cameras more
 *  attune  the slots that maximise  sum members x accuracy + fairness x cameras x lowest accuracy
 *          as far as the groups' gain curves are known (allocator_plan), the largest gain first,
 *          planned anew after each observation
 *
 * A group's gain curve (attune): accuracy after k more micro-windows is a + h (1 - keep^k), where
 * the potential h is what is estimated: a fall of the accuracy between trainings adds to it (what
 * drift took can be won back), a training takes its part of it and corrects it by what it brought.
 *
 * No group starves: each ready group gets a micro-window in every window; where there are more
 * groups than half of the slots, those who waited longest get that half, so that each has one at
 * least every ceil(2 groups / slots) windows.
 *
 * Units: accuracies 0..1; compute in seconds of all training compute.
 * Owns:    its jobs.
 * Threads: one at a time.
 * Time:    none read.
 * Bounds:  ALLOCATOR_JOBS_MAX groups, ALLOCATOR_SLOTS_MAX micro-windows; a decision is
 *          O(jobs + slots^2 log jobs).
 */
#ifndef ATTUNE_SCHEDULE_ALLOCATOR_H
#define ATTUNE_SCHEDULE_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define ALLOCATOR_JOBS_MAX 16384
#define ALLOCATOR_SLOTS_MAX 1024

enum allocator_rule { ALLOCATOR_EQUAL = 1, ALLOCATOR_RECL, ALLOCATOR_ECCO, ALLOCATOR_ATTUNE };

/* NULL and 0 for none. */
const char *allocator_rule_name(enum allocator_rule r);
enum allocator_rule allocator_rule_parse(const char *name);

struct allocator_settings {
    enum allocator_rule rule; /* default attune */
    double fairness;          /* lambda, 0..100; default 0.5 */
    double trust;             /* of the newest observation, 0..1; default 0.4 */
    double keep;              /* of the potential after a micro-window, 0..1; default 0.8 */
    int slots;                /* micro-windows in a window, 1..ALLOCATOR_SLOTS_MAX; default 8 */
};

void allocator_settings_init(struct allocator_settings *s);

/* A group as it stands when a window begins. */
struct allocator_job {
    uint64_t id;     /* 1 and more; ascending in a list */
    int members;     /* 1 and more */
    double accuracy; /* mean over its members, NaN: not known */
    bool ready;      /* it has frames to train on */
};

struct allocator;

enum status allocator_open(const struct allocator_settings *s, struct allocator **ret,
                           struct error *err);
void allocator_close(struct allocator **a);

/* A window begins. Groups are known again by id; who is not listed is forgotten. */
enum status allocator_begin(struct allocator *a, const struct allocator_job *jobs, int count,
                            struct error *err);

/* The groups have changed in the middle of a window: counts of micro-windows are kept. */
enum status allocator_update(struct allocator *a, const struct allocator_job *jobs, int count,
                             struct error *err);

/* The group that trains now, 0 when all slots are used or nobody is ready. */
uint64_t allocator_next(struct allocator *a);

/* Group id had a micro-window, which took its accuracy from before to after (NaN: not scored; it
 * counts as no gain). */
void allocator_trained(struct allocator *a, uint64_t id, double before, double after);

/* Newly labelled frames say how accurate its members are now. */
void allocator_observe(struct allocator *a, uint64_t id, double accuracy);

/* Part of the training compute that a group got, 0..1, smoothed over windows; equal parts before
 * the first window has ended. 0 for a group that is not there. */
double allocator_share(const struct allocator *a, uint64_t id);

/* Expected gain of the next micro-window of a group; NaN when nothing is known. */
double allocator_gain(const struct allocator *a, uint64_t id);

/* ---- the exact plan on known concave curves ---- */

struct allocator_curve {
    int members, floor; /* slots that it gets in any case */
    double accuracy;    /* now */
    const double *gain; /* [slots] of each further slot, not growing, 0 and more */
};

/* ret_slots[count]: the allocation of `slots` slots that maximises sum members x accuracy +
 * fairness x (all members) x min accuracy. Exact for concave curves: the lowest accuracy of the
 * best plan never falls when fairness grows. ST_INVALID when floors exceed the slots, ST_NOMEM. */
enum status allocator_plan(const struct allocator_curve *curves, int count, int slots,
                           double fairness, int *ret_slots, struct error *err);

#endif
