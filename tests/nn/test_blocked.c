/* Sessions over blocks of channels, float32 and bfloat16, against channels-last ones, whose kernels
 * are checked against another framework (test_session.c) and against finite differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nn/build.h"
#include "nn/plan.h"
#include "nn/session.h"

enum { SIZE = 20, BATCH = 3 };

static struct nn_model *finished(struct nn_build *b, nn_value x)
{
    struct buf file;
    struct error err;
    struct nn_model *m;
    buf_init(&file);
    assert_int_equal(nn_build_finish(b, x, &file, &err), ST_OK);
    nn_build_close(&b);
    assert_int_equal(nn_model_read(file.data, file.size_bytes, NULL, &m, &err), ST_OK);
    buf_clear(&file);
    return m;
}

/* Every operator that knows blocks, with channel counts that do not fill them: a stem, a residual
 * block, an inverted residual with squeeze and excitation, and a head that is enlarged. */
static struct nn_model *network(void)
{
    struct nn_build *b;
    struct error err;
    assert_int_equal(nn_build_open(SIZE, SIZE, 5, &b, &err), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 24, 3, 1, 1, 1, false);
    x = nn_build_relu(b, nn_build_batch_norm(b, x));
    x = nn_build_max_pool(b, x, 3, 2);
    nn_value y = nn_build_conv(b, x, 24, 3, 1, 1, 1, false);
    y = nn_build_batch_norm(b, y);
    x = nn_build_relu(b, nn_build_add(b, x, y));
    y = nn_build_conv(b, x, 40, 1, 1, 1, 1, true);
    y = nn_build_relu(b, nn_build_batch_norm(b, y));
    y = nn_build_conv(b, y, 40, 3, 1, 1, 40, false);
    y = nn_build_batch_norm(b, y);
    nn_value squeeze = nn_build_global_average_pool(b, y);
    squeeze = nn_build_sigmoid(b, nn_build_conv(b, squeeze, 40, 1, 1, 1, 1, true));
    y = nn_build_mul(b, y, squeeze);
    y = nn_build_conv(b, y, 24, 1, 1, 1, 1, false);
    x = nn_build_add(b, x, y);
    x = nn_build_conv(b, x, 32, 3, 2, 1, 1, true);
    y = nn_build_conv(b, x, 12, 1, 1, 1, 1, false);
    y = nn_build_batch_norm(b, nn_build_conv(b, y, 48, 1, 1, 1, 1, false));
    y = nn_build_batch_norm(b, nn_build_conv(b, y, 48, 3, 1, 1, 48, false));
    y = nn_build_batch_norm(b, nn_build_conv(b, nn_build_relu(b, y), 48, 3, 2, 1, 48, false));
    y = nn_build_conv(b, nn_build_relu(b, y), 16, 1, 1, 1, 1, false);
    x = nn_build_conv(b, nn_build_resize(b, y, 6, 6), 32, 1, 1, 1, 1, true);
    x = nn_build_resize(b, x, SIZE, SIZE);
    x = nn_build_conv(b, x, 16, 1, 1, 1, 1, true);
    return finished(b, x);
}

static void fill(struct nn_view v, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, 0);
    for (int64_t n = 0; n < v.dim[0]; n++)
        for (int64_t y = 0; y < v.dim[2]; y++)
            for (int64_t x = 0; x < v.dim[3]; x++)
                for (int64_t c = 0; c < v.dim[1]; c++)
                    v.data[n * v.stride[0] + c * v.stride[1] + y * v.stride[2] + x * v.stride[3]] =
                        rng_normal(&r);
}

static struct nn_session *trained(const struct nn_model *m, const struct nn_session_options *o)
{
    struct nn_session *s;
    struct error err;
    if (nn_session_open(m, o, &s, &err))
        fail_msg("%s", err.message);
    fill(nn_session_input(s, 0), 1);
    assert_int_equal(nn_session_forward(s, &err), ST_OK);
    fill(nn_session_output_grad(s, 0), 2);
    assert_int_equal(nn_session_backward(s, &err), ST_OK);
    return s;
}

