/* Cross-entropy and argmax: against torch's values in every layout, and on larger random logits
 * against plain double-precision loops. */
#include <omp.h>

#include "kernel_check.h"
#include "loss_cases.h"
#include "nn/loss.h"

enum layout { NCHW, NHWC, SPACED, LAYOUTS };

/* A view over new memory with a whole batch's room; release(view.data - origin). */
struct tensor {
    struct nn_view view;
    float *memory;
    int64_t size;
};

static struct tensor tensor_open(enum layout layout, int64_t n, int64_t c, int64_t h, int64_t w)
{
    struct tensor t = {.view = {.rank = 4, .dim = {n, c, h, w}}};
    int64_t *s = t.view.stride;
    if (layout == NCHW) {
        s[3] = 1, s[2] = w, s[1] = h * w, s[0] = c * h * w;
        t.size = n * c * h * w;
    } else if (layout == NHWC) {
        s[1] = 1, s[3] = c, s[2] = w * c, s[0] = h * w * c;
        t.size = n * c * h * w;
    } else { /* channels padded, rows padded: nothing merges */
        s[1] = 1, s[3] = c + 3, s[2] = w * (c + 3) + 5, s[0] = h * s[2] + 7;
        t.size = n * s[0];
    }
    t.memory = guarded(t.size);
    t.view.data = t.memory;
    for (int64_t i = 0; i < t.size; i++)
        t.memory[i] = -77;
    return t;
}

static float *element(const struct tensor *t, int64_t flat)
{
    const int64_t *d = t->view.dim, *s = t->view.stride;
    int64_t w = flat % d[3], h = flat / d[3] % d[2], c = flat / d[3] / d[2] % d[1];
    return t->view.data + flat / d[3] / d[2] / d[1] * s[0] + c * s[1] + h * s[2] + w * s[3];
}

static int64_t count(const struct tensor *t)
{
    const int64_t *d = t->view.dim;
    return d[0] * d[1] * d[2] * d[3];
}

static struct tensor tensor_of(enum layout layout, const float *values)
{
    struct tensor t = tensor_open(layout, CASE_N, CASE_C, CASE_H, CASE_W);
    for (int64_t i = 0; i < count(&t); i++)
        *element(&t, i) = values[i];
    return t;
}

/* Elements equal `want` times scale plus before; what lies between them is as it was. */
static void check_grad(const struct tensor *t, const float *want, double scale, double before)
{
    int64_t gaps = 0;
    for (int64_t i = 0; i < count(t); i++)
        expect_near((double)*element(t, i), (double)want[i] * scale + before, 3e-7, "grad", i);
    for (int64_t i = 0; i < t->size; i++)
        gaps += t->memory[i] == -77;
    assert_true(gaps == t->size - count(t));
}

struct hard_case {
    struct nn_ce_options options;
    double loss;
    const float *grad;
};

static void hard_follows_torch(void **state)
{
    (void)state;
    const uint8_t without_1[] = {1, 0, 1, 1}, without_0[] = {0, 1, 1, 1};
    const float weight[] = {0.5f, 2.0f, 1.0f, 0.25f};
    const struct hard_case cases[] = {
        {{0}, plain_loss, plain_grad},
        {{.class_chosen = without_1}, restricted_loss, restricted_grad},
        {{.class_weight = weight}, weighted_loss, weighted_grad},
        {{.class_chosen = without_0, .label_smoothing = 0.125f}, smoothed_loss, smoothed_grad},
    };
    for (int k = 0; k < 4; k++)
        for (int l = 0; l < LAYOUTS * LAYOUTS; l++) {
            struct tensor z = tensor_of((enum layout)(l % LAYOUTS), case_logits);
            struct tensor g =
                tensor_open((enum layout)(l / LAYOUTS), CASE_N, CASE_C, CASE_H, CASE_W);
            double loss = nn_loss_hard(&z.view, case_labels, &cases[k].options, 2.5f, &g.view);
            expect_near(loss, cases[k].loss, 3e-7, "loss", k);
            check_grad(&g, cases[k].grad, 2.5, 0);
            struct nn_view none = {0};
            assert_true(nn_loss_hard(&z.view, case_labels, &cases[k].options, 1, &none) == loss);
            release(z.memory);
            release(g.memory);
        }
}

