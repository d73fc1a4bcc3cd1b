/* Convolutions of bytes against a reference in integers, written out below; what a session of
 * NN_PRECISION_INT8 takes and refuses. */
#include <math.h>

#include "base/rng.h"
#include "model_check.h"
#include "nn/plan.h"
#include "nn/session.h"

enum { CHANNELS = 32, SIZE = 11, PIXELS_MAX = SIZE * SIZE, TENSORS = 8, NOISE = 32768 };

static float noise[NOISE];

/* Zero at the nearest step, so that 0 is exact. */
struct steps {
    double scale;
    int zero;
};

static struct steps steps_of(struct nn_range r)
{
    double scale = ((double)r.hi - (double)r.lo) / 255;
    return (struct steps){scale, (int)lrint(-(double)r.lo / scale)};
}

static int byte_of(double v, struct steps s)
{
    double q = rint(v / s.scale) + s.zero;
    return (int)fmin(255, fmax(0, q));
}

/* An image of bytes, [channel][row][column]. */
struct image {
    int side;
    struct steps steps;
    int q[CHANNELS][SIZE][SIZE];
};

struct conv {
    int kernel, stride, dilation, groups;
    bool bias, norm;
};

/* One convolution of the file under construction: weights [CHANNELS][CHANNELS / groups][k][k],
 * bias, batch-norm, all somewhere in the noise. */
struct parameters {
    const float *weights, *bias, *scale, *shift, *mean;
};

#define VARIANCE 0.3F
#define EPSILON 1e-5F

static int taps_of(const struct conv *c)
{
    return CHANNELS / c->groups * c->kernel * c->kernel;
}

/* The weights of an output channel as real numbers, and its bias, batch-norm folded in. */
static void fold(const struct conv *c, const struct parameters *p, int channel, double *ret,
                 double *ret_bias)
{
    double factor = c->norm ? p->scale[channel] / sqrt((double)VARIANCE + (double)EPSILON) : 1;
    double bias = c->bias ? p->bias[channel] : 0;
    for (int i = 0; i < taps_of(c); i++)
        ret[i] = p->weights[channel * taps_of(c) + i] * factor;
    *ret_bias = c->norm ? (bias - p->mean[channel]) * factor + p->shift[channel] : bias;
}

/* The weights as signed bytes, -127..127, and their scale. */
static double signed_bytes(const double *weights, int n, int *ret)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs(weights[i]));
    double scale = most > 0 ? most / 127 : 1;
    for (int i = 0; i < n; i++)
        ret[i] = (int)rint(weights[i] / scale);
    return scale;
}

static int sum_of_products(const struct conv *c, const struct image *x, const int *weights,
                           int channel, int row, int column)
{
    int sum = 0, per_group = CHANNELS / c->groups, pad = c->kernel / 2 * c->dilation;
    int first = channel / per_group * per_group;
    for (int i = 0; i < per_group; i++)
        for (int a = 0; a < c->kernel; a++)
            for (int b = 0; b < c->kernel; b++) {
                int h = row * c->stride - pad + a * c->dilation;
                int w = column * c->stride - pad + b * c->dilation;
                bool inside = h >= 0 && w >= 0 && h < x->side && w < x->side;
                int q = inside ? x->q[first + i][h][w] - x->steps.zero : 0;
                sum += q * weights[(i * c->kernel + a) * c->kernel + b];
            }
    return sum;
}

/* Real results, [channel][row][column]; returns their side. */
static int convolve(const struct conv *c, const struct parameters *p, const struct image *x,
                    double ret[CHANNELS][SIZE][SIZE])
{
    int side = (x->side - 1) / c->stride + 1;
    double weights[CHANNELS * 9], bias;
    int q[CHANNELS * 9];
    for (int o = 0; o < CHANNELS; o++) {
        fold(c, p, o, weights, &bias);
        double scale = signed_bytes(weights, taps_of(c), q) * x->steps.scale;
        for (int h = 0; h < side; h++)
            for (int w = 0; w < side; w++)
                ret[o][h][w] = sum_of_products(c, x, q, o, h, w) * scale + bias;
    }
    return side;
}