/* |a - b| / |b| */
static double difference(const float *a, const float *b, size_t n)
{
    double d = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return norm > 0 ? sqrt(d / norm) : sqrt(d);
}

static double size_of(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static struct nn_session_options options_of(enum nn_bn_mode bn_mode)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.mode = NN_TRAIN;
    o.batch = BATCH;
    o.bn_mode = bn_mode;
    return o;
}

static bool has_blocks(struct nn_session *s)
{
    const struct nn_plan *p = nn_session_plan(s);
    int blocked = 0;
    for (int i = 0; i < p->value_count; i++)
        blocked += p->values[i].layout == NN_LAYOUT_BLOCKED;
    return blocked > 10;
}

/* Blocks are for processors with AVX-512. */
static void needs_blocks(void)
{
    struct nn_model *m = network();
    struct nn_session_options o = options_of(NN_BN_BATCH);
    struct nn_session *s = trained(m, &o);
    bool there = has_blocks(s);
    nn_session_close(&s);
    nn_model_close(&m);
    if (!there)
        skip();
}

static void compare(const struct nn_session_options *o, double tolerance)
{
    struct nn_model *m = network();
    struct nn_session_options rows = *o;
    rows.channels_last = true;
    rows.precision = NN_PRECISION_F32;
    struct nn_session *a = trained(m, o), *b = trained(m, &rows);
    assert_true(has_blocks(a));
    assert_false(has_blocks(b));
    struct nn_view ya = nn_session_output(a, 0), yb = nn_session_output(b, 0);
    double worst = difference(ya.data, yb.data, (size_t)(BATCH * 16 * SIZE * SIZE));
    if (worst > tolerance)
        fail_msg("outputs differ by %g", worst);
    const struct nn_graph *g = nn_model_graph(m);
    for (int i = 0; i < g->param_count; i++) {
        const struct nn_param *p = &g->params[i];
        const float *ga = nn_session_grads(a) + p->offset, *gb = nn_session_grads(b) + p->offset;
        if (size_of(gb, p->count) < 0.1)
            continue; /* a scale in front of a batch norm has no gradient but rounding */
        double d = difference(ga, gb, p->count);
        if (d > tolerance)
            fail_msg("gradients of %s differ by %g", p->name, d);
        worst = d > worst ? d : worst;
    }
    assert_true(worst > 0); /* the two do not run the same code */
    size_t count = nn_model_param_count(m);
    double moved = difference(nn_session_params(a), nn_session_params(b), count);
    assert_true(moved <= tolerance); /* the running statistics */
    nn_session_close(&a);
    nn_session_close(&b);
    nn_model_close(&m);
}

static void blocks_of_float32(void **state)
{
    (void)state;
    needs_blocks();
    for (int threads = 1; threads <= 2; threads++)
        for (enum nn_bn_mode mode = NN_BN_FROZEN; mode <= NN_BN_BATCH; mode++) {
            struct nn_session_options o = options_of(mode);
            o.threads = threads;
            o.winograd = false;
            compare(&o, 1e-5);
            o.winograd = true;
            compare(&o, 1e-5);
        }
}

static void blocks_of_bfloat16(void **state)
{
    (void)state;
    if (!nn_precision_is_native(NN_PRECISION_BF16))
        skip();
    for (enum nn_bn_mode mode = NN_BN_FROZEN; mode <= NN_BN_BATCH; mode++) {
        struct nn_session_options o = options_of(mode);
        o.precision = NN_PRECISION_BF16;
        compare(&o, 0.2);
    }
}

static int deferred_norms(struct nn_session *s)
{
    const struct nn_plan *p = nn_session_plan(s);
    int count = 0;
    for (int i = 0; i < p->ir_count; i++)
        count += p->irs[i].deferred;
    return count;
}

/* A depthwise convolution that does the work of the batch norm before it, and the two apart; one
 * whose weights do not train, and one whose batch norm is the first that does. */
