/* Reading ONNX: shapes and folded constants against another runtime's (tests/data/onnx, made by
 * tools/make_model_cases.py), attributes, roles of initialisers, names, batches. */
#include <math.h>

#include "model_check.h"

static void check_shape(const struct nn_model *m, const char *name, const char *dims)
{
    const struct nn_tensor *t = find_tensor(m, name);
    char text[128] = "";
    if (!t)
        fail_msg("no tensor '%s'", name);
    for (int i = 0; i < t->rank; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%lld", i ? "," : "",
                 (long long)t->dim[i]);
    if (strcmp(t->rank ? text : "-", dims) != 0)
        fail_msg("'%s' has dims %s, expected %s", name, text, dims);
}

static void check_values(const struct nn_model *m, const char *name, char *values)
{
    const struct nn_tensor *t = find_tensor(m, name);
    bool param = t && t->kind == NN_TENSOR_PARAM; /* an initialiser that was cast trains */
    if (!t || (t->kind != NN_TENSOR_CONSTANT && !param) || t->dtype != NN_F32)
        fail_msg("'%s' is no float constant", name);
    const float *data =
        param ? nn_model_values(m) + nn_model_graph(m)->params[t->param].offset : t->data;
    int64_t count = 0, want = 1;
    char *save = NULL;
    for (int i = 0; i < t->rank; i++)
        want *= t->dim[i];
    for (char *v = strtok_r(values, ",", &save); v; v = strtok_r(NULL, ",", &save)) {
        assert_true(count < want);
        float expected = strtof(v, NULL), got = data[count++];
        if (expected != got)
            fail_msg("'%s'[%d] is %.9g, expected %.9g", name, (int)count - 1, (double)got,
                     (double)expected);
    }
    assert_int_equal(count, want);
}

