/* fleet_personal.c - see fleet_personal.h. */
#include "eval/fleet_personal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/fleet_internal.h"

#define FRAMES_MIN 5     /* that a review is told of */
#define FRAMES_ENOUGH 10 /* after these the count begins anew */

enum status fleet_personal_init(struct fleet_personals *p, size_t params, struct error *err)
{
    personal_options_init(&p->options);
    p->scratch = malloc(params * sizeof *p->scratch);
    return p->scratch ? ST_OK : error_set(err, ST_NOMEM, "no memory for personal deltas");
}

static void forget(struct fleet_personal_delta *d)
{
    delta_personal_clear(&d->delta);
    d->there = false;
}

void fleet_personal_clear(struct fleet_personals *p)
{
    for (int i = 0; i < FLEET_CAMERAS_MAX; i++) {
        forget(&p->cameras[i].use);
        forget(&p->cameras[i].trial);
    }
    free(p->scratch);
}

static struct fleet_personal *own_of(const struct fleet *f, int camera)
{
    return &f->sharing->personals.cameras[camera];
}

static const struct learner *learner_of(const struct fleet *f, int camera)
{
    return f->cameras[camera].group->learner;
}

/* ---- what serves ---- */

static const float *with(struct fleet *f, const struct fleet_personal_delta *d, const float *shared)
{
    float *scratch = f->sharing->personals.scratch;
    memcpy(scratch, shared, nn_model_param_count(f->student) * sizeof *scratch);
    delta_personal_put(&d->delta, shared, scratch);
    return scratch;
}

const float *fleet_personal_params(struct fleet *f, int camera, const float *shared)
{
    if (!f->sharing || !own_of(f, camera)->use.there)
        return shared;
    return with(f, &own_of(f, camera)->use, shared);
}

static void serve(struct fleet *f, int camera)
{
    const float *shared = learner_params(learner_of(f, camera));
    fleet_camera_deploy(&f->cameras[camera], fleet_personal_params(f, camera, shared), NAN);
}

static enum status send(struct fleet *f, int camera, struct error *err)
{
    struct fleet_personal_delta *d = &own_of(f, camera)->use;
    const struct learner *l = learner_of(f, camera);
    struct buf bytes;
    buf_init(&bytes);
    enum status st = delta_personal_write(learner_delta_model(l), &d->delta, &bytes, err);
    d->size_mib = (double)bytes.size_bytes / 1048576;
    f->result.delta_bytes += bytes.size_bytes;
    f->result.downlink_bytes += bytes.size_bytes;
    f->result.personal_bytes += bytes.size_bytes;
    buf_clear(&bytes);
    if (st == ST_OK)
        serve(f, camera);
    return st;
}

static void use_trial(struct fleet_personal *own)
{
    forget(&own->use);
    own->use = own->trial;
    own->trial = (struct fleet_personal_delta){.there = false};
}

enum status fleet_personal_turn(struct fleet *f, int camera, bool on, struct error *err)
{
    struct fleet_personal *own = own_of(f, camera);
    if (on && own->trial.there) {
        use_trial(own);
        f->result.personal_used++;
        return send(f, camera, err);
    }
    fleet_personal_drop(f, camera);
    serve(f, camera);
    return ST_OK;
}

void fleet_personal_drop(struct fleet *f, int camera)
{
    forget(&own_of(f, camera)->use);
    forget(&own_of(f, camera)->trial);
}

/* ---- scores ---- */

static void tally_begin(const struct fleet *f, struct fleet_tally *t)
{
    const struct task_spec *spec = labeller_student_spec(f->shared.labeller);
    task_counts_init(spec->task, spec->class_count, &t->sum);
}

/* Scores are over all frames since. */
static void begin_tally(struct fleet *f, int camera)
{
    struct fleet_personal *own = own_of(f, camera);
    own->frames = 0;
    tally_begin(f, &own->shared);
    tally_begin(f, &own->use.tally);
    tally_begin(f, &own->trial.tally);
}

static double tally_score(const struct fleet *f, const struct fleet_tally *t)
{
    return task_score(labeller_student_spec(f->shared.labeller)->task, &t->sum);
}

static enum status tally(struct fleet *f, int camera, int age, const float *params,
                         struct fleet_tally *t, struct error *err)
{
    struct confusion one;
    enum status st = fleet_camera_try_one(&f->cameras[camera], age, params, ++f->stamps, &one, err);
    if (st != ST_OK)
        return st;
    confusion_merge(&t->sum, &one);
    t->by_frame[own_of(f, camera)->frames] =
        (float)task_score(labeller_student_spec(f->shared.labeller)->task, &one);
    return ST_OK;
}

/* The model that serves has answered this frame already: only the others cost. */
static enum status tally_frame(struct fleet *f, int camera, int age, struct error *err)
{
    struct fleet_personal *own = own_of(f, camera);
    const float *shared = learner_params(learner_of(f, camera));
    if (own->frames == FLEET_PERSONAL_FRAMES_MAX)
        return ST_OK;
    enum status st = tally(f, camera, age, shared, &own->shared, err);
    if (st == ST_OK && own->use.there)
        st = tally(f, camera, age, with(f, &own->use, shared), &own->use.tally, err);
    if (st == ST_OK && own->trial.there)
        st = tally(f, camera, age, with(f, &own->trial, shared), &own->trial.tally, err);
    f->result.used_s[FLEET_PROFILE] += (own->use.there + own->trial.there) * f->shared.infer_s;
    own->frames += st == ST_OK;
    return st;
}