/* --- the same in a file --- */

static void weight(struct nn_maker *mk, Onnx__NodeProto *n, const char *suffix,
                   struct nn_shape shape, const float *values)
{
    const char *name = nn_make_text(mk, "%s.%s", n->name, suffix);
    nn_make_initializer(mk, name, NN_F32, &shape, values);
    nn_make_input(mk, n, name);
}

/* Parameters are taken from the noise at `at`, except given weights. */
static struct parameters add_conv(struct nn_maker *mk, const struct conv *c, const char *name,
                                  const char *input, const float *weights, int at)
{
    static float variance[CHANNELS];
    struct parameters p = {.weights = weights ? weights : noise + at,
                           .bias = noise + at + 10000,
                           .scale = noise + at + 10100,
                           .shift = noise + at + 10200,
                           .mean = noise + at + 10300};
    int pad = c->kernel / 2 * c->dilation;
    const char *conv_name = c->norm ? nn_make_text(mk, "%s.conv", name) : name;
    Onnx__NodeProto *n = make_op(mk, "Conv", conv_name, input, NULL);
    weight(mk, n, "weight", SHAPE(4, CHANNELS, CHANNELS / c->groups, c->kernel, c->kernel),
           p.weights);
    if (c->bias)
        weight(mk, n, "bias", SHAPE(1, CHANNELS), p.bias);
    nn_make_ints(mk, n, "pads", (int[]){pad, pad, pad, pad}, 4);
    nn_make_ints(mk, n, "strides", (int[]){c->stride, c->stride}, 2);
    nn_make_ints(mk, n, "dilations", (int[]){c->dilation, c->dilation}, 2);
    nn_make_int(mk, n, "group", c->groups);
    if (!c->norm)
        return p;
    for (int i = 0; i < CHANNELS; i++)
        variance[i] = VARIANCE;
    n = make_op(mk, "BatchNormalization", name, conv_name, NULL);
    weight(mk, n, "scale", SHAPE(1, CHANNELS), p.scale);
    weight(mk, n, "shift", SHAPE(1, CHANNELS), p.shift);
    weight(mk, n, "mean", SHAPE(1, CHANNELS), p.mean);
    weight(mk, n, "variance", SHAPE(1, CHANNELS), variance);
    nn_make_float(mk, n, "epsilon", EPSILON);
    return p;
}

static struct nn_model *finished(struct nn_maker *mk)
{
    struct nn_model *m = NULL;
    struct error err;
    if (read_made(mk, &m, &err))
        fail_msg("%s", err.message);
    return m;
}

struct named_range {
    const char *name;
    struct nn_range range;
};

static struct nn_session *opened(const struct nn_model *m, const struct named_range *named, int n)
{
    struct nn_range ranges[32] = {{0}};
    struct nn_session_options o;
    struct nn_session *s = NULL;
    struct error err;
    const struct nn_graph *g = nn_model_graph(m);
    assert_true(g->tensor_count <= 32);
    for (int i = 0; i < n; i++)
        ranges[find_tensor(m, named[i].name) - g->tensors] = named[i].range;
    nn_session_options_init(&o);
    o.precision = NN_PRECISION_INT8;
    o.ranges = ranges;
    if (nn_session_open(m, &o, &s, &err))
        fail_msg("%s", err.message);
    return s;
}