static void norm_in_depthwise(void **state)
{
    (void)state;
    needs_blocks();
    struct nn_model *m = network();
    const struct nn_graph *g = nn_model_graph(m);
    bool frozen[64] = {false};
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < g->param_count; i++)
            frozen[i] = kind == 1   ? g->params[i].rank == 4 && g->params[i].dim[1] == 1
                        : kind == 2 ? i < 12
                                    : false;
        struct nn_session_options o = options_of(NN_BN_BATCH);
        o.frozen = frozen;
        struct nn_session *together = trained(m, &o);
        o.fuse = false;
        struct nn_session *apart = trained(m, &o);
        assert_in_range(deferred_norms(together), 1, 2);
        assert_int_equal(deferred_norms(apart), 0);
        for (int i = 0; i < g->param_count; i++) {
            const struct nn_param *p = &g->params[i];
            const float *want = nn_session_grads(apart) + p->offset;
            if (size_of(want, p->count) > 0.1 &&
                difference(nn_session_grads(together) + p->offset, want, p->count) > 1e-4)
                fail_msg("gradients of %s differ", p->name);
        }
        nn_session_close(&together);
        nn_session_close(&apart);
    }
    nn_model_close(&m);
}

static struct nn_model *residual_network(int size)
{
    struct nn_build *b;
    struct error err;
    assert_int_equal(nn_build_open(size, size, 5, &b, &err), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 32, 3, 1, 1, 1, false);
    x = nn_build_relu(b, nn_build_batch_norm(b, x));
    for (int i = 0; i < 2; i++) {
        nn_value y = nn_build_conv(b, x, 32, 3, 1, 1, 1, false);
        y = nn_build_relu(b, nn_build_batch_norm(b, y));
        y = nn_build_batch_norm(b, nn_build_conv(b, y, 32, 3, 1, 1, 1, true));
        x = nn_build_relu(b, nn_build_add(b, x, y));
    }
    return finished(b, nn_build_conv(b, x, 16, 1, 1, 1, 1, true));
}

static int blocked_values(struct nn_session *s)
{
    const struct nn_plan *p = nn_session_plan(s);
    int count = 0;
    for (int i = 0; i < p->value_count; i++)
        count += p->values[i].layout == NN_LAYOUT_BLOCKED;
    return count;
}

/* Inference by Winograd's algorithm, where images are large enough for it, and directly. */
static void winograd_inference(void **state)
{
    (void)state;
    for (int size = 16; size <= 32; size += 16) {
        struct nn_model *m = residual_network(size);
        struct nn_session_options o;
        struct nn_session *s[2];
        struct error err;
        nn_session_options_init(&o);
        for (int i = 0; i < 2; i++) {
            o.winograd = i == 1;
            assert_int_equal(nn_session_open(m, &o, &s[i], &err), ST_OK);
            fill(nn_session_input(s[i], 0), 1);
            for (size_t k = 0; k < nn_model_param_count(m); k += 7)
                nn_session_params(s[i])[k] *= 1.1F;
            nn_session_params_changed(s[i]);
            assert_int_equal(nn_session_forward(s[i], &err), ST_OK);
        }
        double d = difference(nn_session_output(s[1], 0).data, nn_session_output(s[0], 0).data,
                              (size_t)(16 * size * size));
        assert_true(d < 1e-5);
        assert_int_equal(blocked_values(s[0]), 0);
        if (size == 16)
            assert_int_equal(blocked_values(s[1]), 0);
        nn_session_close(&s[0]);
        nn_session_close(&s[1]);
        nn_model_close(&m);
    }
}

static struct nn_model *deep_network(void)
{
    struct nn_build *b;
    struct error err;
    assert_int_equal(nn_build_open(SIZE, SIZE, 5, &b, &err), ST_OK);
    nn_value x = nn_build_input(b);
    for (int i = 0; i < 8; i++) {
        x = nn_build_conv(b, x, 32, 3, 1, 1, 1, false);
        x = nn_build_relu(b, nn_build_batch_norm(b, x));
    }
    return finished(b, nn_build_conv(b, x, 16, 1, 1, 1, 1, true));
}

