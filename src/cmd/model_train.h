/* model_train.h - inside src/cmd: `attune model train` in its parts: arguments (model_train.c), the
 * run (model_train_run.c), scores (model_train_score.c).
 */
#ifndef ATTUNE_CMD_MODEL_TRAIN_H
#define ATTUNE_CMD_MODEL_TRAIN_H

#include <jansson.h>

#include "cmd/cmd.h"
#include "nn/model.h"
#include "task/nets.h"
#include "train/trainer.h"

#define TRAIN_NAME "model train"

struct train_arguments {
    struct net_options net; /* kind 0: start from `model` */
    struct trainer_options train;
    enum task_kind task; /* of the network, once it is open */
    const char *model;   /* ONNX file to start from */
    const char *out;     /* ONNX file to write */
    const char *score;   /* ONNX file to score only */
    const char *data;    /* labelled pictures; NULL: the town */
    const char *labels, *class_map;
    const char *validation_dir; /* pictures of its own for validation */
    double validation;          /* or the share of `data` */
    const char *conditions;     /* of the town: "clear" or "all" */
    char *state;                /* path, owned by the caller of train_run */
    bool state_chosen;          /* named by the user, so it stays */
    uint64_t save_every, validate_every;
    int frames;            /* of the town, scored in each condition at the end */
    int validation_frames; /* scored during training; 0: default */
    int size[2];
    bool resume, json;
    int argc;
    char **argv; /* to say how to go on */
};

/* Where scores come from, and their rows for --json. */
struct train_scores {
    const struct train_arguments *args;
    const struct nn_model *model;
    struct samples *validation; /* of a folder; NULL for the town, and when nothing is held back */
    json_t *rows;
};

/* Trains; CMD_NO when it was interrupted, after saying how to go on. Samples are borrowed;
 * validation may be NULL. */
enum status train_run(const struct train_arguments *a, const struct nn_model *m,
                      struct samples *samples, struct samples *validation,
                      uint64_t validation_count, json_t *history, bool *ret_interrupted,
                      struct trainer **ret, struct error *err);

/* The final table: the town in every condition, or the validation pictures. Printed, or appended
 * to s->rows with --json. params NULL: the model's own. */
enum status train_report(const struct train_scores *s, const float *params, struct error *err);

#endif
