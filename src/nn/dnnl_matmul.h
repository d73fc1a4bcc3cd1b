/* dnnl_matmul.h - one square matrix product of oneDNN, to measure what this processor can do at
 * most; the engine's own products are in dnnl.h.
 *
 * Owns:    the primitive and its three matrices (their content is of no interest, but normal).
 * Threads: one; run under the OpenMP thread count that it was opened under.
 * Errors:  ST_UNSUPPORTED (this processor has no such product), ST_NOMEM, ST_INTERNAL.
 */
#ifndef ATTUNE_NN_DNNL_MATMUL_H
#define ATTUNE_NN_DNNL_MATMUL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct nn_matmul;

/* size x size times size x size, float32 or bfloat16. */
enum status nn_matmul_open(int64_t size, bool bfloat16, struct nn_matmul **ret, struct error *err);
void nn_matmul_close(struct nn_matmul **m);
enum status nn_matmul_run(struct nn_matmul *m, struct error *err);

/* oneDNN's version, "2.6.3". */
const char *nn_dnnl_version(char text[32]);

#endif