/* Less memory, the same bits. */
static void limited_memory(void **state)
{
    (void)state;
    needs_blocks();
    struct nn_model *m = deep_network();
    struct nn_session_options o = options_of(NN_BN_BATCH);
    o.batch = 16;
    struct nn_session *kept = trained(m, &o), *small;
    for (int tenths = 10; tenths >= 8; tenths--) {
        o.memory_limit_bytes = nn_session_bytes(kept) * (size_t)tenths / 10;
        small = trained(m, &o);
        assert_in_range(nn_session_bytes(small), 1, o.memory_limit_bytes);
        assert_memory_equal(nn_session_grads(small), nn_session_grads(kept),
                            nn_model_param_count(m) * sizeof(float));
        nn_session_close(&small);
    }
    o.memory_limit_bytes = 1 << 20;
    struct error err;
    assert_int_equal(nn_session_open(m, &o, &small, &err), ST_LIMIT);
    assert_non_null(strstr(err.message, "smaller batch"));
    nn_session_close(&kept);
    nn_model_close(&m);
}

/* What does not train has no gradient, and what is before it costs no backward step. */
static void frozen_tensors(void **state)
{
    (void)state;
    struct nn_model *m = network();
    const struct nn_graph *g = nn_model_graph(m);
    bool frozen[64] = {false};
    assert_in_range(g->param_count, 4, 64);
    for (int i = 0; i < g->param_count - 2; i++)
        frozen[i] = true;
    struct nn_session_options o = options_of(NN_BN_FROZEN);
    struct nn_session *all = trained(m, &o);
    o.frozen = frozen;
    struct nn_session *last = trained(m, &o);
    const struct nn_plan *pa = nn_session_plan(all), *pl = nn_session_plan(last);
    assert_true(pl->step_count - pl->forward_count <= 3);
    assert_true(pa->step_count - pa->forward_count > 20);
    for (int i = 0; i < g->param_count; i++) {
        const struct nn_param *p = &g->params[i];
        const float *want = nn_session_grads(all) + p->offset;
        const float *got = nn_session_grads(last) + p->offset;
        for (size_t k = 0; k < p->count; k++)
            if (frozen[i])
                assert_true(got[k] == 0);
        if (!frozen[i])
            assert_true(difference(got, want, p->count) < 1e-5);
    }
    nn_session_close(&all);
    nn_session_close(&last);
    nn_model_close(&m);
}

/* Batch mode: a batch norm that does not train keeps its statistics, the others move theirs. */
static void frozen_statistics(void **state)
{
    (void)state;
    struct nn_model *m = network();
    const struct nn_graph *g = nn_model_graph(m);
    const char *kept = "norm_2.", *moved = "norm_6.";
    bool frozen[64] = {false};
    for (int i = 0; i < g->param_count; i++)
        frozen[i] = strncmp(g->params[i].name, kept, strlen(kept)) == 0;
    struct nn_session_options o = options_of(NN_BN_BATCH);
    o.frozen = frozen;
    struct nn_session *s = trained(m, &o);
    int seen = 0;
    for (int i = 0; i < g->param_count; i++) {
        const struct nn_param *p = &g->params[i];
        const float *now = nn_session_params(s) + p->offset;
        const float *before = nn_model_values(m) + p->offset;
        bool same = memcmp(now, before, p->count * sizeof *now) == 0;
        if (strncmp(p->name, kept, strlen(kept)) == 0)
            assert_true(same);
        if (p->kind != NN_PARAM_TRAINABLE && strncmp(p->name, moved, strlen(moved)) == 0)
            seen += !same;
    }
    assert_int_equal(seen, 2);
    nn_session_close(&s);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_float32),  cmocka_unit_test(blocks_of_bfloat16),
        cmocka_unit_test(frozen_tensors),     cmocka_unit_test(frozen_statistics),
        cmocka_unit_test(limited_memory),     cmocka_unit_test(norm_in_depthwise),
        cmocka_unit_test(winograd_inference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
