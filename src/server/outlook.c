#include "server/outlook.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RECIPE_NAME "recipe"
#define HALF 0.5 /* where every training starts once its row is shifted */

/* ---- the menu ---- */

static enum status add_item(struct outlook *o, const struct train_configuration *c,
                            const struct nn_model *student, struct error *err)
{
    struct outlook_item *it = &o->items[o->count];
    double image_ops = 0;
    enum status st = train_configuration_flops(c, student, &image_ops, err);
    if (st != ST_OK)
        return st;
    *it = (struct outlook_item){.configuration = *c, .training = o->count};
    it->step_ops = image_ops * (c->batch > 0 ? c->batch : o->recipe_batch);
    for (int k = o->count - 1; k >= 0; k--)
        if (train_configuration_is_same_training(&o->items[k].configuration, c))
            it->training = k;
    o->count++;
    return ST_OK;
}

enum status outlook_init(struct outlook *o, const struct train_configurations *c,
                         const struct nn_model *student, const struct learner_options *recipe,
                         enum estimate_source source, struct error *err)
{
    struct train_configuration plain = {.name = RECIPE_NAME, .data = 1, .head_width = 1};
    memset(o, 0, sizeof *o);
    assert(recipe->steps > 0 && recipe->batch > 0);
    o->recipe_steps = recipe->steps;
    o->recipe_batch = recipe->batch;
    o->estimator.source = source;
    enum status st = add_item(o, &plain, student, err);
    for (int i = 0; i < c->count && st == ST_OK; i++)
        st = strcmp(c->items[i].name, RECIPE_NAME) == 0
                 ? error_set(err, ST_INVALID, "a configuration cannot be named " RECIPE_NAME)
                 : add_item(o, &c->items[i], student, err);
    return st;
}

void outlook_profile_init(struct outlook_profile *p)
{
    *p = (struct outlook_profile){.start = NAN};
    for (int k = 0; k < OUTLOOK_ITEMS_MAX; k++)
        p->end[k] = NAN;
}

int outlook_steps(const struct outlook *o, int item, int frames)
{
    const struct train_configuration *c = &o->items[item].configuration;
    int steps = item == OUTLOOK_RECIPE
                    ? o->recipe_steps
                    : train_configuration_steps(c, frames > 0 ? frames : 1, o->recipe_batch);
    return steps < LEARNER_STEPS_MAX ? steps : LEARNER_STEPS_MAX;
}

/* -1: the configuration has gone from the file. */
static int item_of(const struct outlook *o, const struct store_training *t)
{
    for (int k = 0; k < o->count; k++)
        if (strcmp(o->items[k].configuration.name, t->configuration) == 0)
            return k;
    return -1;
}

/* ---- the history ---- */

static void add_row(const struct store_training *t, void *context)
{
    struct outlook *o = context;
    o->rows[o->row_count++] = *t;
}

/* Cameras that train at the same time mix their rows; an estimator wants those of an episode
 * together. */
static int by_episode(const void *a, const void *b)
{
    const struct history_row *x = a, *y = b;
    int order = (x->episode > y->episode) - (x->episode < y->episode);
    return order ? order : (x->compute_s > y->compute_s) - (x->compute_s < y->compute_s);
}

static enum status add_history(const struct outlook *o, struct history *h, struct error *err)
{
    enum status st = ST_OK;
    for (int i = o->row_count - 1; i >= 0 && st == ST_OK; i--) {
        const struct store_training *t = &o->rows[i];
        int item = item_of(o, t);
        if (item < 0 || !isfinite(t->end - t->start))
            continue;
        struct history_row row = {.episode = t->episode,
                                  .camera = -2,
                                  .configuration = item,
                                  .training = o->items[item].training,
                                  .start = HALF,
                                  .end = HALF + t->end - t->start,
                                  .compute_s = t->compute_s,
                                  .profiled_start = isfinite(t->profiled_start) ? HALF : NAN,
                                  .profiled_end = HALF + t->profiled_end - t->profiled_start};
        st = history_add(h, &row, err);
    }
    if (h->count > 0)
        qsort(h->rows, (size_t)h->count, sizeof *h->rows, by_episode);
    return st;
}

enum status outlook_read(struct outlook *o, struct store *s, struct error *err)
{
    struct history h;
    o->row_count = 0;
    history_init(&h);
    enum status st = store_trainings(s, NULL, OUTLOOK_ROWS_MAX, add_row, o, err);
    if (st == ST_OK)
        st = add_history(o, &h, err);
    if (st == ST_OK)
        estimator_learn(&o->estimator, o->estimator.source, &h, -1);
    history_clear(&h);
    return st;
}

