/* delta.h - a model update as bytes: which weights changed, and to what.
 *
 * Format: docs/formats.md, "delta". Source of the idea: AMS (Khani et al., ICCV 2021): bit mask and
 * float16 values of the chosen coordinates. We differ in the coding: an adaptive range coder that
 * uses what both sides have, the base vector; and in what is checked.
 *
 * The rule that everything rests on: the camera's vector and the server's are equal bit for bit at
 * every version. The server rounds its own vector to the values that it sends (delta_round), a
 * delta names its base and its result by version and the result also by CRC-32.
 *
 * A snapshot is a delta from version 0, the model file's own values, to the present version: for a
 * camera that is new or has missed something. It needs no state but the model file.
 *
 * Owns:    struct delta_model and delta_history own their arrays until _clear.
 * Threads: a delta_model may be shared; everything else one thread at a time.
 * Memory:  encode takes the result's size and 2 MiB for the call, apply also 4 bytes a parameter;
 *          update.h has the form of apply for a network that is running, which takes none.
 * Errors:  ST_FORMAT (damaged, torn), ST_CONFLICT (other base, other model), ST_LIMIT, ST_NOMEM,
 *          ST_INVALID (a value that is not finite). After an error nothing has been written.
 */
#ifndef ATTUNE_DELTA_DELTA_H
#define ATTUNE_DELTA_DELTA_H

#include "delta/half.h"
#include "delta/select.h"
#include "nn/model.h"

#define DELTA_TENSORS_MAX 16384
#define DELTA_PARAMS_MAX ((size_t)1 << 28)
#define DELTA_ROW_MAX 65536 /* longer rows are taken as if they had this length */

/* What both sides know of the model. */
struct delta_model {
    uint8_t identity[32];               /* SHA-256 of the model file */
    size_t trainable_count, stat_count; /* parameters: trainable ones, then statistics */
    int tensor_count;                   /* of trainable tensors */
    uint32_t *tensor_end;               /* [tensor_count] ends (exclusive), increasing */
    uint32_t *tensor_row;               /* [tensor_count] coordinates of one output channel */
    const float *initial;               /* borrowed: version 0, trainable + stat floats */
};

/* The model must outlive *ret. */
enum status delta_model_init(const struct nn_model *m, struct delta_model *ret, struct error *err);

/* The same from plain sizes (tests, benchmarks); rows may be NULL (1 each). */
enum status delta_model_init_plain(const uint8_t identity[32], const uint32_t *tensor_size,
                                   const uint32_t *rows, int tensor_count, size_t stat_count,
                                   const float *initial, struct delta_model *ret,
                                   struct error *err);
void delta_model_clear(struct delta_model *m);

/* Which coordinates were ever sent, and whether statistics were. */
struct delta_history {
    uint8_t *mask; /* mask_bytes(count) */
    size_t count;
    bool statistics;
};

enum status delta_history_init(size_t trainable_count, struct delta_history *ret,
                               struct error *err);
void delta_history_clear(struct delta_history *h);
void delta_history_add(struct delta_history *h, const uint8_t *mask, bool statistics);
void delta_history_save(const struct delta_history *h, struct buf *out);

/* Into an initialised history of the same count; ST_FORMAT, ST_CONFLICT. */
enum status delta_history_load(struct delta_history *h, struct cursor *in, struct error *err);

/* Rounds params to wire values of step 2^-step_log2 (24: float16, ties to even; finite values
 * beyond the range become the largest) where the mask has a bit, and the statistics, when
 * `statistics`, to float32 with 8 bits behind the leading one. ST_INVALID for a value that is not
 * finite. */
enum status delta_round(const struct delta_model *m, const uint8_t *mask, int step_log2,
                        bool statistics, float *params, struct error *err);

struct delta_versions {
    uint64_t base, new; /* base < new; 0: the model file's own values */
};

/* Appends the delta from `base` to `params` (both trainable + stat floats) to *out. params must
 * have been rounded by delta_round with the same arguments and equal base elsewhere, else
 * ST_INVALID. */
enum status delta_encode(const struct delta_model *m, struct delta_versions versions,
                         const float *base, const float *params, const uint8_t *mask, int step_log2,
                         bool statistics, struct buf *out, struct error *err);

/* The snapshot of params at `version` >= 1. step_log2: the finest step of any delta so far. */
enum status delta_encode_snapshot(const struct delta_model *m, uint64_t version,
                                  const float *params, const struct delta_history *sent,
                                  int step_log2, struct buf *out, struct error *err);

/* A personal delta (delta/personal.h): differences (trainable + stat floats, 0 outside the mask),
 * from `version` on; no step to another version, no statistics. Else as delta_encode from zeros. */
enum status delta_encode_personal(const struct delta_model *m, uint64_t version,
                                  const float *difference, const uint8_t *mask, int step_log2,
                                  struct buf *out, struct error *err);

/* What a delta says of itself; needs no model and no base. */
struct delta_info {
    uint8_t identity[32];
    struct delta_versions versions;
    int step_log2;
    bool statistics;
    bool personal; /* differences, from its base version on: base and new are the same */
    uint32_t trainable_count, stat_count, tensor_count;
    uint32_t value_count;                                           /* coordinates sent */
    size_t bytes, count_bytes, mask_bytes, value_bytes, stat_bytes; /* whole, and by section */
    uint32_t result_crc32;                                          /* of the new vector's bytes */
};

/* Checks the checksum and every bound. counts (NULL: not wanted) has room for counts_max per-tensor
 * numbers of coordinates; the first min(tensor_count, counts_max) are written. */
enum status delta_info_read(const void *bytes, size_t n, struct delta_info *ret, uint32_t *counts,
                            uint32_t counts_max, struct error *err);

/* Brings params (at *version) to the delta's new version. Everything is decoded and checked, the
 * result's CRC-32 too, before params or *version change.
 *  - base equal to *version: applied.
 *  - base 0 and new > *version (a snapshot): applied to the model's own values; params is only
 *    written. A camera that changes its job sets *version = 0 first.
 *  - new equal to *version and the same result: nothing to do, *ret_applied = false.
 *  - anything else: ST_CONFLICT, ask the server for a snapshot. So is a personal delta, which
 *    leads to no version (delta/personal.h).
 * sent (NULL allowed) gains the delta's coordinates, or becomes them for a snapshot. */
enum status delta_apply(const struct delta_model *m, const void *bytes, size_t n, uint64_t *version,
                        float *params, struct delta_history *sent, bool *ret_applied,
                        struct error *err);

#endif
