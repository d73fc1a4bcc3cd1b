/* update.h - a delta on its way into a running network: received first, then put in place.
 *
 * The two have different needs. delta_update_decode takes its time, on a thread in the background:
 * it reads the network's parameters, checks everything, the result's CRC-32 too, and writes nothing
 * outside the update. delta_update_exchange is what the running network waits for: it writes the
 * values that change, and cannot fail. It leaves what was there in the update, so that a second
 * exchange undoes the first.
 *
 * Owns:    everything in the update, until close; the delta_model is borrowed.
 * Threads: one at a time; decoding may happen on one and exchanging on another.
 * Memory:  all taken at open, nothing later. One bit a trainable parameter and less than 2 MiB of
 *          models; 4 bytes of address space a parameter, of which only what an update's values fill
 *          becomes resident, and delta_update_clear gives back what a whole vector has filled.
 * Errors:  delta.h's.
 */
#ifndef ATTUNE_DELTA_UPDATE_H
#define ATTUNE_DELTA_UPDATE_H

#include "delta/delta.h"

struct delta_update;

/* The model must outlive the update. */
enum status delta_update_open(const struct delta_model *m, struct delta_update **ret,
                              struct error *err);
void delta_update_close(struct delta_update **u);

/* Fills the update with what brings `params`, which are at `version`, to the delta's new version:
 * which deltas do is said at delta_apply. *ret_applies false: params are there already, the update
 * is empty. A snapshot becomes a whole vector. sent: as delta_apply has it. */
enum status delta_update_decode(struct delta_update *u, const void *bytes, size_t n,
                                uint64_t version, const float *params, struct delta_history *sent,
                                bool *ret_applies, struct error *err);

/* Likewise a personal delta (delta/personal.h): brings `zeros` to its differences. ST_CONFLICT: it
 * is none. */
enum status delta_update_decode_personal(struct delta_update *u, const void *bytes, size_t n,
                                         const float *zeros, struct error *err);

/* Makes the update a whole vector, all parameters of `version`, which the caller writes to the
 * result before the exchange. */
float *delta_update_whole(struct delta_update *u, uint64_t version);

/* Empties the update. */
void delta_update_clear(struct delta_update *u);

/* Of the update that was decoded last. */
uint64_t delta_update_version(const struct delta_update *u);

/* Exchanges the update's values with those of `params`; with `threads` OpenMP threads. */
void delta_update_exchange(struct delta_update *u, float *params, int threads);

/* Parts of the vector in which the update has values, each of whole tensors that all have some, or
 * the statistics: the first one that begins at *ret_begin or later, as [*ret_begin, *ret_end).
 * False: there is none. */
bool delta_update_part(const struct delta_update *u, size_t *ret_begin, size_t *ret_end);

#endif
