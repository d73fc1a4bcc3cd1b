/* What is done to a whole model: surveying what is unsupported, folding batch-norm, storing
 * float16, and what a node costs. */
#include <math.h>

#include "base/rng.h"
#include "model_check.h"
#include "nn/build.h"
#include "nn/fold_batch_norm.h"
#include "nn/inspect.h"
#include "nn/session.h"
#include "nn/survey.h"

static struct buf packed(struct nn_maker *mk)
{
    struct buf b;
    struct error err;
    buf_init(&b);
    assert_int_equal(nn_make_pack(mk, &b, &err), ST_OK);
    nn_maker_clear(mk);
    return b;
}

/* ---- survey ---- */

static void every_unsupported_node_is_named(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_survey s = {0};
    struct error err = {0};
    make_ends(&mk, "y", SHAPE(4, 1, 4, 6, 6));
    make_op(&mk, "Relu", "a", "x", NULL);
    make_op(&mk, "Einsum", "b", "a", NULL);    /* unknown operator */
    make_op(&mk, "Relu", "c", "b", NULL);      /* behind it: known by its operator */
    make_op(&mk, "LayerNorm", "d", "c", NULL); /* behind it, and unknown */
    nn_make_int(&mk, make_op(&mk, "Relu", "e", "a", NULL), "sharpness", 3); /* beside it */
    make_op(&mk, "Add", "y", "d", "e");
    struct buf b = packed(&mk);
    assert_int_equal(nn_survey_read(b.data, b.size_bytes, NULL, &s, &err), ST_OK);
    assert_int_equal(s.node_count, 6);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.unknown, 2);
    static const char *const names[] = {"b", "d", "e"}, *const ops[] = {"Einsum", "LayerNorm",
                                                                        "Relu"};
    static const int index[] = {1, 3, 4};
    for (int i = 0; i < 3; i++) {
        assert_string_equal(s.items[i].name, names[i]);
        assert_string_equal(s.items[i].op, ops[i]);
        assert_int_equal(s.items[i].node, index[i]);
        assert_non_null(strstr(s.items[i].message, ops[i]));
    }
    nn_survey_clear(&s);
    for (size_t n = 0; n < b.size_bytes; n++) { /* cut short: an error or fewer nodes, no crash */
        if (nn_survey_read(b.data, n, NULL, &s, &err) == ST_OK)
            nn_survey_clear(&s);
        else
            assert_int_equal(s.count, 0);
    }
    buf_clear(&b);
}

static void a_supported_file_has_no_items(void **state)
{
    (void)state;
    struct nn_model *m = open_case("conv");
    struct nn_survey s = {0};
    struct error err = {0};
    struct buf b;
    buf_init(&b);
    assert_int_equal(nn_model_write(m, NULL, &b, &err), ST_OK);
    assert_int_equal(nn_survey_read(b.data, b.size_bytes, NULL, &s, &err), ST_OK);
    assert_int_equal(s.count, 0);
    assert_int_equal(s.unknown, 0);
    nn_survey_clear(&s);
    assert_int_equal(nn_survey_model(m, 1, &s, &err), ST_OK);
    assert_int_equal(s.node_count, nn_model_graph(m)->node_count);
    assert_int_equal(s.count, 0);
    nn_survey_clear(&s);
    buf_clear(&b);
    nn_model_close(&m);
}

/* Reshapes that fix the batch to one can be read, but run with no other batch: each is named. */
static void nodes_that_no_session_takes_are_named(void **state)
{
    (void)state;
    static const int64_t target[] = {4, 36};
    struct nn_maker mk;
    struct nn_model *m = NULL;
    struct nn_survey s = {0};
    struct error err = {0};
    make_ends(&mk, "y", SHAPE(4, 1, 4, 6, 6));
    nn_make_i64_input(&mk, make_op(&mk, "Reshape", "a", "x", NULL), "target_a", target, 2);
    make_op(&mk, "Relu", "b", "x", NULL);
    nn_make_i64_input(&mk, make_op(&mk, "Reshape", "c", "b", NULL), "target_c", target, 2);
    make_op(&mk, "Add", "y", "a", "c");
    assert_int_equal(read_made(&mk, &m, &err), ST_OK);
    assert_int_equal(nn_survey_model(m, 1, &s, &err), ST_OK);
    assert_int_equal(s.count, 0);
    assert_int_equal(nn_survey_model(m, 2, &s, &err), ST_OK);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.items[0].name, "a");
    assert_string_equal(s.items[1].name, "c");
    assert_non_null(strstr(s.items[1].message, "batch"));
    nn_survey_clear(&s);
    nn_model_close(&m);
}

