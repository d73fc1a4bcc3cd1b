/* One comparison, and a sentence that says how it came out. */
#include "gate/gate.h"

#include <math.h>
#include <stdio.h>

void gate_options_init(struct gate_options *o)
{
    *o = (struct gate_options){.metric = GATE_FWIOU, .margin = 0, .frames_min = 1};
}

static const struct {
    const char *name;
    double (*of)(const struct confusion *c);
} metrics[] = {[GATE_MIOU] = {"mIoU", confusion_miou},
               [GATE_FWIOU] = {"fwIoU", confusion_fwiou},
               [GATE_ACCURACY] = {"accuracy", confusion_accuracy},
               [GATE_F1] = {"F1", confusion_f1}};

void gate_decide(const struct gate_options *o, const struct confusion *candidate,
                 const struct confusion *current, int frames, struct gate_decision *ret)
{
    struct gate_decision d = {.candidate = metrics[o->metric].of(candidate),
                              .current = metrics[o->metric].of(current),
                              .frames = frames};
    if (frames < o->frames_min) {
        snprintf(d.reason, sizeof d.reason, "only %d of the %d held-out frames that are needed",
                 frames, o->frames_min);
    } else if (isnan(d.candidate) || isnan(d.current)) {
        snprintf(d.reason, sizeof d.reason, "no label on %d held-out frames", frames);
    } else {
        d.accepted = d.candidate >= d.current + o->margin;
        snprintf(d.reason, sizeof d.reason,
                 "candidate %s %.4f %s current %.4f + margin %.4f on %d held-out frame(s)",
                 metrics[o->metric].name, d.candidate, d.accepted ? "reaches" : "is below",
                 d.current, o->margin, frames);
    }
    *ret = d;
}
