/* The reference networks against torchvision's and PyTorch's own counts of the same architectures
 * (parameters; multiply-accumulates by hooks on every convolution and linear layer), and counts of
 * training steps worked out from these by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/networks.h"

struct fact {
    const char *name;
    size_t trainable, statistics;
    double flops, first_layer; /* the first convolution alone */
    int64_t output[4];         /* rank 2: two zeros */
};

static const struct fact facts[] = {
    {"tiny", 1004554, 1824, 811011840, 2.0 * 32 * 80 * 80 * 27, {1, 10}},
    {"seg", 1896966, 31808, 1482866688, 2.0 * 32 * 128 * 256 * 27, {1, 19, 256, 512}},
    {"segr", 1896966, 31808, 1482866688, 2.0 * 32 * 128 * 256 * 27, {1, 19, 256, 512}},
    {"resnet18", 11689512, 9600, 3628146688, 2.0 * 64 * 112 * 112 * 147, {1, 1000}},
};

static struct nn_model *build(const struct bench_network *n)
{
    struct nn_model *m = NULL;
    struct error err;
    struct buf b;
    buf_init(&b);
    assert_non_null(n);
    if (bench_network_build(n, &b, &err) || nn_model_read(b.data, b.size_bytes, NULL, &m, &err))
        fail_msg("%s", err.message);
    buf_clear(&b);
    return m;
}

static double train_flops(const struct nn_model *m, const bool *frozen)
{
    double flops = 0;
    assert_int_equal(nn_model_train_flops(m, frozen, &flops, NULL), ST_OK);
    return flops;
}

static void check(const struct fact *f)
{
    const struct bench_network *n = bench_network_find(f->name);
    struct nn_model *m = build(n);
    const struct nn_graph *g = nn_model_graph(m);
    const struct nn_tensor *in = &g->tensors[g->inputs[0]], *out = &g->tensors[g->outputs[0]];
    assert_true(in->rank == 4 && in->dim[2] == n->height && in->dim[3] == n->width);
    assert_int_equal(out->rank, f->output[2] ? 4 : 2);
    for (int i = 0; i < out->rank; i++)
        assert_int_equal(out->dim[i], f->output[i]);
    assert_int_equal(nn_model_trainable_count(m), f->trainable);
    assert_int_equal(nn_model_param_count(m), f->trainable + f->statistics);
    assert_int_equal(nn_model_bn_form(m), NN_BN_KEPT);
    assert_int_equal(nn_model_batch_blocker(m), -1);
    assert_true(nn_model_flops(m) == f->flops);
    /* Backward by data and by weights, but no gradient by the picture. */
    assert_true(train_flops(m, NULL) == 3 * f->flops - f->first_layer);
    nn_model_close(&m);
}

static void networks_are_those_of_the_papers(void **state)
{
    (void)state;
    int count;
    bench_networks(&count);
    assert_int_equal(count, sizeof facts / sizeof *facts);
    assert_null(bench_network_find("alexnet"));
    for (int i = 0; i < count; i++)
        check(&facts[i]);
}

/* Two 3x3 convolutions of 512 channels at 7 x 7 with batch-norm, and the classifier. */
static void the_head_of_resnet18(void **state)
{
    (void)state;
    const struct bench_network *n = bench_network_find("resnet18");
    struct nn_model *m = build(n);
    const struct nn_graph *g = nn_model_graph(m);
    bool *frozen = calloc((size_t)g->param_count, sizeof *frozen);
    size_t weights = 0;
    int last = 0;
    assert_non_null(frozen);
    while (last < g->param_count && g->params[last].kind == NN_PARAM_TRAINABLE)
        last++;
    for (int i = 0; i < last; i++) {
        frozen[i] = i < last - n->head_tensors;
        weights += frozen[i] ? 0 : g->params[i].count;
    }
    assert_int_equal(weights, 2 * (512 * 512 * 9 + 2 * 512) + 512 * 1000 + 1000);
    double conv = 2.0 * 512 * 7 * 7 * 512 * 9, linear = 2.0 * 512 * 1000;
    /* The first of them needs no gradient by its input. */
    assert_true(train_flops(m, frozen) == nn_model_flops(m) + 3 * conv + 2 * linear);
    memset(frozen, 1, (size_t)g->param_count * sizeof *frozen);
    assert_true(train_flops(m, frozen) == nn_model_flops(m));
    free(frozen);
    nn_model_close(&m);
}

static void networks_are_the_same_bytes_each_time(void **state)
{
    (void)state;
    struct nn_model *a = build(bench_network_find("tiny")), *b = build(bench_network_find("tiny"));
    assert_string_equal(nn_model_identity_hex(a), nn_model_identity_hex(b));
    nn_model_close(&a);
    nn_model_close(&b);
}

static void a_vector_is_no_image(void **state)
{
    (void)state;
    struct nn_build *b = NULL;
    struct error err;
    struct buf out;
    buf_init(&out);
    assert_int_equal(nn_build_open(8, 8, 1, &b, &err), ST_OK);
    nn_value x = nn_build_linear(b, nn_build_global_average_pool(b, nn_build_input(b)), 4);
    assert_int_equal(nn_build_finish(b, nn_build_relu(b, x), &out, &err), ST_INVALID);
    nn_build_close(&b);
    assert_int_equal(nn_build_open(8, 8, 1, &b, &err), ST_OK);
    x = nn_build_linear(b, nn_build_input(b), 4); /* of 64 pixels */
    assert_int_equal(nn_build_finish(b, x, &out, &err), ST_INVALID);
    nn_build_close(&b);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_those_of_the_papers),
        cmocka_unit_test(the_head_of_resnet18),
        cmocka_unit_test(networks_are_the_same_bytes_each_time),
        cmocka_unit_test(a_vector_is_no_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
