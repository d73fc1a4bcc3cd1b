/* The presets and the ranges of what they fill. */
#include <math.h>
#include <string.h>

#include "base/names.h"
#include "train/learner_internal.h"

static const char *const preset_names[] = {
    [LEARNER_AMS] = "ams",
    [LEARNER_ATTUNE] = "attune",
    [LEARNER_FULL] = "full",
    [LEARNER_ONE_TIME] = "one-time",
};
#define PRESET_COUNT NAMES_COUNT(preset_names)
_Static_assert(PRESET_COUNT == LEARNER_ONE_TIME + 1, "a name for every preset");

const char *learner_preset_name(enum learner_preset p)
{
    return names_text(preset_names, PRESET_COUNT, p, NULL);
}

enum learner_preset learner_preset_parse(const char *name)
{
    return (enum learner_preset)names_find(preset_names, PRESET_COUNT, name, 0);
}

/* What the presets share: the paper's steps, batch and fraction (sections 3.1 and 4.1).
 * Batch-norm stays frozen, where the authors' code moves statistics that it never sends. */
static void preset_base(struct learner_options *o)
{
    *o = (struct learner_options){.fraction = 0.05,
                                  .strategy = SELECT_GRADIENT,
                                  .select_after = 1,
                                  .steps = 20,
                                  .batch = 8,
                                  .bn_mode = NN_BN_FROZEN,
                                  .precision = nn_precision_of_training(),
                                  .step_log2 = DELTA_STEP_FLOAT16,
                                  .horizon_us = 240 * 1000000ull,
                                  .soft_temperature = 1,
                                  .crop_min = 1,
                                  .threads = 1};
    nn_optimizer_options_init(&o->optimizer);
    gate_options_init(&o->gate);
    memset(o->class_chosen, 1, sizeof o->class_chosen);
}

void learner_preset(enum learner_preset p, struct learner_options *ret)
{
    preset_base(ret);
    switch (p) {
    case LEARNER_AMS: /* the authors' code's defaults */
        ret->fraction = 0.1;
        ret->steps = 200;
        ret->batch = 10;
        ret->horizon_us = 250 * 1000000ull;
        break;
    case LEARNER_ATTUNE:
        ret->batch = 0;
        ret->gated = true;
        ret->holdout_fraction = 0.2;
        ret->select_after = 5;
        ret->half_life_us = 15 * 1000000ull;
        ret->step_log2 = 12;
        break;
    case LEARNER_FULL:
        ret->fraction = 1;
        ret->strategy = SELECT_FULL;
        break;
    case LEARNER_ONE_TIME:
        ret->fraction = 1;
        ret->strategy = SELECT_FULL;
        ret->steps = 200;
        ret->phases_max = 1;
        break;
    }
}

static bool within(double x, double low, double high)
{
    return x >= low && x <= high;
}

static const char *bad_training_option(const struct learner_options *o)
{
    if (!within(o->fraction, 0, 1))
        return "fraction must be 0 to 1";
    if (!select_strategy_name(o->strategy))
        return "strategy is none of those known";
    if (o->select_after < 1 || o->select_after > LEARNER_STEPS_MAX)
        return "select_after must be 1 to 100000";
    if (o->steps < 1 || o->steps > LEARNER_STEPS_MAX)
        return "steps must be 1 to 100000";
    if (o->batch < 0 || o->batch > 1024)
        return "batch must be 0 to 1024";
    if (o->threads < 1 || o->threads > 256)
        return "threads must be 1 to 256";
    if (o->phases_max < 0)
        return "phases_max must not be negative";
    if (o->step_log2 < DELTA_STEP_MIN || o->step_log2 > DELTA_STEP_FLOAT16)
        return "step_log2 must be 8 to 24";
    if (o->strategy == SELECT_PREVIOUS && o->optimizer.kind != NN_ADAM)
        return "strategy previous ranks by Adam's update: set the optimizer to Adam";
    return NULL;
}

static const char *bad_data_option(const struct learner_options *o)
{
    if (!within(o->soft_weight, 0, 1))
        return "soft_weight must be 0 to 1";
    if (o->soft_weight > 0 && (o->soft_width < 1 || o->soft_height < 1))
        return "soft_weight needs soft_width and soft_height";
    if (!within(o->soft_temperature, 0.01, 100))
        return "soft_temperature must be 0.01 to 100";
    if (!within(o->label_smoothing, 0, 1))
        return "label_smoothing must be 0 to 1";
    if (!within(o->crop_min, 0.1, 1))
        return "crop_min must be 0.1 to 1";
    if (!within(o->gate.margin, -1, 1))
        return "gate.margin must be -1 to 1";
    if (o->gated && (o->holdout_max < 0 || !within(o->holdout_fraction, 0, 1)))
        return "a gate needs holdout_max of at least 0 and holdout_fraction of 0 to 1";
    return NULL;
}

enum status learner_check_options(const struct learner_options *o, struct error *err)
{
    const char *bad = bad_training_option(o);
    if (!bad)
        bad = bad_data_option(o);
    return bad ? error_set(err, ST_INVALID, "learner: %s", bad) : ST_OK;
}
