/* outlook.h - what a training of a camera will cost and bring, from what past ones did. Internal.
 *
 * The menu is the recipe of the preset and the configurations of the file (train/configuration.h).
 * Costs: a step's floating-point operations are counted, and seconds a operation come from the
 * camera's own trainings, or else the fleet's, or else OUTLOOK_PRIOR_S.
 * Gains: profile/estimate.h on the fleet's gains over where each camera was (its rows are shifted
 * so that every training starts at 1/2, since cameras differ more in how accurate they can be than
 * configurations do), drawn to a prior that is worth OUTLOOK_PRIOR_WEIGHT trainings. Half of what
 * is expected is the accuracy now plus that gain; the other half is where the camera's own
 * trainings under the configuration used to end, which says how far it has fallen.
 *
 * Owns:    its rows. Threads: one at a time.
 */
#ifndef ATTUNE_SERVER_OUTLOOK_H
#define ATTUNE_SERVER_OUTLOOK_H

#include "profile/estimate.h"
#include "store/store.h"
#include "train/configuration.h"
#include "train/learner.h"

#define OUTLOOK_ROWS_MAX 1000
#define OUTLOOK_PRIOR_WEIGHT 2.0
#define OUTLOOK_PRIOR_GAIN 0.05 /* of a training without end */
#define OUTLOOK_PRIOR_EPOCHS 4  /* that bring half of it */
#define OUTLOOK_PRIOR_SD 0.05
#define OUTLOOK_PRIOR_S 1e-10 /* an operation */
#define OUTLOOK_ITEMS_MAX (CONFIGURATIONS_MAX + 1)
#define OUTLOOK_RECIPE 0 /* the first item */

struct outlook_item {
    struct train_configuration configuration; /* of the recipe: nothing but its name */
    int training;                             /* items with the same number are one training */
    double step_ops;                          /* operations of a step */
};

/* What a profile said; NaN where it said nothing. */
struct outlook_profile {
    double start, end[OUTLOOK_ITEMS_MAX];
    int samples;
};

/* Nothing is known. */
void outlook_profile_init(struct outlook_profile *p);

struct outlook {
    int count;
    struct outlook_item items[OUTLOOK_ITEMS_MAX];
    int recipe_steps, recipe_batch;
    struct store_training rows[OUTLOOK_ROWS_MAX]; /* newest first */
    int row_count;
    struct estimator estimator;
};

/* The menu, without a row; recipe: suited to the task (learner_suit_options). ST_INVALID: a
 * configuration is named as the recipe. */
enum status outlook_init(struct outlook *o, const struct train_configurations *c,
                         const struct nn_model *student, const struct learner_options *recipe,
                         enum estimate_source source, struct error *err);

/* Reads the newest rows and learns from them. */
enum status outlook_read(struct outlook *o, struct store *s, struct error *err);

/* Steps of an item on so many labelled frames. */
int outlook_steps(const struct outlook *o, int item, int frames);

/* Seconds of one processor that an operation takes this camera. */
double outlook_op_s(const struct outlook *o, const char *camera);

struct outlook_expectation {
    double accuracy, accuracy_sd;
    int samples; /* trainings of the fleet behind it */
};

/* Of all items: ret[count]. profile: NULL for none. */
void outlook_expect(const struct outlook *o, const char *camera, double accuracy,
                    const struct outlook_profile *profile, struct outlook_expectation *ret);

/* Means over the fleet, NaN without a row. */
struct outlook_mean {
    int trainings, accepted;
    double gain, compute_s;
};
struct outlook_mean outlook_mean_of(const struct outlook *o, int item);

#endif