/* ---- folding ---- */

#define WEIGHTS_MAX 4096

/* Numbers that belong to the maker until it has packed: one area a test. */
struct numbers {
    float values[WEIGHTS_MAX];
    size_t used;
    struct rng rng;
};

static void weight(struct nn_maker *mk, struct numbers *n, const char *name, struct nn_shape shape,
                   float low, float high)
{
    int64_t count = 0;
    assert_true(nn_shape_count(&shape, &count) && n->used + (size_t)count <= WEIGHTS_MAX);
    float *v = n->values + n->used;
    n->used += (size_t)count;
    for (int64_t i = 0; i < count; i++)
        v[i] = low + (high - low) * rng_float(&n->rng);
    nn_make_initializer(mk, name, NN_F32, &shape, v);
}

static void norm(struct nn_maker *mk, struct numbers *n, const char *name, const char *in,
                 int64_t channels)
{
    static const char *const kinds[] = {"scale", "shift", "mean", "variance"};
    Onnx__NodeProto *node = make_op(mk, "BatchNormalization", name, in, NULL);
    for (int i = 0; i < 4; i++) {
        char tensor[64];
        snprintf(tensor, sizeof tensor, "%s.%s", name, kinds[i]);
        weight(mk, n, tensor, SHAPE(1, channels), i == 3 ? 0.1f : -1, 2);
        nn_make_input(mk, node, tensor);
    }
}

static void conv(struct nn_maker *mk, const char *op, const char *name, const char *in,
                 const char *w, const char *bias, int groups)
{
    static const int kernel[] = {3, 3}, pads[] = {1, 1, 1, 1};
    Onnx__NodeProto *node = make_op(mk, op, name, in, w);
    if (bias)
        nn_make_input(mk, node, bias);
    nn_make_ints(mk, node, "kernel_shape", kernel, 2);
    nn_make_ints(mk, node, "pads", pads, 4);
    nn_make_int(mk, node, "group", groups);
}

/* Every kind that folds (plain, with bias, grouped, transposed, weights shared by two) and those
 * that do not (its convolution is read twice; its input is no convolution). */
static struct nn_model *foldable(struct numbers *n)
{
    struct nn_maker mk;
    struct nn_model *m = NULL;
    struct error err = {0};
    n->used = 0;
    rng_init(&n->rng, 5, 0);
    make_ends(&mk, "y", SHAPE(4, 1, 4, 6, 7));
    weight(&mk, n, "shared", SHAPE(4, 4, 4, 3, 3), -0.5f, 0.5f);
    weight(&mk, n, "bias", SHAPE(1, 4), -1, 1);
    weight(&mk, n, "grouped", SHAPE(4, 8, 2, 3, 3), -0.5f, 0.5f);
    weight(&mk, n, "transposed", SHAPE(4, 8, 2, 3, 3), -0.5f, 0.5f);
    conv(&mk, "Conv", "c1", "x", "shared", "bias", 1);
    norm(&mk, n, "n1", "c1", 4);
    conv(&mk, "Conv", "c2", "n1", "shared", NULL, 1);
    norm(&mk, n, "n2", "c2", 4);
    conv(&mk, "Conv", "c3", "n2", "grouped", NULL, 2);
    norm(&mk, n, "n3", "c3", 8);
    conv(&mk, "ConvTranspose", "c4", "n3", "transposed", NULL, 2);
    norm(&mk, n, "n4", "c4", 4);
    make_op(&mk, "Relu", "r", "n4", NULL);
    norm(&mk, n, "n5", "r", 4); /* not behind a convolution */
    conv(&mk, "Conv", "c6", "n5", "shared", NULL, 1);
    norm(&mk, n, "n6", "c6", 4);
    make_op(&mk, "Add", "y", "n6", "c6"); /* c6 is read twice */
    if (read_made(&mk, &m, &err))
        fail_msg("%s", err.message);
    return m;
}

