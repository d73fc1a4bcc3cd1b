/* worker.h - the training process: requests in, results out, one JSON object a line.
 *
 * Protocol: docs/worker.md. Holds one learner (train/learner.h) a camera. Everything that must
 * survive it is in files that it writes whole (base/file.h) before it answers; it may be killed at
 * any time.
 *
 * Threads: runs in the calling thread (training uses OpenMP).
 * Time:    none read.
 * Errors:  a request that fails is answered; worker_run returns at the end of input (ST_OK) or when
 *          the line is broken (ST_IO, ST_LIMIT).
 */
#ifndef ATTUNE_SERVER_WORKER_H
#define ATTUNE_SERVER_WORKER_H

#include "base/error.h"

#define WORKER_CAMERAS_MAX 1024

/* Serves requests from in_fd until its end. */
enum status worker_run(int in_fd, int out_fd, struct error *err);

#endif
