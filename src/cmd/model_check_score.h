/* model_check_score.h - inside src/cmd: how right a network is on labelled frames, for `attune
 * model check --source`.
 *
 * Frames and labels are those of `attune eval` (eval/recording.h); the network infers as a camera
 * would. Frames without labels do not count.
 *
 * Owns:    what it opens, until check_score_close.
 */
#ifndef ATTUNE_CMD_MODEL_CHECK_SCORE_H
#define ATTUNE_CMD_MODEL_CHECK_SCORE_H

#include <jansson.h>

#include "nn/model.h"

struct check_score_source {
    const char *source; /* NULL: nothing is scored */
    const char *labels, *class_map;
    double fps;
    double until_s; /* of the source; 0: all */
    int threads;
};

struct check_score;

/* ST_NOT_FOUND: no frame has labels. */
enum status check_score_open(const struct check_score_source *from, const struct nn_model *m,
                             struct check_score **ret, struct error *err);
void check_score_close(struct check_score **s);

void check_score_print(const struct check_score *s);
json_t *check_score_json(const struct check_score *s);

#endif
