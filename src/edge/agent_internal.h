/* agent_internal.h - what the agent's threads share; for edge/agent*.c only.
 *
 *   file             thread            writes
 *   agent.c          caller of run     meter, counters of frames; samples, results, looks (giver)
 *   agent_infer.c    the same          infer; told (under mutex)
 *   agent_drift.c    the same          drift; told (under mutex)
 *   agent_judge.c    the same, upload  judge
 *   agent_transmit.c encode            controller; upload: bandwidth
 *   agent_report.c   report            scorer, overlay; results, looks (taker)
 *   agent_encode.c   encode            chunks into the spool; samples (taker)
 *   agent_uplink.c   upload            acknowledgements
 *   agent_update.c   update            slot, params.ckpt; settings (under mutex)
 *
 * The main thread reads the other threads' plain counters after it has joined them.
 */
#ifndef ATTUNE_EDGE_AGENT_INTERNAL_H
#define ATTUNE_EDGE_AGENT_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/cores.h"
#include "drift/watch.h"
#include "edge/agent.h"
#include "edge/feed.h"
#include "edge/handoff.h"
#include "edge/meter.h"
#include "edge/sampler.h"
#include "edge/student.h"
#include "edge/views.h"
#include "share/throttle.h"
#include "task/scorer.h"
#include "task/task.h"
#include "uplink/client.h"
#include "uplink/controller.h"
#include "uplink/spool.h"
#include "video/mask.h"

/* A frame for the encoder. The pixels follow the struct in the same item. */
struct agent_sample {
    uint64_t t_us, version;
};

/* A frame for the score or the overlay: pixels, then labels at the network's size, then truth at
 * the frame's size follow the struct. */
struct agent_look {
    uint64_t t_us, version;
    bool score, overlay;
    char condition[AGENT_CONDITION_CHARS_MAX + 1];
};

struct agent_report; /* agent_report.c */

/* A comparison of configurations that is under way, and when the next one is due. */
struct probe {
    bool active;
    uint64_t end, version; /* index of its last frame, and what ran on its first */
    uint64_t turn;
    int size;   /* that answers besides the full one; 0: none */
    int stride; /* index into the grid's: the next frame is stride - 1 before the last */
    double cpu_s;
    uint64_t next_us;
};

/* Answers to one sampled frame, and what the teacher says of them (agent_judge.c). */
#define AGENT_VERDICTS_MAX 4
struct verdict {
    atomic_int state;
    uint64_t t_us;              /* the sample's */
    uint64_t kept_us, asked_us; /* monotonic */
    uint8_t *answers;
    double full, got[INFERENCE_SCALES_MAX][INFERENCE_STRIDES_MAX]; /* NaN: no such answer */
};

struct agent_judge {
    struct verdict slots[AGENT_VERDICTS_MAX];
    struct label_map labels; /* at the answers' size; these two are the upload thread's */
    struct confusion confusion;
};

/* How frames are inferred. The capture thread's. */
struct agent_infer {
    struct inference_profile profile;
    struct inference_table table;
    int current; /* what runs, index into the table */
    double share;
    uint8_t *labels; /* the newest answer, held until the next */
    bool started;    /* there is one, of frame last_index */
    uint64_t last_index;
    uint64_t held; /* frames that got a held answer */
    struct inference_timing timing;
    uint64_t wishes_seen;
    uint64_t measured_us, process_us, thread_us; /* when, and processor time until then */
    double team_us;                              /* of the other threads of a team, since then */

    struct inference_watch *watch; /* NULL: nothing is compared */
    uint8_t *full, *smaller;       /* answers of a probe */
    struct probe probe;
    struct confusion confusion;
};

/* What the camera thinks of its world. The capture thread's. */
struct agent_drift {
    struct drift_watch watch;
    struct drift_picture picture;
    struct drift_request told; /* kind NONE: nothing is wrong */
    uint64_t looked_us, version;
    int burst_left; /* frames that still go up at once */
    uint64_t burst_next_us, burst_rest_us;
};

/* At which rate and size samples go to the server (agent_transmit.c). */
struct agent_transmit {
    struct controller_table table;
    double cost; /* the encode thread's: bits of this camera's pictures in the table's */
    struct controller controller; /* the encode thread's, as the next */
    struct controller_choice
        choice;                    /* in force; width 0: no controller, all as the student takes */
    _Atomic double bandwidth_kbps; /* measured, INFINITY: not paced */
    uint64_t wishes_seen;          /* the upload thread's */
};

struct agent {
    struct agent_options options;
    char params_path[PATH_MAX], spool_path[PATH_MAX];
    struct cores_role inference; /* threads and processors as planned */
    struct cores_plan cores;
    atomic_bool stopping; /* asked to stop */
    atomic_bool ending;   /* the frames are over: threads finish */
    pthread_mutex_t mutex;
    pthread_cond_t changed;  /* wakes sleeping threads: ending, or a chunk was spooled */
    uint64_t chunks_spooled; /* under mutex */