static void soft_follows_torch(void **state)
{
    (void)state;
    for (int l = 0; l < LAYOUTS * LAYOUTS * 4; l++) {
        bool warm = l & 1, add = l & 2;
        struct tensor z = tensor_of((enum layout)(l / 4 % LAYOUTS), case_logits);
        struct tensor g =
            tensor_open((enum layout)(l / 4 / LAYOUTS), CASE_N, CASE_C, CASE_H, CASE_W);
        for (int64_t i = 0; add && i < count(&g); i++)
            *element(&g, i) = 3;
        double loss =
            nn_loss_soft(&z.view, case_probs, 1, CASE_W, NULL, warm ? 3 : 1, 0.5f, add, &g.view);
        expect_near(loss, warm ? warm_loss : soft_loss, 3e-7, "loss", l);
        check_grad(&g, warm ? warm_grad : soft_grad, 0.5, add ? 3 : 0);
        release(z.memory);
        release(g.memory);
    }
}

/* Soft targets that are one-hot are hard labels; 0 everywhere is a masked pixel. */
static void soft_one_hot_is_hard(void **state)
{
    (void)state;
    uint8_t probs[CASE_N * CASE_H * CASE_W * CASE_C] = {0};
    for (int i = 0; i < CASE_N * CASE_H * CASE_W; i++)
        if (case_labels[i] != NN_LABEL_IGNORE)
            probs[i * CASE_C + case_labels[i]] = 255;
    const uint8_t chosen[] = {1, 0, 1, 1};
    const float weight[] = {0.5f, 2.0f, 1.0f, 0.25f};
    struct nn_ce_options options = {chosen, weight, 0.125f};
    struct tensor z = tensor_of(NHWC, case_logits), g = tensor_of(NHWC, case_logits);
    struct tensor h = tensor_of(NCHW, case_logits);
    double hard = nn_loss_hard(&z.view, case_labels, &options, 1, &g.view);
    double soft = nn_loss_soft(&z.view, probs, CASE_H, CASE_W, &options, 1, 1, false, &h.view);
    expect_near(soft, hard, 1e-6, "loss", 0);
    for (int64_t i = 0; i < count(&g); i++)
        expect_near((double)*element(&h, i), (double)*element(&g, i), 1e-6, "grad", i);
    release(z.memory);
    release(g.memory);
    release(h.memory);
}

/* ---- larger --------------------------------------------------------------------------------- */

/* Mean cross-entropy over the chosen classes, plainly; *grad in NCHW. */
static double plain_hard(const struct tensor *z, const uint8_t *labels, const uint8_t *chosen,
                         double *grad)
{
    int64_t classes = z->view.dim[1], plane = z->view.dim[2] * z->view.dim[3], used = 0;
    double loss = 0;
    for (int64_t p = 0; p < z->view.dim[0] * plane; p++) {
        int64_t base = p / plane * classes * plane + p % plane;
        if (labels[p] == NN_LABEL_IGNORE || labels[p] >= classes || !chosen[labels[p]])
            continue;
        double sum = 0;
        for (int64_t c = 0; c < classes; c++)
            sum += chosen[c] ? exp((double)*element(z, base + c * plane)) : 0;
        used++;
        loss += log(sum) - (double)*element(z, base + labels[p] * plane);
        for (int64_t c = 0; c < classes; c++)
            grad[base + c * plane] =
                chosen[c] ? exp((double)*element(z, base + c * plane)) / sum - (c == labels[p]) : 0;
    }
    for (int64_t i = 0; used > 0 && i < count(z); i++)
        grad[i] /= (double)used;
    return used > 0 ? loss / (double)used : 0;
}

