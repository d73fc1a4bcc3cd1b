/* Convolutions of bytes: the weights become signed bytes whenever parameters changed.
 *
 * A row of weights, all those of one output channel, has its own scale, so that a batch-norm
 * behind the convolution costs no accuracy. One buffer has the signed bytes, and behind them, while
 * they are made, the float32 weights that a batch-norm was folded into. */
#include "nn/exec_bytes.h"

#include <stdlib.h>
#include <string.h>

#include "nn/conv_fold.h"
#include "nn/kernels_bytes.h"

enum { IN_X, IN_WEIGHTS, IN_BIAS };

struct args {
    struct nn_window window;
    float epsilon; /* of the batch-norm */
    float scale;   /* of the source */
    float factor;  /* nn_conv_spec_factor */
    bool bias, norm;
    int64_t row, folded_at; /* weights of one channel; floats before the folded ones */
    int first;              /* operand */
};

/* Operands from the first on. */
enum {
    AT_X,
    AT_SIGNED, /* signed weights, and folded ones behind them */
    AT_SCALES, /* [out_channels], and as many folded biases and factors of the batch-norm */
    AT_BIAS,   /* [out_channels], what the primitive reads */
    AT_Y,
    AT_WEIGHTS, /* parameters, from here on */
    AT_FILE_BIAS,
    AT_NORM /* and three more */
};

/* The primitive adds its bias before it multiplies by the scales. */
static void fill_vectors(const struct args *a, const float *bias, float *scales, float *vector)
{
    for (int64_t c = 0; c < a->window.out_channels; c++) {
        float real = scales[c] * a->scale;
        vector[c] = bias ? bias[c] / real : 0;
        scales[c] = real * a->factor;
    }
}

static void prepare(struct nn_step *s)
{
    const struct args *a = s->args;
    int64_t channels = a->window.out_channels;
    float *const *data = s->data + a->first;
    const float *weights = data[AT_WEIGHTS], *bias = a->bias ? data[AT_FILE_BIAS] : NULL;
    float *scales = data[AT_SCALES], *folded_bias = scales + channels;
    if (a->norm) {
        float *const *norm = data + AT_NORM;
        struct nn_norm n = {norm[0], norm[1], norm[2], norm[3], a->epsilon};
        float *folded = data[AT_SIGNED] + a->folded_at;
        nn_conv_fold(&a->window, &n, weights, bias, folded, folded_bias);
        weights = folded;
        bias = folded_bias;
    }
    kernel_signed_rows(weights, (int8_t *)data[AT_SIGNED], scales, channels, a->row);
    fill_vectors(a, bias, scales, data[AT_BIAS]);
}

static struct args args_of(const struct nn_plan *p, const struct nn_ir *ir,
                           const struct nn_conv_spec *spec)
{
    int64_t count = nn_in(p, ir, IN_WEIGHTS)->count;
    return (struct args){.window = spec->window,
                         .epsilon = ir->norm ? ir->norm->a.batch_norm.epsilon : 0,
                         .scale = spec->src_quant.scale,
                         .factor = nn_conv_spec_factor(spec),
                         .bias = nn_optional(p, ir, IN_BIAS) != NULL,
                         .norm = ir->norm != NULL,
                         .row = count / spec->window.out_channels,
                         .folded_at = (count + 63) / 64 * 64 / (int64_t)sizeof(float)};
}

struct buffers {
    int weights, scales, bias;
};

/* keep: the primitive reads the signed weights themselves. */
static enum status buffers_make(struct nn_plan *p, const struct args *a, bool keep,
                                struct buffers *ret, struct error *err)
{
    size_t channels = (size_t)a->window.out_channels;
    size_t folded = a->norm ? (size_t)(a->row * a->window.out_channels) * sizeof(float) : 0;
    ret->weights = nn_plan_buffer(p, (size_t)a->folded_at * sizeof(float) + folded);
    ret->scales = nn_plan_buffer(p, 3 * channels * sizeof(float));
    ret->bias = nn_plan_buffer(p, channels * sizeof(float));
    if (ret->weights < 0 || ret->scales < 0 || ret->bias < 0)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    p->buffers[ret->weights].pinned = keep;
    p->buffers[ret->weights].between = !keep;
    p->buffers[ret->scales].pinned = p->buffers[ret->bias].pinned = true;
    return ST_OK;
}

/* In the order of the AT_ enumeration. */
static void operands_add(struct nn_plan *p, const struct nn_ir *ir, const struct buffers *b,
                         struct nn_step *s)
{
    const struct nn_value *bias = nn_optional(p, ir, IN_BIAS);
    int weights = nn_in(p, ir, IN_WEIGHTS)->buffer;
    nn_step_slot(s, NN_SLOT_SRC, nn_in(p, ir, IN_X)->buffer);
    nn_step_slot(s, NN_SLOT_WEIGHTS, b->weights);
    nn_step_slot(s, NN_SLOT_SCALES, b->scales);
    nn_step_slot(s, NN_SLOT_BIAS, b->bias);
    nn_step_slot(s, NN_SLOT_DST, nn_out(p, ir, 0)->buffer);
    nn_step_slot(s, NN_SLOT_NONE, weights);
    nn_step_slot(s, NN_SLOT_NONE, bias ? bias->buffer : weights);
    for (int k = 0; ir->norm && k < 4; k++)
        nn_step_slot(s, NN_SLOT_NONE, nn_in(p, ir, NN_CONV_NORM + k)->buffer);
}

enum status nn_conv_forward_bytes(struct nn_plan *p, struct nn_ir *ir,
                                  const struct nn_conv_spec *spec, struct error *err)
{
    struct args a = args_of(p, ir, spec);
    struct nn_dnnl_op *op;
    struct nn_step *s;
    struct buffers b;
    enum status st = nn_dnnl_conv_open(p->dnnl, spec, &op, err);
    if (st)
        return st;
    bool packs = nn_dnnl_op_own_bytes(op) > 0;
    st = nn_plan_dnnl_step(p, op, &s, err);
    if (!st)
        st = buffers_make(p, &a, !packs, &b, err);
    if (!st)
        st = nn_conv_place_result(p, ir, err);
    if (st)
        return st;
    s->args = malloc(sizeof a);
    if (!s->args)
        return error_set(err, ST_NOMEM, "out of memory while planning a session");
    a.first = s->operand_count;
    memcpy(s->args, &a, sizeof a);
    s->prepare = prepare;
    operands_add(p, ir, &b, s);
    return ST_OK;
}
