/* Copies, elementwise operators, activations, batch norm, softmax: against plain double-precision
 * loops, gradients against finite differences, results equal for one and three threads. */
#include <omp.h>

#include "kernel_check.h"
#include "nn/kernels.h"
#include "nn/kernels_math.h"

static const float none_lo = -INFINITY, none_hi = INFINITY;

/* ---- layouts -------------------------------------------------------------------------------- */

struct layout {
    int rank;
    int64_t dim[KERNEL_RANK_MAX], stride[KERNEL_RANK_MAX];
    int64_t size; /* floats that it spans */
};

/* Dense in a random order of the dimensions, with gaps when `gaps`. */
static struct layout random_layout(struct rng *r, int rank, const int64_t *dim, int gaps)
{
    struct layout l = {.rank = rank};
    int order[KERNEL_RANK_MAX];
    for (int i = 0; i < rank; i++)
        order[i] = i;
    for (int i = rank - 1; i > 0; i--) {
        int j = (int)rng_below(r, (uint32_t)i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    int64_t step = gaps ? random_between(r, 1, 2) : 1;
    for (int i = 0; i < rank; i++) {
        l.dim[order[i]] = dim[order[i]];
        l.stride[order[i]] = step;
        step *= dim[order[i]] + (gaps ? random_between(r, 0, 1) : 0);
    }
    l.size = step;
    return l;
}

static int64_t count_of(int rank, const int64_t *dim)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= dim[i];
    return n;
}

/* Place of the flat row-major index in a layout with these strides. */
static int64_t place(int rank, const int64_t *dim, const int64_t *stride, int64_t flat)
{
    int64_t at = 0;
    for (int i = rank - 1; i >= 0; i--) {
        at += flat % dim[i] * stride[i];
        flat /= dim[i];
    }
    return at;
}

/* Sizes that take in tiny tensors and some above the parallel threshold. */
static int random_dims(struct rng *r, int64_t *dim, bool large)
{
    int rank = random_between(r, 0, KERNEL_RANK_MAX);
    for (int i = 0; i < rank; i++)
        dim[i] = random_between(r, 1, 5);
    if (large && rank > 1) {
        dim[rng_below(r, (uint32_t)rank)] *= random_between(r, 20, 70);
        dim[rng_below(r, (uint32_t)rank)] *= random_between(r, 5, 20);
    }
    return rank;
}

static void copies(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 11, 0);
    for (int round = 0; round < 400; round++) {
        int64_t dim[KERNEL_RANK_MAX];
        int rank = random_dims(&r, dim, round % 8 == 0);
        struct layout lx = random_layout(&r, rank, dim, round % 3);
        struct layout ly = random_layout(&r, rank, dim, round % 2);
        float *x = random_values(&r, lx.size), *y = random_values(&r, ly.size);
        float *want = guarded(ly.size);
        memcpy(want, y, (size_t)ly.size * sizeof(float));
        bool add = rng_below(&r, 2) != 0;
        for (int64_t i = 0; i < count_of(rank, dim); i++) {
            float v = x[place(rank, dim, lx.stride, i)];
            float *to = want + place(rank, dim, ly.stride, i);
            *to = add ? *to + v : v;
        }
        kernel_copy(rank, dim, x, lx.stride, y, ly.stride, add);
        assert_memory_equal(y, want, (size_t)ly.size * sizeof(float));
        release(x);
        release(y);
        release(want);
    }
}

static void copy_reverses_with_negative_strides(void **state)
{
    (void)state;
    float x[6] = {1, 2, 3, 4, 5, 6}, y[6];
    const int64_t dim[] = {2, 3}, back[] = {3, -1}, forth[] = {3, 1};
    kernel_copy(2, dim, x + 2, back, y, forth, false);
    const float want[6] = {3, 2, 1, 6, 5, 4};
    assert_memory_equal(y, want, sizeof(y));
    const int64_t empty[] = {0, 3};
    kernel_copy(2, empty, x, forth, y, forth, false);
    assert_memory_equal(y, want, sizeof(y));
}

static void vectors(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 12, 0);
    const int64_t sizes[] = {0, 1, 7, 33, 1000, 70001};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        int64_t n = sizes[s];
        float *x = random_values(&r, n), *y = random_values(&r, n), *z = guarded(n);
        double want = 0;
        memcpy(z, y, (size_t)n * sizeof(float));
        kernel_axpy(z, x, (size_t)n, 0.5f);
        for (int64_t i = 0; i < n; i++) {
            expect_near((double)z[i], (double)y[i] + 0.5 * (double)x[i], 1e-6, "axpy", i);
            want += (double)x[i] * (double)x[i];
        }
        expect_near(kernel_sum_squares(x, (size_t)n), want, 1e-12, "sum of squares", 0);
        kernel_fill(z, (size_t)n, 3.5f);
        for (int64_t i = 0; i < n; i++)
            assert_true(z[i] == 3.5f);
        release(x);
        release(y);
        release(z);
    }
}

