/* case.h - one measurement of the engine in this process: a network, a mode, a number of threads.
 *
 * Modes:
 *  TRAIN  a training step: forward, cross-entropy against random hard labels, backward, Adam;
 *         batch-norm in batch mode. With trainable_tensors only the last ones train.
 *  INFER  one forward pass.
 *  DELTA  a live inference session takes an update of 5 % of the weights: the exchange of the
 *         values, which keeps it from running, plus what the next frame takes longer because
 * weights are packed anew. Decoding and checking, which a camera does in the background, is timed
 *         apart.
 *
 * Inputs are noise, on which int8 is calibrated unless the file is; labels are drawn from all
 * classes that a label can name.
 *
 * Threads: the calling thread and its OpenMP team. One measurement a process, or else the peak of
 *          memory is that of all.
 * Errors:  those of the model and the session; ST_UNSUPPORTED where the engine cannot do the case.
 */
#ifndef ATTUNE_BENCH_CASE_H
#define ATTUNE_BENCH_CASE_H

#include <stddef.h>

#include "nn/session.h"

enum bench_mode { BENCH_TRAIN = 1, BENCH_INFER, BENCH_DELTA };

/* "train", "infer", "delta"; "f32", "bf16", "int8". NULL and 0 for none. */
const char *bench_mode_name(enum bench_mode mode);
enum bench_mode bench_mode_parse(const char *name);
const char *bench_precision_name(enum nn_precision precision);
enum nn_precision bench_precision_parse(const char *name);

struct bench_case {
    const char *path; /* of the ONNX file */
    enum bench_mode mode;
    enum nn_precision precision;
    int batch, threads;
    /* BENCH_TRAIN: only the last ones in the file's order, the rest is frozen; 0: all. */
    int trainable_tensors;
    size_t memory_limit_bytes; /* of the session, 0: none */
    double seconds;            /* to repeat for */
};

struct bench_result {
    double ms, best_ms; /* of a step, a frame, or an update: median and best */
    /* BENCH_DELTA, else 0: medians of a frame without an update, and of decoding one. */
    double frame_ms, decode_ms;
    int runs;
    double open_ms; /* to read the file and make the session */
    double gflop;   /* 10^9 operations of a run, BENCH_DELTA: 0 */
    size_t session_bytes;
    size_t rss_bytes, peak_rss_bytes; /* of the process, at the end */
};

enum status bench_case_run(const struct bench_case *c, struct bench_result *ret, struct error *err);

#endif
