/* personal.h - trains a camera's own small delta (delta/personal.h) on top of the model of a group.
 *
 * A learner of its own, for one phase: it begins at the group's present version, is given the
 * frames of one member alone, and moves a small fraction of the weights for a bounded number of
 * steps. The group's learner is only read, and may be within a phase. Nothing is held out: who
 * asked for the delta scores it on frames that came later (group/personal.c).
 *
 * Usage: personal_open, learner_add for frames that the group's learner does not have, as yet,
 * personal_train, learner_close.
 *
 * Determinism: same group's state, seed and frames: same bits.
 * Errors:      learner.h's.
 */
#ifndef ATTUNE_TRAIN_PERSONAL_H
#define ATTUNE_TRAIN_PERSONAL_H

#include "delta/personal.h"
#include "train/learner.h"

struct personal_options {
    double fraction; /* of the trainable weights, 0.05 (docs/benchmarks.md) */
    int steps;       /* 1..LEARNER_STEPS_MAX, 40: ten do harm */
    int frames_min;  /* of the member, 6 */
};

void personal_options_init(struct personal_options *o);

/* A learner at the group's version with the buffered frames of one source. */
enum status personal_open(const struct learner *group, int source, const struct personal_options *o,
                          uint64_t seed, struct learner **ret, struct error *err);

/* Once. ST_AGAIN: there are too few frames, or the weights diverged. The group's version must not
 * have changed since personal_open. progress may be NULL (learner_phase). */
enum status personal_train(struct learner *l, const struct learner *group,
                           const struct personal_options *o, learner_progress *progress,
                           void *context, struct delta_personal *ret,
                           struct learner_result *ret_result, struct error *err);

/* For delta_personal_write and the like; borrowed. */
const struct delta_model *learner_delta_model(const struct learner *l);

#endif
