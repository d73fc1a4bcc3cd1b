/* worker_bench.h - frames of a camera with their labels, and a session to run models on them: what
 * trials (worker_trial.c) and members' own deltas (worker_own.c) begin with. Internal.
 *
 * Owns:    everything but the model.
 * Threads: the worker's.
 */
#ifndef ATTUNE_SERVER_WORKER_BENCH_H
#define ATTUNE_SERVER_WORKER_BENCH_H

#include "delta/delta.h"
#include "drift/signature.h"
#include "server/trial.h"
#include "server/worker_internal.h"

#define BENCH_SNAPSHOT_BYTES_MAX ((size_t)1 << 30)

/* The frames, newest chunk first, and what the models are run with. */
struct bench {
    const struct nn_model *model;
    struct task_spec spec;
    struct nn_session *session;
    struct delta_model delta;
    struct frame frames[TRIAL_FRAMES_MAX];
    struct label_map truth[TRIAL_FRAMES_MAX];
    uint8_t *answer; /* [task_cells] */
    float *params;
    int count, count_max;
    struct drift_mean looks; /* with the first model's answers */
};

/* Clear it whatever comes back. */
enum status bench_init(struct bench *b, const struct worker *w, struct error *err);
void bench_clear(struct bench *b);

/* The chunks that the request names, newest first, as far as there is room for. One that cannot be
 * read is left out; ST_INVALID: none is left. */
enum status bench_read(struct bench *b, struct worker *w, const json_t *q, struct error *err);

/* The model of a snapshot ("": the student's own) with a personal delta on top ("": none) is what
 * the session runs; b->params has its parameters. */
enum status bench_take_model(struct bench *b, const char *snapshot, const char *own,
                             struct error *err);

#endif
