/* checkpoint.h - a training state in a file: parameters, optimiser, step; checked by CRC-32.
 *
 * Format: docs/formats.md, "checkpoint". A file is accepted only for the model whose identity it
 * carries. Writing is atomic (base/file.h).
 */
#ifndef ATTUNE_NN_CHECKPOINT_H
#define ATTUNE_NN_CHECKPOINT_H

#include "nn/model.h"
#include "nn/optimizer.h"

/* optimizer may be NULL (parameters only). step: the caller's counter. */
enum status nn_checkpoint_write(const char *path, const struct nn_model *m, const float *params,
                                const struct nn_optimizer *optimizer, uint64_t step,
                                struct error *err);

/* Fills params[nn_model_param_count]; the optimiser's state when both are there; *ret_step.
 * ST_FORMAT: damaged; ST_CONFLICT: of another model. On failure nothing is written. */
enum status nn_checkpoint_read(const char *path, const struct nn_model *m, float *params,
                               struct nn_optimizer *optimizer, uint64_t *ret_step,
                               struct error *err);

#endif
