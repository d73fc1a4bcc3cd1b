/* estimate.h - what a retraining would bring, from what is known: a profile, the fleet's history,
 * or both.
 *
 * Three sources behind one call:
 *  PROFILE  Ekya's (NSDI 2022, section 4.3): a short run on a sample, extrapolated. As measured by
 * its authors it hardly ranks configurations (within-window correlation 0.12). HISTORY  the mean
 * accuracy that this configuration ended at, over all past retrainings of the fleet. No run needed.
 *  BLEND    history, moved by what is known of this camera now. A profile is one noisy observation
 * of it, and two things are asked of it separately: how good this window is for any configuration
 * (its level), and what one configuration has over another (its deviation). How much each counts is
 * learned from past retrainings that were profiled: the level by ridge regression of their mean
 * surprise on start accuracy, profiled start and mean profiled end; the deviation by the slope of
 * surprise on profiled surprise within a window, less two standard errors and never below 0. Until
 * ESTIMATE_EPISODES_MIN windows of that kind are known, both are weighed by sample counts: binomial
 * variance of the profile's test samples against the spread of the history.
 *
 * Owns:    a history owns its rows until history_clear.
 * Threads: one at a time; estimates from one history may be made by many.
 * Memory:  HISTORY_ROWS_MAX rows; beyond it the oldest are dropped.
 */
#ifndef ATTUNE_PROFILE_ESTIMATE_H
#define ATTUNE_PROFILE_ESTIMATE_H

#include <stdint.h>

#include "base/error.h"

#define HISTORY_ROWS_MAX 100000
#define ESTIMATE_ITEMS_MAX 256
#define ESTIMATE_EPISODES_MIN 8

enum estimate_source { ESTIMATE_PROFILE = 1, ESTIMATE_HISTORY, ESTIMATE_BLEND };

/* "profile", "history", "blend"; NULL and 0 for none. */
const char *estimate_source_name(enum estimate_source s);
enum estimate_source estimate_source_parse(const char *name);

/* One retraining that took place. Accuracies 0..1; NaN: not measured. */
struct history_row {
    uint64_t episode;  /* the window of one camera that it belongs to */
    int camera;        /* the caller's index */
    int configuration; /* the caller's number */
    int training;      /* configurations of one number are one training, ended sooner or later */
    double start, end; /* accuracy before and after */
    double compute_s;
    double profiled_start, profiled_end; /* what the profile said; NaN without one */
};

struct history {
    struct history_row *rows; /* [count], oldest first */
    int count, capacity;
};

void history_init(struct history *h);
void history_clear(struct history *h);
enum status history_add(struct history *h, const struct history_row *row, struct error *err);

/* A configuration of which an estimate is wanted. */
struct estimate_item {
    int configuration;
    double profiled_end; /* NaN: not profiled */
    double accuracy;     /* result: expected at its end, NaN when nothing is known */
    double accuracy_sd;  /* result: how far off that usually is */
    double compute_s;    /* result: mean cost in the history, NaN when unknown */
    int samples;         /* result: past retrainings behind it */
};

struct estimate_query {
    double start;          /* accuracy now */
    double profiled_start; /* as the profile saw it; NaN without one */
    int profile_samples;   /* labelled samples that the profile was tested on; 0: unknown */
};

/* What the history says of one configuration. */
struct estimate_config {
    int configuration, samples, profiled;
    double end, start, profiled_end, compute_s; /* means; profiled_end over `profiled` rows */
    double end_sd;
};

/* What is learned from a history once, for many estimates: a plain value. */
struct estimator {
    enum estimate_source source;
    int config_count;
    struct estimate_config configs[ESTIMATE_ITEMS_MAX];
    double profiled_start; /* mean over the profiled windows */
    double level[3];       /* weights of start, profiled start and mean profiled end */
    double level_start;    /* weight of start alone, for windows that were not profiled */
    double start_sd;       /* of an outcome against history and that */
    int windows;           /* behind it */
    double deviation;      /* weight of a configuration's own profile */
    double surprise_sd;    /* of an outcome against the blend */
    double profile_sd;     /* of an outcome against its profile */
    int episodes;          /* profiled windows behind the weights */
    /* How far an outcome's surprise carries over to what is expected of others in the same window:
     * slopes of surprise on surprise, 0..1; of the same training, and of others. */
    double carry_same, carry_other;
};

/* leave_out: a camera whose rows do not count (for evaluations), -1: none. Rows of an episode must
 * stand together. Configurations beyond ESTIMATE_ITEMS_MAX are not learned. */
void estimator_learn(struct estimator *e, enum estimate_source source,
                     const struct history *history, int leave_out);

/* Fills the results of items[count], the options of one camera's window. */
void estimate_make(const struct estimator *e, const struct estimate_query *q,
                   struct estimate_item *items, int count);

/* How good estimates were. */
struct estimate_score {
    int rows, windows;
    double median_error, mean_error, p90_error; /* absolute */
    double correlation;      /* of estimate and outcome within a window, mean over the windows */
    double rank_correlation; /* Spearman's, likewise */
    double regret;           /* best outcome less that of the option estimated best, mean */
};

/* n estimates and outcomes; those of one window stand together and share window[i]. */
enum status estimate_score(const double *estimate, const double *outcome, const uint64_t *window,
                           int n, struct estimate_score *ret, struct error *err);

#endif