static struct nn_model *folded(const struct nn_model *m, const float *params, int expect)
{
    struct buf b;
    struct nn_model *f = NULL;
    struct error err = {0};
    int count = -1;
    buf_init(&b);
    assert_int_equal(nn_fold_batch_norm(m, params, &b, &count, &err), ST_OK);
    assert_int_equal(count, expect);
    if (nn_model_read(b.data, b.size_bytes, NULL, &f, &err))
        fail_msg("%s", err.message);
    buf_clear(&b);
    return f;
}

/* The first output for an input that is a function of the place; params NULL: the model's. */
static void run(const struct nn_model *m, const float *params, float *out, size_t room)
{
    struct nn_session *s = NULL;
    struct error err = {0};
    if (nn_session_open(m, NULL, &s, &err))
        fail_msg("%s", err.message);
    if (params) {
        memcpy(nn_session_params(s), params, nn_model_param_count(m) * sizeof *params);
        nn_session_params_changed(s);
    }
    struct nn_view x = nn_session_input(s, 0);
    for (int64_t c = 0; c < x.dim[1]; c++)
        for (int64_t i = 0; i < x.dim[2]; i++)
            for (int64_t k = 0; k < x.dim[3]; k++)
                x.data[c * x.stride[1] + i * x.stride[2] + k * x.stride[3]] =
                    sinf((float)(c * 7 + i * 3 + k));
    assert_int_equal(nn_session_forward(s, &err), ST_OK);
    struct nn_view y = nn_session_output(s, 0);
    size_t at = 0;
    for (int64_t c = 0; c < y.dim[1]; c++)
        for (int64_t i = 0; i < y.dim[2]; i++)
            for (int64_t k = 0; k < y.dim[3]; k++) {
                assert_true(at < room);
                out[at++] = y.data[c * y.stride[1] + i * y.stride[2] + k * y.stride[3]];
            }
    nn_session_close(&s);
}

static void same_answers(const struct nn_model *a, const float *params, const struct nn_model *b,
                         double tolerance)
{
    enum { ROOM = 8192 };
    float *x = calloc(2 * ROOM, sizeof *x), *y = x + ROOM;
    assert_non_null(x);
    double largest = 0, apart = 0;
    run(a, params, x, ROOM);
    run(b, NULL, y, ROOM);
    for (int i = 0; i < ROOM; i++) {
        largest = fmax(largest, fabs((double)x[i]));
        apart = fmax(apart, fabs((double)x[i] - (double)y[i]));
    }
    assert_true(largest > 0.1 && apart <= tolerance * largest);
    free(x);
}

static int count_ops(const struct nn_model *m, enum nn_op op)
{
    int count = 0;
    for (int i = 0; i < nn_model_graph(m)->node_count; i++)
        count += nn_model_graph(m)->nodes[i].op == op;
    return count;
}

static void folding_keeps_the_answer(void **state)
{
    (void)state;
    static struct numbers n;
    struct nn_model *m = foldable(&n);
    struct nn_model *f = folded(m, NULL, 4);
    assert_int_equal(count_ops(m, NN_OP_BATCH_NORM), 6);
    assert_int_equal(count_ops(f, NN_OP_BATCH_NORM), 2);
    same_answers(m, NULL, f, 1e-5);
    nn_model_close(&f);

    /* with other values than the file's */
    size_t count = nn_model_param_count(m);
    float *params = malloc(count * sizeof *params);
    assert_non_null(params);
    for (size_t i = 0; i < count; i++)
        params[i] = 0.9f * nn_model_values(m)[i] + 0.05f;
    f = folded(m, params, 4);
    same_answers(m, params, f, 1e-5);
    free(params);
    nn_model_close(&f);
    nn_model_close(&m);
}

static void folding_a_network_without_batch_norm_changes_nothing(void **state)
{
    (void)state;
    struct nn_model *m = open_case("conv"), *f = folded(m, NULL, 0);
    assert_int_equal(nn_model_graph(m)->node_count, nn_model_graph(f)->node_count);
    assert_int_equal(nn_model_param_count(m), nn_model_param_count(f));
    assert_memory_equal(nn_model_values(m), nn_model_values(f),
                        nn_model_param_count(m) * sizeof(float));
    nn_model_close(&m);
    nn_model_close(&f);
}

