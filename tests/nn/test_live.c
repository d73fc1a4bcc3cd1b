/* An inference session at work: after the first frame neither a forward pass nor new parameters
 * allocate. malloc and its like are counted where our own code calls them (the linker's --wrap);
 * oneDNN's calls are told from the heap, which may not grow. */
#include <malloc.h>
#include <math.h>

#include "model_check.h"
#include "nn/build.h"
#include "nn/session.h"

#include "../base/allocations.h"

enum { SIZE = 32, TENSORS_MAX = 64 };

void *__real_aligned_alloc(size_t alignment, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);

void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
    allocations++;
    return __real_aligned_alloc(alignment, n);
}

/* Convolutions with batch-norms to fold, a residual, small groups, and what bfloat16 leaves out. */
static struct nn_model *network(void)
{
    struct nn_build *b;
    struct error err;
    assert_int_equal(nn_build_open(SIZE, SIZE, 3, &b, &err), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 32, 3, 2, 1, 1, false);
    x = nn_build_relu(b, nn_build_batch_norm(b, x));
    nn_value y = nn_build_conv(b, x, 32, 3, 1, 1, 1, false);
    y = nn_build_relu(b, nn_build_batch_norm(b, y));
    y = nn_build_batch_norm(b, nn_build_conv(b, y, 32, 3, 1, 1, 1, false));
    x = nn_build_relu(b, nn_build_add(b, x, y));
    x = nn_build_batch_norm(b, nn_build_conv(b, x, 32, 3, 1, 1, 16, false));
    x = nn_build_concat(b, (nn_value[]){x, y}, 2);
    x = nn_build_resize(b, nn_build_conv(b, x, 16, 1, 1, 1, 1, true), SIZE, SIZE);
    struct buf file;
    buf_init(&file);
    assert_int_equal(nn_build_finish(b, x, &file, &err), ST_OK);
    nn_build_close(&b);
    struct nn_model *m;
    assert_int_equal(nn_model_read(file.data, file.size_bytes, NULL, &m, &err), ST_OK);
    buf_clear(&file);
    return m;
}

static void fill_input(struct nn_session *s)
{
    struct nn_view x = nn_session_input(s, 0);
    for (int i = 0; i < 3 * SIZE * SIZE; i++)
        x.data[i] = (float)(i % 17) * 0.1F - 0.8F;
}

static double sum_of_output(struct nn_session *s)
{
    struct nn_view y = nn_session_output(s, 0);
    double sum = 0;
    for (int i = 0; i < 16 * SIZE * SIZE; i++)
        sum += fabs((double)y.data[i]);
    return sum;
}

/* A delta of 5 %. */
static void change_some(struct nn_session *s, size_t count)
{
    float *params = nn_session_params(s);
    for (size_t i = 0; i < count; i += 20)
        params[i] += 0.01F;
    nn_session_params_changed(s);
}

static void works_in_place(enum nn_precision precision)
{
    struct nn_model *m = network();
    struct nn_session_options o;
    struct nn_session *s;
    struct error err;
    struct nn_range ranges[TENSORS_MAX];
    for (int i = 0; i < TENSORS_MAX; i++)
        ranges[i] = (struct nn_range){-4, 4};
    assert_true(nn_model_graph(m)->tensor_count <= TENSORS_MAX);
    nn_session_options_init(&o);
    o.precision = precision;
    o.ranges = ranges;
    assert_int_equal(nn_session_open(m, &o, &s, &err), ST_OK);
    fill_input(s);
    for (int i = 0; i < 3; i++) {
        change_some(s, nn_model_param_count(m));
        assert_int_equal(nn_session_forward(s, &err), ST_OK);
    }
    double before = sum_of_output(s);
    size_t heap = mallinfo2().uordblks;
    allocations = 0;
    assert_int_equal(nn_session_forward(s, &err), ST_OK);
    assert_true(sum_of_output(s) == before);
    change_some(s, nn_model_param_count(m));
    assert_int_equal(nn_session_forward(s, &err), ST_OK);
    assert_int_equal(allocations, 0);
    assert_int_equal(mallinfo2().uordblks, heap);
    assert_true(sum_of_output(s) != before);
    nn_session_close(&s);
    nn_model_close(&m);
}

static void float32_allocates_nothing(void **state)
{
    (void)state;
    works_in_place(NN_PRECISION_F32);
}

static void bfloat16_allocates_nothing(void **state)
{
    (void)state;
    if (!nn_precision_is_native(NN_PRECISION_BF16))
        skip();
    works_in_place(NN_PRECISION_BF16);
}

static void int8_allocates_nothing(void **state)
{
    (void)state;
    if (!nn_precision_is_native(NN_PRECISION_INT8))
        skip();
    works_in_place(NN_PRECISION_INT8);
}