static double op_s_of(const struct outlook *o, const char *camera)
{
    double compute_s = 0, ops = 0;
    for (int i = 0; i < o->row_count; i++) {
        const struct store_training *t = &o->rows[i];
        int item = item_of(o, t);
        if (item < 0 || !(t->compute_s > 0) || (camera && strcmp(t->camera, camera) != 0))
            continue;
        compute_s += t->compute_s;
        ops += o->items[item].step_ops * t->steps;
    }
    return ops > 0 ? compute_s / ops : NAN;
}

double outlook_op_s(const struct outlook *o, const char *camera)
{
    double own = op_s_of(o, camera), fleet = isnan(own) ? op_s_of(o, NULL) : own;
    return isnan(fleet) ? OUTLOOK_PRIOR_S : fleet;
}

struct outlook_mean outlook_mean_of(const struct outlook *o, int item)
{
    struct outlook_mean m = {.gain = NAN, .compute_s = NAN};
    double gain = 0, compute_s = 0;
    int scored = 0;
    for (int i = 0; i < o->row_count; i++) {
        const struct store_training *t = &o->rows[i];
        if (item_of(o, t) != item)
            continue;
        m.trainings++;
        m.accepted += t->accepted;
        compute_s += t->compute_s;
        scored += isfinite(t->end - t->start);
        gain += isfinite(t->end - t->start) ? t->end - t->start : 0;
    }
    if (scored)
        m.gain = gain / scored;
    if (m.trainings)
        m.compute_s = compute_s / m.trainings;
    return m;
}

/* ---- expectations ---- */

/* Where the camera's own trainings under the item ended: their sum, *ret_count of them. */
static double own_ends(const struct outlook *o, const char *camera, int item, int *ret_count)
{
    double sum = 0;
    *ret_count = 0;
    for (int i = 0; i < o->row_count; i++) {
        const struct store_training *t = &o->rows[i];
        if (strcmp(t->camera, camera) != 0 || item_of(o, t) != item || !isfinite(t->end))
            continue;
        sum += t->end;
        ++*ret_count;
    }
    return sum;
}

static double clamp(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* More passes bring more of what there is to gain. A recipe is as one pass. */
static double prior_gain(const struct train_configuration *c)
{
    double epochs = c->epochs > 0 ? c->epochs * c->data : 1;
    return OUTLOOK_PRIOR_GAIN * epochs / (epochs + OUTLOOK_PRIOR_EPOCHS);
}

static void estimate_all(const struct outlook *o, const struct outlook_profile *profile,
                         struct estimate_item *items)
{
    bool known = profile && isfinite(profile->start);
    struct estimate_query q = {.start = HALF,
                               .profiled_start = known ? HALF : NAN,
                               .profile_samples = known ? profile->samples : 0};
    for (int k = 0; k < o->count; k++)
        items[k] = (struct estimate_item){
            .configuration = k,
            .profiled_end = known ? HALF + profile->end[k] - profile->start : NAN};
    estimate_make(&o->estimator, &q, items, o->count);
}

void outlook_expect(const struct outlook *o, const char *camera, double accuracy,
                    const struct outlook_profile *profile, struct outlook_expectation *ret)
{
    struct estimate_item items[OUTLOOK_ITEMS_MAX];
    estimate_all(o, profile, items);
    for (int k = 0; k < o->count; k++) {
        const struct estimate_item *it = &items[k];
        bool known = isfinite(it->accuracy);
        /* A profile is an observation, too. */
        double n = known ? (it->samples > 1 ? it->samples : 1) : 0, w = OUTLOOK_PRIOR_WEIGHT;
        double prior = prior_gain(&o->items[k].configuration);
        double gain = (n * (known ? it->accuracy - HALF : 0) + w * prior) / (n + w);
        double sd = known && isfinite(it->accuracy_sd) ? it->accuracy_sd : OUTLOOK_PRIOR_SD;
        int own;
        double ends = own_ends(o, camera, k, &own), by_gain = accuracy + gain;
        double by_end = (ends + w * by_gain) / (own + w);
        ret[k] = (struct outlook_expectation){
            .accuracy = clamp((by_gain + by_end) / 2),
            .accuracy_sd =
                fmin(1, sqrt((n * sd * sd + w * OUTLOOK_PRIOR_SD * OUTLOOK_PRIOR_SD) / (n + w))),
            .samples = it->samples};
    }
}
