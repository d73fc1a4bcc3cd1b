/* Calibration: ranges of known values, what is clipped, and the record of them in a file. */
#include <math.h>

#include "base/rng.h"
#include "model_check.h"
#include "nn/build.h"
#include "nn/calibrate.h"
#include "nn/fold_batch_norm.h"

enum { SIZE = 16, VALUES = 3 * SIZE * SIZE };

static const enum nn_clip all = NN_CLIP_MIN_MAX;

/* A residual, a gate, a resize: what the networks for the town are made of. */
static struct nn_model *network(void)
{
    struct nn_build *b;
    struct error err;
    struct buf file;
    struct nn_model *m;
    buf_init(&file);
    assert_int_equal(nn_build_open(SIZE, SIZE, 3, &b, &err), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 32, 3, 2, 1, 1, false);
    x = nn_build_relu(b, nn_build_batch_norm(b, x));
    nn_value y = nn_build_batch_norm(b, nn_build_conv(b, x, 32, 3, 1, 1, 1, false));
    x = nn_build_relu(b, nn_build_add(b, x, y));
    y = nn_build_conv(b, nn_build_global_average_pool(b, x), 32, 1, 1, 1, 1, true);
    x = nn_build_mul(b, x, nn_build_sigmoid(b, y));
    x = nn_build_resize(b, nn_build_conv(b, x, 8, 3, 1, 1, 1, true), SIZE, SIZE);
    assert_int_equal(nn_build_finish(b, x, &file, &err), ST_OK);
    assert_int_equal(nn_model_read(file.data, file.size_bytes, NULL, &m, &err), ST_OK);
    nn_build_close(&b);
    buf_clear(&file);
    return m;
}

/* x -> Relu "r" -> output "y" = r + r. */
static struct nn_model *small(void)
{
    struct nn_maker mk;
    struct nn_model *m;
    struct error err;
    make_ends(&mk, "y", SHAPE(4, 1, 3, SIZE, SIZE));
    make_op(&mk, "Relu", "r", "x", NULL);
    make_op(&mk, "Add", "y", "r", "r");
    assert_int_equal(read_made(&mk, &m, &err), ST_OK);
    return m;
}

static struct nn_calibration *opened(const struct nn_model *m)
{
    struct nn_calibration *c = NULL;
    struct error err;
    if (nn_calibration_open(m, NULL, 1, &c, &err))
        fail_msg("%s", err.message);
    return c;
}

static void show(struct nn_calibration *c, const float *values)
{
    struct error err;
    memcpy(nn_calibration_input(c, 0).data, values, VALUES * sizeof *values);
    if (nn_calibration_run(c, &err))
        fail_msg("%s", err.message);
}

static struct nn_range range_of(const struct nn_calibration *c, const struct nn_model *m,
                                enum nn_clip clip, const char *name)
{
    struct nn_range r[64];
    struct error err;
    assert_true(nn_model_graph(m)->tensor_count <= 64);
    assert_int_equal(nn_calibration_ranges(c, clip, 1, r, &err), ST_OK);
    return r[find_tensor(m, name) - nn_model_graph(m)->tensors];
}

static void near(struct nn_range r, double lo, double hi)
{
    if (fabs((double)r.lo - lo) > 1e-6 || fabs((double)r.hi - hi) > 1e-6)
        fail_msg("[%g, %g], not [%g, %g]", (double)r.lo, (double)r.hi, lo, hi);
}

static void extremes(void **state)
{
    (void)state;
    float x[VALUES] = {0};
    struct nn_model *m = small();
    struct nn_calibration *c = opened(m);
    struct nn_range r[8];
    struct error err;
    assert_int_equal(nn_calibration_ranges(c, all, 1, r, &err), ST_INVALID);
    show(c, x); /* zeros have some range */
    assert_true(nn_range_is_known(range_of(c, m, all, "y")));
    x[5] = 0.75F;
    x[700] = -2;
    show(c, x);
    near(range_of(c, m, all, "x"), -2, 0.75);
    near(range_of(c, m, all, "r"), 0, 0.75);
    x[5] = 300; /* far beyond the histogram that the first values asked for */
    show(c, x);
    near(range_of(c, m, all, "r"), 0, 300);
    near(range_of(c, m, all, "y"), 0, 600);
    assert_int_equal(nn_calibration_ranges(c, all, 1.5F, r, &err), ST_OK);
    near(r[find_tensor(m, "x") - nn_model_graph(m)->tensors], -2, 300); /* pictures stay */
    near(r[find_tensor(m, "y") - nn_model_graph(m)->tensors], 0, 900);
    for (int i = 0; i < VALUES; i++)
        x[i] = 4; /* a constant keeps 0 in its range */
    nn_calibration_close(&c);
    c = opened(m);
    show(c, x);
    near(range_of(c, m, all, "x"), 0, 4);
    nn_calibration_close(&c);
    nn_model_close(&m);
}

