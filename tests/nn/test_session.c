/* Sessions against values that PyTorch computed: every operator forward and backward, finite
 * differences, several threads, two sessions at once. The cases are written by
 * tools/make_nn_cases.py, which describes their format. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "nn/session.h"

#define CASES_MAX 512
#define TENSORS_MAX 32
#define NAME_CHARS_MAX 63

enum kind { INPUT = 1, OUTPUT, COTANGENT, GRADIENT, AFTER };

struct tensor {
    enum kind kind;
    char name[NAME_CHARS_MAX + 1];
    uint32_t count;
    float *value;
};

struct reference {
    char name[NAME_CHARS_MAX + 1];
    struct nn_session_options options;
    const uint8_t *onnx;
    uint32_t onnx_bytes;
    int tensor_count;
    struct tensor tensor[TENSORS_MAX];
};

static struct buf file;
static struct reference references[CASES_MAX];
static int reference_count;

/* --- reading the cases --- */

static void read_name(struct cursor *c, char ret[NAME_CHARS_MAX + 1])
{
    uint16_t n = cursor_u16(c);
    const uint8_t *text = cursor_take(c, n);
    assert_true(text && n <= NAME_CHARS_MAX);
    memcpy(ret, text, n);
    ret[n] = 0;
}

static void read_tensor(struct cursor *c, struct tensor *ret)
{
    ret->kind = cursor_u8(c);
    read_name(c, ret->name);
    ret->count = cursor_u32(c);
    const uint8_t *bytes = cursor_take(c, (size_t)ret->count * sizeof(float));
    ret->value = malloc((size_t)ret->count * sizeof(float) + 1);
    assert_true(bytes && ret->value);
    memcpy(ret->value, bytes, (size_t)ret->count * sizeof(float));
}

static void read_reference(struct cursor *c, struct reference *r)
{
    read_name(c, r->name);
    nn_session_options_init(&r->options);
    r->options.batch = (int)cursor_u32(c);
    r->options.bn_mode = cursor_u8(c) == 2 ? NN_BN_BATCH : NN_BN_FROZEN;
    r->onnx_bytes = cursor_u32(c);
    r->onnx = cursor_take(c, r->onnx_bytes);
    r->tensor_count = cursor_u16(c);
    assert_true(r->tensor_count <= TENSORS_MAX);
    for (int i = 0; i < r->tensor_count; i++)
        read_tensor(c, &r->tensor[i]);
    assert_false(c->failed);
}

static void read_references(void)
{
    const char *folder = getenv("ATTUNE_TEST_DATA");
    char path[4096];
    struct error err;
    snprintf(path, sizeof path, "%s/nn/operators.cases", folder ? folder : "tests/data");
    buf_init(&file);
    if (file_read(path, BUF_BYTES_MAX, &file, &err))
        fail_msg("%s", err.message);
    struct cursor c;
    cursor_init(&c, file.data, file.size_bytes);
    const uint8_t *magic = cursor_take(&c, 8);
    assert_true(magic && memcmp(magic, "NNCASES1", 8) == 0);
    reference_count = (int)cursor_u32(&c);
    assert_true(reference_count <= CASES_MAX);
    for (int i = 0; i < reference_count; i++)
        read_reference(&c, &references[i]);
    assert_int_equal(c.left_bytes, 0);
}

static void free_references(void)
{
    for (int i = 0; i < reference_count; i++)
        for (int k = 0; k < references[i].tensor_count; k++)
            free(references[i].tensor[k].value);
    buf_clear(&file);
}

/* --- sessions of a case --- */

struct subject {
    struct nn_model *model;
    struct nn_session *session;
};

static size_t place_of(const struct nn_view *v, int64_t i)
{
    int64_t at = 0;
    for (int d = v->rank; d-- > 0;) {
        at += i % v->dim[d] * v->stride[d];
        i /= v->dim[d];
    }
    return (size_t)at;
}

static int64_t count_of(const struct nn_view *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++)
        n *= v->dim[i];
    return n;
}

static void view_write(const struct nn_view *v, const struct tensor *t)
{
    assert_int_equal(count_of(v), t->count);
    for (int64_t i = 0; i < t->count; i++)
        v->data[place_of(v, i)] = t->value[i];
}

static void subject_open(const struct reference *r, enum nn_mode mode, int threads,
                         struct subject *ret)
{
    struct error err;
    struct nn_session_options o = r->options;
    o.mode = mode;
    o.threads = threads;
    if (nn_model_read(r->onnx, r->onnx_bytes, NULL, &ret->model, &err) ||
        nn_session_open(ret->model, &o, &ret->session, &err))
        fail_msg("%s", err.message);
    int inputs = 0;
    for (int i = 0; i < r->tensor_count; i++)
        if (r->tensor[i].kind == INPUT) {
            struct nn_view v = nn_session_input(ret->session, inputs++);
            view_write(&v, &r->tensor[i]);
        }
}

static void subject_close(struct subject *s)
{
    nn_session_close(&s->session);
    nn_model_close(&s->model);
}