/* ---- binary --------------------------------------------------------------------------------- */

struct binary_case {
    enum kernel_binary_op op;
    int rank;
    int64_t dim[KERNEL_RANK_MAX];
    struct layout a, b, y; /* a and b: stride 0 where broadcast */
};

static double operate(enum kernel_binary_op op, double a, double b)
{
    return op == KERNEL_ADD ? a + b : op == KERNEL_SUB ? a - b : op == KERNEL_MUL ? a * b : a / b;
}

static void ref_binary(const void *context, const double *in, double *out)
{
    const struct binary_case *c = context;
    for (int64_t i = 0; i < count_of(c->rank, c->dim); i++) {
        double a = in[place(c->rank, c->dim, c->a.stride, i)];
        double b = in[c->a.size + place(c->rank, c->dim, c->b.stride, i)];
        out[place(c->rank, c->dim, c->y.stride, i)] = operate(c->op, a, b);
    }
}

static struct layout random_broadcast(struct rng *r, int rank, const int64_t *dim, int percent)
{
    int64_t own[KERNEL_RANK_MAX] = {0};
    for (int i = 0; i < rank; i++)
        own[i] = (int)rng_below(r, 100) < percent ? 1 : dim[i];
    struct layout l = random_layout(r, rank, own, 0);
    for (int i = 0; i < rank; i++)
        if (own[i] == 1)
            l.stride[i] = 0;
    return l;
}

static struct binary_case random_case(struct rng *r, enum kernel_binary_op op, bool large)
{
    struct binary_case c = {.op = op};
    c.rank = random_dims(r, c.dim, large);
    c.y = random_layout(r, c.rank, c.dim, 0);
    int percent = (int)rng_below(r, 3) * 40;
    c.a = rng_below(r, 3) == 0 ? random_broadcast(r, c.rank, c.dim, percent) : c.y;
    c.b = rng_below(r, 3) != 0 ? random_broadcast(r, c.rank, c.dim, percent) : c.y;
    return c;
}

static float *divisors(struct rng *r, int64_t n)
{
    float *p = random_values(r, n);
    for (int64_t i = 0; i < n; i++)
        p[i] = p[i] < 0 ? p[i] - 1 : p[i] + 1;
    return p;
}

/* The inputs end to end, in double. */
static double *joined(const float *a, int64_t na, const float *b, int64_t nb)
{
    double *in = calloc((size_t)(na + nb + 1), sizeof(double));
    assert_non_null(in);
    for (int64_t i = 0; i < na + nb; i++)
        in[i] = (double)(i < na ? a[i] : b[i - na]);
    return in;
}

static void run_backward(const struct binary_case *c, int input, const float *gy, const float *a,
                         const float *b, float *gx, bool add)
{
    const struct layout *x = input == 0 ? &c->a : &c->b;
    kernel_binary_backward(c->op, input, c->rank, c->dim, gy, c->y.stride, a, c->a.stride, b,
                           c->b.stride, gx, x->stride, add);
}

static void check_binary_gradients(struct rng *r, const struct binary_case *c, const float *a,
                                   const float *b, double *in)
{
    float *gy = random_values(r, c->y.size);
    for (int input = 0; input < 2; input++) {
        int64_t n = input == 0 ? c->a.size : c->b.size;
        float *gx = guarded(n), *sum = random_values(r, n), *before = guarded(n);
        memcpy(before, sum, (size_t)n * sizeof(float));
        run_backward(c, input, gy, a, b, gx, false);
        check_gradient(ref_binary, c, in, input == 0 ? 0 : c->a.size, n, gy, c->y.size, gx, 1e-4);
        run_backward(c, input, gy, a, b, sum, true);
        for (int64_t i = 0; i < n; i++)
            expect_near((double)sum[i], (double)before[i] + (double)gx[i], 1e-5, "added", i);
        release(gx);
        release(sum);
        release(before);
    }
    release(gy);
}

