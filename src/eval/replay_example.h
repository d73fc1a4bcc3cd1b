/* replay_example.h - Ekya's worked example (NSDI 2022, section 3.2, table 1, figure 4).
 *
 * Two cameras, three GPUs, two windows of 120 s, a floor of 40 %. Accuracy falls with the share of
 * inference below one GPU; trainings scale linearly; a new model serves at once and carries over
 * into the second window. The paper says 56 % for the uniform scheduler and 73 % for the better
 * one; its table and drawn schedule give 56.0903 and 75.2951 (the 73 belong to an earlier set of
 * numbers).
 */
#ifndef ATTUNE_EVAL_REPLAY_EXAMPLE_H
#define ATTUNE_EVAL_REPLAY_EXAMPLE_H

#include "eval/replay_window.h"

#define REPLAY_EXAMPLE_ROWS 9

struct replay_example_row {
    const char *name;
    double mean_percent;      /* over both cameras and windows */
    double camera_percent[4]; /* A and B in window 1, A and B in window 2 */
    double lowest_percent;
};

enum status replay_example(struct replay_example_row ret[REPLAY_EXAMPLE_ROWS], struct error *err);

#endif
