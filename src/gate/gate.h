/* gate.h - never ship a worse model: candidate against current on frames neither was trained on.
 *
 * Both predict the same held-out frames; one number over all of them is compared
 * (task/confusion.h): mIoU, or IoU weighted by the classes' frequency, which says more where the
 * frames are few, or the share of right answers, a classification's, or F1, a detection's. A
 * candidate passes when it is at least `margin` better than the current model (0: at least as
 * good).
 *
 * Threads: pure function.
 */
#ifndef ATTUNE_GATE_GATE_H
#define ATTUNE_GATE_GATE_H

#include <stdbool.h>

#include "task/confusion.h"

#define GATE_REASON_CHARS 192

enum gate_metric { GATE_MIOU = 1, GATE_FWIOU, GATE_ACCURACY, GATE_F1 };

struct gate_options {
    enum gate_metric metric; /* default GATE_FWIOU */
    double margin;           /* of the metric, -1..1, default 0 */
    int frames_min;          /* fewer held-out frames are no evidence: rejected; default 1 */
};

struct gate_decision {
    bool accepted;
    double candidate, current; /* of the metric; NaN where there was nothing to score */
    int frames;
    char reason[GATE_REASON_CHARS]; /* one sentence */
};

void gate_options_init(struct gate_options *o);

/* frames: how many held-out frames the two confusion matrices were counted over. */
void gate_decide(const struct gate_options *o, const struct confusion *candidate,
                 const struct confusion *current, int frames, struct gate_decision *ret);

#endif