static struct nn_session *opened(const struct nn_model *m, bool fixed)
{
    struct nn_session_options o;
    struct nn_session *s;
    struct error err;
    nn_session_options_init(&o);
    o.fixed = fixed;
    assert_int_equal(nn_session_open(m, &o, &s, &err), ST_OK);
    return s;
}

static double run_once(struct nn_session *s)
{
    struct error err;
    fill_input(s);
    assert_int_equal(nn_session_forward(s, &err), ST_OK);
    return sum_of_output(s);
}

/* A session with fixed weights gives memory back, needs the model's values no more, and answers the
 * same bits. */
static void fixed_weights(void **state)
{
    (void)state;
    struct nn_model *m = network();
    struct nn_session *live = opened(m, false), *fixed = opened(m, true);
    double answer = run_once(live);
    assert_true(nn_session_bytes(fixed) < nn_session_bytes(live));
    assert_null(nn_session_params(fixed));
    nn_model_release_values(m);
    assert_null(nn_model_values(m));
    assert_true(run_once(fixed) == answer);
    assert_true(run_once(fixed) == answer);
    struct nn_session_options o;
    struct error err;
    nn_session_options_init(&o);
    o.fixed = true;
    o.mode = NN_TRAIN;
    struct nn_session *none = NULL;
    assert_int_equal(nn_session_open(m, &o, &none, &err), ST_INVALID);
    nn_session_close(&live);
    nn_session_close(&fixed);
    nn_model_close(&m);
}

static void expect_same_output(struct nn_session *a, struct nn_session *b)
{
    struct error err;
    assert_int_equal(nn_session_forward(a, &err), ST_OK);
    assert_int_equal(nn_session_forward(b, &err), ST_OK);
    struct nn_view va = nn_session_output(a, 0), vb = nn_session_output(b, 0);
    assert_memory_equal(va.data, vb.data, 16 * SIZE * SIZE * sizeof *va.data);
}

/* One tensor after the other changes: a session that is told of that one alone gives what one gives
 * that packs all weights anew. And it is only that one: a change that it was not told of stays
 * without effect until it is. */
static void packs_tensors(enum nn_precision precision)
{
    struct nn_model *m = network();
    const struct nn_graph *g = nn_model_graph(m);
    struct nn_session *told, *all;
    struct error err;
    struct nn_session_options o;
    struct nn_range ranges[TENSORS_MAX];
    for (int i = 0; i < TENSORS_MAX; i++)
        ranges[i] = (struct nn_range){-4, 4};
    nn_session_options_init(&o);
    o.precision = precision;
    o.ranges = ranges;
    assert_int_equal(nn_session_open(m, &o, &told, &err), ST_OK);
    assert_int_equal(nn_session_open(m, &o, &all, &err), ST_OK);
    fill_input(told);
    fill_input(all);
    expect_same_output(told, all);
    float *first = nn_session_params(told) + g->params[0].offset;
    for (int i = 0; i < g->param_count; i++) {
        const struct nn_param *p = &g->params[i];
        for (size_t k = 0; k < p->count; k++) {
            nn_session_params(told)[p->offset + k] += 0.125F;
            nn_session_params(all)[p->offset + k] += 0.125F;
        }
        float kept = *first;
        if (i == g->param_count - 1) /* the weights of the first layer, behind its back */
            *first = 100;
        nn_session_params_changed_in(told, p->offset, p->offset + p->count);
        nn_session_params_changed(all);
        expect_same_output(told, all);
        *first = kept;
    }
    *first = 100;
    nn_session_params(all)[g->params[0].offset] = 100;
    nn_session_params_changed_in(told, g->params[0].offset, g->params[0].offset + 1);
    nn_session_params_changed(all);
    expect_same_output(told, all);
    nn_session_close(&told);
    nn_session_close(&all);
    nn_model_close(&m);
}

static void packs_what_changed(void **state)
{
    (void)state;
    static const enum nn_precision precision[] = {NN_PRECISION_F32, NN_PRECISION_BF16,
                                                  NN_PRECISION_INT8};
    for (int i = 0; i < 3; i++)
        if (nn_precision_is_native(precision[i]))
            packs_tensors(precision[i]);
}

/* The counters see what our code allocates. */
static void counts(void **state)
{
    (void)state;
    allocations = 0;
    struct nn_model *m = network();
    assert_true(allocations > 10);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(float32_allocates_nothing),
        cmocka_unit_test(bfloat16_allocates_nothing),
        cmocka_unit_test(int8_allocates_nothing),
        cmocka_unit_test(fixed_weights),
        cmocka_unit_test(packs_what_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