/* Noise as the session's input, and as bytes. */
static void fill_input(struct nn_session *s, struct nn_range r, struct image *ret)
{
    struct nn_view v = nn_session_input(s, 0);
    *ret = (struct image){.side = SIZE, .steps = steps_of(r)};
    for (int c = 0; c < CHANNELS; c++)
        for (int h = 0; h < SIZE; h++)
            for (int w = 0; w < SIZE; w++) {
                float x = noise[(c * PIXELS_MAX + h * SIZE + w) * 7 % NOISE] * 4;
                v.data[c * v.stride[1] + h * v.stride[2] + w * v.stride[3]] = x;
                ret->q[c][h][w] = byte_of((double)x, ret->steps);
            }
}

static float at(const struct nn_view *v, int c, int h, int w)
{
    return v->data[c * v->stride[1] + h * v->stride[2] + w * v->stride[3]];
}

static void forward(struct nn_session *s)
{
    struct error err;
    if (nn_session_forward(s, &err))
        fail_msg("%s", err.message);
}

static int count_type(struct nn_session *s, enum nn_type type)
{
    const struct nn_plan *p = nn_session_plan(s);
    int n = 0;
    for (int i = 0; i < p->ir_count; i++)
        for (int o = 0; !p->irs[i].dead && o < p->irs[i].output_count; o++)
            n += p->irs[i].out[o] >= 0 && p->values[p->irs[i].out[o]].type == type;
    return n;
}

/* --- one convolution to float32: exact but for the rounding of float32 --- */

static const struct conv convs[] = {
    {.kernel = 3, .stride = 1, .dilation = 1, .groups = 1, .bias = true},
    {.kernel = 3, .stride = 2, .dilation = 1, .groups = 1, .norm = true},
    {.kernel = 3, .stride = 1, .dilation = 2, .groups = 1, .bias = true, .norm = true},
    {.kernel = 1, .stride = 1, .dilation = 1, .groups = 1},
    {.kernel = 3, .stride = 1, .dilation = 1, .groups = CHANNELS, .bias = true},
    {.kernel = 3, .stride = 2, .dilation = 1, .groups = CHANNELS, .norm = true},
};

/* None has its zero halfway between two steps. */
static const struct nn_range input_ranges[] = {{0, 1}, {-1, 0.9F}, {-0.3F, 2}, {-2.5F, 0}};

static void compare_real(struct nn_session *s, const struct conv *c, const struct parameters *p,
                         const struct image *x)
{
    static double real[CHANNELS][SIZE][SIZE];
    int side = convolve(c, p, x, real);
    struct nn_view y = nn_session_output(s, 0);
    double most = 0, apart = 0;
    for (int o = 0; o < CHANNELS; o++)
        for (int h = 0; h < side; h++)
            for (int w = 0; w < side; w++) {
                most = fmax(most, fabs(real[o][h][w]));
                apart = fmax(apart, fabs(real[o][h][w] - (double)at(&y, o, h, w)));
            }
    if (!(apart < 1e-5 * most))
        fail_msg("kernel %d stride %d dilation %d groups %d: %g of %g", c->kernel, c->stride,
                 c->dilation, c->groups, apart, most);
}

static void one_convolution(const struct conv *c, struct nn_range range)
{
    struct nn_maker mk;
    static struct image x;
    make_ends(&mk, "y", SHAPE(4, 1, CHANNELS, SIZE, SIZE));
    struct parameters p = add_conv(&mk, c, "y", "x", NULL, 100);
    struct nn_model *m = finished(&mk);
    struct nn_session *s = opened(m, (struct named_range[]){{"x", range}}, 1);
    fill_input(s, range, &x);
    forward(s);
    assert_int_equal(count_type(s, NN_TYPE_U8), 1); /* the input's conversion */
    compare_real(s, c, &p, &x);
    nn_session_close(&s);
    nn_model_close(&m);
}

static void exact_in_integers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
        for (size_t k = 0; k < sizeof input_ranges / sizeof *input_ranges; k++)
            one_convolution(&convs[i], input_ranges[k]);
}

/* --- bytes out: what the session kept is seen through a convolution that changes nothing --- */

static const struct conv point = {.kernel = 1, .stride = 1, .dilation = 1, .groups = 1};