    struct student *student;
    const struct nn_model *model; /* the student's */
    struct slot *slot;
    struct task_spec spec;
    struct views views;
    struct mask mask;
    struct agent_infer infer;
    struct agent_judge judge;
    struct agent_drift drift;
    atomic_bool urgent;       /* the chunk that is being gathered should be closed now */
    struct throttle throttle; /* of a process that was started with a share, share/throttle.h */
    struct feed *feed;
    struct spool *spool;
    struct client *upload_client, *update_client;
    struct handoff *samples, *results, *looks;
    struct agent_report *report;

    /* The upload thread says hello until the server answers; whoever then loses the server clears
     * `greeted`. server_lost: that server knew less than this camera. */
    atomic_bool greeted, server_lost;
    /* The server's wishes; the lower of the two rates is read for every frame. */
    struct client_settings settings; /* under mutex */
    _Atomic double asr_fps, controlled_fps;
    struct agent_transmit transmit;
    atomic_uint_fast64_t wishes;  /* counts changes of the settings */
    struct inference_report told; /* under mutex: for the server */

    uint64_t start_us; /* monotonic */
    atomic_uint_fast64_t frames, late, beats;
    uint64_t dropped_by_swap;
    struct meter latency;
    uint64_t samples_dropped_encoder, samples_encoded, chunks_lost; /* encode thread */
    uint64_t versions_applied;                                      /* update thread */
};

/* Thread bodies; the argument is the struct agent. */
void *agent_report_thread(void *context);
void *agent_encode_thread(void *context);
void *agent_upload_thread(void *context);
void *agent_update_thread(void *context);

enum status agent_report_open(struct agent *a, struct agent_report **ret, struct error *err);
void agent_report_close(struct agent_report **r);
/* The final scores, after the thread has been joined. */
void agent_report_summary(const struct agent_report *r, struct agent_summary *ret);

/* Bytes so far, both connections. */
void agent_traffic(const struct agent *a, uint64_t *ret_up_bytes, uint64_t *ret_down_bytes);

struct client_settings agent_settings(struct agent *a);
void agent_take_settings(struct agent *a, const struct client_settings *s);

/* ---- agent_infer.c; from the capture thread ---- */

enum status agent_infer_open(struct agent *a, struct error *err);
void agent_infer_close(struct agent *a);

/* Before a frame: follows share and wishes, once a second also costs. */
void agent_infer_follow(struct agent *a, uint64_t now_us);

/* The first frame whose pixels are needed, and whether one is to be inferred or keeps the answer of
 * the last one. */
uint64_t agent_infer_pixels_from(const struct agent *a);
bool agent_infer_is_due(const struct agent *a, uint64_t index);

/* What getting a frame took. */
void agent_infer_count_frame(struct agent *a, bool has_pixels, double cpu_s);

/* Infers a view (views.h) of frame `index` into infer.labels; the logits are those of the size that
 * ran, lent until it runs again. */
enum status agent_infer_view(struct agent *a, const struct frame *view, uint64_t index,
                             uint64_t *ret_version, struct nn_view *ret_logits, struct error *err);

/* After a frame was published: compares configurations now and then, on view 0. inferred: by
 * version. True: the server should label this frame, so it is to be sampled whatever the rate is.
 */
bool agent_infer_probe(struct agent *a, const struct frame *view, uint64_t index, bool inferred,
                       uint64_t version, uint64_t now_us);

/* ---- agent_transmit.c ---- */

enum status agent_transmit_open(struct agent *a, struct error *err);

/* Encode thread, once a chunk: rate and size from now on. */
void agent_transmit_choose(struct agent *a);

/* What a chunk's bits may be, kbit/s, and the quality beyond which none are spent (x264's CRF). */
double agent_transmit_kbps(struct agent *a);
double agent_transmit_finest(const struct agent *a, double standard);

/* Encode thread: a chunk came to so many bytes; all: the budget did not make it smaller. */
void agent_transmit_learn(struct agent *a, int frames, size_t bytes, double elapsed_s, bool all);

/* Upload thread: paces the connection as the server wishes; takes over what it shows. */
void agent_transmit_pace(struct agent *a);

/* ---- agent_drift.c; from the capture thread ---- */

void agent_drift_open(struct agent *a);

/* A frame that was inferred into infer.labels, and the output that these were made of. Most are
 * passed over. wall_offset_us: what wall time is ahead of now_us. */
void agent_drift_see(struct agent *a, const struct frame *frame, const struct nn_view *output,
                     uint64_t version, uint64_t now_us, uint64_t wall_offset_us);

/* Whether this frame is to be sampled whatever the rate is. */
bool agent_drift_wants(struct agent *a, uint64_t now_us);

/* ---- agent_judge.c ---- */

enum status agent_judge_open(struct agent *a, struct error *err);
void agent_judge_close(struct agent *a);

/* Capture thread: the frame, which the watch has seen, is sampled under t_us. */
void agent_judge_keep(struct agent *a, uint64_t index, uint64_t t_us);

/* Capture thread: what has been judged goes into the profile. */
void agent_judge_take(struct agent *a);

/* Upload thread: asks for the labels of one frame, when it is time. room: for the answer. */
void agent_judge_ask(struct agent *a, struct buf *room);

/* Sleeps at most this long; false when the agent is ending. */
bool agent_pause(struct agent *a, uint64_t pause_us);

/* Threads behind the real-time one step back for it. */
void agent_thread_background(const char *name);

#endif
