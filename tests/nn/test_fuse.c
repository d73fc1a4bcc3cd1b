/* What inference sessions fuse: the same results as node by node, in as few steps as expected; and
 * the same graphs in bfloat16 and in bytes. */
#include <math.h>

#include "base/rng.h"
#include "model_check.h"
#include "nn/calibrate.h"
#include "nn/plan.h"
#include "nn/session.h"

enum { CHANNELS = 32, SIZE = 12, BATCH = 2, NOISE = 65536 };

/* A graph from "x", [1, CHANNELS, SIZE, SIZE], in lines "OP OUT IN [IN]"; every tensor but that of
 * "mean" and "cat" has the shape of x. */
struct pattern {
    const char *name, *graph, *outputs;
    int steps; /* when fused */
};

static const struct pattern patterns[] = {
    {"norm", "conv c x; bn n c", "n", 1},
    {"norm and activation", "conv c x; bn n c; relu r n", "r", 1},
    {"clip", "conv c x; bn n c; clip r n", "r", 1},
    {"leaky", "conv c x; leaky r c", "r", 1},
    {"sigmoid", "conv c x; bn n c; sigmoid r n", "r", 1},
    {"swish", "conv c x; bn n c; sigmoid s n; mul r n s", "r", 1},
    {"hard swish", "conv c x; bn n c; sixth s n; mul r s n", "r", 1},
    {"gate of another slope", "conv c x; hard s c; mul r c s", "r", 3},
    {"swish of something else", "conv c x; sigmoid s c; mul r x s", "r", 2},
    {"slopes", "conv c x; bn n c; prelu r n", "r", 2},
    {"pointwise", "point c x; bn n c; relu r n", "r", 1},
    {"depthwise", "depthwise c x; bn n c; clip r n", "r", 1},
    {"small groups", "group c x; bn n c; clip r n", "r", 1},
    {"small groups, sum", "conv d x; group c d; bn n c; add a d n", "a", 3},
    {"transposed", "up c x; bn n c; relu r n", "r", 1},
    {"two norms", "conv c x; bn n c; bn m n", "m", 2},
    {"norm behind an activation", "conv c x; relu r c; bn n r", "n", 2},
    {"residual", "conv c x; conv g c; conv d g; bn n d; add a n c; relu r a", "r", 3},
    {"residual of the convolution's own input", "conv c x; conv d c; add a d c", "a", 3},
    {"residual of the graph's input", "conv c x; add a c x", "a", 2},
    {"residual of two",
     "point d x; bn e d; conv c x; relu g c; conv h g; bn i h; add a e i; relu r a", "r", 3},
    {"residual made later",
     "conv c x; relu g c; conv h g; bn i h; point d x; bn e d; add a i e; relu r a", "r", 3},
    {"inverted residuals",
     "point a x; point b a; clip c b; depthwise d c; clip e d; point f e; bn g f; add h a g; "
     "point i h; point j i; add k h j",
     "k", 6},
    {"activation, then sum", "conv c x; conv g c; conv d g; relu e d; add a c e", "a", 3},
    {"residual read again", "conv c x; conv g c; conv d g; add a d c; conv e c; add b a e", "b", 5},
    {"residual read by a later sum",
     "conv a x; conv g a; conv b g; add d b a; conv h d; conv e h; add f a e", "f", 6},
    {"residual that is an output", "conv c x; conv g c; conv d g; add a d c", "a c", 4},
    {"twice the same", "conv c x; add a c c", "a", 2},
    {"two readers", "conv c x; bn n c; relu r c; add a n r", "a", 4},
    {"output between", "conv c x; relu r c", "c r", 2},
    {"output behind the norm", "conv c x; bn n c; relu r n", "n r", 2},
    {"chain",
     "conv a x; add b a x; relu c b; conv i c; conv d i; sigmoid e d; mul f d e; add h f c; "
     "leaky g h",
     "g", 4},
};

/* Operators that bfloat16 goes through, or around; `steps` is of no concern. */
static const struct pattern more_operators[] = {
    {"pool", "conv c x; pool p c; conv d p", "d", 0},
    {"squeeze and excitation", "conv c x; mean m c; sigmoid s m; mul t c s; conv d t", "d", 0},
    {"slice of a concat", "conv c x; conv d x; cat e c d; part f e; conv g f", "g", 0},
    {"norm of a concat", "conv c x; conv d x; cat e c d; part f e; bn g f; prelu h g; conv i h",
     "i", 0},
    {"functions", "conv c x; tanh d c; conv e d; hard f e; softmax g f", "g", 0},
    {"float32 in between", "conv c x; abs d c; conv e d", "e", 0},
    {"swish without a convolution", "conv c x; pool d c; sigmoid s d; mul e d s; conv f e", "f", 0},
    {"only functions", "relu a x; sigmoid b a", "b", 0},
};

