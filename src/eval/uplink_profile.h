/* uplink_profile.h - measures the transmission controller's table (uplink/controller_table.h): what
 * frame rates and sizes of samples cost on the uplink, and what a learner makes of them.
 *
 * For each scene, size and rate the first learn_s seconds are sampled, scaled, encoded at a fixed
 * quality in chunks as a camera sends them, labelled by the teacher as they arrive, and trained on,
 * from the student's own weights, for as many steps as a share of a processor takes in learn_s
 * besides the labelling. Accuracy is that of the student then, against the teacher's labels of the
 * next score_s seconds as the camera saw them. Values are means over the scenes; accuracy is made
 * not to fall with the share, since training can be stopped.
 *
 * Threads: one.
 * Time:    compute is measured in seconds of a processor, by steps of its own, so that a busy
 *          machine tells the same.
 * Errors:  those of the source, the networks, the learner.
 */
#ifndef ATTUNE_EVAL_UPLINK_PROFILE_H
#define ATTUNE_EVAL_UPLINK_PROFILE_H

#include "uplink/controller_table.h"

#define UPLINK_SCENES_MAX 16

struct uplink_profile_options {
    const char *student, *teacher;      /* ONNX files */
    const char *const *scenes;          /* eval/recording.h: town:..., a video, ... */
    int scene_count;                    /* 1..UPLINK_SCENES_MAX */
    double learn_s, score_s, score_fps; /* default 30, 20, 1 */
    double passes; /* over each frame that a job can use, for trainable_fps; default 8 */
    int threads;   /* default 1 */
    uint64_t seed; /* default 1 */
};

void uplink_profile_options_init(struct uplink_profile_options *o);

/* done of total trainings. */
typedef void uplink_profile_progress(void *user, int done, int total);

/* *table: its axes, scales, rate factor and slack are given, the rest is filled in. */
enum status uplink_profile_run(const struct uplink_profile_options *o,
                               uplink_profile_progress *progress, void *user,
                               struct controller_table *table, struct error *err);

#endif
