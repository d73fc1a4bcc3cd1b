/* checkpoint.h - a training state in a file: parameters, optimiser, step; checked by CRC-32.
 *
 * Format: docs/formats.md, "checkpoint". A file is accepted only for the model whose identity it
 * carries. Writing is atomic (base/file.h).
 */
#ifndef ATTUNE_NN_CHECKPOINT_H
#define ATTUNE_NN_CHECKPOINT_H

#include "nn/model.h"
#include "nn/optimizer.h"

#define NN_CHECKPOINT_RUN_CHARS_MAX 4095

/* optimizer may be NULL (parameters only). step: the caller's counter. run (NULL: none): lines that
 * say what determines the training run that this is a state of, at most
 * NN_CHECKPOINT_RUN_CHARS_MAX characters. */
enum status nn_checkpoint_write(const char *path, const struct nn_model *m, const float *params,
                                const struct nn_optimizer *optimizer, uint64_t step,
                                const char *run, struct error *err);

/* Fills params[nn_model_param_count]; the optimiser's state when both are there; *ret_step. With
 * `run` the file must carry the same lines. ST_FORMAT: damaged; ST_CONFLICT: of another model, or
 * of another run (names the first line that differs). On failure nothing is written. */
enum status nn_checkpoint_read(const char *path, const struct nn_model *m, float *params,
                               struct nn_optimizer *optimizer, const char *run, uint64_t *ret_step,
                               struct error *err);

#endif
