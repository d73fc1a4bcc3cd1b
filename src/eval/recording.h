/* recording.h - the recorded source of an eval: frames with their ground truth, where there is any.
 *
 * Owns:    the source and both pictures; what recording_next lends is valid until the next call.
 * Threads: one.
 * Errors:  of video/source.h and video/image.h; a frame without a label file has no truth, a label
 *          file that cannot be read is an error.
 */
#ifndef ATTUNE_EVAL_RECORDING_H
#define ATTUNE_EVAL_RECORDING_H

#include "eval/eval.h"
#include "flow/records.h"

struct recording;

enum status recording_open(const struct eval_options *o, struct recording **ret, struct error *err);
void recording_close(struct recording **s);

/* Lends the next frame; *ret_truth is NULL or its labels. ST_END after the last. */
enum status recording_next(struct recording *s, const struct frame **ret_frame,
                           const struct label_map **ret_truth, struct error *err);

/* Frames in all, as far as known; 0: unknown. */
uint64_t recording_frames(const struct recording *s);

#endif