static float noise[NOISE];

static const float *some(int *at, int n)
{
    *at = *at + n > NOISE ? 0 : *at;
    const float *from = noise + *at;
    *at += n;
    return from;
}

static void weight(struct nn_maker *mk, Onnx__NodeProto *n, const char *of, const char *suffix,
                   struct nn_shape shape, int *at)
{
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++)
        count *= shape.dim[i];
    const char *name = nn_make_text(mk, "%s.%s", of, suffix);
    nn_make_initializer(mk, name, NN_F32, &shape, some(at, (int)count));
    nn_make_input(mk, n, name);
}

static void add_conv(struct nn_maker *mk, Onnx__NodeProto *n, const char *op, const char *out,
                     int *at)
{
    int groups = strcmp(op, "depthwise") == 0 ? CHANNELS : strcmp(op, "group") == 0 ? 16 : 1;
    int k = strcmp(op, "point") == 0 ? 1 : 3, pad = k / 2;
    weight(mk, n, out, "weight", SHAPE(4, CHANNELS, CHANNELS / groups, k, k), at);
    if (k == 3)
        weight(mk, n, out, "bias", SHAPE(1, CHANNELS), at);
    nn_make_ints(mk, n, "pads", (int[]){pad, pad, pad, pad}, 4);
    nn_make_ints(mk, n, "kernel_shape", (int[]){k, k}, 2);
    nn_make_int(mk, n, "group", groups);
}

static void add_norm(struct nn_maker *mk, Onnx__NodeProto *n, const char *out, int *at)
{
    static float variance[CHANNELS];
    for (int i = 0; i < CHANNELS; i++)
        variance[i] = 0.01F + (float)i / CHANNELS;
    weight(mk, n, out, "scale", SHAPE(1, CHANNELS), at);
    weight(mk, n, out, "shift", SHAPE(1, CHANNELS), at);
    weight(mk, n, out, "mean", SHAPE(1, CHANNELS), at);
    const char *name = nn_make_text(mk, "%s.variance", out);
    nn_make_initializer(mk, name, NN_F32, &SHAPE(1, CHANNELS), variance);
    nn_make_input(mk, n, name);
}

static const char *onnx_op(const char *op)
{
    static const char *const names[][2] = {
        {"bn", "BatchNormalization"},
        {"relu", "Relu"},
        {"clip", "Clip"},
        {"leaky", "LeakyRelu"},
        {"prelu", "PRelu"},
        {"sigmoid", "Sigmoid"},
        {"add", "Add"},
        {"mul", "Mul"},
        {"up", "ConvTranspose"},
        {"pool", "MaxPool"},
        {"tanh", "Tanh"},
        {"mean", "GlobalAveragePool"},
        {"cat", "Concat"},
        {"abs", "Abs"},
        {"hard", "HardSigmoid"},
        {"sixth", "HardSigmoid"},
        {"part", "Slice"},
        {"softmax", "Softmax"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], op) == 0)
            return names[i][1];
    return "Conv";
}

/* What the operator needs beside its inputs. */
static void add_details(struct nn_maker *mk, Onnx__NodeProto *n, const char *op, const char *out)
{
    if (strcmp(op, "leaky") == 0)
        nn_make_float(mk, n, "alpha", 0.25F);
    else if (strcmp(op, "sixth") == 0)
        nn_make_float(mk, n, "alpha", 1.0F / 6);
    else if (strcmp(op, "cat") == 0 || strcmp(op, "softmax") == 0)
        nn_make_int(mk, n, "axis", 1);
    else if (strcmp(op, "pool") == 0) {
        nn_make_ints(mk, n, "kernel_shape", (int[]){3, 3}, 2);
        nn_make_ints(mk, n, "pads", (int[]){1, 1, 1, 1}, 4);
    } else if (strcmp(op, "part") == 0) {
        const char *const names[] = {"starts", "ends", "axes"};
        const int64_t values[] = {CHANNELS / 2, CHANNELS / 2 + CHANNELS, 1};
        for (int i = 0; i < 3; i++)
            nn_make_i64_input(mk, n, nn_make_text(mk, "%s.%s", out, names[i]), &values[i], 1);
    } else if (strcmp(op, "clip") == 0) {
        nn_make_f32_input(mk, n, nn_make_text(mk, "%s.min", out), &(float){-0.5F}, 0);
        nn_make_f32_input(mk, n, nn_make_text(mk, "%s.max", out), &(float){1}, 0);
    }
}

