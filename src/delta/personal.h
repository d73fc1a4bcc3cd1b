/* personal.h - a camera's own small delta on top of a model that it shares with others.
 *
 * A group's cameras share one line of versions. A member whose scene differs in a lasting way may
 * have values of its own for a few trainable parameters, and goes on having the group's version.
 * What it is given are differences: with them, at shared version w, each of its parameters is
 *     wire(shared_w + difference),
 * wire() the nearest number that a delta carries, the sum in double; everything else is the shared
 * model's. So when the shared model moves on the differences stay: a new version costs the camera
 * no bytes but those that all members get, late joiners and those who ask again get the same bytes,
 * and who shares and who serves come to the same bits whatever versions lie between. What is
 * evaluated is always that sum. Whether it still pays is judged anew at every review
 * (group/personal.c). Not ECCO's; ours.
 *
 * As bytes it is a delta (docs/formats.md, "delta", a camera's own) between a vector of zeros and
 * one of the differences; its version is the shared one that it was trained on, below which it
 * means nothing.
 *
 * Owns:    its arrays, until clear; models and vectors are borrowed for the call.
 * Threads: plain values.
 * Memory:  8 bytes a parameter that it has; read and write take 8 bytes a parameter of the model.
 * Errors:  delta.h's; after an error nothing has been written.
 */
#ifndef ATTUNE_DELTA_PERSONAL_H
#define ATTUNE_DELTA_PERSONAL_H

#include "delta/delta.h"

struct delta_personal {
    uint64_t version; /* of the shared model that it was trained on */
    int step_log2;    /* of its values */
    size_t count;
    uint32_t *index;   /* [count] of trainable parameters, growing */
    float *difference; /* [count] wire values, none 0 */
};

void delta_personal_clear(struct delta_personal *p);
enum status delta_personal_copy(const struct delta_personal *p, struct delta_personal *ret,
                                struct error *err);

/* What differs between `own`, trained on top of `shared` at `version`, and that, as far as
 * differences of this step say it. ST_INVALID: a difference that is not finite, or statistics that
 * differ. */
enum status delta_personal_take(const struct delta_model *m, uint64_t version, const float *shared,
                                const float *own, int step_log2, struct delta_personal *ret,
                                struct error *err);

/* Writes its `count` values into params, which are a copy of `shared`, of p->version or later. */
void delta_personal_put(const struct delta_personal *p, const float *shared, float *params);

/* Appended. */
enum status delta_personal_write(const struct delta_model *m, const struct delta_personal *p,
                                 struct buf *out, struct error *err);

/* For who is at `version`. Everything is checked as delta_apply does. ST_CONFLICT: it was trained
 * on a later version, on another model, or is a step between versions. */
enum status delta_personal_read(const struct delta_model *m, const void *bytes, size_t n,
                                uint64_t version, struct delta_personal *ret, struct error *err);

#endif
