/* trainer.c - the training loop: draw, forward, loss, backward, step. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/checkpoint.h"
#include "nn/loss.h"
#include "task/detect_loss.h"
#include "train/augment.h"
#include "video/frame.h"

#define SCORE_EVERY 10
#define SCORES 20

/* Classes of the network and labels of the samples, in both directions. */
struct classes {
    uint8_t to_network[CLASSES_MAX]; /* [label]: the first class that the map sends there */
    uint8_t chosen[CLASSES_MAX];     /* [class]: has a label, takes part in the softmax */
    float weight[CLASSES_MAX];       /* [class] */
    bool all;                        /* every class is chosen */
};

struct trainer {
    struct trainer_options options;
    const struct nn_model *model;
    struct samples *samples;
    struct task_spec spec;
    struct classes classes;
    struct nn_session *session;
    struct nn_optimizer *optimizer;
    struct frame frame;
    struct label_map drawn;      /* of the input's size, or boxes */
    uint8_t *labels, *predicted; /* [batch][out_height][out_width] */
    uint64_t step;
    struct confusion scores[SCORES];
    uint64_t scored;
};

void trainer_options_init(struct trainer_options *o)
{
    *o = (struct trainer_options){.seed = 1,
                                  .steps = 1000,
                                  .batch = 8,
                                  .learning_rate = 2e-3f,
                                  .weight_decay = 1e-4f,
                                  .threads = 1,
                                  .bn_mode = NN_BN_BATCH,
                                  .precision = nn_precision_of_training()};
}

static enum status check(const struct trainer_options *o, struct error *err)
{
    if (o->steps < 1 || o->steps > TRAINER_STEPS_MAX || o->batch < 1 ||
        o->batch > TRAINER_BATCH_MAX || !(o->learning_rate > 0 && o->learning_rate < 1) ||
        !(o->weight_decay >= 0 && o->weight_decay < 1) ||
        !(o->color_jitter >= 0 && o->color_jitter <= 1))
        return error_set(err, ST_INVALID,
                         "training takes 1 to %d steps, a batch of 1 to %d, a learning rate and a "
                         "weight decay below 1, a colour jitter of 0 to 1",
                         TRAINER_STEPS_MAX, TRAINER_BATCH_MAX);
    return ST_OK;
}

static void read_classes(const struct samples *s, const struct task_spec *spec, struct classes *ret)
{
    memset(ret, 0, sizeof *ret);
    memset(ret->to_network, LABEL_IGNORE, sizeof ret->to_network);
    ret->all = true;
    for (int c = spec->class_count; c-- > 0;) {
        uint8_t label = s->map.to_label[c];
        ret->chosen[c] = label != LABEL_IGNORE;
        ret->all = ret->all && ret->chosen[c];
        if (!ret->chosen[c])
            continue;
        ret->to_network[label] = (uint8_t)c;
        ret->weight[c] = s->class_weight[label];
    }
}

static enum status open_engine(struct trainer *t, struct error *err)
{
    struct nn_session_options so;
    nn_session_options_init(&so);
    so.mode = NN_TRAIN;
    so.batch = t->options.batch;
    so.logits = true;
    so.threads = t->options.threads;
    so.bn_mode = t->options.bn_mode;
    so.precision = t->options.precision;
    enum status st = nn_session_open(t->model, &so, &t->session, err);
    if (st != ST_OK)
        return st;
    struct nn_optimizer_options oo;
    nn_optimizer_options_init(&oo);
    oo.kind = NN_ADAM;
    oo.learning_rate = t->options.learning_rate;
    oo.weight_decay = t->options.weight_decay;
    return nn_optimizer_open(nn_model_trainable_count(t->model), &oo, &t->optimizer, err);
}

static enum status open_buffers(struct trainer *t, struct error *err)
{
    enum status st = frame_resize(&t->frame, t->spec.width, t->spec.height, err);
    if (st == ST_OK)
        st = samples_size_labels(&t->spec, &t->drawn, err);
    if (st != ST_OK)
        return st;
    t->labels = malloc(task_cells(&t->spec) * (size_t)t->options.batch);
    t->predicted = malloc(task_cells(&t->spec) * (size_t)t->options.batch);
    return t->labels && t->predicted ? ST_OK : error_set(err, ST_NOMEM, "no memory to train");
}

enum status trainer_open(const struct nn_model *m, const struct trainer_options *options,
                         struct samples *samples, struct trainer **ret, struct error *err)
{
    enum status st = check(options, err);
    if (st != ST_OK)
        return st;
    struct trainer *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, ST_NOMEM, "no memory to train");
    t->options = *options;
    t->model = m;
    t->samples = samples;
    frame_init(&t->frame);
    label_map_init(&t->drawn);
    st = task_spec_read(m, &t->spec, err);
    if (st == ST_OK)
        st = task_spec_check_student(&t->spec, err);
    if (st == ST_OK)
        st = open_engine(t, err);
    if (st == ST_OK)
        st = open_buffers(t, err);
    if (st != ST_OK) {
        trainer_close(&t);
        return st;
    }
    read_classes(samples, &t->spec, &t->classes);
    *ret = t;
    return ST_OK;
}

void trainer_close(struct trainer **t)
{
    if (!t || !*t)
        return;
    nn_session_close(&(*t)->session);
    nn_optimizer_close(&(*t)->optimizer);
    frame_clear(&(*t)->frame);
    label_map_clear(&(*t)->drawn);
    free((*t)->labels);
    free((*t)->predicted);
    free(*t);
    *t = NULL;
}

static void map_classes(const uint8_t *to_network, uint8_t *labels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (labels[i] != LABEL_IGNORE)
            labels[i] = to_network[labels[i]];
}

