/* BatchNormalization. Inference and frozen training normalise with the running statistics; batch
 * mode with those of the batch, which are kept for the backward pass, and moves the running ones
 * (unbiased variance, as torch does; ONNX's own training mode stores the biased one). */
#include "nn/plan.h"

#include <math.h>

#include "nn/kernels.h"

enum { IN_X, IN_SCALE, IN_SHIFT, IN_MEAN, IN_VARIANCE };

#define NO_CLAMP -INFINITY, INFINITY

struct norm_args {
    int64_t rows, channels;
    float epsilon, momentum;
    bool batch, has_gx, add;
};

/* x, y, scale, shift, mean, variance, coefficients a and b in one buffer. */
static enum status run_running(struct nn_step *s)
{
    const struct norm_args *a = s->args;
    float *coefficient = s->data[6];
    kernel_bn_coefficients(s->data[2], s->data[3], s->data[4], s->data[5], a->epsilon, a->channels,
                           coefficient, coefficient + a->channels);
    kernel_bn_apply(s->data[0], coefficient, coefficient + a->channels, s->data[1], a->rows,
                    a->channels, NO_CLAMP);
    return ST_OK;
}

/* As run_running, with the batch's mean and variance (one buffer) as operand 7. */
static enum status run_batch(struct nn_step *s)
{
    const struct norm_args *a = s->args;
    float *mean = s->data[7], *variance = mean + a->channels, *coefficient = s->data[6];
    kernel_bn_statistics(s->data[0], a->rows, a->channels, mean, variance);
    kernel_bn_coefficients(s->data[2], s->data[3], mean, variance, a->epsilon, a->channels,
                           coefficient, coefficient + a->channels);
    kernel_bn_apply(s->data[0], coefficient, coefficient + a->channels, s->data[1], a->rows,
                    a->channels, NO_CLAMP);
    kernel_bn_running(mean, variance, a->rows, a->channels, a->momentum, s->data[4], s->data[5]);
    return ST_OK;
}

/* x, gy, scale, gscale and gshift, gx, mean, variance; in batch mode the last two are one. */
static enum status run_backward(struct nn_step *s)
{
    const struct norm_args *a = s->args;
    const float *mean = s->data[6];
    const float *variance = a->batch ? mean + a->channels : s->data[7];
    kernel_bn_backward(s->data[0], NULL, s->data[1], a->rows, a->channels, s->data[2], mean,
                       variance, a->epsilon, a->batch, NO_CLAMP, a->has_gx ? s->data[5] : NULL,
                       a->add, s->data[3], s->data[4]);
    return ST_OK;
}

static bool is_batch(const struct nn_plan *p, const struct nn_ir *ir)
{
    return p->options.mode == NN_TRAIN && p->options.bn_mode == NN_BN_BATCH &&
           nn_in(p, ir, IN_MEAN)->param >= 0 && nn_in(p, ir, IN_VARIANCE)->param >= 0;
}

static struct norm_args norm_args_of(const struct nn_plan *p, const struct nn_ir *ir)
{
    const struct nn_value *x = nn_in(p, ir, IN_X);
    return (struct norm_args){
        .rows = x->count / x->dim[1],
        .channels = x->dim[1],
        .epsilon = ir->node->a.batch_norm.epsilon,
        .momentum = ir->node->a.batch_norm.momentum,
        .batch = is_batch(p, ir),
    };
}

static void norm_saves(struct nn_plan *p, const struct nn_ir *ir)
{
    nn_in(p, ir, IN_X)->saved = true;
}

static enum status norm_forward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    if (nn_in(p, ir, IN_X)->rank != 4 && nn_in(p, ir, IN_X)->rank != 2)
        return nn_plan_refuse(p, err, "only images and vectors are supported");
    struct norm_args a = norm_args_of(p, ir);
    size_t bytes = (size_t)a.channels * 2 * sizeof(float);
    int coefficients = nn_plan_buffer(p, bytes);
    if (a.batch)
        ir->workspace = nn_plan_buffer(p, bytes);
    if (coefficients < 0 || (a.batch && ir->workspace < 0))
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    struct nn_step *s;
    enum status st = nn_plan_step(p, a.batch ? run_batch : run_running, sizeof a, &s, err);
    if (!st)
        st = nn_plan_output(p, ir, 0, IN_X, err);
    if (st)
        return st;
    *(struct norm_args *)s->args = a;
    nn_step_operand(s, nn_in(p, ir, IN_X)->buffer);
    nn_step_operand(s, nn_out(p, ir, 0)->buffer);
    for (int i = IN_SCALE; i <= IN_VARIANCE; i++)
        nn_step_operand(s, nn_in(p, ir, i)->buffer);
    nn_step_operand(s, coefficients);
    if (a.batch)
        nn_step_operand(s, ir->workspace);
    return ST_OK;
}

/* Where the gradient of scale or shift goes: the kernel always writes both. */
static enum status begin_vector(struct nn_plan *p, const struct nn_ir *ir, int i, int *ret,
                                struct error *err)
{
    bool add;
    if (nn_in(p, ir, i)->needs_grad)
        return nn_grad_begin(p, ir->in[i], false, ret, &add, err);
    *ret = nn_plan_buffer(p, (size_t)nn_in(p, ir, i)->count * sizeof(float));
    return *ret < 0 ? error_set(err, ST_NOMEM, "out of memory while planning a session") : ST_OK;
}

static enum status norm_backward(struct nn_plan *p, struct nn_ir *ir, struct error *err)
{
    struct norm_args a = norm_args_of(p, ir);
    struct nn_step *s;
    int gscale, gshift, gx = -1, gy = nn_grad_of_output(p, ir, 0);
    a.has_gx = nn_in(p, ir, IN_X)->needs_grad;
    enum status st = nn_plan_step(p, run_backward, sizeof a, &s, err);
    if (!st)
        st = begin_vector(p, ir, IN_SCALE, &gscale, err);
    if (!st)
        st = begin_vector(p, ir, IN_SHIFT, &gshift, err);
    if (!st && a.has_gx)
        st = nn_grad_begin_over(p, ir, &gx, &a.add, err);
    if (st)
        return st;
    *(struct norm_args *)s->args = a;
    nn_step_operand(s, nn_in(p, ir, IN_X)->buffer);
    nn_step_operand(s, gy);
    nn_step_operand(s, nn_in(p, ir, IN_SCALE)->buffer);
    nn_step_operand(s, gscale);
    nn_step_operand(s, gshift);
    nn_step_operand(s, a.has_gx ? gx : gy);
    nn_step_operand(s, a.batch ? ir->workspace : nn_in(p, ir, IN_MEAN)->buffer);
    if (!a.batch)
        nn_step_operand(s, nn_in(p, ir, IN_VARIANCE)->buffer);
    if (a.has_gx)
        st = nn_grad_done(p, ir->in[IN_X], gx, err);
    if (!st && nn_in(p, ir, IN_SCALE)->needs_grad)
        st = nn_grad_done(p, ir->in[IN_SCALE], gscale, err);
    if (!st && nn_in(p, ir, IN_SHIFT)->needs_grad)
        st = nn_grad_done(p, ir->in[IN_SHIFT], gshift, err);
    return st;
}

const struct nn_exec nn_exec_batch_norm = {norm_saves, norm_forward, norm_backward};
