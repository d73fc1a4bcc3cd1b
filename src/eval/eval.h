/* eval.h - the whole loop over a recorded source under a virtual clock.
 *
 * The stages are the production ones (source, sampler, encoder, chunk, labeller, learner, gate,
 * delta); what eval supplies is the clock, the two links and the order of events. All modes run
 * side by side over one pass of the source, so that they see the same frames.
 *
 * Time model, stated once: a chunk leaves the camera at the end of its interval and arrives when
 * its bits have crossed the uplink; labelling is free; a phase starts when it is due and the
 * trainer is idle, takes train_steps / train_steps_per_s seconds, and its delta is applied when its
 * bits have crossed the downlink. Every frame is scored with the weights the camera has at that
 * moment, before anything is learned from it (prequential).
 *
 * Owns:    an eval result owns its series until eval_result_clear.
 * Threads: one.
 * Time:    virtual only; nothing depends on how busy the machine is.
 * Errors:  as the stages report them, with the file's or the node's name.
 */
#ifndef ATTUNE_EVAL_EVAL_H
#define ATTUNE_EVAL_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "task/task.h"

/* none: the student as it came. one-time: trained on the first 60 s, then fixed. full: attune's
 * recipe, every weight sent. ams: the authors' code. attune: ours. */
#define EVAL_MODE_LIST(X)                                                                          \
    X(NONE, "none")                                                                                \
    X(ONE_TIME, "one-time")                                                                        \
    X(FULL, "full")                                                                                \
    X(AMS, "ams")                                                                                  \
    X(ATTUNE, "attune")

enum eval_mode {
#define EVAL_MODE_ENUM(name, text) EVAL_##name,
    EVAL_MODE_LIST(EVAL_MODE_ENUM)
#undef EVAL_MODE_ENUM
        EVAL_MODE_COUNT
};

const char *eval_mode_name(enum eval_mode mode);

/* EVAL_MODE_COUNT when the name is none of them. */
enum eval_mode eval_mode_parse(const char *name);

/* Scores start again after this long: what the adaptation is judged by. */
#define EVAL_WARM_UP_S 60
#define EVAL_LABEL_DIR_MAX 4096

struct eval_options {
    const char *source;            /* video, directory of images, or town:... */
    double fps;                    /* frames scored a second; directories: their rate. Default 1 */
    const char *labels_dir;        /* NULL: NAME_label.png beside NAME; none there: no truth. To
                                    * classify: a CSV file, NULL: folders are classes */
    const char *regions;           /* to classify: task/regions.h; NULL: whole pictures, of the town
                                    * what is in its boxes */
    const char *class_map;         /* YAML, NULL: the network's own classes */
    const char *student, *teacher; /* ONNX files */
    const enum eval_mode *modes;
    size_t mode_count;        /* 1..EVAL_MODE_COUNT */
    double uplink_kbps;       /* budget and rate of the link, default 300 */
    double downlink_kbps;     /* default 300 */
    double train_steps_per_s; /* what the server's trainer does, default 20 */
    const char *recipe; /* "name=value,..." over the recipe of attune and full; NULL: as it is */
    double seconds;     /* stop there; 0: the whole source */
    uint64_t seed;      /* default 1 */
    int threads;        /* of inference and training, default 1 */
};

void eval_options_init(struct eval_options *o);

/* Accuracies are the task's score, 0..1: mIoU of a segmentation, else the fraction correct. */
struct eval_score {
    uint64_t frames;         /* or crops, each by itself */
    double accuracy_teacher; /* student against the teacher's labels */
    double accuracy_truth;   /* student against ground truth; NaN without */
    double teacher_truth;    /* teacher against ground truth; NaN without */
};

struct eval_point {
    double t_s, accuracy_teacher, accuracy_truth; /* over the last 10 s, as AMS */
};

struct eval_mode_result {
    enum eval_mode mode;
    struct eval_score whole, after_warm_up;
    struct eval_score precision; /* of a detection: mean average precision of the whole run in place
                                  * of F1; else NaN */
    double uplink_kbps, downlink_kbps; /* bits sent / duration; kbit = 1000 bit */
    uint64_t phases, train_steps, rejected, deltas;
    struct eval_point *series;
    size_t series_count;
};

struct eval_result {
    enum task_kind task; /* of student and teacher; says what an accuracy is (task/task.h) */
    double duration_s;
    size_t mode_count;
    struct eval_mode_result modes[EVAL_MODE_COUNT];
};

void eval_result_clear(struct eval_result *r);

/* Called after each frame; total_frames is 0 while unknown. */
typedef void eval_progress(void *user, uint64_t frames, uint64_t total_frames, const char *note);

enum status eval_run(const struct eval_options *options, eval_progress *progress, void *user,
                     struct eval_result *ret, struct error *err);

#endif