static void random_case(struct rng *r, struct tensor *z, uint8_t *labels, uint8_t *chosen)
{
    for (int64_t i = 0; i < count(z); i++)
        *element(z, i) = rng_normal(r) * 5;
    for (int64_t i = 0; i < count(z) / z->view.dim[1]; i++)
        labels[i] = (uint8_t)(rng_below(r, 9) == 0 ? NN_LABEL_IGNORE
                                                   : rng_below(r, (uint32_t)z->view.dim[1] + 1));
    for (int64_t c = 0; c < z->view.dim[1]; c++)
        chosen[c] = rng_below(r, 4) != 0;
}

static void hard_on_many_pixels(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 31, 0);
    const int64_t shape[][4] = {{1, 1, 1, 1}, {3, 2, 1, 1}, {2, 19, 41, 37}, {5, 254, 3, 3}};
    for (int k = 0; k < 12; k++) {
        const int64_t *d = shape[k / 3];
        struct tensor z = tensor_open((enum layout)(k % LAYOUTS), d[0], d[1], d[2], d[3]);
        struct tensor g = tensor_open((enum layout)(k % LAYOUTS), d[0], d[1], d[2], d[3]);
        uint8_t *labels = malloc((size_t)(d[0] * d[2] * d[3])), chosen[256] = {0};
        double *want = calloc((size_t)count(&z), sizeof(double));
        assert_true(labels && want);
        random_case(&r, &z, labels, chosen);
        struct nn_ce_options options = {.class_chosen = chosen};
        double loss = nn_loss_hard(&z.view, labels, &options, 1, &g.view);
        expect_near(loss, plain_hard(&z, labels, chosen, want), 1e-6, "loss", k);
        for (int64_t i = 0; i < count(&z); i++)
            expect_near((double)*element(&g, i), want[i], 5e-7, "grad", i);
        free(want);
        free(labels);
        release(z.memory);
        release(g.memory);
    }
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 32, 0);
    struct tensor z = tensor_open(NHWC, 3, 11, 33, 47), a = tensor_open(NHWC, 3, 11, 33, 47);
    struct tensor b = tensor_open(NHWC, 3, 11, 33, 47);
    uint8_t labels[3 * 33 * 47], chosen[11], probs[3 * 8 * 11 * 11];
    random_case(&r, &z, labels, chosen);
    for (size_t i = 0; i < sizeof(probs); i++)
        probs[i] = (uint8_t)rng_below(&r, 256);
    double loss[2], soft[2];
    for (int k = 0; k < 2; k++) {
        omp_set_num_threads(k ? 3 : 1);
        struct tensor *g = k ? &b : &a;
        loss[k] = nn_loss_hard(&z.view, labels, NULL, 1, &g->view);
        soft[k] = nn_loss_soft(&z.view, probs, 8, 11, NULL, 2, 1, true, &g->view);
    }
    omp_set_num_threads(1);
    assert_true(loss[0] == loss[1] && soft[0] == soft[1]);
    assert_memory_equal(a.memory, b.memory, (size_t)a.size * sizeof(float));
    release(z.memory);
    release(a.memory);
    release(b.memory);
}

/* Resolutions that do not divide: the weights counted before must be those met in the loop. With
 * equal logits every pixel that counts loses log 2. */
static void soft_at_any_resolution(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 33, 0);
    for (int round = 0; round < 200; round++) {
        int h = random_between(&r, 1, 9), w = random_between(&r, 1, 9);
        int ph = random_between(&r, 1, 9), pw = random_between(&r, 1, 9);
        struct tensor z = tensor_open(NHWC, 2, 2, h, w), g = tensor_open(NHWC, 2, 2, h, w);
        uint8_t probs[2 * 9 * 9 * 2];
        bool any = false;
        memset(z.memory, 0, (size_t)z.size * sizeof(float));
        for (int i = 0; i < 2 * ph * pw * 2; i++)
            probs[i] = (uint8_t)(rng_below(&r, 3) == 0 ? rng_below(&r, 256) : 0);
        double loss = nn_loss_soft(&z.view, probs, ph, pw, NULL, 1, 1, false, &g.view);
        double sum = 0;
        for (int64_t i = 0; i < count(&g); i++) {
            any = any || *element(&g, i) != 0;
            sum += fabs((double)*element(&g, i));
        }
        assert_true(loss == 0 || fabs(loss - log(2)) < 1e-6);
        assert_true(!any || loss > 0);
        assert_true(sum <= 1 + 1e-6);
        release(z.memory);
        release(g.memory);
    }
}