static const float *identity(void)
{
    static float w[CHANNELS * CHANNELS];
    for (int i = 0; i < CHANNELS; i++)
        w[i * CHANNELS + i] = 1;
    return w;
}

/* A tensor of the session in bytes beside the reference: nearly all equal, none more than one step
 * away (rounding of a sum that lies between two). */
static void compare_bytes(const char *name, const struct nn_view *y, const struct image *want)
{
    int count = 0, differ = 0;
    for (int c = 0; c < CHANNELS; c++)
        for (int h = 0; h < want->side; h++)
            for (int w = 0; w < want->side; w++) {
                double q = (double)at(y, c, h, w) / want->steps.scale + want->steps.zero;
                double d = fabs(q - want->q[c][h][w]);
                if (!(d < 1.01))
                    fail_msg("%s: %g steps, not %d", name, q, want->q[c][h][w]);
                differ += d > 0.01;
                count++;
            }
    if (differ * 100 > count)
        fail_msg("%s: %d of %d differ", name, differ, count);
}

enum activation { NONE, RELU, CLIP, HARD_SWISH };

struct chain {
    const char *name;
    struct conv conv;
    enum activation activation;
    struct nn_range result;
};

static double activated(enum activation a, double v)
{
    switch (a) {
    case RELU:
        return fmax(v, 0);
    case CLIP:
        return fmin(fmax(v, -0.25), 0.5);
    case HARD_SWISH:
        return v * fmin(fmax(v / 6 + 0.5, 0), 1);
    default:
        return v;
    }
}

static const char *add_activation(struct nn_maker *mk, enum activation a, const char *input)
{
    if (a == RELU)
        make_op(mk, "Relu", "r", input, NULL);
    if (a == HARD_SWISH) {
        nn_make_float(mk, make_op(mk, "HardSigmoid", "gate", input, NULL), "alpha", 1.0F / 6);
        make_op(mk, "Mul", "r", input, "gate");
    }
    if (a == CLIP) {
        Onnx__NodeProto *n = make_op(mk, "Clip", "r", input, NULL);
        nn_make_f32_input(mk, n, "lo", &(float){-0.25F}, 0);
        nn_make_f32_input(mk, n, "hi", &(float){0.5F}, 0);
    }
    return a == NONE ? input : "r";
}

static void quantise(int side, double real[CHANNELS][SIZE][SIZE], enum activation a,
                     struct nn_range range, struct image *ret)
{
    *ret = (struct image){.side = side, .steps = steps_of(range)};
    for (int c = 0; c < CHANNELS; c++)
        for (int h = 0; h < side; h++)
            for (int w = 0; w < side; w++)
                ret->q[c][h][w] = byte_of(activated(a, real[c][h][w]), ret->steps);
}

static const struct chain chains[] = {
    {"relu", {3, 1, 1, 1, true, false}, RELU, {0, 2}},
    {"relu behind a norm", {3, 2, 1, 1, false, true}, RELU, {0, 1}},
    {"relu with a range on both sides", {3, 1, 1, 1, true, false}, RELU, {-1, 2}},
    {"clip within the range", {3, 1, 1, 1, true, true}, CLIP, {-1, 0.9F}},
    {"clip of a range that ends before", {3, 1, 1, 1, true, true}, CLIP, {-0.1F, 0.3F}},
    {"no activation", {1, 1, 1, 1, true, false}, NONE, {-1.5F, 1}},
    {"hard swish", {1, 1, 1, 1, true, true}, HARD_SWISH, {-0.375F, 1}},
    {"depthwise", {3, 1, 1, CHANNELS, false, true}, RELU, {0, 1}},
    {"depthwise, both signs", {3, 2, 1, CHANNELS, true, false}, NONE, {-1, 0.8F}},
};