static void agrees_with_another_runtime(void **state)
{
    (void)state;
    char path[512], line[4096], open[64] = "";
    struct nn_model *m = NULL;
    int lines = 0;
    snprintf(path, sizeof path, "%s/onnx/expected.txt", getenv("ATTUNE_TEST_DATA"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char kind[8], file[64], tensor[64];
        int at = 0;
        assert_int_equal(sscanf(line, "%7s %63s %63s %n", kind, file, tensor, &at), 3);
        line[strcspn(line, "\n")] = 0;
        if (strcmp(file, open) != 0) {
            nn_model_close(&m);
            m = open_case(file);
            snprintf(open, sizeof open, "%s", file);
        }
        if (strcmp(kind, "shape") == 0)
            check_shape(m, tensor, line + at);
        else
            check_values(m, tensor, line + at);
        lines++;
    }
    fclose(f);
    nn_model_close(&m);
    assert_true(lines > 200);
}

static void attributes_are_resolved(void **state)
{
    (void)state;
    struct nn_model *m = open_case("conv");
    const struct nn_node *n = find_node(m, "n_same_upper");
    /* 11 high: 6 windows of stride 2 reach 13, so 1 on each side; 13 wide: 7 reach 15. */
    assert_int_equal(n->a.window.pad[0], 1);
    assert_int_equal(n->a.window.pad[2], 1);
    n = find_node(m, "n_plain");
    assert_int_equal(n->op, NN_OP_CONV);
    assert_int_equal(n->a.window.dilation[1], 1);
    assert_int_equal(n->a.window.groups, 1);
    assert_int_equal(find_node(m, "n_no_attributes")->a.window.kernel[0], 3);
    assert_int_equal(find_node(m, "n_asymmetric")->a.window.pad[3], 3);
    nn_model_close(&m);
    m = open_case("old");
    n = find_node(m, "n_bigger");
    assert_int_equal(n->op, NN_OP_RESIZE);
    assert_int_equal(n->a.resize.mode, NN_RESIZE_NEAREST);
    assert_int_equal(n->a.resize.coordinates, NN_RESIZE_ASYMMETRIC);
    assert_int_equal(n->a.resize.nearest, NN_NEAREST_FLOOR);
    assert_true(n->a.resize.scale[0] == 2 && n->a.resize.scale[1] == 3);
    assert_true(find_node(m, "n_relu6")->a.clip.max == 6);
    /* Softmax over two dims before opset 13 is a Reshape on each side. */
    assert_int_equal(find_node(m, "n_softmax_flat2")->op, NN_OP_RESHAPE);
    assert_int_equal(find_node(m, "n_softmax_last")->op, NN_OP_SOFTMAX);
    nn_model_close(&m);
}

static void slices_keep_their_direction(void **state)
{
    (void)state;
    struct nn_model *m = open_case("move");
    const struct nn_node *n = find_node(m, "n_flipped");
    assert_int_equal(n->a.slice.start[3], 7);
    assert_int_equal(n->a.slice.step[3], -1);
    assert_int_equal(n->a.slice.step[1], 1);
    n = find_node(m, "n_odd_rows");
    assert_int_equal(n->a.slice.start[2], 1);
    assert_int_equal(n->a.slice.step[2], 2);
    n = find_node(m, "n_columns");
    const struct nn_tensor *index = &nn_model_graph(m)->tensors[n->input[1]];
    assert_int_equal(((const int64_t *)index->data)[3], 7); /* -1 of 8 */
    nn_model_close(&m);
}

static void roles_of_initialisers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum nn_param_kind kind; /* 0: constant */
    } want[] = {
        {"scale", NN_PARAM_TRAINABLE},
        {"shift", NN_PARAM_TRAINABLE},
        {"mean", NN_PARAM_STATISTIC},
        {"variance", NN_PARAM_STATISTIC},
        {"slope", NN_PARAM_TRAINABLE},
        {"slope1", NN_PARAM_TRAINABLE},
        {"bias", NN_PARAM_TRAINABLE},
        {"gain", NN_PARAM_TRAINABLE},
        {"offset", 0},
        {"two", 0},
        {"grid", 0},
        {"right", NN_PARAM_TRAINABLE},
        {"left", NN_PARAM_TRAINABLE},
        {"wt", NN_PARAM_TRAINABLE},
        {"wb", NN_PARAM_TRAINABLE},
    };
    struct nn_model *m = open_case("math");
    const struct nn_graph *g = nn_model_graph(m);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct nn_tensor *t = find_tensor(m, want[i].name);
        assert_non_null(t);
        assert_int_equal(t->kind, want[i].kind ? NN_TENSOR_PARAM : NN_TENSOR_CONSTANT);
        assert_true((t->data == NULL) == (want[i].kind != 0));
        if (want[i].kind)
            assert_int_equal(g->params[t->param].kind, want[i].kind);
    }
    nn_model_close(&m);
}

static void the_vector_is_gapless_and_ordered(void **state)
{
    (void)state;
    struct nn_model *m = open_case("math");
    const struct nn_graph *g = nn_model_graph(m);
    size_t at = 0;
    bool statistics = false;
    for (int i = 0; i < g->param_count; i++) {
        assert_int_equal(g->params[i].offset, at);
        assert_int_equal(g->tensors[g->params[i].tensor].param, i);
        at += g->params[i].count;
        statistics = statistics || g->params[i].kind == NN_PARAM_STATISTIC;
        assert_int_equal(statistics, g->params[i].kind == NN_PARAM_STATISTIC);
        if (g->params[i].kind == NN_PARAM_TRAINABLE)
            assert_int_equal(nn_model_trainable_count(m) >= at, true);
    }
    assert_int_equal(nn_model_param_count(m), at);
    assert_int_equal(nn_model_trainable_count(m), at - 8);
    const struct nn_tensor *variance = find_tensor(m, "variance");
    for (int i = 0; i < 4; i++)
        assert_true(nn_model_values(m)[g->params[variance->param].offset + (size_t)i] == i + 1);
    assert_int_equal(strlen(nn_model_identity_hex(m)), 64);
    nn_model_close(&m);
}

