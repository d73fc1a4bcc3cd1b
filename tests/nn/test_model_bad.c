/* Bad files: each gives the right status and a sentence that names the node or tensor. */
#include "base/file.h"
#include "model_check.h"

static struct nn_shape input_shape(void)
{
    return SHAPE(4, 1, 4, 6, 6);
}

/* Reads what was made; expects the status and every word of the message. */
static void expect(struct nn_maker *mk, enum status want, const char *word, const char *other)
{
    struct nn_model *m = NULL;
    struct error err = {0};
    enum status st = read_made(mk, &m, &err);
    nn_model_close(&m);
    if (st != want || !strstr(err.message, word) || !strstr(err.message, other))
        fail_msg("status %d (expected %d), message '%s' (expected '%s' and '%s')", (int)st,
                 (int)want, err.message, word, other);
}

static void unknown_operator(void **state)
{
    (void)state;
    struct nn_maker mk;
    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Einsum", "y", "x", NULL);
    expect(&mk, ST_UNSUPPORTED, "node 'y' (Einsum)", "not supported");
    make_ends(&mk, "y", input_shape());
    char domain[] = "com.example";
    make_op(&mk, "Relu", "y", "x", NULL)->domain = domain;
    expect(&mk, ST_UNSUPPORTED, "node 'y'", "com.example");
}

static void unknown_attribute(void **state)
{
    (void)state;
    struct nn_maker mk;
    make_ends(&mk, "y", input_shape());
    nn_make_int(&mk, make_op(&mk, "Relu", "y", "x", NULL), "sharpness", 3);
    expect(&mk, ST_UNSUPPORTED, "node 'y' (Relu)", "sharpness");
}

static void wrong_attribute(void **state)
{
    (void)state;
    struct nn_maker mk;
    make_ends(&mk, "y", input_shape());
    nn_make_int(&mk, make_op(&mk, "LeakyRelu", "y", "x", NULL), "alpha", 3);
    expect(&mk, ST_FORMAT, "node 'y' (LeakyRelu)", "alpha");

    make_ends(&mk, "y", input_shape());
    nn_make_string(&mk, make_op(&mk, "Pad", "y", "x", NULL), "mode", "reflect");
    expect(&mk, ST_UNSUPPORTED, "mode", "reflect");

    make_ends(&mk, "y", input_shape());
    nn_make_int(&mk, make_op(&mk, "Concat", "y", "x", "x"), "axis", 4);
    expect(&mk, ST_FORMAT, "axis 4", "rank 4");

    const int kernel[] = {3, 3, 3};
    make_ends(&mk, "y", input_shape());
    nn_make_ints(&mk, make_op(&mk, "MaxPool", "y", "x", NULL), "kernel_shape", kernel, 3);
    expect(&mk, ST_UNSUPPORTED, "node 'y' (MaxPool)", "two dimensions");

    const int zero[] = {0, 1}, two[] = {2, 2};
    make_ends(&mk, "y", input_shape());
    Onnx__NodeProto *n = make_op(&mk, "MaxPool", "y", "x", NULL);
    nn_make_ints(&mk, n, "kernel_shape", two, 2);
    nn_make_ints(&mk, n, "strides", zero, 2);
    expect(&mk, ST_UNSUPPORTED, "strides", "0");
}

static void missing_and_cyclic_inputs(void **state)
{
    (void)state;
    struct nn_maker mk;
    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Relu", "y", "nowhere", NULL);
    expect(&mk, ST_FORMAT, "node 'y' (Relu)", "nowhere");

    make_ends(&mk, "b", input_shape());
    make_op(&mk, "Add", "a", "x", "b");
    make_op(&mk, "Relu", "b", "a", NULL);
    expect(&mk, ST_FORMAT, "node 'a' (Add)", "'b'");

    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Relu", "y", "y", NULL);
    expect(&mk, ST_FORMAT, "node 'y' (Relu)", "'y'");

    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Add", "y", "x", NULL);
    expect(&mk, ST_FORMAT, "node 'y' (Add)", "1 inputs");

    make_ends(&mk, "nothing", input_shape());
    make_op(&mk, "Relu", "y", "x", NULL);
    expect(&mk, ST_FORMAT, "output 'nothing'", "no node");

    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Relu", "y", "x", NULL);
    make_op(&mk, "Sigmoid", "y", "x", NULL);
    expect(&mk, ST_FORMAT, "'y'", "twice");
}