static void forward(struct subject *s)
{
    struct error err;
    if (nn_session_forward(s->session, &err))
        fail_msg("%s", err.message);
}

static void backward(const struct reference *r, struct subject *s)
{
    struct error err;
    int outputs = 0;
    for (int i = 0; i < r->tensor_count; i++)
        if (r->tensor[i].kind == COTANGENT) {
            struct nn_view v = nn_session_output_grad(s->session, outputs++);
            view_write(&v, &r->tensor[i]);
        }
    if (nn_session_backward(s->session, &err))
        fail_msg("%s", err.message);
}

static const struct nn_param *find_param(const struct subject *s, const char *name)
{
    const struct nn_graph *g = nn_model_graph(s->model);
    for (int i = 0; i < g->param_count; i++)
        if (strcmp(g->params[i].name, name) == 0)
            return &g->params[i];
    fail_msg("the model has no parameter '%s'", name);
    return NULL;
}

/* Largest difference against the largest magnitude. */
static void expect_close(const struct tensor *want, const float *got, double tolerance)
{
    double largest = 1e-6, worst = 0;
    for (uint32_t i = 0; i < want->count; i++) {
        double d = fabs((double)want->value[i] - (double)got[i]);
        largest = fmax(largest, fabs((double)want->value[i]));
        worst = isnan(d) ? INFINITY : fmax(worst, d);
    }
    if (worst > tolerance * largest)
        fail_msg("%s: off by %g where the largest value is %g", want->name, worst, largest);
}

static void expect_outputs(const struct reference *r, struct subject *s)
{
    int outputs = 0;
    for (int i = 0; i < r->tensor_count; i++) {
        const struct tensor *t = &r->tensor[i];
        if (t->kind != OUTPUT)
            continue;
        struct nn_view v = nn_session_output(s->session, outputs++);
        assert_int_equal(count_of(&v), t->count);
        float *got = malloc((size_t)t->count * sizeof(float) + 1);
        assert_non_null(got);
        for (int64_t k = 0; k < t->count; k++)
            got[k] = v.data[place_of(&v, k)];
        expect_close(t, got, 1e-5);
        free(got);
    }
    assert_int_equal(outputs, nn_model_graph(s->model)->output_count);
}

static void expect_params(const struct reference *r, struct subject *s, enum kind kind,
                          const float *vector)
{
    for (int i = 0; i < r->tensor_count; i++)
        if (r->tensor[i].kind == kind) {
            const struct nn_param *p = find_param(s, r->tensor[i].name);
            assert_int_equal(p->count, r->tensor[i].count);
            expect_close(&r->tensor[i], vector + p->offset, 3e-5);
        }
}

/* --- the tests --- */

static void matches_reference(void **state)
{
    const struct reference *r = *state;
    struct subject s = {0};
    if (r->options.bn_mode == NN_BN_FROZEN) {
        subject_open(r, NN_INFER, 1, &s);
        forward(&s);
        expect_outputs(r, &s);
        subject_close(&s);
    }
    for (int threads = 1; threads <= 2; threads++) {
        subject_open(r, NN_TRAIN, threads, &s);
        forward(&s);
        expect_outputs(r, &s);
        backward(r, &s);
        expect_params(r, &s, GRADIENT, nn_session_grads(s.session));
        expect_params(r, &s, AFTER, nn_session_params(s.session));
        subject_close(&s);
    }
}

/* A second step gives what the first one gave: nothing is left over in the arena. */
static void repeats(void **state)
{
    const struct reference *r = *state;
    struct subject s = {0};
    subject_open(r, NN_TRAIN, 1, &s);
    forward(&s);
    backward(r, &s);
    nn_session_params_changed(s.session);
    forward(&s);
    expect_outputs(r, &s);
    backward(r, &s);
    expect_params(r, &s, GRADIENT, nn_session_grads(s.session));
    subject_close(&s);
}

static double loss(const struct reference *r, struct subject *s)
{
    int outputs = 0;
    double sum = 0;
    nn_session_params_changed(s->session);
    forward(s);
    for (int i = 0; i < r->tensor_count; i++) {
        if (r->tensor[i].kind != COTANGENT)
            continue;
        struct nn_view v = nn_session_output(s->session, outputs++);
        for (int64_t k = 0; k < r->tensor[i].count; k++)
            sum += (double)r->tensor[i].value[k] * (double)v.data[place_of(&v, k)];
    }
    return sum;
}

