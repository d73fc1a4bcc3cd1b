/* fleet_camera.h - one camera of a fleet eval: its stream, its student, its uplink. Internal.
 *
 * Owns:    everything in it; models, labeller and class map are borrowed.
 * Bounds:  FLEET_AGE_MAX frames are kept to measure what holding an answer costs,
 *          FLEET_NEWEST_MAX labelled ones to try models on; at most FLEET_PARCELS_MAX chunks are on
 *          their way, the oldest is lost and counted.
 */
#ifndef ATTUNE_EVAL_FLEET_CAMERA_H
#define ATTUNE_EVAL_FLEET_CAMERA_H

#include "drift/monitor.h"
#include "drift/signature.h"
#include "edge/sampler.h"
#include "eval/fleet_group.h"
#include "eval/link.h"
#include "eval/recording.h"
#include "eval/score.h"
#include "eval/shared_link.h"
#include "profile/inference.h"
#include "uplink/chunk.h"
#include "video/scale.h"

#define FLEET_AGE_MAX 16
#define FLEET_RECENT_MAX 3 /* labelled frames that say how accurate a camera is now */
#define FLEET_NEWEST_MAX 4 /* labelled frames on which models are tried */
#define FLEET_PARCELS_MAX 16

/* What a camera sends, and how much of the site's uplink it has. */
struct fleet_sending {
    double fps;  /* frames sampled a second */
    double kbps; /* its part of the uplink while all send */
    int width, height;
};

struct fleet_camera {
    int index;
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

    bool watches;                 /* whether anybody asks it... */
    struct drift_monitor monitor; /* ...of its own answers... */
    bool alarmed;                 /* ...which say that its world is another */

    struct inference_profile inference;
    struct schedule_point points[INFERENCE_POINTS_MAX];
    struct schedule_curve curve; /* factor by share */
    uint64_t probes;

    struct fleet_group *group;                        /* that it belongs to */
    struct fleet_labelled newest[FLEET_NEWEST_MAX];   /* ring */
    struct drift_summary summaries[FLEET_NEWEST_MAX]; /* of them, as the student answered */
    int newest_count, newest_next;
    uint64_t labelled;                         /* frames in all */
    struct confusion recent[FLEET_RECENT_MAX]; /* prequential, ring */
    int recent_count, recent_next;             /* of the version that serves */
    int kept_count;                            /* of its model, whatever the version */
    double deployed_accuracy; /* on held-out frames when it was deployed; NaN: never */

    struct fleet_sending sending;
    struct sampler sampler;
    struct scaler shrinker; /* to the size that is sent */
    struct frame sampled[CHUNK_FRAMES_MAX];
    int sampled_count;
    double chunk_due_s;
    double packed_s;              /* when the last chunk was */
    struct shared_link_user link; /* of the site's uplink */
    struct parcel parcels[FLEET_PARCELS_MAX];
    int parcel_count;
    uint64_t chunks, lost, frames_sent;
};

/* Camera number `index` of the scenario. */
enum status fleet_camera_open(const struct fleet_shared *shared, int index,
                              struct fleet_camera *ret, struct error *err);
void fleet_camera_close(struct fleet_camera *c);

/* The frames of the stream up to now (several where a picture has several crops): inferred as far
 * as the share carries them, scored in any case. *used_s is added to. ST_END after the last. */
enum status fleet_camera_frame(struct fleet_camera *c, double now_s, double infer_share,
                               double *used_s, struct error *err);

/* When a label is due by now: the teacher's, to the group. Now and then measures what holding
 * answers costs. Adds to used_s of labelling and inference. */
enum status fleet_camera_label(struct fleet_camera *c, double now_s, double label_fps,
                               double used_s[FLEET_USES], struct error *err);

/* Where there is an uplink, instead: sampled frames leave as chunks and are labelled when they
 * arrive. */
enum status fleet_camera_exchange(struct fleet_camera *c, double now_s, double used_s[FLEET_USES],
                                  struct error *err);

/* Where there is an uplink, a frame that the rate is due for is kept for the next chunk, at the
 * size that is sent. */
enum status fleet_camera_sample(struct fleet_camera *c, const struct frame *frame,
                                struct error *err);

/* The teacher has labelled a frame: the answer is judged, the frame is the group's. newest: it is
 * the newest of the stream. */
enum status fleet_camera_take_labelled(struct fleet_camera *c, const struct frame *frame,
                                       bool newest, const struct label_map *labels,
                                       double used_s[FLEET_USES], struct error *err);

/* From the next frame and the next chunk on. */
void fleet_camera_send_as(struct fleet_camera *c, const struct fleet_sending *how);

/* The score of these parameters on the newest labelled frames, NaN without any; stamp: of
 * labeller_predict. by_frame (NULL allowed): [FLEET_NEWEST_MAX] each frame's own. *ret_frames of
 * them. */
enum status fleet_camera_try(struct fleet_camera *c, const float *params, uint64_t stamp,
                             float *by_frame, double *ret, int *ret_frames, struct error *err);

/* The same of one of them, 0 the newest, as counts; age < newest_count. */
enum status fleet_camera_try_one(struct fleet_camera *c, int age, const float *params,
                                 uint64_t stamp, struct confusion *ret, struct error *err);

/* What the newest labelled frames look like; false without any. */
bool fleet_camera_signature(const struct fleet_camera *c, struct signature *ret);

/* How accurate the model that serves is now, by the task's score on newly labelled frames; NaN
 * while there are none. */
double fleet_camera_accuracy(const struct fleet_camera *c);

/* The same, NaN until as many frames were labelled since the model was deployed as that takes. */
double fleet_camera_settled_accuracy(const struct fleet_camera *c);

/* The same over versions of one model: each frame counts under the version that served then. NaN
 * until as many frames were labelled since fleet_camera_replace as that takes. */
double fleet_camera_usual_accuracy(const struct fleet_camera *c);

/* These parameters serve from now on, a version of the same model; accuracy on held-out frames. */
void fleet_camera_deploy(struct fleet_camera *c, const float *params, double accuracy);

/* Another model's do: nothing is known of how it does here. */
void fleet_camera_replace(struct fleet_camera *c, const float *params);

/* Factors by share as measured so far, into c->curve; not while a planner has it. */
void fleet_camera_update_curve(struct fleet_camera *c);

#endif
