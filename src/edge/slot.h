/* slot.h - the student that runs, and the update that takes its place between two frames.
 *
 * One inference session. An updater decodes and checks an update completely, against the session's
 * own parameters, and offers it; the reader puts it in place before its next frame: it exchanges
 * the values that change, the session packs the weights of the layers that they are in, and the
 * frame runs with all of it. When the answer is not finite the exchange is undone and the frame
 * runs again. So no frame sees half an update, and the price of one is a part of one frame's time
 * (attune bench case --mode delta tells it), without an allocation.
 * A student may be open at several input sizes, a session each. Its parameters are the same in all:
 * an update is exchanged with the first session's, the others get copies of what changed, and each
 * packs its own weights when it runs next. So a frame may run at any size, without waiting.
 * Source: AMS (Khani et al., ICCV 2021), where the device applies an update to an inactive copy and
 * swaps; docs/decisions/0006-one-session-in-place.md says why there is no copy here.
 *
 * A camera may have differences of its own on top of the version that it shares
 * (delta/personal.h): the slot then keeps the shared parameters beside those that run, and an
 * update is exchanged as a whole vector, as a snapshot is.
 *
 * Owns:    the sessions and the update; borrows the models, which must outlive it.
 * Threads: one reader (slot_forward and what it reads of the session) and one updater (the others)
 *          at the same time; slot_version from any thread.
 * Memory:  the sessions' and what update.h says, all taken at open; with differences of its own one
 *          vector of parameters more, and another while something is offered.
 */
#ifndef ATTUNE_EDGE_SLOT_H
#define ATTUNE_EDGE_SLOT_H

#include "nn/session.h"

struct slot;

#define SLOT_SIZES_MAX 4

/* Starts with the model's own values as version 0; gives logits. models[count]: the same file at
 * different input sizes, 1..SLOT_SIZES_MAX (ST_CONFLICT: they are not). threads: OpenMP threads of
 * a run. A calibrated model runs in int8 where the processor has it (nn_precision_of_model). */
enum status slot_open(const struct nn_model *const *models, int count, int threads,
                      struct slot **ret, struct error *err);
void slot_close(struct slot **s);

/* Reader: the session of a size (index into models), for its input and its outputs. The same one
 * always. */
struct nn_session *slot_session(struct slot *s, int size);

/* Reader: runs that session on what is in its input, after taking what is offered; *ret_version is
 * what it ran. Never waits for the updater. */
enum status slot_forward(struct slot *s, int size, uint64_t *ret_version, struct error *err);

/* The version that runs: of the last slot_forward. */
uint64_t slot_version(const struct slot *s);

/* Updater: decodes one delta (delta/delta.h) and offers it to the reader. *ret_offered false: the
 * slot is at the delta's version already. ST_CONFLICT: it needs another base or model; ST_FORMAT:
 * it is damaged; ST_AGAIN: the last offer is not settled. After an error everything is as before.
 */
enum status slot_offer(struct slot *s, const void *delta, size_t n, bool *ret_offered,
                       struct error *err);

/* Updater: likewise a personal delta (delta/personal.h), in place of the one that there is; n 0:
 * none any more. The version stays. *ret_offered false: there was none. ST_CONFLICT: it is for a
 * later version, another model, or no personal delta. */
enum status slot_offer_personal(struct slot *s, const void *delta, size_t n, bool *ret_offered,
                                struct error *err);

/* Updater: whether one is in use. */
bool slot_is_personal(const struct slot *s);

/* Updater: slot_offer with the model file's own values as version 0 and no personal delta (the
 * server lost its state). */
enum status slot_offer_reset(struct slot *s, struct error *err);

/* Updater: what became of the offer. ST_OK: it runs (or there was none); ST_AGAIN: the reader has
 * not come to it; ST_INVALID: the student answered with something that is not finite, everything is
 * as before. */
enum status slot_settle(struct slot *s, struct error *err);

/* Updater, nothing offered: the shared parameters, without a personal delta, to and from a file
 * (nn/checkpoint.h; the step is the version). Loading is for before there is a reader; a damaged or
 * foreign file changes nothing and says so (ST_FORMAT, ST_CONFLICT, ST_NOT_FOUND). */
enum status slot_save(const struct slot *s, const char *path, struct error *err);
enum status slot_load(struct slot *s, const char *path, struct error *err);

/* Updater, nothing offered, or after the reader ended: CRC-32 of the shared parameters' bytes, to
 * compare camera and server. */
uint32_t slot_params_crc32(const struct slot *s);

#endif