static void one_chain(const struct chain *t, struct nn_range range)
{
    static double real[CHANNELS][SIZE][SIZE];
    static struct image x, want;
    const struct nn_range wide = {-9, 9};
    struct nn_maker mk;
    make_ends(&mk, "y", SHAPE(4, 1, CHANNELS, SIZE, SIZE));
    struct parameters p = add_conv(&mk, &t->conv, "c", "x", NULL, 50);
    const char *end = add_activation(&mk, t->activation, "c");
    add_conv(&mk, &point, "y", end, identity(), 0);
    struct nn_model *m = finished(&mk);
    struct named_range named[] = {
        {"x", range}, {end, t->result}, {"c", wide}, {"c.conv", wide}, {"gate", wide}};
    if (t->activation == NONE)
        named[2].range = t->result;
    if (!t->conv.norm)
        named[3].name = "x", named[3].range = range;
    if (t->activation != HARD_SWISH)
        named[4] = named[0];
    struct nn_session *s = opened(m, named, 5);
    fill_input(s, range, &x);
    forward(s);
    assert_int_equal(nn_session_plan(s)->step_count, 3);
    quantise(convolve(&t->conv, &p, &x, real), real, t->activation, t->result, &want);
    struct nn_view y = nn_session_output(s, 0);
    compare_bytes(t->name, &y, &want);
    nn_session_close(&s);
    nn_model_close(&m);
}

static void bytes_between_convolutions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        for (size_t k = 0; k < sizeof input_ranges / sizeof *input_ranges; k++)
            one_chain(&chains[i], input_ranges[k]);
}

/* --- sums: in the convolution (the addend has no later reader), and as a step of their own --- */

static void sum(bool own_step, bool relu)
{
    static double real[CHANNELS][SIZE][SIZE];
    static struct image x, a, b, want;
    const struct conv c = {.kernel = 3, .stride = 1, .dilation = 1, .groups = 1, .norm = true};
    const struct nn_range in = {-1, 0.9F}, first = {-0.7F, 1.2F}, second = {-1.1F, 1};
    const struct nn_range result = {relu ? 0 : -1.6F, 1.9F}, wide = {-9, 9};
    struct nn_maker mk;
    make_ends(&mk, "y", SHAPE(4, 1, CHANNELS, SIZE, SIZE));
    struct parameters p = add_conv(&mk, &c, "a", "x", NULL, 0), q = p;
    if (!own_step)
        q = add_conv(&mk, &c, "b", "a", NULL, 1000);
    struct parameters r = add_conv(&mk, &c, "d", own_step ? "a" : "b", NULL, 2000);
    make_op(&mk, "Add", "sum", "d", "a");
    if (relu)
        make_op(&mk, "Relu", "r", "sum", NULL);
    add_conv(&mk, &point, "y", relu ? "r" : "sum", identity(), 0);
    struct nn_model *m = finished(&mk);
    const struct named_range named[] = {{"x", in},
                                        {"a.conv", wide},
                                        {"a", first},
                                        {"d.conv", wide},
                                        {"d", second},
                                        {"sum", relu ? wide : result},
                                        {relu ? "r" : "sum", result},
                                        {own_step ? "a" : "b", own_step ? first : second},
                                        {own_step ? "a.conv" : "b.conv", wide}};
    struct nn_session *s = opened(m, named, 9);
    fill_input(s, in, &x);
    forward(s);
    assert_int_equal(nn_session_plan(s)->step_count, 5);
    quantise(convolve(&c, &p, &x, real), real, NONE, first, &a);
    b = a;
    if (!own_step)
        quantise(convolve(&c, &q, &a, real), real, NONE, second, &b);
    int side = convolve(&c, &r, &b, real);
    static struct image d;
    quantise(side, real, NONE, second, &d);
    for (int k = 0; k < CHANNELS; k++)
        for (int h = 0; h < side; h++)
            for (int w = 0; w < side; w++) {
                double v = own_step ? (d.q[k][h][w] - d.steps.zero) * d.steps.scale : real[k][h][w];
                real[k][h][w] = v + (a.q[k][h][w] - a.steps.zero) * a.steps.scale;
            }
    quantise(side, real, relu ? RELU : NONE, result, &want);
    struct nn_view y = nn_session_output(s, 0);
    compare_bytes(own_step ? "own sum" : "fused sum", &y, &want);
    nn_session_close(&s);
    nn_model_close(&m);
}