static void shapes_that_do_not_fit(void **state)
{
    (void)state;
    struct nn_maker mk;
    make_ends(&mk, "y", input_shape());
    make_weight(&mk, "w", SHAPE(4, 8, 3, 3, 3));
    make_op(&mk, "Conv", "y", "x", "w");
    expect(&mk, ST_FORMAT, "node 'y' (Conv)", "4 channels");

    make_ends(&mk, "y", input_shape());
    make_weight(&mk, "w", SHAPE(4, 8, 4, 7, 7));
    make_op(&mk, "Conv", "y", "x", "w");
    expect(&mk, ST_FORMAT, "node 'y' (Conv)", "larger");

    make_ends(&mk, "y", input_shape());
    make_weight(&mk, "w", SHAPE(2, 5, 6));
    make_op(&mk, "Add", "y", "x", "w");
    expect(&mk, ST_FORMAT, "[1,4,6,6]", "[5,6]");

    const int64_t target[] = {1, -1, 7};
    make_ends(&mk, "y", input_shape());
    Onnx__NodeProto *n = make_op(&mk, "Reshape", "y", "x", NULL);
    nn_make_i64_input(&mk, n, "t", target, 3);
    expect(&mk, ST_FORMAT, "node 'y' (Reshape)", "-1");

    make_ends(&mk, "y", input_shape());
    make_weight(&mk, "w", SHAPE(3, 4, 6, 1));
    make_op(&mk, "PRelu", "y", "x", "w");
    expect(&mk, ST_UNSUPPORTED, "slope", "[4,6,1]");
}

static void functions_and_blocks(void **state)
{
    (void)state;
    struct nn_maker mk;
    const int twice[] = {2, -2};
    make_ends(&mk, "y", input_shape());
    nn_make_ints(&mk, make_op(&mk, "ReduceMean", "y", "x", NULL), "axes", twice, 2);
    expect(&mk, ST_FORMAT, "node 'y' (ReduceMean)", "axis -2 is named twice");

    make_ends(&mk, "y", input_shape());
    nn_make_int(&mk, make_op(&mk, "DepthToSpace", "y", "x", NULL), "blocksize", 3);
    expect(&mk, ST_FORMAT, "node 'y' (DepthToSpace)", "4 channels do not divide by 9");

    make_ends(&mk, "y", input_shape());
    nn_make_int(&mk, make_op(&mk, "SpaceToDepth", "y", "x", NULL), "blocksize", 0);
    expect(&mk, ST_UNSUPPORTED, "node 'y' (SpaceToDepth)", "blocksize 0");

    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Pow", "y", "x", "x");
    expect(&mk, ST_UNSUPPORTED, "node 'y' (Pow)", "constant");
}

static void computed_where_constant_is_needed(void **state)
{
    (void)state;
    struct nn_maker mk;
    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Reshape", "y", "x", "x");
    expect(&mk, ST_UNSUPPORTED, "node 'y' (Reshape)", "constant");
    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Conv", "y", "x", "x");
    expect(&mk, ST_UNSUPPORTED, "node 'y' (Conv)", "constant");
    make_ends(&mk, "y", input_shape());
    make_op(&mk, "Floor", "y", "x", NULL);
    expect(&mk, ST_UNSUPPORTED, "node 'y' (Floor)", "constant");
}

/* A tensor whose dims ask for far more than the file has is refused before it is allocated. */
static void dims_without_values(void **state)
{
    (void)state;
    struct nn_maker mk;
    make_ends(&mk, "y", input_shape());
    make_weight(&mk, "w", SHAPE(1, 4));
    mk.graph.initializer[0]->dims[0] = 1 << 28;
    make_op(&mk, "Add", "y", "x", "w");
    expect(&mk, ST_FORMAT, "tensor 'w'", "4 values");

    make_ends(&mk, "y", input_shape());
    make_weight(&mk, "w", SHAPE(2, 2, 2));
    mk.graph.initializer[0]->dims[0] = INT64_MAX;
    make_op(&mk, "Add", "y", "x", "w");
    expect(&mk, ST_LIMIT, "tensor 'w'", "dims");

    make_ends(&mk, "y", input_shape());
    make_weight(&mk, "w", SHAPE(1, 4));
    mk.graph.initializer[0]->has_data_location = true;
    mk.graph.initializer[0]->data_location = 1;
    make_op(&mk, "Add", "y", "x", "w");
    expect(&mk, ST_UNSUPPORTED, "tensor 'w'", "another file");

    make_ends(&mk, "y", input_shape());
    make_weight(&mk, "w", SHAPE(1, 4));
    mk.graph.initializer[0]->data_type = 8;
    make_op(&mk, "Add", "y", "x", "w");
    expect(&mk, ST_UNSUPPORTED, "tensor 'w'", "element type 8");
}