static void binary_broadcasts(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 13, 0);
    for (int round = 0; round < 400; round++) {
        bool large = round % 10 == 0;
        struct binary_case c = random_case(&r, (enum kernel_binary_op)(1 + round % 4), large);
        float *a = random_values(&r, c.a.size), *b = divisors(&r, c.b.size);
        float *y = guarded(c.y.size);
        double *in = joined(a, c.a.size, b, c.b.size);
        kernel_binary(c.op, c.rank, c.dim, a, c.a.stride, b, c.b.stride, y, c.y.stride, none_lo,
                      none_hi);
        check_forward(ref_binary, &c, in, y, c.y.size, 1e-6);
        if (c.y.size < 400)
            check_binary_gradients(&r, &c, a, b, in);
        free(in);
        release(a);
        release(b);
        release(y);
    }
}

/* Sums over many rows, in each way in which they are split: plain double sums per result. */
static void check_large_sum(const struct binary_case *c, int input, const float *gy, const float *a,
                            const float *b, const float *gx)
{
    const struct layout *x = input == 0 ? &c->a : &c->b;
    double *want = calloc((size_t)x->size, sizeof(double));
    double *size = calloc((size_t)x->size, sizeof(double));
    assert_true(want && size);
    for (int64_t i = 0; i < count_of(c->rank, c->dim); i++) {
        double g = (double)gy[place(c->rank, c->dim, c->y.stride, i)];
        double va = (double)a[place(c->rank, c->dim, c->a.stride, i)];
        double vb = (double)b[place(c->rank, c->dim, c->b.stride, i)];
        double by_a = c->op == KERNEL_MUL ? vb : c->op == KERNEL_DIV ? 1 / vb : 1;
        double by_b = c->op == KERNEL_ADD   ? 1
                      : c->op == KERNEL_SUB ? -1
                      : c->op == KERNEL_MUL ? va
                                            : -va / vb / vb;
        int64_t at = place(c->rank, c->dim, x->stride, i);
        want[at] += g * (input == 0 ? by_a : by_b);
        size[at] += fabs(g * (input == 0 ? by_a : by_b));
    }
    for (int64_t i = 0; i < x->size; i++)
        expect_near((double)gx[i] / size[i], want[i] / size[i], 2e-7, "large sum", i);
    free(want);
    free(size);
}

static void binary_sums_over_many(void **state)
{
    (void)state;
    const struct binary_case cases[] = {
        /* channels-last rows and a vector; a scalar; squeeze-and-excite; a plane a channel */
        {.rank = 2, .dim = {3001, 33}, .b = {.stride = {0, 1}, .size = 33}},
        {.rank = 2, .dim = {1201, 70}, .b = {.stride = {0, 0}, .size = 1}},
        {.rank = 3, .dim = {3, 601, 68}, .b = {.stride = {68, 0, 1}, .size = 204}},
        {.rank = 3, .dim = {2, 21, 1033}, .b = {.stride = {0, 1, 0}, .size = 21}},
        {.rank = 1, .dim = {100003}, .b = {.stride = {0}, .size = 1}},
    };
    struct rng r;
    rng_init(&r, 14, 0);
    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++)
        for (int op = KERNEL_ADD; op <= KERNEL_DIV; op++) {
            struct binary_case c = cases[k];
            c.op = (enum kernel_binary_op)op;
            int64_t step = 1;
            for (int i = c.rank - 1; i >= 0; step *= c.dim[i--])
                c.y.stride[i] = step;
            c.y.size = step;
            c.a = c.y;
            float *gy = random_values(&r, step), *a = random_values(&r, step);
            float *b = divisors(&r, c.b.size), *gb = guarded(c.b.size), *again = guarded(c.b.size);
            run_backward(&c, 1, gy, a, b, gb, false);
            check_large_sum(&c, 1, gy, a, b, gb);
            omp_set_num_threads(3);
            run_backward(&c, 1, gy, a, b, again, false);
            omp_set_num_threads(1);
            assert_memory_equal(gb, again, (size_t)c.b.size * sizeof(float));
            run_backward(&c, 0, gy, a, b, a, false); /* neither in the way of the other */
            release(gy);
            release(a);
            release(b);
            release(gb);
            release(again);
        }
}

static void binary_in_place_and_clamped(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 15, 0);
    const int64_t dim[] = {50, 37}, full[] = {37, 1}, vector[] = {0, 1};
    float *a = random_values(&r, 50 * 37), *b = random_values(&r, 37), *y = guarded(50 * 37);
    kernel_binary(KERNEL_ADD, 2, dim, a, full, b, vector, y, full, 0, 1);
    for (int i = 0; i < 50 * 37; i++)
        assert_true(y[i] == fminf(fmaxf(a[i] + b[i % 37], 0), 1));
    kernel_binary(KERNEL_ADD, 2, dim, a, full, b, vector, a, full, 0, 1);
    assert_memory_equal(a, y, 50 * 37 * sizeof(float));
    release(a);
    release(b);
    release(y);
}