/* Exporters merge equal tensors: an all-zero shift and mean are one initialiser. */
static void a_shared_initialiser_is_split_by_kind(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_model *m;
    struct error err;
    make_ends(&mk, "b", SHAPE(4, 1, 4, 2, 2));
    make_weight(&mk, "w", SHAPE(1, 4));
    for (int i = 0; i < 2; i++) {
        Onnx__NodeProto *n = make_op(&mk, "BatchNormalization", i ? "b" : "a", i ? "a" : "x", NULL);
        for (int k = 0; k < 4; k++)
            nn_make_input(&mk, n, "w");
    }
    assert_int_equal(read_made(&mk, &m, &err), ST_OK);
    assert_int_equal(nn_model_graph(m)->param_count, 2);
    assert_int_equal(nn_model_param_count(m), 8);
    assert_int_equal(nn_model_trainable_count(m), 4);
    const struct nn_node *a = find_node(m, "a"), *b = find_node(m, "b");
    assert_int_equal(a->input[1], a->input[2]);
    assert_int_equal(a->input[3], b->input[4]);
    assert_true(a->input[1] != a->input[3]);
    nn_model_close(&m);
}

/* A weight that another operator only turned is still a weight; a Constant's value is not. */
static void what_comes_from_an_initialiser_trains(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_model *m;
    struct error err;
    struct nn_shape square = SHAPE(2, 3, 3);
    const int perm[] = {1, 0};
    make_ends(&mk, "c", SHAPE(2, 1, 3));
    make_weight(&mk, "w", square);
    nn_make_constant(&mk, "fixed", NN_F32, &square, model_zeros);
    nn_make_ints(&mk, make_op(&mk, "Transpose", "turned", "w", NULL), "perm", perm, 2);
    make_op(&mk, "Identity", "same", "turned", NULL);
    make_op(&mk, "MatMul", "a", "x", "same");
    make_op(&mk, "MatMul", "b", "a", "fixed");
    make_op(&mk, "Relu", "c", "b", NULL);
    assert_int_equal(read_made(&mk, &m, &err), ST_OK);
    assert_int_equal(find_tensor(m, "turned")->kind, NN_TENSOR_PARAM);
    assert_int_equal(find_tensor(m, "fixed")->kind, NN_TENSOR_CONSTANT);
    assert_null(find_tensor(m, "w"));
    assert_int_equal(nn_model_graph(m)->node_count, 3);
    nn_model_close(&m);
}

static void unused_nodes_and_weights_go(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_model *m;
    struct error err;
    make_ends(&mk, "y", SHAPE(4, 1, 2, 3, 3));
    make_weight(&mk, "w", SHAPE(4, 2, 2, 1, 1));
    make_op(&mk, "Conv", "dead", "x", "w");
    make_op(&mk, "Relu", "dead2", "dead", NULL);
    make_op(&mk, "Relu", "y", "x", NULL);
    assert_int_equal(read_made(&mk, &m, &err), ST_OK);
    assert_int_equal(nn_model_graph(m)->node_count, 1);
    assert_int_equal(nn_model_graph(m)->tensor_count, 2);
    assert_int_equal(nn_model_param_count(m), 0);
    assert_int_equal(nn_model_bn_form(m), NN_BN_NONE);
    nn_model_close(&m);
}

