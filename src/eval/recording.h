/* recording.h - the recorded source of an eval: frames with their ground truth, where there is any.
 *
 * For a classification what is lent is what is classified: whole pictures, or one after the other
 * the crops of a picture, with its time. Crops are the camera's regions (task/regions.h), of the
 * town without regions what its boxes hold (synth/crops.h). Pictures may lie in a folder for each
 * class or be named in a CSV file (task/class_list.h); all are lent at the size of the first.
 *
 * Owns:    the source and all pictures; what recording_next lends is valid until the next call.
 * Threads: one.
 * Errors:  of video/source.h, video/image.h and task/class_list.h; a frame without a label file has
 *          no truth, a label file that cannot be read is an error.
 */
#ifndef ATTUNE_EVAL_RECORDING_H
#define ATTUNE_EVAL_RECORDING_H

#include "eval/eval.h"
#include "flow/records.h"

/* Whom the frames are for. */
struct recording_use {
    enum task_kind task;
    const struct class_map *map; /* to the classes of the truth; borrowed during open */
    int crop_width, crop_height; /* size that crops are scaled to */
};

/* For this student and this teacher: crops serve both. */
struct recording_use recording_use_of(const struct task_spec *student,
                                      const struct task_spec *teacher, const struct class_map *map);

struct recording;

enum status recording_open(const struct eval_options *o, const struct recording_use *use,
                           struct recording **ret, struct error *err);
void recording_close(struct recording **s);

/* Lends the next frame; *ret_truth is NULL or its labels. ST_END after the last. */
enum status recording_next(struct recording *s, const struct frame **ret_frame,
                           const struct label_map **ret_truth, struct error *err);

/* Frames in all, as far as known; 0: unknown. */
uint64_t recording_frames(const struct recording *s);

#endif
