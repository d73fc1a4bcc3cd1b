/* tiny_model.h - a student small enough to reason about: a chain of 1x1 convolutions.
 *
 * Layers: 3 -> 1, then (TINY_LAYERS - 2) times 1 -> 1, then 1 -> 3, each with a bias. With every
 * parameter equal to c and an input of ones the answer is tiny_answer(c) everywhere, so one number
 * tells which parameters were used, all of them.
 */
#ifndef ATTUNE_TESTS_TINY_MODEL_H
#define ATTUNE_TESTS_TINY_MODEL_H

#include "base/buf.h"
#include "nn/model.h"

#define TINY_LAYERS 10

/* height x width, classes "a,b,c". NULL on failure. */
struct nn_model *tiny_model_open(int height, int width);

/* That file, opened for pictures of another size. */
struct nn_model *tiny_model_open_at(int file_height, int file_width, int height, int width);

/* The same as an ONNX file; false on failure. */
bool tiny_model_write(const char *path, int height, int width);

double tiny_answer(double c);

/* The parameter value of a version: representable in half precision, different for each. */
float tiny_value(uint64_t version);

/* A delta from version `base` (0: the model's own values) to `version`, appended to *out. */
bool tiny_delta(const struct nn_model *m, uint64_t base, uint64_t version, float value,
                struct buf *out);

/* A personal delta from `version` on that adds the difference to every parameter, appended. */
bool tiny_personal(const struct nn_model *m, uint64_t version, float difference, struct buf *out);

#endif
