/* mps.h - NVIDIA's Multi-Process Service: a part of a GPU's multiprocessors for one process.
 *
 * The percentage is read by the CUDA runtime of a client when it starts and is fixed from then on;
 * a new one needs a new process (Ekya restarts its workers for this reason). Needs no CUDA header:
 * it is an environment variable and a daemon's pipe.
 * Source: NVIDIA, "Multi-Process Service", CUDA_MPS_ACTIVE_THREAD_PERCENTAGE,
 * CUDA_MPS_PIPE_DIRECTORY.
 *
 * Threads: pure functions; mps_reachable looks at a folder.
 */
#ifndef ATTUNE_SHARE_MPS_H
#define ATTUNE_SHARE_MPS_H

#include "base/error.h"

#define MPS_ENVIRONMENT "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
#define MPS_SETTING_BYTES 64

/* "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=30" for an environment: share in GPUs, at most one whole one
 * (what is more than 1 is 100), at least 1 percent, since 0 is an error to CUDA. */
void mps_setting(double share, char ret_text[MPS_SETTING_BYTES]);

/* Whole percents of the same. */
int mps_percentage(double share);

/* ST_OK when a daemon listens in pipe_dir (NULL: CUDA_MPS_PIPE_DIRECTORY or /tmp/nvidia-mps);
 * ST_NOT_FOUND says how to start one. */
enum status mps_reachable(const char *pipe_dir, struct error *err);

#endif