/* ---- activations ---------------------------------------------------------------------------- */

enum activation { RELU, LEAKY, CLIP, SIGMOID, ACTIVATIONS };

struct activation_case {
    enum activation kind;
    int64_t n;
};

static void ref_activation(const void *context, const double *in, double *out)
{
    const struct activation_case *c = context;
    for (int64_t i = 0; i < c->n; i++) {
        double x = in[i];
        out[i] = c->kind == RELU    ? (x > 0 ? x : 0)
                 : c->kind == LEAKY ? (x > 0 ? x : 0.125 * x)
                 : c->kind == CLIP  ? (x < -0.75  ? -0.75
                                       : x > 1.25 ? 1.25
                                                  : x)
                                    : 1 / (1 + exp(-x));
    }
}

static void activate(enum activation kind, const float *x, float *y, int64_t n)
{
    if (kind == RELU)
        kernel_relu(x, y, (size_t)n);
    else if (kind == LEAKY)
        kernel_leaky_relu(x, y, (size_t)n, 0.125f);
    else if (kind == CLIP)
        kernel_clip(x, y, (size_t)n, -0.75f, 1.25f);
    else
        kernel_sigmoid(x, y, (size_t)n);
}

static void activate_backward(enum activation kind, const float *x, const float *y, const float *gy,
                              float *gx, int64_t n, bool add)
{
    if (kind == RELU)
        kernel_relu_backward(add ? x : y, gy, gx, (size_t)n, add);
    else if (kind == LEAKY)
        kernel_leaky_relu_backward(add ? y : x, gy, gx, (size_t)n, 0.125f, add);
    else if (kind == CLIP)
        kernel_clip_backward(add ? x : y, gy, gx, (size_t)n, -0.75f, 1.25f, add);
    else
        kernel_sigmoid_backward(y, gy, gx, (size_t)n, add);
}

static void activations(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 16, 0);
    for (int round = 0; round < 40; round++) {
        int64_t n = round < 36 ? random_between(&r, 1, 150) : 40001;
        struct activation_case c = {(enum activation)(round % ACTIVATIONS), n};
        float *x = random_values(&r, n), *y = guarded(n), *gy = random_values(&r, n);
        float *gx = guarded(n), *sum = guarded(n);
        double *in = widen(x, n);
        activate(c.kind, x, y, n);
        check_forward(ref_activation, &c, in, y, n, 3e-7);
        activate_backward(c.kind, x, y, gy, gx, n, false);
        if (n < 1000)
            check_gradient(ref_activation, &c, in, 0, n, gy, n, gx, 1e-5);
        kernel_fill(sum, (size_t)n, 2);
        activate_backward(c.kind, x, y, gy, sum, n, true);
        check_added(sum, 2, gx, n, 1e-6);
        activate_backward(c.kind, x, y, gy, gy, n, false);
        assert_memory_equal(gy, gx, (size_t)n * sizeof(float));
        activate(c.kind, x, x, n);
        assert_memory_equal(x, y, (size_t)n * sizeof(float));
        free(in);
        release(x);
        release(y);
        release(gy);
        release(gx);
        release(sum);
    }
}

static void activations_keep_nan(void **state)
{
    (void)state;
    float x[33], y[33];
    for (int i = 0; i < 33; i++)
        x[i] = NAN;
    for (int kind = 0; kind < ACTIVATIONS; kind++) {
        activate((enum activation)kind, x, y, 33);
        for (int i = 0; i < 33; i++)
            assert_true(isnan(y[i]));
    }
}

static void exp_is_accurate(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = 0; i <= 1752000; i++) {
        float x = EXP_MIN + (float)i * 1e-4f;
        if (x > EXP_MAX)
            break;
        double want = exp((double)x), error = fabs((double)kernel_expf(x) - want) / want;
        worst = error > worst ? error : worst;
    }
    if (!(worst <= 2e-7))
        fail_msg("relative error %g", worst);
    assert_true(kernel_expf(0) == 1);
    assert_true(kernel_expf(-200) == 0 && kernel_expf(-INFINITY) == 0);
    assert_true(isinf(kernel_expf(89)) && isnan(kernel_expf(NAN)));
}

