/* profiler.c - see profiler.h. */
#include "profile/profiler.h"

#include <math.h>

void profile_options_init(struct profile_options *o)
{
    *o = (struct profile_options){.data = 0.2, .epochs = 5};
}

static enum status score(struct learner *l, const float *params, struct profile_result *r,
                         double *ret, struct error *err)
{
    struct confusion c;
    int first, count = learner_holdout(l, &first);
    task_counts_init(learner_spec(l)->task, learner_spec(l)->class_count, &c);
    enum status st = learner_score(l, params, first, count, &c, err);
    r->scored += count;
    r->samples = learner_spec(l)->task == TASK_CLASSIFY ? count : PROFILE_SAMPLES_FRAME * count;
    *ret = task_score(learner_spec(l)->task, &c);
    return st;
}

static enum status run_epochs(struct learner *l, int epochs, struct profile_result *r,
                              struct error *err)
{
    int falls = 0;
    enum status st = score(l, NULL, r, &r->start, err);
    while (st == ST_OK && r->epochs < epochs && falls < 2) {
        double loss, *at = &r->accuracy[r->epochs];
        st = learner_train(l, r->epoch_steps, &loss, err);
        if (st == ST_OK)
            st = score(l, learner_candidate(l), r, at, err);
        r->steps += r->epoch_steps;
        r->epochs++;
        falls = *at < r->start ? falls + 1 : 0;
    }
    return st;
}

/* The last accuracy where nothing can be fitted. */
double profile_at(const struct profile_result *r, const struct train_configuration *c)
{
    double at[PROFILE_EPOCHS_MAX];
    struct accuracy_curve curve;
    int steps = train_configuration_steps(c, r->frames, r->batch);
    for (int i = 0; i < r->epochs; i++)
        at[i] = i + 1;
    return accuracy_curve_fit(at, r->accuracy, r->epochs, &curve)
               ? accuracy_curve_at(&curve, (double)steps / r->epoch_steps)
               : r->accuracy[r->epochs - 1];
}

enum status profile_run(struct learner *l, const struct train_configuration *c,
                        const struct profile_options *o, struct profile_result *ret,
                        struct error *err)
{
    struct profile_result r = {.start = NAN};
    struct train_configuration sample = *c;
    int steps;
    sample.data *= o->data;
    sample.epochs = 1;
    enum status st = learner_begin_as(l, &sample, &steps, err);
    if (st != ST_OK)
        return st;
    int held = learner_holdout(l, &r.frames); /* what comes before them is trained on */
    r.epoch_steps = steps;
    r.batch = learner_options_of(l)->batch;
    int epochs = o->epochs < PROFILE_EPOCHS_MAX ? o->epochs : PROFILE_EPOCHS_MAX;
    if (held == 0)
        st = error_set(err, ST_AGAIN, "no frames are held out to profile on");
    if (st == ST_OK)
        st = run_epochs(l, epochs, &r, err);
    learner_abandon(l);
    if (st != ST_OK)
        return st;
    r.end = profile_at(&r, c);
    *ret = r;
    return ST_OK;
}
