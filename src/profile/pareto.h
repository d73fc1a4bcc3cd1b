/* pareto.h - which configurations are worth profiling on: those near the front of accuracy by cost.
 *
 * Source: Ekya (NSDI 2022, section 4.3): everything is profiled in the first window; after every
 * two windows a fixed part of the configurations farthest from the front is dropped, so what is
 * profiled shrinks geometrically. Distance here is the accuracy that a configuration lacks to the
 * best one that costs no more.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_PROFILE_PARETO_H
#define ATTUNE_PROFILE_PARETO_H

#include <stdbool.h>

#define PARETO_WINDOWS 2 /* between two prunings */
#define PARETO_DROP 0.25 /* of those that are left */
#define PARETO_KEEP_MIN 3

/* Drops a part (0..1) of the kept ones, the farthest first, never one on the front and never below
 * PARETO_KEEP_MIN. kept[n] in and out; returns how many are kept. */
int pareto_prune(const double *cost, const double *accuracy, int n, double part, bool *kept);

#endif