/* Values spread evenly over [0, 1), then one of 100 among them. */
static void rare_value(void **state)
{
    (void)state;
    float x[VALUES];
    struct nn_model *m = small();
    struct nn_calibration *c = opened(m);
    for (int i = 0; i < VALUES; i++)
        x[i] = (float)i / VALUES;
    for (int i = 0; i < 20; i++)
        show(c, x);
    x[7] = 100;
    show(c, x);
    near(range_of(c, m, all, "x"), 0, 100);
    /* One value in 15000 is worth its error: 100 / 255 of a step everywhere else costs more. */
    struct nn_range r = range_of(c, m, NN_CLIP_ERROR, "x");
    assert_true(r.hi > 50);
    nn_calibration_close(&c);
    nn_model_close(&m);
}

/* The range that ERROR finds is no worse than the whole one, by the bytes themselves. */
static double squared_error(const float *x, struct nn_range r)
{
    double scale = ((double)r.hi - (double)r.lo) / 255, zero = rint(-(double)r.lo / scale), sum = 0;
    for (int i = 0; i < VALUES; i++) {
        double q = fmin(255, fmax(0, rint((double)x[i] / scale) + zero));
        sum += pow((q - zero) * scale - (double)x[i], 2);
    }
    return sum;
}

static void least_error(void **state)
{
    (void)state;
    float x[VALUES];
    struct rng r;
    struct nn_model *m = small();
    struct nn_calibration *c = opened(m);
    rng_init(&r, 5, 0);
    for (int i = 0; i < VALUES; i++)
        x[i] = (float)pow(rng_normal(&r), 3);
    show(c, x);
    struct nn_range whole = range_of(c, m, all, "x");
    struct nn_range best = range_of(c, m, NN_CLIP_ERROR, "x");
    assert_true(squared_error(x, best) <= 1.05 * squared_error(x, whole));
    for (double part = 0.3; part < 1; part += 0.1) {
        struct nn_range other = {whole.lo * (float)part, whole.hi * (float)part};
        assert_true(squared_error(x, best) <= 1.05 * squared_error(x, other));
    }
    nn_calibration_close(&c);
    nn_model_close(&m);
}

static void not_finite(void **state)
{
    (void)state;
    struct error err;
    struct nn_model *m = small();
    struct nn_calibration *c = opened(m);
    const float odd[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        float x[VALUES] = {0};
        x[99] = odd[i];
        memcpy(nn_calibration_input(c, 0).data, x, sizeof x);
        assert_int_equal(nn_calibration_run(c, &err), ST_INVALID);
        assert_non_null(strstr(err.message, "'x'"));
    }
    nn_calibration_close(&c);
    nn_model_close(&m);
}

/* --- the record --- */

static void fill_noise(struct nn_view v, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, 0);
    for (int i = 0; i < VALUES; i++)
        v.data[i] = (float)rng_normal(&r);
}