/* Outputs keep their names through aliases, also twice and of an input. */
static void outputs_keep_their_names(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_model *m;
    struct error err;
    struct nn_shape s = SHAPE(4, 1, 2, 3, 3);
    make_ends(&mk, "named", s);
    nn_make_graph_output(&mk, "r", &s);
    nn_make_graph_output(&mk, "input_too", &s);
    make_op(&mk, "Relu", "r", "x", NULL);
    make_op(&mk, "Identity", "named", "r", NULL);
    make_op(&mk, "Identity", "input_too", "x", NULL);
    assert_int_equal(read_made(&mk, &m, &err), ST_OK);
    const struct nn_graph *g = nn_model_graph(m);
    assert_int_equal(g->output_count, 3);
    assert_string_equal(g->tensors[g->outputs[0]].name, "named");
    assert_string_equal(g->tensors[g->outputs[1]].name, "r");
    assert_string_equal(g->tensors[g->outputs[2]].name, "input_too");
    assert_true(g->outputs[0] != g->outputs[1]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(g->tensors[g->outputs[i]].kind, NN_TENSOR_ACTIVATION);
    nn_model_close(&m);
}

static void the_batch_is_followed(void **state)
{
    (void)state;
    struct nn_model *m = open_case("move");
    assert_true(find_tensor(m, "shuffled")->batched);
    assert_true(find_tensor(m, "channel")->batched);
    assert_false(find_tensor(m, "reversed")->batched);
    assert_false(find_tensor(m, "flat_m1")->batched);
    int blocker = nn_model_batch_blocker(m);
    assert_true(blocker >= 0);
    assert_false(nn_model_graph(m)->tensors[nn_model_graph(m)->nodes[blocker].output[0]].batched);
    nn_model_close(&m);
    m = open_case("conv");
    assert_int_equal(nn_model_batch_blocker(m), -1);
    nn_model_close(&m);
}

/* 2 * outputs * inputs of each: 6x11x13 outputs of 4x3x3 inputs. */
static void flops_of_a_convolution(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_model *m;
    struct error err;
    const int pads[] = {1, 1, 1, 1};
    make_ends(&mk, "y", SHAPE(4, 1, 4, 11, 13));
    make_weight(&mk, "w", SHAPE(4, 6, 4, 3, 3));
    make_weight(&mk, "b", SHAPE(1, 6));
    Onnx__NodeProto *n = make_op(&mk, "Conv", "y", "x", "w");
    nn_make_input(&mk, n, "b");
    nn_make_ints(&mk, n, "pads", pads, 4);
    assert_int_equal(read_made(&mk, &m, &err), ST_OK);
    assert_true(nn_model_flops(m) == 2.0 * 6 * 11 * 13 * 4 * 3 * 3);
    assert_int_equal(nn_model_bn_form(m), NN_BN_FOLDED);
    nn_model_close(&m);
}

static void options_replace_the_input_size(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_model *m;
    struct error err;
    struct buf b;
    buf_init(&b);
    make_ends(&mk, "y", SHAPE(4, 1, 3, 0, 0)); /* dims of 0 are not fixed */
    make_op(&mk, "Relu", "y", "x", NULL);
    assert_int_equal(nn_make_pack(&mk, &b, &err), ST_OK);
    assert_int_equal(nn_model_read(b.data, b.size_bytes, NULL, &m, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "give the height and width"));
    struct nn_model_options options = {.height = 12, .width = 34};
    assert_int_equal(nn_model_read(b.data, b.size_bytes, &options, &m, &err), ST_OK);
    check_shape(m, "y", "1,3,12,34");
    nn_model_close(&m);
    nn_maker_clear(&mk);
    buf_clear(&b);
}

/* As exporters before IR version 4 do. */
static void initialisers_may_be_listed_as_inputs(void **state)
{
    (void)state;
    struct nn_maker mk;
    struct nn_model *m;
    struct error err;
    struct nn_shape w = SHAPE(4, 3, 3, 1, 1);
    make_ends(&mk, "y", SHAPE(4, 1, 3, 2, 2));
    nn_make_graph_input(&mk, "w", &w);
    make_weight(&mk, "w", w);
    make_op(&mk, "Conv", "y", "x", "w");
    assert_int_equal(read_made(&mk, &m, &err), ST_OK);
    assert_int_equal(nn_model_graph(m)->input_count, 1);
    assert_int_equal(nn_model_param_count(m), 9);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_another_runtime),
        cmocka_unit_test(attributes_are_resolved),
        cmocka_unit_test(slices_keep_their_direction),
        cmocka_unit_test(roles_of_initialisers),
        cmocka_unit_test(the_vector_is_gapless_and_ordered),
        cmocka_unit_test(a_shared_initialiser_is_split_by_kind),
        cmocka_unit_test(what_comes_from_an_initialiser_trains),
        cmocka_unit_test(unused_nodes_and_weights_go),
        cmocka_unit_test(outputs_keep_their_names),
        cmocka_unit_test(the_batch_is_followed),
        cmocka_unit_test(flops_of_a_convolution),
        cmocka_unit_test(options_replace_the_input_size),
        cmocka_unit_test(initialisers_may_be_listed_as_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
