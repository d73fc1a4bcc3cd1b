/* Functions of one number. On constants they are computed here (exporters put Floor, Ceil, Sqrt and
 * Neg into shape arithmetic); Floor and Ceil exist there only. HardSwish and Gelu become the
 * products that older exporters write for them. */
#include <math.h>

#include "nn/lower.h"

static void fold(struct nn_lower *l, float (*f)(float))
{
    const struct nn_tensor *t = nn_in(l, 0);
    float *data = nn_out_constant(l, NN_F32, nn_shape_of(t));
    for (int64_t i = 0; data && i < nn_tensor_count(t); i++)
        data[i] = f(((const float *)t->data)[i]);
}

/* NN_OP_NONE: on constants only. f NULL: not on constants. */
static void lower_function(struct nn_lower *l, enum nn_op op, float (*f)(float))
{
    struct nn_shape x = nn_in_shape(l, 0, 0);
    nn_require_floats(l);
    if (l->status)
        return;
    if (nn_in_constant(l, 0) && f)
        fold(l, f);
    else if (op == NN_OP_NONE)
        nn_fail(l, ST_UNSUPPORTED, "only constant inputs are supported");
    else
        nn_out(l, op, x);
}

static float negate(float v)
{
    return -v;
}

static void negate_integers(struct nn_lower *l)
{
    const struct nn_tensor *t = nn_in(l, 0);
    int64_t *data = nn_out_constant(l, NN_I64, nn_shape_of(t));
    for (int64_t i = 0; data && i < nn_tensor_count(t); i++) {
        int64_t v = ((const int64_t *)t->data)[i];
        data[i] = v == INT64_MIN ? INT64_MAX : -v;
    }
}

void nn_lower_neg(struct nn_lower *l)
{
    if (nn_in_constant(l, 0) && nn_in(l, 0)->dtype == NN_I64)
        negate_integers(l);
    else
        lower_function(l, NN_OP_NEG, negate);
}

void nn_lower_floor(struct nn_lower *l)
{
    lower_function(l, NN_OP_NONE, floorf);
}

void nn_lower_ceil(struct nn_lower *l)
{
    lower_function(l, NN_OP_NONE, ceilf);
}

void nn_lower_sqrt(struct nn_lower *l)
{
    lower_function(l, NN_OP_SQRT, sqrtf);
}

void nn_lower_exp(struct nn_lower *l)
{
    lower_function(l, NN_OP_EXP, expf);
}

void nn_lower_abs(struct nn_lower *l)
{
    lower_function(l, NN_OP_ABS, fabsf);
}

void nn_lower_tanh(struct nn_lower *l)
{
    lower_function(l, NN_OP_TANH, tanhf);
}

void nn_lower_erf(struct nn_lower *l)
{
    lower_function(l, NN_OP_ERF, erff);
}

void nn_lower_softplus(struct nn_lower *l)
{
    lower_function(l, NN_OP_SOFTPLUS, NULL);
}

void nn_lower_elu(struct nn_lower *l)
{
    l->node.a.function.alpha = nn_attr_float(l, "alpha", 1);
    lower_function(l, NN_OP_ELU, NULL);
}

void nn_lower_hard_sigmoid(struct nn_lower *l)
{
    l->node.a.function.alpha = nn_attr_float(l, "alpha", 0.2f);
    l->node.a.function.beta = nn_attr_float(l, "beta", 0.5f);
    lower_function(l, NN_OP_HARD_SIGMOID, NULL);
}

/* Ends a node as the product of two tensors. */
static void out_product(struct nn_lower *l, int a, int b, struct nn_shape shape)
{
    l->node.input_count = 2;
    l->node.input[0] = a;
    l->node.input[1] = b;
    nn_out(l, NN_OP_MUL, shape);
}

/* An activation of float, which the operators that become several nodes need. */
static struct nn_shape activation(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0);
    nn_require_floats(l);
    if (nn_in_constant(l, 0))
        nn_fail(l, ST_UNSUPPORTED, "of a constant is not supported");
    return x;
}

/* x * clamp(x / 6 + 1/2, 0, 1) */
void nn_lower_hard_swish(struct nn_lower *l)
{
    struct nn_shape x = activation(l);
    int input = l->node.input[0];
    struct nn_node gate = {.op = NN_OP_HARD_SIGMOID,
                           .input_count = 1,
                           .input = {input},
                           .a.function = {1.0f / 6, 0.5f}};
    out_product(l, input, nn_emit(l, gate, &x, "_gate"), x);
}

static int emit_binary(struct nn_lower *l, enum nn_op op, int a, int b, const struct nn_shape *x,
                       const char *suffix)
{
    struct nn_node n = {.op = op, .input_count = 2, .input = {a, b}};
    return nn_emit(l, n, x, suffix);
}

/* x/2 * (1 + erf(x / sqrt 2)) */
void nn_lower_gelu(struct nn_lower *l)
{
    static const char *const forms[] = {"none", NULL};
    struct nn_shape x = activation(l);
    nn_attr_choice(l, "approximate", forms, 0);
    int input = l->node.input[0], half = nn_emit_number(l, 0.5f, "_half");
    int scaled = emit_binary(l, NN_OP_MUL, input, nn_emit_number(l, (float)M_SQRT1_2, "_root"), &x,
                             "_scaled");
    struct nn_node erf = {.op = NN_OP_ERF, .input_count = 1, .input = {scaled}};
    int gate = nn_emit(l, erf, &x, "_erf");
    gate = emit_binary(l, NN_OP_ADD, gate, nn_emit_number(l, 1, "_one"), &x, "_above");
    gate = emit_binary(l, NN_OP_MUL, gate, half, &x, "_gate");
    out_product(l, input, gate, x);
}

static void fold_pow(struct nn_lower *l, float exponent)
{
    const struct nn_tensor *t = nn_in(l, 0);
    float *data = nn_out_constant(l, NN_F32, nn_shape_of(t));
    for (int64_t i = 0; data && i < nn_tensor_count(t); i++)
        data[i] = powf(((const float *)t->data)[i], exponent);
}

/* The exponent, which the file may give as integer or float. */
static float exponent_of(struct nn_lower *l)
{
    const struct nn_tensor *t = nn_in(l, 1);
    float f = 0;
    int64_t i = 0;
    if (t && t->dtype == NN_I64 && nn_in_i64(l, 1, &i, 1) == 1)
        return (float)i;
    if (t && t->dtype == NN_F32 && nn_in_f32(l, 1, &f, 1) == 1)
        return f;
    nn_fail(l, ST_UNSUPPORTED, "its exponent has to be one constant number");
    return 1;
}

void nn_lower_pow(struct nn_lower *l)
{
    struct nn_shape x = nn_in_shape(l, 0, 0);
    float exponent = exponent_of(l);
    if (!l->status && nn_in(l, 0)->dtype != NN_F32)
        nn_fail(l, ST_UNSUPPORTED, "its input is not float");
    l->node.input_count = 1;
    if (l->status)
        return;
    if (nn_in_constant(l, 0)) {
        fold_pow(l, exponent);
    } else if (exponent == 1) {
        nn_out_alias(l, 0);
    } else if (exponent == 2) {
        out_product(l, l->node.input[0], l->node.input[0], x);
    } else if (exponent == 0.5f) {
        nn_out(l, NN_OP_SQRT, x);
    } else {
        l->node.a.function.alpha = exponent;
        nn_out(l, NN_OP_POW, x);
    }
}