static void log_is_accurate(void **state)
{
    (void)state;
    for (int i = 0; i < 400000; i++) {
        float x = ldexpf(1 + (float)(i % 1000) / 1000, i / 1000 - 120);
        if (i / 1000 > 245)
            break;
        double want = log((double)x);
        if (!(fabs((double)kernel_logf(x) - want) <= 2e-7 * (1 + fabs(want))))
            fail_msg("log(%g): got %.9g, want %.9g", (double)x, (double)kernel_logf(x), want);
    }
    assert_true(kernel_logf(1) == 0);
    assert_true(isnan(kernel_logf(NAN)) && isnan(kernel_logf(INFINITY)));
}

static double log1p_exp(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static void follows_from_exp(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        float (*got)(float);
        double (*want)(double);
    } functions[] = {{"expm1", kernel_expm1f, expm1},
                     {"tanh", kernel_tanhf, tanh},
                     {"erf", kernel_erff, erf},
                     {"softplus", kernel_softplusf, log1p_exp}};
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        for (int i = -340000; i <= 340000; i++) {
            float x = (float)i / 4000;
            x = i % 2 ? x : ldexpf(x, -(i & 31));
            double want = functions[k].want((double)x), got = (double)functions[k].got(x);
            if (!(fabs(got - want) <= 5e-7 * fabs(want)))
                fail_msg("%s(%.9g): got %.9g, want %.9g", functions[k].name, (double)x, got, want);
        }
        assert_true(isnan(functions[k].got(NAN)));
    }
    assert_true(kernel_expm1f(-INFINITY) == -1 && isinf(kernel_expm1f(100)));
    assert_true(kernel_tanhf(INFINITY) == 1 && kernel_tanhf(-INFINITY) == -1);
    assert_true(kernel_erff(INFINITY) == 1 && kernel_erff(-30) == -1);
    assert_true(isinf(kernel_softplusf(INFINITY)) && kernel_softplusf(-INFINITY) == 0);
}

/* ---- functions ------------------------------------------------------------------------------ */

struct function_case {
    enum kernel_function kind;
    int64_t n;
};

static void ref_function(const void *context, const double *in, double *out)
{
    const struct function_case *c = context;
    const double a = 0.75, b = 0.375;
    for (int64_t i = 0; i < c->n; i++) {
        double x = in[i];
        const double table[] = {
            [KERNEL_HARD_SIGMOID] = fmin(fmax(a * x + b, 0), 1),
            [KERNEL_TANH] = tanh(x),
            [KERNEL_ELU] = x > 0 ? x : a * expm1(x),
            [KERNEL_SOFTPLUS] = log1p_exp(x),
            [KERNEL_ERF] = erf(x),
            [KERNEL_EXP] = exp(x),
            [KERNEL_SQRT] = sqrt(x),
            [KERNEL_ABS] = fabs(x),
            [KERNEL_NEG] = -x,
            [KERNEL_POW] = pow(x, a),
        };
        out[i] = table[c->kind];
    }
}

/* Random values that keep off the kinks of every function by more than a finite difference. */
static float *values_for(struct rng *r, enum kernel_function kind, int64_t n)
{
    float *x = random_values(r, n);
    for (int64_t i = 0; i < n; i++) {
        if (kind == KERNEL_SQRT || kind == KERNEL_POW)
            x[i] = fabsf(x[i]) + 0.125f;
        float kinks[] = {0, -0.5f, 0.8333333f};
        for (int k = 0; k < 3; k++)
            if (fabsf(x[i] - kinks[k]) < 1e-3f)
                x[i] += 0.01f;
    }
    return x;
}

static void functions(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 17, 0);
    const float a = 0.75f, b = 0.375f;
    for (int round = 0; round < 44; round++) {
        int64_t n = round < 33 ? random_between(&r, 1, 150) : 40001;
        struct function_case c = {(enum kernel_function)(1 + round % KERNEL_POW), n};
        float *x = values_for(&r, c.kind, n), *y = guarded(n), *gy = random_values(&r, n);
        float *gx = guarded(n), *sum = guarded(n);
        double *in = widen(x, n);
        kernel_function(c.kind, x, y, (size_t)n, a, b);
        check_forward(ref_function, &c, in, y, n, 5e-7);
        const float *kept = kernel_function_keeps_output(c.kind) ? y : x;
        kernel_function_backward(c.kind, kept, gy, gx, (size_t)n, a, b, false);
        if (n < 1000)
            check_gradient(ref_function, &c, in, 0, n, gy, n, gx, 1e-5);
        kernel_fill(sum, (size_t)n, 2);
        kernel_function_backward(c.kind, kept, gy, sum, (size_t)n, a, b, true);
        for (int64_t i = 0; i < n; i++)
            expect_near((double)sum[i], 2 + (double)gx[i], 1e-6, "added", i);
        kernel_function_backward(c.kind, kept, gy, gy, (size_t)n, a, b, false);
        assert_memory_equal(gy, gx, (size_t)n * sizeof(float));
        kernel_function(c.kind, x, x, (size_t)n, a, b);
        assert_memory_equal(x, y, (size_t)n * sizeof(float));
        free(in);
        release(x);
        release(y);
        release(gy);
        release(gx);
        release(sum);
    }
}

