/* slot.h - the student that runs now, and the one that takes its place between two frames.
 *
 * Two inference sessions, A and B, and the newest parameters in a vector of their own. A reader
 * runs the active session on every frame; an updater checks an update completely against the
 * newest parameters, writes the result into the idle session, runs that once (weights reordered,
 * answer finite) and offers it; the reader takes the offer between two frames with one atomic
 * exchange. So no frame sees half an update, none waits for one, and none is dropped by one.
 * Source: AMS (Khani et al., ICCV 2021): the device applies an update to an inactive copy and
 * swaps. We differ in that the old copy is brought up to date when the next update arrives,
 * from the newest parameters, so nobody waits for the reader.
 *
 * Owns:    both sessions and the parameters; borrows the model, which must outlive it.
 * Threads: one reader (slot_take and the session it returns) and one updater (the others) at the
 *          same time; slot_version from any thread.
 * Memory:  three parameter vectors and two sessions, all taken at open.
 */
#ifndef ATTUNE_EDGE_SLOT_H
#define ATTUNE_EDGE_SLOT_H

#include "nn/session.h"

struct slot;

/* Starts with the model's own values as version 0. threads: OpenMP threads of a run. */
enum status slot_open(const struct nn_model *m, int threads, struct slot **ret, struct error *err);
void slot_close(struct slot **s);

/* Reader: the session for the next frame, with the newest offer taken; *ret_version is what it
 * holds. Valid until the next slot_take. Never blocks. */
struct nn_session *slot_take(struct slot *s, uint64_t *ret_version);

/* Updater: newest version offered, taken by the reader or not. */
uint64_t slot_version(const struct slot *s);

/* Updater: applies one delta (delta/delta.h) and offers the result. *ret_applied false: the slot
 * is at the delta's version already. ST_CONFLICT: it needs another base or model; ST_FORMAT: it is
 * damaged; ST_INVALID: the student answers it with something that is not finite. After an error
 * everything is as before. */
enum status slot_apply(struct slot *s, const void *delta, size_t n, bool *ret_applied,
                       struct error *err);

/* Updater: offers the model file's own values as version 0 (the server lost its state). */
enum status slot_reset(struct slot *s, struct error *err);

/* Updater: newest parameters to and from a file (nn/checkpoint.h; the step is the version).
 * Loading a damaged or foreign file changes nothing and says so (ST_FORMAT, ST_CONFLICT,
 * ST_NOT_FOUND). */
enum status slot_save(const struct slot *s, const char *path, struct error *err);
enum status slot_load(struct slot *s, const char *path, struct error *err);

/* Updater: CRC-32 of the newest parameters' bytes, to compare camera and server. */
uint32_t slot_params_crc32(const struct slot *s);

#endif
