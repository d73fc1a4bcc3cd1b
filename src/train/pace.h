/* pace.h - when things happen for one camera: chunks, phases, and what may change their rates.
 *
 * One table of presets beside learner_preset: the learner says how a phase learns, the pace when.
 * The server's settings may override single values.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_TRAIN_PACE_H
#define ATTUNE_TRAIN_PACE_H

#include "train/asr.h"
#include "train/atr.h"
#include "train/learner.h"

struct pace_options {
    uint64_t chunk_us;       /* sampled frames are uploaded this often */
    uint64_t period_us;      /* between phases, where ATR does not say otherwise */
    uint64_t first_phase_us; /* after the camera joined */
    bool once;               /* one phase only */
    bool adaptive_sampling;  /* ASR */
    bool adaptive_training;  /* ATR */
    struct asr_options asr;
    struct atr_options atr;
};

/* LEARNER_AMS: 10 s, first at 100 s, ASR and ATR (authors' code). LEARNER_ONE_TIME: once, at
 * 60 s. LEARNER_ATTUNE and LEARNER_FULL: ours. */
void pace_preset(enum learner_preset preset, struct pace_options *ret);

#endif
