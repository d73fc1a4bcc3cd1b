/* observe.h - a forward pass whose tensors are shown as they are made (internal to src/nn).
 *
 * For sessions of inference in float32 with nothing fused, where every tensor of the graph is in
 * memory for a moment.
 */
#ifndef ATTUNE_NN_OBSERVE_H
#define ATTUNE_NN_OBSERVE_H

#include "nn/session.h"

struct nn_observer {
    /* All n values of a tensor of the graph, in the order of memory; an error ends the pass. */
    enum status (*see)(void *context, int tensor, const float *values, size_t n, struct error *err);
    void *context;
};

/* nn_session_forward; the graph's inputs are shown first, each other tensor once. */
enum status nn_session_observe(struct nn_session *s, const struct nn_observer *o,
                               struct error *err);

#endif
