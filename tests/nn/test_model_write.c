/* Writing: read(write(m)) is m, for every file of tests/data/onnx and for built networks; what a
 * built network has; what inspection tells. */
#include <math.h>

#include "model_check.h"
#include "nn/build.h"
#include "nn/inspect.h"
#include "nn/onnx.h"

static void same_node(const struct nn_graph *g, const struct nn_node *a, const struct nn_node *b)
{
    assert_int_equal(a->op, b->op);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->input_count, b->input_count);
    assert_int_equal(a->output_count, b->output_count);
    assert_memory_equal(a->input, b->input, sizeof a->input);
    assert_memory_equal(a->output, b->output, sizeof a->output);
    if (memcmp(&a->a, &b->a, sizeof a->a) != 0)
        fail_msg("attributes of node '%s' of %d", a->name, g->node_count);
}

static void same_tensor(const struct nn_tensor *a, const struct nn_tensor *b)
{
    size_t count = 1;
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->dim, b->dim, sizeof a->dim);
    assert_int_equal(a->batched, b->batched);
    assert_int_equal(a->param, b->param);
    assert_int_equal(a->producer, b->producer);
    for (int i = 0; i < a->rank; i++)
        count *= (size_t)a->dim[i];
    if (a->data)
        assert_memory_equal(a->data, b->data, count * (a->dtype == NN_F32 ? 4 : 8));
}

static void same_model(const struct nn_model *a, const struct nn_model *b)
{
    const struct nn_graph *g = nn_model_graph(a), *h = nn_model_graph(b);
    assert_int_equal(g->node_count, h->node_count);
    assert_int_equal(g->tensor_count, h->tensor_count);
    assert_int_equal(g->param_count, h->param_count);
    assert_int_equal(g->input_count, h->input_count);
    assert_int_equal(g->output_count, h->output_count);
    for (int i = 0; i < g->node_count; i++)
        same_node(g, &g->nodes[i], &h->nodes[i]);
    for (int i = 0; i < g->tensor_count; i++)
        same_tensor(&g->tensors[i], &h->tensors[i]);
    for (int i = 0; i < g->output_count; i++)
        assert_int_equal(g->outputs[i], h->outputs[i]);
    assert_int_equal(nn_model_trainable_count(a), nn_model_trainable_count(b));
    assert_int_equal(nn_model_bn_form(a), nn_model_bn_form(b));
    assert_true(nn_model_flops(a) == nn_model_flops(b));
}

static struct nn_model *rewritten(const struct nn_model *m, const float *params)
{
    struct buf b;
    struct error err = {0};
    struct nn_model *again = NULL;
    buf_init(&b);
    assert_int_equal(nn_model_write(m, params, &b, &err), ST_OK);
    if (nn_model_read(b.data, b.size_bytes, NULL, &again, &err))
        fail_msg("%s", err.message);
    buf_clear(&b);
    return again;
}

static void reading_what_was_written(void **state)
{
    (void)state;
    static const char *const names[] = {
        "conv",     "conv_transpose", "fold",     "math",  "move",     "old",     "pool",
        "resize10", "resize11",       "resize13", "typed", "function", "reduce18"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct nn_model *m = open_case(names[i]), *again = rewritten(m, NULL);
        same_model(m, again);
        assert_memory_equal(nn_model_values(m), nn_model_values(again),
                            nn_model_param_count(m) * sizeof(float));
        nn_model_close(&m);
        nn_model_close(&again);
    }
}

/* The written input's first dim: "batch" where no node ties the model to one image. */
static void expect_batch(const char *name, const char *param, int64_t value)
{
    struct nn_model *m = open_case(name);
    struct buf b;
    struct error err = {0};
    Onnx__ModelProto *p = NULL;
    buf_init(&b);
    assert_int_equal(nn_model_write(m, NULL, &b, &err), ST_OK);
    assert_int_equal(nn_onnx_unpack(b.data, b.size_bytes, &p, &err), ST_OK);
    const Onnx__DimensionProto *dim = p->graph->input[0]->type->tensor_type->shape->dim[0];
    assert_string_equal(nn_onnx_text(dim->dim_param), param);
    assert_int_equal(dim->dim_value, value);
    nn_onnx_free(p);
    buf_clear(&b);
    nn_model_close(&m);
}

static void an_open_batch_is_written(void **state)
{
    (void)state;
    expect_batch("pool", "batch", 0);
    expect_batch("move", "", 1); /* a Transpose takes it away from the front */
}

static void other_parameters_are_written(void **state)
{
    (void)state;
    struct nn_model *m = open_case("math");
    size_t n = nn_model_param_count(m);
    float *params = malloc(n * sizeof *params);
    assert_non_null(params);
    for (size_t i = 0; i < n; i++)
        params[i] = (float)i + 0.25f;
    struct nn_model *again = rewritten(m, params);
    assert_memory_equal(nn_model_values(again), params, n * sizeof *params);
    same_model(m, again);
    assert_true(strcmp(nn_model_identity_hex(m), nn_model_identity_hex(again)) != 0);
    free(params);
    nn_model_close(&m);
    nn_model_close(&again);
}

/* One of each layer, a skip connection and a gate: 96 x 64, output at full size. */
static nn_value build_layers(struct nn_build *b)
{
    nn_value x = nn_build_conv(b, nn_build_input(b), 8, 3, 2, 1, 1, false);
    x = nn_build_relu(b, nn_build_batch_norm(b, x));
    nn_value d = nn_build_conv(b, x, 8, 3, 1, 2, 8, true);
    nn_value gate = nn_build_conv(b, nn_build_global_average_pool(b, d), 8, 1, 1, 1, 1, true);
    nn_value y = nn_build_add(b, nn_build_mul(b, d, nn_build_sigmoid(b, gate)), x);
    nn_value small = nn_build_resize(b, nn_build_max_pool(b, y, 3, 2), 32, 48);
    nn_value both[] = {y, small};
    y = nn_build_conv(b, nn_build_concat(b, both, 2), 5, 1, 1, 1, 1, true);
    return nn_build_resize(b, y, 64, 96);
}