static void functions_keep_nan(void **state)
{
    (void)state;
    for (int kind = 1; kind <= KERNEL_POW; kind++) {
        float x = NAN, y = 0;
        kernel_function((enum kernel_function)kind, &x, &y, 1, 0.75f, 0.375f);
        assert_true(isnan(y));
    }
}

struct prelu_case {
    int64_t outer, channels, inner;
};

static void ref_prelu(const void *context, const double *in, double *out)
{
    const struct prelu_case *c = context;
    int64_t n = c->outer * c->channels * c->inner;
    for (int64_t i = 0; i < n; i++) {
        double slope = in[n + i / c->inner % c->channels];
        out[i] = in[i] > 0 ? in[i] : slope * in[i];
    }
}

static void prelu(void **state)
{
    (void)state;
    const struct prelu_case cases[] = {{7, 5, 1},    {3, 70, 1},   {2, 3, 17},   {1, 1, 9},
                                       {700, 66, 1}, {2, 5, 5001}, {1, 1, 40007}};
    struct rng r;
    rng_init(&r, 17, 0);
    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
        const struct prelu_case *c = &cases[k];
        int64_t n = c->outer * c->channels * c->inner;
        float *x = random_values(&r, n), *slope = random_values(&r, c->channels);
        float *y = guarded(n), *gy = random_values(&r, n), *gx = guarded(n);
        float *gslope = guarded(c->channels);
        double *in = joined(x, n, slope, c->channels);
        kernel_prelu(x, slope, y, c->outer, c->channels, c->inner);
        check_forward(ref_prelu, c, in, y, n, 1e-6);
        kernel_prelu_backward(x, slope, gy, gx, gslope, c->outer, c->channels, c->inner, false);
        if (n < 500)
            check_gradient(ref_prelu, c, in, 0, n, gy, n, gx, 1e-5);
        check_gradient(ref_prelu, c, in, n, c->channels, gy, n, gslope, 1e-5);
        kernel_prelu_backward(x, slope, gy, y, NULL, c->outer, c->channels, c->inner, true);
        kernel_prelu_backward(x, slope, gy, gy, NULL, c->outer, c->channels, c->inner, false);
        assert_memory_equal(gy, gx, (size_t)n * sizeof(float));
        free(in);
        release(x);
        release(slope);
        release(y);
        release(gy);
        release(gx);
        release(gslope);
    }
}

/* ---- batch norm ----------------------------------------------------------------------------- */

struct bn_case {
    int64_t rows, channels;
    bool batch;
    double lo, hi;
    const float *mean, *variance; /* frozen */
};

#define BN_EPSILON 1e-3f

static void ref_bn(const void *context, const double *in, double *out)
{
    const struct bn_case *b = context;
    const double *scale = in + b->rows * b->channels, *shift = scale + b->channels;
    for (int64_t c = 0; c < b->channels; c++) {
        double mean = 0, variance = 0;
        for (int64_t r = 0; r < b->rows; r++)
            mean += in[r * b->channels + c] / (double)b->rows;
        for (int64_t r = 0; r < b->rows; r++)
            variance += pow(in[r * b->channels + c] - mean, 2) / (double)b->rows;
        mean = b->batch ? mean : (double)b->mean[c];
        variance = b->batch ? variance : (double)b->variance[c];
        for (int64_t r = 0; r < b->rows; r++) {
            double norm = (in[r * b->channels + c] - mean) / sqrt(variance + (double)BN_EPSILON);
            double v = norm * scale[c] + shift[c];
            out[r * b->channels + c] = v < b->lo ? b->lo : v > b->hi ? b->hi : v;
        }
    }
}

struct bn_arrays {
    float *x, *affine, *mean, *variance, *a, *b, *y, *gy, *gx, *gscale, *gshift;
};

