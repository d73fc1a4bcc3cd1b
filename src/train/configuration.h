/* configuration.h - retraining configurations: how much work a retraining is, and on what.
 *
 * Source: Ekya's gamma (Bhardwaj et al., NSDI 2022, section 3.1): epochs, batch size, width of the
 * last layer, layers trained, fraction of the window's data. How we differ: the student's
 * architecture is fixed (the camera runs it), so the width of the last layer is the part of its
 * inputs whose weights train, and the learning rate is one more setting.
 *
 * Configurations that are equal but for their epochs are one training that goes on for longer.
 *
 * Owns:    plain values.
 * Errors:  ST_FORMAT with file:line:column.
 */
#ifndef ATTUNE_TRAIN_CONFIGURATION_H
#define ATTUNE_TRAIN_CONFIGURATION_H

#include <stdbool.h>

#include "base/yaml.h"
#include "nn/model.h"

#define CONFIGURATIONS_MAX 64
#define CONFIGURATION_NAME_CHARS_MAX 31

struct train_configuration {
    char name[CONFIGURATION_NAME_CHARS_MAX + 1];
    int epochs;           /* passes over the data, 1..1000 */
    double data;          /* part of the labelled frames that is used, above 0..1; default 1 */
    int layers;           /* that train, from the output back, 0: all (the default) */
    double learning_rate; /* 0: the recipe's (the default) */
    int batch;            /* frames a step, 0: the recipe's (the default), ..1024 */
    double head_width;    /* part of the last layer's inputs that train, above 0..1; default 1 */
};

struct train_configurations {
    int count;
    struct train_configuration items[CONFIGURATIONS_MAX];
};

/* Six: the last three layers or all, 3, 8 and 20 epochs. */
void train_configurations_init(struct train_configurations *c);

/* A YAML list of mappings: - {name: light, epochs: 5, layers: 2, data: 0.5}. On failure *ret is as
 * before. */
enum status train_configurations_read(const struct yaml_doc *d, const yaml_node *list,
                                      struct train_configurations *ret, struct error *err);

/* Optimiser steps on this many frames; recipe_batch: where the configuration says none. */
int train_configuration_steps(const struct train_configuration *c, int frames, int recipe_batch);

/* Equal but for epochs and name. */
bool train_configuration_is_same_training(const struct train_configuration *a,
                                          const struct train_configuration *b);

/* The same ones in the same order. */
bool train_configurations_same(const struct train_configurations *a,
                               const struct train_configurations *b);

/* Which parameters do not train: frozen[parameters of the graph]. A layer is a node with weights of
 * two dimensions or more; what comes before the last `layers` of them is frozen. Returns how many
 * parameters train. */
int train_configuration_freeze(const struct train_configuration *c, const struct nn_graph *g,
                               bool *frozen);

/* Floating-point operations of one step on one frame, for cost models. */
enum status train_configuration_flops(const struct train_configuration *c, const struct nn_model *m,
                                      double *ret, struct error *err);

#endif
