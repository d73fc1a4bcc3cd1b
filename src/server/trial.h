/* trial.h - models tried on a camera's frames, in a worker: what groups are decided by. Or, with
 * own.path, a small delta of the camera's own is trained on them, on top of the first model.
 * Internal.
 *
 * Cost: frames x models inferences of the student, at most TRIAL_FRAMES_MAX x TRIAL_MODELS_MAX; or
 * own.steps optimiser steps.
 */
#ifndef ATTUNE_SERVER_TRIAL_H
#define ATTUNE_SERVER_TRIAL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow/records.h"

#define TRIAL_FRAMES_MAX 32
#define TRIAL_MODELS_MAX 32
#define TRIAL_CHUNKS_MAX 8

struct trial {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    int frames_max;                 /* the newest, 1..TRIAL_FRAMES_MAX */
    uint64_t seq[TRIAL_CHUNKS_MAX]; /* labelled chunks, newest first */
    int chunk_count;
    bool has_signature; /* answer: what the frames are like, with the first model's answers */
    struct signature signature;
    int model_count;
    struct trial_model {
        char path[PATH_MAX]; /* of a snapshot; "": the student's own */
        char own[PATH_MAX];  /* of a personal delta on top of it; "": none */
        /* The answer: */
        int frames;                    /* that were scored, 0: it could not be tried */
        float score[TRIAL_FRAMES_MAX]; /* the task's score of each frame */
        double mean;                   /* NaN without any */
    } models[TRIAL_MODELS_MAX];
    struct trial_own {
        char path[PATH_MAX]; /* where the personal delta is to be written; "": nothing is trained */
        /* The answer: */
        bool trained;
        uint64_t bytes;
        char reason[160]; /* where it was not */
    } own;
};

#endif