static struct bn_arrays bn_open(struct rng *r, int64_t rows, int64_t channels)
{
    int64_t n = rows * channels;
    struct bn_arrays v = {.x = random_values(r, n),
                          .affine = random_values(r, 2 * channels),
                          .mean = random_values(r, channels),
                          .variance = divisors(r, channels),
                          .a = guarded(channels),
                          .b = guarded(channels),
                          .y = guarded(n),
                          .gy = random_values(r, n),
                          .gx = guarded(n),
                          .gscale = guarded(channels),
                          .gshift = guarded(channels)};
    for (int64_t c = 0; c < channels; c++)
        v.variance[c] = fabsf(v.variance[c]);
    return v;
}

static void bn_clear(struct bn_arrays *v)
{
    float *all[] = {v->x, v->affine, v->mean, v->variance, v->a,     v->b,
                    v->y, v->gy,     v->gx,   v->gscale,   v->gshift};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        release(all[i]);
}

static void bn_forward(const struct bn_case *c, struct bn_arrays *v)
{
    if (c->batch)
        kernel_bn_statistics(v->x, c->rows, c->channels, v->mean, v->variance);
    kernel_bn_coefficients(v->affine, v->affine + c->channels, v->mean, v->variance, BN_EPSILON,
                           c->channels, v->a, v->b);
    kernel_bn_apply(v->x, v->a, v->b, v->y, c->rows, c->channels, (float)c->lo, (float)c->hi);
}

static void bn_backward(const struct bn_case *c, struct bn_arrays *v, float *gx, bool add)
{
    kernel_bn_backward(v->x, isinf(c->lo) ? NULL : v->y, v->gy, c->rows, c->channels, v->affine,
                       v->mean, v->variance, BN_EPSILON, c->batch, (float)c->lo, (float)c->hi, gx,
                       add, v->gscale, v->gshift);
}

static void check_bn(struct rng *r, struct bn_case c)
{
    int64_t n = c.rows * c.channels;
    struct bn_arrays v = bn_open(r, c.rows, c.channels);
    bn_forward(&c, &v);
    c.mean = v.mean;
    c.variance = v.variance;
    double *in = joined(v.x, n, v.affine, 2 * c.channels);
    check_forward(ref_bn, &c, in, v.y, n, 2e-6);
    bn_backward(&c, &v, v.gx, false);
    check_gradient(ref_bn, &c, in, 0, n, v.gy, n, v.gx, 2e-4);
    check_gradient(ref_bn, &c, in, n, c.channels, v.gy, n, v.gscale, 2e-4);
    check_gradient(ref_bn, &c, in, n + c.channels, c.channels, v.gy, n, v.gshift, 2e-4);
    float *sum = guarded(n);
    kernel_fill(sum, (size_t)n, 1);
    bn_backward(&c, &v, sum, true);
    check_added(sum, 1, v.gx, n, 1e-5);
    release(sum);
    bn_backward(&c, &v, v.gy, false);
    assert_memory_equal(v.gy, v.gx, (size_t)n * sizeof(float));
    free(in);
    bn_clear(&v);
}

static void batch_norm(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 18, 0);
    for (int round = 0; round < 24; round++) {
        struct bn_case c = {.rows = random_between(&r, 2, 12),
                            .channels = random_between(&r, 1, round % 4 == 3 ? 70 : 9),
                            .batch = round % 2 != 0,
                            .lo = -INFINITY,
                            .hi = INFINITY};
        if (round % 3 == 1)
            c.lo = 0;
        if (round % 3 == 2) {
            c.lo = 0;
            c.hi = 1;
        }
        check_bn(&r, c);
    }
}

static void batch_norm_large_is_split_evenly(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 19, 0);
    struct bn_case c = {.rows = 2003, .channels = 71, .batch = true, .lo = 0, .hi = INFINITY};
    struct bn_arrays v = bn_open(&r, c.rows, c.channels);
    for (int64_t i = 0; i < c.rows * c.channels; i++)
        v.x[i] += 100; /* the variance must survive a large mean */
    bn_forward(&c, &v);
    double *in = joined(v.x, c.rows * c.channels, v.affine, 2 * c.channels);
    check_forward(ref_bn, &c, in, v.y, c.rows * c.channels, 3e-5);
    bn_backward(&c, &v, v.gx, false);
    float *gx = guarded(c.rows * c.channels), *gscale = v.gscale;
    v.gscale = guarded(c.channels);
    omp_set_num_threads(3);
    bn_backward(&c, &v, gx, false);
    omp_set_num_threads(1);
    assert_memory_equal(gx, v.gx, (size_t)(c.rows * c.channels) * sizeof(float));
    assert_memory_equal(gscale, v.gscale, (size_t)c.channels * sizeof(float));
    kernel_column_sums(v.gy, c.rows, c.channels, gscale);
    for (int64_t k = 0; k < c.channels; k++) {
        double want = 0;
        for (int64_t i = k; i < c.rows * c.channels; i += c.channels)
            want += (double)v.gy[i];
        expect_near((double)gscale[k], want, 1e-6, "column sum", k);
    }
    free(in);
    release(gx);
    release(gscale);
    bn_clear(&v);
}