static void add_line(struct nn_maker *mk, const char *line, int *at)
{
    char op[16], out[8], a[8], b[8];
    int fields = sscanf(line, "%15s %7s %7s %7s", op, out, a, b);
    assert_in_range(fields, 3, 4);
    Onnx__NodeProto *n =
        make_op(mk, onnx_op(op), nn_make_text(mk, "%s", out), nn_make_text(mk, "%s", a),
                fields == 4 ? nn_make_text(mk, "%s", b) : NULL);
    if (strcmp(op, "bn") == 0)
        add_norm(mk, n, out, at);
    else if (strcmp(op, "prelu") == 0)
        weight(mk, n, out, "slope", SHAPE(3, CHANNELS, 1, 1), at);
    else if (strcmp(onnx_op(op), "Conv") == 0 || strcmp(op, "up") == 0)
        add_conv(mk, n, op, out, at);
    else
        add_details(mk, n, op, out);
}

static struct nn_model *model_of(const struct pattern *t)
{
    const struct nn_shape shape = SHAPE(4, 1, CHANNELS, SIZE, SIZE);
    struct nn_maker mk;
    char text[512], *rest;
    int at = 0;
    nn_maker_init(&mk);
    nn_make_graph_input(&mk, "x", &shape);
    snprintf(text, sizeof text, "%s", t->graph);
    for (char *line = strtok_r(text, ";", &rest); line; line = strtok_r(NULL, ";", &rest))
        add_line(&mk, line, &at);
    snprintf(text, sizeof text, "%s", t->outputs);
    for (char *name = strtok_r(text, " ", &rest); name; name = strtok_r(NULL, " ", &rest))
        nn_make_graph_output(&mk, nn_make_text(&mk, "%s", name), &shape);
    struct nn_model *m = NULL;
    struct error err;
    if (read_made(&mk, &m, &err))
        fail_msg("%s: %s", t->name, err.message);
    return m;
}

static struct nn_session *opened(const struct nn_model *m, const struct nn_session_options *o)
{
    struct nn_session *s;
    struct error err;
    if (nn_session_open(m, o, &s, &err))
        fail_msg("%s", err.message);
    struct nn_view x = nn_session_input(s, 0);
    for (int i = 0; i < BATCH * CHANNELS * SIZE * SIZE; i++)
        x.data[i] = noise[i % NOISE];
    return s;
}

static void forward(struct nn_session *s)
{
    struct error err;
    if (nn_session_forward(s, &err))
        fail_msg("%s", err.message);
}

/* |a - b| / |b| of output k */
static double difference(struct nn_session *a, struct nn_session *b, int k)
{
    struct nn_view u = nn_session_output(a, k), v = nn_session_output(b, k);
    double d = 0, norm = 0;
    for (int i = 0; i < BATCH * CHANNELS * SIZE * SIZE; i++) {
        d += pow((double)u.data[i] - (double)v.data[i], 2);
        norm += pow((double)v.data[i], 2);
    }
    assert_true(norm > 0);
    return sqrt(d / norm);
}

static struct nn_session_options options_of(enum nn_mode mode, bool fuse)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.mode = mode;
    o.fuse = fuse;
    o.batch = BATCH;
    return o;
}

static void same_outputs(const struct pattern *t, const struct nn_model *m, struct nn_session *a,
                         struct nn_session *b, double tolerance)
{
    forward(a);
    forward(b);
    for (int k = 0; k < nn_model_graph(m)->output_count; k++)
        if (!(difference(a, b, k) < tolerance))
            fail_msg("%s: output %d differs by %g", t->name, k, difference(a, b, k));
}

/* The second time with other parameters, in place: the folded weights follow. */
static void every_pattern(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const struct pattern *t = &patterns[i];
        struct nn_model *m = model_of(t);
        struct nn_session_options with = options_of(NN_INFER, true);
        struct nn_session_options without = options_of(NN_INFER, false);
        struct nn_session *a = opened(m, &with), *b = opened(m, &without);
        int steps = nn_session_plan(a)->step_count;
        /* Older processors have convolutions that take fewer activations. */
        if (steps < t->steps || (steps > t->steps && nn_precision_is_native(NN_PRECISION_BF16)))
            fail_msg("%s: %d steps", t->name, steps);
        same_outputs(t, m, a, b, 1e-6);
        struct nn_session *const both[] = {a, b};
        for (int s = 0; s < 2; s++) {
            for (size_t k = 0; k < nn_model_param_count(m); k += 7)
                nn_session_params(both[s])[k] *= 1.5F;
            nn_session_params_changed(both[s]);
        }
        same_outputs(t, m, a, b, 1e-6);
        nn_session_close(&a);
        nn_session_close(&b);
        nn_model_close(&m);
    }
}

