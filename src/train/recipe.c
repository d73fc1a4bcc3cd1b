/* recipe.c - one table of names; parser, range check and help follow from it. */
#include "train/recipe.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "base/yaml.h"

#define NAME_CHARS_MAX 31

/* SECONDS: given in seconds, kept in microseconds. */
enum kind { REAL, FLOAT, INT, BOOL, SECONDS, STRATEGY, BN_MODE, PRECISION, METRIC };

struct entry {
    const char *name, *help;
    enum kind kind;
    double min, max;
    size_t offset;
};

#define LEARNING(field) offsetof(struct recipe, learning.field)
#define PACE(field) offsetof(struct recipe, pace.field)

static const struct entry entries[] = {
    {"fraction", "of the coordinates that move in a phase (gamma)", REAL, 0, 1, LEARNING(fraction)},
    {"strategy", "full, gradient, previous, random, first, last, first-last", STRATEGY, 0, 0,
     LEARNING(strategy)},
    {"select_after", "gradient: full steps before the choice", INT, 1, 100000,
     LEARNING(select_after)},
    {"steps", "optimiser steps a phase (K)", INT, 1, 100000, LEARNING(steps)},
    {"batch", "frames a step, 0: as the task asks", INT, 0, 1024, LEARNING(batch)},
    {"learning_rate", "", FLOAT, 0, 10, LEARNING(optimizer.learning_rate)},
    {"weight_decay", "", FLOAT, 0, 1, LEARNING(optimizer.weight_decay)},
    {"bn_mode", "frozen, batch", BN_MODE, 0, 0, LEARNING(bn_mode)},
    {"precision", "f32, bf16 (default where the processor has it)", PRECISION, 0, 0,
     LEARNING(precision)},
    {"horizon_s", "how long labelled frames are kept", SECONDS, 1, 86400, LEARNING(horizon_us)},
    {"half_life_s", "recency of minibatches, 0: uniform", SECONDS, 0, 86400,
     LEARNING(half_life_us)},
    {"soft_weight", "part of the loss from the teacher's probabilities", FLOAT, 0, 1,
     LEARNING(soft_weight)},
    {"soft_width", "soft labels kept at this width", INT, 0, 4096, LEARNING(soft_width)},
    {"soft_height", "and height", INT, 0, 4096, LEARNING(soft_height)},
    {"soft_temperature", "", FLOAT, 0.01, 100, LEARNING(soft_temperature)},
    {"label_smoothing", "", FLOAT, 0, 1, LEARNING(label_smoothing)},
    {"class_balance", "0 or 1: weight classes by 1 / sqrt(frequency)", BOOL, 0, 1,
     LEARNING(class_balance)},
    {"flip", "0 or 1: mirror half of the samples", BOOL, 0, 1, LEARNING(flip)},
    {"crop_min", "smallest side of a random crop, 1: off", FLOAT, 0.1, 1, LEARNING(crop_min)},
    {"gated", "0 or 1: ship only what is better on held-out frames", BOOL, 0, 1, LEARNING(gated)},
    {"gate_metric",
     "miou, fwiou (classes weighted by frequency), accuracy, f1; a classification has always "
     "accuracy, a detection f1",
     METRIC, 0, 0, LEARNING(gate.metric)},
    {"gate_margin", "of the metric that a candidate must be better by", REAL, -1, 1,
     LEARNING(gate.margin)},
    {"holdout_max", "frames held out for the gate, 0: as the task asks", INT, 0, 256,
     LEARNING(holdout_max)},
    {"step_log2", "wire values are multiples of 2^-this", INT, 8, 24, LEARNING(step_log2)},
    {"chunk_s", "sampled frames are uploaded this often", SECONDS, 0.5, 3600, PACE(chunk_us)},
    {"period_s", "between phases", SECONDS, 0.5, 3600, PACE(period_us)},
    {"first_phase_s", "after the camera joined", SECONDS, 0.5, 3600, PACE(first_phase_us)},
    {"sampling_fps_max", "largest sampling rate", REAL, 0.01, 30, PACE(asr.rate_max_fps)},
    {"adaptive_sampling", "0 or 1: AMS's ASR", BOOL, 0, 1, PACE(adaptive_sampling)},
    {"adaptive_training", "0 or 1: AMS's ATR", BOOL, 0, 1, PACE(adaptive_training)},
};
#define ENTRY_COUNT (sizeof entries / sizeof entries[0])

void recipe_preset(enum learner_preset preset, struct recipe *ret)
{
    learner_preset(preset, &ret->learning);
    pace_preset(preset, &ret->pace);
}