/* Folding may not grow a small file without bound: 2^29 elements, four times over. */
static void folding_is_bounded(void **state)
{
    (void)state;
    struct nn_maker mk;
    const int64_t dims[] = {1 << 15, 1 << 14};
    make_ends(&mk, "y", input_shape());
    Onnx__NodeProto *n = make_op(&mk, "ConstantOfShape", "c", NULL, NULL);
    nn_make_i64_input(&mk, n, "dims", dims, 2);
    make_op(&mk, "Relu", "y", "x", NULL);
    expect(&mk, ST_LIMIT, "node 'c' (ConstantOfShape)", "too large");
}

static void opsets(void **state)
{
    (void)state;
    struct nn_maker mk;
    for (int i = 0; i < 2; i++) {
        make_ends(&mk, "y", input_shape());
        mk.opset.version = i ? 99 : 6;
        make_op(&mk, "Relu", "y", "x", NULL);
        expect(&mk, ST_UNSUPPORTED, i ? "operator set 99" : "operator set 6", "export with");
    }
}

/* Every prefix and every single damaged byte of a file: a clean error or a model, never worse. */
static void truncated_and_damaged(void **state)
{
    (void)state;
    char path[512];
    struct buf b;
    struct error err;
    struct nn_model *m;
    int refused = 0;
    buf_init(&b);
    snprintf(path, sizeof path, "%s/onnx/old.onnx", getenv("ATTUNE_TEST_DATA"));
    assert_int_equal(file_read(path, 1 << 20, &b, &err), ST_OK);
    for (size_t n = 0; n < b.size_bytes; n++) {
        uint8_t *prefix = malloc(n + 1); /* exact size, for the address sanitizer */
        assert_non_null(prefix);
        memcpy(prefix, b.data, n);
        enum status st = nn_model_read(prefix, n, NULL, &m, &err);
        refused += st != ST_OK;
        assert_true(st == ST_OK || (m == NULL && err.message[0]));
        nn_model_close(&m);
        free(prefix);
    }
    assert_true(refused >= (int)b.size_bytes - 32);
    for (size_t i = 0; i < b.size_bytes; i++) {
        uint8_t keep = b.data[i];
        b.data[i] = (uint8_t)(keep ^ (1 << (i % 8)));
        enum status st = nn_model_read(b.data, b.size_bytes, NULL, &m, &err);
        assert_true((st == ST_OK) == (m != NULL));
        nn_model_close(&m);
        b.data[i] = keep;
    }
    buf_clear(&b);
}

static void not_a_model(void **state)
{
    (void)state;
    struct nn_model *m;
    struct error err;
    assert_int_equal(nn_model_read("", 0, NULL, &m, &err), ST_FORMAT);
    assert_int_equal(nn_model_read("GIF89a, surely", 14, NULL, &m, &err), ST_FORMAT);
    assert_int_equal(nn_model_open("/nonexistent/model.onnx", NULL, &m, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent/model.onnx"));
    nn_model_close(&m);
    nn_model_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_operator),
        cmocka_unit_test(unknown_attribute),
        cmocka_unit_test(wrong_attribute),
        cmocka_unit_test(missing_and_cyclic_inputs),
        cmocka_unit_test(shapes_that_do_not_fit),
        cmocka_unit_test(functions_and_blocks),
        cmocka_unit_test(computed_where_constant_is_needed),
        cmocka_unit_test(dims_without_values),
        cmocka_unit_test(folding_is_bounded),
        cmocka_unit_test(opsets),
        cmocka_unit_test(truncated_and_damaged),
        cmocka_unit_test(not_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