static struct nn_model *calibrated(const struct nn_model *m)
{
    struct nn_calibration *c = opened(m);
    struct nn_range r[64];
    struct nn_model *ret = NULL;
    struct error err;
    struct buf file;
    buf_init(&file);
    for (uint64_t i = 0; i < 4; i++) {
        fill_noise(nn_calibration_input(c, 0), i);
        assert_int_equal(nn_calibration_run(c, &err), ST_OK);
    }
    assert_int_equal(nn_calibration_ranges(c, all, 1, r, &err), ST_OK);
    assert_int_equal(nn_model_write_calibrated(m, NULL, r, &file, &err), ST_OK);
    if (nn_model_read(file.data, file.size_bytes, NULL, &ret, &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < nn_model_graph(m)->tensor_count; i++) {
        struct nn_range read = nn_model_graph(ret)->tensors[i].range;
        assert_true(read.lo == r[i].lo && read.hi == r[i].hi);
    }
    buf_clear(&file);
    nn_calibration_close(&c);
    return ret;
}

static void written_again(const struct nn_model *m, bool fold)
{
    struct nn_model *again = NULL;
    struct error err;
    struct buf file;
    int folded;
    buf_init(&file);
    assert_int_equal(fold ? nn_fold_batch_norm(m, NULL, &file, &folded, &err)
                          : nn_model_write(m, NULL, &file, &err),
                     ST_OK);
    if (nn_model_read(file.data, file.size_bytes, NULL, &again, &err))
        fail_msg("%s", err.message);
    const struct nn_graph *g = nn_model_graph(again);
    for (int i = 0; i < g->tensor_count; i++) {
        const struct nn_tensor *t = &g->tensors[i];
        if (t->kind != NN_TENSOR_ACTIVATION)
            continue;
        const struct nn_range was = find_tensor(m, t->name)->range;
        assert_true(nn_range_is_known(was) && was.lo == t->range.lo && was.hi == t->range.hi);
    }
    nn_model_close(&again);
    buf_clear(&file);
}

static void kept_in_the_file(void **state)
{
    (void)state;
    struct nn_model *m = network(), *with = calibrated(m);
    assert_false(nn_model_is_calibrated(m));
    assert_true(nn_model_is_calibrated(with));
    written_again(with, false);
    written_again(with, true);
    nn_model_close(&with);
    nn_model_close(&m);
}

static enum status read_record(const char *text, struct error *err)
{
    struct nn_maker mk;
    struct nn_model *m = NULL;
    make_ends(&mk, "y", SHAPE(4, 1, 3, SIZE, SIZE));
    make_op(&mk, "Relu", "r", "x", NULL);
    make_op(&mk, "Add", "y", "r", "r");
    nn_make_metadata(&mk, "attune.ranges", text);
    enum status st = read_made(&mk, &m, err);
    nn_model_close(&m);
    return st;
}

static void damaged_records(void **state)
{
    (void)state;
    static const char *const good[] = {"", "0 1 r\n", "-1 1 x\n0 2.5e-3 y\n"};
    static const char *const bad[] = {
        "r\n",
        "0 r\n",
        "0 1 r",
        "0 1  r\n",
        "0 one r\n",
        "0 1 other\n",
        "0 1 r\n0 1 r\n",
        "1 2 r\n",
        "-2 -1 r\n",
        "0 0 r\n",
        "1 0 r\n",
        "0 nan r\n",
        "0 inf r\n",
        "-1e99 1 r\n",
        "0 1 \n",
        "0 1 r\n\n",
        "0\t1 r\n",
        "0 1 r\nx\n",
        "0 0.10000000000000000000000000000000000001 r\n",
    };
    struct error err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (read_record(good[i], &err))
            fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_record(bad[i], &err) != ST_FORMAT)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.message, "attune.ranges"));
    }
}

/* --- a whole network --- */

static void forward(struct nn_session *s)
{
    struct error err;
    fill_noise(nn_session_input(s, 0), 77);
    if (nn_session_forward(s, &err))
        fail_msg("%s", err.message);
}

static void agrees_with_float32(void **state)
{
    (void)state;
    if (!nn_precision_is_native(NN_PRECISION_INT8))
        skip();
    struct nn_model *m = network(), *with = calibrated(m);
    struct nn_session_options o;
    struct nn_session *bytes, *threads, *full;
    struct error err;
    nn_session_options_init(&o);
    assert_int_equal(nn_session_open(m, &o, &full, &err), ST_OK);
    o.precision = nn_precision_of_model(with);
    assert_int_equal(o.precision, NN_PRECISION_INT8);
    assert_int_equal(nn_session_open(with, &o, &bytes, &err), ST_OK);
    o.threads = 2;
    assert_int_equal(nn_session_open(with, &o, &threads, &err), ST_OK);
    forward(full);
    forward(bytes);
    forward(threads);
    const float *a = nn_session_output(full, 0).data, *b = nn_session_output(bytes, 0).data;
    double apart = 0, norm = 0;
    for (int i = 0; i < 8 * SIZE * SIZE; i++) {
        apart += pow((double)a[i] - (double)b[i], 2);
        norm += pow((double)a[i], 2);
    }
    if (!(sqrt(apart / norm) < 0.03) || apart == 0)
        fail_msg("differs by %g", sqrt(apart / norm));
    assert_memory_equal(b, nn_session_output(threads, 0).data, 8 * SIZE * SIZE * sizeof *b);
    nn_session_close(&full);
    nn_session_close(&bytes);
    nn_session_close(&threads);
    nn_model_close(&with);
    nn_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extremes),
        cmocka_unit_test(rare_value),
        cmocka_unit_test(least_error),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(kept_in_the_file),
        cmocka_unit_test(damaged_records),
        cmocka_unit_test(agrees_with_float32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