static struct nn_model *built(uint64_t seed)
{
    struct nn_build *b = NULL;
    struct nn_model *m = NULL;
    struct error err = {0};
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(nn_build_open(64, 96, seed, &b, &err), ST_OK);
    nn_value y = build_layers(b);
    nn_build_metadata(b, "attune.task", "segment");
    nn_build_metadata(b, "attune.classes", "sky,road,car,person,tree");
    if (nn_build_finish(b, y, &bytes, &err) ||
        nn_model_read(bytes.data, bytes.size_bytes, NULL, &m, &err))
        fail_msg("%s", err.message);
    nn_build_close(&b);
    assert_null(b);
    buf_clear(&bytes);
    return m;
}

static void a_built_network(void **state)
{
    (void)state;
    struct nn_model *m = built(7), *same = built(7), *other = built(8);
    const struct nn_graph *g = nn_model_graph(m);
    const struct nn_tensor *in = &g->tensors[g->inputs[0]], *out = &g->tensors[g->outputs[0]];
    assert_int_equal(g->output_count, 1);
    assert_string_equal(in->name, "input");
    assert_string_equal(out->name, "logits");
    const int64_t want[] = {1, 5, 64, 96};
    assert_memory_equal(out->dim, want, sizeof want);
    assert_int_equal(nn_model_bn_form(m), NN_BN_KEPT);
    assert_int_equal(nn_model_batch_blocker(m), -1);
    /* 8*27; 8+8 of batch-norm (and 16 statistics); 8*9+8; 8*8+8; 5*16+5 */
    assert_int_equal(nn_model_trainable_count(m), 216 + 16 + 80 + 72 + 85);
    assert_int_equal(nn_model_param_count(m), 469 + 16);
    assert_string_equal(nn_model_metadata(m, "attune.task"), "segment");
    assert_null(nn_model_metadata(m, "attune.mean"));
    assert_string_equal(nn_model_identity_hex(m), nn_model_identity_hex(same));
    assert_true(strcmp(nn_model_identity_hex(m), nn_model_identity_hex(other)) != 0);
    nn_model_close(&m);
    nn_model_close(&same);
    nn_model_close(&other);
}

/* He: variance 2 / 27 for 3x3 of three channels; 216 draws, so within a quarter of it. */
static void initial_weights(void **state)
{
    (void)state;
    struct nn_model *m = built(3);
    const struct nn_graph *g = nn_model_graph(m);
    const struct nn_param *w = &g->params[0];
    double sum = 0, squares = 0;
    assert_int_equal(w->count, 216);
    for (size_t i = 0; i < w->count; i++) {
        double v = (double)nn_model_values(m)[w->offset + i];
        sum += v;
        squares += v * v;
    }
    double variance = squares / 216;
    assert_true(fabs(sum / 216) < 0.08);
    assert_true(variance > 0.75 * 2 / 27 && variance < 1.25 * 2 / 27);
    const struct nn_node *norm = NULL;
    for (int i = 0; i < g->node_count; i++)
        norm = g->nodes[i].op == NN_OP_BATCH_NORM ? &g->nodes[i] : norm;
    for (int k = 1; k < 5; k++) {
        const struct nn_param *p = &g->params[g->tensors[norm->input[k]].param];
        assert_true(nn_model_values(m)[p->offset] == (k == 1 || k == 4 ? 1 : 0));
    }
    nn_model_close(&m);
}

static void build_errors_come_at_the_end(void **state)
{
    (void)state;
    struct nn_build *b = NULL;
    struct error err = {0};
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(nn_build_open(0, 96, 1, &b, &err), ST_INVALID);
    assert_null(b);
    assert_int_equal(nn_build_open(8, 8, 1, &b, &err), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 8, 3, 1, 1, 2, false); /* 3 % 2 */
    x = nn_build_relu(b, x);
    assert_int_equal(nn_build_finish(b, x, &bytes, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "convolution"));
    assert_int_equal(bytes.size_bytes, 0);
    nn_build_close(&b);
    nn_build_close(&b);
}

static void inspection(void **state)
{
    (void)state;
    struct nn_model *m = built(1);
    struct error err;
    json_t *j = NULL;
    assert_int_equal(nn_inspect_json(m, &j, &err), ST_OK);
    json_t *operators = json_object_get(j, "operators");
    assert_int_equal(json_integer_value(json_object_get(operators, "Conv")), 4);
    assert_int_equal(json_integer_value(json_object_get(operators, "Resize")), 2);
    assert_int_equal(json_array_size(json_object_get(j, "classes")), 5);
    assert_string_equal(json_string_value(json_array_get(json_object_get(j, "classes"), 4)),
                        "tree");
    assert_string_equal(json_string_value(json_object_get(j, "batch_norm")), "kept");
    assert_true(json_is_null(json_object_get(j, "batch_fixed_by")));
    json_t *shape = json_object_get(json_array_get(json_object_get(j, "outputs"), 0), "shape");
    assert_int_equal(json_integer_value(json_array_get(shape, 3)), 96);
    json_decref(j);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_what_was_written),
        cmocka_unit_test(an_open_batch_is_written),
        cmocka_unit_test(other_parameters_are_written),
        cmocka_unit_test(a_built_network),
        cmocka_unit_test(initial_weights),
        cmocka_unit_test(build_errors_come_at_the_end),
        cmocka_unit_test(inspection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