static const struct entry *find(const char *name, struct error *err)
{
    const char *names[ENTRY_COUNT];
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        names[i] = entries[i].name;
    int found = names_find(names, ENTRY_COUNT, name, -1);
    if (found >= 0)
        return &entries[found];
    const char *near = yaml_nearest(name, names, ENTRY_COUNT);
    error_set(err, ST_INVALID, "there is no recipe setting '%s'%s%s%s", name,
              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

static const char *const bn_mode_names[] = {[NN_BN_FROZEN] = "frozen", [NN_BN_BATCH] = "batch"};
static const char *const precision_names[] = {
    [NN_PRECISION_F32] = "f32", [NN_PRECISION_BF16] = "bf16"};
static const char *const metric_names[] = {
    [GATE_MIOU] = "miou", [GATE_FWIOU] = "fwiou", [GATE_ACCURACY] = "accuracy", [GATE_F1] = "f1"};

/* 0: none of that kind's words. */
static int word_value(enum kind kind, const char *value)
{
    switch (kind) {
    case STRATEGY:
        return (int)select_strategy_parse(value);
    case BN_MODE:
        return names_find(bn_mode_names, NAMES_COUNT(bn_mode_names), value, 0);
    case PRECISION:
        return names_find(precision_names, NAMES_COUNT(precision_names), value, 0);
    default:
        return names_find(metric_names, NAMES_COUNT(metric_names), value, 0);
    }
}

static enum status set_word(const struct entry *e, void *at, const char *value, struct error *err)
{
    int word = word_value(e->kind, value);
    if (!word)
        return error_set(err, ST_INVALID, "%s: '%s' is none of %s", e->name, value, e->help);
    if (e->kind == STRATEGY)
        *(enum select_strategy *)at = (enum select_strategy)word;
    else if (e->kind == BN_MODE)
        *(enum nn_bn_mode *)at = (enum nn_bn_mode)word;
    else if (e->kind == PRECISION)
        *(enum nn_precision *)at = (enum nn_precision)word;
    else
        *(enum gate_metric *)at = (enum gate_metric)word;
    return ST_OK;
}

static enum status set_number(const struct entry *e, void *at, const char *value, struct error *err)
{
    char *end;
    double v = strtod(value, &end);
    bool whole = e->kind == INT || e->kind == BOOL;
    if (end == value || *end || !(v >= e->min && v <= e->max) || (whole && v != (double)(int)v))
        return error_set(err, ST_INVALID, "%s: '%s' is not a %snumber from %g to %g", e->name,
                         value, whole ? "whole " : "", e->min, e->max);
    if (e->kind == REAL)
        *(double *)at = v;
    else if (e->kind == FLOAT)
        *(float *)at = (float)v;
    else if (e->kind == INT)
        *(int *)at = (int)v;
    else if (e->kind == BOOL)
        *(bool *)at = v != 0;
    else
        *(uint64_t *)at = (uint64_t)(v * 1e6);
    return ST_OK;
}

static enum status set_one(struct recipe *r, const char *name, const char *value, struct error *err)
{
    const struct entry *e = find(name, err);
    if (!e)
        return ST_INVALID;
    void *at = (char *)r + e->offset;
    return e->kind >= STRATEGY ? set_word(e, at, value, err) : set_number(e, at, value, err);
}

enum status recipe_set(struct recipe *r, const char *assignments, struct error *err)
{
    struct recipe next = *r;
    for (const char *p = assignments;; p++) {
        char text[2 * NAME_CHARS_MAX + 2];
        size_t n = strcspn(p, ",");
        if (n >= sizeof text)
            return error_set(err, ST_INVALID, "a recipe setting is at most %zu characters",
                             sizeof text - 1);
        memcpy(text, p, n);
        text[n] = '\0';
        char *equals = strchr(text, '=');
        if (!equals)
            return error_set(err, ST_INVALID, "'%s' is not name=value", text);
        *equals = '\0';
        enum status st = set_one(&next, text, equals + 1, err);
        if (st != ST_OK)
            return st;
        p += n;
        if (!*p)
            break;
    }
    *r = next;
    return ST_OK;
}

void recipe_write_help(struct buf *out)
{
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        const struct entry *e = &entries[i];
        buf_printf(out, "  %-18s ", e->name);
        if (e->max > e->min && e->kind != BOOL)
            buf_printf(out, "%g to %g%s", e->min, e->max, *e->help ? ": " : "");
        buf_printf(out, "%s\n", e->help);
    }
}