static int count_type(struct nn_session *s, enum nn_type type)
{
    const struct nn_plan *p = nn_session_plan(s);
    int count = 0;
    for (int i = 0; i < p->value_count; i++)
        count += p->values[i].type == type;
    return count;
}

/* The pattern in another precision against float32. */
static void narrow(const struct pattern *t, const struct nn_model *m,
                   const struct nn_session_options *o, enum nn_type type, double tolerance)
{
    struct nn_session_options full = options_of(NN_INFER, true);
    struct nn_session *a = opened(m, o), *b = opened(m, &full);
    same_outputs(t, m, a, b, tolerance);
    bool convolves = strstr(t->graph, "conv") || strstr(t->graph, "point");
    assert_true(convolves == (count_type(a, type) > 0));
    nn_session_close(&a);
    nn_session_close(&b);
}

static void halves_of(const struct pattern *t)
{
    struct nn_model *m = model_of(t);
    struct nn_session_options half = options_of(NN_INFER, true);
    half.precision = NN_PRECISION_BF16;
    narrow(t, m, &half, NN_TYPE_BF16, 0.03);
    nn_model_close(&m);
}

/* Calibrated on both images of the batch that `opened` makes. */
static struct nn_range *ranges_of(const struct nn_model *m)
{
    struct nn_calibration *c;
    struct error err;
    struct nn_range *ranges = calloc((size_t)nn_model_graph(m)->tensor_count, sizeof *ranges);
    assert_int_equal(nn_calibration_open(m, NULL, 1, &c, &err), ST_OK);
    enum { IMAGE = CHANNELS * SIZE * SIZE };
    for (int image = 0; image < BATCH; image++) {
        for (int i = 0; i < IMAGE; i++)
            nn_calibration_input(c, 0).data[i] = noise[(image * IMAGE + i) % NOISE];
        assert_int_equal(nn_calibration_run(c, &err), ST_OK);
    }
    assert_int_equal(nn_calibration_ranges(c, NN_CLIP_MIN_MAX, 1, ranges, &err), ST_OK);
    nn_calibration_close(&c);
    return ranges;
}

static void bytes_of(const struct pattern *t)
{
    struct nn_model *m = model_of(t);
    struct nn_range *ranges = ranges_of(m);
    struct nn_session_options bytes = options_of(NN_INFER, true);
    bytes.precision = NN_PRECISION_INT8;
    bytes.ranges = ranges;
    narrow(t, m, &bytes, NN_TYPE_U8, 0.05);
    free(ranges);
    nn_model_close(&m);
}

static void each_narrow(void (*check)(const struct pattern *t))
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (!strstr(patterns[i].graph, "group") && !strstr(patterns[i].graph, "depthwise c x") &&
            !strstr(patterns[i].graph, "up "))
            check(&patterns[i]);
    for (size_t i = 0; i < sizeof more_operators / sizeof *more_operators; i++)
        check(&more_operators[i]);
}

static void bfloat16(void **state)
{
    (void)state;
    if (!nn_precision_is_native(NN_PRECISION_BF16))
        skip();
    each_narrow(halves_of);
}

static void int8(void **state)
{
    (void)state;
    if (!nn_precision_is_native(NN_PRECISION_INT8))
        skip();
    each_narrow(bytes_of);
}

/* Training sessions keep convolutions apart from what is behind them. */
static void training_is_not_fused(void **state)
{
    (void)state;
    struct nn_model *m = model_of(&patterns[1]);
    struct nn_session_options with = options_of(NN_TRAIN, true);
    struct nn_session *s = opened(m, &with);
    assert_true(nn_session_plan(s)->forward_count >= 2);
    nn_session_close(&s);
    nn_model_close(&m);
}

static int fill_noise(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 7, 0);
    for (int i = 0; i < NOISE; i++)
        noise[i] = (float)rng_normal(&r) * 0.2F;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pattern),
        cmocka_unit_test(bfloat16),
        cmocka_unit_test(int8),
        cmocka_unit_test(training_is_not_fused),
    };
    return cmocka_run_group_tests(tests, fill_noise, NULL);
}
