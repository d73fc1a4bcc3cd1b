/* fleet_camera.h - one camera of a fleet eval: its stream, its student, its learner. Internal.
 *
 * Owns:    everything in it; models, labeller and class map are borrowed.
 * Bounds:  FLEET_PENDING_MAX labelled frames wait while a training is under way, the oldest go;
 *          FLEET_AGE_MAX frames are kept to measure what holding an answer costs.
 */
#ifndef ATTUNE_EVAL_FLEET_CAMERA_H
#define ATTUNE_EVAL_FLEET_CAMERA_H

#include "eval/fleet.h"
#include "eval/recording.h"
#include "eval/score.h"
#include "label/labeller.h"
#include "profile/inference.h"
#include "profile/profiler.h"
#include "video/scale.h"

#define FLEET_PENDING_MAX 32
#define FLEET_AGE_MAX 16
#define FLEET_RECENT_MAX 3 /* labelled frames that say how accurate a camera is now */

/* What all cameras of a run share. */
struct fleet_shared {
    const struct fleet_options *options;
    const struct nn_model *student;
    struct labeller *labeller;
    struct class_map map;
    struct learner_options learning;
    double infer_s, label_s; /* compute of one */
};

struct fleet_labelled {
    struct frame frame; /* at the student's input size */
    struct label_map labels;
};

struct fleet_camera {
    const struct fleet_shared *shared;
    const struct fleet_source *source;
    struct recording *recording;
    const struct frame *lent; /* the recording's next one */
    const struct label_map *lent_truth;
    struct score *score;
    struct task_spec spec;

    struct nn_session *session; /* the student that serves */
    struct scaler scaler;
    struct frame frames[FLEET_AGE_MAX]; /* ring, at the input size; frame n at n % FLEET_AGE_MAX */
    uint64_t frame_count;
    struct label_map native, answer, taught; /* network's size; the truth's size twice */
    bool answered;
    double next_infer; /* number of the frame that is inferred next */
    double next_label_s;

    struct inference_profile inference;
    struct schedule_point points[INFERENCE_POINTS_MAX];
    struct schedule_curve curve; /* factor by share */
    uint64_t probes;

    struct learner *learner;
    struct fleet_labelled pending[FLEET_PENDING_MAX];
    int pending_count;
    struct confusion recent[FLEET_RECENT_MAX]; /* prequential, since the model was deployed */
    int recent_count, recent_next;
    double deployed_accuracy; /* on held-out frames when it was deployed; NaN: never */
};

enum status fleet_camera_open(const struct fleet_shared *shared, const struct fleet_source *source,
                              struct fleet_camera *ret, struct error *err);
void fleet_camera_close(struct fleet_camera *c);

/* The frames of the stream up to now (several where a picture has several crops): inferred as far
 * as the share carries them, scored in any case. *used_s is added to. ST_END after the last. */
enum status fleet_camera_frame(struct fleet_camera *c, double now_s, double infer_share,
                               double *used_s, struct error *err);

/* When a label is due by now: the teacher's, into the learner (or waiting). Now and then measures
 * what holding answers costs. Adds to used_s of labelling and inference. */
enum status fleet_camera_label(struct fleet_camera *c, double now_s, double label_fps,
                               double used_s[FLEET_USES], struct error *err);

/* Frames that waited join the learner; call when no training is under way. */
enum status fleet_camera_take_pending(struct fleet_camera *c, struct error *err);

/* How accurate the model that serves is now, by the task's score on newly labelled frames; NaN
 * while there are none. */
double fleet_camera_accuracy(const struct fleet_camera *c);

/* The same, NaN until as many frames were labelled since the model was deployed as that takes. */
double fleet_camera_settled_accuracy(const struct fleet_camera *c);

/* The learner's version serves from now on; accuracy on its held-out frames. */
void fleet_camera_deploy(struct fleet_camera *c, double accuracy);

/* Factors by share as measured so far, into c->curve; not while a planner has it. */
void fleet_camera_update_curve(struct fleet_camera *c);

#endif