/* ---- float16 ---- */

static void float16_keeps_names_roles_and_eleven_bits(void **state)
{
    (void)state;
    static struct numbers n;
    struct nn_model *m = foldable(&n), *h = NULL;
    struct error err = {0};
    struct buf b;
    buf_init(&b);
    assert_int_equal(nn_model_write_half(m, NULL, &b, &err), ST_OK);
    assert_int_equal(nn_model_read(b.data, b.size_bytes, NULL, &h, &err), ST_OK);
    const struct nn_graph *g = nn_model_graph(m), *k = nn_model_graph(h);
    assert_int_equal(g->node_count, k->node_count); /* Cast is read as a name */
    assert_int_equal(g->param_count, k->param_count);
    assert_int_equal(nn_model_trainable_count(m), nn_model_trainable_count(h));
    for (int i = 0; i < g->param_count; i++)
        assert_string_equal(g->params[i].name, k->params[i].name);
    for (size_t i = 0; i < nn_model_param_count(m); i++) {
        double x = (double)nn_model_values(m)[i], y = (double)nn_model_values(h)[i];
        double step = i < nn_model_trainable_count(m) ? fabs(x) * 0x1p-11 + 0x1p-25 : 0;
        assert_true(fabs(x - y) <= step);
    }
    float *params = malloc(nn_model_param_count(m) * sizeof *params);
    assert_non_null(params);
    memcpy(params, nn_model_values(m), nn_model_param_count(m) * sizeof *params);
    params[3] = 1e6f;
    assert_int_equal(nn_model_write_half(m, params, &b, &err), ST_INVALID);
    params[3] = NAN;
    assert_int_equal(nn_model_write_half(m, params, &b, &err), ST_INVALID);
    free(params);
    buf_clear(&b);
    nn_model_close(&m);
    nn_model_close(&h);
}

/* ---- costs ---- */

static void nodes_add_up_to_the_model(void **state)
{
    (void)state;
    static struct numbers n;
    struct nn_model *m = foldable(&n); /* shared weights count once */
    struct error err = {0};
    json_t *list = NULL, *row;
    size_t i;
    double flops = 0;
    json_int_t trainable = 0, statistics = 0;
    assert_int_equal(nn_inspect_nodes_json(m, &list, &err), ST_OK);
    assert_int_equal(json_array_size(list), nn_model_graph(m)->node_count);
    json_array_foreach(list, i, row)
    {
        flops += json_number_value(json_object_get(row, "flops"));
        trainable += json_integer_value(json_object_get(row, "parameters"));
        statistics += json_integer_value(json_object_get(row, "statistics"));
    }
    assert_true(flops == nn_model_flops(m));
    /* three 3x3 of 4 to 4, of 4 to 8 and of 8 to 4 in two groups, on 6x7; transposed: by input */
    assert_true(flops == 2.0 * 42 * 9 * (3 * 4 * 4 + 8 * 2 + 8 * 2));
    assert_int_equal(trainable, nn_model_trainable_count(m));
    assert_int_equal(trainable + statistics, nn_model_param_count(m));
    /* x, c1 n1 c2 n2 with 4 channels, c3 n3 with 8, c4 n4 r n5 c6 n6 y with 4; each 6x7 floats */
    assert_true(nn_activation_bytes(m, 1) == 4.0 * 42 * (4 * 5 + 8 * 2 + 4 * 7));
    assert_true(nn_activation_bytes(m, 3) == 3 * nn_activation_bytes(m, 1));
    json_decref(list);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unsupported_node_is_named),
        cmocka_unit_test(a_supported_file_has_no_items),
        cmocka_unit_test(nodes_that_no_session_takes_are_named),
        cmocka_unit_test(folding_keeps_the_answer),
        cmocka_unit_test(folding_a_network_without_batch_norm_changes_nothing),
        cmocka_unit_test(float16_keeps_names_roles_and_eleven_bits),
        cmocka_unit_test(nodes_add_up_to_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
