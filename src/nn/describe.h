/* describe.h - metadata for a network that another tool exported, without touching the rest of it.
 *
 * In protobuf a message's bytes with those of more entries behind them are the message with these
 * entries; so the file stays as it is, byte for byte, and properties come at its end. Of a key that
 * is there twice the last one counts (nn_model_metadata).
 *
 * Threads: pure function.
 */
#ifndef ATTUNE_NN_DESCRIBE_H
#define ATTUNE_NN_DESCRIBE_H

#include "base/buf.h"
#include "base/error.h"

struct nn_property {
    const char *key, *value;
};

/* Appends file[n] with count properties to *out. ST_NOMEM. */
enum status nn_describe(const void *file, size_t n, const struct nn_property *properties, int count,
                        struct buf *out, struct error *err);

#endif