static void sums(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        sum(i & 1, i & 2);
}

/* --- new parameters --- */

static void weights_follow_the_vector(void **state)
{
    (void)state;
    static struct image x;
    const struct conv *c = &convs[0];
    struct nn_maker mk;
    make_ends(&mk, "y", SHAPE(4, 1, CHANNELS, SIZE, SIZE));
    add_conv(&mk, c, "y", "x", NULL, 100);
    struct nn_model *m = finished(&mk);
    struct nn_session *s = opened(m, (struct named_range[]){{"x", {-1, 0.9F}}}, 1);
    fill_input(s, (struct nn_range){-1, 0.9F}, &x);
    forward(s);
    float *params = nn_session_params(s); /* weights, then bias */
    for (size_t i = 0; i < nn_model_param_count(m); i++)
        params[i] = params[i] * (i % 3 ? 5 : -2) + 0.01F;
    for (int i = 0; i < taps_of(c); i++) /* a channel of zeros */
        params[i] = 0;
    nn_session_params_changed(s);
    forward(s);
    struct parameters p = {.weights = params, .bias = params + CHANNELS * taps_of(c)};
    compare_real(s, c, &p, &x);
    nn_session_close(&s);
    nn_model_close(&m);
}

/* --- what is refused --- */

static void refuses(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_session *s = NULL;
    struct nn_session_options o;
    struct error err;
    make_ends(&mk, "y", SHAPE(4, 1, CHANNELS, SIZE, SIZE));
    add_conv(&mk, &convs[0], "y", "x", NULL, 0);
    struct nn_model *m = finished(&mk);
    nn_session_options_init(&o);
    o.precision = NN_PRECISION_INT8;
    assert_int_equal(nn_session_open(m, &o, &s, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "calibrated"));
    o.mode = NN_TRAIN;
    assert_int_equal(nn_session_open(m, &o, &s, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "inference"));
    assert_true(nn_precision_of_model(m) == NN_PRECISION_F32);
    nn_model_close(&m);
}

/* Tensors of which nothing is known stay float32. */
static void without_a_range(void **state)
{
    (void)state;
    struct nn_maker mk;
    make_ends(&mk, "y", SHAPE(4, 1, CHANNELS, SIZE, SIZE));
    add_conv(&mk, &convs[0], "c", "x", NULL, 0);
    add_conv(&mk, &convs[0], "y", "c", NULL, 0);
    struct nn_model *m = finished(&mk);
    struct nn_session *s = opened(m, (struct named_range[]){{"x", {-1, 0.9F}}}, 1);
    assert_int_equal(count_type(s, NN_TYPE_U8), 1);
    nn_session_close(&s);
    s = opened(m, NULL, 0);
    assert_int_equal(count_type(s, NN_TYPE_U8), 0);
    nn_session_close(&s);
    nn_model_close(&m);
}

static int fill_noise(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 11, 0);
    for (int i = 0; i < NOISE; i++)
        noise[i] = (float)rng_normal(&r) * 0.2F;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_in_integers),
        cmocka_unit_test(bytes_between_convolutions),
        cmocka_unit_test(sums),
        cmocka_unit_test(weights_follow_the_vector),
        cmocka_unit_test(without_a_range),
        cmocka_unit_test(refuses),
    };
    if (!nn_precision_is_native(NN_PRECISION_INT8))
        return 77; /* skipped: this processor has no VNNI */
    return cmocka_run_group_tests(tests, fill_noise, NULL);
}