enum status fleet_personal_watch(struct fleet *f, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < f->s->camera_count && st == ST_OK; i++) {
        struct fleet_personal *own = own_of(f, i);
        const struct fleet_camera *c = &f->cameras[i];
        uint64_t fresh = c->labelled - own->seen;
        own->seen = c->labelled;
        if (!own->use.there && !own->trial.there)
            continue;
        if (fresh > (uint64_t)c->newest_count)
            fresh = (uint64_t)c->newest_count;
        for (int age = (int)fresh - 1; age >= 0 && st == ST_OK; age--)
            st = tally_frame(f, i, age, err);
    }
    return st;
}

/* ---- reviews ---- */

/* One that was made anew takes the place of the one in use where it did better. */
static enum status renew(struct fleet *f, int camera, struct error *err)
{
    struct fleet_personal *own = own_of(f, camera);
    double better = grouper_settings(f->sharing->grouper)->personal_gain / 2;
    if (!own->use.there || !own->trial.there)
        return ST_OK;
    if (!(tally_score(f, &own->trial.tally) > tally_score(f, &own->use.tally) + better)) {
        forget(&own->trial);
        return ST_OK;
    }
    use_trial(own);
    return send(f, camera, err);
}

static struct group_score score_of(const struct fleet *f, const struct fleet_tally *t, int frames)
{
    return (struct group_score){
        .accuracy = tally_score(f, t), .frames = frames, .by_frame = t->by_frame};
}

static void fill_member(struct group_review *r, int camera, struct group_score score)
{
    for (int i = 0; i < r->trial_count; i++)
        if (r->trials[i].kind == GROUP_REVIEW_MEMBER && r->trials[i].camera == camera)
            r->trials[i].score = score;
}

enum status fleet_personal_fill(struct fleet *f, struct group_review *r, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < r->trial_count && st == ST_OK; i++) {
        struct group_review_trial *t = &r->trials[i];
        struct fleet_personal *own = own_of(f, t->camera);
        if (t->kind != GROUP_REVIEW_PERSONAL || own->frames < FRAMES_MIN)
            continue;
        st = renew(f, t->camera, err);
        const struct fleet_personal_delta *d = own->use.there ? &own->use : &own->trial;
        t->score = score_of(f, &d->tally, own->frames);
        t->size_mib = d->size_mib;
        t->compute_s = d->compute_s;
        fill_member(r, t->camera, score_of(f, &own->shared, own->frames));
    }
    return st;
}

/* ---- training ---- */

static enum status train_with(struct fleet *f, int camera, struct learner *l, struct error *err)
{
    struct fleet_personal_delta *d = &own_of(f, camera)->trial;
    const struct fleet_group *g = f->cameras[camera].group;
    struct learner_result r;
    struct delta_personal made;
    enum status st = fleet_group_give(g, camera, l, err); /* what its group's has not as yet */
    if (st == ST_OK)
        st = personal_train(l, g->learner, &f->sharing->personals.options, NULL, NULL, &made, &r,
                            err);
    if (st != ST_OK)
        return st == ST_AGAIN ? ST_OK : st;
    forget(d);
    *d = (struct fleet_personal_delta){.there = true,
                                       .delta = made,
                                       .size_mib = (double)r.delta_bytes / 1048576,
                                       .compute_s = r.steps * f->costs.recipe_step_s};
    f->result.used_s[FLEET_PROFILE] += d->compute_s;
    f->result.personal_s += d->compute_s;
    f->result.personal_trained++;
    begin_tally(f, camera);
    return ST_OK;
}

static enum status train(struct fleet *f, int camera, struct error *err)
{
    struct fleet_personals *p = &f->sharing->personals;
    struct learner *l;
    uint64_t seed = rng_hash(f->o->seed, (uint64_t)camera, ++p->trainings, 0);
    enum status st = personal_open(learner_of(f, camera), camera, &p->options, seed, &l, err);
    if (st != ST_OK)
        return st;
    st = train_with(f, camera, l, err);
    learner_close(&l);
    return st == ST_OK ? ST_OK
                       : error_prefix(err, "personal delta of %s", f->s->cameras[camera].id);
}

enum status fleet_personal_reviewed(struct fleet *f, const struct group_review *r,
                                    struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < f->s->camera_count; i++)
        if (!own_of(f, i)->use.there && !grouper_personal_tried(f->sharing->grouper, i))
            forget(&own_of(f, i)->trial);
    for (int i = 0; i < r->trial_count && st == ST_OK; i++) {
        const struct group_review_trial *t = &r->trials[i];
        bool wanted = own_of(f, t->camera)->use.there ||
                      grouper_personal_tried(f->sharing->grouper, t->camera);
        if (t->kind == GROUP_REVIEW_PERSONAL && t->train && wanted)
            st = train(f, t->camera, err);
    }
    for (int i = 0; i < f->s->camera_count; i++) {
        f->result.personal_windows += own_of(f, i)->use.there;
        if (own_of(f, i)->frames >= FRAMES_ENOUGH)
            begin_tally(f, i);
    }
    return st;
}
