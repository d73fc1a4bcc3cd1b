/* One comparison, and a sentence that says how it came out. */
#include "gate/gate.h"

#include <math.h>
#include <stdio.h>

void gate_options_init(struct gate_options *o)
{
    *o = (struct gate_options){.margin = 0, .frames_min = 1};
}

void gate_decide(const struct gate_options *o, const struct confusion *candidate,
                 const struct confusion *current, int frames, struct gate_decision *ret)
{
    struct gate_decision d = {.candidate = confusion_miou(candidate),
                              .current = confusion_miou(current),
                              .frames = frames};
    if (frames < o->frames_min) {
        snprintf(d.reason, sizeof d.reason, "only %d of the %d held-out frames that are needed",
                 frames, o->frames_min);
    } else if (isnan(d.candidate) || isnan(d.current)) {
        snprintf(d.reason, sizeof d.reason, "no labelled pixel on %d held-out frames", frames);
    } else {
        d.accepted = d.candidate >= d.current + o->margin;
        snprintf(d.reason, sizeof d.reason,
                 "candidate mIoU %.4f %s current %.4f + margin %.4f on %d held-out frame(s)",
                 d.candidate, d.accepted ? "reaches" : "is below", d.current, o->margin, frames);
    }
    *ret = d;
}