/* Along a random direction, the slope of the loss is the product with the gradient. */
static void finite_differences(void **state)
{
    const struct reference *r = *state;
    struct subject s = {0};
    struct rng rng;
    rng_init(&rng, 5, 0);
    subject_open(r, NN_TRAIN, 1, &s);
    size_t n = nn_model_trainable_count(s.model);
    float *base = malloc((n + 1) * sizeof *base), *params = nn_session_params(s.session);
    float *direction = malloc((n + 1) * sizeof *direction);
    assert_true(base && direction);
    memcpy(base, params, n * sizeof *base);
    forward(&s);
    backward(r, &s);
    double slope = 0, scale = 0;
    const float step = 1.0f / 512;
    for (size_t i = 0; i < n; i++) {
        direction[i] = rng_float(&rng) * 2 - 1;
        double term = (double)direction[i] * (double)nn_session_grads(s.session)[i];
        slope += term;
        scale += term * term;
    }
    for (size_t i = 0; i < n; i++)
        params[i] = base[i] + step * direction[i];
    double above = loss(r, &s);
    for (size_t i = 0; i < n; i++)
        params[i] = base[i] - step * direction[i];
    double below = loss(r, &s);
    double measured = (above - below) / (2 * (double)step);
    if (fabs(measured - slope) > 1e-2 * sqrt(scale) + 2e-3)
        fail_msg("slope %g, gradient says %g (scale %g)", measured, slope, sqrt(scale));
    free(base);
    free(direction);
    subject_close(&s);
}

/* --- two sessions in two threads --- */

struct job {
    const struct reference *r;
    uint8_t *bytes;
    size_t size;
};

static void *train_steps(void *arg)
{
    struct job *job = arg;
    struct subject s = {0};
    subject_open(job->r, NN_TRAIN, 1, &s);
    size_t n = nn_model_trainable_count(s.model);
    for (int i = 0; i < 20; i++) {
        forward(&s);
        backward(job->r, &s);
        for (size_t k = 0; k < n; k++)
            nn_session_params(s.session)[k] -= 1e-3f * nn_session_grads(s.session)[k];
        nn_session_params_changed(s.session);
    }
    job->size = n * sizeof(float);
    job->bytes = malloc(job->size);
    assert_non_null(job->bytes);
    memcpy(job->bytes, nn_session_params(s.session), job->size);
    subject_close(&s);
    return NULL;
}

static const struct reference *find_reference(const char *name)
{
    for (int i = 0; i < reference_count; i++)
        if (strcmp(references[i].name, name) == 0)
            return &references[i];
    fail_msg("no case '%s'", name);
    return NULL;
}

static void two_at_once(void **state)
{
    (void)state;
    static const char *const name[] = {"residual", "batch_norm_batch_4_5", "conv_groups",
                                       "shared_weights"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        struct job alone = {.r = find_reference(name[i])}, pair[2] = {alone, alone};
        train_steps(&alone);
        pthread_t thread[2];
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&thread[k], NULL, train_steps, &pair[k]), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_join(thread[k], NULL), 0);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(pair[k].size, alone.size);
            assert_memory_equal(pair[k].bytes, alone.bytes, alone.size);
            free(pair[k].bytes);
        }
        free(alone.bytes);
    }
}

/* --- what is refused --- */

static void refuses_bad_options(void **state)
{
    (void)state;
    const struct reference *r = find_reference("residual");
    struct nn_model *m;
    struct nn_session *s = NULL;
    struct error err;
    assert_int_equal(nn_model_read(r->onnx, r->onnx_bytes, NULL, &m, &err), ST_OK);
    struct nn_session_options good, bad;
    nn_session_options_init(&good);
    for (int i = 0; i < 4; i++) {
        bad = good;
        if (i == 0)
            bad.batch = 0;
        else if (i == 1)
            bad.batch = 1025;
        else if (i == 2)
            bad.threads = 0;
        else
            bad.threads = 257;
        assert_int_equal(nn_session_open(m, &bad, &s, &err), ST_INVALID);
        assert_null(s);
    }
    nn_session_close(&s);
    nn_session_close(NULL);
    nn_model_close(&m);
}

static void refuses_fixed_batch(void **state)
{
    (void)state;
    const struct reference *r = find_reference("reshape_fixed");
    struct nn_model *m;
    struct nn_session *s = NULL;
    struct error err;
    assert_int_equal(nn_model_read(r->onnx, r->onnx_bytes, NULL, &m, &err), ST_OK);
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.batch = 2;
    assert_int_equal(nn_session_open(m, &o, &s, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "reshaper"));
    assert_null(s);
    nn_model_close(&m);
}

int main(void)
{
    read_references();
    int n = 0;
    struct CMUnitTest *tests = calloc((size_t)reference_count * 3 + 3, sizeof *tests);
    if (!tests)
        return 1;
    for (int i = 0; i < reference_count; i++) {
        struct reference *r = &references[i];
        tests[n++] = (struct CMUnitTest){r->name, matches_reference, NULL, NULL, r};
        tests[n++] = (struct CMUnitTest){r->name, finite_differences, NULL, NULL, r};
        if (r->options.bn_mode == NN_BN_FROZEN)
            tests[n++] = (struct CMUnitTest){r->name, repeats, NULL, NULL, r};
    }
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(two_at_once);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(refuses_bad_options);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(refuses_fixed_batch);
    int failed = _cmocka_run_group_tests("session", tests, (size_t)n, NULL, NULL);
    free(tests);
    free_references();
    return failed;
}
