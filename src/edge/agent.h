/* agent.h - the camera node: runs a student on a live source and keeps it up to date.
 *
 *   capture+infer (the caller's thread, real time)
 *      | every frame: decode or render, normalise, infer with the active copy, publish
 *      +--sampled frames--> encode: a chunk of H.264 each chunk_s within the bit budget --> spool
 *      |                                                                 upload: in order --+
 *      +--results---------> report: calls on_result; scores once a second; overlay video
 *      <--two-frame gap---- update: long poll, decode and check, offer (edge/slot.h)
 *
 * The arrows are bounded queues of preallocated items that drop their oldest (edge/handoff.h), and
 * the spool (uplink/spool.h): neither the network nor the disk can hold a frame up. Offline for
 * ever is a normal state, and so is a server that restarts.
 *
 * Not every frame need be inferred: agent_infer.c chooses a frame rate and a resolution
 * (profile/inference.h) within a share of the machine; the other frames get the last answer.
 *
 * State folder: params.ckpt (newest parameters and version, atomic, CRC; damaged or of another
 * student: discarded, the camera starts at version 0 and the server sends a snapshot), spool/.
 *
 * Owns:    its threads, between agent_run's start and return.
 * Threads: agent_run blocks its caller; agent_stop from any thread or a signal handler. Where
 *          inference has processors of its own, the thread that opens and runs the agent stays on
 *          them, the others get the rest.
 * Time:    reads base/clock.h: this is a node.
 * Memory:  nothing is allocated for a frame after the first.
 */
#ifndef ATTUNE_EDGE_AGENT_H
#define ATTUNE_EDGE_AGENT_H

#include <stdbool.h>

#include "base/error.h"
#include "flow/records.h"
#include "profile/inference.h"
#include "task/task.h"
#include "video/source.h"

#define AGENT_CONDITION_CHARS_MAX 47

/* One frame's answer, or that for one region of it. */
struct agent_result {
    uint64_t t_us;  /* capture, microseconds since 1970 UTC */
    uint64_t frame; /* index of the source's frame */
    int region;     /* index of options.regions, -1: the whole frame */
    uint64_t version;
    bool held;           /* the answer is that of an earlier frame */
    uint64_t latency_us; /* frame available to labels published */
    int class_count;
    /* Of the pixels, a class; of a classification: its probability; of a detection: of the boxes.
     */
    float fraction[CLASSES_MAX];
    int class_id;  /* the class with the largest of them */
    int box_count; /* of a detection: what it is sure of, in fractions of the picture's sides */
    struct box boxes[DETECT_BOXES_MAX];
};

/* Once a second where the source has exact labels and options.score is set. */
struct agent_score {
    uint64_t t_us;
    uint64_t version;
    double adapted, unadapted;         /* the task's score (task/task.h) of this frame */
    double adapted_10s, unadapted_10s; /* over the last 10 s */
    double up_kbps, down_kbps;         /* since the start */
    uint64_t frames, dropped;
    char condition[AGENT_CONDITION_CHARS_MAX + 1]; /* of the town: "dusk, rain"; "" elsewhere */
};

struct agent_options {
    const char *source_url;       /* video/source.h, or "town:..." (synth) */
    const char *credentials_file; /* edge/feed.h, as the next three; NULL: none */
    enum video_transport transport;
    const char *tls_ca;
    double timeout_s;
    const char *student_path; /* ONNX */
    const char *server_url;   /* NULL: no server, the student stays as it is */
    const char *ca_path;      /* uplink/client.h */
    bool insecure;
    const char *pin, *token;            /* uplink/client.h; NULL: not enrolled */
    double latitude_deg, longitude_deg; /* where the camera is; NaN (default): not known */
    const char *camera_id;
    const char *state_folder; /* NULL without a server */
    const char *uplink_table; /* uplink/controller_table.h; NULL: the one for the town */
    const char *regions;      /* task/regions.h, of a classification; NULL: whole frames */
    const char *mask; /* video/mask.h: what neither student nor server sees; NULL: nothing */
    bool no_upload;   /* frames never leave: no sample is kept, what waits is thrown away */
    const char *overlay_path; /* MP4 of what the student sees; NULL: none */
    double fps;               /* 0: the source's own */
    double seconds;           /* 0: until the source ends or agent_stop */
    int threads;              /* of an inference, default 1 */
    const char *cores;        /* its processors (base/cores.h), a list or "auto"; the default */
    /* Measures what lower rates and resolutions would cost and lose, and runs the best that the
     * share allows; false: every frame at full size, unless the server asks for less. */
    bool choose;
    double share; /* processors; the server may say less; 0: as many as there are */
    bool score;
    uint64_t seed; /* of the back-off's jitter */
    /* From one thread; may block (then results are dropped and counted). NULL: none. */
    void (*on_result)(void *context, const struct agent_result *r);
    void (*on_score)(void *context, const struct agent_score *s);
    void *context;
};

void agent_options_init(struct agent_options *o);

struct agent_summary {
    uint64_t frames;          /* inferred */
    uint64_t held;            /* answered with the answer of an earlier one */
    uint64_t dropped_late;    /* skipped because the source was ahead */
    uint64_t dropped_by_swap; /* because a frame that took a new model ended too late */
    uint64_t dropped_samples; /* not encoded because the encoder was busy */
    uint64_t dropped_results; /* not reported because on_result was slow */
    uint64_t dropped_chunks;  /* spool full, torn or refused */
    uint64_t source_restarts;
    uint64_t latency_p50_us, latency_p95_us, latency_max_us;
    uint64_t samples, chunks, chunks_acknowledged;
    uint64_t up_bytes, down_bytes;
    double elapsed_s, up_kbps, down_kbps;
    uint64_t versions_applied, version;
    uint32_t params_crc32;
    double adapted, unadapted;         /* the score over all scored frames, NaN for none */
    double adapted_60s, unadapted_60s; /* over the last minute */
    int scored_frames;
    struct inference_point running; /* the last configuration, as measured */
};

struct agent;

/* Opens everything that can fail: source, student, state. */
enum status agent_open(const struct agent_options *options, struct agent **ret, struct error *err);
void agent_close(struct agent **a);

/* The student's classes and sizes; the source's frame rate. */
const struct task_spec *agent_spec(const struct agent *a);
double agent_fps(const struct agent *a);

/* Runs until the end; *ret is filled also after an error. */
enum status agent_run(struct agent *a, struct agent_summary *ret, struct error *err);

/* A number that grows while agent_run makes progress: frames, and attempts at a source that is
 * away. From any thread. */
uint64_t agent_beats(const struct agent *a);

/* Asks agent_run to return soon (within two seconds). Async-signal-safe. */
void agent_stop(struct agent *a);

#endif
