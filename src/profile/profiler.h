/* profiler.h - the micro-profiler: what would this configuration bring, from a short run.
 *
 * Source: Ekya (NSDI 2022, section 4.3): train for a few epochs on a small uniform sample of the
 * window's labelled frames, score after each epoch on frames that are held out, fit the curve of
 * accuracy by epochs and extrapolate to the whole. How we differ: a run whose accuracy falls twice
 * in a row below where it began is ended early, and an epoch of the whole counts as as many epochs
 * of the sample as it has more steps.
 *
 * The learner is left as it was.
 *
 * Threads: the learner's.
 * Time:    none read; the caller measures what the steps cost.
 * Errors:  ST_AGAIN: too few frames yet; the learner's.
 */
#ifndef ATTUNE_PROFILE_PROFILER_H
#define ATTUNE_PROFILE_PROFILER_H

#include "profile/curve_fit.h"
#include "train/learner.h"

#define PROFILE_EPOCHS_MAX 32
/* What a picture of a segmentation counts for: its pixels are far from independent. */
#define PROFILE_SAMPLES_FRAME 25

struct profile_options {
    double data; /* part of the configuration's data, default 0.2 */
    int epochs;  /* at most, default 5 */
};

void profile_options_init(struct profile_options *o);

struct profile_result {
    int steps;                           /* optimiser steps taken */
    int scored;                          /* frames inferred to score */
    int samples;                         /* independent ones behind each accuracy: pictures, of a
                                          * segmentation PROFILE_SAMPLES_FRAME a picture */
    int epochs;                          /* run */
    double start;                        /* accuracy before, on the held-out frames */
    double accuracy[PROFILE_EPOCHS_MAX]; /* after each epoch */
    int epoch_steps;                     /* steps of one of them */
    int frames;                          /* that a whole training would use */
    int batch;                           /* of the recipe */
    double end;                          /* extrapolated to the whole configuration */
};

/* The same, for another length of the same training. */
double profile_at(const struct profile_result *r, const struct train_configuration *c);

enum status profile_run(struct learner *l, const struct train_configuration *c,
                        const struct profile_options *o, struct profile_result *ret,
                        struct error *err);

#endif