static enum status draw_sample(struct trainer *t, int index, struct error *err)
{
    uint64_t n = t->step * (uint64_t)t->options.batch + (uint64_t)index;
    struct rng r;
    rng_init(&r, t->options.seed, n);
    enum status st = samples_draw(t->samples, n, &r, &t->frame, &t->drawn, err);
    if (st != ST_OK)
        return st;
    if (rng_below(&r, 2))
        augment_mirror(t->spec.task, &t->frame, &t->drawn);
    if (t->options.color_jitter > 0)
        augment_colors(&t->frame, &r, t->options.color_jitter);
    size_t n_out = task_cells(&t->spec);
    struct label_map labels = {t->spec.out_width, t->spec.out_height,
                               t->labels + (size_t)index * n_out};
    task_resize_labels(&t->drawn, &labels);
    if (t->spec.task == TASK_DETECT)
        detect_map_classes(t->classes.to_network, labels.classes);
    else
        map_classes(t->classes.to_network, labels.classes, n_out);
    struct nn_view input = nn_session_input(t->session, 0);
    task_input(&t->spec, &t->frame, &input, index);
    return ST_OK;
}

static float learning_rate(const struct trainer *t)
{
    double done = (double)t->step / (double)t->options.steps, warm = 0.02;
    double k = done < warm ? (done + 1.0 / (double)t->options.steps) / warm
                           : 0.5 + 0.5 * cos(3.14159265358979 * (done - warm) / (1 - warm));
    return t->options.learning_rate * (float)fmin(1, fmax(k, 0.005));
}

static const uint8_t *chosen(const struct classes *c)
{
    return c->all ? NULL : c->chosen;
}

static void score(struct trainer *t, const struct nn_view *logits)
{
    struct confusion *c = &t->scores[t->scored++ % SCORES];
    task_answer(&t->spec, logits, chosen(&t->classes), t->predicted);
    task_counts_init(t->spec.task, t->spec.class_count, c);
    confusion_add(c, t->labels, t->predicted, task_cells(&t->spec) * (size_t)t->options.batch);
}

static double recent_score(const struct trainer *t)
{
    struct confusion all;
    task_counts_init(t->spec.task, t->spec.class_count, &all);
    for (uint64_t i = 0; i < SCORES && i < t->scored; i++)
        confusion_merge(&all, &t->scores[i]);
    return task_score(t->spec.task, &all);
}

static double batch_loss(const struct trainer *t, const struct nn_view *logits,
                         const struct nn_view *grad)
{
    if (t->spec.task == TASK_DETECT)
        return detect_loss(&t->spec.head, logits, t->labels, chosen(&t->classes), 1, grad);
    struct nn_ce_options ce = {.class_weight = t->classes.weight,
                               .class_chosen = chosen(&t->classes)};
    return nn_loss_hard(logits, t->labels, &ce, 1, grad);
}

enum status trainer_advance(struct trainer *t, struct trainer_step *ret, struct error *err)
{
    if (t->step >= t->options.steps)
        return ST_END;
    enum status st = ST_OK;
    for (int i = 0; i < t->options.batch && st == ST_OK; i++)
        st = draw_sample(t, i, err);
    if (st == ST_OK)
        st = nn_session_forward(t->session, err);
    if (st != ST_OK)
        return st;
    struct nn_view logits = nn_session_output(t->session, 0);
    struct nn_view grad = nn_session_output_grad(t->session, 0);
    double loss = batch_loss(t, &logits, &grad);
    if (t->step % SCORE_EVERY == 0)
        score(t, &logits);
    st = nn_session_backward(t->session, err);
    if (st != ST_OK)
        return st;
    nn_optimizer_set_learning_rate(t->optimizer, learning_rate(t));
    nn_optimizer_step(t->optimizer, nn_session_params(t->session), nn_session_grads(t->session),
                      NULL);
    nn_session_params_changed(t->session);
    t->step++;
    *ret = (struct trainer_step){t->step, loss, recent_score(t)};
    return ST_OK;
}

uint64_t trainer_steps_done(const struct trainer *t)
{
    return t->step;
}

const float *trainer_params(const struct trainer *t)
{
    return nn_session_params(t->session);
}

/* What decides the bits of a run, a line each. %a is exact. */
static void describe(const struct trainer *t, char text[NN_CHECKPOINT_RUN_CHARS_MAX + 1])
{
    const struct trainer_options *o = &t->options;
    snprintf(text, NN_CHECKPOINT_RUN_CHARS_MAX + 1,
             "seed=%llu\nsteps=%llu\nbatch=%d\nlearning_rate=%a\nweight_decay=%a\n"
             "color_jitter=%a\nbatch_norm=%s\nprecision=%s\n%s",
             (unsigned long long)o->seed, (unsigned long long)o->steps, o->batch,
             (double)o->learning_rate, (double)o->weight_decay, (double)o->color_jitter,
             o->bn_mode == NN_BN_BATCH ? "batch" : "frozen",
             o->precision == NN_PRECISION_BF16 ? "bf16" : "f32", t->samples->text);
}

enum status trainer_save(const struct trainer *t, const char *path, struct error *err)
{
    char run[NN_CHECKPOINT_RUN_CHARS_MAX + 1];
    describe(t, run);
    return nn_checkpoint_write(path, t->model, trainer_params(t), t->optimizer, t->step, run, err);
}

enum status trainer_resume(struct trainer *t, const char *path, struct error *err)
{
    char run[NN_CHECKPOINT_RUN_CHARS_MAX + 1];
    describe(t, run);
    enum status st = nn_checkpoint_read(path, t->model, nn_session_params(t->session), t->optimizer,
                                        run, &t->step, err);
    if (st == ST_OK)
        nn_session_params_changed(t->session);
    return st;
}
