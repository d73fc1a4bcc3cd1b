/* town_samples.h - the synthetic town as samples: to train on, and to score on. For a segmentation
 * a sample is a frame, for a classification what is in a box of one (synth/crops.h), for a
 * detection a frame with its boxes.
 *
 * For training every sample is another moment of one of a few open towns; towns are replaced all
 * the time, so that a run sees hundreds of streets. Towns with seeds below TOWN_SAMPLES_SEED_MIN
 * are never trained on: they are for the demo and for scores.
 */
#ifndef ATTUNE_TRAIN_TOWN_SAMPLES_H
#define ATTUNE_TRAIN_TOWN_SAMPLES_H

#include "synth/town.h"
#include "train/samples.h"

#define TOWN_SAMPLES_SEED_MIN 100000

#define TOWN_CROPS_A_VIEW 8 /* samples of a classification that are cut from one frame */

/* Samples that come from a frame: 1, or TOWN_CROPS_A_VIEW. */
uint64_t town_samples_a_view(const struct task_spec *spec);

/* The town's classes for networks of a task: of pixels, of crops (synth/crops.h), of boxes
 * (synth/things.h). */
struct town_classes {
    const char *const *names;
    int count;
};
const struct town_classes *town_classes_of(enum task_kind task);

/* A network for the town: the classes of its task in their order,
 * and of a segmentation logits of its input's size; else ST_UNSUPPORTED. */
enum status town_spec_read(const struct nn_model *m, struct task_spec *ret, struct error *err);

/* Without end. scenario: a preset, "clear" or "all". */
enum status town_samples_open(const struct task_spec *spec, const char *scenario, uint64_t seed,
                              struct samples **ret, struct error *err);

/* A condition under which networks are scored. */
struct town_trial {
    const char *name;
    struct town_condition condition;
};

/* clear, dusk, night, rain, night with rain, fog, snow. */
#define TOWN_TRIAL_COUNT 7
extern const struct town_trial town_trials[TOWN_TRIAL_COUNT];

/* Towns of a trial have this many frames; the next one comes with the next condition. */
#define TOWN_TRIAL_FRAMES 6

/* Frames of towns that were never trained on, the same for every network, under the conditions of
 * trials[0..trial_count) in turn. Without end. */
enum status town_trial_samples_open(const struct task_spec *spec, const struct town_trial *trials,
                                    int trial_count, struct samples **ret, struct error *err);

#endif