/* torch.nn.BatchNorm1d(1, momentum=0.1) in training on [1, 2, 4]: mean 0.2333.., var 1.1333.. */
static void running_statistics_follow_torch(void **state)
{
    (void)state;
    const float x[3] = {1, 2, 4};
    float mean, variance, running_mean = 0, running_variance = 1;
    kernel_bn_statistics(x, 3, 1, &mean, &variance);
    kernel_bn_running(&mean, &variance, 3, 1, 0.9f, &running_mean, &running_variance);
    expect_near((double)running_mean, 7.0 / 30, 1e-6, "running mean", 0);
    expect_near((double)running_variance, 0.9 + 0.1 * 7 / 3, 1e-6, "running variance", 0);
}

/* ---- softmax -------------------------------------------------------------------------------- */

static void ref_softmax(const void *context, const double *in, double *out)
{
    const struct prelu_case *c = context; /* outer, n, inner */
    for (int64_t o = 0; o < c->outer; o++)
        for (int64_t k = 0; k < c->inner; k++) {
            const double *x = in + o * c->channels * c->inner + k;
            double sum = 0;
            for (int64_t i = 0; i < c->channels; i++)
                sum += exp(x[i * c->inner]);
            for (int64_t i = 0; i < c->channels; i++)
                out[(o * c->channels + i) * c->inner + k] = exp(x[i * c->inner]) / sum;
        }
}

static void softmax(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 20, 0);
    for (int round = 0; round < 40; round++) {
        struct prelu_case c = {random_between(&r, 1, 4), random_between(&r, 1, 20),
                               round % 2 ? 1 : random_between(&r, 1, 9)};
        if (round > 36)
            c.inner = 5003;
        int64_t n = c.outer * c.channels * c.inner;
        float *x = random_values(&r, n), *y = guarded(n), *gy = random_values(&r, n);
        float *gx = guarded(n), *sum = guarded(n);
        double *in = widen(x, n);
        kernel_softmax(x, y, c.outer, c.channels, c.inner);
        check_forward(ref_softmax, &c, in, y, n, 1e-6);
        kernel_softmax_backward(y, gy, gx, c.outer, c.channels, c.inner, false);
        if (n < 1000)
            check_gradient(ref_softmax, &c, in, 0, n, gy, n, gx, 1e-5);
        kernel_fill(sum, (size_t)n, 1);
        kernel_softmax_backward(y, gy, sum, c.outer, c.channels, c.inner, true);
        check_added(sum, 1, gx, n, 1e-6);
        kernel_softmax(x, x, c.outer, c.channels, c.inner);
        assert_memory_equal(x, y, (size_t)n * sizeof(float));
        free(in);
        release(x);
        release(y);
        release(gy);
        release(gx);
        release(sum);
    }
}

static void softmax_does_not_overflow(void **state)
{
    (void)state;
    const float x[6] = {1000, 999, -1000, -3e38f, -3e38f, -3e38f};
    float y[6];
    kernel_softmax(x, y, 2, 3, 1);
    expect_near((double)y[0], 1 / (1 + exp(-1)), 1e-6, "softmax", 0);
    assert_true(y[2] == 0);
    for (int i = 3; i < 6; i++)
        expect_near((double)y[i], 1.0 / 3, 1e-6, "softmax", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies),
        cmocka_unit_test(copy_reverses_with_negative_strides),
        cmocka_unit_test(vectors),
        cmocka_unit_test(binary_broadcasts),
        cmocka_unit_test(binary_sums_over_many),
        cmocka_unit_test(binary_in_place_and_clamped),
        cmocka_unit_test(activations),
        cmocka_unit_test(activations_keep_nan),
        cmocka_unit_test(exp_is_accurate),
        cmocka_unit_test(log_is_accurate),
        cmocka_unit_test(follows_from_exp),
        cmocka_unit_test(functions),
        cmocka_unit_test(functions_keep_nan),
        cmocka_unit_test(prelu),
        cmocka_unit_test(batch_norm),
        cmocka_unit_test(batch_norm_large_is_split_evenly),
        cmocka_unit_test(running_statistics_follow_torch),
        cmocka_unit_test(softmax),
        cmocka_unit_test(softmax_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