static void nothing_left_is_zero(void **state)
{
    (void)state;
    const uint8_t none[CASE_C] = {0}, only_0[CASE_C] = {1};
    uint8_t labels[CASE_N * CASE_H * CASE_W];
    memset(labels, 1, sizeof(labels));
    for (int k = 0; k < 2; k++) {
        struct nn_ce_options options = {.class_chosen = k ? none : only_0};
        struct tensor z = tensor_of(NHWC, case_logits), g = tensor_of(SPACED, case_logits);
        *element(&z, 3) = NAN; /* masked: must not reach loss or gradient */
        assert_true(nn_loss_hard(&z.view, labels, &options, 1, &g.view) == 0);
        for (int64_t i = 0; i < count(&g); i++)
            assert_true(*element(&g, i) == 0);
        release(z.memory);
        release(g.memory);
    }
}

static void extreme_logits(void **state)
{
    (void)state;
    float z[] = {1e4f, -1e4f, 0, 3e38f, -3e38f, 0}, g[6];
    const uint8_t labels[] = {0, 1};
    struct nn_view v = {.data = z, .rank = 2, .dim = {2, 3}, .stride = {3, 1}};
    struct nn_view gv = v;
    gv.data = g;
    double loss = nn_loss_hard(&v, labels, NULL, 2, &gv);
    expect_near(loss, (double)3e38f, 1e-6, "loss", 0);
    const float want[] = {0, 0, 0, 1, -1, 0};
    for (int i = 0; i < 6; i++)
        expect_near((double)g[i], (double)want[i], 1e-6, "grad", i);
    z[0] = NAN;
    assert_true(isnan(nn_loss_hard(&v, labels, NULL, 1, &gv)) && isnan(g[0]) && !isnan(g[4]));
}

/* ---- argmax --------------------------------------------------------------------------------- */

static void argmax(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 34, 0);
    for (int k = 0; k < 9; k++) {
        int64_t c = random_between(&r, 1, 12), h = random_between(&r, 1, 40);
        struct tensor z = tensor_open((enum layout)(k % LAYOUTS), 2, c, h, 33);
        uint8_t *labels = malloc((size_t)(2 * h * 33)), chosen[16] = {0};
        assert_non_null(labels);
        for (int64_t i = 0; i < count(&z); i++)
            *element(&z, i) = (float)rng_below(&r, 4); /* many ties */
        for (int64_t i = 0; i < c; i++)
            chosen[i] = rng_below(&r, 3) != 0;
        chosen[rng_below(&r, (uint32_t)c)] = 1;
        const uint8_t *only = k % 2 ? chosen : NULL;
        nn_argmax(&z.view, only, labels);
        for (int64_t p = 0; p < 2 * h * 33; p++) {
            int64_t best = -1, base = p / (h * 33) * c * h * 33 + p % (h * 33);
            for (int64_t i = 0; i < c; i++)
                if ((!only || only[i]) && (best < 0 || *element(&z, base + i * h * 33) >
                                                           *element(&z, base + best * h * 33)))
                    best = i;
            assert_int_equal(labels[p], best);
        }
        memset(chosen, 0, sizeof(chosen));
        nn_argmax(&z.view, chosen, labels);
        assert_int_equal(labels[2 * h * 33 - 1], NN_LABEL_IGNORE);
        free(labels);
        release(z.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_follows_torch),
        cmocka_unit_test(soft_follows_torch),
        cmocka_unit_test(soft_one_hot_is_hard),
        cmocka_unit_test(hard_on_many_pixels),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(soft_at_any_resolution),
        cmocka_unit_test(nothing_left_is_zero),
        cmocka_unit_test(extreme_logits),
        cmocka_unit_test(argmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
