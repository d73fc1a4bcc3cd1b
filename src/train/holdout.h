/* holdout.h - which buffered frames a phase holds out, to judge its candidate on.
 *
 * The newest ones, as nearest to what comes next. Where frames come from several sources (the
 * members of a group), each source with two new frames or more has its newest one held out before
 * another has a second, so that a candidate is not judged by one member's frames alone. As many as
 * the rule says, not more: holding out one of every member whatever their number is measured to be
 * worse (docs/benchmarks.md, "Fleets that share").
 *
 * Threads: pure function.
 */
#ifndef ATTUNE_TRAIN_HOLDOUT_H
#define ATTUNE_TRAIN_HOLDOUT_H

#include "train/buffer.h"

#define HOLDOUT_SOURCES_MAX 256 /* as a group has members; those beyond count as none */

struct holdout_rule {
    double fraction;  /* 0..1 of the frames newer than seen_us */
    int max;          /* at least 1 and at most this many */
    uint64_t seen_us; /* frames up to here were there at an earlier phase */
};

/* order[buffer_count]: indices into the buffer, those to train on first, then those held out, both
 * oldest first as the buffer has them. How many are held out; 0 in an empty buffer. */
int holdout_choose(const struct buffer *b, const struct holdout_rule *rule, int *order);

#endif
