/* summary.h - one answered frame in 32 numbers: what was answered, how surely, and how the picture
 * looks. Drift (monitor.h) and signatures (signature.h) are made of means of them.
 *
 * It asks of an answer no more than a histogram over classes and a confidence, so that every task
 * has it: of a segmentation the cells by class and the mean of their largest probabilities, of a
 * classification the class and its probability, of a detection the boxes (or the cells that they
 * cover) by class and the mean of their scores.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 * Memory:  nothing is allocated.
 */
#ifndef ATTUNE_DRIFT_SUMMARY_H
#define ATTUNE_DRIFT_SUMMARY_H

#include <stdbool.h>

#include "drift/picture.h"
#include "nn/session.h"

#define DRIFT_SHARES 20

struct drift_summary {
    /* Parts of the answer by class: class c counts in share c % DRIFT_SHARES. They add up to 1, or
     * are all 0 of an answer with nothing in it. */
    float share[DRIFT_SHARES];
    float confidence; /* mean over the answer, 0..1; NaN: nothing to be confident of */
    float feature[DRIFT_FEATURES];
};

#define DRIFT_VALUES (DRIFT_SHARES + 1 + DRIFT_FEATURES)

/* Sets the shares from weights by class, 0 or more: counts, areas or probabilities. */
void drift_summary_shares(struct drift_summary *s, const float *weight, int class_count);

/* Sets the shares from a label map's classes[n]; classes of class_count or more do not count. */
void drift_summary_labels(struct drift_summary *s, const uint8_t *classes, size_t n,
                          int class_count);

/* The mean of the largest softmax probability over at most cells_max evenly spread cells of image
 * 0 of logits [N,C,H,W] or [N,C]. */
float drift_confidence(const struct nn_view *logits, int cells_max);

/* A running mean of summaries. */
struct drift_mean {
    double sum[DRIFT_VALUES];
    int count, confident, answered; /* summaries; those with a confidence, with an answer */
};

void drift_mean_init(struct drift_mean *m);
void drift_mean_add(struct drift_mean *m, const struct drift_summary *s);

/* False, and *ret is as it was: nothing was added. A share that no summary had is 0, a confidence
 * NaN. */
bool drift_mean_get(const struct drift_mean *m, struct drift_summary *ret);

#endif
