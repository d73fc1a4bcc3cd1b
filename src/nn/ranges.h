/* ranges.h - private to nn: calibrated ranges as text, in a model's metadata under "attune.ranges".
 *
 * One line a tensor, "LO HI NAME\n"; numbers with nine digits come back as the same float32. A
 * tensor whose name has a line break is left out.
 */
#ifndef ATTUNE_NN_RANGES_H
#define ATTUNE_NN_RANGES_H

#include "nn/model.h"

#define NN_RANGES_KEY "attune.ranges"

/* Appends the lines of all known ranges (ranges[tensor], NULL: those of the graph) to *out, with a
 * terminating zero; nothing when none is known. */
void nn_ranges_write(const struct nn_graph *g, const struct nn_range *ranges, struct buf *out);

/* Puts what the text says into tensors, the graph's own. ST_FORMAT: a line of another form, bounds
 * that are not lo <= 0 <= hi with lo < hi, a tensor twice, or one that is not an activation or
 * input of the graph; the message says which line. */
enum status nn_ranges_read(const struct nn_graph *g, const char *text, struct nn_tensor *tensors,
                           struct error *err);

#endif
